//! The arguments of `voicefleet call`, and what becomes of them. Nothing is done here.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::run::{CallError, CallOptions, Opening, read_script};
use super::script::Script;
use super::server::ResultFrom;
use super::signal::{Echo, Spoil};
use super::socket::Trust;
use crate::provider::{Stt, Tts};
use crate::units::Pii;

/// Which protocol the caller speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// The diallers' own, at `/ws/{bot_id}`.
    #[default]
    Native,
}

/// A codec that the caller's voice goes through before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Codec {
    /// G.711 µ-law.
    Mulaw,
}

/// Call a bot as a test caller: speaks by a script, hears as a telephone would, measures.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Example:\n  voicefleet call --ws ws://127.0.0.1:8080/ws/payment-reminder \\\n      --script fixtures/callers/payment-reminder.toml --out heard.wav --result-url http://127.0.0.1:8080\n\nThe exit code is 1 when the script was not completed, one side stayed silent, or something expected was not heard."
)]
pub struct CallArgs {
    /// Where the bot is: ws://HOST:PORT/ws/BOT or wss://…
    #[arg(long, value_name = "URL", required_unless_present = "sip", conflicts_with = "sip")]
    pub ws: Option<String>,
    /// Call over a trunk instead: sip:NUMBER@ADDRESS:PORT, audio as G.711 µ-law
    #[arg(long, value_name = "URI", conflicts_with_all = ["outgoing", "result_url"])]
    pub sip: Option<String>,
    /// How long it may ring on a trunk before the caller gives up
    #[arg(long, value_name = "SECONDS", default_value_t = 10, requires = "sip", value_parser = clap::value_parser!(u32).range(1..=180))]
    pub ring_s: u32,
    /// The protocol
    #[arg(long, value_enum, default_value_t)]
    pub dialect: Dialect,
    /// What to say when (TOML)
    #[arg(long, value_name = "FILE", required_unless_present_any = ["say", "wav"])]
    pub script: Option<PathBuf>,
    /// Sent as `Authorization: Bearer`
    #[arg(long, env = "VOICEFLEET_CALL_TOKEN", hide_env_values = true, value_parser = secret)]
    pub token: Option<Pii<String>>,
    /// Say these texts, one at each turn, then hang up
    #[arg(long, value_name = "TEXT", num_args = 1.., conflicts_with = "script")]
    pub say: Vec<String>,
    /// Play these WAV files, one at each turn, then hang up
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "script")]
    pub wav: Vec<PathBuf>,
    /// The caller's voice: auto, slt, rms, awb, kal16 (flite), en-us, en-gb, en-us+f3 … (espeak-ng), joe,
    /// kumo, alpha, gongitsune, nezumi, tebukuro (natural, by `voicefleet models fetch --test-voices`), builtin (the bot's own)
    #[arg(long)]
    pub voice: Option<String>,
    /// Keep what was said (left) and heard (right) as a stereo WAV
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print the report as JSON, and nothing else
    #[arg(long)]
    pub json: bool,
    /// Longest call in seconds
    #[arg(long, value_name = "SECONDS")]
    pub limit_s: Option<u32>,
    /// The caller's number
    #[arg(long, value_name = "NUMBER")]
    pub caller_id: Option<String>,
    /// The dialled number
    #[arg(long, value_name = "NUMBER", default_value = "+918000000002")]
    pub did: String,
    /// A custom field of `connected`
    #[arg(long = "field", value_name = "KEY=VALUE", value_parser = field)]
    pub fields: Vec<(String, String)>,
    /// The opening's events and their order
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Opening::FULL)]
    pub opening: Vec<Opening>,
    /// The dialler calls out: the person answers after --answer-after-ms
    #[arg(long)]
    pub outgoing: bool,
    /// How long it rings on an outgoing call
    #[arg(long, value_name = "MS", default_value_t = 1_500, requires = "outgoing")]
    pub answer_after_ms: u64,
    /// White noise so many decibels below the caller's speech
    #[arg(long, value_name = "DB")]
    pub noise_db: Option<f32>,
    /// The caller's telephone gives back what the bot says, so many decibels softer
    #[arg(long, value_name = "DB")]
    pub echo_db: Option<f32>,
    /// So much later
    #[arg(long, value_name = "MS", default_value_t = 150, requires = "echo_db")]
    pub echo_ms: u32,
    /// Share of the caller's frames that are lost: silence comes in their place
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0)]
    pub loss_pct: f32,
    /// Sends the caller's voice through a codec and back
    #[arg(long, value_enum)]
    pub codec_degrade: Option<Codec>,
    /// Start of the pseudo-random numbers of noise and loss
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Trust any certificate on wss:// and https://: for tests, and for a server on this machine
    #[arg(long, conflicts_with = "ca")]
    pub insecure: bool,
    /// Trust these certificates (PEM) on wss:// and https://
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Fetch the server's result after the call from this base URL, and lay its figures beside the wire's
    #[arg(long, value_name = "URL")]
    pub result_url: Option<String>,
    /// The operators' token for --result-url
    #[arg(long, env = "VOICEFLEET_CALL_RESULT_TOKEN", hide_env_values = true, value_parser = secret)]
    pub result_token: Option<Pii<String>>,
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that clap asks for")]
pub(in crate::tools) fn secret(text: &str) -> Result<Pii<String>, Infallible> {
    Ok(Pii::new(text.to_owned()))
}

