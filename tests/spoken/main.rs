//! The spoken proofs: the whole worker with local speech on real sockets, called by programs that speak and listen. What is
//! asserted is never a time; times are printed. Fails by name where models or the callers' voices are missing.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod barge_in;
mod demo;
mod kept;
mod latency;
#[expect(dead_code, reason = "the long proof uses more of it")]
mod tally;
mod understood;
#[expect(dead_code, reason = "the long proof uses more of it")]
mod worker;
