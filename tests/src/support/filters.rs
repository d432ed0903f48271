//! What differs from run to run, taken out of what a snapshot is compared with.

use insta::{Settings, internals::SettingsBindDropGuard};

use super::env::TestEnv;

/// Until the answer is dropped, snapshots of this thread show no paths of the test's world, digests, sizes and times.
pub(crate) fn bind(env: &TestEnv) -> SettingsBindDropGuard {
    let mut settings = Settings::clone_current();
    // Neither a dot nor a hyphen in a path is meant as a pattern.
    let path = env.root().display().to_string().replace('.', "\\.").replace('-', "\\-");
    settings.add_filter(&path, "[ENV]");
    settings.add_filter(r"\b[0-9a-f]{64}\b", "[HEX]");
    // A composed base: its first digits come from its description, its digest from what the distribution has today.
    settings.add_filter(r"\bstave\.(\S+?):[0-9a-f]{12}( \([0-9a-f]{12}\))?", "stave.$1:[BASE]");
    settings.add_filter(r"127\.0\.0\.1:\d+", "[LOOPBACK]");
    settings.add_filter(r"\b\d+(\.\d+)? (B|kB|MB|GB)\b", "[SIZE]");
    settings.add_filter(r"\b\d+(\.\d+)? (ms|s)\b", "[TIME]");
    settings.add_filter(r"\bbyte \d+\b", "byte [N]");
    settings.add_filter(r"wasi:([a-z]+/[a-z-]+)@[0-9.]+", "wasi:$1@[VERSION]");
    settings.add_filter("x{100,}", "[MANY X]");
    settings.bind_to_scope()
}
