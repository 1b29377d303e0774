//! The data folder has no room left for recordings: the call goes on as if nothing were the matter, and its result says so.

use crate::caller::{Caller, Plan};
use crate::world::{World, beside_others, brisk};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_the_call_goes_on_and_the_result_says_what_is_missing() {
    let _turn = beside_others().await;
    // Room for two or three blocks of one recording.
    let world = World::with("disk-full", |c| c.data.max_bytes = 100_000, brisk()).await;
    let memory = Caller::converse(&world.ws("demo"), Plan::new("+91-full")).await;
    let result = world.result_of("+91-full").await;
    assert_eq!(result.end_reason, "completed");
    assert!(memory.bot_hung_up() && memory.turns == 4, "{} turns", memory.turns);
    assert_eq!(result.transcript.len(), 9, "five lines of the bot and four of the caller: {:?}", result.transcript);
    let recording = result.recording.as_ref().expect("a report of the recording");
    assert_eq!(recording.incomplete.as_deref(), Some("disk_full"), "{recording:?}");
    assert!(recording.bytes <= 100_000, "the bound holds: {recording:?}");
    assert!(result.warnings.iter().any(|w| w.code == "recording_incomplete"), "{:?}", result.warnings);
    if recording.bytes > 0 {
        let wav = world.folder.data().join("calls").join(&result.session_id).join("recording.wav");
        let (left, _) = crate::tape::channels(&wav);
        assert_eq!(left.len() as u64 / 8, recording.duration_ms, "what is there plays");
    }
    world.quiet().await;
    world.stop().await;
}
