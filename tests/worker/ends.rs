//! Every way in which a call of the whole worker ends: its reason, who ended it, and one result each time.

use voicefleet::provider::standin;
use voicefleet::results::{CallResult, DisconnectedBy};

use crate::caller::{Caller, Memory, Plan};
use crate::tape::{assert_own_voice, channels};
use crate::world::{Folder, World, beside_others, brisk, standin_bot};

fn ended(result: &CallResult) -> (DisconnectedBy, &str) {
    (result.disconnected_by, result.end_reason.as_str())
}

/// Both sides have spoken.
fn talked(memory: &Memory) -> bool {
    memory.spoke.first().is_some_and(|(_, end)| *end < u64::MAX && memory.came.last().is_some_and(|(at, _)| at > end))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_customer_hangs_up_or_is_gone_or_never_answers() {
    let _turn = beside_others().await;
    let world = World::with("customer", |c| c.websocket.answer_ms = 1_500, brisk()).await;
    let polite = Caller::converse(world.ws("demo"), Plan { hang_up_ms: Some(2_500), ..Plan::new("+91-polite") });
    let unanswered =
        Caller::converse(world.ws("demo"), Plan { outgoing: true, ring_ms: 90_000, ..Plan::new("+91-rings") });
    let dropped = async {
        let mut caller = Caller::open(&world.ws("demo"), Plan::new("+91-dropped")).await.unwrap();
        assert!(caller.until(talked).await);
        drop(caller);
    };
    let (polite, unanswered, ()) = tokio::join!(polite, unanswered, dropped);
    assert!(polite.first_audio_ms().is_some());
    assert_eq!((unanswered.closed, unanswered.came.len()), (Some(4408), 0));
    assert_eq!(ended(&world.result_of("+91-polite").await), (DisconnectedBy::Customer, "customer_hung_up"));
    assert_eq!(ended(&world.result_of("+91-dropped").await), (DisconnectedBy::Customer, "leg_closed"));
    let rings = world.result_of("+91-rings").await;
    assert_eq!(ended(&rings), (DisconnectedBy::Rnr, "no_answer"));
    assert_eq!((rings.resources.llm_asks, rings.transcript.len()), (0, 0));
    world.quiet().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_runs_out() {
    let _turn = beside_others().await;
    let folder = Folder::new("time");
    folder.bot("idle", &format!("{}[turn]\nidle_ms = 700\n", standin_bot("")));
    folder.bot("short", &format!("{}[turn]\nmax_duration_ms = 4000\nwarning_before_ms = 0\n", standin_bot("")));
    let world = World::over(folder, |_| {}, standin::Config { endless: true, ..brisk() }).await;
    let silent = Caller::converse(world.ws("idle"), Plan { turns: 0, ..Plan::new("+91-idle") });
    let long = Caller::converse(world.ws("short"), Plan::new("+91-long"));
    let (silent, long) = tokio::join!(silent, long);
    assert!(silent.bot_hung_up() && long.bot_hung_up());
    assert_eq!(ended(&world.result_of("+91-idle").await), (DisconnectedBy::Timeout, "idle"));
    let long = world.result_of("+91-long").await;
    assert_eq!(ended(&long), (DisconnectedBy::Timeout, "max_duration"));
    assert!(long.call_duration_seconds >= 4.0, "{}", long.call_duration_seconds);
    world.quiet().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialler_that_goes_silent_or_stops_reading_ends_its_own_call_only() {
    let _turn = beside_others().await;
    let tune = |c: &mut voicefleet::config::Config| {
        (c.websocket.silence_ms, c.websocket.ping_ms, c.websocket.write_ms) = (1_500, 60_000, 800);
        c.websocket.late_ms = 10_000;
    };
    // A greeting of minutes, so that what the stuck dialler does not read fills every buffer on the way.
    let chatter = standin::Config { bot_lines: vec!["word ".repeat(2_000)], speech_ms_per_char: 20, ..brisk() };
    let world = World::with("stuck", tune, chatter).await;
    let mut silent = Caller::open(&world.ws("demo"), Plan::new("+91-silent")).await.unwrap();
    assert!(silent.until(|m| m.first_audio_ms().is_some()).await);
    let mut bystander = Caller::open(&world.ws("demo"), Plan { turns: 0, ..Plan::new("+91-bystander") }).await.unwrap();
    let stuck = tokio::task::spawn_blocking({
        let address = world.running.address;
        move || stuck_dialler(address)
    });
    // The silent one reads on and sends nothing: only its own silence can end it.
    let gone = world.result_of("+91-silent");
    let stuck_result = world.result_of("+91-stuck");
    let (gone, stuck_result, up, _) = tokio::join!(
        gone,
        stuck_result,
        bystander.until(|m| m.late_us.len() > 300),
        silent.listen_for(std::time::Duration::from_secs(6)),
    );
    assert!(up, "the bystander's call is up all the while");
    let frames = bystander.memory.chunks();
    assert!(frames.len() > 200 && frames.iter().zip(1..).all(|(&c, n)| c == n), "{} frames", frames.len());
    assert_eq!(ended(&gone), (DisconnectedBy::Error, "leg_silent"));
    assert_eq!(ended(&stuck_result), (DisconnectedBy::Error, "leg_stuck"));
    drop(bystander);
    stuck.await.unwrap();
    world.quiet().await;
    world.stop().await;
}

/// Opens a call with the smallest receive buffer there is, keeps sending audio, and never reads.
fn stuck_dialler(address: std::net::SocketAddr) {
    use std::io::{Read as _, Write as _};
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(1_024).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut stream = std::net::TcpStream::from(socket);
    let ask = format!(
        "GET /ws/demo HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).unwrap();
    let mut head = [0; 512];
    let n = stream.read(&mut head).unwrap();
    assert!(head[..n].starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head[..n]));
    let opening = [
        r#"{"event":"connected","callerId":"+91-stuck","did":"+9180","callDirection":"incoming"}"#,
        r#"{"event":"start","mediaFormat":{"encoding":"LINEAR","sampleRate":8000,"channels":1}}"#,
        r#"{"event":"answer"}"#,
    ];
    for text in opening {
        stream.write_all(&text_frame(text)).unwrap();
    }
    // A frame a second says that it is alive, so that only its not reading can end it.
    let sign = text_frame(r#"{"event":"media","payload":"AAAA"}"#);
    stream.set_nonblocking(false).unwrap();
    let until = voicefleet::rt::now().plus_ms(55_000);
    while voicefleet::rt::now() < until && stream.write_all(&sign).is_ok() {
        voicefleet::rt::park_until(voicefleet::rt::now().plus_ms(200));
    }
}

/// A masked text frame of at most 125 bytes (RFC 6455, 5.2), with a mask of zeros.
fn text_frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap().min(125), 0, 0, 0, 0];
    assert!(text.len() <= 125, "a short message");
    frame.extend_from_slice(text.as_bytes());
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_always_fails_ends_the_call_with_its_reason() {
    let _turn = beside_others().await;
    let world = World::with("fails", |_| {}, standin::Config { fail_every: 1, ..brisk() }).await;
    Caller::converse(world.ws("demo"), Plan::new("+91-fails")).await;
    let result = world.result_of("+91-fails").await;
    assert_eq!(ended(&result), (DisconnectedBy::Error, "provider_failed"));
    assert!(result.warnings.iter().any(|w| w.code == "provider_error"), "{:?}", result.warnings);
    world.quiet().await;
    world.stop().await;
}

/// A planned panic is told of in a line: its backtrace takes a debug build a second of one of the two threads that serve all calls,
/// and a caller who hears nothing for so long speaks.
#[expect(clippy::print_stderr, reason = "a panic is told of where panics are")]
fn tell_planned_panics_in_a_line() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let said = panic.payload().downcast_ref::<&str>();
            if said.is_some_and(|said| said.contains("panic_on")) { eprintln!("{panic}") } else { usual(panic) }
        }));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_one_call_ends_that_call_with_a_result_and_no_other() {
    let _turn = beside_others().await;
    tell_planned_panics_in_a_line();
    let world = World::with("panic", |_| {}, standin::Config { panic_on: "doomed".to_owned(), ..brisk() }).await;
    let fields = vec![("mood".to_owned(), "doomed".to_owned())];
    let doomed = Caller::converse(world.ws("demo"), Plan { fields, tone: 1, ..Plan::new("+91-doomed") });
    let well = Caller::converse(world.ws("demo"), Plan { tone: 2, ..Plan::new("+91-well") });
    let (doomed, well) = tokio::join!(doomed, well);
    assert_eq!(doomed.closed, Some(1011), "the far end is told");
    assert!(well.bot_hung_up() && well.turns == 4, "the other call is whole: {well:?}");
    let result = world.result_of("+91-doomed").await;
    assert_eq!(ended(&result), (DisconnectedBy::Error, "internal"));
    assert!(!result.transcript.is_empty(), "what was said before is kept");
    let wav = world.folder.data().join("calls").join(&result.session_id).join("recording.wav");
    let (left, _) = channels(&wav);
    assert_own_voice(&left, 1, 3, "the call that panicked");
    assert!(result.recording.as_ref().is_some_and(|r| r.bytes > 0), "{:?}", result.recording);
    assert!(result.recording_url.is_some(), "its recording has a link");
    assert_eq!(world.result_of("+91-well").await.end_reason, "completed");
    assert!(world.metric("voicefleet_panics_total").await >= 1.0, "it is counted");
    world.quiet().await;
    world.stop().await;
}
