//! A process that records and journals calls is killed with SIGKILL at points of its own work; afterwards every call has one
//! result and a recording that plays. The victim is this test's own program, started again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use voicefleet::journal::{Entry, Fact, LegFact, LegMeta, LineFact, Note, Writer};
use voicefleet::record::{BLOCK_FRAMES, Config, Recorder};
use voicefleet::results::{DataClaim, DisconnectedBy, Links, Tokens, call_folder, read_result, recover};
use voicefleet::rt;
use voicefleet::units::{BotId, CallId, SampleRate};

const VICTIM: &str = "VOICEFLEET_TEST_VICTIM";

/// Kills of one run; `make soak` asks for 200.
const KILLS: &str = "VOICEFLEET_TEST_KILLS";

/// Samples of one tick of the victim's calls; ticks come as fast as they can.
const TICK: usize = 160;

/// Calls that the victim has open.
const CALLS: u64 = 4;

/// Not a test of its own: the body of the process that is killed. Does nothing when it is run as part of the suite.
///
/// Reads how many ticks must be on the disk before it goes on, and how many it makes in all.
#[test]
fn victim() {
    let Ok(dir) = std::env::var(VICTIM) else { return };
    let dir = Path::new(&dir);
    let mut plan = String::new();
    std::io::stdin().read_line(&mut plan).unwrap();
    let (sure, all) = plan.trim().split_once(' ').unwrap();
    let (sure, all): (u64, u64) = (sure.parse().unwrap(), all.parse().unwrap());
    let _claim = DataClaim::take(dir).unwrap();
    let (recorder, _thread) = Recorder::start(dir, &Config { max_bytes: 0, min_free_bytes: 0 }, 8).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut calls: Vec<_> = (0..CALLS).map(|n| runtime.block_on(call(&recorder, dir, n))).collect();
    for tick in 0..=all {
        if tick == sure {
            // Full blocks are written without anybody asking.
            while recorder.stats().bytes_written < sure_frames(sure) * 4 * CALLS {
                std::thread::yield_now();
            }
        }
        if tick == all {
            break;
        }
        for call in &mut calls {
            let sample = i16::try_from(tick % 30_000).unwrap() + 1;
            call.writer.push(&[sample; TICK], &[-sample; TICK]);
            let mut line = Vec::new();
            call.journal.line(
                rt::now(),
                Entry::Fact(Fact::Line(LineFact::SegmentHeard { utterance: tick as u32, segment: 0 })),
                &mut line,
            );
            call.log.append(&line);
        }
    }
    println!("\nall said");
    std::io::stdout().flush().unwrap();
    // Waits to be killed while the recorder thread is at work; the end of the input means that the parent is gone.
    std::io::stdin().read_line(&mut plan).unwrap();
}

/// Stereo samples of one call that are on the disk once its full blocks are.
fn sure_frames(ticks: u64) -> u64 {
    ticks * TICK as u64 / BLOCK_FRAMES as u64 * BLOCK_FRAMES as u64
}

struct Call {
    writer: voicefleet::record::BlockWriter,
    log: voicefleet::record::Log,
    journal: Writer,
}

async fn call(recorder: &Recorder, dir: &Path, n: u64) -> Call {
    let id = CallId::new(&format!("call-{n}"));
    let folder = call_folder(dir, &id).unwrap();
    let mut log = recorder.open_log(folder.join("journal")).unwrap();
    let mut lines = Vec::new();
    let journal = Writer::begin(&id, &BotId::new("bot"), "v1", rt::stamp(), rt::now(), &mut lines);
    let meta = LegMeta {
        caller_id: format!("+9100{n}"),
        did: String::new(),
        outgoing: false,
        custom: Default::default(),
        marks: false,
        ring_limit_ms: None,
        tells_transfers: false,
    };
    for entry in [
        Entry::Fact(Fact::Opened(meta)),
        Entry::Fact(Fact::Leg(LegFact::Answered)),
        Entry::Note(Note::Recording { rate_hz: 8_000 }),
    ] {
        journal.line(rt::now(), entry, &mut lines);
    }
    log.append(&lines);
    let (_, writer) = recorder.open(folder.join("recording.wav"), SampleRate::NARROW).unwrap();
    // Orders keep their order, so this waits for the recording's file as well.
    assert!(log.settle(Duration::from_secs(30)).await, "a call is accepted once its journal is there");
    Call { writer, log, journal }
}

/// Lets the victim work, and kills it when it has said everything.
fn kill_after(dir: &Path, sure: u64, all: u64) {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture", "--test-threads", "1"])
        .env(VICTIM, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = victim.stdin.take().unwrap();
    writeln!(input, "{sure} {all}").unwrap();
    let said =
        BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok).any(|line| line == "all said");
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(said, "the victim ended before it was killed");
}

#[test]
fn wherever_the_process_is_killed_every_call_plays_and_has_one_result() {
    let kills: u64 = std::env::var(KILLS).ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let links = Links::new(Tokens::new(&[1; 32]), "http://127.0.0.1:8080");
    for round in 0..kills {
        let dir = std::env::temp_dir().join(format!("voicefleet-kill-{}-{round}", std::process::id()));
        // Points spread over the start, the middle of a block and the hand-over between blocks; up to a second is in flight.
        let sure = round * 7_919 % 400;
        let all = sure + round * 31 % 50;
        kill_after(&dir, sure, all);
        let claim = DataClaim::take(&dir).expect("the kernel gave the claim back");
        let done = recover(&claim, &links);
        assert!(done.failed.is_empty(), "{done:?}");
        assert_eq!(done.recovered.len(), 4, "killed after {all} ticks: {done:?}");
        for n in 0..CALLS {
            check(&dir, n, sure, all);
        }
        let again = recover(&claim, &links);
        assert!(again.recovered.is_empty() && again.mended == 0, "{again:?}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

fn check(dir: &Path, n: u64, sure: u64, all: u64) {
    let folder = call_folder(dir, &CallId::new(&format!("call-{n}"))).unwrap();
    let result = read_result(&folder).unwrap();
    assert_eq!((result.disconnected_by, result.end_reason.as_str()), (DisconnectedBy::Error, "worker_crashed"));
    assert_eq!(*result.caller_id.reveal(), format!("+9100{n}"), "the journal's first lines were on the disk");
    let mut reader = hound::WavReader::open(folder.join("recording.wav")).unwrap();
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    for (at, pair) in samples.chunks_exact(2).enumerate() {
        let sample = i16::try_from(at / TICK % 30_000).unwrap() + 1;
        assert_eq!((pair[0], pair[1]), (sample, -sample), "sample {at} of call {n}");
    }
    let frames = samples.len() as u64 / 2;
    assert!(frames >= sure_frames(sure), "{frames} samples, {} were on the disk", sure_frames(sure));
    assert!(frames <= all * TICK as u64, "no sample is invented: {frames} after {all} ticks");
}
