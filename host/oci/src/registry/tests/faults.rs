//! Every kind of fault at every request, and what a name leads to meanwhile (R5, R7 of the rules that the tests follow:
//! four faults in a row are survived, and a tag is moved by a whole image or not at all).

use std::thread;

use super::*;
use crate::testing::registry::Script;

const FAULTS: [Wrong; 15] = [
    Wrong::Unauthorised,
    Wrong::Status(408, None),
    Wrong::Status(429, Some("7")),
    Wrong::Status(429, Some("86400")),
    Wrong::Status(500, None),
    Wrong::Status(502, None),
    Wrong::Status(503, Some("0")),
    Wrong::Status(504, None),
    Wrong::Status(522, None),
    Wrong::Unheard,
    Wrong::Unanswered,
    Wrong::Half,
    Wrong::Overstated,
    Wrong::Cut(0),
    Wrong::Cut(20),
];

/// `times` faults from request `from` on. A blob that says to be larger than its descriptor is no fault but a lie (N1).
fn from_request(from: usize, times: usize, wrong: Wrong) -> Script {
    Box::new(move |asked| {
        let is_lie = wrong == Wrong::Overstated && asked.method == "GET" && asked.path.contains("/blobs/");
        ((from..from + times).contains(&asked.number) && !is_lie).then_some(wrong)
    })
}

/// Publishes and pulls; how many requests it took, and how long was waited at most.
fn round_trip(image: &Image, script: Script) -> (usize, Duration) {
    let world =
        world_of(Character { guard: Guard::Bearer(ME), script: Some(script), ..Character::default() }, Some(ME));
    let there_and_back = || {
        assert_eq!(world.push("app:1", image)?.digest, image.digest());
        read(&world.pull("app:1")?)
    };
    let back = there_and_back();
    let back = back.unwrap_or_else(|error| panic!("{}\n{:?}", world.told(&error), world.registry.lines()));
    assert_eq!(back, read(image).unwrap());
    (world.registry.lines().len(), world.clock.waits().into_iter().max().unwrap_or_default())
}

#[test]
fn one_fault_of_any_kind_at_any_request_is_survived() {
    let image = two_layers();
    let (requests, waited) = round_trip(&image, Box::new(|_| None));
    assert_eq!(waited, Duration::ZERO);
    assert!(requests > 15, "{requests}");
    thread::scope(|scope| {
        for wrong in FAULTS {
            let image = &image;
            scope.spawn(move || {
                for number in 0..requests {
                    let (_, waited) = round_trip(image, from_request(number, 1, wrong));
                    assert!(waited <= Duration::from_mins(1), "{wrong:?} at {number}: {waited:?}");
                }
            });
        }
    });
}

#[test]
fn four_faults_in_a_row_are_survived_and_no_fifth() {
    let image = two_layers();
    let (requests, _) = round_trip(&image, Box::new(|_| None));
    for wrong in [Wrong::Status(503, None), Wrong::Unheard, Wrong::Half] {
        for number in (0..requests).step_by(3) {
            round_trip(&image, from_request(number, 4, wrong));
        }
    }
    // One request after the other, so that all five meet the same one.
    let script = from_request(0, 5, Wrong::Status(503, None));
    let world = world_of(Character { script: Some(script), ..Character::default() }, None);
    let error = world.pull("app:1").unwrap_err();
    assert!(world.told(&error).contains("answered 503"), "{}", world.told(&error));
    assert_eq!(world.registry.lines().len(), 5);
}

#[test]
fn silence_is_survived() {
    let image = two_layers();
    let script = from_request(3, 1, Wrong::Silence);
    let mut world = world_of(Character { script: Some(script), ..Character::default() }, None);
    let options = Options { headers: Duration::from_millis(300), clock: world.clock.clone(), ..Options::default() };
    world.registries.client = Client::new(options);
    world.push("app:1", &image).unwrap();
}

#[test]
fn waits_double_are_spread_and_honour_the_registrys_wish() {
    let waits = |wait| {
        let script = from_request(0, 4, Wrong::Status(503, wait));
        let world = world_of(Character { script: Some(script), ..Character::default() }, None);
        world.push("app:1", &two_layers()).unwrap();
        world.clock.waits()
    };
    // Eight look at once; the first four requests fail whosever they are.
    assert!(waits(None).iter().all(|wait| (100..=1600).contains(&wait.as_millis())), "{:?}", waits(None));
    assert!(waits(Some("7")).iter().all(|wait| *wait == Duration::from_secs(7)));
}

#[test]
fn a_name_leads_to_the_old_image_until_the_new_one_is_whole() {
    let (old, new) = (two_layers(), image("amd64", vec![layer(&[("a", "1")]), layer(&[("c", "3")])]));
    let is_old = |world: &World| world.registry.manifest("app", "1").as_deref() == Some(&old.manifest[..]);
    let begun = Arc::new(Mutex::new(None::<usize>));
    for late in 0.. {
        *begun.lock().unwrap() = None;
        let from = Arc::clone(&begun);
        // From the `late`th request of the second push on, nothing works any more.
        let script: Script = Box::new(move |asked| {
            let begun = *from.lock().unwrap();
            begun.is_some_and(|begun| asked.number >= begun + late).then_some(Wrong::Status(500, None))
        });
        let world = world_of(Character { script: Some(script), ..Character::default() }, None);
        world.push("app:1", &old).unwrap();
        let before = world.registry.lines().len();
        *begun.lock().unwrap() = Some(before);
        let result = world.push("app:1", &new);
        let asked = world.registry.lines().split_off(before);
        let put = asked.iter().position(|line| line.starts_with("PUT /v2/app/manifests/"));
        let is_moved = put.is_some_and(|put| put < late);
        assert_eq!(is_old(&world), !is_moved, "{late}: {asked:?}");
        assert_eq!(result.is_ok(), late >= asked.len(), "{late}: {asked:?}");
        if result.is_ok() {
            return;
        }
    }
}
