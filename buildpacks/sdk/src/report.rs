//! What build answers: processes, labels, slices.

pub use crate::bindings::exports::stave::buildpack::construction::{Process, Report};

impl Process {
    /// A process that starts `command`: a program and the arguments that it always gets.
    pub fn new<T: Into<String>>(kind: impl Into<String>, command: impl IntoIterator<Item = T>) -> Self {
        Self {
            kind: kind.into(),
            command: command.into_iter().map(Into::into).collect(),
            args: Vec::new(),
            default: false,
            working_directory: None,
            exec_env: Vec::new(),
        }
    }

    /// Arguments that the person who starts the image can replace.
    #[must_use]
    pub fn args<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// Lets it be there in these execution environments only, such as `test`.
    #[must_use]
    pub fn only_in<T: Into<String>>(mut self, exec_env: impl IntoIterator<Item = T>) -> Self {
        self.exec_env = exec_env.into_iter().map(Into::into).collect();
        self
    }

    /// Makes it the one that starts when none is named.
    #[must_use]
    pub fn default(mut self) -> Self {
        self.default = true;
        self
    }
}

/// Nothing to say beside the layers.
impl Default for Report {
    fn default() -> Self {
        Self { processes: vec![], labels: vec![], slices: vec![], unmet: vec![], store: vec![] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_put_together() {
        let process = Process::new("web", ["java", "Main"]).args(["--port"]).only_in(["test"]).default();
        assert_eq!((process.command.len(), process.args.as_slice()), (2, ["--port".to_owned()].as_slice()));
        assert_eq!(process.exec_env, ["test"]);
        assert!(process.default && process.working_directory.is_none());
    }
}
