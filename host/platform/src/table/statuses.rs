//! The status of one thing: blocks of keys and values, and tables. kp's block about the pod is left out, for there is none.

use std::fmt::Write as _;

use stave_model::time;

use super::{Block, Table, diff, lists::outcome};
use crate::{
    decide::status::{Condition, Status},
    plan::world::StackState,
    resource::{
        build::{Build, joined},
        builder::{BuilderRevision, BuilderSpec, BuildpackVersion, Group},
        image::Image,
        order::{Entry, Pick},
        source::{Found, ResolvedSource},
    },
};

/// What the diff of a reason is moved in by: the first column, as kp counts it.
const UNDER_REASON: usize = "Reason:".len() + super::PADDING;

/// `image status`.
pub fn image(image: &Image, builds: &[Build], ready: &Condition) -> String {
    let status = match (ready.status, ready.reason) {
        (Status::True, _) => "Ready",
        (Status::False, _) => "Not Ready",
        (Status::Unknown, "BuildRunning") => "Building",
        (Status::Unknown, _) => "Unknown",
    };
    let latest = image.status.latest_image.as_ref().map(ToString::to_string).unwrap_or_default();
    let head = Block::new().with("Status", status).with("Message", &ready.message).with("LatestImage", latest);
    let builder = &image.spec.builder;
    let builder =
        Block::titled("Builder Ref").with("Name", builder.name.as_str()).with("Kind", builder.kind.to_string());
    let success = builds.iter().rev().find(|build| build.made().is_some());
    let failure = builds.iter().rev().find(|build| build.failure().is_some());
    let is_git = image.spec.source.git.is_some();
    let mut text = format!("{}{}{}", head.render(), wished(image).render(), builder.render());
    text.push_str(&of_build("Last Successful Build", success, is_git).render());
    if let Some(made) = success.and_then(Build::made) {
        text.push_str(&buildpacks("BUILDPACK VERSION", &made.buildpacks));
    }
    text.push_str(&of_build("Last Failed Build", failure, is_git).render());
    text
}

/// Where the source is, as it is wished for.
fn wished(image: &Image) -> Block {
    let block = Block::titled("Source");
    let source = &image.spec.source;
    match (&source.git, &source.blob) {
        (Some(git), _) => block.with("Type", "GitUrl").with("Url", &git.url).with("Revision", &git.revision),
        (None, Some(blob)) => block.with("Type", "Blob").with("Url", &blob.url),
        (None, None) => block.with("Type", "Local Source"),
    }
}

fn of_build(title: &str, build: Option<&Build>, is_git: bool) -> Block {
    let text = |of: fn(&Build) -> String| build.map(of).unwrap_or_default();
    let block = Block::titled(title)
        .with("Id", text(|build| build.number.to_string()))
        .with("Build Reason", text(|build| joined(&build.changes)));
    if !is_git {
        return block;
    }
    block.with("Git Revision", text(|build| build.inputs.source.commit().unwrap_or_default().to_owned()))
}

fn buildpacks(version: &str, buildpacks: &[BuildpackVersion]) -> String {
    let mut table = Table::new(&["BUILDPACK ID", version, "HOMEPAGE"]);
    for one in buildpacks {
        table.row([one.id.as_str(), &one.version.to_string(), one.homepage.as_deref().unwrap_or_default()]);
    }
    table.render()
}

/// `build status`.
pub fn build(build: &Build) -> String {
    let made = build.made();
    let image = made.map(|made| made.image.to_string()).unwrap_or_default();
    let mut text = Block::new()
        .with("Image", image)
        .with("Status", outcome(build))
        .with("Reason", joined(&build.changes))
        .render();
    text.pop();
    for line in build.changes.iter().flat_map(diff::lines) {
        let _ = writeln!(text, "{:UNDER_REASON$}{line}", "");
    }
    if let Some(failure) = build.failure() {
        let block = Block::new().with("Status Reason", failure.fault.as_str()).with("Status Message", &failure.message);
        text.push_str(block.render().trim_end_matches('\n'));
        text.push('\n');
    }
    text.push('\n');
    let at = |seconds: u64| time::rfc3339(seconds).replace('T', " ").replace('Z', "");
    let ended = build.finished.map(at).unwrap_or_default();
    text.push_str(&Block::new().with("Started", at(build.started)).with("Finished", ended).render());
    let revision = &build.inputs.revision;
    let builder = revision.image.as_ref().map_or_else(|| build.inputs.builder.to_string(), ToString::to_string);
    let run_image = made.map_or(&revision.run_image, |made| &made.run_image);
    text.push_str(&Block::new().with("Builder", builder).with("Run Image", run_image.to_string()).render());
    text.push_str(&found(&build.inputs.source).render());
    text.push_str(&buildpacks("BUILDPACK VERSION", made.map(|made| &made.buildpacks[..]).unwrap_or_default()));
    text
}

