//! The recognition of one call: keeps the open turn's audio, asks the pool for partials and finals, and lets nothing
//! stale out. Never runs a model itself.
//!
//! Order: a partial is sent only while no newer take was asked since its audio was copied, so it can never follow the
//! answer to a later take. A take is answered unless a newer take, a new turn or the end of the turn came first.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bench::Bench;
use super::deliver::{deliver, offer};
use super::denoise::denoised;
use super::moonshine::Words;
use super::pool::{Job, Lane, Lanes};
use super::speech_level::{longest_pause, speech_ms};
use crate::provider::{FactSender, Hints, ProviderError, SttSession};
use crate::turn::Heard;
use crate::units::{SampleRate, TurnNo, dbfs};

const RATE: SampleRate = SampleRate::WIDE;
/// Audio before the reported start of speech that belongs to the turn: detectors are late.
const PRE_ROLL_MS: u64 = 300;
/// Audio kept while no turn is open. A longer `ago` finds only this.
const RING_MS: u64 = 2_000;
/// An open piece of this length is cut at its longest pause.
const PIECE_MS: u64 = 10_000;
/// Pieces whose words are not known yet that a turn may hold; the oldest goes first.
const MOST_PIECES: usize = 12;
/// Words of audio with less speech than this are the recogniser's imagination.
const LEAST_SPEECH_MS: u32 = 100;
/// The longest answer that is kept until the next, and the least speech in one: a cough is no answer.
const LONGEST_KEPT_MS: u64 = 6_000;
const LEAST_KEPT_SPEECH_MS: u32 = 200;
/// New audio below this level is not worth a partial.
const QUIET_DBFS: f32 = -55.0;

/// A cut piece of a long turn.
#[derive(Clone, Debug)]
enum Piece {
    Unknown(Arc<[i16]>),
    Known(Arc<str>),
}

/// What the session and its jobs share. Held for moments only, never while a model runs.
#[derive(Default, Debug)]
struct Open {
    turn: Option<TurnNo>,
    /// How many takes were asked in this turn.
    asked: u32,
    /// Rises with every `begin`, so that a job of an older turn of the same number finds nothing.
    epoch: u64,
    /// Cut pieces, the oldest first.
    pieces: Vec<Piece>,
    last_partial: String,
}

#[derive(Default, Debug)]
struct Shared {
    open: Mutex<Open>,
    partial_running: AtomicBool,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`SttSession`].
pub(super) struct Listening {
    lanes: Arc<Lanes<Bench>>,
    facts: FactSender,
    shared: Arc<Shared>,
    ring: VecDeque<i16>,
    /// The open turn's audio since the last cut.
    tail: Vec<i16>,
    /// How much of `tail` the last partial had.
    partial_at: usize,
    /// Audio between two partials; 0 = no partials.
    partial_every: usize,
    hints: Arc<Hints>,
    /// How much of `tail` the last take had; 0 = none, or the turn was cut.
    taken: usize,
    /// The last answer's audio; empty where it was too long or none.
    before: Arc<[i16]>,
}

impl Listening {
    pub(super) fn new(lanes: Arc<Lanes<Bench>>, facts: FactSender, partial_every_ms: u32) -> Self {
        Self {
            lanes,
            facts,
            shared: Arc::default(),
            ring: VecDeque::with_capacity(samples(RING_MS)),
            tail: Vec::new(),
            partial_at: 0,
            partial_every: samples(u64::from(partial_every_ms)),
            hints: Arc::default(),
            taken: 0,
            before: Arc::default(),
        }
    }

    /// Is a partial of this call queued or running?
    pub(super) fn partial_running(&self) -> bool {
        self.shared.partial_running.load(Ordering::Acquire)
    }

    fn keep(&mut self, audio: &[i16]) {
        let most = samples(RING_MS);
        let audio = audio.get(audio.len().saturating_sub(most)..).unwrap_or_default();
        let surplus = (self.ring.len() + audio.len()).saturating_sub(most);
        self.ring.drain(..surplus);
        self.ring.extend(audio);
    }

    /// Moves all audio up to the longest pause out of the tail.
    fn cut(&mut self) {
        let at = longest_pause(&self.tail).clamp(samples(1_000), self.tail.len());
        let piece: Arc<[i16]> = self.tail.drain(..at).collect();
        self.partial_at = self.partial_at.saturating_sub(at);
        self.taken = 0;
        let mut open = self.shared.open();
        open.pieces.push(Piece::Unknown(piece));
        let unknown = open.pieces.iter().filter(|piece| matches!(piece, Piece::Unknown(_))).count();
        if unknown > MOST_PIECES {
            tracing::warn!("recognition is more than two minutes behind a caller; the oldest audio is given up");
            if let Some(oldest) = open.pieces.iter_mut().find(|piece| matches!(piece, Piece::Unknown(_))) {
                *oldest = Piece::Known("".into());
            }
        }
    }

