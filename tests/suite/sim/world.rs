//! The world around one call: a clock that jumps, a caller with a voice, and the line's ticks. Records what was ordered and
//! what the caller heard. What providers and the far end answer is `company`'s business.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;

use voicefleet::call::line::{DriverEnd, LegEnd, Line, LineFact, LineOrder};
use voicefleet::call::{Call, CallState, EndReason, Fact, LegFact, LegLoss, LegMeta, Mark};
use voicefleet::turn::{Heard, TurnState};
use voicefleet::units::{Moment, SampleRate, TurnNo, UtteranceId};

use super::ear::{Ear, FRAME, Sent, Tape};
use super::script::{Act, BotVoice, Group, Reply, Script, Sound, When};
use super::voice;

pub const RATE: SampleRate = SampleRate::NARROW;
/// Where virtual time begins.
pub const START_MS: u64 = 1_000_000;
/// The caller counts as waiting for the bot, or the bot as silent, after this many silent ticks.
const QUIET_TICKS: u32 = 15;

/// What a run left behind.
pub struct Run {
    /// Orders and events with virtual milliseconds, one a line.
    pub log: Vec<String>,
    /// The call, over.
    pub call: Call,
    /// Every sample the far end heard, from the line's first tick on.
    pub heard: Vec<i16>,
    /// Every frame the far end was sent.
    pub sent: Vec<Sent>,
    /// Left and right channel of the recording.
    pub recorded: (Vec<i16>, Vec<i16>),
    /// How many `Finish` orders came, and orders after it.
    pub finishes: u32,
    /// Orders after the last.
    pub orders_after_finish: u32,
    /// Frames of an answer that left after the line obeyed the order to cut it (tagged speech only).
    pub late_frames: u32,
    /// Most frames the far end held after a tick.
    pub deepest: usize,
    /// Milliseconds from the end of a caller's turn to the bot's first sound.
    pub waits: Vec<u64>,
    /// How often the bot began to speak while the caller had not finished.
    pub cut_ins: u32,
    /// When the call was over, in virtual milliseconds.
    pub ended_ms: u64,
    /// The text of every piece that was given to synthesis.
    pub said: BTreeMap<(u32, u16), String>,
    /// Every mark that the far end was sent.
    pub marks: Vec<Mark>,
    /// How far the far end was behind, by its own reports.
    pub lags_ms: Vec<i64>,
    /// Every state of the call and of its turn loop after a fact or a deadline.
    pub states: (BTreeSet<CallState>, BTreeSet<TurnState>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Tick,
    Act(usize),
    Note(String),
    Heard(Heard),
    Marked(Mark, bool),
    PeerHangsUp,
    PeerLost,
    PeerSays(LegFact),
}

/// One stretch of the caller's voice.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// When the first stretch of the same turn began.
    pub turn_from: Moment,
    pub from: Moment,
    pub to: Moment,
    pub words: String,
    pub judged: f32,
    /// How sure recognition is of the words.
    pub sure: f32,
    pub sound: Sound,
}

/// A piece of speech on its way into the line.
pub struct Waiting {
    pub utterance: UtteranceId,
    pub segment: u16,
    pub samples: Arc<[i16]>,
    pub at: usize,
    pub last: bool,
}

pub struct World {
    pub script: Script,
    pub now: Moment,
    seq: u64,
    heap: BinaryHeap<Reverse<(Moment, u64, usize)>>,
    events: Vec<Option<Event>>,
    pub call: Call,
    pub line: Option<(Line, LegEnd, DriverEnd)>,
    pub ear: Ear,
    tape: Tape,
    pub log: Vec<String>,
    pub speech: VecDeque<Waiting>,
    pub line_orders: VecDeque<LineOrder>,
    pub caller: Vec<Stretch>,
    pub turns: BTreeMap<TurnNo, Moment>,
    pub replies: usize,
    pub moods: BTreeMap<UtteranceId, Reply>,
    /// Answers from here on of which synthesis makes nothing.
    pub mute_left: u32,
    states: (BTreeSet<CallState>, BTreeSet<TurnState>),
    pub said: BTreeMap<(u32, u16), String>,
    pending: Vec<(usize, When)>,
    bot_audible: bool,
    bot_quiet_ticks: u32,
    pub media: bool,
    pub finishes: u32,
    pub orders_after_finish: u32,
    answered: usize,
    waits: Vec<u64>,
    cut_ins: u32,
    pub partial_at: Option<(TurnNo, Moment)>,
    pub counted: usize,
    /// The bot holds its place; that is no silence to answer to.
    pub paused: bool,
    lags_ms: Vec<i64>,
}

