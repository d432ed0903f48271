//! A buildpack that wants the network, which the engine refuses before it compiles it.

use std::net::TcpStream;

use stave_sdk::{Buildpack, Failure, Report, Requirement, Verdict};

/// Tries to reach a server.
pub struct Sockets;

impl Buildpack for Sockets {
    fn detect() -> Result<Verdict, Failure> {
        match TcpStream::connect("127.0.0.1:80") {
            Ok(_) => Ok(Verdict::pass()),
            Err(error) => Ok(Verdict::skip(error.to_string())),
        }
    }

    fn build(_: &[Requirement]) -> Result<Report, Failure> {
        Ok(Report::default())
    }
}

stave_sdk::export!(Sockets);
