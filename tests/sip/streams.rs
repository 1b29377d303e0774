//! Calls over TCP and TLS in which nobody says anything for long, with the time between pings shortened: the connection stays while its
//! peer lives, whether that answers pings or not, and goes when one that answered them does so no more.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::ServerName;
use voicefleet::call::{LegFact, LegOrder};
use voicefleet::rt;
use voicefleet::transport::sip::{SipConfig, SipEnd, TlsSide};

use super::world::{LIMIT, World, config, facts, trunk};

static FOLDERS: AtomicUsize = AtomicUsize::new(0);

/// Between pings.
const PING: Duration = Duration::from_millis(50);
/// More pings than may stay unanswered by a peer that answers them.
const MANY: usize = 25;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A peer at the other end of a stream.
struct Peer {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
    pings: usize,
    /// So many pings are answered.
    pongs: usize,
    /// The port of its Contact.
    port: u16,
}

impl Peer {
    fn new(stream: impl Stream + 'static, pongs: usize) -> Self {
        Self { stream: Box::new(stream), read: Vec::new(), pings: 0, pongs, port: 9 }
    }

    async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn request(&mut self, method: &str, number: u32, to_tag: &str, body: &str) {
        let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "{method} sip:2000@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK{number}{method}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag=a\r\nTo: <sip:2000@127.0.0.1>{to_tag}\r\nCall-ID: silent\r\n\
             CSeq: {number} {method}\r\nContact: <sip:a@127.0.0.1:{};transport=tcp>\r\n{content}Content-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        );
        self.write(&text).await;
    }

    /// Reads on until `enough`; `false` where the stream is closed first.
    async fn until(&mut self, enough: impl Fn(&Self) -> bool + Send) -> bool {
        let reading = async {
            while !enough(self) {
                let mut bytes = [0; 4_096];
                let length = self.stream.read(&mut bytes).await.unwrap_or(0);
                if length == 0 {
                    return false;
                }
                if bytes[..length].iter().all(u8::is_ascii_whitespace) {
                    self.pings += length / 4;
                    if self.pings <= self.pongs {
                        self.write("\r\n").await;
                    }
                } else {
                    self.read.extend(&bytes[..length]);
                }
            }
            true
        };
        rt::timeout(LIMIT, reading).await.expect("in time")
    }

    /// The whole message that begins like this, once it is there.
    async fn message(&mut self, start: &str) -> String {
        let found = |peer: &Self| {
            let text = String::from_utf8_lossy(&peer.read).into_owned();
            text.find(start).map(|at| text[at..].to_owned()).filter(|text| text.contains("\r\n\r\n"))
        };
        assert!(self.until(|peer| found(peer).is_some()).await, "closed before {start}");
        found(self).unwrap()
    }

    /// Is hung up on, and answers that.
    async fn takes_a_bye(&mut self) {
        let bye = self.message("BYE ").await;
        let copied: Vec<&str> = bye
            .lines()
            .filter(|line| ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|n| line.starts_with(n)))
            .collect();
        self.write(&format!("SIP/2.0 200 OK\r\n{}\r\nContent-Length: 0\r\n\r\n", copied.join("\r\n"))).await;
    }

    /// Calls and is answered; the tag of the other end.
    async fn call(&mut self) -> String {
        let offer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n";
        self.request("INVITE", 1, "", offer).await;
        let answer = self.message("SIP/2.0 200").await;
        let to = answer.lines().find(|line| line.starts_with("To:")).unwrap();
        let tag = format!(";tag={}", to.split(";tag=").nth(1).unwrap().trim());
        self.request("ACK", 1, &tag, "").await;
        tag
    }
}

