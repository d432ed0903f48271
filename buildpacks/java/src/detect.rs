//! Detect: is there a program, and what does it need.
//!
//! The names in the plan are those that Java buildpacks share: whoever builds a jar from source requires
//! `jvm-application`, whoever brings another runtime provides `jre`.

use stave_sdk::{Alternative, Failure, Requirement, Verdict, context};

use crate::{
    jar_manifest::{self, Manifest},
    messages,
    program::{self, Declined, Program},
    version::{self, Pattern, Wish},
};

/// A jar that can be started.
pub(crate) const APPLICATION: &str = "jvm-application";
/// A Java runtime. Its metadata: `launch`, `build`, `version` (a [`Pattern`]) and `version-source`.
pub(crate) const JRE: &str = "jre";
/// Which Java.
pub(crate) const VERSION_SETTING: &str = "BP_JVM_VERSION";
/// Where the jar is.
pub(crate) const LOCATION_SETTING: &str = "BP_EXECUTABLE_JAR_LOCATION";
/// The source of a wish that the jar states by what it was built with.
pub(crate) const BUILT_WITH: &str = jar_manifest::PATH;

/// Answers the host's question.
pub(crate) fn run() -> Result<Verdict, Failure> {
    match find()? {
        Ok(program) => {
            let wish = wish(context::setting(VERSION_SETTING)?.as_deref(), &program.manifest)?;
            Ok(Verdict::Pass(vec![offer(wish.as_ref())]))
        }
        Err(Declined::Skip(reason)) => Ok(Verdict::Skip(reason)),
        Err(Declined::Fail(failure)) => Err(failure),
    }
}

/// What there is to run in this app.
pub(crate) fn find() -> Result<Result<Program, Declined>, Failure> {
    let facts = program::gather(context::setting(LOCATION_SETTING)?)?;
    Ok(program::choose(&facts))
}

/// Which Java is wished for: by the user, else by the jar.
fn wish(setting: Option<&str>, manifest: &Manifest) -> Result<Option<Wish>, Failure> {
    if let Some(text) = setting {
        let pattern = Pattern::parse(text).ok_or_else(|| messages::not_a_version(VERSION_SETTING, text))?;
        return Ok(Some(Wish { pattern, source: VERSION_SETTING.to_owned() }));
    }
    let pattern = version::built_with(manifest).map(Pattern::AtLeast);
    Ok(pattern.map(|pattern| Wish { pattern, source: BUILT_WITH.to_owned() }))
}

/// The one way in which it takes part: it brings both the program and the runtime, and needs both.
fn offer(wish: Option<&Wish>) -> Alternative {
    let mut jre = Requirement::new(JRE).with("launch", "true");
    if let Some(wish) = wish {
        jre = jre.with("version", wish.pattern.to_string()).with("version-source", &wish.source);
    }
    Alternative {
        provides: vec![APPLICATION.to_owned(), JRE.to_owned()],
        requires: vec![Requirement::new(APPLICATION), jre],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_wish_comes_before_the_jars() {
        let manifest = jar_manifest::parse(b"Build-Jdk-Spec: 17\n").unwrap();
        let users = wish(Some("21"), &manifest).unwrap().unwrap();
        assert_eq!((users.pattern.to_string().as_str(), users.source.as_str()), ("21", "BP_JVM_VERSION"));
        assert_eq!(wish(None, &manifest).unwrap().unwrap().pattern, Pattern::AtLeast(17));
        assert_eq!(wish(None, &Manifest::default()), Ok(None));
        assert!(wish(Some("newest"), &manifest).is_err());
    }

    #[test]
    fn everything_provided_is_required() {
        let pattern = Pattern::AtLeast(17);
        let offer = offer(Some(&Wish { pattern, source: BUILT_WITH.to_owned() }));
        let required: Vec<&str> = offer.requires.iter().map(|requirement| requirement.name.as_str()).collect();
        assert_eq!(offer.provides, required);
        assert_eq!(offer.requires[1].get("version"), Some(">=17"));
        assert_eq!(offer.requires[1].get("launch"), Some("true"));
    }
}
