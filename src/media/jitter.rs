//! The adaptive receive jitter buffer of one RTP stream: packets in as they come, in order out as they are due. Fixed
//! memory, made once; never decodes, never reads a clock, never lets a late packet become lasting delay.
//!
//! It keeps two clocks apart. The *head* counts the sender's timestamp ticks and says what is played next; the *schedule*
//! says, from the fastest arrivals of the last seconds and the measured jitter, which tick ought to be played now. Loss,
//! silence, timestamp jumps, packets of any length and a drifting sender all come down to the distance between the two:
//! behind the schedule, audio is skipped (in a quiet place first, anywhere beyond a bound); ahead of it, a hole is made
//! longer. Holes always take time, so a pause of the sender never makes the recording shorter.

mod order;
mod pool;
mod schedule;
#[cfg(test)]
mod tests;

use crate::units::{FRAME_MS, Moment};

use self::order::{Seen, Unwrap16, Unwrap32};
pub use self::pool::MAX_PAYLOAD_BYTES;
use self::pool::{Pool, Slot};
use self::schedule::Schedule;

/// Once a hole has lasted this long the concealment is silent, and the head may follow the schedule freely.
const SILENT_AFTER_MS: i64 = 60;
/// A sequence number this far from the last is another stream's, until the next packet confirms it.
const SEQUENCE_JUMP: i64 = 3_000;
/// A packet this much later than the schedule knows, or [`TOO_EARLY_US`] earlier, has another time base.
const TOO_LATE_US: i64 = 1_500_000;
const TOO_EARLY_US: i64 = -300_000;
/// Behind the schedule by this much, audio is skipped wherever it is.
const BOUND_US: i64 = 60_000;
/// How exactly two packets must agree on a new time base.
const AGREE_US: i64 = 5_000;
/// Ahead of the schedule by less than this is on time.
const EARLY_US: i64 = 5_000;
/// Strays in a row after which the next is believed whatever it says.
const STRAYS: u32 = 25;

/// Bounds of the delay the buffer may add. A depth counts the frame that is about to be played: two frames (40 ms) means
/// that the fastest packet waits between 20 and 40 ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JitterConfig {
    /// Ticks per second of the stream's RTP clock: 8,000 for G.711 and G.722, 48,000 for Opus.
    pub clock_hz: u32,
    /// Depth before anything was measured.
    pub start_ms: u32,
    /// Never less than this.
    pub min_ms: u32,
    /// Never more than this; what comes later is lost.
    pub max_ms: u32,
}

impl JitterConfig {
    /// Two frames to begin with and at the least, twelve at most.
    #[must_use]
    pub const fn new(clock_hz: u32) -> Self {
        Self { clock_hz, start_ms: 2 * FRAME_MS, min_ms: 2 * FRAME_MS, max_ms: 240 }
    }
}

/// A packet of the stream's own payload type, or of comfort noise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival<'a> {
    /// Its sequence number.
    pub sequence: u16,
    /// Its timestamp.
    pub timestamp: u32,
    /// Ticks of the RTP clock that the payload lasts; 0 marks comfort noise (RFC 3389): silence from here on.
    pub ticks: u32,
    /// The encoded audio, at most [`MAX_PAYLOAD_BYTES`]; longer ones are dropped and counted.
    pub payload: &'a [u8],
}

/// What to play next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pop<'a> {
    /// A packet that is due.
    Packet {
        /// The encoded audio.
        payload: &'a [u8],
        /// Ticks at its start whose time was already filled by concealment: decode them, then leave them out.
        skip: u32,
        /// Audio before it was skipped to catch up: blend, or it clicks.
        joined: bool,
    },
    /// A packet is missing: invent this many ticks.
    Conceal {
        /// Ticks to fill, at most what is missing in the frame.
        ticks: u32,
        /// The packet behind the hole where it is here already: Opus may carry the lost one in it (in-band FEC).
        next: Option<&'a [u8]>,
    },
    /// The sender is silent (comfort noise, a pause, a digit, nothing yet): this many ticks of silence.
    Silence {
        /// Ticks to fill, at most what is missing in the frame.
        ticks: u32,
    },
}

