//! Large blobs through faults: where an upload goes on, and what is sent twice.

use std::sync::{
    LazyLock,
    atomic::{AtomicBool, Ordering},
};

use stave_archive::content::Bytes;
use stave_lifecycle::{
    image::{Descriptor, ImageLayer, LAYER},
    port::observer::{Event, Observer},
};

use super::*;
use crate::testing::registry::{Script, Sessions};

const MIB: usize = 1 << 20;
/// How much may be sent twice because of one fault.
const BOUND: u64 = 8 << 20;

/// A layer that does not compress, as far as registries can tell.
fn large(size: usize) -> ImageLayer {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let words = std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        words.take(24 * MIB / 8).flatten().collect()
    });
    let bytes = &BYTES[..size];
    let (digest, content) = (Digest::of(bytes), Arc::new(Bytes::new(bytes)));
    let descriptor = Descriptor { media_type: LAYER.to_owned(), digest, size: size as u64 };
    ImageLayer { descriptor, diff_id: digest, content, origin: None }
}

/// How far each upload was, event by event.
#[derive(Default)]
struct Watch(Mutex<Vec<(u64, u64)>>);

impl Observer for Watch {
    fn observe(&self, event: Event) {
        if let Event::Progress { done, total: Some(total), .. } = event {
            self.0.lock().unwrap().push((done, total));
        }
    }
}

impl Watch {
    /// By how much the upload of the large blob fell back, each time that it did.
    fn steps_back(&self, size: u64) -> Vec<u64> {
        let told = self.0.lock().unwrap();
        let large: Vec<u64> = told.iter().filter(|(_, total)| *total == size).map(|(done, _)| *done).collect();
        large.windows(2).filter(|pair| pair[0] > pair[1]).map(|pair| pair[0] - pair[1]).collect()
    }
}

/// Closes the connection within the body of these uploads, counted from the first that carries one: after so many bytes.
fn cuts(after: &'static [usize]) -> Script {
    let count = Mutex::new(0);
    Box::new(move |asked| {
        let large = asked.header("content-length")?.parse::<usize>().ok()? > 1000 && asked.path.contains("/uploads/");
        let mut count = count.lock().unwrap();
        *count += usize::from(large);
        after.get(count.checked_sub(1)?).filter(|_| large).map(|after| Wrong::Cut(*after))
    })
}

fn push(world: &World, image: &Image, watch: &Watch) -> Result<Stored, PortError> {
    RegistryTag::new(world.registries.clone(), world.reference("app:1"))?.put(image, watch, &Cancel::new())
}

