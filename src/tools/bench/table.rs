//! A report for people: columns that line up, what failed and by which value, the knee, the tightest limit by name. Pure; never measures,
//! never judges.

use std::fmt::Write as _;

use super::gate::{Outcome, Verdict};
use super::report::{Planted, Quantiles, Report, Step, Traffic};

/// The columns: what each holds, and its unit.
const COLUMNS: [[&str; 2]; 17] = [
    ["calls", ""],
    ["up", "least"],
    ["gap", "p50 ms"],
    ["gap", "p99 ms"],
    ["gap", "p99.9 ms"],
    ["gap", "max ms"],
    ["late", "%"],
    ["lost", "%"],
    ["CPU", "%"],
    ["CPU", "%/call"],
    ["memory", "KiB/call"],
    ["tick", "p99 ms"],
    ["pacing", "p99 ms"],
    ["set-up", "p50 ms"],
    ["set-up", "p99 ms"],
    ["own late", "p99 ms"],
    ["own CPU", "%"],
];

impl Report {
    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        self.rows() + &outcome(&self.outcome())
    }

    /// The table without the outcome: of a search, where what was asked for is only where it begins.
    pub(super) fn rows(&self) -> String {
        let header = |n: usize| COLUMNS.map(|column| column[n].to_owned());
        let rows: Vec<[String; COLUMNS.len()]> =
            [header(0), header(1)].into_iter().chain(self.steps.iter().map(cells)).collect();
        let verdicts = ["", "verdict"].into_iter().chain(self.steps.iter().map(|step| word(&step.verdict)));
        let mut out = String::new();
        for (row, verdict) in rows.iter().zip(verdicts) {
            let mut line = String::new();
            for (n, cell) in row.iter().enumerate() {
                let width = rows.iter().map(|row| row[n].len()).max().unwrap_or(0);
                let _ = write!(line, "{cell:>width$}  ");
            }
            line.push_str(verdict);
            let _ = writeln!(out, "{}", line.trim_end());
        }
        for step in &self.steps {
            if let Some(note) = note(step) {
                let _ = writeln!(out, "  {} calls: {note}", step.calls);
            }
        }
        self.summary(&mut out);
        out
    }

    fn summary(&self, out: &mut String) {
        let failed = self.steps.iter().filter(|step| matches!(step.verdict, Verdict::Failed(_))).map(|step| step.calls);
        let above = failed.filter(|calls| *calls > self.knee).min();
        let above =
            above.map_or("none failed above it, so it may lie higher".to_owned(), |calls| format!("{calls} failed"));
        let _ = match self.knee {
            0 => writeln!(out, "knee: none, no step passed"),
            knee => writeln!(out, "knee: {knee} calls passed; {above}"),
        };
        if let [tightest, others @ ..] = &self.limits[..] {
            let others: Vec<String> = others.iter().map(|limit| format!("{} {}", limit.name, limit.calls)).collect();
            let then = if others.is_empty() { String::new() } else { format!("; then {}", others.join(", ")) };
            let _ = writeln!(out, "tightest limit: {} at {} calls{then}", tightest.name, tightest.calls);
        }
        if let Some(recordings) = &self.recordings {
            let _ = writeln!(out, "{}", recordings.line());
        }
        if let Some(planted) = self.planted.as_ref().filter(|_| !self.impairment.is_none()) {
            let Planted { sent, lost, doubled, results, seen_received, seen_lost, seen_doubled, .. } = planted;
            let _ = writeln!(
                out,
                "to the worker: {sent} packets, {lost} lost and {doubled} doubled on purpose; {results} results say that {seen_received} came, {seen_lost} did not, {seen_doubled} came twice"
            );
            let Planted { back_sent, back_lost, back_doubled, .. } = planted;
            let Planted { back_seen_received, back_seen_lost, back_seen_doubled, .. } = planted;
            let _ = writeln!(
                out,
                "back from it: {back_sent} packets, {back_lost} lost and {back_doubled} doubled on purpose; the callers got {back_seen_received}, {back_seen_lost} did not come, {back_seen_doubled} came twice"
            );
        }
    }
}

