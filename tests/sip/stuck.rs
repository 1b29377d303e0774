//! A peer that asks again and again over a stream and reads none of the answers: nobody else waits for it.

use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use voicefleet::rt;

use super::hostile::{OPTIONS, ask, message};
use super::world::{World, config, trunk};

/// So often a full stream is tried again before it counts as stuck, and how long between.
const TRIES: u32 = 50;
const BETWEEN_MS: u64 = 10;

/// Asks the same until nothing more is taken; `false` where the connection was closed before. The socket lives as long as it is kept.
fn stuck(to: SocketAddr) -> (socket2::Socket, bool) {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // Small, so that answers which nobody reads soon fill it.
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    // An answer is as long as the ways that it goes back by.
    let ways: String = (0..40).map(|n| format!(", SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKway{n}")).collect();
    let via = format!("Via: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKstuck{ways}");
    let asked = message(OPTIONS, &["Call-ID: stuck", &via], "");
    let (mut at, mut tried) = (0, 0);
    while tried < TRIES {
        match (&socket).write(&asked[at..]) {
            Ok(written) => (at, tried) = ((at + written) % asked.len(), 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                tried += 1;
                rt::park_until(rt::now().plus_ms(BETWEEN_MS));
            }
            Err(_) => return (socket, false),
        }
    }
    (socket, true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_reads_no_answers_keeps_nobody_else_waiting() {
    let world = World::new(trunk(""), config(500)).await;
    let to = world.endpoint.address();
    // A stuck stream is closed after seconds, which a slow machine may need for the rest: then it is another one's turn.
    for _ in 0..5 {
        let (socket, is_stuck) = tokio::task::spawn_blocking(move || stuck(to)).await.unwrap();
        let other =
            message(OPTIONS, &["Call-ID: beside", "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKbeside;rport"], "");
        let answered = tokio::task::spawn_blocking(move || ask(to, &other, Duration::from_secs(30))).await.unwrap();
        assert_eq!(answered, Some(200));
        let streams = world.endpoint.census().streams;
        drop(socket);
        if is_stuck && streams == 1 {
            return;
        }
        let gone = async {
            while world.endpoint.census().streams > 0 {
                rt::sleep(Duration::from_millis(10)).await;
            }
        };
        rt::timeout(Duration::from_secs(30), gone).await.expect("a stream that is gone is forgotten");
    }
    panic!("whoever asked beside a stuck stream was answered only when that was closed");
}
