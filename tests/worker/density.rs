//! Many calls at once, twice: how evenly the bot's frames leave beside how evenly the callers' own do, what a second round costs
//! in memory, and that every call keeps its own audio, its own result and nothing else.

use std::collections::BTreeSet;

use voicefleet::results::CallResult;
use voicefleet::telemetry::ProcessSample;

use crate::caller::{Caller, Memory, Plan, p99};
use crate::tape::{assert_own_voice, channels, is_audible};
use crate::witness::{Count, Witness};
use crate::world::{Folder, World, alone, brisk, standin_bot};

const CALLS: usize = 20;
/// Calls with local speech.
const SPOKEN_CALLS: usize = 4;
/// A frame or a tick that is later than this is late.
const PACING_BAR_US: u64 = 5_000;
/// So many of them may be: the 99th of 100 keeps the bar.
const LATE_SHARE: f64 = 0.01;
/// A bot's frame waits for the processor four times on its way (media thread, pump, session, runtime), and behind the frames of
/// other calls each time; the witness's byte waits twice, behind nobody. So on a machine that is short of processor a frame is late
/// more often by a small factor, and on a quiet one by nothing.
const WAYS: f64 = 4.0;
/// What a second identical round may cost in memory.
const GROWTH: f64 = 0.05;

struct Round {
    late_p99_us: u64,
    resident: u64,
}

async fn round(world: &World, number: usize, calls: usize, bot: &str, turns: usize) -> Round {
    let url = world.ws(bot);
    let callers: Vec<_> = (0..calls)
        .map(|n| {
            let id = format!("round-{number}-caller-{n:02}");
            let plan = Plan { tone: n, turns, ..Plan::new(&id) };
            let url = url.clone();
            voicefleet::rt::spawn("caller", async move { Caller::converse(&url, plan).await })
        })
        .collect();
    let mut memories = Vec::new();
    for caller in callers {
        memories.push(caller.await.unwrap().unwrap_or_else(|stopped| panic!("{stopped:?}")));
    }
    world.quiet().await;
    check_calls(world, number, calls, &memories);
    let mut late: Vec<u64> = memories.iter().flat_map(|m| m.late_us.iter().copied()).collect();
    drop(memories);
    let late_p99_us = p99(&mut late);
    drop(late);
    Round { late_p99_us, resident: settled_memory() }
}

/// Memory after the allocator gave back what nobody holds.
pub fn settled_memory() -> u64 {
    #[expect(unsafe_code, reason = "the allocator keeps what was freed until it is asked")]
    // SAFETY: gives free memory back to the system; touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
    ProcessSample::read().resident_bytes
}

fn check_calls(world: &World, number: usize, calls: usize, memories: &[Memory]) {
    let of_round = format!("round-{number}-");
    let results: Vec<CallResult> =
        world.folder.results().into_iter().filter(|r| r.caller_id.reveal().starts_with(&of_round)).collect();
    assert_eq!(results.len(), calls, "one result a call");
    let ids: BTreeSet<&str> = results.iter().map(|r| r.session_id.as_str()).collect();
    assert_eq!(ids.len(), calls, "each with an id of its own");
    for (n, (result, memory)) in results.iter().zip(memories).enumerate() {
        let what = format!("caller {n} of round {number}");
        assert_eq!(Some(&result.session_id), memory.call_id.as_ref(), "{what}: its own call");
        assert_eq!(result.end_reason, "completed", "{what}: {:?}", result.warnings);
        assert!(memory.bot_hung_up() && memory.turns >= 2, "{what}: {} turns", memory.turns);
        let chunks = memory.chunks();
        assert!(chunks.iter().zip(1..).all(|(&came, wanted)| came == wanted), "{what}: chunks count on");
        let folder = world.folder.data().join("calls").join(&result.session_id);
        let (left, right) = channels(&folder.join("recording.wav"));
        assert_own_voice(&left, n, calls, &what);
        assert!(is_audible(&right), "{what}: the bot is on its recording");
        let report = result.recording.as_ref().unwrap();
        assert_eq!((report.lost_ms, report.incomplete.as_deref()), (0, None), "{what}");
    }
}

/// How many observations of a histogram on the metrics page lie above the bar, and how many there are.
async fn above_the_bar(world: &World, family: &str) -> Count {
    let all = world.metric(&format!("{family}_count")).await as u64;
    let kept = world.metric(&format!("{family}_bucket{{le=\"0.005\"}}")).await as u64;
    Count { late: all - kept, all }
}

