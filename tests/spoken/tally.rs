//! What the proofs print: one line for each dialogue, the conversation of each that went wrong, and the shares of all.

use std::fmt::Write as _;
use std::io::Write as _;

use voicefleet::tools::caller::Speaker;
use voicefleet::tools::caller::dialogues::{DialogueReport, DialogueRow};

/// One dialogue; its whole conversation where something is wrong with it.
pub fn account(row: &DialogueRow) -> String {
    let right = row.found == row.wanted;
    let clean = right && row.cut_ins == 0 && row.repeated.is_empty();
    let mark = if right { "ok   " } else { "WRONG" };
    let mut text = format!("{mark} {} ({}, {}): {}", row.name, row.bot, row.voice, row.found);
    if !right {
        let _ = write!(text, ", wanted {}", row.wanted);
    }
    if clean {
        return text;
    }
    let _ = write!(text, "\n      cut in on {} of {} lines; repeated {:?}", row.cut_ins, row.lines, row.repeated);
    for failure in &row.failures {
        let _ = write!(text, "\n      failure: {failure}");
    }
    for line in row.report.iter().flat_map(|report| &report.transcript) {
        let who = if line.speaker == Speaker::Bot { "bot   " } else { "caller" };
        let _ = write!(
            text,
            "\n      {:>7.2}-{:<7.2} {who} {}",
            line.start_ms as f64 / 1e3,
            line.end_ms as f64 / 1e3,
            line.text
        );
    }
    for line in row.report.iter().filter_map(|report| report.server.as_ref()).flat_map(|server| &server.heard) {
        let _ = write!(text, "\n      server heard: {line}");
    }
    text
}

/// The shares of all.
pub fn summary(report: &DialogueReport) -> String {
    let lines: usize = report.rows.iter().map(|row| row.lines).sum();
    let right = report.rows.iter().filter(|row| row.found == row.wanted).count();
    let cut_ins: usize = report.rows.iter().map(|row| row.cut_ins).sum();
    let latency = &report.wire_latency_ms;
    format!(
        "right disposition {right} of {} ({:.1} %); cut in on {cut_ins} of {lines} lines ({:.1} %); dialogues with a line said more than twice {}; caller stops -> bot audible p50 {:.0} ms, p95 {:.0} ms (n={})",
        report.rows.len(),
        report.right_share * 100.0,
        report.cut_in_share * 100.0,
        report.with_repeats,
        latency.p50,
        latency.p95,
        latency.count,
    )
}

/// Prints at once, also where the output is captured.
pub fn show(text: &str) {
    // Whoever reads along may have left; the test goes on.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
