//! The call and its watch for a voicemail: what of the call's facts the watch is shown, before the answer and after it, and how the
//! call does what the watch says. The turn loop knows nothing of voicemail.

use super::fact::Order;
use super::line::LineOrder;
use super::voicemail::{Signal, Step, Verdict, VoicemailSettings, Watch};
use super::{Call, EndReason, Phase};
use crate::turn::{Ask, AskCause, Heard, Speaker, TurnOrder};
use crate::units::{Moment, TurnNo};

/// The turn of whatever is said before the answer: the turn loop counts its own from one.
const EARLY: TurnNo = TurnNo(0);
/// The reason that a message to a machine ends the call by.
pub(super) const VOICEMAIL: &str = "voicemail";

/// What is known about who answered an outgoing call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Voicemail<'a> {
    /// Person or machine.
    pub verdict: Verdict,
    /// How sure that is, 0 to 0.99.
    pub confidence: f32,
    /// The evidence, oldest first.
    pub signals: &'a [Signal],
    /// The message was said to its end.
    pub message_left: bool,
    /// Changes whenever something of it does.
    pub revision: u32,
}

/// What the call keeps of its watch.
#[derive(Debug)]
pub(super) struct Watching {
    watch: Watch,
    early: Option<Early>,
    message_left: bool,
}

/// The turn that is open before the answer.
#[derive(Clone, Copy, Debug, Default)]
struct Early {
    /// Takes that were asked, and the last that was answered.
    asked: u32,
    known: u32,
}

impl Early {
    /// Is the last take still to come?
    const fn is_owed(self) -> bool {
        self.known < self.asked
    }
}

impl Call {
    /// Watches for a voicemail. Of a call that comes in nothing is watched.
    #[must_use]
    pub fn with_voicemail(mut self, settings: VoicemailSettings) -> Self {
        if self.outgoing {
            self.watching = Some(Watching { watch: Watch::new(settings), early: None, message_left: false });
        }
        self
    }

