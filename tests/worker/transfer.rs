//! A script that hands the caller over, and a caller who wants no more calls: the last line is heard to its end before anything is
//! said about it, nothing follows, and the one result says what the call came to. Stand-in speech, the real dialogue engine.

use voicefleet::journal::{Entry, Order, Other};
use voicefleet::provider::standin;
use voicefleet::results::{CallResult, DisconnectedBy, Speaker};

use crate::caller::{Caller, Came, Memory, Plan};
use crate::world::{Folder, World, beside_others, brisk, standin_bot};

const QUESTION: &str = "Is now a good time to talk?";
const TRANSFER_LINE: &str = "Let me connect you with a colleague.";
/// The built-in end of a caller who wants no more calls.
const OPT_OUT_LINE: &str = "Understood, we won't call you again.";
const DESK: &str = "+911140001000";
/// What the far end has not played yet of what it was sent.
const BUFFER_MS: u64 = 400;
/// Longer than an answer of these stand-ins takes.
const ANSWER_MS: u64 = 1_500;

const SCRIPT: &str = r#"
[[script.step]]
id = "question"
say = ["Is now a good time to talk?"]
expect = { yes = "done", no = "done" }

[[script.end]]
id = "done"
say = ["Goodbye."]
disposition = "done"

[[script.end]]
id = "desk"
say = ["Let me connect you with a colleague."]
disposition = "handed_over"
action = { transfer = { to = "{{call.desk|nowhere}}" } }
"#;

/// A worker with a scripted bot, whose callers always say `line`.
async fn world(name: &str, line: &str) -> World {
    let folder = Folder::new(name);
    let bot = standin_bot("").replace("Hello.", QUESTION).replace("llm = \"standin\"", "llm = \"script\"");
    folder.bot("demo", &(bot + SCRIPT));
    let speech = standin::Config { caller_lines: vec![line.to_owned()], ..brisk() };
    World::over(folder, |_| {}, speech).await
}

fn plan(caller_id: &str) -> Plan {
    let fields = vec![("desk".to_owned(), DESK.to_owned())];
    Plan { turns: 1, played_ms: Some(BUFFER_MS), fields, ..Plan::new(caller_id) }
}

/// The whole of `line` was sent after the caller's turn and played by the far end before the stop; then came the stop, then what
/// `last` is, and nothing more.
fn heard_out(memory: &Memory, line: &str, last: impl Fn(&Came) -> bool) {
    let came: Vec<_> = memory.came.iter().filter(|(_, c)| !matches!(c, Came::Mark(_))).collect();
    let [.., (_, audio), (stop_ms, stop), (_, end)] = came[..] else { panic!("three at least: {came:?}") };
    assert!(matches!((audio, stop), (Came::Audio { .. }, Came::Stop)) && last(end), "{audio:?} {stop:?} {end:?}");
    assert_eq!(came.iter().filter(|(_, c)| !matches!(c, Came::Audio { .. })).count(), 2, "nothing else was said");
    let (_, spoken) = memory.spoke[0];
    let frames = came.iter().filter(|(at, c)| *at >= spoken && matches!(c, Came::Audio { .. })).count();
    let least = line.chars().count() * brisk().speech_ms_per_char as usize / 20;
    assert!(frames >= least, "{frames} frames of a line of {least}");
    assert!(!memory.played.is_empty() && memory.played.len() == memory.marks().len(), "{:?}", memory.played);
    assert!(memory.played.iter().all(|(at, _, played)| *played && at <= stop_ms), "{:?} {stop_ms}", memory.played);
}

/// The one result of this caller: how the call ended, what it came to, and the line that it ended with, which was heard.
async fn settled(world: &World, caller_id: &str, reason: &str, disposition: &str, line: &str) -> CallResult {
    let result = world.result_of(caller_id).await;
    let found = (result.disconnected_by, result.end_reason.as_str());
    assert_eq!(found, (DisconnectedBy::Bot, reason), "{caller_id}");
    let analysis = result.post_call_analysis.reveal();
    assert_eq!(analysis["disposition"], disposition, "{caller_id}: {analysis}");
    let last = result.transcript.iter().rfind(|said| said.speaker == Speaker::Bot).unwrap();
    assert!(last.heard && last.text.reveal().starts_with(line), "{caller_id}: {last:?}");
    assert_eq!(result.resources.llm_asks, 2, "{caller_id}: the question and its answer");
    result
}

