//! What a test caller does, as a TOML file: when to say which line, what must be heard, how long the call may last. Reading
//! and checking only; nothing here speaks, listens or opens a file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

/// A caller's script as its file says it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// What the script is about, for reports.
    pub name: String,
    /// The bot that it was written for; where the URL is chosen by the script (dialogues), the one that is called.
    pub bot: String,
    /// Voice of the texts; the command line's where it is missing.
    pub voice: Option<String>,
    /// The caller's number.
    pub caller_id: Option<String>,
    /// Custom fields of `connected`.
    pub fields: BTreeMap<String, String>,
    /// Short form of steps: `[after, say]`, each `again`, before those of `step`.
    pub lines: Vec<[String; 2]>,
    /// The steps in order.
    pub step: Vec<Step>,
    /// Said at a turn of the bot that no step matches; silence where it is empty.
    pub default: String,
    /// After so many default answers the caller gives up and hangs up.
    pub max_defaults: u32,
    /// Longest call, in seconds.
    pub limit_s: u32,
    /// The bot has finished its turn after so much silence, in milliseconds.
    pub turn_silence_ms: u32,
    /// Each must match something that the bot said.
    pub expect: Vec<String>,
    /// The disposition that the server's result must have, where it is fetched.
    pub disposition: Option<String>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            name: String::new(),
            bot: String::new(),
            voice: None,
            caller_id: None,
            fields: BTreeMap::new(),
            lines: Vec::new(),
            step: Vec::new(),
            default: String::new(),
            max_defaults: 6,
            limit_s: 180,
            turn_silence_ms: 700,
            expect: Vec::new(),
            disposition: None,
        }
    }
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// `start` (at once), `turn` (the default: whenever the bot has finished), or a regular expression over the bot's last
    /// turn, without regard to case.
    pub after: Option<String>,
    /// Said by the caller's voice.
    pub say: Option<String>,
    /// Played instead: a WAV file, relative to the script.
    pub wav: Option<PathBuf>,
    /// Coughs: a short burst of noise.
    pub cough: bool,
    /// Keys typed after the line.
    pub dtmf: Option<String>,
    /// Waits before acting, in milliseconds.
    pub wait_ms: u32,
    /// Hangs up after the line.
    pub hangup: bool,
    /// Speaks so many milliseconds after the bot has begun its next turn, without waiting for the end.
    pub barge_in_ms: Option<u32>,
    /// The script counts as completed without it.
    pub optional: bool,
    /// May match again and again, before any later step.
    pub repeat: bool,
    /// May be said again where no open step matches: the answer to a question that is asked once more.
    pub again: bool,
}

/// What is wrong with a script: all faults at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {}", faults.join("\n  "))]
pub struct ScriptError {
    /// The script's name or path.
    pub file: String,
    /// One sentence each.
    pub faults: Vec<String>,
}

/// When a step happens.
#[derive(Clone, Debug)]
pub(super) enum Trigger {
    /// At once.
    Start,
    /// At the end of any turn of the bot.
    Turn,
    /// At the end of a turn that matches.
    Matches(Regex),
    /// So long after the bot has begun.
    BargeIn(u32),
}

/// What is played in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// This text by the caller's voice.
    Text(String),
    /// This file.
    Wav(PathBuf),
    /// A cough.
    Cough,
}

/// One step, checked.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub trigger: Trigger,
    pub source: Option<Source>,
    pub dtmf: String,
    pub wait_ms: u32,
    pub hangup: bool,
    pub optional: bool,
    pub repeat: bool,
    pub again: bool,
    /// How reports name it.
    pub label: String,
}

/// A script, checked.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub moves: Vec<Move>,
    pub default: Option<String>,
    pub max_defaults: u32,
    pub limit_ms: u64,
    pub turn_silence_ms: u32,
    pub expect: Vec<Regex>,
}

impl Script {
    /// Reads a script; `file` names it in errors.
    ///
    /// # Errors
    /// Where it is not TOML of this form.
    pub fn parse(text: &str, file: &str) -> Result<Self, ScriptError> {
        toml::from_str(text).map_err(|error| ScriptError {
            file: file.to_owned(),
            faults: vec![error.to_string().trim_end().to_owned()],
        })
    }

    /// A script that says `texts` one after another, each at the end of a turn of the bot, and then hangs up.
    #[must_use]
    pub fn of_sources(texts: &[String], wavs: &[PathBuf]) -> Self {
        let text = texts.iter().map(|text| Step { say: Some(text.clone()), ..Step::default() });
        let wav = wavs.iter().map(|wav| Step { wav: Some(wav.clone()), ..Step::default() });
        let mut step: Vec<Step> = text.chain(wav).collect();
        step.push(Step { hangup: true, optional: true, ..Step::default() });
        Self { name: "command line".to_owned(), step, ..Self::default() }
    }

    /// Says all that is wrong with the script.
    ///
    /// # Errors
    /// All its faults.
    pub fn check(&self, file: &str) -> Result<(), ScriptError> {
        self.plan(file).map(drop)
    }

