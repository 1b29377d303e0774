//! Registering at a carrier that asks for proof, wants another time, is dead or full; and taking it back.

use voicefleet::rt;
use voicefleet::transport::sip::SipConfig;
use voicefleet::trunk::{Book, Trunk};
use voicefleet::units::Pii;
use voicefleet::wire::sip::{Answer, Credentials, Message};

use super::peer::{Peer, respond};
use super::world::{LIMIT, World, config, trunk};

const CHALLENGE: &str = "Digest realm=\"carrier\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";

fn credentials() -> Credentials {
    Credentials { user: "us".to_owned(), password: Pii::new("secret".to_owned()) }
}

/// A trunk that registers at these.
fn registering(peers: &[&Peer]) -> Trunk {
    let targets: Vec<String> = peers.iter().map(|peer| format!("\"{}\"", peer.address)).collect();
    let mut trunk = trunk(&format!(
        "[outbound]\ntargets = [{}]\ndomain = \"carrier.example\"\n[account]\nuser = \"us\"\npassword_file = \"x\"\n\
         register = true\n",
        targets.join(", ")
    ));
    trunk.password = Some(Pii::new("secret".to_owned()));
    trunk
}

/// Timers a twenty-fifth of the standard's: patience 1.3 s, first wait 0.2 s.
fn quick() -> SipConfig {
    config(20)
}

/// 200 with our own binding, held for so long.
fn taken(request: &Message, seconds: &str) -> Message {
    let mut response = respond(request, 200);
    response.push("Contact", &format!("{};expires={seconds}", request.get("Contact").unwrap()));
    response
}

/// Takes whoever proves who he is.
async fn registrar(seconds: &'static str) -> Peer {
    Peer::new(move |request| {
        let proof = request.get("Authorization").and_then(|field| Answer::parse(field).ok());
        if proof.is_some_and(|proof| proof.proves(&credentials(), "carrier", "REGISTER")) {
            return Some(taken(request, seconds));
        }
        let mut response = respond(request, 401);
        response.push("WWW-Authenticate", CHALLENGE);
        Some(response)
    })
    .await
}

async fn until(world: &World, up: bool) {
    let turned = async {
        while world.endpoint.registrations() != [("main".to_owned(), up)] {
            tokio::task::yield_now().await;
        }
    };
    rt::timeout(LIMIT, turned).await.unwrap_or_else(|| panic!("{:?}", world.endpoint.registrations()));
}

fn number(request: &Message) -> u32 {
    request.get("CSeq").unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_is_proved_refreshed_and_taken_back() {
    let mut peer = registrar("1").await;
    let world = World::new(registering(&[&peer]), quick()).await;
    let (bare, proved) = (peer.next().await, peer.next().await);
    until(&world, true).await;
    let port = world.endpoint.address().port();
    assert_eq!(bare.uri(), Some("sip:carrier.example"));
    assert_eq!(bare.get("To"), Some("<sip:us@carrier.example>"));
    assert_eq!(bare.get("Contact"), Some(format!("<sip:us@127.0.0.1:{port}>").as_str()));
    assert_eq!((bare.get("Expires"), bare.get("Authorization")), (Some("600"), None));
    let same = |other: &Message| other.get("Call-ID") == bare.get("Call-ID");
    assert!(same(&proved) && proved.get("Authorization").is_some());
    // Only one second was granted: it comes again before that is over, with a higher number.
    let refreshed = peer.next().await;
    assert!(same(&refreshed) && number(&refreshed) > number(&proved));
    assert_eq!(refreshed.get("Expires"), Some("600"));
    let closing = world.endpoint.close();
    let leaving = async {
        loop {
            let request = peer.next().await;
            if request.get("Expires") == Some("0") && request.get("Authorization").is_some() {
                return request;
            }
        }
    };
    let ((), left) = tokio::join!(closing, leaving);
    assert!(same(&left) && left.get("Contact") == bare.get("Contact"));
    assert_eq!(world.endpoint.registrations(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_that_is_too_short_is_asked_for_again_and_kept() {
    let mut peer = Peer::new(|request| {
        let asked: u32 = request.get("Expires")?.parse().ok()?;
        if asked >= 1_200 || asked == 0 {
            return Some(taken(request, "1"));
        }
        let mut response = respond(request, 423);
        response.push("Min-Expires", "1200");
        Some(response)
    })
    .await;
    let world = World::new(registering(&[&peer]), quick()).await;
    for expected in ["600", "1200", "1200"] {
        assert_eq!(peer.next().await.get("Expires"), Some(expected));
    }
    until(&world, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_registrar_is_passed_over_for_the_next() {
    let (mut dead, mut good) = (Peer::of(&[]).await, registrar("600").await);
    let world = World::new(registering(&[&dead, &good]), quick()).await;
    until(&world, true).await;
    assert_eq!(dead.next().await.method(), Some("REGISTER"));
    assert_eq!(good.next().await.method(), Some("REGISTER"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registrar_that_refuses_is_asked_again_and_a_wrong_password_is_not_sent_twice_at_once() {
    let mut peer = Peer::new(|request| {
        let mut response = respond(request, 401);
        response.push("WWW-Authenticate", CHALLENGE);
        Some(response)
    })
    .await;
    let world = World::new(registering(&[&peer]), quick()).await;
    let mut proofs = Vec::new();
    for _ in 0..4 {
        proofs.push(peer.next().await.get("Authorization").is_some());
    }
    // Two rounds, each without and with the proof.
    assert_eq!(proofs, [false, true, false, true]);
    until(&world, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registrations_follow_the_book() {
    let (mut old, mut new) = (registrar("600").await, registrar("600").await);
    let mut first = registering(&[&old]);
    let world = World::new(first.clone(), quick()).await;
    until(&world, true).await;
    assert_eq!((old.next().await.get("Expires"), old.next().await.get("Expires")), (Some("600"), Some("600")));
    // A change that does not concern it leaves it alone: the next that the registrar hears is the farewell.
    first.inbound.bot = "other".to_owned();
    world.endpoint.set_trunks(Book::new(vec![first]));
    assert_eq!(world.endpoint.registrations(), [("main".to_owned(), true)]);
    world.endpoint.set_trunks(Book::new(vec![registering(&[&new])]));
    assert_eq!(old.next().await.get("Expires"), Some("0"));
    assert_eq!(new.next().await.get("Expires"), Some("600"));
    until(&world, true).await;
    world.endpoint.set_trunks(Book::default());
    assert_eq!(world.endpoint.registrations(), []);
    let left = async { while new.next().await.get("Expires") != Some("0") {} };
    rt::timeout(LIMIT, left).await.expect("a farewell");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_that_is_taken_away_and_put_back_stays_registered() {
    let mut peer = registrar("3600").await;
    let world = World::new(registering(&[&peer]), quick()).await;
    until(&world, true).await;
    world.endpoint.set_trunks(Book::new(vec![]));
    world.endpoint.set_trunks(Book::new(vec![registering(&[&peer])]));
    until(&world, true).await;
    // Its first registration was taken back before the new one was made, not behind it.
    let mut last = String::new();
    for request in peer.seen_so_far() {
        last = request.get("Expires").unwrap_or_default().to_owned();
    }
    assert_ne!(last, "0");
}
