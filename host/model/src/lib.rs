//! The words of Stave: plain data and pure decisions.
//!
//! Everything here can be said without a file, a network or a clock. The other crates move bytes; this one holds
//! what they agree on, so that a decision can be tested as a table and read as a sentence.
//!
//! | Module | Holds |
//! |---|---|
//! | [`digest`] | SHA-256 digests and keys made of fields |
//! | [`id`] | names that were checked once, at the border |
//! | [`target`] | operating system, architecture, variant, distribution |
//! | [`manifest`] | `buildpack.toml`: what a buildpack is, asks for and depends on |
//! | [`component`] | the manifest as a custom section of a `.wasm` |
//! | [`binding`] | service bindings: names, types and secret values |
//! | [`capability`] | asked ⊆ granted, with the reason when it is not |
//! | [`dependency`] | pinned artefacts and the package URLs that name them |
//! | [`builder`] | `builder.toml`: stack, buildpacks, order, grants |
//! | [`bundle`] | what is in a bundle, and which dependencies go along |
//! | [`lock`] | `stave.lock`: every input by digest, and what an update changes |
//! | [`policy`] | `policy.toml`: whose signature is needed, who may do what by digest or signer |
//! | [`json`] | documents of others, read strictly |
//! | [`order`] | groups of buildpacks, tried in order |
//! | [`plan`] | provides and requires, and how they are matched |
//! | [`mod@env`] | environment changes as layers carry them |
//! | [`layer`] | what a layer is for |
//! | [`restore`] | what the next build gets back of a layer, with the reason |
//! | [`launch`] | processes, labels, slices, and the launcher's `metadata.toml` |
//! | [`project`] | `project.toml`: what an app says about its build |
//! | [`mod@time`] | instants as images carry them |
//! | [`image`] | base image + layers + launch → image configuration and labels |
//! | [`inspect`] | an image's configuration → what `pack inspect` tells of it |
//! | [`rebase`] | image + other base → image on that base, or why not |
//! | [`sbom`] | what is in a layer by name and version, and bills of materials |
//! | [`installed`] | what a package manager wrote down → what is installed |

pub mod binding;
pub mod builder;
pub mod bundle;
pub mod capability;
pub mod component;
pub mod dependency;
pub mod digest;
pub mod env;
pub mod id;
pub mod image;
pub mod inspect;
pub mod installed;
pub mod json;
pub mod launch;
pub mod layer;
pub mod lock;
pub mod manifest;
pub mod order;
pub mod plan;
pub mod policy;
pub mod project;
pub mod rebase;
pub mod restore;
pub mod sbom;
pub mod target;
pub mod time;
