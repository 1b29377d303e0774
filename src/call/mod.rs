//! One conversation, from the first valid opening to its one ending: a state machine over the leg, the media line and the turn
//! loop. Takes facts and the time, gives orders and a deadline. Never reads a clock, never waits, never ends twice.
//!
//! The audio half ([`line::Line`]) is driven by a media shard every 20 ms and exchanges plain facts and orders with this
//! half, which is driven by one task per call. Both are pure.

mod closing;
mod end;
mod fact;
mod far_end;
mod handing;
mod leg;
pub mod line;
mod pressed;
mod stage;
mod voicemail;
mod watching;

use std::collections::VecDeque;

pub use end::{DisconnectedBy, EndReason};
pub use fact::{Fact, Order};
pub use far_end::{ANSWER_LIMIT_MS, FarPlayout};
pub use leg::{LegFact, LegLoss, LegMeta, LegOrder, Mark};
pub use stage::{CallState, Ending, Milestones};
pub use voicemail::{Signal, SignalKind, Source, Verdict, VoicemailSettings};
pub use watching::Voicemail;

use crate::turn::{Heard, PlayoutFact, Policy, ProviderRole, ToolCall, TurnLoop, TurnOrder};
use crate::units::{Moment, SampleRate, UtteranceId};
use far_end::FarEnd;
use handing::Handing;
use line::{LineFact, LineOrder};
use pressed::{KeyWay, Pressed};
use stage::Phase;
use watching::{VOICEMAIL, Watching};

/// Neither a format nor audio within this time of the opening ends the call.
const SETUP_LIMIT_MS: u64 = 10_000;
/// An outgoing call rings at most this long.
const RING_LIMIT_MS: u64 = 60_000;
/// A leg that rings may take this long beyond its own limit to say that nobody was reached.
const RING_MARGIN_MS: u64 = 60_000;
/// Errors kept for the result.
const MOST_ERRORS: usize = 20;

/// One conversation.
#[derive(Debug)]
pub struct Call {
    phase: Phase,
    policy: Policy,
    outgoing: bool,
    rate: SampleRate,
    turn: TurnLoop,
    far_end: FarEnd,
    /// Outgoing calls only: is it a voicemail?
    watching: Option<Watching>,
    ending: Option<Ending>,
    milestones: Milestones,
    warned: bool,
    /// A call that we place rings no longer than this.
    ring_until: Option<Moment>,
    handing: Handing,
    pressed: Pressed,
    /// The far end let a time limit of the opening pass.
    late: bool,
    orders: VecDeque<Order>,
}

impl Call {
    /// A call whose leg has just been opened.
    #[must_use]
    pub fn new(now: Moment, meta: &LegMeta, policy: Policy) -> Self {
        let ring_until = meta.ring_limit_ms.map(|ms| now.plus_ms(ms.saturating_add(RING_MARGIN_MS)));
        Self {
            phase: Phase::Setup { until: ring_until.unwrap_or(now.plus_ms(SETUP_LIMIT_MS)), answered: false },
            ring_until,
            handing: Handing::new(meta.tells_transfers),
            pressed: Pressed::default(),
            turn: TurnLoop::new(policy.clone()),
            far_end: FarEnd::new(meta.marks),
            watching: None,
            policy,
            outgoing: meta.outgoing,
            rate: SampleRate::NARROW,
            ending: None,
            milestones: Milestones { opened_at: now, ..Milestones::default() },
            warned: false,
            late: false,
            orders: VecDeque::with_capacity(32),
        }
    }

    /// Tells the call one fact. Never fails: bad input is a fact too.
    pub fn handle(&mut self, now: Moment, fact: Fact) {
        if self.phase == Phase::Over {
            return;
        }
        match fact {
            Fact::Leg(leg) => self.on_leg(now, leg),
            Fact::Line(line) => self.on_line(now, line),
            Fact::Heard(heard) => self.on_heard(now, &heard),
            Fact::ProviderMissing { error } => {
                self.note_error(error);
                self.end(now, EndReason::ProviderFailed, true);
            }
            Fact::HangUpAsked => self.end(now, EndReason::OperatorHungUp, true),
            Fact::KeysAsked { keys } => self.press(keys),
            Fact::DrainOver => self.end(now, EndReason::Drained, true),
            Fact::Broken { what } => {
                self.note_error(what);
                self.end(now, EndReason::Internal, true);
            }
        }
        self.watch_bot(now);
        self.relay(now);
    }

