//! The voice of one call: segments in the order they were said, chunk by chunk, one chunk of a call in the pool at a time,
//! so that a long answer never stands in front of another call's first word. Never runs a network itself.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bench::Bench;
use super::deliver::{deliver, offer};
use super::g2p::{chunks, cleaned};
use super::lines::{LineKey, Lines};
use super::pool::{Job, Lane, Lanes};
use super::speak::{LocalVoice, Place, speak};
use crate::provider::normalise::speakable;
use crate::provider::{FactSender, ProviderError, TtsSession, Voice};
use crate::turn::Heard;
use crate::units::{SampleRate, UtteranceId};

/// Segments that a call may have waiting; a whole answer has a handful.
const MOST_WAITING: usize = 64;
/// A kept line goes out in pieces of this length, so that a barge-in never has much in flight.
const PIECE_MS: u64 = 2_000;

/// What a voice needs wherever it speaks.
#[derive(Clone)]
pub(super) struct Booth {
    pub lanes: Arc<Lanes<Bench>>,
    pub lines: Arc<Lines>,
}

/// A segment that is not finished.
struct Segment {
    id: (UtteranceId, u16),
    key: LineKey,
    left: VecDeque<(String, bool)>,
    /// What was rendered so far, for the kept lines.
    rendered: Vec<i16>,
    /// The text has letters or digits, so silence would be a fault.
    must_sound: bool,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Segment>,
    /// A chunk of this call is queued or running.
    busy: bool,
    /// The segment that a thread has in hand; `None` also once it was cancelled.
    running: Option<(UtteranceId, u16)>,
}

struct Shared {
    booth: Booth,
    facts: FactSender,
    voice: LocalVoice,
    speed: f32,
    rate: SampleRate,
    queue: Mutex<Queue>,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is the segment in hand still wanted?
    fn wanted(&self) -> bool {
        self.queue().running.is_some() && !self.facts.is_closed()
    }
}

fn failure((utterance, segment): (UtteranceId, u16), error: &ProviderError) -> Heard {
    Heard::SpeechFailed { utterance, segment, error: error.to_string() }
}

/// See [`TtsSession`].
pub(super) struct Speaking {
    shared: Arc<Shared>,
    voice: Voice,
}

impl Speaking {
    pub(super) fn new(booth: Booth, voice: &Voice, rate: SampleRate, facts: FactSender) -> Result<Self, ProviderError> {
        let local = LocalVoice::of(voice)?;
        let speed = speed_of(voice);
        let shared = Shared { booth, facts, voice: local, speed, rate, queue: Mutex::default() };
        Ok(Self { shared: Arc::new(shared), voice: voice.clone() })
    }
}

/// The pace, within what the networks were trained for.
pub(super) fn speed_of(voice: &Voice) -> f32 {
    if voice.speed.is_finite() { voice.speed.clamp(0.5, 2.0) } else { 1.0 }
}

impl TtsSession for Speaking {
    fn say(&mut self, utterance: UtteranceId, segment: u16, text: &str) {
        let shared = &self.shared;
        let text = cleaned(&speakable(text, &self.voice));
        let segment = Segment {
            id: (utterance, segment),
            key: LineKey::new(&self.voice, shared.rate, &text),
            left: chunks(&text).into(),
            rendered: Vec::new(),
            must_sound: text.chars().any(char::is_alphanumeric),
        };
        let mut queue = shared.queue();
        if queue.waiting.len() >= MOST_WAITING {
            drop(queue);
            let error = ProviderError::Busy { what: "the call's voice", limit: MOST_WAITING };
            offer(&shared.facts, failure(segment.id, &error));
            return;
        }
        let idle = !queue.busy;
        // A line that is kept and has nothing before it needs no thread at all.
        if idle
            && let Some(samples) = shared.booth.lines.find(&segment.key)
            && send_kept(shared, &segment, &samples, offer)
        {
            return;
        }
        queue.waiting.push_back(segment);
        if idle {
            queue.busy = true;
            drop(queue);
            go_on(shared, Lane::Now, offer);
        }
    }

    fn cancel(&mut self, utterance: UtteranceId) {
        let mut queue = self.shared.queue();
        queue.waiting.retain(|segment| segment.id.0 != utterance);
        queue.running.take_if(|running| running.0 == utterance);
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.waiting.clear();
        queue.running = None;
    }
}

/// Sends a kept line; `false` where the call has no room for all of it at once (then nothing was sent).
fn send_kept(shared: &Shared, segment: &Segment, samples: &Arc<[i16]>, send: fn(&FactSender, Heard) -> bool) -> bool {
    let step = usize::try_from(shared.rate.samples_in(PIECE_MS)).unwrap_or(usize::MAX);
    if samples.len() <= step {
        return send(&shared.facts, spoken(segment, samples.clone(), true));
    }
    let count = samples.len().div_ceil(step);
    if shared.facts.capacity() < count {
        return false;
    }
    for (at, piece) in samples.chunks(step).enumerate() {
        send(&shared.facts, spoken(segment, piece.into(), at + 1 == count));
    }
    true
}

fn spoken(segment: &Segment, samples: Arc<[i16]>, last: bool) -> Heard {
    let (utterance, segment) = segment.id;
    Heard::Spoken { utterance, segment, samples, last }
}

