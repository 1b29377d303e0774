//! Readings of one stretch of audio, kept side by side while they grow: the likeliest few, weighed by how much of each the dialogue's
//! hints cover. Scores only: runs no network and knows no audio.

use super::moonshine::{Pieces, before_loop};
use super::vocabulary::Vocabulary;
use crate::provider::hints::{Hints, Trail};

/// Readings kept of a sentence, and of a word or two: these leave more close calls, and cost less.
const WIDTH: usize = 3;
const WIDTH_OF_SHORT: usize = 6;
/// Samples at 16 kHz up to which audio holds a word or two: 2.5 s with the silence around them.
const SHORT_SAMPLES: usize = 40_000;
/// Pieces looked at after each reading.
const LOOK: usize = 16;
/// What a byte covered by a hint is worth, in natural logarithms of likelihood: a word of eight letters makes up for a reading that is
/// seven times less likely.
const WORTH: f32 = 0.25;
/// The same where the caller was asked again.
const WORTH_PRESSED: f32 = 0.4;
/// What it is worth then that a whole reading is made of hints: short answers have few bytes to weigh.
const WHOLE_PRESSED: f32 = 2.0;
/// A live reading may be worse than an ended one by so much and still be followed: a hinted word to come is worth that.
const SLACK: f32 = 1.5;

/// One reading.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// Its pieces.
    pub tokens: Vec<u32>,
    /// Which reading of the step before it goes on from.
    pub from: usize,
    likelihood: f32,
    trail: Trail,
}

impl Reading {
    fn score(&self, pressing: bool) -> f32 {
        let covered = self.trail.covered() as f32;
        if !pressing {
            return self.likelihood + WORTH * covered;
        }
        let whole = if self.trail.is_made_up() { WHOLE_PRESSED } else { 0.0 };
        self.likelihood + WORTH_PRESSED * covered + whole
    }
}

/// The readings of one stretch.
#[derive(Debug)]
pub(super) struct Beam<'a> {
    hints: &'a Hints,
    vocabulary: &'a Vocabulary,
    end: u32,
    width: usize,
    live: Vec<Reading>,
    best: Option<Reading>,
}

impl<'a> Beam<'a> {
    /// One empty reading of so many samples. `end` is the piece that ends one.
    pub(super) fn new(hints: &'a Hints, vocabulary: &'a Vocabulary, end: u32, samples: usize) -> Self {
        let empty = Reading { tokens: Vec::new(), from: 0, likelihood: 0.0, trail: Trail::default() };
        let width = if samples <= SHORT_SAMPLES { WIDTH_OF_SHORT } else { WIDTH };
        Self { hints, vocabulary, end, width, live: vec![empty], best: None }
    }

    /// The readings that go on.
    pub(super) fn live(&self) -> &[Reading] {
        &self.live
    }

    /// Goes on by one piece; `scores` are the network's raw scores after each live reading, in their order. A reading that repeats
    /// itself ends there, cut to one round. `false` once an ended reading is better than all live ones by more than the words to
    /// come could well be worth.
    pub(super) fn step<'s>(&mut self, scores: impl Iterator<Item = &'s [f32]>) -> bool {
        let mut next: Vec<Reading> = Vec::with_capacity(self.width * LOOK);
        let live = std::mem::take(&mut self.live);
        for (from, (reading, scores)) in live.iter().zip(scores).enumerate() {
            // An empty reading would rather say nothing at all with noise or a short word; whoever asks has found speech.
            let first = reading.tokens.is_empty();
            for (token, likelihood) in likeliest(scores, first.then_some(self.end)) {
                let mut grown = reading.clone();
                grown.from = from;
                grown.likelihood += likelihood;
                if token == self.end {
                    self.ended(grown);
                    continue;
                }
                grown.tokens.push(token);
                grown.trail.follow(self.hints, self.vocabulary.piece(token));
                if let Some(sound) = before_loop(&grown.tokens) {
                    grown.tokens.truncate(sound);
                    self.ended(grown);
                } else {
                    next.push(grown);
                }
            }
        }
        let pressing = self.hints.pressing();
        next.sort_by(|a, b| b.score(pressing).total_cmp(&a.score(pressing)));
        next.truncate(self.width);
        self.live = next;
        let best = self.best.as_ref().map(|best| best.score(pressing));
        self.live.first().is_some_and(|first| best.is_none_or(|best| best < first.score(pressing) + SLACK))
    }

    fn ended(&mut self, mut reading: Reading) {
        reading.trail.end(self.hints);
        let pressing = self.hints.pressing();
        if self.best.as_ref().is_none_or(|best| best.score(pressing) < reading.score(pressing)) {
            self.best = Some(reading);
        }
    }

    /// The pieces of the best reading so far, ended or not.
    pub(super) fn best(mut self) -> Pieces {
        for reading in &mut self.live {
            reading.trail.end(self.hints);
        }
        let all = self.best.into_iter().chain(self.live);
        let pressing = self.hints.pressing();
        let best = all.max_by(|a, b| a.score(pressing).total_cmp(&b.score(pressing)));
        best.map_or(Pieces { tokens: Vec::new(), likelihood: 0.0 }, |reading| Pieces {
            tokens: reading.tokens,
            likelihood: reading.likelihood,
        })
    }
}

