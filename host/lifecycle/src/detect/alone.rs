//! One buildpack looks at an app by itself: for its author, who wants to know what it says and what it looked at.

use std::sync::Arc;

use stave_archive::tree::Tree;

use crate::{
    port::buildpack::{Buildpack, RunError, Verdict},
    workbench::{Look, Phase, Shop, Workbench},
};

/// What it said, and what for.
#[derive(Debug)]
pub struct Looked {
    /// Whether it takes part; it does not where its targets do not fit, and is not asked then.
    pub verdict: Result<Verdict, RunError>,
    /// What it asked, in order.
    pub looks: Vec<Look>,
}

/// Asks. Nothing is remembered, so it runs each time.
pub fn detect(shop: &Shop, buildpack: &dyn Buildpack, app: &Tree) -> Looked {
    let manifest = buildpack.manifest();
    let misfit = manifest.fits(&shop.target).err().map(|misfit| misfit.to_string());
    if let Some(reason) = misfit.or_else(|| shop.exec_env.unfit(&manifest.buildpack.exec_env)) {
        return Looked { verdict: Ok(Verdict::Skip(reason)), looks: Vec::new() };
    }
    let bench = Arc::new(Workbench::new(shop, manifest, buildpack.grants(), Phase::Detect, app.clone()));
    let verdict = bench.discreet_verdict(buildpack.detect(&bench));
    Looked { verdict, looks: bench.looks() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Artifacts, Fake, shop, told, tree};

    fn lines(looked: &Looked) -> Vec<String> {
        looked.looks.iter().map(|look| format!("{}: {:?}", look.question, look.answer)).collect()
    }

    #[test]
    fn it_says_what_it_asked_and_answered() {
        let curious = Fake::new("acme/tool@1.2.3").detects(|bench| {
            assert!(bench.stat("start").unwrap().is_some());
            assert!(bench.stat("start").unwrap().is_some(), "asked twice, told once");
            assert!(bench.read("missing.txt", 10).is_err());
            bench.setting("BP_VERSION").unwrap();
            bench.setting("HOME").unwrap_err();
            let names: Vec<String> = (0..10).map(|number| format!("{number}\u{1b}.txt")).collect();
            assert!(bench.find(&names, 5).unwrap().is_empty());
            assert_eq!(bench.bindings("PostgreSQL").unwrap().len(), 1);
            bench.read_binding("db", "password").unwrap();
            bench.stat("after").unwrap();
            Ok(Verdict::Skip("nothing to do".to_owned()))
        });
        let (shop, _) = shop(Artifacts::default());
        let looked = detect(&shop, &curious, &tree(&[("start", "#!")]));
        assert_eq!(looked.verdict.as_ref().unwrap(), &Verdict::Skip("nothing to do".to_owned()));
        insta::assert_snapshot!(lines(&looked).join("\n"), @r"
        look at `start`: There
        read `missing.txt`: Missing
        setting BP_VERSION: There
        setting HOME: Refused
        find `0\u{1b}.txt`, `1\u{1b}.txt`, `2\u{1b}.txt`, `3\u{1b}.txt`, `4\u{1b}.txt`, `5\u{1b}.txt`, `6\u{1b}.txt`, `7\u{1b}.txt`, 2 more: Missing
        bindings of type `PostgreSQL`: There
        entry `password` of binding `db`: Secret
        look at `after`: Missing
        ");
    }

    #[test]
    fn whoever_does_not_fit_is_not_asked() {
        let mut other = Fake::new("acme/tool@1.2.3").detects(|_| unreachable!("it is not asked"));
        other.manifest.buildpack.exec_env = vec!["test".parse().unwrap()];
        let (shop, _) = shop(Artifacts::default());
        let looked = detect(&shop, &other, &tree(&[]));
        let Ok(Verdict::Skip(reason)) = looked.verdict else { panic!("it was asked") };
        assert_eq!(reason, "it is for the execution environment test, and this image is for production");
        assert_eq!(looked.looks, []);
    }

    #[test]
    fn a_failure_stays_one() {
        let broken = Fake::new("acme/tool@1.2.3").detects(|_| Err(RunError::BadAnswer("no such variant".to_owned())));
        let (shop, _) = shop(Artifacts::default());
        let error = detect(&shop, &broken, &tree(&[])).verdict.unwrap_err();
        assert_eq!(told(&error), "its answer breaks the contract: no such variant");
    }
}
