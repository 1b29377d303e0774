//! Who has answered an outgoing call, a person or a voicemail: listens beside the conversation, from the first sound before the answer
//! on, and says when the bot is to fall silent, to go on, to leave its message or to hang up. While nothing speaks for a machine the
//! conversation goes as any other. Never looks at a call that comes in; never reads a clock.

mod phrases;
mod score;

use std::collections::VecDeque;

pub use score::{Score, Signal, SignalKind, Source, Verdict};

use crate::units::{Moment, TurnNo};

/// Speech right after the answer, or before it, is a long greeting from here on: ringing tones sound for two seconds at most.
const LONG_GREETING_MS: u64 = 3_000;
/// A greeting that ends within this time is a short one.
const SHORT_GREETING_MS: u64 = 1_500;
/// It begins within this time of the answer.
const GREETING_WITHIN_MS: u64 = 3_000;
/// A silence of this length ends a greeting; a shorter one is a breath.
const BREATH_MS: u64 = 1_000;
/// Under suspicion the bot lets the far end be silent for so long before it goes on.
const GO_ON_AFTER_MS: u64 = 1_200;
/// What was being said when the call was answered is let end, and so much silence after it: a machine's words are known by then.
const GREETED_MS: u64 = 500;
/// The message is left after a silence of this length where no beep comes.
const SILENCE_MS: u64 = 2_500;
/// A beep that sounded this long ago still opens the recording.
const BEEP_HOLDS_MS: u64 = 5_000;
/// A voice that began no sooner than this before a beep was the beep.
const BEEP_EDGE_MS: u64 = 200;
/// Nothing is looked for this long after the answer, or twice as long under suspicion.
const WATCH_MS: u64 = 30_000;
/// The bot was heard for so long: what follows may be an answer to it.
const BOT_HEARD_MS: u64 = 1_500;
/// A call into the silence is no longer than this.
const CALL_OUT_MS: u64 = 2_500;
/// Letters of recognised words that are looked at: the newest.
const MOST_LETTERS: usize = 600;

/// What is to happen where a machine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoicemailSettings {
    /// Said after the beep; without one the call ends at once.
    pub message: Option<String>,
    /// The beep, or a silence, is waited for at most this long.
    pub beep_wait_ms: u32,
}

/// What the call is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// The bot falls silent and answers nobody.
    Hold,
    /// The conversation goes on.
    Release,
    /// The message is to be said.
    LeaveMessage,
    /// The call is to end.
    HangUp,
    /// Tones are not looked for any more.
    Rest,
}

/// Where a watch stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Who answered is not known.
    Watching,
    /// A machine: the moment for the message is awaited.
    Waiting {
        /// No longer than this; `None` before the answer.
        until: Option<Moment>,
    },
    /// A machine, and it was acted upon: nothing changes that.
    Acted,
    /// Nothing more is looked at.
    Settled,
}

/// What is known of the far end's voice.
#[derive(Clone, Copy, Debug, Default)]
struct Voice {
    /// Since when it is on.
    on: Option<Moment>,
    /// When it ceased last.
    off: Option<Moment>,
    /// The stretch of speech: its breaths do not end it.
    began: Option<Moment>,
    /// The stretch began after the bot had been heard and had ended.
    answers_bot: bool,
}

/// The first speech after the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Greeting {
    /// Nobody has spoken yet.
    Awaited,
    /// It goes on since then.
    Since(Moment),
    /// It is over, or there was none in time.
    Over,
}

/// What the watch knows of the bot's own voice.
#[derive(Clone, Copy, Debug, Default)]
struct BotVoice {
    since: Option<Moment>,
    /// It was heard long enough to be answered, and has ended.
    heard: bool,
}

/// The watch over one outgoing call.
#[derive(Debug)]
pub(super) struct Watch {
    settings: VoicemailSettings,
    stage: Stage,
    score: Score,
    /// Verdict and confidence as they were when the call acted.
    acted: Option<(Verdict, f32)>,
    answered_at: Option<Moment>,
    voice: Voice,
    greeting: Greeting,
    bot: BotVoice,
    beep_at: Option<Moment>,
    /// Words of turns that are over, and of the last one.
    words: String,
    last: (TurnNo, String),
    held: bool,
    steps: VecDeque<Step>,
    /// How often something new was learnt, for who keeps notes.
    revision: u32,
}

