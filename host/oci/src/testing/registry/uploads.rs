//! Uploads as the OCI distribution spec has them ("Pushing blobs"): at once, in pieces, and gone on with after a fault.

use std::collections::BTreeMap;

use stave_model::digest::Digest;
use stave_transport::testing::{Asked, Reply};

use super::{query, refusal};

/// What a registry does with uploads that broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sessions {
    /// It keeps what has arrived and tells how much that is.
    #[default]
    Lasting,
    /// It gives up a session whose size is not the one in its address, as docker's registry does before version 3.
    Fragile,
    /// It takes whole blobs alone and refuses `PATCH`.
    Whole,
    /// It takes a blob's bytes as one stream alone, and refuses a `Content-Range`.
    Unranged,
    /// Of what broke off it keeps so many bytes at most.
    Forgetful(usize),
    /// It asks for pieces of so many bytes at least.
    Least(usize),
}

type Blobs = BTreeMap<(String, String), Vec<u8>>;

#[derive(Default)]
pub(super) struct Uploads {
    kind: Sessions,
    opened: usize,
    /// By name and number.
    open: BTreeMap<(String, String), Vec<u8>>,
}

impl Uploads {
    pub(super) fn of(kind: Sessions) -> Self {
        Self { kind, ..Self::default() }
    }

    pub(super) fn answer(&mut self, asked: &Asked, name: &str, session: &str, blobs: &mut Blobs) -> Reply {
        if session.is_empty() {
            return if asked.method == "POST" { self.begin(asked, name, blobs) } else { Reply::new(405, "") };
        }
        let key = (name.to_owned(), session.to_owned());
        let Some(held) = self.open.get(&key).map(Vec::len) else { return refusal(404, "BLOB_UPLOAD_UNKNOWN") };
        if self.kind == Sessions::Fragile && query(&asked.path, "state") != Some(held.to_string()) {
            self.open.remove(&key);
            return refusal(400, "BLOB_UPLOAD_INVALID");
        }
        if let (Sessions::Forgetful(most), "GET") = (self.kind, asked.method.as_str()) {
            self.open.entry(key.clone()).or_default().truncate(most);
        }
        match asked.method.as_str() {
            "GET" => self.state(204, &key),
            "PATCH" if self.kind == Sessions::Whole => Reply::new(405, ""),
            "PATCH" if self.kind == Sessions::Unranged && asked.header("content-range").is_some() => {
                refusal(400, "UNSUPPORTED")
            }
            "PATCH" => {
                let begins = |range: &str| range.split_once('-')?.0.parse::<usize>().ok();
                if asked.header("content-range").is_some_and(|range| begins(range) != Some(held)) {
                    return self.state(416, &key);
                }
                self.take(&key, &asked.body);
                self.state(202, &key)
            }
            "PUT" => {
                self.take(&key, &asked.body);
                if asked.is_cut { self.state(202, &key) } else { self.close(asked, key, blobs) }
            }
            _ => Reply::new(405, ""),
        }
    }

    fn begin(&mut self, asked: &Asked, name: &str, blobs: &mut Blobs) -> Reply {
        let mount = query(&asked.path, "mount").zip(query(&asked.path, "from"));
        let lent = mount.and_then(|(digest, from)| Some((blobs.get(&(from, digest.clone()))?.clone(), digest)));
        if let Some((bytes, digest)) = lent {
            blobs.insert((name.to_owned(), digest), bytes);
            return Reply::new(201, "");
        }
        // Everything at once ("Single POST").
        if let Some(digest) =
            query(&asked.path, "digest").filter(|digest| *digest == Digest::of(&asked.body).to_string())
        {
            blobs.insert((name.to_owned(), digest), asked.body.clone());
            return Reply::new(201, "");
        }
        self.opened += 1;
        let key = (name.to_owned(), self.opened.to_string());
        self.open.insert(key.clone(), Vec::new());
        match self.kind {
            Sessions::Least(size) => self.state(202, &key).header("oci-chunk-min-length", &size.to_string()),
            _ => self.state(202, &key),
        }
    }

    fn take(&mut self, key: &(String, String), bytes: &[u8]) {
        self.open.entry(key.clone()).or_default().extend_from_slice(bytes);
    }

    fn close(&mut self, asked: &Asked, key: (String, String), blobs: &mut Blobs) -> Reply {
        let digest = query(&asked.path, "digest").unwrap_or_default();
        let bytes = self.open.remove(&key).unwrap_or_default();
        if Digest::of(&bytes).to_string() != digest {
            return refusal(400, "DIGEST_INVALID");
        }
        blobs.insert((key.0, digest.clone()), bytes);
        Reply::new(201, "").header("docker-content-digest", &digest)
    }

    /// How far a session is.
    fn state(&self, status: u16, key: &(String, String)) -> Reply {
        let held = self.open.get(key).map_or(0, Vec::len);
        let location = format!("/v2/{}/blobs/uploads/{}?state={held}", key.0, key.1);
        let range = format!("0-{}", held.saturating_sub(1));
        Reply::new(status, "").header("location", &location).header("range", &range)
    }
}
