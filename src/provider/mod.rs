//! Ears, mind and voice: recognition, end-of-turn judgement, dialogue and synthesis behind one small trait each, with the
//! local set, the scripted dialogue engine and the stand-ins that implement them.
//!
//! A *provider* is made once per process (it owns models and connections); a *session* once per call. Sessions never block:
//! they hand work to a pool or a task, and everything they find out comes back as [`Heard`] on the call's bounded channel,
//! tagged with the id it belongs to, so a late answer about a cancelled utterance is harmless. Never owns the call's
//! state and never decides whose turn it is.

pub mod hints;
pub mod local;
pub mod models;
pub mod normalise;
pub mod score;
pub mod script;
pub mod standin;

use std::sync::Arc;

pub use hints::Hints;

use crate::turn::{Ask, Heard};
use crate::units::{SampleRate, TurnNo, UtteranceId};

/// Where a session sends what it finds out. Bounded: an async producer awaits space, a pool thread uses
/// `blocking_send`, and a closed channel means that the call is over.
pub type FactSender = tokio::sync::mpsc::Sender<Heard>;

/// What any provider may say went wrong. `Display` says what was expected, what came, what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// A model file or runtime is missing or damaged; the text names it and the command that repairs it.
    #[error("{0}")]
    Unavailable(String),
    /// The provider is saturated; the request was not started.
    #[error("{what} is at its limit of {limit}; try again when a call has ended")]
    Busy {
        /// Which queue or pool.
        what: &'static str,
        /// Its bound.
        limit: usize,
    },
    /// The provider ran and failed.
    #[error("{what} failed: {detail}")]
    Failed {
        /// Which step.
        what: &'static str,
        /// The cause, without personal data.
        detail: String,
    },
    /// No answer within the bound.
    #[error("{what} gave no answer within {after_ms} ms")]
    TimedOut {
        /// Which step.
        what: &'static str,
        /// The bound.
        after_ms: u64,
    },
}

/// Speech recognition.
pub trait Stt: Send + Sync {
    /// Opens the recognition of one call.
    ///
    /// # Errors
    /// Where the models are missing or the provider is at its limit.
    fn open(&self, facts: FactSender) -> Result<Box<dyn SttSession>, ProviderError>;
}

/// The recognition of one call. Audio is the caller's, 16 kHz mono, in order, without gaps (silence included).
pub trait SttSession: Send {
    /// The next stretch of the caller's audio.
    fn audio(&mut self, samples: &[i16]);
    /// The caller began turn `turn`; speech started `ago_ms` before the end of the audio pushed so far. The session keeps
    /// 300 ms more than that as pre-roll and sends [`Heard::Partial`] from time to time while the turn is open.
    fn begin(&mut self, turn: TurnNo, ago_ms: u32);
    /// What the dialogue would understand at this point, for the takes that follow. A recogniser may weigh by it what the audio
    /// leaves open; one that cannot takes no notice.
    fn expect(&mut self, hints: &Arc<Hints>) {
        let _ = hints;
    }
    /// Recognise the turn from its start to here, at once: answered by one [`Heard::Transcribed`] with the same `take`
    /// (also when nothing was understood: empty text). A newer take replaces an older one.
    fn take(&mut self, turn: TurnNo, take: u32);
    /// The turn is over (or was dropped): its audio may go.
    fn end(&mut self, turn: TurnNo);
}

/// The semantic end-of-turn model.
pub trait TurnJudge: Send + Sync {
    /// Opens the judgement of one call.
    ///
    /// # Errors
    /// Where the model is missing.
    fn open(&self, facts: FactSender) -> Result<Box<dyn JudgeSession>, ProviderError>;
}

/// The end-of-turn judgement of one call; fed like [`SttSession`].
pub trait JudgeSession: Send {
    /// The next stretch of the caller's audio, 16 kHz mono.
    fn audio(&mut self, samples: &[i16]);
    /// The caller began turn `turn`; speech started `ago_ms` before the end of the audio pushed so far. What was said before does
    /// not belong to the question.
    fn begin(&mut self, turn: TurnNo, ago_ms: u32);
    /// Is the turn complete, judged by the audio so far? Answered by one [`Heard::Judged`] with the same `take`.
    fn judge(&mut self, turn: TurnNo, take: u32);
}

/// Speech synthesis.
pub trait Tts: Send + Sync {
    /// Opens the voice of one call; audio comes at `rate`.
    ///
    /// # Errors
    /// Where the models are missing, the voice is unknown or the provider is at its limit.
    fn open(&self, voice: &Voice, rate: SampleRate, facts: FactSender) -> Result<Box<dyn TtsSession>, ProviderError>;
}

/// What a bot asks of its voice.
#[derive(Clone, Debug, PartialEq)]
pub struct Voice {
    /// The voice's name; the local set has `heart`.
    pub name: String,
    /// Pace, 1.0 = normal, 0.5 to 2.0.
    pub speed: f32,
    /// BCP 47 language of the spoken text.
    pub language: String,
    /// Word → respelling, applied by the normaliser (whole words, case-insensitive).
    pub pronounce: Arc<[(String, String)]>,
    /// Money without a currency sign is read as this ISO 4217 code where the text marks it as money.
    pub currency: String,
}

/// The synthesis of one call. Segments are spoken in the order of the calls to `say`.
pub trait TtsSession: Send {
    /// Speak `text` (already rendered; the session normalises it) as segment `segment` of `utterance`: answered by
    /// [`Heard::Spoken`] chunks, the last with `last: true`, or by [`Heard::SpeechFailed`].
    fn say(&mut self, utterance: UtteranceId, segment: u16, text: &str);
    /// Nothing of `utterance` is wanted any more.
    fn cancel(&mut self, utterance: UtteranceId);
}

/// A dialogue engine or language model.
pub trait Llm: Send + Sync {
    /// Opens the dialogue of one call.
    ///
    /// # Errors
    /// Where the engine cannot serve the bot (no script, no key, at its limit).
    fn open(&self, call: &DialogueContext, facts: FactSender) -> Result<Box<dyn LlmSession>, ProviderError>;
}

/// What the engine knows of the call before the first word.
#[derive(Clone, Debug, Default)]
pub struct DialogueContext {
    /// The rendered system prompt.
    pub system: String,
    /// Everything templates may name, for lines that are rendered late (script lines, tool texts).
    pub values: Arc<crate::template::Values>,
}

/// The dialogue of one call.
pub trait LlmSession: Send {
    /// Answer: streamed as [`Heard::Drafted`], perhaps [`Heard::ToolCalled`], then one [`Heard::DraftEnded`], or
    /// [`Heard::DraftFailed`].
    fn ask(&mut self, ask: Ask);
    /// The answer `utterance` is no longer wanted. What it would have changed must not stand: see [`Ask::after`].
    fn cancel(&mut self, utterance: UtteranceId);
    /// What the engine would understand next, where it knows that; an opinion of this moment, as an answer may be taken back.
    fn expects(&mut self) -> Option<Arc<Hints>> {
        None
    }
    /// What the engine made of the call so far, for the result: `{disposition, summary, slots}` from the scripted engine,
    /// nothing from a language model (its analysis runs after the call).
    fn outcome(&self) -> Option<serde_json::Value>;
    /// The same of a call whose caller nobody took when the dialogue handed him over: it must not claim that somebody did.
    fn outcome_untaken(&self) -> Option<serde_json::Value> {
        self.outcome()
    }
}
