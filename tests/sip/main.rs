//! The SIP endpoint on loopback: sipp as the carrier in both directions, hostile messages from plain sockets, a host and media ports that
//! only take notes.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod called;
mod crowd;
mod early;
mod floods;
#[path = "../common/free_port.rs"]
mod free_port;
mod glued;
mod handed;
mod hostile;
mod inbound;
mod keys;
mod located;
mod names;
mod offers;
mod outbound;
mod peer;
mod phone;
mod proofs;
mod registrar;
mod routes;
mod streams;
mod stuck;
mod timers;
mod torture;
mod transfer;
#[path = "../common/until.rs"]
mod until;
mod watched;
mod ways;
mod world;

#[path = "../fuzz/sip_adapter.rs"]
mod sip_adapter;
#[path = "../fuzz/wire_sip.rs"]
mod wire_sip;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50_000))]

    #[test]
    fn no_message_breaks_the_readers(data in prop::collection::vec(any::<u8>(), 0..150)) {
        wire_sip::run(&data);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn no_message_breaks_the_engine_and_what_goes_in_comes_out(data in prop::collection::vec(any::<u8>(), 0..60)) {
        sip_adapter::run(&data);
    }
}
