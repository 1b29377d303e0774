//! Properties of the dialogue: it ends whatever is said, wears no sentence out, takes back what nobody heard, and its
//! session speaks in facts.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::dialogue_tests::{ask, engine, plan, values};
use super::*;
use crate::bot::script::Script;
use crate::provider::script::ScriptLlm;
use crate::provider::{DialogueContext, Llm as _, LlmSession};
use crate::turn::Heard;

const BOTS: [&str; 2] = ["payment-reminder", "appointment-desk"];

fn said(pieces: &[Piece]) -> Vec<&str> {
    pieces
        .iter()
        .filter_map(|piece| if let Piece::Say { text, .. } = piece { Some(text.as_str()) } else { None })
        .collect()
}

fn ends(pieces: &[Piece]) -> bool {
    pieces.iter().any(|piece| matches!(piece, Piece::Tool(ToolCall::EndCall { .. } | ToolCall::Transfer { .. })))
}

/// Speaks until the bot ends; every answer is heard. Returns how many requests that took.
fn until_the_end(
    engine: &mut Engine,
    mut next: impl FnMut(u32) -> AskCause,
    said_often: &mut BTreeMap<String, u8>,
) -> Option<u32> {
    for number in 0..200_u32 {
        let cause = if number == 0 { AskCause::Opening } else { next(number) };
        let pieces = engine.answer(&ask(number, number.checked_sub(1), cause));
        assert!(!pieces.is_empty(), "an answer says or does something");
        for text in said(&pieces) {
            for sentence in text.split_inclusive(['.', '?', '!']).map(|s| s.trim().to_lowercase()) {
                *said_often.entry(sentence).or_default() += 1;
            }
        }
        if ends(&pieces) {
            return Some(number);
        }
    }
    None
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "yes", "no", "not", "pay", "paid", "friday", "fifty", "fifteen", "thousand", "book", "cancel", "move",
            "the", "day", "time", "name", "is", "I", "can", "can't", "tomorrow", "5", "1500", "wait", "again", "what",
            "hello", "l", "n", "double", "repeat", "who", "are", "you", "sorry", "later", "loan", "some", "time,",
            "hold", "on", "how", "much",
        ])
        .prop_map(str::to_owned),
        "[a-z]{1,8}",
        "\\PC{1,6}",
    ]
}

