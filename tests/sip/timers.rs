//! Sessions that must be refreshed, with spans of a few seconds: who refreshes, how, and what becomes of a call where nobody does.

use voicefleet::call::{LegFact, LegLoss};
use voicefleet::transport::sip::SipEnd;
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