fn cells(step: &Step) -> [String; COLUMNS.len()] {
    let Step { gap_ms: gap, own, traffic, .. } = step;
    let one = |value: f64| format!("{value:.1}");
    let three = |value: f64| format!("{value:.3}");
    // What was not measured is a dash, never a zero.
    let maybe = |value: Option<f64>| value.map_or("-".to_owned(), |ms| format!("{ms}"));
    let cost = step.worker;
    [
        step.calls.to_string(),
        step.up.0.to_string(),
        one(gap.p50),
        one(gap.p99),
        one(gap.p999),
        one(gap.max),
        three(step.late_percent),
        three(step.lost_percent),
        cost.map_or("-".to_owned(), |cost| one(cost.cpu_percent)),
        cost.map_or("-".to_owned(), |cost| format!("{:.4}", cost.cpu_percent_a_call)),
        cost.map_or("-".to_owned(), |cost| (cost.resident_bytes_a_call / 1024).to_string()),
        maybe(cost.and_then(|cost| cost.tick_late_p99_ms)),
        maybe(cost.and_then(|cost| cost.pacing_p99_ms)),
        one(traffic.set_up_ms.p50),
        one(traffic.set_up_ms.p99),
        one(own.late_ms.p99),
        format!("{:.0}", own.cpu_percent),
    ]
}

const fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed(_) => "FAILED",
        Verdict::Discarded(_) => "discarded",
    }
}

/// What a row has no room for.
fn note(step: &Step) -> Option<String> {
    let mut notes = match &step.verdict {
        Verdict::Passed => Vec::new(),
        Verdict::Failed(faults) => vec![format!("FAILED: {}", faults.join("; "))],
        Verdict::Discarded(why) => vec![format!("discarded: {why}")],
    };
    let Traffic { refused, with_retry_after, .. } = step.traffic;
    if refused > 0 {
        notes.push(format!("{refused} set-ups refused with 503, {with_retry_after} with Retry-After"));
    }
    if let Some(Quantiles { p50, p99, max, .. }) = step.echo_ms {
        notes.push(format!("echo p50 {p50:.1}, p99 {p99:.1}, longest {max:.1} ms"));
    }
    (!notes.is_empty()).then(|| notes.join("; "))
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed => "gate: passed\n".to_owned(),
        Outcome::Failed(why) => format!("gate: FAILED\n  {}\n", why.join("\n  ")),
        Outcome::Untold(why) => format!("gate: NOT TOLD, the generator was no judge\n  {}\n", why.join("\n  ")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::Counts;
    use super::super::limits::Limit;
    use super::super::report::{Cost, Own};
    use super::*;

    fn step(calls: usize, verdict: Verdict, worker: Option<Cost>) -> Step {
        let mut counts = Counts { received: 1, fewest_up: calls, most_up: calls, ..Counts::default() };
        counts.gaps.note(20_000 * calls as u64);
        Step { verdict, ..Step::new(calls, 1.0, &counts, Own::default(), worker) }
    }

    #[test]
    fn columns_line_up_and_knee_and_tightest_limit_have_names() {
        let cost =
            Cost { cpu_percent: 71.25, cpu_percent_a_call: 0.125, resident_bytes_a_call: 1 << 21, ..Cost::default() };
        let report = Report {
            asked: vec![5, 4_000],
            steps: vec![
                step(5, Verdict::Passed, None),
                step(4_000, Verdict::Failed(vec!["gap p99 80000.0 ms > 25 ms".to_owned()]), Some(cost)),
            ],
            knee: 5,
            limits: vec![Limit { name: "cpu", calls: 5 }, Limit { name: "ports", calls: 5_000 }],
            ..Report::default()
        };
        let table = report.table();
        let lines: Vec<&str> = table.lines().collect();
        // Where the verdicts begin, and where each column ends above them.
        let starts: Vec<Option<usize>> =
            lines[1..4].iter().zip(["verdict", "passed", "FAILED"]).map(|(line, word)| line.find(word)).collect();
        assert!(starts[0].is_some() && starts.iter().all(|start| *start == starts[0]), "{table}");
        let ends = |line: &str| {
            let bytes = line.as_bytes();
            (1..bytes.len()).filter(|n| bytes[n - 1] != b' ' && bytes[*n] == b' ').collect::<Vec<_>>()
        };
        for row in &lines[2..4] {
            assert_eq!(ends(row).len(), COLUMNS.len(), "{table}");
            // Units of two words end inside a column of the header as well.
            assert!(ends(row).iter().skip(1).all(|end| ends(lines[1]).contains(end)), "{table}");
        }
        let row: Vec<&str> = lines[2].split_whitespace().collect();
        assert_eq!((row[8], row[10], row[11]), ("-", "-", "-"), "not measured is no zero: {table}");
        assert!(table.contains("\n  4000 calls: FAILED: gap p99 80000.0 ms > 25 ms\n"), "{table}");
        assert!(table.contains("\nknee: 5 calls passed; 4000 failed\n"), "{table}");
        assert!(table.contains("\ntightest limit: cpu at 5 calls; then ports 5000\n"), "{table}");
        assert!(table.ends_with("gate: FAILED\n  4000 calls: gap p99 80000.0 ms > 25 ms\n"), "{table}");
    }
}
