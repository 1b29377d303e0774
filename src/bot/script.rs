//! The script of a bot, as its file writes it: ordered steps, ends, answers to side questions, intents by example, and the
//! lines for silence and nonsense. Plain data with the product's defaults; [`lint()`] says what is wrong with it. Never
//! runs a dialogue: the scripted engine does.

mod builtin;
mod flow;
mod lint;

use std::collections::{BTreeMap, BTreeSet};

pub use builtin::{BUILT_IN_ANSWERS, BUILT_IN_INTENTS, GLOBAL_INTENTS, NO_PHRASES, YES_PHRASES, built_in_ends};
pub use lint::lint;

/// A script.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// The steps; the first is where the dialogue starts.
    pub step: Vec<Step>,
    /// The ends. Ids that start with `@` are built in: see [`built_in_ends`].
    pub end: Vec<End>,
    /// Answers to side questions: said at any step, then the step's question is asked again.
    pub answer: Vec<Answer>,
    /// Intents of this script by example; one named like a built-in intent adds its phrases to it.
    pub intents: BTreeMap<String, Phrases>,
    /// Global intent → step or end, over the default (see [`GLOBAL_INTENTS`]).
    pub globals: BTreeMap<String, String>,
    /// Said before the question when nobody spoke for the idle time.
    pub idle: Vec<String>,
    /// Said when nobody answered the reminders; the call ends afterwards.
    pub idle_goodbye: Vec<String>,
    /// Said shortly before the longest call is over.
    pub warning: Vec<String>,
    /// Said before the question when nothing was understood.
    pub unclear: Vec<String>,
    /// Said when the caller speaks after the end was announced.
    pub farewell: Vec<String>,
    /// Step or end taken when the bounds below are passed and where a step has no `on_fail`.
    pub lost: String,
    /// Turns of the whole call that may be unclear before the dialogue goes to `lost`.
    pub max_unclear: u8,
    /// Requests of the whole call that are answered before the dialogue goes to `lost`.
    pub max_turns: u16,
    /// `03/04/2026` is the third of April (else the fourth of March).
    pub day_first: bool,
    /// The caller's offset from UTC as `+05:30`, for "today" and "tomorrow".
    pub utc_offset: String,
}

impl Script {
    /// Every line that the script may say, as templates.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let steps = self
            .step
            .iter()
            .flat_map(|step| step.say.iter().chain(step.slot.iter().flat_map(|slot| &slot.confirm_say)));
        let ends = self.end.iter().flat_map(|end| &end.say);
        let answers = self.answer.iter().flat_map(|answer| &answer.say);
        let fixed = [&self.idle, &self.idle_goodbye, &self.warning, &self.unclear, &self.farewell];
        steps.chain(ends).chain(answers).chain(fixed.into_iter().flatten()).map(String::as_str)
    }
}

impl Default for Script {
    fn default() -> Self {
        let lines = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Self {
            step: Vec::new(),
            end: Vec::new(),
            answer: Vec::new(),
            intents: BTreeMap::new(),
            globals: BTreeMap::new(),
            idle: lines(builtin::IDLE),
            idle_goodbye: lines(builtin::IDLE_GOODBYE),
            warning: lines(builtin::WARNING),
            unclear: lines(builtin::UNCLEAR),
            farewell: lines(builtin::FAREWELL),
            lost: "@lost".to_owned(),
            max_unclear: 6,
            max_turns: 80,
            day_first: true,
            utc_offset: "+00:00".to_owned(),
        }
    }
}

/// One step: something is said, and something is expected.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name, unique among steps and ends.
    pub id: String,
    /// The first line the first time, the next ones when it has to be said again.
    pub say: Vec<String>,
    /// Intent or slot name → step or end. Built-in intents are in [`BUILT_IN_INTENTS`], beside `yes` and `no`.
    #[serde(default)]
    pub expect: BTreeMap<String, String>,
    /// Said, then at once the step or end named here: a step that asks nothing.
    pub next: Option<String>,
    /// The value this step asks for.
    pub slot: Option<Slot>,
    /// How often the step may fail to get its answer before `on_fail`.
    #[serde(default = "default_retries")]
    pub retries: u8,
    /// Step or end taken after the retries; the script's `lost` where it is missing.
    pub on_fail: Option<String>,
    /// The step's lines cannot be interrupted.
    #[serde(default)]
    pub protected: bool,
    /// The disposition where the call ends while it stands here; `incomplete` where it is missing.
    pub disposition: Option<String>,
    /// Keys that are pressed at the far end when the dialogue comes here and its lines were heard; a template.
    pub keys: Option<String>,
}

const fn default_retries() -> u8 {
    2
}

/// Keys that one step presses at the most.
pub const MOST_KEYS: usize = 32;

/// Is there such a key on a telephone?
#[must_use]
pub const fn is_key(key: char) -> bool {
    matches!(key, '0'..='9' | '*' | '#' | 'A'..='D')
}

