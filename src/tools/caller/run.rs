//! One call from the script to the report: checks, renders the lines, connects, lets the call run, and accounts for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::line::{Ears, Line, Wire};
use super::machine::{Caller, Lines, RATE};
use super::report::{Ended, Report, Spread, TurnRow};
use super::script::{Plan, Script, ScriptError, Source, Trigger};
use super::server::{self, ResultFrom};
use super::signal::{Clip, Spoil};
use super::sip_phone::SipPhone;
use super::socket::{self, ConnectError, Trust};
use super::voice::{Booth, Speaker, VoiceError, read_wav};
use crate::provider::{ProviderError, Stt, Tts};
use crate::rt;
use crate::units::Pii;

/// Facts of the recogniser that wait for the next tick; where they are full it waits.
const WAITING_FACTS: usize = 256;

/// An event of the opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Opening {
    /// `connected` with the fields.
    Connected,
    /// `start` with the audio format.
    Start,
    /// `answer`.
    Answer,
}

impl Opening {
    /// The order of the protocol.
    pub const FULL: [Self; 3] = [Self::Connected, Self::Start, Self::Answer];
}

/// Everything that a call needs.
#[derive(Clone)]
pub struct CallOptions {
    /// `ws://` or `wss://`, or `sip:NUMBER@ADDRESS:PORT`, whole.
    pub url: String,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<Pii<String>>,
    /// Whom to trust on `wss://`.
    pub trust: Trust,
    /// What to say.
    pub script: Script,
    /// Folder that the script's WAV files are relative to.
    pub folder: PathBuf,
    /// Voice where the script names none: see [`VoiceError::Unknown`].
    pub voice: String,
    /// The caller's number where the script names none.
    pub caller_id: String,
    /// The dialled number.
    pub did: String,
    /// More custom fields, over those of the script.
    pub fields: Vec<(String, String)>,
    /// The events of the opening, in the order in which they are sent.
    pub opening: Vec<Opening>,
    /// How long it may ring on a trunk, in seconds; then the call is cancelled.
    pub ring_s: u32,
    /// The dialler called out, and the person answers after so many milliseconds.
    pub answer_after_ms: Option<u64>,
    /// How the line is spoilt.
    pub spoil: Spoil,
    /// Where the stereo recording of this end goes.
    pub out: Option<PathBuf>,
    /// Print the conversation as it goes.
    pub show: bool,
    /// Folder of the models; rendered lines are kept below.
    pub cache: PathBuf,
    /// Recognises the bot. Without it no step may wait for words.
    pub stt: Option<Arc<dyn Stt>>,
    /// The local set's voices: for those that a test caller may have (`joe`, `kumo`, …), and the bot's own for `builtin` alone.
    pub tts: Option<Arc<dyn Tts>>,
    /// Where the server's result is fetched after the call.
    pub result: Option<ResultFrom>,
}

