//! Row 5 of the conformance list: the worker's event loop stands still for 100 ms in the middle of an utterance. What is asserted is
//! what the caller heard: every sample of it, once, in order, with no more silence in it than the loop stood still.

use std::time::Duration;

use tokio_tungstenite::tungstenite::Message;
use voicefleet::call::line::LEAD_FRAMES;
use voicefleet::config::Config;
use voicefleet::provider::standin;
use voicefleet::rt;
use voicefleet::transport::ws::{ClientTls, connect};
use voicefleet::units::Moment;
use voicefleet::wire::ws::native::{Dialler, FromBot};

use crate::witness::Witness;
use crate::world::{Folder, PATIENCE, World, beside_others, brisk, standin_bot};

const STALL_MS: u64 = 100;
/// After so many frames.
const STALL_AT: usize = 30;
const FRAME_MS: u64 = 20;
/// What the far end may hold that it has not played: the run-ahead of an utterance's beginning.
const AHEAD_MS: u64 = LEAD_FRAMES as u64 * FRAME_MS;
const LINE: &str = "Hello, this is a line that is long enough for an event loop to stand still in its middle.";

/// Frames as they came.
struct Heard {
    frames: Vec<(Moment, Vec<i16>)>,
    /// How long the loop really stood still.
    stalled_ms: u64,
    /// How late the machine itself was meanwhile, at the worst.
    machine_ms: u64,
}

impl Heard {
    fn samples(&self) -> Vec<i16> {
        self.frames.iter().flat_map(|(_, samples)| samples.iter().copied()).collect()
    }

    /// Silence that a far end puts between these frames which plays each as soon as it can, in milliseconds.
    fn silence_ms(&self) -> u64 {
        self.played().map(|(silent, _)| silent.as_micros()).sum::<u128>() as u64 / 1_000
    }

    /// The most that waited there to be played, in milliseconds, among the first `frames`.
    fn most_ahead_ms(&self, frames: usize) -> u64 {
        self.played().take(frames).map(|(_, ahead)| ahead.as_millis() as u64).max().unwrap_or(0)
    }

    /// How long that far end was silent before each frame, and what it still had to play when the frame came.
    fn played(&self) -> impl Iterator<Item = (Duration, Duration)> {
        let mut free_at = self.frames.first().map_or(Moment::ZERO, |(first, _)| *first);
        self.frames.iter().map(move |(came, _)| {
            let between = (came.since(free_at), free_at.since(*came));
            free_at = free_at.max(*came).plus_ms(FRAME_MS);
            between
        })
    }
}

/// The stall alone makes no frame too late to be sent; a machine that has no time for the worker on top of it must not either.
fn patient(config: &mut Config) {
    assert!(config.websocket.late_ms >= STALL_MS + FRAME_MS, "{} ms", config.websocket.late_ms);
    config.websocket.late_ms = 10_000;
}

/// The opening of a call, heard to its end; the worker has one runtime thread, which stands still where `stall`.
fn opening(name: &str, stall: bool) -> Heard {
    let worker = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let caller = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = Folder::new(name);
    folder.bot("demo", &standin_bot("").replace("Hello.", LINE));
    let speech = standin::Config { speech_ms_per_char: 25, ..brisk() };
    let world = caller.block_on(worker.spawn(World::over(folder, patient, speech))).unwrap();
    let heard = caller.block_on(async {
        let mut client = connect(&world.ws("demo"), None, &ClientTls::Public, PATIENCE).await.unwrap();
        let wire = Dialler::new("st-stall");
        let named = [("callerId", "+91-stall"), ("callDirection", "incoming")];
        for text in [wire.connected(&named, &[]), wire.start("LINEAR", 8_000, false), wire.answer()] {
            client.send_text(text).await.unwrap();
        }
        let witness = Witness::begin(0);
        let mut heard = Heard { frames: Vec::new(), stalled_ms: 0, machine_ms: 0 };
        let mut standing = None;
        // The opening is over when nothing comes for longer than any stall.
        let quiet = Duration::from_millis(STALL_MS * 8);
        loop {
            let patience = if heard.frames.is_empty() { PATIENCE } else { quiet };
            let Some(Ok(Message::Text(text))) = rt::timeout(patience, client.next()).await else { break };
            let FromBot::Media(media) = Dialler::read(text.as_str()).unwrap() else { continue };
            assert_eq!(media.chunk, heard.frames.len() as u64 + 1, "chunks count on");
            let samples = media.payload.as_chunks::<2>().0.iter().map(|p| i16::from_le_bytes(*p)).collect();
            heard.frames.push((rt::now(), samples));
            if stall && heard.frames.len() == STALL_AT {
                standing = Some(worker.spawn(async {
                    let began = rt::now();
                    while rt::now().ms_since(began) < STALL_MS {
                        std::hint::spin_loop();
                    }
                    rt::now().ms_since(began)
                }));
            }
        }
        if let Some(standing) = standing {
            heard.stalled_ms = standing.await.unwrap();
        }
        client.close(1000, "", PATIENCE).await;
        heard.machine_ms = witness.worst_us().div_ceil(1_000);
        witness.end();
        heard
    });
    caller
        .block_on(worker.spawn(async move {
            world.quiet().await;
            world.stop().await;
        }))
        .unwrap();
    heard
}

#[test]
fn after_a_stall_of_the_event_loop_the_caller_has_heard_everything_once_and_in_order() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _turn = runtime.block_on(beside_others());
    let smooth = opening("smooth", false);
    let stalled = opening("stalled", true);
    assert!(smooth.samples().len() > 8_000 && stalled.stalled_ms >= STALL_MS, "{} ms", stalled.stalled_ms);
    assert!(stalled.samples() == smooth.samples(), "a sample was lost, doubled or came out of order");
    // The machine may add silence of its own, as it did without a stall; a frame may be split by the moment of the stall.
    let (smooth_ms, gap_ms) = (smooth.silence_ms(), stalled.silence_ms());
    let most_ms = stalled.stalled_ms + 2 * smooth_ms + 2 * FRAME_MS;
    assert!(
        gap_ms <= most_ms,
        "{gap_ms} ms of silence came into an utterance that stood still for {}",
        stalled.stalled_ms
    );
    // What waits at the far end is the run-ahead, and as much as the far end ran dry meanwhile: never the backlog on top of it. Where the
    // utterance's beginning came late, which the machine alone decides, that much more waits from then on.
    for (what, heard) in [("without a stall", &smooth), ("with a stall", &stalled)] {
        let began_ms = heard.most_ahead_ms(STALL_AT).max(AHEAD_MS);
        let most_ms = began_ms + heard.silence_ms() + 2 * heard.machine_ms;
        let ahead_ms = heard.most_ahead_ms(usize::MAX);
        assert!(ahead_ms <= most_ms, "{what}: {ahead_ms} ms wait at the far end, expected at most {most_ms}");
    }
}
