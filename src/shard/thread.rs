//! The loop of one media thread: a wheel of 20 one-millisecond slots with absolute deadlines. Ticks first, takes in new lines
//! after; catches up in order while it is a little late, and lets time go where it is very late. Never allocates or locks
//! while lines are up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::queue::ArrayQueue;

use super::LineReport;
use super::gauge::ShardGauge;
use super::port::{OutFrame, OutItem};
use super::rtp::{Exchange, RtpLeg, prepare_thread};
use super::wake::Bell;
use crate::call::line::{Ended, LegEdge, Line, RecordTap, Wakes};
use crate::record::BlockWriter;
use crate::rt;
use crate::units::{FRAME_MS, MAX_FRAME_SAMPLES, Moment, prefetch};

/// Slots of the wheel, one millisecond each.
const SLOTS: usize = FRAME_MS as usize;
/// A slot that is later than this is not made up for: five frames.
const TOO_LATE_US: u64 = 100_000;
/// With no line up the thread looks for new ones this often.
const IDLE_MS: u64 = 5;
/// The pump is woken for audio alone this often at most: a byte and a change of threads for each slot would cost more.
const RING_EVERY_MS: u64 = 5;
/// Seats that are brought near before their turn, each one step further than the one behind it.
const NEAR: usize = 4;
/// New lines taken in per slot.
const ADOPT_AT_ONCE: usize = 16;

/// What a media thread shares with the rest of the process.
#[derive(Debug)]
pub(super) struct Shared {
    /// New lines.
    pub(super) inbox: ArrayQueue<Box<Seat>>,
    /// The port that its legs share, once there is one.
    pub(super) exchange: ArrayQueue<Box<Exchange>>,
    /// Lines whose leg or call is to be woken.
    pub(super) dirty: ArrayQueue<(u32, WakeFor)>,
    /// Lines that are over.
    pub(super) done: ArrayQueue<Box<Seat>>,
    pub(super) bell: Bell,
    pub(super) stop: AtomicBool,
    pub(super) gauge: ShardGauge,
}

/// Whom to wake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WakeFor {
    pub(super) leg: bool,
    pub(super) driver: bool,
}

impl WakeFor {
    const fn any(self) -> bool {
        self.leg || self.driver
    }
}

/// A line on its thread.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) key: u32,
    pub(super) line: Line,
    edge: Edge,
    tape: Tape,
    owed: WakeFor,
    /// What is owed is more than audio.
    urgent: bool,
    closing: bool,
    /// A tick panicked.
    broken: bool,
    #[cfg(test)]
    planted: bool,
}

impl Seat {
    /// A line whose leg is a task at the other end of `out`.
    pub(super) fn with_port(
        key: u32,
        line: Line,
        out: rtrb::Producer<OutItem>,
        recording: Option<BlockWriter>,
    ) -> Self {
        Self::new(key, line, Edge::Port(PortEdge { out, sent: false, clear_owed: false }), recording)
    }

    /// A line whose leg is a UDP port.
    pub(super) fn with_rtp(key: u32, line: Line, leg: RtpLeg, recording: Option<BlockWriter>) -> Self {
        Self::new(key, line, Edge::Rtp(Box::new(leg)), recording)
    }

    fn new(key: u32, line: Line, edge: Edge, recording: Option<BlockWriter>) -> Self {
        Self {
            key,
            line,
            edge,
            tape: Tape(recording),
            owed: WakeFor::default(),
            urgent: false,
            closing: false,
            broken: false,
            #[cfg(test)]
            planted: false,
        }
    }

    const fn leg(&mut self) -> Option<&mut RtpLeg> {
        match &mut self.edge {
            Edge::Port(_) => None,
            Edge::Rtp(leg) => Some(leg),
        }
    }

    /// Begins to bring near what the next turn touches in the seat itself; the other steps follow its pointers, each those that
    /// the one before it brought.
    fn prefetch(&self) {
        self.line.prefetch();
        prefetch(&self.tape);
        prefetch(&self.edge);
        prefetch(&self.key);
    }

    fn prefetch_leg(&mut self) {
        if let Some(leg) = self.leg() {
            leg.prefetch();
        }
        if let Some(block) = &self.tape.0 {
            block.prefetch();
        }
    }

    fn prefetch_far(&mut self) {
        self.line.prefetch_far();
        if let Some(leg) = self.leg() {
            leg.prefetch_far();
        }
        if let Some(block) = &self.tape.0 {
            block.prefetch_far(self.line.rate().frame_samples());
        }
    }