/// An endpoint with its connection and the driver's end of the one call.
async fn call(tls: bool, pongs: usize) -> (World, Peer, SipEnd, String) {
    // Tests run beside each other.
    let nth = FOLDERS.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("voicefleet-streams-{}-{nth}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (chain, key) = (folder.join("leaf.pem"), folder.join("leaf.key"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let side = TlsSide::of(&chain, &key, Path::new("")).unwrap();
    let client = TlsSide::of(Path::new(""), Path::new(""), &chain).unwrap().connector.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let config = SipConfig { ping_ms: PING.as_millis() as u64, ..config(500) };
    let mut world = World::with(trunk(""), config, side).await;
    let mut peer = if tls {
        let socket = TcpStream::connect(world.endpoint.tls_address().unwrap()).await.unwrap();
        Peer::new(client.connect(ServerName::try_from("127.0.0.1").unwrap(), socket).await.unwrap(), pongs)
    } else {
        Peer::new(TcpStream::connect(world.endpoint.address()).await.unwrap(), pongs)
    };
    let tag = peer.call().await;
    let (_, end) = world.call().await;
    (world, peer, end, tag)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_silent_call_is_ended_by_the_peer_over_the_same_connection() {
    for (tls, pongs) in [(false, 0), (false, usize::MAX), (true, 0), (true, usize::MAX)] {
        let (world, mut peer, end, tag) = call(tls, pongs).await;
        assert!(peer.until(|peer| peer.pings >= MANY).await, "closed after {} pings", peer.pings);
        peer.read.clear();
        peer.request("BYE", 2, &tag, "").await;
        peer.message("SIP/2.0 200").await;
        let (facts, _) = facts(end).await;
        assert_eq!(facts.last(), Some(&LegFact::HungUp { by: None }), "{facts:?}");
        world.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_silent_call_is_ended_by_us_over_the_same_connection() {
    for (tls, pongs) in [(false, 0), (true, usize::MAX)] {
        let (world, mut peer, end, _) = call(tls, pongs).await;
        assert!(peer.until(|peer| peer.pings >= MANY).await, "closed after {} pings", peer.pings);
        end.orders.send(LegOrder::HangUp { message: String::new() }).await.unwrap();
        peer.takes_a_bye().await;
        let (facts, _) = facts(end).await;
        assert_eq!(facts.last(), Some(&LegFact::HungUp { by: Some("bot".to_owned()) }), "{facts:?}");
        world.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_answers_no_more_pings_is_gone() {
    let (world, mut peer, end, _) = call(false, 3).await;
    assert!(!peer.until(|peer| peer.pings >= 10 * MANY).await, "still open after {} pings", peer.pings);
    assert!((5..MANY).contains(&peer.pings), "{} pings", peer.pings);
    assert_eq!(world.endpoint.census().streams, 0);
    drop(end);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_whose_connection_went_is_dialled_where_it_says_that_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut world = World::new(trunk(""), config(500)).await;
    let mut peer = Peer::new(TcpStream::connect(world.endpoint.address()).await.unwrap(), 0);
    peer.port = listener.local_addr().unwrap().port();
    let tag = peer.call().await;
    let (_, end) = world.call().await;
    // Whoever answers this has read the ACK before it.
    peer.read.clear();
    peer.request("OPTIONS", 2, &tag, "").await;
    peer.message("SIP/2.0 200").await;
    drop(peer);
    let gone = async {
        while world.endpoint.census().streams > 0 {
            tokio::task::yield_now().await;
        }
    };
    rt::timeout(LIMIT, gone).await.expect("the connection goes in time");
    end.orders.send(LegOrder::HangUp { message: String::new() }).await.unwrap();
    let (socket, _) = rt::timeout(LIMIT, listener.accept()).await.expect("a connection in time").unwrap();
    Peer::new(socket, 0).takes_a_bye().await;
    let (facts, _) = facts(end).await;
    assert_eq!(facts.last(), Some(&LegFact::HungUp { by: Some("bot".to_owned()) }), "{facts:?}");
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_word_of_a_peer_that_closes_behind_it_is_heard() {
    for _ in 0..50 {
        let mut world = World::new(trunk(""), config(500)).await;
        let mut peer = Peer::new(TcpStream::connect(world.endpoint.address()).await.unwrap(), 0);
        let tag = peer.call().await;
        let (_, end) = world.call().await;
        peer.request("BYE", 2, &tag, "").await;
        drop(peer);
        assert_eq!(facts(end).await.0.last(), Some(&LegFact::HungUp { by: None }));
    }
}
