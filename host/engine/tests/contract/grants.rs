//! The capability matrix by grants: every list that a builder or a policy can grant from (interfaces, ecosystems of packages, hosts,
//! settings, service bindings and so their secrets), allowed and denied, in every version of the contract: before a component
//! runs, and at the call that needs it.

use std::collections::{BTreeMap, BTreeSet};

use stave_engine::{Engine, Limits, admission::ALWAYS};
use stave_lifecycle::workbench::Phase;
use stave_model::{
    capability::{Capabilities, Excess},
    digest::Digest,
    manifest::CONTRACTS,
    policy::grants::{Allowance, Ceiling, Limit},
};

use crate::{
    matrix::{all, caller, listed, load, same_in_all, told},
    support::guest,
};

/// A call that needs something of a list, and takes all of it away.
type Row = (&'static str, &'static str, fn(&mut Capabilities));

/// A row for each list of [`Capabilities`].
const ROWS: [Row; 5] = [
    ("interfaces", "layers.create", |grants| grants.interfaces = ALWAYS.into()),
    ("ecosystems", "artifacts.fetch", |grants| grants.ecosystems.clear()),
    ("hosts", "artifacts.fetch hosted", |grants| grants.hosts.clear()),
    ("settings", "context.setting", |grants| grants.settings.clear()),
    ("bindings", "bindings.find", |grants| grants.bindings.clear()),
];

/// `grants` without one of the lists.
fn less(grants: &Capabilities, take: fn(&mut Capabilities)) -> Capabilities {
    let mut grants = grants.clone();
    take(&mut grants);
    grants
}

#[test]
fn no_list_is_forgotten() {
    for contract in CONTRACTS {
        let all = all(contract);
        // Whoever adds a list to the model is told by the compiler to add its row.
        let Capabilities { interfaces, ecosystems, settings, bindings, hosts } = &all;
        let names = [ecosystems, settings, bindings, hosts];
        assert!(!interfaces.is_empty() && names.iter().all(|names| !names.is_empty()), "{all:?}");
        assert_eq!(ROWS.len(), names.len() + 1);
        for (list, _, take) in ROWS {
            let lists: BTreeSet<&str> = less(&all, take).each().iter().map(Excess::key).collect();
            let others = ROWS.map(|(list, ..)| list).into_iter().filter(|other| *other != list || list == "interfaces");
            assert_eq!(lists, others.collect::<BTreeSet<_>>());
        }
    }
}