    fn prefetch_farther(&mut self) {
        if let Some(leg) = self.leg() {
            leg.prefetch_farther();
        }
    }

    /// What the line and its leg counted.
    pub(super) fn counted(&self) -> LineReport {
        let rtp = match &self.edge {
            Edge::Port(_) => None,
            Edge::Rtp(leg) => Some(leg.stats()),
        };
        LineReport { line: self.line.stats(), rtp }
    }

    /// This slot's turn of the line. A panic ends this line alone: its call is told, its recording handed over as it stands.
    fn turn(&mut self, due: Moment, too_late: bool) {
        if self.closing {
            return;
        }
        if !self.broken {
            let turn = AssertUnwindSafe(|| if too_late { self.skip(due) } else { self.tick(due) });
            self.broken = catch_unwind(turn).is_err();
            if self.broken {
                rt::count_panic();
            }
        }
        if self.broken {
            self.closing = self.line.break_off();
            self.owed = WakeFor { leg: true, driver: true };
            self.urgent = true;
        }
    }

    fn tick(&mut self, due: Moment) {
        #[cfg(test)]
        assert!(!self.planted, "a panic of a test");
        let Wakes { driver, audio, closed } = match &mut self.edge {
            Edge::Port(port) => {
                port.settle();
                let wakes = self.line.tick(due, port, &mut self.tape);
                let sent = std::mem::take(&mut port.sent);
                self.owed.leg |= sent;
                self.urgent |= sent;
                wakes
            }
            Edge::Rtp(leg) => {
                let wakes = self.line.tick(due, leg.as_mut(), &mut self.tape);
                if wakes.closed {
                    leg.leave(due);
                }
                wakes
            }
        };
        self.owed.driver |= driver || audio;
        self.urgent |= driver || closed;
        self.closing = closed;
    }

    /// One tick, and whom it wakes.
    pub(super) fn step(&mut self, due: Moment) -> WakeFor {
        self.turn(due, false);
        std::mem::take(&mut self.owed)
    }

    /// This tick came too late to be made up for.
    fn skip(&mut self, due: Moment) {
        match &mut self.edge {
            Edge::Port(port) => self.line.skip(due, port, &mut self.tape),
            Edge::Rtp(leg) => self.line.skip(due, leg.as_mut(), &mut self.tape),
        }
    }

    /// The line is closed and its recording handed over.
    pub(super) fn is_done(&mut self) -> bool {
        self.closing && self.tape.0.as_mut().is_none_or(BlockWriter::finish)
    }
}

/// What a line's leg is to this thread.
#[derive(Debug)]
enum Edge {
    /// A task with its rings.
    Port(PortEdge),
    /// A UDP port of this thread's own.
    Rtp(Box<RtpLeg>),
}

/// The recording, if there is one.
#[derive(Debug)]
struct Tape(Option<BlockWriter>);

impl RecordTap for Tape {
    fn pair(&mut self, caller: &[i16], bot: &[i16]) {
        if let Some(writer) = &mut self.0 {
            writer.push(caller, bot);
        }
    }
}

/// The ring toward the leg's task.
#[derive(Debug)]
struct PortEdge {
    out: rtrb::Producer<OutItem>,
    sent: bool,
    /// A clear found no room; it goes before anything else.
    clear_owed: bool,
}

impl PortEdge {
    fn settle(&mut self) {
        if self.clear_owed && self.out.push(OutItem::Clear).is_ok() {
            self.clear_owed = false;
            self.sent = true;
        }
    }
}

impl LegEdge for PortEdge {
    fn has_room(&self) -> bool {
        // One place stays free for a clear.
        !self.clear_owed && self.out.slots() > 1
    }

    fn send(&mut self, due: Moment, samples: &[i16], ended: &Ended) {
        let mut frame = OutFrame { due, len: samples.len() as u16, samples: [0; MAX_FRAME_SAMPLES], ended: *ended };
        frame.samples[..samples.len()].copy_from_slice(samples);
        self.sent |= self.out.push(OutItem::Frame(frame)).is_ok();
    }

    fn clear(&mut self) {
        self.clear_owed = true;
        self.settle();
    }
}

/// The wheel: whose lines tick in which millisecond.
#[derive(Debug)]
struct Wheel {
    slots: [Vec<Box<Seat>>; SLOTS],
    lines: usize,
    exchange: Option<Box<Exchange>>,
    /// Somebody's audio waits to be told of, and when the bell was rung last.
    ring_owed: bool,
    rang: Moment,
}

