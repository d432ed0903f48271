//! How a program is started, and what the image says about it: decided from its manifest alone.

use stave_sdk::{APP_DIR, Process};

use crate::{jar_manifest::Manifest, layers_index::literal, program::Program};

/// The longest label, in characters.
const MAX_LABEL: usize = 256;

/// In what form the program stands in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// The app is the jar, exploded already.
    Exploded,
    /// A Spring Boot jar that is exploded over the app: it starts sooner, and its libraries can be sliced off.
    Explode(String),
    /// A jar that stays as it is.
    Jar(String),
}

/// The form in which `program` is started.
pub(crate) fn form(program: &Program) -> Form {
    match &program.jar {
        None => Form::Exploded,
        Some(path) if program.manifest.spring_boot().is_some() => Form::Explode(path.clone()),
        Some(path) => Form::Jar(path.clone()),
    }
}

/// The processes of the image: `web`, which is the default, `task` and `executable-jar`, all the same command.
pub(crate) fn processes(program: &Program, form: &Form) -> Vec<Process> {
    let command = command(program, form);
    let process = |kind: &str| Process::new(kind, command.iter().cloned());
    vec![process("executable-jar"), process("task"), process("web").default()]
}

fn command(program: &Program, form: &Form) -> Vec<String> {
    let mut command = vec!["java".to_owned()];
    if let Form::Jar(path) = form {
        // The whole path, because `java` takes `-x.jar` for an option and `@x.jar` for a file of arguments.
        command.extend(["-jar".to_owned(), format!("{APP_DIR}/{path}")]);
        return command;
    }
    // `java -jar` would read these from the manifest.
    for (header, option) in [("Add-Opens", "--add-opens"), ("Add-Exports", "--add-exports")] {
        let packages = program.manifest.get(header).unwrap_or_default().split_ascii_whitespace();
        let packages = packages.filter(|package| is_package(package));
        command.extend(packages.map(|package| format!("{option}={package}=ALL-UNNAMED")));
    }
    command.push(program.main_class.clone());
    command
}

/// `module/package`.
fn is_package(text: &str) -> bool {
    let name =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '$'));
    text.split_once('/').is_some_and(|(module, package)| name(module) && name(package))
}

/// The class path of an exploded jar, with `:` between; none where `java -jar` makes its own.
pub(crate) fn class_path(program: &Program, form: &Form) -> Option<String> {
    if matches!(form, Form::Jar(_)) {
        return None;
    }
    let entries = program.manifest.class_path().0.into_iter().map(|entry| format!("{APP_DIR}/{entry}"));
    Some(std::iter::once(APP_DIR.to_owned()).chain(entries).collect::<Vec<_>>().join(":"))
}

/// Headers that only `java -jar` obeys and that an exploded jar therefore loses.
pub(crate) fn lost(program: &Program, form: &Form) -> Vec<&'static str> {
    let set = |name: &&str| match *name {
        "Multi-Release" => program.manifest.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true")),
        name => program.manifest.get(name).is_some(),
    };
    let headers = ["Multi-Release", "Launcher-Agent-Class"].into_iter().filter(set);
    headers.filter(|_| !matches!(form, Form::Jar(_))).collect()
}

/// The slice of libraries beside a plain jar: what its class path names.
pub(crate) fn library_slices(program: &Program) -> Vec<Vec<String>> {
    let folder = program.jar.as_deref().and_then(|path| path.rsplit_once('/')).map(|(folder, _)| folder);
    let beside = |entry: &str| match folder {
        Some(folder) => literal(&format!("{folder}/{}", entry.trim_end_matches('/'))),
        None => literal(entry.trim_end_matches('/')),
    };
    let libraries: Vec<String> = program.manifest.class_path().0.into_iter().map(beside).collect();
    if libraries.is_empty() { Vec::new() } else { vec![libraries] }
}

