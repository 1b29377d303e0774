//! Pronunciation of words that no lexicon has, names above all: letters go to a small network, digits are read one by
//! one, everything else is silent. Never leaves a word that has letters without a sound.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use misaki_rs::fallback::FallbackError;
use ort::environment::Environment;
use ort::session::Session;
use ort::value::Tensor;

use super::runtime::{failed, odd, session};
use crate::provider::ProviderError;
use crate::provider::models::{OOV_ALPHABET, OOV_NETWORK, REPAIR};

const WHAT: &str = "pronunciation of an unknown word";
/// Words whose pronunciation is remembered; the memory starts anew when it is full.
const MOST_REMEMBERED: usize = 4_096;

const DIGITS: [&str; 10] = ["zˈɪɹO", "wˈʌn", "tˈu", "θɹˈi", "fˈɔɹ", "fˈIv", "sˈɪks", "sˈɛvən", "ˈAt", "nˈIn"];

/// What a person says for a letter, `a` to `z`.
const LETTERS: [&str; 26] = [
    "ˈA",
    "bˈi",
    "sˈi",
    "dˈi",
    "ˈi",
    "ˈɛf",
    "ʤˈi",
    "ˈAʧ",
    "ˈI",
    "ʤˈA",
    "kˈA",
    "ˈɛl",
    "ˈɛm",
    "ˈɛn",
    "ˈO",
    "pˈi",
    "kjˈu",
    "ˈɑɹ",
    "ˈɛs",
    "tˈi",
    "jˈu",
    "vˈi",
    "dˈʌbᵊlju",
    "ˈɛks",
    "wˈI",
    "zˈi",
];

/// One for all threads: it runs seldom and for a millisecond.
pub(super) struct Oov {
    network: Mutex<Session>,
    remembered: Mutex<HashMap<String, String>>,
    letters: HashMap<char, i64>,
    phonemes: Vec<char>,
    most_letters: usize,
}

#[derive(serde::Deserialize)]
struct Alphabet {
    #[serde(rename = "in")]
    letters: Vec<char>,
    #[serde(rename = "out")]
    phonemes: Vec<char>,
    maxlen: usize,
}

impl Oov {
    pub(super) fn open(environment: &Environment, cache: &Path) -> Result<Self, ProviderError> {
        let path = cache.join(OOV_ALPHABET);
        let unavailable = |why: String| {
            ProviderError::Unavailable(format!("{} cannot be read ({why}); run `{REPAIR}`", path.display()))
        };
        let text = std::fs::read_to_string(&path).map_err(|error| unavailable(error.to_string()))?;
        let alphabet: Alphabet = serde_json::from_str(&text).map_err(|error| unavailable(error.to_string()))?;
        Ok(Self {
            network: Mutex::new(session(environment, &cache.join(OOV_NETWORK))?),
            remembered: Mutex::default(),
            letters: alphabet.letters.into_iter().zip(1..).collect(),
            phonemes: alphabet.phonemes,
            most_letters: alphabet.maxlen.max(1),
        })
    }

    /// The phonemes of `word`; empty where nothing of it can be said.
    pub(super) fn pronounce(&self, word: &str) -> Result<String, ProviderError> {
        let mut said: Vec<String> = Vec::new();
        for run in runs(word) {
            match run {
                Run::Digits(digits) => said.extend(digits.chars().filter_map(digit)),
                Run::Letters(letters) => said.push(self.letters(letters)?),
            }
        }
        said.retain(|phonemes| !phonemes.is_empty());
        Ok(said.join(" "))
    }

    fn letters(&self, letters: &str) -> Result<String, ProviderError> {
        if let Some(spelt) = spelling(letters) {
            return Ok(spelt);
        }
        if let Some(known) = self.remembered.lock().unwrap_or_else(PoisonError::into_inner).get(letters) {
            return Ok(known.clone());
        }
        let said = self.infer(letters)?;
        // A word of letters is never skipped in silence: what the network cannot say is spelt.
        let said = if said.chars().any(is_vowel) { said } else { spell(letters) };
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(letters.to_owned(), said.clone());
        Ok(said)
    }

