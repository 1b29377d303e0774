//! Many dialogues against one server: how many reach the right disposition, on how many of the caller's lines the bot cut in, what
//! it said more than twice. One call or a few at a time; each is a script like any other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::report::{Report, Spread};
use super::run::{CallError, CallOptions, Opening, rehearse, run};
use super::script::{Script, ScriptError, Step};
use super::server::ResultFrom;
use super::signal::Spoil;
use super::socket::Trust;
use crate::provider::{Stt, Tts};
use crate::units::Pii;

/// A line that the bot may say so often in one call.
const OFTEN: usize = 2;

/// A file of dialogues.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialogues {
    /// Custom fields of every call to a bot, by its id; a dialogue's own come over them.
    #[serde(default)]
    pub fields: BTreeMap<String, BTreeMap<String, String>>,
    /// `[question, answer]` by the bot's id: what any caller answers where none of his own lines fits.
    #[serde(default)]
    pub also: BTreeMap<String, Vec<[String; 2]>>,
    /// The dialogues.
    pub dialogue: Vec<Script>,
}

impl Dialogues {
    /// Reads and checks a file: every dialogue has a name of its own, a bot, a disposition, and a script without fault.
    ///
    /// # Errors
    /// All faults of all dialogues.
    pub fn read(path: &Path) -> Result<Self, CallError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| CallError::Unreadable { path: path.to_owned(), source })?;
        Ok(Self::parse(&text, &path.display().to_string())?)
    }

    /// As [`read`](Self::read), from text.
    ///
    /// # Errors
    /// All faults of all dialogues.
    pub fn parse(text: &str, file: &str) -> Result<Self, ScriptError> {
        let fault = |faults: Vec<String>| ScriptError { file: file.to_owned(), faults };
        let mut all: Self = toml::from_str(text).map_err(|error| fault(vec![error.to_string()]))?;
        let (mut faults, mut names) = (Vec::new(), std::collections::BTreeSet::new());
        for (index, script) in all.dialogue.iter_mut().enumerate() {
            let name = if script.name.is_empty() { format!("dialogue {}", index + 1) } else { script.name.clone() };
            if script.name.is_empty() || !names.insert(name.clone()) {
                faults.push(format!("{name}: expected a name of its own"));
            }
            if script.bot.is_empty() || script.disposition.is_none() {
                faults.push(format!("{name}: expected `bot` and `disposition`"));
            }
            script.step.extend(all.also.get(&script.bot).into_iter().flatten().map(|[after, say]| Step {
                after: Some(after.clone()),
                say: Some(say.clone()),
                optional: true,
                again: true,
                ..Step::default()
            }));
            if let Err(error) = script.plan(&name) {
                faults.extend(error.faults.into_iter().map(|fault| format!("{name}: {fault}")));
            }
            for (key, value) in all.fields.get(&script.bot).into_iter().flatten() {
                script.fields.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        if faults.is_empty() { Ok(all) } else { Err(fault(faults)) }
    }
}

/// How dialogues are run.
#[derive(Clone)]
pub struct DialogueRun {
    /// `ws://127.0.0.1:8080`; `/ws/{bot}` is added.
    pub ws_base: String,
    /// `http://127.0.0.1:8080`, for the results.
    pub http_base: String,
    /// Media token, where one is needed.
    pub token: Option<Pii<String>>,
    /// The operators' token, where one is needed.
    pub result_token: Option<Pii<String>>,
    /// How the line is spoilt; every dialogue gets a seed of its own from this one.
    pub spoil: Spoil,
    /// Calls at a time, at least one.
    pub at_a_time: usize,
    /// Folder of the dialogues' WAV files.
    pub folder: PathBuf,
    /// Folder of the models; rendered lines are kept below.
    pub cache: PathBuf,
    /// Folder for a recording of each call.
    pub recordings: Option<PathBuf>,
    /// Recognises the bot.
    pub stt: Arc<dyn Stt>,
    /// The local set's voices, where a dialogue asks for one.
    pub tts: Option<Arc<dyn Tts>>,
}

/// One dialogue's outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DialogueRow {
    /// The dialogue.
    pub name: String,
    /// The bot.
    pub bot: String,
    /// The voice.
    pub voice: String,
    /// As it should be.
    pub wanted: String,
    /// As it was; empty where no result came.
    pub found: String,
    /// The caller's lines that wait their turn.
    pub lines: usize,
    /// Those that the bot cut in on.
    pub cut_ins: usize,
    /// What the bot said more than twice.
    pub repeated: Vec<String>,
    /// Why there is no result, or what else was wrong.
    pub failures: Vec<String>,
    /// The whole account, where a call came about.
    pub report: Option<Report>,
}

/// The outcome of all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DialogueReport {
    /// One row each, in the order of the file.
    pub rows: Vec<DialogueRow>,
    /// Share of dialogues with the right disposition.
    pub right_share: f64,
    /// Share of the caller's lines that the bot cut in on.
    pub cut_in_share: f64,
    /// Dialogues in which a line was said more than twice.
    pub with_repeats: usize,
    /// From the caller's last audible sample to the bot's first, over all dialogues, in milliseconds.
    pub wire_latency_ms: Spread,
}

impl DialogueReport {
    /// Sums up.
    #[must_use]
    pub fn of(rows: Vec<DialogueRow>) -> Self {
        let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        let lines = rows.iter().map(|row| row.lines).sum();
        let latencies = rows
            .iter()
            .filter_map(|row| row.report.as_ref())
            .flat_map(|report| &report.turns)
            .filter_map(|turn| turn.wire_ms);
        Self {
            right_share: share(rows.iter().filter(|row| row.found == row.wanted).count(), rows.len()),
            cut_in_share: share(rows.iter().map(|row| row.cut_ins).sum(), lines),
            with_repeats: rows.iter().filter(|row| !row.repeated.is_empty()).count(),
            wire_latency_ms: Spread::of(latencies),
            rows,
        }
    }
}

