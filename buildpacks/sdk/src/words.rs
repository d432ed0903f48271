//! A text split into words as a shell would, where no shell is: commands and lists in files and settings.

use std::collections::BTreeSet;

/// What a text is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Words {
    /// The words, their quotes taken away.
    pub words: Vec<String>,
    /// What a shell would have obeyed, and here is text: `$`, `|`, `*` and the like outside the quotes that make them text.
    pub special: BTreeSet<char>,
}

/// A quote that is never closed, or a backslash with nothing after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclosed(pub char);

/// Splits `text` at white space outside of quotes. `'…'` is text as it is, in `"…"` a backslash makes `"`, `\`, `$` and
/// `` ` `` text, and outside of both it makes every character text (POSIX, "Quoting").
pub fn split(text: &str) -> Result<Words, Unclosed> {
    let mut found = Words::default();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => found.words.extend(word.take()),
            '\'' => single_quoted(&mut chars, word.get_or_insert_default())?,
            '"' => double_quoted(&mut chars, word.get_or_insert_default(), &mut found.special)?,
            '\\' => word.get_or_insert_default().push(chars.next().ok_or(Unclosed('\\'))?),
            c => {
                let is_special = "$`|&;<>()*?[".contains(c) || c == '~' && word.is_none();
                found.special.extend(Some(c).filter(|_| is_special));
                word.get_or_insert_default().push(c);
            }
        }
    }
    found.words.extend(word);
    Ok(found)
}

fn single_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), Unclosed> {
    loop {
        match chars.next().ok_or(Unclosed('\''))? {
            '\'' => return Ok(()),
            c => word.push(c),
        }
    }
}

fn double_quoted(
    chars: &mut std::str::Chars<'_>,
    word: &mut String,
    special: &mut BTreeSet<char>,
) -> Result<(), Unclosed> {
    loop {
        match chars.next().ok_or(Unclosed('"'))? {
            '"' => return Ok(()),
            '\\' => {
                let next = chars.next().ok_or(Unclosed('"'))?;
                if !"\"\\$`".contains(next) {
                    word.push('\\');
                }
                word.push(next);
            }
            c => {
                special.extend(Some(c).filter(|c| "$`".contains(*c)));
                word.push(c);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_a_shell_makes_of_them() {
        let cases: [(&str, &[&str]); 14] = [
            ("", &[]),
            (" \t ", &[]),
            ("java -jar app.jar", &["java", "-jar", "app.jar"]),
            ("  a   b\tc  ", &["a", "b", "c"]),
            ("'a b' c", &["a b", "c"]),
            ("\"a b\" c", &["a b", "c"]),
            ("a'b'\"c\"d", &["abcd"]),
            ("'' \"\"", &["", ""]),
            (r"a\ b \'c", &["a b", "'c"]),
            (r#""say \"hi\" \n \\ \$x""#, &[r#"say "hi" \n \ $x"#]),
            (r"'a\b'", &[r"a\b"]),
            ("'it'\\''s'", &["it's"]),
            ("key='a b' other=\"c\"", &["key=a b", "other=c"]),
            ("é 'ü ö'", &["é", "ü ö"]),
        ];
        for (text, words) in cases {
            assert_eq!(split(text).unwrap().words, words, "{text}");
        }
    }

    #[test]
    fn what_only_a_shell_obeys_is_named() {
        for (text, special) in [
            ("plain --a=b c:d %s # @x !y {z}", ""),
            ("$PORT \"$PORT\"", "$"),
            ("'$PORT' \\$PORT \"\\$PORT\"", ""),
            ("a && b | c > d < e; (f)", "&()|;><"),
            ("*.jar [ab] x?", "*[?"),
            ("'*' \"*\" \\*", ""),
            ("~/x a~b", "~"),
            ("`id` \"`id`\"", "`"),
        ] {
            assert_eq!(split(text).unwrap().special, special.chars().collect(), "{text}");
        }
    }

    #[test]
    fn quotes_that_stay_open_are_named() {
        for (text, quote) in [("'a", '\''), ("\"a", '"'), ("a\\", '\\'), ("\"a\\", '"'), ("a 'b' \"c", '"')] {
            assert_eq!(split(text), Err(Unclosed(quote)), "{text}");
        }
    }
}
