//! A disk that is full while a layer is written: a clear error, nothing half-written, and all is well with more room.

use rustix::process::getuid;

use crate::support::{
    env::TestEnv,
    filters,
    guests::{self, guest},
    images::checked_here,
    process::{Outcome, run, stave},
    tools::tool,
};

/// Builds with a cache folder of eight megabytes, then gives it more room and builds again.
///
/// The small file system lives in a mount namespace and ends with it.
const SCRIPT: &str = r#"
mount -t tmpfs -o size=8m,mode=700 tmpfs "$STAVE_CACHE_DIR" || exit 99
"$@"
echo "code=$?"
find "$STAVE_CACHE_DIR" -type f | sed "s,^,left=,"
mount -o remount,size=200m "$STAVE_CACHE_DIR" || exit 99
"$@" > /dev/null 2>&1
echo "again=$?"
"#;

fn noise(bytes: usize) -> Vec<u8> {
    // A generator that gzip cannot follow (xorshift64).
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(bytes / 8).flatten().collect()
}

/// T9: a cache on a full disk.
#[test]
fn t9_a_full_cache_is_said_and_leaves_nothing() {
    let env = TestEnv::empty();
    let _filters = filters::bind(&env);
    let arguments = guests::builder(&env, &guest("hostile"));
    env.write("app/noise", noise(20 << 20));
    // Without root, one becomes root of a namespace of users of one's own.
    let own = if getuid().is_root() { "-m" } else { "-Urm" };
    let unshare = tool("unshare");
    let mut command = env.command(unshare.get_program());
    command.args([own, "/bin/sh", "-c", SCRIPT, "sh"]).arg(stave()).args(arguments).args(["--to", "oci:out"]);
    let outcome: Outcome = run(&mut command).succeeds();
    let lines: Vec<&str> =
        outcome.stdout.lines().filter(|line| line.starts_with("code=") || line.starts_with("again=")).collect();
    assert_eq!(lines, ["code=62", "again=0"], "{}{}", outcome.stdout, outcome.stderr);
    let left: Vec<&str> = outcome.stdout.lines().filter(|line| line.starts_with("left=")).collect();
    let unfinished = |line: &&&str| line.contains("/new/") || line.contains("/scratch/") || line.contains(".part");
    assert_eq!(left.iter().find(unfinished), None, "{left:?}");
    insta::assert_snapshot!(outcome.failure(), @"
    error: could not write the layer app
    caused by: could not write a blob
    caused by: No space left on device (os error 28)
    hint: the disk is full: make room where `[ENV]/cache/blobs` is, or set STAVE_CACHE_DIR to a folder elsewhere
    ");
    checked_here(&env.work().join("out"));
    env.assert_nothing_half_written();
}
