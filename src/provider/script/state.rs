//! Where a dialogue stands: place, slots, what was said how often. Cheap to copy, so that every answer leaves a snapshot
//! and an answer that nobody heard can be taken back. Decides nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::understand::{SlotValue, Words};
use crate::bot::script::SlotKind;
use crate::units::UtteranceId;

/// How often one sentence may be said in a call.
pub(super) const MOST_OFTEN: u8 = 2;

/// Answers that can be taken back; a call that abandons more in a row goes back to the oldest of them.
const SNAPSHOTS: usize = 16;

/// Where a dialogue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// Nothing was said yet.
    Start,
    /// At a step.
    Step(usize),
    /// At an end.
    End(usize),
}

/// The state of a dialogue.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub at: At,
    /// The value that was read back and waits for a yes.
    pub pending: Option<SlotValue>,
    /// Failed answers at this step.
    pub attempts: u8,
    /// Unclear turns of the call.
    pub unclear: u8,
    /// The caller has said something.
    pub spoken: bool,
    pub slots: BTreeMap<String, SlotValue>,
    /// Slots that the dialogue went on without: the caller would not say, or could not be understood.
    pub passed_up: BTreeSet<String>,
    /// The last utterance, for values given before they were asked for, and the kinds already taken from it.
    pub carry: Option<(Words, Vec<SlotKind>)>,
    /// The utterance that chose the way, kept for the steps on it.
    pub earlier: Option<(Words, Vec<SlotKind>)>,
    /// Which line of the question was said last.
    pub last_line: usize,
    /// The call ended because nobody spoke.
    pub fell_silent: bool,
    said: BTreeMap<u64, u8>,
}

impl State {
    pub fn new() -> Self {
        Self {
            at: At::Start,
            pending: None,
            attempts: 0,
            unclear: 0,
            spoken: false,
            slots: BTreeMap::new(),
            passed_up: BTreeSet::new(),
            carry: None,
            earlier: None,
            last_line: 0,
            fell_silent: false,
            said: BTreeMap::new(),
        }
    }

    /// How often the most worn sentence of `text` was said.
    pub fn worn(&self, text: &str) -> u8 {
        sentences(text).map(|sentence| self.said.get(&mark(sentence)).copied().unwrap_or(0)).max().unwrap_or(0)
    }

    /// Notes that `text` is said.
    pub fn note_said(&mut self, text: &str) {
        for sentence in sentences(text) {
            let count = self.said.entry(mark(sentence)).or_insert(0);
            *count = count.saturating_add(1);
        }
    }
}

fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(['.', '?', '!']).map(str::trim).filter(|sentence| sentence.chars().any(char::is_alphanumeric))
}

fn mark(sentence: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    for c in sentence.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase) {
        c.hash(&mut hasher);
    }
    hasher.finish()
}

/// The states after the last answers.
#[derive(Debug)]
pub(super) struct Past {
    start: State,
    after: VecDeque<(UtteranceId, State)>,
}

impl Past {
    pub fn new(start: State) -> Self {
        Self { start, after: VecDeque::new() }
    }

    /// The state after the last answer up to `heard`; later ones are forgotten. `None` where nothing has to be taken back.
    pub fn back_to(&mut self, heard: Option<UtteranceId>) -> Option<State> {
        let keep = self.after.iter().take_while(|(id, _)| heard.is_some_and(|heard| *id <= heard)).count();
        if keep == self.after.len() {
            return None;
        }
        self.after.truncate(keep);
        Some(self.after.back().map_or_else(|| self.start.clone(), |(_, state)| state.clone()))
    }

    /// Keeps the state after `answer`; the oldest one becomes the start.
    pub fn keep(&mut self, answer: UtteranceId, state: &State) {
        if self.after.len() == SNAPSHOTS
            && let Some((_, oldest)) = self.after.pop_front()
        {
            self.start = oldest;
        }
        self.after.push_back((answer, state.clone()));
    }
}
