//! Many calls at once, twice: how evenly the bot's frames leave beside how evenly the callers' own do, what a second round costs
//! in memory, and that every call keeps its own audio, its own result and nothing else.

use std::collections::BTreeSet;

use voicefleet::results::CallResult;
use voicefleet::telemetry::ProcessSample;

use crate::caller::{Caller, Memory, Plan, p99};
use crate::tape::{assert_own_voice, channels, is_audible};
use crate::world::{Folder, World, alone, brisk, standin_bot};

const CALLS: usize = 20;
/// The bar of a frame's lateness at the far edge of a percentile, on a machine that keeps its own time as well.
const PACING_BAR_US: u64 = 5_000;
/// Where the machine itself is late, the worker may be so many times as late as the callers beside it.
const LATE_BESIDE: u64 = 4;

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
fn settled_memory() -> u64 {
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

/// The pacing of both rounds by the worker's own histogram beside the callers' lateness.
#[expect(clippy::print_stdout, reason = "figures for whoever reads the test's output")]
fn check_pacing(world: &World, what: &str, late_p99_us: u64, results: &[CallResult]) {
    let pacing = world.app().metrics().pacing_error.clone();
    let p99_us = pacing.quantile_us(0.99).unwrap_or(u64::MAX);
    let worst_call = results.iter().map(|r| r.media.pacing_p99_us).max().unwrap_or(0);
    let ticks = world.app().metrics().tick_lateness.quantile_us(0.99).unwrap_or(u64::MAX);
    println!(
        "{what}: {} bot frames, pacing error p99 <= {p99_us} us (worst call <= {worst_call} us), ticks late p99 <= {ticks} us; \
         the callers' own frames late p99 {late_p99_us} us",
        pacing.count()
    );
    assert!(pacing.count() > 500, "{what}: frames were counted");
    if late_p99_us < PACING_BAR_US {
        assert!(p99_us <= PACING_BAR_US, "{what}: frames leave late while the callers keep time");
    } else {
        println!(
            "{what}: the machine was late itself; the worker is held to {LATE_BESIDE} times the callers' lateness"
        );
        assert!(p99_us <= late_p99_us.saturating_mul(LATE_BESIDE), "{what}: late beyond the machine's own lateness");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_calls_at_once_keep_time_and_leave_nothing_behind() {
    let _alone = alone().await;
    let world = World::new("density").await;
    let first = round(&world, 1, CALLS, "demo", 99).await;
    let second = round(&world, 2, CALLS, "demo", 99).await;
    check_pacing(&world, "20 calls, twice", first.late_p99_us.max(second.late_p99_us), &world.folder.results());
    let growth = second.resident as f64 / first.resident as f64 - 1.0;
    println!(
        "memory after round 1: {} KiB, after round 2: {} KiB ({:+.2} %)",
        first.resident / 1024,
        second.resident / 1024,
        growth * 100.0
    );
    assert!(growth <= 0.05, "a second identical round costs memory: {:.2} %", growth * 100.0);
    let page = world.get("/metrics").await.body;
    for gauge in voicefleet::telemetry::ZERO_AFTER_DRAIN {
        assert!(page.lines().any(|line| line == format!("{gauge} 0")), "{gauge} is zero on the metrics page");
    }
    assert_eq!(world.metric("voicefleet_calls_ended_total{end_reason=\"completed\"}").await, 2.0 * CALLS as f64);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_calls_at_once_with_local_speech() {
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
    let first = round(&world, 1, 4, "spoken", 99).await;
    let results = world.folder.results();
    for result in &results {
        let said = result.transcript.iter().filter(|l| l.speaker == voicefleet::results::Speaker::Customer).count();
        assert!(said >= 2, "two turns were recognised: {:?}", result.transcript);
    }
    check_pacing(&world, "4 calls with local speech", first.late_p99_us, &results);
    world.stop().await;
}
