//! `.netrc`: credentials by host, as pip, curl and git read them.

use stave_transport::request::Authorization;

use crate::machine::{Machine, Unreadable};

/// The entries of a `.netrc`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Netrc {
    entries: Vec<(Option<String>, Authorization)>,
}

impl std::fmt::Debug for Netrc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Netrc({} entries)", self.entries.len())
    }
}

impl Netrc {
    /// Reads the file that `NETRC` names, else `~/.netrc`.
    pub fn read(machine: &Machine) -> Result<Self, Unreadable> {
        let named = machine.variable("NETRC").map(Into::into);
        let Some(path) = named.or_else(|| machine.home().map(|home| home.join(".netrc"))) else {
            return Ok(Self::default());
        };
        Ok(machine.read(&path)?.map_or_else(Self::default, |text| Self::parse(&text)))
    }

    /// Reads the text. Macros are passed over; an entry without login and password counts for nothing.
    pub fn parse(text: &str) -> Self {
        let mut entries = Vec::new();
        let mut current: Option<(Option<String>, String, String)> = None;
        let mut finish = |entry: Option<(Option<String>, String, String)>| {
            if let Some((host, user, password)) =
                entry.filter(|(_, user, password)| !(user.is_empty() && password.is_empty()))
            {
                entries.push((host, Authorization::Basic { user, password }));
            }
        };
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let mut words = line.split_whitespace();
            while let Some(word) = words.next() {
                match word {
                    "machine" => {
                        finish(current.take());
                        current =
                            words.next().map(|host| (Some(host.to_ascii_lowercase()), String::new(), String::new()));
                    }
                    "default" => {
                        finish(current.take());
                        current = Some((None, String::new(), String::new()));
                    }
                    "macdef" => {
                        // A macro ends at the next empty line.
                        while lines.next().is_some_and(|line| !line.trim().is_empty()) {}
                        break;
                    }
                    "login" | "password" | "account" => {
                        let value = words.next().unwrap_or_default().trim_matches('"').to_owned();
                        match (&mut current, word) {
                            (Some((_, user, _)), "login") => *user = value,
                            (Some((_, _, password)), "password") => *password = value,
                            _ => {}
                        }
                    }
                    word if word.starts_with('#') => break,
                    _ => {}
                }
            }
        }
        finish(current);
        Self { entries }
    }

    /// The credentials for `host`: its own entry, else the default one.
    pub fn find(&self, host: &str) -> Option<&Authorization> {
        let entry = |wanted: Option<&str>| self.entries.iter().find(|(name, _)| name.as_deref() == wanted);
        entry(Some(&host.to_ascii_lowercase())).or_else(|| entry(None)).map(|(_, authorization)| authorization)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_credentials_by_host() {
        let netrc = Netrc::parse(
            "# mine\nmachine A.example.com login me password one # x\nmachine b.example.com\n  login you\n  password \"two\"\n\
             macdef init\ncd /\nmachine c.example.com login no password no\n\nmachine empty.example.com\ndefault login any password three\n",
        );
        let password = |host: &str| match netrc.find(host) {
            Some(Authorization::Basic { user, password }) => format!("{user}:{password}"),
            _ => String::new(),
        };
        assert_eq!(password("a.example.com"), "me:one");
        assert_eq!(password("b.example.com"), "you:two");
        assert_eq!(password("c.example.com"), "any:three");
        assert_eq!(Netrc::parse("machine a login").find("a"), None);
        assert_eq!(format!("{netrc:?}"), "Netrc(3 entries)");
    }
}
