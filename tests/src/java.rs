//! Java in a container: the memory that the launcher shares out is what the real JVM takes, and the switches do what they say.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    app::spring_webdb,
    container::Podman,
    env::TestEnv,
    images::{checked_here, config},
    jar::{self, entry, zip},
    process::{Outcome, run, succeeds},
    tools::tool,
};

const MIB: u64 = 1 << 20;
/// Starts a program through the launcher in an image's root, in a container of so much memory as far as files say.
const SCRIPT: &str = r#"
image_path=$PATH
PATH=/usr/sbin:/usr/bin:/sbin:/bin
root=$1 memory=$2
shift 2
mkdir -p "$root/proc" "$root/sys/fs/cgroup" "$root/tmp" || exit 98
echo "$memory" > "$root/sys/fs/cgroup/memory.max" || exit 98
printf 'MemTotal: 67108864 kB\nMemAvailable: 67108864 kB\n' > "$root/meminfo" || exit 98
mount --rbind /proc "$root/proc" && mount --bind "$root/meminfo" "$root/proc/meminfo" || exit 98
exec env "PATH=$image_path" /usr/sbin/chroot "$root" /cnb/lifecycle/launcher -- "$@"
"#;

/// An image as a folder.
struct Root {
    folder: PathBuf,
    variables: Vec<(String, String)>,
}

impl Root {
    /// Builds an app and unpacks its image.
    fn of(env: &TestEnv, app: &Path, name: &str) -> Self {
        let to = format!("oci:{name}:app");
        env.run(&["build", &app.display().to_string(), "--tag", "app", "--to", &to]).succeeds();
        let layout = env.work().join(name);
        let image = checked_here(&layout);
        let bundle = env.work().join(format!("{name}-bundle"));
        let mut unpack = tool("umoci");
        unpack.arg("unpack");
        if !rustix::process::getuid().is_root() {
            unpack.arg("--rootless");
        }
        succeeds(unpack.args(["--image", &format!("{}:app", layout.display())]).arg(&bundle));
        let variables = config(&image)["config"]["Env"].as_array().unwrap().clone();
        let pair = |variable: &serde_json::Value| {
            let (name, value) = variable.as_str().unwrap().split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        };
        Self { folder: bundle.join("rootfs"), variables: variables.iter().map(pair).collect() }
    }

    /// Starts a program in it.
    fn start(&self, mib: u64, variables: &[(&str, &str)], program: &[&str]) -> Outcome {
        let mut start: Command = tool("unshare");
        start.env_clear().args(["-Urm", "/bin/sh", "-c", SCRIPT, "sh"]).arg(&self.folder);
        start.arg((mib * MIB).to_string()).args(program);
        start.envs(self.variables.iter().map(|(name, value)| (name, value)));
        start.envs(variables.iter().copied());
        run(&mut start)
    }

    /// What a layer of the Java buildpack sets a variable to.
    fn variable(&self, layer: &str, name: &str) -> u64 {
        let file = self.folder.join(format!("layers/stave_java/{layer}/env.launch/{name}.default"));
        fs::read_to_string(file).unwrap().parse().unwrap()
    }
}

/// The value of an option in the line that says what was calculated, in bytes.
fn calculated(said: &str, option: &str) -> u64 {
    let line = said.lines().find(|line| line.starts_with("Calculated JVM Memory Configuration: ")).unwrap_or(said);
    let value = line.split(' ').find_map(|word| word.strip_prefix(option));
    let value = value.unwrap_or_else(|| panic!("no {option} in {said}"));
    let (digits, unit) = value.split_at(value.len() - 1);
    let number: u64 = digits.parse().unwrap();
    number
        << match unit {
            "K" => 10,
            "M" => 20,
            "G" => 30,
            other => panic!("{other}"),
        }
}

