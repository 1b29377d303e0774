//! Marks on the wire: after the audio they belong to, only to those who asked, and answers that only their own call is told of.

use voicefleet::call::{LegFact, LegLoss, LegOrder, Mark};
use voicefleet::rt;
use voicefleet::shard::OutItem;
use voicefleet::transport::ws::WsConfig;
use voicefleet::units::{SampleRate, UtteranceId};
use voicefleet::wire::ws::native::FromBot;

use crate::fake_dialler::FakeDialler;
use crate::world::{ANSWER, Call, START, World, ending, frame};

fn mark(utterance: u32, segment: u16) -> Mark {
    Mark { utterance: UtteranceId(utterance), segment }
}

/// A call whose dialler answers marks.
async fn marked(world: &mut World, caps: &str) -> (FakeDialler, Call) {
    let mut dialler = world.dial().await;
    let connected = format!(r#"{{"event":"connected","streamId":"st-1","callDirection":"incoming","caps":{caps}}}"#);
    for text in [connected.as_str(), START, ANSWER] {
        dialler.say(text).await;
    }
    let mut call = world.call().await;
    assert_eq!(call.fact().await, LegFact::Started { rate: SampleRate::NARROW });
    assert_eq!(call.fact().await, LegFact::Answered);
    call.give_line(SampleRate::NARROW);
    (dialler, call)
}

/// A frame that ends these pieces.
fn last(marks: &[Mark]) -> OutItem {
    ending(frame(2, rt::now()), marks)
}

/// The next messages, as words.
async fn hear(dialler: &mut FakeDialler, count: usize) -> Vec<String> {
    let mut heard = Vec::new();
    for _ in 0..count {
        heard.push(match dialler.hear().await.unwrap() {
            FromBot::Media(media) => format!("{}", i16::from_le_bytes([media.payload[0], media.payload[1]])),
            FromBot::Mark { name } => name,
            FromBot::Stop => "stop".to_owned(),
            other => format!("{other:?}"),
        });
    }
    heard
}

#[tokio::test]
async fn a_mark_follows_the_last_frame_of_its_piece() {
    let mut world = World::new(WsConfig::default()).await;
    let (mut dialler, mut call) = marked(&mut world, r#"["mark"]"#).await;
    let now = rt::now();
    call.put(vec![frame(1, now), last(&[mark(1, 0), mark(1, 1)]), frame(3, now), last(&[mark(2, 0)])]);
    assert_eq!(hear(&mut dialler, 7).await, ["1", "2", "g1.u1", "g1.u2", "3", "2", "g2.u1"]);
    // A frame that a stall made too late is not sent; its piece has ended all the same.
    call.put(vec![ending(frame(4, now.back_ms(2_000)), &[mark(3, 0)])]);
    assert_eq!(hear(&mut dialler, 1).await, ["g3.u1"]);
    // What a barge-in made void before it left is not named either.
    call.put(vec![frame(1, rt::now()), last(&[mark(4, 0)]), OutItem::Clear, last(&[mark(5, 0)])]);
    assert_eq!(hear(&mut dialler, 3).await, ["stop", "2", "g5.u1"]);
    // Nor is anything after the hang-up.
    call.order(LegOrder::HangUp { message: "completed".into() }).await;
    assert_eq!(hear(&mut dialler, 1).await, ["stop"]);
    call.put(vec![last(&[mark(6, 0)])]);
    assert!(matches!(dialler.hear().await.unwrap(), FromBot::HangUp { .. }));
    let bye = dialler.dialler.hang_up("bot");
    dialler.say(bye).await;
    let (_, _, before) = dialler.closed().await;
    assert_eq!(before, [], "nothing follows the hang-up");
}

#[tokio::test]
async fn a_dialler_that_did_not_ask_sees_no_mark_and_is_not_believed() {
    for caps in ["[]", r#"["ready","dtmf","ping"]"#] {
        let mut world = World::new(WsConfig::default()).await;
        let (mut dialler, mut call) = marked(&mut world, caps).await;
        assert!(!call.opened.meta.marks);
        call.put(vec![last(&[mark(1, 0)]), frame(3, rt::now())]);
        assert_eq!(hear(&mut dialler, 2).await, ["2", "3"], "{caps}");
        let text = dialler.dialler.mark_played("g1.u1", true);
        dialler.say(text).await;
        dialler.close(1000).await;
        assert_eq!(call.fact().await, LegFact::Lost(LegLoss::Closed), "the mark told nothing");
        assert_eq!(call.over().await.counters.unknown_marks, 1);
    }
}

#[tokio::test]
async fn an_answer_counts_once_and_in_its_own_call_only() {
    let mut world = World::new(WsConfig::default()).await;
    let (mut one, mut call_one) = marked(&mut world, r#"["mark"]"#).await;
    let (mut two, mut call_two) = marked(&mut world, r#"["mark"]"#).await;
    call_one.put(vec![last(&[mark(1, 0)]), last(&[mark(1, 1)]), last(&[mark(2, 0)])]);
    call_two.put(vec![last(&[mark(7, 0)])]);
    assert_eq!(hear(&mut one, 6).await, ["2", "g1.u1", "2", "g1.u2", "2", "g2.u1"]);
    assert_eq!(hear(&mut two, 2).await, ["2", "g7.u1"], "marks go to the call they belong to");
    for (name, status) in [
        ("g1.u1", "played"),
        ("g1.u1", "played"),
        ("g2.u1", "cleared"),
        ("g7.u1", "played"),
        ("g9.u9", "played"),
        ("goodbye", "cleared"),
        ("g1.u2", "vanished"),
        ("g1.u2", "played"),
    ] {
        one.say(format!(r#"{{"event":"mark-played","name":"{name}","status":"{status}"}}"#)).await;
    }
    for (wanted, played) in [(mark(1, 0), true), (mark(2, 0), false), (mark(1, 1), true)] {
        assert_eq!(call_one.fact().await, LegFact::Mark { mark: wanted, played });
    }
    let text = two.dialler.mark_played("g7.u1", true);
    two.say(text).await;
    assert_eq!(call_two.fact().await, LegFact::Mark { mark: mark(7, 0), played: true });
    one.close(1000).await;
    assert_eq!(call_one.fact().await, LegFact::Lost(LegLoss::Closed));
    let report = call_one.over().await;
    assert_eq!((report.counters.unknown_marks, report.tally.bad_value), (4, 1));
}

/// Row 6 of the conformance list: a dialler that holds two hundred short pieces answers for all of them at once.
#[tokio::test]
async fn two_hundred_marks_that_are_open_at_once_are_all_told_in_their_order() {
    const OPEN: u32 = 200;
    let mut world = World::new(WsConfig::default()).await;
    let (mut dialler, mut call) = marked(&mut world, r#"["mark"]"#).await;
    for utterance in 1..=OPEN {
        call.put(vec![last(&[mark(utterance, 0)])]);
        assert_eq!(hear(&mut dialler, 2).await, ["2".to_owned(), format!("g{utterance}.u1")]);
    }
    let answers: Vec<String> =
        (1..=OPEN).map(|utterance| dialler.dialler.mark_played(&format!("g{utterance}.u1"), true)).collect();
    for answer in answers {
        dialler.say(answer).await;
    }
    for utterance in 1..=OPEN {
        assert_eq!(call.fact().await, LegFact::Mark { mark: mark(utterance, 0), played: true });
    }
    dialler.close(1000).await;
    assert_eq!(call.fact().await, LegFact::Lost(LegLoss::Closed));
    assert_eq!(call.over().await.counters.unknown_marks, 0);
}