    /// Lets time pass. Calling early is harmless.
    pub fn handle_timeout(&mut self, now: Moment) {
        match self.phase {
            Phase::Setup { until, .. } if now >= until => {
                self.late = true;
                // Before it rings an outgoing call waits for the dialler, one of ours for the phone.
                self.end(now, self.unanswered(self.ring_until.is_some()), false);
            }
            Phase::Ringing { until } if now >= until => {
                self.late = true;
                self.end(now, self.unanswered(self.outgoing), false);
            }
            Phase::Live => self.on_live_time(now),
            Phase::Leaving { until } if now >= until => self.settle(now),
            Phase::Settling { until } if now >= until => self.finish(now),
            Phase::Ringing { .. } => self.watch_time(now),
            Phase::Setup { .. } | Phase::Leaving { .. } | Phase::Settling { .. } | Phase::Over => {}
        }
        self.watch_bot(now);
        self.relay(now);
    }

    /// The next order; `None` when drained.
    pub fn poll(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// When [`Call::handle_timeout`] is wanted next; `None` once the call is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        match self.phase {
            Phase::Setup { until, .. } | Phase::Leaving { until } | Phase::Settling { until } => Some(until),
            Phase::Ringing { until } => self.watch_deadline().into_iter().chain([until]).min(),
            Phase::Live if self.handing.is_on() => {
                self.handing.deadline().into_iter().chain(self.turn.deadline()).chain(self.far_end.deadline()).min()
            }
            Phase::Live => {
                let own = [self.limit_deadline(), self.watch_deadline()];
                let others = [self.turn.deadline(), self.far_end.deadline()];
                own.into_iter().chain(others).flatten().min()
            }
            Phase::Over => None,
        }
    }

    /// Is the last order given?
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> CallState {
        match self.phase {
            Phase::Setup { .. } => CallState::Setup,
            Phase::Ringing { .. } => CallState::Ringing,
            Phase::Live if self.handing.is_on() => CallState::Leaving,
            Phase::Live => CallState::Live,
            Phase::Leaving { .. } => CallState::Leaving,
            Phase::Settling { .. } => CallState::Settling,
            Phase::Over => CallState::Over,
        }
    }

    /// How it ended, once it has a reason.
    #[must_use]
    pub const fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Its milestones so far.
    #[must_use]
    pub const fn milestones(&self) -> &Milestones {
        &self.milestones
    }

    /// Its turn loop: transcript, timings, counters.
    #[must_use]
    pub const fn turn(&self) -> &TurnLoop {
        &self.turn
    }

    /// The far end's next report of speech that it has played, for those who measure it; `None` where there is none. Those that
    /// nobody takes are forgotten, oldest first.
    pub fn poll_report(&mut self) -> Option<FarPlayout> {
        self.far_end.reported()
    }

    fn note_error(&mut self, error: String) {
        if self.milestones.errors.len() < MOST_ERRORS {
            self.milestones.errors.push(error);
        }
    }

    fn on_leg(&mut self, now: Moment, fact: LegFact) {
        match fact {
            LegFact::Started { rate } => {
                if let Phase::Setup { answered, .. } = self.phase {
                    self.rate = rate;
                    let until = self.ring_until.unwrap_or(now.plus_ms(RING_LIMIT_MS));
                    self.phase = Phase::Ringing { until };
                    self.orders.push_back(Order::OpenLine { rate });
                    self.watch_line();
                    if answered {
                        self.open(now);
                    }
                }
            }
            LegFact::Answered => match &mut self.phase {
                // The far end may say this before it names the format: remembered until audio can flow.
                Phase::Setup { answered, .. } => *answered = true,
                Phase::Ringing { .. } => self.open(now),
                Phase::Live | Phase::Leaving { .. } | Phase::Settling { .. } | Phase::Over => {}
            },
            LegFact::Digit { digit } => self.on_key(now, digit, KeyWay::Message),
            LegFact::Mark { mark, played } => {
                self.far_end.answered(now, mark, played);
                self.hear_far_end(now);
            }
            LegFact::HungUp { by } => {
                if self.milestones.hung_up_by.is_none() {
                    self.milestones.hung_up_by = by;
                }
                let handed = self.milestones.hung_up_by.as_deref() == Some("transfer") && self.handed_over();
                self.gone(now, if handed { EndReason::Transferred } else { EndReason::CustomerHungUp });
            }
            LegFact::TransferFailed { status } => self.transfer_failed(now, status),
            LegFact::Unreached(reason) => self.gone(now, reason),
            LegFact::Lost(loss) => self.gone(now, self.loss_reason(loss)),
        }
    }

    /// A key was pressed, unless the other way has told it already.
    fn on_key(&mut self, now: Moment, digit: char, way: KeyWay) {
        if self.pressed.counts(now, way) && self.phase == Phase::Live {
            self.watch_key(now);
            self.turn.on_digit(now, digit);
        }
    }

    /// The conversation begins.
    fn open(&mut self, now: Moment) {
        self.phase = Phase::Live;
        self.milestones.answered_at = Some(now);
        if self.policy.echo {
            // What is said is heard and written down, and answered by nobody.
            self.turn.hold(now);
            self.orders.push_back(Order::Line(LineOrder::Echo));
            return self.turn.open(now);
        }
        self.watch_answer(now);
        self.turn.open(now);
    }

    fn on_line(&mut self, now: Moment, fact: LineFact) {
        match fact {
            LineFact::Opened { at } => self.milestones.line_at = Some(at),
            LineFact::VoiceBegan { since, pos } => {
                if self.phase == Phase::Live {
                    self.turn.on_voice_began(since, pos);
                }
                self.watch_voice_began(now, since);
            }
            LineFact::VoiceCeased { since, .. } => {
                if self.phase == Phase::Live {
                    self.turn.on_voice_ceased(now, since);
                }
                self.watch_voice_ceased(now, since);
            }
            LineFact::Beeped { ended, hz, lasted_ms } => self.watch_beep(now, ended, hz, lasted_ms),
            LineFact::SpeechBegan { utterance, at } => self.turn.on_playout(at, PlayoutFact::Began { utterance }),
            LineFact::SegmentHeard { utterance, segment } => {
                self.far_end.clock_played(now, Mark { utterance, segment });
                self.hear_far_end(now);
            }
            LineFact::SpeechCut { utterance, segment, heard_ms } => {
                let behind_ms = self.far_end.cut_behind_ms(segment);
                self.turn.on_playout(now, PlayoutFact::Cut { utterance, segment, heard_ms, behind_ms });
                if matches!(self.phase, Phase::Settling { .. }) {
                    self.finish(now);
                }
            }
            LineFact::Digit { digit } => self.on_key(now, digit, KeyWay::Audio),
            // Before the answer a network may ring without a sound, as long as it likes.
            LineFact::FarEndSilent => {
                if self.phase == Phase::Live && !self.handing.is_on() {
                    self.gone(now, EndReason::LegSilent);
                }
            }
            LineFact::Overrun => {
                self.note_error("the media line's facts overran their queue of 256".to_owned());
                self.end(now, EndReason::Internal, true);
            }
            LineFact::Broken => {
                self.note_error("the media line broke off; the log has the panic".to_owned());
                self.end(now, EndReason::Internal, true);
            }
        }
    }

    /// Tells the turn loop what was heard at the far end.
    fn hear_far_end(&mut self, now: Moment) {
        while let Some((Mark { utterance, segment }, played)) = self.far_end.settled() {
            self.turn.on_playout(
                now,
                if played {
                    PlayoutFact::SegmentHeard { utterance, segment }
                } else {
                    PlayoutFact::SegmentLost { utterance, segment }
                },
            );
        }
    }

    fn on_heard(&mut self, now: Moment, heard: &Heard) {
        match heard {
            Heard::Spoken { utterance, segment, samples, last } => {
                if !self.turn.wants(*utterance) {
                    return;
                }
                let ms = u32::try_from(self.rate.ms_of(samples.len() as u64)).unwrap_or(u32::MAX);
                self.turn.note_made(*utterance, *segment, ms, *last);
                self.orders.push_back(Order::Play {
                    utterance: *utterance,
                    segment: *segment,
                    samples: samples.clone(),
                    last: *last,
                });
            }
            Heard::SpeechFailed { utterance, segment, error } => {
                self.note_error(error.clone());
                if self.turn.is_under_way(*utterance, *segment) {
                    // What was made of the piece may be in playout already: no more of it comes.
                    let samples = std::sync::Arc::from([].as_slice());
                    let (utterance, segment) = (*utterance, *segment);
                    self.orders.push_back(Order::Play { utterance, segment, samples, last: true });
                }
            }
            Heard::DraftFailed { error, .. } | Heard::ListenFailed { error } => self.note_error(error.clone()),
            Heard::Partial { .. }
            | Heard::Transcribed { .. }
            | Heard::Expected { .. }
            | Heard::Judged { .. }
            | Heard::Drafted { .. }
            | Heard::ToolCalled { .. }
            | Heard::DraftEnded { .. } => {}
        }
        let wanted = self.wants_words(heard);
        self.turn.on_heard(now, heard);
        if wanted {
            self.watch_words(now, heard);
        }
    }

    /// When the warning or the end by duration is due.
    fn limit_deadline(&self) -> Option<Moment> {
        let answered = self.milestones.answered_at?;
        let max = u64::from(self.policy.max_duration_ms);
        let before = u64::from(self.policy.warning_before_ms);
        Some(answered.plus_ms(if self.warned || before >= max { max } else { max - before }))
    }

    fn on_live_time(&mut self, now: Moment) {
        if self.handing.is_on() {
            return self.on_handing_time(now);
        }
        if self.limit_deadline().is_some_and(|at| now >= at) {
            let max = u64::from(self.policy.max_duration_ms);
            if self.milestones.answered_at.is_some_and(|at| now.ms_since(at) >= max) {
                self.end(now, EndReason::MaxDuration, true);
                return;
            }
            self.warned = true;
            self.turn.warn(now);
        }
        self.far_end.on_time(now);
        self.hear_far_end(now);
        self.turn.handle_timeout(now);
        self.watch_time(now);
    }

    /// Turns the turn loop's orders into the call's.
    fn relay(&mut self, now: Moment) {
        while let Some(order) = self.turn.poll() {
            self.watch_turn(now, &order);
            let order = match order {
                TurnOrder::BeginTurn { turn, pos } => {
                    self.end_early_turn();
                    Order::BeginTurn { turn, pos }
                }
                TurnOrder::Take { turn, take } => Order::Take { turn, take },
                TurnOrder::Judge { turn, take } => Order::Judge { turn, take },
                TurnOrder::EndTurn { turn } => Order::EndTurn { turn },
                TurnOrder::Ask(ask) => Order::Ask(ask),
                TurnOrder::CancelAnswer { utterance } => Order::CancelAnswer { utterance },
                TurnOrder::Say { utterance, segment, text } => Order::Say { utterance, segment, text },
                TurnOrder::Pause => {
                    self.far_end.pause(now);
                    Order::Line(LineOrder::Pause)
                }
                TurnOrder::Resume => {
                    self.far_end.resume();
                    Order::Line(LineOrder::Resume)
                }
                TurnOrder::Cut { utterance } => self.cut(now, utterance),
                TurnOrder::Act(tool) => {
                    self.act(now, tool);
                    continue;
                }
                TurnOrder::GiveUp(role) => {
                    self.note_error(format!("{} failed and no fallback was left", role_name(role)));
                    self.end(now, EndReason::ProviderFailed, true);
                    continue;
                }
            };
            self.orders.push_back(order);
        }
    }

    fn cut(&mut self, now: Moment, utterance: UtteranceId) -> Order {
        self.far_end.cut(now, utterance);
        Order::Line(LineOrder::Cut { utterance })
    }

    fn act(&mut self, now: Moment, tool: ToolCall) {
        match tool {
            ToolCall::EndCall { reason } if reason == VOICEMAIL && self.is_voicemail() => self.end_by_message(now),
            ToolCall::EndCall { reason } => {
                let reason = match reason.as_str() {
                    "opted_out" => EndReason::OptedOut,
                    "idle" | "no_response" => EndReason::Idle,
                    _ => EndReason::Completed,
                };
                if reason == EndReason::OptedOut {
                    self.opt_out();
                }
                self.end(now, reason, true);
            }
            ToolCall::OptOut => self.opt_out(),
            ToolCall::SendKeys { keys } => self.press(keys),
            // The turn loop has it.
            ToolCall::CollectKeys(_) => {}
            ToolCall::Transfer { to } => self.hand_over(now, to),
        }
    }

    /// Keys go out while there is a conversation; before and after it nobody listens for them.
    fn press(&mut self, keys: String) {
        if self.phase == Phase::Live && !self.handing.is_on() {
            self.orders.push_back(Order::Leg(LegOrder::Keys { keys }));
        }
    }

    fn opt_out(&mut self) {
        if !std::mem::replace(&mut self.milestones.opted_out, true) {
            self.orders.push_back(Order::OptOut);
        }
    }
}

const fn role_name(role: ProviderRole) -> &'static str {
    match role {
        ProviderRole::Stt => "recognition",
        ProviderRole::Judge => "the end-of-turn model",
        ProviderRole::Llm => "the dialogue engine",
        ProviderRole::Tts => "synthesis",
    }
}
