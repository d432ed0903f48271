//! The one HTTP client: deadlines, size limits, credentials bound to their host.
//!
//! Package indexes, image registries and distribution mirrors are all reached through here, so that what must hold for
//! each of them is written once. A response is endless until proven otherwise, a redirect is a stranger's wish, a
//! password belongs to one origin, and an address never shows its secrets in a message.
//!
//! | Module | Holds |
//! |---|---|
//! | [`client`] | options, the connection pool, one exchange with its redirects |
//! | [`request`] | method, address, headers, body, credentials, limits |
//! | [`response`] | status, headers, and a body that ends at its cap or at a stall |
//! | [`download`] | a whole file into a sink, resumed where the server allows it |
//! | [`retry`] | whether to try again, and after how long |
//! | [`clock`] | what is waited by |
//! | [`redirect`] | whether to follow, and what to leave behind |
//! | [`origin`] | scheme, host and port; addresses without their secrets |
//! | [`address`] | public addresses and those of someone's own network |
//! | [`proxy`] | `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY` |
//! | [`roots`] | whom TLS trusts, and who we are |
//! | [`fault`] | what can go wrong, and what a person can do about it |

pub mod address;
pub mod client;
pub mod clock;
pub mod download;
pub mod fault;
pub mod origin;
mod patience;
pub mod proxy;
pub mod redirect;
pub mod request;
mod resolver;
pub mod response;
pub mod retry;
pub mod roots;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use client::{Client, Options};
pub use fault::Error;
pub use request::{Method, Request};
pub use resolver::look_up;
pub use response::Response;
