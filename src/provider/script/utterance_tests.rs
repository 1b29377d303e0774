//! The fixture of utterances: at least 95 of 100 are understood, and no amount is ever accepted without a yes.

use jiff::civil::date;

use super::dialogue_tests::{ask, engine, plan, root};
use super::hearing::Verdict;
use super::understand::{Calendar, Manner, Polarity, SlotValue, Words, read};
use super::{Engine, Piece, Plan};
use crate::bot::script::{NO_PHRASES, Script, SlotKind, YES_PHRASES};
use crate::turn::AskCause;

struct Row {
    context: String,
    utterance: String,
    expected: String,
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("fixtures/utterances.tsv")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [context, utterance, expected] = fields.as_slice() else { panic!("three columns, got {line:?}") };
            Row { context: (*context).to_owned(), utterance: (*utterance).to_owned(), expected: (*expected).to_owned() }
        })
        .collect()
}

fn kind(name: &str) -> Option<SlotKind> {
    Some(match name {
        "number" => SlotKind::Number,
        "money" => SlotKind::Money,
        "date" => SlotKind::Date,
        "time" => SlotKind::Time,
        "yes_no" => SlotKind::YesNo,
        "name" => SlotKind::Name,
        "id" => SlotKind::Id,
        "phone" => SlotKind::Phone,
        _ => return None,
    })
}

fn shown(value: &SlotValue) -> String {
    value.json().as_str().map_or_else(|| value.json().to_string(), str::to_owned)
}

fn understood(row: &Row) -> String {
    let words = Words::of(&row.utterance);
    if let Some(kind) = kind(&row.context) {
        let calendar = Calendar { today: date(2026, 4, 22), day_first: true };
        let polarity = Polarity::new(YES_PHRASES, NO_PHRASES);
        let value = read(kind, &words, &calendar, &polarity, Manner::Asked);
        return value.map_or_else(|| "-".to_owned(), |value| shown(&value));
    }
    let (bot, step) = row.context.split_once('/').unwrap();
    let plan = plan(bot);
    let engine = engine(&plan);
    let step = plan.steps.iter().find(|known| known.id == step).unwrap();
    match engine.judge(&plan, step, &words) {
        Verdict::Value(value) => format!("{}={}", step.slot.as_ref().unwrap().name, shown(&value)),
        Verdict::Wish(fit, _) => plan.intents[fit.intent].name.clone(),
        Verdict::Opinion(yes) => if yes { "yes" } else { "no" }.to_owned(),
        Verdict::Nothing => "unclear".to_owned(),
    }
}

#[test]
fn utterances_are_understood() {
    let rows = rows();
    assert!(rows.len() >= 320, "at least 320 rows, found {}", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let got = understood(row);
        if got != row.expected {
            wrong.push(format!("{}: {:?}: expected {}, got {got}", row.context, row.utterance, row.expected));
        }
    }
    let right = rows.len() - wrong.len();
    println!("{right} of {} understood ({:.1} %)", rows.len(), right as f64 * 100.0 / rows.len() as f64);
    println!("{}", wrong.join("\n"));
    assert!(right * 100 >= rows.len() * 95, "{right} of {} understood:\n{}", rows.len(), wrong.join("\n"));
}

/// One step that asks for an amount, and one that asks for an id.
const AMOUNT: &str = r#"
    [[step]]
    id = "amount"
    say = ["How much?"]
    slot = { name = "amount", type = "money" }
    expect = { amount = "done" }
    [[end]]
    id = "done"
    say = ["Goodbye."]
    disposition = "done"
"#;

fn amount_engine() -> Engine {
    let script: Script = toml::from_str(AMOUNT).unwrap();
    engine(&std::sync::Arc::new(Plan::new(&script, None, None)))
}

#[test]
fn no_amount_is_accepted_without_a_yes() {
    let rows = rows();
    let money: Vec<&Row> = rows.iter().filter(|row| row.context == "money").collect();
    assert!(money.len() >= 50);
    for row in money {
        let mut engine = amount_engine();
        engine.answer(&ask(0, None, AskCause::Opening));
        let pieces = engine.answer(&ask(1, Some(0), AskCause::Caller(row.utterance.clone())));
        assert_eq!(engine.outcome()["slots"], serde_json::json!({}), "{}", row.utterance);
        assert!(!pieces.iter().any(|piece| matches!(piece, Piece::Tool(_))), "{}", row.utterance);
        // A no never leaves the value standing either.
        engine.answer(&ask(2, Some(1), AskCause::Caller("no, that's wrong".to_owned())));
        assert_eq!(engine.outcome()["slots"], serde_json::json!({}), "{}", row.utterance);
    }
}

#[test]
fn every_amount_that_is_accepted_was_read_back_and_confirmed() {
    let rows = rows();
    for row in rows.iter().filter(|row| row.context == "money" && row.expected != "-") {
        let mut engine = amount_engine();
        engine.answer(&ask(0, None, AskCause::Opening));
        let pieces = engine.answer(&ask(1, Some(0), AskCause::Caller(row.utterance.clone())));
        let said = pieces.iter().any(|piece| matches!(piece, Piece::Say { text, .. } if text.contains(&row.expected)));
        assert!(said, "{} is read back as {}: {pieces:?}", row.utterance, row.expected);
        engine.answer(&ask(2, Some(1), AskCause::Caller("yes, that's right".to_owned())));
        let slot = engine.outcome()["slots"]["amount"].to_string();
        assert_eq!(slot, row.expected, "{}", row.utterance);
    }
}
