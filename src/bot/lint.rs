//! What the keys of a bot file must agree on, beyond each one's own kind and range. Says nothing twice: a relation with a key
//! that is already at fault is not looked at.

use super::Fault;
use super::file::{BotFile, LlmChoice, SttChoice, TtsChoice};
use super::schema::{nearest, shown_text};
use crate::template::{Namespace, SET_AFTER_THE_CALL, Template};

/// The languages that the local models understand and speak (primary subtags).
const LOCAL_LANGUAGES: [&str; 1] = ["en"];

/// The voices of the local set.
const LOCAL_VOICES: [&str; 1] = ["heart"];

/// The faults of `bot` that its schema did not see.
pub(super) fn faults(file: &str, bot: &BotFile, known: &[Fault]) -> Vec<Fault> {
    let mut lint = Lint { file, known, found: Vec::new() };
    lint.templates(bot);
    lint.models(bot);
    lint.engine(bot);
    lint.turn(bot);
    lint.voicemail(bot);
    lint.found
}

struct Lint<'a> {
    file: &'a str,
    known: &'a [Fault],
    found: Vec<Fault>,
}

impl Lint<'_> {
    fn add(&mut self, key: &str, value: String, expected: String) {
        self.found.push(Fault { file: self.file.to_owned(), key: key.to_owned(), value, expected });
    }

    /// Are all these keys free of faults so far.
    fn sound(&self, keys: &[&str]) -> bool {
        !self.known.iter().any(|fault| keys.contains(&fault.key.as_str()))
    }

    fn templates(&mut self, bot: &BotFile) {
        let disclosure = bot.disclosure.as_deref().unwrap_or_default();
        let message = bot.voicemail.message.as_deref().unwrap_or_default();
        for (key, text) in [
            ("system_prompt", bot.system_prompt.as_str()),
            ("opening_message", &bot.opening_message),
            ("disclosure", disclosure),
            ("voicemail.message", message),
        ] {
            self.found.extend(template_faults(self.file, key, text));
        }
    }

    fn models(&mut self, bot: &BotFile) {
        let local_ears = bot.providers.stt == SttChoice::Local && self.sound(&["providers.stt"]);
        let local_voice = bot.providers.tts == TtsChoice::Local && self.sound(&["providers.tts"]);
        let primary = bot.language.split('-').next().unwrap_or_default().to_ascii_lowercase();
        if (local_ears || local_voice) && self.sound(&["language"]) && !LOCAL_LANGUAGES.contains(&primary.as_str()) {
            let who = match (local_ears, local_voice) {
                (true, true) => "providers.stt and providers.tts are",
                (true, false) => "providers.stt is",
                _ => "providers.tts is",
            };
            let expected = format!("a language that the local models have (en, en-…), because {who} \"local\"");
            self.add("language", shown_text(&bot.language), expected);
        }
        if local_voice && self.sound(&["voice.name"]) && !LOCAL_VOICES.contains(&bot.voice.name.as_str()) {
            let expected = "a voice of the local set (heart), because providers.tts is \"local\"".to_owned();
            self.add("voice.name", shown_text(&bot.voice.name), expected);
        }
    }

    fn engine(&mut self, bot: &BotFile) {
        if !self.sound(&["providers.llm", "script"]) {
            return;
        }
        match (bot.providers.llm, &bot.script) {
            (LlmChoice::Script, None) => {
                let expected = "a [script] section, because providers.llm is \"script\"".to_owned();
                self.add("script", "nothing".to_owned(), expected);
            }
            (LlmChoice::Standin, Some(_)) => {
                let expected = "no [script], because providers.llm = \"standin\" does not use it".to_owned();
                self.add("script", "a table".to_owned(), expected);
            }
            _ => {}
        }
        let blank = bot.opening_message.trim().is_empty();
        if bot.providers.llm != LlmChoice::Script && blank && self.sound(&["opening_message"]) {
            let expected = "a first line; only a script may open the call by itself".to_owned();
            self.add("opening_message", "nothing".to_owned(), expected);
        }
    }

    fn turn(&mut self, bot: &BotFile) {
        let turn = &bot.turn;
        let pairs = [
            ("patience_min_ms", turn.patience_min_ms, "patience_max_ms", turn.patience_max_ms),
            ("ask_after_ms", turn.ask_after_ms, "patience_max_ms", turn.patience_max_ms),
            ("barge_in_ms", turn.barge_in_ms, "decide_ms", turn.decide_ms),
            ("warning_before_ms", turn.warning_before_ms, "max_duration_ms", turn.max_duration_ms.saturating_sub(1)),
        ];
        for (low, low_ms, high, high_ms) in pairs {
            let (low, high) = (format!("turn.{low}"), format!("turn.{high}"));
            if low_ms > high_ms && self.sound(&[&low, &high]) {
                self.add(&low, low_ms.to_string(), format!("at most {high_ms} ms, because of {high}"));
            }
        }
    }
}

impl Lint<'_> {
    fn voicemail(&mut self, bot: &BotFile) {
        let sound = self.sound(&["voicemail.detect", "voicemail.message"]);
        if sound
            && !bot.voicemail.detect
            && let Some(message) = &bot.voicemail.message
        {
            let expected = "no message, because voicemail.detect is false: nobody would say it".to_owned();
            self.add("voicemail.message", shown_text(message), expected);
        }
    }
}

/// The faults of a prompt or spoken line: tokens that no call can fill, and what is nearly a token.
#[must_use]
pub fn template_faults(file: &str, key: &str, text: &str) -> Vec<Fault> {
    let template = Template::parse(text);
    let fault = |value: String, expected: String| Fault { file: file.to_owned(), key: key.to_owned(), value, expected };
    let unknown = template.unknown_namespaces().into_iter().map(|token| fault(token.to_owned(), namespace_hint(token)));
    let whole = "a whole token such as {{crm.name}} or {{crm.name|there}}: a path of letters, digits, _, -, . and spaces, \
                 closed as it was opened";
    let malformed = template.malformed().into_iter().map(|token| fault(token.to_owned(), whole.to_owned()));
    let late = template.tokens().filter(|token| match token.namespace {
        Namespace::Result => true,
        Namespace::Call => SET_AFTER_THE_CALL.contains(&token.path),
        Namespace::Crm => false,
    });
    let late = late.map(|token| {
        let value = format!("{{{{{}.{}}}}}", token.namespace, token.path);
        fault(value, "a field that is known during the call; this one is set after it".to_owned())
    });
    unknown.chain(malformed).chain(late).collect()
}

/// What to say about a token whose namespace does not exist.
fn namespace_hint(token: &str) -> String {
    let inner = token.trim_matches(|c: char| matches!(c, '{' | '}' | '<' | '>') || c.is_whitespace());
    let names = || Namespace::ALL.into_iter().map(Namespace::name);
    match inner.split_once('.') {
        None => format!("a namespace before the field: crm, call or result, such as {{{{crm.{inner}}}}}"),
        Some((namespace, field)) => nearest(namespace, names()).map_or_else(
            || "a namespace out of crm, call and result".to_owned(),
            |near| format!("a namespace out of crm, call and result; did you mean {{{{{near}.{field}}}}}?"),
        ),
    }
}
