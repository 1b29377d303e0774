//! The clock of a load: one thread, a wheel of twenty milliseconds with absolute deadlines, so that a worker that is slow never slows
//! the load down (no coordinated omission). Keeps as many calls up as was ordered, and lets calls come and go beside.

use std::time::Duration;

use crossbeam::channel::{Receiver, Sender};

use super::counts::Counts;
use super::report::Planted;
use crate::rt;
use crate::units::Moment;

/// Slots of the wheel, one millisecond each.
pub(super) const SLOTS: usize = 20;
/// Set-ups under way at once; more wait, so that a worker that answers slowly is not flooded.
const MOST_DIALLING: usize = 200;

/// What a load is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Keep so many calls up, dial so many a second on the way there.
    Target { calls: usize, per_second: f64 },
    /// Let so many calls a second end and others begin in their place.
    Churn { per_second: f64 },
    /// Count from now on.
    Begin,
    /// Hand the counts over.
    End(Sender<Counts>),
    /// Say how many calls are up and under way.
    Census(Sender<Census>),
    /// Leave.
    Stop,
}

/// What lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    pub dialling: usize,
    pub up: usize,
    pub leaving: usize,
}

/// A call that is over, as far as its recording is asked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spoke {
    pub id: u64,
    /// Packets it had time for.
    pub packets: u64,
}

/// Calls that are remembered when they are over, for their recordings.
const MOST_REMEMBERED: usize = 20_000;

/// Calls that are over, in the order that they ended. Of more than are remembered every second, every fourth and so on stays, so that
/// what is left always spans the whole run.
#[derive(Debug)]
pub(super) struct Remembered {
    calls: Vec<Spoke>,
    most: usize,
    ended: u64,
    every: u64,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { calls: Vec::new(), most: MOST_REMEMBERED, ended: 0, every: 1 }
    }
}

impl Remembered {
    pub fn note(&mut self, call: Spoke) {
        self.ended += 1;
        if !(self.ended - 1).is_multiple_of(self.every) {
            return;
        }
        if self.calls.len() >= self.most {
            let mut nth = 0u64;
            self.calls.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
            self.every *= 2;
            if !(self.ended - 1).is_multiple_of(self.every) {
                return;
            }
        }
        self.calls.push(call);
    }

    pub fn take(&mut self) -> Vec<Spoke> {
        std::mem::take(&mut self.calls)
    }
}

/// The number that call `id` comes from.
pub(super) fn number(id: u64) -> String {
    format!("+9190{id:08}")
}

/// Calls of one protocol.
pub(super) trait Load {
    /// Begins one more call, which is to send in `slot`.
    fn dial(&mut self, now: Moment, slot: usize);
    /// Hangs up the call that has been up for longest.
    fn hang_up(&mut self, now: Moment);
    /// Sends what is due at `due`.
    fn send(&mut self, slot: usize, due: Moment, counts: Option<&mut Counts>);
    /// Takes in what came, and repeats what nobody answered.
    fn receive(&mut self, now: Moment, counts: &mut Option<Box<Counts>>);
    /// What lives.
    fn census(&self) -> Census;
    /// The UDP ports that it listens on.
    fn ports(&self) -> Vec<u16>;
    /// The calls that are over, and what was done to their packets.
    fn leavings(&mut self) -> (Vec<Spoke>, Planted);
    /// A window ends: what should have come and did not.
    fn close(&self, now: Moment, counts: &mut Counts);
}

/// Runs until it is told to stop.
pub(super) fn run(load: &mut impl Load, orders: &Receiver<Order>) {
    // As the media threads of the worker have it, where the system permits; what is missing of it shows in its own lateness.
    let _ = rt::prefer_this_thread(true);
    let mut pace = Pace::default();
    let mut counts: Option<Box<Counts>> = None;
    let mut due = rt::now();
    let mut slot = 0;
    loop {
        due = due + Duration::from_millis(1);
        slot = (slot + 1) % SLOTS;
        rt::park_until(due);
        load.send(slot, due, counts.as_deref_mut());
        load.receive(rt::now(), &mut counts);
        if !obey(load, orders, &mut pace, &mut counts) {
            return;
        }
        pace.step(load, slot);
        if let Some(counts) = &mut counts {
            let up = load.census().up;
            counts.most_up = counts.most_up.max(up);
            counts.fewest_up = counts.fewest_up.min(up);
        }
    }
}

