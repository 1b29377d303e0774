//! Calls that go, to sipp: answers, early media, digest, refusals, failover, CANCEL.

use voicefleet::call::{EndReason, LegFact, LegLoss, LegOrder};
use voicefleet::rt;
use voicefleet::transport::sip::{MediaPorts as _, OutboundCall, PlaceError, SipEnd, SipLink, SipReport};
use voicefleet::units::{Pii, SampleRate};
use voicefleet::wire::sip::{Answer, Credentials, Message};

use super::free_port::free_port;
use super::peer::{Peer, respond};
use super::phone::{OFFER, Phone};
use super::world::{LIMIT, World, config, facts, facts_of_a_short_call, sipp, trunk};

const STARTED: LegFact = LegFact::Started { rate: SampleRate::NARROW };

fn by(who: &str) -> LegFact {
    LegFact::HungUp { by: Some(who.to_owned()) }
}

pub fn call() -> OutboundCall {
    OutboundCall { trunk: "main".to_owned(), to: "+919800000001".to_owned(), from: String::new(), fields: Vec::new() }
}

pub async fn world(targets: &[u16], more: &str) -> World {
    let targets: Vec<String> = targets.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    let text = format!("[outbound]\ntargets = [{}]\nfirst_answer_ms = 2000\n{more}", targets.join(", "));
    let mut trunk = trunk(&text);
    trunk.password = Some(Pii::new("secret".to_owned()));
    World::new(trunk, config(100)).await
}

pub fn place(world: &World) -> SipEnd {
    place_as(world, call())
}

pub fn place_as(world: &World, call: OutboundCall) -> SipEnd {
    let (link, end) = SipLink::pair();
    world.endpoint.place_call(call, || world.ports.reserve(), link).unwrap();
    end
}

/// Places one call to sipp with this scenario, which hangs up; its facts, and the world with nothing left of it.
pub async fn called_by(scenario: &'static str) -> (World, Vec<LegFact>) {
    let port = free_port();
    let world = world(&[port], "").await;
    let text = port.to_string();
    let peer = sipp(scenario, &["-m", "1", "-p", &text]);
    let (_, (facts, _)) = tokio::join!(peer, async { facts(place(&world)).await });
    world.settle().await;
    (world, facts)
}

