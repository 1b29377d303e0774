//! The whole caller without its socket: takes what came and the sample of the clock at which it came, gives what is to be sent
//! and what the recogniser is to do. One call to [`Caller::tick`] per 20 ms. A state machine; reads no clock.

use std::collections::{HashMap, VecDeque};

use super::conversation::{Act, Conversation};
use super::ear::{Ear, Noticed};
use super::ledger::Ledger;
use super::marks::Marks;
use super::phone::Phone;
use super::report::{Ended, LineKind};
use super::script::{Plan, Source, Trigger};
use super::signal::{Clip, Spoil, Spoiler};
use crate::units::{FRAME_MS, SampleRate, TurnNo};
use crate::wire::ws::native::FromBot;

/// The rate of a plain dialler's leg.
pub(super) const RATE: SampleRate = SampleRate::NARROW;
/// Samples of one frame.
pub(super) const FRAME: usize = RATE.frame_samples();
/// Frames by which the ear is behind the clock, so that everything that came in time is on the tape when it listens.
const EAR_LAG_FRAMES: usize = 1;
/// Longest wait for the words of a finished turn; then it counts as not understood.
const WORDS_WAIT_MS: u64 = 5_000;

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Out {
    /// Audio.
    Media(Vec<i16>),
    /// A key.
    Key(char),
    /// What became of the audio before a mark of this name: played, or thrown away.
    Mark(String, bool),
    /// `hangup-call`; afterwards nothing.
    HangUp,
}

/// What the recogniser is to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hark {
    /// The next stretch of the earpiece, at [`RATE`].
    Audio(Vec<i16>),
    /// The bot began so many milliseconds before the end of the audio so far.
    Begin(TurnNo, u32),
    /// Recognise so far.
    Take(TurnNo, u32),
    /// Done with this turn.
    End(TurnNo),
}

/// What people watch go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// The caller says a line.
    Caller(String),
    /// The bot said a turn.
    Bot(String),
}

/// A turn of the bot that is being heard.
#[derive(Debug)]
struct Listening {
    turn: TurnNo,
    onset: usize,
    take: u32,
    words: Option<String>,
    /// The turn ended here; the words of the last take are awaited until the second figure.
    ended: Option<(usize, u64)>,
}

/// The lines of a script, rendered.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    /// By step.
    pub steps: HashMap<usize, Clip>,
    /// The default answer.
    pub default: Option<Clip>,
}

/// The caller.
#[derive(Debug)]
pub(super) struct Caller {
    talk: Conversation,
    lines: Lines,
    pub phone: Phone,
    pub ledger: Ledger,
    pub spoiler: Spoiler,
    ear: Ear,
    ticks: u64,
    playing: VecDeque<i16>,
    keys: VecDeque<char>,
    marks: Marks,
    hang_up_next: bool,
    listening: Option<Listening>,
    turns: u32,
    /// What the recogniser is to do since the last look.
    pub hark: Vec<Hark>,
    /// Takes that nobody can answer, as no recogniser is there.
    pub unheard: Vec<(TurnNo, u32)>,
    /// What happened since the last look.
    pub shown: Vec<Shown>,
    /// The call is over, and how.
    pub ended: Option<Ended>,
    pub seen: Seen,
}

/// What came from the server beside audio.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub frames: u64,
    pub chunk_faults: u64,
    pub unknown: u64,
    pub early_frames: u64,
    pub call_id: Option<String>,
    pub transferred_to: Option<String>,
    pub error: Option<String>,
    last_chunk: u64,
}

impl Caller {
    pub(super) fn new(plan: Plan, lines: Lines, spoil: Spoil) -> Self {
        let (limit_ms, silence_ms) = (plan.limit_ms, plan.turn_silence_ms);
        Self {
            talk: Conversation::new(plan),
            lines,
            phone: Phone::new(RATE, limit_ms + 20_000),
            ledger: Ledger::new(RATE),
            spoiler: Spoiler::new(spoil),
            ear: Ear::new(silence_ms),
            ticks: 0,
            playing: VecDeque::new(),
            keys: VecDeque::new(),
            marks: Marks::default(),
            hang_up_next: false,
            listening: None,
            turns: 0,
            hark: Vec::new(),
            unheard: Vec::new(),
            shown: Vec::new(),
            ended: None,
            seen: Seen::default(),
        }
    }