/// The image's labels.
pub(crate) fn labels(manifest: &Manifest) -> Vec<(String, String)> {
    let labels = [
        ("org.springframework.boot.version", "Spring-Boot-Version"),
        ("org.opencontainers.image.title", "Implementation-Title"),
        ("org.opencontainers.image.version", "Implementation-Version"),
    ];
    let text = |value: &str| value.chars().filter(|c| !c.is_control()).take(MAX_LABEL).collect();
    labels.into_iter().filter_map(|(label, header)| Some((label.to_owned(), text(manifest.get(header)?)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jar_manifest;

    fn program(jar: Option<&str>, headers: &str) -> Program {
        let text = format!("Main-Class: a.Main\n{headers}");
        Program {
            jar: jar.map(str::to_owned),
            manifest: jar_manifest::parse(text.as_bytes()).unwrap(),
            main_class: "a.Main".to_owned(),
        }
    }

    const BOOT: &str = "Spring-Boot-Version: 3.5.16\nSpring-Boot-Lib: BOOT-INF/lib/\n";

    #[test]
    fn the_form_follows_what_the_jar_is() {
        for (jar, headers, expected) in [
            (None, "", Form::Exploded),
            (None, BOOT, Form::Exploded),
            (Some("a.jar"), BOOT, Form::Explode("a.jar".to_owned())),
            (Some("a.jar"), "", Form::Jar("a.jar".to_owned())),
            (Some("a.jar"), "Spring-Boot-Version: 3.5.16\nClass-Path: lib/b.jar\n", Form::Jar("a.jar".to_owned())),
        ] {
            assert_eq!(form(&program(jar, headers)), expected, "{jar:?} {headers}");
        }
    }

    #[test]
    fn an_exploded_jar_is_started_by_its_class() {
        let program = program(None, "Add-Opens: java.base/java.lang x;y\nAdd-Exports: java.base/sun.nio.ch\n");
        let processes = processes(&program, &Form::Exploded);
        let command = [
            "java",
            "--add-opens=java.base/java.lang=ALL-UNNAMED",
            "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
            "a.Main",
        ];
        let kinds: Vec<(&str, bool)> = processes.iter().map(|p| (p.kind.as_str(), p.default)).collect();
        assert_eq!(kinds, [("executable-jar", false), ("task", false), ("web", true)]);
        assert!(processes.iter().all(|process| process.command == command && process.args.is_empty()));
    }

    #[test]
    fn a_jar_is_started_by_its_whole_path() {
        let program = program(Some("@lib/-x.jar"), "Add-Opens: java.base/java.lang\n");
        let form = form(&program);
        assert_eq!(processes(&program, &form)[0].command, ["java", "-jar", "/workspace/@lib/-x.jar"]);
        assert_eq!(class_path(&program, &form), None);
    }

    #[test]
    fn the_class_path_begins_with_the_app() {
        let program = program(None, "Class-Path: lib/b.jar conf/\n");
        let path = class_path(&program, &Form::Exploded);
        assert_eq!(path.as_deref(), Some("/workspace:/workspace/lib/b.jar:/workspace/conf/"));
    }

    #[test]
    fn what_only_a_jar_can_do_is_named_when_it_is_exploded() {
        let program = program(None, "Multi-Release: true\nLauncher-Agent-Class: a.Agent\n");
        assert_eq!(lost(&program, &Form::Exploded), ["Multi-Release", "Launcher-Agent-Class"]);
        assert!(lost(&program, &Form::Jar("a.jar".to_owned())).is_empty());
        assert!(lost(&self::program(None, "Multi-Release: false\n"), &Form::Exploded).is_empty());
    }

    #[test]
    fn libraries_beside_a_jar_are_a_slice() {
        let path = "Class-Path: lib/b[1].jar conf/\n";
        assert_eq!(library_slices(&program(Some("a.jar"), path)), [["lib/b[[]1].jar", "conf"]]);
        assert_eq!(library_slices(&program(Some("x/a.jar"), path)), [["x/lib/b[[]1].jar", "x/conf"]]);
        assert!(library_slices(&program(Some("a.jar"), "")).is_empty());
    }

    #[test]
    fn labels_are_what_the_manifest_says() {
        let text = "Implementation-Title: a\u{1b}[31mb\nImplementation-Version: 1.0\nSpring-Boot-Version: 3.5.16\n";
        let manifest = jar_manifest::parse(text.as_bytes()).unwrap();
        let labels = labels(&manifest);
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            labels,
            [
                ("org.springframework.boot.version", "3.5.16"),
                ("org.opencontainers.image.title", "a[31mb"),
                ("org.opencontainers.image.version", "1.0"),
            ]
        );
    }
}
