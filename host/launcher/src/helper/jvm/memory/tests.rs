//! The sums, over containers of all sizes.

use super::*;

/// As a build of a small Spring Boot app on Java 25 counts them.
const CLASSES: Classes = Classes::There(18_529 + 11_500, Adjustment::More(0));

fn wishes(mib: u64) -> Wishes {
    Wishes {
        memory: Memory::Limit(mib * MIB),
        head_room: 0,
        threads: None,
        classes: CLASSES,
        chosen: Chosen::default(),
    }
}

fn chosen(options: &str) -> Chosen {
    Chosen::from_options(options).unwrap()
}

/// What is said of it, or the error.
fn told(wishes: &Wishes) -> String {
    match share_out(wishes) {
        Ok(shares) => shares.said(wishes).replace("Calculated JVM Memory Configuration: ", ""),
        Err(error) => format!("error: {error}\nhint: {}", error.hint().unwrap_or_default()),
    }
}

#[test]
fn every_size_has_its_shares() {
    let sizes = [192, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 8192];
    let lines = sizes.map(|mib| told(&wishes(mib)));
    insta::assert_snapshot!(lines.join("\n"), @"
    -XX:MaxDirectMemorySize=10M -Xmx54798K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=32M -Xss1M (Total Memory: 192M, Thread Count: 25 instead of 250, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -Xmx87566K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=43M -Xss1M (Total Memory: 256M, Thread Count: 46 instead of 250, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -Xmx131598K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=85M -Xss1M (Total Memory: 384M, Thread Count: 89 instead of 250, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -Xmx175630K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=127M -Xss1M (Total Memory: 512M, Thread Count: 132 instead of 250, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -Xmx262670K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=210M -Xss1M (Total Memory: 768M, Thread Count: 220 instead of 250, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -Xmx463374K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=240M -Xss1M (Total Memory: 1G, Thread Count: 250, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -Xmx987662K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=240M -Xss1M (Total Memory: 1536M, Thread Count: 250, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -Xmx1511950K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=240M -Xss1M (Total Memory: 2G, Thread Count: 250, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -Xmx3609102K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=240M -Xss1M (Total Memory: 4G, Thread Count: 250, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -Xmx7803406K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=240M -Xss1M (Total Memory: 8G, Thread Count: 250, Loaded Class Count: 10510, Headroom: 0%)
    ");
}

#[test]
fn nothing_is_given_twice_and_nothing_is_lost() {
    for mib in (128..9000).step_by(7) {
        for (head_room, threads) in [(0, None), (10, None), (0, Some(40)), (5, Some(20))] {
            let wishes = Wishes { head_room, threads, ..wishes(mib) };
            let Ok(shares) = share_out(&wishes) else {
                assert!(mib < 240, "{wishes:?}");
                continue;
            };
            assert_eq!(shares.without_heap() + shares.heap.unwrap(), mib * MIB, "{wishes:?}");
            assert!(threads.is_none_or(|threads| shares.threads == u64::from(threads)), "{wishes:?}");
            let small = shares.code_cache < CODE_CACHE.0 || shares.threads < threads.map_or(THREADS.0, u64::from);
            // What nobody chose gives way only to leave the heap a third.
            assert!(!small || shares.heap.unwrap() <= mib * MIB / 3 + 2 * MIB, "{shares:?}");
        }
    }
}

#[test]
fn the_formula_is_the_one_that_is_known_where_there_is_room() {
    let shares = share_out(&wishes(1024)).unwrap();
    let metaspace = 14_000_000 + 5_800 * (30_029 * 35 / 100);
    let heap = 1024 * MIB - 10 * MIB - metaspace - 240 * MIB - 250 * MIB;
    let expected = Shares {
        direct: 10 * MIB,
        heap: Some(heap),
        metaspace,
        code_cache: 240 * MIB,
        stack: MIB,
        threads: 250,
        head_room: 0,
    };
    assert_eq!(shares, expected);
}

#[test]
fn what_a_person_chose_is_not_touched() {
    let with = |mib, options: &str| Wishes { chosen: chosen(options), ..wishes(mib) };
    let lines = [
        told(&with(1024, "-Xmx300m")),
        told(&with(512, "-Xmx300m")),
        told(&with(1024, "-XX:MaxRAMPercentage=90")),
        told(&with(256, "-XX:MaxRAMPercentage=90")),
        told(&with(1024, "-XX:MaxMetaspaceSize=200m -XX:MaxDirectMemorySize=100m")),
        told(&with(512, "-XX:ReservedCodeCacheSize=100m")),
        told(&with(1024, "-Xss512k")),
        told(&with(512, "-Xms250m")),
        told(&Wishes { threads: Some(300), ..wishes(1024) }),
        told(&Wishes { threads: Some(100), ..wishes(512) }),
        told(&Wishes { head_room: 20, ..wishes(1024) }),
    ];
    insta::assert_snapshot!(lines.join("\n"), @"
    -XX:MaxDirectMemorySize=10M -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=240M -Xss1M (Total Memory: 1G, Thread Count: 250, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=63M -Xss1M (Total Memory: 512M, Thread Count: 67 instead of 250, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=240M -Xss1M (Total Memory: 1G, Thread Count: 250, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=43M -Xss1M (Total Memory: 256M, Thread Count: 46 instead of 250, Loaded Class Count: 10510, Headroom: 0%)
    -Xmx342M -XX:ReservedCodeCacheSize=187M -Xss1M (Total Memory: 1G, Thread Count: 195 instead of 250, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -Xmx175630K -XX:MaxMetaspaceSize=73201K -Xss1M (Total Memory: 512M, Thread Count: 159 instead of 250, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -Xmx591374K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=240M (Total Memory: 1G, Thread Count: 250, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -Xmx256526K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=88M -Xss1M (Total Memory: 512M, Thread Count: 92 instead of 250, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -Xmx412174K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=240M -Xss1M (Total Memory: 1G, Thread Count: 300, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -Xmx175630K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=159M -Xss1M (Total Memory: 512M, Thread Count: 100, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -Xmx349915K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=194M -Xss1M (Total Memory: 1G, Thread Count: 202 instead of 250, Loaded Class Count: 10510, Headroom: 20%)
    ");
}

#[test]
fn an_impossible_sum_says_what_is_in_it_and_what_to_change() {
    let with = |mib, options: &str| Wishes { chosen: chosen(options), ..wishes(mib) };
    let errors = [
        told(&wishes(128)),
        told(&with(256, "-Xmx256m")),
        told(&with(512, "-Xms400m -Xss2m")),
        told(&Wishes { threads: Some(1000), head_room: 5, ..wishes(1024) }),
        told(&Wishes { memory: Memory::Assumed, ..with(0, "-XX:ReservedCodeCacheSize=1g") }),
        told(&Wishes { classes: Classes::Loaded(u64::MAX), threads: Some(u32::MAX), ..wishes(8192) }),
    ];
    insta::assert_snapshot!(errors.join("\n"), @"
    error: Java needs 147M of memory (heap 8M, metaspace 72M, code cache 32M, direct memory 10M, stacks 25M for 25 threads, head room 0M), and the container has 128M
    hint: give the container 147M or more, or set less for a part, such as BPL_JVM_THREAD_COUNT, BPL_JVM_LOADED_CLASS_COUNT or -XX:ReservedCodeCacheSize in JAVA_TOOL_OPTIONS
    error: Java needs 395M of memory (heap 256M (chosen), metaspace 72M, code cache 32M, direct memory 10M, stacks 25M for 25 threads, head room 0M), and the container has 256M
    hint: give the container 395M or more, or lower -Xmx
    error: Java needs 564M of memory (heap 400M (chosen), metaspace 72M, code cache 32M, direct memory 10M, stacks 50M for 25 threads (chosen), head room 0M), and the container has 512M
    hint: give the container 564M or more, or lower -Xms or -Xss
    error: Java needs 1173M of memory (heap 8M, metaspace 72M, code cache 32M, direct memory 10M, stacks 1000M for 1000 threads (chosen), head room 52M), and the container has 1G
    hint: give the container 1173M or more, or lower BPL_JVM_THREAD_COUNT or BPL_JVM_HEAD_ROOM
    error: Java needs 1139M of memory (heap 8M, metaspace 72M, code cache 1024M (chosen), direct memory 10M, stacks 25M for 25 threads, head room 0M), and it is assumed to have 1G
    hint: give the container 1139M or more, or lower -XX:ReservedCodeCacheSize
    error: Java needs 17592186044416M of memory (heap 8M, metaspace 17592186044416M, code cache 32M, direct memory 10M, stacks 4294967295M for 4294967295 threads (chosen), head room 0M), and the container has 8G
    hint: give the container 17592186044416M or more, or lower BPL_JVM_THREAD_COUNT
    ");
}

#[test]
fn how_much_memory_there_is() {
    let machine = "MemTotal:       8388608 kB\nMemFree:  1 kB\nMemAvailable:    4194304 kB\n";
    for (limit, meminfo, expected) in [
        (Some(512 * MIB), machine, Memory::Limit(512 * MIB)),
        (Some(512 * MIB), "", Memory::Limit(512 * MIB)),
        (None, machine, Memory::Machine(4 * GIB)),
        // Control groups of version 1 without a limit, and a limit that is none.
        (Some(9_223_372_036_854_771_712), machine, Memory::Machine(4 * GIB)),
        (Some(16 * GIB), machine, Memory::Machine(4 * GIB)),
        (Some(0), machine, Memory::Machine(4 * GIB)),
        (None, "MemTotal: 1048576 kB\n", Memory::Machine(GIB)),
        (None, "", Memory::Assumed),
        (None, "MemAvailable: rubbish\nMemTotal: 18446744073709551615 kB", Memory::Assumed),
        (Some(u64::MAX), "", Memory::Assumed),
    ] {
        assert_eq!(Memory::from(limit, meminfo), expected, "{limit:?} {meminfo}");
    }
    assert_eq!(Memory::Assumed.bytes(), GIB);
    let lines = [Memory::Machine(5 * GIB), Memory::Assumed].map(|memory| told(&Wishes { memory, ..wishes(0) }));
    insta::assert_snapshot!(lines.join("\n"), @"
    -XX:MaxDirectMemorySize=10M -Xmx4657678K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=240M -Xss1M (Total Memory: 5G, what the machine has left, Thread Count: 250, Loaded Class Count: 10510, Headroom: 0%)
    -XX:MaxDirectMemorySize=10M -Xmx463374K -XX:MaxMetaspaceSize=73201K -XX:ReservedCodeCacheSize=240M -Xss1M (Total Memory: 1G, assumed, Thread Count: 250, Loaded Class Count: 10510, Headroom: 0%)
    ");
}