/// Runs every dialogue; `done` is told of each as it ends. All lines are rendered before the first call: a natural voice takes
/// a core for about a second a line, which would be missing to a call.
pub async fn run_all(dialogues: &Dialogues, how: &DialogueRun, mut done: impl FnMut(&DialogueRow)) -> DialogueReport {
    for (index, script) in dialogues.dialogue.iter().enumerate() {
        if let Err(error) = rehearse(&options(index, script, how)).await {
            // The call itself meets the same fault, and its row tells it.
            tracing::debug!(name = script.name, %error, "a line was not rendered ahead");
        }
    }
    let calls = dialogues.dialogue.iter().enumerate().map(|(index, script)| one(script, options(index, script, how)));
    let mut running = stream::iter(calls).buffered(how.at_a_time.max(1));
    let mut rows = Vec::with_capacity(dialogues.dialogue.len());
    while let Some(row) = running.next().await {
        done(&row);
        rows.push(row);
    }
    DialogueReport::of(rows)
}

async fn one(script: &Script, options: CallOptions) -> DialogueRow {
    row(script, run(options).await)
}

fn options(index: usize, script: &Script, how: &DialogueRun) -> CallOptions {
    let number = index as u64 + 1;
    CallOptions {
        url: format!("{}/ws/{}", how.ws_base.trim_end_matches('/'), script.bot),
        token: how.token.clone(),
        trust: Trust::Public,
        script: script.clone(),
        folder: how.folder.clone(),
        voice: "auto".to_owned(),
        // Each call has a number of its own, by which its result is found where the server does not tell the call's id.
        caller_id: format!("+91980000{number:04}"),
        did: "+918000000002".to_owned(),
        fields: Vec::new(),
        opening: Opening::FULL.to_vec(),
        ring_s: 10,
        answer_after_ms: None,
        spoil: Spoil { seed: how.spoil.seed.wrapping_add(number), ..how.spoil },
        out: how.recordings.as_ref().map(|folder| folder.join(format!("{}.wav", file_name(&script.name)))),
        show: false,
        cache: how.cache.clone(),
        stt: Some(Arc::clone(&how.stt)),
        tts: how.tts.clone(),
        result: Some(ResultFrom { base: how.http_base.clone(), token: how.result_token.clone(), trust: Trust::Public }),
    }
}

fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

fn row(script: &Script, outcome: Result<Report, CallError>) -> DialogueRow {
    let mut row = DialogueRow {
        name: script.name.clone(),
        bot: script.bot.clone(),
        voice: script.voice.clone().unwrap_or_else(|| "auto".to_owned()),
        wanted: script.disposition.clone().unwrap_or_default(),
        found: String::new(),
        lines: 0,
        cut_ins: 0,
        repeated: Vec::new(),
        failures: Vec::new(),
        report: None,
    };
    match outcome {
        Err(error) => row.failures.push(error.to_string()),
        Ok(report) => {
            row.lines = report.turns.iter().filter(|turn| turn.kind.waits_its_turn()).count();
            row.cut_ins = report.cut_ins;
            row.failures.clone_from(&report.failures);
            if let Some(server) = &report.server {
                row.found.clone_from(&server.disposition);
                row.repeated = repeated(&server.bot_lines);
            }
            row.report = Some(report);
        }
    }
    row
}

/// Sentences said more than twice, whatever stood beside them, by the server's transcript: what this end recognised may differ from
/// one time to the next.
fn repeated(lines: &[String]) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines.iter().flat_map(|line| line.split_inclusive(['.', '?', '!'])) {
        let plain: String = line.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
        let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
        if !plain.is_empty() {
            *counts.entry(plain).or_default() += 1;
        }
    }
    counts.into_iter().filter(|(_, count)| *count > OFTEN).map(|(line, _)| line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_same_whatever_its_marks() {
        let lines =
            ["When can you pay?", "when can you pay", "When  can you pay.", "Hello", "Hello"].map(str::to_owned);
        assert_eq!(repeated(&lines), ["when can you pay"]);
        let answers = ["Sorry? When can you pay?", "Pardon? When can you pay?", "When can you pay?"].map(str::to_owned);
        assert_eq!(repeated(&answers), ["when can you pay"], "in an answer of several sentences too");
    }

    #[test]
    fn every_fault_of_every_dialogue_is_told() {
        let text = "[[dialogue]]\nname = 'a'\nlines = [['(', 'x']]\n[[dialogue]]\nname = 'a'\nbot = 'b'\n\
                    disposition = 'd'\nlines = [['x', 'y']]\n";
        let error = Dialogues::parse(text, "d.toml").unwrap_err();
        assert_eq!(error.faults.len(), 3, "{error}");
    }

    #[test]
    fn shares_are_over_dialogues_and_over_lines() {
        let script = Script { bot: "b".to_owned(), disposition: Some("d".to_owned()), ..Script::default() };
        let mut right = row(&script, Err(CallError::Usage("x".to_owned())));
        (right.found, right.lines, right.cut_ins) = ("d".to_owned(), 3, 1);
        let wrong = DialogueRow { found: "e".to_owned(), lines: 1, cut_ins: 0, ..right.clone() };
        let all = DialogueReport::of(vec![right, wrong]);
        assert_eq!((all.right_share, all.cut_in_share), (0.5, 0.25));
    }
}
