//! Mirrors of what a call can be told. A mirror keeps the words of the file format still while the machines' own types
//! move; audio is kept as its length only, because the recording has it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::line::{LineFact, Worker};
use crate::units::{Moment, Pii, SampleRate, TurnNo, UtteranceId};
use crate::{call, turn};

/// A line of an older or damaged file that the machines of today cannot take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("journal: expected {expected}, found {actual}; the line cannot be replayed")]
pub struct MirrorError {
    /// What the machine takes.
    pub expected: &'static str,
    /// What stands in the file.
    pub actual: String,
}

/// What the call was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The leg opened with these words.
    Opened(LegMeta),
    /// From the leg, after the opening.
    Leg(LegFact),
    /// From a provider.
    Heard(Heard),
    /// From the call's line on its media shard.
    Line(LineFact),
    /// From the worker: drain asked, hang-up asked by an operator.
    Worker(Worker),
}

impl Fact {
    /// The mirror of `fact`, with moments counted from `origin`.
    #[must_use]
    pub fn of(fact: &call::Fact, origin: Moment) -> Self {
        match fact {
            call::Fact::Leg(leg) => Self::Leg(leg.into()),
            call::Fact::Line(line) => Self::Line(LineFact::of(line, origin)),
            call::Fact::Heard(heard) => Self::Heard(heard.into()),
            call::Fact::ProviderMissing { error } => Self::Worker(Worker::ProviderMissing { error: error.clone() }),
            call::Fact::KeysAsked { keys } => Self::Worker(Worker::KeysAsked { keys: keys.clone() }),
            call::Fact::HangUpAsked => Self::Worker(Worker::HangUpAsked),
            call::Fact::DrainOver => Self::Worker(Worker::DrainOver),
            call::Fact::Broken { what } => Self::Worker(Worker::Broken { what: what.clone() }),
        }
    }
}

/// Mirror of [`call::LegMeta`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegMeta {
    /// The customer's number.
    pub caller_id: String,
    /// The number that was dialled.
    pub did: String,
    /// The dialler rang the customer.
    pub outgoing: bool,
    /// Custom fields of the opening message.
    #[serde(default)]
    pub custom: BTreeMap<String, String>,
    /// The far end answers marks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub marks: bool,
    /// A call that we placed: the longest that its leg let it ring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring_limit_ms: Option<u64>,
    /// The far end says what became of a transfer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tells_transfers: bool,
}

impl From<&call::LegMeta> for LegMeta {
    fn from(meta: &call::LegMeta) -> Self {
        Self {
            caller_id: meta.caller_id.reveal().clone(),
            did: meta.did.clone(),
            outgoing: meta.outgoing,
            custom: meta.custom.clone(),
            marks: meta.marks,
            ring_limit_ms: meta.ring_limit_ms,
            tells_transfers: meta.tells_transfers,
        }
    }
}

impl From<LegMeta> for call::LegMeta {
    fn from(meta: LegMeta) -> Self {
        Self {
            caller_id: Pii::new(meta.caller_id),
            did: meta.did,
            outgoing: meta.outgoing,
            custom: meta.custom,
            marks: meta.marks,
            ring_limit_ms: meta.ring_limit_ms,
            tells_transfers: meta.tells_transfers,
        }
    }
}

/// Mirror of [`call::LegFact`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegFact {
    /// Audio may flow.
    Started {
        /// Samples per second.
        rate_hz: u32,
    },
    /// The customer is on the line.
    Answered,
    /// One key was pressed.
    Digit {
        /// Which.
        digit: char,
    },
    /// The far end is past this mark.
    Mark {
        /// The mark's name.
        name: String,
        /// Played, otherwise cleared.
        played: bool,
    },
    /// The far end hung up.
    HungUp {
        /// Its own word for who ended the call.
        by: Option<String>,
    },
    /// The caller was not handed over.
    TransferFailed {
        /// SIP's status, where one came.
        status: Option<u16>,
    },
    /// Nobody was reached.
    Unreached {
        /// The code of the reason.
        reason: String,
    },
    /// The leg is gone without a word.
    Lost(LegLoss),
}

/// Mirror of [`call::LegLoss`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegLoss {
    /// The peer closed the connection.
    Closed,
    /// Neither a frame nor a pong.
    Silent,
    /// The peer did not read.
    Stuck,
    /// The peer broke the protocol.
    Protocol,
    /// The handshake or the ringing took too long.
    Unanswered,
    /// The leg's own task failed.
    Internal,
}

