//! Options of a Java virtual machine that depend on how the container was started.
//!
//! They go before what stands in `JAVA_TOOL_OPTIONS`, so that the options that a person wrote there, which a JVM reads
//! later, have the last word. Only how much memory the heap may take is put behind the share that the build wrote first.

use std::{fs, path::Path};

use stave_model::env::Variables;

use super::{Answer, Environment, Failed};

const OPTIONS: &str = "JAVA_TOOL_OPTIONS";
/// The share of the memory that the heap may take, as the build puts it before all other options.
const HEAP_SHARE: f64 = 75.0;
const HEAP_OPTION: &str = "-XX:MaxRAMPercentage=";
/// Memory of one thread's stack, in bytes.
const STACK: u64 = 1 << 20;
/// What a container says that has no limit, or more than any machine has.
const UNLIMITED: u64 = 64 << 40;

/// What there is around the JVM.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    /// Whether the runtime can be debugged.
    pub(super) has_debugger: bool,
    /// The container's memory in bytes, if it is limited.
    pub(super) memory: Option<u64>,
}

impl Machine {
    /// This one, with the runtime that the environment names.
    pub(super) fn here(variables: &Variables) -> Self {
        let home = Environment(variables).get("JAVA_HOME").unwrap_or_default();
        // Version 2 of control groups, then version 1.
        let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        let limit = limits.into_iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
        Self {
            has_debugger: Path::new(&home).join("lib/libjdwp.so").exists(),
            memory: limit.filter(|bytes| (1..UNLIMITED).contains(bytes)),
        }
    }
}

/// Decides.
pub(super) fn answer(environment: &Environment<'_>, machine: &Machine) -> Result<Answer, Failed> {
    let old = environment.get(OPTIONS).unwrap_or_default();
    let mut answer = Answer::default();
    let mut first: Vec<String> = Vec::new();
    if environment.is_on("BPL_DEBUG_ENABLED")? {
        let port = environment.number("BPL_DEBUG_PORT", 1, 65535, "a port")?.unwrap_or(8000);
        let suspend = if environment.is_on("BPL_DEBUG_SUSPEND")? { "y" } else { "n" };
        if old.contains("-agentlib:jdwp") {
            answer.said.push(format!("BPL_DEBUG_ENABLED: {OPTIONS} has a debugger already"));
        } else if machine.has_debugger {
            first.push(format!("-agentlib:jdwp=transport=dt_socket,server=y,address=*:{port},suspend={suspend}"));
            answer.said.push(format!("a debugger can attach at port {port}"));
        } else {
            answer.said.push("BPL_DEBUG_ENABLED has no effect: this Java runtime cannot be debugged".to_owned());
        }
    }
    if environment.is_on("BPL_JMX_ENABLED")? {
        let port = environment.number("BPL_JMX_PORT", 1, 65535, "a port")?.unwrap_or(5000);
        if old.contains("-Dcom.sun.management.jmxremote.port=") {
            answer.said.push(format!("BPL_JMX_ENABLED: {OPTIONS} has a port for JMX already"));
        } else {
            first.push("-Djava.rmi.server.hostname=127.0.0.1".to_owned());
            let jmx = |rest: String| format!("-Dcom.sun.management.jmxremote.{rest}");
            first.extend([jmx("authenticate=false".to_owned()), jmx("ssl=false".to_owned())]);
            first.extend([jmx(format!("port={port}")), jmx(format!("rmi.port={port}"))]);
            answer.said.push(format!("JMX listens at port {port}, without a password"));
        }
    }
    let share = heap_share(environment, machine, &mut answer.said)?;
    let mut words: Vec<String> = first.into_iter().chain([with_share(&old, share)]).collect();
    words.extend(environment.get("JAVA_OPTS"));
    let new = words.iter().map(|words| words.trim()).filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" ");
    if new != old.trim() {
        answer.set.push((OPTIONS, new));
    }
    Ok(answer)
}