/// The value of a flag that a JVM printed.
fn flag(printed: &str, name: &str) -> u64 {
    let line = printed.lines().find(|line| line.split_whitespace().nth(1) == Some(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {printed}"));
    line.split_whitespace().nth(3).unwrap().parse().unwrap()
}

#[test]
fn a_jvm_accepts_what_is_calculated() {
    let env = TestEnv::warm();
    let tiny = env.write("tiny.jar", jar::boot());
    for root in [Root::of(&env, spring_webdb(), "webdb"), Root::of(&env, &tiny, "tiny")] {
        for mib in [256, 512, 1024, 8192] {
            let started = root.start(mib, &[], &["java", "-XX:+PrintFlagsFinal", "-version"]).succeeds();
            let (said, flags) = (&started.stderr, &started.stdout);
            assert!(said.contains("OpenJDK Runtime Environment"), "{said}");
            for (option, name, unit) in [
                ("-XX:MaxDirectMemorySize=", "MaxDirectMemorySize", 1),
                ("-XX:MaxMetaspaceSize=", "MaxMetaspaceSize", 1),
                ("-XX:ReservedCodeCacheSize=", "ReservedCodeCacheSize", 1),
                ("-Xss", "ThreadStackSize", 1024),
                ("-Xmx", "MaxHeapSize", 1),
            ] {
                let (ours, taken) = (calculated(said, option), flag(flags, name) * unit);
                // A JVM rounds by its pages and the regions of its heap.
                assert!(ours.abs_diff(taken) < 8 * MIB, "{mib}: {option}{ours}, and {name} is {taken}");
            }
            assert!(calculated(said, "-Xmx") > mib * MIB / 4, "{said}");
        }
        let refused = root.start(64, &[], &["java", "-version"]).ends_with(82);
        assert!(refused.stderr.starts_with("error: Java needs "), "{}", refused.stderr);
        assert!(refused.stderr.contains("and the container has 64M\nhint: give the container "), "{}", refused.stderr);
    }
}

#[test]
fn switches_do_what_they_say() {
    let env = TestEnv::warm();
    let tiny = env.write("tiny.jar", jar::boot());
    // Before Java 18, tracking memory needs more than an option.
    for root in [Root::of(&env, spring_webdb(), "webdb"), Root::of(&env, &tiny, "tiny")] {
        let recording = root.folder.join("tmp/recording.jfr");
        let switches =
            [("BPL_JFR_ENABLED", "true"), ("BPL_JAVA_NMT_ENABLED", "true"), ("BPL_HEAP_DUMP_PATH", "/tmp/a dump")];
        let started = root.start(512, &switches, &["java", "-XX:+PrintFlagsFinal", "-version"]).succeeds();
        let flags = &started.stdout;
        assert!(fs::metadata(recording).unwrap().len() > 0);
        assert!(flags.contains("Native Memory Tracking:") && flags.contains("Total: reserved="), "{flags}");
        let path = flags.lines().find(|line| line.split_whitespace().nth(1) == Some("HeapDumpPath")).unwrap();
        assert!(path.contains("/tmp/a dump/java_2") && root.folder.join("tmp/a dump").is_dir(), "{path}");
    }
}

#[test]
fn a_limit_of_a_real_container_is_seen() {
    let env = TestEnv::warm();
    env.write("tiny.jar", jar::boot());
    env.run(&["build", "tiny.jar", "--to", "oci:out"]).succeeds();
    checked_here(&env.work().join("out"));
    let podman = Podman::new(&env);
    let image = podman.pull_layout(&env.work().join("out"));
    let mut command = podman.command(&["run", "--rm", "--network", "host", "--memory", "512m", "--read-only"]);
    command.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--tmpfs", "/tmp"]);
    let outcome = run(command.args(["--entrypoint", "/cnb/lifecycle/launcher", &image, "--", "java", "-version"]));
    if outcome.code != Some(0) && outcome.stderr.contains("cgroup") {
        // Written past the capture of the tests' output, so that it is seen.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: a_limit_of_a_real_container_is_seen: no container can be limited here: {}",
            outcome.stderr
        );
        return;
    }
    let said = outcome.succeeds().stderr;
    assert!(said.contains("(Total Memory: 512M, "), "{said}");
    assert!(said.contains("OpenJDK Runtime Environment"), "{said}");
}

/// So many classes in a folder, in a jar.
fn library(classes: usize) -> Vec<u8> {
    zip(&(0..classes).map(|number| entry(&format!("a/C{number}.class"), "")).collect::<Vec<_>>())
}

#[test]
fn classes_are_counted() {
    let env = TestEnv::warm();
    let manifest = entry("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nMain-Class: a.C0\r\n\r\n");
    let own = (0..110).map(|number| entry(&format!("a/C{number}.class"), ""));
    let nested = [entry("lib/x.jar", library(120)), entry("lib/damaged.jar", vec![7; 40_000])];
    let app = zip(&std::iter::once(manifest).chain(own).chain(nested).collect::<Vec<_>>());
    // Exploded, with the jar's libraries as files of the app.
    let jar = env.write("exploded.jar", &app);
    let root = Root::of(&env, &jar, "exploded");
    assert_eq!(root.variable("classpath", "BPI_APPLICATION_CLASS_COUNT"), 300, "110 + 120 + 20, rounded up");
    let modules = fs::read(root.folder.join("layers/stave_java/jre/lib/modules")).unwrap();
    assert_eq!(root.variable("jre", "BPI_JVM_CLASS_COUNT"), classes_in(&modules));
    // As a jar beside others, its libraries within it.
    env.write("folder/app.jar", &app);
    env.write("folder/beside.jar", library(230));
    env.write("folder/loose/D.class", "");
    let root = Root::of(&env, &env.work().join("folder"), "folder-image");
    assert_eq!(root.variable("classpath", "BPI_APPLICATION_CLASS_COUNT"), 500, "250 + 230 + 1, rounded up");
}

#[test]
fn classes_of_the_examples_runtime_are_those_that_are_known() {
    let env = TestEnv::warm();
    let root = Root::of(&env, spring_webdb(), "webdb");
    let modules = fs::read(root.folder.join("layers/stave_java/jre/lib/modules")).unwrap();
    assert_eq!(root.variable("jre", "BPI_JVM_CLASS_COUNT"), classes_in(&modules));
    assert!(root.variable("classpath", "BPI_APPLICATION_CLASS_COUNT") > 5_000, "its libraries are counted");
}

/// The classes in a runtime's `lib/modules`: a table of places, at each of which stand pairs of a kind and a number; the
/// fourth kind is the ending of a name, in a table of texts.
fn classes_in(modules: &[u8]) -> u64 {
    let number = |at: usize| u32::from_le_bytes(modules[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(number(0), 0xcafe_dada);
    let (length, locations) = (number(16), number(20));
    let begin = 28 + 8 * length;
    let texts = begin + locations;
    let is_class = |entry: usize| {
        let mut at = begin + number(28 + 4 * length + 4 * entry);
        while modules[at] >> 3 != 0 {
            let bytes = usize::from(modules[at] & 7) + 1;
            if modules[at] >> 3 == 4 {
                let value = modules[at + 1..=at + bytes].iter().fold(0, |value, byte| value << 8 | usize::from(*byte));
                return modules[texts + value..].starts_with(b"class\0");
            }
            at += 1 + bytes;
        }
        false
    };
    (0..length).filter(|entry| is_class(*entry)).count() as u64
}
