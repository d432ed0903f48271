//! What a repository says of its submodules: which address each has.

use std::collections::BTreeMap;

use super::{repository::Repository, run::GitError};

/// The most that is read of `.gitmodules`.
const LARGEST: u64 = 1 << 20;

/// The addresses of a commit's submodules by their paths, as they are written down there.
pub(crate) fn addresses(repository: &Repository<'_>, commit: &str) -> Result<BTreeMap<String, String>, GitError> {
    let blob = format!("{commit}:.gitmodules");
    let Ok(size) = repository.ask(&["cat-file", "-s", &blob], 64) else { return Ok(BTreeMap::new()) };
    let size = String::from_utf8_lossy(&size).trim().parse::<u64>().unwrap_or(u64::MAX);
    if size > LARGEST {
        return Err(GitError::TooMuch(format!("its .gitmodules is larger than {LARGEST} bytes")));
    }
    let wanted = r"^submodule\..*\.(path|url)$";
    match repository.ask(&["config", "--blob", &blob, "--no-includes", "--null", "--get-regexp", wanted], 2 * LARGEST) {
        Ok(text) => Ok(parse(&text)),
        // Nothing in it is a submodule.
        Err(GitError::Failed(said)) if said.is_empty() => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

/// Reads pairs of a key and a value; of several values the last one counts, as git has it.
fn parse(text: &[u8]) -> BTreeMap<String, String> {
    let mut named: BTreeMap<&str, (Option<&str>, Option<&str>)> = BTreeMap::new();
    for pair in text.split(|byte| *byte == 0) {
        let Some((key, value)) = str::from_utf8(pair).ok().and_then(|pair| pair.split_once('\n')) else { continue };
        let Some((name, field)) = key.strip_prefix("submodule.").and_then(|key| key.rsplit_once('.')) else { continue };
        let module = named.entry(name).or_default();
        match field {
            "path" => module.0 = Some(value),
            "url" => module.1 = Some(value),
            _ => {}
        }
    }
    let pair =
        |(path, url): (Option<&str>, Option<&str>)| Some((path?.trim_end_matches('/').to_owned(), url?.to_owned()));
    named.into_values().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_by_their_paths() {
        let text = b"submodule.lib.path\nvendor/lib\0submodule.lib.url\n../lib\0submodule.a.b.url\nhttps://x/y\0submodule.a.b.path\nz/\0\
            submodule.half.path\nhalf\0submodule.lib.url\n../other\0odd\0";
        let read = parse(text);
        let pairs: Vec<(&str, &str)> = read.iter().map(|(path, url)| (&**path, &**url)).collect();
        assert_eq!(pairs, [("vendor/lib", "../other"), ("z", "https://x/y")]);
    }
}
