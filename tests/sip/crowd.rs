//! More new requests than transactions may be kept: let go, until those that are over are forgotten. Calls that live are not concerned.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::Ordering;
use std::time::Duration;

use voicefleet::rt;
use voicefleet::transport::sip::SipConfig;

use super::hostile::{OPTIONS, ask, message, probe};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_requests_than_are_kept_are_let_go_and_heard_again_later() {
    // What is over is forgotten after 64 × 30 ms.
    let world = World::new(trunk(""), SipConfig { max_transactions: MOST, ..config(30) }).await;
    let to = world.endpoint.address();
    let answers = tokio::task::spawn_blocking(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in 0..MOST * 2 {
            socket.send_to(&options(number), to).unwrap();
        }
        let over_udp = ask(to, &options(9_998), Duration::from_millis(300));
        (over_udp, asked_over_tcp(to, &options(9_999)))
    });
    let (over_udp, over_tcp) = answers.await.unwrap();
    let census = world.endpoint.census();
    assert!(census.transactions + census.absorbing <= MOST, "{census:?}");
    assert!(world.endpoint.counters().crowded.load(Ordering::Relaxed) >= MOST as u64, "{census:?}");
    assert_eq!(over_udp, None, "as if it were lost");
    assert!(over_tcp.starts_with("SIP/2.0 503 ") && over_tcp.contains("Retry-After: 5"), "{over_tcp}");
    rt::sleep(Duration::from_millis(64 * 30 + 500)).await;
    assert_eq!(tokio::task::spawn_blocking(move || probe(to, 1)).await.unwrap(), Some(200));
}
