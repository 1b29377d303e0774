//! Two kinds of time: [`Moment`] for machines, [`Stamp`] for people. Never reads a clock: `rt::clock` is the only place that
//! does, and hands both in as arguments.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the process's monotonic clock, in microseconds since an arbitrary start. Plain data, so that a simulation
/// or a replay can make one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Moment(u64);

impl Moment {
    /// The start of the clock.
    pub const ZERO: Self = Self(0);

    /// The moment `micros` microseconds after the start.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The moment `millis` milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1000)
    }

    /// Microseconds since the start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the start.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1000
    }

    /// The time from `earlier` to this moment; zero where `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Whole milliseconds from `earlier` to this moment; zero where `earlier` is later.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1000
    }

    /// The moment `millis` milliseconds before this one, not before the start.
    #[must_use]
    pub const fn back_ms(self, millis: u64) -> Self {
        Self(self.0.saturating_sub(millis * 1000))
    }

    /// The moment `millis` milliseconds after this one.
    #[must_use]
    pub const fn plus_ms(self, millis: u64) -> Self {
        Self(self.0 + millis * 1000)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0 + u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX / 2))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// Wall time for people and records: milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Stamp(i64);

impl Stamp {
    /// The wall time `millis` milliseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_unix_ms(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// The wall time `millis` milliseconds later.
    #[must_use]
    pub const fn plus_ms(self, millis: i64) -> Self {
        Self(self.0 + millis)
    }
}

/// RFC 3339, UTC, with milliseconds: `2026-05-01T09:30:00.250Z`.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => f.write_str("1970-01-01T00:00:00.000Z"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reads_as_rfc_3339_with_milliseconds() {
        assert_eq!(Stamp::from_unix_ms(1_777_627_800_250).to_string(), "2026-05-01T09:30:00.250Z");
        assert_eq!(Stamp::from_unix_ms(0).to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn moments_never_run_before_the_start() {
        let at = Moment::from_millis(5);
        assert_eq!(at.back_ms(9), Moment::ZERO);
        assert_eq!(Moment::ZERO.ms_since(at), 0);
        assert_eq!((at + Duration::from_millis(3)).ms_since(at), 3);
    }
}
