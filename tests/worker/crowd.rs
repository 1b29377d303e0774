//! S13 of the session scripts: ten thousand sockets without a token, beside a good call and one that comes in the thick of it. They
//! come in waves, because both ends are in this process and count twice against its limit of open files; the sockets of a wave
//! that say nothing take every place that the worker has.

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use voicefleet::provider::standin;
use voicefleet::rt;
use voicefleet::telemetry::ProcessSample;
use voicefleet::units::Pii;

use crate::caller::{Caller, Plan};
use crate::density::settled_memory;
use crate::tape::{assert_own_voice, channels};
use crate::world::{PATIENCE, World, alone, brisk, until};

const SOCKETS: usize = 10_000;
const WAVES: usize = 4;
/// The half of a wave that says nothing.
const MUTE: usize = SOCKETS / WAVES / 2;
/// Both ends of a socket that is up, the connection's task, its buffers and what the test keeps of it.
const MOST_BYTES_A_SOCKET: u64 = 64 * 1024;
/// What may be left behind by the second half of the waves; the first half makes what is kept for ever.
const GROWTH: f64 = 0.10;
const TOKEN: &str = "opens-the-door";

/// Asks for a media socket without the token, reads the refusal, stays on the line until the worker closes it.
async fn refused(address: std::net::SocketAddr) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let ask = format!(
        "GET /ws/demo HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = rt::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer and a close in time");
    assert!(read.is_ok() && answer.starts_with(b"HTTP/1.1 401"), "{}", String::from_utf8_lossy(&answer));
}

/// Half of a wave says nothing at all and takes every place: a caller with a token gets through all the same. The other half asks,
/// is refused and has to go. Gives the memory with the mute ones up.
async fn wave(world: &World, number: usize) -> u64 {
    let address = world.running.address;
    let mute = join_all((0..MUTE).map(|_| async { TcpStream::connect(address).await.unwrap() })).await;
    let resident = ProcessSample::read().resident_bytes;
    let plan = Plan { token: Some(TOKEN.to_owned()), ..Plan::new(&format!("late-{number}")) };
    let mut late = Caller::open(&world.ws("demo"), plan).await.unwrap_or_else(|error| panic!("wave {number}: {error}"));
    assert!(late.until(|m| m.first_audio_ms().is_some()).await, "wave {number}: the new caller is greeted");
    drop(late.drop_line());
    join_all((0..MUTE).map(|_| refused(address))).await;
    drop(mute);
    resident
}

/// Raises the limit of open files as far as this process may.
fn raise_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[expect(clippy::print_stdout, reason = "figures for whoever reads the test's output")]
fn show(before: u64, at_once: &[u64], left: &[u64]) {
    let kib = |all: &[u64]| all.iter().map(|bytes| bytes / 1024).collect::<Vec<_>>();
    let (at_once, left) = (kib(at_once), kib(left));
    println!(
        "{SOCKETS} sockets in {WAVES} waves: {} KiB before, {at_once:?} KiB with a wave up, {left:?} KiB after it",
        before / 1024
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_sockets_without_a_token_cost_a_good_call_nothing() {
    let _alone = alone().await;
    let files = raise_limit();
    let wanted = (SOCKETS / WAVES * 2 + 500) as u64;
    assert!(files >= wanted, "this test opens {wanted} files at once, the limit is {files}: raise it with `ulimit -n`");
    let token = Pii::new(TOKEN.to_owned());
    let speech = standin::Config { endless: true, ..brisk() };
    let tune = |c: &mut voicefleet::config::Config| {
        c.auth.ws_token = Some(token);
        c.server.max_connections = MUTE as u32;
    };
    let world = World::with("crowd", tune, speech).await;
    let plan = Plan { tone: 4, token: Some(TOKEN.to_owned()), ..Plan::new("good") };
    let mut good = Caller::open(&world.ws("demo"), plan).await.unwrap();
    assert!(good.until(|m| m.turns >= 1).await);

    let over = std::sync::atomic::AtomicBool::new(false);
    let order = std::sync::atomic::Ordering::Relaxed;
    let attack = async {
        let ProcessSample { resident_bytes: before, open_files: files_before, .. } = ProcessSample::read();
        let (mut at_once, mut left) = (Vec::new(), Vec::new());
        for number in 0..WAVES {
            at_once.push(wave(&world, number).await);
            // The worker has closed its ends too before the next wave is counted.
            until(|| ProcessSample::read().open_files <= files_before + 8, || "sockets are left".to_owned()).await;
            left.push(settled_memory());
        }
        over.store(true, order);
        (before, at_once, left)
    };
    let ((before, at_once, left), up) = tokio::join!(attack, good.until(|m| over.load(order) && m.turns >= 3));
    assert!(up, "the good call stands: {:?}", good.memory.closed);
    show(before, &at_once, &left);
    let most = at_once.iter().max().copied().unwrap_or(0);
    let a_socket = most.saturating_sub(before) / MUTE as u64;
    assert!(a_socket <= MOST_BYTES_A_SOCKET, "{a_socket} bytes a socket");
    let growth = left[WAVES - 1] as f64 / left[WAVES / 2 - 1] as f64 - 1.0;
    assert!(growth <= GROWTH, "a wave leaves something behind: {:+.2} %", growth * 100.0);
    let count = world.metric("voicefleet_refusals_total{code=\"unauthorized\"}").await as usize;
    assert_eq!(count, SOCKETS / 2, "every refusal is counted once");
    until(|| world.app().capacity().held() == 1, || "only the good call has a place".to_owned()).await;

    // The good call's audio is whole, both ways.
    let memory = good.drop_line();
    assert!(memory.chunks().iter().zip(1..).all(|(&came, wanted)| came == wanted), "no frame to the caller is missing");
    let result = world.result_of("good").await;
    let report = result.recording.as_ref().unwrap();
    assert_eq!((report.lost_ms, report.incomplete.as_deref()), (0, None));
    let (left, _) = channels(&world.folder.data().join("calls").join(&result.session_id).join("recording.wav"));
    assert_own_voice(&left, 4, 20, "the good call");
    let spoken_ms: u64 = memory.spoke.iter().filter(|(_, end)| *end < u64::MAX).map(|(from, to)| to - from).sum();
    let tone = crate::tape::tone_peaks(&left, crate::tape::tone_hz(4));
    let heard_ms = 200 * tone.iter().filter(|&&peak| peak > crate::tape::TONE_PEAK * 0.3).count() as u64;
    assert!(heard_ms + 200 >= spoken_ms, "{spoken_ms} ms were said, {heard_ms} ms are on the recording");
    world.quiet().await;
    world.stop().await;
}
