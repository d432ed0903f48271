//! What becomes of the environment, and what people read.

use std::collections::BTreeSet;

use super::*;

const BUILD: &str = "-XX:+ExitOnOutOfMemoryError";
pub(super) const USUAL: Machine =
    Machine { has_debugger: true, memory: Memory::Limit(1 << 30), now: 1_000_000_000, process: 1 };
/// As a build of a small Spring Boot app writes it.
const COUNTS: [(&str, &str); 2] = [("BPI_JVM_CLASS_COUNT", "18529"), ("BPI_APPLICATION_CLASS_COUNT", "11500")];

pub(super) fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

/// The variables that are set, and what is said.
fn told(machine: Machine, pairs: &[(&str, &str)]) -> String {
    let mut all = variables(&[&COUNTS, pairs].concat());
    all.entry(OPTIONS.as_bytes().to_vec()).or_insert_with(|| BUILD.as_bytes().to_vec());
    match decide(&Environment(&all), &machine) {
        Err(error) => format!("error: {error}{}", error.hint().map_or(String::new(), |hint| format!("\nhint: {hint}"))),
        Ok((answer, _)) => {
            let set = answer.set.iter().map(|(name, value)| format!("{name}={value}"));
            set.chain(answer.said).collect::<Vec<_>>().join("\n")
        }
    }
}

