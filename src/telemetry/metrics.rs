//! The worker's metrics: one field per declared name, fed by whoever makes the thing happen. Labels come from closed lists
//! (`&'static str`), never from a call, a number or a bot file, so the text cannot grow with traffic.
//!
//! Plain counters, gauges and histograms are atomics: a media shard may feed them. A family takes a lock to find a label's
//! member, so it is for rare events; where a family is fed often, its members are made once, here.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

use super::histogram::Histogram;
use super::live::Live;
use super::names::{self, Declared};
use super::process::ProcessSample;
use super::rtp::{RtpFigures, RtpMetrics};

/// Content type of [`Metrics::encode`]: the text that Prometheus and every OpenMetrics scraper reads.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Clocks and ticks: 0.1 ms to 100 ms.
const FINE_US: &[u64] = &[100, 250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 25_000, 40_000, 100_000];
/// What a caller waits for: 5 ms to 10 s.
const WAIT_US: &[u64] = &[
    5_000, 15_000, 50_000, 100_000, 150_000, 200_000, 300_000, 400_000, 500_000, 600_000, 750_000, 900_000, 1_200_000,
    1_700_000, 2_500_000, 5_000_000, 10_000_000,
];
/// Lengths of calls: 1 s to 30 min.
const CALL_US: &[u64] =
    &[1_000_000, 5_000_000, 15_000_000, 30_000_000, 60_000_000, 120_000_000, 300_000_000, 600_000_000, 1_800_000_000];

/// A named part of a turn's latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Silence that the turn loop waited for before it took the turn.
    Patience,
    /// The recogniser, beyond the patience.
    Stt,
    /// The dialogue engine, to the first sentence.
    Llm,
    /// Synthesis, to the first audio.
    Tts,
    /// The worker's own work between the others.
    Own,
    /// Waiting for the next tick and for what is queued before it.
    Playout,
}

impl Stage {
    /// Every stage, in the order in which a turn passes them.
    pub const ALL: [Self; 6] = [Self::Patience, Self::Stt, Self::Llm, Self::Tts, Self::Own, Self::Playout];

    /// The label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Patience => "patience",
            Self::Stt => "stt",
            Self::Llm => "llm",
            Self::Tts => "tts",
            Self::Own => "own",
            Self::Playout => "playout",
        }
    }
}

macro_rules! label {
    ($($name:ident { $($field:ident),+ })*) => {
        $(#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name { $($field: &'static str),+ })*
    };
}

label! {
    Direction { direction }
    EndReason { end_reason }
    Code { code }
    KindOf { kind }
    StageOf { stage }
    Outcome { outcome }
    Verdict { verdict }
    State { state }
}

/// Labels of a provider's failure.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ProviderLabels {
    /// `stt`, `llm`, `tts` or `judge`.
    pub role: &'static str,
    /// What happened, e.g. `timed_out`.
    pub kind: &'static str,
}

/// The worker's metrics. Made once; shared by `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Calls accepted and not ended.
    pub live_calls: Live,
    /// Connections to a far end.
    pub live_legs: Live,
    /// Audio lines on the media shards.
    pub live_lines: Live,
    /// Recording files open for writing.
    pub live_recordings: Live,
    /// Journals open for writing.
    pub live_journals: Live,
    /// Provider sessions open.
    pub live_sessions: Live,
    /// Audio frames that came in over WebSocket.
    pub ws_frames_in: Counter,
    /// Audio frames that went out over WebSocket.
    pub ws_frames_out: Counter,
    /// How late a tick began.
    pub tick_lateness: Histogram,
    /// Send time minus deadline.
    pub pacing_error: Histogram,
    /// How far the far ends that answer marks are behind the line's clock; none counts as less than nothing.
    pub far_playout_lag: Histogram,
    /// Caller stops until bot audible.
    pub turn_latency: Histogram,
    /// Length of ended calls.
    pub call_duration: Histogram,
    /// 20 ms frames that no recording has.
    pub recorder_lost_frames: Counter,
    stages: [Histogram; Stage::ALL.len()],
    calls_started: Family<Direction, Counter>,
    calls_ended: Family<EndReason, Counter>,
    refusals: Family<Code, Counter>,
    ws_faults: Family<KindOf, Counter>,
    barge_ins: Family<Outcome, Counter>,
    rtp: RtpMetrics,
    machines: Family<Verdict, Counter>,
    provider_errors: Family<ProviderLabels, Counter>,
    slots_held: Gauge,
    slots_max: Gauge,
    sip_addresses: UpDown,
    sip_registrations: UpDown,
    sip_events: Family<KindOf, Counter>,
    sip_live: Family<KindOf, Gauge>,
    process: ProcessGauges,
}