/// Pushes where the layer is all that has to be sent: the configuration goes up beside it, at a moment of its own, and its
/// requests could stand anywhere between the layer's. Returns the methods of the upload's requests.
fn push_the_layer(world: &World, size: usize) -> String {
    let image = image("amd64", vec![large(size)]);
    world.registry.put_blob("app", &image.config_descriptor().digest, &image.config);
    push(world, &image, &Watch::default()).unwrap();
    let asked = world.registry.asked();
    let uploads = asked.iter().filter(|asked| asked.path.contains("/uploads/"));
    uploads.map(|asked| asked.method.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn an_interrupted_upload_goes_on_from_its_offset() {
    // Three times at nine tenths of what was left.
    const SIZE: usize = 24 * MIB;
    let script = cuts(&[SIZE * 9 / 10, SIZE * 9 / 100, SIZE * 9 / 1000]);
    let world = world_of(Character { script: Some(script), ..Character::default() }, None);
    let (image, watch) = (image("amd64", vec![large(SIZE)]), Watch::default());
    push(&world, &image, &watch).unwrap();
    let back = watch.steps_back(SIZE as u64);
    assert!(back.len() <= 3 && back.iter().all(|bytes| *bytes <= BOUND), "{back:?}");
    let arrived: usize = world.registry.asked().iter().filter(|a| a.method == "PATCH").map(|a| a.body.len()).sum();
    assert_eq!(arrived, SIZE, "no byte that arrived is sent again");
    let mut parts = world.registry.asked().into_iter().filter(|asked| asked.method == "PATCH");
    assert_eq!(parts.next().unwrap().header("content-range"), None, "the first goes as docker sends it");
    let second = format!("{}-{}", SIZE * 9 / 10, SIZE - 1);
    assert_eq!(parts.next().unwrap().header("content-range"), Some(second.as_str()));
    assert!(world.registry.manifest("app", "1").is_some());
}

#[test]
fn a_session_that_was_given_up_is_begun_anew_in_pieces() {
    const SIZE: usize = 20 * MIB;
    let (script, sessions) = (Some(cuts(&[18 * MIB])), Sessions::Fragile);
    let world = world_of(Character { script, sessions, ..Character::default() }, None);
    assert_eq!(push_the_layer(&world, SIZE), "POST PATCH GET POST PATCH PATCH PATCH PUT");
    let sizes: Vec<usize> =
        world.registry.asked().iter().filter(|a| a.method == "PATCH").map(|a| a.body.len()).collect();
    assert_eq!(sizes, [18 * MIB, 8 * MIB, 8 * MIB, 4 * MIB]);
}

#[test]
fn a_registry_without_pieces_gets_the_whole() {
    let world = world_of(Character { sessions: Sessions::Whole, ..Character::default() }, None);
    assert_eq!(push_the_layer(&world, 9 * MIB), "POST PATCH POST PUT");
}

#[test]
fn a_registry_that_refuses_pieces_gets_the_whole_in_the_end() {
    let (script, sessions) = (Some(cuts(&[5 * MIB])), Sessions::Unranged);
    let world = world_of(Character { script, sessions, ..Character::default() }, None);
    assert_eq!(push_the_layer(&world, 9 * MIB), "POST PATCH GET PATCH POST PATCH POST PUT");
}

#[test]
fn a_least_size_of_pieces_is_kept() {
    const SIZE: usize = 24 * MIB;
    // The first session is one that is unknown the next moment.
    let begun = AtomicBool::new(false);
    let gone: Hook = Box::new(move |asked| {
        let is_first = asked.method == "POST" && !begun.swap(true, Ordering::SeqCst);
        is_first.then(|| Reply::new(202, "").header("location", "/v2/app/blobs/uploads/gone"))
    });
    let sessions = Sessions::Least(10 * MIB);
    let world = world_of(Character { hook: Some(gone), sessions, ..Character::default() }, None);
    push_the_layer(&world, SIZE);
    let sizes: Vec<usize> =
        world.registry.asked().iter().filter(|a| a.method == "PATCH").map(|a| a.body.len()).collect();
    assert_eq!(sizes, [SIZE, 10 * MIB, 10 * MIB, 4 * MIB]);
}

#[test]
fn a_later_run_goes_on_where_this_one_ended() {
    const SIZE: usize = 16 * MIB;
    // In the middle of the large blob everything ends, as it does for a run that is killed.
    let is_well = Arc::new(Mutex::new(false));
    let (well, down) = (Arc::clone(&is_well), Mutex::new(false));
    let script: Script = Box::new(move |asked| {
        let mut down = down.lock().unwrap();
        if *well.lock().unwrap() {
            return None;
        }
        if asked.method == "PATCH" && !std::mem::replace(&mut *down, true) {
            return Some(Wrong::Cut(12 * MIB));
        }
        down.then_some(Wrong::Unheard)
    });
    let world = world_of(Character { script: Some(script), ..Character::default() }, None);
    let mut image = image("amd64", vec![large(SIZE)]);
    assert_eq!(push(&world, &image, &Watch::default()).unwrap_err().fault, Fault::Network);
    assert_eq!(world.registry.manifest("app", "1"), None);

    *is_well.lock().unwrap() = true;
    let before = world.registry.asked().len();
    push(&world, &image, &Watch::default()).unwrap();
    let asked = world.registry.asked().split_off(before);
    let large: Vec<_> = asked.iter().filter(|a| matches!(a.method.as_str(), "GET" | "PATCH")).collect();
    let shown: Vec<_> = large.iter().map(|asked| (asked.method.as_str(), asked.body.len())).collect();
    assert_eq!(shown, [("GET", 0), ("PATCH", 4 * MIB)]);

    // The session is over: nobody goes on there again.
    let before = world.registry.asked().len();
    world.registry.lose_blob("app", &image.layers[0].descriptor.digest);
    image.config.push(b' ');
    let image = Image::new(image.platform, image.config, image.layers);
    push(&world, &image, &Watch::default()).unwrap();
    let sent = world.registry.asked().split_off(before);
    assert!(sent.iter().all(|asked| asked.method != "GET"), "{:?}", world.registry.lines().split_off(before));
}

#[test]
fn n20_a_registry_is_believed_where_it_has_less_and_not_where_it_has_more() {
    const SIZE: usize = 12 * MIB;
    let arrived = |sessions, said: Option<&'static str>| {
        let hook: Option<Hook> = said.map(|said| -> Hook {
            Box::new(move |asked| {
                let asks = asked.method == "GET" && asked.path.contains("/uploads/");
                asks.then(|| Reply::new(204, "").header("range", said))
            })
        });
        let script = Some(cuts(&[11 * MIB]));
        let world = world_of(Character { hook, script, sessions, ..Character::default() }, None);
        push(&world, &image("amd64", vec![large(SIZE)]), &Watch::default()).unwrap();
        let patches = world.registry.asked().into_iter().filter(|asked| asked.method == "PATCH");
        patches.map(|asked| asked.body.len() / MIB).collect::<Vec<_>>()
    };
    assert_eq!(arrived(Sessions::Lasting, None), [11, 1]);
    assert_eq!(arrived(Sessions::Forgetful(5 * MIB), None), [11, 7], "what it has lost is sent again");
    for more in ["0-12582912", "0-18446744073709551615"] {
        assert_eq!(arrived(Sessions::Lasting, Some(more)), [11, 8, 4], "{more}: a new session, in pieces");
    }
}

#[test]
fn a_registry_that_never_agrees_is_left() {
    let hook: Hook = Box::new(|asked| {
        let patch = asked.method == "PATCH";
        patch.then(|| Reply::new(202, "").header("range", "0-0").header("location", asked.path.as_str()))
    });
    let world = world(Guard::Open, None, Some(hook));
    let error = push(&world, &image("amd64", vec![large(9 * MIB)]), &Watch::default()).unwrap_err();
    assert_eq!(error.fault, Fault::Network);
    assert_eq!(world.clock.waits().len(), 4);
}

#[test]
fn a_damaged_blob_of_ours_is_told_as_such() {
    for size in [MIB, 9 * MIB] {
        let world = world(Guard::Open, None, None);
        let mut layer = large(size);
        let mut bytes = layer.content.bytes(u64::MAX).unwrap();
        bytes[100] ^= 1;
        layer.content = Arc::new(Bytes::new(bytes));
        let error = push(&world, &image("amd64", vec![layer]), &Watch::default()).unwrap_err();
        assert_eq!(error.fault, Fault::Integrity);
        assert!(world.told(&error).contains("what is kept here is damaged"), "{}", world.told(&error));
        assert_eq!(world.registry.manifest("app", "1"), None);
    }
}
