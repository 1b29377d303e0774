//! Whom a trunk's TLS target must prove to be: the name that stands in the trunk's file, whatever the same address proved for another. And
//! whose streams are taken: strangers' up to a cap, carriers' all the same.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use voicefleet::call::{EndReason, LegFact};
use voicefleet::rt;
use voicefleet::transport::sip::{MediaPorts as _, OutboundCall, SipLink, TlsSide};
use voicefleet::trunk::Book;
use voicefleet::wire::sip::{Frame, Framer, Message};

use super::hostile::{OPTIONS, message};
use super::peer::respond;
use super::world::{LIMIT, World, config, facts, trunk};

/// Streams of strangers that are taken, as the README has it.
const STRANGERS: usize = 64;

/// A carrier behind TLS that is busy for everybody, with a certificate of these names, which our side believes.
struct Carrier {
    address: SocketAddr,
    /// Handshakes that were made, and INVITEs that came.
    met: Arc<AtomicUsize>,
    invited: Arc<AtomicUsize>,
    believed: TlsSide,
    task: tokio::task::AbortHandle,
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Carrier {
    async fn new(names: &[&str]) -> Self {
        static FOLDERS: AtomicUsize = AtomicUsize::new(0);
        let nth = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("voicefleet-names-{}-{nth}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let (chain, key) = (folder.join("leaf.pem"), folder.join("leaf.key"));
        std::fs::write(&chain, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let acceptor = TlsSide::of(&chain, &key, Path::new("")).unwrap().acceptor.unwrap();
        let believed = TlsSide::of(Path::new(""), Path::new(""), &chain).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (met, invited): (Arc<AtomicUsize>, Arc<AtomicUsize>) = (Arc::default(), Arc::default());
        let (meets, invites) = (Arc::clone(&met), Arc::clone(&invited));
        let work = async move {
            loop {
                let Ok((socket, _)) = listener.accept().await else { continue };
                let (acceptor, meets, invites) = (acceptor.clone(), Arc::clone(&meets), Arc::clone(&invites));
                rt::spawn("test carrier's stream", async move {
                    // Whoever does not believe the certificate goes.
                    let Ok(mut stream) = acceptor.accept(socket).await else { return };
                    let mut framer = Framer::default();
                    let mut buffer = vec![0; 8_192];
                    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                        meets.fetch_max(1, Ordering::AcqRel);
                        framer.push(&buffer[..length]);
                        while let Ok(Some(frame)) = framer.take() {
                            let Frame::Message(bytes) = frame else { continue };
                            let request = Message::parse(&bytes).unwrap();
                            if request.method() == Some("INVITE") {
                                invites.fetch_add(1, Ordering::AcqRel);
                                stream.write_all(&respond(&request, 486).to_bytes()).await.unwrap();
                                stream.flush().await.unwrap();
                            }
                        }
                    }
                });
            }
        };
        let task = rt::spawn("test carrier", work).abort_handle();
        Self { address, met, invited, believed, task }
    }

    /// A trunk to this carrier by this host.
    fn trunk(&self, host: &str) -> voicefleet::trunk::Trunk {
        trunk(&format!("[outbound]\ntransport = \"tls\"\ntargets = [\"{host}:{}\"]\n", self.address.port()))
    }

    fn invited(&self) -> usize {
        self.invited.load(Ordering::Acquire)
    }
}

/// How a call by the trunk ends.
async fn call(world: &World) -> LegFact {
    let (link, end) = SipLink::pair();
    let call = OutboundCall {
        trunk: "main".to_owned(),
        to: "+919800000001".to_owned(),
        from: String::new(),
        fields: Vec::new(),
    };
    world.endpoint.place_call(call, || world.ports.reserve(), link).unwrap();
    facts(end).await.0.remove(0)
}

const BUSY: LegFact = LegFact::Unreached(EndReason::Busy);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_whose_certificate_names_another_host_is_not_called() {
    for (names, host, right) in [
        (&["localhost"][..], "localhost", true),
        (&["127.0.0.1"], "127.0.0.1", true),
        (&["sip.carrier.example", "127.0.0.1"], "127.0.0.1", true),
        (&["sip.carrier.example"], "127.0.0.1", false),
        (&["sip.carrier.example"], "localhost", false),
        (&["localhost"], "127.0.0.1", false),
        (&["127.0.0.1"], "localhost", false),
        (&["localhost.carrier.example"], "localhost", false),
    ] {
        let carrier = Carrier::new(names).await;
        let world = World::with(carrier.trunk(host), config(500), carrier.believed.clone()).await;
        let end = call(&world).await;
        assert_eq!(end == BUSY, right, "{names:?} as {host}: {end:?}");
        assert_eq!(carrier.invited(), usize::from(right), "{names:?} as {host}");
        if !right {
            assert!(matches!(end, LegFact::Unreached(_)), "{end:?}");
            assert_eq!(carrier.met.load(Ordering::Acquire), 0, "it is told nothing");
            assert_eq!(world.endpoint.census().streams, 0, "and no stream to it stays");
        }
        world.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_address_proved_for_one_target_does_not_hold_for_another() {
    let carrier = Carrier::new(&["localhost"]).await;
    let world = World::with(carrier.trunk("localhost"), config(500), carrier.believed.clone()).await;
    assert_eq!(call(&world).await, BUSY);
    assert_eq!((carrier.invited(), world.endpoint.census().streams), (1, 1), "its stream stays");
    // The same address by a name that it never proved, while the stream to it lives.
    world.endpoint.set_trunks(Book::new(vec![carrier.trunk("127.0.0.1")]));
    let end = call(&world).await;
    assert!(matches!(end, LegFact::Unreached(_)) && end != BUSY, "{end:?}");
    assert_eq!(carrier.invited(), 1, "not by the stream of another target");
    world.endpoint.set_trunks(Book::new(vec![carrier.trunk("localhost")]));
    assert_eq!(call(&world).await, BUSY);
    assert_eq!(carrier.invited(), 2);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_streams_are_capped_and_a_carrier_is_heard_beside_them() {
    let of_another = "[inbound]\naddresses = [\"127.0.0.2/32\"]\nbot = \"desk\"\n";
    let world = World::new(trunk(of_another), config(500)).await;
    let to = world.endpoint.address();
    let streams = || world.endpoint.census().streams;
    let until = async |count: usize| {
        let reached = async {
            while streams() != count {
                tokio::task::yield_now().await;
            }
        };
        rt::timeout(LIMIT, reached).await.unwrap_or_else(|| panic!("{} streams, not {count}", streams()));
    };
    let closed = async |mut stream: TcpStream| {
        let read = rt::timeout(LIMIT, async move { stream.read(&mut [0; 16]).await }).await;
        matches!(read.expect("closed at once"), Ok(0) | Err(_))
    };
    let mut strangers = Vec::new();
    for _ in 0..STRANGERS {
        strangers.push(TcpStream::connect(to).await.unwrap());
    }
    until(STRANGERS).await;
    for _ in 0..10 {
        assert!(closed(TcpStream::connect(to).await.unwrap()).await, "one more is one too many");
    }
    assert_eq!(streams(), STRANGERS, "those before it stay");

    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut carrier = socket.connect(to).await.unwrap();
    let via = "Via: SIP/2.0/TCP 127.0.0.2:9;branch=z9hG4bKcarrier;rport";
    carrier.write_all(&message(OPTIONS, &[via], "")).await.unwrap();
    let mut buffer = vec![0; 8_192];
    let length = rt::timeout(LIMIT, carrier.read(&mut buffer)).await.expect("an answer in time").unwrap();
    assert_eq!(Message::parse(&buffer[..length]).unwrap().status(), Some(200), "a carrier has places of its own");
    assert_eq!(streams(), STRANGERS + 1);

    // Whoever goes makes room for the next.
    drop(strangers.pop());
    until(STRANGERS).await;
    strangers.push(TcpStream::connect(to).await.unwrap());
    until(STRANGERS + 1).await;
    drop((strangers, carrier));
    until(0).await;
}
