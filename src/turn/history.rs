//! What was said and heard, in order, with the times on the call's clock: the one source of the model's context and of the
//! transcript. Never holds a word of the bot that was not played.

use std::sync::Arc;

use super::fact::{HistoryItem, Speaker};
use crate::units::{Moment, TurnNo};

/// Lines kept; a longer call drops the oldest.
const MOST_LINES: usize = 2_000;

/// One line of the transcript.
#[derive(Clone, Debug, PartialEq)]
pub struct TranscriptLine {
    /// Who spoke.
    pub speaker: Speaker,
    /// The words; for the bot those that were heard.
    pub text: String,
    /// When it began to be audible.
    pub began: Moment,
    /// When it ceased.
    pub ended: Moment,
    /// For the bot: heard to its end. For the caller: always true.
    pub whole: bool,
    /// The turn it belongs to: the caller's own, or the one that the bot answered.
    pub turn: TurnNo,
    /// How many lines were settled before this one: the order of settling, where the transcript has that of beginning.
    pub serial: u32,
}

/// The conversation so far.
#[derive(Clone, Debug, Default)]
pub struct History {
    lines: Vec<TranscriptLine>,
    settled: u32,
}

impl History {
    /// Adds a line where it belongs by its beginning; empty text is no line.
    pub fn push(&mut self, mut line: TranscriptLine) {
        if line.text.trim().is_empty() {
            return;
        }
        line.serial = self.settled;
        self.settled += 1;
        if self.lines.len() == MOST_LINES {
            self.lines.remove(0);
        }
        let at = self.lines.iter().rposition(|l| l.began <= line.began).map_or(0, |i| i + 1);
        self.lines.insert(at, line);
    }

    /// The transcript, oldest first.
    #[must_use]
    pub fn lines(&self) -> &[TranscriptLine] {
        &self.lines
    }

    /// The conversation as context for the dialogue engine.
    #[must_use]
    pub fn items(&self) -> Arc<[HistoryItem]> {
        self.lines.iter().map(|l| HistoryItem { speaker: l.speaker, text: l.text.clone() }).collect()
    }
}
