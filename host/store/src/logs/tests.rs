use std::{ops::ControlFlow, sync::mpsc, thread};

use super::*;
use crate::folders::DATA_VARIABLE;

fn logs(temp: &tempfile::TempDir) -> DiskLogs {
    DiskLogs::open(&Folder::open(temp.path().join("data"), DATA_VARIABLE).unwrap()).unwrap()
}

fn key(namespace: &str, name: &str) -> ImageKey {
    ImageKey { namespace: namespace.parse().unwrap(), name: name.parse().unwrap() }
}

fn at(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_796_018_400_000 + millis)
}

/// All that is passed on.
fn gathered(read: impl FnOnce(&mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> bool) -> Option<String> {
    let mut all = Vec::new();
    let was_there = read(&mut |bytes| {
        all.extend_from_slice(bytes);
        ControlFlow::Continue(())
    });
    was_there.then(|| String::from_utf8(all).unwrap())
}

fn replayed(logs: &DiskLogs, number: u64, digest: Option<&Digest>, stamps: Stamps) -> Option<String> {
    gathered(|take| logs.replay(&key("team-a", "web"), number, digest, stamps, take).unwrap())
}

#[test]
fn what_is_streamed_is_what_is_replayed() {
    let temp = tempfile::tempdir().unwrap();
    let (logs, web) = (logs(&temp), key("team-a", "web"));
    let mut writer = logs.start(&web, 1).unwrap();
    writer.write_at("one\ntwo\n", at(7)).unwrap();
    let (over, ended) = mpsc::channel();
    let (show, shown) = mpsc::channel();
    let digest = thread::scope(|scope| {
        let (logs, web) = (&logs, &web);
        let follower = scope.spawn(move || {
            let progress = || ended.try_recv().unwrap_or(Progress::Running);
            gathered(|take| {
                let mut tell = |bytes: &[u8]| {
                    show.send(()).unwrap();
                    take(bytes)
                };
                logs.follow(web, 1, Stamps::Shown, progress, &mut tell).unwrap()
            })
        });
        shown.recv().unwrap();
        writer.write_at("", at(1008)).unwrap();
        shown.recv().unwrap();
        writer.write_at("three \u{1f6e2}", at(2009)).unwrap();
        let digest = writer.finish().unwrap();
        over.send(Progress::Over(Some(digest))).unwrap();
        let streamed = follower.join().unwrap().unwrap();
        assert_eq!(replayed(logs, 1, Some(&digest), Stamps::Shown).unwrap(), streamed);
        let lines: Vec<&str> = streamed.lines().collect();
        let expected = [
            "2026-11-30T06:00:00.007Z one",
            "2026-11-30T06:00:00.007Z two",
            "2026-11-30T06:00:01.008Z ",
            "2026-11-30T06:00:02.009Z three \u{1f6e2}",
        ];
        assert_eq!(lines, expected);
        digest
    });
    assert_eq!(replayed(&logs, 1, Some(&digest), Stamps::Hidden).unwrap(), "one\ntwo\n\nthree \u{1f6e2}\n");
    assert_eq!(replayed(&logs, 1, None, Stamps::Hidden), None, "it is not where it grew");
    let kept = fs::read(logs.kept(&digest)).unwrap();
    assert_eq!(Digest::of(&kept), digest);
    assert!(kept.starts_with(b"1796018400.007 one\n1796018400.007 two\n1796018401.008 \n"));
}

#[test]
fn who_comes_late_or_early_sees_all_of_it() {
    let temp = tempfile::tempdir().unwrap();
    let (logs, web) = (logs(&temp), key("team-a", "web"));
    let follow = |number, progress: &mut dyn FnMut() -> Progress| {
        gathered(|take| logs.follow(&web, number, Stamps::Hidden, progress, take).unwrap())
    };
    // It begins only after somebody follows, and is over when it is looked for the second time.
    let mut steps = 0;
    let mut early = || {
        steps += 1;
        if steps == 1 {
            return Progress::Running;
        }
        let mut writer = logs.start(&web, 1).unwrap();
        writer.write("all of it").unwrap();
        Progress::Over(Some(writer.finish().unwrap()))
    };
    assert_eq!(follow(1, &mut early).unwrap(), "all of it\n");
    let digest = Digest::of(
        &fs::read(fs::read_dir(logs.folder.path().join(KEPT)).unwrap().next().unwrap().unwrap().path()).unwrap(),
    );
    assert_eq!(follow(1, &mut || Progress::Over(Some(digest))).unwrap(), "all of it\n");
    assert_eq!(follow(2, &mut || Progress::Over(None)), None, "it never had one");
    assert_eq!(follow(2, &mut || Progress::Over(Some(Digest::of(b"another")))), None, "it is gone");
}

#[test]
fn a_build_that_is_begun_again_begins_its_log_again() {
    let temp = tempfile::tempdir().unwrap();
    let (logs, web) = (logs(&temp), key("team-a", "web"));
    let mut killed = logs.start(&web, 1).unwrap();
    killed.write("before").unwrap();
    killed.file.write_all(b"1796018400.0").unwrap();
    drop(killed);
    assert_eq!(replayed(&logs, 1, None, Stamps::Hidden).unwrap(), "before\n1796018400.0", "it can be looked at");
    let (mut steps, mut digest) = (0, None);
    let progress = || {
        steps += 1;
        if steps == 1 {
            return Progress::Running;
        }
        let mut writer = logs.start(&web, 1).unwrap();
        writer.write("after, and longer than what was there").unwrap();
        digest = Some(writer.finish().unwrap());
        Progress::Over(digest)
    };
    let seen = gathered(|take| logs.follow(&web, 1, Stamps::Hidden, progress, take).unwrap()).unwrap();
    assert_eq!(seen, "before\nafter, and longer than what was there\n");
    assert_eq!(replayed(&logs, 1, digest.as_ref(), Stamps::Hidden).unwrap(), "after, and longer than what was there\n");
}

#[test]
fn there_is_room_for_so_much_and_no_more() {
    let temp = tempfile::tempdir().unwrap();
    let (logs, web) = (logs(&temp), key("team-a", "web"));
    let mut writer = logs.start(&web, 1).unwrap();
    let line = "x".repeat(1 << 20);
    for _ in 0..20 {
        writer.write_at(&line, at(0)).unwrap();
    }
    writer.write_at("short", at(0)).unwrap();
    let digest = writer.finish().unwrap();
    assert!(fs::metadata(logs.kept(&digest)).unwrap().len() <= MAX_LOG);
    let text = replayed(&logs, 1, Some(&digest), Stamps::Hidden).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[14].len()), (16, 1 << 20));
    assert_eq!(lines[15], LEFT_OUT);
    // A line that alone is too long.
    let mut writer = logs.start(&web, 2).unwrap();
    writer.write_at(&"x".repeat(17 << 20), at(0)).unwrap();
    let digest = writer.finish().unwrap();
    assert_eq!(replayed(&logs, 2, Some(&digest), Stamps::Hidden).unwrap(), format!("{LEFT_OUT}\n"));
}

