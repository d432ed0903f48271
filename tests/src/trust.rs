//! Signatures: what is signed here cosign verifies, and the other way round; and what a policy needs is needed wherever a buildpack
//! or a builder is taken from somewhere.

mod misused;

use std::{fs, process::Command};

use serde_json::Value;
use stave_model::component::embed;

use crate::support::{
    env::TestEnv,
    filters, guests,
    images::small_base,
    peers::Peers,
    process::{Outcome, run, succeeds},
    registry::Registry,
};

/// Keys for tests and nothing else, in the order private, public; the first two are those of the tests of `stave-trust`.
const ACME: (&str, &str) =
    (include_str!("../../host/trust/src/fixtures/plain.pem"), include_str!("../../host/trust/src/fixtures/plain.pub"));
const OPS: (&str, &str) =
    (include_str!("../../host/trust/src/fixtures/other.pem"), include_str!("../../host/trust/src/fixtures/other.pub"));
/// The first one behind a password, as cosign keeps it.
const SEALED: &str = include_str!("../../host/trust/src/fixtures/sealed.pem");
const PASSWORD: &str = "only for tests";

/// A buildpack's component.
fn component(version: &str) -> Vec<u8> {
    let manifest = format!(
        "contract = \"0.1\"\n[buildpack]\nid = \"acme/tool\"\nversion = \"{version}\"\n[asks]\nsettings = [\"BP_CHOOSY_A\"]\n"
    );
    embed(&guests::bare("choosy"), &manifest).unwrap()
}

/// Keys, a component, a base and an app.
fn world() -> (TestEnv, Registry) {
    let env = TestEnv::empty();
    small_base(&env);
    env.write("app/readme.txt", "an app");
    env.write("tool.wasm", component("1.0.0"));
    for (name, (private, public)) in [("acme", ACME), ("ops", OPS)] {
        env.write(&format!("keys/{name}.key"), private);
        env.write(&format!("keys/{name}.pub"), public);
    }
    let registry = Registry::start(&env);
    (env, registry)
}

/// Writes a policy with both keys and these rules; `HOST` is the registry.
fn policy(env: &TestEnv, registry: &Registry, rules: &str) {
    let keys = "[keys]\nacme = \"acme.pub\"\nops = \"ops.pub\"\n";
    env.write("keys/policy.toml", format!("{keys}{}", rules.replace("HOST", &registry.host())));
}

/// Runs something under the policy.
fn under(env: &TestEnv, arguments: &[&str]) -> Outcome {
    env.run(&[&["--policy", "keys/policy.toml"], arguments].concat())
}

/// With what keys are called taken out of snapshots too.
fn hinted(work: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter("[A-Za-z0-9+/]{43}=", "[HINT]");
    settings.bind(work);
}

fn cosign(peers: &Peers, env: &TestEnv, arguments: &[&str]) -> Command {
    let mut command = peers.command(env, "cosign");
    command.env("COSIGN_PASSWORD", PASSWORD).args(arguments);
    command
}

/// Signs with cosign and a key, in one of its formats, telling nobody else.
fn cosign_signs(peers: &Peers, env: &TestEnv, key: &str, is_new: bool, reference: &str) {
    let format = format!("--new-bundle-format={is_new}");
    let fixed = ["--use-signing-config=false", "--tlog-upload=false", "--allow-http-registry", "--yes"];
    succeeds(&mut cosign(peers, env, &[&["sign", "--key", key, &format], &fixed[..], &[reference]].concat()));
}

/// What cosign says of a signature.
fn cosign_verifies(peers: &Peers, env: &TestEnv, key: &str, reference: &str) -> Outcome {
    let fixed = ["--insecure-ignore-tlog=true", "--allow-http-registry"];
    run(&mut cosign(peers, env, &[&["verify", "--key", key], &fixed[..], &[reference]].concat()))
}

