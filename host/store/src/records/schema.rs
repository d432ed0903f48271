//! How the records lie in their file, and what is done to a file that an older program wrote.
//!
//! A migration that was ever published stays as it is; what comes is a further one. A program that is older than the file does
//! not touch it: it would read half of what is there and write the rest away.

use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::trouble::{Place, Trouble, retrying};

/// What was done to the file, in its order: `user_version` says how many of these it has seen.
///
/// `manifest` is what people wished for, `state` what is remembered of it, both JSON, and `changed` the version at which either
/// was written last, or a build of it. What is of no namespace has an empty one.
const MIGRATIONS: [&str; 2] = [
    "
    CREATE TABLE meta (version INTEGER NOT NULL) STRICT;
    INSERT INTO meta (version) VALUES (0);
    CREATE TABLE images (
        namespace TEXT NOT NULL, name TEXT NOT NULL, manifest TEXT NOT NULL, state TEXT NOT NULL, changed INTEGER NOT NULL,
        PRIMARY KEY (namespace, name)
    ) STRICT;
    CREATE TABLE builders (
        namespace TEXT NOT NULL, name TEXT NOT NULL, manifest TEXT NOT NULL, state TEXT NOT NULL, changed INTEGER NOT NULL,
        PRIMARY KEY (namespace, name)
    ) STRICT;
    CREATE TABLE stacks (
        namespace TEXT NOT NULL, name TEXT NOT NULL, manifest TEXT NOT NULL, state TEXT NOT NULL, changed INTEGER NOT NULL,
        PRIMARY KEY (namespace, name)
    ) STRICT;
    CREATE TABLE stores (
        namespace TEXT NOT NULL, name TEXT NOT NULL, manifest TEXT NOT NULL, state TEXT NOT NULL, changed INTEGER NOT NULL,
        PRIMARY KEY (namespace, name)
    ) STRICT;
    CREATE TABLE builds (
        namespace TEXT NOT NULL, image TEXT NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL, record TEXT NOT NULL,
        PRIMARY KEY (namespace, image, number),
        FOREIGN KEY (namespace, image) REFERENCES images (namespace, name) ON DELETE CASCADE
    ) STRICT;
    CREATE TABLE settings (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT;
",
    "
    CREATE TABLE packages (
        namespace TEXT NOT NULL, name TEXT NOT NULL, manifest TEXT NOT NULL, state TEXT NOT NULL, changed INTEGER NOT NULL,
        PRIMARY KEY (namespace, name)
    ) STRICT;
",
];

/// How long the file that is written beside the records may stay after it was emptied, in bytes.
const MAX_WAL: i64 = 16 << 20;

/// Opens a connection. `patience` is how long another writer is waited for at a time.
pub(super) fn connect(place: &Place, patience: Duration) -> Result<Connection, Trouble> {
    // Each connection is used by one thread at a time: its mutex is ours.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(place.file(), flags)?;
    db.busy_timeout(patience)?;
    // Whatever a foreign hand wrote into the schema does nothing when it is read.
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "cell_size_check", true)?;
    db.pragma_update(None, "foreign_keys", true)?;
    // Readers and one writer beside each other. The newest changes may be lost when the power fails, but never the file.
    let mode: String = retrying(|| db.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)))?;
    if mode != "wal" {
        return Err(Trouble::NoSharing);
    }
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.pragma_update_and_check(None, "journal_size_limit", MAX_WAL, |_| Ok(()))?;
    Ok(db)
}

/// Brings the file up to this program.
pub(super) fn migrate(db: &Connection) -> Result<(), Trouble> {
    migrate_with(db, &MIGRATIONS)
}

fn migrate_with(db: &Connection, migrations: &[&str]) -> Result<(), Trouble> {
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    // Mostly there is nothing to do, and then nobody who writes is waited for.
    if version(db)? == known {
        return Ok(());
    }
    super::transaction(db, "BEGIN IMMEDIATE", || {
        let found = version(db)?;
        if found > known {
            return Err(Trouble::Newer { found, known });
        }
        let done = usize::try_from(found).map_err(|_| Trouble::Foreign)?;
        let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
        if (done == 0) != (tables == 0) {
            return Err(Trouble::Foreign);
        }
        migrations[done..].iter().try_for_each(|migration| db.execute_batch(migration))?;
        db.pragma_update(None, "user_version", known)?;
        Ok(())
    })
}

fn version(db: &Connection) -> Result<i64, Trouble> {
    Ok(db.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_brought_up_once_and_from_where_it_was() {
        let db = Connection::open_in_memory().unwrap();
        let (first, second) = ("CREATE TABLE a (x); INSERT INTO a VALUES (1)", "INSERT INTO a VALUES (2)");
        let sum = || db.query_row("SELECT sum(x) FROM a", (), |row| row.get::<_, i64>(0)).unwrap();
        for (migrations, expected) in [(&[first][..], 1), (&[first], 1), (&[first, second], 3), (&[first, second], 3)] {
            migrate_with(&db, migrations).unwrap();
            assert_eq!(sum(), expected);
        }
        let error = migrate_with(&db, &[first]).unwrap_err();
        assert!(matches!(error, Trouble::Newer { found: 2, known: 1 }), "{error:?}");
    }

    #[test]
    fn a_migration_that_fails_leaves_the_file_as_it_was() {
        let db = Connection::open_in_memory().unwrap();
        migrate_with(&db, &["CREATE TABLE a (x)", "CREATE TABLE b (x); CREATE TABLE a (x)"]).unwrap_err();
        let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0)).unwrap();
        assert_eq!((tables, version(&db).unwrap()), (0, 0));
    }

    #[test]
    fn somebody_elses_file_is_left_alone() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(matches!(migrate(&db).unwrap_err(), Trouble::Foreign));
        db.execute_batch("DROP TABLE theirs; PRAGMA user_version = -1").unwrap();
        assert!(matches!(migrate(&db).unwrap_err(), Trouble::Foreign));
    }
}
