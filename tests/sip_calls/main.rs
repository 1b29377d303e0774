//! The whole worker on a SIP trunk with baresip as the peer: codecs, what each side hears of the other, keys, hold, encryption, both
//! ways to hang up, and what is left after many calls. Stand-in speech; baresip is run, never linked.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[expect(dead_code, reason = "the spoken tests have it say words, and use more of it")]
mod baresip;
mod calls;
#[path = "../sip/world.rs"]
#[expect(dead_code, reason = "shared with another target, which uses all of it")]
mod endpoint;
#[path = "../common/free_port.rs"]
mod free_port;
#[path = "../worker/http.rs"]
#[expect(dead_code, reason = "shared with another target, which uses all of it")]
mod http;
mod kamailio;
#[path = "../sip/phone.rs"]
#[expect(dead_code, reason = "shared with another target, which uses all of it")]
mod phone;
mod programs;
mod secure;
mod softphone;
mod tshark;
#[path = "../worker/world.rs"]
#[expect(dead_code, reason = "shared with another target, which uses all of it")]
mod world;