#[test]
fn cosign_verifies_what_is_signed_here() {
    let Some(peers) = Peers::cosign("cosign_verifies_what_is_signed_here") else { return };
    let (env, registry) = world();
    succeeds(&mut cosign(peers, &env, &["generate-key-pair"]));
    let key = |arguments: &[&str]| {
        let mut command = env.stave(arguments);
        run(command.env("COSIGN_PASSWORD", PASSWORD)).succeeds()
    };
    let tool = registry.reference("acme/tool:1");
    let published = key(&["buildpack", "publish", "tool.wasm", &tool, "--sign", "cosign.key"]).result().to_owned();
    env.write("builder.toml", "stack = { path = \"base\" }\n[[buildpacks]]\npath = \"tool.wasm\"\n");
    let builder = registry.reference("acme/builder:1");
    key(&["builder", "publish", "builder.toml", &builder, "--sign", "cosign.key"]);
    let later = registry.reference("later:1");
    env.run(&["buildpack", "publish", "tool.wasm", &later]).succeeds();
    assert_ne!(cosign_verifies(peers, &env, "cosign.pub", &later).code, Some(0));
    key(&["buildpack", "sign", &later, "--key", "cosign.key"]);
    // A key that nothing guards, for another signature beside the first.
    env.run(&["buildpack", "sign", &later, "--key", "keys/ops.key"]).succeeds();
    for (reference, key) in [
        (&tool, "cosign.pub"),
        (&published, "cosign.pub"),
        (&builder, "cosign.pub"),
        (&later, "cosign.pub"),
        (&later, "keys/ops.pub"),
    ] {
        let verified = cosign_verifies(peers, &env, key, reference).succeeds();
        let about: Value = serde_json::from_str(verified.stdout.trim()).unwrap();
        let digest = about[0]["critical"]["image"]["docker-manifest-digest"].as_str().unwrap();
        assert!(digest.starts_with("sha256:"), "{about}");
        if reference == &published {
            assert!(published.ends_with(digest), "{published} {digest}");
        }
    }
    // Another key signed none of it.
    assert_ne!(cosign_verifies(peers, &env, "keys/acme.pub", &later).code, Some(0));
}

#[test]
fn what_cosign_signs_is_verified_here() {
    let Some(peers) = Peers::cosign("what_cosign_signs_is_verified_here") else { return };
    let (env, registry) = world();
    succeeds(&mut cosign(peers, &env, &["generate-key-pair"]));
    let rule = "theirs = \"../cosign.pub\"\n[[trust]]\nfrom = \"HOST/*\"\nall-of = [\"theirs\"]\n";
    policy(&env, &registry, rule);
    for (name, is_new) in [("new", true), ("old", false)] {
        let reference = registry.reference(&format!("{name}:1"));
        let published = env.run(&["buildpack", "publish", "tool.wasm", &reference]).succeeds();
        under(&env, &["buildpack", "pull", &reference]).ends_with(16);
        cosign_signs(peers, &env, "cosign.key", is_new, published.result());
        let pulled = under(&env, &["buildpack", "pull", &reference, "-o", "json"]).succeeds();
        let about: Value = serde_json::from_str(&pulled.stdout).unwrap();
        assert_eq!(about["signer"], "theirs", "{name}");
        // Whoever signs with the same key again finds it done.
        let mut again = env.stave(&["buildpack", "sign", &reference, "--key", "cosign.key", "-o", "json"]);
        let again = run(again.env("COSIGN_PASSWORD", PASSWORD)).succeeds();
        let again: Value = serde_json::from_str(&again.stdout).unwrap();
        assert_eq!(again["new"], false, "{name}");
    }
    // A builder, which may be an index, in both formats.
    env.write("builder.toml", "stack = { path = \"base\" }\n[[buildpacks]]\npath = \"tool.wasm\"\n");
    let builder = registry.reference("builder:1");
    let published = env.run(&["builder", "publish", "builder.toml", &builder]).succeeds();
    under(&env, &["build", "app", "--builder", &builder]).ends_with(16);
    cosign_signs(peers, &env, "cosign.key", true, published.result());
    under(&env, &["build", "app", "--builder", &builder]).succeeds();
}