impl Watch {
    pub(super) fn new(settings: VoicemailSettings) -> Self {
        Self {
            settings,
            stage: Stage::Watching,
            score: Score::default(),
            acted: None,
            answered_at: None,
            voice: Voice::default(),
            greeting: Greeting::Awaited,
            bot: BotVoice::default(),
            beep_at: None,
            words: String::new(),
            last: (TurnNo(0), String::new()),
            held: false,
            steps: VecDeque::new(),
            revision: 0,
        }
    }

    /// What is to be said to a machine.
    pub(super) fn message(&self) -> Option<&str> {
        self.settings.message.as_deref()
    }

    pub(super) fn signals(&self) -> &[Signal] {
        self.score.signals()
    }

    /// Verdict and confidence: of now, or of when the call acted.
    pub(super) fn verdict(&self) -> (Verdict, f32) {
        self.acted.unwrap_or_else(|| (self.score.verdict(), self.score.confidence()))
    }

    /// Is it a machine, with the call waiting for its moment or past it?
    pub(super) const fn is_decided(&self) -> bool {
        matches!(self.stage, Stage::Waiting { .. } | Stage::Acted)
    }

    /// Is anything still looked for?
    pub(super) const fn is_watching(&self) -> bool {
        matches!(self.stage, Stage::Watching | Stage::Waiting { .. })
    }

    /// Changes whenever there is something new to note.
    pub(super) const fn revision(&self) -> u32 {
        self.revision
    }

    /// Since when somebody has spoken who speaks at length before the answer.
    pub(super) fn early_speech(&self) -> Option<Moment> {
        self.voice.began.filter(|_| self.answered_at.is_none() && self.score.has(SignalKind::EarlySpeech))
    }

    /// Since when the far end speaks.
    pub(super) const fn voice_on(&self) -> Option<Moment> {
        self.voice.on
    }

    /// The next thing to do.
    pub(super) fn step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// The call was answered.
    pub(super) fn answered(&mut self, now: Moment) {
        self.answered_at = Some(now);
        self.score.answered(now);
        if self.voice.on.is_some() {
            self.greeting = Greeting::Since(now);
        }
        if let Stage::Waiting { until } = &mut self.stage {
            *until = Some(now.plus_ms(self.settings.beep_wait_ms.into()));
        }
        self.look(now);
        self.take_moment(now);
    }

    /// The far end's voice is on.
    pub(super) fn voice_began(&mut self, now: Moment, since: Moment) {
        if !self.is_watching() {
            return;
        }
        let breath = self.voice.off.is_some_and(|off| since.ms_since(off) < BREATH_MS);
        if !breath {
            self.voice.began = Some(since);
            self.voice.answers_bot = self.bot.heard && self.bot.since.is_none();
        }
        self.voice.on = Some(since);
        if let (Greeting::Awaited, Some(answered)) = (self.greeting, self.answered_at) {
            let in_time = since.ms_since(answered) <= GREETING_WITHIN_MS;
            self.greeting = if in_time { Greeting::Since(since.max(answered)) } else { Greeting::Over };
        }
        self.look(now);
    }

    /// The far end's voice is off.
    pub(super) fn voice_ceased(&mut self, now: Moment, since: Moment) {
        if !self.is_watching() {
            return;
        }
        (self.voice.on, self.voice.off) = (None, Some(since));
        self.look(now);
    }

    /// The bot is heard, or is not.
    pub(super) fn bot(&mut self, now: Moment, audible: bool) {
        match self.bot.since {
            None if audible => self.bot.since = Some(now),
            Some(since) if !audible => {
                self.bot.since = None;
                self.bot.heard |= now.ms_since(since) >= BOT_HEARD_MS;
            }
            _ => {}
        }
    }

    /// The line has beeped.
    pub(super) fn beeped(&mut self, now: Moment, ended: Moment, hz: u16, lasted_ms: u32) {
        if !self.is_watching() {
            return;
        }
        self.beep_at = Some(ended);
        let began = ended.back_ms(lasted_ms.into());
        self.score.shorten(began);
        if self.voice.on.is_some_and(|on| on.plus_ms(BEEP_EDGE_MS) >= began) {
            self.voice.on = None;
        }
        if self.answered_at.is_some() {
            self.greeting = Greeting::Over;
        }
        let kind = if self.answered_at.is_some() { SignalKind::Beep } else { SignalKind::EarlyBeep };
        self.learn(now, kind, format!("{hz} Hz for {lasted_ms} ms"));
        self.look(now);
        // A first beep may have made the verdict; one that comes later is what was waited for.
        self.take_moment(now);
    }