/// What happened to the stream so far. Counts are of packets unless the name says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct JitterCounters {
    /// Packets that were put in, whatever became of them.
    pub received: u64,
    /// Came after their time; not played.
    pub late: u64,
    /// Never came, as far as is known now.
    pub lost: u64,
    /// Came more than once.
    pub duplicated: u64,
    /// Came behind a later one, and were in time all the same or not.
    pub reordered: u64,
    /// Milliseconds that were invented for missing packets.
    pub concealed_ms: u64,
    /// Thrown away: to catch up, for want of room, too long, or of an unconfirmed new time base.
    pub dropped: u64,
    /// Times the stream took up a new sequence or time base.
    pub restarted: u64,
}

/// Two packets in a row decide whether a stray is a new time base.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    sequence: u16,
    transit_us: i64,
}

/// The buffer. Feed it with [`Self::push`], take from it with [`Self::pop`] until the frame of the tick is full.
#[derive(Clone, Debug)]
pub struct JitterBuffer {
    config: JitterConfig,
    pool: Pool,
    sequences: Unwrap16,
    timestamps: Unwrap32,
    seen: Seen,
    schedule: Schedule,
    candidate: Option<Candidate>,
    strays: u32,
    /// The next tick to be played, once something was.
    head: Option<i64>,
    /// The sequence number up to which losses are accounted for.
    accounted: i64,
    /// The newest packet that was seen carried no audio, so an empty buffer means silence.
    resting: bool,
    /// The last packet played was comfort noise.
    noise: bool,
    /// Ticks invented or silent since the last packet.
    hole: i64,
    /// Audio was skipped since the last packet.
    joined: bool,
    counters: JitterCounters,
    concealed_ticks: u64,
}

impl JitterBuffer {
    /// An empty buffer; the only place where it allocates (about 12 KiB).
    #[must_use]
    pub fn new(config: JitterConfig) -> Self {
        let config = JitterConfig { clock_hz: config.clock_hz.clamp(1_000, 384_000), ..config };
        Self {
            config,
            pool: Pool::new(),
            sequences: Unwrap16::default(),
            timestamps: Unwrap32::default(),
            seen: Seen::default(),
            schedule: Schedule::new(config.start_ms, config.min_ms, config.max_ms),
            candidate: None,
            strays: 0,
            head: None,
            accounted: 0,
            resting: false,
            noise: false,
            hole: 0,
            joined: false,
            counters: JitterCounters::default(),
            concealed_ticks: 0,
        }
    }

    /// Forgets the stream and its time base (new source, re-negotiated codec); the counters go on.
    pub fn restart(&mut self) {
        self.pool.clear();
        self.sequences = Unwrap16::default();
        self.timestamps = Unwrap32::default();
        self.seen = Seen::default();
        self.schedule.restart();
        self.candidate = None;
        self.strays = 0;
        self.head = None;
        self.resting = false;
        self.noise = false;
        self.hole = 0;
        self.joined = false;
    }

    /// A packet of this stream that carries no audio (telephone-event, an unknown payload type): its sequence number is
    /// accounted for, so that it is not taken for a loss.
    pub fn note(&mut self, sequence: u16) {
        if self.sequences.last().is_some_and(|_| self.sequences.distance(sequence).abs() < SEQUENCE_JUMP) {
            let (at, newest) = self.sequences.place(sequence);
            self.seen.insert(at);
            self.resting |= newest;
        }
    }

    /// A packet came at `now`.
    pub fn push(&mut self, now: Moment, arrival: &Arrival<'_>) {
        self.counters.received += 1;
        if arrival.payload.len() > MAX_PAYLOAD_BYTES {
            self.note(arrival.sequence);
            self.counters.dropped += 1;
            return;
        }
        if !self.belongs(now, arrival) {
            self.counters.dropped += 1;
            return;
        }
        if !self.keep(now, arrival) {
            // So many were late in a row that the stream has moved: begin anew with this one.
            self.restart();
            self.counters.restarted += 1;
            self.keep(now, arrival);
        }
    }

