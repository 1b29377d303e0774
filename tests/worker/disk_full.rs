//! A data folder with no room left for recordings, and a disk that takes nothing at all: calls go on as if nothing were the matter,
//! results say what is missing, and a result that could not be written is written by the next start, once.

use std::path::Path;

use voicefleet::journal::{self, Entry, Note};
use voicefleet::results::{CallResult, DisconnectedBy, Speaker, read_result};

use crate::caller::{Caller, Memory, Plan};
use crate::crash::Program;
use crate::http::get;
use crate::tape::channels;
use crate::world::{Folder, PATIENCE, World, beside_others, brisk, standin_bot};

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
        let (left, _) = channels(&wav);
        assert_eq!(left.len() as u64 / 8, recording.duration_ms, "what is there plays");
    }
    world.quiet().await;
    world.stop().await;
}

/// The bot has begun to answer the `n`th turn of the caller.
fn answered(memory: &Memory, n: usize) -> bool {
    let over = |(_, end): &(u64, u64)| *end < u64::MAX && memory.came.last().is_some_and(|(at, _)| at > end);
    memory.spoke.get(n - 1).is_some_and(over)
}

/// Files that stand for a result, or for half of one.
fn results_in(call: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(call).unwrap().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|n| n.starts_with("result")).collect()
}

fn warned(result: &CallResult, code: &str) -> bool {
    result.warnings.iter().any(|warning| warning.code == code)
}

