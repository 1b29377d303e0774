//! What ended RTP legs say of the network, for the metrics page. Never asks a leg that lives.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::histogram::Histogram;
use super::metrics::add;
use super::names;

/// Jitter and round trips, in microseconds.
const NETWORK_US: &[u64] = &[1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 80_000, 150_000, 250_000, 400_000, 1_000_000];
/// Opinions, in millionths: 1 is bad, 4.4 as good as G.711 gets.
const OPINION_MILLIONTHS: &[u64] =
    &[1_500_000, 2_000_000, 2_500_000, 3_000_000, 3_300_000, 3_600_000, 3_800_000, 4_000_000, 4_200_000, 4_400_000];

/// What one leg counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RtpFigures {
    /// Packets of the peer that were taken.
    pub received: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came too late to be played.
    pub late: u64,
    /// Packets sent.
    pub sent: u64,
    /// Interarrival jitter at the end, in microseconds.
    pub jitter_us: u32,
    /// There and back, in milliseconds, where the peer reported.
    pub round_trip_ms: Option<u32>,
    /// What listeners would say of it, 1 to 5.
    pub mos: f64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindOf {
    kind: &'static str,
}

#[derive(Debug)]
pub(super) struct RtpMetrics {
    packets: Family<KindOf, Counter>,
    jitter: Histogram,
    round_trip: Histogram,
    mos: Histogram,
}

impl RtpMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            packets: add(registry, names::RTP_PACKETS, Family::default()),
            jitter: add(registry, names::RTP_JITTER, Histogram::new(NETWORK_US)),
            round_trip: add(registry, names::RTP_ROUND_TRIP, Histogram::new(NETWORK_US)),
            mos: add(registry, names::RTP_MOS, Histogram::new(OPINION_MILLIONTHS)),
        }
    }

    pub(super) fn ended(&self, leg: &RtpFigures) {
        let kinds = [("received", leg.received), ("lost", leg.lost), ("late", leg.late), ("sent", leg.sent)];
        for (kind, count) in kinds {
            self.packets.get_or_create(&KindOf { kind }).inc_by(count);
        }
        // Of a stream that never came nothing is known.
        if leg.received == 0 {
            return;
        }
        self.jitter.observe_us(leg.jitter_us.into());
        self.mos.observe_us((leg.mos * 1e6).round() as u64);
        if let Some(ms) = leg.round_trip_ms {
            self.round_trip.observe_us(u64::from(ms) * 1_000);
        }
    }
}
