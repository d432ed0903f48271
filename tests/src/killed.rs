//! Killed at any moment: the next run succeeds by itself, makes the same image, and finds nothing corrupt.
//!
//! The moments are system calls. `strace` kills the program as it enters the n-th call of a kind, for each kind by which
//! something on the disk or in a registry changes, until a build makes fewer such calls. So no door for tests is
//! built into the program, and a step that is added to it is tested by itself.

use std::{fs, path::Path, process::Command};

use stave_model::digest::Digest;

use crate::support::{
    env::{TestEnv, listing},
    guests::{self, guest},
    images::checked_here,
    process::{run, stave, succeeds},
    registry::Registry,
    tools::tool,
};

/// Calls by which something changes, and how far apart the moments are.
const CALLS: [(&str, usize); 7] = [
    ("openat", 7),
    ("mkdir,mkdirat,chmod,fchmod,ftruncate", 1),
    ("rename,renameat,renameat2,link,linkat", 1),
    ("fsync,fdatasync", 1),
    ("unlink,unlinkat,rmdir", 1),
    ("write,pwrite64,writev,copy_file_range,sendfile", 31),
    ("connect,sendto,sendmsg,recvfrom", 3),
];

/// What one build of this test leaves in the world, by name.
struct World {
    env: TestEnv,
    arguments: Vec<String>,
}

impl World {
    /// With an app, a builder, and the component's code compiled, which takes longer than all the rest.
    fn new(code: Option<&Path>, image: &str) -> Self {
        let env = TestEnv::empty();
        let build = guests::builder(&env, &guest("hostile"));
        env.write("app/folder/more.txt", "more");
        if let Some(code) = code {
            succeeds(Command::new("cp").arg("-r").arg(code).arg(env.cache()));
        }
        let more = ["--tag", image, "--to", "store", "--to", "oci:out", "--to", "docker-archive:out.tar", "--publish"];
        let arguments = build.iter().chain(&more).map(|&argument| argument.to_owned()).collect();
        Self { env, arguments }
    }

    fn build(&self) -> Command {
        let mut command = self.env.command(stave());
        command.args(&self.arguments);
        command
    }

    /// Builds, killed as it enters the `moment`-th of these calls of one thread. No, if it ended before.
    fn is_killed_at(&self, calls: &str, moment: usize) -> bool {
        let mut command = self.env.command(tool("strace").get_program());
        command.args(["--follow-forks", "--quiet=all", "--output=/dev/null", &format!("--trace={calls}")]);
        command.arg(format!("--inject={calls}:signal=SIGKILL:when={moment}")).arg(stave()).args(&self.arguments);
        let outcome = run(&mut command);
        // strace ends as its program did: by the signal, which leaves no code.
        assert!(matches!(outcome.code, None | Some(0)), "{calls} {moment}: {}{}", outcome.stdout, outcome.stderr);
        outcome.code.is_none()
    }
}

/// Every file that is called by a digest has it.
fn assert_whole(root: &Path, when: &str) {
    for path in listing(root).keys().filter(|path| path.contains("/sha256/")) {
        let name = path.rsplit('/').next().unwrap();
        if name.ends_with(".partial") {
            continue;
        }
        let bytes = fs::read(root.join(path)).unwrap();
        assert_eq!(Digest::of(&bytes).hex(), name, "{when}: {path}");
    }
}

#[test]
fn the_next_run_succeeds_whenever_one_was_killed() {
    let first = TestEnv::empty();
    let registry = Registry::start(&first);
    let reference = World::new(None, &registry.reference("apps/whole:1"));
    let digest = run(&mut reference.build()).succeeds().result().to_owned();
    let code = reference.env.cache().join("code");

    let mut killed = 0;
    for (kind, (calls, step)) in CALLS.into_iter().enumerate() {
        for moment in (1..).step_by(step) {
            let when = format!("{calls} {moment}");
            let world = World::new(Some(&code), &registry.reference(&format!("apps/k{kind}-{moment}:1")));
            let was_killed = world.is_killed_at(calls, moment);
            assert_whole(world.env.root(), &when);
            // The same command again, with whatever was left.
            let next = run(&mut world.build());
            assert_eq!(next.code, Some(0), "{when}: {}", next.stderr);
            assert_eq!(next.result(), digest, "{when}");
            assert_eq!(checked_here(&world.env.work().join("out")).digest().to_string(), digest, "{when}");
            world.env.assert_nothing_half_written();
            if !was_killed {
                break;
            }
            killed += 1;
        }
    }
    assert!(killed >= 60, "only {killed} moments");
}
