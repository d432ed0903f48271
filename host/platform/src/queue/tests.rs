//! What starts when, told step by step; and what holds whatever happens.

use proptest::prelude::*;

use super::*;
use crate::testing::digest;

fn key(text: &str) -> ImageKey {
    let (namespace, name) = text.split_once('/').unwrap();
    ImageKey { namespace: namespace.parse().unwrap(), name: name.parse().unwrap() }
}

/// `c:team/web@wish` is a commit, `u:team/web` an update.
fn job(text: &str) -> Job {
    let (kind, rest) = text.split_once(':').unwrap();
    let (image, wish) = rest.split_once('@').unwrap_or((rest, "first"));
    let priority = if kind == "c" { Priority::High } else { Priority::Low };
    Job { image: key(image), priority, wish: digest(wish), timeout: None }
}

fn told(steps: &[Step]) -> String {
    let told = steps.iter().map(|step| match step {
        Step::Start { job, .. } => format!("start {}", job.image),
        Step::Stop { image, why } => format!("stop {image}: {why}"),
        Step::Drop { image, why } => format!("drop {image}: {why}"),
    });
    told.collect::<Vec<_>>().join(", ")
}

fn queue(concurrent: usize) -> Queue {
    Queue::new(Limits { concurrent, ..Limits::default() })
}

fn submit(queue: &mut Queue, jobs: &[&str]) -> String {
    told(&queue.submit(jobs.iter().map(|text| job(text)), 0))
}

fn finished(queue: &mut Queue, image: &str) -> String {
    told(&queue.finished(&key(image), 0))
}

#[test]
fn a_commit_overtakes_a_thousand_rebases() {
    let mut queue = queue(4);
    let updates: Vec<Job> = (0..1000).map(|at| job(&format!("u:ns-{}/image-{at}", at % 10))).collect();
    assert_eq!(queue.submit(updates, 0).len(), 4);
    assert_eq!(submit(&mut queue, &["c:team/web"]), "", "nothing that runs is stopped for it");
    let first = queue.running().next().unwrap().clone();
    let steps = queue.finished(&first, 0);
    let [Step::Start { job, turn }] = &steps[..] else { panic!("{}", told(&steps)) };
    assert_eq!((job.image.clone(), *turn), (key("team/web"), Turn::Owner));
}

#[test]
fn updates_come_to_an_end_behind_commits_without_end() {
    let mut queue = Queue::new(Limits { concurrent: 1, patience: 3, ..Limits::default() });
    let mut started = Vec::new();
    let mut steps = queue.submit([job("c:a/c0"), job("u:a/u0"), job("u:a/u1")], 0);
    for at in 1..10 {
        let [Step::Start { job, .. }] = &steps[..] else { panic!("{}", told(&steps)) };
        started.push(job.image.name.to_string());
        let image = job.image.clone();
        queue.submit([self::job(&format!("c:a/c{at}"))], 0);
        steps = queue.finished(&image, 0);
    }
    assert_eq!(started, ["c0", "c1", "c2", "u0", "c3", "c4", "c5", "u1", "c6"]);
}

#[test]
fn namespaces_share() {
    let mut queue = queue(2);
    assert_eq!(
        submit(&mut queue, &["c:big/a", "c:big/b", "c:big/c", "c:big/d", "c:small/a"]),
        "start big/a, start small/a"
    );
    assert_eq!(finished(&mut queue, "small/a"), "start big/b", "room is never left empty");
    assert_eq!(submit(&mut queue, &["c:small/b", "c:tiny/a"]), "");
    assert_eq!(finished(&mut queue, "big/a"), "start tiny/a", "of two that run nothing, who was never served");
    assert_eq!(finished(&mut queue, "big/b"), "start small/b");
    assert_eq!(finished(&mut queue, "tiny/a"), "start big/c");
}

#[test]
fn a_namespace_can_be_limited() {
    let mut queue = Queue::new(Limits { concurrent: 4, per_namespace: Some(1), ..Limits::default() });
    assert_eq!(submit(&mut queue, &["c:a/1", "c:a/2", "u:b/1"]), "start a/1, start b/1");
    assert_eq!(finished(&mut queue, "b/1"), "");
    assert_eq!(finished(&mut queue, "a/1"), "start a/2");
}

