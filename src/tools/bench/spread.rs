//! Spans of time as counts per tenth of a millisecond: exact enough for a gate, small enough to keep one a step. Never forgets its
//! worst value.

/// Width of a bucket, in microseconds.
const STEP_US: u64 = 100;
/// Buckets; what lies above the last (one second) is counted by its number and its worst alone.
const BUCKETS: usize = 10_000;

/// A distribution of spans.
#[derive(Clone)]
pub struct Spread {
    buckets: Vec<u32>,
    count: u64,
    max_us: u64,
}

impl std::fmt::Debug for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spread").field("count", &self.count).field("max_us", &self.max_us).finish_non_exhaustive()
    }
}

impl Default for Spread {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, max_us: 0 }
    }
}

impl Spread {
    /// Counts one span of `us` microseconds.
    pub fn note(&mut self, us: u64) {
        self.count += 1;
        self.max_us = self.max_us.max(us);
        if let Some(bucket) = usize::try_from(us / STEP_US).ok().and_then(|at| self.buckets.get_mut(at)) {
            *bucket = bucket.saturating_add(1);
        }
    }

    /// Spans counted.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The longest, in milliseconds.
    #[must_use]
    pub fn max_ms(&self) -> f64 {
        self.max_us as f64 / 1_000.0
    }

    /// The span that `share` (0 to 1) of all do not exceed, in milliseconds, rounded up to a tenth; 0 without spans.
    #[must_use]
    pub fn quantile_ms(&self, share: f64) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let wanted = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count);
        let mut seen = 0u64;
        let at = self.buckets.iter().position(|bucket| {
            seen += u64::from(*bucket);
            seen >= wanted
        });
        at.map_or(self.max_ms(), |at| ((at as u64 + 1) * STEP_US) as f64 / 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_list_rounded_up() {
        let mut spread = Spread::default();
        for us in (1..=1_000).rev() {
            spread.note(us * 20);
        }
        assert_eq!((spread.count(), spread.max_ms()), (1_000, 20.0));
        assert!((spread.quantile_ms(0.5) - 10.1).abs() < 0.001, "{}", spread.quantile_ms(0.5));
        assert!((spread.quantile_ms(0.99) - 19.9).abs() < 0.001, "{}", spread.quantile_ms(0.99));
    }

    #[test]
    fn what_is_longer_than_a_second_is_the_worst_and_nothing_is_zero() {
        let mut spread = Spread::default();
        assert!(spread.quantile_ms(0.99).abs() < f64::EPSILON);
        spread.note(3_000_000);
        assert!((spread.quantile_ms(0.5) - 3_000.0).abs() < 0.001);
    }
}
