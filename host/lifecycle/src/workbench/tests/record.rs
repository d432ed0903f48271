//! What a bench notes of what was used and denied, and which file a denial sends people to.

use stave_model::{
    digest::Digest,
    policy::{
        Policy,
        grants::{Allowance, Limit},
        record::{Denial, Withholder},
    },
};

use super::*;

#[test]
fn every_call_is_a_use_of_its_interface() {
    for (interface, name, call) in calls() {
        let bench = bench_with(&everything(), Phase::Build);
        // Whatever comes of it.
        let _ = call(&bench);
        let used = bench.record().used.interfaces;
        assert_eq!(used, [Interface::named(interface).unwrap()].into(), "{name}");
    }
    let bench = bench_with(&everything(), Phase::Build);
    bench.target();
    bench.log(crate::port::observer::Level::Info, "x");
    assert_eq!(bench.record().used.interfaces, [Interface::Context, Interface::Log].into());
}

#[test]
fn names_are_noted_that_were_asked_for_and_granted() {
    let bench = bench_with(&everything(), Phase::Build);
    for (_, _, call) in calls() {
        drop(call(&bench));
    }
    bench.setting("HOME").unwrap_err();
    bench.bindings("ca-certificates").unwrap_err();
    bench.read_binding("roots", "root.pem").unwrap_err();
    let record = bench.record();
    let used: Vec<String> = record.used.each().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(used.join("\n"), @r#"
    interfaces = ["app"]
    interfaces = ["context"]
    interfaces = ["layers"]
    interfaces = ["artifacts"]
    interfaces = ["overlay"]
    interfaces = ["bindings"]
    ecosystems = ["pypi"]
    settings = ["BP_*"]
    settings = ["BP_VERSION"]
    bindings = ["postgresql"]
    "#);
    let denied: Vec<String> = record.denied.iter().map(|denial| format!("{}: {}", denial.what, denial.by)).collect();
    insta::assert_snapshot!(denied.join("\n"), @r#"
    settings = ["HOME"]: its manifest does not ask for it
    bindings = ["ca-certificates"]: its manifest does not ask for it
    "#);
}

/// The manifest of one that declares a file of no ecosystem at this address, and asks for `hosts` besides.
fn generic(address: &str) -> Manifest {
    let address = address.replace(':', "%3A").replace('/', "%2F").replace('\\', "%5C");
    let text = format!(
        "contract = \"0.1\"\n[buildpack]\nid = \"acme/tool\"\nversion = \"1.2.3\"\n[asks]\necosystems = [\"generic\"]\n\
         [[dependencies]]\nid = \"x\"\nversion = \"1.0.0\"\nname = \"X\"\n[[dependencies.artifacts]]\n\
         purl = \"pkg:generic/x@1?download_url={address}\"\nsha256 = \"{}\"\n",
        Digest::of(b"x").hex()
    );
    Manifest::parse(&text).unwrap()
}

#[test]
fn a_file_of_no_ecosystem_comes_from_a_host_that_is_granted() {
    let (shop, _) = shop(Artifacts::of(&[b"x"]));
    let fetch = |manifest: &Manifest, hosts: &[&str]| {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let grants = Capabilities { ecosystems: ["generic".to_owned()].into(), hosts, ..everything() };
        let bench = Workbench::new(&shop, manifest, &grants, Phase::Build, tree(&[]));
        let answer = bench.fetch("x", "1.0.0");
        (answer, bench.record())
    };
    let manifest = generic("https://d.example.com/x");
    for granted in ["d.example.com", "*.example.com"] {
        let (answer, record) = fetch(&manifest, &[granted]);
        answer.unwrap();
        assert_eq!(record.used.hosts, ["d.example.com".to_owned()].into());
    }
    let (denied, record) = fetch(&manifest, &["other.example.com"]);
    let what = Excess::Host("d.example.com".to_owned());
    assert_eq!(record.denied, [Denial { what, by: Withholder::Builder }].into());
    let mut silent = manifest.clone();
    silent.asks.hosts.clear();
    let said = [
        refused(denied),
        refused(fetch(&silent, &["*.example.com"]).0),
        refused(fetch(&generic("https://d.example.com\\@evil.example.com/x"), &["*.example.com"]).0),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    Denied: could not fetch x 1.0.0 for linux/amd64 from d.example.com: acme/tool is not granted it
      hint: whoever trusts acme/tool adds hosts = ["d.example.com"] to its `grants` in the builder
    Denied: could not fetch x 1.0.0 for linux/amd64 from d.example.com: the manifest of acme/tool@1.2.3 does not ask for it
      hint: its author adds it to `asks.hosts` in buildpack.toml
    InvalidInput: could not fetch x 1.0.0 for linux/amd64: its `download_url` names no host in plain letters
    "#);
}

#[test]
fn a_denial_names_the_policy_that_withholds_it() {
    let (shop, _) = shop(Artifacts::default());
    let policy = Policy::default().ceiling(&Digest::of(b"x"), &[].into(), &"acme/tool".parse().unwrap());
    let limit = Limit { policy: "policy.toml".to_owned(), component: Digest::of(b"x"), ceiling: policy };
    let mut manifest = manifest("acme/tool@1.2.3");
    manifest.asks.settings = ["*".to_owned()].into();
    let grants = Capabilities { settings: ["SECRET".to_owned(), "BP_*".to_owned()].into(), ..everything() };
    let bench = Workbench::new(&shop, &manifest, Allowance::within(&grants, limit), Phase::Build, tree(&[]));
    assert_eq!(bench.setting("BP_VERSION").unwrap().as_deref(), Some("21"));
    let said =
        [refused(bench.setting("SECRET")), refused(bench.setting("HOME")), refused(bench.bindings("postgresql"))];
    insta::assert_snapshot!(said.join("\n"), @r#"
    Denied: could not read the setting `SECRET`: the policy policy.toml does not allow it to acme/tool
      hint: whoever trusts acme/tool adds to policy.toml:
    [[grants]]
    digest = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    settings = ["SECRET"]
    Denied: could not read the setting `HOME`: acme/tool is not granted it
      hint: whoever trusts acme/tool adds settings = ["HOME"] to its `grants` in the builder, and adds to policy.toml:
    [[grants]]
    digest = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    settings = ["HOME"]
    Denied: could not use `bindings` (read the service bindings it asks for, with their secrets): the policy policy.toml does not allow it to acme/tool
      hint: whoever trusts acme/tool adds to policy.toml:
    [[grants]]
    digest = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    interfaces = ["bindings"]
    "#);
    let by: Vec<Withholder> = bench.record().denied.into_iter().map(|denial| denial.by).collect();
    assert_eq!(by, [Withholder::Policy, Withholder::Both, Withholder::Policy]);
}
