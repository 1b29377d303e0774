//! The world around one call: a clock that jumps, a caller with a voice, an ear at the far end, and providers that answer after
//! their delay. Records what was ordered and what the caller heard.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

use voicefleet::call::line::{DriverEnd, LegEnd, Line, LineFact, LineOrder, Outlet, RecordTap, Rings};
use voicefleet::call::{Call, Fact, LegFact, LegLoss, LegMeta, LegOrder, Order};
use voicefleet::turn::{AskCause, Heard, ToolCall};
use voicefleet::units::{Moment, SampleRate, TurnNo, UtteranceId};

use super::script::{Act, Reply, Script, When};
use super::voice;

const RATE: SampleRate = SampleRate::NARROW;
const FRAME: usize = 160;
/// Synthesised speech per character.
const MS_PER_CHAR: u64 = 60;

/// What a run left behind.
pub struct Run {
    /// Orders and events with virtual milliseconds, one a line.
    pub log: Vec<String>,
    /// The call, over.
    pub call: Call,
    /// Every sample the far end heard, from the line's first tick on.
    pub heard: Vec<i16>,
    /// Left and right channel of the recording.
    pub recorded: (Vec<i16>, Vec<i16>),
    /// How many `Finish` orders came.
    pub finishes: u32,
    /// Frames sent per answer after the order to cut it.
    pub late_frames: u32,
    /// When the caller's stretches of speech really ended, and when the bot was audible next: pairs in milliseconds.
    pub waits: Vec<(u64, u64)>,
    /// Moments at which the bot began to be audible while the caller's utterance was not over.
    pub cut_ins: u32,
}

#[derive(Clone, Debug, PartialEq)]
enum Event {
    Tick,
    Act(usize),
    Heard(Heard),
    PeerHangsUp,
    PeerLost,
}

struct Ear {
    buffer: VecDeque<i16>,
    heard: Vec<i16>,
    sent: u64,
    clears: u32,
}

impl Outlet for Ear {
    fn has_room(&self) -> bool {
        true
    }

    fn send(&mut self, _due: Moment, samples: &[i16]) {
        self.sent += 1;
        self.buffer.extend(samples);
    }

    fn clear(&mut self) {
        self.clears += 1;
        self.buffer.clear();
    }
}

#[derive(Default)]
struct Tape(Vec<i16>, Vec<i16>);

impl RecordTap for Tape {
    fn pair(&mut self, caller: &[i16], bot: &[i16]) {
        self.0.extend_from_slice(caller);
        self.1.extend_from_slice(bot);
    }
}

/// One stretch of the caller's voice.
#[derive(Clone, Debug)]
struct Utterance {
    from: Moment,
    to: Moment,
    words: String,
    judged: f32,
    noise: bool,
}

struct World {
    script: Script,
    now: Moment,
    seq: u64,
    heap: BinaryHeap<Reverse<(Moment, u64, usize)>>,
    events: Vec<Option<Event>>,
    call: Call,
    line: Option<(Line, LegEnd, DriverEnd)>,
    ear: Ear,
    tape: Tape,
    log: Vec<String>,
    speech: VecDeque<(UtteranceId, u16, Arc<[i16]>, usize, bool)>,
    line_orders: VecDeque<LineOrder>,
    said: Vec<Utterance>,
    turns: BTreeMap<TurnNo, Moment>,
    replies: usize,
    mute: BTreeMap<UtteranceId, bool>,
    pending: Vec<(usize, When)>,
    bot_audible: bool,
    bot_quiet_ticks: u32,
    media: bool,
    finishes: u32,
    cut: Option<UtteranceId>,
    late_frames: u32,
    last_end: Option<u64>,
    waits: Vec<(u64, u64)>,
    cut_ins: u32,
    partial_at: Option<(TurnNo, Moment)>,
}

