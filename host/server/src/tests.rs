//! The server as clients see it: over sockets, with a client that can also be rude.

mod asked;
mod client;
mod described;
mod hostile;
mod roles;
mod town;
mod watched;