/// Runs a script to the end of its call.
pub fn run(script: &Script) -> Run {
    let mut world = World::new(script);
    world.begin();
    world.live();
    Run {
        ended_ms: world.ms(),
        log: world.log,
        call: world.call,
        marks: world.ear.marks,
        lags_ms: world.lags_ms,
        heard: world.ear.heard,
        sent: world.ear.sent,
        recorded: (world.tape.0, world.tape.1),
        finishes: world.finishes,
        orders_after_finish: world.orders_after_finish,
        late_frames: world.ear.late_frames,
        deepest: world.ear.deepest,
        waits: world.waits,
        cut_ins: world.cut_ins,
        said: world.said,
        states: world.states,
    }
}

impl World {
    fn new(script: &Script) -> Self {
        let start = Moment::from_millis(START_MS);
        let meta = LegMeta {
            outgoing: script.outgoing,
            marks: script.marks_ms.is_some(),
            ring_limit_ms: script.ring_limit_ms,
            tells_transfers: !script.transfers.is_empty(),
            ..LegMeta::default()
        };
        Self {
            now: start,
            seq: 0,
            heap: BinaryHeap::new(),
            events: Vec::new(),
            call: match script.voicemail.clone() {
                Some(settings) => Call::new(start, &meta, script.policy.clone()).with_voicemail(settings),
                None => Call::new(start, &meta, script.policy.clone()),
            },
            line: None,
            ear: Ear {
                tagged: script.bot_voice == BotVoice::Tagged,
                late: (script.buffer_ms / 20) as usize,
                ..Ear::default()
            },
            tape: Tape::default(),
            log: Vec::new(),
            speech: VecDeque::new(),
            line_orders: VecDeque::new(),
            caller: Vec::new(),
            turns: BTreeMap::new(),
            replies: 0,
            moods: BTreeMap::new(),
            mute_left: 0,
            states: (BTreeSet::new(), BTreeSet::new()),
            said: BTreeMap::new(),
            pending: Vec::new(),
            bot_audible: false,
            bot_quiet_ticks: 0,
            media: true,
            finishes: 0,
            orders_after_finish: 0,
            answered: 0,
            waits: Vec::new(),
            cut_ins: 0,
            partial_at: None,
            counted: 0,
            paused: false,
            lags_ms: Vec::new(),
            script: script.clone(),
        }
    }

    fn begin(&mut self) {
        for (i, (when, _)) in self.script.acts.clone().into_iter().enumerate() {
            match when {
                When::At(ms) => self.at(self.now.plus_ms(ms), Event::Act(i)),
                relative => self.pending.push((i, relative)),
            }
        }
        if !self.script.silent_start {
            self.tell(Fact::Leg(LegFact::Started { rate: RATE }));
            if !self.script.outgoing && !self.script.ringing {
                self.tell(Fact::Leg(LegFact::Answered));
            }
        }
    }

