//! The keys of a bot file as data, with kinds and ranges. A test holds them to the fields that serde reads.

use super::schema::{Key, Kind};

/// Longest prompt: what rendering would keep of it.
const MAX_PROMPT_BYTES: usize = crate::template::MAX_OUTPUT_BYTES;
/// Longest line that is spoken as a whole, about three minutes of speech.
const MAX_LINE_BYTES: usize = 4_096;
/// Most entries of a pronunciation list.
const MAX_PRONOUNCED: usize = 1_000;

/// Longest call that a bot may allow: four hours.
const MAX_CALL_MS: u64 = 4 * 3_600_000;

const fn ms(name: &'static str, min: u64, max: u64) -> Key {
    Key::new(name, Kind::Whole { min, max, unit: "ms" })
}

/// The keys of a bot file.
pub(super) const BOT: &[Key] = &[
    Key::required("name", Kind::Text { blank: false, max_bytes: 200 }),
    Key::new("system_prompt", Kind::Text { blank: true, max_bytes: MAX_PROMPT_BYTES }),
    Key::new("opening_message", Kind::Text { blank: true, max_bytes: MAX_LINE_BYTES }),
    Key::new("language", Kind::Checked { expected: "a language tag such as en or en-IN", holds: is_language }),
    Key::new("disclosure", Kind::Text { blank: false, max_bytes: MAX_LINE_BYTES }),
    Key::new("recording", Kind::Switch),
    Key::new("voice", Kind::Table(VOICE)),
    Key::new("providers", Kind::Table(PROVIDERS)),
    Key::new("turn", Kind::Table(TURN)),
    Key::new("script", Kind::Foreign),
    Key::new("voicemail", Kind::Table(VOICEMAIL)),
    Key::new("result", Kind::Table(RESULT)),
];

/// The keys of `[voice]`.
pub(super) const VOICE: &[Key] = &[
    Key::new("name", Kind::Text { blank: false, max_bytes: 100 }),
    Key::new("speed", Kind::Number { min: 0.5, max: 2.0 }),
    Key::new("currency", Kind::OneOf(&["INR", "USD", "EUR", "GBP", "NGN"])),
    Key::new("pronounce", Kind::Words(MAX_PRONOUNCED)),
];

/// The keys of `[providers]`.
pub(super) const PROVIDERS: &[Key] = &[
    Key::new("stt", Kind::OneOf(&["local", "standin"])),
    Key::new("llm", Kind::OneOf(&["script", "standin"])),
    Key::new("tts", Kind::OneOf(&["local", "standin"])),
    Key::new("judge", Kind::OneOf(&["local", "standin", "none"])),
];

/// The keys of `[turn]`.
pub(super) const TURN: &[Key] = &[
    ms("ask_after_ms", 60, 5_000),
    ms("patience_min_ms", 100, 5_000),
    ms("patience_max_ms", 100, 10_000),
    ms("barge_in_ms", 20, 5_000),
    Key::new("barge_in_words", Kind::Whole { min: 1, max: 20, unit: "words" }),
    ms("decide_ms", 100, 5_000),
    ms("idle_ms", 500, 600_000),
    ms("monologue_ms", 1_000, 600_000),
    ms("max_duration_ms", 1_000, MAX_CALL_MS),
    ms("warning_before_ms", 0, MAX_CALL_MS),
    Key::new("interruptible", Kind::Switch),
    Key::new("echo", Kind::Switch),
];

/// The keys of `[voicemail]`.
pub(super) const VOICEMAIL: &[Key] = &[
    Key::new("detect", Kind::Switch),
    Key::new("message", Kind::Text { blank: false, max_bytes: MAX_LINE_BYTES }),
    ms("beep_wait_ms", 1_000, 120_000),
];

/// The keys of `[result]`.
pub(super) const RESULT: &[Key] =
    &[Key::new("disposition", Kind::Checked { expected: "1 to 64 letters, digits, _ or -", holds: is_disposition })];

fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let primary = parts.next().unwrap_or_default();
    (2..=3).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn is_disposition(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}
