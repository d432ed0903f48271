//! A buildpack that wants the network, which the engine refuses before it compiles it.
