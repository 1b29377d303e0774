//! S13: hostile peers. What they send is counted, ignored, or ends their own call with the right code; nobody else notices.

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use voicefleet::call::{LegFact, LegLoss};
use voicefleet::rt;
use voicefleet::transport::ws::WsConfig;
use voicefleet::wire::ws::native::FromBot;

use crate::fake_dialler::FakeDialler;
use crate::world::{ANSWER, CONNECTED, Call, START, World, frame};

/// The call still works both ways.
async fn still_talks(dialler: &mut FakeDialler, call: &mut Call) {
    call.heard();
    dialler.speak(20, 9).await;
    assert_eq!(dialler.settle().await, 0);
    assert_eq!(call.heard(), [9; 160]);
    call.speak(20, 8);
    assert!(matches!(dialler.hear().await, Ok(FromBot::Media(media)) if media.payload[..2] == [8, 0]));
}

#[tokio::test]
async fn nonsense_is_counted_and_the_call_goes_on() {
    let mut world = World::new(WsConfig::default()).await;
    let (mut dialler, mut call) = world.answered().await;
    let deep = |open: &str, close: &str| {
        format!("{{\"event\":\"x\",\"a\":{}1{}}}", open.repeat(100_000), close.repeat(100_000))
    };
    let long = "A".repeat(100_000);
    for text in [
        deep("[", "]"),
        "[".repeat(200_000),
        "{".to_owned(),
        "null".to_owned(),
        String::new(),
        r#"{"event":"media","payload":"*"}"#.to_owned(),
        r#"{"event":"media","payload":{"a":1}}"#.to_owned(),
        format!(r#"{{"event":"media","payload":"{long}"}}"#),
        format!(r#"{{"event":"{long}"}}"#),
        r#"{"event":["media"],"payload":"AAAA"}"#.to_owned(),
        r#"{"event":"dtmf","digit":"55555"}"#.to_owned(),
        CONNECTED.to_owned(),
        START.replace("st-1", "st-2"),
        ANSWER.to_owned(),
    ] {
        dialler.say(text).await;
    }
    dialler.send(Message::Binary(vec![0; 320].into())).await.unwrap();
    still_talks(&mut dialler, &mut call).await;
    dialler.close(1000).await;
    assert_eq!(call.fact().await, LegFact::Lost(LegLoss::Closed));
    let tally = call.over().await.tally;
    assert_eq!((tally.bad_json, tally.bad_base64, tally.bad_value, tally.oversize), (4, 1, 2, 1));
    assert_eq!((tally.unknown_event, tally.duplicate, tally.wrong_kind), (3, 3, 1));
}

#[tokio::test]
async fn a_message_that_is_too_long_closes_with_1009() {
    let mut world = World::new(WsConfig::default()).await;
    for length in [256 * 1024 + 1, 1_000_000] {
        let (mut dialler, mut call) = world.answered().await;
        dialler.send(Message::Text("x".repeat(length).into())).await.unwrap();
        assert_eq!(dialler.closed().await.0, 1009, "{length}");
        assert_eq!(call.fact().await, LegFact::Lost(LegLoss::Protocol));
        call.over().await;
    }
    let (mut dialler, mut call) = world.answered().await;
    dialler.say("x".repeat(256 * 1024)).await;
    still_talks(&mut dialler, &mut call).await;
    let mut bystander = world.answered().await;
    still_talks(&mut bystander.0, &mut bystander.1).await;
}

#[tokio::test]
async fn broken_utf_8_closes_with_1007_and_broken_frames_with_1002() {
    let mut world = World::new(WsConfig::default()).await;
    let bad_text = Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true);
    let bad_opcode = Frame::message(Vec::new(), OpCode::Data(Data::Reserved(3)), true);
    for (frame, expected) in [(bad_text, 1007), (bad_opcode, 1002)] {
        let (mut dialler, mut call) = world.answered().await;
        dialler.send(Message::Frame(frame)).await.unwrap();
        assert_eq!(dialler.closed().await.0, expected);
        assert_eq!(call.fact().await, LegFact::Lost(LegLoss::Protocol));
        call.over().await;
    }
}

#[tokio::test]
async fn a_flood_is_thinned_and_a_lasting_one_closes_with_1008() {
    let mut world = World::new(WsConfig::default()).await;
    let (mut dialler, mut call) = world.answered().await;
    let mut other = world.answered().await;
    dialler.speak(450 * 20, 4).await;
    while call.heard().is_empty() {
        tokio::task::yield_now().await;
    }
    for _ in 0..2_000 {
        if dialler.send(Message::Text(r#"{"event":"x"}"#.into())).await.is_err() {
            break;
        }
    }
    assert_eq!(call.fact().await, LegFact::Lost(LegLoss::Protocol));
    let report = call.over().await;
    assert!(report.counters.flooded >= 999, "{}", report.counters.flooded);
    assert_eq!(dialler.closed().await.0, 1008);
    still_talks(&mut other.0, &mut other.1).await;
}

#[tokio::test]
async fn too_much_before_start_closes_with_4400() {
    let mut world = World::new(WsConfig::default()).await;
    let mut chatty = world.dial().await;
    for _ in 0..8 {
        chatty.say(r#"{"event":"hello"}"#).await;
    }
    assert_eq!(chatty.settle().await, 0, "eight are borne");
    chatty.say(r#"{"event":"hello"}"#).await;
    assert_eq!(chatty.closed().await.0, 4400);
    let mut wordy = world.dial().await;
    wordy.say(format!(r#"{{"event":"connected","a":"{}"}}"#, "x".repeat(65 * 1024))).await;
    assert_eq!(wordy.closed().await.0, 4400);
    assert!(world.no_call());
    let mut eager = world.dial().await;
    for _ in 0..3 {
        eager.speak(20, 1).await;
    }
    eager.say(START).await;
    let (code, reason, _) = eager.closed().await;
    assert_eq!((code, reason.as_str()), (4400, "expected connected first, got start"));
    world.quiet(4).await;
    assert!(world.no_call(), "media before connected opens nothing");
}

#[tokio::test]
async fn a_format_that_nobody_speaks_closes_with_1003() {
    let mut world = World::new(WsConfig::default()).await;
    let mut dialler = world.dial().await;
    dialler.say(CONNECTED).await;
    dialler.say(r#"{"event":"start","mediaFormat":{"encoding":"OPUS","sampleRate":48000}}"#).await;
    let mut call = world.call().await;
    assert_eq!(dialler.closed().await.0, 1003);
    assert_eq!(call.fact().await, LegFact::Lost(LegLoss::Protocol));
}

#[tokio::test]
async fn nobody_ever_hears_another_calls_audio() {
    let mut world = World::new(WsConfig::default()).await;
    let (mut first, mut first_call) = world.answered().await;
    let (mut second, mut second_call) = world.answered().await;
    first.say(r#"{"event":"media","streamId":"st-of-the-second","payload":"AQABAAEA"}"#).await;
    first.say(r#"{"event":"hangup-call","streamId":"st-of-the-second"}"#).await;
    assert_eq!(first.settle().await + second.settle().await, 0);
    assert!(first_call.heard().is_empty() && second_call.heard().is_empty());
    first_call.speak(100, 1);
    second_call.speak(100, 2);
    for (dialler, level) in [(&mut first, 1u8), (&mut second, 2)] {
        for _ in 0..5 {
            let Ok(FromBot::Media(media)) = dialler.hear().await else { panic!("expected audio") };
            assert!(media.payload.as_chunks::<2>().0.iter().all(|pair| *pair == [level, 0]));
        }
    }
}

#[tokio::test]
async fn a_peer_that_stops_reading_is_stuck_and_harms_nobody() {
    let config = WsConfig { write_ms: 200, late_ms: 60_000, ..WsConfig::default() };
    let mut world = World::new(config).await;
    let (stuck, mut stuck_call) = world.answered().await;
    let (mut other, mut other_call) = world.answered().await;
    let mut line = stuck_call.line.take().expect("a media line");
    // The bot speaks as fast as the socket takes it; the dialler never reads.
    let fill = async {
        loop {
            while line.out.push(frame(1, rt::now())).is_ok() {}
            line.wake.notify_one();
            tokio::task::yield_now().await;
        }
    };
    let fact = tokio::select! {
        fact = stuck_call.fact() => fact,
        () = fill => unreachable!("it never ends"),
    };
    assert_eq!(fact, LegFact::Lost(LegLoss::Stuck));
    still_talks(&mut other, &mut other_call).await;
    stuck_call.over().await;
    drop(stuck);
}

#[tokio::test]
async fn a_panic_ends_its_own_call_only() {
    let mut world = World::new(WsConfig::default()).await;
    let (mut dialler, mut call) = world.answered().await;
    let mut doomed = FakeDialler::connect(&world.url("/ws/panics")).await;
    doomed.say(CONNECTED).await;
    assert!(doomed.hear().await.is_err());
    still_talks(&mut dialler, &mut call).await;
    drop((dialler, call));
    world.quiet(4).await;
}
