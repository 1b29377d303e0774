//! The queues of a line: single-producer rings between the leg's task, the call's task and the media shard. Each is bounded;
//! what happens when it is full is written where it is made. Never locks.

use super::{LineFact, LineOrder};
use crate::units::{SampleRate, UtteranceId, prefetch, prefetch_every};

/// A stretch of speech in the speech ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The answer.
    pub utterance: UtteranceId,
    /// Which piece of it.
    pub segment: u16,
    /// Samples that belong to it.
    pub samples: u32,
    /// The piece ends with it.
    pub last: bool,
}

/// The reading end of the speech ring.
#[derive(Debug)]
pub(super) struct SpeechSource {
    pub(super) samples: rtrb::Consumer<i16>,
    pub(super) chunks: rtrb::Consumer<Chunk>,
}

/// The shard's ends.
#[derive(Debug)]
pub struct Rings {
    pub(super) caller: rtrb::Consumer<i16>,
    pub(super) speech: SpeechSource,
    pub(super) listen: rtrb::Producer<i16>,
    pub(super) facts: rtrb::Producer<LineFact>,
    pub(super) orders: rtrb::Consumer<LineOrder>,
}

/// The leg's end: the caller's audio.
pub type LegEnd = rtrb::Producer<i16>;

/// The writing end of the speech ring.
#[derive(Debug)]
pub struct SpeechFeed {
    samples: rtrb::Producer<i16>,
    chunks: rtrb::Producer<Chunk>,
}

/// The call's ends.
#[derive(Debug)]
pub struct DriverEnd {
    /// The caller's audio at 16 kHz.
    pub listen: rtrb::Consumer<i16>,
    /// What happened on the line.
    pub facts: rtrb::Consumer<LineFact>,
    /// What it is to do. 64 places; the line empties it every tick.
    pub orders: rtrb::Producer<LineOrder>,
    /// What the caller is to hear.
    pub speech: SpeechFeed,
}

/// Caller audio that may wait, in milliseconds. Full: the newest is refused and counted by the leg; the line itself throws the
/// oldest away long before.
const CALLER_MS: u64 = 1_600;
/// Speech that may wait, in milliseconds. Full: the call's task waits with the rest.
const SPEECH_MS: u64 = 600;
/// Audio for the listeners that may wait, in milliseconds. Full: the newest is dropped and counted.
const LISTEN_MS: u64 = 600;
/// Facts that may wait. Full: the line says `Overrun` as soon as it can and the call ends.
const FACTS: usize = 256;
/// Orders that may wait. Full: the call's task tries again at its next wake.
const ORDERS: usize = 64;
/// Chunks of speech that may wait.
pub(super) const CHUNKS: usize = 64;

impl Rings {
    /// The queues of one line at `rate`.
    #[must_use]
    pub fn new(rate: SampleRate) -> (Self, LegEnd, DriverEnd) {
        Self::with_caller(rate, CALLER_MS)
    }

    /// The queues of a line whose leg takes the caller's audio off the wire itself: none is kept for that.
    #[must_use]
    pub fn off_the_wire(rate: SampleRate) -> (Self, DriverEnd) {
        let (rings, _, driver) = Self::with_caller(rate, 0);
        (rings, driver)
    }

    /// Begins to bring near what a tick with so many samples for the listeners, and so many of speech, touches behind the rings' ends.
    pub(super) fn prefetch(&mut self, listened: usize, spoken: usize) {
        prefetch_ring(self.orders.buffer());
        prefetch_ring(self.speech.chunks.buffer());
        prefetch_ring(self.listen.buffer());
        if let Ok(mut room) = self.listen.write_chunk_uninit(listened) {
            let (first, second) = room.as_mut_slices();
            prefetch(first);
            prefetch(second);
        }
        if let Ok(next) = self.speech.samples.read_chunk(spoken.min(self.speech.samples.cached_slots())) {
            let (first, second) = next.as_slices();
            prefetch(first);
            prefetch(second);
        }
    }

    fn with_caller(rate: SampleRate, caller_ms: u64) -> (Self, LegEnd, DriverEnd) {
        let size = |rate: SampleRate, ms| usize::try_from(rate.samples_in(ms)).unwrap_or(48_000);
        let (caller_tx, caller) = rtrb::RingBuffer::new(size(rate, caller_ms).max(1));
        let (speech_tx, speech) = rtrb::RingBuffer::new(size(rate, SPEECH_MS));
        let (chunks_tx, chunks) = rtrb::RingBuffer::new(CHUNKS);
        let (listen, listen_rx) = rtrb::RingBuffer::new(size(SampleRate::WIDE, LISTEN_MS));
        let (facts, facts_rx) = rtrb::RingBuffer::new(FACTS);
        let (orders_tx, orders) = rtrb::RingBuffer::new(ORDERS);
        let rings = Self { caller, speech: SpeechSource { samples: speech, chunks }, listen, facts, orders };
        let driver = DriverEnd {
            listen: listen_rx,
            facts: facts_rx,
            orders: orders_tx,
            speech: SpeechFeed { samples: speech_tx, chunks: chunks_tx },
        };
        (rings, caller_tx, driver)
    }
}

impl SpeechFeed {
    /// Gives speech; returns how many samples found room. `last` counts only when all of them did.
    pub fn push(&mut self, utterance: UtteranceId, segment: u16, samples: &[i16], last: bool) -> usize {
        if self.chunks.slots() == 0 {
            return 0;
        }
        let n = samples.len().min(self.samples.slots());
        if n == 0 && !samples.is_empty() {
            return 0;
        }
        let n = push_samples(&mut self.samples, &samples[..n]);
        let chunk = Chunk {
            utterance,
            segment,
            samples: u32::try_from(n).unwrap_or(u32::MAX),
            last: last && n == samples.len(),
        };
        // There was a place, and this is the only producer.
        let _ = self.chunks.push(chunk);
        n
    }

    /// Is there a place for another chunk? (An empty last chunk needs one too.)
    #[must_use]
    pub fn has_place(&self) -> bool {
        self.chunks.slots() > 0
    }
}

/// Begins to bring near the counters of a ring, each of which has 128 bytes of its own.
pub fn prefetch_ring<T>(ring: &rtrb::RingBuffer<T>) {
    prefetch_every(ring, 128);
}

/// Copies as many samples as there is room for; returns how many.
pub(super) fn push_samples(ring: &mut rtrb::Producer<i16>, samples: &[i16]) -> usize {
    ring.push_partial_slice(samples).0.len()
}

/// Throws away up to `n` samples; returns how many.
pub(super) fn skip_samples(ring: &mut rtrb::Consumer<i16>, n: usize) -> usize {
    let n = n.min(ring.slots());
    match ring.read_chunk(n) {
        Ok(chunk) => {
            chunk.commit_all();
            n
        }
        Err(_) => 0,
    }
}
