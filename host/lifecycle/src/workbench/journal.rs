//! What a buildpack asked, was told and did at its bench, in order.
//!
//! A component has no other source of knowledge than its bench, and it is deterministic. So if every question of a journal
//! would be answered today as it was then, the component would ask the same questions, do the same things and give the same
//! answer: it need not run. [`super::replay`] asks them again.
//!
//! What a component is told of its own work (what is in a layer that it made, or in an artefact whose digest its manifest
//! pins) follows from the rest and is not noted. Neither are the texts that it is told, only their digests: a journal holds
//! what the component itself chose and nothing of what it read.

use std::{collections::BTreeMap, error::Error as _, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use stave_model::{
    capability::Interface,
    digest::{Digest, Key},
    layer::Usage,
    target::Target,
};

use super::{Answer, Available, Entry, Kind, Service, Unpacking, Workbench};
use crate::{
    port::{
        failure::{Fault, PortError},
        observer::Level,
        recall::Unkept,
    },
    previous::PreviousLayer,
};

/// Most calls that one journal holds. What does more is run each time.
const MAX_CALLS: usize = 50_000;
/// Most bytes of texts and files that one journal holds.
const MAX_BYTES: usize = 1 << 20;

/// What the bench answered: whether something was there, and a digest over all that the component was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// Whether the thing asked for is there.
    pub(super) presence: Presence,
    /// Over the answer.
    pub(super) what: Digest,
}

/// Whether what was asked for is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Presence {
    There,
    Missing,
    /// The question itself was refused.
    Refused,
}

impl Said {
    /// An answer with this digest.
    pub(super) fn is(what: Digest) -> Self {
        Self { presence: Presence::There, what }
    }

    /// There is nothing.
    pub(super) fn nothing() -> Self {
        Self { presence: Presence::Missing, what: Key::new("nothing 1").finish() }
    }

    /// Whether what was asked for was there.
    pub(super) fn is_there(&self) -> bool {
        self.presence == Presence::There
    }

    /// What an answer comes to; none where it says nothing about the next time.
    pub(super) fn of<T>(answer: Answer<T>, said: impl FnOnce(&T) -> Self) -> Option<Self> {
        match answer {
            Ok(answer) => Some(said(&answer)),
            Err(error) if is_passing(&error) => None,
            Err(error) => Some(Self::refusal(&error)),
        }
    }

    /// The bytes of a file: their own digest, so that a content that knows it need not be read.
    pub(super) fn bytes(bytes: &[u8]) -> Self {
        Self::is(Digest::of(bytes))
    }

    /// A number.
    pub(super) fn number(number: u64) -> Self {
        Self::is(Key::new("number 1").field(number.to_le_bytes()).finish())
    }

    /// A text, if there is one.
    pub(super) fn text(text: Option<&str>) -> Self {
        text.map_or_else(Self::nothing, |text| Self::is(Key::new("text 1").field(text).finish()))
    }

    /// Names and their values.
    pub(super) fn pairs(pairs: &[(String, String)]) -> Self {
        let key = pairs.iter().fold(Key::new("pairs 1"), |key, (name, value)| key.field(name).field(value));
        let presence = if pairs.is_empty() { Presence::Missing } else { Presence::There };
        Self { presence, what: key.finish() }
    }

    /// Service bindings without their values.
    pub(super) fn services(services: &[Service]) -> Self {
        let one = |key: Key, Service { name, kind, provider, keys }: &Service| {
            key.field(name).field(kind).list(provider).list(keys)
        };
        let presence = if services.is_empty() { Presence::Missing } else { Presence::There };
        Self { presence, what: services.iter().fold(Key::new("services 1"), one).finish() }
    }

    /// A layer of an earlier build.
    pub(super) fn previous(layer: Option<&PreviousLayer>) -> Self {
        let Some(PreviousLayer { usage, metadata }) = layer else { return Self::nothing() };
        let usage = [usage.build, usage.launch, usage.cache].map(u8::from);
        let key = Key::new("previous layer 1").field(usage);
        Self::is(metadata.iter().fold(key, |key, (name, value)| key.field(name).field(value)).finish())
    }

