//! What fails: closures, processes, the disk, the file.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process,
};

use super::*;

fn file(temp: &tempfile::TempDir) -> PathBuf {
    temp.path().join("data/platform/records.db")
}

/// Fault, message, causes and hint, without where the test runs.
fn told(temp: &tempfile::TempDir, failed: &Failed) -> String {
    let hint = failed.hint.as_deref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    let text = format!("{:?}: {}{hint}", failed.fault, failed.sentence());
    text.replace(&temp.path().display().to_string(), "/tmp")
}

/// An image with one build.
fn built(temp: &tempfile::TempDir) -> DiskRecords {
    let records = open(temp);
    records.apply(&image("web", &[])).unwrap();
    begin(&records, "web", &[1]);
    records
}

#[test]
fn a_change_that_fails_or_panics_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let records = built(&temp);
    let before = records.snapshot().unwrap();
    let change = |record: &mut ImageRecord| {
        record.image.status.triggers = 9;
        record.builds.clear();
    };
    let mut fail = |record: &mut ImageRecord| {
        change(record);
        Err(Failed::new(Fault::Transient, "could not reach the registry").hint("wait"))
    };
    let failed = records.amend_image(&key("web"), &mut fail).unwrap_err();
    insta::assert_snapshot!(told(&temp, &failed), @"
    Transient: could not reach the registry
    hint: wait
    ");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        records.amend_image(&key("web"), &mut |record| {
            change(record);
            panic!("a fault of whoever asks")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(records.snapshot().unwrap(), before);
    assert_eq!(open(&temp).snapshot().unwrap(), before);
    // And it goes on.
    let mut again = |record: &mut ImageRecord| {
        change(record);
        Ok(())
    };
    records.amend_image(&key("web"), &mut again).unwrap();
    assert_eq!(open(&temp).image(&key("web")).unwrap().unwrap().builds, []);
}

#[test]
fn builds_that_are_not_the_image_s_are_not_kept() {
    let temp = tempfile::tempdir().unwrap();
    let records = built(&temp);
    let before = records.snapshot().unwrap();
    let add = |one: Build| {
        let mut add = |record: &mut ImageRecord| {
            record.builds.push(one.clone());
            Ok(())
        };
        told(&temp, &records.amend_image(&key("web"), &mut add).unwrap_err())
    };
    insta::assert_snapshot!(add(build(&key("web"), 1)), @"Refused: could not keep two builds of the image team-a/web with the number 1");
    insta::assert_snapshot!(add(build(&key("other"), 2)), @"Refused: could not keep build 2 of the image team-a/other with those of the image team-a/web");
    insta::assert_snapshot!(add(build(&key("web"), u64::MAX)), @"Refused: could not keep build 18446744073709551615 of the image team-a/web");
    assert_eq!(records.snapshot().unwrap(), before);
}

/// Not a test by itself: the process that `a_killed_process_leaves_all_or_nothing` runs.
#[test]
fn writer_to_be_killed() {
    let Some(folder) = std::env::var_os("STAVE_TEST_KILLED_RECORDS") else { return };
    let records = DiskRecords::open(&Folder::open(folder.into(), DATA_VARIABLE).unwrap()).unwrap();
    begin(&records, "web", &[2]);
    let db = records.writer.lock().unwrap();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    db.execute_batch("UPDATE meta SET version = version + 1; DELETE FROM builds; DELETE FROM images").unwrap();
    // All of it is on the disk, but for the word that it counts.
    db.cache_flush().unwrap();
    process::abort();
}

#[test]
fn a_killed_process_leaves_all_or_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let records = built(&temp);
    let run = || {
        process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "records::tests::trouble::writer_to_be_killed"])
            .env("STAVE_TEST_KILLED_RECORDS", data(&temp).path())
            .output()
            .unwrap()
    };
    let killed = run();
    assert!(!killed.status.success());
    // Somebody who had the file open all the time, somebody who comes, and the file after everybody left.
    for records in [records, open(&temp), open(&temp)] {
        let snapshot = records.snapshot().unwrap();
        let out = String::from_utf8_lossy(&killed.stderr);
        assert_eq!((snapshot.version, numbers(&snapshot.images[&key("web")])), (3, vec![1, 2]), "{out}");
    }
    begin(&open(&temp), "web", &[3]);
    assert_eq!(open(&temp).version().unwrap(), 4);
}

