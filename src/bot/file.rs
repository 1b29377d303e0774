//! A bot as its file describes it. Parsing reports all faults at once and makes a bot only where there is none. Never reads
//! the disk: the bytes are an argument.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::keys::BOT;
use super::schema::{Origin, check, shown_text};
use super::script::Script;
use super::{Fault, lint, source};
use crate::template::Template;
use crate::turn::Policy;
use crate::units::BotId;

/// One version of one bot. A call holds the version that it began with.
#[derive(Clone, Debug, PartialEq)]
pub struct Bot {
    /// The stem of its file.
    pub id: BotId,
    /// What people call it.
    pub name: String,
    /// The first 12 hexadecimal digits of the SHA-256 of the file.
    pub version: String,
    /// What a language model is told; the scripted engine ignores it.
    pub system_prompt: Template,
    /// The first line; blank where the engine's own first line is enough.
    pub opening_message: Template,
    /// BCP 47 language of the conversation.
    pub language: String,
    /// Spoken before everything else, uninterruptible.
    pub disclosure: Option<Template>,
    /// Those lines of the script that name a value, and the message for a voicemail where it does.
    pub filled_lines: Vec<Template>,
    /// Is the call recorded.
    pub recording: bool,
    /// How it sounds.
    pub voice: VoiceConfig,
    /// Who listens, thinks and speaks.
    pub providers: Providers,
    /// How it takes and gives the turn.
    pub turn: Policy,
    /// The dialogue of the scripted engine.
    pub script: Option<Script>,
    /// What it does where a voicemail answers.
    pub voicemail: VoicemailConfig,
    /// What the result says where the conversation did not.
    pub result: ResultConfig,
}

/// How a bot sounds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VoiceConfig {
    /// The voice; the local set has `heart`.
    pub name: String,
    /// Pace, 1.0 = normal, 0.5 to 2.0.
    pub speed: f32,
    /// ISO 4217 code that money without a sign is read as, where the text marks it as money.
    pub currency: String,
    /// Word → respelling, for names that the voice would get wrong.
    pub pronounce: BTreeMap<String, String>,
}

impl Default for VoiceConfig {
    fn default() -> Self {
        Self { name: "heart".to_owned(), speed: 1.0, currency: "INR".to_owned(), pronounce: BTreeMap::new() }
    }
}

/// Who listens, thinks and speaks for a bot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Providers {
    /// Speech recognition.
    pub stt: SttChoice,
    /// The dialogue engine.
    pub llm: LlmChoice,
    /// Speech synthesis.
    pub tts: TtsChoice,
    /// The semantic end-of-turn model.
    pub judge: JudgeChoice,
}

/// Speech recognition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SttChoice {
    /// The model in this process.
    #[default]
    Local,
    /// Scripted words, no model.
    Standin,
}

/// The dialogue engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmChoice {
    /// The scripted dialogue engine with the bot's `[script]`.
    #[default]
    Script,
    /// Scripted answers with scripted delays.
    Standin,
}

/// Speech synthesis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TtsChoice {
    /// The model in this process.
    #[default]
    Local,
    /// Canned audio, no model.
    Standin,
}

/// The semantic end-of-turn model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgeChoice {
    /// The model in this process.
    #[default]
    Local,
    /// Scripted opinions, no model.
    Standin,
    /// Nobody is asked: silence alone ends a turn.
    None,
}

/// What a bot does where a voicemail answers a call of its own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VoicemailConfig {
    /// Are outgoing calls watched for a voicemail.
    pub detect: bool,
    /// Said after the beep, a template; `None`: the call ends at once.
    pub message: Option<String>,
    /// The beep, or a silence after the greeting, is waited for at most this long, in milliseconds.
    pub beep_wait_ms: u32,
}

impl Default for VoicemailConfig {
    fn default() -> Self {
        Self { detect: true, message: None, beep_wait_ms: 30_000 }
    }
}

/// What the result says where the conversation did not.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResultConfig {
    /// `post_call_analysis.disposition` of a call that ended before its engine reached one.
    pub disposition: String,
}

impl Default for ResultConfig {
    fn default() -> Self {
        Self { disposition: "no_outcome".to_owned() }
    }
}