    /// Milliseconds of the clock.
    pub(super) const fn now_ms(&self) -> u64 {
        self.ticks * FRAME_MS as u64
    }

    pub(super) const fn talk(&self) -> &Conversation {
        &self.talk
    }

    /// A message came when the clock stood at sample `at`; `answered` once the bot may speak.
    pub(super) fn received(&mut self, at: usize, message: FromBot, answered: bool) {
        match message {
            FromBot::Media(media) => {
                self.seen.frames += 1;
                self.seen.early_frames += u64::from(!answered);
                self.seen.chunk_faults += u64::from(media.chunk != self.seen.last_chunk + 1);
                self.seen.last_chunk = media.chunk;
                let (pairs, _) = media.payload.as_chunks::<2>();
                let samples: Vec<i16> = pairs.iter().map(|&pair| i16::from_le_bytes(pair)).collect();
                self.phone.hear(at, &samples);
            }
            FromBot::Stop => {
                self.phone.forget_unplayed(at);
                self.marks.stopped(at);
            }
            FromBot::HangUp { .. } => self.end(Ended::BotHungUp),
            FromBot::Transfer { to } => {
                self.seen.transferred_to = Some(to);
                self.end(Ended::Transferred);
            }
            FromBot::Ready { call_id } => self.seen.call_id = Some(call_id).filter(|id| !id.is_empty()),
            FromBot::Error { code, message } => self.seen.error = Some(format!("{code}: {message}")),
            FromBot::Mark { name } => self.marks.came(name, self.phone.filled_to().max(at)),
            FromBot::Ping | FromBot::Pong => {}
        }
    }

    /// Recognised words; `take` says which.
    pub(super) fn transcribed(&mut self, turn: TurnNo, take: u32, text: String) {
        if let Some(listening) = &mut self.listening
            && listening.turn == turn
            && listening.take == take
        {
            listening.words = Some(text);
        }
    }

    /// Answers the takes for which there is no recogniser.
    pub(super) fn without_words(&mut self) {
        for (turn, take) in std::mem::take(&mut self.unheard) {
            self.transcribed(turn, take, String::new());
        }
    }

    /// Ends the call; the first reason stands.
    pub(super) fn end(&mut self, ended: Ended) {
        self.ended.get_or_insert(ended);
    }

    /// The next 20 ms: listens, decides, and gives what is to be sent.
    pub(super) fn tick(&mut self, answered: bool) -> Vec<Out> {
        let mut out = Vec::new();
        self.listen();
        self.conclude(false);
        if self.now_ms() >= self.talk.plan().limit_ms {
            self.end(Ended::Limit);
        }
        if self.ended.is_none() && answered {
            self.act();
        }
        if self.hang_up_next && self.playing.is_empty() && self.keys.is_empty() {
            self.end(Ended::CallerHungUp);
        }
        if let Some(key) =
            self.keys.front().copied().filter(|_| self.playing.is_empty() && self.ticks.is_multiple_of(10))
        {
            self.keys.pop_front();
            out.push(Out::Key(key));
        }
        out.extend(self.marks.due(self.phone.said()).map(|(name, played)| Out::Mark(name, played)));
        if self.ended.is_some() {
            out.push(Out::HangUp);
        }
        let mut frame = vec![0; FRAME];
        frame.iter_mut().zip(self.playing.drain(..self.playing.len().min(FRAME))).for_each(|(slot, s)| *slot = s);
        if let Some(echo) = self.spoiler.echo {
            let mut played = vec![0; FRAME];
            let delay = RATE.samples_in(u64::from(echo.delay_ms)) as usize;
            if let Some(from) = self.phone.said().checked_sub(delay) {
                self.phone.played(from, &mut played);
            }
            echo.add(&played, &mut frame);
        }
        self.spoiler.pass(&mut frame);
        if self.ended.is_none() {
            out.push(Out::Media(frame.clone()));
        }
        self.phone.say(&frame);
        self.ticks += 1;
        out
    }

    /// After the end: hears out what is on the tape and asks for the words of the last turn. `true` while words are awaited.
    pub(super) fn hear_out(&mut self, until: usize) -> bool {
        while self.ear.at() + FRAME <= until {
            self.listen_once();
        }
        let last = self.ear.last();
        if let Some(listening) = &mut self.listening
            && listening.ended.is_none()
        {
            listening.take += 1;
            listening.words = None;
            listening.ended = Some((last, u64::MAX));
            self.hark.push(Hark::Take(listening.turn, listening.take));
        }
        self.ledger.spurt_ended(last);
        self.listening.is_some()
    }