impl Wheel {
    fn new(max_lines: usize) -> Self {
        // Room for uneven loads is made now, so that taking a line in never allocates.
        let room = max_lines + 1;
        Self {
            slots: std::array::from_fn(|_| Vec::with_capacity(room)),
            lines: 0,
            exchange: None,
            ring_owed: false,
            rang: Moment::ZERO,
        }
    }

    fn adopt(&mut self, mut seat: Box<Seat>) {
        if let (Some(exchange), Some(leg)) = (&mut self.exchange, seat.leg()) {
            exchange.join(leg);
        }
        if let Some(slot) = self.slots.iter_mut().min_by_key(|s| s.len()) {
            slot.push(seat);
            self.lines += 1;
        }
    }

    fn take_in(&mut self, now: Moment, gauge: &ShardGauge) {
        if let Some(exchange) = &mut self.exchange {
            gauge.nobodys.fetch_add(exchange.take_in(now), Ordering::Relaxed);
        }
    }

    /// Begins to bring near what the first seats of a slot need, while there is time until it is due.
    fn bring_near(&mut self, slot: usize) {
        (0..NEAR).for_each(|at| bring_near(&mut self.slots[slot], at));
    }

    fn tick(&mut self, slot: usize, due: Moment, too_late: bool, shared: &Shared) {
        let seats = &mut self.slots[slot];
        let mut ring = false;
        let mut i = 0;
        while i < seats.len() {
            bring_near(seats, i + NEAR);
            let seat = &mut seats[i];
            shared.gauge.skipped.fetch_add(u64::from(too_late && !seat.closing), Ordering::Relaxed);
            seat.turn(due, too_late);
            if let (Some(exchange), Some(leg)) = (&mut self.exchange, seat.leg()) {
                exchange.follow(leg);
            }
            shared.gauge.ticks.fetch_add(1, Ordering::Relaxed);
            if seat.owed.any() && shared.dirty.push((seat.key, seat.owed)).is_ok() {
                seat.owed = WakeFor::default();
                ring |= std::mem::take(&mut seat.urgent);
                self.ring_owed = true;
            }
            if seat.is_done() && !shared.done.is_full() {
                let mut seat = seats.swap_remove(i);
                if let (Some(exchange), Some(leg)) = (&mut self.exchange, seat.leg()) {
                    exchange.leave(leg, due);
                }
                self.lines -= 1;
                shared.gauge.lines.fetch_sub(1, Ordering::Relaxed);
                // There is room and only this thread fills the queue.
                drop(shared.done.push(seat));
                ring = true;
            } else {
                i += 1;
            }
        }
        if ring || (self.ring_owed && due.ms_since(self.rang) >= RING_EVERY_MS) {
            self.ring(due, shared);
        }
    }

    fn ring(&mut self, now: Moment, shared: &Shared) {
        (self.ring_owed, self.rang) = (false, now);
        shared.bell.ring();
    }
}

/// One step on the way of each of the [`NEAR`] seats up to `at` into the cache: what a thousand lines touch has left it since their
/// last tick, and waiting for one thing after the other would cost more than the work.
fn bring_near(seats: &mut [Box<Seat>], at: usize) {
    let steps: [fn(&mut Seat); NEAR] =
        [|seat| seat.prefetch(), Seat::prefetch_leg, Seat::prefetch_far, Seat::prefetch_farther];
    for (step, back) in steps.into_iter().zip(0..) {
        if let Some(seat) = at.checked_sub(back).and_then(|at| seats.get_mut(at)).filter(|seat| !seat.broken) {
            step(seat);
        }
    }
}

