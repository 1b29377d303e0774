//! Proving who we are where more than one asks: proxies in a chain, each with a realm of its own, together or one behind the other; and by
//! a name that is not the one we register.

use voicefleet::call::LegFact;
use voicefleet::units::{Pii, SampleRate};
use voicefleet::wire::sip::{Answer, Credentials, Message};

use super::outbound::{challenged, demand};
use super::peer::{Peer, respond};
use super::phone::OFFER;
use super::world::{World, config, facts, trunk};

/// The realms that a request's proofs for proxies are for, with how often each nonce was used; every one must be right.
fn proved(request: &Message) -> Vec<(String, String, u32)> {
    let ours = Credentials { user: "us".to_owned(), password: Pii::new("secret".to_owned()) };
    let answers = request.all("Proxy-Authorization").map(|field| Answer::parse(field).unwrap());
    let one = |answer: Answer| {
        assert!(answer.proves(&ours, &answer.realm, request.method().unwrap()), "{answer:?}");
        (answer.realm, answer.nonce, answer.count)
    };
    answers.map(one).collect()
}

fn row(realm: &str, nonce: &str, count: u32) -> (String, String, u32) {
    (realm.to_owned(), nonce.to_owned(), count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_proxies_that_ask_one_behind_the_other_both_get_their_proof() {
    let (world, mut carrier, end) = challenged().await;
    let invite = carrier.asked("INVITE").await;
    carrier.begin_as_called(&invite, world.endpoint.address());
    carrier.answer_with(&invite, 407, &[("Proxy-Authenticate", &demand("near", "n1", ""))], "").await;
    let invite = carrier.asked("INVITE").await;
    assert_eq!(proved(&invite), [row("near", "n1", 1)]);
    carrier.answer_with(&invite, 407, &[("Proxy-Authenticate", &demand("far", "f1", ""))], "").await;
    let invite = carrier.asked("INVITE").await;
    assert_eq!(proved(&invite), [row("near", "n1", 2), row("far", "f1", 1)]);
    // The first one's nonce has grown old meanwhile.
    carrier.answer_with(&invite, 407, &[("Proxy-Authenticate", &demand("near", "n2", ", stale=true"))], "").await;
    let invite = carrier.asked("INVITE").await;
    assert_eq!(proved(&invite), [row("far", "f1", 2), row("near", "n2", 1)]);
    carrier.answer(&invite, 200, OFFER).await;
    let ack = loop {
        let ack = carrier.asked("ACK").await;
        if ack.get("CSeq").unwrap().split(' ').next() == invite.get("CSeq").unwrap().split(' ').next() {
            break ack;
        }
    };
    let said = |message: &Message| message.all("Proxy-Authorization").map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(said(&ack), said(&invite), "the ACK proves what the INVITE proved");
    drop(end.orders);
    let bye = carrier.asked("BYE").await;
    carrier.answer(&bye, 200, "").await;
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn realms_that_ask_together_are_answered_together_and_a_wrong_password_once() {
    let (world, mut carrier, end) = challenged().await;
    let invite = carrier.asked("INVITE").await;
    carrier.begin_as_called(&invite, world.endpoint.address());
    let (near, far) = (demand("near", "n1", ""), demand("far", "f1", ""));
    let both = [("Proxy-Authenticate", near.as_str()), ("Proxy-Authenticate", far.as_str())];
    carrier.answer_with(&invite, 407, &both, "").await;
    let invite = carrier.asked("INVITE").await;
    assert_eq!(proved(&invite), [row("near", "n1", 1), row("far", "f1", 1)]);
    // One of them does not believe us: nothing that we could say would change that.
    carrier.answer_with(&invite, 407, &[("Proxy-Authenticate", &demand("far", "f2", ""))], "").await;
    let (facts, report) = facts(end).await;
    assert!(matches!(facts[..], [LegFact::Unreached(_)]), "{facts:?}");
    assert_eq!(report.status, 407);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_name_in_a_proof_may_be_another_than_the_one_that_is_registered() {
    let acme = Credentials { user: "acme".to_owned(), password: Pii::new("secret".to_owned()) };
    let mut peer = Peer::new(move |request| {
        let proof = request.get("Authorization").and_then(|field| Answer::parse(field).ok());
        if proof.is_some_and(|proof| proof.proves(&acme, "carrier", "REGISTER")) {
            return Some(respond(request, 200));
        }
        let mut response = respond(request, 401);
        response.push("WWW-Authenticate", &demand("carrier", "n1", ""));
        Some(response)
    })
    .await;
    let mut trunk = trunk(&format!(
        "[outbound]\ntargets = [\"{}\"]\ndomain = \"carrier.example\"\n[account]\nuser = \"+912255501000\"\nauth_user = \"acme\"\n\
         password_file = \"x\"\nregister = true\n[identity]\ncontact = \"sip:{{number}};tgrp=acme@{{host}}\"\n",
        peer.address
    ));
    trunk.password = Some(Pii::new("secret".to_owned()));
    let world = World::new(trunk, config(500)).await;
    let (bare, proved) = (peer.next().await, peer.next().await);
    let contact = format!("<sip:+912255501000;tgrp=acme@{}>", world.endpoint.address());
    for request in [&bare, &proved] {
        assert_eq!(request.get("To"), Some("<sip:+912255501000@carrier.example>"));
        assert_eq!(request.get("Contact"), Some(contact.as_str()));
    }
    assert_eq!(Answer::parse(proved.get("Authorization").unwrap()).unwrap().user, "acme");
    world.endpoint.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_is_told_the_contact_of_the_trunks_file() {
    let text = "[inbound]\naddresses = [\"127.0.0.0/8\"]\nbot = \"desk\"\n[identity]\ncontact = \"sip:{number};tgrp=acme@{host}\"\n";
    let mut world = World::new(trunk(text), config(500)).await;
    let mut phone = super::phone::Phone::new(world.endpoint.address()).await;
    let answer = phone.ask("INVITE", &[], OFFER).await;
    assert_eq!(answer.get("Contact"), Some(format!("<sip:2000;tgrp=acme@{}>", world.endpoint.address()).as_str()));
    phone.ack("").await;
    phone.hang_up().await;
    let started = LegFact::Started { rate: SampleRate::NARROW };
    assert_eq!(facts(world.call().await.1).await.0, [started, LegFact::Answered, LegFact::HungUp { by: None }]);
    world.settle().await;
}
