//! What must hold: judges steps against the gate, and a run by the steps that were asked for. Pure; never measures.

use serde::Serialize;

use super::report::{Cost, Report, Step, Traffic};

/// What a step is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Within the gate.
    Passed,
    /// Outside it, and where.
    Failed(Vec<String>),
    /// It says nothing of the worker, and why.
    Discarded(String),
}

/// What must hold for a step to pass. What is `None` is not judged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gate {
    /// Longest gap of 99 in a hundred, in milliseconds.
    pub gap_p99_ms: f64,
    /// Longest gap of 999 in a thousand, in milliseconds.
    pub gap_p999_ms: f64,
    /// Most that may be late or lost, in percent.
    pub late_or_lost_percent: f64,
    /// More calls than this are to be refused, all of them with a time to come back.
    pub refuses_above: Option<usize>,
    /// Most of a core that a call may cost, in percent.
    pub cpu_percent_a_call: Option<f64>,
    /// Most memory that a call may cost, in KiB.
    pub memory_kib_a_call: Option<f64>,
    /// Longest echo of half, in milliseconds.
    pub echo_p50_ms: Option<f64>,
    /// Longest echo of 99 in a hundred, in milliseconds.
    pub echo_p99_ms: Option<f64>,
    /// Latest that 99 in a hundred of the worker's frames may leave, by its own account, in milliseconds.
    pub pacing_p99_ms: Option<f64>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            gap_p99_ms: 25.0,
            gap_p999_ms: 40.0,
            late_or_lost_percent: 0.1,
            refuses_above: None,
            cpu_percent_a_call: None,
            memory_kib_a_call: None,
            echo_p50_ms: None,
            echo_p99_ms: None,
            pacing_p99_ms: None,
        }
    }
}

/// Above this the generator's own lateness spoils a step, in milliseconds.
const OWN_LATE_MS: f64 = 5.0;
/// Above this share of its core the generator cannot be trusted to be on time.
const OWN_CPU_PERCENT: f64 = 90.0;
/// Calls that are up while they are replaced: so many of a hundred must be.
const UP_SHARE: f64 = 0.95;

/// What a whole run is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "is", content = "why", rename_all = "snake_case")]
pub enum Outcome {
    /// Every step that was asked for passed, and the recordings hold their callers.
    Passed,
    /// The worker did not hold it: which step, and by which value.
    Failed(Vec<String>),
    /// The generator could not tell: which steps it spoiled itself. Nothing that could be told was outside the gate.
    Untold(Vec<String>),
}

impl Outcome {
    /// The exit code of the command: 1 where the gate was missed, 3 where the generator could not tell (2 is a fault of the arguments).
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed(_) => 1,
            Self::Untold(_) => 3,
        }
    }
}

impl Report {
    /// What the run is worth. Every number of calls that was asked for counts, by its last try; one that was tried beyond them, in search
    /// of the knee, does not.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let (mut failed, mut untold, mut untried) = (Vec::new(), Vec::new(), Vec::new());
        for calls in &self.asked {
            match self.steps.iter().rev().find(|step| step.calls == *calls).map(|step| &step.verdict) {
                Some(Verdict::Passed) => {}
                Some(Verdict::Failed(faults)) => failed.push(format!("{calls} calls: {}", faults.join("; "))),
                Some(Verdict::Discarded(why)) => untold.push(format!("{calls} calls: discarded, {why}")),
                None => untried.push(format!("{calls} calls: not tried, since fewer did not pass")),
            }
        }
        if failed.is_empty() { &mut untold } else { &mut failed }.append(&mut untried);
        if self.asked.is_empty() {
            failed.push("no step was asked for".to_owned());
        }
        // Of recordings with planted holes nothing is known.
        let recordings = self.recordings.as_ref().filter(|_| self.impairment.is_none());
        failed.extend(recordings.filter(|found| !found.all_match()).map(super::Recordings::line));
        if !failed.is_empty() {
            failed.append(&mut untold);
            return Outcome::Failed(failed);
        }
        if untold.is_empty() { Outcome::Passed } else { Outcome::Untold(untold) }
    }

    /// Did it hold? A run with a step that was asked for and discarded did not.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.outcome() == Outcome::Passed
    }
}