    /// Are words still awaited; with `force` no longer.
    pub(super) fn conclude(&mut self, force: bool) -> bool {
        let Some(listening) = &self.listening else { return false };
        let Some((last, give_up_ms)) = listening.ended else { return true };
        if listening.words.is_none() && self.now_ms() < give_up_ms && !force {
            return true;
        }
        let Some(Listening { turn, onset, words, .. }) = self.listening.take() else { return false };
        let words = words.unwrap_or_default();
        self.hark.push(Hark::End(turn));
        self.ledger.bot_said(&words, onset, last);
        self.talk.bot_ended(self.now_ms(), &words);
        self.shown.push(Shown::Bot(words));
        false
    }

    fn listen(&mut self) {
        let until = (self.ticks as usize).saturating_sub(EAR_LAG_FRAMES) * FRAME;
        while self.ear.at() + FRAME <= until {
            self.listen_once();
        }
    }

    fn listen_once(&mut self) {
        let mut frame = vec![0; FRAME];
        self.phone.played(self.ear.at(), &mut frame);
        let mut noticed = Vec::new();
        self.ear.listen(&frame, &mut noticed);
        self.hark.push(Hark::Audio(frame));
        for event in noticed {
            self.noticed(event);
        }
    }

    fn noticed(&mut self, event: Noticed) {
        match event {
            Noticed::TurnBegan { onset } => {
                // A turn whose words are still awaited is closed as it is: its successor has begun.
                self.conclude(true);
                self.turns += 1;
                let turn = TurnNo(self.turns);
                let ago = RATE.ms_of((self.ear.at() - onset) as u64);
                self.hark.push(Hark::Begin(turn, u32::try_from(ago).unwrap_or(u32::MAX)));
                self.listening = Some(Listening { turn, onset, take: 0, words: None, ended: None });
                self.talk.bot_began(RATE.ms_of(onset as u64));
            }
            Noticed::SpurtBegan { onset } => self.ledger.spurt_began(onset),
            Noticed::SpurtEnded { last } => self.ledger.spurt_ended(last),
            Noticed::Paused => {
                if let Some(listening) = &mut self.listening {
                    listening.take += 1;
                    listening.words = None;
                    self.hark.push(Hark::Take(listening.turn, listening.take));
                }
            }
            Noticed::TurnEnded { last } => {
                let give_up = self.now_ms() + WORDS_WAIT_MS;
                if let Some(listening) = &mut self.listening {
                    listening.ended = Some((last, give_up));
                }
            }
        }
    }

    fn act(&mut self) {
        let busy = !self.playing.is_empty() || !self.keys.is_empty() || self.hang_up_next;
        match self.talk.due(self.now_ms(), busy) {
            None => {}
            Some(Act::GiveUp) => self.end(Ended::GaveUp),
            Some(Act::Default) => {
                if let (Some(text), Some(clip)) = (self.talk.plan().default.clone(), self.lines.default.clone()) {
                    self.say(&text, LineKind::Default, &clip);
                }
            }
            Some(Act::Step(index)) => self.step(index),
        }
    }

    fn step(&mut self, index: usize) {
        let Some(step) = self.talk.step(index).cloned() else { return };
        let kind = match (&step.source, &step.trigger) {
            (Some(Source::Cough), _) => LineKind::Cough,
            (_, Trigger::BargeIn(_)) => LineKind::BargeIn,
            _ => LineKind::Answer,
        };
        let text = match &step.source {
            Some(Source::Text(text)) => text.clone(),
            Some(Source::Wav(path)) => format!("[{}]", path.display()),
            Some(Source::Cough) => "[cough]".to_owned(),
            None => String::new(),
        };
        if let Some(clip) = self.lines.steps.get(&index).cloned() {
            self.say(&text, kind, &clip);
        }
        self.keys.extend(step.dtmf.chars());
        self.hang_up_next |= step.hangup;
    }

    fn say(&mut self, text: &str, kind: LineKind, clip: &Clip) {
        self.ledger.line(text, kind, self.phone.said(), clip.audible);
        self.playing.extend(&clip.samples);
        self.shown.push(Shown::Caller(text.to_owned()));
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