#[test]
fn one_build_of_an_image_at_a_time_and_only_the_newest_wish_waits() {
    let mut queue = queue(4);
    assert_eq!(submit(&mut queue, &["c:a/web@1"]), "start a/web");
    assert_eq!(submit(&mut queue, &["c:a/web@2"]), "");
    assert_eq!(submit(&mut queue, &["c:a/web@3"]), "");
    assert_eq!(queue.waiting(), 1);
    let steps = queue.finished(&key("a/web"), 0);
    assert!(matches!(&steps[..], [Step::Start { job, .. }] if job.wish == digest("3")), "{}", told(&steps));
    assert_eq!(finished(&mut queue, "a/web"), "");
}

#[test]
fn a_newer_source_replaces_what_waits_and_keeps_its_place() {
    let mut queue = queue(1);
    submit(&mut queue, &["c:a/first", "c:a/web@1", "c:a/later"]);
    assert_eq!(submit(&mut queue, &["c:a/web@2"]), "drop a/web: a newer source came");
    assert_eq!(submit(&mut queue, &["c:a/web@2"]), "", "the same again is the same");
    assert_eq!(finished(&mut queue, "a/first"), "start a/web");
}

#[test]
fn a_commit_lifts_an_update_that_waits() {
    let mut queue = queue(1);
    submit(&mut queue, &["u:a/first", "u:a/other", "u:a/web"]);
    submit(&mut queue, &["c:a/web"]);
    assert_eq!(finished(&mut queue, "a/first"), "start a/web");
}

#[test]
fn a_running_build_gives_way_if_it_is_told_to_and_not_for_ever() {
    let mut queue = Queue::new(Limits { concurrent: 1, stop_outdated: true, ..Limits::default() });
    submit(&mut queue, &["c:a/web@0"]);
    assert_eq!(submit(&mut queue, &["u:a/web@0"]), "", "the same source: it goes on");
    assert_eq!(submit(&mut queue, &["c:a/web@1"]), "stop a/web: a newer source came");
    assert_eq!(submit(&mut queue, &["c:a/web@2"]), "", "it was told already");
    assert_eq!(finished(&mut queue, "a/web"), "start a/web");
    assert_eq!(submit(&mut queue, &["c:a/web@3"]), "stop a/web: a newer source came");
    assert_eq!(finished(&mut queue, "a/web"), "start a/web");
    assert_eq!(submit(&mut queue, &["c:a/web@4"]), "", "the third in a row is let through");
    assert_eq!(finished(&mut queue, "a/web"), "start a/web");
    assert_eq!(submit(&mut queue, &["c:a/web@5"]), "stop a/web: a newer source came");
}

#[test]
fn builds_are_cancelled_and_withdrawn() {
    let mut queue = queue(1);
    submit(&mut queue, &["c:a/web@1", "c:a/other"]);
    submit(&mut queue, &["c:a/web@2"]);
    assert_eq!(told(&queue.cancel(&key("a/web"))), "drop a/web: somebody stopped it, stop a/web: somebody stopped it");
    assert_eq!(told(&queue.cancel(&key("a/web"))), "");
    assert_eq!(told(&queue.withdraw(&key("a/other"))), "drop a/other: it is no longer needed");
    assert_eq!(finished(&mut queue, "a/web"), "");
    assert_eq!(told(&queue.cancel(&key("a/nothing"))), "");
    assert_eq!(finished(&mut queue, "a/nothing"), "");
}

#[test]
fn what_takes_too_long_is_stopped_once() {
    let mut queue = queue(1);
    queue.submit([Job { timeout: Some(60), ..job("c:a/web") }], 100);
    assert_eq!(queue.next_deadline(), Some(160));
    assert_eq!(told(&queue.tick(159)), "");
    assert_eq!(told(&queue.tick(160)), "stop a/web: it took longer than it may");
    assert_eq!((told(&queue.tick(200)), queue.next_deadline()), (String::new(), None));
}

#[test]
fn other_limits_hold_at_once() {
    let mut queue = queue(1);
    submit(&mut queue, &["c:a/1", "c:a/2", "c:a/3"]);
    assert_eq!(told(&queue.set_limits(Limits { concurrent: 3, ..Limits::default() }, 0)), "start a/2, start a/3");
    queue.submit([job("c:a/4")], 0);
    assert_eq!(told(&queue.set_limits(Limits { concurrent: 1, ..Limits::default() }, 0)), "");
    assert_eq!((finished(&mut queue, "a/1"), finished(&mut queue, "a/2")), (String::new(), String::new()));
    assert_eq!(finished(&mut queue, "a/3"), "start a/4");
}