    /// A layer of an earlier build that is taken over with its notes.
    pub(super) fn reused(diff_id: &Digest, metadata: &BTreeMap<String, String>) -> Self {
        let key = Key::new("reused layer 1").field(diff_id.hex());
        Self::is(metadata.iter().fold(key, |key, (name, value)| key.field(name).field(value)).finish())
    }

    /// What stands somewhere.
    pub(super) fn entries<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let (mut key, mut presence) = (Key::new("entries 1"), Presence::Missing);
        for Entry { path, kind, size, executable } in entries {
            let kind = match kind {
                Kind::File => 0,
                Kind::Folder => 1,
                Kind::Link => 2,
            };
            key = key.field(path).field([kind, u8::from(*executable)]).field(size.to_le_bytes());
            presence = Presence::There;
        }
        Self { presence, what: key.finish() }
    }

    /// What the image is for.
    pub(super) fn target(target: &Target) -> Self {
        let Target { platform, distro } = target;
        let distro = distro.iter().flat_map(|distro| [distro.name.as_str(), distro.version.as_str()]);
        Self::is(Key::new("target 1").field(platform.to_string()).list(distro).finish())
    }

    /// Which dependencies there are.
    pub(super) fn available(found: &[Available]) -> Self {
        let one = |key: Key, Available { dependency, artifact }: &Available| {
            let key = key.field(&dependency.id).field(dependency.version.to_string()).field(&dependency.name);
            key.list(&dependency.licenses).field(artifact.purl.to_string()).field(artifact.sha256.hex())
        };
        let presence = if found.is_empty() { Presence::Missing } else { Presence::There };
        Self { presence, what: found.iter().fold(Key::new("available 1"), one).finish() }
    }

    /// A refusal, with every word that the component is told of it.
    pub(super) fn refusal(error: &PortError) -> Self {
        let mut key = Key::new("refusal 1").field(format!("{:?}", error.fault)).field(error.to_string());
        let mut next = error.source();
        while let Some(cause) = next {
            key = key.field(cause.to_string());
            next = cause.source();
        }
        let presence = if error.fault == Fault::NotFound { Presence::Missing } else { Presence::Refused };
        Self { presence, what: key.list(error.hint.as_ref()).finish() }
    }
}

/// Bytes that a component wrote: shared in memory, hex digits in a kept journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written(pub(super) Arc<[u8]>);

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = hex::decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes.into()))
    }
}

/// One call of a component. Those with `said` are questions, whose answers depend on more than the component; the others are
/// things done that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Call {
    Find { patterns: Vec<String>, limit: u32, said: Said },
    Stat { path: String, said: Said },
    Read { path: String, limit: u64, said: Said },
    Digest { patterns: Vec<String>, said: Said },
    OpenArchive { path: String, said: Said },
    ArchiveFind { archive: usize, patterns: Vec<String>, limit: u32, said: Said },
    ArchiveRead { archive: usize, path: String, limit: u64, said: Said },
    Setting { name: String, said: Said },
    Settings { prefix: String, said: Said },
    Target { said: Said },
    Notes { said: Said },
    ExecEnv { said: Said },
    PreviousLayer { name: String, said: Said },
    ReuseLayer { name: String, usage: Usage, said: Said },
    RestoreLayer { name: String, usage: Usage, said: Said },
    Bindings { kind: String, said: Said },
    Binding { name: String, key: String, said: Said },
    Available { id: String, said: Said },
    Fetch { id: String, version: String, said: Said },
    OverlayWrite { path: String, contents: Written, executable: bool, said: Said },
    OverlayRemove { patterns: Vec<String>, said: Said },
    OverlayUnpack { archive: String, into: String, said: Said },
    CopyApp { layer: usize, patterns: Vec<String>, into: String, said: Said },
    CreateLayer { name: String, usage: Usage },
    WriteFile { layer: usize, path: String, contents: Written, executable: bool },
    Link { layer: usize, path: String, destination: String },
    Remove { layer: usize, patterns: Vec<String> },
    Unpack { artifact: usize, layer: usize, how: Unpacking },
    Save { artifact: usize, layer: usize, path: String, executable: bool },
    Message { level: Level, text: String },
    Step { title: String },
}

