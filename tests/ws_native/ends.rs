//! How a leg ends, what it tells last, and what the far end sees of barge-in, hang-up and the superset.

use tokio_tungstenite::tungstenite::Message;
use voicefleet::call::{LegFact, LegLoss, LegOrder};
use voicefleet::rt;
use voicefleet::shard::OutItem;
use voicefleet::transport::ws::WsConfig;
use voicefleet::units::SampleRate;
use voicefleet::wire::ws::native::FromBot;

use crate::world::{ANSWER, CONNECTED, START, World, frame};

fn quick() -> WsConfig {
    WsConfig { handshake_ms: 60, answer_ms: 60, hang_up_ms: 60, ..WsConfig::default() }
}

#[tokio::test]
async fn a_peer_that_never_says_connected_costs_a_slot_for_the_deadline_only() {
    let mut world = World::new(quick()).await;
    let dialler = world.dial().await;
    let (code, reason, before) = dialler.closed().await;
    assert_eq!((code, reason.as_str(), before.len()), (4408, "expected connected", 0));
    world.quiet(4).await;
    assert!(world.no_call());
}

#[tokio::test]
async fn each_missing_part_of_the_handshake_closes_with_4408() {
    let mut world = World::new(quick()).await;
    let outgoing = CONNECTED.replace("incoming", "outgoing");
    for (texts, missing) in [
        (vec![CONNECTED], "expected start or media"),
        (vec![CONNECTED, ANSWER], "expected start or media"),
        (vec![CONNECTED, START], "expected answer"),
        (vec![&outgoing, START, r#"{"event":"media","payload":"AAAA"}"#], "expected answer"),
    ] {
        let mut dialler = world.dial().await;
        for text in texts {
            dialler.say(text).await;
        }
        let mut call = world.call().await;
        let (code, reason, before) = dialler.closed().await;
        assert_eq!((code, reason.as_str(), before.len()), (4408, missing, 0));
        let mut fact = call.fact().await;
        if matches!(fact, LegFact::Started { .. }) {
            fact = call.fact().await;
        }
        assert_eq!(fact, LegFact::Lost(LegLoss::Unanswered), "{missing}");
        call.over().await;
    }
}

#[tokio::test]
async fn an_answered_call_outlives_every_handshake_deadline() {
    let mut world = World::new(quick()).await;
    let (mut dialler, mut call) = world.answered().await;
    let mut later = World::new(quick()).await;
    let (code, ..) = later.dial().await.closed().await;
    assert_eq!(code, 4408, "the deadline passed beside it");
    call.speak(20, 5);
    assert!(matches!(dialler.hear().await, Ok(FromBot::Media(_))));
    assert!(later.no_call());
}

#[tokio::test]
async fn a_barge_in_drops_what_was_not_sent_and_stops_what_was() {
    let mut world = World::new(WsConfig::default()).await;
    let (mut dialler, mut call) = world.answered().await;
    let due = rt::now();
    let old = (0..5).map(|_| frame(1, due));
    call.put(old.chain([OutItem::Clear, frame(2, due), frame(2, due)]).collect());
    assert_eq!(dialler.hear().await.unwrap(), FromBot::Stop);
    for _ in 0..2 {
        let Ok(FromBot::Media(media)) = dialler.hear().await else { panic!("expected audio") };
        assert_eq!(media.payload[..2], 2i16.to_le_bytes(), "audio after the clear only");
    }
    assert_eq!(dialler.settle().await, 0);
    drop(dialler);
    assert_eq!(call.fact().await, LegFact::Lost(LegLoss::Closed));
    let report = call.over().await;
    assert_eq!((report.counters.cleared, report.counters.audio_out), (5, 2));
    assert_eq!(report.pacing.counts().iter().sum::<u64>(), 2);
}

#[tokio::test]
async fn audio_that_a_stall_made_late_is_dropped_not_played_late() {
    let mut world = World::new(WsConfig::default()).await;
    let (mut dialler, mut call) = world.answered().await;
    let now = rt::now();
    call.put(vec![frame(1, now.back_ms(2_000)), frame(2, now.back_ms(100)), frame(3, now)]);
    for level in [2i16, 3] {
        let Ok(FromBot::Media(media)) = dialler.hear().await else { panic!("expected audio") };
        assert_eq!(media.payload[..2], level.to_le_bytes());
    }
    dialler.close(1000).await;
    assert_eq!(call.fact().await, LegFact::Lost(LegLoss::Closed));
    assert_eq!(call.over().await.counters.late_dropped, 1);
}

#[tokio::test]
async fn our_hang_up_ends_without_the_peers_answer_too() {
    let mut world = World::new(quick()).await;
    let (dialler, mut call) = world.answered().await;
    call.order(LegOrder::HangUp { message: "bye \"now\"".into() }).await;
    call.order(LegOrder::HangUp { message: "twice".into() }).await;
    call.speak(20, 5);
    let (code, _, before) = dialler.closed().await;
    assert_eq!(code, 1000);
    assert_eq!(before, [FromBot::Stop, FromBot::HangUp { message: "bye \"now\"".into() }]);
    assert_eq!(call.fact().await, LegFact::Lost(LegLoss::Closed));
    call.over().await;
}

#[tokio::test]
async fn the_peers_hang_up_crossing_ours_is_told_once() {
    let mut world = World::new(WsConfig::default()).await;
    let (mut dialler, mut call) = world.answered().await;
    dialler.say(r#"{"event":"hangup-call","disconnectedBy":"customer"}"#).await;
    dialler.say(r#"{"event":"hangup-call","disconnectedBy":"again"}"#).await;
    let _ = call.end.orders.send(LegOrder::HangUp { message: "bye".into() }).await;
    assert_eq!(call.fact().await, LegFact::HungUp { by: Some("customer".into()) });
    assert_eq!(dialler.closed().await.0, 1000);
    call.over().await;
}

#[tokio::test]
async fn the_driver_closes_with_its_own_code_and_a_driver_that_is_gone_closes_with_1011() {
    let mut world = World::new(WsConfig::default()).await;
    let (dialler, mut call) = world.answered().await;
    call.order(LegOrder::Close { code: 4410, reason: "outside hours" }).await;
    let (code, reason, _) = dialler.closed().await;
    assert_eq!((code, reason.as_str()), (4410, "outside hours"));
    assert_eq!(call.fact().await, LegFact::Lost(LegLoss::Closed));
    call.over().await;
    let (dialler, call) = world.answered().await;
    drop(call);
    assert_eq!(dialler.closed().await.0, 1011);
    world.quiet(4).await;
}

#[tokio::test]
async fn a_silent_half_open_peer_is_given_up() {
    let config = WsConfig { silence_ms: 120, ping_ms: 40, ..WsConfig::default() };
    let mut world = World::new(config).await;
    let (dialler, mut call) = world.answered().await;
    // Nobody reads the dialler's socket, so no pong is written.
    assert_eq!(call.fact().await, LegFact::Lost(LegLoss::Silent));
    call.over().await;
    drop(dialler);
}

#[tokio::test]
async fn a_quiet_peer_that_answers_pings_is_kept() {
    let config = WsConfig { silence_ms: 150, ping_ms: 20, ..WsConfig::default() };
    let mut world = World::new(config).await;
    let mut dialler = world.dial().await;
    dialler.say(CONNECTED.replace("}", r#","caps":["ping"]}"#)).await;
    dialler.say(START).await;
    dialler.say(ANSWER).await;
    let mut call = world.call().await;
    // The dialler says nothing more itself; reading answers the control pings beside the text ones. Twenty of them are more than
    // twice the limit of silence.
    for _ in 0..20 {
        assert_eq!(dialler.hear().await.unwrap(), FromBot::Ping);
    }
    call.fact().await;
    call.give_line(SampleRate::NARROW);
    call.speak(20, 5);
    while !matches!(dialler.hear().await.unwrap(), FromBot::Media(_)) {}
}

#[tokio::test]
async fn audio_before_the_media_line_is_kept_for_a_second() {
    let mut world = World::new(WsConfig::default()).await;
    let mut dialler = world.dial().await;
    dialler.say(CONNECTED).await;
    dialler.speak(200, 1).await;
    dialler.speak(1000, 2).await;
    dialler.settle().await;
    let mut call = world.call().await;
    assert_eq!(call.fact().await, LegFact::Started { rate: SampleRate::NARROW });
    call.give_line(SampleRate::NARROW);
    dialler.speak(20, 3).await;
    dialler.settle().await;
    let heard = call.heard();
    assert_eq!(heard.len(), 8160);
    assert!(
        heard[..8000].iter().all(|&s| s == 2) && heard[8000..].iter().all(|&s| s == 3),
        "the oldest went, in order"
    );
    dialler.close(1000).await;
    assert_eq!(call.fact().await, LegFact::Answered);
    assert_eq!(call.fact().await, LegFact::Lost(LegLoss::Closed));
    assert_eq!(call.over().await.counters.held_dropped, 1600);
}

#[tokio::test]
async fn the_superset_is_spoken_to_those_who_ask() {
    let mut world = World::new(WsConfig { ping_ms: 30, ..WsConfig::default() }).await;
    let mut dialler = world.dial().await;
    dialler.say(r#"{"event":"connected","streamId":"st-1","caps":["mark","dtmf","ready","error","ping"]}"#).await;
    dialler.say(r#"{"event":"start","mediaFormat":{"encoding":"MULAW","sampleRate":8000}}"#).await;
    let mut call = world.call().await;
    assert!(call.opened.meta.marks);
    assert_eq!(call.fact().await, LegFact::Started { rate: SampleRate::NARROW });
    call.order(LegOrder::Ready { call_id: "c-1".into() }).await;
    assert_eq!(dialler.hear().await.unwrap(), FromBot::Ready { call_id: "c-1".into() });
    dialler.say(r##"{"event":"dtmf","digit":"#"}"##).await;
    assert_eq!(call.fact().await, LegFact::Digit { digit: '#' });
    call.give_line(SampleRate::NARROW);
    dialler.say(r#"{"event":"media","payload":"/7utpqGgoaatu/87LSYhICEmLTs="}"#).await;
    assert_eq!(call.fact().await, LegFact::Answered);
    assert_eq!(dialler.hear().await.unwrap(), FromBot::Ping);
    let heard = call.heard();
    assert_eq!((heard.len(), heard[0], heard[5] > 7_500, heard[15] < -7_500), (20, 0, true, true));
    call.order(LegOrder::Close { code: 1008, reason: "enough" }).await;
    let (code, _, before) = dialler.closed().await;
    assert_eq!(code, 1008);
    assert_eq!(before.last(), Some(&FromBot::Error { code: "policy".into(), message: "enough".into() }));
}

#[tokio::test]
async fn binary_audio_goes_both_ways_bare() {
    let mut world = World::new(WsConfig::default()).await;
    let mut dialler = world.dial().await;
    dialler.say(r#"{"event":"connected","caps":["binary"]}"#).await;
    dialler.say(r#"{"event":"start","mediaFormat":{"encoding":"LINEAR16","sampleRate":8000,"binary":true}}"#).await;
    let mut call = world.call().await;
    assert_eq!(call.fact().await, LegFact::Started { rate: SampleRate::NARROW });
    call.give_line(SampleRate::NARROW);
    dialler.send(Message::Binary(vec![1, 0, 2].into())).await.unwrap();
    dialler.send(Message::Binary(vec![0, 3, 0].into())).await.unwrap();
    dialler.settle().await;
    assert_eq!(call.heard(), [1, 2, 3], "a split sample is put together");
    call.speak(20, 258);
    let Ok(Message::Binary(bytes)) = dialler.raw().await else { panic!("expected a binary frame") };
    assert_eq!((bytes.len(), &bytes[..2]), (320, [2u8, 1].as_slice()));
    call.clear();
    let Ok(Message::Text(text)) = dialler.raw().await else { panic!("expected control as text") };
    assert!(text.contains("reverse-media-stop"));
}