    /// Checks the script and makes it ready to be played.
    ///
    /// # Errors
    /// All its faults.
    pub(super) fn plan(&self, file: &str) -> Result<Plan, ScriptError> {
        let mut faults = Vec::new();
        let short = self.lines.iter().map(|[after, say]| Step {
            after: Some(after.clone()),
            say: Some(say.clone()),
            again: true,
            ..Step::default()
        });
        let moves: Vec<Move> = short
            .chain(self.step.iter().cloned())
            .enumerate()
            .filter_map(|(index, step)| step.checked(index + 1, &mut faults))
            .collect();
        let expect = self.expect.iter().filter_map(|text| pattern(text, "expect", &mut faults)).collect();
        if moves.is_empty() && faults.is_empty() {
            faults.push("expected at least one [[step]] or a line in `lines`, found none".to_owned());
        }
        if !(1..=3600).contains(&self.limit_s) {
            faults.push(format!("limit_s: expected 1 to 3600, found {}", self.limit_s));
        }
        if !(200..=5000).contains(&self.turn_silence_ms) {
            faults.push(format!("turn_silence_ms: expected 200 to 5000, found {}", self.turn_silence_ms));
        }
        if !faults.is_empty() {
            return Err(ScriptError { file: file.to_owned(), faults });
        }
        Ok(Plan {
            moves,
            default: (!self.default.trim().is_empty()).then(|| self.default.clone()),
            max_defaults: self.max_defaults,
            limit_ms: u64::from(self.limit_s) * 1000,
            turn_silence_ms: self.turn_silence_ms,
            expect,
        })
    }
}

impl Step {
    fn checked(self, number: usize, faults: &mut Vec<String>) -> Option<Move> {
        let before = faults.len();
        let mut fault = |text: String| faults.push(format!("step {number}: {text}"));
        let named = self.say.is_some() || self.wav.is_some() || self.cough;
        let source = match (self.say, self.wav, self.cough) {
            (Some(text), None, false) if !text.trim().is_empty() => Some(Source::Text(text)),
            (None, Some(wav), false) => Some(Source::Wav(wav)),
            (None, None, true) => Some(Source::Cough),
            (None, None, false) => None,
            _ => {
                fault("expected one of `say` (not empty), `wav` and `cough`".to_owned());
                None
            }
        };
        let dtmf = self.dtmf.unwrap_or_default();
        if let Some(key) = dtmf.chars().find(|key| !"0123456789*#ABCD".contains(*key)) {
            fault(format!("dtmf: expected keys out of 0-9 * # A-D, found {key:?}"));
        }
        if !named && dtmf.is_empty() && !self.hangup && self.wait_ms == 0 {
            fault("expected something to do: say, wav, cough, dtmf, wait_ms or hangup".to_owned());
        }
        if self.barge_in_ms.is_some() && self.after.is_some() {
            fault("expected `after` or `barge_in_ms`, found both".to_owned());
        }
        let label = match (&self.after, self.barge_in_ms) {
            (_, Some(ms)) => format!("step {number} (barge in after {ms} ms)"),
            (Some(after), None) => format!("step {number} (after {after:?})"),
            (None, None) => format!("step {number}"),
        };
        let trigger = match (self.after.as_deref(), self.barge_in_ms) {
            (_, Some(ms)) => Some(Trigger::BargeIn(ms)),
            (None | Some("turn" | ""), None) => Some(Trigger::Turn),
            (Some("start"), None) => Some(Trigger::Start),
            (Some(text), None) => pattern(text, &format!("step {number}: after"), faults).map(Trigger::Matches),
        };
        if faults.len() > before {
            return None;
        }
        Some(Move {
            trigger: trigger?,
            source,
            dtmf,
            wait_ms: self.wait_ms,
            hangup: self.hangup,
            optional: self.optional,
            repeat: self.repeat,
            again: self.again,
            label,
        })
    }
}

fn pattern(text: &str, key: &str, faults: &mut Vec<String>) -> Option<Regex> {
    match RegexBuilder::new(text).case_insensitive(true).size_limit(1 << 20).build() {
        Ok(regex) => Some(regex),
        Err(error) => {
            let last = error.to_string().lines().last().unwrap_or("not readable").to_owned();
            faults.push(format!("{key}: expected a regular expression, found {text:?}: {last}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_of_a_script_are_told_at_once() {
        let text = "limit_s = 0\nexpect = ['(']\nlines = [['[', 'x']]\n[[step]]\nsay = 'a'\ncough = true\n[[step]]\n\
                    dtmf = '12x'\n[[step]]\nafter = 'turn'\n[[step]]\nafter = 'a'\nbarge_in_ms = 5\nsay = 'b'\n";
        let error = Script::parse(text, "x.toml").unwrap().plan("x.toml").unwrap_err();
        let told = error.to_string();
        assert_eq!(error.faults.len(), 7, "{told}");
        for part in ["limit_s", "expect: ", "step 1: after", "step 2", "step 3: dtmf", "step 4", "step 5"] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }

    #[test]
    fn an_unknown_key_is_a_fault_that_names_the_file() {
        let error = Script::parse("[[step]]\nsays = 'a'\n", "demo.toml").unwrap_err();
        assert!(error.to_string().starts_with("demo.toml") && error.to_string().contains("says"), "{error}");
    }

    #[test]
    fn short_lines_come_before_steps() {
        let text = "lines = [['name', 'yes'], ['turn', 'no']]\n[[step]]\nafter = 'start'\nhangup = true\n";
        let plan = Script::parse(text, "x").unwrap().plan("x").unwrap();
        assert!(matches!(plan.moves[0].trigger, Trigger::Matches(_)));
        assert!(matches!(plan.moves[1].trigger, Trigger::Turn));
        assert!(matches!(plan.moves[2].trigger, Trigger::Start) && plan.moves[2].hangup);
        assert_eq!(plan.moves[1].source, Some(Source::Text("no".to_owned())));
    }
}