/// Nothing of any call is left, and this many ended so.
async fn ended(world: World, reason: &str, calls: usize) {
    world.quiet().await;
    let counted = world.metric(&format!("voicefleet_calls_ended_total{{end_reason=\"{reason}\"}}")).await;
    assert!((counted - calls as f64).abs() < 0.5, "{counted} calls ended as {reason}");
    for call in world.folder.calls() {
        let names: Vec<_> = std::fs::read_dir(call).unwrap().flatten().map(|entry| entry.file_name()).collect();
        let results = names.iter().filter(|name| name.to_string_lossy().starts_with("result")).count();
        assert_eq!(results, 1, "{names:?}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_is_handed_over_after_the_last_line_and_hears_no_more() {
    let _turn = beside_others().await;
    let world = world("transfer", "Let me speak to a manager.").await;
    let taken = async {
        let mut caller = Caller::open(&world.ws("demo"), plan("+91-taken")).await.unwrap();
        assert!(caller.until(|m| m.transferred_to().is_some()).await, "{:?}", caller.memory);
        // The caller goes on to talk, to whoever takes the call: the bot hears it no more.
        caller.memory.turns = 0;
        let over = |m: &Memory, end: u64| m.late_us.len() as u64 * 20 > end.saturating_add(ANSWER_MS);
        let unanswered = |m: &Memory| m.spoke.get(1).is_some_and(|(_, end)| over(m, *end));
        assert!(caller.until(unanswered).await, "the far end has ten seconds to take the caller: {:?}", caller.memory);
        let text = caller.wire.hang_up("agent");
        assert!(caller.say(text).await);
        caller.finish().await
    };
    // This one never says that it took the caller.
    let untaken = Caller::converse(world.ws("demo"), plan("+91-untaken"));
    let (taken, untaken) = tokio::join!(taken, untaken);
    for (caller_id, memory) in [("+91-taken", taken), ("+91-untaken", untaken)] {
        heard_out(&memory, TRANSFER_LINE, |last| matches!(last, Came::Transfer(to) if to == DESK));
        assert_eq!(memory.closed, Some(1000), "{caller_id}");
        settled(&world, caller_id, "transferred", "handed_over", TRANSFER_LINE).await;
    }
    ended(world, "transferred", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_wants_no_more_calls_is_told_so_and_hung_up_on() {
    let _turn = beside_others().await;
    let world = world("opt-out", "Stop calling me.").await;
    let memory = Caller::converse(world.ws("demo"), plan("+91-out")).await;
    heard_out(&memory, OPT_OUT_LINE, |last| matches!(last, Came::HangUp));
    assert_eq!(memory.closed, Some(1000));
    let result = settled(&world, "+91-out", "opted_out", "opted_out", OPT_OUT_LINE).await;
    let path = world.folder.data().join("calls").join(&result.session_id).join("journal");
    let journal = voicefleet::journal::read(&std::fs::read(path).unwrap());
    let opted_out = |line: &&voicefleet::journal::Line| line.entry == Entry::Order(Order::Other(Other::OptOut));
    assert_eq!(journal.lines.iter().filter(opted_out).count(), 1, "the journal keeps the wish, once");
    // One who hangs up in the middle of the goodbye has said so all the same.
    let mut gone = Caller::open(&world.ws("demo"), plan("+91-gone")).await.unwrap();
    let goodbye = |m: &Memory| m.spoke.first().is_some_and(|(_, end)| m.came.last().is_some_and(|(at, _)| at > end));
    assert!(gone.until(goodbye).await);
    let text = gone.wire.hang_up("customer");
    assert!(gone.say(text).await);
    gone.finish().await;
    let result = world.result_of("+91-gone").await;
    assert_eq!((result.disconnected_by, result.end_reason.as_str()), (DisconnectedBy::Customer, "customer_hung_up"));
    assert_eq!(result.post_call_analysis.reveal()["disposition"], "opted_out");
    ended(world, "opted_out", 1).await;
}
