//! The one task of a call: waits for facts or the deadline, tells the call, obeys its orders. Obeying never waits, so that a
//! slow provider or a stuck leg cannot hold a call up. Never decides anything about the conversation.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::feeder::Feeder;
use super::kit::Kit;
use super::scribe::Scribe;
use super::sip::RtpShelf;
use crate::call::line::LineOrder;
use crate::call::{Call, Fact, LegFact, LegLoss, LegOrder, Order, Verdict};
use crate::provider::{FactSender, JudgeSession, LlmSession, SttSession, TtsSession};
use crate::record::{BlockWriter, Recorder, RecordingId};
use crate::rt;
use crate::shard::{LegPort, LineHandle, LineReport, Shards};
use crate::telemetry::{LiveGuard, Metrics, ProviderLabels};
use crate::transport::sip::LiveLadder;
use crate::turn::Heard;
use crate::units::{Moment, SampleRate, TurnNo, UtteranceId};

/// Facts from providers that may wait. Full: the provider waits.
const HEARD_QUEUE: usize = 256;
/// Orders to the line that may wait for room in its ring; more means that the line is dead.
const MOST_LINE_ORDERS: usize = 64;
/// Facts handled in one go before orders are obeyed and timers looked at.
const FACTS_AT_ONCE: usize = 64;
/// Audio handed to the listeners at once, in samples at 16 kHz.
const LISTEN_BLOCK: usize = 1_600;

/// What an operator or the drain tells a running call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// End it.
    HangUp,
    /// Press these keys at the far end.
    Keys(String),
    /// The drain's time is over.
    DrainOver,
}

/// The leg's channels, as the driver holds them.
#[derive(Debug)]
pub struct LegChannels {
    /// Facts from the far end.
    pub(super) facts: mpsc::Receiver<LegFact>,
    /// Orders to it. Full: the leg is stuck and the call ends.
    pub(super) orders: mpsc::Sender<LegOrder>,
    /// What carries its audio.
    pub(super) media: LegMedia,
    /// Its signalling messages, where it keeps them.
    pub(super) ladder: LiveLadder,
}

/// What carries a leg's audio.
#[derive(Debug)]
pub enum LegMedia {
    /// The leg's own task, which wants the port of the line once that is open.
    Task(Option<oneshot::Sender<LegPort>>),
    /// A UDP port, put on this shelf before the leg says that audio may flow.
    Rtp(RtpShelf, u64),
}

/// What the driver needs of the process.
#[derive(Debug, Clone)]
pub struct Machinery {
    /// The media threads.
    pub shards: Arc<Shards>,
    /// The recorder thread.
    pub recorder: Recorder,
    /// What exists, and what goes wrong.
    pub metrics: Arc<Metrics>,
}

/// Where a driver keeps its recording, so that it can be closed even where the driver panicked. Counted as open until then.
pub type RecordingSlot = Arc<Mutex<Option<(RecordingId, LiveGuard)>>>;

/// Where a call is written down.
#[derive(Debug)]
pub struct Papers {
    /// The recording's path, where it is wanted.
    pub record_to: Option<std::path::PathBuf>,
    /// The recording, once there is one.
    pub recording: RecordingSlot,
    /// The journal.
    pub scribe: Scribe,
}

/// What is left of a call when its driver is done; the result is made from it.
#[derive(Debug)]
pub struct Remains {
    /// The call, over.
    pub call: Call,
    /// The line's counters, if there was a line.
    pub line: Option<LineReport>,
    /// What the dialogue engine made of the call.
    pub outcome: Option<serde_json::Value>,
    /// What was used.
    pub meter: Meter,
    /// The journal.
    pub scribe: Scribe,
    /// The line's rate; that of a telephone where there was no line.
    pub rate: SampleRate,
}

/// What a call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// Audio handed to recognition, in samples at 16 kHz.
    pub listened_samples: u64,
    /// Questions to the engine.
    pub asks: u32,
    /// Characters given to synthesis.
    pub characters: u64,
    /// Speech made, in samples at the call's rate.
    pub spoken_samples: u64,
}

/// The sessions of one call.
#[derive(Default)]
struct Sessions {
    stt: Option<Box<dyn SttSession>>,
    judge: Option<Box<dyn JudgeSession>>,
    llm: Option<Box<dyn LlmSession>>,
    tts: Option<Box<dyn TtsSession>>,
    live: Vec<LiveGuard>,
}