/// The file as serde sees it; the script is read apart, so that each of its faults is found.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BotFile {
    pub name: String,
    pub system_prompt: String,
    pub opening_message: String,
    pub language: String,
    pub disclosure: Option<String>,
    pub recording: bool,
    pub voice: VoiceConfig,
    pub providers: Providers,
    pub turn: Policy,
    /// Only whether it is there.
    pub script: Option<toml::Table>,
    pub voicemail: VoicemailConfig,
    pub result: ResultConfig,
}

impl Default for BotFile {
    fn default() -> Self {
        Self {
            name: String::new(),
            system_prompt: String::new(),
            opening_message: String::new(),
            language: "en".to_owned(),
            disclosure: None,
            recording: true,
            voice: VoiceConfig::default(),
            providers: Providers::default(),
            turn: Policy::default(),
            script: None,
            voicemail: VoicemailConfig::default(),
            result: ResultConfig::default(),
        }
    }
}

/// May `stem` name a bot: 1 to 64 of `a`–`z`, `0`–`9`, `_`, `-`.
#[must_use]
pub fn is_bot_id(stem: &str) -> bool {
    (1..=64).contains(&stem.len())
        && stem.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

impl Bot {
    /// Reads a bot from the bytes of its file.
    ///
    /// # Errors
    /// All faults at once, sorted by key; in a file that is not TOML its syntax faults only, in order.
    pub fn parse(stem: &str, file: &str, bytes: &[u8]) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        if !is_bot_id(stem) {
            let expected = "1 to 64 of a-z, 0-9, _ and - before .toml: rename the file".to_owned();
            faults.push(fault(file, "file name", shown_text(stem), expected));
        }
        let Some(bot) = Self::read(stem, file, bytes, &mut faults) else { return Err(faults) };
        faults.sort();
        faults.dedup();
        if faults.is_empty() { Ok(bot) } else { Err(faults) }
    }

    fn read(stem: &str, file: &str, bytes: &[u8], faults: &mut Vec<Fault>) -> Option<Self> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let value = format!("a byte that is not UTF-8 at offset {}", error.valid_up_to());
                faults.push(fault(file, "file", value, "UTF-8 text".to_owned()));
                return None;
            }
        };
        let mut table = source::parse(file, text).map_err(|found| faults.extend(found)).ok()?;
        check(&mut table, BOT, "", file, Origin::File, faults);
        let read: BotFile = match toml::Value::Table(table).try_into() {
            Ok(read) => read,
            Err(error) => {
                faults.push(fault(file, "file", "values that do not fit".to_owned(), error.message().to_owned()));
                return None;
            }
        };
        let script: Option<Script> =
            source::section(file, text, "script").map_err(|found| faults.extend(found)).ok().flatten();
        if let Some(script) = &script {
            faults.extend(super::script::lint(file, script));
        }
        faults.extend(lint::faults(file, &read, faults));
        Some(read.into_bot(stem, version_of(bytes), script))
    }
}

impl BotFile {
    fn into_bot(self, stem: &str, version: String, script: Option<Script>) -> Bot {
        let lines = script.iter().flat_map(Script::lines).chain(self.voicemail.message.as_deref());
        let filled_lines = lines.map(Template::parse).filter(names_a_value).collect();
        Bot {
            id: BotId::new(stem),
            name: self.name,
            version,
            system_prompt: Template::parse(&self.system_prompt),
            opening_message: Template::parse(&self.opening_message),
            language: self.language,
            disclosure: self.disclosure.as_deref().map(Template::parse),
            filled_lines,
            recording: self.recording,
            voice: self.voice,
            providers: self.providers,
            turn: self.turn,
            script,
            voicemail: self.voicemail,
            result: self.result,
        }
    }
}

fn names_a_value(line: &Template) -> bool {
    line.tokens().next().is_some()
}

/// The version of a file: the first 12 hexadecimal digits of its SHA-256.
pub(super) fn version_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(6).fold(String::with_capacity(12), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn fault(file: &str, key: &str, value: String, expected: String) -> Fault {
    Fault { file: file.to_owned(), key: key.to_owned(), value, expected }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
