//! The far end gives its place to somebody else, or tries to; and copies of one INVITE.

use voicefleet::call::{LegFact, LegLoss, LegOrder};
use voicefleet::transport::sip::SipEnd;
use voicefleet::wire::sdp::Direction;
use voicefleet::wire::sip::Message;

use super::phone::{OFFER, Phone};
use super::world::{Note, World, config, facts, trunk};

const OPEN: &str = "[inbound]\naddresses = [\"127.0.0.0/8\"]\nbot = \"desk\"\ntransfers = true\n";

fn body(notify: &Message) -> String {
    String::from_utf8_lossy(&notify.body).trim().to_owned()
}

/// Where each plan sends audio.
fn ports(world: &World) -> Vec<u16> {
    let port = |note: &Note| match note {
        Note::Started(plan) | Note::Changed(plan) => Some(plan.remote.port()),
        _ => None,
    };
    world.notes().iter().filter_map(port).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_that_allows_no_transfers_declines_them_and_the_call_goes_on() {
    let mut world = World::new(trunk("[outbound]\ntargets = [\"127.0.0.1:9\"]\n"), config(500)).await;
    let mut phone = Phone::call(world.endpoint.address()).await;
    let end = world.call().await.1;
    let target = [("Refer-To", "<sip:+911@127.0.0.1>")];
    assert_eq!(phone.ask("REFER", &target, "").await.status(), Some(603));
    let mut other = Phone::new(world.endpoint.address()).await;
    let replaces = phone.replaces();
    assert_eq!(other.ask("INVITE", &[("Replaces", &replaces)], OFFER).await.status(), Some(603));
    phone.hang_up().await;
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::HungUp { by: None }));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_phone_takes_the_far_ends_place_and_the_call_stays_the_same() {
    let mut world = World::new(trunk(OPEN), config(500)).await;
    let mut phone = Phone::call(world.endpoint.address()).await;
    let mut end = world.call().await.1;
    let right = phone.replaces();
    let mut other = Phone::new(world.endpoint.address()).await;
    for (replaces, status) in [
        (right.replace(&phone.call_id, "nobody"), 481),
        (right.replace(&format!("from-tag={}", phone.tag), "from-tag=x"), 481),
        (right.replace(&format!("to-tag={}", phone.their_tag), "to-tag=x"), 481),
        (format!("{right};early-only"), 486),
        ("nonsense".to_owned(), 400),
        (format!("{right}, {right}"), 400),
    ] {
        let fields = [("Replaces", replaces.as_str()), ("Require", "replaces")];
        other.their_tag.clear();
        assert_eq!(other.ask("INVITE", &fields, OFFER).await.status(), Some(status), "{replaces}");
    }
    other.their_tag.clear();
    let offer = OFFER.replace("4000", "4500");
    let unfit = OFFER.replace(" 8 101", " 18").replace("a=rtpmap:101 telephone-event/8000\r\n", "");
    assert_eq!(other.ask("INVITE", &[("Replaces", &right)], &unfit).await.status(), Some(488));
    other.their_tag.clear();
    let answer = other.ask("INVITE", &[("Replaces", &right)], &offer).await;
    assert!(answer.status() == Some(200) && answer.get("Contact").is_some() && !answer.body.is_empty());
    other.ack("").await;
    let bye = phone.asked("BYE").await;
    assert_eq!(bye.get("Call-ID"), Some(phone.call_id.as_str()));
    phone.answer(&bye, 200, "").await;
    // What was the call's is the new dialog's: keys, and the hang-up.
    end.orders.send(LegOrder::HangUp { message: String::new() }).await.unwrap();
    let bye = other.asked("BYE").await;
    assert_eq!(bye.get("Call-ID"), Some(other.call_id.as_str()));
    other.answer(&bye, 200, "").await;
    let mut told = Vec::new();
    while let Some(fact) = end.facts.recv().await {
        told.push(fact);
    }
    assert!(
        matches!(told[..], [LegFact::Started { .. }, LegFact::Answered, LegFact::HungUp { .. }]),
        "one call, answered once: {told:?}"
    );
    assert_eq!(ports(&world), [4_000, 4_500]);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refer_is_followed_by_our_own_trunk_and_told_of() {
    let mut carrier = Phone::new("127.0.0.1:9".parse().unwrap()).await;
    let out = format!("{OPEN}[outbound]\ntargets = [\"{}\"]\nprefixes = [\"+91\"]\n", carrier.address());
    let mut world = World::new(trunk(&out), config(500)).await;
    let mut phone = Phone::call(world.endpoint.address()).await;
    let end = world.call().await.1;
    for (target, status) in [
        ("<sip:+12015550123@127.0.0.1>", 603),
        ("<sip:+911@127.0.0.1>", 603),
        ("<sip:919800000001@127.0.0.1>", 603),
        ("<mailto:x@h>", 400),
        ("<sip:h>", 400),
        ("<sip:+911@h>, <sip:+912@h>", 400),
        ("", 400),
    ] {
        let fields: &[(&str, &str)] = if target.is_empty() { &[] } else { &[("Refer-To", target)] };
        assert_eq!(phone.ask("REFER", fields, "").await.status(), Some(status), "{target}");
    }

    // Whoever is called declines: the call stays where it is.
    let target = [("Refer-To", "<sip:+919800000001@elsewhere.example>")];
    assert_eq!(phone.ask("REFER", &target, "").await.status(), Some(202));
    let trying = phone.asked("NOTIFY").await;
    assert_eq!((body(&trying).as_str(), trying.get("Event")), ("SIP/2.0 100 Trying", Some("refer")));
    phone.answer(&trying, 200, "").await;
    let invite = carrier.asked("INVITE").await;
    assert!(
        invite.uri().unwrap().starts_with("sip:+919800000001@127.0.0.1"),
        "by our trunk, not to the host of the REFER"
    );
    assert_eq!(phone.ask("REFER", &target, "").await.status(), Some(491), "one at a time");
    carrier.says(&invite, 486, "c", "").await;
    let over = phone.asked("NOTIFY").await;
    assert_eq!(body(&over), "SIP/2.0 486 Busy Here");
    assert!(over.get("Subscription-State").unwrap().starts_with("terminated"));
    phone.answer(&over, 200, "").await;

    // Somebody answers: told, and the old dialog is ended.
    assert_eq!(phone.ask("REFER", &target, "").await.status(), Some(202));
    let trying = phone.asked("NOTIFY").await;
    phone.answer(&trying, 200, "").await;
    let invite = carrier.asked("INVITE").await;
    carrier.says(&invite, 200, "d", &OFFER.replace("4000", "4700")).await;
    carrier.asked("ACK").await;
    let done = phone.asked("NOTIFY").await;
    assert_eq!(body(&done), "SIP/2.0 200 OK");
    phone.answer(&done, 200, "").await;
    let bye = phone.asked("BYE").await;
    phone.answer(&bye, 200, "").await;
    assert_eq!(ports(&world), [4_000, 4_700]);
    end.orders.send(LegOrder::HangUp { message: String::new() }).await.unwrap();
    let bye = carrier.asked("BYE").await;
    assert_eq!(bye.get("Call-ID"), invite.get("Call-ID"));
    carrier.says(&bye, 200, "d", "").await;
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::HungUp { by: Some("bot".to_owned()) }));
    world.settle().await;
}

