//! Maven's settings: mirrors and servers of `settings.xml` (Maven's "Settings Reference"), and the central repository
//! that Maven itself carries in its super POM. Passwords that Maven has encrypted (`{…}`) are not decrypted.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use roxmltree::{Document, Node as Element};
use stave_archive::{content::Span, limits::Limits, tree::Node, zip};
use stave_transport::request::Authorization;

use super::{Error, Sources};
use crate::{
    machine::{Machine, Unreadable},
    registry::{Ecosystem, Reason, Registry},
};

/// The repository that every Maven project has unless it says otherwise.
const CENTRAL: &str = "central";

/// The super POM within Maven's model builder.
const SUPER_POM: &str = "org/apache/maven/model/pom-4.0.0.xml";

/// A page of XML.
const LARGEST_POM: u64 = 1 << 20;

/// A `<mirror>`.
#[derive(Clone, PartialEq, Eq)]
struct Mirror {
    id: String,
    of: String,
    url: String,
}

/// A `<server>`.
#[derive(Clone, PartialEq, Eq)]
struct Server {
    id: String,
    authorization: Authorization,
}

/// Adds the mirror of the central repository, else that repository itself.
pub(super) fn sources(machine: &Machine, sources: &mut Sources) -> Result<(), Error> {
    let unreadable = |cause| Error::Unreadable(Ecosystem::Maven, cause);
    let (mut mirrors, mut servers) = (Vec::new(), Vec::new());
    for path in files(machine) {
        let Some(text) = machine.read(&path).map_err(unreadable)? else { continue };
        let malformed = |cause| unreadable(Unreadable { path: path.clone(), cause: std::io::Error::other(cause) });
        let settings = Document::parse(&text).map_err(malformed)?;
        read(&settings, machine, &mut mirrors, &mut servers);
    }
    let mirror = mirrors.into_iter().find(|mirror| covers_central(&mirror.of));
    let found = match mirror {
        Some(mirror) => Some((mirror.id, mirror.url, Reason::Settings(Ecosystem::Maven))),
        None => default_repository(machine).map(|url| (CENTRAL.to_owned(), url, Reason::Default(Ecosystem::Maven))),
    };
    let Some((id, url, reason)) = found else { return Ok(()) };
    let registry = Registry::parse(&url).map_err(|cause| Error::Invalid(Ecosystem::Maven, cause))?;
    let mut registry = registry.because(reason);
    if registry.authorization.is_none() {
        registry.authorization = servers.into_iter().find(|server| server.id == id).map(|server| server.authorization);
    }
    sources.registries.push(registry);
    Ok(())
}

/// The user's settings, then the installation's: the first that says something counts.
fn files(machine: &Machine) -> Vec<PathBuf> {
    let user = machine.home().map(|home| home.join(".m2/settings.xml"));
    let system = installations(machine).into_iter().map(|home| home.join("conf/settings.xml"));
    user.into_iter().chain(system).chain([machine.system("etc/maven/settings.xml")]).collect()
}

/// Takes in mirrors and servers; of servers with the same id the first counts.
fn read(settings: &Document<'_>, machine: &Machine, mirrors: &mut Vec<Mirror>, servers: &mut Vec<Server>) {
    let text = |parent: Element<'_, '_>, name: &str| {
        let child = parent.children().find(|child| child.tag_name().name() == name)?;
        Some(expand(child.text()?.trim(), machine)).filter(|text| !text.is_empty())
    };
    let within = |list: &str, item: &'static str| {
        let lists: Vec<_> =
            settings.root_element().children().filter(|child| child.tag_name().name() == list).collect();
        lists.into_iter().flat_map(|list| list.children()).filter(move |child| child.tag_name().name() == item)
    };
    for mirror in within("mirrors", "mirror") {
        // Maven blocks what is behind such a mirror, as it does with plain http.
        let blocked = text(mirror, "blocked").is_some_and(|text| text == "true");
        if let (Some(of), Some(url), false) = (text(mirror, "mirrorOf"), text(mirror, "url"), blocked) {
            mirrors.push(Mirror { id: text(mirror, "id").unwrap_or_default(), of, url });
        }
    }
    for server in within("servers", "server") {
        let (Some(id), Some(user)) = (text(server, "id"), text(server, "username")) else { continue };
        let password = text(server, "password").unwrap_or_default();
        if !password.starts_with('{') && !servers.iter().any(|known| known.id == id) {
            servers.push(Server { id, authorization: Authorization::Basic { user, password } });
        }
    }
}

/// Whether a `mirrorOf` covers the central repository: `*`, `central`, `external:*`, lists, and `!central`.
fn covers_central(of: &str) -> bool {
    let mut patterns = of.split(',').map(str::trim);
    !patterns.clone().any(|pattern| pattern == "!central")
        && patterns.any(|pattern| pattern == CENTRAL || pattern == "*" || pattern == "external:*")
}

/// Replaces `${env.NAME}` by the variable.
fn expand(text: &str, machine: &Machine) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${env.") {
        let Some((name, next)) = after.split_once('}') else { break };
        expanded.push_str(before);
        expanded.push_str(machine.variable(name).unwrap_or_default());
        rest = next;
    }
    expanded + rest
}