    /// Who answered, as far as it is known; `None` where nobody watches.
    #[must_use]
    pub fn voicemail(&self) -> Option<Voicemail<'_>> {
        let Watching { watch, message_left, .. } = self.watching.as_ref()?;
        let (verdict, confidence) = watch.verdict();
        let revision = watch.revision() + u32::from(*message_left);
        Some(Voicemail { verdict, confidence, signals: watch.signals(), message_left: *message_left, revision })
    }

    fn watch(&mut self) -> Option<&mut Watch> {
        self.watching.as_mut().map(|watching| &mut watching.watch).filter(|watch| watch.is_watching())
    }

    /// The line is open: does it listen for tones?
    pub(super) fn watch_line(&mut self) {
        if self.watch().is_some() {
            self.orders.push_back(Order::Line(LineOrder::SeekBeep { on: true }));
        }
    }

    /// The customer is on the line; comes before the turn loop is told.
    pub(super) fn watch_answer(&mut self, now: Moment) {
        let Some(watch) = self.watch() else { return };
        watch.answered(now);
        self.settle_early_turn();
        self.follow_watch(now);
    }

    /// The early turn goes on after the answer until what was being said has ended and is known.
    fn settle_early_turn(&mut self) {
        let Some(Watching { watch, early: Some(early), .. }) = &self.watching else { return };
        if self.phase == Phase::Live && watch.voice_on().is_none() && !early.is_owed() {
            self.end_early_turn();
        }
    }

    /// What was said before the answer is known, or nobody can hear it any more: its turn is over.
    pub(super) fn end_early_turn(&mut self) {
        if self.watching.as_mut().and_then(|watching| watching.early.take()).is_some() {
            self.orders.push_back(Order::EndTurn { turn: EARLY });
        }
    }

    /// Whoever speaks at length before the answer is listened to from the beginning of it. A ringing tone, which the voice detector may
    /// take for a voice, is not.
    fn listen_early(&mut self) {
        let Some(watching) = self.watching.as_mut().filter(|_| matches!(self.phase, Phase::Ringing { .. })) else {
            return;
        };
        if let (None, Some(began)) = (watching.early, watching.watch.early_speech()) {
            watching.early = Some(Early::default());
            let pos = self.milestones.line_at.map_or(0, |at| began.ms_since(at)) * 16;
            self.orders.push_back(Order::BeginTurn { turn: EARLY, pos: Some(pos) });
        }
    }

    pub(super) fn watch_voice_began(&mut self, now: Moment, since: Moment) {
        let Some(watch) = self.watch() else { return };
        watch.voice_began(now, since);
        self.follow_watch(now);
    }

    pub(super) fn watch_voice_ceased(&mut self, now: Moment, since: Moment) {
        let Some(watching) = self.watching.as_mut().filter(|watching| watching.watch.is_watching()) else { return };
        watching.watch.voice_ceased(now, since);
        self.listen_early();
        let Some(watching) = &mut self.watching else { return };
        if let Some(early) = &mut watching.early {
            early.asked += 1;
            self.orders.push_back(Order::Take { turn: EARLY, take: early.asked });
        }
        self.follow_watch(now);
    }

    pub(super) fn watch_beep(&mut self, now: Moment, ended: Moment, hz: u16, lasted_ms: u32) {
        let Some(watch) = self.watch() else { return };
        watch.beeped(now, ended, hz, lasted_ms);
        self.follow_watch(now);
    }

    pub(super) fn watch_key(&mut self, now: Moment) {
        let Some(watch) = self.watch() else { return };
        watch.key_pressed(now);
        self.follow_watch(now);
    }

    /// Are these words of the turn that is open, and of its last take? Asked before the turn loop has them, told after.
    pub(super) fn wants_words(&mut self, heard: &Heard) -> bool {
        let (turn, take) = match heard {
            Heard::Partial { turn, .. } => (*turn, None),
            Heard::Transcribed { turn, take, .. } => (*turn, Some(*take)),
            _ => return false,
        };
        if turn == EARLY { self.take_early(take) } else { self.turn.is_heard(turn, take) }
    }

    /// Are these words of the early turn wanted? A take is answered once.
    fn take_early(&mut self, take: Option<u32>) -> bool {
        let Some(Watching { watch, early: Some(early), .. }) = &mut self.watching else { return false };
        match take {
            None => watch.voice_on().is_some() || early.is_owed(),
            Some(take) => {
                let wanted = early.is_owed() && take == early.asked;
                early.known = if wanted { take } else { early.known };
                wanted
            }
        }
    }

    /// What recognition has made of the far end's words.
    pub(super) fn watch_words(&mut self, now: Moment, heard: &Heard) {
        let (turn, text, whole) = match heard {
            Heard::Partial { turn, text, .. } => (*turn, text, false),
            Heard::Transcribed { turn, text, .. } => (*turn, text, true),
            _ => return,
        };
        let Some(watch) = self.watch() else { return };
        watch.heard(now, turn, text, whole);
        self.settle_early_turn();
        self.follow_watch(now);
    }

    /// The turn loop answers somebody.
    pub(super) fn watch_turn(&mut self, now: Moment, order: &TurnOrder) {
        let TurnOrder::Ask(Ask { cause: AskCause::Caller(text), .. }) = order else { return };
        let Some(watch) = self.watch() else { return };
        watch.turn_taken(now, text);
        self.follow_watch(now);
    }

    /// Whatever happened: is the bot heard?
    pub(super) fn watch_bot(&mut self, now: Moment) {
        let audible = self.turn.is_audible();
        if let Some(watch) = self.watch() {
            watch.bot(now, audible);
        }
    }

    pub(super) fn watch_time(&mut self, now: Moment) {
        if self.watch_deadline().is_some_and(|at| now >= at)
            && let Some(watch) = self.watch()
        {
            watch.on_time(now);
            self.listen_early();
            self.follow_watch(now);
        }
    }

    pub(super) fn watch_deadline(&self) -> Option<Moment> {
        self.watching.as_ref()?.watch.deadline()
    }

    fn follow_watch(&mut self, now: Moment) {
        while let Some(step) = self.watching.as_mut().and_then(|watching| watching.watch.step()) {
            match step {
                Step::Hold => self.turn.hold(now),
                Step::Release => self.turn.release(now),
                Step::Rest => self.orders.push_back(Order::Line(LineOrder::SeekBeep { on: false })),
                Step::HangUp => self.end(now, EndReason::Voicemail, true),
                Step::LeaveMessage => {
                    let message = self.watching.as_ref().and_then(|watching| watching.watch.message());
                    let message = message.unwrap_or_default().to_owned();
                    self.turn.say_last(now, &message, VOICEMAIL);
                }
            }
        }
    }

    /// The message was said, as far as it could be.
    pub(super) fn end_by_message(&mut self, now: Moment) {
        let last = self.turn.history().lines().iter().max_by_key(|line| line.serial);
        let left = last.is_some_and(|line| line.speaker == Speaker::Bot && line.whole);
        if let Some(watching) = &mut self.watching {
            watching.message_left = left;
        }
        self.end(now, EndReason::Voicemail, true);
    }

    /// Why the call really ends: a machine that hangs up, or that is never answered, is one all the same.
    pub(super) fn true_reason(&self, reason: EndReason) -> EndReason {
        let decided = self.watching.as_ref().is_some_and(|watching| watching.watch.is_decided());
        match reason {
            EndReason::CustomerHungUp | EndReason::LegClosed | EndReason::NoAnswer if decided => EndReason::Voicemail,
            other => other,
        }
    }

    /// Is it for the call's own message to end the call as one to a machine?
    pub(super) fn is_voicemail(&self) -> bool {
        self.watching.as_ref().is_some_and(|watching| watching.watch.is_decided())
    }
}