#[test]
fn logs_go_with_their_builds() {
    let temp = tempfile::tempdir().unwrap();
    let logs = logs(&temp);
    // A namespace may be called like the folder of what is over.
    let images = [key("team-a", "web"), key(KEPT, "web")];
    let write = |key: &ImageKey, number: u64| {
        let mut writer = logs.start(key, number).unwrap();
        writer.write(&format!("{key} {number}")).unwrap();
        writer
    };
    let over = images.each_ref().map(|key| write(key, 1).finish().unwrap());
    let running = images.each_ref().map(|key| write(key, 2));
    for key in &images {
        drop(write(key, 3));
    }
    let later = SystemTime::now() + GRACE + Duration::from_mins(1);
    assert_eq!(logs.gc(&BTreeSet::new()).unwrap(), 0, "their records may be written in this moment");
    let size = fs::metadata(logs.kept(&over[1])).unwrap().len();
    assert_eq!(logs.gc_at(&BTreeSet::from([over[0]]), later).unwrap(), size);
    assert_eq!(over.each_ref().map(|digest| logs.kept(digest).exists()), [true, false]);
    for (key, writer) in images.iter().zip(running) {
        assert!(logs.running(key, 3).exists(), "what was killed may be taken up again");
        logs.remove(key).unwrap();
        assert!(!logs.running(key, 3).exists());
        assert!(logs.running(key, 2).exists(), "it is being written");
        let digest = writer.finish().unwrap();
        assert!(logs.kept(&digest).exists());
        logs.remove(key).unwrap();
        logs.remove(key).unwrap();
        assert!(!logs.running(key, 2).parent().unwrap().exists());
    }
    assert!(logs.kept(&over[0]).exists());
}

#[test]
fn what_is_no_log_is_shown_as_it_is() {
    let temp = tempfile::tempdir().unwrap();
    let logs = logs(&temp);
    let writer = logs.start(&key("team-a", "web"), 1).unwrap();
    let path = writer.path.clone();
    drop(writer);
    let text = "no time\n1.22 x\n99999999999999999999.000 x\n999999999999.000 x\n1.000\n1.000 \n\n";
    fs::write(&path, text).unwrap();
    let expected = text.replace("1.000 \n", "1970-01-01T00:00:01.000Z \n");
    assert_eq!(replayed(&logs, 1, None, Stamps::Shown).unwrap(), expected);
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    let refused = logs.open_log(&key("team-a", "web"), 1, None).unwrap_err();
    insta::assert_snapshot!(refused, @"could not read the log of build 1 of team-a/web");
}

#[test]
fn who_has_seen_enough_is_let_go() {
    let temp = tempfile::tempdir().unwrap();
    let (logs, web) = (logs(&temp), key("team-a", "web"));
    let mut writer = logs.start(&web, 1).unwrap();
    writer.write("one").unwrap();
    let mut seen = 0;
    let leave = |_: &[u8]| {
        seen += 1;
        ControlFlow::Break(())
    };
    assert!(logs.follow(&web, 1, Stamps::Hidden, || Progress::Running, leave).unwrap());
    assert_eq!(seen, 1);
}
