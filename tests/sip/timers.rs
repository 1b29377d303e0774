//! Sessions that must be refreshed, with spans of a few seconds: who refreshes, how, and what becomes of a call where nobody does.

use std::time::Duration;

use voicefleet::call::{LegFact, LegLoss, LegOrder};
use voicefleet::rt;
use voicefleet::transport::sip::{MediaPorts as _, OutboundCall, SipEnd, SipLink};
use voicefleet::wire::sdp::Direction;
use voicefleet::wire::sip::{CSeq, Message};

use super::phone::{OFFER, Phone};
use super::world::{Note, World, config, facts, trunk};

/// A trunk whose sessions may be this short.
fn short(expires_s: u32) -> String {
    format!("[timers]\nexpires_s = {expires_s}\nmin_se_s = 1\n")
}

/// A call of a phone that wants its session refreshed by us.
async fn refreshed_by_us(expires_s: u32, allow: &str) -> (World, Phone, SipEnd) {
    let mut world = World::new(trunk(&short(expires_s)), config(500)).await;
    let expires = format!("{expires_s};refresher=uas");
    let fields = [("Supported", "timer"), ("Session-Expires", expires.as_str()), ("Allow", allow)];
    let phone = Phone::call_with(world.endpoint.address(), &fields).await;
    let end = world.call().await.1;
    (world, phone, end)
}

/// A call of ours to a phone whose 200 grants this session.
async fn placed(phone: &mut Phone, session: &str) -> (World, SipEnd) {
    let target = format!("[outbound]\ntargets = [\"{}\"]\n{}", phone.address(), short(4));
    let world = World::new(trunk(&target), config(500)).await;
    let (link, end) = SipLink::pair();
    let call =
        OutboundCall { trunk: "main".to_owned(), to: "+911".to_owned(), from: String::new(), fields: Vec::new() };
    world.endpoint.place_call(call, || world.ports.reserve(), link).unwrap();
    let invite = phone.asked("INVITE").await;
    assert_eq!((seconds(&invite, "Session-Expires"), seconds(&invite, "Min-SE")), (4, 1));
    phone.begin_as_called(&invite, world.endpoint.address());
    let fields = [("Session-Expires", session), ("Require", "timer"), ("Allow", "UPDATE")];
    phone.answer_with(&invite, 200, &fields, OFFER).await;
    phone.asked("ACK").await;
    (world, end)
}

/// Nothing comes for so long.
async fn quiet(phone: &mut Phone, ms: u64) {
    if let Some(message) = rt::timeout(Duration::from_millis(ms), phone.next()).await {
        panic!("expected nothing, found {message:?}");
    }
}

fn seconds(request: &Message, name: &str) -> u32 {
    request.get(name).unwrap().split(';').next().unwrap().parse().unwrap()
}

