//! A client that asks for a recording and then takes nothing of it.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::watch;
use voicefleet::rt;
use voicefleet::transport::ws::{HttpLimits, serve};

use crate::double::Double;

/// More than all buffers between two sockets of this machine hold.
const RECORDING_BYTES: usize = 32 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// A request on a socket whose receive buffer is small; the socket, with nothing read of the answer.
fn asks(address: SocketAddr, path: &str) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(&address.into()).unwrap();
    (&socket)
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes())
        .unwrap();
    socket
}

fn read_all(mut socket: Socket) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = socket.read_to_end(&mut bytes);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_of_a_recording_loses_the_connection() {
    let mut process = Double::empty();
    let token = process.end("ended-1", Some(&vec![7; RECORDING_BYTES]), "{}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // One connection at a time: whether it is given back is seen by whether the next one is served.
    let limits = HttpLimits { connections: 1, stuck: Duration::from_secs(3), ..HttpLimits::default() };
    let (stop, stopped) = watch::channel(false);
    let server = rt::spawn("http", serve(listener, None, process.local(), limits, stopped));
    let path = format!("/r/{token}");
    let blocking =
        |work: Box<dyn FnOnce() -> Vec<u8> + Send>| async move { tokio::task::spawn_blocking(work).await.unwrap() };

    let stuck = asks(address, &path);
    let busy = {
        let path = path.clone();
        blocking(Box::new(move || read_all(asks(address, &path)))).await
    };
    let head = String::from_utf8_lossy(&busy[..busy.len().min(200)]);
    assert!(head.starts_with("HTTP/1.1 503"), "the one connection is taken: {head:?}");
    // Nobody reads: after the patience the connection is free again, and a client that reads gets all of it.
    let whole = rt::timeout(PATIENCE, async {
        loop {
            let path = path.clone();
            let answer = blocking(Box::new(move || read_all(asks(address, &path)))).await;
            if answer.starts_with(b"HTTP/1.1 200") {
                return answer;
            }
        }
    });
    let whole = whole.await.expect("the stuck connection is given back");
    assert!(whole.len() > RECORDING_BYTES && whole.ends_with(&[7; 1_024]), "{} bytes", whole.len());
    let stuck = blocking(Box::new(move || read_all(stuck))).await;
    assert!(stuck.len() < RECORDING_BYTES, "the stuck one was broken off after {} bytes", stuck.len());
    stop.send_replace(true);
    server.await.unwrap().unwrap();
}