impl Step {
    /// Judges the step. A generator that was late itself has measured nothing.
    pub(super) fn judge(&mut self, gate: &Gate) {
        self.verdict = self.discarded().map_or_else(
            || {
                let faults = self.faults(gate);
                if faults.is_empty() { Verdict::Passed } else { Verdict::Failed(faults) }
            },
            Verdict::Discarded,
        );
    }

    fn discarded(&self) -> Option<String> {
        let own = &self.own;
        if own.late_ms.p99 >= OWN_LATE_MS {
            return Some(format!("the generator was late itself: p99 {:.1} ms", own.late_ms.p99));
        }
        if own.cpu_percent >= OWN_CPU_PERCENT {
            return Some(format!("the generator used {:.0} % of its core", own.cpu_percent));
        }
        if own.drops + own.unsent > 0 {
            return Some(format!("the generator lost {} packets itself", own.drops + own.unsent));
        }
        (self.received == 0 && self.calls > 0 && self.up.1 > 0 && self.sent == 0).then(|| "nothing was sent".to_owned())
    }

    fn faults(&self, gate: &Gate) -> Vec<String> {
        let mut faults = Vec::new();
        let wanted = gate.refuses_above.map_or(self.calls, |most| self.calls.min(most));
        if (self.up.0 as f64) < wanted as f64 * UP_SHARE {
            faults.push(format!("{} of {wanted} calls were up", self.up.0));
        }
        if let Some(most) = gate.refuses_above.filter(|most| self.calls > *most) {
            let Traffic { refused, with_retry_after, .. } = self.traffic;
            if self.up.1 > most || refused == 0 || with_retry_after < refused {
                faults.push(format!(
                    "{} calls were up where {most} may be; {refused} were refused, {with_retry_after} of them with a time to come back",
                    self.up.1
                ));
            }
        }
        for (what, is, most) in
            [("p99", self.gap_ms.p99, gate.gap_p99_ms), ("p99.9", self.gap_ms.p999, gate.gap_p999_ms)]
        {
            if is > most {
                faults.push(format!("gap {what} {is:.1} ms > {most} ms"));
            }
        }
        faults.extend(self.beyond(gate));
        let bad = self.late_percent + self.lost_percent;
        if bad > gate.late_or_lost_percent {
            faults.push(format!("{bad:.3} % late or lost > {} %", gate.late_or_lost_percent));
        }
        if self.received == 0 {
            faults.push("nothing came".to_owned());
        }
        let Traffic { failed, ended_by_worker, spoke_early, .. } = self.traffic;
        if spoke_early > 0 {
            faults.push(format!("{spoke_early} frames of the bot came before the answer"));
        }
        if failed + ended_by_worker > 0 {
            faults.push(format!("{failed} set-ups failed, {ended_by_worker} calls were ended by the worker"));
        }
        faults
    }