/// Offers the call's next chunk to the pool. Where the pool refuses, everything that waits fails: it would be late.
fn go_on(shared: &Arc<Shared>, lane: Lane, send: fn(&FactSender, Heard) -> bool) {
    if let Err(error) = shared.booth.lanes.offer(lane, Chunk { shared: shared.clone() }) {
        fail_all(shared, &error, send);
    }
}

fn fail_all(shared: &Shared, error: &ProviderError, send: fn(&FactSender, Heard) -> bool) {
    let failed: Vec<(UtteranceId, u16)> = {
        let mut queue = shared.queue();
        queue.busy = false;
        let running = queue.running.take();
        running.into_iter().chain(queue.waiting.drain(..).map(|segment| segment.id)).collect()
    };
    for id in failed {
        send(&shared.facts, failure(id, error));
    }
}

/// The next chunk of a call, whichever that is when a thread comes to it.
struct Chunk {
    shared: Arc<Shared>,
}

impl Chunk {
    /// Renders and sends one chunk; gives the segment back where it has more.
    fn step(&self, mut segment: Segment, bench: &mut Bench) -> Option<Segment> {
        let shared = &self.shared;
        if segment.rendered.is_empty()
            && let Some(samples) = shared.booth.lines.find(&segment.key)
            && send_kept(shared, &segment, &samples, deliver)
        {
            return None;
        }
        let Some((text, ends_sentence)) = segment.left.pop_front() else {
            deliver(&shared.facts, spoken(&segment, Arc::from([]), true));
            return None;
        };
        let more = !segment.left.is_empty();
        let place = Place { more, ends_sentence };
        let outcome = speak(bench, shared.voice, shared.speed, shared.rate, &text, place);
        if !shared.wanted() {
            return None;
        }
        let samples = match outcome {
            Ok(samples) => samples,
            Err(error) => {
                deliver(&shared.facts, failure(segment.id, &error));
                return None;
            }
        };
        segment.rendered.extend_from_slice(&samples);
        if !more && segment.rendered.is_empty() && segment.must_sound {
            let detail = "nothing in the text has an English pronunciation".to_owned();
            let error = ProviderError::Failed { what: "synthesis", detail };
            deliver(&shared.facts, failure(segment.id, &error));
            return None;
        }
        if !more {
            shared.booth.lines.keep(segment.key.clone(), segment.rendered.as_slice().into());
        }
        let silent = more && samples.is_empty();
        let taken = silent || deliver(&shared.facts, spoken(&segment, samples.into(), !more));
        (taken && more).then_some(segment)
    }
}

impl Job<Bench> for Chunk {
    fn run(self: Box<Self>, bench: &mut Bench) {
        let segment = {
            let mut queue = self.shared.queue();
            let segment = queue.waiting.pop_front();
            queue.running = segment.as_ref().map(|segment| segment.id);
            segment
        };
        let utterance = segment.as_ref().map(|segment| segment.id.0);
        let rest = segment.filter(|_| self.shared.wanted()).and_then(|segment| self.step(segment, bench));
        let mut queue = self.shared.queue();
        if queue.running.take().is_some()
            && let Some(rest) = rest
        {
            queue.waiting.push_front(rest);
        }
        if self.shared.facts.is_closed() {
            queue.waiting.clear();
        }
        let Some(next) = queue.waiting.front().map(|segment| segment.id.0) else {
            queue.busy = false;
            return;
        };
        drop(queue);
        // The first words of another answer are as urgent as those of the first.
        let lane = if Some(next) == utterance { Lane::Soon } else { Lane::Now };
        go_on(&self.shared, lane, deliver);
    }

    fn mourner(&self) -> Box<dyn FnOnce(ProviderError) + Send> {
        let shared = self.shared.clone();
        Box::new(move |error| fail_all(&shared, &error, deliver))
    }
}

/// Renders lines ahead, one at a time, while nothing more urgent waits.
pub(super) struct Ahead {
    pub booth: Booth,
    pub voice: Voice,
    pub local: LocalVoice,
    pub rate: SampleRate,
    pub left: VecDeque<String>,
}

impl Ahead {
    fn render(&self, text: &str, bench: &mut Bench) -> Result<(), ProviderError> {
        let text = cleaned(&speakable(text, &self.voice));
        let key = LineKey::new(&self.voice, self.rate, &text);
        if self.booth.lines.find(&key).is_some() {
            return Ok(());
        }
        let parts = chunks(&text);
        let mut rendered = Vec::new();
        for (at, (chunk, ends_sentence)) in parts.iter().enumerate() {
            let place = Place { more: at + 1 < parts.len(), ends_sentence: *ends_sentence };
            rendered.extend(speak(bench, self.local, speed_of(&self.voice), self.rate, chunk, place)?);
        }
        if !rendered.is_empty() {
            self.booth.lines.keep(key, rendered.into());
        }
        Ok(())
    }
}

impl Job<Bench> for Ahead {
    fn run(mut self: Box<Self>, bench: &mut Bench) {
        if let Some(text) = self.left.pop_front()
            && let Err(error) = self.render(&text, bench)
        {
            tracing::debug!(%error, "a line was not rendered ahead");
        }
        if !self.left.is_empty() {
            let lanes = self.booth.lanes.clone();
            if let Err(error) = lanes.offer(Lane::Soon, *self) {
                tracing::debug!(%error, "the other lines are rendered when they are first said");
            }
        }
    }

    fn mourner(&self) -> Box<dyn FnOnce(ProviderError) + Send> {
        Box::new(|_logged_by_the_pool| ())
    }
}
