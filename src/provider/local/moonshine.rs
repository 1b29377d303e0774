//! Recognition with Moonshine tiny: audio in, words out, one call at a time. Knows nothing of turns and keeps nothing
//! between calls.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use ort::environment::Environment;
use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::value::{DynValue, Tensor};

use super::beam::{Beam, Breadth, Reading};
use super::runtime::{failed, odd, session};
use super::vocabulary::Vocabulary;
use crate::provider::ProviderError;
use crate::provider::hints::Hints;
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
/// How sure a reading of two stretches must be for the same to have been said in both. Of 60 pairs in which it was not, none came so
/// high; of 51 pairs in which it was, each hard to understand, 31 did.
const SURE_OF_BOTH: f32 = 0.22;

/// What was understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Words {
    /// The words; empty where there were none.
    pub text: String,
    /// How sure the networks are of them: the geometric mean of the pieces' likelihoods, the end among them. 1 where there are
    /// no words.
    pub sure: f32,
}

impl Words {
    pub(super) const NONE: Self = Self { text: String::new(), sure: 1.0 };
}

/// Pieces of words, and the sum of the logarithms of their likelihoods.
pub(super) struct Pieces {
    pub tokens: Vec<u32>,
    pub likelihood: f32,
}

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

/// A stretch of audio while readings of it grow: what the encoder made of it, and the decoder's memory, with a row for each reading.
struct Stretch {
    hidden: DynValue,
    memory: Vec<DynValue>,
}

impl Stretch {
    /// Goes on with the readings `from` the `width` of the step before, whose memory is `present`.
    fn follow(
        &mut self,
        names: &[LayerNames],
        present: &[DynValue],
        from: &[usize],
        (first, width): (bool, usize),
    ) -> Result<(), ProviderError> {
        // What the decoder keeps of the audio is the same for all readings: copied only when their number changes.
        let same_width = !first && from.len() == width;
        for ((name, value), present) in names.iter().zip(&mut self.memory).zip(present) {
            if !name.of_audio || first {
                *value = rows(present, from)?;
            } else if !same_width {
                *value = rows(value, from)?;
            }
        }
        if !same_width {
            self.hidden = rows(&self.hidden, &vec![0; from.len()])?;
        }
        Ok(())
    }
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

