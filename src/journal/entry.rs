//! One line of a journal, and the header line that stands above them. The field names are the file format: they are never
//! renamed, only added to; a reader skips what it does not know and says so.

use serde::{Deserialize, Serialize};

use super::{Fact, Order};
use crate::units::{Moment, Stamp};
use crate::{call, turn};

/// The version of the format that this program writes.
pub const VERSION: u32 = 1;

/// The first line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// The call.
    pub call_id: String,
    /// The bot that served it.
    pub bot: String,
    /// The hash of the bot's file and everything it names.
    pub bot_version: String,
    /// When the call was accepted, in milliseconds since the Unix epoch; `at_us` counts from here.
    #[serde(with = "unix_ms")]
    pub started: Stamp,
}

/// Every other line of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Microseconds since the call was accepted, on the monotonic clock.
    pub at_us: u64,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The call was told this.
    Fact(Fact),
    /// The call decided this.
    Order(Order),
    /// Kept for the result, should the process not live to write it.
    Note(Note),
}

/// What a result needs and facts alone do not say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// The recording began; positions in it count from here.
    Recording {
        /// Its rate.
        rate_hz: u32,
    },
    /// The customer is on the line: the duration of the call counts from here.
    Answered,
    /// One line of the transcript is settled.
    Said(Said),
    /// The call has ended for this reason. Its result is written next.
    Ended {
        /// Code of the end reason.
        end_reason: String,
        /// One of the six words of the result.
        disconnected_by: String,
        /// What the dialogue engine made of the call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        analysis: Option<serde_json::Value>,
    },
    /// The far end reports a piece of speech as played.
    FarPlayout {
        /// The mark's name.
        mark: String,
        /// How long after the line's clock had played it, in milliseconds: the far end's buffer and the way there and back, less the
        /// last frame. Negative where the far end is ahead.
        lag_ms: i64,
    },
    /// Who has answered, as far as it is known: everything so far, each time there is something new.
    Voicemail(Answerer),
    /// A message of the call's signalling, without addresses and numbers.
    Sip {
        /// We sent it.
        sent: bool,
        /// Method or status.
        message: String,
    },
    /// Lines are missing here: the queue to the disk was full.
    Lost {
        /// How many bytes.
        bytes: u64,
    },
}

/// Who has answered an outgoing call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answerer {
    /// `unknown`, `human`, `machine` or `beep`.
    pub verdict: String,
    /// In hundredths, so that a line reads back as it was written.
    pub confidence: u32,
    /// The evidence, oldest first.
    pub signals: Vec<Sign>,
    /// The message was said to its end.
    pub message_left: bool,
}

/// One piece of evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sign {
    /// What.
    pub kind: String,
    /// When, on the recording's clock.
    pub at_ms: u64,
    /// What was measured.
    pub detail: String,
}

impl Answerer {
    /// What a call knows; `zero` is where its recording begins.
    #[must_use]
    pub fn of(known: &call::Voicemail<'_>, zero: Moment) -> Self {
        let sign = |signal: &call::Signal| Sign {
            kind: signal.kind.code().to_owned(),
            at_ms: signal.at.ms_since(zero),
            detail: signal.detail.clone(),
        };
        Self {
            verdict: known.verdict.code().to_owned(),
            confidence: (known.confidence * 100.0).round() as u32,
            signals: known.signals.iter().map(sign).collect(),
            message_left: known.message_left,
        }
    }
}

/// One line of the transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// `bot` or `customer`.
    pub speaker: Who,
    /// The words; for the bot those that were played.
    pub text: String,
    /// Where it begins on the recording's clock.
    pub start_ms: u64,
    /// Where it ends on the recording's clock.
    pub end_ms: u64,
    /// The customer heard it to the end.
    pub heard: bool,
    /// Which turn of the call it belongs to.
    pub turn: u32,
}

/// Who spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The bot.
    Bot,
    /// The person at the other end.
    Customer,
}

impl From<turn::Speaker> for Who {
    fn from(speaker: turn::Speaker) -> Self {
        match speaker {
            turn::Speaker::Bot => Self::Bot,
            turn::Speaker::Customer => Self::Customer,
        }
    }
}

impl From<Who> for turn::Speaker {
    fn from(who: Who) -> Self {
        match who {
            Who::Bot => Self::Bot,
            Who::Customer => Self::Customer,
        }
    }
}

/// A wall time as a number of milliseconds.
mod unix_ms {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::units::Stamp;

    pub(super) fn serialize<S: Serializer>(stamp: &Stamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(stamp.unix_ms())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Stamp, D::Error> {
        i64::deserialize(from).map(Stamp::from_unix_ms)
    }
}
