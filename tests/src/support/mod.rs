//! What the tests share: a world of its own for each, the program, apps to build, tools to compare with.

pub(crate) mod app;
pub(crate) mod author;
pub(crate) mod calls;
pub(crate) mod certificates;
pub(crate) mod container;
pub(crate) mod env;
pub(crate) mod filters;
pub(crate) mod guests;
pub(crate) mod images;
pub(crate) mod jar;
pub(crate) mod killer;
pub(crate) mod mirror;
pub(crate) mod peers;
pub(crate) mod platform;
pub(crate) mod process;
pub(crate) mod registry;
pub(crate) mod tools;
pub(crate) mod warm;
