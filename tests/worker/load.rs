//! Small load runs whose reports are held against what was done: planted loss is seen as planted, every recording holds its own
//! caller, a swapped one is found, calls above the limit are refused while the others keep their frames, a generator that was late discards its step. Never a time.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use voicefleet::app::Calibration;
use voicefleet::results::{Direction, DisconnectedBy, read_result};
use voicefleet::tools::bench::{self, BenchArgs, PlanArgs, Report, Target, Verdict};

use crate::world::{World, beside_others, brisk};

#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    bench: BenchArgs,
}

fn plan(arguments: &[&str]) -> (Target, PlanArgs) {
    let all = ["bench"].iter().chain(arguments).chain(&["--warm-s", "0.2", "--ramp", "20"]);
    match Command::try_parse_from(all).unwrap_or_else(|error| panic!("{error}")).bench {
        BenchArgs::Sip { outbound: true, plan, spoil, .. } => (Target::Outbound(spoil.impairment()), plan),
        BenchArgs::Sip { sip, plan, spoil, .. } => (Target::Sip(sip, spoil.impairment()), plan),
        BenchArgs::Ws { url, outbound, plan } => (Target::ws(url.as_deref(), outbound).unwrap(), plan),
        other => panic!("no load: {other:?}"),
    }
}

/// A whole run with a worker process of its own. What a loaded machine does to the times is not judged here.
async fn run(arguments: &[&str]) -> Report {
    let (target, plan) = plan(arguments);
    let program = PathBuf::from(env!("CARGO_BIN_EXE_voicefleet"));
    tokio::task::spawn_blocking(move || bench::run(&target, &program, &plan)).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planted_loss_is_seen_as_planted_and_counts_agree() {
    let _turn = beside_others().await;
    let report = run(&["sip", "--steps", "6", "--step-s", "8", "--loss", "10", "--duplicate", "3"]).await;
    let planted = report.planted.unwrap();
    assert_eq!(planted.results, 6, "a result a call");
    assert!(planted.lost > 100 && planted.lost < planted.sent / 5, "{planted:?}");
    // Of the last packets of a call nobody can say that they are missing; those of its first moments may come before its line.
    let unseen = (planted.of_results - planted.lost + planted.doubled).abs_diff(planted.seen_received);
    assert!(unseen <= 6 * 4, "{planted:?}");
    // By RFC 3550 (6.4.1) a packet that comes twice makes up for one that does not.
    assert!((planted.lost - planted.doubled).abs_diff(planted.seen_lost) <= 6 * 4, "{planted:?}");
    let doubled = planted.doubled.abs_diff(planted.seen_doubled);
    assert!(doubled <= 6 * 2, "{planted:?}");
    // On the way back the callers count by the numbers of what came through.
    assert!(planted.back_lost > 100 && planted.back_lost < planted.back_sent / 5, "{planted:?}");
    assert!(planted.back_lost.abs_diff(planted.back_seen_lost) <= 6 * 4, "{planted:?}");
    assert!(planted.back_doubled.abs_diff(planted.back_seen_doubled) <= 6 * 2, "{planted:?}");
    let came = planted.back_sent - planted.back_lost;
    assert!(came.abs_diff(planted.back_seen_received) <= 6 * 4, "{planted:?}");
    let step = &report.steps[0];
    assert_eq!((step.up, step.traffic.failed, step.traffic.ended_by_worker), ((6, 6), 0, 0), "{step:?}");
    assert!(step.expected >= 6 * 8 * 50 - 60 && step.sent >= 6 * 8 * 50 - 60, "{step:?}");
    // What was spoiled on purpose is no fault of the worker.
    assert!(step.lost_percent < 1.0, "{step:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recording_holds_its_own_caller_and_limits_have_names() {
    let _turn = beside_others().await;
    let folder = std::env::temp_dir().join(format!("voicefleet-load-{}", std::process::id()));
    let dir = folder.to_string_lossy().into_owned();
    // Two of them are replaced before their first turn may be over; that of the others is over after 13 s at most.
    let report = run(&["sip", "--steps", "6", "--step-s", "14", "--churn", "0.2", "--dir", &dir]).await;
    let recordings = report.recordings.unwrap();
    assert!(recordings.sampled >= 3 && recordings.all_match(), "{recordings:?}");
    let step = &report.steps[0];
    assert!(step.bot_speech_percent > 10.0, "the bot spoke: {step:?}");
    assert!(step.worker.is_some_and(|cost| cost.resident_bytes > 0 && cost.open_files > 4));
    assert!(report.limits.iter().any(|limit| limit.name == "max_calls" && limit.calls == 4_000), "{:?}", report.limits);
    // Two recordings change places: both are found out, and whom they hold.
    let swapped = bench::swapped_pair(&folder.join("data")).unwrap();
    assert_eq!(swapped.swapped.len(), 2, "{swapped:?}");
    assert_eq!(swapped.sampled - swapped.matched, 2, "{swapped:?}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_loaded_with_calls_that_it_places_itself() {
    let _turn = beside_others().await;
    let folder = std::env::temp_dir().join(format!("voicefleet-load-out-{}", std::process::id()));
    let dir = folder.to_string_lossy().into_owned();
    let plan = ["sip", "--outbound", "--steps", "4", "--step-s", "14", "--churn", "0.2", "--loss", "2", "--dir", &dir];
    let report = run(&plan).await;
    let step = &report.steps[0];
    assert_eq!((step.up.1, step.traffic.failed, step.traffic.ended_by_worker), (4, 0, 0), "{step:?}");
    assert!(step.traffic.set_up >= 1 && step.traffic.hung_up >= 1, "one went and another came: {step:?}");
    assert!(step.bot_speech_percent > 5.0 && step.received > 4 * 14 * 45, "the worker speaks and is heard: {step:?}");
    let planted = report.planted.unwrap();
    assert!(planted.results >= 5 && planted.lost > 10, "{planted:?}");
    assert!(planted.lost.abs_diff(planted.seen_lost) <= 4 * planted.results as u64, "{planted:?}");
    for call in std::fs::read_dir(folder.join("data/calls")).unwrap().flatten() {
        let result = read_result(&call.path()).unwrap();
        assert_eq!((result.direction, result.disconnected_by), (Direction::Outbound, DisconnectedBy::Customer));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialler_places_calls_that_ring_first_and_the_bot_waits_for_the_answer() {
    let _turn = beside_others().await;
    let folder = std::env::temp_dir().join(format!("voicefleet-load-ws-out-{}", std::process::id()));
    let dir = folder.to_string_lossy().into_owned();
    let report = run(&["ws", "--outbound", "--steps", "3", "--step-s", "14", "--churn", "0.2", "--dir", &dir]).await;
    let step = &report.steps[0];
    let traffic = &step.traffic;
    assert_eq!((report.protocol, step.up.1), ("ws outbound", 3), "{step:?}");
    assert_eq!((traffic.failed, traffic.ended_by_worker, traffic.spoke_early), (0, 0, 0), "{step:?}");
    assert!(traffic.set_up >= 1, "one came and rang while it was measured: {step:?}");
    assert!(step.received > 50, "behind the answer the bot speaks: {step:?}");
    let recordings = report.recordings.unwrap();
    assert!(recordings.sampled > 0 && recordings.all_match(), "{recordings:?}");
    let mut calls = 0;
    for call in std::fs::read_dir(folder.join("data/calls")).unwrap().flatten() {
        let result = read_result(&call.path()).unwrap();
        assert_eq!((result.direction, result.disconnected_by), (Direction::Outbound, DisconnectedBy::Customer));
        calls += 1;
    }
    assert!(calls >= 4, "{calls}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_echoes_gives_the_way_there_and_back() {
    let _turn = beside_others().await;
    for protocol in ["sip", "ws"] {
        let report = run(&[protocol, "--steps", "3", "--step-s", "12", "--echo"]).await;
        let step = &report.steps[0];
        let echo = step.echo_ms.expect("it was asked for");
        // A frame is taken off the wire at the next tick and waits in the queue; what is late on a busy machine is not judged.
        assert!(echo.p50 > 5.0 && echo.max >= echo.p50, "{protocol}: {echo:?}");
        assert!(step.traffic.failed + step.traffic.ended_by_worker == 0 && step.received > 3 * 12 * 40, "{step:?}");
        let recordings = report.recordings.unwrap();
        assert!(recordings.sampled > 0 && recordings.all_match(), "{protocol}: {recordings:?}");
    }
    // Bounds that no call can keep are named with what was measured, unless the generator itself was no judge.
    let bounds = ["--gate-cpu-percent", "0", "--gate-memory-kib", "0", "--gate-pacing-ms", "0"];
    let silent = run(&[&["sip", "--steps", "1", "--step-s", "2"][..], &bounds].concat()).await;
    assert_eq!(silent.steps[0].echo_ms, None, "nobody asked");
    assert!(!silent.passed());
    if let Verdict::Failed(faults) = &silent.steps[0].verdict {
        for named in ["CPU of a call", "memory of a call", "pacing p99"] {
            let found = faults.iter().find(|fault| fault.starts_with(named)).unwrap_or_else(|| panic!("{faults:?}"));
            assert!(found.contains(" > 0 ") && !found.contains("not measured"), "{found}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_above_the_limit_are_refused_and_the_others_stay() {
    let _turn = beside_others().await;
    // Over WebSocket a bot that says nothing sends nothing: the step is long enough for each to have its turn.
    for (protocol, step_s) in [("sip", "4"), ("ws", "10")] {
        let report = run(&[protocol, "--steps", "6", "--step-s", step_s, "--max-calls", "4", "--overload"]).await;
        let step = &report.steps[0];
        assert_eq!(step.up, (4, 4), "{protocol}: {step:?}");
        assert!(
            step.traffic.refused > 0 && step.traffic.refused == step.traffic.with_retry_after,
            "{protocol}: {step:?}"
        );
        assert_eq!((step.traffic.failed, step.traffic.ended_by_worker), (0, 0), "{protocol}");
        if matches!(step.verdict, Verdict::Discarded(_)) {
            continue;
        }
        assert!(step.received > 0 && step.lost_percent <= 0.5, "{protocol}: the others keep their frames: {step:?}");
        if protocol == "sip" {
            assert!(step.received >= 4 * 4 * 50 * 199 / 200, "a packet of each call every 20 ms: {step:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_is_no_step_that_passes() {
    // A port that nobody listens on.
    let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let at: SocketAddr = gone.local_addr().unwrap();
    drop(gone);
    let report = run(&["sip", "--sip", &at.to_string(), "--steps", "2", "--step-s", "0.5"]).await;
    assert!(matches!(report.steps[0].verdict, Verdict::Failed(_)), "{:?}", report.steps[0].verdict);
    assert!(!report.passed() && report.knee == 0);
    let json = std::env::temp_dir().join(format!("voicefleet-load-gate-{}.json", std::process::id()));
    let command = std::process::Command::new(env!("CARGO_BIN_EXE_voicefleet"))
        .args(["bench", "sip", "--steps", "2", "--step-s", "0.5", "--warm-s", "0.1", "--gate-cpu-percent", "0.1"])
        .args(["--sip", &at.to_string(), "--json"])
        .arg(&json)
        .output()
        .unwrap();
    let said = String::from_utf8(command.stdout).unwrap();
    assert_eq!(command.status.code(), Some(1), "{said}");
    let named = said.lines().find(|line| line.starts_with("  2 calls: ")).unwrap_or_else(|| panic!("{said}"));
    assert!(named.contains("0 of 2 calls were up") && named.contains("CPU of a call was not measured"), "{named}");
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!((&report["outcome"]["is"], &report["asked"][0]), (&"failed".into(), &2.into()));
    assert!(report["outcome"]["why"][0].as_str().unwrap().starts_with("2 calls: "), "{report}");
    std::fs::remove_file(&json).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_capacity_is_kept_where_a_run_of_its_own_proved_it_and_not_otherwise() {
    let _turn = beside_others().await;
    let folder = std::env::temp_dir().join(format!("voicefleet-load-proof-{}", std::process::id()));
    let json = folder.join("report.json");
    std::fs::create_dir_all(&folder).unwrap();
    // A machine that is busy with something else is not judged by its gaps here, and may still spoil every step.
    let plan = ["--steps", "4", "--max-calls", "5", "--step-s", "1", "--warm-s", "0.2", "--ramp", "20"];
    let lenient = ["--gate-p99-ms", "900", "--gate-p999-ms", "990", "--gate-late-percent", "50"];
    let command = std::process::Command::new(env!("CARGO_BIN_EXE_voicefleet"))
        .args(["bench", "calibrate", "--data"])
        .arg(&folder)
        .args(plan.iter().chain(&lenient))
        .arg("--json")
        .arg(&json)
        .output()
        .unwrap();
    let said = String::from_utf8(command.stdout).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let proofs = report["proofs"].as_array().unwrap();
    if let Some(calls) = report["calls"].as_u64() {
        assert!(command.status.success(), "{said}");
        let kept = Calibration::read(&folder).unwrap();
        assert_eq!((u64::from(kept.calls), Some(u64::from(kept.knee))), (calls, report["knee"].as_u64()));
        assert_eq!(kept.calls, Calibration::nine_tenths(kept.knee));
        let last = proofs.last().unwrap();
        assert_eq!((last["calls"].as_u64(), &last["outcome"]["is"]), (Some(calls), &"passed".into()), "{report}");
        assert!(said.contains(&format!("capacity: {calls} calls a core, proved")), "{said}");
    } else {
        assert!(matches!(command.status.code(), Some(1 | 3)), "{said}");
        assert!(said.contains("capacity: NOT PROVED") && !folder.join("capacity.json").exists(), "{said}");
        assert!(proofs.iter().all(|proof| proof["outcome"]["is"] != "passed"), "{report}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_offers_what_was_measured_and_names_the_limit() {
    let folder = crate::world::Folder::new("measured");
    folder.bot("demo", &crate::world::standin_bot(""));
    Calibration::new(4, 3).write(&folder.data()).unwrap();
    let tune = |config: &mut voicefleet::config::Config| (config.media.max_calls, config.media.shards) = (9, 1);
    let world = World::over(folder, tune, brisk()).await;
    let health = world.get("/health/fleet").await.body;
    assert!(health.contains("\"fleet_max\":3") && health.contains("\"limit\":\"cpu\""), "{health}");
    world.stop().await;
}