impl Call {
    /// What was said to a question.
    pub(super) fn said(&self) -> Option<Said> {
        match self {
            Self::Find { said, .. }
            | Self::Stat { said, .. }
            | Self::Read { said, .. }
            | Self::Digest { said, .. }
            | Self::OpenArchive { said, .. }
            | Self::ArchiveFind { said, .. }
            | Self::ArchiveRead { said, .. }
            | Self::Setting { said, .. }
            | Self::Settings { said, .. }
            | Self::Target { said }
            | Self::Notes { said }
            | Self::ExecEnv { said }
            | Self::PreviousLayer { said, .. }
            | Self::ReuseLayer { said, .. }
            | Self::RestoreLayer { said, .. }
            | Self::Bindings { said, .. }
            | Self::Binding { said, .. }
            | Self::Available { said, .. }
            | Self::Fetch { said, .. }
            | Self::OverlayWrite { said, .. }
            | Self::OverlayRemove { said, .. }
            | Self::OverlayUnpack { said, .. }
            | Self::CopyApp { said, .. } => Some(*said),
            Self::CreateLayer { .. }
            | Self::WriteFile { .. }
            | Self::Link { .. }
            | Self::Remove { .. }
            | Self::Unpack { .. }
            | Self::Save { .. }
            | Self::Message { .. }
            | Self::Step { .. } => None,
        }
    }

    /// The interface that it is a call of.
    pub(super) fn interface(&self) -> Interface {
        match self {
            Self::Find { .. }
            | Self::Stat { .. }
            | Self::Read { .. }
            | Self::Digest { .. }
            | Self::OpenArchive { .. }
            | Self::ArchiveFind { .. }
            | Self::ArchiveRead { .. } => Interface::App,
            Self::Setting { .. }
            | Self::Settings { .. }
            | Self::Target { .. }
            | Self::Notes { .. }
            | Self::ExecEnv { .. } => Interface::Context,
            Self::Bindings { .. } | Self::Binding { .. } => Interface::Bindings,
            Self::Available { .. } | Self::Fetch { .. } | Self::Unpack { .. } | Self::Save { .. } => {
                Interface::Artifacts
            }
            Self::OverlayWrite { .. } | Self::OverlayRemove { .. } | Self::OverlayUnpack { .. } => Interface::Overlay,
            Self::PreviousLayer { .. }
            | Self::ReuseLayer { .. }
            | Self::RestoreLayer { .. }
            | Self::CopyApp { .. }
            | Self::CreateLayer { .. }
            | Self::WriteFile { .. }
            | Self::Link { .. }
            | Self::Remove { .. } => Interface::Layers,
            Self::Message { .. } | Self::Step { .. } => Interface::Log,
        }
    }

    /// About how many bytes it takes to keep.
    fn size(&self) -> usize {
        let texts = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
        match self {
            Self::OverlayWrite { path, contents, .. } | Self::WriteFile { path, contents, .. } => {
                path.len() + contents.0.len()
            }
            Self::Find { patterns, .. }
            | Self::Digest { patterns, .. }
            | Self::ArchiveFind { patterns, .. }
            | Self::OverlayRemove { patterns, .. }
            | Self::Remove { patterns, .. }
            | Self::CopyApp { patterns, .. } => texts(patterns),
            Self::Unpack { how, .. } => [&how.keep, &how.drop, &how.executable].map(|list| texts(list)).iter().sum(),
            Self::Message { text, .. } | Self::Step { title: text } => text.len(),
            Self::Stat { path, .. }
            | Self::Read { path, .. }
            | Self::OpenArchive { path, .. }
            | Self::ArchiveRead { path, .. }
            | Self::Save { path, .. } => path.len(),
            Self::Link { path, destination, .. } => path.len() + destination.len(),
            Self::OverlayUnpack { archive, into, .. } => archive.len() + into.len(),
            Self::Setting { name, .. }
            | Self::Settings { prefix: name, .. }
            | Self::CreateLayer { name, .. }
            | Self::PreviousLayer { name, .. }
            | Self::ReuseLayer { name, .. }
            | Self::RestoreLayer { name, .. } => name.len(),
            Self::Available { id, .. } | Self::Fetch { id, .. } => id.len(),
            Self::Bindings { kind, .. } => kind.len(),
            Self::Binding { name, key, .. } => name.len() + key.len(),
            Self::Target { .. } | Self::ExecEnv { .. } | Self::Notes { .. } => 0,
        }
    }
}

