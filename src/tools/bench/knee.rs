//! In what order numbers of calls are tried. Pure.

use super::gate::Verdict;
use super::report::Step;

/// A step beyond the last one that passed is so much higher.
const GROW: f64 = 1.25;
/// The search ends where what passed and what failed lie so near to each other.
const NEAR: f64 = 1.06;
/// A step whose generator was late is tried so often.
const TRIES: usize = 2;

/// The steps that were asked for, and where they are to be gone beyond, the search for the knee.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    asked: Vec<usize>,
    search: bool,
    most: usize,
}

impl Ladder {
    pub fn new(asked: &[usize], search: bool, most: usize) -> Self {
        let mut asked: Vec<usize> = asked.iter().copied().filter(|calls| *calls > 0).collect();
        asked.sort_unstable();
        asked.dedup();
        Self { asked, search, most }
    }

    /// The numbers that were asked for, the lowest first.
    pub fn asked(&self) -> &[usize] {
        &self.asked
    }

    /// The next number of calls to try.
    pub fn next(&self, done: &[Step]) -> Option<usize> {
        let of =
            |wanted: fn(&Verdict) -> bool| done.iter().filter(move |step| wanted(&step.verdict)).map(|step| step.calls);
        let tries = |calls| done.iter().filter(|step| step.calls == calls).count();
        let last = done.last();
        if let Some(last) = last
            && matches!(last.verdict, Verdict::Discarded(_))
            && tries(last.calls) < TRIES
        {
            return Some(last.calls);
        }
        let passed = of(|verdict| *verdict == Verdict::Passed).max();
        let failed = of(|verdict| *verdict != Verdict::Passed).filter(|calls| Some(*calls) > passed).min();
        if let Some(calls) = self.asked.iter().copied().find(|calls| tries(*calls) == 0)
            && failed.is_none_or(|failed| calls < failed || !self.search)
        {
            return Some(calls);
        }
        if !self.search {
            return None;
        }
        let next = match (passed, failed) {
            (Some(low), None) => ((low as f64 * GROW) as usize).max(low + 1),
            (low, Some(high)) if high as f64 > low.unwrap_or(0) as f64 * NEAR && high > low.unwrap_or(0) + 1 => {
                (low.unwrap_or(0) + high) / 2
            }
            _ => return None,
        };
        (next <= self.most && next > 0 && tries(next) == 0).then_some(next)
    }

    /// The highest step that passed and below which none failed.
    pub fn knee(done: &[Step]) -> usize {
        let failed = done.iter().filter(|step| matches!(step.verdict, Verdict::Failed(_))).map(|step| step.calls).min();
        let passed = done.iter().filter(|step| step.verdict == Verdict::Passed).map(|step| step.calls);
        passed.filter(|calls| failed.is_none_or(|failed| *calls < failed)).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::bench::counts::Counts;
    use crate::tools::bench::report::Own;

    fn run(ladder: &Ladder, verdict: impl Fn(usize, usize) -> Verdict) -> Vec<Step> {
        let mut done: Vec<Step> = Vec::new();
        while let Some(calls) = ladder.next(&done) {
            let mut step = Step::new(calls, 1.0, &Counts::default(), Own::default(), None);
            step.verdict = verdict(calls, done.len());
            done.push(step);
            assert!(done.len() < 40, "the search ends");
        }
        done
    }

    fn failed() -> Verdict {
        Verdict::Failed(Vec::new())
    }

    #[test]
    fn the_search_ends_near_the_real_knee_wherever_it_is() {
        for real in [7usize, 90, 333, 1_240, 3_900] {
            let done = run(
                &Ladder::new(&[100], true, 4_000),
                |calls, _| {
                    if calls <= real { Verdict::Passed } else { failed() }
                },
            );
            let knee = Ladder::knee(&done);
            assert!(knee <= real && (real as f64 <= knee as f64 * GROW), "{real}: {knee}");
            assert!(real > 3_500 || real as f64 <= knee as f64 * NEAR + 1.0, "{real}: {knee}");
        }
    }

    #[test]
    fn asked_steps_are_all_tried_and_a_discarded_one_once_more() {
        let done = run(&Ladder::new(&[50, 10, 50, 0], false, 100), |_, nth| {
            if nth == 0 { Verdict::Discarded(String::new()) } else { failed() }
        });
        assert_eq!(done.iter().map(|step| step.calls).collect::<Vec<_>>(), [10, 10, 50]);
        assert_eq!(Ladder::knee(&done), 0);
    }

    #[test]
    fn what_passes_above_a_failure_is_no_knee() {
        let done = run(
            &Ladder::new(&[10, 20, 30], false, 100),
            |calls, _| {
                if calls == 20 { failed() } else { Verdict::Passed }
            },
        );
        assert_eq!(Ladder::knee(&done), 10);
    }
}