/// Runs a script to the end of its call.
pub fn run(script: &Script) -> Run {
    let start = Moment::from_millis(1_000_000);
    let meta = LegMeta { outgoing: script.outgoing, ..LegMeta::default() };
    let mut world = World {
        now: start,
        seq: 0,
        heap: BinaryHeap::new(),
        events: Vec::new(),
        call: Call::new(start, &meta, script.policy.clone()),
        line: None,
        ear: Ear { buffer: VecDeque::new(), heard: Vec::new(), sent: 0, clears: 0 },
        tape: Tape::default(),
        log: Vec::new(),
        speech: VecDeque::new(),
        line_orders: VecDeque::new(),
        said: Vec::new(),
        turns: BTreeMap::new(),
        replies: 0,
        mute: BTreeMap::new(),
        pending: Vec::new(),
        bot_audible: false,
        bot_quiet_ticks: 0,
        media: true,
        finishes: 0,
        cut: None,
        late_frames: 0,
        last_end: None,
        waits: Vec::new(),
        cut_ins: 0,
        partial_at: None,
        script: script.clone(),
    };
    world.begin();
    world.live(start);
    Run {
        log: world.log,
        call: world.call,
        heard: world.ear.heard,
        recorded: (world.tape.0, world.tape.1),
        finishes: world.finishes,
        late_frames: world.late_frames,
        waits: world.waits,
        cut_ins: world.cut_ins,
    }
}

impl World {
    fn begin(&mut self) {
        for (i, (when, _)) in self.script.acts.clone().into_iter().enumerate() {
            match when {
                When::At(ms) => self.at(self.now.plus_ms(ms), Event::Act(i)),
                relative => self.pending.push((i, relative)),
            }
        }
        if !self.script.silent_start {
            self.tell(Fact::Leg(LegFact::Started { rate: RATE }));
            if !self.script.outgoing {
                self.tell(Fact::Leg(LegFact::Answered));
            }
        }
    }

