//! The demonstration call: a whole payment reminder by real speech, and what is left of it.

use std::path::Path;

use voicefleet::tools::caller::{Ended, Script, run};
use voicefleet::units::dbfs;

use crate::kept::Kept;
use crate::tally::show;
use crate::worker::world;

/// 20 ms frames above −45 dBFS.
fn loud_frames(samples: &[i16]) -> usize {
    samples.chunks(160).filter(|frame| dbfs(frame) > -45.0).count()
}

#[test]
fn a_borrower_promises_to_pay() {
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
}
