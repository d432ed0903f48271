//! `BOOT-INF/layers.idx`: which files of a Spring Boot jar change together (Spring Boot, "Layer Index").
//!
//! Each of its layers becomes a slice of the image, in the file's order: a changed class does not resend the libraries. The
//! file looks like YAML and is much less: `- "layer":` and below it `  - "path"`.

use crate::jar_manifest::is_inside;

/// The largest index that is read, in bytes.
pub(crate) const MAX_SIZE: u32 = 1024 * 1024;
/// The most layers that it may name. An image holds 127.
const MAX_LAYERS: usize = 32;
/// The most paths in all of them.
const MAX_PATHS: usize = 20_000;

/// A layer and the paths of its files and folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Its name, such as `dependencies`.
    pub(crate) name: String,
    /// Paths from the jar's root; a folder has no slash at its end.
    pub(crate) paths: Vec<String>,
}

/// What is wrong with an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// The rule that it breaks.
    pub(crate) rule: &'static str,
}

/// Reads an index.
pub(crate) fn parse(text: &str) -> Result<Vec<Layer>, Malformed> {
    let mut layers: Vec<Layer> = Vec::new();
    let mut paths = 0;
    for (number, line) in (1..).zip(text.lines()) {
        let wrong = |rule| Err(Malformed { line: number, rule });
        let line = line.trim_end();
        if let Some(name) = line.strip_prefix("- ") {
            let Some(name) = name.strip_suffix(':').map(unquoted).filter(|name| !name.is_empty()) else {
                return wrong("it is not `- \"layer\":`");
            };
            if layers.len() == MAX_LAYERS {
                return wrong("there are more than 32 layers");
            }
            layers.push(Layer { name: name.to_owned(), paths: Vec::new() });
        } else if let Some(path) = line.strip_prefix("  - ").map(unquoted) {
            let Some(layer) = layers.last_mut() else { return wrong("a path stands before the first layer") };
            paths += 1;
            if paths > MAX_PATHS {
                return wrong("there are more than 20000 paths");
            }
            if !is_inside(path) {
                return wrong("it is not a path within the jar");
            }
            layer.paths.push(path.trim_end_matches('/').to_owned());
        } else if !line.is_empty() {
            return wrong("it is neither a layer nor a path");
        }
    }
    Ok(layers)
}

/// The patterns of the slices, in order. An empty layer, as `snapshot-dependencies` mostly is, makes no slice.
pub(crate) fn slices(layers: &[Layer]) -> Vec<Vec<String>> {
    let filled = layers.iter().filter(|layer| !layer.paths.is_empty());
    filled.map(|layer| layer.paths.iter().map(|path| literal(path)).collect()).collect()
}

/// A pattern that matches `path` and nothing else.
pub(crate) fn literal(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for character in path.chars() {
        match character {
            '*' | '?' | '[' | '{' | '}' => pattern.extend(['[', character, ']']),
            other => pattern.push(other),
        }
    }
    pattern
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &str = r#"- "dependencies":
  - "BOOT-INF/lib/"
- "spring-boot-loader":
  - "org/"
- "snapshot-dependencies":
- "application":
  - "BOOT-INF/classes/"
  - "BOOT-INF/classpath.idx"
  - "META-INF/"
"#;

    #[test]
    fn reads_what_spring_boot_writes() {
        let layers = parse(USUAL).unwrap();
        let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["dependencies", "spring-boot-loader", "snapshot-dependencies", "application"]);
        assert_eq!(
            slices(&layers),
            [vec!["BOOT-INF/lib"], vec!["org"], vec!["BOOT-INF/classes", "BOOT-INF/classpath.idx", "META-INF"],]
        );
        assert_eq!(parse(&USUAL.replace('"', "").replace('\n', "\r\n")), Ok(layers), "without quotes, from Windows");
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn a_path_is_taken_literally() {
        assert_eq!(literal("a[1]/b*?{c}.jar"), "a[[]1]/b[*][?][{]c[}].jar");
    }

    #[test]
    fn says_which_line_is_wrong() {
        let layers = "- \"a\":\n".repeat(MAX_LAYERS + 1);
        let paths = format!("- \"a\":\n{}", "  - \"x\"\n".repeat(MAX_PATHS + 1));
        for (text, line, rule) in [
            ("  - \"x\"\n", 1, "a path stands before the first layer"),
            ("- \"a\"\n", 1, "it is not `- \"layer\":`"),
            ("- \"\":\n", 1, "it is not `- \"layer\":`"),
            ("- \"a\":\n  - \"../x\"\n", 2, "it is not a path within the jar"),
            ("- \"a\":\n  - \"/x\"\n", 2, "it is not a path within the jar"),
            ("- \"a\":\n  - \"\"\n", 2, "it is not a path within the jar"),
            ("- \"a\":\n\nrubbish\n", 3, "it is neither a layer nor a path"),
            (&layers, 33, "there are more than 32 layers"),
            (&paths, 20_002, "there are more than 20000 paths"),
        ] {
            assert_eq!(parse(text), Err(Malformed { line, rule }), "{line}");
        }
    }
}
