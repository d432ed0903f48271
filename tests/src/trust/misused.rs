//! Keys that are none or do not open, and policies that could be misread.

use super::{PASSWORD, SEALED, hinted, under, world};
use crate::support::{filters, process::run};

#[test]
fn a_key_is_asked_for_before_anything_is_sent() {
    let (env, registry) = world();
    let _filters = filters::bind(&env);
    let tool = registry.reference("tool:1");
    env.write("sealed.key", SEALED);
    let sign = |key: &str, password: Option<&str>| {
        let mut command = env.stave(&["buildpack", "publish", "tool.wasm", &tool, "--sign", key]);
        if let Some(password) = password {
            command.env("COSIGN_PASSWORD", password);
        }
        run(&mut command)
    };
    let mut shown = String::new();
    for (key, password) in
        [("none.key", None), ("keys/acme.pub", None), ("sealed.key", None), ("sealed.key", Some("wrong"))]
    {
        shown += sign(key, password).ends_with(3).failure();
    }
    insta::assert_snapshot!(shown, @"
    error: could not use the key none.key
    caused by: No such file or directory (os error 2)
    error: could not use the key keys/acme.pub
    caused by: it is not a key in PEM format
    hint: it is the private key that `cosign generate-key-pair` writes as cosign.key
    error: the key sealed.key needs its password
    hint: COSIGN_PASSWORD gives it, and where there is a terminal, it is asked for
    error: could not use the key sealed.key
    caused by: the password does not open it
    ");
    env.run(&["buildpack", "pull", &tool]).ends_with(32);
    sign("sealed.key", Some(PASSWORD)).succeeds();
    // The same key once more, and nothing is new.
    let again = sign("keys/acme.key", None).succeeds();
    let told: Vec<&str> = again.stderr.lines().filter(|line| line.contains("signed")).collect();
    hinted(|| {
        insta::assert_snapshot!(told.join("\n"), @"[LOOPBACK]/tool@sha256:[HEX] was signed already (key [HINT])");
    });
}

#[test]
fn a_policy_that_could_be_misread_is_refused() {
    let (env, registry) = world();
    let _filters = filters::bind(&env);
    let mut shown = String::new();
    for text in [
        "[keys]\nacme = \"none.pub\"\n",
        "[keys]\nacme = \"acme.key\"\n",
        "[keys]\nacme = \"acme.pub\"\nops = \"acme.pub\"\n",
        "[keys]\n\"a,b\" = \"acme.pub\"\n",
        "[[trust]]\nfrom = \"HOST/*\"\nany-of = [\"acme\"]\n",
        "[[trust]]\nfrom = \"HOST/*\"\n",
    ] {
        env.write("keys/policy.toml", text.replace("HOST", &registry.host()));
        shown += under(&env, &["buildpack", "pull", &registry.reference("tool:1")]).ends_with(3).failure();
    }
    insta::assert_snapshot!(shown, @"
    error: could not follow the policy keys/policy.toml
    caused by: could not use the key acme
    caused by: could not read keys/none.pub
    caused by: No such file or directory (os error 2)
    error: could not follow the policy keys/policy.toml
    caused by: could not use the key acme
    caused by: could not read keys/acme.key
    caused by: it is a private key: a policy needs the public one, which is for everybody to see
    error: could not follow the policy keys/policy.toml
    caused by: `acme` and `ops` are one key
    error: could not follow the policy keys/policy.toml
    caused by: `a,b` cannot be the name of a key: it has up to 64 letters, digits, `.`, `_` and `-`
    error: could not follow the policy keys/policy.toml
    caused by: the rule for `[LOOPBACK]/*` names the key `acme`, which is not in `[keys]`
    error: could not read the policy keys/policy.toml
    caused by: the policy does not follow the format of policy.toml
    caused by: TOML parse error at line 1, column 1
        |
      1 | [[trust]]
        | ^^^^^^^^^
      the rule for `[LOOPBACK]/*` needs exactly one of `any-of`, `all-of` and `unsigned = true`
    ");
}
