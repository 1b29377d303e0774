//! Recognition with Moonshine tiny: audio in, words out, one call at a time. Knows nothing of turns and keeps nothing
//! between calls.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use ort::environment::Environment;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Tensor};

use super::runtime::{failed, odd, session};
use super::vocabulary::Vocabulary;
use crate::provider::ProviderError;
use crate::provider::models::{STT_DECODER, STT_ENCODER};

const ENCODE: &str = "recognition (encoder)";
const DECODE: &str = "recognition (decoder)";
/// The decoder's layers, and the shape of one layer's memory: heads and their width.
const LAYERS: usize = 6;
const HEADS: usize = 8;
const HEAD_WIDTH: usize = 36;
const START: i64 = 1;
const END: i64 = 2;
/// About 6.5 words' pieces a second is the most that people say; more is the decoder talking to itself.
const SAMPLES_PER_TOKEN: usize = 2_400;
/// The encoder's three convolutions need this much.
const LEAST_SAMPLES: usize = 1_600;

/// The two networks and the vocabulary of one thread.
pub(super) struct Moonshine {
    encoder: Session,
    decoder: Session,
    vocabulary: Arc<Vocabulary>,
    names: Vec<LayerNames>,
}

/// One tensor of the decoder's memory as an input and as the output that replaces it.
struct LayerNames {
    past: String,
    present: String,
    /// Of the audio rather than of the words: computed in the first step and kept.
    of_audio: bool,
}

impl Moonshine {
    pub(super) fn open(
        environment: &Environment,
        cache: &Path,
        vocabulary: Arc<Vocabulary>,
    ) -> Result<Self, ProviderError> {
        let names = (0..LAYERS)
            .flat_map(|layer| ["decoder", "encoder"].map(|side| (layer, side)))
            .flat_map(|(layer, side)| ["key", "value"].map(|part| (layer, side, part)))
            .map(|(layer, side, part)| LayerNames {
                past: format!("past_key_values.{layer}.{side}.{part}"),
                present: format!("present.{layer}.{side}.{part}"),
                of_audio: side == "encoder",
            })
            .collect();
        Ok(Self {
            encoder: session(environment, &cache.join(STT_ENCODER))?,
            decoder: session(environment, &cache.join(STT_DECODER))?,
            vocabulary,
            names,
        })
    }

    /// The words of `audio` (16 kHz, −1 to 1); `None` where `wanted` turned false on the way.
    pub(super) fn transcribe(
        &mut self,
        audio: &[f32],
        wanted: &dyn Fn() -> bool,
    ) -> Result<Option<String>, ProviderError> {
        if audio.len() < LEAST_SAMPLES {
            return Ok(Some(String::new()));
        }
        let input = Tensor::from_array(([1, audio.len()], audio.to_vec())).map_err(failed(ENCODE))?;
        let mut encoded = self.encoder.run(ort::inputs!["input_values" => input]).map_err(failed(ENCODE))?;
        let hidden = encoded.remove("last_hidden_state").ok_or_else(|| odd(ENCODE, "no last_hidden_state"))?;
        drop(encoded);
        if !wanted() {
            return Ok(None);
        }
        let most = (audio.len() / SAMPLES_PER_TOKEN).max(4);
        let Some(tokens) = self.decode(&hidden, most, wanted)? else { return Ok(None) };
        Ok(Some(self.vocabulary.text(&tokens).trim().to_owned()))
    }

    /// Greedy decoding: the likeliest piece at each step, until the end piece, `most` pieces or a loop.
    fn decode(
        &mut self,
        hidden: &DynValue,
        most: usize,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<u32>>, ProviderError> {
        let mut memory: Vec<DynValue> = Vec::with_capacity(self.names.len());
        for _ in &self.names {
            let zeros = Tensor::from_array(([1, HEADS, 1, HEAD_WIDTH], vec![0f32; HEADS * HEAD_WIDTH]));
            memory.push(zeros.map_err(failed(DECODE))?.into_dyn());
        }
        let mut tokens: Vec<u32> = Vec::with_capacity(most);
        let mut last = START;
        while tokens.len() < most {
            let first = tokens.is_empty();
            let ids = Tensor::from_array(([1usize, 1], vec![last])).map_err(failed(DECODE))?;
            let cached = Tensor::from_array(([1usize], vec![!first])).map_err(failed(DECODE))?;
            let mut inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = vec![
                ("input_ids".into(), ids.into()),
                ("encoder_hidden_states".into(), hidden.into()),
                ("use_cache_branch".into(), cached.into()),
            ];
            for (name, value) in self.names.iter().zip(&memory) {
                inputs.push((name.past.as_str().into(), value.into()));
            }
            let mut outputs = self.decoder.run(inputs).map_err(failed(DECODE))?;
            let logits = outputs.get("logits").ok_or_else(|| odd(DECODE, "no logits"))?;
            let (_, scores) = logits.try_extract_tensor::<f32>().map_err(failed(DECODE))?;
            // Whoever asks has found speech: with noise or a short word the network would rather say nothing at all.
            let best = likeliest(scores, first).ok_or_else(|| odd(DECODE, "no scores"))?;
            last = i64::from(best);
            if last == END {
                break;
            }
            tokens.push(best);
            if let Some(sound) = before_loop(&tokens) {
                tokens.truncate(sound);
                break;
            }
            for (name, value) in self.names.iter().zip(&mut memory) {
                if first || !name.of_audio {
                    *value = outputs.remove(&name.present).ok_or_else(|| odd(DECODE, name.present.as_str()))?;
                }
            }
            if !wanted() {
                return Ok(None);
            }
        }
        Ok(Some(tokens))
    }
}

/// The likeliest token; with `go_on` any but the end.
fn likeliest(scores: &[f32], go_on: bool) -> Option<u32> {
    let allowed = |at: usize| !(go_on && i64::try_from(at) == Ok(END));
    let (at, _) = scores.iter().enumerate().filter(|(at, _)| allowed(*at)).max_by(|a, b| a.1.total_cmp(b.1))?;
    u32::try_from(at).ok()
}

/// How many tokens to keep where the end repeats itself: a run of up to 8 tokens said four times (a single one six
/// times) is the decoder stuck on noise; one round is kept. "two two two two" stays a number somebody dictates.
fn before_loop(tokens: &[u32]) -> Option<usize> {
    (1..=8).find_map(|period| {
        let rounds = if period == 1 { 6 } else { 4 };
        let tail = tokens.get(tokens.len().checked_sub(period * rounds)?..)?;
        let (round, rest) = tail.split_at(period);
        rest.chunks(period).all(|next| next == round).then(|| tokens.len() - period * (rounds - 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_that_repeats_itself_is_cut_to_one_round() {
        assert_eq!(before_loop(&[5, 6, 7, 8]), None);
        assert_eq!(before_loop(&[4, 9, 9, 9, 9]), None, "four equal digits in a number are speech");
        assert_eq!(before_loop(&[4, 9, 9, 9, 9, 9, 9]), Some(2));
        assert_eq!(before_loop(&[4, 1, 2, 1, 2, 1, 2, 1, 2]), Some(3));
        assert_eq!(before_loop(&[1, 2, 3, 1, 2, 3, 1, 2, 3]), None, "three rounds may be meant");
    }

    #[test]
    fn the_likeliest_is_the_highest_and_nan_does_no_harm() {
        assert_eq!(likeliest(&[0.1, 3.0, -2.0], false), Some(1));
        assert_eq!(likeliest(&[0.1, 1.0, 3.0], true), Some(1), "the end may not come first");
        assert_eq!(likeliest(&[], false), None);
    }
}
