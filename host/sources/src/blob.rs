//! Archives behind a URL: whether one changed, and its files.
//!
//! An archive is known by its digest, so it is fetched whole when it is first seen, into the store. After that the server is asked
//! whether it is as before, by what it said of it (`ETag`, `Last-Modified`); one that says nothing of the kind has it fetched each
//! time that somebody looks. What kind of archive it is follows from its bytes, whatever its name.

mod unpack;

use std::{
    io::{self, Read, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};
use stave_archive::{content::Span, limits::Limits as FileLimits, tree::Tree};
use stave_lifecycle::port::{
    blobs::Blobs,
    cancel::Cancel,
    failure::{Fault as PortFault, PortError},
};
use stave_model::digest::{Digest, Hasher};
use stave_platform::{
    port::Failed,
    resource::{
        build::Fault,
        source::{Blob, FoundBlob},
    },
};
use stave_transport::{
    Client, Request,
    fault::{Error as TransportError, Kind},
    origin::shown,
    request::Authorization,
    response::Response,
    retry::{Policy, retry},
};
use url::Url;

use crate::folder;

/// The longest text by which a server knows a version that is kept.
const LONGEST_MARK: usize = 1024;

/// How much an archive may hold. Whoever made it chose its numbers; these are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Its files.
    pub files: FileLimits,
    /// Its own bytes.
    pub archive: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { files: FileLimits::default(), archive: 4 << 30 }
    }
}

/// What was seen behind a URL: enough to ask whether it is still that. It is written down by whoever looks again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Seen {
    /// Where.
    pub url: String,
    /// The archive's digest.
    pub digest: Digest,
    /// How the server calls this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Since when the server has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

impl Seen {
    /// The wish as it was found.
    pub fn found(&self, blob: &Blob) -> FoundBlob {
        FoundBlob { url: blob.url.clone(), strip_components: blob.strip_components, digest: Some(self.digest) }
    }
}

/// Looks at archives and fetches them into a store.
pub struct Archives<'a> {
    client: &'a Client,
    blobs: &'a dyn Blobs,
    scratch: &'a Path,
    limits: Limits,
}

impl<'a> Archives<'a> {
    /// Archives that are asked for by `client` and kept in `blobs`; files of compressed ones are put into `scratch`, a folder on a
    /// disk, as long as somebody reads them.
    pub fn new(client: &'a Client, blobs: &'a dyn Blobs, scratch: &'a Path) -> Self {
        Self { client, blobs, scratch, limits: Limits::default() }
    }