    /// What lies beyond the bounds that were asked for. What was to be judged and was not measured has not passed.
    fn beyond(&self, gate: &Gate) -> impl Iterator<Item = String> {
        let (echo, cost) = (self.echo_ms, self.worker);
        let of_cost = |value: fn(&Cost) -> f64| cost.as_ref().map(value);
        // Over SIP a packet leaves within its tick, and the worker says of the tick alone how late it was.
        let pacing = match cost {
            Some(Cost { pacing_p99_ms: None, tick_late_p99_ms, .. }) => ("pacing p99, of the ticks,", tick_late_p99_ms),
            other => ("pacing p99", other.and_then(|cost| cost.pacing_p99_ms)),
        };
        let bounds = [
            ("CPU of a call", "% of a core", gate.cpu_percent_a_call, of_cost(|cost| cost.cpu_percent_a_call)),
            (
                "memory of a call",
                "KiB",
                gate.memory_kib_a_call,
                of_cost(|cost| cost.resident_bytes_a_call as f64 / 1024.0),
            ),
            ("echo p50", "ms", gate.echo_p50_ms, echo.filter(|echo| echo.max > 0.0).map(|echo| echo.p50)),
            ("echo p99", "ms", gate.echo_p99_ms, echo.filter(|echo| echo.max > 0.0).map(|echo| echo.p99)),
            (pacing.0, "ms", gate.pacing_p99_ms, pacing.1),
        ];
        bounds.into_iter().filter_map(|(what, unit, most, is)| match (most?, is) {
            (most, None) => Some(format!("{what} was not measured, so it is not known to be at most {most} {unit}")),
            (most, Some(is)) if is > most => Some(format!("{what} {is:.3} {unit} > {most} {unit}")),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::Counts;
    use super::super::report::{Own, Quantiles};
    use super::*;

    fn step(tune: impl FnOnce(&mut Counts, &mut Own)) -> Step {
        let mut counts = Counts { received: 100_000, sent: 100_000, fewest_up: 100, most_up: 100, ..Counts::default() };
        (0..1_000).for_each(|_| counts.gaps.note(20_000));
        let mut own = Own::default();
        tune(&mut counts, &mut own);
        let mut step = Step::new(100, 10.0, &counts, own, None);
        step.judge(&Gate::default());
        step
    }

    #[test]
    fn a_step_passes_fails_or_says_nothing() {
        assert_eq!(step(|_, _| {}).verdict, Verdict::Passed);
        let failed = |step: Step| matches!(step.verdict, Verdict::Failed(_));
        assert!(failed(step(|counts, _| counts.lost = 101)));
        assert!(failed(step(|counts, _| counts.missing = 5_000)), "a stream that stopped is lost");
        assert!(failed(step(|counts, _| (0..20).for_each(|_| counts.gaps.note(26_000)))));
        assert!(failed(step(|counts, _| counts.fewest_up = 94)));
        assert!(failed(step(|counts, _| counts.ended_by_worker = 1)));
        assert!(failed(step(|counts, _| counts.early = 1)), "a bot that speaks before the answer");
        assert!(!failed(step(|counts, _| (counts.refused, counts.fewest_up) = (40, 99))));
    }

    #[test]
    fn a_generator_that_was_late_discards_its_step_whatever_the_worker_did() {
        let late = |counts: &mut Counts, own: &mut Own| {
            counts.lost = 50_000;
            own.late_ms.p99 = 5.0;
        };
        assert!(matches!(step(late).verdict, Verdict::Discarded(_)));
        assert!(matches!(step(|_, own| own.drops = 1).verdict, Verdict::Discarded(_)));
        assert!(matches!(step(|_, own| own.cpu_percent = 95.0).verdict, Verdict::Discarded(_)));
    }

    fn judged(gate: &Gate, tune: impl FnOnce(&mut Step)) -> Verdict {
        let mut step = step(|_, _| {});
        tune(&mut step);
        step.judge(gate);
        step.verdict
    }

    #[test]
    fn each_bound_that_is_asked_for_is_judged_and_named_with_its_value() {
        let gate = Gate {
            cpu_percent_a_call: Some(0.1),
            memory_kib_a_call: Some(256.0),
            echo_p50_ms: Some(35.0),
            echo_p99_ms: Some(45.0),
            pacing_p99_ms: Some(5.0),
            ..Gate::default()
        };
        let measured = |step: &mut Step| {
            step.worker = Some(Cost {
                cpu_percent_a_call: 0.1,
                resident_bytes_a_call: 256 * 1024,
                pacing_p99_ms: Some(5.0),
                ..Cost::default()
            });
            step.echo_ms = Some(Quantiles { p50: 35.0, p99: 45.0, p999: 45.0, max: 45.0 });
        };
        assert_eq!(judged(&gate, measured), Verdict::Passed, "at the bound is within it");
        type Spoil = fn(&mut Cost, &mut Quantiles);
        let cases: [(Spoil, &str); 5] = [
            (|cost, _| cost.cpu_percent_a_call = 0.124, "CPU of a call 0.124 % of a core > 0.1 % of a core"),
            (|cost, _| cost.resident_bytes_a_call += 512, "memory of a call 256.500 KiB > 256 KiB"),
            (|_, echo| echo.p50 = 36.0, "echo p50 36.000 ms > 35 ms"),
            (|_, echo| echo.p99 = 46.0, "echo p99 46.000 ms > 45 ms"),
            (|cost, _| cost.pacing_p99_ms = Some(f64::INFINITY), "pacing p99 inf ms > 5 ms"),
        ];
        for (spoil, named) in cases {
            let verdict = judged(&gate, |step| {
                measured(step);
                spoil(step.worker.as_mut().unwrap(), step.echo_ms.as_mut().unwrap());
            });
            assert_eq!(verdict, Verdict::Failed(vec![named.to_owned()]));
        }
        let ticks = judged(&gate, |step| {
            measured(step);
            let cost = step.worker.as_mut().unwrap();
            (cost.pacing_p99_ms, cost.tick_late_p99_ms) = (None, Some(6.0));
        });
        assert_eq!(ticks, Verdict::Failed(vec!["pacing p99, of the ticks, 6.000 ms > 5 ms".to_owned()]));
        let Verdict::Failed(faults) = judged(&gate, |_| {}) else { panic!("what was not measured has not passed") };
        assert_eq!(faults.len(), 5, "{faults:?}");
        assert!(faults.iter().all(|fault| fault.contains("not measured")), "{faults:?}");
    }

    fn outcome(asked: &[usize], tried: &[(usize, Verdict)]) -> Outcome {
        let steps =
            tried.iter().map(|(calls, verdict)| Step { calls: *calls, verdict: verdict.clone(), ..step(|_, _| {}) });
        let report = Report { asked: asked.to_vec(), steps: steps.collect(), ..Report::default() };
        assert_eq!(report.passed(), report.outcome().exit_code() == 0);
        report.outcome()
    }

    #[test]
    fn every_step_that_was_asked_for_must_pass_and_a_discarded_one_has_an_exit_code_of_its_own() {
        let failed = || Verdict::Failed(vec!["gap p99 31.0 ms > 25 ms".to_owned()]);
        let discarded = || Verdict::Discarded("the generator was late".to_owned());
        let passed = || Verdict::Passed;
        assert_eq!(
            outcome(&[5, 9], &[(5, passed()), (9, passed()), (11, failed())]),
            Outcome::Passed,
            "beyond what was asked"
        );
        assert_eq!(outcome(&[5], &[(5, discarded()), (5, passed())]), Outcome::Passed, "the last try counts");
        let one = outcome(&[5, 9], &[(5, passed()), (9, failed())]);
        assert_eq!(one, Outcome::Failed(vec!["9 calls: gap p99 31.0 ms > 25 ms".to_owned()]));
        assert_eq!(one.exit_code(), 1);
        let untold = outcome(&[5, 9], &[(5, passed()), (9, discarded()), (9, discarded())]);
        assert_eq!(untold, Outcome::Untold(vec!["9 calls: discarded, the generator was late".to_owned()]));
        assert_eq!(untold.exit_code(), 3);
        let Outcome::Failed(both) = outcome(&[5, 9], &[(5, discarded()), (9, failed())]) else { panic!("one failed") };
        assert_eq!(both.len(), 2, "both are named: {both:?}");
        assert_eq!(outcome(&[5, 9], &[(5, failed())]).exit_code(), 1, "one that a search left out");
        assert_eq!(outcome(&[], &[]).exit_code(), 1);
    }
}
