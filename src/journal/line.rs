//! Mirrors of what passes between a call and its media line, and of the remaining facts and orders. Moments are kept as
//! microseconds since the call was accepted, so that a journal reads the same on every machine.

use serde::{Deserialize, Serialize};

use crate::call::{self, line};
use crate::units::{Moment, UtteranceId};

/// Mirror of [`line::LineFact`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineFact {
    /// The first tick.
    Opened {
        /// When.
        at_us: u64,
    },
    /// The caller's voice is on.
    VoiceBegan {
        /// Since when.
        since_us: u64,
        /// Sample of the listening clock, 16 kHz.
        pos: u64,
    },
    /// The caller's voice is off.
    VoiceCeased {
        /// Since when.
        since_us: u64,
        /// Wait in the jitter queue.
        queue_ms: u32,
    },
    /// The first frame of an answer left.
    SpeechBegan {
        /// The answer.
        utterance: u32,
        /// When.
        at_us: u64,
    },
    /// A piece was heard to its end.
    SegmentHeard {
        /// The answer.
        utterance: u32,
        /// Which piece.
        segment: u16,
    },
    /// An answer was cut.
    SpeechCut {
        /// The answer.
        utterance: u32,
        /// Which piece.
        segment: u16,
        /// How much of it was heard.
        heard_ms: u32,
    },
    /// A tone of the kind that voicemails beep with has ended.
    Beeped {
        /// When.
        ended_us: u64,
        /// Its pitch.
        hz: u16,
        /// How long it sounded.
        lasted_ms: u32,
    },
    /// A key was pressed, told with the audio.
    Digit {
        /// The key.
        digit: char,
    },
    /// The far end sends nothing any more.
    FarEndSilent,
    /// The line's facts overran.
    Overrun,
    /// The line broke off.
    Broken,
}

impl LineFact {
    /// The mirror of `fact`, with moments counted from `origin`.
    #[must_use]
    pub fn of(fact: &line::LineFact, origin: Moment) -> Self {
        let us = |at: Moment| at.as_micros().saturating_sub(origin.as_micros());
        match *fact {
            line::LineFact::Opened { at } => Self::Opened { at_us: us(at) },
            line::LineFact::VoiceBegan { since, pos } => Self::VoiceBegan { since_us: us(since), pos },
            line::LineFact::VoiceCeased { since, queue_ms } => Self::VoiceCeased { since_us: us(since), queue_ms },
            line::LineFact::SpeechBegan { utterance, at } => {
                Self::SpeechBegan { utterance: utterance.0, at_us: us(at) }
            }
            line::LineFact::SegmentHeard { utterance, segment } => {
                Self::SegmentHeard { utterance: utterance.0, segment }
            }
            line::LineFact::SpeechCut { utterance, segment, heard_ms } => {
                Self::SpeechCut { utterance: utterance.0, segment, heard_ms }
            }
            line::LineFact::Beeped { ended, hz, lasted_ms } => Self::Beeped { ended_us: us(ended), hz, lasted_ms },
            line::LineFact::Digit { digit } => Self::Digit { digit },
            line::LineFact::FarEndSilent => Self::FarEndSilent,
            line::LineFact::Overrun => Self::Overrun,
            line::LineFact::Broken => Self::Broken,
        }
    }

    /// The fact itself, with moments counted from `origin`.
    #[must_use]
    pub const fn fact(self, origin: Moment) -> line::LineFact {
        match self {
            Self::Opened { at_us } => line::LineFact::Opened { at: after(origin, at_us) },
            Self::VoiceBegan { since_us, pos } => line::LineFact::VoiceBegan { since: after(origin, since_us), pos },
            Self::VoiceCeased { since_us, queue_ms } => {
                line::LineFact::VoiceCeased { since: after(origin, since_us), queue_ms }
            }
            Self::SpeechBegan { utterance, at_us } => {
                line::LineFact::SpeechBegan { utterance: UtteranceId(utterance), at: after(origin, at_us) }
            }
            Self::SegmentHeard { utterance, segment } => {
                line::LineFact::SegmentHeard { utterance: UtteranceId(utterance), segment }
            }
            Self::SpeechCut { utterance, segment, heard_ms } => {
                line::LineFact::SpeechCut { utterance: UtteranceId(utterance), segment, heard_ms }
            }
            Self::Beeped { ended_us, hz, lasted_ms } => {
                line::LineFact::Beeped { ended: after(origin, ended_us), hz, lasted_ms }
            }
            Self::Digit { digit } => line::LineFact::Digit { digit },
            Self::FarEndSilent => line::LineFact::FarEndSilent,
            Self::Overrun => line::LineFact::Overrun,
            Self::Broken => line::LineFact::Broken,
        }
    }
}

