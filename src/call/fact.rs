//! The vocabulary of a call: facts in, orders out. Never a wire format; the journal has mirror types of its own.

use std::sync::Arc;

use super::leg::{LegFact, LegOrder};
use super::line::{LineFact, LineOrder};
use crate::turn::{Ask, Heard};
use crate::units::{SampleRate, TurnNo, UtteranceId};

/// A fact about a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// From the far end.
    Leg(LegFact),
    /// From the media line.
    Line(LineFact),
    /// From a provider.
    Heard(Heard),
    /// A provider session could not be opened.
    ProviderMissing {
        /// Why, for the log and the result.
        error: String,
    },
    /// An operator wants the call to end.
    HangUpAsked,
    /// An operator wants keys pressed at the far end.
    KeysAsked {
        /// Out of 0-9, *, #, A-D.
        keys: String,
    },
    /// The worker is draining and this call's time is over.
    DrainOver,
    /// The call's own driver or line failed.
    Broken {
        /// What, for the log and the result.
        what: String,
    },
}

/// An order of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// To the far end.
    Leg(LegOrder),
    /// Open the media line at this rate, and the recording with it.
    OpenLine {
        /// The leg's rate.
        rate: SampleRate,
    },
    /// To the media line.
    Line(LineOrder),
    /// Recognition: a turn begins at this sample of the listening clock, or here.
    BeginTurn {
        /// The turn.
        turn: TurnNo,
        /// Sample of the 16 kHz listening clock.
        pos: Option<u64>,
    },
    /// Recognition: the words so far.
    Take {
        /// The turn.
        turn: TurnNo,
        /// Which take.
        take: u32,
    },
    /// The end-of-turn model.
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
    /// The engine and synthesis: not wanted any more.
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
    /// Playout: audio of a wanted answer.
    Play {
        /// The answer.
        utterance: UtteranceId,
        /// Which piece.
        segment: u16,
        /// PCM16 at the call's rate.
        samples: Arc<[i16]>,
        /// No more of this piece.
        last: bool,
    },
    /// The caller's number goes onto the opt-out list.
    OptOut,
    /// The call is over: close the line, write the result, give the slot back. The last order of a call.
    Finish,
}
