//! The value of a slot in an utterance, with the speaker's own corrections obeyed: `fifteen not fifty`, `no, I said 1500`.
//! Never accepts a value; it only reads one.

use serde_json::{Value, json};

use super::date::Calendar;
use super::number::money;
use super::polarity::Polarity;
use super::spell::{Alphabet, spelled};
use super::time::time;
use super::words::Words;
use crate::bot::script::SlotKind;

/// A value read from an utterance, in its one canonical form.
#[derive(Clone, Debug, PartialEq)]
pub enum SlotValue {
    /// A number or an amount.
    Number(f64),
    /// Yes or no.
    Truth(bool),
    /// Anything else: date `2026-05-01`, time `15:30`, id, name, text.
    Text(String),
}

impl SlotValue {
    /// As the outcome and templates have it.
    #[must_use]
    pub fn json(&self) -> Value {
        match self {
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and below 1e12")]
            Self::Number(value) if value.fract() == 0.0 && value.abs() < 1e12 => json!(*value as i64),
            Self::Number(value) => json!(value),
            Self::Truth(value) => json!(value),
            Self::Text(text) => json!(text),
        }
    }
}

/// How eagerly a value is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The bot has just asked for it: bare words and numbers count.
    Asked,
    /// The bot has read a value back: a new one counts, a bare name does not.
    ReadBack,
    /// Nobody asked: only what can be nothing else.
    InPassing,
}

/// Most characters of a free text.
const MAX_TEXT: usize = 400;

/// The value of a slot of `kind` in `words`.
#[must_use]
pub fn read(
    kind: SlotKind,
    words: &Words,
    calendar: &Calendar,
    polarity: &Polarity,
    manner: Manner,
) -> Option<SlotValue> {
    let asked = manner == Manner::Asked;
    let words = &corrected(words, |part| plain(kind, part, calendar, polarity, manner).is_some());
    if asked || kind != SlotKind::Text {
        return plain(kind, words, calendar, polarity, manner);
    }
    None
}

fn plain(kind: SlotKind, words: &Words, calendar: &Calendar, polarity: &Polarity, manner: Manner) -> Option<SlotValue> {
    let eager = manner != Manner::InPassing;
    match kind {
        SlotKind::Number | SlotKind::Money => {
            let found = money(words).filter(|found| eager || found.marked || found.value >= 100.0)?;
            let whole = kind == SlotKind::Money || found.value.fract() == 0.0;
            whole.then_some(SlotValue::Number(found.value))
        }
        SlotKind::Date => calendar.date(words, eager).map(|date| SlotValue::Text(date.to_string())),
        SlotKind::Time => time(words, eager).map(|time| SlotValue::Text(time.strftime("%H:%M").to_string())),
        SlotKind::YesNo => polarity.of(words).map(|opinion| SlotValue::Truth(opinion.yes)),
        SlotKind::Name => super::name::name(words, manner == Manner::Asked).map(SlotValue::Text),
        SlotKind::Id => spelled(words, Alphabet::Mixed, if eager { 3 } else { 5 })
            .filter(|id| eager || id.bytes().any(|b| b.is_ascii_digit()))
            .map(SlotValue::Text),
        SlotKind::Phone => spelled(words, Alphabet::Digits, 7).filter(|digits| digits.len() <= 15).map(SlotValue::Text),
        SlotKind::Text => {
            let text: Vec<&str> = words.all().iter().map(|word| word.raw.as_str()).collect();
            let mut text = text;
            text.dedup();
            let text: String = text.join(" ").chars().take(MAX_TEXT).collect();
            (!text.is_empty() && polarity.of(words).is_none_or(|opinion| opinion.words < words.len()))
                .then_some(SlotValue::Text(text))
        }
    }
}

/// Markers after which the speaker says what was really meant.
const CORRECTIONS: &[&[&str]] = &[
    &["i", "mean"],
    &["i", "meant"],
    &["sorry"],
    &["rather"],
    &["make", "it"],
    &["make", "that"],
    &["or", "rather"],
    &["no", "wait"],
    &["wait", "no"],
    &["scratch", "that"],
    &["no"],
    &["instead"],
];

/// The words that hold the meant value: what a `not` names is taken out, and what stands before a correction is dropped
/// where a value follows it.
fn corrected(words: &Words, has_value: impl Fn(&Words) -> bool) -> Words {
    let mut words = words.clone();
    for at in (0..words.len()).rev() {
        if words.text(at) != "not" {
            continue;
        }
        let after = words.from(at + 1);
        let before = words.without(at..words.len());
        let turn = (1..after.len())
            .find(|&n| matches!(after.text(n), "but" | "it" | "i" | "no") || after.all()[n].after_break);
        match turn {
            // "not fifty, fifteen": the second part holds the value.
            Some(n) if has_value(&after.from(n)) => words = words.without(at..at + 1 + n),
            // "fifteen not fifty": the part before the negation holds it, unless the negation is of a verb ("I do not…").
            _ if has_value(&before) && has_value(&after) => words = before,
            // "it is not fifty": a value that is only denied is none.
            _ if has_value(&after) && denies(&words, at) => words = before,
            _ => {}
        }
    }
    for at in (1..words.len()).rev() {
        for marker in CORRECTIONS.iter().filter(|marker| words.stands_at(at, marker)) {
            let after = words.from(at + marker.len());
            if has_value(&after) && has_value(&words.without(at..words.len())) {
                return after;
            }
        }
    }
    words
}

/// `is not 50`, `not 50`: the value itself is denied, and not a deed before a day (`can not pay before friday`).
fn denies(words: &Words, at: usize) -> bool {
    let lead = at.checked_sub(1).map_or("", |before| words.text(before));
    let next = words.text(at + 1);
    matches!(lead, "" | "is" | "no") && !matches!(next, "before" | "until" | "till" | "right" | "correct" | "on")
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::bot::script::{NO_PHRASES, YES_PHRASES};

    fn value(kind: SlotKind, text: &str) -> Option<String> {
        let calendar = Calendar { today: date(2026, 4, 22), day_first: true };
        let polarity = Polarity::new(YES_PHRASES, NO_PHRASES);
        read(kind, &Words::of(text), &calendar, &polarity, Manner::Asked).map(|value| match value.json() {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }

    #[test]
    fn corrections_are_obeyed() {
        for (kind, text, found) in [
            (SlotKind::Money, "no, fifteen not fifty", Some("15")),
            (SlotKind::Money, "not fifty, fifteen", Some("15")),
            (SlotKind::Money, "it's not fifty it's fifteen", Some("15")),
            (SlotKind::Money, "fifty sorry fifteen hundred", Some("1500")),
            (SlotKind::Money, "no I said 1500", Some("1500")),
            (SlotKind::Money, "five thousand, no, six thousand", Some("6000")),
            (SlotKind::Money, "not 500", None),
            (SlotKind::Date, "not friday, saturday", Some("2026-04-25")),
            (SlotKind::Date, "friday I mean saturday", Some("2026-04-25")),
            (SlotKind::Date, "I can't pay before friday", Some("2026-04-24")),
            (SlotKind::Name, "not Raul, Rahul", Some("Rahul")),
            (SlotKind::Text, "a tooth hurts", Some("a tooth hurts")),
            (SlotKind::YesNo, "yeah sure", Some("true")),
        ] {
            assert_eq!(value(kind, text).as_deref(), found, "{text}");
        }
    }
}