    /// Words of one turn of the far end, so far or in the end.
    pub(super) fn heard(&mut self, now: Moment, turn: TurnNo, text: &str, whole: bool) {
        if !self.is_watching() || text.trim().is_empty() {
            return;
        }
        if self.last.0 != turn {
            self.words.push_str(&self.last.1);
            self.words.push(' ');
            let surplus = self.words.len().saturating_sub(MOST_LETTERS);
            let cut = (surplus..=self.words.len()).find(|at| self.words.is_char_boundary(*at)).unwrap_or(0);
            self.words.drain(..cut);
        }
        self.last = (turn, text.to_owned());
        // A phrase may go on over a breath.
        let all = format!("{} {text}", self.words);
        let found: Vec<_> = phrases::evidence(&all).collect();
        for (kind, phrase) in found {
            self.learn(now, kind, format!("\"{phrase}\""));
        }
        if whole && matches!(self.stage, Stage::Waiting { .. }) && self.calls_out(text) {
            self.learn(now, SignalKind::TookTurn, "called into the silence".to_owned());
        }
        self.look(now);
    }

    /// Has somebody spoken into the silence that a machine was left, who is one? The turn may hold the greeting before it.
    fn calls_out(&self, text: &str) -> bool {
        let short = |began: Moment, off: Moment| off.ms_since(began) <= CALL_OUT_MS && self.greeting == Greeting::Over;
        let tail = text.rsplit(['.', '!', ';']).find(|part| !part.trim().is_empty()).unwrap_or(text);
        self.voice.began.zip(self.voice.off).is_some_and(|(began, off)| short(began, off)) && phrases::calls_out(tail)
    }

    /// The far end has had its turn: was it an answer to the bot?
    pub(super) fn turn_taken(&mut self, now: Moment, text: &str) {
        let answers = std::mem::take(&mut self.voice.answers_bot);
        if self.is_watching() && answers && phrases::are_a_persons(text) {
            self.learn(now, SignalKind::TookTurn, "answered the bot".to_owned());
            self.look(now);
        }
    }

    /// A key was pressed: no machine does that.
    pub(super) fn key_pressed(&mut self, now: Moment) {
        if self.is_watching() && self.answered_at.is_some() {
            self.learn(now, SignalKind::TookTurn, "pressed a key".to_owned());
            self.look(now);
        }
    }

    /// Time passes.
    pub(super) fn on_time(&mut self, now: Moment) {
        if self.is_watching() {
            self.look(now);
            self.take_moment(now);
        }
    }

