//! Row 5 of the conformance list: the worker's event loop stands still for 100 ms in the middle of an utterance. What is asserted is
//! what the caller heard: every sample of it, once, in order, with no more silence in it than the loop stood still.

use std::time::Duration;

use tokio_tungstenite::tungstenite::Message;
use voicefleet::provider::standin;
use voicefleet::rt;
use voicefleet::transport::ws::{ClientTls, connect};
use voicefleet::units::Moment;
use voicefleet::wire::ws::native::{Dialler, FromBot};

use crate::world::{Folder, PATIENCE, World, beside_others, brisk, standin_bot};

const STALL_MS: u64 = 100;
const FRAME_MS: u64 = 20;
const LINE: &str = "Hello, this is a line that is long enough for an event loop to stand still in its middle.";

/// Frames as they came.
struct Heard {
    frames: Vec<(Moment, Vec<i16>)>,
    /// How long the loop really stood still.
    stalled_ms: u64,
}

impl Heard {
    fn samples(&self) -> Vec<i16> {
        self.frames.iter().flat_map(|(_, samples)| samples.iter().copied()).collect()
    }

    /// Silence that a far end puts between these frames which plays each as soon as it can, in milliseconds, and the most that
    /// waited there to be played.
    fn gaps(&self) -> (u64, u64) {
        let Some((first, _)) = self.frames.first() else { return (0, 0) };
        let (mut free_at, mut silence_us, mut ahead_us) = (*first, 0, 0);
        for (came, _) in &self.frames {
            silence_us += came.as_micros().saturating_sub(free_at.as_micros());
            ahead_us = ahead_us.max(free_at.as_micros().saturating_sub(came.as_micros()));
            free_at = free_at.max(*came).plus_ms(FRAME_MS);
        }
        (silence_us / 1_000, ahead_us / 1_000)
    }
}

/// The opening of a call, heard to its end; the worker has one runtime thread, which stands still where `stall`.
fn opening(name: &str, stall: bool) -> Heard {
    let worker = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let caller = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = Folder::new(name);
    folder.bot("demo", &standin_bot("").replace("Hello.", LINE));
    let speech = standin::Config { speech_ms_per_char: 25, ..brisk() };
    let world = caller.block_on(worker.spawn(World::over(folder, |_| {}, speech))).unwrap();
    let heard = caller.block_on(async {
        let mut client = connect(&world.ws("demo"), None, &ClientTls::Public, PATIENCE).await.unwrap();
        let wire = Dialler::new("st-stall");
        let named = [("callerId", "+91-stall"), ("callDirection", "incoming")];
        for text in [wire.connected(&named, &[]), wire.start("LINEAR", 8_000, false), wire.answer()] {
            client.send_text(text).await.unwrap();
        }
        let mut heard = Heard { frames: Vec::new(), stalled_ms: 0 };
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
            if stall && heard.frames.len() == 30 {
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
    let ((smooth_ms, _), (gap_ms, ahead_ms)) = (smooth.gaps(), stalled.gaps());
    let most_ms = stalled.stalled_ms + 2 * smooth_ms + 2 * FRAME_MS;
    assert!(
        gap_ms <= most_ms,
        "{gap_ms} ms of silence came into an utterance that stood still for {}",
        stalled.stalled_ms
    );
    assert!(
        ahead_ms <= stalled.stalled_ms + 4 * FRAME_MS,
        "{ahead_ms} ms wait at the far end: the backlog came at once"
    );
}
