//! What a media thread says of itself: counters that it alone writes and anybody reads. Never a lock.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Counters of one media thread.
#[derive(Debug, Default)]
pub struct ShardGauge {
    pub(super) lines: AtomicUsize,
    pub(super) ticks: AtomicU64,
    pub(super) late_max_us: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) fifo: AtomicBool,
    pub(super) thread_id: AtomicU64,
}

/// A reading of the counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardView {
    /// Lines on the thread.
    pub lines: usize,
    /// Line ticks so far.
    pub ticks: u64,
    /// How late a slot began at the worst, in microseconds.
    pub late_max_us: u64,
    /// Line ticks that came too late to be made up for.
    pub skipped: u64,
    /// The thread has real-time priority.
    pub fifo: bool,
    /// The thread's id in the system.
    pub thread_id: u64,
}

impl ShardGauge {
    pub(super) fn note_late(&self, us: u64) {
        self.late_max_us.fetch_max(us, Ordering::Relaxed);
    }

    /// A reading.
    #[must_use]
    pub fn view(&self) -> ShardView {
        ShardView {
            lines: self.lines.load(Ordering::Relaxed),
            ticks: self.ticks.load(Ordering::Relaxed),
            late_max_us: self.late_max_us.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
            fifo: self.fifo.load(Ordering::Relaxed),
            thread_id: self.thread_id.load(Ordering::Relaxed),
        }
    }
}
