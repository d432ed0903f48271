//! For which execution environment an image was built, and where it says so (platform specification 0.15, `CNB_EXEC_ENV`).
//!
//! An image for production whose processes are all for every execution environment says nothing, which means the same to all
//! readers; so it can keep the platform API that more tools know. Others name their execution environment in a label, as the
//! lifecycle does. One that is not for production has it in its environment too, because a launcher that is told nothing
//! takes production for granted, and would not start what was made for a test. Who starts the image can name another there.

use serde_json::Value;

use crate::{
    id::ExecEnv,
    launch::{DEFAULT_EXEC_ENV, Process},
};

/// The platform API of an image that says for which execution environment it is. Others keep the older one.
pub const PLATFORM_API_EXEC_ENV: &str = "0.15";
/// The label that says for which execution environment the image was built.
pub const EXEC_ENV_LABEL: &str = "io.buildpacks.exec-env";
/// The variable that tells the launcher, and the app, in which execution environment they are.
pub const EXEC_ENV_VARIABLE: &str = "CNB_EXEC_ENV";

/// What an image with these processes says: its execution environment, or nothing.
pub fn to_say<'a>(exec_env: &ExecEnv, processes: impl IntoIterator<Item = &'a Process>) -> Option<ExecEnv> {
    let is_usual = exec_env.as_str() == DEFAULT_EXEC_ENV;
    let depends = processes.into_iter().any(|process| !process.exec_env.is_empty());
    (!is_usual || depends).then(|| exec_env.clone())
}

/// The value of [`EXEC_ENV_VARIABLE`] in an image that says this.
pub(super) fn variable(said: Option<&ExecEnv>) -> Option<&ExecEnv> {
    said.filter(|exec_env| exec_env.as_str() != DEFAULT_EXEC_ENV)
}

/// What an image's label says; nothing where there is none or it holds no name, which is production.
pub fn said_by(config: &[u8]) -> Option<ExecEnv> {
    let config: Value = serde_json::from_slice(config).ok()?;
    config.get("config")?.get("Labels")?.get(EXEC_ENV_LABEL)?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn process(exec_env: &[&str]) -> Process {
        Process {
            kind: "web".parse().unwrap(),
            command: vec!["run".to_owned()],
            args: Vec::new(),
            direct: true,
            default: true,
            working_directory: None,
            exec_env: exec_env.iter().map(|name| (*name).to_owned()).collect(),
            buildpack: "acme/tool".parse().unwrap(),
        }
    }

    #[test]
    fn an_image_says_what_its_reader_could_not_guess() {
        // (execution environment, those of its processes, what is said, the variable)
        let cases: [(&str, &[&[&str]], &str, &str); 5] = [
            ("production", &[&[], &[]], "-", "-"),
            ("production", &[&[], &["test"]], "production", "-"),
            ("production", &[&["*"]], "production", "-"),
            ("test", &[], "test", "test"),
            ("test", &[&["test"]], "test", "test"),
        ];
        for (exec_env, processes, said, variable) in cases {
            let processes: Vec<Process> = processes.iter().map(|only| process(only)).collect();
            let found = to_say(&exec_env.parse().unwrap(), &processes);
            let text = |found: Option<&ExecEnv>| found.map_or("-", ExecEnv::as_str).to_owned();
            let both = (text(found.as_ref()), text(super::variable(found.as_ref())));
            assert_eq!(both, (said.to_owned(), variable.to_owned()), "{exec_env}");
        }
    }

    #[test]
    fn the_label_is_read_where_it_holds_a_name() {
        for (label, exec_env) in [(json!("test"), Some("test")), (json!("a/b"), None), (json!(1), None)] {
            let config = json!({ "config": { "Labels": { EXEC_ENV_LABEL: label } } });
            assert_eq!(said_by(config.to_string().as_bytes()).as_ref().map(ExecEnv::as_str), exec_env);
        }
        assert_eq!((said_by(b"{}"), said_by(b"")), (None, None));
    }
}
