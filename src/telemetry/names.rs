//! The one list of metrics: what is registered, what the README names and what a drained worker must show as zero. Never
//! holds a value.

/// What kind of metric a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises; its samples end in `_total`.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Spans of time, in seconds, or opinions, in buckets.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its family's name, without `_total`.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// What it counts or measures.
    pub help: &'static str,
}

macro_rules! declare {
    ($($constant:ident = $kind:ident $name:literal $help:literal;)*) => {
        $(pub(super) const $constant: Declared = Declared { name: $name, kind: Kind::$kind, help: $help };)*

        /// Every metric of the worker.
        pub const DECLARED: &[Declared] = &[$($constant),*];
    };
}

declare! {
    CALLS_STARTED = Counter "voicefleet_calls_started" "Calls accepted, by direction";
    CALLS_ENDED = Counter "voicefleet_calls_ended" "Calls ended, by end reason";
    REFUSALS = Counter "voicefleet_refusals" "Requests and calls refused before they began, by code";
    LIVE_CALLS = Gauge "voicefleet_live_calls" "Calls accepted and not ended";
    LIVE_LEGS = Gauge "voicefleet_live_legs" "Connections to a far end";
    LIVE_LINES = Gauge "voicefleet_live_lines" "Audio lines on the media shards";
    LIVE_RECORDINGS = Gauge "voicefleet_live_recordings" "Recording files open for writing";
    LIVE_JOURNALS = Gauge "voicefleet_live_journals" "Journals open for writing";
    LIVE_SESSIONS = Gauge "voicefleet_live_sessions" "Provider sessions open";
    SLOTS_HELD = Gauge "voicefleet_slots_held" "Places held by calls, set-up included";
    SLOTS_MAX = Gauge "voicefleet_slots_max" "Places of this worker";
    SIP_ADDRESSES = Gauge "voicefleet_sip_addresses" "Addresses of trunks that are watched, by state";
    SIP_REGISTRATIONS = Gauge "voicefleet_sip_registrations" "Trunks that are to be registered, by state";
    SIP_EVENTS = Counter "voicefleet_sip_events" "Calls over SIP, and messages that came to nothing, by kind";
    SIP_LIVE = Gauge "voicefleet_sip_live" "What the SIP endpoint holds, by kind";
    RTP_PACKETS = Counter "voicefleet_rtp_packets" "RTP packets of ended calls, by kind";
    RTP_JITTER = Histogram "voicefleet_rtp_jitter_seconds" "Interarrival jitter of ended calls";
    RTP_ROUND_TRIP = Histogram "voicefleet_rtp_round_trip_seconds" "There and back, by the peers' reports";
    RTP_MOS = Histogram "voicefleet_rtp_mos" "What listeners would say of ended calls, 1 to 5";
    WS_FRAMES = Counter "voicefleet_ws_frames" "WebSocket audio frames, by direction";
    WS_FAULTS = Counter "voicefleet_ws_faults" "WebSocket messages that could not be used, by kind";
    TICK_LATENESS = Histogram "voicefleet_tick_lateness_seconds" "How late the 20 ms tick of a media shard began";
    PACING_ERROR = Histogram "voicefleet_pacing_error_seconds" "Send time of an audio frame minus its deadline";
    FAR_PLAYOUT_LAG = Histogram "voicefleet_far_playout_lag_seconds" "Far end reports a piece of speech as played minus the line's clock";
    TURN_LATENCY = Histogram "voicefleet_turn_latency_seconds" "Caller stops speaking until the bot is audible";
    STAGE_LATENCY = Histogram "voicefleet_stage_latency_seconds" "Parts of a turn's latency, by stage";
    CALL_DURATION = Histogram "voicefleet_call_duration_seconds" "Length of ended calls";
    BARGE_INS = Counter "voicefleet_barge_ins" "Times the caller spoke over the bot, by outcome";
    MACHINES = Counter "voicefleet_machines" "Who answered outgoing calls that were watched, by verdict";
    PROVIDER_ERRORS = Counter "voicefleet_provider_errors" "Failures of speech and language providers, by role and kind";
    RECORDER_LOST = Counter "voicefleet_recorder_lost_frames" "20 ms frames that no recording has";
    PANICS = Counter "voicefleet_panics" "Panics that ended one task or one line and nothing else";
    PROCESS_MEMORY = Gauge "voicefleet_process_resident_bytes" "Memory of the process";
    PROCESS_CPU = Counter "voicefleet_process_cpu_seconds" "Processor time of the process";
    PROCESS_THREADS = Gauge "voicefleet_process_threads" "Threads of the process";
    PROCESS_FILES = Gauge "voicefleet_process_open_files" "Open file descriptors of the process";
}

/// The conservation laws: after a drain each of these is zero, and whatever is not names what leaked.
pub const ZERO_AFTER_DRAIN: &[&str] = &[
    LIVE_CALLS.name,
    LIVE_LEGS.name,
    LIVE_LINES.name,
    LIVE_RECORDINGS.name,
    LIVE_JOURNALS.name,
    LIVE_SESSIONS.name,
    SLOTS_HELD.name,
];
