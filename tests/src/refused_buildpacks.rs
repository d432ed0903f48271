//! Buildpacks and builders that are wrong: a clear error, a documented exit code, and nothing half-written.

use stave_model::component::embed;

use crate::{
    refusals::refuse,
    support::{
        env::TestEnv,
        filters,
        guests::{self, guest, manifest},
    },
};

/// Builds with a builder of one file.
#[track_caller]
fn refuse_buildpack(env: &TestEnv, bytes: &[u8], code: i32) -> String {
    let mut arguments = guests::builder(env, bytes).to_vec();
    arguments.extend(["--to", "oci:out"]);
    refuse(env, &arguments, code)
}

#[test]
fn not_a_component() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    insta::assert_snapshot!(refuse_buildpack(&env, b"#!/bin/sh\necho hello\n", 13), @"
    error: could not load the buildpack buildpack.wasm
    caused by: this is no buildpack
    caused by: it is not WebAssembly
    ");
    insta::assert_snapshot!(refuse_buildpack(&env, &wat::parse_str("(module)").unwrap(), 13), @"
    error: could not load the buildpack buildpack.wasm
    caused by: this is no buildpack
    caused by: it is a core WebAssembly module, not a component
    ");
    insta::assert_snapshot!(refuse_buildpack(&env, &wat::parse_str("(component)").unwrap(), 13), @"
    error: could not load the buildpack buildpack.wasm
    caused by: this is no buildpack
    caused by: it is a component, but carries no buildpack manifest
    ");
    insta::assert_snapshot!(refuse_buildpack(&env, &guest("hostile")[..10_000], 13), @"
    error: could not load the buildpack buildpack.wasm
    caused by: this is no buildpack
    caused by: it is a damaged component: the section at byte [N] does not end within the file
    ");
}

#[test]
fn an_unknown_import() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let component = wat::parse_str(r#"(component (import "acme:tools/run@1.0.0" (instance)))"#).unwrap();
    insta::assert_snapshot!(refuse_buildpack(&env, &embed(&component, &manifest("hostile")).unwrap(), 13), @"
    error: could not load the buildpack buildpack.wasm
    caused by: stave-tests/hostile@0.1.0 imports acme:tools/run@1.0.0, which is neither in the contract (stave:buildpack 0.1 and 0.2) nor in WASI
    ");
    env.write("sockets.wasm", guest("sockets"));
    let told = env.run(&["buildpack", "publish", "sockets.wasm", "oci:published"]).ends_with(13);
    assert!(told.failure().contains("buildpacks have no network"), "{}", told.failure());
    assert!(!env.work().join("published").exists());
    insta::assert_snapshot!(refuse_buildpack(&env, &guest("sockets"), 13), @"
    error: could not load the buildpack buildpack.wasm
    caused by: stave-tests/sockets@0.1.0 imports wasi:sockets/instance-network@[VERSION], and buildpacks have no network; what it needs from there it declares as a dependency in its manifest, and the host fetches it
    hint: its author builds it without the part that needs this
    ");
}

#[test]
fn another_contract() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let newer = manifest("hostile").replace("contract = \"0.1\"", "contract = \"7.3\"\nnovelty = true");
    insta::assert_snapshot!(refuse_buildpack(&env, &embed(&guests::bare("hostile"), &newer).unwrap(), 12), @"
    error: could not load the buildpack buildpack.wasm
    caused by: could not read the manifest that the component carries
    caused by: stave-tests/hostile@0.1.0 is written for contract 7.3, and this host speaks 0.1 and 0.2
    ");
    env.write("newer.wasm", embed(&guests::bare("hostile"), &newer).unwrap());
    insta::assert_snapshot!(refuse(&env, &["buildpack", "inspect", "newer.wasm"], 12), @"
    error: could not inspect newer.wasm
    caused by: could not read the manifest that the component carries
    caused by: stave-tests/hostile@0.1.0 is written for contract 7.3, and this host speaks 0.1 and 0.2
    ");
}

#[test]
fn more_than_is_granted() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    guests::builder(&env, &guest("hostile"));
    let builder =
        "stack = { path = \"base\" }\n[[buildpacks]]\npath = \"buildpack.wasm\"\ngrants = { interfaces = [] }\n";
    env.write("builder.toml", builder);
    insta::assert_snapshot!(refuse(&env, &["build", "app", "--builder", "builder.toml"], 13), @r#"
    error: could not load the buildpack buildpack.wasm
    caused by: stave-tests/hostile@0.1.0 asks for what it is not granted: interfaces = ["layers", "overlay"], settings = ["BP_HOSTILE"]
    hint: whoever trusts it adds interfaces = ["layers", "overlay"], settings = ["BP_HOSTILE"] to its `grants` in the builder
    "#);
}

#[test]
fn a_buildpack_with_another_digest() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    guests::builder(&env, &guest("hostile"));
    let digest = format!("sha256:{}", "0".repeat(64));
    let builder =
        format!("stack = {{ path = \"base\" }}\n[[buildpacks]]\npath = \"buildpack.wasm\"\ndigest = \"{digest}\"\n");
    env.write("builder.toml", builder);
    insta::assert_snapshot!(refuse(&env, &["build", "app", "--builder", "builder.toml"], 13), @"
    error: could not load the buildpack buildpack.wasm
    caused by: the component is not the expected one: it has digest sha256:[HEX], not sha256:[HEX]
    ");
}

#[test]
fn builders_that_are_not_right() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    guests::builder(&env, &guest("hostile"));
    let refuse_builder = |builder: &str, code| {
        env.write("builder.toml", builder);
        refuse(&env, &["build", "app", "--builder", "builder.toml"], code)
    };
    insta::assert_snapshot!(refuse(&env, &["build", "app", "--builder", "missing.toml"], 3), @"
    error: could not read the builder missing.toml
    caused by: No such file or directory (os error 2)
    hint: a builder is a file, a name that `stave builder create` gave, oci:DIR, or a reference with its registry
    ");
    insta::assert_snapshot!(refuse_builder("stak = 1", 3), @"
    error: could not read the builder builder.toml
    caused by: the builder does not follow the format of builder.toml
    caused by: TOML parse error at line 1, column 1
        |
      1 | stak = 1
        | ^^^^
      unknown field `stak`, expected one of `description`, `stack`, `buildpacks`, `order`, `composites`, `system`
    ");
    let pack = "[[buildpacks]]\npath = \"buildpack.wasm\"\n";
    insta::assert_snapshot!(refuse_builder(&format!("stack = {{ name = \"nowhere\" }}\n{pack}"), 32), @"
    error: could not find the base image
    caused by: there is no image `nowhere:latest` in the image store
    ");
    insta::assert_snapshot!(refuse_builder(&format!("stack = {{ path = \"missing.toml\" }}\n{pack}"), 3), @"
    error: could not read the stack missing.toml
    caused by: No such file or directory (os error 2)
    ");
    let order = "[[order]]\ngroup = [{ id = \"acme/nobody\" }]\n";
    insta::assert_snapshot!(refuse_builder(&format!("stack = {{ path = \"base\" }}\n{pack}{order}"), 22), @"error: the order names the buildpack acme/nobody, and the builder has none such");
    let missing = "stack = { path = \"base\" }\n[[buildpacks]]\npath = \"missing.wasm\"\n";
    insta::assert_snapshot!(refuse_builder(missing, 13), @"
    error: could not load the buildpack missing.wasm
    caused by: could not read the buildpack missing.wasm
    caused by: No such file or directory (os error 2)
    ");
}