const fn after(origin: Moment, us: u64) -> Moment {
    Moment::from_micros(origin.as_micros() + us)
}

/// Mirror of [`line::LineOrder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineOrder {
    /// Stop sending, keep the place.
    Pause,
    /// Go on.
    Resume,
    /// Drop this answer and everything older.
    Cut {
        /// The answer.
        utterance: u32,
    },
    /// Look for a beep from here on, or no longer.
    SeekBeep {
        /// From here on.
        on: bool,
    },
    /// The caller hears himself.
    Echo,
    /// Finish.
    Close,
}

impl From<&line::LineOrder> for LineOrder {
    fn from(order: &line::LineOrder) -> Self {
        match *order {
            line::LineOrder::Pause => Self::Pause,
            line::LineOrder::Resume => Self::Resume,
            line::LineOrder::Cut { utterance } => Self::Cut { utterance: utterance.0 },
            line::LineOrder::SeekBeep { on } => Self::SeekBeep { on },
            line::LineOrder::Echo => Self::Echo,
            line::LineOrder::Close => Self::Close,
        }
    }
}

/// What the worker itself told the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worker {
    /// A provider session could not be opened.
    ProviderMissing {
        /// Why.
        error: String,
    },
    /// An operator wants the call to end.
    HangUpAsked,
    /// An operator wants keys pressed at the far end.
    KeysAsked {
        /// Which.
        keys: String,
    },
    /// The drain's time is over.
    DrainOver,
    /// The call's driver or line failed.
    Broken {
        /// What.
        what: String,
    },
}

/// The call's remaining orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Other {
    /// Open the media line.
    OpenLine {
        /// At this rate.
        rate_hz: u32,
    },
    /// Recognition: a turn begins.
    BeginTurn {
        /// The turn.
        turn: u32,
        /// Sample of the listening clock.
        pos: Option<u64>,
    },
    /// Recognition: the words so far.
    Take {
        /// The turn.
        turn: u32,
        /// Which take.
        take: u32,
    },
    /// The end-of-turn model.
    Judge {
        /// The turn.
        turn: u32,
        /// Which take.
        take: u32,
    },
    /// Recognition: the turn is over.
    EndTurn {
        /// The turn.
        turn: u32,
    },
    /// An answer is not wanted any more.
    CancelAnswer {
        /// The answer.
        utterance: u32,
    },
    /// Synthesis: speak.
    Say {
        /// The answer.
        utterance: u32,
        /// Which piece.
        segment: u16,
        /// Its text.
        text: String,
    },
    /// Playout: audio of an answer.
    Play {
        /// The answer.
        utterance: u32,
        /// Which piece.
        segment: u16,
        /// How much, in samples at the call's rate.
        samples: usize,
        /// No more of this piece.
        last: bool,
    },
    /// The caller asked not to be called again.
    OptOut,
    /// The call is over.
    Finish,
}

impl Other {
    /// The mirror of an order that has no mirror of its own; `None` for those that have.
    #[must_use]
    pub fn of(order: &call::Order) -> Option<Self> {
        use call::Order as O;
        Some(match order {
            O::Leg(_) | O::Line(_) | O::Ask(_) => return None,
            O::OpenLine { rate } => Self::OpenLine { rate_hz: rate.hz() },
            O::BeginTurn { turn, pos } => Self::BeginTurn { turn: turn.0, pos: *pos },
            O::Take { turn, take } => Self::Take { turn: turn.0, take: *take },
            O::Judge { turn, take } => Self::Judge { turn: turn.0, take: *take },
            O::EndTurn { turn } => Self::EndTurn { turn: turn.0 },
            O::CancelAnswer { utterance } => Self::CancelAnswer { utterance: utterance.0 },
            O::Say { utterance, segment, text } => {
                Self::Say { utterance: utterance.0, segment: *segment, text: text.clone() }
            }
            O::Play { utterance, segment, samples, last } => {
                Self::Play { utterance: utterance.0, segment: *segment, samples: samples.len(), last: *last }
            }
            O::OptOut => Self::OptOut,
            O::Finish => Self::Finish,
        })
    }
}
