//! What the turn loop wants done: orders to the call that owns it.

use super::fact::{Ask, ProviderRole, ToolCall};
use crate::units::{TurnNo, UtteranceId};

/// An order of the turn loop.
#[derive(Clone, Debug, PartialEq)]
pub enum TurnOrder {
    /// Recognition: a turn begins at this sample of the listening clock (16 kHz), or here where `None`.
    BeginTurn {
        /// The turn.
        turn: TurnNo,
        /// Where its first sound is.
        pos: Option<u64>,
    },
    /// Recognition: the words so far, at once.
    Take {
        /// The turn.
        turn: TurnNo,
        /// Which take.
        take: u32,
    },
    /// The end-of-turn model: is it complete?
    Judge {
        /// The turn.
        turn: TurnNo,
        /// Which take.
        take: u32,
    },
    /// Recognition: the turn's audio may go.
    EndTurn {
        /// The turn.
        turn: TurnNo,
    },
    /// The engine: answer.
    Ask(Ask),
    /// The engine and synthesis: this answer is not wanted any more.
    CancelAnswer {
        /// The answer.
        utterance: UtteranceId,
    },
    /// Synthesis: speak.
    Say {
        /// The answer.
        utterance: UtteranceId,
        /// Which piece.
        segment: u16,
        /// Its text.
        text: String,
    },
    /// Playout: hold your place.
    Pause,
    /// Playout: go on.
    Resume,
    /// Playout: drop this answer and everything older, here and at the far end.
    Cut {
        /// The answer.
        utterance: UtteranceId,
    },
    /// Run this tool: everything that was said before it was heard.
    Act(ToolCall),
    /// A role has failed for good: the conversation cannot go on.
    GiveUp(ProviderRole),
}
