//! Which bot a call reaches by its INVITE, and how many INVITEs a second a trunk takes.

use std::time::Duration;

use super::hostile::{ask, message};
use super::phone::{OFFER, Phone};
use super::world::{World, config, trunk};

const ROUTES: &str = "[inbound]\naddresses = [\"127.0.0.0/8\"]\nbot = \"desk\"\n\
                      [[inbound.route]]\nheader = \"X-Campaign-Id\"\nvalue = \"night-*\"\nbot = \"night\"\n\
                      [[inbound.route]]\nnumber = \"+912255501*\"\nbot = \"sales\"\n\
                      [[inbound.route]]\nnumber = \"1???\"\nheader = \"Diversion\"\nvalue = \"*2000*\"\nbot = \"nobody\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_reaches_the_bot_of_its_number_and_its_headers() {
    let mut world = World::new(trunk(ROUTES), config(500)).await;
    let to = world.endpoint.address();
    let cases = [
        ("2000", "", "desk"),
        ("+912255501007", "", "sales"),
        // Visual separators are no part of a number.
        ("+91-22-5550-1007", "", "sales"),
        ("+912255502007", "", "desk"),
        ("2000", "X-Campaign-Id: NIGHT-7", "night"),
        // The first route that fits counts.
        ("+912255501007", "x-campaign-id: night-1", "night"),
        ("2000", "X-Campaign-Id: day", "desk"),
        // Number and header both.
        ("1234", "", "desk"),
        ("2000", "Diversion: <sip:2000@h.example>", "desk"),
    ];
    for (nth, (number, header, bot)) in cases.into_iter().enumerate() {
        let id = format!("Call-ID: route{nth}");
        let via = format!("Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKroute{nth};rport");
        let more = if header.is_empty() { "Subject: none".to_owned() } else { format!("+{header}") };
        let first = format!("INVITE sip:{number}@h.example SIP/2.0");
        let bytes = message(&first, &[&id, &via, "Content-Type: application/sdp", &more], OFFER);
        let status = tokio::task::spawn_blocking(move || ask(to, &bytes, Duration::from_secs(5))).await.unwrap();
        assert_eq!(status, Some(200), "{number} {header}");
        let (opened, _end) = world.call().await;
        assert_eq!(opened.bot.as_str(), bot, "{number} {header}");
    }
    // A route to a bot that is not there.
    let fields = ["Call-ID: routed-nowhere", "+Diversion: <sip:2000@h.example>"];
    let bytes = message("INVITE sip:1234@h.example SIP/2.0", &fields, "");
    let status = tokio::task::spawn_blocking(move || ask(to, &bytes, Duration::from_secs(5))).await.unwrap();
    assert_eq!(status, Some(404));
    assert!(world.no_call());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_beyond_a_trunks_rate_are_refused_with_a_time_to_come_back() {
    const CALLS: usize = 6;
    let mut world = World::new(trunk("[limits]\ncalls_per_second = 1\n"), config(500)).await;
    let mut phones = Vec::new();
    for _ in 0..CALLS {
        let mut phone = Phone::new(world.endpoint.address()).await;
        let invite = phone.request("INVITE", &[], OFFER);
        phone.send(&invite).await;
        phones.push(phone);
    }
    let mut taken = 0;
    for (nth, phone) in phones.iter_mut().enumerate() {
        let answer = phone.response("INVITE").await;
        match answer.status().unwrap() {
            200 => taken += 1,
            503 => assert_eq!(answer.get("Retry-After"), Some("1"), "{nth}"),
            other => panic!("{other}"),
        }
        phone.ack("").await;
    }
    assert!((1..CALLS).contains(&taken), "{taken} of {CALLS} in less than a second");
    for _ in 0..taken {
        drop(world.call().await);
    }
    assert!(world.no_call());
    world.settle().await;
}
