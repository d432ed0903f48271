//! Processes that a shell reads: those of other buildpacks (buildpack API 0.8 and older) and commands that a user gives
//! without `--` (platform spec, "launch").
//!
//! One bash reads the profiles of the layers and of the app, in the app's folder, and gives its place to another one that
//! has their exported variables and knows nothing else of them. The second one runs the command as a script, or expands
//! each of its words by itself.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

/// The shell. The first one is taken from here, the second from the `PATH` that profiles may have changed.
pub(crate) const BASH: &str = "/bin/bash";

/// Runs the first word as a script.
const SCRIPT: &str = "exec bash -c \"$@\"";
/// Expands each word as within double quotes (one that cannot be is empty, as with the CNB launcher), then runs them; what is a file takes the shell's place. It is handed on within
/// single quotes, and so has none.
const WORDS: &str = r#"_stave_words=()
for _stave_word in "$0" "$@"; do
    _stave_text=()
    eval "_stave_text=(\"$_stave_word\")"
    _stave_words+=("${_stave_text[*]}")
done
if [[ $(type -t -- "${_stave_words[0]}") == file ]]; then exec -- "${_stave_words[@]}"; fi
"${_stave_words[@]}""#;

/// What the first bash is called with, its own name left out: its script, then what that script calls `$0`, then the
/// command.
pub(crate) fn arguments(
    caller: &OsStr,
    profiles: &[PathBuf],
    directory: &Path,
    command: &OsStr,
    words: &[OsString],
) -> Vec<OsString> {
    let mut script = Vec::new();
    for profile in profiles {
        script.extend_from_slice(b"source ");
        script.extend(quoted(profile));
        script.push(b'\n');
    }
    script.extend_from_slice(b"builtin cd -- ");
    script.extend(quoted(directory));
    script.extend_from_slice(b" || exit 82\n");
    script.extend(if words.is_empty() { SCRIPT.to_owned() } else { format!("exec bash -c '{WORDS}' \"$@\"") }.bytes());
    let start = [OsStr::new("-c").to_owned(), OsString::from_vec(script), caller.to_owned(), command.to_owned()];
    start.into_iter().chain(words.iter().cloned()).collect()
}

/// A path as one word of a script, whatever its bytes.
fn quoted(path: &Path) -> Vec<u8> {
    let pieces: Vec<&[u8]> = path.as_os_str().as_bytes().split(|byte| *byte == b'\'').collect();
    [b"'", pieces.join(b"'\\''".as_slice()).as_slice(), b"'"].concat()
}

/// The app's own profile, if it has one.
pub(crate) fn app_profile(app: &Path) -> Option<PathBuf> {
    Some(app.join(".profile")).filter(|profile| profile.is_file())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_command_alone_is_a_script() {
        let arguments = arguments(
            OsStr::new("/cnb/process/web"),
            &[PathBuf::from("/layers/a/p's/profile.d/x.sh"), PathBuf::from("/app/.profile")],
            Path::new("/app"),
            OsStr::new("echo $A"),
            &[],
        );
        assert_eq!(arguments[0], "-c");
        insta::assert_snapshot!(arguments[1].to_str().unwrap(), @r#"
        source '/layers/a/p'\''s/profile.d/x.sh'
        source '/app/.profile'
        builtin cd -- '/app' || exit 82
        exec bash -c "$@"
        "#);
        assert_eq!(arguments[2..], ["/cnb/process/web", "echo $A"]);
    }

    /// What a real bash makes of words; each answer is what the words became, in brackets.
    #[test]
    fn words_are_expanded_one_by_one() {
        assert!(!WORDS.contains('\''));
        let cases: [(&[&str], &str); 12] = [
            (&["plain"], "[plain]"),
            (&["$A"], "[x  y]"),
            (&["a  b", ""], "[a  b][]"),
            (&["${A}/$B", "$NONE"], "[x  y/*][]"),
            (&["$B", "*"], "[*][*]"),
            (&["$(echo one two)"], "[one two]"),
            (&["say \"hi there\""], "[say hi there]"),
            (&[r"\$A"], "[$A]"),
            (&["it's; exit 1 & |"], "[it's; exit 1 & |]"),
            (&["-n", "--", "-e"], "[-n][--][-e]"),
            (&["two\nlines"], "[two\nlines]"),
            (&["open\"", "next"], "[][next]"),
        ];
        for (words, expected) in cases {
            let words: Vec<OsString> = ["[%s]"].iter().chain(words).map(OsString::from).collect();
            // As a builtin and as a file.
            for printf in ["printf", "/usr/bin/printf"] {
                let arguments = arguments(OsStr::new("web"), &[], Path::new("/"), OsStr::new(printf), &words);
                let output = Command::new(BASH)
                    .args(arguments)
                    .env("A", "x  y")
                    .env("B", "*")
                    .env("_stave_words", "not mine")
                    .output()
                    .unwrap();
                assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{words:?} {output:?}");
            }
        }
    }
}