/// Places one call to sipp with this scenario; its facts, hung up once answered.
async fn called(scenario: &'static str, arguments: &[&str], more: &str) -> (Vec<LegFact>, SipReport) {
    let port = free_port();
    let world = world(&[port], more).await;
    let text = port.to_string();
    let mut all = vec!["-m", "1", "-p", &text];
    all.extend(arguments);
    let peer = sipp(scenario, &all);
    let calling = async {
        // sipp may take a moment to listen; until then the INVITE is repeated.
        facts_of_a_short_call(place(&world)).await
    };
    let (_, found) = tokio::join!(peer, calling);
    world.settle().await;
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_answered_and_ended_by_us() {
    let (facts, report) = called("uas_plain.xml", &[], "").await;
    assert_eq!(facts, [STARTED, LegFact::Answered, by("bot")]);
    assert_eq!((report.status, report.rang), (200, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_with_early_media_is_answered() {
    let (facts, report) = called("uas_early.xml", &[], "").await;
    assert_eq!(facts, [STARTED, LegFact::Answered, by("bot")]);
    let order: Vec<&str> = report.ladder.iter().map(|row| row.what.as_str()).collect();
    assert!(order.starts_with(&["INVITE", "183", "200", "ACK"]), "{order:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenge_is_answered() {
    let (facts, _) = called("uas_digest.xml", &[], "[account]\nuser = \"us\"\npassword_file = \"x\"\n").await;
    assert_eq!(facts, [STARTED, LegFact::Answered, by("bot")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_told_by_name_and_never_tried_again() {
    use EndReason::{Busy, InvalidNumber, NoAnswer, Rejected};
    for (status, cause, reason) in
        [("486", "17", Busy), ("603", "21", Rejected), ("480", "19", NoAnswer), ("404", "1", InvalidNumber)]
    {
        let (first, second) = (free_port(), free_port());
        let world = world(&[first, second], "").await;
        let other = std::net::UdpSocket::bind(("127.0.0.1", second)).unwrap();
        other.set_nonblocking(true).unwrap();
        let text = first.to_string();
        let peer = sipp("uas_refuses.xml", &["-m", "1", "-p", &text, "-key", "status", status, "-key", "cause", cause]);
        let calling = async { facts(place(&world)).await };
        let (_, (facts, report)) = tokio::join!(peer, calling);
        assert_eq!(facts, [LegFact::Unreached(reason)]);
        assert_eq!(
            (report.status.to_string(), report.cause.map(|c| c.to_string())),
            (status.to_owned(), Some(cause.to_owned()))
        );
        assert!(other.recv(&mut [0; 1]).is_err(), "{status}: the second address was tried");
        world.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_third_address_is_reached_when_one_is_dead_and_one_overloaded() {
    let (dead, busy, good) = (free_port(), free_port(), free_port());
    let world = world(&[dead, busy, good], "").await;
    let (busy, good) = (busy.to_string(), good.to_string());
    let refusing = sipp("uas_refuses.xml", &["-m", "1", "-p", &busy, "-key", "status", "503", "-key", "cause", "42"]);
    let answering = sipp("uas_plain.xml", &["-m", "1", "-p", &good]);
    let calling = async { facts_of_a_short_call(place(&world)).await };
    let (_, _, (facts, _)) = tokio::join!(refusing, answering, calling);
    assert_eq!(facts, [STARTED, LegFact::Answered, by("bot")]);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ringing_call_is_cancelled_when_the_driver_hangs_up() {
    let port = free_port();
    let world = world(&[port], "").await;
    let text = port.to_string();
    let peer = sipp("uas_rings.xml", &["-m", "1", "-p", &text]);
    let calling = async {
        let mut end = place(&world);
        // Its ringing tone says that the INVITE is out; an order before that would only keep it in.
        assert_eq!(rt::timeout(LIMIT, end.facts.recv()).await.expect("it rings in time"), Some(STARTED));
        end.orders.send(LegOrder::HangUp { message: String::new() }).await.unwrap();
        facts(end).await
    };
    let (_, (facts, report)) = tokio::join!(peer, calling);
    assert_eq!(facts, [by("bot")]);
    assert!(report.ladder.iter().any(|row| row.sent && row.what == "CANCEL"));
    world.settle().await;
}

#[tokio::test]
async fn what_a_trunk_does_not_allow_is_not_sent() {
    let world = world(
        &[free_port()],
        "prefixes = [\"+91\"]\n[identity]\ncaller_id = \"+912255501000\"\n[limits]\nchannels = 1\n",
    )
    .await;
    let place = |call: OutboundCall| {
        let (link, end) = SipLink::pair();
        let asked = std::cell::Cell::new(false);
        let reserve = || {
            asked.set(true);
            world.ports.reserve()
        };
        let placed = world.endpoint.place_call(call, reserve, link).map(|()| end);
        assert_eq!(asked.get(), placed.is_ok(), "no port is taken for a call that is refused");
        placed
    };
    let refused = |call: OutboundCall| place(call).map(|_| ()).unwrap_err();
    assert_eq!(
        refused(OutboundCall { to: "+12015550123".to_owned(), ..call() }),
        PlaceError::Forbidden("main".to_owned())
    );
    assert_eq!(
        refused(OutboundCall { from: "+911".to_owned(), ..call() }),
        PlaceError::ForeignCaller("main".to_owned())
    );
    assert_eq!(
        refused(OutboundCall { trunk: "other".to_owned(), ..call() }),
        PlaceError::UnknownTrunk("other".to_owned())
    );
    let _held = place(call()).unwrap();
    assert_eq!(refused(call()), PlaceError::Full("main".to_owned()));
    world.endpoint.drain(true);
    assert_eq!(refused(call()), PlaceError::Draining);
}

#[tokio::test]
async fn a_prefix_takes_so_many_calls_a_minute_and_others_are_not_concerned() {
    let world = world(&[free_port()], "per_minute = { \"+91\" = 2, \"+9122\" = 1 }\n").await;
    let place = |to: &str| {
        let (link, _end) = SipLink::pair();
        let call =
            OutboundCall { trunk: "main".to_owned(), to: to.to_owned(), from: String::new(), fields: Vec::new() };
        world.endpoint.place_call(call, || world.ports.reserve(), link)
    };
    let too_many = |prefix: &str, per_minute| {
        Err(PlaceError::TooMany { trunk: "main".to_owned(), prefix: prefix.to_owned(), per_minute })
    };
    assert_eq!([place("+911"), place("+912"), place("+913")], [Ok(()), Ok(()), too_many("+91", 2)]);
    assert_eq!([place("+91221"), place("+91222"), place("+12015550123")], [Ok(()), too_many("+9122", 1), Ok(())]);
}

/// A carrier that says that it tries, and no more; a CANCEL is taken.
async fn trying() -> Peer {
    Peer::new(|request| match request.method() {
        Some("INVITE") => Some(respond(request, 100)),
        Some("CANCEL") => Some(respond(request, 200)),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_only_tries_is_cancelled_and_the_next_one_is_called() {
    let (mut first, mut second) = (trying().await, Peer::of(&[("INVITE", 486)]).await);
    let text = format!("[outbound]\ntargets = [\"{}\", \"{}\"]\n", first.address, second.address);
    let world = World::new(trunk(&text), config(20)).await;
    let (facts, report) = facts(place(&world)).await;
    assert_eq!(facts, [LegFact::Unreached(EndReason::Busy)]);
    let order: Vec<&str> = report.ladder.iter().map(|row| row.what.as_str()).collect();
    assert_eq!(order, ["INVITE", "100", "CANCEL", "INVITE", "486"]);
    assert_eq!((first.next().await.method(), first.next().await.method()), (Some("INVITE"), Some("CANCEL")));
    assert_eq!(second.next().await.method(), Some("INVITE"));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_that_only_tries_has_failed_and_an_answer_after_all_is_ended() {
    let mut carrier = Phone::new("127.0.0.1:9".parse().unwrap()).await;
    let world = World::new(trunk(&format!("[outbound]\ntargets = [\"{}\"]\n", carrier.address())), config(20)).await;
    let end = place(&world);
    let invite = carrier.asked("INVITE").await;
    carrier.says(&invite, 100, "c", "").await;
    let (facts, _) = facts(end).await;
    assert_eq!(facts, [LegFact::Unreached(EndReason::TrunkFailed)], "it rang nowhere");
    let cancel = carrier.asked("CANCEL").await;
    assert_eq!(cancel.get("Via"), invite.get("Via"));
    carrier.says(&invite, 200, "c", OFFER).await;
    carrier.asked("ACK").await;
    let bye = carrier.asked("BYE").await;
    carrier.says(&bye, 200, "c", "").await;
    world.settle().await;
}

/// A call of ours that a carrier asks for a password.
pub async fn challenged() -> (World, Phone, SipEnd) {
    let carrier = Phone::new("127.0.0.1:9".parse().unwrap()).await;
    let account = "[account]\nuser = \"us\"\npassword_file = \"x\"\n";
    let mut trunk = trunk(&format!("[outbound]\ntargets = [\"{}\"]\n{account}", carrier.address()));
    trunk.password = Some(Pii::new("secret".to_owned()));
    let world = World::new(trunk, config(500)).await;
    let end = place(&world);
    (world, carrier, end)
}

pub fn demand(realm: &str, nonce: &str, stale: &str) -> String {
    format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", qop=\"auth\"{stale}")
}

/// The nonce of an answer to a challenge.
fn nonce(request: &Message, field: &str) -> String {
    let answer = request.get(field).unwrap_or_default();
    answer.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_a_server_and_an_old_nonce_are_all_answered_and_the_ack_says_it_too() {
    let (world, mut carrier, end) = challenged().await;
    let invite = carrier.asked("INVITE").await;
    carrier.begin_as_called(&invite, world.endpoint.address());
    carrier.answer_with(&invite, 407, &[("Proxy-Authenticate", &demand("proxy", "n1", ""))], "").await;
    let invite = carrier.asked("INVITE").await;
    assert_eq!(nonce(&invite, "Proxy-Authorization"), "n1");
    carrier.answer_with(&invite, 401, &[("WWW-Authenticate", &demand("far", "n2", ""))], "").await;
    let invite = carrier.asked("INVITE").await;
    assert_eq!((nonce(&invite, "Proxy-Authorization"), nonce(&invite, "Authorization")), ("n1".into(), "n2".into()));
    carrier.answer_with(&invite, 401, &[("WWW-Authenticate", &demand("far", "n3", ", stale=true"))], "").await;
    let invite = carrier.asked("INVITE").await;
    assert_eq!(nonce(&invite, "Authorization"), "n3");
    carrier.answer(&invite, 200, OFFER).await;
    let number = |message: &Message| message.get("CSeq").unwrap().split(' ').next().unwrap().to_owned();
    // Refusals are acknowledged, too.
    let ack = loop {
        let ack = carrier.asked("ACK").await;
        if number(&ack) == number(&invite) {
            break ack;
        }
    };
    for field in ["Authorization", "Proxy-Authorization"] {
        assert_eq!(ack.get(field), invite.get(field));
    }
    end.orders.send(LegOrder::HangUp { message: String::new() }).await.unwrap();
    for (asked, stale) in [("b1", ""), ("b2", ", stale=true")] {
        let bye = carrier.asked("BYE").await;
        carrier.answer_with(&bye, 401, &[("WWW-Authenticate", &demand("far", asked, stale))], "").await;
    }
    let bye = carrier.asked("BYE").await;
    assert_eq!(nonce(&bye, "Authorization"), "b2");
    carrier.answer(&bye, 200, "").await;
    assert_eq!(facts(end).await.0.last(), Some(&by("bot")));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bye_of_a_call_that_nobody_looks_after_any_more_is_proved_too() {
    let (world, mut carrier, end) = challenged().await;
    let invite = carrier.asked("INVITE").await;
    carrier.begin_as_called(&invite, world.endpoint.address());
    carrier.answer(&invite, 200, OFFER).await;
    carrier.asked("ACK").await;
    // With this the leg ends, whatever becomes of its BYE.
    end.orders.send(LegOrder::Close { code: 1000, reason: "over" }).await.unwrap();
    let bye = carrier.asked("BYE").await;
    assert_eq!(facts(end).await.0.last(), Some(&LegFact::Lost(LegLoss::Closed)));
    carrier.answer_with(&bye, 407, &[("Proxy-Authenticate", &demand("proxy", "n1", ""))], "").await;
    let again = carrier.asked("BYE").await;
    assert_eq!(nonce(&again, "Proxy-Authorization"), "n1");
    carrier.answer(&again, 200, "").await;
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_wrong_is_not_tried_again() {
    // Another nonce that does not say that the last one was only old; and one that is old for ever.
    for (realm, stale, most) in [("far", "", 2), ("far", ", stale=true", 4)] {
        let (world, mut carrier, end) = challenged().await;
        let mut tries = 0;
        let refused = async {
            loop {
                let invite = carrier.asked("INVITE").await;
                carrier.to = world.endpoint.address();
                tries += 1;
                let again = demand(realm, &format!("n{tries}"), stale);
                carrier.answer_with(&invite, 401, &[("WWW-Authenticate", &again)], "").await;
            }
        };
        let (facts, _) = tokio::select! {
            () = refused => unreachable!("it goes on for ever"),
            found = facts(end) => found,
        };
        assert_eq!(facts, [LegFact::Unreached(EndReason::TrunkRefused)]);
        assert_eq!(tries, most, "stale: {stale}");
        world.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_of_digest_is_answered_and_what_cannot_be_answered_is_a_refusal() {
    let known = Credentials { user: "us".to_owned(), password: Pii::new("secret".to_owned()) };
    let forms = [
        ("", true),
        ("algorithm=MD5", true),
        ("algorithm=md5, qop=\"auth\"", true),
        ("qop=\"auth,auth-int\"", true),
        ("algorithm=MD5-sess, qop=\"auth\"", true),
        ("algorithm=MD5-sess", true),
        ("algorithm=SHA-256, qop=\"auth\"", true),
        ("algorithm=SHA-256-sess, qop=auth", true),
        ("qop=\"auth\", opaque=\"given back\"", true),
        ("qop=\"auth-int\"", false),
        ("algorithm=SHA-512-256, qop=\"auth\"", false),
    ];
    for (form, answered) in forms {
        let (world, mut carrier, end) = challenged().await;
        let invite = carrier.asked("INVITE").await;
        carrier.begin_as_called(&invite, world.endpoint.address());
        let comma = if form.is_empty() { "" } else { ", " };
        let demand = format!("Digest realm=\"far\", nonce=\"n1\"{comma}{form}");
        carrier.answer_with(&invite, 401, &[("WWW-Authenticate", &demand)], "").await;
        if answered {
            let invite = carrier.asked("INVITE").await;
            let field = invite.get("Authorization").unwrap();
            assert!(Answer::parse(field).unwrap().proves(&known, "far", "INVITE"), "{form}: {field}");
            assert_eq!(field.contains("opaque=\"given back\""), form.contains("opaque"), "{field}");
            assert_eq!(field.contains("qop=auth"), form.contains("qop"), "{field}");
            carrier.answer(&invite, 486, "").await;
        }
        let reason = if answered { EndReason::Busy } else { EndReason::TrunkRefused };
        assert_eq!(facts(end).await.0, [LegFact::Unreached(reason)], "{form}");
        world.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_too_short_for_the_carrier_is_asked_for_once_more() {
    // One that can be met, one that is still too short then, and one that nobody means.
    for (least, tries, reason) in
        [("2000", 2, EndReason::Busy), ("3000", 2, EndReason::TrunkFailed), ("4000000000", 1, EndReason::TrunkFailed)]
    {
        let mut carrier = Phone::new("127.0.0.1:9".parse().unwrap()).await;
        let world =
            World::new(trunk(&format!("[outbound]\ntargets = [\"{}\"]\n", carrier.address())), config(500)).await;
        carrier.to = world.endpoint.address();
        let end = place(&world);
        let invite = carrier.asked("INVITE").await;
        assert_eq!(invite.get("Session-Expires"), Some("1800"));
        carrier.answer_with(&invite, 422, &[("Min-SE", least)], "").await;
        if tries == 2 {
            let invite = carrier.asked("INVITE").await;
            assert_eq!((invite.get("Session-Expires"), invite.get("Min-SE")), (Some(least), Some(least)));
            let status = if reason == EndReason::Busy { 486 } else { 422 };
            carrier.answer_with(&invite, status, &[("Min-SE", "9000")], "").await;
        }
        assert_eq!(facts(end).await.0, [LegFact::Unreached(reason)], "{least}");
        world.settle().await;
    }
}