    fn live(&mut self, start: Moment) {
        let limit = start.plus_ms(self.script.limit_ms);
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
                self.call.handle_timeout(self.now);
                self.obey();
                assert!(
                    self.call.deadline().is_none_or(|d| d > self.now),
                    "the deadline did not move at {}:\n{}",
                    self.ms(),
                    self.log.join("\n")
                );
            }
        }
        // A few ticks more let the recording and the far end finish.
        for _ in 0..3 {
            self.now = self.now.plus_ms(20);
            self.tick();
        }
    }

    fn at(&mut self, at: Moment, event: Event) {
        self.seq += 1;
        self.events.push(Some(event));
        self.heap.push(Reverse((at, self.seq, self.events.len() - 1)));
    }

    fn later(&mut self, ms: u64, event: Event) {
        self.at(self.now.plus_ms(ms), event);
    }

    fn ms(&self) -> u64 {
        self.now.as_millis() - 1_000_000
    }

    fn note(&mut self, text: &str) {
        let ms = self.ms();
        self.log.push(format!("{ms:>6} {text}"));
    }

    fn tell(&mut self, fact: Fact) {
        self.call.handle(self.now, fact);
        self.obey();
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
            Event::Heard(heard) => {
                if let Heard::Drafted { utterance, .. } | Heard::DraftFailed { utterance, .. } = &heard {
                    let _ = utterance;
                }
                self.tell(Fact::Heard(heard));
            }
            Event::PeerHangsUp => self.tell(Fact::Leg(LegFact::HungUp { by: Some("dialler".to_owned()) })),
            Event::PeerLost => self.tell(Fact::Leg(LegFact::Lost(LegLoss::Closed))),
        }
    }

    fn act(&mut self, index: usize) {
        let act = self.script.acts[index].1.clone();
        match act {
            Act::Speaks { ms, words, judged, noise } => {
                self.note(&format!("caller {} {ms} ms \"{words}\"", if noise { "makes a noise of" } else { "speaks" }));
                let to = self.now.plus_ms(ms);
                self.said.push(Utterance { from: self.now, to, words, judged, noise });
            }
            Act::HangsUp => {
                self.note("caller hangs up");
                self.tell(Fact::Leg(LegFact::HungUp { by: Some("customer".to_owned()) }));
            }
            Act::Answers => {
                self.note("caller answers");
                self.tell(Fact::Leg(LegFact::Answered));
            }
            Act::Presses(keys) => {
                self.note(&format!("caller presses {keys}"));
                for digit in keys.chars() {
                    self.tell(Fact::Leg(LegFact::Digit { digit }));
                }
            }
            Act::Closes => self.lose(LegLoss::Closed, "the socket closes"),
            Act::GoesSilent => self.lose(LegLoss::Silent, "the leg is silent"),
            Act::Sticks => self.lose(LegLoss::Stuck, "the leg is stuck"),
            Act::Breaks => self.lose(LegLoss::Protocol, "the peer breaks the protocol"),
            Act::Operator => {
                self.note("operator hangs up");
                self.tell(Fact::HangUpAsked);
            }
            Act::DrainOver => {
                self.note("the drain is over");
                self.tell(Fact::DrainOver);
            }
        }
    }

    fn lose(&mut self, loss: LegLoss, text: &str) {
        self.note(text);
        self.media = false;
        self.tell(Fact::Leg(LegFact::Lost(loss)));
    }

    fn obey(&mut self) {
        while let Some(order) = self.call.poll() {
            match order {
                Order::OpenLine { rate } => {
                    let (rings, leg, ends) = Rings::new(rate);
                    self.line = Some((Line::new(rate, rings).expect("a leg rate"), leg, ends));
                    self.note("open line");
                    self.later(0, Event::Tick);
                }
                Order::Leg(order) => self.obey_leg(order),
                Order::Line(order) => {
                    self.note(&match order {
                        LineOrder::Pause => "pause".to_owned(),
                        LineOrder::Resume => "resume".to_owned(),
                        LineOrder::Cut { utterance } => format!("cut {utterance}"),
                        LineOrder::Close => "close line".to_owned(),
                    });
                    if let LineOrder::Cut { utterance } = order {
                        self.speech.retain(|s| s.0 > utterance);
                        self.cut = Some(utterance);
                    }
                    self.line_orders.push_back(order);
                }
                Order::BeginTurn { turn, pos } => {
                    self.note(&format!("turn {turn} begins"));
                    let began = match (pos, self.call.milestones().line_at) {
                        (Some(pos), Some(line_at)) => line_at.plus_ms(pos / 16),
                        _ => self.now,
                    };
                    self.turns.insert(turn, began);
                    self.partial_at = Some((turn, self.now));
                }
                Order::Take { turn, take } => {
                    let text = self.words_of(turn);
                    self.note(&format!("take {turn}.{take}"));
                    self.later(self.script.stt_ms, Event::Heard(Heard::Transcribed { turn, take, text }));
                }
                Order::Judge { turn, take } => {
                    let complete = self.said.iter().rfind(|u| u.to <= self.now).map_or(0.9, |u| u.judged);
                    self.later(self.script.judge_ms, Event::Heard(Heard::Judged { turn, take, complete }));
                }
                Order::EndTurn { turn } => self.note(&format!("turn {turn} ends")),
                Order::Ask(ask) => {
                    let cause = match &ask.cause {
                        AskCause::Caller(text) => format!("caller \"{text}\""),
                        AskCause::Digits(digits) => format!("digits {digits}"),
                        AskCause::Idle(n) => format!("idle {n}"),
                        AskCause::Opening => "opening".to_owned(),
                        AskCause::IdleGoodbye => "idle goodbye".to_owned(),
                        AskCause::TimeWarning => "time warning".to_owned(),
                        AskCause::Unclear => "unclear".to_owned(),
                    };
                    let after = ask.after.map_or(String::new(), |a| format!(" after {a}"));
                    let cut = if ask.interrupted { " interrupted" } else { "" };
                    self.note(&format!("ask {} {cause}{after}{cut}", ask.utterance));
                    self.answer(ask.utterance);
                }
                Order::CancelAnswer { utterance } => self.note(&format!("cancel {utterance}")),
                Order::Say { utterance, segment, text } => {
                    self.note(&format!("say {utterance}.{segment} \"{text}\""));
                    self.synthesise(utterance, segment, &text);
                }
                Order::Play { utterance, segment, samples, last } => {
                    self.speech.push_back((utterance, segment, samples, 0, last));
                }
                Order::OptOut => self.note("opt out"),
                Order::Finish => {
                    self.finishes += 1;
                    let ending = self.call.ending().expect("a call that is over has a reason");
                    self.note(&format!("end {} by {}", ending.reason.code(), ending.reason.disconnected_by().code()));
                }
            }
        }
    }

    fn obey_leg(&mut self, order: LegOrder) {
        match order {
            LegOrder::HangUp { message } => {
                self.note(&format!("hang up \"{message}\""));
                if self.media {
                    self.later(60, Event::PeerHangsUp);
                }
            }
            LegOrder::Transfer { to } => {
                self.note(&format!("transfer to {to}"));
                self.later(800, Event::PeerLost);
            }
            LegOrder::Close { code, reason } => self.note(&format!("close {code} {reason}")),
            LegOrder::Ready { .. } | LegOrder::Mark { .. } => {}
        }
    }

    /// What the caller said since the turn began: the words in the share that was spoken by now.
    fn words_of(&self, turn: TurnNo) -> String {
        let began = self.turns.get(&turn).copied().unwrap_or(self.now);
        let mut words = Vec::new();
        for u in self.said.iter().filter(|u| !u.noise && u.to.plus_ms(60) > began && u.from < self.now) {
            let all: Vec<&str> = u.words.split_whitespace().collect();
            let total = u.to.ms_since(u.from).max(1);
            let heard = self.now.ms_since(u.from).min(total);
            let n = (all.len() as u64 * heard).div_ceil(total) as usize;
            words.extend_from_slice(&all[..n.min(all.len())]);
        }
        words.join(" ")
    }

    fn answer(&mut self, utterance: UtteranceId) {
        let index = self.replies;
        self.replies += 1;
        let reply = self
            .script
            .replies
            .get(index)
            .cloned()
            .unwrap_or_else(|| Reply { text: "Okay.".to_owned(), ..Reply::default() });
        let ms = self.script.llm_ms;
        if reply.hang {
            return;
        }
        if reply.fail {
            self.later(ms, Event::Heard(Heard::DraftFailed { utterance, error: "asked to".to_owned() }));
            return;
        }
        self.mute.insert(utterance, reply.mute);
        if !reply.text.is_empty() {
            // In two pieces, as a stream would come.
            let cut = reply.text.char_indices().nth(reply.text.chars().count() / 2).map_or(0, |(i, _)| i);
            let (a, b) = reply.text.split_at(cut);
            for text in [a, b] {
                let text = text.to_owned();
                self.later(ms, Event::Heard(Heard::Drafted { utterance, text, protected: reply.protected }));
            }
        }
        let mut tool = |tool| self.later(ms, Event::Heard(Heard::ToolCalled { utterance, tool }));
        if reply.opt_out {
            tool(ToolCall::OptOut);
        }
        if let Some(reason) = reply.end {
            tool(ToolCall::EndCall { reason });
        }
        if let Some(to) = reply.transfer {
            tool(ToolCall::Transfer { to });
        }
        self.later(ms, Event::Heard(Heard::DraftEnded { utterance }));
    }

    fn synthesise(&mut self, utterance: UtteranceId, segment: u16, text: &str) {
        let heard = if self.mute.get(&utterance).copied().unwrap_or(false) {
            Heard::SpeechFailed { utterance, segment, error: "asked to".to_owned() }
        } else {
            let samples = voice::bot(text.chars().count() as u64 * MS_PER_CHAR, utterance);
            Heard::Spoken { utterance, segment, samples, last: true }
        };
        self.later(self.script.tts_ms, Event::Heard(heard));
    }

    fn tick(&mut self) {
        let caller = self.caller_frame();
        let Some((line, leg, ends)) = &mut self.line else { return };
        while let Some(order) = self.line_orders.front() {
            if ends.orders.push(*order).is_err() {
                break;
            }
            self.line_orders.pop_front();
        }
        while let Some((utterance, segment, samples, at, last)) = self.speech.front_mut() {
            if !ends.speech.has_place() {
                break;
            }
            *at += ends.speech.push(*utterance, *segment, &samples[*at..], *last);
            if *at < samples.len() {
                break;
            }
            self.speech.pop_front();
        }
        if self.media {
            for sample in caller {
                let _ = leg.push(sample);
            }
        }
        let (sent, cut) = (self.ear.sent, self.cut.take());
        line.tick(self.now, &mut self.ear, &mut self.tape);
        if cut.is_some() && self.bot_audible && self.speech.is_empty() {
            self.late_frames += u32::try_from(self.ear.sent - sent).unwrap_or(u32::MAX);
        }
        let mut listened = [0i16; 4096];
        while !ends.listen.pop_partial_slice(&mut listened).0.is_empty() {}
        let mut facts = Vec::new();
        while let Ok(fact) = ends.facts.pop() {
            facts.push(fact);
        }
        self.hear();
        for fact in facts {
            match fact {
                LineFact::VoiceBegan { .. } => self.note("voice"),
                LineFact::VoiceCeased { .. } => self.note("quiet"),
                LineFact::SegmentHeard { utterance, segment } => self.note(&format!("heard {utterance}.{segment}")),
                LineFact::SpeechCut { utterance, segment, heard_ms } => {
                    self.note(&format!("stopped {utterance}.{segment} after {heard_ms} ms"));
                }
                LineFact::SpeechBegan { utterance, .. } => self.note(&format!("speech {utterance}")),
                LineFact::Opened { .. } | LineFact::Overrun => {}
            }
            self.tell(Fact::Line(fact));
        }
        self.tell_partial();
    }

    fn tell_partial(&mut self) {
        let Some((turn, at)) = self.partial_at else { return };
        if self.script.partials_ms == 0 || self.now.ms_since(at) < self.script.partials_ms {
            return;
        }
        self.partial_at = Some((turn, self.now));
        let text = self.words_of(turn);
        if !text.is_empty() {
            self.later(self.script.stt_ms, Event::Heard(Heard::Partial { turn, text }));
        }
    }

    /// The far end plays one frame.
    fn hear(&mut self) {
        let mut audible = false;
        for _ in 0..FRAME {
            let sample = self.ear.buffer.pop_front();
            audible |= sample.is_some_and(|s| s != 0);
            self.ear.heard.push(sample.unwrap_or(0));
        }
        if audible {
            if !self.bot_audible {
                self.bot_audible = true;
                self.bot_turned(true);
            }
            self.bot_quiet_ticks = 0;
        } else if self.bot_audible {
            self.bot_quiet_ticks += 1;
            if self.bot_quiet_ticks >= 15 {
                self.bot_audible = false;
                self.bot_turned(false);
            }
        }
    }

    fn bot_turned(&mut self, audible: bool) {
        let now = self.now;
        if audible {
            if let Some(last) = self.said.iter().rfind(|u| !u.noise && u.from < now) {
                if last.to > now.plus_ms(40) {
                    self.cut_ins += 1;
                } else if self.last_end != Some(last.to.as_millis()) {
                    self.last_end = Some(last.to.as_millis());
                    self.waits.push((last.to.as_millis() - 1_000_000, self.ms()));
                }
            }
        }
        let due = self.pending.iter().position(|(_, when)| match when {
            When::AfterBot(_) => !audible,
            When::OverBot(_) => audible,
            When::At(_) => false,
        });
        if let Some(due) = due
            && due == 0
        {
            let (index, when) = self.pending.remove(due);
            let (When::AfterBot(ms) | When::OverBot(ms) | When::At(ms)) = when;
            // The bot fell silent 15 ticks ago.
            let ms = if audible { ms } else { ms.saturating_sub(300) };
            self.later(ms, Event::Act(index));
        }
    }

    /// What the caller's microphone gives in this tick.
    fn caller_frame(&mut self) -> Vec<i16> {
        let mut frame = vec![0i16; FRAME];
        let from = self.now.back_ms(20);
        for u in &self.said {
            if u.from < self.now && u.to > from {
                let at = from.ms_since(u.from) as usize * 8;
                voice::caller(&mut frame, at, u.noise);
            }
        }
        if let Some((db, delay_ms)) = self.script.echo {
            voice::echo(&mut frame, &self.ear.heard, db, delay_ms);
        }
        frame
    }
}
