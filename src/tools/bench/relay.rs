//! A hop in user space between generator and worker, on a thread of its own: takes in every datagram of both ways, lets its fate decide,
//! and sends it on when its delay is over. Every queue has a bound; what finds no room, and a hop that is late, discards the step. Knows
//! no calls, and leaves RTCP alone.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};

use super::air::{Air, PACKET};
use super::sound::Dice;
use super::spoil::{Fate, Impairment};
use crate::rt;
use crate::units::Moment;
use crate::wire::rtp::looks_like_rtcp;

/// Datagrams between generator and hop that were not taken yet, each way.
const HANDED: usize = 16_384;
/// Datagrams that wait for their time, each way.
const WAITING: usize = 65_536;
/// Where the dice of the two ways begin.
const SEEDS: [u64; 2] = [0x5e9d, 0xbac4];

/// What was done to the datagrams of one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct Tally {
    pub taken: u64,
    pub lost: u64,
    pub doubled: u64,
}

/// A packet of a caller, from which of the sockets, and to whom.
type Out = (usize, [u8; PACKET], SocketAddr);

/// A datagram of the worker.
#[derive(Clone, Debug)]
pub(super) struct In {
    pub at: Moment,
    pub from: SocketAddr,
    pub bytes: Vec<u8>,
    /// It has just come from the worker; otherwise it is what the caller gets of it, later, once, twice or never.
    pub fresh: bool,
}

/// One way through the hop. Pure: times are arguments.
struct Way<T> {
    impairment: Impairment,
    dice: Dice,
    /// By the time that they leave, then in the order that they came.
    waiting: BTreeMap<(Moment, u64), T>,
    tally: Tally,
    copies: u64,
    overflowed: u64,
}

impl<T: Clone> Way<T> {
    fn new(impairment: Impairment, seed: u64) -> Self {
        let (waiting, tally) = (BTreeMap::new(), Tally::default());
        Self { impairment, dice: Dice(seed), waiting, tally, copies: 0, overflowed: 0 }
    }

    fn take(&mut self, now: Moment, datagram: &T) {
        self.tally.taken += 1;
        let (after_ms, copies) = match self.impairment.fate(&mut self.dice) {
            Fate::Lost => {
                self.tally.lost += 1;
                return;
            }
            Fate::Leaves { after_ms, twice } => (after_ms, 1 + u64::from(twice)),
        };
        self.tally.doubled += copies - 1;
        for _ in 0..copies {
            if self.waiting.len() >= WAITING {
                self.overflowed += 1;
                continue;
            }
            self.copies += 1;
            self.waiting.insert((now.plus_ms(after_ms.into()), self.copies), datagram.clone());
        }
    }

    /// One whose time has come.
    fn due(&mut self, now: Moment) -> Option<T> {
        let first = self.waiting.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }
}

/// What the hop says of itself.
#[derive(Default)]
struct State {
    stop: AtomicBool,
    /// Datagrams that found no room, and that the system did not take.
    dropped: AtomicU64,
    /// The latest turn since it was last asked, in microseconds.
    late_us: AtomicU64,
    /// To the worker, and back.
    tallies: Mutex<[Tally; 2]>,
}