/// Where the source was.
fn found(source: &ResolvedSource) -> Block {
    match &source.at {
        Found::Git(git) => Block::new().with("Source", "GitUrl").with("Url", &git.url).with("Revision", &git.revision),
        Found::Blob(blob) => Block::new().with("Source", "Blob").with("Url", &blob.url),
        Found::Registry(_) => Block::new().with("Source", "Local Source"),
    }
}

/// `builder status` and `clusterbuilder status`.
pub fn builder(spec: &BuilderSpec, revision: Result<&BuilderRevision, &str>) -> String {
    let revision = match revision {
        Ok(revision) => revision,
        Err(reason) => return Block::new().with("Status", "Not Ready").with("Reason", reason).render(),
    };
    let image = revision.image.as_ref().map(ToString::to_string).unwrap_or_default();
    let head = Block::new()
        .with("Status", "Ready")
        .with("Image", image)
        .with("Stack ID", &revision.stack_id)
        .with("Run Image", revision.run_image.to_string());
    let mut parts =
        Block::new().above("Stack Ref").with("  Name", spec.stack.name.as_str()).with("  Kind", "ClusterStack");
    if let Some(store) = &spec.store {
        parts = parts.above("Store Ref").with("  Name", store.name.as_str()).with("  Kind", "ClusterStore");
    }
    let buildpacks = buildpacks("VERSION", &revision.buildpacks);
    format!("{}{}{buildpacks}\n{}{}", head.render(), parts.render(), named(&spec.order), order(&revision.order))
}

/// What an order names by kind and name, if it does; under kp's header, which says cluster buildpack of either.
fn named(order: &[Group<Entry>]) -> String {
    let mut table = Table::new(&["CLUSTERBUILDPACK NAME", "CLUSTERBUILDPACK KIND"]);
    let mut is_empty = true;
    for entry in order.iter().flat_map(|group| &group.group) {
        if let Pick::Of { kind, name, .. } = &entry.pick {
            is_empty = false;
            table.row([name.as_str(), &kind.to_string()]);
        }
    }
    if is_empty { String::new() } else { table.render() }
}

/// The groups, one after the other.
fn order(order: &[Group]) -> String {
    let mut table = Table::new(&["DETECTION ORDER", ""]);
    for (at, group) in order.iter().enumerate() {
        table.row([format!("Group #{}", at + 1), String::new()]);
        for member in &group.group {
            let optional = if member.optional { "(Optional)" } else { "" };
            table.row([format!("  {}", member.title()), optional.to_owned()]);
        }
    }
    table.render()
}

/// `clusterstack status`.
pub fn stack(state: Result<&StackState, &str>, build_image: Option<&str>) -> String {
    let (status, state) = match state {
        Ok(state) => ("Ready".to_owned(), Some(state)),
        Err(message) => (format!("Not Ready - {message}"), None),
    };
    let text = |of: fn(&StackState) -> String| state.map(of).unwrap_or_default();
    Block::new()
        .with("Status", status)
        .with("Id", text(|state| state.id.clone()))
        .with("Run Image", text(|state| state.run_image.to_string()))
        .with("Build Image", build_image.unwrap_or_default())
        .render()
}

/// `clusterstore status`.
pub fn store(status: Status, buildpacks: &[BuildpackVersion]) -> String {
    let status = match status {
        Status::True => "Ready",
        Status::False => "Not Ready",
        Status::Unknown => "Unknown",
    };
    let mut table = Table::new(&["BUILDPACKAGE ID", "VERSION", "HOMEPAGE"]);
    for one in buildpacks {
        table.row([one.id.as_str(), &one.version.to_string(), one.homepage.as_deref().unwrap_or_default()]);
    }
    format!("{}{}", Block::new().with("Status", status).render(), table.render())
}

/// `buildpack status` and `clusterbuildpack status`: with the name that its image is wished for by; or why it is not ready, where
/// somebody looked.
pub fn package(image: &str, found: Result<&BuildpackVersion, Option<&str>>) -> String {
    match found {
        Ok(one) => {
            let head = Block::new().with("Status", "Ready").with("Source", image);
            format!("{}{}", head.render(), buildpacks("VERSION", std::slice::from_ref(one)))
        }
        Err(Some(why)) => Block::new().with("Status", "Not Ready").with("Reason", why).render(),
        Err(None) => Block::new().with("Status", "Unknown").render(),
    }
}
