//! Which way responses go, by what a Via names and asks for, and where we say that we are.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::rustls::pki_types::ServerName;
use voicefleet::call::LegFact;
use voicefleet::rt;
use voicefleet::transport::sip::TlsSide;
use voicefleet::wire::sip::{Frame, Framer, Message};

use super::hostile::message;
use super::phone::OFFER;
use super::world::{LIMIT, World, config, facts, trunk};

/// What comes to a socket next.
async fn next(socket: &UdpSocket) -> Message {
    let mut buffer = vec![0; 65_535];
    let read = rt::timeout(LIMIT, socket.recv(&mut buffer)).await.expect("a message in time").unwrap();
    Message::parse(&buffer[..read]).unwrap()
}

/// Sends by one socket and listens at another, as a server with two ports does: what a request is answered by, 100 left out.
async fn asked(from: &UdpSocket, at: &UdpSocket, to: SocketAddr, bytes: &[u8]) -> Message {
    from.send_to(bytes, to).await.unwrap();
    loop {
        let answer = next(at).await;
        if answer.status() != Some(100) {
            return answer;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_no_rport_is_answered_at_the_port_that_it_names() {
    let mut world = World::new(trunk(""), config(500)).await;
    let to = world.endpoint.address();
    let (from, at) = (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let port = at.local_addr().unwrap().port();
    let source = from.local_addr().unwrap().port();
    let options = "OPTIONS sip:2000@h.example SIP/2.0";
    // Answered by a transaction and without one; by address, by another address, by name.
    for (nth, (host, first, status, received)) in [
        ("127.0.0.1", options, 200, false),
        ("127.0.0.1", "REGISTER sip:h.example SIP/2.0", 405, false),
        ("127.0.0.2", options, 200, true),
        ("host.example", options, 200, true),
        ("host.example", "REGISTER sip:h.example SIP/2.0", 405, true),
    ]
    .into_iter()
    .enumerate()
    {
        let sent = format!("SIP/2.0/UDP {host}:{port};branch=z9hG4bKways{nth}");
        let bytes = message(first, &[&format!("Via: {sent}"), &format!("Call-ID: ways{nth}")], "");
        let answer = asked(&from, &at, to, &bytes).await;
        assert_eq!(answer.status(), Some(status), "{host} {first}");
        let added = if received { ";received=127.0.0.1" } else { "" };
        assert_eq!(answer.get("Via"), Some(format!("{sent}{added}").as_str()), "{host} {first}");
    }
    // Who asks is answered where it came from.
    let via = format!("SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKasks;rport");
    let bytes = message(options, &[&format!("Via: {via}"), "Call-ID: asks"], "");
    let answer = asked(&from, &from, to, &bytes).await;
    let told = format!("SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKasks;received=127.0.0.1;rport={source}");
    assert_eq!(answer.get("Via"), Some(told.as_str()));

    // A whole call: answers by the Via, our BYE by the Contact, and repetitions of the INVITE find their transaction.
    let via = format!("Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKcall");
    let contact = format!("Contact: <sip:a@127.0.0.1:{port}>");
    let fields = [via.as_str(), contact.as_str(), "Content-Type: application/sdp"];
    let invite = message("INVITE sip:2000@h.example SIP/2.0", &fields, OFFER);
    let answer = asked(&from, &at, to, &invite).await;
    assert_eq!(answer.status(), Some(200));
    assert_eq!(asked(&from, &at, to, &invite).await.to_bytes(), answer.to_bytes());
    let mut end = world.call().await.1;
    let (to_tag, via) = (answer.get("To").unwrap(), via.replace("call", "ack"));
    let uri = answer.get("Contact").unwrap().trim_matches(['<', '>']);
    let ack = message(&format!("ACK {uri} SIP/2.0"), &[&via, &format!("To: {to_tag}")], "");
    from.send_to(&ack, to).await.unwrap();
    let hanging_up = async {
        // Repetitions of our 200 may still be on their way.
        let bye = loop {
            let message = next(&at).await;
            if message.method() == Some("BYE") {
                break message;
            }
        };
        at.send_to(&Message::response(&bye, 200, "", "").to_bytes(), to).await.unwrap();
    };
    // The driver is gone: the leg hangs up.
    drop(std::mem::replace(&mut end.orders, tokio::sync::mpsc::channel(1).0));
    let ((all, _), ()) = tokio::join!(facts(end), hanging_up);
    assert_eq!(all.last(), Some(&LegFact::HungUp { by: Some("bot".to_owned()) }));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_calls_by_sips_is_told_a_contact_by_sips() {
    let folder = std::env::temp_dir().join(format!("voicefleet-ways-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (chain, key) = (folder.join("leaf.pem"), folder.join("leaf.key"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let side = TlsSide::of(&chain, &key, &chain).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let connector = side.connector.clone().unwrap();
    let mut world = World::with(trunk(""), config(500), side).await;
    let at = world.endpoint.tls_address().unwrap();
    for (nth, (scheme, ours)) in
        [("sips", format!("<sips:2000@{at}>")), ("sip", format!("<sip:2000@{at};transport=tls>"))]
            .into_iter()
            .enumerate()
    {
        let socket = TcpStream::connect(at).await.unwrap();
        let mut stream = connector.connect(ServerName::try_from("127.0.0.1").unwrap(), socket).await.unwrap();
        let via = format!("Via: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bKsips{nth}");
        let id = format!("Call-ID: sips{nth}");
        let first = format!("INVITE {scheme}:2000@h.example SIP/2.0");
        let invite = message(&first, &[&via, &id, "Content-Type: application/sdp"], OFFER);
        stream.write_all(&invite).await.unwrap();
        stream.flush().await.unwrap();
        let (mut framer, mut buffer) = (Framer::default(), vec![0; 8_192]);
        let answered = async {
            loop {
                while let Ok(Some(frame)) = framer.take() {
                    let Frame::Message(bytes) = frame else { continue };
                    let answer = Message::parse(&bytes).unwrap();
                    if answer.status() == Some(200) {
                        return answer;
                    }
                }
                let length = stream.read(&mut buffer).await.unwrap();
                framer.push(&buffer[..length]);
            }
        };
        let answer = rt::timeout(LIMIT, answered).await.expect("an answer in time");
        assert_eq!(answer.get("Contact"), Some(ours.as_str()));
        drop(world.call().await);
    }
}