#[test]
fn nobody_else_can_read_the_file() {
    let temp = tempfile::tempdir().unwrap();
    let records = built(&temp);
    let modes = || {
        ["", "-wal", "-shm"].map(|end| {
            let path = format!("{}{end}", file(&temp).display());
            fs::metadata(path).unwrap().permissions().mode() & 0o7777
        })
    };
    assert_eq!(modes(), [0o600; 3]);
    assert_eq!(fs::metadata(temp.path().join("data/platform")).unwrap().permissions().mode() & 0o777, 0o700);
    drop(records);
    fs::set_permissions(file(&temp), fs::Permissions::from_mode(0o644)).unwrap();
    let records = open(&temp);
    begin(&records, "web", &[2]);
    assert_eq!(modes(), [0o600; 3]);
}

#[test]
fn a_link_in_the_file_s_place_is_not_followed() {
    let temp = tempfile::tempdir().unwrap();
    let elsewhere = temp.path().join("elsewhere");
    data(&temp).within("platform").unwrap();
    std::os::unix::fs::symlink(&elsewhere, file(&temp)).unwrap();
    let failed = DiskRecords::open(&data(&temp)).unwrap_err();
    insta::assert_snapshot!(told(&temp, &failed), @"Refused: could not open the platform's records in `/tmp/data/platform/records.db`: Too many levels of symbolic links (os error 40)");
    assert!(!elsewhere.exists());
}

#[test]
fn a_newer_file_is_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    drop(built(&temp));
    Connection::open(file(&temp)).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let failed = DiskRecords::open(&data(&temp)).unwrap_err();
    insta::assert_snapshot!(told(&temp, &failed), @"
    Refused: could not open the platform's records in `/tmp/data/platform/records.db`: a newer stave wrote it: its layout is number 7, and this one knows 2
    hint: use the newer stave, or set STAVE_DATA_DIR to another folder
    ");
    Connection::open(file(&temp)).unwrap().pragma_update(None, "user_version", 2).unwrap();
    assert_eq!(open(&temp).version().unwrap(), 2);
}

#[test]
fn a_damaged_file_is_said_and_what_to_do() {
    let temp = tempfile::tempdir().unwrap();
    drop(built(&temp));
    let good = fs::read(file(&temp)).unwrap();
    fs::write(file(&temp), "something else, and longer than the header of a database: ".repeat(9)).unwrap();
    insta::assert_snapshot!(told(&temp, &DiskRecords::open(&data(&temp)).unwrap_err()), @"
    Refused: could not open the platform's records in `/tmp/data/platform/records.db`: file is not a database (SQLite's code 26)
    hint: put a copy of it back, or move `/tmp/data/platform/records.db`, its `-wal` and its `-shm` away, and apply the manifests again
    ");

    // Whatever page is lost, somebody is told and nothing panics.
    let mut found = 0;
    for page in (0..good.len()).step_by(4096) {
        let mut bad = good.clone();
        bad[page..page + 4096].fill(0xa5);
        fs::write(file(&temp), &bad).unwrap();
        let read = DiskRecords::open(&data(&temp)).and_then(|records| {
            records.snapshot()?;
            records.apply(&image("web", &[("A", "1")])).map_err(|error| match error {
                ApplyError::Failed(failed) => failed,
                other => panic!("{other}"),
            })
        });
        if let Err(failed) = read {
            assert_eq!(failed.fault, Fault::Refused, "page at {page}: {}", told(&temp, &failed));
            assert!(failed.hint.unwrap().contains("records.db"));
            found += 1;
        }
    }
    assert!(found >= 5, "{found} pages");
}