/// What a SIP endpoint counted since its start, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SipFigures {
    /// Calls that were opened, both directions.
    pub calls: u64,
    /// INVITEs refused because of a cap.
    pub refused: u64,
    /// Messages of strangers that were dropped or refused.
    pub strangers: u64,
    /// Requests answered in passing because too many transactions are kept.
    pub crowded: u64,
    /// Datagrams at a shared port of audio that were no leg's.
    pub nobodys: u64,
    /// Requests refused for a fault of their own.
    pub faulty: u64,
    /// Messages that were none.
    pub unreadable: u64,
    /// Dialogs.
    pub dialogs: usize,
    /// Transactions that are not over.
    pub transactions: usize,
    /// TCP and TLS connections.
    pub streams: usize,
}

/// How many of something are up, and how many down.
#[derive(Debug)]
struct UpDown {
    up: Gauge,
    down: Gauge,
}

impl UpDown {
    fn new(registry: &mut Registry, declared: Declared) -> Self {
        let family: Family<State, Gauge> = add(registry, declared, Family::default());
        let one = |state| family.get_or_create_owned(&State { state });
        Self { up: one("up"), down: one("down") }
    }

    fn set(&self, states: impl Iterator<Item = bool>) {
        let (mut up, mut down) = (0, 0);
        states.for_each(|is_up| *(if is_up { &mut up } else { &mut down }) += 1);
        self.up.set(up);
        self.down.set(down);
    }
}

#[derive(Debug)]
struct ProcessGauges {
    panics: Counter,
    memory: Gauge,
    cpu: Counter<f64, AtomicU64>,
    threads: Gauge,
    files: Gauge,
}

pub(super) fn add<M: Metric + Clone>(registry: &mut Registry, declared: Declared, metric: M) -> M {
    registry.register(declared.name, declared.help, metric.clone());
    metric
}

fn live(registry: &mut Registry, declared: Declared) -> Live {
    Live(add(registry, declared, Gauge::default()))
}

impl ProcessGauges {
    fn new(registry: &mut Registry) -> Self {
        Self {
            panics: add(registry, names::PANICS, Counter::default()),
            memory: add(registry, names::PROCESS_MEMORY, Gauge::default()),
            cpu: add(registry, names::PROCESS_CPU, Counter::default()),
            threads: add(registry, names::PROCESS_THREADS, Gauge::default()),
            files: add(registry, names::PROCESS_FILES, Gauge::default()),
        }
    }

    fn set(&self, sample: &ProcessSample) {
        self.panics.inner().fetch_max(crate::rt::panics(), std::sync::atomic::Ordering::Relaxed);
        self.memory.set(i64::try_from(sample.resident_bytes).unwrap_or(i64::MAX));
        // A sum that only rises, as the system gives it; two scrapes at once must not add it twice.
        self.cpu.inner().fetch_max(sample.cpu_seconds.to_bits(), std::sync::atomic::Ordering::Relaxed);
        self.threads.set(i64::from(sample.threads));
        self.files.set(i64::from(sample.open_files));
    }
}