async fn live_calls(program: &Program, calls: usize) {
    let told = format!("\"fleet_calls\":{calls},");
    let waited = voicefleet::rt::timeout(PATIENCE, async {
        while !get(program.address, "/health/fleet").await.body.contains(&told) {
            voicefleet::rt::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_some(), "{told} is expected of a worker whose disk is full");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_disk_that_takes_nothing_calls_go_on_and_the_next_start_writes_what_is_owed() {
    let _turn = beside_others().await;
    let folder = Folder::new("disk-refuses");
    folder.bot("demo", &standin_bot(""));
    let program = Program::on_a_disk_that_fills_up(&folder);
    let url = format!("ws://{}/ws/demo", program.address);
    let mut owed = Caller::open(&url, Plan { turns: 2, ..Plan::new("+91-owed") }).await.unwrap();
    let mut whole = Caller::open(&url, Plan { turns: 3, ..Plan::new("+91-whole") }).await.unwrap();
    let (one, two) = tokio::join!(owed.until(|m| answered(m, 1)), whole.until(|m| answered(m, 1)));
    assert!(one && two, "both calls are up");
    // What is in a file can be written over, as on most disks that are full; nothing grows, and a new file ends in its beginning.
    program.files_of_at_most(Some(64));
    let (one, two) = tokio::join!(owed.until(|m| answered(m, 2)), whole.until(|m| answered(m, 2)));
    assert!(one && two, "both go on without a disk");
    let end = owed.wire.hang_up("customer");
    assert!(owed.say(end).await);
    let over = async {
        assert_eq!(owed.finish().await.closed, Some(1000));
        live_calls(&program, 1).await;
    };
    let second_more = whole.memory.late_us.len() + 50;
    let ((), up) = tokio::join!(over, whole.until(move |m| m.late_us.len() > second_more));
    assert!(up, "the other call is not touched");
    assert!(folder.calls().iter().all(|call| results_in(call).is_empty()), "no result, and no half of one");

    // There is room again: the call that is still up is heard on, and gets its own result at its end.
    program.files_of_at_most(None);
    assert!(whole.until(|m| answered(m, 3)).await);
    let end = whole.wire.hang_up("customer");
    assert!(whole.say(end).await);
    whole.finish().await;
    live_calls(&program, 0).await;
    let results = folder.results();
    let [result] = &results[..] else { panic!("one result: {results:?}") };
    assert_eq!((result.caller_id.reveal().as_str(), result.end_reason.as_str()), ("+91-whole", "customer_hung_up"));
    assert_eq!(result.transcript.iter().filter(|line| line.speaker == Speaker::Customer).count(), 3, "{result:?}");
    assert!(warned(result, "recording_incomplete") && warned(result, "journal_incomplete"), "{:?}", result.warnings);
    let call = folder.data().join("calls").join(&result.session_id);
    let kept = journal::read(&std::fs::read(call.join("journal")).unwrap());
    assert!(kept.header.is_some() && !kept.torn && kept.unread.len() <= 1, "{:?}", kept.unread);
    assert!(matches!(&kept.lines.last().unwrap().entry, Entry::Note(Note::Ended { .. })), "what came later is there");
    let (left, _) = channels(&call.join("recording.wav"));
    let recording = result.recording.as_ref().unwrap();
    assert_eq!(recording.incomplete.as_deref(), Some("io_error"), "{recording:?}");
    assert_eq!(left.len() as u64 / 8, recording.duration_ms, "what is there plays");

    let log = program.drained().await;
    assert_eq!(log.matches("the result was not written").count(), 1, "{log}");
    let first = restarted(&folder);
    assert_eq!(first.len(), 2, "the result that was owed is there");
    assert_eq!(restarted(&folder), first, "it is written once, and the other is left as it is");
    let results = folder.results();
    let owed = results.iter().find(|result| result.caller_id.reveal() == "+91-owed").unwrap();
    // The disk took no word of how it ended either.
    assert_eq!((owed.disconnected_by, owed.end_reason.as_str()), (DisconnectedBy::Error, "worker_crashed"));
    assert!(owed.transcript.iter().any(|line| line.speaker == Speaker::Bot && line.heard), "{:?}", owed.transcript);
    channels(&folder.data().join("calls").join(&owed.session_id).join("recording.wav"));
}

/// The bytes of every result, in the order of the calls, after a start and an end of the program.
fn restarted(folder: &Folder) -> Vec<Vec<u8>> {
    Program::start(folder).kill();
    let mut calls = folder.calls();
    calls.sort();
    assert!(calls.iter().all(|call| results_in(call).len() <= 1), "one result a call");
    calls.iter().filter_map(|call| std::fs::read(call.join("result.json")).ok()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_whose_place_is_taken_is_written_by_the_next_start_as_the_call_ended() {
    let _turn = beside_others().await;
    let folder = Folder::new("result-place");
    folder.bot("demo", &standin_bot(""));
    let program = Program::start(&folder);
    let url = format!("ws://{}/ws/demo", program.address);
    let mut caller = Caller::open(&url, Plan { turns: 1, ..Plan::new("+91-place") }).await.unwrap();
    assert!(caller.until(|m| answered(m, 1)).await);
    let calls = folder.calls();
    let [call] = &calls[..] else { panic!("one call: {calls:?}") };
    std::fs::create_dir(call.join("result.json")).unwrap();
    let end = caller.wire.hang_up("customer");
    assert!(caller.say(end).await);
    assert_eq!(caller.finish().await.closed, Some(1000), "the call ends as any other");
    live_calls(&program, 0).await;
    let log = program.drained().await;
    assert!(log.contains("the result was not written") && log.contains("a restart writes its result"), "{log}");
    assert!(!log.contains("a call may end only once"), "a folder is no result: {log}");
    assert_eq!(results_in(call), ["result.json"], "nothing half-written is beside it");
    std::fs::remove_dir(call.join("result.json")).unwrap();

    let written = restarted(&folder);
    assert_eq!(written.len(), 1);
    assert_eq!(restarted(&folder), written, "once");
    let result = read_result(call).unwrap();
    assert_eq!((result.disconnected_by, result.end_reason.as_str()), (DisconnectedBy::Customer, "customer_hung_up"));
    assert_eq!(result.transcript.iter().filter(|line| line.speaker == Speaker::Customer).count(), 1, "{result:?}");
    let recording = result.recording.as_ref().unwrap();
    assert!(recording.incomplete.is_none() && recording.duration_ms > 1_000, "{recording:?}");
    assert_eq!(result.post_call_analysis.reveal()["disposition"], "standin");
}