#[test]
fn a_row_that_cannot_be_read_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let records = built(&temp);
    let db = Connection::open(file(&temp)).unwrap();
    db.execute_batch("UPDATE builds SET record = '{\"image\":'; UPDATE meta SET version = version + 1").unwrap();
    db.execute_batch("UPDATE images SET changed = changed + 1").unwrap();
    let told = |failed: &Failed| told(&temp, failed);
    insta::assert_snapshot!(told(&records.snapshot().unwrap_err()), @"
    Refused: could not read the platform's records in `/tmp/data/platform/records.db`: what is written of build 1 of the image team-a/web cannot be read: EOF while parsing a value at line 1 column 9
    hint: put a copy of it back, or move `/tmp/data/platform/records.db`, its `-wal` and its `-shm` away, and apply the manifests again
    ");
    let unread = records.amend_image(&key("web"), &mut |_| panic!("nobody is asked")).unwrap_err();
    insta::assert_snapshot!(told(&unread), @"
    Refused: could not change what is remembered of the image team-a/web in `/tmp/data/platform/records.db`: what is written of build 1 of the image team-a/web cannot be read: EOF while parsing a value at line 1 column 9
    hint: put a copy of it back, or move `/tmp/data/platform/records.db`, its `-wal` and its `-shm` away, and apply the manifests again
    ");
    db.execute_batch("UPDATE images SET manifest = '{}'").unwrap();
    let ApplyError::Failed(failed) = records.apply(&image("web", &[])).unwrap_err() else { panic!() };
    insta::assert_snapshot!(told(&failed), @"
    Refused: could not write down the image team-a/web in `/tmp/data/platform/records.db`: what is written of the image team-a/web cannot be read: missing field `metadata` at line 1 column 2
    hint: put a copy of it back, or move `/tmp/data/platform/records.db`, its `-wal` and its `-shm` away, and apply the manifests again
    ");
    db.execute_batch("DELETE FROM builds; UPDATE images SET name = '../' || char(27)").unwrap();
    insta::assert_snapshot!(told(&records.snapshot().unwrap_err()), @r#"
    Refused: could not read the platform's records in `/tmp/data/platform/records.db`: what is written of the image team-a/../\u{1b} cannot be read: `../\u{1b}` is not a valid name: use lower-case letters, digits, `-` and `.`, a letter or digit first and last, at most 63 characters
    hint: put a copy of it back, or move `/tmp/data/platform/records.db`, its `-wal` and its `-shm` away, and apply the manifests again
    "#);
    // What cannot be read can be forgotten.
    db.execute_batch("UPDATE images SET name = 'web'").unwrap();
    assert!(records.remove(&Id::Image(key("web"))).unwrap());
    assert!(records.snapshot().unwrap().images.is_empty());
}

#[test]
fn a_full_disk_is_nobody_s_fault() {
    let temp = tempfile::tempdir().unwrap();
    let records = built(&temp);
    let before = records.snapshot().unwrap();
    let pages: i64 = {
        let db = records.writer.lock().unwrap();
        let pages: i64 = db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        db.pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0)).unwrap()
    };
    let long = "x".repeat(usize::try_from(pages).unwrap() * 4096);
    let ApplyError::Failed(failed) = records.apply(&image("big", &[("LONG", &long)])).unwrap_err() else { panic!() };
    insta::assert_snapshot!(told(&temp, &failed), @"
    Transient: could not write down the image team-a/big in `/tmp/data/platform/records.db`: database or disk is full (SQLite's code 13)
    hint: the disk is full: make room where `/tmp/data/platform` is, or set STAVE_DATA_DIR to a folder elsewhere
    ");
    assert_eq!(records.snapshot().unwrap(), before);
    begin(&records, "web", &[2]);
}

#[test]
fn who_holds_the_file_for_long_is_told_of() {
    let temp = tempfile::tempdir().unwrap();
    drop(built(&temp));
    let records = DiskRecords::open_with(&data(&temp), Duration::from_millis(1)).unwrap();
    let other = Connection::open(file(&temp)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let failed = records.set("a", Some("b")).unwrap_err();
    insta::assert_snapshot!(told(&temp, &failed), @"
    Transient: could not change a setting of the platform in `/tmp/data/platform/records.db`: database is locked (SQLite's code 5)
    hint: another program holds it for long: end that one, or try again
    ");
    // Nobody who only reads waits, also one that comes now.
    assert_eq!(records.version().unwrap(), 2);
    DiskRecords::open_with(&data(&temp), Duration::from_millis(1)).unwrap().snapshot().unwrap();
    other.execute_batch("COMMIT").unwrap();
    records.set("a", Some("b")).unwrap();
}
