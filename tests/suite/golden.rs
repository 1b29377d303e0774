//! Golden call scripts: `fixtures/calls/*.call` in, `*.log` out. `UPDATE_GOLDEN=1` writes the logs anew; the difference is then
//! for a reader.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use voicefleet::call::{CallState, EndReason};
use voicefleet::turn::TurnState;

use crate::sim::{Script, run};

/// Where the scripts are.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/calls")
}

/// The end reason in a log.
fn ending(log: &[String]) -> Option<String> {
    let reason = |line: &String| Some(line.split_once(" end ")?.1.split_once(" by ")?.0.to_owned());
    log.iter().find_map(reason)
}

#[test]
fn every_script_goes_as_it_went() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut faults = Vec::new();
    let mut count = 0;
    let mut endings = BTreeSet::new();
    let (mut states, mut turn_states) = (BTreeSet::new(), BTreeSet::new());
    let mut scripts: Vec<PathBuf> = fs::read_dir(folder())
        .expect("fixtures/calls")
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "call"))
        .collect();
    scripts.sort();
    for path in scripts {
        count += 1;
        let script = Script::parse(&fs::read_to_string(&path).expect("a script"));
        let Ok(result) = std::panic::catch_unwind(|| run(&script)) else {
            faults.push(format!("{}: the call broke a rule, see above", path.display()));
            continue;
        };
        assert_eq!(result.finishes, 1, "{}: every call ends exactly once", path.display());
        assert_eq!(result.orders_after_finish, 0, "{}: nothing follows the last order", path.display());
        assert!(result.deepest <= 3, "{}: at most three frames ahead", path.display());
        endings.extend(ending(&result.log));
        states.extend(result.states.0.clone());
        turn_states.extend(result.states.1.clone());
        let log = result.log.join("\n") + "\n";
        let golden = path.with_extension("log");
        if update {
            fs::write(&golden, &log).expect("the golden log");
        } else {
            let expected = fs::read_to_string(&golden).unwrap_or_default();
            if expected != log {
                let line = expected.lines().zip(log.lines()).position(|(a, b)| a != b);
                let line = line.unwrap_or_else(|| expected.lines().count().min(log.lines().count()));
                faults.push(format!(
                    "{}: line {}: expected `{}`, came `{}`",
                    path.file_name().unwrap_or_default().to_string_lossy(),
                    line + 1,
                    expected.lines().nth(line).unwrap_or("nothing"),
                    log.lines().nth(line).unwrap_or("nothing"),
                ));
            }
        }
    }
    for log in fs::read_dir(folder()).expect("fixtures/calls").flatten().map(|e| e.path()) {
        assert!(log.with_extension("call").is_file(), "{}: a log without a script", log.display());
    }
    for reason in EndReason::ALL.into_iter().filter(|r| *r != EndReason::WorkerCrashed) {
        assert!(endings.contains(reason.code()), "no script ends by {}", reason.code());
    }
    let unseen: Vec<CallState> = CallState::ALL.into_iter().filter(|s| !states.contains(s)).collect();
    assert!(unseen.is_empty(), "no script brings a call to {unseen:?}");
    let unseen: Vec<TurnState> = TurnState::ALL.into_iter().filter(|s| !turn_states.contains(s)).collect();
    assert!(unseen.is_empty(), "no script brings the turn loop to {unseen:?}");
    assert!(count >= 60, "at least 60 scripts, one per state and end reason; found {count}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
