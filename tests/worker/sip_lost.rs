//! Calls of a carrier that nobody hangs up: the worker is killed in mid-call, or no more audio comes, with and without a hold before.

use std::net::UdpSocket;
use std::time::Duration;

use voicefleet::results::{DisconnectedBy, Speaker};

use crate::crash::Program;
use crate::sip::{Caller, place, talk};
use crate::tape::{channels, is_audible, tone_hz, tone_peaks};
use crate::world::{CARRIER, Folder, World, beside_others, standin_bot};

const KILLED: &str = "+919876543210";
const LATER: &str = "+919876543211";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_over_a_trunk_has_its_result_and_recording_after_a_kill() {
    let _turn = beside_others().await;
    let folder = Folder::new("sip-killed");
    folder.bot("demo", &standin_bot(""));
    folder.trunk("carrier", CARRIER);
    let trunks = folder.trunks();
    let at = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let start = || {
        let listen = at.to_string();
        let variables =
            [("VOICEFLEET__SIP__LISTEN", listen.as_str()), ("VOICEFLEET__SIP__TRUNKS", trunks.to_str().unwrap())];
        Program::with(&folder, &variables)
    };
    let program = start();
    tokio::task::spawn_blocking(move || {
        let mut caller = Caller::called(at, KILLED);
        let (_, audio) = place(&mut caller);
        assert!(is_audible(&talk(&caller, 0, audio, 200)), "the call is up");
    })
    .await
    .unwrap();
    assert_eq!(folder.results().len(), 0, "nobody hung up");
    program.kill();
    // What is owed is written before the port is open again; that of the next call comes beside it.
    let again = start();
    let check = |all: usize| {
        let results = folder.results();
        assert_eq!(results.len(), all);
        let result = &results[0];
        assert_eq!(
            (result.caller_id.reveal().as_str(), result.disconnected_by, result.end_reason.as_str()),
            (KILLED, DisconnectedBy::Error, "worker_crashed")
        );
        assert!(result.call_duration_seconds > 3.0 && result.recording_url.is_some(), "{result:?}");
        assert!(result.transcript.iter().any(|line| line.speaker == Speaker::Bot), "{:?}", result.transcript);
        let sip = result.sip.as_ref().expect("as far as the journal has it");
        let ladder: Vec<(bool, &str)> = sip.ladder.iter().map(|step| (step.sent, step.message.as_str())).collect();
        assert_eq!((sip.status, ladder), (200, vec![(false, "INVITE"), (true, "200"), (false, "ACK")]));
        assert!(sip.answered_ms.is_some());
        let call = folder.data().join("calls").join(&result.session_id);
        let (left, right) = channels(&call.join("recording.wav"));
        let whole = tone_peaks(&left, tone_hz(0)).iter().filter(|&&peak| peak > 5_600.0).count();
        // Of the 4 s the last quarter of one may not have been written.
        assert!(whole >= 14 && is_audible(&right), "the recording plays: {whole} stretches of 200 ms");
        let journal = std::fs::read_to_string(call.join("journal")).unwrap();
        assert_eq!(journal.matches("\"digit\":{\"digit\":\"5\"}").count(), 1, "one key, told once");
    };
    check(1);
    tokio::task::spawn_blocking(move || {
        let mut caller = Caller::called(at, LATER);
        let (tag, _) = place(&mut caller);
        caller.send("BYE", 2, &tag, "");
        caller.next("SIP/2.0 200");
    })
    .await
    .unwrap();
    crate::world::until(|| folder.results().len() == 2, || "a result of the next call".to_owned()).await;
    again.kill();
    let third = start();
    check(2);
    third.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_that_sends_no_more_audio_is_lost_and_one_that_holds_is_not() {
    let _turn = beside_others().await;
    const SILENCE_MS: u32 = 2_500;
    let world = World::with_carrier("sip-silent", |config| config.sip.rtp_silence_ms = SILENCE_MS).await;
    let to = world.running.sip_address().unwrap();
    tokio::task::spawn_blocking(move || {
        let mut caller = Caller::new(to);
        let (tag, audio) = place(&mut caller);
        talk(&caller, 0, audio, 50);
        let mut agree = |number: u32, direction: &str| {
            let version = format!("o=- 1 {number} ");
            let offer = caller.offer().replace("o=- 1 1 ", &version).replace("sendrecv", direction);
            caller.send("INVITE", number, &tag, &offer);
            let answer = caller.next("SIP/2.0 200");
            caller.send("ACK", number, &tag, "");
            answer
        };
        let held = agree(2, "sendonly");
        assert!(held.contains("a=recvonly"), "{held}");
        // Nothing comes for longer than a call without a hold would last.
        voicefleet::rt::park_until(voicefleet::rt::now().plus_ms(u64::from(SILENCE_MS) * 2));
        let resumed = agree(3, "sendrecv");
        assert!(resumed.contains("a=sendrecv"), "the call is up: {resumed}");
        let bye = caller.next("BYE ");
        assert!(bye.contains("Reason: Q.850;cause=16"), "{bye}");
        caller.answer(&bye, "200 OK");
    })
    .await
    .unwrap();
    let result = world.result_of("+919876543210").await;
    assert_eq!((result.end_reason.as_str(), result.disconnected_by), ("leg_silent", DisconnectedBy::Error));
    let steps = &result.sip.as_ref().unwrap().ladder;
    let count =
        |sent: bool, message: &str| steps.iter().filter(|s| s.sent == sent && s.message.starts_with(message)).count();
    assert_eq!((count(false, "INVITE"), count(true, "BYE"), count(false, "BYE")), (3, 1, 0), "{steps:?}");
    let held = Duration::from_millis(u64::from(SILENCE_MS) * 3);
    assert!(result.call_duration_seconds >= held.as_secs_f64(), "{}", result.call_duration_seconds);
    world.quiet().await;
    world.stop().await;
}
