//! The account of one call: what was said, what was measured, whether it counts as passed. Plain data, as JSON or as text.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Everything about one call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The script's name.
    pub name: String,
    /// Which server and bot were called; never with a token.
    pub url: String,
    /// The stream that was announced.
    pub stream_id: String,
    /// The caller's number.
    pub caller_id: String,
    /// The server's id of the call, where it told it.
    pub call_id: Option<String>,
    /// The call's length in milliseconds of audio.
    pub duration_ms: u64,
    /// How it ended.
    pub ended: Ended,
    /// Where the call was handed to.
    pub transferred_to: Option<String>,
    /// Every required step of the script happened.
    pub completed: bool,
    /// Why the call does not count as passed; empty where it does.
    pub failures: Vec<String>,
    /// The conversation as this end heard it.
    pub transcript: Vec<Line>,
    /// One row for each line of the caller.
    pub turns: Vec<TurnRow>,
    /// From the caller's last audible sample to the bot's first, in milliseconds.
    pub wire_latency_ms: Spread,
    /// Lines of the caller that the bot cut in on.
    pub cut_ins: usize,
    /// Share of the caller's lines (barge-ins and coughs left out) that the bot cut in on.
    pub cut_in_share: f64,
    /// How long the bot spoke over the caller's lines, in milliseconds.
    pub talk_over_ms: f64,
    /// Turns of the bot that no step matched.
    pub default_answers: u32,
    /// How long the bot was audible, in milliseconds.
    pub bot_audible_ms: u64,
    /// How late this caller sent its frames, in milliseconds: the yardstick for everything else.
    pub send_late_ms: Spread,
    /// Time between two received frames of one utterance, in milliseconds.
    pub receive_gap_ms: Spread,
    /// Frames received.
    pub frames_received: u64,
    /// Frames whose `chunk` was not the next number.
    pub chunk_faults: u64,
    /// Messages that this protocol does not have.
    pub unknown_messages: u64,
    /// Times the earpiece ran dry in the middle of speech.
    pub playback_gaps: u32,
    /// Frames lost on purpose.
    pub frames_lost: u64,
    /// The server's own account, where it was fetched.
    pub server: Option<ServerAccount>,
    /// Where the recording of this end is.
    pub recording: Option<String>,
}

/// How a call ended, seen from the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The bot hung up.
    BotHungUp,
    /// The bot handed the call over.
    Transferred,
    /// The script hung up.
    CallerHungUp,
    /// The caller gave up after too many turns that no step matched.
    GaveUp,
    /// The call's limit was reached.
    Limit,
    /// The server closed the connection.
    ServerClosed,
    /// The connection broke or the server stopped reading.
    #[default]
    ConnectionLost,
}

/// Who spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The caller.
    Caller,
    /// The bot.
    Bot,
}

/// One line of the conversation; times on the clock of this end's recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Who.
    pub speaker: Speaker,
    /// For the bot as it was recognised.
    pub text: String,
    /// First audible sample.
    pub start_ms: u64,
    /// Last audible sample.
    pub end_ms: u64,
}

/// What a line of the caller was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// A step's line.
    Answer,
    /// The default answer.
    Default,
    /// A line into the bot's speech.
    BargeIn,
    /// A noise.
    Cough,
}

impl LineKind {
    /// Is it said only while the bot is silent, so that a bot which speaks has cut in.
    #[must_use]
    pub const fn waits_its_turn(self) -> bool {
        matches!(self, Self::Answer | Self::Default)
    }
}

/// One line of the caller and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnRow {
    /// Counted from 1.
    pub turn: usize,
    /// The line.
    pub said: String,
    /// What it was.
    pub kind: LineKind,
    /// When the frame with its last audible sample was to leave, on the clock of this end's recording.
    pub end_ms: f64,
    /// Until the bot's first audible sample; nothing where the bot cut in or never answered.
    pub wire_ms: Option<f64>,
    /// How late the reply's first frame came, by the pace of the frames behind it: what the way back and this end's own
    /// scheduling added.
    #[serde(default)]
    pub late_ms: f64,
    /// The bot began while the line was being said.
    pub cut_in: bool,
    /// How long both spoke.
    pub talk_over_ms: f64,
    /// For a barge-in: from its first sample to the bot's last.
    pub silenced_ms: Option<f64>,
    /// The server's figures for this turn.
    pub server: Option<ServerTurn>,
}

/// The server's figures for one turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerTurn {
    /// The server's number of the turn.
    pub turn: u32,
    /// The stages in order with their milliseconds.
    pub stages: Vec<(String, f64)>,
    /// Their total by the server.
    pub total_ms: f64,
    /// The wire figure less the server's.
    pub wire_minus_server_ms: f64,
}