    /// The words of `audio` (16 kHz, −1 to 1), weighed by `hints`; `None` where `wanted` turned false on the way.
    pub(super) fn transcribe(
        &mut self,
        audio: &[f32],
        hints: &Hints,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Option<Words>, ProviderError> {
        if audio.len() < LEAST_SAMPLES {
            return Ok(Some(Words::NONE));
        }
        let hidden = self.encode(audio)?;
        if !wanted() {
            return Ok(None);
        }
        let pieces = if hints.is_empty() {
            self.decode(&hidden, most_tokens(audio.len()), wanted)?
        } else {
            self.weigh(&[&hidden], Breadth::of(audio.len()), most_tokens(audio.len()), hints, wanted)?
        };
        Ok(pieces.map(|pieces| self.words(&pieces)))
    }

    /// As [`transcribe`](Self::transcribe), of an answer that was probably given `before` in the same words and was not understood:
    /// where one reading suits both, it counts, since the same words seldom drown twice in the same place.
    pub(super) fn transcribe_again(
        &mut self,
        audio: &[f32],
        before: &[f32],
        hints: &Hints,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Option<Words>, ProviderError> {
        if audio.len() < LEAST_SAMPLES || before.len() < LEAST_SAMPLES {
            return self.transcribe(audio, hints, wanted);
        }
        let (hidden, hidden_before) = (self.encode(audio)?, self.encode(before)?);
        if !wanted() {
            return Ok(None);
        }
        let longer = audio.len().max(before.len());
        let both = [&hidden, &hidden_before];
        let pieces = self.weigh(&both, Breadth::of_two(longer), most_tokens(longer), hints, wanted)?;
        let Some(words) = pieces.map(|pieces| self.words(&pieces)) else { return Ok(None) };
        if words.sure >= SURE_OF_BOTH {
            return Ok(Some(words));
        }
        let alone = self.weigh(&[&hidden], Breadth::of(audio.len()), most_tokens(audio.len()), hints, wanted)?;
        Ok(alone.map(|pieces| self.words(&pieces)))
    }

    fn encode(&mut self, audio: &[f32]) -> Result<DynValue, ProviderError> {
        let input = Tensor::from_array(([1, audio.len()], audio.to_vec())).map_err(failed(ENCODE))?;
        let mut encoded = self.encoder.run(ort::inputs!["input_values" => input]).map_err(failed(ENCODE))?;
        encoded.remove("last_hidden_state").ok_or_else(|| odd(ENCODE, "no last_hidden_state"))
    }

    fn words(&self, Pieces { tokens, likelihood }: &Pieces) -> Words {
        let text = self.vocabulary.text(tokens).trim().to_owned();
        let sure = (likelihood / (tokens.len() + 1) as f32).exp();
        if text.is_empty() { Words::NONE } else { Words { text, sure } }
    }

    /// Greedy decoding: the likeliest piece at each step, until the end piece, `most` pieces or a loop.
    fn decode(
        &mut self,
        hidden: &DynValue,
        most: usize,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Option<Pieces>, ProviderError> {
        let mut memory = self.empty_memory()?;
        let mut tokens: Vec<u32> = Vec::with_capacity(most);
        let mut likelihood = 0.0;
        while tokens.len() < most {
            let first = tokens.is_empty();
            let last = tokens.last().map_or(START, |last| i64::from(*last));
            let mut outputs = step(&mut self.decoder, &self.names, hidden, &memory, vec![last], first)?;
            let (_, scores) = logits(&outputs)?;
            // Whoever asks has found speech: with noise or a short word the network would rather say nothing at all.
            let (best, ln) = likeliest(scores, first).ok_or_else(|| odd(DECODE, "no scores"))?;
            likelihood += ln;
            if i64::from(best) == END {
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
        Ok(Some(Pieces { tokens, likelihood }))
    }

    /// Decoding of a few readings side by side, see [`Beam`], of one stretch of audio or of two at once.
    fn weigh(
        &mut self,
        heard: &[&DynValue],
        breadth: Breadth,
        most: usize,
        hints: &Hints,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Option<Pieces>, ProviderError> {
        let vocabulary = self.vocabulary.clone();
        let end = u32::try_from(END).unwrap_or_default();
        let mut beam = Beam::new(hints, &vocabulary, end, breadth);
        let mut stretches = Vec::with_capacity(heard.len());
        for hidden in heard {
            stretches.push(Stretch { hidden: rows(hidden, &[0])?, memory: self.empty_memory()? });
        }
        for at in 0..most {
            let last = |reading: &Reading| reading.tokens.last().map_or(START, |last| i64::from(*last));
            let last: Vec<i64> = beam.live().iter().map(last).collect();
            let width = last.len();
            let (mut scores, mut pieces, mut present) = (Vec::new(), 1, Vec::new());
            for Stretch { hidden, memory } in &stretches {
                let mut outputs = step(&mut self.decoder, &self.names, hidden, memory, last.clone(), at == 0)?;
                let (shape, raw) = logits(&outputs)?;
                pieces = shape.last().and_then(|pieces| usize::try_from(*pieces).ok()).unwrap_or(0).max(1);
                scores.push(raw.to_vec());
                let taken = self
                    .names
                    .iter()
                    .map(|name| outputs.remove(&name.present).ok_or_else(|| odd(DECODE, name.present.as_str())));
                present.push(taken.collect::<Result<Vec<DynValue>, ProviderError>>()?);
            }
            if !beam.step(&scores, pieces) {
                break;
            }
            let from: Vec<usize> = beam.live().iter().map(|reading| reading.from).collect();
            for (stretch, present) in stretches.iter_mut().zip(&present) {
                stretch.follow(&self.names, present, &from, (at == 0, width))?;
            }
            if !wanted() {
                return Ok(None);
            }
        }
        Ok(Some(beam.best()))
    }

    fn empty_memory(&self) -> Result<Vec<DynValue>, ProviderError> {
        let zeros = |_| {
            let zeros = Tensor::from_array(([1, HEADS, 1, HEAD_WIDTH], vec![0f32; HEADS * HEAD_WIDTH]));
            Ok(zeros.map_err(failed(DECODE))?.into_dyn())
        };
        self.names.iter().map(zeros).collect()
    }
}

const fn most_tokens(samples: usize) -> usize {
    let most = samples / SAMPLES_PER_TOKEN;
    if most < 4 { 4 } else { most }
}

/// One step of the decoder for readings that end in `last`.
fn step<'s>(
    decoder: &'s mut Session,
    names: &[LayerNames],
    hidden: &DynValue,
    memory: &[DynValue],
    last: Vec<i64>,
    first: bool,
) -> Result<SessionOutputs<'s>, ProviderError> {
    let ids = Tensor::from_array(([last.len(), 1], last)).map_err(failed(DECODE))?;
    let cached = Tensor::from_array(([1usize], vec![!first])).map_err(failed(DECODE))?;
    let mut inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = vec![
        ("input_ids".into(), ids.into()),
        ("encoder_hidden_states".into(), hidden.into()),
        ("use_cache_branch".into(), cached.into()),
    ];
    for (name, value) in names.iter().zip(memory) {
        inputs.push((name.past.as_str().into(), value.into()));
    }
    decoder.run(inputs).map_err(failed(DECODE))
}

/// The raw scores of a step, one row for each reading.
fn logits<'o>(outputs: &'o SessionOutputs<'_>) -> Result<(&'o [i64], &'o [f32]), ProviderError> {
    let logits = outputs.get("logits").ok_or_else(|| odd(DECODE, "no logits"))?;
    let (shape, scores) = logits.try_extract_tensor::<f32>().map_err(failed(DECODE))?;
    Ok((shape, scores))
}

/// The rows `wanted` of a tensor, in that order, some perhaps more than once.
fn rows(value: &DynValue, wanted: &[usize]) -> Result<DynValue, ProviderError> {
    let (shape, all) = value.try_extract_tensor::<f32>().map_err(failed(DECODE))?;
    let count = shape.first().and_then(|rows| usize::try_from(*rows).ok()).unwrap_or(0).max(1);
    let size = all.len() / count;
    let mut out = Vec::with_capacity(size * wanted.len());
    for &row in wanted {
        let row = all.get(row * size..(row + 1) * size).ok_or_else(|| odd(DECODE, "fewer readings than were asked"))?;
        out.extend_from_slice(row);
    }
    let mut shape: Vec<i64> = shape.to_vec();
    if let Some(rows) = shape.first_mut() {
        *rows = i64::try_from(wanted.len()).unwrap_or(i64::MAX);
    }
    Ok(Tensor::from_array((shape, out)).map_err(failed(DECODE))?.into_dyn())
}

/// The likeliest token and the logarithm of its likelihood among those allowed: with `go_on` any but the end.
fn likeliest(scores: &[f32], go_on: bool) -> Option<(u32, f32)> {
    let allowed = |(at, score): &(usize, &f32)| !(score.is_nan() || go_on && i64::try_from(*at) == Ok(END));
    let (at, &best) = scores.iter().enumerate().filter(allowed).max_by(|a, b| a.1.total_cmp(b.1))?;
    let sum: f32 = scores.iter().enumerate().filter(allowed).map(|(_, score)| (score - best).exp()).sum();
    Some((u32::try_from(at).ok()?, -sum.ln()))
}

/// How many tokens to keep where the end repeats itself: a run of up to 8 tokens said four times (a single one six
/// times) is the decoder stuck on noise; one round is kept. "two two two two" stays a number somebody dictates.
pub(super) fn before_loop(tokens: &[u32]) -> Option<usize> {
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
        let best = |scores: &[f32], go_on| likeliest(scores, go_on).map(|(token, _)| token);
        assert_eq!(best(&[0.1, 3.0, -2.0], false), Some(1));
        assert_eq!(best(&[0.1, 1.0, 3.0], true), Some(1), "the end may not come first");
        assert_eq!(best(&[f32::NAN, 1.0], false), Some(1));
        assert_eq!(best(&[], false), None);
        let (_, ln) = likeliest(&[1.0, 1.0, 9.0], true).unwrap();
        assert!((ln - 0.5f32.ln()).abs() < 1e-6, "one of two equally likely ones: {ln}");
    }
}