    /// The same with other limits.
    #[must_use]
    pub fn limited(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// What is behind the URL now; `last` is what was seen there before.
    pub fn resolve(
        &self,
        blob: &Blob,
        credentials: Option<&Authorization>,
        last: Option<&Seen>,
        cancel: &Cancel,
    ) -> Result<Seen, Failed> {
        let url = address(&blob.url)?;
        let last = last.filter(|last| last.url == blob.url);
        let fetched = self.get(&url, credentials, last, cancel)?;
        match (fetched, last) {
            (Some(Fetched { digest, etag, last_modified, .. }), _) => {
                Ok(Seen { url: blob.url.clone(), digest, etag, last_modified })
            }
            (None, Some(last)) => Ok(last.clone()),
            (None, None) => {
                Err(Failed::new(Fault::Refused, format!("{}: it says that it is as before", attempt(&url))))
            }
        }
    }

    /// The files of an archive that was found, below `sub_path`.
    pub fn fetch(
        &self,
        found: &FoundBlob,
        sub_path: Option<&str>,
        credentials: Option<&Authorization>,
        cancel: &Cancel,
    ) -> Result<Tree, Failed> {
        let folder = folder::path(sub_path)?;
        let url = address(&found.url)?;
        let kept = match &found.digest {
            Some(digest) => self.blobs.get(digest).map_err(|error| of_port(&url, error))?,
            None => None,
        };
        let archive = match kept {
            Some(archive) => archive,
            None => self.fetch_again(found, &url, credentials, cancel)?,
        };
        let unpacked = unpack::open(archive, found.strip_components, &folder, &self.limits.files, self.scratch);
        unpacked.map_err(|error| {
            let (fault, hint) = (error.fault(), error.hint());
            let failed = Failed::new(fault, format!("could not unpack {}", shown(&url))).caused_by(error);
            match hint {
                Some(hint) => failed.hint(hint),
                None => failed,
            }
        })
    }

    /// An archive that is not in the store any more. It must be the one that was found.
    fn fetch_again(
        &self,
        found: &FoundBlob,
        url: &Url,
        credentials: Option<&Authorization>,
        cancel: &Cancel,
    ) -> Result<Span, Failed> {
        let nothing = || Failed::new(Fault::Refused, format!("{}: it says that it is as before", attempt(url)));
        let fetched = self.get(url, credentials, None, cancel)?.ok_or_else(nothing)?;
        match &found.digest {
            Some(digest) if *digest != fetched.digest => {
                let rule = format!("it is another archive now, {} and not {}", fetched.digest.short(), digest.short());
                let failed = Failed::new(Fault::Refused, format!("{}: {rule}", attempt(url)));
                Err(failed.hint("the next look finds the new one; a name for each version keeps old ones at hand"))
            }
            _ => Ok(fetched.archive),
        }
    }

    /// Fetches an archive into the store, or nothing if it is what was seen there `last`.
    fn get(
        &self,
        url: &Url,
        credentials: Option<&Authorization>,
        last: Option<&Seen>,
        cancel: &Cancel,
    ) -> Result<Option<Fetched>, Failed> {
        let flag = cancel.flag();
        let mut disk = None;
        let step = |_| {
            let mut request = Request::get(url.clone()).cap(self.limits.archive);
            if let Some(credentials) = credentials {
                request = request.authorization(credentials.clone());
            }
            let marks = last.map(|last| [("if-none-match", &last.etag), ("if-modified-since", &last.last_modified)]);
            for (name, value) in marks.iter().flatten().filter_map(|(name, value)| Some((*name, value.as_ref()?))) {
                request = request.header(name, value.clone());
            }
            let response = self.client.send(request)?;
            if response.status() == 304 && last.is_some() {
                return Ok(None);
            }
            let response = response.success()?;
            if response.status() != 200 {
                return Err(response.failure());
            }
            match self.keep(url, response, cancel) {
                Ok(fetched) => Ok(Some(fetched)),
                Err(Broken::Network(error)) => Err(error),
                Err(Broken::Disk(error)) => {
                    disk = Some(error);
                    Err(TransportError::Cancelled { url: shown(url) })
                }
            }
        };
        let result = retry(self.client.clock(), &Policy::default(), &flag, step);
        match (result, disk) {
            (Ok(fetched), _) => Ok(fetched),
            (Err(_), Some(error)) => Err(of_port(url, error)),
            (Err(error), None) => Err(of_transport(url, error)),
        }
    }

    /// Puts what a server sends into the store.
    fn keep(&self, url: &Url, response: Response, cancel: &Cancel) -> Result<Fetched, Broken> {
        let mark = |name| response.header(name).filter(|text| text.len() <= LONGEST_MARK).map(str::to_owned);
        let (etag, last_modified) = (mark("etag"), mark("last-modified"));
        let broken = |error| {
            let lost = |cause: io::Error| TransportError::Broken { url: shown(url), cause: cause.into() };
            Broken::Network(TransportError::from_io(error).unwrap_or_else(lost))
        };
        let full = |error| Broken::Disk(PortError::of_io("could not keep an archive", PortFault::Io, error));
        let mut reader = response.reader().map_err(Broken::Network)?;
        let mut new = self.blobs.create().map_err(Broken::Disk)?;
        let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 128 << 10]);
        loop {
            if cancel.is_set() {
                return Err(Broken::Network(TransportError::Cancelled { url: shown(url) }));
            }
            let n = reader.read(&mut buffer).map_err(broken)?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            new.write_all(&buffer[..n]).map_err(full)?;
        }
        let digest = hasher.finish();
        let archive = new.keep(&digest).map_err(Broken::Disk)?;
        Ok(Fetched { archive, digest, etag, last_modified })
    }
}

/// An archive that was fetched, and what the server calls it.
struct Fetched {
    archive: Span,
    digest: Digest,
    etag: Option<String>,
    last_modified: Option<String>,
}

/// Which side of a fetch failed.
enum Broken {
    Network(TransportError),
    Disk(PortError),
}

/// The address of an archive, if it is one that is asked.
fn address(text: &str) -> Result<Url, Failed> {
    let refuse = |shown: &str, rule: &str, hint: &str| {
        let attempt = format!("the archive's address `{}` is refused: {rule}", shown.escape_debug());
        Failed::new(Fault::Refused, attempt).hint(hint)
    };
    let cut = || text.split(['?', '#', '@']).next().unwrap_or_default().chars().take(200).collect::<String>();
    let url: Url = text.parse().map_err(|_| refuse(&cut(), "it is no URL", "write https://host/path"))?;
    match url.scheme() {
        "https" | "http" => {}
        "file" => {
            let hint = "send a file of your own by its path, as an app that is on this machine";
            return Err(refuse(&shown(&url), "a file of this machine is not behind a URL", hint));
        }
        _ => return Err(refuse(&cut(), "https and http are spoken", "write https://host/path")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        let rule = "it holds credentials, which would be written down with every build";
        return Err(refuse(&shown(&url), rule, "put them into a secret for this host"));
    }
    Ok(url)
}

fn attempt(url: &Url) -> String {
    format!("could not fetch {}", shown(url))
}

fn of_port(url: &Url, error: PortError) -> Failed {
    let hint = error.hint.clone();
    let fault = if error.fault == PortFault::Cancelled { Fault::Interrupted } else { Fault::Transient };
    let failed = Failed::new(fault, attempt(url)).caused_by(error);
    match hint {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

fn of_transport(url: &Url, error: TransportError) -> Failed {
    let fault = match (&error, error.kind()) {
        (TransportError::Cancelled { .. }, _) => Fault::Interrupted,
        (_, Kind::Passing { .. }) => Fault::Transient,
        _ => Fault::Refused,
    };
    let hint = error.hint();
    let failed = Failed::new(fault, attempt(url)).caused_by(error);
    match hint {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

#[cfg(test)]
mod tests;
