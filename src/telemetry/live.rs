//! Gauges that are true by construction: a thing that exists holds a guard, and the gauge counts guards. Never set by hand.

use prometheus_client::metrics::gauge::Gauge;

/// How many of something exist now.
#[derive(Clone, Debug, Default)]
pub struct Live(pub(super) Gauge);

/// One thing that exists; dropping it counts it out.
#[derive(Debug)]
#[must_use = "dropping the guard counts the thing out"]
pub struct LiveGuard(Gauge);

impl Live {
    /// Counts one in, until the guard is dropped.
    pub fn enter(&self) -> LiveGuard {
        self.0.inc();
        LiveGuard(self.0.clone())
    }

    /// How many exist.
    #[must_use]
    pub fn count(&self) -> i64 {
        self.0.get()
    }
}

impl Drop for LiveGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exists_is_what_is_counted() {
        let live = Live::default();
        let (a, b) = (live.enter(), live.enter());
        assert_eq!(live.count(), 2);
        drop(a);
        assert_eq!(live.count(), 1);
        drop(b);
        assert_eq!(live.count(), 0);
    }
}
