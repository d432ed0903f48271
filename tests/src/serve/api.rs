//! The HTTP API against its own description, by a fuzzer that reads it (`tests/peers/schemathesis`), where it can be installed.

use rustix::process::getuid;

use super::CREATE;
use crate::support::{
    peers::fuzzer,
    platform::World,
    process::{root, run, stave},
    tools::tool,
};

/// The server and the fuzzer alone with each other: what a made-up source or tag names is looked for nowhere.
const SCRIPT: &str = r#"
python3 -c "$LOOPBACK" || exit 99
"$1" serve --listen 127.0.0.1:8377 2> serve.log &
server=$!
tries=0
until grep -q "serving on" serve.log; do
    tries=$((tries + 1))
    [ $tries -lt 600 ] || exit 98
    sleep 0.1
done
python3 "$2" "$3" http://127.0.0.1:8377 -n 10 -H "X-Stave-Token: $STAVE_HOOK_TOKEN" -H "Authorization: Bearer $STAVE_SERVE_TOKEN"
echo "asked=$?"
kill -TERM $server
wait $server
echo "ended=$?"
"#;

/// Switches the loopback device of a new network namespace on (netdevice(7): `SIOCSIFFLAGS` with `IFF_UP`).
const LOOPBACK: &str = "import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 1))";

#[test]
fn the_api_is_as_its_description_says() {
    let Some(modules) = fuzzer("the_api_is_as_its_description_says") else { return };
    let world = World::quick();
    world.typed(&format!("{CREATE} app"));
    // Without root, one becomes root of a namespace of users of one's own.
    let own = if getuid().is_root() { "-n" } else { "-Urn" };
    let mut unshare = world.env.command(tool("unshare").get_program());
    unshare
        .env("LOOPBACK", LOOPBACK)
        .env("STAVE_HOOK_TOKEN", "hook")
        .env("STAVE_SERVE_TOKEN", "api")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    unshare.args([own, "/bin/sh", "-c", SCRIPT, "sh"]).arg(stave());
    let outcome = run(unshare.arg(root().join("tests/peers/schemathesis/ask.py")).arg(modules)).succeeds();
    for ended in ["\nasked=0\n", "\nended=0\n"] {
        assert!(outcome.stdout.contains(ended), "{}{}", outcome.stdout, outcome.stderr);
    }
}
