//! Content-addressed blobs, kept results and built images on disk.
//!
//! Several programs use these folders at once, any of them may be killed at any moment, and the disk may be full. So
//! everything is written to a staged file first and takes its name by one rename, last; locks are the kernel's and die
//! with their holder; and what is read back is checked, or was flushed before it had a name.
//!
//! | Module | Holds |
//! |---|---|
//! | [`folders`] | where data lives, and whether such a folder can be trusted |
//! | [`staged`] | files that do not have a name yet |
//! | [`blobs`] | bytes by their digest |
//! | [`results`] | small results by their key |
//! | [`ledger`] | what each component used and was denied |
//! | [`images`] | images by name and platform, as an OCI image layout |
//! | [`records`] | the platform's wishes, builds and settings, in one database |
//! | [`logs`] | what builds said, while they run and afterwards |
//! | [`secrets`] | logins of registries and git servers, and service bindings |
//! | [`lease`] | who reconciles the platform |
//! | [`locks`] | who may use and change all this at the same time |
//! | [`tidy`] | what goes when there is too much |

pub mod blobs;
mod files;
pub mod folders;
pub mod images;
pub mod lease;
pub mod ledger;
pub mod locks;
pub mod logs;
pub mod records;
pub mod results;
pub mod secrets;
pub mod staged;
pub mod tidy;
