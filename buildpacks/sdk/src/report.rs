//! What build answers: processes, labels, slices.

pub use crate::bindings::exports::stave::buildpack::construction::{Process, Report};

impl Process {
    /// The process `web`, which starts when none is named.
    pub fn web<T: Into<String>>(command: impl IntoIterator<Item = T>) -> Self {
        Self::new("web", command).default()
    }

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

impl Report {
    /// One process, `web`, which starts when none is named.
    pub fn web<T: Into<String>>(command: impl IntoIterator<Item = T>) -> Self {
        Self::default().process(Process::web(command))
    }

    /// Adds a process.
    #[must_use]
    pub fn process(mut self, process: Process) -> Self {
        self.processes.push(process);
        self
    }

    /// Adds a label of the image.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((key.into(), value.into()));
        self
    }

    /// Adds a slice: what these patterns match is a layer of its own.
    #[must_use]
    pub fn slice<T: Into<String>>(mut self, patterns: impl IntoIterator<Item = T>) -> Self {
        self.slices.push(patterns.into_iter().map(Into::into).collect());
        self
    }

    /// Leaves a requirement to the next buildpack that provides it.
    #[must_use]
    pub fn unmet(mut self, name: impl Into<String>) -> Self {
        self.unmet.push(name.into());
        self
    }

    /// Adds a note for this buildpack's next build of the same image ([`context::notes`](crate::context::notes)).
    #[must_use]
    pub fn note(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.store.push((name.into(), value.into()));
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
    fn a_report_is_put_together() {
        let report = Report::web(["./run"]).label("a", "b").slice(["lib/*"]).unmet("jre").note("c", "d");
        assert!(report.processes[0].default && report.processes[0].kind == "web");
        assert_eq!((report.labels.len(), report.slices[0].as_slice()), (1, ["lib/*".to_owned()].as_slice()));
        assert_eq!((report.unmet, report.store), (vec!["jre".to_owned()], vec![("c".to_owned(), "d".to_owned())]));
    }

    #[test]
    fn a_process_is_put_together() {
        let process = Process::new("web", ["java", "Main"]).args(["--port"]).only_in(["test"]).default();
        assert_eq!((process.command.len(), process.args.as_slice()), (2, ["--port".to_owned()].as_slice()));
        assert_eq!(process.exec_env, ["test"]);
        assert!(process.default && process.working_directory.is_none());
    }
}
