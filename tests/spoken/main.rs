//! The spoken proofs: the whole worker with local speech on real sockets, called by programs that speak and listen. What is
//! asserted is never a time; times are printed. Fails by name where models or the callers' voices are missing.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../sip_calls/baresip.rs"]
#[expect(dead_code, reason = "shared with another target, which uses all of it")]
mod baresip;
mod barge_in;
mod demo;
mod dialogues;
#[path = "../common/free_port.rs"]
mod free_port;
mod interrupted;
mod kept;
mod latency;
mod placed;
#[path = "../sip_calls/programs.rs"]
mod programs;
mod reading;
mod tally;
mod understood;
mod waits;
mod worker;
// What the telephone waits with, by the name that it knows it by.
#[path = "../common/until.rs"]
mod world;