/// The [`LOOK`] likeliest pieces with the logarithms of their likelihoods, without `never`.
fn likeliest(scores: &[f32], never: Option<u32>) -> Vec<(u32, f32)> {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = scores.iter().filter(|score| !score.is_nan()).map(|score| (score - highest).exp()).sum();
    let mut top: Vec<(u32, f32)> = Vec::with_capacity(LOOK + 1);
    for (token, &score) in (0_u32..).zip(scores) {
        let least = top.last().map_or(f32::NEG_INFINITY, |(_, least)| *least);
        if Some(token) == never || score.is_nan() || (top.len() == LOOK && score <= least) {
            continue;
        }
        let place = top.partition_point(|(_, other)| *other >= score);
        top.insert(place, (token, score));
        top.truncate(LOOK);
    }
    for (_, score) in &mut top {
        *score -= highest + sum.ln();
    }
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u32 = 2;

    /// Pieces 3 to 6: " wrong", " number", " member", " long".
    fn vocabulary() -> Vocabulary {
        let text = r#"{"model":{"vocab":{"<unk>":0,"<s>":1,"</s>":2,"▁wrong":3,"▁number":4,"▁member":5,"▁long":6}}}"#;
        Vocabulary::parse(text).unwrap()
    }

    /// What the beam makes of a network that has these raw scores at each step, whatever was read.
    fn read(hints: &[&str], steps: &[[f32; 7]]) -> Vec<u32> {
        let (hints, vocabulary) = (Hints::new(hints), vocabulary());
        let mut beam = Beam::new(&hints, &vocabulary, END, 16_000);
        for step in steps {
            let scores: Vec<&[f32]> = beam.live().iter().map(|_| step.as_slice()).collect();
            if !beam.step(scores.into_iter()) {
                break;
            }
        }
        beam.best().tokens
    }

    const CLOSE_CALL: [[f32; 7]; 3] =
        [[0.0, 0.0, 0.0, 7.5, 0.0, 0.0, 8.0], [0.0, 0.0, 0.0, 0.0, 7.5, 8.0, 0.0], [0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0]];

    #[test]
    fn without_hints_the_likeliest_reading_wins_and_with_them_the_likely_one_that_means_something() {
        assert_eq!(read(&[], &CLOSE_CALL), [6, 5]);
        assert_eq!(read(&["wrong number"], &CLOSE_CALL), [3, 4]);
    }

    #[test]
    fn hints_do_not_stand_against_what_was_clearly_said() {
        let close = CLOSE_CALL.map(|step| step.map(|score| score * 2.0));
        assert_eq!(read(&["wrong number"], &close), [3, 4], "less than three in a logarithm: a close call still");
        let clear = CLOSE_CALL.map(|step| step.map(|score| score * 4.0));
        assert_eq!(read(&["wrong number"], &clear), [6, 5]);
    }

    #[test]
    fn whoever_was_asked_again_is_believed_to_have_answered() {
        let (vocabulary, calm) = (vocabulary(), Hints::new(["wrong"]));
        // " long" was heard, 33 times likelier, where " wrong" is waited for.
        let steps = [[0.0, 0.0, 0.0, 4.5, 0.0, 0.0, 8.0], [0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0]];
        let read = |hints: &Hints| {
            let mut beam = Beam::new(hints, &vocabulary, END, 16_000);
            for step in &steps {
                let scores: Vec<&[f32]> = beam.live().iter().map(|_| step.as_slice()).collect();
                beam.step(scores.into_iter());
            }
            beam.best().tokens
        };
        assert_eq!(read(&calm), [6]);
        assert_eq!(read(&calm.clone().pressed()), [3]);
    }

    #[test]
    fn a_reading_is_never_empty_and_nan_does_no_harm() {
        let silence = [[0.0, 0.0, 9.0, 1.0, f32::NAN, 0.0, 0.0], [0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0]];
        assert_eq!(read(&[], &silence), [3]);
        assert_eq!(read(&[], &[[f32::NAN; 7]]), Vec::<u32>::new());
    }

    #[test]
    fn a_reading_that_repeats_itself_ends_and_leaves_the_others_alone() {
        // " long" again and again is a close second at every step; " wrong number" is what was said.
        let mut steps = vec![[0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 8.9], [0.0, 0.0, 0.0, 0.0, 9.0, 0.0, 8.9]];
        steps.extend([[0.0, 0.0, 8.0, 0.0, 0.0, 0.0, 9.0]; 12]);
        assert_eq!(read(&["wrong number"], &steps), [3, 4]);
        assert_eq!(read(&[], &[[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 30.0]; 12]), [6], "of a loop one round is kept");
    }

    #[test]
    fn the_likeliest_come_in_order() {
        let scores: Vec<f32> = (0..40).map(|n| ((n * 7) % 40) as f32 / 10.0).collect();
        let top = likeliest(&scores, None);
        assert_eq!(top.len(), LOOK);
        assert!(top.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        assert!(top.iter().all(|(token, _)| scores[*token as usize] > 2.35));
        assert!((likeliest(&[0.0, 0.0], None)[0].1 - 0.5_f32.ln()).abs() < 1e-6);
    }
}
