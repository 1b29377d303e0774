//! The native WebSocket leg over real sockets of this machine: scripts, refusals, hostile peers, ends, TLS.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../common/fake_dialler.rs"]
mod fake_dialler;
#[path = "../fuzz/wire_native.rs"]
mod fuzz;

mod ends;
mod far_end;
mod hostile;
mod marks;
mod refusals;
mod script;
mod tls;
mod world;

use proptest::prelude::*;

macro_rules! scripts {
    ($($name:ident: $file:literal;)*) => {$(
        #[tokio::test]
        async fn $name() {
            script::play(include_str!(concat!("../../fixtures/ws/native/", $file))).await;
        }
    )*};
}

scripts! {
    s1_inbound_barge_in: "s1-inbound-barge-in.txt";
    s2_stream_id_only_in_start: "s2a-stream-id-only-in-start.txt";
    s2_hang_up_before_answer: "s2b-hang-up-before-answer.txt";
    s2_socket_drop: "s2c-socket-drop.txt";
    s2_late_answer_outgoing: "s2d-late-answer-outgoing.txt";
    s2_media_before_answer: "s2e-media-before-answer.txt";
    transfer_by_message: "s2f-transfer.txt";
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_frames_in_any_order_keep_the_dialect_whole(data in prop::collection::vec(any::<u8>(), 0..160)) {
        fuzz::run(&data);
    }
}
