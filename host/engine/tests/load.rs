//! What is not run at all, and what is compiled once.

#![expect(clippy::unwrap_used, reason = "only tests are here")]

mod support;

use std::{
    error::Error,
    fs,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
};

use stave_engine::{
    Engine, Limits,
    compiled::{CodeStore, KeptCode},
    component::describe,
    load::{How, LoadError},
};
use stave_lifecycle::port::observer::{Event, Level, Observer};
use stave_model::{capability::Capabilities, component::embed, digest::Digest};

use support::{goes_on, guest, manifest};

fn engine() -> Engine {
    Engine::new(Limits::default(), None).unwrap()
}

/// The refusal with its causes and its hint.
fn refused(wasm: &[u8], grants: &Capabilities) -> String {
    told(&engine().load(wasm, None, grants).expect_err("it was loaded"))
}

fn told(error: &LoadError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str("\ncaused by: ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    error.hint().into_iter().fold(text, |text, hint| text + "\nhint: " + &hint)
}

/// A component from its text, with a manifest.
fn component(text: &str) -> Vec<u8> {
    embed(&wat::parse_str(text).unwrap(), &manifest("sockets")).unwrap()
}

const EXPORTS: &str = r#"
    (instance $none)
    (export "stave:buildpack/detection@0.1.0" (instance $none))
    (export "stave:buildpack/construction@0.1.0" (instance $none))
"#;

/// W4, W9.
#[test]
fn a_component_that_imports_sockets_is_refused_before_it_is_compiled() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(Limits::default(), Some(CodeStore::open(folder.path()).unwrap())).unwrap();
    let error = engine.load(&guest("sockets"), None, &Capabilities::usual()).unwrap_err();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was compiled");
    insta::assert_snapshot!(told(&error), @r#"
    stave-tests/sockets@0.1.0 imports wasi:sockets/instance-network@0.2.6, and buildpacks have no network; what it needs from there it declares as a dependency in its manifest, and the host fetches it
    hint: its author builds it without the part that needs this
    "#);
}

/// W4.
#[test]
fn other_files_are_refused_with_what_they_are() {
    let usual = Capabilities::usual();
    let good = guest("hostile");
    let newer = manifest("hostile").replace("contract = \"0.1\"", "contract = \"0.3\"");
    let other = manifest("hostile").replace("contract = \"0.1\"", "contract = \"0.2\"");
    let modest = manifest("hostile").replace("[\"layers\", \"overlay\"]", "[\"layers\"]");
    let all = [
        refused(b"#!/bin/sh", &usual),
        refused(&wat::parse_str("(module)").unwrap(), &usual),
        refused(&wat::parse_str("(component)").unwrap(), &usual),
        refused(&component("(component)")[..100], &usual),
        refused(&embed(&good, &newer).unwrap(), &usual),
        refused(&embed(&good, &other).unwrap(), &usual),
        refused(&component("(component)"), &usual),
        refused(&component(r#"(component (import "acme:tools/run@1.0.0" (instance)))"#), &usual),
        refused(&component(r#"(component (import "stave:buildpack/app@0.3.0" (instance)))"#), &usual),
        refused(&component(r#"(component (import "stave:buildpack/tools@0.1.0" (instance)))"#), &usual),
        refused(
            &component(&format!(
                r#"(component (import "stave:buildpack/app@0.1.0" (instance (export "guess" (func)))) {EXPORTS})"#
            )),
            &usual,
        ),
        refused(&component(&format!("(component {EXPORTS})")), &usual),
        refused(&embed(&good, &modest).unwrap(), &usual),
        refused(&good, &Capabilities::default()),
        told(&engine().load(&good, Some(Digest::of(b"")), &usual).unwrap_err())
            .replace(&Digest::of(&good).hex(), "DIGEST"),
    ];
    insta::assert_snapshot!(all.join("\n\n"), @r#"
    this is no buildpack
    caused by: it is not WebAssembly

    this is no buildpack
    caused by: it is a core WebAssembly module, not a component

    this is no buildpack
    caused by: it is a component, but carries no buildpack manifest

    this is no buildpack
    caused by: it is a damaged component: the section at byte 8 does not end within the file

    could not read the manifest that the component carries
    caused by: stave-tests/hostile@0.1.0 is written for contract 0.3, and this host speaks 0.1 and 0.2

    stave-tests/hostile@0.1.0 names stave:buildpack/app@0.1.0, and its manifest says that it is made for stave:buildpack 0.2
    hint: its author makes `contract` in buildpack.toml and the SDK's version the same

    stave-tests/sockets@0.1.0 does not export stave:buildpack/detection@0.1, as every buildpack must
    hint: its author exports it with the SDK's macro

    stave-tests/sockets@0.1.0 imports acme:tools/run@1.0.0, which is neither in the contract (stave:buildpack 0.1 and 0.2) nor in WASI

    stave-tests/sockets@0.1.0 is made for another contract: it names stave:buildpack/app@0.3.0, and this host speaks stave:buildpack 0.1 and 0.2
    hint: take another version of the buildpack, or of stave

    stave-tests/sockets@0.1.0 imports stave:buildpack/tools@0.1.0, which this version of stave does not know; a later one may
    hint: take another version of the buildpack, or of stave

    stave-tests/sockets@0.1.0 does not fit the contract as this version of stave knows it
    caused by: component imports instance `stave:buildpack/app@0.1.0`, but a matching implementation was not found in the linker
    caused by: instance export `guess` has the wrong type
    caused by: function implementation is missing
    hint: take another version of the buildpack, or of stave

    stave-tests/sockets@0.1.0 does not fit the contract as this version of stave knows it
    caused by: instance export `stave:buildpack/detection@0.1.0` does not have export `detect`
    hint: take another version of the buildpack, or of stave

    stave-tests/hostile@0.1.0 imports stave:buildpack/overlay (add and leave out app files in the image), which its manifest does not ask for
    hint: its author adds interfaces = ["overlay"] to `asks` in its buildpack.toml

    stave-tests/hostile@0.1.0 asks for what it is not granted: interfaces = ["layers", "overlay"], settings = ["BP_HOSTILE"]
    hint: whoever trusts it adds interfaces = ["layers", "overlay"], settings = ["BP_HOSTILE"] to its `grants` in the builder

    the component is not the expected one: it has digest sha256:DIGEST, not sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    "#);
}

#[test]
fn w8_a_call_that_moves_files_is_none_of_the_contract_whatever_a_component_says() {
    let moving = |call: &str| {
        let import = format!(r#"(import "stave:buildpack/layers@0.1.0" (instance (export "{call}" (func))))"#);
        let wasm = wat::parse_str(format!("(component {import} {EXPORTS})")).unwrap();
        refused(&embed(&wasm, &manifest("hostile")).unwrap(), &Capabilities::usual())
    };
    insta::assert_snapshot!(["rename", "hard-link"].map(moving).join("\n\n"), @"
    stave-tests/hostile@0.1.0 does not fit the contract as this version of stave knows it
    caused by: component imports instance `stave:buildpack/layers@0.1.0`, but a matching implementation was not found in the linker
    caused by: instance export `rename` has the wrong type
    caused by: function implementation is missing
    hint: take another version of the buildpack, or of stave

    stave-tests/hostile@0.1.0 does not fit the contract as this version of stave knows it
    caused by: component imports instance `stave:buildpack/layers@0.1.0`, but a matching implementation was not found in the linker
    caused by: instance export `hard-link` has the wrong type
    caused by: function implementation is missing
    hint: take another version of the buildpack, or of stave
    ");
}

/// W3: one message for each cap.
#[test]
fn what_could_take_for_ever_to_compile_is_refused() {
    let limits = Limits { functions: 3, function_bytes: 100, component_bytes: 5000, ..Limits::default() };
    let engine = Engine::new(limits, None).unwrap();
    let imports: Vec<String> = (0..201).map(|n| format!(r#"(import "i{n}" (func))"#)).collect();
    let refused = |text: &str| told(&engine.load(&component(text), None, &Capabilities::usual()).unwrap_err());
    let all = [
        refused(&format!("(component (core module {}))", "(func)".repeat(4))),
        refused(&format!("(component (core module (func {})))", "nop ".repeat(100))),
        refused(&format!("{}{}", "(component ".repeat(12), ")".repeat(12))),
        refused(&format!("(component {})", "(core module)".repeat(201))),
        refused(&format!("(component {})", imports.join(""))),
        refused(&format!("(component (core module (func {})))", "nop ".repeat(5000))),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    stave-tests/sockets@0.1.0 has at least 4 functions, more than the limit of 3: compiling it could take for ever
    stave-tests/sockets@0.1.0 has a function of 102 bytes, more than the limit of 100: compiling it could take for ever
    stave-tests/sockets@0.1.0 has parts that stand 9 deep in each other, more than the limit of 8: compiling it could take for ever
    stave-tests/sockets@0.1.0 has at least 201 parts, more than the limit of 200: compiling it could take for ever
    stave-tests/sockets@0.1.0 has 201 imports and exports, more than the limit of 200: compiling it could take for ever
    the component has 5208 bytes, more than the limit of 5000
    "#);
}

#[test]
fn a_damaged_component_is_an_error_and_nothing_worse() {
    let good = guest("hostile");
    let limits = Limits::default();
    let mut refused = 0;
    for step in 0..1000 {
        // Places and bits that are spread evenly and are the same in every run.
        let at = step * 7919 % good.len();
        refused += usize::from(describe(&good[..at], &limits).is_err());
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (step % 8);
        refused += usize::from(describe(&flipped, &limits).is_err());
    }
    assert!(refused > 1000, "every cut one, and some of those with a flipped bit: {refused}");
}

#[test]
fn features_that_are_off_are_refused_by_the_compiler() {
    let refuse = |part: &str| {
        let wasm = component(&format!("(component {EXPORTS} {part})"));
        let error = engine().load(&wasm, None, &Capabilities::usual()).unwrap_err();
        assert!(matches!(error, LoadError::Compile { .. }), "{part}: {error:?}");
        told(&error).lines().last().unwrap().to_owned()
    };
    let all = [
        "(core module (memory 1 1 shared))",
        "(core module (memory i64 1))",
        "(core module (tag))",
        "(core module (type (struct)))",
        "(core module (func (param i64 i64) i64.const 0 i64.const 0 i64.const 0 i64.const 0 i64.add128 drop drop))",
        "(core module (func (param v128) local.get 0 i32x4.relaxed_trunc_f32x4_s drop))",
        "(type (future))",
    ];
    insta::assert_snapshot!(all.map(refuse).join("\n"), @r#"
    caused by: threads must be enabled for shared memories (at offset 0x68)
    caused by: memory64 must be enabled for 64-bit memories (at offset 0x68)
    caused by: exceptions proposal not enabled (at offset 0x6d)
    caused by: struct indexed types not supported without the gc feature (at offset 0x68)
    caused by: Invalid input WebAssembly code at offset 126: wide arithmetic support is not enabled
    caused by: Invalid input WebAssembly code at offset 119: relaxed SIMD support is not enabled
    caused by: `future` requires the component model async feature (at offset 0x5e)
    "#);
}

/// A component that cannot be linked is refused when it is loaded, each time: no code of it is kept that a later load would
/// believe in.
#[test]
fn what_does_not_fit_the_contract_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(Limits::default(), Some(CodeStore::open(folder.path()).unwrap())).unwrap();
    let text =
        format!(r#"(component (import "stave:buildpack/app@0.1.0" (instance (export "guess" (func)))) {EXPORTS})"#);
    for _ in 0..2 {
        let error = engine.load(&component(&text), None, &Capabilities::usual()).unwrap_err();
        assert!(matches!(error, LoadError::Mismatch { .. }), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Code that was kept is looked at by the first call, and compiled again if it is not what was kept.
#[test]
fn kept_code_is_read_by_the_first_call() {
    let folder = tempfile::tempdir().unwrap();
    let load = || {
        let engine = Engine::new(Limits::default(), Some(CodeStore::open(folder.path()).unwrap())).unwrap();
        engine.load(&guest("hostile"), None, &Capabilities::usual()).unwrap()
    };
    goes_on(&load());
    let early = load();
    for entry in fs::read_dir(folder.path()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    goes_on(&early);
    assert_eq!(early.prepare().unwrap(), &How::Compiled);
    assert_eq!(load().prepare().unwrap(), &How::Kept);
}

#[test]
fn kept_code_says_whether_it_is_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = CodeStore::open(folder.path()).unwrap();
    let stem = format!("{}-key", Digest::of(b"component").hex());
    let [code, sum] = ["cwasm", "sha256"].map(|ending| folder.path().join(format!("{stem}.{ending}")));
    let said = || store.list().iter().map(KeptCode::is_sound).collect::<Vec<_>>();
    fs::write(&code, "code").unwrap();
    assert_eq!(said(), [None], "somebody may be about to write its sum");
    fs::write(&sum, Digest::of(b"code").hex()).unwrap();
    assert_eq!(said(), [Some(true)]);
    fs::write(&code, "other").unwrap();
    assert_eq!(said(), [Some(false)]);
    let listed = store.list();
    fs::remove_file(&code).unwrap();
    assert_eq!(listed[0].is_sound(), None, "somebody took it away");
}

/// Keeps what it is told.
#[derive(Default)]
struct Ear(Mutex<Vec<Event>>);

impl Observer for Ear {
    fn observe(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// W5. Where code was changed, and not where there is none, that is said.
#[test]
fn code_is_compiled_once_and_never_trusted_when_it_changed() {
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("code");
    let ear = Arc::new(Ear::default());
    let heard = || std::mem::take(&mut *ear.0.lock().unwrap());
    let text = "the cache's code of stave-tests/hostile@0.1.0 was changed and is not used: it is compiled again";
    let warning = || vec![Event::Note(Level::Warning, text.to_owned())];
    let load = || {
        let store = CodeStore::open(&code).unwrap().telling(Arc::clone(&ear) as Arc<dyn Observer>);
        let engine = Engine::new(Limits::default(), Some(store)).unwrap();
        let loaded = engine.load(&guest("hostile"), None, &Capabilities::usual()).unwrap();
        goes_on(&loaded);
        loaded.prepare().unwrap().clone()
    };
    let kept = || {
        let mut paths: Vec<_> = fs::read_dir(&code).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        <[std::path::PathBuf; 2]>::try_from(paths).unwrap()
    };
    let rewrite = |path: &std::path::Path, bytes: &[u8]| {
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
    };
    assert_eq!((load(), load()), (How::Compiled, How::Kept));
    let [native, sum] = kept();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&code), mode(&native), mode(&sum)), (0o700, 0o400, 0o400));

    let mut changed = fs::read(&native).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    rewrite(&native, &changed);
    assert_eq!((load(), load(), heard()), (How::Compiled, How::Kept, warning()), "changed code");

    rewrite(&native, b"not code");
    rewrite(&sum, Digest::of(b"not code").hex().as_bytes());
    assert_eq!((load(), load(), heard()), (How::Compiled, How::Kept, warning()), "not code, with its sum");

    rewrite(&sum, b"no sum at all");
    assert_eq!((load(), load(), heard()), (How::Compiled, How::Kept, warning()), "a changed sum");

    fs::remove_file(&sum).unwrap();
    assert_eq!((load(), load()), (How::Compiled, How::Kept), "no sum");

    fs::remove_file(&native).unwrap();
    assert_eq!((load(), load()), (How::Compiled, How::Kept), "no code");

    fs::set_permissions(&code, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!((load(), mode(&code)), (How::Kept, 0o700), "others could look in");
    assert_eq!(heard(), [], "what is missing was taken away by somebody who needed the room");
}
