//! What there is to run: an exploded jar that is the app, or one jar in it.
//!
//! [`Facts`] are gathered from the host first; [`choose`] then decides from them alone, and says why not.

use stave_sdk::{Error, Failure, Fault, app};

use crate::{
    jar_manifest::{self, Manifest},
    messages,
};

/// The most jars that are looked into.
pub(crate) const MAX_JARS: usize = 64;
/// Where Maven and Gradle leave what they build.
const OUTPUTS: [&str; 2] = ["target/*.jar", "build/libs/*.jar"];

/// What was found in the app.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Facts {
    /// `BP_EXECUTABLE_JAR_LOCATION`.
    pub(crate) location: Option<String>,
    /// The manifest at the app's root; not looked for where a location is given.
    pub(crate) exploded: Option<Manifest>,
    /// The jars at the location, or else at the app's root; not looked for where the app is an executable jar itself.
    pub(crate) jars: Vec<Jar>,
    /// Whether there are more than [`MAX_JARS`].
    pub(crate) more: bool,
    /// Whether there is a `WEB-INF` folder.
    pub(crate) web_archive: bool,
    /// Jars where build tools leave them; not looked for where there are others.
    pub(crate) outputs: Vec<String>,
}

/// A jar that is a file of the app.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Jar {
    /// Its path in the app.
    pub(crate) path: String,
    /// Its manifest, if it has one.
    pub(crate) manifest: Option<Manifest>,
}

/// What is run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Program {
    /// The jar's path in the app; none where the app itself is the jar, exploded.
    pub(crate) jar: Option<String>,
    /// Its manifest.
    pub(crate) manifest: Manifest,
    /// The class that is started.
    pub(crate) main_class: String,
}

/// Why nothing is run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Declined {
    /// There is nothing for this buildpack.
    Skip(String),
    /// There is, and it is broken.
    Fail(Failure),
}

/// Looks at the app.
pub(crate) fn gather(location: Option<String>) -> Result<Facts, Failure> {
    let exploded = match location {
        None => app::read(jar_manifest::PATH, jar_manifest::MAX_SIZE).map_err(unreadable)?,
        Some(_) => None,
    };
    let exploded = exploded.map(|bytes| read_manifest(&bytes, None)).transpose()?;
    let mut facts = Facts { location, exploded, ..Facts::default() };
    if facts.exploded.as_ref().is_some_and(|manifest| manifest.main_class() != Ok(None)) {
        return Ok(facts);
    }
    let limit = u32::try_from(MAX_JARS + 1).unwrap_or(u32::MAX);
    let found = find(facts.location.as_deref().map(|path| path.strip_prefix("./").unwrap_or(path)), limit)?;
    facts.more = found.len() > MAX_JARS;
    let files = found.into_iter().filter(app::Entry::may_be_file).take(MAX_JARS);
    facts.jars = files.map(|entry| open(entry.path)).collect::<Result<_, Failure>>()?;
    if facts.jars.is_empty() && facts.location.is_none() {
        facts.web_archive = app::stat("WEB-INF")?.is_some();
        facts.outputs = app::find(&OUTPUTS, 3)?.into_iter().map(|entry| entry.path).collect();
    }
    Ok(facts)
}

fn find(location: Option<&str>, limit: u32) -> Result<Vec<app::Entry>, Failure> {
    app::find(&[location.unwrap_or("*.jar")], limit).map_err(|error| match (error.fault, location) {
        (Fault::InvalidInput, Some(location)) => messages::not_a_pattern(location, &error.message),
        _ => error.into(),
    })
}

fn unreadable(error: Error) -> Failure {
    match error.fault {
        Fault::TooLarge => messages::huge_manifest(None),
        _ => error.into(),
    }
}

fn open(path: String) -> Result<Jar, Failure> {
    let broken = |error: Error| match error.fault {
        Fault::TooLarge => messages::huge_manifest(Some(&path)),
        Fault::Integrity | Fault::Unsupported => messages::damaged_jar(&path, &error.message),
        _ => error.into(),
    };
    let archive = app::open_archive(&path).map_err(broken)?;
    let bytes = archive.read_file(jar_manifest::PATH, jar_manifest::MAX_SIZE).map_err(broken)?;
    let manifest = bytes.map(|bytes| read_manifest(&bytes, Some(&path))).transpose()?;
    Ok(Jar { path, manifest })
}

