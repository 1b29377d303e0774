//! Calls of sixteen minutes in virtual time, with turns throughout: nothing drifts, nothing grows without bound, each word is where it
//! was said, and the end comes once. What RTP's numbers do in that time is tested beside its leg, where they wrap.

use voicefleet::call::EndReason;
use voicefleet::turn::{History, Policy, Speaker, TranscriptLine};
use voicefleet::units::{Moment, TurnNo};

use crate::sim::{Act, Reply, Run, Script, When, run};

const CALL_MS: u64 = 16 * 60 * 1_000;
/// More of each than such a call has time for.
const TURNS: usize = 400;
/// The caller begins so long after the bot fell silent.
const PAUSE_MS: u64 = 600;

/// Caller and bot by turns, for as long as the call lasts.
fn conversation(policy: Policy) -> Script {
    let mut script = Script::parse("limit 1000s");
    script.policy = policy;
    let says = |n: usize| {
        let group = crate::sim::Group {
            pause_ms: 0,
            ms: 900 + (n as u64 * 37) % 800,
            words: format!("question {n} please"),
            judged: 0.9,
            sure: 1.0,
        };
        (When::AfterBot(PAUSE_MS), Act::Says(vec![group]))
    };
    script.acts = (0..TURNS).map(says).collect();
    let answer = |n: usize| Reply { text: format!("This is answer {n}, and it is not long."), ..Reply::default() };
    script.replies = (0..TURNS).map(answer).collect();
    script
}

/// What holds of every such call, whoever ends it.
fn check(run: &Run) {
    assert_eq!((run.finishes, run.orders_after_finish), (1, 0), "one end, and nothing behind it");
    assert_eq!(run.late_frames, 0);
    assert!(run.deepest <= 3, "{} frames ahead", run.deepest);
    let recorded_ms = run.recorded.0.len() as u64 / 8;
    assert_eq!(run.recorded.0.len(), run.recorded.1.len());
    // The line opens with the call and hears three ticks beyond its end.
    assert!(recorded_ms.abs_diff(run.ended_ms) <= 100, "{recorded_ms} ms recorded of {} ms", run.ended_ms);
    assert!(run.recorded.1.iter().eq(&run.heard), "the right channel is what the far end heard, to the last sample");

    assert!(run.waits.len() > 120, "{} turns", run.waits.len());
    let mean = |waits: &[u64]| waits.iter().sum::<u64>() / waits.len() as u64;
    let (first, last) = (mean(&run.waits[1..21]), mean(&run.waits[run.waits.len() - 20..]));
    assert!(first.abs_diff(last) <= 100, "the bot answers after {first} ms at first and {last} ms at last");

    let lines = run.call.turn().history().lines();
    assert!(lines.is_sorted_by_key(|line| line.began), "in the order of their beginning");
    let asked = lines.iter().filter(|line| line.speaker == Speaker::Customer).map(|line| line.text.clone());
    let asked: Vec<String> = asked.collect();
    let wanted: Vec<String> = (0..asked.len()).map(|n| format!("question {n} please")).collect();
    assert_eq!(asked, wanted, "every question once");
    assert!(asked.len().abs_diff(run.waits.len()) <= 3, "{} questions, {} answers", asked.len(), run.waits.len());
}

#[test]
fn a_call_of_sixteen_minutes_that_the_caller_ends() {
    let mut script = conversation(Policy { max_duration_ms: 2_000_000, ..Policy::default() });
    script.acts.push((When::At(CALL_MS), Act::HangsUp));
    let run = run(&script);
    check(&run);
    assert_eq!(run.cut_ins, 0);
    let lines = run.call.turn().history().lines();
    assert!(lines.windows(2).all(|two| two[0].ended <= two[1].began), "nobody spoke over anybody");
    let answers = lines.iter().filter(|line| line.speaker == Speaker::Bot).map(|line| (line.whole, line.text.as_str()));
    let answers: Vec<_> = answers.collect();
    // The hang-up may cut the last one.
    for (n, answer) in answers.iter().enumerate().take(answers.len() - 1) {
        assert_eq!(*answer, (true, format!("This is answer {n}, and it is not long.").as_str()));
    }
    assert_eq!(run.call.ending().map(|ending| ending.reason), Some(EndReason::CustomerHungUp));
    assert!((CALL_MS..CALL_MS + 5_000).contains(&run.ended_ms), "over at {} ms", run.ended_ms);
}

#[test]
fn a_call_of_sixteen_minutes_that_lasts_too_long() {
    let policy = Policy { max_duration_ms: CALL_MS as u32, warning_before_ms: 30_000, ..Policy::default() };
    let run = run(&conversation(policy));
    check(&run);
    // The warning comes at its minute, and may meet a caller who begins in the same moment.
    assert!(run.cut_ins <= 1, "{}", run.cut_ins);
    assert_eq!(run.log.iter().filter(|line| line.contains("time warning")).count(), 1, "warned once");
    assert_eq!(run.call.ending().map(|ending| ending.reason), Some(EndReason::MaxDuration));
    assert!((CALL_MS..CALL_MS + 15_000).contains(&run.ended_ms), "over at {} ms", run.ended_ms);
}

#[test]
fn a_transcript_keeps_the_newest_lines_of_a_call_that_is_longer_than_any() {
    let mut history = History::default();
    for n in 0..5_000_u32 {
        let began = Moment::from_millis(u64::from(n) * 100);
        history.push(TranscriptLine {
            speaker: if n % 2 == 0 { Speaker::Bot } else { Speaker::Customer },
            text: format!("line {n}"),
            began,
            ended: began.plus_ms(90),
            whole: true,
            turn: TurnNo(n / 2),
            serial: 0,
        });
    }
    let lines = history.lines();
    assert_eq!((lines.len(), history.items().len()), (2_000, 2_000));
    assert_eq!((lines[0].text.as_str(), lines[1_999].text.as_str()), ("line 3000", "line 4999"));
}
