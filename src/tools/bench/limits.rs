//! What bounds a worker, by name: the number of calls that each of its means would carry, the tightest first. Pure arithmetic over one
//! measured step.

use serde::Serialize;

/// Share of its core that a worker may use before it can no longer be on time, in percent.
const CPU_PERCENT: f64 = 85.0;

/// One means, and the calls that it carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// `cpu`, `memory`, `descriptors`, `ports` or `max_calls`.
    pub name: &'static str,
    /// So many calls.
    pub calls: u64,
}

/// What the limits follow from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Means {
    /// Calls of the step that the rest was measured at.
    pub calls: u64,
    pub cpu_percent: f64,
    /// The highest step that passed, where a higher one failed.
    pub knee: Option<u64>,
    pub bytes_a_call: u64,
    pub memory_left_bytes: u64,
    pub files: u64,
    pub files_before: u64,
    pub most_files: u64,
    /// Legs that the range of ports has room for, where the calls need any.
    pub ports: Option<u64>,
    pub max_calls: Option<u64>,
}

/// The limits, the tightest first.
pub(super) fn limits(means: &Means) -> Vec<Limit> {
    let calls = means.calls.max(1);
    let mut found = Vec::new();
    let by_cpu = (means.cpu_percent > 0.0).then(|| (CPU_PERCENT / means.cpu_percent * calls as f64) as u64);
    if let Some(calls) = means.knee.or(by_cpu) {
        found.push(Limit { name: "cpu", calls });
    }
    if let Some(more) = means.memory_left_bytes.checked_div(means.bytes_a_call) {
        found.push(Limit { name: "memory", calls: calls + more });
    }
    let files_a_call = means.files.saturating_sub(means.files_before).div_ceil(calls);
    if let Some(calls) = means.most_files.saturating_sub(means.files_before).checked_div(files_a_call) {
        found.push(Limit { name: "descriptors", calls });
    }
    found.extend(means.ports.map(|calls| Limit { name: "ports", calls }));
    found.extend(means.max_calls.map(|calls| Limit { name: "max_calls", calls }));
    found.sort_by_key(|limit| limit.calls);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_comes_first() {
        let means = Means {
            calls: 100,
            cpu_percent: 10.0,
            knee: None,
            bytes_a_call: 1 << 20,
            memory_left_bytes: 10 << 30,
            files: 450,
            files_before: 50,
            most_files: 1_024,
            ports: Some(5_000),
            max_calls: Some(4_000),
        };
        let names = |means: &Means| limits(means).into_iter().map(|l| (l.name, l.calls)).collect::<Vec<_>>();
        let expected = [("descriptors", 243), ("cpu", 850), ("max_calls", 4_000), ("ports", 5_000), ("memory", 10_340)];
        assert_eq!(names(&means), expected);
        let measured = Means { knee: Some(120), ..means };
        assert_eq!(names(&measured)[0], ("cpu", 120), "what was found by trying counts, not what was projected");
        assert_eq!(names(&Means::default()), []);
    }
}
