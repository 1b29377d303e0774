//! The synthesis network: phonemes in, wave out. Knows nothing of text, calls or rates.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use ort::environment::Environment;
use ort::session::{Session, SessionOutputs};
use ort::value::Tensor;

use super::runtime::{failed, odd, session};
use super::synth::{Spectra, Synth};
use crate::provider::ProviderError;
use crate::provider::models::{REPAIR, TTS_NETWORK, TTS_VOCABULARY};

const WHAT: &str = "synthesis";
/// The most phonemes of one run.
pub(super) const MOST_PHONEMES: usize = 400;

/// The network of one thread.
pub(super) struct Hibari {
    network: Session,
    synth: Synth,
}

/// The phonemes that the network knows.
#[derive(Debug)]
pub(super) struct Phonemes(HashMap<char, i64>);

impl Phonemes {
    pub(super) fn open(cache: &Path) -> Result<Self, ProviderError> {
        let path = cache.join(TTS_VOCABULARY);
        let unavailable = |why: String| {
            ProviderError::Unavailable(format!("{} cannot be read ({why}); run `{REPAIR}`", path.display()))
        };
        let text = std::fs::read_to_string(&path).map_err(|error| unavailable(error.to_string()))?;
        serde_json::from_str(&text).map(Self).map_err(|error| unavailable(error.to_string()))
    }

    /// Does the network know `phoneme`?
    pub(super) fn knows(&self, phoneme: char) -> bool {
        self.0.contains_key(&phoneme)
    }

    /// The network's input: what it does not know (above all the marker for unknown words) never gets there.
    fn ids(&self, phonemes: &str) -> Vec<i64> {
        let known = phonemes.chars().filter_map(|phoneme| self.0.get(&phoneme).copied()).take(MOST_PHONEMES);
        std::iter::once(0).chain(known).chain(std::iter::once(0)).collect()
    }
}

impl Hibari {
    pub(super) fn open(environment: &Environment, cache: &Path) -> Result<Self, ProviderError> {
        Ok(Self { network: session(environment, &cache.join(TTS_NETWORK))?, synth: Synth::new() })
    }

    /// The wave of `phonemes` at 24 kHz, about −1 to 1. The same phonemes and speed always give the same wave.
    pub(super) fn wave(&mut self, known: &Phonemes, phonemes: &str, speed: f32) -> Result<Vec<f32>, ProviderError> {
        let ids = known.ids(phonemes);
        if ids.len() < 3 {
            return Ok(Vec::new());
        }
        let mut seed = DefaultHasher::new();
        ids.hash(&mut seed);
        let ids = Tensor::from_array(([1, ids.len()], ids)).map_err(failed(WHAT))?;
        let speed = Tensor::from_array(([1usize], vec![speed])).map_err(failed(WHAT))?;
        let outputs = self.network.run(ort::inputs!["ids" => ids, "speed" => speed]).map_err(failed(WHAT))?;
        let spectra = Spectra {
            harmonic_log: part(&outputs, "lh")?,
            harmonic_phase: part(&outputs, "theta")?,
            noise_log: part(&outputs, "ln")?,
            free_log: part(&outputs, "lr")?,
            free_phase: part(&outputs, "phi")?,
            pitch_hz: part(&outputs, "f0")?,
        };
        let wave = self.synth.wave(&spectra, seed.finish());
        if wave.is_empty() {
            return Err(odd(WHAT, format!("spectra of {} frames do not fit together", spectra.pitch_hz.len())));
        }
        Ok(wave)
    }
}

fn part<'a>(outputs: &'a SessionOutputs<'_>, name: &'static str) -> Result<&'a [f32], ProviderError> {
    let value = outputs.get(name).ok_or_else(|| odd(WHAT, format!("no output {name}")))?;
    let (_, data) = value.try_extract_tensor::<f32>().map_err(failed(WHAT))?;
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_network_does_not_know_never_reaches_it() {
        let known = Phonemes([('a', 43), ('b', 44)].into());
        assert_eq!(known.ids("a❓b₹"), [0, 43, 44, 0]);
        assert_eq!(known.ids(&"a".repeat(900)).len(), MOST_PHONEMES + 2);
    }
}