/// The worker's pacing over all rounds, on this machine as it is: at most one in a hundred of its ticks (the media thread's own
/// lateness) and of its frames (from the tick that meant them to the socket's write) comes more than 5 ms late, and beside that at
/// most [`WAYS`] times as many as the machine makes late of its own. What the machine does is counted by the witness, which goes the same way on
/// threads of its own. So a worker that is slow, that blocks its runtime or loses its clock fails on a quiet and on a loaded machine
/// alike (the callers' frames are no yardstick: they share the worker's runtime and would be late with it; their figure is shown
/// beside), and a machine that is loaded by somebody else fails nobody. Counts, never spans of time.
#[expect(clippy::print_stdout, reason = "figures for whoever reads the test's output")]
async fn check_pacing(world: &World, what: &str, callers_p99_us: u64, machine: Count) {
    let frames = above_the_bar(world, "voicefleet_pacing_error_seconds").await;
    let ticks = above_the_bar(world, "voicefleet_tick_lateness_seconds").await;
    let p99 = |histogram: &voicefleet::telemetry::Histogram| {
        histogram.quantile_us(0.99).map_or_else(|| "above all buckets".to_owned(), |us| format!("<= {us} us"))
    };
    let metrics = world.app().metrics();
    println!(
        "{what}: pacing error p99 {} over {} bot frames ({} above 5 ms), ticks late p99 {} over {} ({} above 5 ms); beside it the \
         callers' own frames late p99 {callers_p99_us} us, and the machine late by more than 5 ms {} of {} times",
        p99(&metrics.pacing_error),
        frames.all,
        frames.late,
        p99(&metrics.tick_lateness),
        ticks.all,
        ticks.late,
        machine.late,
        machine.all
    );
    assert!(frames.all > 500 && ticks.all > frames.all && machine.all > 500, "{what}: everything was counted");
    let most = LATE_SHARE + WAYS * machine.share();
    for (of, count) in [("frames", frames), ("ticks", ticks)] {
        let share = count.share();
        assert!(share <= most, "{what}: {:.2} % of the {of} are late, {:.2} % may be", share * 100.0, most * 100.0);
    }
}

/// Two identical rounds: pacing, what the second costs in memory, and nothing left of any call.
#[expect(clippy::print_stdout, reason = "figures for whoever reads the test's output")]
async fn twice(world: &World, what: &str, calls: usize, bot: &str) {
    let witness = Witness::begin(PACING_BAR_US);
    let first = round(world, 1, calls, bot, 99).await;
    let second = round(world, 2, calls, bot, 99).await;
    check_pacing(world, what, first.late_p99_us.max(second.late_p99_us), witness.end()).await;
    let growth = second.resident as f64 / first.resident as f64 - 1.0;
    let (before, after) = (first.resident / 1024, second.resident / 1024);
    println!("{what}: memory after round 1: {before} KiB, after round 2: {after} KiB ({:+.2} %)", growth * 100.0);
    assert!(growth <= GROWTH, "{what}: a second identical round costs memory: {:.2} %", growth * 100.0);
    let page = world.get("/metrics").await.body;
    for gauge in voicefleet::telemetry::ZERO_AFTER_DRAIN {
        assert!(page.lines().any(|line| line == format!("{gauge} 0")), "{gauge} is zero on the metrics page");
    }
    let completed = world.metric("voicefleet_calls_ended_total{end_reason=\"completed\"}").await;
    assert!((completed - 2.0 * calls as f64).abs() < 0.1, "{what}: {completed} calls were completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_calls_at_once_keep_time_and_leave_nothing_behind() {
    let _alone = alone().await;
    let world = World::new("density").await;
    twice(&world, "20 calls, twice", CALLS, "demo").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_calls_at_once_with_local_speech_keep_time_and_leave_nothing_behind() {
    let _alone = alone().await;
    let folder = Folder::new("local");
    let local = standin_bot("")
        .replace("stt = \"standin\"", "stt = \"local\"")
        .replace("tts = \"standin\"", "tts = \"local\"")
        .replace("judge = \"standin\"", "judge = \"local\"");
    folder.bot("spoken", &local);
    let speech = voicefleet::provider::standin::Config {
        bot_lines: ["Hello, who is calling?", "Which day suits you better?"].map(str::to_owned).to_vec(),
        ..brisk()
    };
    let world = World::over(folder, |c| c.models.dir = std::path::PathBuf::new(), speech).await;
    twice(&world, "4 calls with local speech, twice", SPOKEN_CALLS, "spoken").await;
    for result in &world.folder.results() {
        let said = result.transcript.iter().filter(|l| l.speaker == voicefleet::results::Speaker::Customer).count();
        assert!(said >= 2, "two turns were recognised: {:?}", result.transcript);
    }
    world.stop().await;
}