/// What the heap may take of the memory, in percent, if somebody says how much is to be left for other things.
fn heap_share(environment: &Environment<'_>, machine: &Machine, said: &mut Vec<String>) -> Result<Option<f64>, Failed> {
    let expected = "a percentage from 0 to 99";
    let head_room = match environment.number("BPL_JVM_HEAD_ROOM", 0, 99, expected)? {
        None => environment.number("BPL_JVM_HEADROOM", 0, 99, expected)?,
        given => given,
    };
    let threads = environment.number("BPL_JVM_THREAD_COUNT", 1, 1_000_000, "a number of threads")?;
    let mut left = 100.0 - f64::from(head_room.unwrap_or(0));
    if let Some(threads) = threads {
        let Some(memory) = machine.memory else {
            said.push("BPL_JVM_THREAD_COUNT has no effect: the container's memory is not limited".to_owned());
            return Ok(head_room.map(|_| left * HEAP_SHARE / 100.0));
        };
        let stacks = u64::from(threads) * STACK;
        left -= 100.0 * to_f64(stacks) / to_f64(memory);
        if left <= 0.0 {
            return Err(Failed::Setting {
                name: "BPL_JVM_THREAD_COUNT",
                value: threads.to_string(),
                expected: "fewer threads: with 1 MiB each they leave nothing of the container's memory",
            });
        }
    }
    Ok((head_room.is_some() || threads.is_some()).then_some(left * HEAP_SHARE / 100.0))
}

/// As exact as it need be: bytes below [`UNLIMITED`].
#[expect(clippy::cast_precision_loss, reason = "a percentage needs no more than 52 bits")]
fn to_f64(bytes: u64) -> f64 {
    bytes as f64
}

