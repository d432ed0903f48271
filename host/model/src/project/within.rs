//! What of a descriptor applies in an execution environment (project descriptor 0.3, `exec-env`).
//!
//! What is for others is as if it were not written: a group of which nothing is left gives way to the builder's order.

use super::{Project, Reference, Setting};
use crate::id::ExecEnv;

/// Part of a descriptor that is for other execution environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// What it is, such as `the setting BP_DEBUG`.
    pub what: String,
    /// Why it is left out.
    pub reason: String,
}

impl Project {
    /// The part that is for `exec_env`, and what is not, in the order of the descriptor's sections.
    pub fn within(mut self, exec_env: &ExecEnv) -> (Self, Vec<LeftOut>) {
        let mut left_out = Vec::new();
        let mut fits = |only: &[ExecEnv], what: &dyn Fn() -> String| match exec_env.unfit(only) {
            Some(reason) => {
                left_out.push(LeftOut { what: what(), reason });
                false
            }
            None => true,
        };
        let setting = |setting: &Setting| format!("the setting {}", setting.name);
        self.settings.retain(|one| fits(&one.exec_env, &|| setting(one)));
        for group in [&mut self.group, &mut self.pre, &mut self.post] {
            group.retain(|one| fits(&one.exec_env, &|| one.title()));
        }
        (self, left_out)
    }
}

impl Reference {
    /// What it is called in messages.
    fn title(&self) -> String {
        let name = match (&self.id, &self.version) {
            (Some(id), Some(version)) => format!("{id}@{version}"),
            (Some(id), None) => id.clone(),
            (None, _) => self.uri.clone().unwrap_or_else(|| "without a name".to_owned()),
        };
        let shown: String = name.chars().take(200).collect();
        format!("the buildpack {shown}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        [_]
        schema-version = "0.3"
        [[io.buildpacks.group]]
        id = "acme/always"
        [[io.buildpacks.group]]
        id = "acme/debug"
        version = "1.0.0"
        exec-env = ["test", "development"]
        [[io.buildpacks.pre.group]]
        uri = "lint.wasm"
        exec-env = ["test"]
        [[io.buildpacks.post.group]]
        id = "acme/strip"
        exec-env = ["production"]
        [[io.buildpacks.build.env]]
        name = "BP_ALL"
        value = "1"
        exec-env = ["*"]
        [[io.buildpacks.build.env]]
        name = "BP_LEVEL"
        value = "debug"
        exec-env = ["test"]
        [[io.buildpacks.build.env]]
        name = "BP_LEVEL"
        value = "fast"
        exec-env = ["production"]
    "#;

    fn said(text: &str, exec_env: &str) -> String {
        let (project, left_out) = Project::parse(text).unwrap().within(&exec_env.parse().unwrap());
        let settings = project.settings.iter().map(|setting| format!("{}={}", setting.name, setting.value));
        let names = |group: &[Reference]| group.iter().map(Reference::title).collect::<Vec<_>>().join(", ");
        let groups = [&project.pre, &project.group, &project.post].map(|group| names(group));
        let mut lines = vec![
            format!("{exec_env}: {}", settings.collect::<Vec<_>>().join(" ")),
            groups.join(" | ").trim_end().to_owned(),
        ];
        lines.extend(left_out.iter().map(|part| format!("- {}: {}", part.what, part.reason)));
        lines.join("\n")
    }

    #[test]
    fn what_is_for_others_is_as_if_it_were_not_written() {
        let said = ["production", "test", "staging"].map(|exec_env| said(TEXT, exec_env)).join("\n");
        insta::assert_snapshot!(said, @r"
        production: BP_ALL=1 BP_LEVEL=fast
         | the buildpack acme/always | the buildpack acme/strip
        - the setting BP_LEVEL: it is for the execution environment test, and this image is for production
        - the buildpack acme/debug@1.0.0: it is for the execution environment test, development, and this image is for production
        - the buildpack lint.wasm: it is for the execution environment test, and this image is for production
        test: BP_ALL=1 BP_LEVEL=debug
        the buildpack lint.wasm | the buildpack acme/always, the buildpack acme/debug@1.0.0 |
        - the setting BP_LEVEL: it is for the execution environment production, and this image is for test
        - the buildpack acme/strip: it is for the execution environment production, and this image is for test
        staging: BP_ALL=1
         | the buildpack acme/always |
        - the setting BP_LEVEL: it is for the execution environment test, and this image is for staging
        - the setting BP_LEVEL: it is for the execution environment production, and this image is for staging
        - the buildpack acme/debug@1.0.0: it is for the execution environment test, development, and this image is for staging
        - the buildpack lint.wasm: it is for the execution environment test, and this image is for staging
        - the buildpack acme/strip: it is for the execution environment production, and this image is for staging
        ");
    }

    #[test]
    fn the_first_schema_knows_no_execution_environments() {
        let text = "[[build.env]]\nname = \"BP_A\"\nvalue = \"1\"\nexec-env = [\"test\"]\n";
        let project = Project::parse(text).unwrap();
        assert_eq!(project.unknown, ["build.env.exec-env"]);
        let (project, left_out) = project.within(&ExecEnv::default());
        assert_eq!((project.settings.len(), left_out), (1, Vec::new()));
    }

    #[test]
    fn a_name_that_is_none_is_an_error() {
        let error = Project::parse(&TEXT.replace("[\"*\"]", "[\"a/b\"]")).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("`a/b` is not a valid execution environment"), "{cause}");
    }
}
