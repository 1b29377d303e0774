//! Fuzz body of the native WebSocket dialect: any frames in any order. Run on stable over generated input by
//! `tests/ws_native`; a fuzzing engine may call [`run`] with its own bytes. Holds no assertion about meaning, only invariants.

use voicefleet::wire::ws::native::{Dialler, Native, NativeOptions};
use voicefleet::wire::ws::{Dialect as _, Egress, Inbox, Ingress, Written};

/// Lines that a mutated input is woven from, so that random bytes reach past the handshake.
const SEEDS: [&str; 10] = [
    r#"{"event":"connected","callerId":"+919800000001","streamId":"st-1","caps":["mark","dtmf","binary","ready","error","ping"]}"#,
    r#"{"event":"start","streamId":"st-1","mediaFormat":{"encoding":"LINEAR","sampleRate":8000,"channels":1}}"#,
    r#"{"event":"start","mediaFormat":{"encoding":"MULAW","sampleRate":"16000","binary":true}}"#,
    r#"{"event":"answer"}"#,
    r#"{"event":"media","payload":"AACoCV4SSBm4HUAfuB1IGV4SqAkAAFj2ou245kjiwOBI4rjmou1Y9g=="}"#,
    r#"{"event":"media","media":{"payload":"UklGRiQAAABXQVZFZGF0YQQAAAABAgM"}}"#,
    r#"{"event":"dtmf","digit":"5"}"#,
    r#"{"event":"mark-played","name":"g1.u1","status":"cleared"}"#,
    r#"{"event":"hangup-call","disconnectedBy":"customer"}"#,
    r#"{"event":"ping"}"#,
];

/// Plays `data` as a session: each step takes one byte to choose a line and up to three to damage it.
///
/// # Panics
/// Where an invariant of the dialect is broken.
pub fn run(data: &[u8]) {
    let mut native = Native::new(NativeOptions { lenient: data.first().is_some_and(|b| b & 1 == 1), stream_id: "g".into() });
    let mut inbox = Inbox::default();
    let (mut connected, mut started, mut answered, mut over) = (0, 0, 0, 0);
    for step in data.chunks(4) {
        inbox.clear();
        let pick = usize::from(step[0]);
        if pick >= 250 {
            native.binary(data, &mut inbox);
        } else if pick >= 230 {
            native.text(&String::from_utf8_lossy(data), &mut inbox);
        } else {
            let mut line = SEEDS[pick % SEEDS.len()].as_bytes().to_vec();
            if let [_, at, byte, ..] = *step
                && at < 128
            {
                let place = usize::from(at) * line.len() / 128;
                line[place] = byte;
            }
            native.text(&String::from_utf8_lossy(&line), &mut inbox);
        }
        for event in &inbox.events {
            match event {
                Ingress::Connected(opening) => {
                    connected += 1;
                    assert!(opening.custom.len() <= 64);
                }
                Ingress::Started { .. } => started += 1,
                Ingress::Answered => answered += 1,
                Ingress::Audio(range) => {
                    assert_eq!((connected, started), (1, 1), "audio only of a call that was opened");
                    assert!(inbox.audio.get(range.clone()).is_some_and(|bytes| !bytes.is_empty()));
                }
                Ingress::HungUp { .. } | Ingress::Refused(_) => over += 1,
                Ingress::Digit(_) | Ingress::Mark { .. } | Ingress::Ping => assert_eq!(connected, 1),
            }
        }
        assert!(connected <= 1 && started <= connected && answered <= started && over <= 1, "each happens once, in order");
        let mut text = String::new();
        if started == 1 && native.write(&Egress::Audio { payload: step, at: Default::default() }, &mut text) == Written::Text {
            assert!(Dialler::read(&text).is_ok(), "what we write can be read");
        }
    }
}
