//! S13 against the whole worker, with a good call beside it: what hostile peers send costs them their own socket at most. The
//! good call's audio stays its own, a new call works afterwards, nothing panicked, and the metrics page shows what came.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use voicefleet::rt;
use voicefleet::transport::ws::{Client, ClientError, ClientTls, connect};

use crate::caller::{Caller, Plan};
use crate::tape::{assert_own_voice, channels};
use crate::world::{PATIENCE, World, beside_others, brisk};

const CONNECTED: &str =
    r#"{"event":"connected","callerId":"+91-hostile","did":"+9180","callDirection":"incoming","streamId":"st-h"}"#;
const START: &str =
    r#"{"event":"start","streamId":"st-h","mediaFormat":{"encoding":"LINEAR","sampleRate":8000,"channels":1}}"#;
const ANSWER: &str = r#"{"event":"answer"}"#;
/// Sockets that are opened and then say nothing.
const MUTE_SOCKETS: usize = 500;

/// Everything that was logged by this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        let logger = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::set_global_default(logger).unwrap();
        log
    })
}

/// A socket that is up, with these texts said.
async fn peer(url: &str, texts: &[&str]) -> Client {
    let mut client = connect(url, None, &ClientTls::Public, PATIENCE).await.unwrap();
    for text in texts {
        client.send_text((*text).to_owned()).await.unwrap();
    }
    client
}

/// Reads until the worker closes; the code.
async fn closed(mut client: Client) -> u16 {
    let code = rt::timeout(PATIENCE, async {
        loop {
            match client.next().await {
                Ok(_) => {}
                Err(ClientError::Closed { code, .. }) => return code,
                Err(_) => return 1006,
            }
        }
    });
    code.await.expect("an end in time")
}

/// A call of its own that sends `frames` in its middle and must stand it: it is up after them.
async fn stands(url: &str, frames: Vec<Message>) {
    let mut client = peer(url, &[CONNECTED, START, ANSWER]).await;
    for frame in frames {
        client.send(frame).await.unwrap();
    }
    let up = rt::timeout(PATIENCE, client.round_trip()).await.expect("a pong in time");
    assert!(up.is_ok(), "the socket is up: {up:?}");
    client.close(1000, "", PATIENCE).await;
}

/// A call of its own that `frames` must end with `code`.
async fn falls(url: &str, opening: &[&str], frames: Vec<Message>, code: u16) {
    let mut client = peer(url, opening).await;
    for frame in frames {
        if client.send(frame).await.is_err() {
            break;
        }
    }
    assert_eq!(closed(client).await, code, "after {opening:?}");
}