/// The server's result of the call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerAccount {
    /// The server's id of the call.
    pub call_id: String,
    /// Its page.
    pub link: String,
    /// Who ended it.
    pub disconnected_by: String,
    /// Why.
    pub end_reason: String,
    /// The analysis' disposition.
    pub disposition: String,
    /// What the bot said, turn by turn.
    pub bot_lines: Vec<String>,
    /// What the server understood of the caller, turn by turn.
    #[serde(default)]
    pub heard: Vec<String>,
}

/// A distribution in short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many.
    pub count: usize,
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

impl Spread {
    /// The distribution of these values (nearest rank); all zero where there is none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let Some(&max) = values.last() else { return Self::default() };
        let rank = |share: f64| {
            let index = (share * values.len() as f64).ceil() as usize;
            values[index.clamp(1, values.len()) - 1]
        };
        Self { count: values.len(), p50: rank(0.50), p95: rank(0.95), p99: rank(0.99), max }
    }
}

impl Report {
    /// Does the call count as passed: the script was completed, both sides spoke, everything expected was heard.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// The report for people, without the transcript.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "\n{:>4}  {:>8}  {:>9}  {:>9}  said", "turn", "wire ms", "server ms", "differ ms");
        for row in &self.turns {
            let figure = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0}"));
            let server = row.server.as_ref();
            let (total, difference) = (server.map(|s| s.total_ms), server.map(|s| s.wire_minus_server_ms));
            let mark = match (row.cut_in, row.silenced_ms) {
                (true, _) => format!("  [bot cut in, {:.0} ms over the caller]", row.talk_over_ms),
                (false, Some(ms)) => format!("  [bot silent {ms:.0} ms after the barge-in began]"),
                (false, None) => String::new(),
            };
            let (wire, total, difference) = (figure(row.wire_ms), figure(total), figure(difference));
            let _ = writeln!(text, "{:>4}  {wire:>8}  {total:>9}  {difference:>9}  {}{mark}", row.turn, row.said);
            if let Some(server) = server {
                let stages: Vec<String> = server.stages.iter().map(|(name, ms)| format!("{name} {ms:.0}")).collect();
                let _ = writeln!(text, "{:>37}{}", "", stages.join(" + "));
            }
        }
        let spread = |s: &Spread| {
            format!("p50 {:.1}  p95 {:.1}  p99 {:.1}  max {:.1}  (n={})", s.p50, s.p95, s.p99, s.max, s.count)
        };
        let _ = writeln!(text, "caller stops -> bot audible, ms: {}", spread(&self.wire_latency_ms));
        let _ = writeln!(text, "received frame gap, ms:          {}", spread(&self.receive_gap_ms));
        let _ = writeln!(text, "own sending lateness, ms:        {}", spread(&self.send_late_ms));
        let share = self.cut_in_share * 100.0;
        let _ = writeln!(
            text,
            "cut in on: {} of the caller's lines ({share:.1} %); spoken over: {:.0} ms; playback gaps: {}; lost on purpose: {}",
            self.cut_ins, self.talk_over_ms, self.playback_gaps, self.frames_lost
        );
        let _ = writeln!(text, "ended: {} after {:.1} s", self.ended.as_str(), self.duration_ms as f64 / 1000.0);
        if let Some(server) = &self.server {
            let _ = writeln!(
                text,
                "server: {} by {}, disposition {}; {}",
                server.end_reason, server.disconnected_by, server.disposition, server.link
            );
        }
        if let Some(path) = &self.recording {
            let _ = writeln!(text, "recording (left: said, right: heard): {path}");
        }
        for failure in &self.failures {
            let _ = writeln!(text, "FAILED: {failure}");
        }
        text
    }
}

impl Ended {
    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BotHungUp => "the bot hung up",
            Self::Transferred => "the bot handed the call over",
            Self::CallerHungUp => "the caller hung up",
            Self::GaveUp => "the caller gave up",
            Self::Limit => "the limit was reached",
            Self::ServerClosed => "the server closed the connection",
            Self::ConnectionLost => "the connection was lost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let spread = Spread::of((1..=100).map(f64::from));
        assert_eq!((spread.count, spread.p50, spread.p95, spread.p99, spread.max), (100, 50.0, 95.0, 99.0, 100.0));
        let one = Spread::of([7.0]);
        assert_eq!((one.p50, one.p99, one.max), (7.0, 7.0, 7.0));
        assert_eq!(Spread::of([]), Spread::default());
    }

    #[test]
    fn a_report_survives_json() {
        let mut report = Report { name: "x".to_owned(), failures: vec!["no".to_owned()], ..Report::default() };
        report.turns.push(TurnRow {
            turn: 1,
            said: "yes".to_owned(),
            kind: LineKind::Answer,
            end_ms: 20.0,
            wire_ms: Some(480.5),
            late_ms: 0.0,
            cut_in: false,
            talk_over_ms: 0.0,
            silenced_ms: None,
            server: None,
        });
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
        assert!(!report.passed());
        let table = report.table();
        assert!(table.contains("FAILED: no") && table.contains("480"), "{table}");
    }
}
