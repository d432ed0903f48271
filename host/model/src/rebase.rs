//! An app's image + another base → the image on that base, or the reason why not (CNB platform specification, "Rebaser").
//!
//! Nothing of the app is touched: the base's layers are exchanged, and what the configuration and labels say of them. So a
//! patched base reaches an image without a build, and the way back gives the first image again, byte for byte.
//!
//! Two rules differ from the lifecycle's rebaser. A tag or digest of the repository that the base came from is taken
//! without force, because a patch is a new tag as often as a moved one. And a variant of the architecture is kept.
//! What is the same: the environment stays the app's, and where a build would give another one is said ([`Kept`]).

use serde_json::{Map, Value, json};

use crate::{
    image::{CREATED, ImageError, LIFECYCLE_LABEL, LifecycleMetadata, env_of, object_in, parse},
    target::Platform,
};

mod env;

pub use env::{Build, Kept};

/// The base that an image shall stand on.
#[derive(Debug, Clone, Copy)]
pub struct NewBase<'a> {
    /// Its configuration.
    pub config: &'a [u8],
    /// The name that people use for it.
    pub name: &'a str,
    /// Where exactly it was found.
    pub reference: &'a str,
}

/// What becomes of an image on another base.
#[derive(Debug)]
pub struct Rebase {
    /// The new configuration.
    pub config: Vec<u8>,
    /// How many of the image's layers, from the bottom, are the old base and go.
    pub old_layers: usize,
    /// Why this base was accepted.
    pub rule: Rule,
    /// What stood against it and was overruled by force.
    pub overruled: Vec<Refusal>,
    /// The variables of the image, which keeps them as they are, that a build on the new base would give otherwise.
    pub env_kept: Vec<Kept>,
}

/// Why a base was accepted by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// It is what the image names as its base, or a mirror of it.
    Name(String),
    /// It is another tag or digest of the repository of such a name.
    Repository(String),
    /// Somebody insisted.
    Force,
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => write!(f, "the image names {} as its base", name.escape_debug()),
            Self::Repository(name) => write!(f, "it is of the same repository as {}", name.escape_debug()),
            Self::Force => f.write_str("by force"),
        }
    }
}

