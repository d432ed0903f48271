//! Decisions as tables: the numbered scenarios of what kpack does, what ours does better, and the workshop's story.

mod failures;
mod policies;
mod scenarios;
mod words;
mod workshop;
