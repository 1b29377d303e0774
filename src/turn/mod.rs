//! The turn loop: whose turn it is, when it ends, who may interrupt, what was heard. A state machine that takes facts and the
//! time and gives orders and a deadline. Never reads a clock, never touches audio, never knows which provider or leg it
//! works with.

mod answer;
mod barge_in;
mod caller;
mod fact;
mod history;
mod hold;
mod idle;
mod listening;
mod order;
mod patience;
mod policy;
mod sentence;
mod speaking;
mod state;
mod timeline;
mod words;

use std::collections::VecDeque;

use answer::Answer;
use barge_in::BargeIn;
use caller::CallerTurn;
use idle::Idle;

pub use fact::{Ask, AskCause, Heard, HistoryItem, KeyEntry, ProviderRole, Speaker, ToolCall};
pub use history::{History, TranscriptLine};
pub use order::TurnOrder;
pub use patience::Ending;
pub use policy::Policy;
pub use sentence::SentenceCutter;
pub use state::TurnState;
pub use timeline::{Stage, TurnTiming};

use patience::Patience;

use crate::units::{Moment, TurnNo, UtteranceId};

/// Turn timings kept for the result.
const MOST_TIMINGS: usize = 500;
/// Answers of the engine that may fail in a row before the conversation is given up.
const MOST_FAILURES: u32 = 3;
/// The line says within this time where a cut answer stopped.
const CUT_LIMIT_MS: u64 = 500;
/// Said where the engine failed, or synthesis did twice.
const APOLOGY: &str = "Sorry, I had a problem just now. Could you say that again, please?";

/// What playout tells the turn loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlayoutFact {
    /// The first frame of an answer left.
    Began {
        /// The answer.
        utterance: UtteranceId,
    },
    /// A piece was heard to its end.
    SegmentHeard {
        /// The answer.
        utterance: UtteranceId,
        /// Which piece.
        segment: u16,
    },
    /// The far end threw a piece away without being told to: it was not heard to its end, and never will be.
    SegmentLost {
        /// The answer.
        utterance: UtteranceId,
        /// Which piece.
        segment: u16,
    },
    /// An answer was cut.
    Cut {
        /// The answer.
        utterance: UtteranceId,
        /// The piece that was being heard.
        segment: u16,
        /// How much of it was played by the line's clock, in milliseconds.
        heard_ms: u32,
        /// How far the far end was behind that clock, in milliseconds; zero where it does not say.
        behind_ms: u64,
    },
}

/// Counters of one call's turn-taking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnCounts {
    /// The bot paused because the caller might be interrupting.
    pub pauses: u32,
    /// It went on from the same sample.
    pub resumes: u32,
    /// It was cut.
    pub cuts: u32,
    /// Answers withdrawn unheard because the caller went on.
    pub withdrawn: u32,
    /// Turns whose end the model was asked about.
    pub judged: u32,
    /// Where it said that more was coming.
    pub judged_open: u32,
    /// Answers of the engine that failed.
    pub failures: u32,
}

/// The turn loop of one call.
#[derive(Debug)]
pub struct TurnLoop {
    policy: Policy,
    patience: Patience,
    history: History,
    timings: Vec<TurnTiming>,
    counts: TurnCounts,
    orders: VecDeque<TurnOrder>,
    voice_on: bool,
    caller: Option<CallerTurn>,
    answer: Option<Answer>,
    /// The answer that was cut and whose last position has not come yet.
    cutting: Option<Answer>,
    /// Until when that position is waited for.
    cutting_until: Moment,
    barge: BargeIn,
    idle: Idle,
    digits: Option<(String, Moment)>,
    /// When they are an entry.
    entry: KeyEntry,
    /// The caller's last turn: when it fell silent, and what its end looked like.
    last_end: Option<(Moment, Ending)>,
    warning_wanted: bool,
    /// The bot answers nobody for now, and its opening is still to be heard.
    held: bool,
    opening_owed: bool,
    ids: Ids,
    closed: bool,
}