fn cause() -> impl Strategy<Value = AskCause> {
    let text = prop::collection::vec(word(), 0..8).prop_map(|words| words.join(" "));
    prop_oneof![
        12 => text.prop_map(AskCause::Caller),
        1 => "[0-9*#]{0,12}".prop_map(AskCause::Digits),
        1 => Just(AskCause::Unclear),
        1 => (1..3_u8).prop_map(AskCause::Idle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is said, within the script's bound the call is over and no sentence was said more than twice.
    #[test]
    fn every_dialogue_ends_and_wears_no_sentence_out(causes in prop::collection::vec(cause(), 1..30), bot in 0..2_usize) {
        let plan = plan(BOTS[bot]);
        let mut often = BTreeMap::new();
        let asks = until_the_end(&mut engine(&plan), |n| causes[n as usize % causes.len()].clone(), &mut often);
        prop_assert!(asks.is_some_and(|asks| asks <= u32::from(plan.max_turns)), "{asks:?}");
        let worn: Vec<_> = often.iter().filter(|(_, count)| **count > 2).collect();
        prop_assert!(worn.is_empty(), "{worn:?}");
    }

    /// Nonsense alone is over after a few turns.
    #[test]
    fn nonsense_never_loops(seed in "[bcdfghjklmpqrstvwxz]{6,9} [bcdfghjklmpqrstvwxz]{6,9}", bot in 0..2_usize) {
        let mut often = BTreeMap::new();
        let asks = until_the_end(&mut engine(&plan(BOTS[bot])), |_| AskCause::Caller(seed.clone()), &mut often);
        prop_assert!(asks.is_some_and(|asks| asks <= 12), "{asks:?}");
    }

    /// An answer that nobody heard leaves no trace: the same question gets the same answer and the same outcome.
    #[test]
    fn an_abandoned_answer_never_happened(first in cause(), second in cause(), bot in 0..2_usize) {
        let plan = plan(BOTS[bot]);
        let (mut with, mut without) = (engine(&plan), engine(&plan));
        for engine in [&mut with, &mut without] {
            engine.answer(&ask(0, None, AskCause::Opening));
            engine.answer(&ask(1, Some(0), AskCause::Caller("yes".to_owned())));
        }
        with.answer(&ask(2, Some(1), first));
        let (a, b) = (with.answer(&ask(3, Some(1), second.clone())), without.answer(&ask(3, Some(1), second)));
        prop_assert_eq!(a, b);
        prop_assert_eq!(with.outcome(), without.outcome());
    }
}

#[test]
fn an_opening_nobody_heard_is_said_again() {
    let mut engine = engine(&plan(BOTS[0]));
    let first = engine.answer(&ask(0, None, AskCause::Opening));
    let again = engine.answer(&ask(1, None, AskCause::Caller("hello".to_owned())));
    assert_eq!(first, again);
}

#[test]
fn a_long_run_of_abandoned_answers_stays_bounded() {
    let mut engine = engine(&plan(BOTS[0]));
    engine.answer(&ask(0, None, AskCause::Opening));
    for number in 1..40 {
        let pieces = engine.answer(&ask(number, Some(0), AskCause::Caller("yes".to_owned())));
        assert!(said(&pieces)[0].contains("₹15000"), "{pieces:?}");
    }
}

#[test]
fn a_disclosure_comes_first_and_cannot_be_interrupted() {
    let script: Script = toml::from_str(
        r#"
        [[step]]
        id = "a"
        say = ["Shall we begin?"]
        protected = true
        expect = { yes = "@stopped", no = "@stopped" }
    "#,
    )
    .unwrap();
    let plan = Arc::new(Plan::new(&script, Some("Hello."), Some("This call is recorded.")));
    let pieces = engine(&plan).answer(&ask(0, None, AskCause::Opening));
    let say = |text: &str, protected| Piece::Say { text: text.to_owned(), protected };
    assert_eq!(pieces, [say("This call is recorded.", true), say("Hello.", false), say("Shall we begin?", true)]);
}

#[test]
fn an_opening_that_asks_stands_for_the_first_question() {
    let script: Script = toml::from_str(
        r#"
        [[step]]
        id = "a"
        say = ["Is that you?", "Are you there?"]
        expect = { yes = "@stopped", no = "@lost" }
    "#,
    )
    .unwrap();
    let plan = Arc::new(Plan::new(&script, Some("Hello, am I speaking with {{crm.customer_name}}?"), None));
    let mut engine = engine(&plan);
    assert_eq!(said(&engine.answer(&ask(0, None, AskCause::Opening))), ["Hello, am I speaking with Rahul Sharma?"]);
    assert!(ends(&engine.answer(&ask(1, Some(0), AskCause::Caller("yes".to_owned())))));
    assert_eq!(engine.outcome()["disposition"], "refused");
}

fn context() -> DialogueContext {
    let mut values = values();
    // Half past eight in the evening of the 22nd in UTC is the 23rd in India.
    values.set(Namespace::Call, "started_at", serde_json::json!("2026-04-22T20:30:00.000Z"));
    DialogueContext { system: String::new(), values: Arc::new(values) }
}

fn reminder() -> ScriptLlm {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/bots/payment-reminder.toml")).unwrap();
    let file: toml::Table = toml::from_str(&text).unwrap();
    let script: Script = file["script"].clone().try_into().unwrap();
    ScriptLlm::new(Arc::new(script), Some("Hello.".to_owned()), None)
}

fn next(facts: &mut tokio::sync::mpsc::Receiver<Heard>) -> Vec<Heard> {
    std::iter::from_fn(|| facts.try_recv().ok()).collect()
}

#[test]
fn a_session_answers_at_once_in_facts_of_the_asked_utterance() {
    let (sender, mut facts) = tokio::sync::mpsc::channel(16);
    let mut session = reminder().open(&context(), sender).unwrap();
    session.ask(ask(7, None, AskCause::Opening));
    let heard = next(&mut facts);
    let text = |text: &str| Heard::Drafted {
        utterance: crate::units::UtteranceId(7),
        text: text.to_owned(),
        protected: false,
    };
    let end = Heard::DraftEnded { utterance: crate::units::UtteranceId(7) };
    assert_eq!(heard, [text("Hello. "), text("Am I speaking with Rahul Sharma? "), end]);
    for (number, words) in [(8, "yes"), (9, "I'll pay tomorrow"), (10, "yes"), (11, "no thank you")] {
        session.ask(ask(number, Some(number - 1), AskCause::Caller(words.to_owned())));
    }
    let heard = next(&mut facts);
    assert!(heard.iter().any(|fact| matches!(fact, Heard::ToolCalled { tool: ToolCall::EndCall { .. }, .. })));
    let outcome = session.outcome().unwrap();
    assert_eq!(outcome["slots"]["pay_date"], "2026-04-24", "tomorrow as the caller counts it");
    let keys: Vec<&String> = outcome.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["disposition", "slots", "summary"]);
}

#[tokio::test]
async fn a_full_channel_delays_an_answer_and_loses_nothing() {
    let (sender, mut facts) = tokio::sync::mpsc::channel(1);
    let mut session: Box<dyn LlmSession> = reminder().open(&context(), sender).unwrap();
    session.ask(ask(0, None, AskCause::Opening));
    let mut heard = Vec::new();
    while let Some(fact) = facts.recv().await {
        let last = matches!(fact, Heard::DraftEnded { .. });
        heard.push(fact);
        if last {
            break;
        }
    }
    assert_eq!(heard.len(), 3, "{heard:?}");
}

#[test]
fn a_closed_channel_is_the_end_of_the_call_and_nothing_else() {
    let (sender, facts) = tokio::sync::mpsc::channel(4);
    drop(facts);
    let mut session = reminder().open(&context(), sender).unwrap();
    session.ask(ask(0, None, AskCause::Opening));
    assert_eq!(session.outcome().unwrap()["disposition"], "no_response");
}

#[test]
fn a_bot_without_steps_is_refused_at_the_start() {
    let (sender, _facts) = tokio::sync::mpsc::channel(4);
    let llm = ScriptLlm::new(Arc::new(Script::default()), None, None);
    assert!(llm.open(&context(), sender).is_err());
}

#[test]
fn a_step_presses_its_keys_when_it_is_come_to_and_not_when_it_asks_again() {
    let text = r##"
        [[step]]
        id = "menu"
        say = []
        keys = "{{crm.account|12 34}}#x"
        next = "ask"
        [[step]]
        id = "ask"
        say = ["Is that right?", "Is it right?"]
        keys = "1"
        expect = { yes = "bye", no = "bye" }
        [[end]]
        id = "bye"
        say = ["Goodbye."]
        disposition = "done"
    "##;
    let script: Script = toml::from_str(text).unwrap();
    assert_eq!(crate::bot::script::lint("f", &script), Vec::new());
    let mut engine = engine(&Arc::new(Plan::new(&script, None, None)));
    let pressed = |pieces: &[Piece]| -> Vec<String> {
        let keys = |piece: &Piece| match piece {
            Piece::Tool(ToolCall::SendKeys { keys }) => Some(keys.clone()),
            _ => None,
        };
        pieces.iter().filter_map(keys).collect()
    };
    let first = engine.answer(&ask(0, None, AskCause::Opening));
    assert_eq!((pressed(&first), said(&first)), (vec!["1234#".to_owned(), "1".to_owned()], vec!["Is that right?"]));
    let again = engine.answer(&ask(1, Some(0), AskCause::Unclear));
    assert_eq!(pressed(&again), Vec::<String>::new());
    for (keys, sound) in [("12x", false), ("", false), (&"1".repeat(33), false), ("12{{crm.pin}}", true)] {
        let script: Script = toml::from_str(&text.replace("{{crm.account|12 34}}#x", keys)).unwrap();
        assert_eq!(crate::bot::script::lint("f", &script).is_empty(), sound, "{keys}");
    }
}

#[test]
fn what_is_typed_must_fit_the_rule_of_its_slot_and_the_turn_loop_knows_it() {
    let text = r##"
        [[step]]
        id = "pin"
        say = ["Your pin?", "Four figures?"]
        slot = { name = "pin", type = "id", keys = { min = 4, max = 4, end = "*", gap_ms = 900, begins = ["7"] } }
        expect = { pin = "bye" }
        retries = 1
        [[end]]
        id = "bye"
        say = ["Goodbye."]
        disposition = "done"
    "##;
    let script: Script = toml::from_str(text).unwrap();
    assert_eq!(crate::bot::script::lint("f", &script), Vec::new());
    let plan = Arc::new(Plan::new(&script, None, None));
    let entry = |pieces: &[Piece]| match pieces.first() {
        Some(Piece::Tool(ToolCall::CollectKeys(entry))) => Some(*entry),
        _ => None,
    };
    let rule = KeyEntry { most: 4, end: Some('*'), gap_ms: 900 };
    let typed = |digits: &str| AskCause::Digits(digits.to_owned());
    let mut dialogue = engine(&plan);
    assert_eq!(entry(&dialogue.answer(&ask(0, None, AskCause::Opening))), Some(rule), "before the question is said");
    let again = dialogue.answer(&ask(1, Some(0), typed("1")));
    assert_eq!(entry(&again), Some(rule), "one key is no yes here");
    let read_back = dialogue.answer(&ask(2, Some(1), typed("7123")));
    assert_eq!(entry(&read_back), Some(KeyEntry::default()), "a yes or no is typed as ever");
    dialogue.answer(&ask(3, Some(2), typed("1")));
    assert_eq!(
        (dialogue.outcome()["disposition"].clone(), dialogue.outcome()["slots"]["pin"].clone()),
        ("done".into(), "7123".into())
    );
    // Spoken or typed, what does not fit is a failed answer, and so many are too many.
    for wrong in [typed("712"), typed("8123"), typed("71#3"), AskCause::Caller("my pin is 8 1 2 3".to_owned())] {
        let mut dialogue = engine(&plan);
        dialogue.answer(&ask(0, None, AskCause::Opening));
        dialogue.answer(&ask(1, Some(0), wrong.clone()));
        dialogue.answer(&ask(2, Some(1), wrong.clone()));
        assert!(dialogue.outcome()["slots"].get("pin").is_none(), "{wrong:?}");
        assert_eq!(dialogue.outcome()["disposition"], "not_understood", "{wrong:?}");
    }
    for (from, to, key) in [
        ("min = 4", "min = 0", "step.pin.slot.keys.min"),
        ("min = 4", "min = 5", "step.pin.slot.keys.min"),
        ("max = 4", "max = 33", "step.pin.slot.keys.min"),
        ("\"*\"", "\"5\"", "step.pin.slot.keys.end"),
        ("900", "100", "step.pin.slot.keys.gap_ms"),
        ("[\"7\"]", "[\"x\"]", "step.pin.slot.keys.begins"),
        ("\"id\"", "\"name\"", "step.pin.slot.keys"),
    ] {
        let script: Script = toml::from_str(&text.replace(from, to)).unwrap();
        let keys: Vec<String> = crate::bot::script::lint("f", &script).into_iter().map(|fault| fault.key).collect();
        assert!(keys.iter().any(|found| found.ends_with(key)), "{from} {to}: {keys:?}");
    }
}