impl From<&call::LegFact> for LegFact {
    fn from(fact: &call::LegFact) -> Self {
        match fact {
            call::LegFact::Started { rate } => Self::Started { rate_hz: rate.hz() },
            call::LegFact::Answered => Self::Answered,
            call::LegFact::Digit { digit } => Self::Digit { digit: *digit },
            call::LegFact::Mark { mark, played } => Self::Mark { name: mark.to_string(), played: *played },
            call::LegFact::HungUp { by } => Self::HungUp { by: by.clone() },
            call::LegFact::TransferFailed { status } => Self::TransferFailed { status: *status },
            call::LegFact::Unreached(reason) => Self::Unreached { reason: reason.code().to_owned() },
            call::LegFact::Lost(loss) => Self::Lost(match loss {
                call::LegLoss::Closed => LegLoss::Closed,
                call::LegLoss::Silent => LegLoss::Silent,
                call::LegLoss::Stuck => LegLoss::Stuck,
                call::LegLoss::Unanswered => LegLoss::Unanswered,
                call::LegLoss::Protocol => LegLoss::Protocol,
                call::LegLoss::Internal => LegLoss::Internal,
            }),
        }
    }
}

impl TryFrom<LegFact> for call::LegFact {
    type Error = MirrorError;

    fn try_from(fact: LegFact) -> Result<Self, MirrorError> {
        Ok(match fact {
            LegFact::Started { rate_hz } => Self::Started { rate: sample_rate(rate_hz)? },
            LegFact::Answered => Self::Answered,
            LegFact::Digit { digit } => Self::Digit { digit },
            LegFact::Mark { name, played } => match call::Mark::parse(&name) {
                Some(mark) => Self::Mark { mark, played },
                None => return Err(MirrorError { expected: "a mark's name as g3.u1", actual: name }),
            },
            LegFact::HungUp { by } => Self::HungUp { by },
            LegFact::TransferFailed { status } => Self::TransferFailed { status },
            LegFact::Unreached { reason } => match call::EndReason::of(&reason) {
                Some(reason) => Self::Unreached(reason),
                None => return Err(MirrorError { expected: "the code of an end reason", actual: reason }),
            },
            LegFact::Lost(loss) => Self::Lost(match loss {
                LegLoss::Closed => call::LegLoss::Closed,
                LegLoss::Silent => call::LegLoss::Silent,
                LegLoss::Stuck => call::LegLoss::Stuck,
                LegLoss::Unanswered => call::LegLoss::Unanswered,
                LegLoss::Protocol => call::LegLoss::Protocol,
                LegLoss::Internal => call::LegLoss::Internal,
            }),
        })
    }
}

/// A rate in a file is a number; a machine's is checked.
fn sample_rate(hz: u32) -> Result<SampleRate, MirrorError> {
    SampleRate::new(hz)
        .ok_or_else(|| MirrorError { expected: "a sample rate of 1 to 384000 Hz", actual: hz.to_string() })
}

/// Journals of versions that did not say.
const fn certain() -> f32 {
    1.0
}

/// Mirror of [`turn::Heard`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    /// Recognised so far.
    Partial {
        /// The caller's turn.
        turn: u32,
        /// The words.
        text: String,
        /// How sure the recogniser was of them, 0 to 1.
        #[serde(default = "certain")]
        sure: f32,
    },
    /// The turn up to a take.
    Transcribed {
        /// The caller's turn.
        turn: u32,
        /// Which take.
        take: u32,
        /// The words.
        text: String,
        /// How sure the recogniser was of them, 0 to 1.
        #[serde(default = "certain")]
        sure: f32,
    },
    /// The words of a take are wholly what the dialogue waits for.
    Expected {
        /// The caller's turn.
        turn: u32,
        /// Which take.
        take: u32,
    },
    /// The end-of-turn model's opinion.
    Judged {
        /// The caller's turn.
        turn: u32,
        /// Which take.
        take: u32,
        /// Probability that the caller has finished; 0 where the model gave no number.
        complete: f32,
    },
    /// More text of an answer.
    Drafted {
        /// The answer.
        utterance: u32,
        /// The piece.
        text: String,
        /// It must be heard to its end.
        protected: bool,
    },
    /// The answer wants a tool.
    ToolCalled {
        /// The answer.
        utterance: u32,
        /// Which.
        tool: ToolCall,
    },
    /// The answer is complete.
    DraftEnded {
        /// The answer.
        utterance: u32,
    },
    /// The engine failed.
    DraftFailed {
        /// The answer.
        utterance: u32,
        /// Why.
        error: String,
    },
    /// Audio of an answer, as its length.
    Spoken {
        /// The answer.
        utterance: u32,
        /// Which segment.
        segment: u16,
        /// How many samples came.
        samples: u64,
        /// No more for this segment.
        last: bool,
    },
    /// A segment could not be synthesised.
    SpeechFailed {
        /// The answer.
        utterance: u32,
        /// Which segment.
        segment: u16,
        /// Why.
        error: String,
    },
    /// Recognition of this call is broken.
    ListenFailed {
        /// Why.
        error: String,
    },
}

/// Mirror of [`turn::ToolCall`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolCall {
    /// Hang up.
    EndCall {
        /// Why.
        reason: String,
    },
    /// Hand the caller over.
    Transfer {
        /// To whom.
        to: String,
    },
    /// The number goes onto the opt-out list.
    OptOut,
    /// How keys of the caller belong together.
    CollectKeys {
        /// Complete with so many.
        most: usize,
        /// Complete with this key.
        end: Option<char>,
        /// Complete after so long without one.
        gap_ms: u64,
    },
    /// Press keys at the far end.
    SendKeys {
        /// Which.
        keys: String,
    },
}