/// Numbers given out so far, and what the engine must know of them.
#[derive(Debug, Default)]
struct Ids {
    turn: TurnNo,
    utterance: UtteranceId,
    /// The last answer of which the caller heard a word.
    heard: Option<UtteranceId>,
    interrupted: bool,
    draft_failures_in_row: u32,
    mute_in_row: u32,
}

impl TurnLoop {
    /// A turn loop that is silent until [`TurnLoop::open`].
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            patience: Patience::new(&policy),
            policy,
            history: History::default(),
            timings: Vec::new(),
            counts: TurnCounts::default(),
            orders: VecDeque::with_capacity(16),
            voice_on: false,
            caller: None,
            answer: None,
            cutting: None,
            cutting_until: Moment::ZERO,
            barge: BargeIn::default(),
            idle: Idle::default(),
            digits: None,
            entry: KeyEntry::default(),
            last_end: None,
            warning_wanted: false,
            held: false,
            opening_owed: false,
            ids: Ids::default(),
            closed: false,
        }
    }

    /// The caller is on the line: the bot opens the conversation.
    pub fn open(&mut self, now: Moment) {
        if self.held {
            self.opening_owed = true;
        } else {
            self.ask(now, AskCause::Opening);
        }
    }

    /// Nothing more is said or heard: the call is ending. Settles what the caller said last into the history.
    pub fn close(&mut self, now: Moment) {
        if self.closed {
            return;
        }
        self.closed = true;
        if let Some(turn) = self.caller.take() {
            self.settle_caller(&turn, now);
            self.orders.push_back(TurnOrder::EndTurn { turn: turn.turn });
        }
        if let Some(answer) = self.answer.take() {
            // Also an answer that is not audible yet: its audio may wait on the line.
            self.orders.push_back(TurnOrder::CancelAnswer { utterance: answer.id });
            self.orders.push_back(TurnOrder::Cut { utterance: answer.id });
            self.keep_promise(&answer);
            if answer.audible_at.is_some() {
                self.cutting = Some(answer);
            }
        }
        self.idle.stop();
    }

    /// A fact from a provider.
    pub fn on_heard(&mut self, now: Moment, fact: &Heard) {
        if self.closed {
            return;
        }
        match fact {
            Heard::Partial { turn, text, sure } => self.on_partial(now, *turn, text, *sure),
            Heard::Transcribed { turn, take, text, sure } => self.on_transcribed(now, (*turn, *take), text, *sure),
            Heard::Expected { turn, take } => self.on_expected(*turn, *take),
            Heard::Judged { turn, take, complete } => self.on_judged(now, *turn, *take, *complete),
            Heard::Drafted { utterance, text, protected } => self.on_drafted(now, *utterance, text, *protected),
            Heard::ToolCalled { utterance, tool } => self.on_tool(now, *utterance, tool),
            Heard::DraftEnded { utterance } => self.on_draft_ended(now, *utterance),
            Heard::DraftFailed { utterance, .. } => self.on_draft_failed(now, *utterance),
            Heard::Spoken { utterance, segment, samples: _, last: _ } => self.on_spoken(now, *utterance, *segment),
            Heard::SpeechFailed { utterance, segment, .. } => self.on_speech_failed(now, *utterance, *segment),
            Heard::ListenFailed { .. } => self.on_listen_failed(now),
        }
    }

    /// Is this answer still wanted (audio for it may be played)?
    #[must_use]
    pub fn wants(&self, utterance: UtteranceId) -> bool {
        self.answer.as_ref().is_some_and(|a| a.id == utterance)
    }

    /// Has a part of this piece been made, and is the rest still wanted?
    #[must_use]
    pub fn is_under_way(&self, utterance: UtteranceId, segment: u16) -> bool {
        let answer = self.answer.as_ref().filter(|a| a.id == utterance);
        answer.and_then(|a| a.segments.get(usize::from(segment))).is_some_and(|s| s.made_ms > 0 && !s.done)
    }

    /// Adds the length of synthesised audio to its segment, in milliseconds; `last` where no more of it comes.
    pub fn note_made(&mut self, utterance: UtteranceId, segment: u16, ms: u32, last: bool) {
        if let Some(seg) =
            self.answer.as_mut().filter(|a| a.id == utterance).and_then(|a| a.segments.get_mut(usize::from(segment)))
        {
            seg.made_ms = seg.made_ms.saturating_add(ms);
            seg.complete |= last;
        }
    }

    /// Time passes.
    pub fn handle_timeout(&mut self, now: Moment) {
        if self.closed {
            return;
        }
        self.on_cut_time(now);
        self.on_barge_time(now);
        // First: an answer that stands still gives the floor back, and the caller's turn may be over long since.
        self.on_answer_time(now);
        self.on_listening_time(now);
        self.on_digit_time(now);
        self.on_idle_time(now);
    }

    /// When [`TurnLoop::handle_timeout`] is wanted next.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        if self.closed {
            return None;
        }
        [
            self.barge.deadline(&self.policy).filter(|_| self.is_audible()),
            self.listening_deadline(),
            self.answer_deadline(),
            self.digits_due(),
            self.cutting.as_ref().map(|_| self.cutting_until),
            self.idle.deadline(&self.policy),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next order.
    pub fn poll(&mut self) -> Option<TurnOrder> {
        self.orders.pop_front()
    }

    /// Say soon that the time is nearly over.
    pub fn warn(&mut self, now: Moment) {
        self.warning_wanted = true;
        self.rest(now);
    }

    /// What was said and heard so far.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// Where the time of each answered turn went.
    #[must_use]
    pub fn timings(&self) -> &[TurnTiming] {
        &self.timings
    }

    /// Counters so far.
    #[must_use]
    pub const fn counts(&self) -> TurnCounts {
        self.counts
    }

    /// Is what the caller says his own turn, rather than a sound over the bot that may be nothing?
    #[must_use]
    pub fn caller_has_floor(&self) -> bool {
        self.caller.as_ref().is_none_or(|turn| !turn.over_bot)
    }

    /// Is the bot audible, or paused in the middle of an answer?
    #[must_use]
    pub fn is_audible(&self) -> bool {
        self.answer.as_ref().is_some_and(|a| a.audible_at.is_some())
    }

    /// Is everything that was heard written into the history?
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.cutting.is_none()
    }

    fn ask(&mut self, now: Moment, cause: AskCause) {
        self.idle.stop();
        self.drop_unheard();
        self.ids.utterance = self.ids.utterance.next();
        let utterance = self.ids.utterance;
        let interrupted = std::mem::take(&mut self.ids.interrupted);
        self.orders.push_back(TurnOrder::Ask(Ask {
            utterance,
            after: self.ids.heard,
            cause: cause.clone(),
            history: self.history.items(),
            interrupted,
        }));
        let mut answer = Answer::new(utterance, cause, now);
        answer.interrupted = interrupted;
        self.answer = Some(answer);
    }

    /// Withdraws the answer in preparation, if there is one: it never happened.
    fn drop_unheard(&mut self) {
        let Some(answer) = self.answer.take() else { return };
        self.ids.interrupted |= answer.interrupted;
        self.warning_wanted |= matches!(answer.cause, AskCause::TimeWarning);
        self.orders.push_back(TurnOrder::CancelAnswer { utterance: answer.id });
        self.orders.push_back(TurnOrder::Cut { utterance: answer.id });
    }

    /// An answer breaks off. What the caller asked of the law stands all the same: the number is not called again.
    fn keep_promise(&mut self, answer: &Answer) {
        if answer.tools.contains(&ToolCall::OptOut) {
            self.orders.push_back(TurnOrder::Act(ToolCall::OptOut));
        }
    }

    /// Nobody has the floor: start the idle clock, or say what was waiting to be said.
    fn rest(&mut self, now: Moment) {
        let taken = self.answer.is_some() || self.caller.is_some() || self.voice_on || self.digits.is_some();
        if self.closed || self.held || taken || self.cutting.is_some() {
            return;
        }
        if self.warning_wanted {
            self.warning_wanted = false;
            self.ask(now, AskCause::TimeWarning);
        } else {
            self.idle.start(now);
        }
    }
}