/// A value that a step asks for.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// Its name: `{{result.<name>}}`, and the key in the outcome.
    pub name: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: SlotKind,
    /// Is it read back and accepted only after a yes; money, ids and phone numbers are by default.
    pub confirm: Option<bool>,
    /// The lines that read it back; a default by type where it is missing.
    #[serde(default)]
    pub confirm_say: Vec<String>,
    /// How it is typed, and what of it counts: of figures alone.
    pub keys: Option<KeyRule>,
}

/// How a value is typed. What does not fit, typed or spoken, is a failed answer of its step.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyRule {
    /// Fewest figures.
    pub min: usize,
    /// Most figures; the entry is complete with them.
    pub max: usize,
    /// The key that ends an entry: `#`, `*`, or none.
    pub end: String,
    /// An entry ends when no key has followed for so long.
    pub gap_ms: u64,
    /// What it must begin with, one of these; none: anything.
    pub begins: Vec<String>,
}

impl Default for KeyRule {
    fn default() -> Self {
        Self { min: 1, max: 32, end: "#".to_owned(), gap_ms: 2_000, begins: Vec::new() }
    }
}

impl KeyRule {
    /// Does an entry, or a value that was spoken, fit?
    #[must_use]
    pub fn fits(&self, entry: &str) -> bool {
        (self.min..=self.max).contains(&entry.len())
            && entry.bytes().all(|b| b.is_ascii_digit())
            && (self.begins.is_empty() || self.begins.iter().any(|start| entry.starts_with(start.as_str())))
    }
}

impl Slot {
    /// Is the value read back before it counts.
    #[must_use]
    pub fn confirms(&self) -> bool {
        self.confirm.unwrap_or(matches!(self.kind, SlotKind::Money | SlotKind::Id | SlotKind::Phone))
    }
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// A whole number.
    Number,
    /// An amount.
    Money,
    /// A day, `2026-05-01`.
    Date,
    /// A time of day, `15:30`.
    Time,
    /// True or false.
    YesNo,
    /// A person's name.
    Name,
    /// Letters and digits, spelled or not.
    Id,
    /// A telephone number, digits only.
    Phone,
    /// Whatever the caller said.
    Text,
}

/// How a dialogue ends.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Its name, unique among steps and ends.
    pub id: String,
    /// The goodbye.
    pub say: Vec<String>,
    /// The outcome's `disposition`.
    pub disposition: String,
    /// What happens after the goodbye was heard.
    #[serde(default)]
    pub action: Action,
    /// The number goes onto the opt-out list.
    #[serde(default)]
    pub opt_out: bool,
    /// The outcome's summary, a template; a rule makes one where it is missing.
    pub summary: Option<String>,
}

/// What an end does.
#[derive(Clone, Debug, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Hang up.
    #[default]
    Hangup,
    /// Hand the caller over; `to` is a template. Where it renders empty, the call hangs up instead.
    Transfer {
        /// Number, extension or URI.
        to: String,
    },
}

/// An answer to a side question.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The intent that asks it.
    pub intent: String,
    /// The answer.
    pub say: Vec<String>,
}

/// An intent by example.
#[derive(Clone, Debug, PartialEq, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phrases {
    /// Phrases; `a|b` stands for either word, a leading `=` means that the whole utterance must be the phrase.
    pub any: Vec<String>,
}

impl Script {
    /// The names of all slots.
    #[must_use]
    pub fn slot_names(&self) -> BTreeSet<&str> {
        self.step.iter().filter_map(|step| step.slot.as_ref()).map(|slot| slot.name.as_str()).collect()
    }

    /// The offset from UTC in minutes; `None` where it is not `±hh:mm`.
    #[must_use]
    pub fn utc_offset_minutes(&self) -> Option<i32> {
        let (sign, rest) = match self.utc_offset.split_at_checked(1)? {
            ("+", rest) => (1, rest),
            ("-", rest) => (-1, rest),
            _ => return None,
        };
        let (hours, minutes) = rest.split_once(':')?;
        if hours.len() != 2 || minutes.len() != 2 {
            return None;
        }
        let (hours, minutes) = (hours.parse::<i32>().ok()?, minutes.parse::<i32>().ok()?);
        (hours <= 14 && minutes < 60).then_some(sign * (hours * 60 + minutes))
    }

    /// Where a global intent leads by default or by this script; `None` where a line answers it.
    #[must_use]
    pub fn global_target(&self, intent: &str) -> Option<&str> {
        if let Some(target) = self.globals.get(intent) {
            return Some(target);
        }
        match intent {
            "human" => self.end.iter().find(|end| end.action != Action::Hangup).map(|end| end.id.as_str()),
            "wrong_number" => Some("@wrong_number"),
            "stop" => Some("@stopped"),
            "call_back_later" => Some("@callback"),
            "opt_out" => Some("@opted_out"),
            _ => None,
        }
    }
}
