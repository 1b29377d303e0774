//! Who may send how much: strangers a little, trunks up to their caps. Decides from the address and the time alone, before a message
//! costs more than a look. Bounded, whatever comes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::units::Moment;

/// Most sources of each kind whose rate is remembered; when more come, those that were quiet for long enough are forgotten first, and
/// where none was the new one does not pass.
const MAX_SOURCES: usize = 4_096;

/// Counts per source and second. Strangers have a table of their own: addresses are forged easily, and however many come, what carriers
/// may do is remembered.
#[derive(Debug, Default)]
pub(super) struct Rates {
    strangers: Mutex<HashMap<Source, Bucket>>,
    trunks: Mutex<HashMap<Source, Bucket>>,
}

/// Whose rate.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Source {
    /// An address of no trunk.
    Stranger(IpAddr),
    /// A trunk's new calls.
    Trunk(String),
    /// A trunk's calls to numbers that begin so.
    Prefix(String, String),
}

/// So many in so long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// How many, on average and at once.
    pub most: u32,
    /// In milliseconds.
    pub within_ms: u64,
}

impl Rate {
    pub const fn per_second(most: u32) -> Self {
        Self { most, within_ms: 1_000 }
    }

    pub const fn per_minute(most: u32) -> Self {
        Self { most, within_ms: 60_000 }
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// One costs as many as the rate's span has milliseconds.
    tokens: u64,
    at: Moment,
    /// After so long of quiet it is full, and nothing is to be remembered.
    full_after_ms: u64,
}

impl Rates {
    /// May one more pass?
    pub fn pass(&self, source: &Source, rate: Rate, now: Moment) -> bool {
        let Rate { most, within_ms } = rate;
        let full = u64::from(most) * within_ms;
        let table = if matches!(source, Source::Stranger(_)) { &self.strangers } else { &self.trunks };
        let mut buckets = table.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_SOURCES && !buckets.contains_key(source) {
            // Whoever has been quiet for long enough has nothing to be remembered for.
            buckets.retain(|_, bucket| now.ms_since(bucket.at) < bucket.full_after_ms);
            if buckets.len() >= MAX_SOURCES {
                return false;
            }
        }
        let new = Bucket { tokens: full, at: now, full_after_ms: within_ms };
        let bucket = buckets.entry(source.clone()).or_insert(new);
        bucket.tokens = (bucket.tokens + now.ms_since(bucket.at) * u64::from(most)).min(full);
        (bucket.at, bucket.full_after_ms) = (now, within_ms);
        if bucket.tokens < within_ms {
            return false;
        }
        bucket.tokens -= within_ms;
        true
    }
}

/// A count with a cap; each place is given back by its guard.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<AtomicU32>);

/// One place.
#[derive(Debug)]
pub struct Place(Arc<AtomicU32>);

impl Places {
    /// Takes a place where fewer than `most` are taken.
    pub fn take(&self, most: u32) -> Option<Place> {
        let more = |taken: u32| (taken < most).then_some(taken + 1);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Place(Arc::clone(&self.0)))
    }

    /// Places taken.
    pub fn taken(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_and_forgotten_sources_cost_nothing() {
        let rates = Rates::default();
        let source = |n: u32| Source::Stranger(IpAddr::from(n.to_be_bytes()));
        let at = Moment::from_millis;
        let five = Rate::per_second(5);
        let passed = (0..50).filter(|_| rates.pass(&source(1), five, at(1_000))).count();
        assert_eq!(passed, 5);
        assert!(rates.pass(&source(1), five, at(1_200)) && !rates.pass(&source(1), five, at(1_200)));
        for n in 2..=u32::try_from(MAX_SOURCES).unwrap() {
            assert!(rates.pass(&source(n), five, at(1_300)));
        }
        assert!(!rates.pass(&source(999_999), five, at(1_301)), "no room for another");
        assert!(rates.pass(&Source::Trunk("t".to_owned()), five, at(1_301)), "trunks are not concerned");
        assert!(rates.pass(&source(999_999), five, at(2_400)), "the quiet ones are forgotten");
        assert!(rates.strangers.lock().unwrap().len() <= MAX_SOURCES);
    }

    #[test]
    fn a_rate_per_minute_lasts_a_minute() {
        let rates = Rates::default();
        let source = Source::Prefix("t".to_owned(), "+91".to_owned());
        let passed = |at_ms: u64| rates.pass(&source, Rate::per_minute(2), Moment::from_millis(at_ms));
        assert_eq!([0, 10, 20, 29_000, 30_001, 30_002].map(passed), [true, true, false, false, true, false]);
        assert!(rates.pass(&Source::Prefix("t".to_owned(), "+1".to_owned()), Rate::per_minute(1), Moment::ZERO));
    }

    #[test]
    fn places_come_back() {
        let places = Places::default();
        let held: Vec<Place> = (0..3).filter_map(|_| places.take(2)).collect();
        assert_eq!((held.len(), places.taken()), (2, 2));
        drop(held);
        assert_eq!(places.taken(), 0);
    }
}
