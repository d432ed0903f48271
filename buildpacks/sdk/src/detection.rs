//! What detect answers, and the entries of the build plan.

pub use crate::bindings::{
    exports::stave::buildpack::detection::{Alternative, Verdict},
    stave::buildpack::types::Requirement,
};

impl Verdict {
    /// It takes part, and neither provides nor requires anything.
    pub fn pass() -> Self {
        Self::Pass(Vec::new())
    }

    /// It has nothing to do here, because of `reason`: a sentence without a full stop.
    pub fn skip(reason: impl Into<String>) -> Self {
        Self::Skip(reason.into())
    }
}

impl Requirement {
    /// A need for `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), metadata: Vec::new() }
    }

    /// Adds a detail for whoever provides it.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// A detail.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_found_by_their_key() {
        let requirement = Requirement::new("jre").with("launch", "true").with("version", "21");
        assert_eq!((requirement.get("version"), requirement.get("build")), (Some("21"), None));
    }
}