/// The calls of a bench so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal {
    calls: Vec<Call>,
    bytes: usize,
    unfit: Option<Unkept>,
}

impl Journal {
    /// Adds a call, if there is room.
    fn note(&mut self, call: Call) {
        self.bytes += call.size();
        if self.calls.len() >= MAX_CALLS || self.bytes > MAX_BYTES {
            self.give_up(Unkept::TooMuch);
        } else {
            self.calls.push(call);
        }
    }

    /// From now on it is of no use for another run.
    fn give_up(&mut self, why: Unkept) {
        self.unfit = self.unfit.or(Some(why));
    }

    /// Takes the last call, if all of them are of use.
    pub(super) fn take_last(&mut self) -> Option<Call> {
        if self.unfit.is_some() { None } else { self.calls.pop() }
    }

    /// The calls, of use for another run or not.
    pub(super) fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// All calls, if they tell the whole of what the component knew.
    fn whole(self) -> Result<Vec<Call>, Unkept> {
        self.unfit.map_or(Ok(self.calls), Err)
    }
}

/// Whether an error says something about the world at this moment rather than about what was asked: the same question may
/// be answered differently next time although nothing changed that could be compared.
fn is_passing(error: &PortError) -> bool {
    match error.fault {
        Fault::Integrity | Fault::Network | Fault::Io | Fault::Cancelled => true,
        Fault::Denied | Fault::NotFound | Fault::InvalidInput | Fault::TooLarge | Fault::Unsupported => false,
    }
}

impl Workbench {
    /// Answers a question whose answer depends on more than the component: it is noted with what was said.
    pub(super) fn asking<T>(
        &self,
        work: impl FnOnce() -> Answer<T>,
        said: impl FnOnce(&T) -> Said,
        call: impl FnOnce(Said) -> Call,
    ) -> Answer<T> {
        let answer = self.judging(work);
        let said = answer.as_ref().map_or_else(Said::refusal, said);
        self.state().journal.note(call(said));
        answer
    }

    /// Does something that follows from the component's own calls: it is noted if it was done.
    pub(super) fn doing<T>(&self, call: Call, work: impl FnOnce() -> Answer<T>) -> Answer<T> {
        let answer = self.judging(work);
        if answer.is_ok() {
            self.state().journal.note(call);
        }
        answer
    }

    /// Answers what follows from the component's own calls, and gives the journal up where it does not.
    pub(super) fn judging<T>(&self, work: impl FnOnce() -> Answer<T>) -> Answer<T> {
        work().inspect_err(|error| {
            if is_passing(error) {
                self.forget(Unkept::Failure);
            }
        })
    }

    /// Notes what cannot fail.
    pub(super) fn saying(&self, call: Call) {
        self.state().journal.note(call);
    }

    /// Nothing of this call of detect or build is to be kept.
    pub(super) fn forget(&self, why: Unkept) {
        self.state().journal.give_up(why);
    }

    /// The calls so far, if they tell the whole of what the component knew.
    pub(crate) fn journal(&self) -> Result<Vec<Call>, Unkept> {
        std::mem::take(&mut self.state().journal).whole()
    }
}