    /// What is due at `now`. `ahead` is how many ticks of decoded audio the caller already holds for this and later
    /// frames, less than one frame; `quiet` says that what was last played was no speech, so that time may be made or
    /// lost here unheard. Call it again until the frame is full.
    pub fn pop(&mut self, now: Moment, ahead: u32, quiet: bool) -> Pop<'_> {
        let frame = i64::from(self.frame_ticks());
        let want = (frame - i64::from(ahead)).clamp(1, frame);
        let Some(due) = self.schedule.due_us(now) else {
            return Pop::Silence { ticks: want as u32 };
        };
        let due = self.ticks_of(due) + i64::from(ahead);
        let Some(mut head) = self.begin(due) else {
            return Pop::Silence { ticks: want as u32 };
        };
        head = self.catch_up(head, due, frame, quiet);
        let Some(first) = self.pool.first() else { return self.hole_at_end(head, due, want) };
        let early = due - head < -self.ticks_of(2 * EARLY_US);
        if first.start <= head && early && quiet && self.hole == 0 && first.end > first.start {
            // Room for more jitter is made where nobody hears it: the packet waits.
            self.hole += want;
            return Pop::Silence { ticks: want as u32 };
        }
        if first.start > head {
            return self.hole_before(first, head, due, want);
        }
        self.deliver(head)
    }

    /// Begins to bring near what the next packet and the next frame touch behind the buffer's own fields.
    pub fn prefetch(&self) {
        self.pool.prefetch();
    }

    /// Ticks of a 20 ms frame.
    #[must_use]
    pub const fn frame_ticks(&self) -> u32 {
        self.config.clock_hz / (1000 / FRAME_MS)
    }

    /// What was counted since the buffer was made.
    #[must_use]
    pub fn counters(&self) -> JitterCounters {
        let concealed_ms = self.concealed_ticks * 1000 / u64::from(self.config.clock_hz);
        JitterCounters { concealed_ms, ..self.counters }
    }

    /// Audio that waits in the buffer, from the head to the end of the newest packet.
    #[must_use]
    pub fn depth_ms(&self) -> u32 {
        let waiting = match (self.head, self.pool.first(), self.pool.last()) {
            (Some(head), _, Some(last)) => last.end - head,
            (None, Some(first), Some(last)) => last.end - first.start,
            _ => 0,
        };
        u32::try_from(waiting.max(0) * 1000 / i64::from(self.config.clock_hz)).unwrap_or(u32::MAX)
    }

    /// The delay that the measured jitter asks for, within the bounds.
    #[must_use]
    pub const fn target_ms(&self) -> u32 {
        self.schedule.target_ms()
    }

    /// Whether the packet is on the known time base. A stray one is held against the next: two that agree are the stream's
    /// new base.
    fn belongs(&mut self, now: Moment, arrival: &Arrival<'_>) -> bool {
        let Some(_) = self.sequences.last() else { return true };
        let start = self.timestamps.peek(arrival.timestamp);
        let transit = self.transit_us(now, start);
        let off = self.schedule.off_base_us(transit).unwrap_or(0);
        let near = self.sequences.distance(arrival.sequence).abs() < SEQUENCE_JUMP;
        if near && (TOO_EARLY_US..=TOO_LATE_US).contains(&off) {
            self.candidate = None;
            self.strays = 0;
            return true;
        }
        self.strays += 1;
        let agrees = |first: Candidate| {
            arrival.sequence == first.sequence.wrapping_add(1) && (transit - first.transit_us).abs() <= AGREE_US
        };
        let follows = self.candidate.take().is_some_and(agrees) || self.strays >= STRAYS;
        if follows {
            self.restart();
            self.counters.restarted += 1;
        } else {
            self.candidate = Some(Candidate { sequence: arrival.sequence, transit_us: transit });
        }
        follows
    }

    /// Puts a packet of the known time base where it belongs; `false` where that base no longer holds.
    fn keep(&mut self, now: Moment, arrival: &Arrival<'_>) -> bool {
        let (at, newest) = self.sequences.place(arrival.sequence);
        let start = self.timestamps.place(arrival.timestamp);
        if !self.seen.insert(at) {
            self.counters.duplicated += 1;
            return true;
        }
        self.counters.reordered += u64::from(!newest);
        if newest {
            self.resting = false;
        }
        let transit = self.transit_us(now, start);
        self.schedule.arrived(now, transit);
        let end = start + i64::from(arrival.ticks);
        if self.head.is_some_and(|head| end < head || (end == head && arrival.ticks > 0)) {
            self.counters.late += 1;
            if at <= self.accounted {
                self.counters.lost = self.counters.lost.saturating_sub(1);
            }
            return !self.schedule.was_late(transit);
        }
        self.schedule.was_in_time();
        self.counters.dropped += self.pool.insert(Slot::new(at, start, end), arrival.payload);
        true
    }

    /// The head, put onto the first packet when that one is due.
    fn begin(&mut self, due: i64) -> Option<i64> {
        if self.head.is_none() {
            let first = self.pool.first()?;
            if due < first.start {
                return None;
            }
            self.head = Some(first.start);
            self.accounted = first.sequence - 1;
        }
        self.head
    }

    /// Skips audio where the head is too far behind the schedule.
    fn catch_up(&mut self, head: i64, due: i64, frame: i64, quiet: bool) -> i64 {
        let behind = due - head;
        let bound = self.ticks_of(BOUND_US).max(2 * frame);
        if behind <= bound && !(quiet && behind > frame + frame / 4) {
            self.forget_before(head);
            return head;
        }
        let Some(newest) = self.pool.last().map(|slot| slot.start) else { return head };
        // Whole frames, so that a tick keeps its phase; never past the newest packet: it is the best there is.
        let goal = (head + (behind / frame).max(1) * frame).min(newest).max(head);
        self.joined |= goal > head;
        self.head = Some(goal);
        self.forget_before(goal);
        goal
    }

    /// Drops the packets whose time is over at `head`.
    fn forget_before(&mut self, head: i64) {
        while let Some(first) = self.pool.first() {
            let lasts = first.end > first.start;
            if first.end > head || (first.end == head && !lasts) {
                break;
            }
            self.account_to(first.sequence);
            self.counters.dropped += u64::from(lasts);
            self.pool.drop_first();
        }
    }

    /// Nothing is here: a pause that was announced, or a hole whose end is not known.
    fn hole_at_end(&mut self, head: i64, due: i64, want: i64) -> Pop<'_> {
        let silent = self.noise || self.resting || self.hole >= self.ticks_of(SILENT_AFTER_MS * 1000);
        self.hole += want;
        let next = head + want;
        // Ahead of the schedule the head waits, which makes the room that jitter asked for; in silence it follows.
        let waits = due - head < -self.ticks_of(EARLY_US);
        self.head = Some(match (silent, waits) {
            (_, true) => head,
            (true, false) => next.max(due + want),
            (false, false) => next,
        });
        if self.noise || self.resting {
            return Pop::Silence { ticks: want as u32 };
        }
        self.concealed_ticks += want as u64;
        Pop::Conceal { ticks: want as u32, next: None }
    }

    /// The next packet is here but not due by its timestamp: lost ones before it, or a pause of the sender.
    fn hole_before(&mut self, first: Slot, head: i64, due: i64, want: i64) -> Pop<'_> {
        let missing = self.seen.missing(self.accounted, first.sequence);
        let want = want.min(first.start - head);
        self.hole += want;
        // In a pause the head may wait for the schedule, as long as it is heard by nobody.
        let waits = due - head < -i64::from(self.frame_ticks());
        self.head = Some(if waits { head } else { head + want });
        if missing == 0 || self.noise {
            return Pop::Silence { ticks: want as u32 };
        }
        self.concealed_ticks += want as u64;
        Pop::Conceal { ticks: want as u32, next: Some(self.pool.read_first()) }
    }

    fn deliver(&mut self, head: i64) -> Pop<'_> {
        let Some(first) = self.pool.first() else { return Pop::Silence { ticks: 1 } };
        self.account_to(first.sequence);
        let joined = std::mem::take(&mut self.joined);
        self.hole = 0;
        self.noise = first.end == first.start;
        self.head = Some(first.end.max(head));
        let skip = (head - first.start).clamp(0, (first.end - first.start).max(0));
        if self.noise {
            self.pool.drop_first();
            return Pop::Silence { ticks: 0 };
        }
        Pop::Packet { payload: self.pool.take_first(), skip: skip as u32, joined }
    }

    fn account_to(&mut self, sequence: i64) {
        self.counters.lost += self.seen.missing(self.accounted, sequence);
        self.accounted = self.accounted.max(sequence);
    }

    fn transit_us(&self, now: Moment, start: i64) -> i64 {
        let now = i64::try_from(now.as_micros()).unwrap_or(i64::MAX / 4);
        now - start.saturating_mul(1_000_000) / i64::from(self.config.clock_hz)
    }

    fn ticks_of(&self, micros: i64) -> i64 {
        micros.saturating_mul(i64::from(self.config.clock_hz)).div_euclid(1_000_000)
    }
}