fn obey(load: &mut impl Load, orders: &Receiver<Order>, pace: &mut Pace, counts: &mut Option<Box<Counts>>) -> bool {
    while let Ok(order) = orders.try_recv() {
        match order {
            Order::Target { calls, per_second } => (pace.target, pace.dials) = (calls, Flow::new(per_second)),
            Order::Churn { per_second } => pace.churn = Flow::new(per_second),
            Order::Begin => *counts = Some(Box::new(Counts { fewest_up: usize::MAX, ..Counts::default() })),
            Order::End(to) => {
                let mut counted = counts.take().unwrap_or_default();
                load.close(rt::now(), &mut counted);
                // Whoever asked may have given up.
                let _ = to.send(*counted);
            }
            Order::Census(to) => drop(to.send(load.census())),
            Order::Stop => return false,
        }
    }
    true
}

/// Something that happens so often a second, counted in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    per_ms: f64,
    owed: f64,
}

impl Flow {
    fn new(per_second: f64) -> Self {
        Self { per_ms: per_second / 1_000.0, owed: 0.0 }
    }

    /// A millisecond passes: is one due?
    fn step(&mut self) -> bool {
        // What could not be done is not made up for in one go.
        self.owed = (self.owed + self.per_ms).min(2.0);
        self.owed >= 1.0
    }

    fn done(&mut self) {
        self.owed -= 1.0;
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    target: usize,
    dials: Flow,
    churn: Flow,
}

impl Pace {
    fn step(&mut self, load: &mut impl Load, slot: usize) {
        let Census { dialling, up, .. } = load.census();
        if self.churn.step() && up > 0 && up >= self.target {
            self.churn.done();
            load.hang_up(rt::now());
        } else if self.dials.step() && up > self.target {
            self.dials.done();
            load.hang_up(rt::now());
        } else if self.dials.owed >= 1.0 && dialling + up < self.target && dialling < MOST_DIALLING {
            self.dials.done();
            load.dial(rt::now(), slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Fake(Census);

    impl Load for Fake {
        fn dial(&mut self, _now: Moment, _slot: usize) {
            self.0.up += 1;
        }
        fn hang_up(&mut self, _now: Moment) {
            self.0.up -= 1;
            self.0.leaving += 1;
        }
        fn send(&mut self, _slot: usize, _due: Moment, _counts: Option<&mut Counts>) {}
        fn receive(&mut self, _now: Moment, _counts: &mut Option<Box<Counts>>) {}
        fn census(&self) -> Census {
            self.0
        }
        fn ports(&self) -> Vec<u16> {
            Vec::new()
        }
        fn leavings(&mut self) -> (Vec<Spoke>, Planted) {
            (Vec::new(), Planted::default())
        }
        fn close(&self, _now: Moment, _counts: &mut Counts) {}
    }

    #[test]
    fn what_is_remembered_spans_the_whole_run_however_long_it_was() {
        for calls in [1u64, 9, 10, 11, 1_000, 12_345] {
            let mut over = Remembered { most: 10, ..Remembered::default() };
            (0..calls).for_each(|id| over.note(Spoke { id, packets: 0 }));
            let ids: Vec<u64> = over.take().iter().map(|call| call.id).collect();
            let apart = ids.get(1).map_or(1, |second| second - ids[0]);
            assert!(ids.len() as u64 >= calls.min(5) && ids.len() <= 10, "{calls}: {ids:?}");
            assert!(ids[0] == 0 && ids.windows(2).all(|two| two[1] - two[0] == apart), "{calls}: {ids:?}");
            assert!(calls - ids[ids.len() - 1] <= apart, "{calls}: {ids:?}");
        }
    }

    #[test]
    fn calls_come_at_their_pace_and_others_take_the_place_of_those_that_go() {
        let mut load = Fake::default();
        let mut pace = Pace { target: 100, dials: Flow::new(50.0), churn: Flow::default() };
        (0..1_000).for_each(|ms| pace.step(&mut load, ms % SLOTS));
        assert!((49..=51).contains(&load.0.up), "{:?}", load.0);
        (0..2_000).for_each(|ms| pace.step(&mut load, ms % SLOTS));
        assert_eq!(load.0.up, 100);
        pace.churn = Flow::new(20.0);
        (0..1_000).for_each(|ms| pace.step(&mut load, ms % SLOTS));
        assert!((99..=100).contains(&load.0.up) && (19..=21).contains(&load.0.leaving), "{:?}", load.0);
        (pace.target, pace.churn) = (0, Flow::default());
        (0..3_000).for_each(|ms| pace.step(&mut load, ms % SLOTS));
        assert_eq!(load.0.up, 0);
    }
}