    /// A partial costs more the longer the tail is, so it comes less often.
    fn partial_due(&self) -> bool {
        let new = self.tail.len().saturating_sub(self.partial_at);
        self.partial_every > 0
            && new >= self.partial_every + self.tail.len() / 10
            && !self.partial_running()
            && dbfs(self.tail.get(self.partial_at..).unwrap_or_default()) > QUIET_DBFS
    }

    fn start_partial(&mut self) {
        let Some(work) = self.work(None) else { return };
        self.partial_at = self.tail.len();
        self.shared.partial_running.store(true, Ordering::Release);
        if self.lanes.offer(Lane::Spare, work).is_err() {
            self.shared.partial_running.store(false, Ordering::Release);
        }
    }

    fn work(&self, take: Option<u32>) -> Option<Recognise> {
        let open = self.shared.open();
        Some(Recognise {
            shared: self.shared.clone(),
            facts: self.facts.clone(),
            turn: open.turn?,
            take,
            asked: open.asked,
            epoch: open.epoch,
            tail: self.tail.as_slice().into(),
            pieces: open.pieces.len(),
            // Partials come often and decide little: they stay cheap.
            hints: if take.is_some() { self.hints.clone() } else { Arc::default() },
            before: if take.is_some() && self.hints.pressing() { self.before.clone() } else { Arc::default() },
        })
    }

    /// Keeps the answer that ends: where it was not understood, the next is likely to say the same.
    fn keep_answer(&mut self) {
        let answer = self.tail.get(..self.taken).unwrap_or_default();
        if speech_ms(answer) >= LEAST_KEPT_SPEECH_MS {
            self.before = if answer.len() <= samples(LONGEST_KEPT_MS) { answer.into() } else { Arc::default() };
        }
    }
}

impl SttSession for Listening {
    fn audio(&mut self, audio: &[i16]) {
        self.keep(audio);
        if self.shared.open().turn.is_none() {
            return;
        }
        self.tail.extend_from_slice(audio);
        if self.tail.len() >= samples(PIECE_MS) {
            self.cut();
        }
        if self.partial_due() {
            self.start_partial();
        }
    }

    fn begin(&mut self, turn: TurnNo, ago_ms: u32) {
        let reach = samples(u64::from(ago_ms) + PRE_ROLL_MS);
        let from = self.ring.len().saturating_sub(reach);
        self.tail.clear();
        self.tail.extend(self.ring.range(from..));
        (self.partial_at, self.taken) = (0, 0);
        let mut open = self.shared.open();
        *open = Open { turn: Some(turn), epoch: open.epoch + 1, ..Open::default() };
    }

    fn expect(&mut self, hints: &Arc<Hints>) {
        self.hints = hints.clone();
    }

    fn take(&mut self, turn: TurnNo, take: u32) {
        {
            let mut open = self.shared.open();
            if open.turn != Some(turn) {
                drop(open);
                // The turn is over or never began: there is nothing to hear, and somebody waits for an answer.
                offer(&self.facts, Heard::Transcribed { turn, take, text: String::new(), sure: 1.0 });
                return;
            }
            open.asked += 1;
        }
        self.taken = if self.shared.open().pieces.is_empty() { self.tail.len() } else { 0 };
        let Some(work) = self.work(Some(take)) else { return };
        if let Err(error) = self.lanes.offer(Lane::Now, work) {
            offer(&self.facts, Heard::ListenFailed { error: error.to_string() });
        }
    }

    fn end(&mut self, turn: TurnNo) {
        let mut open = self.shared.open();
        if open.turn == Some(turn) {
            *open = Open { epoch: open.epoch + 1, ..Open::default() };
            drop(open);
            self.keep_answer();
            self.tail = Vec::new();
            (self.partial_at, self.taken) = (0, 0);
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.shared.open().turn = None;
    }
}

/// Recognise a turn as far as it had come: pieces whose words are not known yet, then the tail.
struct Recognise {
    shared: Arc<Shared>,
    facts: FactSender,
    turn: TurnNo,
    /// `None` = a partial.
    take: Option<u32>,
    /// How many takes had been asked when the audio was copied.
    asked: u32,
    epoch: u64,
    tail: Arc<[i16]>,
    /// How many cut pieces stood before `tail`.
    pieces: usize,
    hints: Arc<Hints>,
    /// The answer before, which was not understood; empty where there is none.
    before: Arc<[i16]>,
}

impl Recognise {
    fn wanted(&self) -> bool {
        let open = self.shared.open();
        !self.facts.is_closed() && self.current(&open)
    }

