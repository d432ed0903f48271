//! A registry in this process: small, honest, and hostile where a test wants it to be.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use stave_model::digest::Digest;
use stave_transport::testing::{Asked, Reply, Server};

/// Who may use the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Everybody.
    Open,
    /// Who sends this user and password with every request, in base64 as `Authorization` has it.
    Basic(&'static str),
    /// Who brings a token from `/token`, which is given to this user and password; to everybody if it is empty.
    Bearer(&'static str),
}

/// What a test puts before the registry: an answer of its own, or none to let the registry answer.
pub type Hook = Box<dyn Fn(&Asked) -> Option<Reply> + Send + Sync>;

#[derive(Default)]
struct Shelves {
    /// By repository and digest.
    blobs: BTreeMap<(String, String), Vec<u8>>,
    /// By repository and tag or digest: media type and bytes.
    manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    sessions: usize,
}

/// A running registry; it ends when dropped.
pub struct TestRegistry {
    server: Server,
    shelves: Arc<Mutex<Shelves>>,
}

impl TestRegistry {
    /// Starts a registry.
    pub fn start(guard: Guard, hook: Option<Hook>) -> io::Result<Self> {
        let shelves = Arc::new(Mutex::new(Shelves::default()));
        let held = Arc::clone(&shelves);
        let server = Server::start(move |asked| {
            if let Some(reply) = hook.as_ref().and_then(|hook| hook(asked)) {
                return reply;
            }
            let path = asked.path.split('?').next().unwrap_or_default();
            if path == "/token" {
                return token(asked, guard);
            }
            match path.strip_prefix("/v2/") {
                Some(_) if !may_enter(asked, guard) => turned_away(asked, guard),
                Some(rest) => held.lock().unwrap_or_else(PoisonError::into_inner).answer(asked, rest),
                None => Reply::not_found(),
            }
        })?;
        Ok(Self { server, shelves })
    }

    /// Host and port.
    pub fn host(&self) -> String {
        self.server.authority()
    }

    /// Methods and paths of everything that was asked so far.
    pub fn lines(&self) -> Vec<String> {
        self.server.lines()
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.server.asked()
    }

    /// Puts a blob on the shelf, under a digest that need not be its own.
    pub fn put_blob(&self, repository: &str, digest: &Digest, bytes: &[u8]) {
        let key = (repository.to_owned(), digest.to_string());
        self.shelves().blobs.insert(key, bytes.to_vec());
    }

    /// Puts a manifest on the shelf, under a tag or digest.
    pub fn put_manifest(&self, repository: &str, target: &str, media_type: &str, bytes: &[u8]) {
        let key = (repository.to_owned(), target.to_owned());
        self.shelves().manifests.insert(key, (media_type.to_owned(), bytes.to_vec()));
    }

    /// The manifest's bytes under a tag or digest.
    pub fn manifest(&self, repository: &str, target: &str) -> Option<Vec<u8>> {
        let key = (repository.to_owned(), target.to_owned());
        self.shelves().manifests.get(&key).map(|(_, bytes)| bytes.clone())
    }

    /// How many blobs a repository has.
    pub fn blob_count(&self, repository: &str) -> usize {
        self.shelves().blobs.keys().filter(|(name, _)| name == repository).count()
    }

    fn shelves(&self) -> std::sync::MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn token(asked: &Asked, guard: Guard) -> Reply {
    match guard {
        Guard::Bearer(user) if user.is_empty() || asked.header("authorization") == Some(&format!("Basic {user}")) => {
            let scopes: Vec<String> =
                pairs(&asked.path).filter(|(name, _)| name == "scope").map(|(_, value)| value).collect();
            Reply::ok(format!("{{\"token\":\"T:{}\",\"expires_in\":60}}", scopes.join(";")))
        }
        Guard::Bearer(_) => Reply::new(401, "no"),
        _ => Reply::not_found(),
    }
}

fn may_enter(asked: &Asked, guard: Guard) -> bool {
    let given = asked.header("authorization").unwrap_or_default();
    match guard {
        Guard::Open => true,
        Guard::Basic(user) => given == format!("Basic {user}"),
        Guard::Bearer(_) => given.strip_prefix("Bearer T:").is_some_and(|scopes| {
            let writes = !matches!(asked.method.as_str(), "GET" | "HEAD");
            let actions = if writes { ":pull,push" } else { ":pull" };
            scopes.split(';').any(|scope| {
                let name = scope.strip_prefix("repository:").and_then(|rest| rest.split(':').next()).unwrap_or("?");
                asked.path.starts_with(&format!("/v2/{name}/")) && scope.contains(actions)
            })
        }),
    }
}

fn turned_away(asked: &Asked, guard: Guard) -> Reply {
    let host = asked.header("host").unwrap_or_default();
    let challenge = match guard {
        Guard::Bearer(_) => format!("Bearer realm=\"http://{host}/token\",service=\"test\""),
        _ => "Basic realm=\"test\"".to_owned(),
    };
    Reply::new(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#)
        .header("www-authenticate", &challenge)
}

fn pairs(path: &str) -> impl Iterator<Item = (String, String)> {
    let query = path.split_once('?').map(|(_, query)| query).unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned()))
}

fn query(path: &str, name: &str) -> Option<String> {
    pairs(path).find(|(key, _)| key == name).map(|(_, value)| value)
}

impl Shelves {
    fn answer(&mut self, asked: &Asked, rest: &str) -> Reply {
        if let Some((name, session)) = rest.split_once("/blobs/uploads/") {
            return self.upload(asked, name, session);
        }
        if let Some((name, digest)) = rest.split_once("/blobs/") {
            let found = self.blobs.get(&(name.to_owned(), digest.to_owned()));
            return match (found, asked.range_start()) {
                (Some(bytes), Some(from)) if from < bytes.len() => Reply::rest(bytes, from),
                (Some(bytes), _) => Reply::ok(bytes.clone()),
                (None, _) => unknown("BLOB_UNKNOWN"),
            };
        }
        match rest.split_once("/manifests/") {
            Some((name, target)) => self.manifest(asked, name, target),
            None => Reply::not_found(),
        }
    }

    fn upload(&mut self, asked: &Asked, name: &str, session: &str) -> Reply {
        let digest = query(&asked.path, "digest").unwrap_or_default();
        match (asked.method.as_str(), session) {
            ("POST", "") => {
                let mount = query(&asked.path, "mount").zip(query(&asked.path, "from"));
                let lent =
                    mount.and_then(|(digest, from)| Some((self.blobs.get(&(from, digest.clone()))?.clone(), digest)));
                if let Some((bytes, digest)) = lent {
                    self.blobs.insert((name.to_owned(), digest), bytes);
                    return Reply::new(201, "");
                }
                self.sessions += 1;
                let location = format!("/v2/{name}/blobs/uploads/{}?state=abc", self.sessions);
                Reply::new(202, "").header("location", &location)
            }
            ("PUT", session) if !session.is_empty() && query(&asked.path, "state").as_deref() == Some("abc") => {
                if Digest::of(&asked.body).to_string() != digest {
                    return Reply::new(400, r#"{"errors":[{"code":"DIGEST_INVALID","message":"digest invalid"}]}"#);
                }
                self.blobs.insert((name.to_owned(), digest.clone()), asked.body.clone());
                Reply::new(201, "").header("docker-content-digest", &digest)
            }
            _ => Reply::new(405, ""),
        }
    }

    fn manifest(&mut self, asked: &Asked, name: &str, target: &str) -> Reply {
        if asked.method == "PUT" {
            let digest = Digest::of(&asked.body).to_string();
            let media_type = asked.header("content-type").unwrap_or_default().to_owned();
            let missing =
                digests_in(&asked.body).into_iter().any(|blob| !self.blobs.contains_key(&(name.to_owned(), blob)));
            if missing {
                return Reply::new(
                    400,
                    r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#,
                );
            }
            for key in [target.to_owned(), digest.clone()] {
                self.manifests.insert((name.to_owned(), key), (media_type.clone(), asked.body.clone()));
            }
            return Reply::new(201, "").header("docker-content-digest", &digest);
        }
        match self.manifests.get(&(name.to_owned(), target.to_owned())) {
            Some((media_type, bytes)) => Reply::ok(bytes.clone())
                .header("content-type", media_type)
                .header("docker-content-digest", &Digest::of(bytes).to_string()),
            None => unknown("MANIFEST_UNKNOWN"),
        }
    }
}

fn unknown(code: &str) -> Reply {
    Reply::new(404, format!("{{\"errors\":[{{\"code\":\"{code}\",\"message\":\"unknown to registry\"}}]}}"))
}

/// The digests of the blobs that a manifest names.
fn digests_in(manifest: &[u8]) -> Vec<String> {
    let Ok(manifest) = serde_json::from_slice::<serde_json::Value>(manifest) else { return Vec::new() };
    let layers = manifest.get("layers").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
    let all = layers.iter().chain(manifest.get("config"));
    all.filter_map(|blob| blob.get("digest")?.as_str().map(str::to_owned)).collect()
}