#[test]
fn a_call_is_answered_with_its_grant_and_denied_without_it() {
    let answers = same_in_all(|contract| {
        let (loaded, all) = (load(contract), all(contract));
        let mut answers = BTreeMap::new();
        for (list, call, take) in ROWS {
            answers.insert(format!("{list}, granted"), told(loaded, Phase::Build, &all, call));
            answers.insert(format!("{list}, not granted"), told(loaded, Phase::Build, &less(&all, take), call));
        }
        answers
    });
    insta::assert_snapshot!(listed(&answers), @r#"
    bindings, granted: allowed: 1
    bindings, not granted: Fault::Denied: could not look for bindings of the type `greeting`: stave-tests/caller is not granted it
    hint: whoever trusts stave-tests/caller adds bindings = ["greeting"] to its `grants` in the builder
    ecosystems, granted: allowed: ()
    ecosystems, not granted: Fault::Denied: could not fetch tool 1.0.0 for linux/amd64 from pypi: stave-tests/caller is not granted it
    hint: whoever trusts stave-tests/caller adds ecosystems = ["pypi"] to its `grants` in the builder
    hosts, granted: allowed: ()
    hosts, not granted: Fault::Denied: could not fetch hosted 1.0.0 for linux/amd64 from tools.example.com: stave-tests/caller is not granted it
    hint: whoever trusts stave-tests/caller adds hosts = ["tools.example.com"] to its `grants` in the builder
    interfaces, granted: allowed: ()
    interfaces, not granted: Fault::Denied: could not use `layers` (add layers to the image): stave-tests/caller is not granted it
    hint: whoever trusts stave-tests/caller adds interfaces = ["layers"] to its `grants` in the builder
    settings, granted: allowed: Some("set")
    settings, not granted: Fault::Denied: could not read the setting `BP_ONE`: stave-tests/caller is not granted it
    hint: whoever trusts stave-tests/caller adds settings = ["BP_ONE"] to its `grants` in the builder
    "#);
}

#[test]
fn a_component_runs_with_its_grants_and_is_refused_without_one() {
    let refusals = same_in_all(|contract| {
        let engine = Engine::new(Limits::default(), None).unwrap();
        let (wasm, all) = (guest(caller(contract)), all(contract));
        assert!(engine.load(&wasm, None, &all).is_ok());
        let refused = |allowed: Allowance| {
            let error = engine.load(&wasm, None, allowed).expect_err("it was loaded");
            let hint = error.hint().unwrap_or_default().replace(&Digest::of(&wasm).hex(), "DIGEST");
            format!("{error}\nhint: {hint}").replace("caller-next", "caller").replace(", \"sbom\"", "")
        };
        let mut refusals = BTreeMap::new();
        for (list, _, take) in ROWS {
            let less = less(&all, take);
            refusals.insert(format!("{list}, not granted"), refused(Allowance::from(&less)));
            let ceiling = Ceiling { allows: less, entries: Vec::new() };
            let limit = Limit { policy: "policy.toml".to_owned(), component: Digest::of(&wasm), ceiling };
            refusals.insert(format!("{list}, withheld by a policy"), refused(Allowance::within(&all, limit)));
        }
        refusals
    });
    insta::assert_snapshot!(listed(&refusals), @r#"
    bindings, not granted: stave-tests/caller@0.1.0 asks for what it is not granted: bindings = ["greeting"]
    hint: whoever trusts it adds bindings = ["greeting"] to its `grants` in the builder
    bindings, withheld by a policy: stave-tests/caller@0.1.0 asks for what the policy policy.toml does not allow it: bindings = ["greeting"]
    hint: whoever trusts it adds to policy.toml:
    [[grants]]
    digest = "sha256:DIGEST"
    bindings = ["greeting"]
    ecosystems, not granted: stave-tests/caller@0.1.0 asks for what it is not granted: ecosystems = ["generic", "pypi"]
    hint: whoever trusts it adds ecosystems = ["generic", "pypi"] to its `grants` in the builder
    ecosystems, withheld by a policy: stave-tests/caller@0.1.0 asks for what the policy policy.toml does not allow it: ecosystems = ["generic", "pypi"]
    hint: whoever trusts it adds to policy.toml:
    [[grants]]
    digest = "sha256:DIGEST"
    ecosystems = ["generic", "pypi"]
    hosts, not granted: stave-tests/caller@0.1.0 asks for what it is not granted: hosts = ["tools.example.com"]
    hint: whoever trusts it adds hosts = ["tools.example.com"] to its `grants` in the builder
    hosts, withheld by a policy: stave-tests/caller@0.1.0 asks for what the policy policy.toml does not allow it: hosts = ["tools.example.com"]
    hint: whoever trusts it adds to policy.toml:
    [[grants]]
    digest = "sha256:DIGEST"
    hosts = ["tools.example.com"]
    interfaces, not granted: stave-tests/caller@0.1.0 asks for what it is not granted: interfaces = ["layers", "artifacts", "overlay", "bindings"]
    hint: whoever trusts it adds interfaces = ["layers", "artifacts", "overlay", "bindings"] to its `grants` in the builder
    interfaces, withheld by a policy: stave-tests/caller@0.1.0 asks for what the policy policy.toml does not allow it: interfaces = ["layers", "artifacts", "overlay", "bindings"]
    hint: whoever trusts it adds to policy.toml:
    [[grants]]
    digest = "sha256:DIGEST"
    interfaces = ["layers", "artifacts", "overlay", "bindings"]
    settings, not granted: stave-tests/caller@0.1.0 asks for what it is not granted: settings = ["BP_MANY_*", "BP_ONE"]
    hint: whoever trusts it adds settings = ["BP_MANY_*", "BP_ONE"] to its `grants` in the builder
    settings, withheld by a policy: stave-tests/caller@0.1.0 asks for what the policy policy.toml does not allow it: settings = ["BP_MANY_*", "BP_ONE"]
    hint: whoever trusts it adds to policy.toml:
    [[grants]]
    digest = "sha256:DIGEST"
    settings = ["BP_MANY_*", "BP_ONE"]
    "#);
}
