//! Watch over a trunk's addresses: which call goes where when some do not answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use voicefleet::call::{EndReason, LegFact};
use voicefleet::rt;
use voicefleet::transport::sip::{MediaPorts as _, OutboundCall, SipLink};
use voicefleet::trunk::Book;

use super::peer::{Peer, respond};
use super::world::{LIMIT, World, config, facts, trunk};

const GOOD: &[(&str, u16)] = &[("OPTIONS", 200), ("INVITE", 486)];

fn text(peers: &[&Peer], health: &str) -> String {
    let targets: Vec<String> = peers.iter().map(|peer| format!("\"{}\"", peer.address)).collect();
    format!("[outbound]\ntargets = [{}]\nfirst_answer_ms = 500\n[health]\n{health}\n", targets.join(", "))
}

async fn world(peers: &[&Peer], health: &str) -> World {
    World::new(trunk(&text(peers, health)), config(100)).await
}

/// Waits until exactly these are down, all being watched.
async fn until_down(world: &World, all: usize, down: &[SocketAddr]) {
    let turned = async {
        loop {
            let rows = world.endpoint.watched();
            let mut found: Vec<SocketAddr> = rows.iter().filter(|row| !row.up).map(|row| row.address).collect();
            found.sort();
            let mut down = down.to_vec();
            down.sort();
            if rows.len() == all && found == down {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    rt::timeout(LIMIT, turned).await.unwrap_or_else(|| panic!("{down:?}: {:?}", world.endpoint.watched()));
}

async fn call(world: &World) -> Vec<LegFact> {
    call_with(world, Vec::new()).await
}

async fn call_with(world: &World, fields: Vec<(String, String)>) -> Vec<LegFact> {
    let (link, end) = SipLink::pair();
    let call = OutboundCall { trunk: "main".to_owned(), to: "+919800000001".to_owned(), from: String::new(), fields };
    world.endpoint.place_call(call, || world.ports.reserve(), link).unwrap();
    facts(end).await.0
}

fn busy() -> Vec<LegFact> {
    vec![LegFact::Unreached(EndReason::Busy)]
}

fn invites(peer: &mut Peer) -> usize {
    peer.methods().iter().filter(|method| *method == "INVITE").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_address_is_passed_over_and_one_that_answers_anything_is_not() {
    let mut dead = Peer::of(&[]).await;
    let mut odd = Peer::of(&[("OPTIONS", 405), ("INVITE", 503)]).await;
    let mut good = Peer::of(GOOD).await;
    let world = world(&[&dead, &odd, &good], "options_s = 1\ndown_after = 2").await;
    until_down(&world, 3, &[dead.address]).await;
    assert_eq!(call(&world).await, busy());
    assert_eq!((invites(&mut dead), invites(&mut odd), invites(&mut good)), (0, 1, 1));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_comes_back_is_first_again() {
    let alive = Arc::new(AtomicBool::new(false));
    let is_alive = Arc::clone(&alive);
    let mut first = Peer::new(move |request| {
        let status = if request.method() == Some("INVITE") { 486 } else { 200 };
        is_alive.load(Ordering::Acquire).then(|| respond(request, status))
    })
    .await;
    let mut second = Peer::of(GOOD).await;
    let world = world(&[&first, &second], "options_s = 1\ndown_after = 1\nup_after = 1").await;
    until_down(&world, 2, &[first.address]).await;
    assert_eq!(call(&world).await, busy());
    assert_eq!((invites(&mut first), invites(&mut second)), (0, 1));
    alive.store(true, Ordering::Release);
    until_down(&world, 2, &[]).await;
    assert_eq!(call(&world).await, busy());
    assert_eq!((invites(&mut first), invites(&mut second)), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_answers_is_a_miss_too() {
    let mut deaf = Peer::of(&[("OPTIONS", 200)]).await;
    let mut good = Peer::of(GOOD).await;
    let world = world(&[&deaf, &good], "options_s = 3600\ndown_after = 1").await;
    until_down(&world, 2, &[]).await;
    // The answer to the first OPTIONS must not come after the call.
    assert_eq!(deaf.next().await.method(), Some("OPTIONS"));
    assert_eq!(call(&world).await, busy());
    until_down(&world, 2, &[deaf.address]).await;
    assert_eq!((invites(&mut deaf), invites(&mut good)), (1, 1));
    assert_eq!(call(&world).await, busy());
    assert_eq!((invites(&mut deaf), invites(&mut good)), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_leave_us_is_no_miss_of_an_address() {
    let (mut one, mut two) = (Peer::of(GOOD).await, Peer::of(GOOD).await);
    let world = world(&[&one, &two], "options_s = 3600\ndown_after = 1").await;
    until_down(&world, 2, &[]).await;
    for peer in [&mut one, &mut two] {
        assert_eq!(peer.next().await.method(), Some("OPTIONS"));
    }
    // Longer than any datagram: the system does not take it, for either address.
    let long = vec![("X-Long".to_owned(), "x".repeat(70_000))];
    for _ in 0..3 {
        let end = call_with(&world, long.clone()).await;
        assert!(matches!(end[..], [LegFact::Unreached(reason)] if reason != EndReason::Busy), "{end:?}");
    }
    assert_eq!((invites(&mut one), invites(&mut two)), (0, 0), "nothing left");
    assert!(world.endpoint.watched().iter().all(|row| row.up), "{:?}", world.endpoint.watched());
    assert_eq!(call(&world).await, busy());
    assert_eq!((invites(&mut one), invites(&mut two)), (1, 0), "the first is still the first");
    world.settle().await;
    // An address that nothing may be sent to at all: neither is what nobody heard of it held against it.
    let broadcast = "[outbound]\ntargets = [\"255.255.255.255:5060\"]\n[health]\noptions_s = 1\ndown_after = 1\n";
    world.endpoint.set_trunks(Book::new(vec![trunk(broadcast)]));
    until_down(&world, 1, &[]).await;
    for _ in 0..3 {
        assert!(matches!(call(&world).await[..], [LegFact::Unreached(_)]));
    }
    assert!(world.endpoint.watched().iter().all(|row| row.up), "{:?}", world.endpoint.watched());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_all_are_down_all_are_tried() {
    let (mut one, mut two) = (Peer::of(&[("INVITE", 503)]).await, Peer::of(&[("INVITE", 486)]).await);
    let world = world(&[&one, &two], "options_s = 1\ndown_after = 1\nup_after = 100").await;
    until_down(&world, 2, &[one.address, two.address]).await;
    assert_eq!(call(&world).await, busy());
    assert_eq!((invites(&mut one), invites(&mut two)), (1, 1));
    // The watch follows the book.
    world.endpoint.set_trunks(Book::new(vec![trunk(&text(&[&two], "options_s = 0"))]));
    until_down(&world, 0, &[]).await;
}