    fn infer(&self, letters: &str) -> Result<String, ProviderError> {
        let ids: Vec<i64> =
            letters.chars().filter_map(|letter| self.letters.get(&letter).copied()).take(self.most_letters).collect();
        if ids.is_empty() {
            return Ok(String::new());
        }
        let input = Tensor::from_array(([1, ids.len()], ids)).map_err(failed(WHAT))?;
        let mut network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = network.run(ort::inputs!["chars" => input]).map_err(failed(WHAT))?;
        let output = outputs.values().next().ok_or_else(|| odd(WHAT, "no output"))?;
        let (_, best) = output.try_extract_tensor::<i64>().map_err(failed(WHAT))?;
        Ok(self.collapse(best))
    }

    /// One phoneme per run of equal ids; 0 is nothing.
    fn collapse(&self, best: &[i64]) -> String {
        let mut said = String::new();
        let mut before = 0;
        for &id in best {
            if id != before
                && let Some(&phoneme) = usize::try_from(id - 1).ok().and_then(|place| self.phonemes.get(place))
            {
                // The network's alphabet has a few marks that the voice's lacks.
                match phoneme {
                    'ʀ' => said.push('ɹ'),
                    '(' | ')' | '-' | '1' => {}
                    _ => said.push(phoneme),
                }
            }
            before = id;
        }
        said
    }
}

impl misaki_rs::Fallback for Shared {
    fn phonemize(&self, word: &str) -> Result<String, FallbackError> {
        match self.0.pronounce(word) {
            Ok(phonemes) => Ok(phonemes),
            Err(error) => {
                tracing::warn!(%error, "an unknown word is spelt");
                Ok(spell(word))
            }
        }
    }
}

/// The pronouncer as the lexicon's last resort.
pub(super) struct Shared(pub(super) std::sync::Arc<Oov>);

enum Run<'a> {
    Letters(&'a str),
    Digits(&'a str),
}

/// The runs of letters (with their apostrophes and marks) and of digits in `word`.
fn runs(word: &str) -> Vec<Run<'_>> {
    let kind = |c: char| match c {
        c if c.is_ascii_digit() => 2,
        '\'' | '’' => 1,
        c if c.is_alphabetic() => 1,
        _ => 0,
    };
    let mut found = Vec::new();
    let mut start = 0;
    let mut before = 0;
    for (at, now) in word.char_indices().map(|(at, c)| (at, kind(c))).chain([(word.len(), 0)]) {
        if now != before {
            let run = word.get(start..at).unwrap_or_default();
            match before {
                1 => found.push(Run::Letters(run)),
                2 => found.push(Run::Digits(run)),
                _ => {}
            }
            start = at;
            before = now;
        }
    }
    found
}

fn digit(digit: char) -> Option<String> {
    let place = digit.to_digit(10)?;
    DIGITS.get(place as usize).map(|&said| said.to_owned())
}

/// Letter by letter where that is how people read it: what has no vowel letter and is short.
fn spelling(letters: &str) -> Option<String> {
    let plain = letters.chars().all(|c| c.is_ascii_alphabetic());
    let mute = !letters.chars().any(|c| "aeiouyAEIOUY".contains(c));
    (plain && mute && letters.len() <= 5).then(|| spell(letters))
}

fn spell(letters: &str) -> String {
    let said = letters.chars().filter_map(|c| {
        let place = u32::from(c.to_ascii_lowercase()).checked_sub(u32::from('a'))?;
        LETTERS.get(place as usize).map(|&said| said.to_owned()).or_else(|| digit(c))
    });
    said.collect::<Vec<_>>().join(" ")
}

fn is_vowel(phoneme: char) -> bool {
    "AIOQWYaeiouyæɑɐɒɔəɚɛɜɪʊʌᵊᵻ".contains(phoneme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_falls_into_letters_and_digits() {
        let shown: Vec<String> = runs("K9-Zed'x2₹")
            .iter()
            .map(|run| match run {
                Run::Letters(text) => format!("L:{text}"),
                Run::Digits(text) => format!("D:{text}"),
            })
            .collect();
        assert_eq!(shown, ["L:K", "D:9", "L:Zed'x", "D:2"]);
    }

    #[test]
    fn what_has_no_vowel_is_spelt() {
        assert_eq!(spelling("HDFC").as_deref(), Some("ˈAʧ dˈi ˈɛf sˈi"));
        assert_eq!(spelling("Sharma"), None);
    }
}
