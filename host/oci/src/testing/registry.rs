//! A registry in this process: small, honest, and hostile where a test wants it to be.

mod uploads;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use stave_model::digest::Digest;
use stave_transport::testing::{Asked, Fault, Reply, Server};

pub use self::uploads::Sessions;
use self::uploads::Uploads;

/// Who may use the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Guard {
    /// Everybody.
    #[default]
    Open,
    /// Who sends this user and password with every request, in base64 as `Authorization` has it.
    Basic(&'static str),
    /// Who brings a token from `/token`, which is given to this user and password; to everybody if it is empty.
    Bearer(&'static str),
}

/// What a test puts before the registry: an answer of its own, or none to let the registry answer.
pub type Hook = Box<dyn Fn(&Asked) -> Option<Reply> + Send + Sync>;

/// What goes wrong with one request, by its number and what is known before its body is read.
pub type Script = Box<dyn Fn(&Asked) -> Option<Wrong> + Send + Sync>;

/// What goes wrong with an honest registry's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It is answered with this status, and nothing else happens. With a `Retry-After` if there is one.
    Status(u16, Option<&'static str>),
    /// It is turned away as if its token had aged.
    Unauthorised,
    /// The connection closes before anything happens.
    Unheard,
    /// It is done, and the connection closes before the answer.
    Unanswered,
    /// It is done, and half of the answer's body arrives.
    Half,
    /// It is done, and the answer says to have seven bytes more than it has.
    Overstated,
    /// Nothing happens, and nothing is said.
    Silence,
    /// The connection closes after so many bytes of its body, which have arrived.
    Cut(usize),
}

/// How a registry is.
#[derive(Default)]
pub struct Character {
    /// Who may use it.
    pub guard: Guard,
    /// What it says instead of the truth.
    pub hook: Option<Hook>,
    /// What goes wrong.
    pub script: Option<Script>,
    /// What it does with uploads that broke off.
    pub sessions: Sessions,
}

#[derive(Default)]
struct Shelves {
    /// By repository and digest.
    blobs: BTreeMap<(String, String), Vec<u8>>,
    /// By repository and tag or digest: media type and bytes.
    manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    uploads: Uploads,
}

/// A running registry; it ends when dropped.
pub struct TestRegistry {
    server: Server,
    shelves: Arc<Mutex<Shelves>>,
}

impl TestRegistry {
    /// Starts a registry.
    pub fn start(guard: Guard, hook: Option<Hook>) -> io::Result<Self> {
        Self::of(Character { guard, hook, ..Character::default() })
    }

    /// Starts a registry that is so.
    pub fn of(character: Character) -> io::Result<Self> {
        let Character { guard, hook, script, sessions } = character;
        let shelves = Arc::new(Mutex::new(Shelves { uploads: Uploads::of(sessions), ..Shelves::default() }));
        let held = Arc::clone(&shelves);
        let script: Script = script.unwrap_or_else(|| Box::new(|_| None));
        // It is asked before the body is read, and what it said then holds.
        let cuts = Arc::new(Mutex::new(BTreeMap::new()));
        let said = Arc::clone(&cuts);
        let honest = move |asked: &Asked| {
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
        };
        let answer =
            move |asked: &Asked| match said.lock().unwrap_or_else(PoisonError::into_inner).remove(&asked.number) {
                Some(Wrong::Status(status, wait)) => {
                    let reply = Reply::new(status, r#"{"errors":[{"code":"UNKNOWN","message":"as scripted"}]}"#);
                    wait.map_or(reply.clone(), |wait| reply.header("retry-after", wait))
                }
                Some(Wrong::Unauthorised) if !asked.path.starts_with("/token") => turned_away(asked, guard),
                Some(Wrong::Unheard) => Reply::new(500, "").fault(Fault::Hangup),
                Some(Wrong::Silence) => Reply::new(500, "").fault(Fault::Silence),
                Some(Wrong::Unanswered) => honest(asked).fault(Fault::Hangup),
                Some(Wrong::Half) => {
                    let reply = honest(asked);
                    let half = Fault::DropAfter(reply.len() / 2);
                    reply.fault(half)
                }
                Some(Wrong::Overstated) => {
                    let reply = honest(asked);
                    let more = reply.len() as u64 + 7;
                    reply.claiming(more)
                }
                Some(Wrong::Unauthorised | Wrong::Cut(_)) | None => honest(asked),
            };
        let cut = move |asked: &Asked| {
            let wrong = script(asked)?;
            cuts.lock().unwrap_or_else(PoisonError::into_inner).insert(asked.number, wrong);
            if let Wrong::Cut(after) = wrong { Some(after) } else { None }
        };
        Ok(Self { server: Server::start_cutting(answer, cut)?, shelves })
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

    /// Takes a blob from the shelf, whatever leads to it.
    pub fn lose_blob(&self, repository: &str, digest: &Digest) {
        self.shelves().blobs.remove(&(repository.to_owned(), digest.to_string()));
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
        // What other clients ask first: whether this is a registry at all.
        if rest.is_empty() {
            return Reply::ok("{}");
        }
        if let Some((name, session)) = rest.split_once("/blobs/uploads/") {
            return self.uploads.answer(asked, name, session, &mut self.blobs);
        }
        if let Some((name, digest)) = rest.split_once("/blobs/") {
            let found = self.blobs.get(&(name.to_owned(), digest.to_owned()));
            return match (found, asked.range_start()) {
                (Some(bytes), Some(from)) if from < bytes.len() => Reply::rest(bytes, from),
                (Some(bytes), _) => Reply::ok(bytes.clone()),
                (None, _) => refusal(404, "BLOB_UNKNOWN"),
            };
        }
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return self.tags(name);
        }
        match rest.split_once("/manifests/") {
            Some((name, target)) => self.manifest(asked, name, target),
            None => Reply::not_found(),
        }
    }

    fn tags(&self, name: &str) -> Reply {
        let of_it = self.manifests.keys().filter(|(repository, _)| repository == name).map(|(_, target)| target);
        let tags: Vec<&String> = of_it.filter(|target| !target.contains(':')).collect();
        if tags.is_empty() {
            return refusal(404, "NAME_UNKNOWN");
        }
        Reply::ok(serde_json::json!({ "name": name, "tags": tags }).to_string())
    }

    fn manifest(&mut self, asked: &Asked, name: &str, target: &str) -> Reply {
        if asked.method == "PUT" {
            let digest = Digest::of(&asked.body).to_string();
            let media_type = asked.header("content-type").unwrap_or_default().to_owned();
            let has_blob = |digest: String| self.blobs.contains_key(&(name.to_owned(), digest));
            let has_manifest = |digest: String| self.manifests.contains_key(&(name.to_owned(), digest));
            if !digests_in(&asked.body, &["config", "layers"]).into_iter().all(has_blob) {
                return refusal(400, "MANIFEST_BLOB_UNKNOWN");
            }
            if !digests_in(&asked.body, &["manifests"]).into_iter().all(has_manifest) {
                return refusal(400, "MANIFEST_UNKNOWN");
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
            None => refusal(404, "MANIFEST_UNKNOWN"),
        }
    }
}

fn refusal(status: u16, code: &str) -> Reply {
    let message = if status == 404 || code.ends_with("UNKNOWN") { "unknown to registry" } else { "refused" };
    Reply::new(status, format!("{{\"errors\":[{{\"code\":\"{code}\",\"message\":\"{message}\"}}]}}"))
}

/// The digests that a document names under these keys.
fn digests_in(document: &[u8], keys: &[&str]) -> Vec<String> {
    let Ok(document) = serde_json::from_slice::<serde_json::Value>(document) else { return Vec::new() };
    let values = keys.iter().filter_map(|key| document.get(key));
    let all = values.flat_map(|value| value.as_array().map_or_else(|| vec![value], |list| list.iter().collect()));
    all.filter_map(|blob| blob.get("digest")?.as_str().map(str::to_owned)).collect()
}
