//! Messages that come glued together, in a datagram and on a stream, and streams whose Content-Length lies: what is cut right is
//! answered, and a stream that lost its frame harms itself alone.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::hostile::{INVITE, OPTIONS, message, probe};
use super::world::{World, config, trunk};

/// Every status that comes to one datagram.
fn statuses(to: SocketAddr, bytes: &[u8]) -> Vec<u16> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    socket.send_to(bytes, to).unwrap();
    let mut buffer = [0; 65_535];
    let mut read = || {
        let length = socket.recv(&mut buffer).ok()?;
        String::from_utf8_lossy(&buffer[..length]).split(' ').nth(1)?.parse().ok()
    };
    std::iter::from_fn(&mut read).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_messages_in_a_datagram_the_first_counts_alone() {
    let world = World::new(trunk(""), config(500)).await;
    let to = world.endpoint.address();
    let mut both = message(OPTIONS, &["Call-ID: first"], "");
    both.extend(message(INVITE, &["Call-ID: second", "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK2"], ""));
    let got = tokio::task::spawn_blocking(move || statuses(to, &both)).await.unwrap();
    assert_eq!(got, [200]);
    assert!(world.endpoint.census().dialogs == 0);
}

/// Writes to a fresh connection; the statuses of the responses that come to it, sorted, and whether it was closed.
fn streamed(to: SocketAddr, bytes: &[u8], wait: Duration) -> (Vec<u16>, bool) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(wait)).unwrap();
    stream.write_all(bytes).unwrap();
    let (mut read, mut buffer) = (Vec::new(), [0; 4_096]);
    let closed = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break true,
            Ok(length) => read.extend(&buffer[..length]),
            Err(error) => break !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
        }
    };
    let text = String::from_utf8_lossy(&read).into_owned();
    let status = |line: &str| line.strip_prefix("SIP/2.0 ")?.split(' ').next()?.parse().ok();
    let mut statuses: Vec<u16> = text.lines().filter_map(status).collect();
    statuses.sort_unstable();
    (statuses, closed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_cut_by_lengths_and_one_that_lies_harms_itself_alone() {
    let world = World::new(trunk(""), config(500)).await;
    let to = world.endpoint.address();
    let one = |name: &str, changes: &[&str], body: &str| {
        let (id, via) = (format!("Call-ID: {name}"), format!("Via: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK{name}"));
        message(OPTIONS, &[&[id.as_str(), via.as_str()][..], changes].concat(), body)
    };
    let glued = |first: Vec<u8>, name: &str| [first, one(name, &[], "")].concat();
    let cases = [
        ("two glued", glued(one("a", &[], ""), "b"), vec![200, 200], false),
        (
            "two with line ends between",
            [one("c", &[], ""), b"\r\n".to_vec(), one("d", &[], "")].concat(),
            vec![200, 200],
            false,
        ),
        ("a body, then another", glued(one("e", &[], "hello"), "f"), vec![200, 200], false),
        // The rest of the body is the start of the next message, whose method is nobody's then.
        ("a length too short", glued(one("g", &["Content-Length: 2"], "hello"), "h"), vec![200, 400], false),
        // What is promised is waited for; a datagram gets 400 at once.
        ("a length too long", one("i", &["Content-Length: 9999"], "hello"), vec![], false),
        ("a length that is none", glued(one("j", &["Content-Length: -5"], ""), "k"), vec![400], true),
        ("two lengths", glued(one("l", &["+Content-Length: 7"], ""), "m"), vec![400], true),
        ("no length", glued(one("n", &["-Content-Length"], ""), "o"), vec![400], true),
        ("a length beyond measure", one("p", &["Content-Length: 18446744073709551615"], ""), vec![400], true),
        (
            "a version that is none",
            glued(one("q", &["Via: SIP/9.9/TCP 127.0.0.1;branch=z9hG4bKq"], ""), "r"),
            vec![200, 400],
            false,
        ),
    ];
    let faults = tokio::task::spawn_blocking(move || {
        let mut faults = Vec::new();
        for (number, (name, bytes, expected, closed)) in cases.iter().enumerate() {
            let got = streamed(to, bytes, Duration::from_millis(300));
            if got != (expected.clone(), *closed) {
                faults.push(format!("{name}: expected {:?}, got {got:?}", (expected, closed)));
            }
            let via = format!("stream{number}");
            let fresh = message(
                OPTIONS,
                &[&format!("Call-ID: {via}"), &format!("Via: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK{via}")],
                "",
            );
            if streamed(to, &fresh, Duration::from_millis(300)).0 != [200] || probe(to, 900 + number) != Some(200) {
                faults.push(format!("{name}: deaf afterwards"));
            }
        }
        faults
    });
    let faults = faults.await.unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
