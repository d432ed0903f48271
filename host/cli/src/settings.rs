//! Settings for the buildpacks: those of `project.toml`, then those of `--env-file`, then those of `--env`; later ones win.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use stave_model::{
    id::{InvalidName, VariableName},
    project::Setting,
};

use crate::{
    config::read_capped,
    exit::{Exit, USAGE, printable},
};

/// All settings by name. `variable` looks into the environment.
pub(crate) fn settings(
    project: &[Setting],
    files: &[PathBuf],
    texts: &[String],
    variable: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, Exit> {
    let mut settings: BTreeMap<String, String> =
        project.iter().map(|one| (one.name.clone(), one.value.clone())).collect();
    for file in files {
        settings.extend(of_file(file, &variable)?);
    }
    for text in texts {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text.as_str(), variable(text)),
        };
        let checked: VariableName = name.parse().map_err(|error: InvalidName| Exit::new(USAGE, error))?;
        let Some(value) = value else {
            let message = format!("the setting {checked} has no value, and the environment has none of that name");
            return Err(Exit::new(USAGE, message).hint(format!("write -e {checked}=VALUE")));
        };
        settings.insert(checked.to_string(), value);
    }
    Ok(settings)
}

/// The settings of a file in docker's format: a line each, `NAME=VALUE` with everything after the first `=` as it stands,
/// quotes among it; `NAME` alone takes the environment's value, if it has one; lines that begin with `#` are comments.
fn of_file(file: &Path, variable: impl Fn(&str) -> Option<String>) -> Result<Vec<(String, String)>, Exit> {
    let shown = printable(&file.display().to_string());
    let text = read_capped(file).map_err(|error| {
        Exit::new(USAGE, anyhow::Error::new(error).context(format!("could not read the settings in {shown}")))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut settings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line.trim_end(), variable(line.trim_end())),
        };
        let name: VariableName = name.parse().map_err(|error: InvalidName| {
            let context = format!("could not understand line {} of {shown}", index + 1);
            Exit::new(USAGE, anyhow::Error::new(error).context(context)).hint("each line is NAME=VALUE, or NAME")
        })?;
        settings.extend(value.map(|value| (name.to_string(), value)));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn environment(name: &str) -> Option<String> {
        (name == "BP_HERE").then(|| "from the environment".to_owned())
    }

    #[test]
    fn settings_are_checked() {
        let given = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            settings(&[], &[], &texts, environment)
        };
        assert_eq!(
            given(&["BP_A=1=2", "BP_B="]).unwrap(),
            owned(&[("BP_A", "1=2"), ("BP_B", "")]).into_iter().collect()
        );
        assert_eq!(given(&["BP_A=1", "BP_A=2"]).unwrap()["BP_A"], "2");
        assert_eq!(given(&["BP_HERE"]).unwrap()["BP_HERE"], "from the environment");
        let message = |text: &str| given(&[text]).unwrap_err().render();
        insta::assert_snapshot!(message("BP_NOT_SET") + &message("A B=1"), @r"
        error: the setting BP_NOT_SET has no value, and the environment has none of that name
        hint: write -e BP_NOT_SET=VALUE
        error: `A B` is not a valid variable name: use letters, digits and `_`, not a digit first, at most 128 characters
        ");
    }

    #[test]
    fn a_file_is_read_as_docker_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.env");
        std::fs::write(&file, "\u{feff}# one\n\n  BP_A=\"1\" # no comment\nBP_B=\nBP_HERE\nBP_GONE\n #x\nBP_C= 2 \r\n")
            .unwrap();
        let read = settings(&[], std::slice::from_ref(&file), &[], environment).unwrap();
        let expected =
            [("BP_A", "\"1\" # no comment"), ("BP_B", ""), ("BP_HERE", "from the environment"), ("BP_C", " 2 ")];
        assert_eq!(read, owned(&expected).into_iter().collect());
        std::fs::write(&file, "BP_A=1\nexport BP_B=2\n").unwrap();
        let refused = |file: &Path| settings(&[], &[file.to_owned()], &[], environment).unwrap_err().render();
        let said = refused(&file) + &refused(&folder.path().join("none"));
        insta::assert_snapshot!(said.replace(&folder.path().display().to_string(), "/app"), @r"
        error: could not understand line 2 of /app/settings.env
        caused by: `export BP_B` is not a valid variable name: use letters, digits and `_`, not a digit first, at most 128 characters
        hint: each line is NAME=VALUE, or NAME
        error: could not read the settings in /app/none
        caused by: No such file or directory (os error 2)
        ");
    }

    #[test]
    fn flags_go_before_files_and_files_before_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.env");
        std::fs::write(&file, "BP_B=file\nBP_C=file\n").unwrap();
        let of_project =
            |name: &str| Setting { name: name.to_owned(), value: "project".to_owned(), exec_env: Vec::new() };
        let project = ["BP_A", "BP_B", "BP_C"].map(of_project);
        let all = settings(&project, &[file], &["BP_C=flag".to_owned()], environment).unwrap();
        assert_eq!(all, owned(&[("BP_A", "project"), ("BP_B", "file"), ("BP_C", "flag")]).into_iter().collect());
    }
}
