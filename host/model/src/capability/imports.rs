//! What a component may import at all: the interfaces of the contract, and the harmless part of WASI. Who may use which of them is
//! decided by grants; what is not here is nobody's, such as sockets, or an interface that a later contract may have.

use super::Interface;

/// The package of the contract.
pub const PACKAGE: &str = "stave:buildpack";
/// The interface of the contract that has types and no functions.
const TYPES: &str = "types";

/// The interfaces of WASI 0.2 that are there so that ordinary programs run, and what stands behind them:
///
/// * `cli`: no arguments, no environment, standard input at its end, output to the log;
/// * `clocks`: a wall clock that stands still and a steady one that counts how often it was asked;
/// * `random`: numbers that follow from the component's digest;
/// * `io`: the streams of the others;
/// * `filesystem`: no folder at all. Standard libraries import it for their own start and for `File`; without a folder to
///   begin from every operation fails with an error that the program can handle.
pub const WASI: [(&str, &[&str]); 5] = [
    (
        "wasi:cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("wasi:clocks", &["monotonic-clock", "wall-clock"]),
    ("wasi:random", &["random", "insecure", "insecure-seed"]),
    ("wasi:io", &["error", "poll", "streams"]),
    ("wasi:filesystem", &["preopens", "types"]),
];

/// Whether an import names something that a buildpack could have, whatever its version is.
pub fn is_offered(import: &str) -> bool {
    let Some((package, rest)) = import.split_once('/') else { return false };
    let interface = rest.split_once('@').map_or(rest, |(interface, _)| interface);
    if package == PACKAGE {
        return interface == TYPES || Interface::named(interface).is_some();
    }
    WASI.iter().any(|(name, interfaces)| *name == package && interfaces.contains(&interface))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_known_by_package_and_interface() {
        for offered in ["stave:buildpack/app@0.1.0", "stave:buildpack/types@0.2.0", "wasi:cli/stdout@0.2.6"] {
            assert!(is_offered(offered), "{offered}");
        }
        for other in [
            "stave:buildpack/tools@0.2.0",
            "stave:buildpack/app2",
            "acme:buildpack/app@0.1.0",
            "wasi:sockets/tcp@0.2.6",
            "wasi:cli/run@0.2.0",
            "stave:buildpack",
            "run",
            "",
        ] {
            assert!(!is_offered(other), "{other}");
        }
    }
}