/// The generator's end of the hop.
pub(super) struct Relay {
    out: Sender<Out>,
    back: Receiver<In>,
    state: Arc<State>,
    locals: Vec<SocketAddr>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Relay {
    /// A hop with `sockets` sockets towards the worker, which does the same to both ways.
    ///
    /// # Errors
    /// Where the system gives no sockets or no thread.
    pub fn start(sockets: usize, impairment: Impairment) -> std::io::Result<Self> {
        let (out, taken) = bounded::<Out>(HANDED);
        let (give, back) = bounded(HANDED);
        let (told, made) = bounded(1);
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new().name("relay".to_owned()).spawn(move || {
            // The buffers of the sockets stay on the thread that made them.
            let air = (0..sockets).map(|_| Air::new()).collect::<std::io::Result<Vec<_>>>();
            match air {
                Ok(air) => {
                    drop(told.send(Ok(air.iter().map(Air::local).collect())));
                    let [there, here] = SEEDS;
                    let ways = (Way::new(impairment, there), Way::new(impairment, here));
                    Hop { air, taken, give, state: shared, out: ways.0, back: ways.1 }.run();
                }
                Err(error) => drop(told.send(Err(error))),
            }
        })?;
        let locals = made.recv().map_err(|_| std::io::Error::other("the relay's thread is gone"))??;
        Ok(Self { out, back, state, locals, thread: Some(thread) })
    }

    /// Where its sockets are bound.
    pub fn locals(&self) -> &[SocketAddr] {
        &self.locals
    }

    /// Hands over a packet for the worker.
    pub fn push(&self, air: usize, packet: [u8; PACKET], to: SocketAddr) {
        if self.out.try_send((air, packet, to)).is_err() {
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What came.
    pub fn next(&self) -> Option<In> {
        self.back.try_recv().ok()
    }

    /// What it dropped since it was last asked; on purpose is not meant.
    pub fn dropped(&self) -> u64 {
        self.state.dropped.swap(0, Ordering::Relaxed)
    }

    /// How late its latest turn since it was last asked began, in microseconds.
    pub fn late_us(&self) -> u64 {
        self.state.late_us.swap(0, Ordering::Relaxed)
    }

    /// What it did on the way to the worker, and on the way back.
    pub fn tallies(&self) -> [Tally; 2] {
        *self.state.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It turns every millisecond, and where it fell over the step was discarded.
            drop(thread.join());
        }
    }
}

/// The thread's own.
struct Hop {
    air: Vec<Air>,
    taken: Receiver<Out>,
    give: Sender<In>,
    state: Arc<State>,
    out: Way<Out>,
    back: Way<In>,
}

impl Hop {
    fn run(mut self) {
        let _ = rt::prefer_this_thread(true);
        let mut due = rt::now();
        while !self.state.stop.load(Ordering::Relaxed) {
            due = due + Duration::from_millis(1);
            rt::park_until(due);
            let now = rt::now();
            self.state.late_us.fetch_max(now.since(due).as_micros() as u64, Ordering::Relaxed);
            let dropped = self.there(now) + self.here(now);
            self.state.dropped.fetch_add(dropped, Ordering::Relaxed);
            *self.state.tallies.lock().unwrap_or_else(PoisonError::into_inner) = [self.out.tally, self.back.tally];
        }
    }

    /// Towards the worker; how much was dropped.
    fn there(&mut self, now: Moment) -> u64 {
        for _ in 0..HANDED {
            let Ok(packet) = self.taken.try_recv() else { break };
            self.out.take(now, &packet);
        }
        while let Some((air, packet, to)) = self.out.due(now) {
            if let Some(air) = self.air.get_mut(air) {
                air.push(packet, to);
            }
        }
        let mut dropped = std::mem::take(&mut self.out.overflowed);
        for air in &mut self.air {
            air.flush();
            dropped += std::mem::take(&mut air.unsent);
        }
        dropped
    }

    /// Back from the worker; how much was dropped.
    fn here(&mut self, now: Moment) -> u64 {
        let Self { air, back, give, .. } = self;
        let mut dropped = 0;
        for air in air {
            air.drain(|at, from, bytes| {
                if looks_like_rtcp(bytes) {
                    return;
                }
                let datagram = In { at, from, bytes: bytes.to_vec(), fresh: false };
                // Delayed from when it came, so that the hop's own turns do not add to it.
                back.take(at, &datagram);
                dropped += u64::from(give.try_send(In { fresh: true, ..datagram }).is_err());
            });
        }
        while let Some(datagram) = back.due(now) {
            dropped += u64::from(give.try_send(In { at: now, ..datagram }).is_err());
        }
        dropped + std::mem::take(&mut back.overflowed)
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    const PLAN: Impairment =
        Impairment { loss_percent: 10.0, duplicate_percent: 5.0, reorder_percent: 2.0, jitter_ms: 10 };

    #[test]
    fn what_is_taken_leaves_at_its_time_is_lost_or_leaves_twice() {
        let mut way = Way::new(PLAN, 7);
        let mut left = Vec::new();
        for n in 0..10_000u64 {
            let now = Moment::from_millis(1_000 + n * 20);
            way.take(now, &n);
            while let Some(one) = way.due(now) {
                left.push(one);
            }
        }
        while let Some(one) = way.due(Moment::from_millis(u64::from(u32::MAX))) {
            left.push(one);
        }
        let Tally { taken, lost, doubled } = way.tally;
        assert_eq!((taken, left.len() as u64), (10_000, taken - lost + doubled));
        assert!((800..1_200).contains(&lost) && (350..550).contains(&doubled), "{:?}", way.tally);
        let behind = left.windows(2).filter(|two| two[0] > two[1]).count();
        assert!((100..400).contains(&behind), "some come behind the next: {behind}");
        let mut other = Way::new(PLAN, 7);
        (0..10_000u64).for_each(|n| other.take(Moment::ZERO, &n));
        assert_eq!(other.tally, way.tally, "the same seed does the same");
    }

    #[test]
    fn a_queue_that_is_full_says_so() {
        let mut way = Way::new(Impairment { jitter_ms: 10, ..Impairment::default() }, 1);
        (0..WAITING + 5).for_each(|n| way.take(Moment::ZERO, &n));
        assert_eq!((way.waiting.len(), way.overflowed), (WAITING, 5));
    }

    #[test]
    fn both_ways_go_through_the_hop_and_what_is_done_is_told() {
        let worker = UdpSocket::bind("127.0.0.1:0").unwrap();
        worker.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let there = worker.local_addr().unwrap();
        let relay = Relay::start(2, Impairment { duplicate_percent: 100.0, ..Impairment::default() }).unwrap();
        relay.push(1, [0x80; PACKET], there);
        let mut buffer = [0; 512];
        for _ in 0..2 {
            let (n, from) = worker.recv_from(&mut buffer).unwrap();
            assert_eq!((n, from), (PACKET, relay.locals()[1]), "from the socket that was asked for, twice");
        }
        worker.send_to(&[0x80; 20], relay.locals()[1]).unwrap();
        let until = rt::now().plus_ms(20_000);
        let mut came = Vec::new();
        while came.len() < 3 {
            match relay.next() {
                Some(one) => came.push(one),
                None => {
                    assert!(rt::now() < until, "it came through");
                    rt::park_until(rt::now().plus_ms(1));
                }
            }
        }
        assert!(came.iter().all(|one| one.from == there && one.bytes.len() == 20));
        assert_eq!(came.iter().map(|one| one.fresh).collect::<Vec<_>>(), [true, false, false]);
        let once = Tally { taken: 1, lost: 0, doubled: 1 };
        while relay.tallies() != [once, once] {
            assert!(rt::now() < until, "{:?}", relay.tallies());
            rt::park_until(rt::now().plus_ms(1));
        }
        assert_eq!(relay.dropped(), 0);
    }
}
