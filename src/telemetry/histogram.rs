//! A latency histogram that a media shard may feed: observing is three atomic additions, without lock or allocation.
//! (The one of the metrics library takes a mutex.) Never knows what it measures.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// A histogram of spans of time; cloning shares it.
#[derive(Clone)]
pub struct Histogram(Arc<Inner>);

struct Inner {
    /// Upper bounds in microseconds, rising; one more count follows for what lies above the last.
    bounds_us: &'static [u64],
    counts: Box<[AtomicU64]>,
    sum_us: AtomicU64,
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram").field("count", &self.count()).finish_non_exhaustive()
    }
}

impl Histogram {
    /// An empty histogram with these rising upper bounds, in microseconds.
    #[must_use]
    pub fn new(bounds_us: &'static [u64]) -> Self {
        let counts = (0..=bounds_us.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner { bounds_us, counts, sum_us: AtomicU64::new(0) }))
    }

    /// Counts one span.
    pub fn observe(&self, span: Duration) {
        self.observe_us(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts one span of `micros` microseconds.
    pub fn observe_us(&self, micros: u64) {
        let at = self.0.bounds_us.partition_point(|&bound| bound < micros);
        if let Some(count) = self.0.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum_us.fetch_add(micros, Ordering::Relaxed);
    }

    /// Spans counted so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.counts.iter().map(|c| c.load(Ordering::Relaxed)).sum()
    }

    /// The upper bound, in microseconds, below which at least `share` (0 to 1) of the spans lie: as exact as the buckets.
    /// `None` without spans, or where the span lies above the last bound.
    #[must_use]
    pub fn quantile_us(&self, share: f64) -> Option<u64> {
        let counts: Vec<u64> = self.0.counts.iter().map(|c| c.load(Ordering::Relaxed)).collect();
        let wanted = (counts.iter().sum::<u64>() as f64 * share.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        counts.iter().zip(self.0.bounds_us).find_map(|(count, &bound)| {
            seen += count;
            (seen >= wanted).then_some(bound)
        })
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let bounds = self.0.bounds_us.iter().map(|&us| us as f64 / 1e6).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(self.0.counts.iter().map(|c| c.load(Ordering::Relaxed))).collect();
        // The count is taken from the buckets just read, so that a scrape never contradicts itself.
        let count = buckets.iter().map(|(_, n)| n).sum();
        let sum = self.0.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: &[u64] = &[1_000, 5_000, 20_000];

    #[test]
    fn a_span_on_the_bound_belongs_below_it_and_nothing_is_lost_above() {
        let h = Histogram::new(BOUNDS);
        for us in [0, 1_000, 1_001, 20_000, 20_001, u64::MAX / 2] {
            h.observe_us(us);
        }
        let counts: Vec<u64> = h.0.counts.iter().map(|c| c.load(Ordering::Relaxed)).collect();
        assert_eq!(counts, [2, 1, 1, 2]);
        assert_eq!(h.count(), 6);
    }

    #[test]
    fn a_quantile_is_the_bound_of_its_bucket() {
        let h = Histogram::new(BOUNDS);
        assert_eq!(h.quantile_us(0.5), None);
        for _ in 0..99 {
            h.observe_us(10);
        }
        h.observe(Duration::from_millis(3));
        assert_eq!((h.quantile_us(0.99), h.quantile_us(1.0)), (Some(1_000), Some(5_000)));
        h.observe(Duration::from_secs(1));
        assert_eq!(h.quantile_us(1.0), None);
    }
}
