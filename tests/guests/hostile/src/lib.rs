//! A buildpack that misbehaves on command.
