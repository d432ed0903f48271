//! What is written down of a buildpack: when it runs, when it fails, and when it is remembered.

use stave_model::{
    capability::{Excess, Interface},
    policy::record::Withholder,
};

use super::{
    builds::{group, jre, thorough},
    *,
};
use crate::testing::Book;

/// Runs whose ledger is this book.
fn runs(artifacts: Artifacts) -> (Runs, Arc<Book>) {
    let mut runs = Runs::new(artifacts);
    let book = Arc::new(Book::default());
    runs.shop.ledger = book.clone();
    (runs, book)
}

#[test]
fn what_is_remembered_counts_as_done() {
    let (mut runs, book) = runs(Artifacts::of(&[&jre()]));
    let group = group(vec![thorough()], &["jre"]);
    let component = group.members[0].digest();
    runs.build(&group, &World::of(&[]));
    let ran = book.take(&component);
    assert_eq!((ran.used.ecosystems.len(), ran.used.interfaces.contains(&Interface::Artifacts)), (1, true));
    runs.recalls();
    runs.build(&group, &World::of(&[("README", "")]));
    assert_eq!(runs.recalls(), ["remembered"]);
    assert_eq!(book.take(&component), ran);
}

#[test]
fn what_was_denied_is_written_down_also_of_one_that_fails_or_is_remembered() {
    let (mut runs, book) = runs(Artifacts::default());
    let fake = asking(|bench| {
        bench.setting("BP_VERSION").unwrap();
        bench.setting("HOME").unwrap_err();
    });
    let denied = [(Excess::Setting("HOME".to_owned()), Withholder::Manifest)];
    for how in ["ran: first time", "remembered"] {
        runs.detect(&fake, &World::of(&[])).unwrap();
        assert_eq!(runs.recall(), how);
        let record = book.take(&fake.digest());
        let told: Vec<_> = record.denied.into_iter().map(|denial| (denial.what, denial.by)).collect();
        assert_eq!(told, denied, "{how}");
        assert_eq!(record.used.settings, ["BP_VERSION".to_owned()].into());
    }
    let failing = Fake::new("t/fails@1.0.0").detects(|bench| {
        bench.setting("HOME").unwrap_err();
        Err(RunError::BadAnswer("x".to_owned()))
    });
    runs.detect(&failing, &World::of(&[])).unwrap_err();
    assert_eq!(book.take(&failing.digest()).denied.len(), 1);
}