/// A call whose far end has sent a REFER and hung up behind it while the carrier rings whom it named.
async fn left_alone(carrier: &mut Phone) -> (World, Phone, SipEnd, Message) {
    let out = format!("{OPEN}[outbound]\ntargets = [\"{}\"]\n", carrier.address());
    let mut world = World::new(trunk(&out), config(500)).await;
    let mut phone = Phone::call(world.endpoint.address()).await;
    let end = world.call().await.1;
    assert_eq!(phone.ask("REFER", &[("Refer-To", "<tel:+911>")], "").await.status(), Some(202));
    let invite = carrier.asked("INVITE").await;
    carrier.says(&invite, 180, "c", "").await;
    let fields = [("Reason", "Q.850;cause=31")];
    assert_eq!(phone.ask("BYE", &fields, "").await.status(), Some(200));
    (world, phone, end, invite)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_far_end_that_hangs_up_behind_its_refer_leaves_the_call_to_whom_it_named() {
    let mut carrier = Phone::new("127.0.0.1:9".parse().unwrap()).await;
    let (world, mut phone, mut end, invite) = left_alone(&mut carrier).await;
    // The dialog is over, whatever else comes in it.
    assert_eq!(phone.ask("INFO", &[], "").await.status(), Some(481));
    carrier.says(&invite, 200, "c", &OFFER.replace("4000", "4700")).await;
    carrier.asked("ACK").await;
    // What was asked for is still told, and nobody is hung up on twice.
    while body(&phone.asked("NOTIFY").await) != "SIP/2.0 200 OK" {}
    end.orders.send(LegOrder::HangUp { message: String::new() }).await.unwrap();
    let bye = carrier.asked("BYE").await;
    assert_eq!(bye.get("Call-ID"), invite.get("Call-ID"));
    carrier.says(&bye, 200, "c", "").await;
    let mut told = Vec::new();
    while let Some(fact) = end.facts.recv().await {
        told.push(fact);
    }
    assert!(
        matches!(told[..], [LegFact::Started { .. }, LegFact::Answered, LegFact::HungUp { .. }]),
        "one call, answered and ended once: {told:?}"
    );
    let report = end.report.await.unwrap();
    assert_eq!(report.cause, None, "the cause of the one that left is not the call's");
    let sent = |what: &str| report.ladder.iter().filter(|row| row.sent && row.what == what).count();
    assert_eq!(sent("BYE"), 1, "{:?}", report.ladder);
    let directions: Vec<_> = world
        .notes()
        .iter()
        .filter_map(|note| match note {
            Note::Started(plan) | Note::Changed(plan) => Some((plan.remote.port(), plan.direction)),
            Note::Pressed(_) | Note::Stopped => None,
        })
        .collect();
    let wanted = [(4_000, Direction::SendRecv), (4_000, Direction::Inactive), (4_700, Direction::SendRecv)];
    assert_eq!(directions, wanted, "nobody is heard or spoken to in between");
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_is_left_in_ends_when_whom_was_called_declines() {
    let mut carrier = Phone::new("127.0.0.1:9".parse().unwrap()).await;
    let (world, mut phone, end, invite) = left_alone(&mut carrier).await;
    carrier.says(&invite, 486, "c", "").await;
    while body(&phone.asked("NOTIFY").await) != "SIP/2.0 486 Busy Here" {}
    let (facts, report) = facts(end).await;
    assert_eq!(facts.last(), Some(&LegFact::HungUp { by: None }));
    assert_eq!(report.cause, Some(31), "it is the far end's hang-up that ended it");
    assert_eq!(world.notes().last(), Some(&Note::Stopped));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hang_up_of_ours_cancels_whom_a_far_end_that_left_had_named() {
    let mut carrier = Phone::new("127.0.0.1:9".parse().unwrap()).await;
    let (world, mut phone, end, invite) = left_alone(&mut carrier).await;
    end.orders.send(LegOrder::HangUp { message: String::new() }).await.unwrap();
    let cancel = carrier.asked("CANCEL").await;
    carrier.says(&cancel, 200, "c", "").await;
    carrier.says(&invite, 487, "c", "").await;
    let (facts, report) = facts(end).await;
    assert_eq!(facts.last(), Some(&LegFact::HungUp { by: Some("bot".to_owned()) }));
    assert!(!report.ladder.iter().any(|row| row.sent && row.what == "BYE"), "{:?}", report.ladder);
    world.settle().await;
    // Nothing of the old dialog is left.
    assert_eq!(phone.ask("OPTIONS", &[], "").await.status(), Some(481));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_crosses_our_hang_up_is_ended_too() {
    let mut carrier = Phone::new("127.0.0.1:9".parse().unwrap()).await;
    let out = format!("{OPEN}[outbound]\ntargets = [\"{}\"]\n", carrier.address());
    let mut world = World::new(trunk(&out), config(500)).await;
    let mut phone = Phone::call(world.endpoint.address()).await;
    let end = world.call().await.1;
    assert_eq!(phone.ask("REFER", &[("Refer-To", "<tel:+911>")], "").await.status(), Some(202));
    let trying = phone.asked("NOTIFY").await;
    phone.answer(&trying, 200, "").await;
    let invite = carrier.asked("INVITE").await;
    carrier.says(&invite, 180, "c", "").await;
    end.orders.send(LegOrder::HangUp { message: String::new() }).await.unwrap();
    let bye = phone.asked("BYE").await;
    // Our BYE is not answered yet when whoever was called picks up.
    carrier.says(&invite, 200, "c", &OFFER.replace("4000", "4700")).await;
    carrier.asked("ACK").await;
    let untaken = carrier.asked("BYE").await;
    assert_eq!(untaken.get("Call-ID"), invite.get("Call-ID"));
    carrier.says(&untaken, 200, "c", "").await;
    phone.answer(&bye, 200, "").await;
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::HungUp { by: Some("bot".to_owned()) }));
    assert_eq!(ports(&world), [4_000], "nobody went on in it");
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_a_place_without_saying_where_its_audio_goes_is_hung_up_on() {
    let mut world = World::new(trunk(OPEN), config(500)).await;
    let mut phone = Phone::call(world.endpoint.address()).await;
    let end = world.call().await.1;
    let mut other = Phone::new(world.endpoint.address()).await;
    let answer = other.ask("INVITE", &[("Replaces", &phone.replaces())], "").await;
    assert!(answer.status() == Some(200) && !answer.body.is_empty(), "the offer is ours");
    let bye = phone.asked("BYE").await;
    phone.answer(&bye, 200, "").await;
    other.ack("").await;
    let bye = other.asked("BYE").await;
    other.answer(&bye, 200, "").await;
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::Lost(LegLoss::Protocol)));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_call_by_two_ways_is_taken_once() {
    let mut world = World::new(trunk(""), config(500)).await;
    let mut phone = Phone::call(world.endpoint.address()).await;
    let end = world.call().await.1;
    let mut copy = Phone::new(world.endpoint.address()).await;
    (copy.call_id, copy.tag) = (phone.call_id.clone(), phone.tag.clone());
    assert_eq!(copy.ask("INVITE", &[], OFFER).await.status(), Some(482));
    // The next number is another request.
    copy.their_tag.clear();
    assert_eq!(copy.ask("INVITE", &[], OFFER).await.status(), Some(200));
    copy.ack("").await;
    copy.hang_up().await;
    phone.hang_up().await;
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::HungUp { by: None }));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fax_is_refused_and_audio_beside_it_goes_on() {
    let mut world = World::new(trunk(""), config(500)).await;
    let mut phone = Phone::call(world.endpoint.address()).await;
    let end = world.call().await.1;
    let image = "m=image 4002 udptl t38\r\na=T38FaxVersion:0\r\n";
    let at = OFFER.find("m=audio").unwrap();
    let (head, audio) = OFFER.split_at(at);
    for (offer, status, lines) in [
        (format!("{head}{image}"), 488, vec![]),
        (format!("{head}{}{image}", audio.replace("4000", "0")), 488, vec![]),
        (format!("{head}{audio}{image}"), 200, vec!["m=audio", "m=image 0 udptl t38"]),
        (format!("{head}{image}{audio}"), 200, vec!["m=image 0 udptl t38", "m=audio"]),
        (OFFER.to_owned(), 200, vec!["m=audio"]),
    ] {
        let answer = phone.ask("INVITE", &[], &offer).await;
        assert_eq!(answer.status(), Some(status), "{offer}");
        if status == 200 {
            phone.ack("").await;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            let found: Vec<&str> = text.lines().filter(|line| line.starts_with("m=")).collect();
            assert!(found.len() == lines.len() && found.iter().zip(&lines).all(|(f, l)| f.starts_with(l)), "{text}");
        }
    }
    phone.hang_up().await;
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::HungUp { by: None }));
    let audio: Vec<u16> = ports(&world);
    assert!(audio.iter().all(|port| *port == 4_000), "{audio:?}");
    world.settle().await;
}