    fn current(&self, open: &Open) -> bool {
        open.turn == Some(self.turn) && open.epoch == self.epoch && open.asked == self.asked
    }

    /// The words; `None` where nobody wants them any more.
    /// How sure it is of them is told of the newest piece: what was said before it is settled.
    fn words(&self, bench: &mut Bench) -> Result<Option<Words>, ProviderError> {
        let mut words: Vec<Arc<str>> = Vec::new();
        let before: &[i16] = if self.pieces == 0 { &self.before } else { &[] };
        for number in 0..self.pieces {
            let piece = {
                let open = self.shared.open();
                if open.epoch != self.epoch {
                    return Ok(None);
                }
                open.pieces.get(number).cloned()
            };
            match piece {
                Some(Piece::Known(text)) => words.push(text),
                Some(Piece::Unknown(audio)) => {
                    let Some(words_of) = self.recognise(bench, &audio, &[])? else { return Ok(None) };
                    let text: Arc<str> = words_of.text.into();
                    self.remember(number, &text);
                    words.push(text);
                }
                None => {}
            }
        }
        let Some(Words { text, sure }) = self.recognise(bench, &self.tail, before)? else { return Ok(None) };
        words.push(text.into());
        words.retain(|text| !text.is_empty());
        Ok(Some(Words { text: words.join(" "), sure }))
    }

    fn remember(&self, number: usize, text: &Arc<str>) {
        let mut open = self.shared.open();
        if open.epoch == self.epoch
            && let Some(piece) = open.pieces.get_mut(number)
        {
            *piece = Piece::Known(text.clone());
        }
    }

    fn recognise(&self, bench: &mut Bench, audio: &[i16], before: &[i16]) -> Result<Option<Words>, ProviderError> {
        if speech_ms(audio) < LEAST_SPEECH_MS {
            return Ok(Some(Words::NONE));
        }
        let wave = denoised(wave(audio));
        if before.is_empty() {
            return bench.moonshine().transcribe(&wave, &self.hints, &|| self.wanted());
        }
        bench.moonshine().transcribe_again(&wave, &denoised(self::wave(before)), &self.hints, &|| self.wanted())
    }

    fn answer(&self, Words { text, sure }: Words) {
        match self.take {
            Some(take) => {
                if self.wanted() {
                    if self.hints.make_up(&text) {
                        deliver(&self.facts, Heard::Expected { turn: self.turn, take });
                    }
                    deliver(&self.facts, Heard::Transcribed { turn: self.turn, take, text, sure });
                }
            }
            None => {
                // Checked and sent in one hold of the lock: a take that is asked now comes after this partial.
                let mut open = self.shared.open();
                if self.current(&open) && !text.is_empty() && open.last_partial != text {
                    open.last_partial.clone_from(&text);
                    offer(&self.facts, Heard::Partial { turn: self.turn, text, sure });
                }
            }
        }
    }

    /// What whoever waits is told where the job fails.
    fn mourn(shared: &Shared, facts: &FactSender, partial: bool, error: &ProviderError) {
        if partial {
            tracing::debug!(%error, "a partial transcript failed");
            shared.partial_running.store(false, Ordering::Release);
        } else {
            deliver(facts, Heard::ListenFailed { error: error.to_string() });
        }
    }
}

impl Job<Bench> for Recognise {
    fn run(self: Box<Self>, bench: &mut Bench) {
        let outcome = if self.wanted() { self.words(bench) } else { Ok(None) };
        match outcome {
            Ok(Some(words)) => self.answer(words),
            Ok(None) => {}
            Err(error) => return Self::mourn(&self.shared, &self.facts, self.take.is_none(), &error),
        }
        if self.take.is_none() {
            self.shared.partial_running.store(false, Ordering::Release);
        }
    }

    fn mourner(&self) -> Box<dyn FnOnce(ProviderError) + Send> {
        let (shared, facts, partial) = (self.shared.clone(), self.facts.clone(), self.take.is_none());
        Box::new(move |error| Self::mourn(&shared, &facts, partial, &error))
    }
}

/// Samples as numbers from −1 to 1.
fn wave(audio: &[i16]) -> Vec<f32> {
    audio.iter().map(|&sample| f32::from(sample) / 32_768.0).collect()
}

fn samples(ms: u64) -> usize {
    usize::try_from(RATE.samples_in(ms)).unwrap_or(usize::MAX)
}
