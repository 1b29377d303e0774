//! Fuzz body of the transaction engine's boundary: requests and responses, damaged line by line, go in as the endpoint gives them, and what
//! comes out must be what went in. Run on stable over generated input by `tests/sip`; a fuzzing engine may call [`run`] with its own
//! bytes. Nothing leaves the machine: every source is a port of this one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::UdpSocket;
use voicefleet::rt;
use voicefleet::transport::sip::{Engine, Flow, Transport};
use voicefleet::wire::sip::{Message, Start, Via, fault_of, list, tight};

/// Lines that a mutated input is woven from. Each begins a message or is a field of one.
const SEEDS: [&str; 24] = [
    "INVITE sip:2000@127.0.0.1 SIP/2.0",
    "OPTIONS sip:2000@127.0.0.1 SIP/2.0",
    "BYE sip:2000@127.0.0.1;lr?a=b SIP/2.0",
    "CANCEL sip:2000@127.0.0.1 SIP/2.0",
    "ACK sip:2000@127.0.0.1 SIP/2.0",
    "PRACK tel:+911 SIP/2.0",
    "SIP/2.0 200 OK",
    "SIP/2.0 183 \u{441}\u{442}\u{43e}",
    "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx;rport",
    "v: SIP  / 2.0 / UDP  h.example : 9 ; branch = z9hG4bKy ; x = \";\" , SIP/2.0/UDP b",
    "From: \"a \\\" b\" <sip:a@h.example>;tag=77",
    "f: sip:a@h.example;tag=",
    "To: <sip:2000@h.example>",
    "To: \"\u{e9}\" <sips:2000@h.example;x=\"y\">;tag=a;tag=b",
    "Call-ID: c1",
    "CSeq: 1 INVITE",
    "CSeq: 2147483647 OPTIONS",
    "Contact: <sip:a@127.0.0.1:9>, *",
    "Max-Forwards: 70",
    "Proxy-Authorization: Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"sip:h\", response=\"0\", qop=auth, nc=00000001",
    "Require: 100rel, , timer",
    "Record-Route: <sip:p1;lr>,<sip:p2>",
    "X-Long: ;;,,\"",
    "Content-Length: 3",
];

/// The lines that a request needs, so that most inputs reach the engine.
const HEAD: [usize; 5] = [8, 10, 12, 14, 15];

struct Bench {
    runtime: tokio::runtime::Runtime,
    engine: Arc<Engine>,
    /// Takes the answers, so that they are not refused by a closed port.
    source: SocketAddr,
    _sink: UdpSocket,
}

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (engine, sink) = runtime.block_on(async {
            let udp = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
            // T1 of 1 ms: what is never acknowledged is over in 64.
            let engine = Engine::new(udp, Duration::from_millis(1), "fuzz").await.unwrap();
            rt::spawn("fuzz timers", Arc::clone(&engine).run_timers());
            (engine, UdpSocket::bind("127.0.0.1:0").await.unwrap())
        });
        Bench { runtime, engine, source: sink.local_addr().unwrap(), _sink: sink }
    })
}

/// Weaves a message out of `data` (three bytes a line: which, where to damage, with what) and sends it through the engine.
///
/// # Panics
/// Where an invariant is broken.
pub fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let mut lines = vec![SEEDS[usize::from(*first) % 8].as_bytes().to_vec()];
    lines.extend(HEAD.map(|at| SEEDS[at].as_bytes().to_vec()));
    // A branch of its own: the engine takes an old one for a repetition.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let branch = format!("z9hG4bK{}x", NEXT.fetch_add(1, Ordering::Relaxed));
    lines[1] = SEEDS[8].replace("z9hG4bKx", &branch).into_bytes();
    for step in rest.chunks(3) {
        let seed = SEEDS[usize::from(step[0]) % SEEDS.len()].as_bytes();
        let at = usize::from(step[0]) % lines.len();
        match *step {
            // A byte of a line that is there, another line, or one taken out.
            [_, place, byte] if place < 100 => {
                let place = usize::from(place) * lines[at].len() / 100;
                if let Some(old) = lines[at].get_mut(place) {
                    *old = byte;
                }
            }
            [_, place, _] if place < 200 => lines.insert(lines.len().min(usize::from(place) - 99), seed.to_vec()),
            _ if lines.len() > 1 => drop(lines.remove(at)),
            _ => {}
        }
    }
    let mut bytes = lines.join(&b"\r\n"[..]);
    bytes.extend(b"\r\n\r\nabc");
    for bytes in [data, &bytes] {
        let Ok(message) = Message::parse(bytes) else { continue };
        let bench = bench();
        bench.runtime.block_on(through(bench, message));
    }
}

/// What the endpoint does with a message before the engine has it, and what it relies on then.
async fn through(bench: &Bench, mut message: Message) {
    let flow = Flow { transport: Transport::Udp, peer: bench.source };
    if message.status().is_some() {
        // Nobody asked: it is refused or let go, and changes nothing.
        let _ = bench.engine.deliver(&message, flow).await;
        return;
    }
    let Some(via) = message.get("Via").and_then(Via::parse) else { return };
    let rest = list(message.get("Via").unwrap_or_default())
        .into_iter()
        .skip(1)
        .fold(String::new(), |out, one| out + ", " + one);
    let completed = via.completed(flow.peer.ip(), flow.peer.port()) + &rest;
    message.set("Via", &completed);
    for name in ["From", "To"] {
        if let Some(value) = message.get(name).map(tight) {
            message.set(name, &value);
        }
    }
    if fault_of(&message).is_some() {
        return;
    }
    // An address out of a mutated Via must stay on this machine.
    assert_eq!(Via::parse(message.get("Via").unwrap()).unwrap().answered_at().map(|at| at.ip()), Some(flow.peer.ip()));
    if bench.engine.deliver(&message, flow).await.is_err() {
        return;
    }
    while let Some(Some(mut got)) = rt::timeout(Duration::ZERO, bench.engine.next()).await {
        assert_eq!(got.flow, flow);
        let (Start::Request { method, .. }, Some(sent)) = (&got.request.start, message.method()) else {
            panic!("a request became {:?}", got.request.start);
        };
        assert_eq!(method, sent);
        assert_eq!(got.request.body, message.body);
        for name in ["Via", "Call-ID", "CSeq", "From", "To", "Require", "Record-Route", "Proxy-Authorization"] {
            let squeezed = |message: &Message| {
                message
                    .all(name)
                    .map(|value| value.split_whitespace().collect::<String>())
                    .collect::<Vec<_>>()
                    .join(",")
            };
            assert_eq!(squeezed(&got.request), squeezed(&message), "{name} of {message:?}");
        }
        assert!(got.request.get("Voicefleet-Source").is_none(), "our own mark stays inside");
        let answer = Message::response(&got.request, 486, "", "t");
        got.respond(&answer);
    }
}