/// The options, with another share of the memory for the heap than the build's. What a person wrote stays behind it.
fn with_share(options: &str, share: Option<f64>) -> String {
    let Some(share) = share else { return options.to_owned() };
    let ours = format!("{HEAP_OPTION}{HEAP_SHARE:.1}");
    let new = format!("{HEAP_OPTION}{share:.1}");
    if options.split(' ').any(|word| word == ours) {
        return options.replacen(&ours, &new, 1);
    }
    format!("{new} {options}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: &str = "-XX:+ExitOnOutOfMemoryError -XX:MaxRAMPercentage=75.0";
    const USUAL: Machine = Machine { has_debugger: true, memory: Some(1 << 30) };

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    }

    /// The options in the end, and what is said.
    fn told(machine: Machine, pairs: &[(&str, &str)]) -> String {
        let mut all = variables(pairs);
        all.entry(OPTIONS.as_bytes().to_vec()).or_insert_with(|| BUILD.as_bytes().to_vec());
        match answer(&Environment(&all), &machine) {
            Err(error) => format!("error: {error}"),
            Ok(answer) => {
                let set = answer.set.first().map_or("(as it was)", |(_, value)| value.as_str());
                [vec![set.to_owned()], answer.said].concat().join("\n")
            }
        }
    }

    #[test]
    fn nothing_is_changed_unless_it_is_asked_for() {
        assert_eq!(told(USUAL, &[]), "(as it was)");
        assert_eq!(told(USUAL, &[("BPL_DEBUG_ENABLED", "false"), ("BPL_JMX_PORT", "7000")]), "(as it was)");
    }

    #[test]
    fn switches_come_first_and_a_persons_options_last() {
        let user = format!("{BUILD} -Xmx100m");
        insta::assert_snapshot!(told(USUAL, &[("BPL_DEBUG_ENABLED", "true"), (OPTIONS, &user), ("JAVA_OPTS", "-Dx=y -Dz")]), @"
        -agentlib:jdwp=transport=dt_socket,server=y,address=*:8000,suspend=n -XX:+ExitOnOutOfMemoryError -XX:MaxRAMPercentage=75.0 -Xmx100m -Dx=y -Dz
        a debugger can attach at port 8000
        ");
        insta::assert_snapshot!(told(USUAL, &[("BPL_DEBUG_ENABLED", "1"), ("BPL_DEBUG_PORT", "9"), ("BPL_DEBUG_SUSPEND", "TRUE")]), @"
        -agentlib:jdwp=transport=dt_socket,server=y,address=*:9,suspend=y -XX:+ExitOnOutOfMemoryError -XX:MaxRAMPercentage=75.0
        a debugger can attach at port 9
        ");
        insta::assert_snapshot!(told(USUAL, &[("BPL_JMX_ENABLED", "true"), ("BPL_JMX_PORT", "5001")]), @"
        -Djava.rmi.server.hostname=127.0.0.1 -Dcom.sun.management.jmxremote.authenticate=false -Dcom.sun.management.jmxremote.ssl=false -Dcom.sun.management.jmxremote.port=5001 -Dcom.sun.management.jmxremote.rmi.port=5001 -XX:+ExitOnOutOfMemoryError -XX:MaxRAMPercentage=75.0
        JMX listens at port 5001, without a password
        ");
        insta::assert_snapshot!(told(USUAL, &[("BPL_DEBUG_ENABLED", "true"), (OPTIONS, "-agentlib:jdwp=x")]), @"
        (as it was)
        BPL_DEBUG_ENABLED: JAVA_TOOL_OPTIONS has a debugger already
        ");
        insta::assert_snapshot!(told(USUAL, &[("BPL_JMX_ENABLED", "true"), (OPTIONS, "-Dcom.sun.management.jmxremote.port=1")]), @"
        (as it was)
        BPL_JMX_ENABLED: JAVA_TOOL_OPTIONS has a port for JMX already
        ");
        let no_debugger = Machine { has_debugger: false, ..USUAL };
        insta::assert_snapshot!(told(no_debugger, &[("BPL_DEBUG_ENABLED", "true")]), @"
        (as it was)
        BPL_DEBUG_ENABLED has no effect: this Java runtime cannot be debugged
        ");
    }

    #[test]
    fn the_heap_leaves_room_for_what_is_named() {
        // (head room, threads, memory in MiB, the heap's share)
        let cases = [
            (Some("20"), None, None, "60.0"),
            (Some("0"), None, Some(1024), "75.0"),
            (None, Some("256"), Some(1024), "56.2"),
            (Some("25"), Some("256"), Some(1024), "37.5"),
        ];
        for (head_room, threads, memory, share) in cases {
            let mut pairs = Vec::new();
            pairs.extend(head_room.map(|text| ("BPL_JVM_HEAD_ROOM", text)));
            pairs.extend(threads.map(|text| ("BPL_JVM_THREAD_COUNT", text)));
            let machine = Machine { memory: memory.map(|mib: u64| mib << 20), ..USUAL };
            let expected = format!("-XX:+ExitOnOutOfMemoryError -XX:MaxRAMPercentage={share}");
            let told = told(machine, &pairs);
            let told = if share == "75.0" { told.replace("(as it was)", &expected) } else { told };
            assert_eq!(told, expected, "{pairs:?}");
        }
        insta::assert_snapshot!(told(USUAL, &[("BPL_JVM_HEADROOM", "50"), (OPTIONS, "-XX:MaxRAMPercentage=80")]), @"-XX:MaxRAMPercentage=37.5 -XX:MaxRAMPercentage=80");
        insta::assert_snapshot!(told(Machine { memory: None, ..USUAL }, &[("BPL_JVM_THREAD_COUNT", "50")]), @"
        (as it was)
        BPL_JVM_THREAD_COUNT has no effect: the container's memory is not limited
        ");
        insta::assert_snapshot!(told(USUAL, &[("BPL_JVM_THREAD_COUNT", "1024")]), @"error: BPL_JVM_THREAD_COUNT is `1024`: expected fewer threads: with 1 MiB each they leave nothing of the container's memory");
    }

    #[test]
    fn what_means_nothing_is_an_error() {
        let said = [
            told(USUAL, &[("BPL_DEBUG_ENABLED", "maybe")]),
            told(USUAL, &[("BPL_DEBUG_ENABLED", "true"), ("BPL_DEBUG_PORT", "0")]),
            told(USUAL, &[("BPL_JMX_ENABLED", "true"), ("BPL_JMX_PORT", "x\u{1b}")]),
            told(USUAL, &[("BPL_JVM_HEAD_ROOM", "100")]),
        ];
        insta::assert_snapshot!(said.join("\n"), @r"
        error: BPL_DEBUG_ENABLED is `maybe`: expected true or false
        error: BPL_DEBUG_PORT is `0`: expected a port
        error: BPL_JMX_PORT is `x\u{1b}`: expected a port
        error: BPL_JVM_HEAD_ROOM is `100`: expected a percentage from 0 to 99
        ");
    }
}
