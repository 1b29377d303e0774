//! What providers tell the turn loop, and what it asks of the dialogue engine: plain values, tagged with the id they belong
//! to. Never a wire format.

use std::sync::Arc;

use crate::units::{TurnNo, UtteranceId};

/// A fact from a provider about one call.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// Recognised so far in an open turn; replaces the partial before it.
    Partial {
        /// The turn.
        turn: TurnNo,
        /// The words so far, as the recogniser wrote them.
        text: String,
        /// How sure the recogniser is of them, 0 to 1: the likelihood of a piece of the words, as the geometric mean over all of
        /// them. 1 where it does not say.
        sure: f32,
    },
    /// The whole turn up to the moment of `take`; empty where nothing was understood.
    Transcribed {
        /// The turn.
        turn: TurnNo,
        /// Which take was asked.
        take: u32,
        /// The words.
        text: String,
        /// How sure the recogniser is of them, as with a partial.
        sure: f32,
    },
    /// The words of a take, which follow at once, are wholly what the dialogue waits for.
    Expected {
        /// The turn.
        turn: TurnNo,
        /// Which take was asked.
        take: u32,
    },
    /// The end-of-turn model's opinion.
    Judged {
        /// The turn.
        turn: TurnNo,
        /// Which take was asked.
        take: u32,
        /// Probability that the caller has finished, 0 to 1.
        complete: f32,
    },
    /// More text of an answer.
    Drafted {
        /// The answer.
        utterance: UtteranceId,
        /// The piece, in order; pieces may cut words and sentences anywhere.
        text: String,
        /// This piece must be heard to its end (disclosure, legal line): it cannot be interrupted.
        protected: bool,
    },
    /// The answer wants a tool to run, after what was drafted before it.
    ToolCalled {
        /// The answer.
        utterance: UtteranceId,
        /// The call.
        tool: ToolCall,
    },
    /// The answer is complete.
    DraftEnded {
        /// The answer.
        utterance: UtteranceId,
    },
    /// The engine failed; `retry` says whether asking again makes sense.
    DraftFailed {
        /// The answer.
        utterance: UtteranceId,
        /// Why, without personal data.
        error: String,
    },
    /// Synthesised audio at the call's own rate.
    Spoken {
        /// The answer.
        utterance: UtteranceId,
        /// Which `Say` of it, counted from 0.
        segment: u16,
        /// PCM16 mono; shared, so that cached lines cost nothing.
        samples: Arc<[i16]>,
        /// No more audio for this segment.
        last: bool,
    },
    /// A segment could not be synthesised.
    SpeechFailed {
        /// The answer.
        utterance: UtteranceId,
        /// Which segment.
        segment: u16,
        /// Why, without personal data.
        error: String,
    },
    /// Recognition of this call is broken.
    ListenFailed {
        /// Why, without personal data.
        error: String,
    },
}

/// When the keys that a caller presses are an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyEntry {
    /// It is complete with so many.
    pub most: usize,
    /// It is complete with this key, which is no part of it.
    pub end: Option<char>,
    /// It is complete when no key has followed for so long.
    pub gap_ms: u64,
}

impl Default for KeyEntry {
    fn default() -> Self {
        Self { most: 64, end: Some('#'), gap_ms: 2_000 }
    }
}

/// The engine wants something done.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolCall {
    /// Hang up once everything drafted before was heard.
    EndCall {
        /// Machine-readable cause, e.g. `completed`, `opted_out`.
        reason: String,
    },
    /// Hand the caller to `to` once everything drafted before was heard.
    Transfer {
        /// Number, extension or URI.
        to: String,
    },
    /// The number goes onto the opt-out list.
    OptOut,
    /// From now on keys of the caller belong together so; until another of these comes.
    CollectKeys(KeyEntry),
    /// Press keys at the far end once everything drafted before was heard.
    SendKeys {
        /// Out of 0-9, *, #, A-D.
        keys: String,
    },
}

impl ToolCall {
    /// The tool's name as a language model would call it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::EndCall { .. } => "end_call",
            Self::Transfer { .. } => "transfer_call",
            Self::OptOut => "opt_out",
            Self::SendKeys { .. } => "send_dtmf",
            Self::CollectKeys(_) => "collect_dtmf",
        }
    }
}

/// Who spoke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speaker {
    /// The bot.
    Bot,
    /// The person at the other end.
    Customer,
}

/// One line of the conversation as it was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryItem {
    /// Who.
    pub speaker: Speaker,
    /// For the bot only the words that were played.
    pub text: String,
}

/// Why the bot is asked to speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskCause {
    /// The call has just been opened: say the opening line.
    Opening,
    /// The caller finished a turn with these words.
    Caller(String),
    /// The caller typed digits.
    Digits(String),
    /// Nobody spoke for the idle time; 1 for the first reminder, 2 for the second.
    Idle(u8),
    /// Nobody answered the reminders: say goodbye; the call ends afterwards.
    IdleGoodbye,
    /// The maximum duration is near: say the warning.
    TimeWarning,
    /// The caller spoke but nothing was understood.
    Unclear,
}

/// One request to the dialogue engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The id of the answer that is wanted.
    pub utterance: UtteranceId,
    /// The last answer of which the caller heard at least a word. Whatever the engine did for answers after it never
    /// happened (they were abandoned unheard), so an engine with state goes back to where it stood after this one.
    pub after: Option<UtteranceId>,
    /// Why.
    pub cause: AskCause,
    /// The conversation as heard, oldest first, without the words of `cause`.
    pub history: Arc<[HistoryItem]>,
    /// The last answer was cut short by the caller.
    pub interrupted: bool,
}

/// Which provider a fact is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProviderRole {
    /// Speech recognition.
    Stt,
    /// The end-of-turn model.
    Judge,
    /// The dialogue engine.
    Llm,
    /// Speech synthesis.
    Tts,
}