/// It ended because its session did, and both ends know.
async fn expired(world: World, mut phone: Phone, end: SipEnd) {
    let bye = phone.asked("BYE").await;
    phone.answer(&bye, 200, "").await;
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::Lost(LegLoss::Silent)));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_longer_session_is_asked_for_once_and_the_old_one_ends_in_its_time() {
    let (world, mut phone, end) = refreshed_by_us(4, "UPDATE").await;
    let mut asked = Vec::new();
    let bye = loop {
        let request = phone.next().await;
        match request.method() {
            Some("UPDATE") => {
                asked.push((seconds(&request, "Session-Expires"), seconds(&request, "Min-SE")));
                // Whatever is asked for is too little.
                let least = (asked.len() * 10).to_string();
                phone.answer_with(&request, 422, &[("Min-SE", &least)], "").await;
            }
            Some("BYE") => break request,
            _ => {}
        }
    };
    phone.answer(&bye, 200, "").await;
    assert!((3..=5).contains(&asked.len()), "one at once, then one a second: {asked:?}");
    assert_eq!(asked[..3], [(4, 1), (10, 10), (10, 10)]);
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::Lost(LegLoss::Silent)));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collision_of_refreshes_is_waited_out_and_the_refresh_succeeds() {
    let (world, mut phone, end) = refreshed_by_us(6, "UPDATE").await;
    let first = phone.asked("UPDATE").await;
    phone.answer(&first, 491, "").await;
    let second = phone.asked("UPDATE").await;
    phone.answer_with(&second, 200, &[("Session-Expires", "6;refresher=uac")], "").await;
    let third = phone.asked("UPDATE").await;
    assert_ne!(second.get("CSeq"), third.get("CSeq"), "the session goes on and is refreshed again");
    phone.answer(&third, 481, "").await;
    expired(world, phone, end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_by_invite_during_a_hold_does_not_silence_the_bot_behind_it() {
    let (world, mut phone, end) = refreshed_by_us(4, "INVITE, ACK, BYE").await;
    let hold = format!("{OFFER}a=sendonly\r\n");
    let fields = [("Supported", "timer"), ("Session-Expires", "4;refresher=uas")];
    let held = phone.ask("INVITE", &fields, &hold).await;
    phone.ack("").await;
    let refresh = phone.asked("INVITE").await;
    assert_eq!(refresh.body, held.body, "the description as it stands");
    phone.answer_with(&refresh, 200, &[("Session-Expires", "4;refresher=uac")], &hold).await;
    let number = |message: &Message| CSeq::parse(message.get("CSeq").unwrap()).unwrap().number;
    assert_eq!(number(&phone.asked("ACK").await), number(&refresh));
    let resumed = phone.ask("INVITE", &fields, OFFER).await;
    assert!(String::from_utf8_lossy(&resumed.body).contains("a=sendrecv"), "{resumed:?}");
    phone.ack("").await;
    phone.hang_up().await;
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::HungUp { by: None }));
    let last = world.notes().into_iter().rev().find_map(|note| match note {
        Note::Started(plan) | Note::Changed(plan) => Some(plan.direction),
        _ => None,
    });
    assert_eq!(last, Some(Direction::SendRecv));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_ours_is_refreshed_by_us_where_the_far_end_leaves_it_to_us() {
    let mut phone = Phone::new("127.0.0.1:9".parse().unwrap()).await;
    let (world, end) = placed(&mut phone, "4;refresher=uac").await;
    for _ in 0..2 {
        let update = phone.asked("UPDATE").await;
        assert_eq!(update.get("Session-Expires"), Some("4;refresher=uac"));
        phone.answer_with(&update, 200, &[("Session-Expires", "4;refresher=uac")], "").await;
    }
    let last = phone.asked("UPDATE").await;
    phone.answer(&last, 408, "").await;
    expired(world, phone, end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_far_end_that_refreshes_keeps_the_call_and_one_that_stops_loses_it() {
    let mut phone = Phone::new("127.0.0.1:9".parse().unwrap()).await;
    let (world, end) = placed(&mut phone, "4;refresher=uas").await;
    // Longer than the session in all.
    for _ in 0..5 {
        quiet(&mut phone, 900).await;
        let granted = phone.ask("UPDATE", &[("Supported", "timer"), ("Session-Expires", "4;refresher=uac")], "").await;
        assert_eq!((granted.status(), granted.get("Session-Expires")), (Some(200), Some("4;refresher=uac")));
    }
    expired(world, phone, end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_far_end_that_never_refreshes_its_call_to_us_loses_it() {
    let mut world = World::new(trunk(&short(2)), config(500)).await;
    let fields = [("Supported", "timer"), ("Session-Expires", "2;refresher=uac")];
    let phone = Phone::call_with(world.endpoint.address(), &fields).await;
    let end = world.call().await.1;
    expired(world, phone, end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_over_before_the_ack_is_ended_by_bye_behind_it() {
    let mut world = World::new(trunk(&short(2)), config(500)).await;
    let mut phone = Phone::new(world.endpoint.address()).await;
    let fields = [("Supported", "timer"), ("Session-Expires", "2;refresher=uac")];
    assert_eq!(phone.ask("INVITE", &fields, OFFER).await.status(), Some(200));
    let end = world.call().await.1;
    // The answer is repeated, which is not news; the session ends meanwhile.
    quiet(&mut phone, 2_500).await;
    phone.ack("").await;
    expired(world, phone, end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_too_short_is_refused_before_its_offer_is_taken() {
    let mut world = World::new(trunk(""), config(500)).await;
    let mut phone = Phone::call(world.endpoint.address()).await;
    let end = world.call().await.1;
    let fields = [("Supported", "timer"), ("Session-Expires", "10")];
    let version = |answer: &Message| String::from_utf8_lossy(&answer.body).lines().nth(1).map(str::to_owned);
    let before = phone.ask("INVITE", &[], OFFER).await;
    phone.ack("").await;
    for method in ["INVITE", "UPDATE"] {
        let refused = phone.ask(method, &fields, &format!("{OFFER}a=sendonly\r\n")).await;
        assert_eq!((refused.status(), refused.get("Min-SE")), (Some(422), Some("90")), "{method}");
        if method == "INVITE" {
            phone.ack("").await;
        }
    }
    let after = phone.ask("INVITE", &[], OFFER).await;
    phone.ack("").await;
    assert_eq!(version(&before), version(&after), "nothing was agreed in between");
    phone.hang_up().await;
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::HungUp { by: None }));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_invites_that_meet_are_both_told_so_and_ours_is_tried_again() {
    let (world, mut phone, end) = refreshed_by_us(6, "INVITE, ACK, BYE").await;
    let ours = phone.asked("INVITE").await;
    assert_eq!(phone.ask("INVITE", &[], OFFER).await.status(), Some(491));
    phone.ack("").await;
    phone.answer(&ours, 491, "").await;
    let again = phone.asked("INVITE").await;
    phone.answer_with(&again, 200, &[("Session-Expires", "6;refresher=uac")], OFFER).await;
    while phone.asked("ACK").await.get("CSeq").unwrap().split(' ').next()
        != again.get("CSeq").unwrap().split(' ').next()
    {}
    assert_eq!(phone.ask("INVITE", &[], OFFER).await.status(), Some(200), "theirs is taken now");
    phone.ack("").await;
    phone.hang_up().await;
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::HungUp { by: None }));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_byes_that_meet_are_both_answered_and_end_one_call() {
    let mut world = World::new(trunk(""), config(500)).await;
    let mut phone = Phone::call(world.endpoint.address()).await;
    let end = world.call().await.1;
    end.orders.send(LegOrder::HangUp { message: String::new() }).await.unwrap();
    let bye = phone.asked("BYE").await;
    phone.hang_up().await;
    phone.answer(&bye, 200, "").await;
    let (facts, report) = facts(end).await;
    let ends = facts.iter().filter(|fact| matches!(fact, LegFact::HungUp { .. } | LegFact::Lost(_))).count();
    assert_eq!((ends, facts.last()), (1, Some(&LegFact::HungUp { by: Some("bot".to_owned()) })));
    let byes = |sent: bool| report.ladder.iter().filter(|row| row.what == "BYE" && row.sent == sent).count();
    assert_eq!((byes(true), byes(false)), (1, 1));
    world.settle().await;
}
