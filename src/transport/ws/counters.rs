//! What a session and all sessions together have counted. Never decides anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::call::LegLoss;
use crate::telemetry::Metrics;
use crate::wire::ws::Tally;

/// Upper bounds of the pacing buckets, in microseconds; one more bucket takes the rest.
pub const PACING_BUCKETS_US: [u64; 9] = [250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000];

/// How late frames left after the shard meant them to: counts per bucket of [`PACING_BUCKETS_US`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pacing {
    counts: [u64; PACING_BUCKETS_US.len() + 1],
    worst_us: u64,
}

impl Pacing {
    fn bucket(error_us: u64) -> usize {
        PACING_BUCKETS_US.iter().position(|&bound| error_us <= bound).unwrap_or(PACING_BUCKETS_US.len())
    }

    /// Counts one frame.
    pub fn record(&mut self, error_us: u64) {
        if let Some(count) = self.counts.get_mut(Self::bucket(error_us)) {
            *count += 1;
        }
        self.worst_us = self.worst_us.max(error_us);
    }

    /// Frames per bucket, the last one without bound.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The largest error, in microseconds.
    #[must_use]
    pub fn worst_us(&self) -> u64 {
        self.worst_us
    }

    /// Upper bound in microseconds of the bucket in which the `percent`th percentile lies; the worst error where that is the
    /// open bucket, zero without frames.
    #[must_use]
    pub fn percentile_us(&self, percent: f64) -> u64 {
        let total: u64 = self.counts.iter().sum();
        let rank = (total as f64 * percent / 100.0).ceil() as u64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && total > 0 {
                return PACING_BUCKETS_US.get(at).copied().unwrap_or(self.worst_us);
            }
        }
        0
    }
}

/// What one session counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionCounters {
    /// Frames of any kind from the peer.
    pub frames_in: u64,
    /// Text and binary frames to the peer.
    pub frames_out: u64,
    /// Samples of the caller.
    pub samples_in: u64,
    /// Audio frames to the peer.
    pub audio_out: u64,
    /// Samples of the caller that came before the media line, beyond the one second that is kept.
    pub held_dropped: u64,
    /// Samples of the caller that found the media line full.
    pub line_full: u64,
    /// Bot frames that a barge-in or a hang-up made void before they left.
    pub cleared: u64,
    /// Bot frames that a stall of the socket made too late.
    pub late_dropped: u64,
    /// Frames beyond the limit per second.
    pub flooded: u64,
    /// Reports of marks that were not sent, or that were answered already.
    pub unknown_marks: u64,
    /// Keys and marks that the call did not take in time.
    pub facts_dropped: u64,
}

/// What a session reports when it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LegReport {
    /// Counts of the session.
    pub counters: SessionCounters,
    /// How late bot frames left.
    pub pacing: Pacing,
    /// What the dialect ignored.
    pub tally: Tally,
}

/// All sessions of the process, for the metrics page. Relaxed counters: each is right, a snapshot need not be one instant.
#[derive(Debug, Default)]
pub struct WsMetrics {
    /// Sockets that are up.
    pub live: AtomicI64,
    /// Sockets that were upgraded.
    pub upgraded: AtomicU64,
    /// Upgrades refused: no or a wrong token.
    pub refused_unauthorised: AtomicU64,
    /// Upgrades refused: no such bot.
    pub refused_unknown_bot: AtomicU64,
    /// Upgrades refused: full, draining, or outside hours.
    pub refused_unavailable: AtomicU64,
    /// Requests that were no WebSocket upgrade.
    pub refused_not_websocket: AtomicU64,
    /// Sockets that ended before a call was opened.
    pub never_opened: AtomicU64,
    /// Legs lost: closed without a word.
    pub lost_closed: AtomicU64,
    /// Legs lost: silent.
    pub lost_silent: AtomicU64,
    /// Legs lost: the peer stopped reading.
    pub lost_stuck: AtomicU64,
    /// Legs lost: the protocol was broken.
    pub lost_protocol: AtomicU64,
    /// Legs lost: `start` or `answer` never came.
    pub lost_unanswered: AtomicU64,
    /// Legs lost: our own fault.
    pub lost_internal: AtomicU64,
    /// Frames read.
    pub frames_in: AtomicU64,
    /// Frames written.
    pub frames_out: AtomicU64,
    /// Messages that were ignored as malformed, foreign, early, late or of an unknown kind.
    pub ignored: AtomicU64,
    /// Bot frames dropped as too late.
    pub late_dropped: AtomicU64,
    /// Frames dropped as flood.
    pub flooded: AtomicU64,
    /// Bot frames per pacing bucket.
    pub pacing: [AtomicU64; PACING_BUCKETS_US.len() + 1],
    sink: Option<Arc<Metrics>>,
}

