//! The whole worker over real sockets of this machine: many calls at once, crashes, a full disk, hostile peers, the flow of a
//! call from its opening to its one result, and what its media thread asks of the kernel. Stand-in speech, except where a test
//! says otherwise.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod caller;
mod crash;
mod crowd;
mod demonstration;
mod density;
mod dial;
mod disk_full;
mod ends;
mod flow;
mod futex;
mod gates;
mod hostile;
mod http;
mod in_a_row;
mod keys;
mod load;
mod operator;
#[path = "../sip/phone.rs"]
#[expect(dead_code, reason = "shared with another target, which uses all of it")]
mod phone;
mod secrets;
mod sip;
mod sip_drain;
mod sip_lost;
mod stall;
mod tape;
mod transfer;
mod trunk_caller;
mod voicemail;
mod witness;
mod world;
