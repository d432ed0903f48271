//! `stave bundle`: a builder and all that it needs as one file, and that file taken in where there is no network.

mod create;
mod import;

use std::collections::BTreeMap;

use serde::Serialize;
use stave_model::{
    builder::pinned::PinnedBuilder,
    bundle::{Bundle, Declared},
    digest::Digest,
};

pub(crate) use self::{create::create, import::import};
use crate::{
    args::Output,
    exit::{Exit, GENERAL, printable},
    ui::bytes,
    workshop::Workshop,
};

/// What the long help of `create` adds.
pub(crate) const CREATE_HELP: &str = "\
Examples:
  stave bundle create java.tar --platform linux/amd64 --dependency jre@21.0.8
      the built-in builder with its base and one Java runtime
  stave bundle create tools.tar --builder builder.toml --lock stave.lock
      a builder of your own as it is locked, for all its platforms, with all dependencies

The file is a tar of an OCI image layout. The same inputs give the same bytes. A builder that is an artefact already keeps its
digest, and therefore all bases that travel with it.";

/// What the long help of `import` adds.
pub(crate) const IMPORT_HELP: &str = "\
Example:
  stave bundle import tools.tar && stave build app --builder acme/tools:1 --offline

Nothing is kept of a file that is not whole. What is in it stays in the data folder, beside the builders that `stave builder
create` keeps: no limit of the cache throws it out. Whoever builds with the builder gives its buildpacks what it grants them; look
first: `stave builder inspect NAME`.";

/// A bundle as it is told of.
struct Telling<'a> {
    /// The file.
    file: String,
    /// What its builder is called.
    name: &'a str,
    document: &'a Bundle,
    builder: &'a PinnedBuilder,
    /// The sizes of the dependencies' files.
    files: &'a BTreeMap<Digest, u64>,
    /// The bytes of the stack's images.
    stack: u64,
    /// The bytes of the file, where that was written now.
    size: Option<u64>,
}

/// The same for programs.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    builder: &'a str,
    digest: Digest,
    platforms: Vec<String>,
    stack: Part<'a>,
    buildpacks: Part<'a>,
    dependencies: Vec<OfFile<'a>>,
    left_out: &'a [Declared],
}

#[derive(Serialize)]
struct Part<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    count: usize,
    size: u64,
}

#[derive(Serialize)]
struct OfFile<'a> {
    #[serde(flatten)]
    declared: &'a Declared,
    size: u64,
}

impl Telling<'_> {
    fn tell(&self, workshop: &Workshop, output: Output) -> Result<(), Exit> {
        let text = match output {
            Output::Json => serde_json::to_string_pretty(&self.report()).map_err(|error| Exit::new(GENERAL, error))?,
            Output::Text => self.for_people(),
        };
        workshop.ui.result(&text);
        Ok(())
    }

    fn platforms(&self) -> Vec<String> {
        self.document.stack.iter().map(|image| image.platform.to_string()).collect()
    }

    fn size_of(&self, declared: &Declared) -> u64 {
        self.files.get(&declared.digest).copied().unwrap_or_default()
    }

    fn report(&self) -> Report<'_> {
        let dependencies = self.document.dependencies.iter();
        Report {
            file: &self.file,
            size: self.size,
            builder: self.name,
            digest: self.document.builder.digest,
            platforms: self.platforms(),
            stack: Part { name: Some(&self.builder.stack.name), count: self.document.stack.len(), size: self.stack },
            buildpacks: Part {
                name: None,
                count: self.builder.buildpacks.len(),
                size: self.builder.buildpacks.iter().map(|buildpack| buildpack.size).sum(),
            },
            dependencies: dependencies.map(|declared| OfFile { declared, size: self.size_of(declared) }).collect(),
            left_out: &self.document.left_out,
        }
    }

    fn for_people(&self) -> String {
        let report = self.report();
        let size = self.size.map(|size| format!("  ({})", bytes(size))).unwrap_or_default();
        let mut lines = vec![
            format!("{}{size}", self.file),
            format!("  builder       {}", self.name),
            format!("    digest      {}", report.digest),
            format!(
                "  stack         {} for {}  ({})",
                self.builder.stack.name,
                report.platforms.join(", "),
                bytes(self.stack)
            ),
            format!("  buildpacks    {}  ({})", report.buildpacks.count, bytes(report.buildpacks.size)),
            format!("  dependencies  {}  ({})", report.dependencies.len(), bytes(self.files.values().sum())),
        ];
        lines.extend(
            report.dependencies.iter().map(|one| format!("    {}  ({})", one.declared.title(), bytes(one.size))),
        );
        if !report.left_out.is_empty() {
            lines.push(format!("  left out      {}", report.left_out.len()));
            lines.extend(report.left_out.iter().map(|declared| format!("    {}", declared.title())));
        }
        lines.iter().map(|line| printable(line)).collect::<Vec<_>>().join("\n")
    }
}