/// Why an image is not put on a base.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The app's configuration is none.
    #[error("the configuration of the image cannot be read")]
    App(#[source] ImageError),
    /// The base's configuration is none.
    #[error("the configuration of the new base cannot be read")]
    Base(#[source] ImageError),
    /// An old image, and the base is of another stack.
    #[error("the image is of the stack `{}`, the new base of `{}`, and images of before platform API 0.12 stay on theirs", .app.escape_debug(), .base.escape_debug())]
    Stack {
        /// The image's.
        app: String,
        /// The base's.
        base: String,
    },
    /// An old image, and the base lacks packages that it asks for.
    #[error("the new base lacks what the image asks of its stack: {}", .0.join(", ").escape_debug())]
    Mixins(Vec<String>),
    /// It says of itself that it must not be rebased.
    #[error("the image says that it must not be rebased (label io.buildpacks.rebasable)")]
    NotRebasable,
    /// It would not run there.
    #[error("the image is for {app}, the new base for {base}")]
    Platform {
        /// The image's.
        app: Platform,
        /// The base's.
        base: Platform,
    },
    /// Another distribution, or another version of it: libraries need not fit.
    #[error("the image was built on {}, the new base is {}", .app.escape_debug(), .base.escape_debug())]
    Distro {
        /// The image's.
        app: String,
        /// The base's.
        base: String,
    },
    /// Nobody built it with buildpacks.
    #[error("the image was not built by buildpacks: it has no label {LIFECYCLE_LABEL}")]
    NotBuilt,
    /// The label is there and says nothing.
    #[error("the label {LIFECYCLE_LABEL} of the image cannot be read")]
    Metadata(#[source] Option<serde_json::Error>),
    /// Where the base ends is not known.
    #[error("the image's base cannot be told from its app: no layer is `{}`, which the label names as the base's last", .0.escape_debug())]
    TopLayer(String),
    /// The base is one that the image does not know.
    #[error("`{}` is not a base of the image, which stands on {}", .base.escape_debug(), .known.join(", ").escape_debug())]
    Name {
        /// The new base's name.
        base: String,
        /// The names that the image knows.
        known: Vec<String>,
    },
}

impl Refusal {
    /// Whether somebody who knows better may overrule it. What would give an image that cannot run is never overruled.
    pub fn can_be_forced(&self) -> bool {
        matches!(self, Self::NotRebasable | Self::Distro { .. } | Self::Name { .. })
    }
}

/// Puts an image on a base: the lifecycle's checks in its order, then the new configuration.
pub fn decide(app: &[u8], base: &NewBase<'_>, force: bool) -> Result<Rebase, Refusal> {
    let config = parse(app).map_err(Refusal::App)?;
    let base_config = parse(base.config).map_err(Refusal::Base)?;
    let mut overruled = Vec::new();
    let mut unless_forced = |refusal: Refusal| {
        if force && refusal.can_be_forced() {
            overruled.push(refusal);
            Ok(())
        } else {
            Err(refusal)
        }
    };
    let is_new = platform_api(&config).map_err(Refusal::App)? >= (0, 12);
    // These two are asked of every image: an image for another machine is one that does not start.
    let platform = check_platform(&config, &base_config)?;
    if is_new {
        if label(&config, "io.buildpacks.rebasable") == Some("false") {
            unless_forced(Refusal::NotRebasable)?;
        }
        check_distro(&config, &base_config).or_else(&mut unless_forced)?;
    } else {
        check_stack(&config, &base_config)?;
    }
    let metadata = metadata(&config)?;
    let top = metadata.pointer("/runImage/topLayer").and_then(Value::as_str).unwrap_or_default();
    let old = diff_ids(&config).map_err(Refusal::App)?;
    let old_layers = old.iter().position(|id| id == top).ok_or_else(|| Refusal::TopLayer(cut(top)))? + 1;
    let known = known_names(&metadata);
    let rule = if let Some(rule) = rule(base.name, &known) {
        rule
    } else {
        unless_forced(Refusal::Name { base: cut(base.name), known: known.clone() })?;
        Rule::Force
    };
    let base_ids = diff_ids(&base_config).map_err(Refusal::Base)?;
    let names = new_names(&metadata, base.name, &rule);
    let top = base_ids.last().ok_or(Refusal::Base(ImageError::Member("diff_ids")))?;
    let metadata =
        rewrite(&metadata, label(&config, LIFECYCLE_LABEL).unwrap_or_default(), top, base.reference, names.as_deref());
    let env_kept = env::kept(&env_of(&config).map_err(Refusal::App)?, &env_of(&base_config).map_err(Refusal::Base)?);
    let new = assemble(config, &base_config, (old_layers, old.len()), &platform, &metadata, is_new)?;
    Ok(Rebase { config: Value::Object(new).to_string().into_bytes(), old_layers, rule, overruled, env_kept })
}

/// The names under which the base of an image is looked for when none is given: of its mirrors the one in the image's own
/// registry, then the base's name, then the other mirrors.
pub fn candidates(app: &[u8], registry: Option<&str>) -> Result<Vec<String>, Refusal> {
    let metadata = metadata(&parse(app).map_err(Refusal::App)?)?;
    let mut names = names_at(&metadata, "/runImage");
    if names.is_empty() {
        names = names_at(&metadata, "/stack/runImage");
    }
    let is_near = |name: &String| registry.is_some_and(|at| name.strip_prefix(at).is_some_and(|r| r.starts_with('/')));
    // The sort keeps the order among equals.
    names.sort_by_key(|name| !is_near(name));
    Ok(names)
}

/// The base of an image as its label has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedBase {
    /// The name that people use for it; empty where there is none.
    pub name: String,
    /// Where exactly it was found.
    pub reference: String,
}

/// The base that an image stands on, if it says so.
pub fn named_base(app: &[u8]) -> Option<NamedBase> {
    let metadata = metadata(&parse(app).ok()?).ok()?;
    let text = |name: &str| Some(metadata.get("runImage")?.get(name)?.as_str()?.to_owned());
    Some(NamedBase { name: text("image").unwrap_or_default(), reference: text("reference")? })
}

/// A name as labels hold it: `repository[:tag][@digest]`, or `oci:folder[:name]`.
struct Name<'a> {
    repository: &'a str,
    tag: Option<&'a str>,
    has_digest: bool,
}

impl<'a> Name<'a> {
    fn parse(text: &'a str) -> Self {
        let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
        // A port stands before a slash, a tag after the last one; in a layout's name the first colon separates.
        let from = if rest.starts_with("oci:") { 4 } else { rest.rfind('/').map_or(0, |slash| slash + 1) };
        let (repository, tag) = match rest[from..].find(':') {
            Some(colon) => (&rest[..from + colon], Some(&rest[from + colon + 1..])),
            None => (rest, None),
        };
        Self { repository, tag, has_digest: digest.is_some() }
    }

    /// The tag, or the one that a name without tag and digest means.
    fn meant(&self) -> Option<&'a str> {
        self.tag.or(if self.has_digest { None } else { Some("latest") })
    }
}

fn rule(name: &str, known: &[String]) -> Option<Rule> {
    let new = Name::parse(name);
    let same = |old: &&String| Name::parse(old).repository == new.repository;
    let exact = known.iter().filter(same).find(|old| {
        let old = Name::parse(old);
        !new.has_digest && !old.has_digest && old.meant() == new.meant()
    });
    let exact = exact.map(|old| Rule::Name(old.clone()));
    exact.or_else(|| known.iter().find(same).map(|old| Rule::Repository(old.clone())))
}