/// Why a call could not be made. A call that was made and failed has a [`Report`].
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The script is faulty.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// A line could not be rendered.
    #[error(transparent)]
    Voice(#[from] VoiceError),
    /// No call came about.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The recogniser could not be opened.
    #[error("the caller cannot recognise the bot: {0}")]
    Deaf(#[from] ProviderError),
    /// The command line asks for something that does not fit together.
    #[error("{0}")]
    Usage(String),
    /// The recording cannot be written.
    #[error("{path}: the recording could not be written: {detail}")]
    Recording {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
}

/// Makes the call and reports.
///
/// # Errors
/// [`CallError`] where no call came about; what went wrong in a call is in [`Report::failures`].
pub async fn run(options: CallOptions) -> Result<Report, CallError> {
    let plan = options.script.plan(&options.script.name)?;
    let words_needed =
        plan.moves.iter().any(|step| matches!(step.trigger, Trigger::Matches(_))) || !plan.expect.is_empty();
    if words_needed && options.stt.is_none() {
        return Err(CallError::Usage("the script waits for words of the bot, and no recognition is loaded".to_owned()));
    }
    let lines = rendered(&options, &plan).await?;
    let caller_id = options.script.caller_id.clone().unwrap_or_else(|| options.caller_id.clone());
    let (wire, incoming, reader) = if options.url.starts_with("sip:") {
        let scripted = options.script.fields.iter().map(|(name, value)| (name.clone(), value.clone()));
        let fields: Vec<_> = scripted.chain(options.fields.iter().cloned()).collect();
        let (phone, incoming, reader) = SipPhone::open(&options.url, &caller_id, &fields, options.ring_s).await?;
        (Wire::Trunk(Box::new(phone)), incoming, reader)
    } else {
        let (sink, stream) = socket::open(&options.url, options.token.as_ref(), &options.trust).await?;
        let (incoming, reader) = socket::read(stream);
        (Wire::Socket(Box::new(sink)), incoming, reader)
    };
    let (facts, heard) = mpsc::channel(WAITING_FACTS);
    let ears = options.stt.as_ref().map(|stt| Ears::open(&**stt, facts)).transpose()?;
    let stream_id = format!("caller-{}", uuid::Uuid::now_v7().simple());
    let caller = Caller::new(plan, lines, options.spoil);
    let mut line = Line::new(caller, wire, incoming, heard, ears, &stream_id, options.show);
    line.open(&options, &caller_id).await;
    line.talk(options.answer_after_ms).await;
    let until = line.samples(rt::now()).min(line.caller.phone.said());
    line.close().await;
    reader.abort();
    line.last_words(until).await;
    let mut report = reported(&line.caller, &options, until);
    (report.stream_id, report.caller_id) = (stream_id, caller_id);
    if let Some(path) = &options.out {
        let detail = |error: hound::Error| CallError::Recording { path: path.clone(), detail: error.to_string() };
        line.caller.phone.write(path, until).map_err(detail)?;
        report.recording = Some(path.display().to_string());
    }
    if let Some(from) = &options.result {
        server::add(&mut report, from, options.script.disposition.as_deref()).await;
    }
    Ok(report)
}

/// Renders and keeps every line of the script, so that the call itself has none to render.
///
/// # Errors
/// As those of [`run`] before it connects.
pub(super) async fn rehearse(options: &CallOptions) -> Result<(), CallError> {
    rendered(options, &options.script.plan(&options.script.name)?).await.map(|_| ())
}

/// Renders every line that the script can say.
async fn rendered(options: &CallOptions, plan: &Plan) -> Result<Lines, CallError> {
    let booth = Booth::new(&options.cache, options.tts.clone());
    let speaker = Speaker::named(options.script.voice.as_ref().unwrap_or(&options.voice))?;
    if speaker == Speaker::Builtin {
        tracing::warn!(
            "the caller speaks in the bot's own voice: recognition and echo figures of this call prove less"
        );
    }
    let mut lines = Lines::default();
    for (index, step) in plan.moves.iter().enumerate() {
        let clip = match &step.source {
            None => continue,
            Some(Source::Text(text)) => booth.line(&speaker, text).await?,
            Some(Source::Cough) => Clip::cough(RATE, options.spoil.seed),
            Some(Source::Wav(path)) => {
                let path = options.folder.join(path);
                Clip::as_it_is(read_wav(&path)?).ok_or_else(|| VoiceError::Silent(path.display().to_string()))?
            }
        };
        lines.steps.insert(index, clip);
    }
    if let Some(text) = &plan.default {
        lines.default = Some(booth.line(&speaker, text).await?);
    }
    Ok(lines)
}

fn reported(caller: &Caller, options: &CallOptions, until: usize) -> Report {
    let ledger = &caller.ledger;
    let turns = ledger.rows();
    let own_turn = |row: &&TurnRow| row.kind.waits_its_turn();
    let cut_ins = turns.iter().filter(own_turn).filter(|row| row.cut_in).count();
    let open_steps = caller.talk().open_steps();
    let mut report = Report {
        name: options.script.name.clone(),
        url: without_token(&options.url),
        call_id: caller.seen.call_id.clone(),
        duration_ms: RATE.ms_of(until as u64),
        ended: caller.ended.unwrap_or_default(),
        transferred_to: caller.seen.transferred_to.clone(),
        completed: open_steps.is_empty(),
        transcript: ledger.transcript(),
        wire_latency_ms: Spread::of(turns.iter().filter_map(|row| row.wire_ms)),
        cut_ins,
        cut_in_share: cut_ins as f64 / turns.iter().filter(own_turn).count().max(1) as f64,
        talk_over_ms: turns.iter().filter(own_turn).map(|row| row.talk_over_ms).sum(),
        default_answers: caller.talk().defaults(),
        bot_audible_ms: ledger.bot_audible_ms(),
        send_late_ms: ledger.lateness(),
        receive_gap_ms: ledger.gaps(),
        frames_received: caller.seen.frames,
        chunk_faults: caller.seen.chunk_faults,
        unknown_messages: caller.seen.unknown,
        playback_gaps: caller.phone.gaps,
        frames_lost: caller.spoiler.lost,
        turns,
        ..Report::default()
    };
    report.failures = failures(caller, &report, &open_steps);
    report
}

fn failures(caller: &Caller, report: &Report, open_steps: &[String]) -> Vec<String> {
    let ledger = &caller.ledger;
    let mut failures = Vec::new();
    if !open_steps.is_empty() {
        failures.push(format!("the script was not completed: {} did not happen", open_steps.join(", ")));
    }
    if !ledger.bot_spoke() {
        failures.push("the bot was never audible".to_owned());
    }
    if !ledger.caller_spoke() {
        failures.push("the caller never said a line".to_owned());
    }
    let spoken: Vec<&str> = ledger.bot_lines().collect();
    let whole = spoken.join(" ");
    for wanted in &caller.talk().plan().expect {
        if !wanted.is_match(&whole) && !spoken.iter().any(|line| wanted.is_match(line)) {
            failures.push(format!("the bot was not heard to say /{wanted}/"));
        }
    }
    if caller.seen.early_frames > 0 {
        failures.push(format!("{} frames of the bot came before the call was answered", caller.seen.early_frames));
    }
    if let Some(error) = &caller.seen.error {
        failures.push(format!("the server reported {error}"));
    }
    if matches!(report.ended, Ended::Limit | Ended::GaveUp | Ended::ConnectionLost) {
        failures.push(format!("{} after {:.1} s", report.ended.as_str(), report.duration_ms as f64 / 1000.0));
    }
    failures
}

/// A URL as it may be shown: neither query nor a token in the path.
fn without_token(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or(url);
    match bare.split_once("/ws/") {
        Some((server, path)) => format!("{server}/ws/{}", path.split('/').next().unwrap_or(path)),
        None => bare.to_owned(),
    }
}

/// Reads a script from a file.
pub(super) fn read_script(path: &Path) -> Result<Script, CallError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| CallError::Unreadable { path: path.to_owned(), source })?;
    let name = path.display().to_string();
    let mut script = Script::parse(&text, &name)?;
    if script.name.is_empty() {
        script.name = name;
    }
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_the_url_is_never_shown() {
        assert_eq!(without_token("ws://h:1/ws/bot/secret?token=x"), "ws://h:1/ws/bot");
        assert_eq!(without_token("ws://h:1/ws/bot"), "ws://h:1/ws/bot");
    }
}