#[test]
fn memory_comes_before_a_persons_options_and_java_opts_last() {
    insta::assert_snapshot!(told(USUAL, &[]), @"
    JAVA_TOOL_OPTIONS=-XX:MaxDirectMemorySize=10M -Xmx463374K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=240M -Xss1M -XX:+ExitOnOutOfMemoryError
    Calculated JVM Memory Configuration: -XX:MaxDirectMemorySize=10M -Xmx463374K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=240M -Xss1M (Total Memory: 1G, Thread Count: 250, Loaded Class Count: 10510, Headroom: 0%)
    ");
    let user = format!("{BUILD} -Xmx100m");
    insta::assert_snapshot!(told(USUAL, &[("BPL_SPRING_AOT_ENABLED", "true"), (OPTIONS, &user), ("JAVA_OPTS", "-Dx=y -Xss2m")]), @"
    JAVA_TOOL_OPTIONS=-Dspring.aot.enabled=true -XX:MaxDirectMemorySize=10M -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=240M -XX:+ExitOnOutOfMemoryError -Xmx100m -Dx=y -Xss2m
    Calculated JVM Memory Configuration: -XX:MaxDirectMemorySize=10M -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=240M (Total Memory: 1G, Thread Count: 250, Loaded Class Count: 10510, Headroom: 0%)
    ");
    insta::assert_snapshot!(told(USUAL, &[("BPL_JAVA_NMT_ENABLED", "true")]), @"
    NMT_LEVEL_1=summary
    JAVA_TOOL_OPTIONS=-XX:+UnlockDiagnosticVMOptions -XX:NativeMemoryTracking=summary -XX:+PrintNMTStatistics -XX:MaxDirectMemorySize=10M -Xmx463374K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=240M -Xss1M -XX:+ExitOnOutOfMemoryError
    Java tells at its end what it used memory for (summary)
    Calculated JVM Memory Configuration: -XX:MaxDirectMemorySize=10M -Xmx463374K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=240M -Xss1M (Total Memory: 1G, Thread Count: 250, Loaded Class Count: 10510, Headroom: 0%)
    ");
}

#[test]
fn what_is_written_elsewhere_counts_and_stays_there() {
    insta::assert_snapshot!(told(USUAL, &[("JDK_JAVA_OPTIONS", "-Xmx64m"), ("_JAVA_OPTIONS", "-XX:MaxMetaspaceSize=99m")]), @"
    JAVA_TOOL_OPTIONS=-XX:MaxDirectMemorySize=10M -XX:ReservedCodeCacheSize=240M -Xss1M -XX:+ExitOnOutOfMemoryError
    Calculated JVM Memory Configuration: -XX:MaxDirectMemorySize=10M -XX:ReservedCodeCacheSize=240M -Xss1M (Total Memory: 1G, Thread Count: 250, Loaded Class Count: 10510, Headroom: 0%)
    ");
    let all = "-Xmx64m -Xss1m -XX:MaxMetaspaceSize=99m -XX:ReservedCodeCacheSize=64m -XX:MaxDirectMemorySize=1m";
    insta::assert_snapshot!(told(USUAL, &[(OPTIONS, all)]), @"Calculated JVM Memory Configuration: as chosen (Total Memory: 1G, Thread Count: 250, Loaded Class Count: 10510, Headroom: 0%)");
}

#[test]
fn classes_are_counted_corrected_or_said() {
    let count = |pairs: &[(&str, &str)]| {
        let told = told(USUAL, pairs);
        let count = told.split_once("Loaded Class Count: ").unwrap_or_else(|| panic!("{told}")).1;
        count.split_once(',').unwrap().0.to_owned()
    };
    for (pairs, expected) in [
        (&[][..], (18529 + 11500) * 35 / 100),
        (&[("BPL_JVM_CLASS_ADJUSTMENT", "1000")], (18529 + 11500 + 1000) * 35 / 100),
        (&[("BPL_JVM_CLASS_ADJUSTMENT", "200%")], (18529 + 11500) * 2 * 35 / 100),
        (&[("BPL_JVM_LOADED_CLASS_COUNT", "77"), ("BPL_JVM_CLASS_ADJUSTMENT", "200%")], 77),
        (&[("BPI_JVM_CLASS_COUNT", ""), ("BPI_APPLICATION_CLASS_COUNT", "")], 40_000 * 35 / 100),
    ] {
        assert_eq!(count(pairs), expected.to_string(), "{pairs:?}");
    }
}

#[test]
fn what_means_nothing_is_an_error() {
    let said = [
        told(USUAL, &[("BPL_JVM_HEAD_ROOM", "100")]),
        told(USUAL, &[("BPL_JVM_HEADROOM", "x")]),
        told(USUAL, &[("BPL_JVM_THREAD_COUNT", "0")]),
        told(USUAL, &[("BPL_JVM_LOADED_CLASS_COUNT", "many")]),
        told(USUAL, &[("BPL_JVM_CLASS_ADJUSTMENT", "-5")]),
        told(USUAL, &[("JAVA_OPTS", "-Xmx1x")]),
    ];
    insta::assert_snapshot!(said.join("\n"), @"
    error: BPL_JVM_HEAD_ROOM is `100`: expected a percentage from 0 to 99
    error: BPL_JVM_HEADROOM is `x`: expected a percentage from 0 to 99
    error: BPL_JVM_THREAD_COUNT is `0`: expected a number of threads
    error: BPL_JVM_LOADED_CLASS_COUNT is `many`: expected a number of classes
    error: BPL_JVM_CLASS_ADJUSTMENT is `-5`: expected a number of classes to add, or a percentage such as 150%
    error: -Xmx is `1x`: expected a size, such as 512m or 2g
    ");
}

#[test]
fn an_old_spelling_of_head_room_is_known() {
    let told = told(USUAL, &[("BPL_JVM_HEADROOM", "10")]);
    assert!(told.ends_with("Headroom: 10%)"), "{told}");
}

#[test]
fn every_setting_is_documented() {
    let sources = [include_str!("../jvm.rs"), include_str!("switches.rs")];
    let code = sources.into_iter().filter_map(|source| source.split("#[cfg(test)]").next());
    let read: BTreeSet<&str> = code.flat_map(|code| code.split('"')).filter(|w| is_setting(w)).collect();
    assert!(read.len() > 10, "{read:?}");
    let page = include_str!("../../../../../buildpacks/java/README.md");
    let mut documented = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with("| `BPL_")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert!(cells.len() == 3 && cells.iter().all(|cell| !cell.is_empty()), "{row}");
        documented.insert(cells[0].trim_matches('`'));
    }
    assert_eq!(read, documented);
}

fn is_setting(word: &str) -> bool {
    word.starts_with("BPL_") && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}