/// The driver of one call.
pub struct Driver {
    call: Call,
    leg: LegChannels,
    kit: Kit,
    machinery: Machinery,
    line: Option<LineHandle>,
    line_orders: Vec<LineOrder>,
    feeder: Feeder,
    sessions: Sessions,
    heard_tx: FactSender,
    heard: mpsc::Receiver<Heard>,
    control: mpsc::Receiver<Control>,
    line_up: Option<LiveGuard>,
    papers: Papers,
    meter: Meter,
    broken: Option<String>,
    leg_gone: bool,
    rate: Option<SampleRate>,
    /// Who answered, as far as it was known when it was counted last.
    verdict: Verdict,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("call", &self.call).finish_non_exhaustive()
    }
}

impl Driver {
    /// The driver of a call that has just been opened.
    #[must_use]
    pub fn new(
        call: Call,
        leg: LegChannels,
        kit: Kit,
        machinery: Machinery,
        control: mpsc::Receiver<Control>,
        papers: Papers,
    ) -> Self {
        let (heard_tx, heard) = mpsc::channel(HEARD_QUEUE);
        Self {
            call,
            leg,
            kit,
            machinery,
            line: None,
            line_up: None,
            line_orders: Vec::new(),
            feeder: Feeder::default(),
            sessions: Sessions::default(),
            heard_tx,
            heard,
            control,
            papers,
            meter: Meter::default(),
            broken: None,
            leg_gone: false,
            rate: None,
            verdict: Verdict::Unknown,
        }
    }

    /// Runs the call to its end.
    pub async fn run(mut self, on_change: impl Fn(&Call) + Send) -> Remains {
        while !self.call.is_over() {
            let fact = self.next_fact().await;
            self.hand_audio();
            let now = rt::now();
            // Most wakes are for audio alone: then the call is as it was, and nobody has to be told.
            let mut changed = fact.is_some();
            if let Some(fact) = fact {
                self.tell(now, fact);
            }
            for _ in 0..FACTS_AT_ONCE {
                let Some(fact) = self.ready_fact() else { break };
                changed = true;
                self.tell(now, fact);
            }
            if self.call.deadline().is_some_and(|at| now >= at) {
                changed = true;
                self.call.handle_timeout(now);
                self.obey(now);
            }
            if let Some(what) = self.broken.take() {
                changed = true;
                self.tell(now, Fact::Broken { what });
            }
            self.move_speech();
            self.papers.scribe.climb(&self.leg.ladder);
            if changed {
                self.papers.scribe.follow(now, &self.call, self.rate);
                self.count_verdict();
                on_change(&self.call);
            }
            self.papers.scribe.flush();
        }
        self.close().await
    }