    /// When [`Watch::on_time`] is wanted.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let (now_on, off) = (self.voice.on, self.voice.off);
        let quiet_for = |ms: u64| off.filter(|_| now_on.is_none()).map(|off| off.plus_ms(ms));
        let wait = match self.stage {
            Stage::Acted | Stage::Settled => return None,
            Stage::Watching => self.watch_until(),
            Stage::Waiting { until } => until.into_iter().chain(until.and(quiet_for(SILENCE_MS))).min(),
        };
        let greeting = match self.greeting {
            Greeting::Since(since) if now_on.is_some() => {
                Some(since.plus_ms(LONG_GREETING_MS)).filter(|_| !self.score.has(SignalKind::LongGreeting))
            }
            Greeting::Since(_) => quiet_for(BREATH_MS),
            Greeting::Awaited | Greeting::Over => None,
        };
        let early = now_on.filter(|_| self.answered_at.is_none() && !self.score.has(SignalKind::EarlySpeech));
        let early = early.and(self.voice.began).map(|began| began.plus_ms(LONG_GREETING_MS));
        let quiet_ms = if self.score.is_suspected() { GO_ON_AFTER_MS } else { GREETED_MS };
        let go_on = quiet_for(quiet_ms).filter(|_| self.held && self.stage == Stage::Watching);
        [wait, greeting, early, go_on].into_iter().flatten().min()
    }

    fn watch_until(&self) -> Option<Moment> {
        let ms = if self.score.is_suspected() { 2 * WATCH_MS } else { WATCH_MS };
        self.answered_at.map(|at| at.plus_ms(ms))
    }

    fn learn(&mut self, now: Moment, kind: SignalKind, detail: String) {
        self.revision += u32::from(self.score.add(kind, now, detail));
    }

    /// Looks at how long somebody has spoken or been silent, and at what follows from everything.
    fn look(&mut self, now: Moment) {
        self.look_at_cadence(now);
        let verdict = self.score.verdict();
        match self.stage {
            Stage::Watching if verdict.is_machine() => self.decide(now),
            Stage::Waiting { .. } if !verdict.is_machine() => self.stage = Stage::Watching,
            _ => {}
        }
        if self.stage == Stage::Watching {
            if verdict == Verdict::Human || self.watch_until().is_some_and(|at| now >= at) {
                self.settle(Stage::Settled);
                self.hold(false);
                return;
            }
            let speaks = |ms: u64| self.voice.on.is_some() || self.voice.off.is_some_and(|off| now < off.plus_ms(ms));
            let suspected = self.score.is_suspected() && speaks(GO_ON_AFTER_MS);
            self.hold(suspected || (self.greets_over_the_answer() && speaks(GREETED_MS)));
        }
    }

    /// Does, or did, what goes on now begin before the answer?
    fn greets_over_the_answer(&self) -> bool {
        let across = self.voice.began.zip(self.answered_at).is_some_and(|(began, answered)| began < answered);
        across && self.score.has(SignalKind::EarlySpeech)
    }

    fn look_at_cadence(&mut self, now: Moment) {
        if let (None, Some(began)) = (self.answered_at, self.voice.began) {
            let end = if self.voice.on.is_some() { now } else { self.voice.off.unwrap_or(now) };
            if end.ms_since(began) >= LONG_GREETING_MS {
                self.learn(now, SignalKind::EarlySpeech, format!("{LONG_GREETING_MS} ms before the answer"));
            }
        }
        let Greeting::Since(since) = self.greeting else { return };
        let end = if self.voice.on.is_some() { now } else { self.voice.off.unwrap_or(now) };
        let ms = end.ms_since(since);
        if ms >= LONG_GREETING_MS {
            self.learn(now, SignalKind::LongGreeting, format!("{LONG_GREETING_MS} ms without a pause"));
        }
        if self.voice.on.is_none() && now >= end.plus_ms(BREATH_MS) {
            self.greeting = Greeting::Over;
            if ms <= SHORT_GREETING_MS {
                self.learn(now, SignalKind::ShortGreeting, format!("{ms} ms, then silence"));
            }
        }
    }

    /// It is a machine.
    fn decide(&mut self, now: Moment) {
        self.revision += 1;
        if self.settings.message.is_none() {
            self.settle(Stage::Acted);
            self.steps.push_back(Step::HangUp);
            return;
        }
        let wait_ms = u64::from(self.settings.beep_wait_ms);
        self.stage = Stage::Waiting { until: self.answered_at.map(|_| now.plus_ms(wait_ms)) };
        self.hold(true);
        self.take_moment(now);
    }

    /// Is this the moment for the message?
    fn take_moment(&mut self, now: Moment) {
        let Stage::Waiting { until: Some(until) } = self.stage else { return };
        let speaks_since = self.voice.on;
        // What beeps may be taken for a voice.
        let beeped = self
            .beep_at
            .is_some_and(|at| now.ms_since(at) <= BEEP_HOLDS_MS && speaks_since.is_none_or(|since| since <= at));
        let silent = speaks_since.is_none() && self.voice.off.is_none_or(|off| now >= off.plus_ms(SILENCE_MS));
        if beeped || silent {
            self.settle(Stage::Acted);
            self.steps.push_back(Step::LeaveMessage);
        } else if now >= until {
            self.settle(Stage::Acted);
            self.steps.push_back(if speaks_since.is_some() { Step::HangUp } else { Step::LeaveMessage });
        }
    }

    fn settle(&mut self, stage: Stage) {
        if stage == Stage::Acted {
            self.acted = Some((self.score.verdict(), self.score.confidence()));
        }
        self.stage = stage;
        self.revision += 1;
        self.steps.push_back(Step::Rest);
    }

    /// Before the answer there is nothing to hold, but what is held then begins held.
    fn hold(&mut self, hold: bool) {
        if self.held != hold {
            self.held = hold;
            self.steps.push_back(if hold { Step::Hold } else { Step::Release });
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
