//! The spoken proofs: the whole worker with local speech on real sockets, called by programs that speak and listen. What is
//! asserted is never a time; times are printed. Fails by name where models or the callers' voices are missing.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod barge_in;
mod demo;
mod dialogues;
mod kept;
mod latency;
mod reading;
mod tally;
mod understood;
mod waits;
mod worker;