    /// Waits for a fact, a wake of the line, or the deadline.
    async fn next_fact(&mut self) -> Option<Fact> {
        let deadline = self.call.deadline().unwrap_or_else(|| rt::now().plus_ms(1_000));
        let wake = self.line.as_ref().map(|line| Arc::clone(&line.wake));
        let woken = async {
            match &wake {
                Some(wake) => wake.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            leg = self.leg.facts.recv(), if !self.leg_gone => {
                self.leg_gone = leg.is_none();
                Some(Fact::Leg(leg.unwrap_or(LegFact::Lost(LegLoss::Internal))))
            }
            heard = self.heard.recv() => heard.map(Fact::Heard),
            control = self.control.recv(), if !self.control.is_closed() => control.map(control_fact),
            () = woken => None,
            () = self.leg.ladder.grown() => None,
            () = rt::sleep_until(deadline) => None,
        }
    }

    /// A fact that is there already.
    fn ready_fact(&mut self) -> Option<Fact> {
        if let Some(line) = &mut self.line
            && let Ok(fact) = line.ends.facts.pop()
        {
            return Some(Fact::Line(fact));
        }
        if let Ok(leg) = self.leg.facts.try_recv() {
            return Some(Fact::Leg(leg));
        }
        self.heard.try_recv().ok().map(Fact::Heard)
    }

    fn tell(&mut self, now: Moment, fact: Fact) {
        self.count_failure(&fact);
        self.papers.scribe.fact(now, &fact);
        self.call.handle(now, fact);
        while let Some(report) = self.call.poll_report() {
            self.machinery.metrics.far_playout_lag.observe_us(u64::try_from(report.lag_ms).unwrap_or(0) * 1_000);
            self.papers.scribe.played(now, report);
        }
        self.obey(now);
    }

    /// Counts who answered when that is known, and again where it turns out to be somebody else, or to record.
    fn count_verdict(&mut self) {
        let Some(verdict) = self.call.voicemail().map(|known| known.verdict) else { return };
        if verdict != std::mem::replace(&mut self.verdict, verdict) && verdict != Verdict::Unknown {
            self.machinery.metrics.answered_by(verdict.code());
        }
    }

    fn count_failure(&self, fact: &Fact) {
        let (role, kind) = match fact {
            Fact::Heard(Heard::ListenFailed { .. }) => ("stt", "failed"),
            Fact::Heard(Heard::DraftFailed { .. }) => ("llm", "failed"),
            Fact::Heard(Heard::SpeechFailed { .. }) => ("tts", "failed"),
            Fact::ProviderMissing { .. } => ("session", "missing"),
            _ => return,
        };
        self.machinery.metrics.provider_failed(&ProviderLabels { role, kind });
    }

    fn obey(&mut self, now: Moment) {
        while let Some(order) = self.call.poll() {
            self.papers.scribe.order(now, &order);
            match order {
                Order::Leg(order) => self.order_leg(order),
                Order::OpenLine { rate } => self.open_line(now, rate),
                Order::Line(order) => self.order_line(order),
                Order::BeginTurn { turn, pos } => self.begin_turn(turn, pos),
                Order::Take { turn, take } => {
                    if let Some(stt) = &mut self.sessions.stt {
                        // A murmur over the bot must not be made a word that stops it: hints are for the caller's own turn.
                        let own = self.call.turn().caller_has_floor();
                        let hints = self.sessions.llm.as_mut().filter(|_| own).and_then(|llm| llm.expects());
                        stt.expect(&hints.unwrap_or_default());
                        stt.take(turn, take);
                    }
                }
                Order::Judge { turn, take } => {
                    if let Some(judge) = &mut self.sessions.judge {
                        judge.judge(turn, take);
                    }
                }
                Order::EndTurn { turn } => {
                    if let Some(stt) = &mut self.sessions.stt {
                        stt.end(turn);
                    }
                }
                Order::Ask(ask) => {
                    self.meter.asks += 1;
                    if let Some(llm) = &mut self.sessions.llm {
                        llm.ask(ask);
                    }
                }
                Order::CancelAnswer { utterance } => self.cancel(utterance),
                Order::Say { utterance, segment, text } => {
                    self.meter.characters += text.chars().count() as u64;
                    if let Some(tts) = &mut self.sessions.tts {
                        tts.say(utterance, segment, &text);
                    }
                }
                Order::Play { utterance, segment, samples, last } => {
                    self.meter.spoken_samples += samples.len() as u64;
                    if !self.feeder.push(utterance, segment, samples, last) {
                        self.broken = Some("synthesis made more than two minutes of waiting speech".to_owned());
                    }
                }
                // Kept in the milestones, from where the result takes it.
                Order::OptOut | Order::Finish => {}
            }
        }
        self.move_speech();
    }

    fn order_leg(&mut self, order: LegOrder) {
        if let Err(mpsc::error::TrySendError::Full(order)) = self.leg.orders.try_send(order) {
            self.broken = Some(format!("the leg does not take orders any more; {order:?} found its queue full"));
        }
    }

    fn open_line(&mut self, now: Moment, rate: SampleRate) {
        self.rate = Some(rate);
        let mut writer = None;
        if let Some(path) = self.papers.record_to.take() {
            match self.machinery.recorder.open(path, rate) {
                Ok((id, tape)) => {
                    let open = self.machinery.metrics.live_recordings.enter();
                    *self.papers.recording.lock().unwrap_or_else(PoisonError::into_inner) = Some((id, open));
                    writer = Some(tape);
                }
                Err(error) => self.papers.scribe.warn("recording_missing", &error.to_string()),
            }
        }
        match self.open_media(rate, writer) {
            // Where the leg is over already, its last fact is on its way and there is nothing to hear.
            Ok(None) => return,
            Ok(Some(line)) => {
                self.line = Some(line);
                self.line_up = Some(self.machinery.metrics.live_lines.enter());
            }
            Err(error) => self.broken = Some(error),
        }
        if let Err(error) = self.open_sessions(rate) {
            self.tell(now, Fact::ProviderMissing { error: error.to_string() });
        }
    }

    fn open_media(&mut self, rate: SampleRate, writer: Option<BlockWriter>) -> Result<Option<LineHandle>, String> {
        let shards = &self.machinery.shards;
        match &mut self.leg.media {
            LegMedia::Task(to) => {
                let (line, port) = shards.open(rate, writer).map_err(|error| error.to_string())?;
                // Where the leg is gone already, its loss is the next fact.
                if let Some(to) = to.take() {
                    drop(to.send(port));
                }
                Ok(Some(line))
            }
            LegMedia::Rtp(shelf, id) => {
                let Some(leg) = shelf.take(*id).transpose()? else { return Ok(None) };
                shards.open_rtp(rate, writer, leg).map(Some).map_err(|error| error.to_string())
            }
        }
    }

    fn open_sessions(&mut self, rate: SampleRate) -> Result<(), crate::provider::ProviderError> {
        let facts = &self.heard_tx;
        self.sessions.stt = Some(self.kit.stt.open(facts.clone())?);
        self.sessions.tts = Some(self.kit.tts.open(&self.kit.voice, rate, facts.clone())?);
        self.sessions.llm = Some(self.kit.llm.open(&self.kit.dialogue, facts.clone())?);
        if let Some(judge) = &self.kit.judge {
            self.sessions.judge = Some(judge.open(facts.clone())?);
        }
        let open = 3 + usize::from(self.sessions.judge.is_some());
        self.sessions.live = (0..open).map(|_| self.machinery.metrics.live_sessions.enter()).collect();
        Ok(())
    }

    fn order_line(&mut self, order: LineOrder) {
        if let LineOrder::Cut { utterance } = order {
            self.feeder.cut(utterance);
        }
        if self.line_orders.len() < MOST_LINE_ORDERS {
            self.line_orders.push(order);
        } else {
            self.broken = Some(format!("the media line does not take orders any more: {MOST_LINE_ORDERS} wait"));
        }
    }

    fn begin_turn(&mut self, turn: TurnNo, pos: Option<u64>) {
        let pushed = self.meter.listened_samples;
        let ago = pos.map_or(0, |pos| pushed.saturating_sub(pos) / 16);
        let ago_ms = u32::try_from(ago).unwrap_or(u32::MAX);
        if let Some(stt) = &mut self.sessions.stt {
            stt.begin(turn, ago_ms);
        }
        if let Some(judge) = &mut self.sessions.judge {
            judge.begin(turn, ago_ms);
        }
    }

    fn cancel(&mut self, utterance: UtteranceId) {
        if let Some(llm) = &mut self.sessions.llm {
            llm.cancel(utterance);
        }
        if let Some(tts) = &mut self.sessions.tts {
            tts.cancel(utterance);
        }
    }

    /// Hands the caller's audio to the listeners. Comes before the line's facts, so that a fact's position has been heard.
    fn hand_audio(&mut self) {
        let Some(line) = &mut self.line else { return };
        let mut block = [0i16; LISTEN_BLOCK];
        loop {
            let (got, _) = line.ends.listen.pop_partial_slice(&mut block);
            if got.is_empty() {
                return;
            }
            self.meter.listened_samples += got.len() as u64;
            if let Some(stt) = &mut self.sessions.stt {
                stt.audio(got);
            }
            if let Some(judge) = &mut self.sessions.judge {
                judge.audio(got);
            }
        }
    }

    /// Moves waiting speech and orders into the line's rings, as far as they fit.
    fn move_speech(&mut self) {
        let Some(line) = &mut self.line else { return };
        let mut taken = 0;
        for order in &self.line_orders {
            if line.ends.orders.push(*order).is_err() {
                break;
            }
            taken += 1;
        }
        self.line_orders.drain(..taken);
        self.feeder.pour(&mut line.ends.speech);
    }

    /// The call is over: waits for the line to hand its counters back, within a bound.
    async fn close(mut self) -> Remains {
        self.move_speech();
        let untaken = self.call.milestones().transfer_failed;
        let llm = self.sessions.llm.as_ref();
        let outcome = llm.and_then(|llm| if untaken { llm.outcome_untaken() } else { llm.outcome() });
        let mut stats = None;
        if let Some(done) = self.line.as_mut().and_then(LineHandle::done) {
            let deadline = std::time::Duration::from_secs(2);
            stats = rt::timeout(deadline, done).await.and_then(Result::ok);
            if stats.is_none() {
                self.papers.scribe.warn("line_lost", "the media line did not close within 2 s");
            }
            (self.line, self.line_up) = (None, None);
        }
        Remains {
            call: self.call,
            line: stats,
            outcome,
            meter: self.meter,
            scribe: self.papers.scribe,
            rate: self.rate.unwrap_or(SampleRate::NARROW),
        }
    }
}

fn control_fact(control: Control) -> Fact {
    match control {
        Control::HangUp => Fact::HangUpAsked,
        Control::Keys(keys) => Fact::KeysAsked { keys },
        Control::DrainOver => Fact::DrainOver,
    }
}
