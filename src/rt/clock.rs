//! The only place that reads a clock or sleeps; everything else is handed a [`Moment`]. Reads the system's monotonic clock, which
//! a test that pauses tokio's time does not stop.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::units::{Moment, Stamp};

static START: OnceLock<Instant> = OnceLock::new();

/// The start of [`Moment`]s: one hour before the first reading, so that "30 s ago" is always a moment.
fn start() -> Instant {
    *START.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "the one home of the monotonic clock")]
        let first = Instant::now();
        first.checked_sub(Duration::from_secs(3600)).unwrap_or(first)
    })
}

/// Now, on the monotonic clock.
#[must_use]
pub fn now() -> Moment {
    let start = start();
    #[expect(clippy::disallowed_methods, reason = "the one home of the monotonic clock")]
    let now = Instant::now();
    Moment::from_micros(u64::try_from(now.duration_since(start).as_micros()).unwrap_or(0))
}

/// Now, as people write it.
#[must_use]
pub fn stamp() -> Stamp {
    #[expect(clippy::disallowed_methods, reason = "the one home of the wall clock")]
    let now = SystemTime::now();
    Stamp::from_unix_ms(now.duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
}

/// Waits until `at`.
pub async fn sleep_until(at: Moment) {
    #[expect(clippy::disallowed_methods, reason = "the one home of sleeping")]
    tokio::time::sleep_until(tokio::time::Instant::from_std(start() + Duration::from_micros(at.as_micros()))).await;
}

/// Waits for `span`.
pub async fn sleep(span: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the one home of sleeping")]
    tokio::time::sleep(span).await;
}

/// Runs `work` for at most `span`; `None` where it did not finish.
pub async fn timeout<F: Future>(span: Duration, work: F) -> Option<F::Output> {
    tokio::time::timeout(span, work).await.ok()
}

/// The moment at which the wall clock showed `wall` (since the epoch), as far as that can be told: a clock that was set meanwhile, or
/// a time to come, is taken for now, and so is what would be older than a second.
#[must_use]
pub fn moment_of_wall(wall: Duration) -> Moment {
    #[expect(clippy::disallowed_methods, reason = "the one home of the wall clock")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ago = since.saturating_sub(wall);
    now() - if ago > Duration::from_secs(1) { Duration::ZERO } else { ago }
}
