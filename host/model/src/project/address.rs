//! Addresses of sources as everybody may see them.
//!
//! A repository that was cloned with a password has it in its address, and so has what is copied from there into a descriptor.
//! A label, a provenance and a report are for everybody (CVE-2023-26054 is what came of not looking).

use std::borrow::Cow;

/// The address without what somebody logs in with. Nothing stands before the host but the name of who connects by SSH, which is
/// the same for everybody (`git@`); a query, where tokens stand, is left out.
pub fn without_login(address: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = address.split_once("://") else { return of_scp(address) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (path, fragment) = path.find('#').map_or((path, ""), |at| path.split_at(at));
    let bare = path.split('?').next().unwrap_or_default();
    // A password may hold an `@` itself.
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
    let name =
        if scheme.to_ascii_lowercase().ends_with("ssh") { user.split(':').next().unwrap_or_default() } else { "" };
    if user == name && path == bare {
        return Cow::Borrowed(address);
    }
    let at = if name.is_empty() { "" } else { "@" };
    Cow::Owned(format!("{scheme}://{name}{at}{host}{bare}{fragment}"))
}

/// An address without a scheme. `git@host:path` stays; a password, which no tool takes there and people write all the same, goes.
fn of_scp(address: &str) -> Cow<'_, str> {
    match address.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => {
            Cow::Owned(format!("{}@{host}", user.split(':').next().unwrap_or_default()))
        }
        _ => Cow::Borrowed(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T2.
    #[test]
    fn nobody_learns_how_somebody_logs_in() {
        for (address, shown) in [
            ("https://git.example.com/app", "https://git.example.com/app"),
            ("https://me:hunter22@git.example.com/app", "https://git.example.com/app"),
            ("https://hunter22@git.example.com:8443/app#x", "https://git.example.com:8443/app#x"),
            ("https://me:hunter@22@git.example.com", "https://git.example.com"),
            ("HTTPS://me:hunter22@git.example.com?hunter22", "HTTPS://git.example.com"),
            ("https://git.example.com/app?ref=main&token=hunter22#x", "https://git.example.com/app#x"),
            ("https:/me:hunter22@git.example.com/app", "https@git.example.com/app"),
            ("ssh://git@git.example.com/app", "ssh://git@git.example.com/app"),
            ("git+ssh://git:hunter22@git.example.com/app", "git+ssh://git@git.example.com/app"),
            ("git@git.example.com:acme/app.git", "git@git.example.com:acme/app.git"),
            ("me:hunter22@git.example.com:app", "me@git.example.com:app"),
            ("https://git.example.com/@scope/app", "https://git.example.com/@scope/app"),
            ("svn://me:hunter22@svn.example.com/x", "svn://svn.example.com/x"),
            ("not an address", "not an address"),
            ("", ""),
        ] {
            assert_eq!(without_login(address), shown, "{address}");
        }
    }
}