    fn live(&mut self) {
        self.note_state();
        let limit = self.now.plus_ms(self.script.limit_ms);
        while !self.call.is_over() {
            let next = self.heap.peek().map(|Reverse((at, ..))| *at);
            let deadline = self.call.deadline();
            let Some(at) = next.into_iter().chain(deadline).min() else {
                panic!("the call has neither an event nor a deadline:\n{}", self.log.join("\n"));
            };
            assert!(at <= limit, "the call outlived its script:\n{}", self.log.join("\n"));
            self.now = self.now.max(at);
            if next == Some(at) {
                let Some(Reverse((_, _, index))) = self.heap.pop() else { continue };
                if let Some(event) = self.events[index].take() {
                    self.happen(event);
                }
            }
            if self.call.deadline().is_some_and(|d| d <= self.now) {
                self.let_time_pass();
            }
        }
        // A few ticks more let the recording and the far end finish.
        for _ in 0..3 {
            self.now = self.now.plus_ms(20);
            self.tick();
        }
    }

    fn let_time_pass(&mut self) {
        self.call.handle_timeout(self.now);
        self.obey();
        self.note_state();
        let moved = self.call.deadline().is_none_or(|d| d > self.now);
        assert!(moved, "the deadline did not move at {}:\n{}", self.ms(), self.log.join("\n"));
    }

    fn at(&mut self, at: Moment, event: Event) {
        self.seq += 1;
        self.events.push(Some(event));
        self.heap.push(Reverse((at, self.seq, self.events.len() - 1)));
    }

    pub fn later(&mut self, ms: u64, event: Event) {
        self.at(self.now.plus_ms(ms), event);
    }

    pub fn ms(&self) -> u64 {
        self.now.as_millis() - START_MS
    }

    pub fn note(&mut self, text: &str) {
        let ms = self.ms();
        self.log.push(format!("{ms:>6} {text}"));
    }

    pub fn tell(&mut self, fact: Fact) {
        self.call.handle(self.now, fact);
        self.lags_ms.extend(std::iter::from_fn(|| self.call.poll_report()).map(|report| report.lag_ms));
        self.obey();
        self.note_state();
    }