impl WsMetrics {
    /// Counts that also show on the metrics page.
    #[must_use]
    pub fn shown(sink: Arc<Metrics>) -> Self {
        Self { sink: Some(sink), ..Self::default() }
    }

    fn fault(&self, kind: &'static str, count: u64) {
        if let Some(sink) = self.sink.as_ref().filter(|_| count > 0) {
            sink.ws_fault(kind, count);
        }
    }

    pub(super) fn refused(&self, problem: &'static str) {
        if let Some(sink) = &self.sink {
            sink.refused(problem);
        }
    }

    pub(super) fn unopened(&self) {
        self.never_opened.fetch_add(1, Ordering::Relaxed);
        self.fault("never_opened", 1);
    }

    pub(super) fn paced(&self, error_us: u64) {
        if let Some(sink) = &self.sink {
            sink.pacing_error.observe_us(error_us);
        }
        if let Some(count) = self.pacing.get(Pacing::bucket(error_us)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn lost(&self, loss: LegLoss) {
        let (counter, kind) = match loss {
            LegLoss::Closed => (&self.lost_closed, "lost_closed"),
            LegLoss::Silent => (&self.lost_silent, "lost_silent"),
            LegLoss::Stuck => (&self.lost_stuck, "lost_stuck"),
            LegLoss::Protocol => (&self.lost_protocol, "lost_protocol"),
            LegLoss::Unanswered => (&self.lost_unanswered, "lost_unanswered"),
            LegLoss::Internal => (&self.lost_internal, "lost_internal"),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.fault(kind, 1);
    }

    pub(super) fn ended(&self, report: &LegReport) {
        let tally = &report.tally;
        let kinds = [
            ("bad_json", tally.bad_json),
            ("bad_base64", tally.bad_base64),
            ("unknown_event", tally.unknown_event),
            ("bad_value", tally.bad_value),
            ("foreign", tally.foreign),
            ("oversize", tally.oversize),
            ("wrong_kind", tally.wrong_kind),
            ("duplicate", tally.duplicate),
            ("early", tally.early),
            ("late", tally.late),
        ];
        kinds.iter().for_each(|(kind, count)| self.fault(kind, *count));
        self.fault("flood", report.counters.flooded);
        self.fault("unknown_mark", report.counters.unknown_marks);
        if let Some(sink) = &self.sink {
            sink.ws_frames_in.inc_by(report.counters.frames_in);
            sink.ws_frames_out.inc_by(report.counters.audio_out);
        }
        let ignored = kinds.iter().map(|(_, count)| count).sum();
        for (counter, by) in [
            (&self.frames_in, report.counters.frames_in),
            (&self.frames_out, report.counters.frames_out),
            (&self.late_dropped, report.counters.late_dropped),
            (&self.flooded, report.counters.flooded),
            (&self.ignored, ignored),
        ] {
            counter.fetch_add(by, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_bound_of_its_bucket() {
        let mut pacing = Pacing::default();
        assert_eq!(pacing.percentile_us(99.0), 0);
        for _ in 0..98 {
            pacing.record(100);
        }
        pacing.record(4_000);
        pacing.record(777_000);
        assert_eq!(
            (pacing.percentile_us(50.0), pacing.percentile_us(99.0), pacing.percentile_us(100.0)),
            (250, 5_000, 777_000)
        );
        assert_eq!(pacing.worst_us(), 777_000);
    }
}
