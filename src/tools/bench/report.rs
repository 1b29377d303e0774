//! What a load run says: one row a step, a verdict each, the knee, the tightest limit, what the recordings held. For people it is a table.
//! Never measures, never judges: the gate does.

use serde::Serialize;

use super::counts::Counts;
use super::gate::{Gate, Outcome, Verdict};
use super::limits::Limit;
use super::recordings::Recordings;
use super::spoil::Impairment;
use super::spread::Spread;

/// A distribution in four numbers, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half are not longer.
    pub p50: f64,
    /// 99 of a hundred are not longer.
    pub p99: f64,
    /// 999 of a thousand are not longer.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl From<&Spread> for Quantiles {
    fn from(spread: &Spread) -> Self {
        let at = |share| spread.quantile_ms(share);
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: spread.max_ms() }
    }
}

/// What the worker's process cost in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Share of one core.
    pub cpu_percent: f64,
    /// The same, by call.
    pub cpu_percent_a_call: f64,
    /// Resident memory at the end.
    pub resident_bytes: u64,
    /// What it grew by since before the first call, by call.
    pub resident_bytes_a_call: u64,
    /// Open files at the end, sockets included.
    pub open_files: u32,
    /// How late the media threads' slots began, 99 of a hundred; as exact as the metrics page.
    pub tick_late_p99_ms: Option<f64>,
    /// When a frame left against when it was due, 99 of a hundred, where the worker says so.
    pub pacing_p99_ms: Option<f64>,
}

/// The generator's own account of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Own {
    /// When packets were handed to the system against their deadlines.
    pub late_ms: Quantiles,
    /// Share of one core.
    pub cpu_percent: f64,
    /// What its own sockets lost.
    pub drops: u64,
    /// What the system did not take of it.
    pub unsent: u64,
}

/// Set-ups and hang-ups beside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Traffic {
    /// Set-ups that were answered.
    pub set_up: u64,
    /// From the request to the answer.
    pub set_up_ms: Quantiles,
    /// Refused for want of room (503).
    pub refused: u64,
    /// Of them with a time to come back.
    pub with_retry_after: u64,
    /// Failed otherwise.
    pub failed: u64,
    /// Hang-ups that were confirmed.
    pub hung_up: u64,
    /// From the request to the confirmation.
    pub hang_up_ms: Quantiles,
    /// Calls that the worker ended of its own.
    pub ended_by_worker: u64,
    /// Frames of a bot that spoke to somebody who had not answered yet.
    pub spoke_early: u64,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Calls that were to be up.
    pub calls: usize,
    /// Fewest and most that were.
    pub up: (usize, usize),
    /// How long it was measured.
    pub seconds: f64,
    /// Between two packets of a call.
    pub gap_ms: Quantiles,
    /// Gaps above 40 ms, in percent.
    pub long_gaps_percent: f64,
    /// Packets that were to come, and that came.
    pub expected: u64,
    /// Packets that came.
    pub received: u64,
    /// Of those expected, what never came, in percent.
    pub lost_percent: f64,
    /// Of those expected, what came behind a play-out buffer of 60 ms, in percent.
    pub late_percent: f64,
    /// Share of the bot's packets that held speech, in percent.
    pub bot_speech_percent: f64,
    /// From a caller's onset to its echo, where the bot echoes.
    pub echo_ms: Option<Quantiles>,
    /// Packets that were sent.
    pub sent: u64,
    /// The worker.
    pub worker: Option<Cost>,
    /// The generator.
    pub own: Own,
    /// Set-ups and hang-ups beside.
    pub traffic: Traffic,
    /// What it is worth.
    pub verdict: Verdict,
}

impl Step {
    /// A step from its counts.
    pub(super) fn new(calls: usize, seconds: f64, counts: &Counts, own: Own, worker: Option<Cost>) -> Self {
        let expected = counts.received + counts.lost + counts.missing;
        let percent = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f64 / of as f64 * 100.0 };
        Self {
            calls,
            up: (counts.fewest_up.min(counts.most_up), counts.most_up),
            seconds,
            gap_ms: (&counts.gaps).into(),
            long_gaps_percent: percent(counts.long_gaps, counts.gaps.count()),
            expected,
            received: counts.received,
            lost_percent: percent(counts.lost + counts.missing, expected),
            late_percent: percent(counts.late, expected),
            bot_speech_percent: percent(counts.voiced, counts.received),
            echo_ms: None,
            sent: counts.sent,
            worker,
            own,
            traffic: Traffic {
                set_up: counts.set_up.count(),
                set_up_ms: (&counts.set_up).into(),
                refused: counts.refused,
                with_retry_after: counts.retry_after,
                failed: counts.failed,
                hung_up: counts.hung_up.count(),
                hang_up_ms: (&counts.hung_up).into(),
                ended_by_worker: counts.ended_by_worker,
                spoke_early: counts.early,
            },
            verdict: Verdict::Passed,
        }
    }
}

/// What a bad network did to the packets of both ways, and what worker and generator say they saw of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Planted {
    /// Packets that calls had to send, the lost ones included.
    pub sent: u64,
    /// Of them lost on purpose.
    pub lost: u64,
    /// Sent twice on purpose.
    pub doubled: u64,
    /// Calls whose results were found.
    pub results: usize,
    /// Packets that these calls were to send.
    pub of_results: u64,
    /// What the results say was received, lost, doubled and out of order.
    pub seen_received: u64,
    /// Lost, by the results.
    pub seen_lost: u64,
    /// Twice, by the results.
    pub seen_doubled: u64,
    /// Out of order, by the results.
    pub seen_reordered: u64,
    /// Packets of the worker that came to the hop in between.
    pub back_sent: u64,
    /// Of them lost on purpose.
    pub back_lost: u64,
    /// Doubled on purpose.
    pub back_doubled: u64,
    /// Packets that came through to calls that were still up, repeats left out.
    pub back_seen_received: u64,
    /// Lost, by the numbers of those that came.
    pub back_seen_lost: u64,
    /// Twice, by their numbers.
    pub back_seen_doubled: u64,
}

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// `sip`, `sip outbound`, `ws` or `ws outbound`.
    pub protocol: &'static str,
    /// The worker's version.
    pub version: &'static str,
    /// Worker and generator had a core each.
    pub pinned: bool,
    /// A task per call instead of media threads.
    pub task_per_call: bool,
    /// Set-ups and hang-ups beside, per second.
    pub churn: f64,
    /// What was done to the packets of both ways.
    pub impairment: Impairment,
    /// What must hold.
    pub gate: Gate,
    /// The numbers of calls that were asked for.
    pub asked: Vec<usize>,
    /// The steps.
    pub steps: Vec<Step>,
    /// The highest step that passed; 0 where none did.
    pub knee: usize,
    /// The tightest first.
    pub limits: Vec<Limit>,
    /// What sampled recordings held, where they could be read.
    pub recordings: Option<Recordings>,
    /// What was planted and what was seen, where the results could be read.
    pub planted: Option<Planted>,
}

impl Report {
    /// For programs: the report with its outcome.
    #[must_use]
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct Whole<'a> {
            outcome: Outcome,
            #[serde(flatten)]
            report: &'a Report,
        }
        serde_json::to_string_pretty(&Whole { outcome: self.outcome(), report: self }).unwrap_or_default()
    }
}
