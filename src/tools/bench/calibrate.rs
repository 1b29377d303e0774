//! What a machine carries, found once and then proved: the knee is searched, and a run of its own at nine tenths of it has to pass before
//! it counts. A proof that fails shows that the knee was too high. Never keeps anything: whoever asked does.

use std::path::Path;

use serde::Serialize;

use super::args::PlanArgs;
use super::gate::Outcome;
use super::report::Report;
use super::run::{BenchError, Target, run};
use super::spoil::Impairment;
use crate::app::Calibration;

/// A capacity is tried to be proved so often.
const TRIES: usize = 3;

/// One run at what the machine is to be taken to carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// Calls.
    pub calls: usize,
    /// What came of it.
    pub outcome: Outcome,
}

/// What a calibration found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibrated {
    /// The search.
    pub search: Report,
    /// The runs that were to prove it, in order.
    pub proofs: Vec<Proof>,
    /// The highest number of calls that is still taken to pass: what the search found, or a proof that failed.
    pub knee: usize,
    /// What was proved: nine tenths of it. `None` where nothing was.
    pub calls: Option<usize>,
}

/// Searches the knee and proves nine tenths of it.
///
/// # Errors
/// Where a worker or the generator cannot be set up.
pub fn calibrate(program: &Path, plan: &PlanArgs) -> Result<Calibrated, BenchError> {
    let target = Target::Sip(None, Impairment::default());
    let search = run(&target, program, &PlanArgs { knee: true, ..plan.clone() })?;
    let mut runs = 0;
    let (knee, proofs) = prove(search.knee, |calls| {
        runs += 1;
        let dir = plan.dir.as_ref().map(|dir| dir.join(format!("proof-{runs}")));
        let plan = PlanArgs { steps: vec![calls], knee: false, dir, ..plan.clone() };
        run(&target, program, &plan).map(|report| report.outcome())
    })?;
    let proved = proofs.last().filter(|last| last.outcome == Outcome::Passed);
    Ok(Calibrated { calls: proved.map(|last| last.calls), search, proofs, knee })
}

/// Tries nine tenths of `knee`, and of whatever failed, until one passes, the generator cannot tell, or it was tried often enough.
fn prove<E>(mut knee: usize, mut run: impl FnMut(usize) -> Result<Outcome, E>) -> Result<(usize, Vec<Proof>), E> {
    let mut proofs = Vec::new();
    while proofs.len() < TRIES && knee > 0 {
        let calls = Calibration::nine_tenths(u32::try_from(knee).unwrap_or(u32::MAX)) as usize;
        let outcome = run(calls)?;
        let again = matches!(outcome, Outcome::Failed(_));
        proofs.push(Proof { calls, outcome });
        if !again {
            break;
        }
        // One call that fails leaves none.
        knee = if calls < knee { calls } else { 0 };
    }
    Ok((knee, proofs))
}

impl Calibrated {
    /// What a worker is to heed, where something was proved.
    #[must_use]
    pub fn measured(&self) -> Option<Calibration> {
        let number = |calls: usize| u32::try_from(calls).unwrap_or(u32::MAX);
        self.calls.map(|calls| Calibration::new(number(self.knee), number(calls)))
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = self.search.rows();
        for Proof { calls, outcome } in &self.proofs {
            let came = match outcome {
                Outcome::Passed => "passed".to_owned(),
                Outcome::Failed(why) => format!("FAILED, so the knee is lower than was found: {}", why.join("; ")),
                Outcome::Untold(why) => format!("not told: {}", why.join("; ")),
            };
            out.push_str(&format!("proof at {calls} calls: {came}\n"));
        }
        out.push_str(&self.calls.map_or_else(
            || "capacity: NOT PROVED, nothing is kept\n".to_owned(),
            |calls| {
                format!(
                    "capacity: {calls} calls a core, proved; {:.0} % of the knee of {}\n",
                    calls as f64 * 100.0 / self.knee.max(1) as f64,
                    self.knee
                )
            },
        ));
        out
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The exit code of the command: that of the last proof, or 1 where the search found no knee.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.proofs.last().map_or(1, |last| last.outcome.exit_code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is tried on a machine whose proofs pass up to `real` calls, and what is left of the knee.
    fn tried(found: usize, real: usize) -> (usize, Vec<usize>, bool) {
        let judge = |calls: usize| -> Result<Outcome, BenchError> {
            Ok(if calls <= real { Outcome::Passed } else { Outcome::Failed(vec!["too many".to_owned()]) })
        };
        let (knee, proofs) = prove(found, judge).unwrap();
        let passed = proofs.last().is_some_and(|last| last.outcome == Outcome::Passed);
        (knee, proofs.iter().map(|proof| proof.calls).collect(), passed)
    }

    #[test]
    fn nine_tenths_of_the_knee_are_tried_and_lowered_where_they_fail_a_bounded_number_of_times() {
        assert_eq!(tried(1_000, 1_000), (1_000, vec![900], true));
        assert_eq!(tried(1_000, 850), (900, vec![900, 810], true), "the knee was too high by what failed");
        assert_eq!(tried(1_000, 10), (729, vec![900, 810, 729], false));
        assert_eq!(tried(1, 1), (1, vec![1], true));
        assert_eq!(tried(1, 0), (0, vec![1], false));
        assert_eq!(tried(0, 0), (0, vec![], false));
        for (found, real) in [(1_000, 1_000), (1_000, 850), (400, 330), (90, 73)] {
            let (knee, calls, passed) = tried(found, real);
            let share = *calls.last().unwrap() as f64 / knee as f64;
            assert!(passed && (0.85..=1.0).contains(&share), "{found}, {real}: {share}");
        }
    }

    #[test]
    fn a_generator_that_cannot_tell_proves_nothing_and_lowers_nothing() {
        let untold = || Outcome::Untold(vec!["late".to_owned()]);
        let (knee, proofs) = prove(100, |_| Ok::<_, BenchError>(untold())).unwrap();
        assert_eq!((knee, proofs.len()), (100, 1));
        let found = Calibrated { search: Report { knee: 100, ..Report::default() }, proofs, knee, calls: None };
        assert_eq!((found.measured(), found.exit_code()), (None, 3));
        assert!(found.table().contains("NOT PROVED"), "{}", found.table());
        let proofs = vec![Proof { calls: 90, outcome: Outcome::Passed }];
        let found = Calibrated { proofs, calls: Some(90), ..found };
        let measured = found.measured().unwrap();
        assert_eq!((measured.knee, measured.calls, found.exit_code()), (100, 90, 0));
    }
}