impl From<&turn::ToolCall> for ToolCall {
    fn from(tool: &turn::ToolCall) -> Self {
        match tool {
            turn::ToolCall::EndCall { reason } => Self::EndCall { reason: reason.clone() },
            turn::ToolCall::Transfer { to } => Self::Transfer { to: to.clone() },
            turn::ToolCall::OptOut => Self::OptOut,
            turn::ToolCall::SendKeys { keys } => Self::SendKeys { keys: keys.clone() },
            turn::ToolCall::CollectKeys(turn::KeyEntry { most, end, gap_ms }) => {
                Self::CollectKeys { most: *most, end: *end, gap_ms: *gap_ms }
            }
        }
    }
}

impl From<ToolCall> for turn::ToolCall {
    fn from(tool: ToolCall) -> Self {
        match tool {
            ToolCall::EndCall { reason } => Self::EndCall { reason },
            ToolCall::Transfer { to } => Self::Transfer { to },
            ToolCall::OptOut => Self::OptOut,
            ToolCall::SendKeys { keys } => Self::SendKeys { keys },
            ToolCall::CollectKeys { most, end, gap_ms } => Self::CollectKeys(turn::KeyEntry { most, end, gap_ms }),
        }
    }
}

impl From<&turn::Heard> for Heard {
    fn from(heard: &turn::Heard) -> Self {
        use turn::Heard as H;
        match heard {
            H::Partial { turn, text, sure } => Self::Partial { turn: turn.0, text: text.clone(), sure: *sure },
            H::Transcribed { turn, take, text, sure } => {
                Self::Transcribed { turn: turn.0, take: *take, text: text.clone(), sure: *sure }
            }
            H::Expected { turn, take } => Self::Expected { turn: turn.0, take: *take },
            H::Judged { turn, take, complete } => {
                // JSON has no word for what is not a number.
                let complete = if complete.is_finite() { *complete } else { 0.0 };
                Self::Judged { turn: turn.0, take: *take, complete }
            }
            H::Drafted { utterance, text, protected } => {
                Self::Drafted { utterance: utterance.0, text: text.clone(), protected: *protected }
            }
            H::ToolCalled { utterance, tool } => Self::ToolCalled { utterance: utterance.0, tool: tool.into() },
            H::DraftEnded { utterance } => Self::DraftEnded { utterance: utterance.0 },
            H::DraftFailed { utterance, error } => Self::DraftFailed { utterance: utterance.0, error: error.clone() },
            H::Spoken { utterance, segment, samples, last } => {
                Self::Spoken { utterance: utterance.0, segment: *segment, samples: samples.len() as u64, last: *last }
            }
            H::SpeechFailed { utterance, segment, error } => {
                Self::SpeechFailed { utterance: utterance.0, segment: *segment, error: error.clone() }
            }
            H::ListenFailed { error } => Self::ListenFailed { error: error.clone() },
        }
    }
}

/// The most audio that one chunk of speech is believed to hold: an hour at 24 kHz.
const MAX_CHUNK_SAMPLES: u64 = 3_600 * 24_000;

impl TryFrom<Heard> for turn::Heard {
    type Error = MirrorError;

    /// Speech comes back as silence of its length.
    fn try_from(heard: Heard) -> Result<Self, MirrorError> {
        Ok(match heard {
            Heard::Partial { turn, text, sure } => Self::Partial { turn: TurnNo(turn), text, sure },
            Heard::Transcribed { turn, take, text, sure } => Self::Transcribed { turn: TurnNo(turn), take, text, sure },
            Heard::Expected { turn, take } => Self::Expected { turn: TurnNo(turn), take },
            Heard::Judged { turn, take, complete } => Self::Judged { turn: TurnNo(turn), take, complete },
            Heard::Drafted { utterance, text, protected } => {
                Self::Drafted { utterance: UtteranceId(utterance), text, protected }
            }
            Heard::ToolCalled { utterance, tool } => {
                Self::ToolCalled { utterance: UtteranceId(utterance), tool: tool.into() }
            }
            Heard::DraftEnded { utterance } => Self::DraftEnded { utterance: UtteranceId(utterance) },
            Heard::DraftFailed { utterance, error } => Self::DraftFailed { utterance: UtteranceId(utterance), error },
            Heard::Spoken { utterance, segment, samples, last } => {
                let samples = usize::try_from(samples)
                    .ok()
                    .filter(|&n| n as u64 <= MAX_CHUNK_SAMPLES)
                    .ok_or_else(|| MirrorError { expected: "at most an hour of audio", actual: samples.to_string() })?;
                let samples: Arc<[i16]> = std::iter::repeat_n(0, samples).collect();
                Self::Spoken { utterance: UtteranceId(utterance), segment, samples, last }
            }
            Heard::SpeechFailed { utterance, segment, error } => {
                Self::SpeechFailed { utterance: UtteranceId(utterance), segment, error }
            }
            Heard::ListenFailed { error } => Self::ListenFailed { error },
        })
    }
}