fn read_manifest(bytes: &[u8], jar: Option<&str>) -> Result<Manifest, Failure> {
    jar_manifest::parse(bytes).map_err(|malformed| messages::malformed_manifest(jar, malformed))
}

/// Decides what is run.
pub(crate) fn choose(facts: &Facts) -> Result<Program, Declined> {
    if let Some(manifest) = &facts.exploded
        && let Some(program) = program_of(None, Some(manifest)).map_err(Declined::Fail)?
    {
        return Ok(program);
    }
    if facts.more {
        return Err(match &facts.location {
            Some(location) => Declined::Fail(messages::too_many_at_location(location)),
            None => Declined::Skip(messages::too_many_jars()),
        });
    }
    let mut programs = Vec::new();
    for jar in &facts.jars {
        programs.extend(program_of(Some(&jar.path), jar.manifest.as_ref()).map_err(Declined::Fail)?);
    }
    match (programs.len(), &facts.location) {
        (1, _) => Ok(programs.remove(0)),
        (0, Some(location)) => Err(Declined::Fail(messages::nothing_at_location(location, &facts.jars))),
        (0, None) => Err(Declined::Skip(messages::nothing_to_run(facts))),
        (_, location) => {
            let paths: Vec<&str> = programs.iter().filter_map(|program| program.jar.as_deref()).collect();
            Err(match location {
                Some(location) => Declined::Fail(messages::several_at_location(location, &paths)),
                None => Declined::Skip(messages::several_jars(&paths)),
            })
        }
    }
}

fn program_of(jar: Option<&str>, manifest: Option<&Manifest>) -> Result<Option<Program>, Failure> {
    let Some(manifest) = manifest else { return Ok(None) };
    let main_class = manifest.main_class().map_err(|name| messages::not_a_class(jar, name))?;
    Ok(main_class.map(|main_class| Program {
        jar: jar.map(str::to_owned),
        manifest: manifest.clone(),
        main_class: main_class.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        jar_manifest::parse(text.as_bytes()).unwrap()
    }

    fn jar(path: &str, text: &str) -> Jar {
        Jar { path: path.to_owned(), manifest: Some(manifest(text)) }
    }

    fn chosen(facts: &Facts) -> (Option<String>, String) {
        let program = choose(facts).unwrap();
        (program.jar, program.main_class)
    }

    #[test]
    fn an_exploded_jar_is_the_program() {
        let facts = Facts { exploded: Some(manifest("Main-Class: a.Main\n")), ..Facts::default() };
        assert_eq!(chosen(&facts), (None, "a.Main".to_owned()));
    }

    #[test]
    fn the_one_jar_with_a_main_class_is_the_program() {
        let library = Jar { path: "b.jar".to_owned(), manifest: None };
        let jars = vec![jar("a.jar", "A: 1\n"), library, jar("c.jar", "Main-Class: c.Main\n")];
        let facts = Facts { jars, ..Facts::default() };
        assert_eq!(chosen(&facts), (Some("c.jar".to_owned()), "c.Main".to_owned()));
        let facts = Facts { exploded: Some(manifest("A: 1\n")), ..facts };
        assert_eq!(chosen(&facts).1, "c.Main", "a manifest without a main class is not in the way");
    }

    #[test]
    fn what_is_broken_fails_and_what_is_not_meant_is_skipped() {
        let two = vec![jar("a.jar", "Main-Class: a.A\n"), jar("b.jar", "Main-Class: b.B\n")];
        let at = |location: &str| Facts { location: Some(location.to_owned()), ..Facts::default() };
        for (facts, fails) in [
            (Facts::default(), false),
            (Facts { jars: two.clone(), ..Facts::default() }, false),
            (Facts { more: true, ..Facts::default() }, false),
            (Facts { exploded: Some(manifest("Main-Class: -x\n")), ..Facts::default() }, true),
            (Facts { jars: vec![jar("a.jar", "Main-Class: @x\n")], ..Facts::default() }, true),
            (at("*.jar"), true),
            (Facts { jars: two, ..at("*.jar") }, true),
            (Facts { more: true, ..at("**/*.jar") }, true),
        ] {
            let declined = choose(&facts).unwrap_err();
            assert_eq!(matches!(declined, Declined::Fail(_)), fails, "{facts:?}");
        }
    }
}
