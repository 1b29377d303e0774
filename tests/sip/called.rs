//! What the called end of our calls does: sipp asks for things in a call, loses packets, refuses late; and what of us is on the wire.

use voicefleet::call::{EndReason, LegFact};
use voicefleet::rt;
use voicefleet::transport::sip::OutboundCall;
use voicefleet::units::SampleRate;
use voicefleet::wire::sdp::Direction;
use voicefleet::wire::sip::{Address, parameter};

use super::free_port::free_port;
use super::outbound::{call, called_by, place, place_as, world};
use super::peer::Peer;
use super::phone::{OFFER, Phone};
use super::world::{LIMIT, Note, World, facts, facts_of_a_short_call, sipp};

const STARTED: LegFact = LegFact::Started { rate: SampleRate::NARROW };
const BYE: LegFact = LegFact::HungUp { by: None };

fn directions(world: &World) -> Vec<Option<Direction>> {
    let direction = |note: &Note| match note {
        Note::Started(plan) | Note::Changed(plan) => Some(plan.direction),
        Note::Pressed(_) | Note::Stopped => None,
    };
    world.notes().iter().map(direction).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_called_end_holds_and_resumes() {
    let (world, facts) = called_by("uas_hold.xml").await;
    assert_eq!(facts, [STARTED, LegFact::Answered, BYE], "the driver hears nothing of holds");
    let both = Some(Direction::SendRecv);
    assert_eq!(directions(&world), [both, Some(Direction::RecvOnly), both, None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_called_ends_update_info_and_options_are_answered() {
    let (_, facts) = called_by("uas_in_call.xml").await;
    assert_eq!(facts, [STARTED, LegFact::Answered, LegFact::Digit { digit: '5' }, BYE]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_called_end_may_ask_for_our_offer() {
    let (world, facts) = called_by("uas_delayed_offer.xml").await;
    assert_eq!(facts, [STARTED, LegFact::Answered, BYE]);
    assert!(matches!(world.notes()[..], [Note::Started(_), .., Note::Stopped]), "{:?}", world.notes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_we_place_survive_lost_packets() {
    const CALLS: usize = 50;
    let port = free_port();
    let world = world(&[port], "").await;
    let text = port.to_string();
    // A BYE that overtakes the repetition of a lost ACK is a fault by sipp's count, so its own verdict is not asked.
    let peer = rt::spawn("sipp", sipp("uas_plain.xml", &["-p", &text, "-lost", "10"]));
    let calls = (0..CALLS).map(|_| facts_of_a_short_call(place(&world)));
    let ends = futures_util::future::join_all(calls).await;
    let whole = [STARTED, LegFact::Answered, LegFact::HungUp { by: Some("bot".to_owned()) }];
    let answered = ends.iter().filter(|(facts, report)| *facts == whole && report.status == 200).count();
    // Measured: 49 or all of them; one INVITE in a hundred meets a sipp that lost it and knows its repetitions for such.
    assert!(answered * 10 >= CALLS * 9, "{answered} of {CALLS}: {ends:?}");
    peer.abort();
    world.settle().await;
}

/// A call to the first of two addresses, which refuses it; its end, and whether the second was tried.
async fn refused(scenario: &'static str, status: &str, more: &str) -> (Vec<LegFact>, u16, bool) {
    let first = free_port();
    let second = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    second.set_nonblocking(true).unwrap();
    let world = world(&[first, second.local_addr().unwrap().port()], more).await;
    let text = first.to_string();
    // A cause that says nothing beyond the status.
    let peer = sipp(scenario, &["-m", "1", "-p", &text, "-key", "status", status, "-key", "cause", "127"]);
    let (_, (facts, report)) = tokio::join!(peer, async { facts(place(&world)).await });
    world.settle().await;
    (facts, report.status, second.recv(&mut [0; 1]).is_ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_address_is_tried_once_somebody_was_rung_or_has_decided() {
    use EndReason::{Busy, NoAnswer, Rejected, TrunkFailed};
    for (scenario, status, reason) in [
        ("uas_rings_and_refuses.xml", "500", TrunkFailed),
        ("uas_rings_and_refuses.xml", "503", TrunkFailed),
        ("uas_refuses.xml", "487", NoAnswer),
        ("uas_refuses.xml", "600", Busy),
        ("uas_refuses.xml", "603", Rejected),
    ] {
        // A list that asks for more is not followed where a phone rang.
        let more = if scenario == "uas_refuses.xml" { "" } else { "retry_on = [403]\n" };
        let found = refused(scenario, status, more).await;
        assert_eq!(found, (vec![LegFact::Unreached(reason)], status.parse().unwrap(), false), "{scenario} {status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_of_the_trunks_own_list_leads_to_the_next_address() {
    let (first, second) = (free_port(), free_port());
    let world = world(&[first, second], "retry_on = [403]\n").await;
    let (refusing, answering) = (first.to_string(), second.to_string());
    let refuses =
        sipp("uas_refuses.xml", &["-m", "1", "-p", &refusing, "-key", "status", "403", "-key", "cause", "127"]);
    let answers = sipp("uas_plain.xml", &["-m", "1", "-p", &answering]);
    let calling = async { facts_of_a_short_call(place(&world)).await };
    let (_, _, (facts, _)) = tokio::join!(refuses, answers, calling);
    assert_eq!(facts, [STARTED, LegFact::Answered, LegFact::HungUp { by: Some("bot".to_owned()) }]);
    world.settle().await;
    // Not in the list: the same status ends the call.
    let found = refused("uas_refuses.xml", "403", "retry_on = [408, 480]\n").await;
    assert_eq!(found, (vec![LegFact::Unreached(EndReason::TrunkRefused)], 403, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn early_media_starts_the_audio_before_the_answer_and_ringing_does_not() {
    for early in [true, false] {
        let mut phone = Phone::new("127.0.0.1:9".parse().unwrap()).await;
        let world = world(&[phone.address().port()], "").await;
        let mut end = place(&world);
        let invite = phone.asked("INVITE").await;
        // The answer waits until what came before it was seen to work.
        if early {
            phone.says(&invite, 183, "u", OFFER).await;
            assert_eq!(rt::timeout(LIMIT, end.facts.recv()).await.expect("before the answer"), Some(STARTED));
            assert!(matches!(world.notes()[..], [Note::Started(_)]), "{:?}", world.notes());
        } else {
            // A response that wants its acknowledgement was read once that comes.
            phone.says_with(&invite, 180, "u", &[("Require", "100rel"), ("RSeq", "1")]).await;
            let prack = phone.asked("PRACK").await;
            phone.says(&prack, 200, "u", "").await;
            assert_eq!(world.notes(), []);
        }
        assert!(end.facts.try_recv().is_err(), "nobody has answered");
        phone.says(&invite, 200, "u", OFFER).await;
        phone.asked("ACK").await;
        let hanging_up = facts_of_a_short_call(end);
        let answering = async {
            let bye = phone.asked("BYE").await;
            phone.says(&bye, 200, "u", "").await;
        };
        let ((facts, _), ()) = tokio::join!(hanging_up, answering);
        let rest = [STARTED, LegFact::Answered, LegFact::HungUp { by: Some("bot".to_owned()) }];
        assert_eq!(facts, rest[usize::from(early)..]);
        let started = |note: &&Note| matches!(note, Note::Started(_));
        assert_eq!(world.notes().iter().filter(started).count(), 1, "{:?}", world.notes());
        world.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_identity_of_a_trunk_is_on_the_wire_as_its_file_has_it() {
    let plain = "[identity]\ncaller_id = \"+912255501000\"\n";
    let national = "domain = \"ims.example\"\n[identity]\ncaller_id = \"+912255501000\"\nnumbers = [\"+912255501001\"]\n\
                    number_format = \"national\"\ncountry_code = \"+91\"\nnational_prefix = \"0\"\n\
                    display_name = \"Acme \\\"Dues\\\" Ltd\"\nfrom = \"sip:trunk-{number}@reg.example\"\n\
                    asserted_identity = \"sip:{number}@{domain}\"\ncontact_user = \"acme\"\n\
                    contact = \"sip:{number};tgrp=acme;trunk-context={domain}@{host}\"\n";
    let bare = "[identity]\nnumber_format = \"e164_no_plus\"\n";
    let ours = |from: &str| OutboundCall { from: from.to_owned(), ..call() };
    let cases = [
        (plain, "", "+919800000001", ("", "sip:+912255501000@{host}"), None, "+912255501000"),
        (
            national,
            "+912255501001",
            "09800000001",
            ("Acme \\\"Dues\\\" Ltd", "sip:trunk-02255501001@reg.example"),
            Some("<sip:02255501001@ims.example>"),
            "acme",
        ),
        (bare, "", "919800000001", ("", "sip:anonymous@{host}"), None, "anonymous"),
    ];
    for (more, from, number, (display, shown), asserted, contact) in cases {
        let mut carrier = Peer::of(&[("INVITE", 404)]).await;
        let world = world(&[carrier.address.port()], more).await;
        let end = place_as(&world, ours(from));
        let invite = carrier.next().await;
        let host = if more == national { "ims.example".to_owned() } else { carrier.address.to_string() };
        let get = |name: &str| invite.get(name).unwrap();
        let address = Address::parse(get("From")).unwrap();
        assert_eq!(invite.uri(), Some(format!("sip:{number}@{host}").as_str()));
        assert_eq!(get("To"), format!("<sip:{number}@{host}>"));
        assert_eq!((address.display, address.uri), (display, shown.replace("{host}", &host).as_str()));
        assert!(parameter(get("From"), "tag").is_some_and(|tag| tag.len() >= 8));
        assert_eq!(invite.get("P-Asserted-Identity"), asserted);
        let user = if more == national {
            format!("{contact};tgrp=acme;trunk-context=ims.example")
        } else {
            contact.to_owned()
        };
        assert_eq!(get("Contact"), format!("<sip:{user}@{}>", world.endpoint.address()));
        assert_eq!(facts(end).await.0, [LegFact::Unreached(EndReason::InvalidNumber)]);
    }
}
