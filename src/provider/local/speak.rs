//! One chunk of text to audio at the call's rate, by one thread's networks. Knows nothing of calls.

use super::bench::Bench;
use super::edges::trimmed;
use super::joe;
use super::kokoro::{self, Character};
use super::synth;
use crate::media::convert;
use crate::provider::{ProviderError, Voice};
use crate::units::SampleRate;

/// Room below full scale: µ-law and what a line adds must not clip.
const GAIN: f32 = 0.794;
/// Silence kept before the first sound of a chunk.
const LEAD_MS: u64 = 20;
/// Silence kept after the end of the last sentence, so that a turn is not held for nothing.
const TAIL_MS: u64 = 120;
/// Silence kept between two sentences of one segment: a breath.
const BREATH_MS: u64 = 260;

/// The voices that test callers have beside those of speech programs. A bot may not count on them: only
/// `voicefleet models fetch --test-voices` brings their files.
pub const CALLER_VOICES: [&str; 6] = ["joe", "kumo", "alpha", "gongitsune", "nezumi", "tebukuro"];

/// The voices of the local set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LocalVoice {
    /// The bot's.
    Heart,
    /// A test caller's.
    Joe,
    /// A test caller's, one of several of one network.
    Kokoro(Character),
}

impl LocalVoice {
    /// The voice that `voice` asks for; an empty name is the bot's voice.
    pub(super) fn of(voice: &Voice) -> Result<Self, ProviderError> {
        let english = voice.language.split(['-', '_']).next().is_some_and(|tag| tag.eq_ignore_ascii_case("en"));
        if !english && !voice.language.is_empty() {
            return Err(ProviderError::Unavailable(format!(
                "the local voices speak English only and the bot's language is {}; use a remote synthesis provider",
                voice.language
            )));
        }
        match voice.name.as_str() {
            "heart" | "" => Ok(Self::Heart),
            "joe" => Ok(Self::Joe),
            other => Character::named(other).map(Self::Kokoro).ok_or_else(|| {
                ProviderError::Unavailable(format!(
                    "the local set has no voice `{other}`; it has `heart`, and for test callers {}",
                    CALLER_VOICES.join(", ")
                ))
            }),
        }
    }
}

/// Where a chunk stands in its segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// Something follows in the same segment.
    pub more: bool,
    /// A sentence ends with it.
    pub ends_sentence: bool,
}

/// The audio of `text` (cleaned, one of [`super::g2p::chunks`]); empty where nothing in it can be said.
pub(super) fn speak(
    bench: &mut Bench,
    voice: LocalVoice,
    speed: f32,
    rate: SampleRate,
    text: &str,
    place: Place,
) -> Result<Vec<i16>, ProviderError> {
    let common = bench.common.clone();
    let runs = common.pronunciation.of(text)?;
    let mut audio = Vec::new();
    for (at, phonemes) in runs.iter().enumerate() {
        let (wave, hz) = match voice {
            LocalVoice::Heart => (bench.hibari().wave(&common.phonemes, phonemes, speed)?, synth::RATE_HZ),
            LocalVoice::Joe => (bench.joe()?.wave(phonemes, speed)?, joe::RATE_HZ),
            LocalVoice::Kokoro(character) => (bench.kokoro()?.wave(character, phonemes, speed)?, kokoro::RATE_HZ),
        };
        let from = SampleRate::new(hz).unwrap_or(SampleRate::STUDIO);
        let inner = at + 1 < runs.len() || place.more;
        let tail_ms = if inner && place.ends_sentence && at + 1 == runs.len() { BREATH_MS } else { TAIL_MS };
        let chunk: Vec<i16> = trimmed(&wave, from, LEAD_MS, tail_ms).iter().map(|s| pcm(s * GAIN)).collect();
        let chunk = convert(&chunk, from, rate)
            .map_err(|error| ProviderError::Failed { what: "synthesis", detail: error.to_string() })?;
        audio.extend(chunk);
    }
    Ok(audio)
}

/// A float sample limited to full scale.
fn pcm(sample: f32) -> i16 {
    (sample * 32_767.0).clamp(-32_768.0, 32_767.0) as i16
}
