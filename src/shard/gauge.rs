//! What a media thread says of itself: counters that it alone writes and anybody reads. Never a lock.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::telemetry::Histogram;

/// Upper bounds of the lateness histogram, in microseconds; one more bucket holds the rest.
pub const LATE_BOUNDS_US: [u64; 12] =
    [50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 100_000, 1_000_000];

/// Counters of one media thread.
#[derive(Debug, Default)]
pub struct ShardGauge {
    pub(super) lines: AtomicUsize,
    pub(super) ticks: AtomicU64,
    pub(super) late: [AtomicU64; LATE_BOUNDS_US.len() + 1],
    pub(super) late_max_us: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) nobodys: AtomicU64,
    pub(super) fifo: AtomicBool,
    pub(super) thread_id: AtomicU64,
    shown: Option<Histogram>,
}

/// A reading of the counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardView {
    /// Lines on the thread.
    pub lines: usize,
    /// Line ticks so far.
    pub ticks: u64,
    /// How late slots began: counts per bucket of [`LATE_BOUNDS_US`], then the rest.
    pub late: [u64; LATE_BOUNDS_US.len() + 1],
    /// The worst of them, in microseconds.
    pub late_max_us: u64,
    /// Line ticks that came too late to be made up for.
    pub skipped: u64,
    /// Datagrams at the port that its legs share which were no leg's, or for which a leg had no place.
    pub nobodys: u64,
    /// The thread has real-time priority.
    pub fifo: bool,
    /// The thread's id in the system.
    pub thread_id: u64,
}

impl ShardGauge {
    pub(super) fn new(shown: Option<Histogram>) -> Self {
        Self { shown, ..Self::default() }
    }

    pub(super) fn note_late(&self, us: u64) {
        if let Some(shown) = &self.shown {
            shown.observe_us(us);
        }
        let bucket = LATE_BOUNDS_US.iter().position(|b| us <= *b).unwrap_or(LATE_BOUNDS_US.len());
        self.late[bucket].fetch_add(1, Ordering::Relaxed);
        self.late_max_us.fetch_max(us, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.lines.fetch_sub(1, Ordering::Relaxed);
    }

    /// A reading.
    #[must_use]
    pub fn view(&self) -> ShardView {
        ShardView {
            lines: self.lines.load(Ordering::Relaxed),
            ticks: self.ticks.load(Ordering::Relaxed),
            late: std::array::from_fn(|i| self.late[i].load(Ordering::Relaxed)),
            late_max_us: self.late_max_us.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
            nobodys: self.nobodys.load(Ordering::Relaxed),
            fifo: self.fifo.load(Ordering::Relaxed),
            thread_id: self.thread_id.load(Ordering::Relaxed),
        }
    }
}