impl Metrics {
    /// Every declared metric, at zero.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let mut registry = Registry::default();
        let r = &mut registry;
        let ws_frames: Family<Direction, Counter> = add(r, names::WS_FRAMES, Family::default());
        let stage_family: Family<StageOf, Histogram, fn() -> Histogram> =
            add(r, names::STAGE_LATENCY, Family::new_with_constructor(|| Histogram::new(WAIT_US)));
        let metrics = Self {
            live_calls: live(r, names::LIVE_CALLS),
            live_legs: live(r, names::LIVE_LEGS),
            live_lines: live(r, names::LIVE_LINES),
            live_recordings: live(r, names::LIVE_RECORDINGS),
            live_journals: live(r, names::LIVE_JOURNALS),
            live_sessions: live(r, names::LIVE_SESSIONS),
            ws_frames_in: ws_frames.get_or_create_owned(&Direction { direction: "in" }),
            ws_frames_out: ws_frames.get_or_create_owned(&Direction { direction: "out" }),
            tick_lateness: add(r, names::TICK_LATENESS, Histogram::new(FINE_US)),
            pacing_error: add(r, names::PACING_ERROR, Histogram::new(FINE_US)),
            far_playout_lag: add(r, names::FAR_PLAYOUT_LAG, Histogram::new(WAIT_US)),
            turn_latency: add(r, names::TURN_LATENCY, Histogram::new(WAIT_US)),
            call_duration: add(r, names::CALL_DURATION, Histogram::new(CALL_US)),
            recorder_lost_frames: add(r, names::RECORDER_LOST, Counter::default()),
            stages: Stage::ALL.map(|s| stage_family.get_or_create_owned(&StageOf { stage: s.as_str() })),
            calls_started: add(r, names::CALLS_STARTED, Family::default()),
            calls_ended: add(r, names::CALLS_ENDED, Family::default()),
            refusals: add(r, names::REFUSALS, Family::default()),
            ws_faults: add(r, names::WS_FAULTS, Family::default()),
            barge_ins: add(r, names::BARGE_INS, Family::default()),
            rtp: RtpMetrics::new(r),
            machines: add(r, names::MACHINES, Family::default()),
            provider_errors: add(r, names::PROVIDER_ERRORS, Family::default()),
            slots_held: add(r, names::SLOTS_HELD, Gauge::default()),
            slots_max: add(r, names::SLOTS_MAX, Gauge::default()),
            sip_addresses: UpDown::new(r, names::SIP_ADDRESSES),
            sip_registrations: UpDown::new(r, names::SIP_REGISTRATIONS),
            sip_events: add(r, names::SIP_EVENTS, Family::default()),
            sip_live: add(r, names::SIP_LIVE, Family::default()),
            process: ProcessGauges::new(r),
            registry,
        };
        // A worker without a trunk serves zeros: a series that comes and goes cannot be alerted on.
        metrics.sample_sip(SipFigures::default());
        Arc::new(metrics)
    }

    /// A call was accepted.
    pub fn call_started(&self, outgoing: bool) {
        let direction = if outgoing { "outgoing" } else { "incoming" };
        self.calls_started.get_or_create(&Direction { direction }).inc();
    }

    /// A call ended after `length_us` microseconds; `end_reason` is the stable code of the closed list.
    pub fn call_ended(&self, end_reason: &'static str, length_us: u64) {
        self.calls_ended.get_or_create(&EndReason { end_reason }).inc();
        self.call_duration.observe_us(length_us);
    }

    /// A call or request was refused before it began.
    pub fn refused(&self, code: &'static str) {
        self.refusals.get_or_create(&Code { code }).inc();
    }

    /// `count` WebSocket messages could not be used.
    pub fn ws_fault(&self, kind: &'static str, count: u64) {
        self.ws_faults.get_or_create(&KindOf { kind }).inc_by(count);
    }

    /// An RTP leg ended.
    pub fn rtp_ended(&self, leg: &RtpFigures) {
        self.rtp.ended(leg);
    }

    /// The caller cut the bot short `count` times: `outcome` is `cut`.
    pub fn barge_ins(&self, outcome: &'static str, count: u64) {
        self.barge_ins.get_or_create(&Outcome { outcome }).inc_by(count);
    }

    /// It is known who answered an outgoing call: `human`, `machine`, or `beep` for a machine that records.
    pub fn answered_by(&self, verdict: &'static str) {
        self.machines.get_or_create(&Verdict { verdict }).inc();
    }

    /// A provider failed.
    pub fn provider_failed(&self, labels: &ProviderLabels) {
        self.provider_errors.get_or_create(labels).inc();
    }

    /// One part of a turn's latency.
    #[must_use]
    pub fn stage(&self, stage: Stage) -> &Histogram {
        &self.stages[stage as usize]
    }

    /// Takes in what is sampled rather than counted: before each [`Metrics::encode`].
    pub fn sample(&self, process: &ProcessSample, slots_held: u32, slots_max: u32) {
        self.process.set(process);
        self.slots_held.set(i64::from(slots_held));
        self.slots_max.set(i64::from(slots_max));
    }

    /// Takes in which addresses and registrations of trunks are up (true): before each [`Metrics::encode`].
    pub fn sample_trunks(&self, addresses: impl Iterator<Item = bool>, registrations: impl Iterator<Item = bool>) {
        self.sip_addresses.set(addresses);
        self.sip_registrations.set(registrations);
    }

    /// Takes in what the SIP endpoint says of itself: before each [`Metrics::encode`].
    pub fn sample_sip(&self, of: SipFigures) {
        let events = [
            ("calls", of.calls),
            ("refused", of.refused),
            ("strangers", of.strangers),
            ("crowded", of.crowded),
            ("nobodys", of.nobodys),
            ("faulty", of.faulty),
            ("unreadable", of.unreadable),
        ];
        for (kind, total) in events {
            // A sum that only rises; two scrapes at once must not add it twice.
            let counter = self.sip_events.get_or_create(&KindOf { kind });
            counter.inner().fetch_max(total, std::sync::atomic::Ordering::Relaxed);
        }
        for (kind, now) in [("dialogs", of.dialogs), ("transactions", of.transactions), ("streams", of.streams)] {
            self.sip_live.get_or_create(&KindOf { kind }).set(i64::try_from(now).unwrap_or(i64::MAX));
        }
    }

    /// All metrics as text of [`CONTENT_TYPE`].
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        // Writing to a String cannot fail; a short text would show at the scraper by its missing `# EOF`.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// The conservation laws that do not hold now: name and count of each live gauge that is not zero. Empty after a
    /// drain, or something leaked. `slots_held` comes from the capacity account.
    #[must_use]
    pub fn unbalanced(&self, slots_held: u32) -> Vec<(&'static str, i64)> {
        [
            (names::LIVE_CALLS, self.live_calls.count()),
            (names::LIVE_LEGS, self.live_legs.count()),
            (names::LIVE_LINES, self.live_lines.count()),
            (names::LIVE_RECORDINGS, self.live_recordings.count()),
            (names::LIVE_JOURNALS, self.live_journals.count()),
            (names::LIVE_SESSIONS, self.live_sessions.count()),
            (names::SLOTS_HELD, i64::from(slots_held)),
        ]
        .into_iter()
        .map(|(declared, count)| (declared.name, count))
        .filter(|(_, count)| *count != 0)
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::names::{DECLARED, Kind, ZERO_AFTER_DRAIN};
    use super::*;

    fn touched() -> Arc<Metrics> {
        let metrics = Metrics::new();
        metrics.call_started(false);
        metrics.call_ended("customer_hangup", 61_000_000);
        metrics.refused("no_capacity");
        metrics.ws_fault("base64", 1);
        metrics.barge_ins("cut", 1);
        metrics.answered_by("machine");
        metrics.provider_failed(&ProviderLabels { role: "tts", kind: "timed_out" });
        metrics.stage(Stage::Llm).observe_us(20_000);
        let leg =
            RtpFigures { received: 100, lost: 3, late: 1, sent: 99, jitter_us: 4_000, mos: 4.1, round_trip_ms: None };
        metrics.rtp_ended(&leg);
        metrics.rtp_ended(&RtpFigures { sent: 9, ..RtpFigures::default() });
        metrics.sample_sip(SipFigures { calls: 3, strangers: 7, dialogs: 2, ..SipFigures::default() });
        metrics
    }

    #[test]
    fn what_is_declared_is_what_is_served_and_of_that_kind() {
        let text = touched().encode();
        let served: BTreeSet<(String, String)> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
            .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
            .collect();
        let declared = DECLARED
            .iter()
            .map(|d| {
                let kind = match d.kind {
                    Kind::Counter => "counter",
                    Kind::Gauge => "gauge",
                    Kind::Histogram => "histogram",
                };
                (d.name.to_owned(), kind.to_owned())
            })
            .collect();
        assert_eq!(served, declared);
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn samples_carry_their_labels_and_values() {
        let sample = ProcessSample { cpu_seconds: 1.5, resident_bytes: 4096, threads: 3, open_files: 9 };
        let metrics = touched();
        metrics.sample(&sample, 1, 4);
        metrics.sample(&sample, 1, 4);
        metrics.sample_trunks([true, false, true].into_iter(), [false].into_iter());
        let text = metrics.encode();
        for line in [
            "voicefleet_calls_started_total{direction=\"incoming\"} 1",
            "voicefleet_calls_ended_total{end_reason=\"customer_hangup\"} 1",
            "voicefleet_machines_total{verdict=\"machine\"} 1",
            "voicefleet_stage_latency_seconds_bucket{le=\"0.05\",stage=\"llm\"} 1",
            "voicefleet_process_cpu_seconds_total 1.5",
            "voicefleet_slots_max 4",
            "voicefleet_rtp_packets_total{kind=\"lost\"} 3",
            "voicefleet_rtp_packets_total{kind=\"sent\"} 108",
            "voicefleet_rtp_jitter_seconds_bucket{le=\"0.005\"} 1",
            "voicefleet_rtp_mos_bucket{le=\"4.0\"} 0",
            "voicefleet_rtp_mos_bucket{le=\"4.2\"} 1",
            "voicefleet_rtp_mos_sum 4.1",
            "voicefleet_rtp_round_trip_seconds_count 0",
            "voicefleet_sip_addresses{state=\"up\"} 2",
            "voicefleet_sip_addresses{state=\"down\"} 1",
            "voicefleet_sip_registrations{state=\"down\"} 1",
            "voicefleet_sip_events_total{kind=\"calls\"} 3",
            "voicefleet_sip_events_total{kind=\"strangers\"} 7",
            "voicefleet_sip_live{kind=\"dialogs\"} 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_leak_is_named_and_every_law_is_watched() {
        let metrics = Metrics::new();
        assert_eq!(metrics.unbalanced(0), []);
        let guards = [
            &metrics.live_calls,
            &metrics.live_legs,
            &metrics.live_lines,
            &metrics.live_recordings,
            &metrics.live_journals,
            &metrics.live_sessions,
        ]
        .map(Live::enter);
        let names: Vec<&str> = metrics.unbalanced(1).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ZERO_AFTER_DRAIN);
        drop(guards);
        assert_eq!(metrics.unbalanced(0), []);
    }
}