/// All names that the image knows its base by, each once.
fn known_names(metadata: &Value) -> Vec<String> {
    let mut names = names_at(metadata, "/runImage");
    for name in names_at(metadata, "/stack/runImage") {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn names_at(metadata: &Value, pointer: &str) -> Vec<String> {
    let Some(names) = metadata.pointer(pointer) else { return Vec::new() };
    let mirrors = names.get("mirrors").and_then(Value::as_array).into_iter().flatten();
    let all = names.get("image").into_iter().chain(mirrors).filter_map(Value::as_str);
    all.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// What the label says of names afterwards, where that changes: by force the new name alone; after another tag of a known
/// repository that tag, for the mirrors too, so that the next rebase without a name does not lead back.
fn new_names(metadata: &Value, name: &str, rule: &Rule) -> Option<Vec<String>> {
    match rule {
        Rule::Name(_) => None,
        Rule::Force => Some(vec![name.to_owned()]),
        Rule::Repository(_) => {
            let tag = Name::parse(name).tag?;
            let mut names = names_at(metadata, "/runImage");
            if names.is_empty() {
                names = names_at(metadata, "/stack/runImage");
            }
            Some(names.iter().map(|old| format!("{}:{tag}", Name::parse(old).repository)).collect())
        }
    }
}

/// The label with the new base in it. What a lifecycle wrote is kept member by member, known here or not.
fn rewrite(metadata: &Value, text: &str, top: &str, reference: &str, names: Option<&[String]>) -> String {
    let mut value = metadata.clone();
    value["runImage"]["topLayer"] = json!(top);
    value["runImage"]["reference"] = json!(reference);
    if let Some((image, mirrors)) = names.and_then(<[String]>::split_first) {
        value["runImage"]["image"] = json!(image);
        match value["runImage"].as_object_mut() {
            Some(run) if mirrors.is_empty() => drop(run.remove("mirrors")),
            _ => value["runImage"]["mirrors"] = json!(mirrors),
        }
        value["stack"] = json!({ "runImage": { "image": image, "mirrors": mirrors } });
    }
    // Our own labels have an order of their own, and keep it.
    let is_ours = serde_json::from_str::<LifecycleMetadata>(text)
        .is_ok_and(|ours| serde_json::to_string(&ours).is_ok_and(|again| again == text));
    let ours = is_ours.then(|| serde_json::from_value::<LifecycleMetadata>(value.clone()).ok()).flatten();
    ours.and_then(|ours| serde_json::to_string(&ours).ok()).unwrap_or_else(|| value.to_string())
}

fn assemble(
    mut config: Map<String, Value>,
    base: &Map<String, Value>,
    (old_layers, all_layers): (usize, usize),
    platform: &Platform,
    metadata: &str,
    is_new: bool,
) -> Result<Map<String, Value>, Refusal> {
    let base_ids = diff_ids(base).map_err(Refusal::Base)?;
    let created = config.get("created").filter(|created| created.is_string()).cloned().unwrap_or(json!(CREATED));
    let mut history = history(base, base_ids.len()).map_err(Refusal::Base)?;
    for entry in history.iter_mut().filter_map(Value::as_object_mut) {
        entry.insert("created".to_owned(), created.clone());
    }
    history.extend(self::history(&config, all_layers).map_err(Refusal::App)?.split_off(old_layers));
    let app_ids = diff_ids(&config).map_err(Refusal::App)?.split_off(old_layers);
    config.insert("history".to_owned(), Value::Array(history));
    let all = [base_ids, app_ids].concat();
    config.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": all }));
    config.insert("created".to_owned(), created);
    config.insert("os".to_owned(), json!(platform.os));
    config.insert("architecture".to_owned(), json!(platform.arch));
    if let Some(variant) = &platform.variant {
        config.insert("variant".to_owned(), json!(variant));
    }
    for name in ["os.version", "os.features"] {
        config.remove(name);
        config.extend(base.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    let run = object_in(&mut config, "config").map_err(Refusal::App)?;
    let labels = object_in(run, "Labels").map_err(Refusal::App)?;
    let of_base =
        |name: &str| name.starts_with("io.buildpacks.stack.") || (is_new && name.starts_with("io.buildpacks.base."));
    labels.retain(|name, _| !of_base(name));
    let new = base.get("config").and_then(|run| run.get("Labels")).and_then(Value::as_object);
    labels.extend(new.into_iter().flatten().filter(|(name, _)| of_base(name)).map(|(n, v)| (n.clone(), v.clone())));
    labels.insert(LIFECYCLE_LABEL.to_owned(), json!(metadata));
    Ok(config)
}

/// One entry a layer; blank ones if they do not fit the layers (as the lifecycle does).
fn history(config: &Map<String, Value>, layers: usize) -> Result<Vec<Value>, ImageError> {
    let mut entries = match config.get("history") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(entries)) => entries.clone(),
        Some(_) => return Err(ImageError::Member("history")),
    };
    entries.retain(|entry| entry.get("empty_layer") != Some(&Value::Bool(true)));
    if entries.len() != layers || !entries.iter().all(Value::is_object) {
        entries = vec![json!({}); layers];
    }
    Ok(entries)
}

fn diff_ids(config: &Map<String, Value>) -> Result<Vec<String>, ImageError> {
    let ids = config.get("rootfs").and_then(|rootfs| rootfs.get("diff_ids")).and_then(Value::as_array);
    let ids = ids.ok_or(ImageError::Member("diff_ids"))?.iter().map(|id| id.as_str().map(str::to_owned));
    ids.collect::<Option<_>>().ok_or(ImageError::Member("diff_ids"))
}

fn label<'a>(config: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    config.get("config")?.get("Labels")?.get(name)?.as_str()
}

fn metadata(config: &Map<String, Value>) -> Result<Value, Refusal> {
    let text = label(config, LIFECYCLE_LABEL).ok_or(Refusal::NotBuilt)?;
    let value: Value = serde_json::from_str(text).map_err(|error| Refusal::Metadata(Some(error)))?;
    if value.get("runImage").is_some_and(Value::is_object) { Ok(value) } else { Err(Refusal::Metadata(None)) }
}

/// The platform API that the image was made for; the oldest where it says none.
fn platform_api(config: &Map<String, Value>) -> Result<(u32, u32), ImageError> {
    let env = env_of(config)?;
    let version = env.iter().rev().find_map(|entry| entry.strip_prefix("CNB_PLATFORM_API="));
    let parts = version.and_then(|version| version.split_once('.'));
    Ok(parts.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?))).unwrap_or_default())
}