pub(in crate::tools) fn field(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && key != "event" => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

impl CallArgs {
    /// The call that these arguments ask for. `cache` is the folder of the models; `stt` recognises the bot, `tts` is for the
    /// voices of the local set alone.
    ///
    /// # Errors
    /// An unreadable script, a figure out of range.
    pub fn options(
        &self,
        cache: &Path,
        stt: Option<Arc<dyn Stt>>,
        tts: Option<Arc<dyn Tts>>,
    ) -> Result<CallOptions, CallError> {
        if !(0.0..=100.0).contains(&self.loss_pct) {
            return Err(CallError::Usage(format!("--loss-pct: expected 0 to 100, found {}", self.loss_pct)));
        }
        if let Some(db) = self.noise_db.filter(|db| !(-10.0..=80.0).contains(db)) {
            return Err(CallError::Usage(format!("--noise-db: expected -10 to 80, found {db}")));
        }
        if self.echo_db.is_some_and(|db| !(0.0..=80.0).contains(&db)) || !(20..=2_000).contains(&self.echo_ms) {
            return Err(CallError::Usage("--echo-db: expected 0 to 80, --echo-ms: expected 20 to 2000".to_owned()));
        }
        let mut script = match &self.script {
            Some(path) => read_script(path)?,
            None => Script::of_sources(&self.say, &self.wav),
        };
        if let Some(limit_s) = self.limit_s {
            script.limit_s = limit_s;
        }
        if self.voice.is_some() {
            script.voice.clone_from(&self.voice);
        }
        if self.caller_id.is_some() {
            script.caller_id.clone_from(&self.caller_id);
        }
        let folder = self.script.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        let trust = match &self.ca {
            Some(path) => Trust::File(path.clone()),
            None if self.insecure => Trust::Anybody,
            None => Trust::Public,
        };
        let fields: BTreeMap<String, String> = self.fields.iter().cloned().collect();
        Ok(CallOptions {
            url: self.ws.clone().or_else(|| self.sip.clone()).unwrap_or_default(),
            token: self.token.clone(),
            trust: trust.clone(),
            script,
            folder,
            voice: "auto".to_owned(),
            caller_id: "+919876543210".to_owned(),
            did: self.did.clone(),
            fields: fields.into_iter().collect(),
            opening: self.opening.clone(),
            ring_s: self.ring_s,
            answer_after_ms: self.outgoing.then_some(self.answer_after_ms),
            spoil: Spoil {
                noise_db: self.noise_db,
                loss_pct: self.loss_pct,
                echo: self.echo_db.map(|below_db| Echo { below_db, delay_ms: self.echo_ms }),
                mulaw: self.codec_degrade == Some(Codec::Mulaw),
                seed: self.seed,
            },
            out: self.out.clone(),
            show: !self.json,
            cache: cache.to_owned(),
            stt,
            tts,
            result: self.result_url.clone().map(|base| ResultFrom { base, token: self.result_token.clone(), trust }),
        })
    }
}