/// What can happen to a queue.
#[derive(Debug, Clone)]
enum Event {
    Submit { namespace: u8, name: u8, is_commit: bool, wish: u8 },
    Finish(u8),
    Cancel { namespace: u8, name: u8 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..4_u8, 0..4_u8, any::<bool>(), 0..3_u8)
            .prop_map(|(namespace, name, is_commit, wish)| Event::Submit { namespace, name, is_commit, wish }),
        3 => any::<u8>().prop_map(Event::Finish),
        1 => (0..4_u8, 0..4_u8).prop_map(|(namespace, name)| Event::Cancel { namespace, name }),
    ]
}

proptest! {
    /// Never more than the limits, never two of one image; what is submitted last starts, once, unless it is cancelled.
    #[test]
    fn limits_hold_and_everything_starts_once(
        events in prop::collection::vec(event(), 0..120),
        concurrent in 1..4_usize,
        per_namespace in prop::option::of(1..3_usize),
        stop_outdated: bool,
    ) {
        let limits = Limits { concurrent, per_namespace, patience: 3, stop_outdated };
        let mut queue = Queue::new(limits);
        let mut wanted: BTreeMap<ImageKey, Digest> = BTreeMap::new();
        let mut running: BTreeMap<ImageKey, Digest> = BTreeMap::new();
        let name = |namespace, name| key(&format!("ns-{namespace}/image-{name}"));
        let mut take = |steps: Vec<Step>, wanted: &mut BTreeMap<ImageKey, Digest>, ended: Option<&ImageKey>| {
            if let Some(image) = ended {
                running.remove(image);
            }
            for step in steps {
                if let Step::Start { job, .. } = step {
                    assert_eq!(wanted.remove(&job.image), Some(job.wish), "the newest wish, once");
                    assert!(running.insert(job.image, job.wish).is_none(), "two of one image");
                }
            }
            assert!(running.len() <= concurrent);
            for namespace in running.keys().map(|image| &image.namespace) {
                let of = running.keys().filter(|image| image.namespace == *namespace).count();
                assert!(per_namespace.is_none_or(|most| of <= most));
            }
            running.keys().cloned().collect::<Vec<_>>()
        };
        let mut now_running = Vec::new();
        for event in events {
            now_running = match event {
                Event::Submit { namespace, name: image, is_commit, wish } => {
                    let kind = if is_commit { "c" } else { "u" };
                    let job = job(&format!("{kind}:ns-{namespace}/image-{image}@{wish}"));
                    wanted.insert(job.image.clone(), job.wish);
                    let steps = queue.submit([job], 0);
                    take(steps, &mut wanted, None)
                }
                Event::Finish(which) if !now_running.is_empty() => {
                    let image = now_running[usize::from(which) % now_running.len()].clone();
                    let steps = queue.finished(&image, 0);
                    take(steps, &mut wanted, Some(&image))
                }
                Event::Finish(_) => now_running,
                Event::Cancel { namespace, name: image } => {
                    let image = name(namespace, image);
                    wanted.remove(&image);
                    let steps = queue.cancel(&image);
                    take(steps, &mut wanted, None)
                }
            };
        }
        // Builds end, and so does the queue.
        for _ in 0..200 {
            let Some(image) = now_running.first().cloned() else { break };
            let steps = queue.finished(&image, 0);
            now_running = take(steps, &mut wanted, Some(&image));
        }
        prop_assert!(wanted.is_empty() && now_running.is_empty() && queue.waiting() == 0, "{wanted:?}");
    }

    /// With commits without end, whatever waits starts after a number of starts that is bounded by what waits before it.
    #[test]
    fn nothing_starves(updates in 1..8_usize, concurrent in 1..4_usize, patience in 1..5_u32) {
        let mut queue = Queue::new(Limits { concurrent, patience, ..Limits::default() });
        let waiting: Vec<Job> = (0..updates).map(|at| job(&format!("u:ns-{}/u{at}", at % 3))).collect();
        let mut running: std::collections::VecDeque<ImageKey> = std::collections::VecDeque::new();
        let mut left = updates;
        let mut steps = queue.submit((0..concurrent).map(|at| job(&format!("c:busy/first{at}"))), 0);
        steps.extend(queue.submit(waiting, 0));
        let most = updates * (patience as usize + 1) + concurrent;
        for at in 0..=most {
            for step in steps.drain(..) {
                if let Step::Start { job, .. } = step {
                    left -= usize::from(job.priority == Priority::Low);
                    running.push_back(job.image);
                }
            }
            steps = queue.submit([job(&format!("c:busy/c{at}"))], 0);
            let image = running.pop_front().unwrap();
            steps.extend(queue.finished(&image, 0));
        }
        prop_assert_eq!(left, 0);
    }
}
