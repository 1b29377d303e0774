//! Before the answer: provisional responses that must be acknowledged, in both roles, and several phones that answer one call.

use voicefleet::call::{LegFact, LegLoss, LegOrder};
use voicefleet::rt;
use voicefleet::transport::sip::{MediaPorts as _, OutboundCall, SipLink};
use voicefleet::units::SampleRate;
use voicefleet::wire::sdp::Direction;
use voicefleet::wire::sip::Message;

use super::phone::{OFFER, Phone};
use super::world::{LIMIT, Note, World, config, facts, trunk};

const STARTED: LegFact = LegFact::Started { rate: SampleRate::NARROW };

const RINGING: &str = "[inbound]\naddresses = [\"127.0.0.0/8\"]\nbot = \"desk\"\nring_ms = ";

fn ringing(ms: u32) -> voicefleet::trunk::Trunk {
    trunk(&format!("{RINGING}{ms}\n"))
}

fn rack(response: &Message) -> String {
    format!("{} 1 INVITE", response.get("RSeq").unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rings_is_repeated_until_it_is_acknowledged_and_only_then_answered() {
    let mut world = World::new(ringing(10), config(100)).await;
    let mut phone = Phone::new(world.endpoint.address()).await;
    let invite = phone.request("INVITE", &[("Require", "100rel"), ("Supported", "100rel")], OFFER);
    phone.send(&invite).await;
    let end = world.call().await.1;
    let first = phone.response("INVITE").await;
    assert_eq!((first.status(), first.get("Require")), (Some(180), Some("100rel")));
    assert!(first.body.is_empty(), "the answer to the INVITE's offer comes with the 200");
    // Two repetitions, word for word, and no answer although it has rung long enough.
    for _ in 0..2 {
        assert_eq!(phone.next_of_all().await.to_bytes(), first.to_bytes());
    }
    for wrong in ["1 1 INVITE", "x", &rack(&first).replace(" 1 ", " 2 "), ""] {
        let fields: &[(&str, &str)] = if wrong.is_empty() { &[] } else { &[("RAck", wrong)] };
        assert_eq!(phone.ask("PRACK", fields, "").await.status(), Some(481), "{wrong}");
    }
    assert_eq!(phone.ask("PRACK", &[("RAck", &rack(&first))], "").await.status(), Some(200));
    let answer = phone.response("INVITE").await;
    assert!(answer.status() == Some(200) && !answer.body.is_empty());
    phone.ack("").await;
    assert_eq!(phone.ask("PRACK", &[("RAck", &rack(&first))], "").await.status(), Some(481), "acknowledged already");
    phone.hang_up().await;
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::HungUp { by: None }));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_of_ours_goes_with_what_is_acknowledged_and_has_its_answer_there() {
    let mut world = World::new(ringing(10), config(500)).await;
    let mut phone = Phone::new(world.endpoint.address()).await;
    let invite = phone.request("INVITE", &[("Require", "100rel")], "");
    phone.send(&invite).await;
    let end = world.call().await.1;
    let first = phone.response("INVITE").await;
    assert!(first.status() == Some(180) && !first.body.is_empty(), "our offer");
    let rack = rack(&first);
    assert_eq!(phone.ask("PRACK", &[("RAck", &rack)], "").await.status(), Some(400), "it had to bring the answer");
    assert_eq!(phone.ask("PRACK", &[("RAck", &rack)], OFFER).await.status(), Some(200));
    let answer = phone.response("INVITE").await;
    assert!(answer.status() == Some(200) && answer.body.is_empty(), "all is agreed");
    phone.ack("").await;
    phone.hang_up().await;
    let started =
        matches!(facts(end).await.0[..], [LegFact::Started { .. }, LegFact::Answered, LegFact::HungUp { .. }]);
    assert!(started && matches!(world.notes()[..], [Note::Started(_), Note::Stopped]));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_never_acknowledges_is_refused() {
    let mut world = World::new(ringing(10), config(20)).await;
    let mut phone = Phone::new(world.endpoint.address()).await;
    let invite = phone.request("INVITE", &[("Require", "100rel")], OFFER);
    phone.send(&invite).await;
    let end = world.call().await.1;
    assert_eq!(phone.response("INVITE").await.status(), Some(180));
    assert_eq!(phone.response("INVITE").await.status(), Some(504));
    let (facts, report) = facts(end).await;
    assert_eq!((facts, report.status), (vec![LegFact::Lost(LegLoss::Unanswered)], 504));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_offer_before_the_answer_to_the_first_is_put_off() {
    let mut world = World::new(ringing(1_000), config(500)).await;
    let mut phone = Phone::new(world.endpoint.address()).await;
    let invite = phone.request("INVITE", &[("Supported", "100rel")], OFFER);
    phone.send(&invite).await;
    let end = world.call().await.1;
    assert_eq!(phone.response("INVITE").await.status(), Some(180));
    let put_off = phone.ask("UPDATE", &[], &OFFER.replace("4000", "4700")).await;
    let wait = put_off.get("Retry-After").and_then(|text| text.parse::<u32>().ok());
    assert!(put_off.status() == Some(500) && wait.is_some_and(|wait| wait <= 10), "{put_off:?}");
    let answer = phone.response("INVITE").await;
    assert!(answer.status() == Some(200) && !answer.body.is_empty(), "the first offer has its answer");
    phone.ack("").await;
    phone.hang_up().await;
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::HungUp { by: None }));
    assert!(matches!(&world.notes()[0], Note::Started(plan) if plan.remote.port() == 4_000));
    world.settle().await;
}

fn early(ms: u32) -> voicefleet::trunk::Trunk {
    trunk(&format!("{RINGING}{ms}\nearly_media = true\n"))
}

/// The directions of what the audio was told.
fn directions(world: &World) -> Vec<Direction> {
    let direction = |note: &Note| match note {
        Note::Started(plan) | Note::Changed(plan) => Some(plan.direction),
        _ => None,
    };
    world.notes().iter().filter_map(direction).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_is_heard_early_begins_with_the_183_and_its_200_says_the_same() {
    let mut world = World::new(early(300), config(500)).await;
    let mut phone = Phone::new(world.endpoint.address()).await;
    let invite = phone.request("INVITE", &[("Supported", "100rel")], OFFER);
    phone.send(&invite).await;
    let mut end = world.call().await.1;
    let progress = phone.response("INVITE").await;
    assert_eq!((progress.status(), progress.get("Require")), (Some(183), None));
    assert!(progress.body.starts_with(b"v=0") && progress.get("Contact").is_some());
    // Both facts come before the answer is sent.
    for fact in [STARTED, LegFact::Answered] {
        assert_eq!(rt::timeout(LIMIT, end.facts.recv()).await.expect("before the answer"), Some(fact));
    }
    let answer = phone.response("INVITE").await;
    assert_eq!((answer.status(), &answer.body), (Some(200), &progress.body));
    phone.ack("").await;
    phone.hang_up().await;
    let (facts, report) = facts(end).await;
    assert_eq!(facts, [LegFact::HungUp { by: None }], "the 200 is nothing new to the bot");
    assert!(report.rang && report.status == 200);
    // Before the answer nobody has to send us anything.
    assert_eq!(directions(&world), [Direction::SendOnly, Direction::SendRecv]);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn early_media_that_must_be_acknowledged_carries_the_answer_once() {
    let mut world = World::new(early(200), config(500)).await;
    let mut phone = Phone::new(world.endpoint.address()).await;
    let invite = phone.request("INVITE", &[("Require", "100rel")], OFFER);
    phone.send(&invite).await;
    let end = world.call().await.1;
    let progress = phone.response("INVITE").await;
    assert_eq!((progress.status(), progress.get("Require")), (Some(183), Some("100rel")));
    assert!(progress.body.starts_with(b"v=0"));
    assert_eq!(phone.ask("PRACK", &[("RAck", &rack(&progress))], "").await.status(), Some(200));
    // What is settled may be changed before the answer.
    let changed = phone.ask("UPDATE", &[], &OFFER.replace("4000", "4700")).await;
    assert!(changed.status() == Some(200) && !changed.body.is_empty());
    let answer = phone.response("INVITE").await;
    assert!(answer.status() == Some(200) && answer.body.is_empty(), "said for sure already");
    phone.ack("").await;
    phone.hang_up().await;
    assert_eq!(facts(end).await.0, [STARTED, LegFact::Answered, LegFact::HungUp { by: None }]);
    assert_eq!(directions(&world), [Direction::SendOnly, Direction::SendOnly, Direction::SendRecv]);
    assert!(matches!(&world.notes()[2], Note::Changed(plan) if plan.remote.port() == 4_700));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_is_heard_early_needs_an_offer_or_the_answer_to_its_own() {
    // Nothing to go by: it rings.
    let mut world = World::new(early(50), config(500)).await;
    let mut phone = Phone::new(world.endpoint.address()).await;
    let invite = phone.request("INVITE", &[], "");
    phone.send(&invite).await;
    let mut end = world.call().await.1;
    assert_eq!(phone.response("INVITE").await.status(), Some(180));
    assert_eq!(phone.response("INVITE").await.status(), Some(200));
    phone.ack(OFFER).await;
    // A BYE may overtake the ACK, and what that brings.
    for fact in [STARTED, LegFact::Answered] {
        assert_eq!(rt::timeout(LIMIT, end.facts.recv()).await.expect("behind the ACK"), Some(fact));
    }
    phone.hang_up().await;
    assert_eq!(facts(end).await.0, [LegFact::HungUp { by: None }]);
    assert_eq!(directions(&world), [Direction::SendRecv]);
    // Our offer goes with what must be acknowledged, and its answer comes with that.
    let mut phone = Phone::new(world.endpoint.address()).await;
    let invite = phone.request("INVITE", &[("Require", "100rel")], "");
    phone.send(&invite).await;
    let mut end = world.call().await.1;
    let ringing = phone.response("INVITE").await;
    assert!(ringing.status() == Some(180) && !ringing.body.is_empty());
    assert_eq!(phone.ask("PRACK", &[("RAck", &rack(&ringing))], OFFER).await.status(), Some(200));
    assert_eq!(phone.response("INVITE").await.status(), Some(200));
    phone.ack("").await;
    // A BYE may overtake the ACK, and what that brings.
    for fact in [STARTED, LegFact::Answered] {
        assert_eq!(rt::timeout(LIMIT, end.facts.recv()).await.expect("behind the ACK"), Some(fact));
    }
    phone.hang_up().await;
    assert_eq!(facts(end).await.0, [LegFact::HungUp { by: None }]);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_is_heard_early_may_end_the_call_unanswered_or_hand_it_over() {
    for transfer in [false, true] {
        let mut world = World::new(early(20_000), config(500)).await;
        let mut phone = Phone::new(world.endpoint.address()).await;
        let invite = phone.request("INVITE", &[], OFFER);
        phone.send(&invite).await;
        let mut end = world.call().await.1;
        assert_eq!(phone.response("INVITE").await.status(), Some(183));
        for fact in [STARTED, LegFact::Answered] {
            assert_eq!(rt::timeout(LIMIT, end.facts.recv()).await.expect("before the answer"), Some(fact));
        }
        if transfer {
            end.orders.send(LegOrder::Transfer { to: "+911".to_owned() }).await.unwrap();
            assert_eq!(phone.response("INVITE").await.status(), Some(200), "who is handed over is answered first");
            phone.ack("").await;
            let refer = phone.asked("REFER").await;
            phone.answer(&refer, 603, "").await;
            assert_eq!(
                rt::timeout(LIMIT, end.facts.recv()).await.expect("the outcome"),
                Some(LegFact::TransferFailed { status: Some(603) })
            );
            phone.hang_up().await;
            assert_eq!(facts(end).await.0, [LegFact::HungUp { by: None }]);
        } else {
            end.orders.send(LegOrder::HangUp { message: String::new() }).await.unwrap();
            assert_eq!(phone.response("INVITE").await.status(), Some(480));
            phone.ack("").await;
            let (facts, report) = facts(end).await;
            assert_eq!((facts, report.status), (vec![LegFact::HungUp { by: Some("bot".to_owned()) }], 480));
        }
        world.settle().await;
    }
}

/// A call of ours to a phone, and what the driver hears of it.
async fn dialled(phone: &Phone) -> (World, voicefleet::transport::sip::SipEnd) {
    let world = World::new(trunk(&format!("[outbound]\ntargets = [\"{}\"]\n", phone.address())), config(500)).await;
    let (link, end) = SipLink::pair();
    let call =
        OutboundCall { trunk: "main".to_owned(), to: "+911".to_owned(), from: String::new(), fields: Vec::new() };
    world.endpoint.place_call(call, || world.ports.reserve(), link).unwrap();
    (world, end)
}

/// A response of one phone of many.
async fn says(phone: &Phone, invite: &Message, status: u16, tag: &str, fields: &[(&str, &str)], body: &str) {
    let mut response = Message::response(invite, status, "", tag);
    response.push("Contact", &format!("<sip:{tag}@{}>", phone.address()));
    fields.iter().for_each(|(name, value)| response.push(name, value));
    if !body.is_empty() {
        response.set_sdp(body);
    }
    phone.send_to(&response, sender_of(invite)).await;
}

/// Where a request came from.
fn sender_of(request: &Message) -> std::net::SocketAddr {
    let via = request.get("Via").unwrap().split_whitespace().nth(1).unwrap();
    via.split(';').next().unwrap().parse().unwrap()
}

fn at_port(port: u16) -> String {
    OFFER.replace("4000", &port.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reliable_response_of_the_carrier_is_acknowledged_once_in_its_order() {
    let mut phone = Phone::new("127.0.0.1:9".parse().unwrap()).await;
    let (world, end) = dialled(&phone).await;
    let invite = phone.asked("INVITE").await;
    assert!(invite.get("Supported").unwrap().contains("100rel"));
    let reliable = |number: &'static str| [("Require", "100rel"), ("RSeq", number)];
    says(&phone, &invite, 183, "a", &reliable("5"), &at_port(4_100)).await;
    let prack = phone.asked("PRACK").await;
    assert_eq!((prack.get("RAck"), prack.get("CSeq")), (Some("5 1 INVITE"), Some("2 PRACK")));
    assert!(prack.uri().unwrap().starts_with("sip:a@") && prack.get("To").unwrap().ends_with("tag=a"));
    says(&phone, &prack, 200, "a", &[], "").await;
    // Said again, and one that is ahead of its turn: neither is acknowledged.
    says(&phone, &invite, 183, "a", &reliable("5"), &at_port(4_100)).await;
    says(&phone, &invite, 180, "a", &reliable("7"), "").await;
    says(&phone, &invite, 180, "a", &reliable("6"), "").await;
    let prack = phone.asked("PRACK").await;
    assert_eq!((prack.get("RAck"), prack.get("CSeq")), (Some("6 1 INVITE"), Some("3 PRACK")));
    says(&phone, &prack, 200, "a", &[], "").await;
    // The answer came with the 183.
    says(&phone, &invite, 200, "a", &[], "").await;
    let ack = phone.asked("ACK").await;
    assert_eq!(ack.get("CSeq"), Some("1 ACK"));
    drop(end.orders);
    let bye = phone.asked("BYE").await;
    assert_eq!(bye.get("CSeq"), Some("4 BYE"), "behind what was used before the answer");
    says(&phone, &bye, 200, "a", &[], "").await;
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_phones_that_answer_the_first_is_heard_and_the_second_hung_up() {
    let mut phone = Phone::new("127.0.0.1:9".parse().unwrap()).await;
    let (world, end) = dialled(&phone).await;
    let invite = phone.asked("INVITE").await;
    says(&phone, &invite, 183, "a", &[], &at_port(4_100)).await;
    says(&phone, &invite, 183, "b", &[], &at_port(4_200)).await;
    // The first one's own description holds, although the second one's came later.
    says(&phone, &invite, 200, "a", &[], "").await;
    let ack = phone.asked("ACK").await;
    assert!(ack.get("To").unwrap().ends_with("tag=a"));
    says(&phone, &invite, 200, "b", &[], &at_port(4_200)).await;
    let ack = phone.asked("ACK").await;
    assert!(ack.get("To").unwrap().ends_with("tag=b") && ack.uri().unwrap().starts_with("sip:b@"));
    let bye = phone.asked("BYE").await;
    assert!(bye.get("To").unwrap().ends_with("tag=b"));
    says(&phone, &bye, 200, "b", &[], "").await;
    // Its answer said again is acknowledged again, and hung up once.
    says(&phone, &invite, 200, "b", &[], &at_port(4_200)).await;
    let again = phone.next_of_all().await;
    assert_eq!((again.method(), again.to_bytes()), (Some("ACK"), ack.to_bytes()));
    assert_eq!(world.endpoint.census().dialogs, 1, "the call is up");
    drop(end.orders);
    let bye = phone.asked("BYE").await;
    assert!(bye.get("To").unwrap().ends_with("tag=a"));
    says(&phone, &bye, 200, "a", &[], "").await;
    world.settle().await;
    let plans: Vec<u16> = world
        .notes()
        .iter()
        .filter_map(|note| match note {
            Note::Started(plan) | Note::Changed(plan) => Some(plan.remote.port()),
            _ => None,
        })
        .collect();
    assert_eq!(plans, [4_100, 4_200, 4_100], "early media of each, then the one that answered");
}

/// A request of a phone that may answer, in the dialog that its response made.
async fn asks(phone: &mut Phone, invite: &Message, method: &str, tag: &str, body: &str) -> Message {
    let contact = invite.get("Contact").unwrap();
    let uri = contact.trim_start_matches('<').split('>').next().unwrap().to_owned();
    phone.number += 1;
    let mut request = Message::request(method, &uri);
    request.push("Via", &format!("SIP/2.0/UDP {};branch=z9hG4bK{tag}{};rport", phone.address(), phone.number));
    request.push("Max-Forwards", "70");
    request.push("From", &format!("{};tag={tag}", invite.get("To").unwrap()));
    request.push("To", invite.get("From").unwrap());
    request.push("Call-ID", invite.get("Call-ID").unwrap());
    request.push("CSeq", &format!("{} {method}", phone.number));
    request.push("Contact", &format!("<sip:{tag}@{}>", phone.address()));
    if !body.is_empty() {
        request.set_sdp(body);
    }
    phone.send_to(&request, sender_of(invite)).await;
    phone.response(method).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_moves_its_early_media_by_update_and_the_answer_behind_it_changes_nothing() {
    let mut phone = Phone::new("127.0.0.1:9".parse().unwrap()).await;
    let (world, mut end) = dialled(&phone).await;
    let invite = phone.asked("INVITE").await;
    let status = |message: &Message| message.status();
    let reliable = [("Require", "100rel"), ("RSeq", "5")];
    assert_eq!(status(&asks(&mut phone, &invite, "UPDATE", "a", &at_port(4_050)).await), Some(481), "no such phone");
    // Of one whose answer nobody acknowledged the offer of ours is open.
    says(&phone, &invite, 183, "b", &[], &at_port(4_100)).await;
    assert_eq!(rt::timeout(LIMIT, end.facts.recv()).await.expect("early media"), Some(STARTED));
    assert_eq!(status(&asks(&mut phone, &invite, "UPDATE", "b", &at_port(4_150)).await), Some(491));
    says(&phone, &invite, 183, "a", &reliable, &at_port(4_200)).await;
    let prack = phone.asked("PRACK").await;
    says(&phone, &prack, 200, "a", &[], "").await;
    let moved = asks(&mut phone, &invite, "UPDATE", "a", &at_port(4_300).replace("o=- 1 1", "o=- 1 2")).await;
    assert_eq!(status(&moved), Some(200));
    let body = String::from_utf8_lossy(&moved.body).into_owned();
    assert!(body.contains("m=audio") && body.contains("RTP/AVP 8"), "{body}");
    assert!(moved.get("Contact").is_some() && moved.get("To").unwrap().contains(";tag="), "{moved:?}");
    // An offer that cannot be met leaves what is, one without an offer asks whether we are there, and the rest waits for the answer.
    let fax = "v=0\r\no=- 1 3 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=image 4400 udptl t38\r\n";
    for (method, body, expected) in [
        ("UPDATE", fax, 488),
        ("UPDATE", "v=1 none", 400),
        ("UPDATE", "", 200),
        ("OPTIONS", "", 200),
        ("INVITE", OFFER, 491),
        ("INFO", "", 481),
    ] {
        let told = asks(&mut phone, &invite, method, "a", body).await;
        assert_eq!(status(&told), Some(expected), "{method} {body}");
    }
    // What some say again with their answer is what they said first.
    says(&phone, &invite, 200, "a", &[], &at_port(4_200)).await;
    phone.asked("ACK").await;
    assert_eq!(rt::timeout(LIMIT, end.facts.recv()).await.expect("the answer"), Some(LegFact::Answered));
    // It is the same dialog as before.
    let again = asks(&mut phone, &invite, "UPDATE", "a", &at_port(4_500).replace("o=- 1 1", "o=- 1 4")).await;
    assert_eq!(status(&again), Some(200));
    drop(end.orders);
    let bye = phone.asked("BYE").await;
    says(&phone, &bye, 200, "a", &[], "").await;
    world.settle().await;
    let mut plans: Vec<u16> = world
        .notes()
        .iter()
        .filter_map(|note| match note {
            Note::Started(plan) | Note::Changed(plan) => Some(plan.remote.port()),
            _ => None,
        })
        .collect();
    plans.dedup();
    assert_eq!(plans, [4_100, 4_200, 4_300, 4_500]);
}
