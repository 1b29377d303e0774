//! More new requests than transactions may be kept are answered in passing, until those that are over are forgotten.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::Ordering;
use std::time::Duration;

use voicefleet::transport::sip::SipConfig;

use super::hostile::{INVITE, OPTIONS, ask, message, probe};
use super::until::until;
use super::world::{World, config, trunk};

const MOST: usize = 50;

fn options(number: usize) -> Vec<u8> {
    let via = format!("Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKcrowd{number};rport");
    message(OPTIONS, &[&format!("Call-ID: crowd{number}"), &via], "")
}

/// The status of the first answer on a stream of its own.
fn asked_over_tcp(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = [0; 2_048];
    let length = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

/// Twice as many new requests as are kept, by one socket.
fn crowd(to: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..MOST * 2 {
        socket.send_to(&options(number), to).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_requests_than_are_kept_are_answered_in_passing() {
    // The crowd stays for 64 × 500 ms, which is longer than all the waits below together.
    let world = World::new(trunk(""), SipConfig { max_transactions: MOST, ..config(500) }).await;
    let to = world.endpoint.address();
    let answers = tokio::task::spawn_blocking(move || {
        crowd(to);
        let invite = message(INVITE, &["Call-ID: crowd-call"], "");
        let repeated = ask(to, &options(1), Duration::from_secs(5));
        (probe(to, 2), repeated, ask(to, &invite, Duration::from_secs(5)), asked_over_tcp(to, &invite))
    });
    let (probed, repeated, over_udp, over_tcp) = answers.await.unwrap();
    let census = world.endpoint.census();
    assert!(census.transactions + census.absorbing <= MOST, "{census:?}");
    assert!(world.endpoint.counters().crowded.load(Ordering::Relaxed) >= MOST as u64, "{census:?}");
    assert_eq!((probed, repeated, over_udp), (Some(200), Some(200), Some(503)));
    assert!(over_tcp.starts_with("SIP/2.0 503 ") && over_tcp.contains("Retry-After: 5"), "{over_tcp}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_is_over_is_forgotten() {
    // What is over is forgotten after 64 × 30 ms.
    let world = World::new(trunk(""), SipConfig { max_transactions: MOST, ..config(30) }).await;
    let to = world.endpoint.address();
    tokio::task::spawn_blocking(move || crowd(to)).await.unwrap();
    let counters = world.endpoint.counters();
    let crowded = || counters.crowded.load(Ordering::Relaxed);
    let kept = || {
        let census = world.endpoint.census();
        census.transactions + census.absorbing
    };
    let gone = || crowded() > 0 && kept() == 0;
    until(gone, || format!("{} answered in passing, {} kept", crowded(), kept())).await;
    let before = crowded();
    let invite = message(INVITE, &["Call-ID: crowd-later"], "");
    let later = tokio::task::spawn_blocking(move || ask(to, &invite, Duration::from_secs(5))).await.unwrap();
    assert_eq!((later, crowded()), (Some(200), before));
}
