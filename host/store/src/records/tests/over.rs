//! A wish that takes the place of the one that was read, and of no other.

use super::*;

#[test]
fn what_somebody_read_and_changed_takes_the_place_of_that_alone() {
    let temp = tempfile::tempdir().unwrap();
    let records = open(&temp);
    let stack = |image: &str| {
        let spec = json!({ "id": "a", "runImage": { "image": image } });
        resource("ClusterStack", &json!({ "name": "base" }), &spec)
    };
    let overtaken = |resource: &Resource, generation: u64| {
        let before = records.snapshot().unwrap();
        let error = records.apply_over(resource, Over::Generation(generation)).unwrap_err();
        assert!(matches!(error, ApplyError::Overtaken { .. }));
        assert_eq!(records.snapshot().unwrap(), before);
        error.to_string()
    };
    let at = |resource: &Resource, generation| records.apply_over(resource, Over::Generation(generation)).unwrap();
    assert_eq!(overtaken(&image("web", &[]), 1), "the image team-a/web was changed by somebody else meanwhile");
    assert_eq!(at(&image("web", &[]), 0), Applied::Created);
    overtaken(&image("web", &[]), 0);
    assert_eq!(at(&image("web", &[("A", "1")]), 1), Applied::Changed);
    overtaken(&image("web", &[("A", "2")]), 1);
    assert_eq!(at(&image("web", &[("A", "1")]), 2), Applied::Unchanged);

    assert_eq!(at(&stack("registry.example.com/run:1"), 0), Applied::Created);
    let said = overtaken(&stack("registry.example.com/run:2"), 0);
    assert_eq!(said, "the stack base was changed by somebody else meanwhile");
    assert_eq!(records.apply(&stack("registry.example.com/run:2")).unwrap(), Applied::Changed);
    overtaken(&stack("registry.example.com/run:3"), 1);
}