/// What the new image is for: as the base says, with the image's variant where the base says none.
fn check_platform(app: &Map<String, Value>, base: &Map<String, Value>) -> Result<Platform, Refusal> {
    let read = |config: &Map<String, Value>| {
        let text = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default();
        let variant = Some(text("variant")).filter(|variant| !variant.is_empty()).map(|variant| format!("/{variant}"));
        format!("{}/{}{}", text("os"), text("architecture"), variant.unwrap_or_default()).parse::<Platform>().ok()
    };
    let app = read(app).ok_or(Refusal::App(ImageError::Member("architecture")))?;
    let base = read(base).ok_or(Refusal::Base(ImageError::Member("architecture")))?;
    if !base.serves(&app) {
        return Err(Refusal::Platform { app, base });
    }
    Ok(Platform { variant: base.variant.clone().or(app.variant), ..base })
}

/// A base that names its distribution takes only images that were built on the same.
fn check_distro(app: &Map<String, Value>, base: &Map<String, Value>) -> Result<(), Refusal> {
    let read = |config: &Map<String, Value>, part: &str| {
        label(config, &format!("io.buildpacks.base.distro.{part}")).unwrap_or_default().to_owned()
    };
    let fits = ["name", "version"].into_iter().all(|part| {
        let wanted = read(base, part);
        wanted.is_empty() || wanted == read(app, part)
    });
    let shown = |config: &Map<String, Value>| match [read(config, "name"), read(config, "version")] {
        [name, _] if name.is_empty() => "a distribution that it does not name".to_owned(),
        parts => cut(parts.join(" ").trim_end()),
    };
    if fits { Ok(()) } else { Err(Refusal::Distro { app: shown(app), base: shown(base) }) }
}

fn check_stack(app: &Map<String, Value>, base: &Map<String, Value>) -> Result<(), Refusal> {
    let id = |config: &Map<String, Value>| cut(label(config, "io.buildpacks.stack.id").unwrap_or_default());
    let (app_id, base_id) = (id(app), id(base));
    if app_id != base_id || app_id.is_empty() {
        return Err(Refusal::Stack { app: app_id, base: base_id });
    }
    let mixins = |config: &Map<String, Value>| -> Vec<String> {
        let text = label(config, "io.buildpacks.stack.mixins").unwrap_or("[]");
        serde_json::from_str(text).unwrap_or_default()
    };
    let plain = |mixin: &String| {
        let rest = mixin.strip_prefix("build:").or_else(|| mixin.strip_prefix("run:"));
        rest.unwrap_or(mixin).to_owned()
    };
    let there: Vec<String> = mixins(base).iter().map(plain).collect();
    let mut missing: Vec<String> = mixins(app).iter().map(plain).filter(|mixin| !there.contains(mixin)).collect();
    missing.truncate(20);
    if missing.is_empty() { Ok(()) } else { Err(Refusal::Mixins(missing)) }
}

fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests;
