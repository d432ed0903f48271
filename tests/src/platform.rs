//! The platform as people see it: what becomes of resources and their builds, builders, tables, logs, uploads, imports.
//!
//! The numbers are those of the scenarios that `tests/README.md` lists; 1 to 32, which are about decisions alone, are tables in
//! `host/platform`.

mod builders;
mod buildpacks;
mod imports;
mod logs;
mod objects;
mod tables;
mod together;
mod uploads;
