//! Docker's credential helpers: programs called `docker-credential-NAME` that keep logins in a keychain.

use std::{
    ffi::OsStr,
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::Login;

/// How long a helper may take: some ask the user to unlock a keychain.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest answer, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;
/// The user that means "the secret is an identity token".
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks the helper `name`, found in an absolute folder of `path`, for the login of `host`.
pub(super) fn ask(name: &str, host: &str, path: &OsStr) -> io::Result<Option<Login>> {
    ask_within(name, host, path, PATIENCE)
}

fn ask_within(name: &str, host: &str, path: &OsStr, patience: Duration) -> io::Result<Option<Login>> {
    let shown = name.chars().take(100).flat_map(char::escape_debug).collect::<String>();
    let failed = |why: &str| io::Error::other(format!("the credential helper docker-credential-{shown} {why}"));
    let program = find(name, path).ok_or_else(|| failed("is not in PATH"))?;
    let mut child =
        Command::new(program).arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read has its reasons, and its answer counts.
        let _ = stdin.write_all(host.as_bytes());
    }
    let reading = child.stdout.take().map(|stdout| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.take(MAX_ANSWER + 1).read_to_end(&mut bytes).map(|_| bytes)
        })
    });
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > patience {
            child.kill()?;
            child.wait()?;
            return Err(failed("did not answer in time"));
        }
        thread::sleep(PAUSE);
    };
    let answer = reading.map(thread::JoinHandle::join).and_then(Result::ok).transpose()?.unwrap_or_default();
    if answer.len() as u64 > MAX_ANSWER {
        return Err(failed("answers too much"));
    }
    if !status.success() {
        // "credentials not found in native keychain" and its like: there is none.
        return Ok(None);
    }
    let answer: Answer = serde_json::from_slice(&answer).map_err(|_| failed("does not answer with a login"))?;
    Ok(match answer {
        Answer { username, secret } if username == TOKEN_USER => Some(Login::IdentityToken(secret)),
        Answer { username, secret } if !secret.is_empty() => Some(Login::Password { user: username, password: secret }),
        _ => None,
    })
}

/// Where the helper is. Folders that depend on the working directory are left out: the app that is built may hold one.
fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    let good = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let file = Some(format!("docker-credential-{name}")).filter(|_| good)?;
    let is_program =
        |path: &PathBuf| path.metadata().is_ok_and(|at| at.is_file() && at.permissions().mode() & 0o111 != 0);
    std::env::split_paths(path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(&file)).find(is_program)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::{Mutex, PoisonError},
    };

    use super::*;

    /// One helper at a time: a program that is still open for writing, in a child that another thread just forked, cannot
    /// be executed.
    static ALONE: Mutex<()> = Mutex::new(());

    fn helper(script: &str) -> (tempfile::TempDir, io::Result<Option<Login>>) {
        helper_within(script, PATIENCE)
    }

    fn helper_within(script: &str, patience: Duration) -> (tempfile::TempDir, io::Result<Option<Login>>) {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("docker-credential-test");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let login = ask_within("test", "registry.example.com", temp.path().as_os_str(), patience);
        (temp, login)
    }

    #[test]
    fn what_a_helper_answers_is_understood() {
        let password = helper(r#"read host; echo "{\"Username\":\"me\",\"Secret\":\"$host $1\"}""#).1.unwrap();
        let expected = Login::Password { user: "me".to_owned(), password: "registry.example.com get".to_owned() };
        assert_eq!(password, Some(expected));
        let token = helper(r#"echo '{"Username":"<token>","Secret":"t"}'"#).1.unwrap();
        assert_eq!(token, Some(Login::IdentityToken("t".to_owned())));
        assert_eq!(helper("echo credentials not found in native keychain; exit 1").1.unwrap(), None);
    }

    #[test]
    fn a_bad_helper_is_an_error() {
        for script in ["echo nonsense", "head -c 100000 /dev/zero; echo"] {
            assert!(helper(script).1.is_err(), "{script}");
        }
        assert!(helper_within("exec sleep 60", Duration::from_millis(500)).1.is_err());
    }

    #[test]
    fn a_helper_is_found_in_absolute_folders_only() {
        let (temp, _) = helper("exit 1");
        assert!(find("test", temp.path().as_os_str()).is_some());
        assert!(find("../test", temp.path().as_os_str()).is_none());
        assert!(find("other", temp.path().as_os_str()).is_none());
        assert!(find("test", OsStr::new(".:bin")).is_none());
    }
}