async fn nonsense(url: &str) {
    let deep = format!("{{\"event\":\"x\",\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let odd = format!(r#"{{"event":"media","payload":"{}"}}"#, "AAAA".repeat(107));
    let texts = vec![
        deep,
        "[".repeat(200_000),
        "{".to_owned(),
        r#"{"event":"media","payload":"*"}"#.to_owned(),
        odd,
        r#"{"event":"media","payload":""}"#.to_owned(),
        r#"{"event":"media","streamId":"st-good","payload":"AQABAAEA"}"#.to_owned(),
        r#"{"event":"hangup-call","streamId":"st-good"}"#.to_owned(),
        START.replace("st-h", "st-other"),
        CONNECTED.to_owned(),
        r#"{"event":null}"#.to_owned(),
    ];
    let mut frames: Vec<Message> = texts.into_iter().map(|t| Message::Text(t.into())).collect();
    frames.push(Message::Binary(vec![7; 321].into()));
    stands(url, frames).await;
}

async fn broken_frames(url: &str) {
    let long = Message::Text("x".repeat(1_000_000).into());
    falls(url, &[CONNECTED, START, ANSWER], vec![long], 1009).await;
    let not_utf8 = Message::Frame(Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true));
    falls(url, &[CONNECTED, START, ANSWER], vec![not_utf8], 1007).await;
    let not_a_frame = Message::Frame(Frame::message(Vec::new(), OpCode::Data(Data::Reserved(3)), true));
    falls(url, &[CONNECTED, START, ANSWER], vec![not_a_frame], 1002).await;
    let chatter = (0..20).map(|_| Message::Text(r#"{"event":"hello"}"#.into())).collect();
    falls(url, &[], chatter, 4400).await;
    falls(url, &[START], Vec::new(), 4400).await;
    let flood = (0..8_000).map(|_| Message::Text(r#"{"event":"x"}"#.into())).collect();
    falls(url, &[CONNECTED, START, ANSWER], flood, 1008).await;
}

/// A valid head of the upgrade, then bytes of nothing.
async fn garbage_after_a_good_head(address: std::net::SocketAddr) {
    let head = format!(
        "GET /ws/demo HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    for seed in 1u64..=8 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut state = seed;
        let noise: Vec<u8> = (0..4_096)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as u8
            })
            .collect();
        // The worker may have closed before all of it is written.
        let _ = stream.write_all(&noise).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let ended = rt::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_some(), "the worker ends it");
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    }
}

/// A request that never ends, byte by byte.
async fn slow_loris(address: std::net::SocketAddr) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = b"GET /ws/demo HTTP/1.1\r\nHost: x\r\nX-Slow: ".iter().copied().chain(std::iter::repeat(b'a'));
    let dripped = rt::timeout(PATIENCE, async {
        for byte in head {
            let mut answer = [0; 64];
            tokio::select! {
                read = stream.read(&mut answer) => if read.is_ok_and(|n| n == 0) || answer[0] != 0 { return },
                () = rt::sleep(Duration::from_millis(100)) => {}
            }
            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    });
    assert!(dripped.await.is_some(), "a head that never ends is cut off");
}

/// Sockets that are upgraded, as far as there are places, and say nothing; the others are refused. Then all of them go.
async fn mute_sockets(url: &str, address: std::net::SocketAddr) {
    let mut idle = Vec::new();
    for _ in 0..MUTE_SOCKETS {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let (mut open, mut refused) = (Vec::new(), 0);
    for _ in 0..60 {
        match connect(url, None, &ClientTls::Public, PATIENCE).await {
            Ok(client) => open.push(client),
            Err(ClientError::Refused { status: 503, .. }) => refused += 1,
            Err(other) => panic!("expected a place or a refusal, got {other}"),
        }
    }
    assert!(refused > 0 && !open.is_empty(), "{refused} refused, {} open", open.len());
    // Nobody says anything: each is closed by its deadline, and its place is free again.
    let closes = open.into_iter().map(closed);
    assert!(futures_util::future::join_all(closes).await.iter().all(|code| *code == 4408));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_peers_beside_a_good_call() {
    let _turn = beside_others().await;
    let log = log();
    let tune = |c: &mut voicefleet::config::Config| c.websocket.handshake_ms = 2_000;
    let speech = voicefleet::provider::standin::Config { endless: true, ..brisk() };
    let world = World::with("hostile", tune, speech).await;
    let (url, address) = (world.ws("demo"), world.running.address);
    let mut good = Caller::open(&url, Plan { tone: 4, ..Plan::new("good") }).await.unwrap();
    let attack = async {
        nonsense(&url).await;
        broken_frames(&url).await;
        garbage_after_a_good_head(address).await;
        tokio::join!(slow_loris(address), mute_sockets(&url, address));
    };
    // The good call talks on for as long as the attack takes.
    let over = std::sync::atomic::AtomicBool::new(false);
    let ordering = std::sync::atomic::Ordering::Relaxed;
    let attack = async {
        attack.await;
        over.store(true, ordering);
    };
    let ((), up) = tokio::join!(attack, good.until(|m| over.load(ordering) && m.turns >= 3));
    assert!(up, "the good call stands: {:?}", good.memory.closed);
    let memory = good.drop_line();
    assert!(memory.chunks().iter().zip(1..).all(|(&came, wanted)| came == wanted));
    let result = world.result_of("good").await;
    assert_eq!(result.end_reason, "leg_closed");
    let (left, _) = channels(&world.folder.data().join("calls").join(&result.session_id).join("recording.wav"));
    assert_own_voice(&left, 4, 20, "the good call");

    let after = Caller::converse(&url, Plan { hang_up_ms: Some(1_500), tone: 9, ..Plan::new("after") }).await;
    assert!(after.first_audio_ms().is_some(), "a new call works");
    world.quiet().await;
    for (kind, least) in [
        ("bad_json", 2.0),
        ("bad_base64", 1.0),
        ("duplicate", 1.0),
        ("foreign", 1.0),
        ("flood", 900.0),
        ("never_opened", 1.0),
        ("lost_protocol", 4.0),
    ] {
        let count = world.metric(&format!("voicefleet_ws_faults_total{{kind=\"{kind}\"}}")).await;
        assert!(count >= least, "{kind}: {count}\n{}", world.get("/metrics").await.body);
    }
    let said = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    let panics: Vec<&str> = said.lines().filter(|l| l.contains("panicked") && !l.contains("panic_on")).collect();
    assert_eq!(panics, Vec::<&str>::new());
    world.stop().await;
}
