//! The one look at the clock that is no image's business: whether what a build brings in is still mended by whoever makes it.

use std::time::{SystemTime, UNIX_EPOCH};

use stave_lifecycle::{
    build::Built,
    port::observer::{Event, Level, Observer},
};
use stave_model::{dependency::eol::ending, time::Date};

/// The day of today, for messages.
pub(crate) fn today() -> Date {
    Date::of(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// Warns of what is brought in and is not mended any more, or soon will not be. It is said of remembered layers as of new ones,
/// and changes nothing: the same source gives the same image on every day.
pub(crate) fn tell(built: &Built, today: Date, observer: &dyn Observer) {
    for part in &built.parts {
        for ending in part.brought_in().filter_map(|dependency| ending(dependency, today)) {
            let text = format!("{ending}; {} brings it in", part.manifest.title());
            observer.observe(Event::Note(Level::Warning, text));
        }
    }
}