#[test]
fn what_is_not_signed_as_it_needs_to_be_is_refused() {
    let (env, registry) = world();
    let _filters = filters::bind(&env);
    policy(&env, &registry, "[[trust]]\nfrom = \"HOST/acme/*\"\nany-of = [\"acme\", \"ops\"]\n");
    let (tool, other) = (registry.reference("acme/tool:1"), registry.reference("other/tool:1"));
    for reference in [&tool, &other] {
        env.run(&["buildpack", "publish", "tool.wasm", reference]).succeeds();
    }
    env.write("stranger.key", include_str!("../../host/trust/src/fixtures/stranger.pem"));
    let refused = |reference: &str| {
        let outcome = under(&env, &["buildpack", "pull", reference, "--into", "pulled.wasm"]).ends_with(16);
        assert!(!env.work().join("pulled.wasm").exists());
        outcome.failure().to_owned()
    };
    insta::assert_snapshot!(refused(&other), @"
    error: [LOOPBACK]/other/tool:1 is refused by the policy keys/policy.toml
      no rule of the policy is about this place
    hint: a rule in [[trust]] with from = \"[LOOPBACK]/other/tool\" says whose signature is needed there, or `unsigned = true`
    ");
    insta::assert_snapshot!(refused(&tool), @"
    error: [LOOPBACK]/acme/tool@sha256:[HEX] is not signed as the policy keys/policy.toml needs it
      `[LOOPBACK]/acme/*` needs a signature of one of acme, ops
      found: no signature
    hint: whoever has the key signs it with `stave buildpack sign [LOOPBACK]/acme/tool@sha256:[HEX] --key FILE`, or with cosign
    ");
    env.run(&["buildpack", "sign", &tool, "--key", "stranger.key"]).succeeds();
    hinted(|| {
        insta::assert_snapshot!(refused(&tool), @"
        error: [LOOPBACK]/acme/tool@sha256:[HEX] is not signed as the policy keys/policy.toml needs it
          `[LOOPBACK]/acme/*` needs a signature of one of acme, ops
          found: a signature that does not count: it is made with another key ([HINT])
        hint: whoever has the key signs it with `stave buildpack sign [LOOPBACK]/acme/tool@sha256:[HEX] --key FILE`, or with cosign
        ");
    });
    // One of them is enough, and both are named.
    for (key, signers) in [("keys/ops.key", "ops"), ("keys/acme.key", "acme,ops")] {
        env.run(&["buildpack", "sign", &tool, "--key", key]).succeeds();
        env.forget_results();
        let pulled = under(&env, &["buildpack", "pull", &tool, "-o", "json"]).succeeds();
        assert_eq!(serde_json::from_str::<Value>(&pulled.stdout).unwrap()["signer"], signers);
    }
    // Each of them is needed.
    policy(&env, &registry, "[[trust]]\nfrom = \"HOST/other/*\"\nall-of = [\"acme\", \"ops\"]\n");
    env.run(&["buildpack", "sign", &other, "--key", "keys/acme.key"]).succeeds();
    insta::assert_snapshot!(refused(&other), @"
    error: [LOOPBACK]/other/tool@sha256:[HEX] is not signed as the policy keys/policy.toml needs it
      `[LOOPBACK]/other/*` needs a signature of each of acme, ops; missing: ops
      found: a signature of acme
    hint: whoever has the key signs it with `stave buildpack sign [LOOPBACK]/other/tool@sha256:[HEX] --key FILE`, or with cosign
    ");
    env.run(&["buildpack", "sign", &other, "--key", "keys/ops.key"]).succeeds();
    under(&env, &["buildpack", "pull", &other]).succeeds();
    // Nobody's is needed, and no policy asks for anybody's.
    policy(&env, &registry, "[[trust]]\nfrom = \"HOST/*\"\nunsigned = true\n");
    under(&env, &["buildpack", "pull", &tool]).succeeds();
    env.run(&["buildpack", "pull", &tool]).succeeds();
}

#[test]
fn a_signature_of_something_else_does_not_count() {
    let (env, registry) = world();
    policy(&env, &registry, "[[trust]]\nfrom = \"HOST/*\"\nany-of = [\"acme\"]\n");
    let tool = registry.reference("tool:1");
    env.run(&["buildpack", "publish", "tool.wasm", &tool, "--sign", "keys/acme.key"]).succeeds();
    under(&env, &["buildpack", "pull", &tool]).succeeds();
    // The tag moves on, and the signature stays with what it signs.
    env.write("tool.wasm", component("1.0.1"));
    let next = env.run(&["buildpack", "publish", "tool.wasm", &tool]).succeeds();
    under(&env, &["buildpack", "pull", &tool]).ends_with(16);
    under(&env, &["buildpack", "pull", next.result()]).ends_with(16);
    // Signatures of the old one under the new one's name are the old one's still.
    let digest = |reference: &str| reference.rsplit_once("sha256:").unwrap().1.to_owned();
    env.write("first.wasm", component("1.0.0"));
    let first = env.run(&["buildpack", "publish", "first.wasm", &registry.reference("tool:old")]).succeeds();
    let data = registry.repositories().join("tool/_manifests/tags");
    let (from, to) = (format!("sha256-{}", digest(first.result())), format!("sha256-{}", digest(next.result())));
    copy(&data.join(from), &data.join(to));
    let refused = under(&env, &["buildpack", "pull", &tool]).ends_with(16);
    assert!(refused.stderr.contains("found: no signature"), "{}", refused.stderr);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

#[test]
fn a_policy_is_followed_wherever_something_is_taken() {
    let (env, registry) = world();
    policy(&env, &registry, "[[trust]]\nfrom = \"HOST/*\"\nany-of = [\"acme\"]\n");
    let tool = registry.reference("tool:1");
    let pinned = env.run(&["buildpack", "publish", "tool.wasm", &tool]).succeeds().result().to_owned();
    let component =
        serde_json::from_str::<Value>(&env.run(&["buildpack", "inspect", "tool.wasm", "-o", "json"]).succeeds().stdout);
    let component = component.unwrap()["digest"].as_str().unwrap().to_owned();
    let entry = |reference: &str, more: &str| {
        format!("stack = {{ path = \"base\" }}\n[[buildpacks]]\nreference = \"{reference}\"\n{more}\n")
    };
    env.write("builder.toml", entry(&tool, ""));
    // All that is known by its digests, and here already.
    env.write("pinned.toml", entry(&pinned, &format!("digest = \"{component}\"")));
    env.run(&["build", "app", "--builder", "pinned.toml"]).succeeds();
    let builder = registry.reference("builder:1");
    env.run(&["builder", "publish", "builder.toml", &builder]).succeeds();
    env.run(&["lock", "--builder", "builder.toml"]).succeeds();
    let commands: [&[&str]; 10] = [
        &["build", "app", "--builder", "builder.toml"],
        &["build", "app", "--builder", "pinned.toml"],
        &["build", "app", "--builder", "pinned.toml", "--offline"],
        &["build", "app", "--builder", &builder],
        &["detect", "app", "--builder", "builder.toml"],
        &["builder", "create", "builder.toml"],
        &["builder", "publish", &builder, "oci:out"],
        &["build", "app", "--locked"],
        &["lock", "--builder", "builder.toml", "--lock-file", "other.lock"],
        &["lock", "update"],
    ];
    let lock = fs::read_to_string(env.work().join("stave.lock")).unwrap();
    for command in commands {
        let code = if command.contains(&"--offline") { 32 } else { 16 };
        under(&env, command).ends_with(code);
    }
    assert_eq!(fs::read_to_string(env.work().join("stave.lock")).unwrap(), lock);
    for reference in [&tool, &builder] {
        env.run(&["buildpack", "sign", reference, "--key", "keys/acme.key"]).succeeds();
    }
    for command in commands {
        // The lock does not know the signer yet, and one more is nothing to agree to.
        under(&env, command).succeeds();
    }
    assert!(fs::read_to_string(env.work().join("stave.lock")).unwrap().contains("signer = \"acme\""));
    // What was created here is its owner's to trust.
    under(&env, &["build", "app", "--builder", "builder"]).succeeds();
    // What is not from a registry or a layout needs no signature.
    env.write("local.toml", "stack = { path = \"base\" }\n[[buildpacks]]\npath = \"tool.wasm\"\n");
    under(&env, &["build", "app", "--builder", "local.toml"]).succeeds();
    // Configured, it is followed as well.
    env.write("config.toml", "policy = \"keys/policy.toml\"\n");
    env.run(&["buildpack", "publish", "tool.wasm", &registry.reference("unsigned:1")]).succeeds();
    env.write("tool.wasm", self::component("2.0.0"));
    env.run(&["buildpack", "publish", "tool.wasm", &registry.reference("unsigned:2")]).succeeds();
    env.run(&["--config", "config.toml", "buildpack", "pull", &registry.reference("unsigned:2")]).ends_with(16);
}

#[test]
fn what_was_verified_once_is_verified_without_a_network() {
    let (env, registry) = world();
    policy(&env, &registry, "[[trust]]\nfrom = \"HOST/*\"\nany-of = [\"acme\"]\n");
    let tool = registry.reference("tool:1");
    let publish = env.run(&["buildpack", "publish", "tool.wasm", &tool, "--sign", "keys/acme.key"]).succeeds();
    let pinned = publish.result().to_owned();
    under(&env, &["buildpack", "pull", &pinned]).succeeds();
    under(&env, &["buildpack", "pull", &pinned, "--offline"]).succeeds();
    // The keys of the day count, not those of yesterday.
    policy(&env, &registry, "[[trust]]\nfrom = \"HOST/*\"\nany-of = [\"ops\"]\n");
    let _filters = filters::bind(&env);
    insta::assert_snapshot!(under(&env, &["buildpack", "pull", &pinned, "--offline"]).ends_with(32).failure(), @"
    error: could not look for signatures of `[LOOPBACK]/tool@sha256:[HEX]`
    caused by: http://[LOOPBACK]/v2/tool/referrers/sha256:[HEX]?… was not asked: this run is offline
    hint: signatures that verified once are kept in the cache, and need no network again
    hint: run once without --offline, so that what is missing is fetched and kept
    ");
}

#[test]
fn a_lock_has_the_signers_and_misses_them() {
    let (env, registry) = world();
    let _filters = filters::bind(&env);
    policy(&env, &registry, "[[trust]]\nfrom = \"HOST/*\"\nany-of = [\"acme\", \"ops\"]\n");
    let tool = registry.reference("tool:1");
    env.write("builder.toml", format!("stack = {{ path = \"base\" }}\n[[buildpacks]]\nreference = \"{tool}\"\n"));
    env.run(&["buildpack", "publish", "tool.wasm", &tool, "--sign", "keys/acme.key"]).succeeds();
    under(&env, &["lock", "--builder", "builder.toml"]).succeeds();
    let lock = || fs::read_to_string(env.work().join("stave.lock")).unwrap();
    assert!(lock().contains("signer = \"acme\""), "{}", lock());
    // Held to the lock it builds, also where nobody has a policy.
    under(&env, &["build", "app", "--locked"]).succeeds();
    env.run(&["build", "app", "--locked"]).succeeds();
    // One more signature is nothing to agree to, and changes no build that is held to the lock.
    env.run(&["buildpack", "sign", &tool, "--key", "keys/ops.key"]).succeeds();
    env.forget_results();
    under(&env, &["build", "app", "--locked"]).succeeds();
    // The next version is signed by somebody else alone.
    env.write("tool.wasm", component("1.0.1"));
    env.run(&["buildpack", "publish", "tool.wasm", &tool, "--sign", "keys/ops.key"]).succeeds();
    let before = lock();
    let stopped = under(&env, &["lock", "update"]).ends_with(15);
    insta::assert_snapshot!(stopped.failure(), @"
    error: stave.lock stays as it is: an update wants more than was accepted
      acme/tool:
        it is signed by ops, and was by acme
    hint: whoever agrees runs it again with --accept acme/tool
    ");
    assert_eq!(lock(), before);
    // And where nobody verifies anything, nobody is said to have signed it.
    let stopped = env.run(&["lock", "update"]).ends_with(15);
    assert!(
        stopped.stderr.contains("it was signed by acme, and no signature of that was verified now"),
        "{}",
        stopped.stderr
    );
    under(&env, &["lock", "update", "--accept", "acme/tool"]).succeeds();
    assert!(lock().contains("signer = \"ops\""), "{}", lock());
}

#[test]
fn layouts_are_signed_and_verified_too() {
    let (env, registry) = world();
    policy(&env, &registry, "[[trust]]\nfrom = \"oci:../out*\"\nall-of = [\"acme\"]\n");
    env.run(&["buildpack", "publish", "tool.wasm", "oci:out"]).succeeds();
    under(&env, &["buildpack", "pull", "oci:out"]).ends_with(16);
    env.run(&["buildpack", "sign", "oci:out", "--key", "keys/acme.key"]).succeeds();
    let pulled = under(&env, &["buildpack", "pull", "oci:out", "-o", "json"]).succeeds();
    assert_eq!(serde_json::from_str::<Value>(&pulled.stdout).unwrap()["signer"], "acme");
    env.write("builder.toml", "stack = { path = \"base\" }\n[[buildpacks]]\nreference = \"oci:out\"\n");
    under(&env, &["builder", "publish", "builder.toml", "oci:out-builder", "--sign", "keys/acme.key"]).succeeds();
    under(&env, &["build", "app", "--builder", "oci:out-builder"]).succeeds();
    under(&env, &["buildpack", "publish", "tool.wasm", "oci:elsewhere"]).succeeds();
    under(&env, &["buildpack", "pull", "oci:elsewhere"]).ends_with(16);
}