/// Where Maven is installed: what `MAVEN_HOME` says, and what `mvn` on the path belongs to.
fn installations(machine: &Machine) -> Vec<PathBuf> {
    let named = ["MAVEN_HOME", "M2_HOME"].iter().filter_map(|name| machine.variable(name)).map(PathBuf::from);
    let programs = machine.programs("mvn").into_iter().filter_map(|mvn| {
        let real = fs::canonicalize(mvn).ok()?;
        Some(real.parent()?.parent()?.to_owned())
    });
    named.chain(programs).filter(|home| home.is_absolute()).take(8).collect()
}

/// The central repository as the installed Maven has it. None if there is no Maven.
fn default_repository(machine: &Machine) -> Option<String> {
    installations(machine).iter().find_map(|home| {
        let entries = fs::read_dir(home.join("lib")).ok()?.filter_map(Result::ok);
        let mut jars: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_model_builder(path)).collect();
        jars.sort();
        jars.iter().find_map(|jar| central_of(&super_pom(jar)?))
    })
}

fn is_model_builder(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("maven-model-builder") && Path::new(name).extension().is_some_and(|ending| ending == "jar")
}

fn super_pom(jar: &Path) -> Option<String> {
    let tree = zip::read(Span::whole(File::open(jar).ok()?).ok()?, &Limits::default()).ok()?;
    match tree.get(SUPER_POM)? {
        Node::File(_, content) => String::from_utf8(content.bytes(LARGEST_POM).ok()?).ok(),
        _ => None,
    }
}

/// The address of the repository `central` in a POM.
fn central_of(pom: &str) -> Option<String> {
    let pom = Document::parse(pom).ok()?;
    let child = |parent: Element<'_, '_>, name: &str| {
        parent
            .children()
            .find(|child| child.tag_name().name() == name)
            .and_then(|child| child.text().map(str::to_owned))
    };
    let mut repositories = pom.descendants().filter(|element| element.tag_name().name() == "repository");
    let central = repositories.find(|element| child(*element, "id").as_deref().map(str::trim) == Some(CENTRAL))?;
    child(central, "url").map(|url| url.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(settings: &str) -> Option<Registry> {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".m2")).unwrap();
        fs::write(home.path().join(".m2/settings.xml"), settings).unwrap();
        let variables =
            [("HOME".to_owned(), home.path().to_str().unwrap().to_owned()), ("PW".to_owned(), "pw".to_owned())];
        let machine = Machine { variables: variables.into(), root: PathBuf::from("/nowhere") };
        let mut found = Sources::default();
        sources(&machine, &mut found).unwrap();
        found.registries.pop()
    }

    #[test]
    fn the_mirror_of_central_with_its_server() {
        let registry = found(
            r#"<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0"><servers>
                 <server><id>own</id><username>me</username><password>${env.PW}</password></server></servers>
               <mirrors><mirror><id>not</id><mirrorOf>snapshots</mirrorOf><url>https://no.example.com</url></mirror>
                 <mirror><id>blocked</id><mirrorOf>*</mirrorOf><url>http://0.0.0.0/</url><blocked>true</blocked></mirror>
                 <mirror><id>own</id><mirrorOf>external:*,!local</mirrorOf> <url> https://maven.example.com/all </url></mirror>
               </mirrors></settings>"#,
        )
        .unwrap();
        assert_eq!(registry.to_string(), "https://maven.example.com/all");
        let expected = Authorization::Basic { user: "me".to_owned(), password: "pw".to_owned() };
        assert_eq!(registry.authorization, Some(expected));
        assert_eq!(found("<settings/>"), None);
    }

    #[test]
    fn which_mirrors_cover_central() {
        for (of, covers) in [
            ("*", true),
            ("central", true),
            ("a, central", true),
            ("external:*", true),
            ("*,!central", false),
            ("a", false),
        ] {
            assert_eq!(covers_central(of), covers, "{of}");
        }
    }

    #[test]
    fn the_super_pom_names_central() {
        let pom = "<project><repositories><repository><id>other</id><url>x</url></repository>\
            <repository><id>central</id><url> https://maven.example.com/maven2 </url></repository></repositories></project>";
        assert_eq!(central_of(pom).as_deref(), Some("https://maven.example.com/maven2"));
        assert_eq!(central_of("<project>"), None);
    }

    #[test]
    #[ignore = "needs Maven on the path"]
    fn maven_says_its_default() {
        assert!(default_repository(&Machine::current()).unwrap().starts_with("https://"));
    }

    #[test]
    fn damaged_settings_are_named() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".m2")).unwrap();
        fs::write(home.path().join(".m2/settings.xml"), "<settings>").unwrap();
        let variables = [("HOME".to_owned(), home.path().to_str().unwrap().to_owned())];
        let machine = Machine { variables: variables.into(), root: PathBuf::from("/nowhere") };
        assert!(matches!(sources(&machine, &mut Sources::default()), Err(Error::Unreadable(Ecosystem::Maven, _))));
    }
}