    fn note_state(&mut self) {
        self.states.0.insert(self.call.state());
        self.states.1.insert(self.call.turn().state());
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Tick => {
                self.tick();
                if self.line.is_some() {
                    self.later(20, Event::Tick);
                }
            }
            Event::Act(i) => self.act(i),
            Event::Note(text) => self.note(&text),
            Event::Heard(heard) => self.tell(Fact::Heard(heard)),
            Event::Marked(mark, played) => {
                self.note(&format!("{} {mark}", if played { "played" } else { "threw away" }));
                self.tell(Fact::Leg(LegFact::Mark { mark, played }));
            }
            Event::PeerHangsUp => self.tell(Fact::Leg(LegFact::HungUp { by: Some("dialler".to_owned()) })),
            Event::PeerSays(fact) => self.tell(Fact::Leg(fact)),
            Event::PeerLost => self.tell(Fact::Leg(LegFact::Lost(LegLoss::Closed))),
        }
    }

    fn act(&mut self, index: usize) {
        match self.script.acts[index].1.clone() {
            Act::Says(groups) => self.speak(&groups),
            Act::Makes { ms, sound } => {
                self.note(&format!("caller makes {ms} ms of {sound:?}"));
                let (from, to) = (self.now, self.now.plus_ms(ms));
                self.caller.push(Stretch {
                    turn_from: from,
                    from,
                    to,
                    words: String::new(),
                    judged: 0.9,
                    sure: 1.0,
                    sound,
                });
            }
            Act::Beeps { ms, hz } => {
                self.note(&format!("caller beeps {ms} ms at {hz} Hz"));
                let sound = Sound::Tone(hz);
                let (from, to) = (self.now, self.now.plus_ms(ms));
                let (words, turn_from) = (String::new(), from);
                self.caller.push(Stretch { turn_from, from, to, words, judged: 0.9, sure: 1.0, sound });
            }
            Act::HangsUp => self.leg("caller hangs up", LegFact::HungUp { by: Some("customer".to_owned()) }),
            Act::Answers => self.leg("caller answers", LegFact::Answered),
            Act::Starts => self.leg("the format is agreed", LegFact::Started { rate: RATE }),
            Act::Presses(keys) => {
                self.note(&format!("caller presses {keys}"));
                for digit in keys.chars() {
                    self.tell(Fact::Leg(LegFact::Digit { digit }));
                }
            }
            Act::LineSilent => {
                self.note("no audio comes");
                self.tell(Fact::Line(LineFact::FarEndSilent));
            }
            Act::Unreached(code) => {
                let reason = EndReason::of(&code).expect("the code of an end reason");
                self.leg(&format!("nobody is reached: {code}"), LegFact::Unreached(reason));
            }
            Act::Closes => self.lose(LegLoss::Closed, "the socket closes"),
            Act::GoesSilent => self.lose(LegLoss::Silent, "the leg is silent"),
            Act::Sticks => self.lose(LegLoss::Stuck, "the leg is stuck"),
            Act::Breaks => self.lose(LegLoss::Protocol, "the peer breaks the protocol"),
            Act::LegFails => self.lose(LegLoss::Internal, "the leg's task fails"),
            Act::Operator => self.outside("operator hangs up", Fact::HangUpAsked),
            Act::DrainOver => self.outside("the drain is over", Fact::DrainOver),
            Act::WorkerBreaks => self.outside("the worker breaks", Fact::Broken { what: "asked to".to_owned() }),
            Act::ProviderMissing => {
                self.outside("a provider is missing", Fact::ProviderMissing { error: "asked to".to_owned() });
            }
            Act::Overrun => self.outside("the line's facts overrun", Fact::Line(LineFact::Overrun)),
            Act::LineBreaks => self.outside("the line breaks off", Fact::Line(LineFact::Broken)),
            Act::ListenFails => {
                let error = "asked to".to_owned();
                self.outside("recognition fails", Fact::Heard(Heard::ListenFailed { error }));
            }
            Act::Stale => {
                self.note("stale facts come");
                self.stale();
            }
            Act::ThrowsAway => {
                self.note("the far end throws away what it has");
                self.ear.throw_away();
            }
            Act::Deaf => {
                self.note("the peer says nothing more");
                self.media = false;
            }
            Act::Stalls => {
                self.note("the far end takes no more");
                self.ear.full = true;
            }
        }
    }

    fn outside(&mut self, text: &str, fact: Fact) {
        self.note(text);
        self.tell(fact);
    }

    fn leg(&mut self, text: &str, fact: LegFact) {
        self.outside(text, Fact::Leg(fact));
    }

    fn lose(&mut self, loss: LegLoss, text: &str) {
        self.media = false;
        self.leg(text, LegFact::Lost(loss));
    }

    fn speak(&mut self, groups: &[Group]) {
        let turn_from = self.now;
        let mut at = self.now;
        for group in groups {
            let from = at.plus_ms(group.pause_ms);
            at = from.plus_ms(group.ms);
            let Group { ms, words, judged, sure, .. } = group.clone();
            let note = format!("caller speaks {ms} ms \"{words}\"");
            if from == self.now {
                self.note(&note);
            } else {
                self.at(from, Event::Note(note));
            }
            self.caller.push(Stretch { turn_from, from, to: at, words, judged, sure, sound: Sound::Voice });
        }
    }

    fn tick(&mut self) {
        let caller = self.caller_frame();
        let Some((line, leg, ends)) = &mut self.line else { return };
        while let Some(order) = self.line_orders.front() {
            if ends.orders.push(*order).is_err() {
                break;
            }
            if let LineOrder::Cut { utterance } = order {
                self.ear.cut_through = self.ear.cut_through.max(utterance.0);
            }
            self.line_orders.pop_front();
        }
        while let Some(piece) = self.speech.front_mut() {
            if !ends.speech.has_place() {
                break;
            }
            piece.at += ends.speech.push(piece.utterance, piece.segment, &piece.samples[piece.at..], piece.last);
            if piece.at < piece.samples.len() {
                break;
            }
            self.speech.pop_front();
        }
        if self.media {
            for sample in caller {
                let _ = leg.push(sample);
            }
        }
        line.tick(self.now, &mut self.ear, &mut self.tape);
        let mut listened = [0i16; 4096];
        while !ends.listen.pop_partial_slice(&mut listened).0.is_empty() {}
        let mut facts = Vec::new();
        while let Ok(fact) = ends.facts.pop() {
            facts.push(fact);
        }
        let audible = self.ear.play();
        for (mark, played) in std::mem::take(&mut self.ear.answers) {
            // A far end that was not asked for marks is sent none.
            if let Some(ms) = self.script.marks_ms.filter(|_| self.media) {
                self.later(ms, Event::Marked(mark, played));
            }
        }
        self.watch_bot(audible);
        for fact in facts {
            self.note_fact(fact);
            self.tell(Fact::Line(fact));
        }
        self.tell_partial();
    }

    fn note_fact(&mut self, fact: LineFact) {
        match fact {
            LineFact::VoiceBegan { .. } => self.note("voice"),
            LineFact::VoiceCeased { .. } => self.note("quiet"),
            LineFact::SegmentHeard { utterance, segment } => self.note(&format!("heard {utterance}.{segment}")),
            LineFact::SpeechCut { utterance, segment, heard_ms } => {
                self.note(&format!("stopped {utterance}.{segment} after {heard_ms} ms"));
            }
            LineFact::SpeechBegan { utterance, .. } => self.note(&format!("speech {utterance}")),
            LineFact::Beeped { hz, lasted_ms, .. } => self.note(&format!("beep {hz} Hz for {lasted_ms} ms")),
            LineFact::Opened { .. }
            | LineFact::Overrun
            | LineFact::Broken
            | LineFact::Digit { .. }
            | LineFact::FarEndSilent => {}
        }
    }

    /// Follows when the bot becomes audible and falls silent, for the acts that wait for it.
    fn watch_bot(&mut self, audible: bool) {
        if audible {
            self.bot_quiet_ticks = 0;
            if !self.bot_audible {
                self.bot_audible = true;
                self.measure();
                self.bot_turned(true);
            }
        } else if self.bot_audible && !self.paused {
            self.bot_quiet_ticks += 1;
            if self.bot_quiet_ticks >= QUIET_TICKS {
                self.bot_audible = false;
                self.bot_turned(false);
            }
        }
    }

    /// The bot has begun: did the caller wait for it, or had the caller more to say?
    fn measure(&mut self) {
        let begun = |u: &&Stretch| u.sound == Sound::Voice && u.turn_from < self.now;
        if self.caller.iter().filter(begun).any(|u| u.to > self.now.plus_ms(40)) {
            self.cut_ins += 1;
        } else if let Some(last) = self.caller.iter().rfind(begun)
            && self.answered < self.caller.len()
        {
            self.waits.push(self.now.ms_since(last.to));
            self.answered = self.caller.len();
        }
    }

    fn bot_turned(&mut self, audible: bool) {
        let Some(&(index, when)) = self.pending.first() else { return };
        let ms = match when {
            When::AfterBot(ms) if !audible => ms.saturating_sub(u64::from(QUIET_TICKS) * 20),
            When::OverBot(ms) if audible => ms,
            _ => return,
        };
        // Whoever is in the middle of a turn does not begin another.
        if !audible && self.caller.iter().any(|u| u.turn_from < self.now && u.to > self.now) {
            return;
        }
        self.pending.remove(0);
        self.later(ms, Event::Act(index));
    }

    /// What the caller's microphone gives in this tick.
    fn caller_frame(&mut self) -> Vec<i16> {
        let mut frame = vec![0i16; FRAME];
        let from = self.now.back_ms(20);
        for u in &self.caller {
            if u.from < self.now && u.to > from {
                let at = from.ms_since(u.from) as usize * 8;
                match u.sound {
                    Sound::Tone(hz) => voice::tone(&mut frame, at, hz),
                    sound => voice::caller(&mut frame, at, sound == Sound::Cough),
                }
            }
        }
        if let Some((db, delay_ms)) = self.script.echo {
            voice::echo(&mut frame, &self.ear.heard, db, delay_ms);
        }
        frame
    }
}
