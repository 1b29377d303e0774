//! The voice `joe` of test callers: another speaker, so that a bot is never tested against its own voice. Fetched with the
//! test group only; a bot may not count on it. Checks its files when it is opened, which is when it first speaks.

use std::collections::HashMap;
use std::path::Path;

use ort::environment::Environment;
use ort::session::Session;
use ort::value::Tensor;

use super::runtime::{failed, odd, session};
use crate::provider::ProviderError;
use crate::provider::models::{JOE_NETWORK, JOE_SETTINGS, REPAIR_TEST, faults_among};

/// Samples per second of the wave.
pub(super) const RATE_HZ: u32 = 22_050;
const WHAT: &str = "synthesis (test caller)";

/// The network of one thread and the ids of its phonemes.
pub(super) struct Joe {
    network: Session,
    ids: HashMap<char, Vec<i64>>,
}

#[derive(serde::Deserialize)]
struct Settings {
    phoneme_id_map: HashMap<String, Vec<i64>>,
}

impl Joe {
    pub(super) fn open(environment: &Environment, cache: &Path) -> Result<Self, ProviderError> {
        let faults = faults_among(cache, &[JOE_NETWORK, JOE_SETTINGS]);
        if !faults.is_empty() {
            return Err(ProviderError::Unavailable(faults.join("\n")));
        }
        let path = cache.join(JOE_SETTINGS);
        let unavailable = |why: String| {
            ProviderError::Unavailable(format!(
                "the test caller's voice {} cannot be read ({why}); run `{REPAIR_TEST}`",
                path.display()
            ))
        };
        let text = std::fs::read_to_string(&path).map_err(|error| unavailable(error.to_string()))?;
        let settings: Settings = serde_json::from_str(&text).map_err(|error| unavailable(error.to_string()))?;
        let single = |name: &str| {
            let mut chars = name.chars();
            chars.next().filter(|_| chars.next().is_none())
        };
        let ids = settings.phoneme_id_map.iter().filter_map(|(name, ids)| Some((single(name)?, ids.clone()))).collect();
        Ok(Self { network: session(environment, &cache.join(JOE_NETWORK))?, ids })
    }

    /// The wave of `phonemes` (in the bot's alphabet) at [`RATE_HZ`].
    pub(super) fn wave(&mut self, phonemes: &str, speed: f32) -> Result<Vec<f32>, ProviderError> {
        let mut ids: Vec<i64> = Vec::new();
        let pad = self.ids.get(&'_').cloned().unwrap_or_default();
        let spelt: String = std::iter::once('^').chain(ipa(phonemes).chars()).chain(std::iter::once('$')).collect();
        for phoneme in spelt.chars() {
            if let Some(known) = self.ids.get(&phoneme) {
                ids.extend_from_slice(known);
                if phoneme != '$' {
                    ids.extend_from_slice(&pad);
                }
            }
        }
        let length = Tensor::from_array(([1usize], vec![ids.len() as i64])).map_err(failed(WHAT))?;
        let ids = Tensor::from_array(([1, ids.len()], ids)).map_err(failed(WHAT))?;
        let scales = Tensor::from_array(([3usize], vec![0.667f32, 1.0 / speed, 0.8])).map_err(failed(WHAT))?;
        let inputs = ort::inputs!["input" => ids, "input_lengths" => length, "scales" => scales];
        let outputs = self.network.run(inputs).map_err(failed(WHAT))?;
        let output = outputs.values().next().ok_or_else(|| odd(WHAT, "no output"))?;
        let (_, wave) = output.try_extract_tensor::<f32>().map_err(failed(WHAT))?;
        Ok(wave.to_vec())
    }
}

/// The lexicon's one-letter diphthongs and affricates as the voice was trained on them.
fn ipa(phonemes: &str) -> String {
    let mut out = String::with_capacity(phonemes.len() * 2);
    for phoneme in phonemes.chars() {
        match phoneme {
            'A' => out.push_str("eɪ"),
            'I' => out.push_str("aɪ"),
            'W' => out.push_str("aʊ"),
            'Y' => out.push_str("ɔɪ"),
            'O' => out.push_str("oʊ"),
            'Q' => out.push_str("əʊ"),
            'ʤ' => out.push_str("dʒ"),
            'ʧ' => out.push_str("tʃ"),
            'T' => out.push('ɾ'),
            'ᵊ' => out.push('ə'),
            'i' => out.push_str("iː"),
            'u' => out.push_str("uː"),
            'ɑ' => out.push_str("ɑː"),
            'ɔ' => out.push_str("ɔː"),
            'ɜ' => out.push_str("ɜː"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lexicons_letters_become_sounds_that_the_voice_knows() {
        assert_eq!(ipa("ʤˈA"), "dʒˈeɪ");
        assert_eq!(ipa("həlˈO"), "həlˈoʊ");
    }
}