/// Runs until `stop`.
pub(super) fn run(shared: &Shared, fifo: bool, max_lines: usize) {
    shared.gauge.fifo.store(rt::prefer_this_thread(fifo), Ordering::Relaxed);
    shared.gauge.thread_id.store(rt::thread_id(), Ordering::Relaxed);
    prepare_thread();
    let mut wheel = Wheel::new(max_lines);
    let mut due = rt::now();
    let mut slot = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        wheel.exchange = wheel.exchange.or_else(|| shared.exchange.pop());
        for _ in 0..ADOPT_AT_ONCE {
            let Some(seat) = shared.inbox.pop() else { break };
            wheel.adopt(seat);
        }
        if wheel.lines == 0 {
            rt::park_until(rt::now().plus_ms(IDLE_MS));
            due = rt::now();
            // What nobody waits for must not wait for the next call.
            wheel.take_in(due, &shared.gauge);
            continue;
        }
        due = due.plus_ms(1);
        slot = (slot + 1) % SLOTS;
        if wheel.slots[slot].is_empty() {
            // The next slot with lines may be far.
            if wheel.ring_owed {
                wheel.ring(due, shared);
            }
            continue;
        }
        wheel.bring_near(slot);
        rt::park_until(due);
        let late = rt::now().since(due).as_micros() as u64;
        shared.gauge.note_late(late);
        wheel.take_in(rt::now(), &shared.gauge);
        wheel.tick(slot, due, late > TOO_LATE_US, shared);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::call::line::{DriverEnd, LineFact, Rings};
    use crate::media::VoiceTables;
    use crate::record::BlockPool;
    use crate::units::SampleRate;

    fn seat(key: u32, pool: &Arc<BlockPool>) -> (Seat, DriverEnd, rtrb::Consumer<OutItem>) {
        let (rings, _caller, ends) = Rings::new(SampleRate::NARROW);
        let line = Line::new(SampleRate::NARROW, rings, &VoiceTables::new()).unwrap();
        let (out, items) = rtrb::RingBuffer::new(8);
        (Seat::with_port(key, line, out, Some(BlockWriter::new(Arc::clone(pool), key))), ends, items)
    }

    fn facts(ends: &mut DriverEnd) -> Vec<LineFact> {
        std::iter::from_fn(|| ends.facts.pop().ok()).collect()
    }

    #[test]
    fn a_line_that_panics_ends_alone_and_its_call_is_told() {
        let (bell, _hear) = Bell::new().unwrap();
        let shared = Shared {
            inbox: ArrayQueue::new(4),
            exchange: ArrayQueue::new(1),
            dirty: ArrayQueue::new(64),
            done: ArrayQueue::new(4),
            bell,
            stop: AtomicBool::new(false),
            gauge: ShardGauge::new(None),
        };
        let pool = BlockPool::new(8);
        let mut wheel = Wheel::new(4);
        let (faulty, mut its_call, _items) = seat(1, &pool);
        let (sound, mut other_call, _others) = seat(2, &pool);
        shared.gauge.lines.fetch_add(2, Ordering::Relaxed);
        wheel.slots[0].extend([Box::new(faulty), Box::new(sound)]);
        wheel.lines = 2;
        let at = |tick: u64| Moment::from_millis(20 * tick);
        (1..=5).for_each(|tick| wheel.tick(0, at(tick), false, &shared));
        facts(&mut its_call);
        wheel.slots[0][0].planted = true;
        let panics = rt::panics();
        (6..=9).for_each(|tick| wheel.tick(0, at(tick), tick == 8, &shared));

        assert!(rt::panics() > panics, "it is counted");
        assert_eq!(facts(&mut its_call), [LineFact::Broken], "once");
        assert_eq!(facts(&mut other_call), [LineFact::Opened { at: at(1) }]);
        let over = shared.done.pop().expect("the line is over");
        assert_eq!((over.key, over.line.stats().ticks), (1, 5));
        assert!(shared.done.pop().is_none() && wheel.lines == 1);
        let kept = &wheel.slots[0][0];
        assert_eq!((kept.key, kept.line.stats().ticks, kept.line.stats().skipped), (2, 8, 1));
        let block = pool.pop_full().expect("the recording is handed over");
        assert_eq!((block.call, block.len, block.last), (1, 5 * 160, true));
        let woken: Vec<u32> =
            std::iter::from_fn(|| shared.dirty.pop()).filter(|(_, w)| w.driver).map(|(k, _)| k).collect();
        assert_eq!(woken.iter().filter(|&&key| key == 1).count(), 2, "for its opening and for its end: {woken:?}");
    }

    #[test]
    fn a_call_that_reads_late_learns_all_the_same_that_its_line_broke() {
        let pool = BlockPool::new(8);
        let (mut seat, mut call, _items) = seat(1, &pool);
        let due = Moment::from_millis(20);
        while seat.line.break_off() {}
        seat.planted = true;
        let _ = (seat.step(due), seat.step(due));
        assert!(!seat.closing, "its queue is full");
        facts(&mut call);
        assert!(seat.step(due).driver && seat.closing);
        assert_eq!(facts(&mut call), [LineFact::Broken]);
    }
}
