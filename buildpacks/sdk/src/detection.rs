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

    /// It takes part in this way and no other.
    pub fn pass_as(alternative: Alternative) -> Self {
        Self::Pass(vec![alternative])
    }

    /// It takes part if `is_for_it`; else it has nothing to do here, because of `reason`: a sentence without a full stop.
    pub fn pass_if(is_for_it: bool, reason: impl Into<String>) -> Self {
        if is_for_it { Self::pass() } else { Self::skip(reason) }
    }

    /// It has nothing to do here, because of `reason`: a sentence without a full stop.
    pub fn skip(reason: impl Into<String>) -> Self {
        Self::Skip(reason.into())
    }
}

impl Alternative {
    /// Provides a name and requires it of itself: the usual way to take part and let others join.
    pub fn of(requirement: Requirement) -> Self {
        Self { provides: vec![requirement.name.clone()], requires: vec![requirement] }
    }

    /// Provides a name too.
    #[must_use]
    pub fn provides(mut self, name: impl Into<String>) -> Self {
        self.provides.push(name.into());
        self
    }

    /// Requires something too.
    #[must_use]
    pub fn requires(mut self, requirement: Requirement) -> Self {
        self.requires.push(requirement);
        self
    }
}

/// Neither provides nor requires anything.
impl Default for Alternative {
    fn default() -> Self {
        Self { provides: Vec::new(), requires: Vec::new() }
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
    fn a_verdict_is_put_together() {
        let jre = Requirement::new("jre");
        let way = Alternative::of(jre.clone()).provides("jar").requires(Requirement::new("jar"));
        assert_eq!((way.provides.as_slice(), way.requires.len()), (["jre".to_owned(), "jar".to_owned()].as_slice(), 2));
        let same = Alternative::default().provides("jre").requires(jre.clone());
        assert_eq!(Verdict::pass_as(same), Verdict::Pass(vec![Alternative::of(jre)]));
        assert_eq!(
            (Verdict::pass_if(true, "no"), Verdict::pass_if(false, "no")),
            (Verdict::pass(), Verdict::skip("no"))
        );
    }

    #[test]
    fn details_are_found_by_their_key() {
        let requirement = Requirement::new("jre").with("launch", "true").with("version", "21");
        assert_eq!((requirement.get("version"), requirement.get("build")), (Some("21"), None));
    }
}
