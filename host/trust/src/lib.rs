//! Signatures as cosign makes them: keys, what is signed, and whether a signature is good. Nothing is read or sent here: texts
//! and bytes come in, a name or a reason goes out.
//!
//! | Module | Holds |
//! |---|---|
//! | [`key`] | public keys, and those that a policy calls by names |
//! | [`secret`] | private keys, with and without a password |
//! | `sealed` | what a password opens |
//! | [`bundle`] | Sigstore bundles (version 0.3), which cosign writes by default |
//! | `statement` | what a bundle says of an artefact |
//! | [`simple`] | the older format: a payload and a signature beside it |
//! | [`verify`](mod@verify) | a signature of either format, a digest and some keys: whose it is |
//!
//! # What a signature says
//! That whoever has a key said yes to the bytes with one digest. The place where they were published is not part of it, as
//! it is not for cosign, and neither is the time: a key that is no longer trusted is taken out of the policy.
//! Transparency logs and timestamps that a bundle carries are not looked at, because a key needs none of them to be believed.
//!
//! # Why only keys: no certificates, no identities
//! cosign can also sign without a key: a certificate authority certifies a fresh key for an identity, and a log says that this was
//! while the certificate was good. To believe that, one needs the authority's and the log's roots, kept current through TUF, and
//! has to verify the certificate's chain, its promise to be in a log, the signature, the log's entry with its proof, and a time
//! from the log or an authority. The crate for it, `sigstore`, was looked at in version 0.15, and does not hold up yet:
//!
//! * Its verifier of bundles skips two of these steps and says so (`bundle/verify/verifier.rs`): neither the proof that the entry
//!   is in the log nor the log's signed promise is verified. But the time that decides whether the certificate was good is taken
//!   from that entry. Whoever steals a key that was certified once, for ten minutes years ago, can write an entry with a time that
//!   fits.
//! * Entries of the log's second version (Rekor v2) have no time of their own, and timestamps of authorities, which take its
//!   place, are not read at all: what is signed that way is refused.
//! * It takes bundles with certificates alone, so that it would be no help for keys either.
//! * It calls itself experimental, promises nothing before 1.0, and needs a second HTTP client (reqwest) and an async runtime
//!   even for bundles that are on disk, beside the one client whose rules the rest of this program keeps.
//!
//! So a signature with a certificate is named as what it is ([`verify::Unverified::Certificate`]) and does not count.

pub mod bundle;
pub mod key;
mod sealed;
pub mod secret;
pub mod simple;
mod statement;
pub mod verify;

#[cfg(test)]
mod fixtures;
