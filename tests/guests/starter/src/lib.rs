//! A buildpack that never gets as far as being called: it runs for ever when it is started. What runs before the first call is
//! the buildpack's code too, and has to end in the same time.

use std::hint::black_box;

use stave_sdk::{Buildpack, Failure, Report, Requirement, Verdict};

/// Would take every app.
pub struct Starter;

/// Run by a component's start, as constructors of C++ are.
extern "C" fn before_everything() {
    while black_box(true) {}
}

#[expect(unsafe_code, reason = "the linker looks for constructors in this section, and this is one")]
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = before_everything;

impl Buildpack for Starter {
    fn detect() -> Result<Verdict, Failure> {
        Ok(Verdict::pass())
    }

    fn build(_: &[Requirement]) -> Result<Report, Failure> {
        Ok(Report::default())
    }
}

stave_sdk::export!(Starter);
