//! How busy the pool is: counters that any thread may bump and anybody may read. Never blocks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of the wait in the queue: bucket `n` holds waits below 2ⁿ microseconds, the last one everything longer.
const BUCKETS: usize = 26;

/// Figures of the pool since its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PoolStats {
    /// Jobs that ran, including those that failed.
    pub jobs: u64,
    /// Partial transcripts that were not made because the lane was full.
    pub partials_dropped: u64,
    /// Other jobs that were refused because the lane was full.
    pub refused: u64,
    /// Jobs that panicked.
    pub panics: u64,
    /// Median wait in the queue, rounded up to a power of two.
    pub wait_p50_us: u64,
    /// 99th percentile of it, rounded up to a power of two.
    pub wait_p99_us: u64,
}

#[derive(Debug)]
pub(super) struct Load {
    waits: [AtomicU64; BUCKETS],
    partials_dropped: AtomicU64,
    refused: AtomicU64,
    panics: AtomicU64,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            waits: std::array::from_fn(|_| AtomicU64::new(0)),
            partials_dropped: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        }
    }
}

impl Load {
    pub(super) fn ran(&self, waited: Duration) {
        let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        if let Some(count) = self.waits.get(bucket.min(BUCKETS - 1)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn refused(&self, partial: bool) {
        if partial { &self.partials_dropped } else { &self.refused }.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> PoolStats {
        let counts: Vec<u64> = self.waits.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let jobs: u64 = counts.iter().sum();
        let percentile = |share: u64| {
            let rank = (jobs * share).div_ceil(100);
            let mut seen = 0;
            let reached = counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            if jobs == 0 { 0 } else { reached.map_or(0, |bucket| 1 << bucket) }
        };
        PoolStats {
            jobs,
            partials_dropped: self.partials_dropped.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            panics: self.panics.load(Ordering::Relaxed),
            wait_p50_us: percentile(50),
            wait_p99_us: percentile(99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_upper_bounds_of_the_wait() {
        let load = Load::default();
        assert_eq!(load.stats(), PoolStats::default());
        for _ in 0..98 {
            load.ran(Duration::from_micros(100));
        }
        for _ in 0..2 {
            load.ran(Duration::from_millis(30));
        }
        let stats = load.stats();
        assert_eq!((stats.jobs, stats.wait_p50_us, stats.wait_p99_us), (100, 128, 32_768));
    }
}
