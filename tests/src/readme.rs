//! What the documentation tells people to type can be typed.

use std::{collections::BTreeSet, fs, path::Path};

use crate::support::{env::TestEnv, process::root};

/// The fenced blocks of a language, in order.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == format!("```{language}") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
            found.push(block.join("\n"));
        }
    }
    found
}

/// The arguments of each `stave` that a block tells people to run.
fn commands(block: &str) -> Vec<Vec<String>> {
    let joined = block.replace("\\\n", " ");
    let lines = joined.lines().map(|line| line.trim().trim_start_matches("$ "));
    let staves =
        lines.filter_map(|line| line.strip_prefix("stave ").or_else(|| line.strip_prefix("./target/debug/stave ")));
    staves.map(arguments).collect()
}

/// The words up to a comment, a pipe or a redirection; quotes around a word are taken off.
fn arguments(line: &str) -> Vec<String> {
    let words = line
        .split_whitespace()
        .take_while(|word| !matches!(*word, "|" | ">" | "&&" | "||" | ";") && !word.starts_with('#'));
    words.map(|word| word.trim_matches(['"', '\'']).to_owned()).collect()
}

fn readmes(folder: &Path, found: &mut BTreeSet<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if name == "README.md" {
            found.insert(path);
        } else if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            readmes(&path, found);
        }
    }
}

#[test]
fn the_first_two_blocks_are_the_two_commands() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = blocks(&readme, "sh");
    assert_eq!(blocks.iter().take(2).collect::<Vec<_>>(), ["cargo demo", "cargo verify"]);
}

#[test]
fn every_documented_command_is_one() {
    let env = TestEnv::empty();
    let mut files = BTreeSet::new();
    readmes(&root(), &mut files);
    let mut count = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for command in blocks(&text, "sh").iter().flat_map(|block| commands(block)) {
            // Asking for help at the end has all that stands before it read, and nothing done.
            let mut words: Vec<&str> = command.iter().map(String::as_str).collect();
            words.push("--help");
            let outcome = env.run(&words);
            assert_eq!(outcome.code, Some(0), "{}: stave {}\n{}", file.display(), command.join(" "), outcome.stderr);
            count += 1;
        }
    }
    assert!(count > 0, "no README shows a command");
}

#[test]
fn commands_are_found_in_blocks() {
    let text = "a\n```sh\n$ stave build . \\\n  -t 'x' # now\nls\nstave images | head\n```\n```toml\nstave no\n```\n";
    let found: Vec<String> =
        blocks(text, "sh").iter().flat_map(|block| commands(block)).map(|words| words.join(" ")).collect();
    assert_eq!(found, ["build . -t x", "images"]);
}
