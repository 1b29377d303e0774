//! The demonstration call: a whole payment reminder by real speech, and what is left of it.

use std::path::Path;

use voicefleet::tools::caller::{CallOptions, Ended, Script, run};
use voicefleet::units::dbfs;

use crate::kept::Kept;
use crate::placed;
use crate::tally::show;
use crate::worker::{TRUNK_BOT, world};

/// 20 ms frames above −45 dBFS.
fn loud_frames(samples: &[i16]) -> usize {
    samples.chunks(160).filter(|frame| dbfs(frame) > -45.0).count()
}

#[test]
fn a_borrower_promises_to_pay_and_so_does_one_who_is_called() {
    let world = world();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/callers/payment-reminder.toml");
    let script = Script::parse(&std::fs::read_to_string(&path).unwrap(), "payment-reminder").unwrap();
    let report = world.run(1, async { run(world.call("payment-reminder", script)).await.unwrap() });
    show(&report.table());
    assert!(report.passed(), "{:?}\n{:?}", report.failures, report.transcript);
    assert!(report.turns.len() >= 4, "{} turns", report.turns.len());
    assert_eq!(report.ended, Ended::BotHungUp);
    let server = report.server.as_ref().unwrap();
    assert_eq!(server.disposition, "promise_to_pay");

    let kept = Kept::of(world, &server.call_id);
    assert_eq!(kept.result["session_id"], server.call_id.as_str());
    assert_eq!(kept.result["disconnected_by"], "bot");
    assert_eq!(kept.caller.len(), kept.bot.len());
    assert!(loud_frames(&kept.caller) > 100, "two seconds of the caller");
    assert!(loud_frames(&kept.bot) > 250, "five seconds of the bot");
    let results = std::fs::read_dir(&kept.folder)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("result"));
    assert_eq!(results.count(), 1, "one result");
    assert_eq!(kept.told("/note/ended").count(), 1, "one end");
    world.run(1, placed::the_same_by_dial(world, &kept));
}

/// A number that no other call of this world has.
const CARRIER_CALLER: &str = "+919876500055";

#[test]
fn a_borrower_who_calls_over_a_trunk_promises_to_pay() {
    let world = world();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/callers/payment-reminder.toml");
    let mut script = Script::parse(&std::fs::read_to_string(&path).unwrap(), "payment-reminder-trunk").unwrap();
    script.caller_id = Some(CARRIER_CALLER.to_owned());
    // Over a trunk the caller does not know the call's id: its result is found by the number, below.
    script.disposition = None;
    let url = format!("sip:+918000000002@{}", world.running.sip_address().unwrap());
    let call = CallOptions { url, result: None, ..world.call(TRUNK_BOT, script) };
    let (report, kept) =
        world.run(1, async { (run(call).await.unwrap(), Kept::of_caller(world, CARRIER_CALLER).await) });
    show(&report.table());
    assert!(report.passed(), "{:?}\n{:?}", report.failures, report.transcript);
    assert!(report.turns.len() >= 4, "{} turns", report.turns.len());
    assert_eq!(report.ended, Ended::BotHungUp);

    assert_eq!(kept.result["post_call_analysis"]["disposition"], "promise_to_pay");
    assert_eq!((&kept.result["disconnected_by"], &kept.result["end_reason"]), (&"bot".into(), &"completed".into()));
    assert_eq!(kept.result["sip"]["status"], 200);
    assert!(loud_frames(&kept.caller) > 100 && loud_frames(&kept.bot) > 250, "both are on the recording");
    let said = kept.result["transcript"].to_string();
    assert!(said.contains("Rahul"), "what the carrier's fields told was said: {said}");
}
