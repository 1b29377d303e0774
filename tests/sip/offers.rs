//! Calls that we place without an offer: the carrier makes it, with its answer or before, and ours goes where the standard wants it.

use voicefleet::call::{EndReason, LegFact};
use voicefleet::rt;
use voicefleet::transport::sip::SipEnd;
use voicefleet::units::SampleRate;
use voicefleet::wire::sdp::{Codec, Direction};

use super::outbound::{place, world};
use super::phone::{OFFER, Phone};
use super::world::{LIMIT, Note, World, facts};

const STARTED: LegFact = LegFact::Started { rate: SampleRate::NARROW };

/// A call of ours without an offer, and its INVITE.
async fn called(phone: &mut Phone) -> (World, SipEnd, voicefleet::wire::sip::Message) {
    let world = world(&[phone.address().port()], "delayed_offer = true\n").await;
    let end = place(&world);
    let invite = phone.asked("INVITE").await;
    assert!(invite.body.is_empty() && invite.get("Content-Type").is_none(), "{invite:?}");
    phone.begin_as_called(&invite, world.endpoint.address());
    (world, end, invite)
}

fn text(body: &[u8]) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_carriers_answer_brings_the_offer_and_our_ack_the_answer() {
    let mut phone = Phone::new("127.0.0.1:9".parse().unwrap()).await;
    let (world, end, invite) = called(&mut phone).await;
    // A description that nobody is sure of is a foretaste and no offer.
    phone.says(&invite, 183, "u", &OFFER.replace("4000", "4600")).await;
    phone.says(&invite, 200, "u", &OFFER.replace("RTP/AVP 8 101", "RTP/AVP 18 0 8 101")).await;
    let ack = phone.asked("ACK").await;
    let answer = text(&ack.body);
    assert_eq!(ack.get("Content-Type"), Some("application/sdp"));
    assert!(answer.contains("m=audio 20000 RTP/AVP 8 101\r\n") && answer.contains("a=sendrecv"), "{answer}");
    // Our answer was lost: their 200 comes again, and what it gets is the same.
    phone.says(&invite, 200, "u", &OFFER.replace("RTP/AVP 8 101", "RTP/AVP 18 0 8 101")).await;
    assert_eq!(phone.next_of_all().await.to_bytes(), ack.to_bytes());
    drop(end.orders);
    let bye = phone.asked("BYE").await;
    phone.says(&bye, 200, "u", "").await;
    world.settle().await;
    let notes = world.notes();
    let [Note::Started(plan), Note::Stopped] = &notes[..] else { panic!("{notes:?}") };
    assert_eq!((plan.codec, plan.remote.port(), plan.direction), (Codec::Pcma, 4_000, Direction::SendRecv));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_before_the_answer_is_answered_by_the_prack_and_heard_at_once() {
    let mut phone = Phone::new("127.0.0.1:9".parse().unwrap()).await;
    let (world, mut end, invite) = called(&mut phone).await;
    let reliable = [("Require", "100rel"), ("RSeq", "5")];
    "u".clone_into(&mut phone.tag);
    phone.answer_with(&invite, 183, &reliable, &OFFER.replace("4000", "4100")).await;
    let prack = phone.asked("PRACK").await;
    let answer = text(&prack.body);
    assert!(answer.contains("m=audio 20000 RTP/AVP 8 101\r\n"), "{answer}");
    assert_eq!(rt::timeout(LIMIT, end.facts.recv()).await.expect("before the answer"), Some(STARTED));
    phone.answer(&prack, 200, "").await;
    phone.answer(&invite, 200, "").await;
    let ack = phone.asked("ACK").await;
    assert!(ack.body.is_empty(), "all was said");
    let hanging_up = async {
        phone.number = 10;
        phone.hang_up().await;
    };
    let ((facts, _), ()) = tokio::join!(facts(end), hanging_up);
    assert_eq!(facts, [LegFact::Answered, LegFact::HungUp { by: None }]);
    world.settle().await;
    assert!(matches!(&world.notes()[0], Note::Started(plan) if plan.remote.port() == 4_100), "{:?}", world.notes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_that_cannot_be_met_or_never_comes_ends_the_call() {
    for body in [OFFER.replace("RTP/AVP 8 101", "RTP/AVP 18"), String::new()] {
        let mut phone = Phone::new("127.0.0.1:9".parse().unwrap()).await;
        let (world, end, invite) = called(&mut phone).await;
        phone.says(&invite, 200, "u", &body).await;
        phone.asked("ACK").await;
        let bye = phone.asked("BYE").await;
        phone.says(&bye, 200, "u", "").await;
        let (facts, report) = facts(end).await;
        assert_eq!((facts, report.status), (vec![LegFact::Unreached(EndReason::MediaRefused)], 488), "{body}");
        world.settle().await;
    }
}
