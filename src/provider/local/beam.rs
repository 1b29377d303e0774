//! Readings of one stretch of audio, or of two in which the same was said, kept side by side while they grow: the likeliest few, weighed
//! by how much of each the dialogue's hints cover. Scores only: runs no network and knows no audio.

use super::moonshine::{Pieces, before_loop};
use super::vocabulary::Vocabulary;
use crate::provider::hints::{Hints, Trail};

/// Samples at 16 kHz up to which audio holds a word or two: 2.5 s with the silence around them.
const SHORT_SAMPLES: usize = 40_000;
/// What a byte covered by a hint is worth, in natural logarithms of likelihood: a word of eight letters makes up for a reading that is
/// seven times less likely.
const WORTH: f32 = 0.25;
/// The same where the caller was asked again.
const WORTH_PRESSED: f32 = 0.4;
/// What it is worth then that a whole reading is made of hints: short answers have few bytes to weigh.
const WHOLE_PRESSED: f32 = 2.0;
/// A live reading may be worse than an ended one by so much and still be followed: a hinted word to come is worth that.
const SLACK: f32 = 1.5;

/// How many readings are followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Breadth {
    /// Readings kept.
    width: usize,
    /// Pieces looked at after each.
    look: usize,
}

impl Breadth {
    /// For so many samples of one stretch: a word or two leave more close calls than a sentence, and cost less.
    pub(super) const fn of(samples: usize) -> Self {
        Self { width: if samples <= SHORT_SAMPLES { 6 } else { 3 }, look: 16 }
    }

    /// For two stretches: whoever says the same again was hard to understand, and what is right may start as the tenth best.
    pub(super) const fn of_two(samples: usize) -> Self {
        Self { width: if samples <= SHORT_SAMPLES { 10 } else { 6 }, look: 24 }
    }
}

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
    breadth: Breadth,
    live: Vec<Reading>,
    best: Option<Reading>,
}

impl<'a> Beam<'a> {
    /// One empty reading. `end` is the piece that ends one.
    pub(super) fn new(hints: &'a Hints, vocabulary: &'a Vocabulary, end: u32, breadth: Breadth) -> Self {
        let empty = Reading { tokens: Vec::new(), from: 0, likelihood: 0.0, trail: Trail::default() };
        Self { hints, vocabulary, end, breadth, live: vec![empty], best: None }
    }

    /// The readings that go on.
    pub(super) fn live(&self) -> &[Reading] {
        &self.live
    }

    /// Goes on by one piece. `heard` are the network's raw scores, for each stretch of audio one row of `pieces` after each live
    /// reading, in their order. A reading that repeats itself ends there, cut to one round. `false` once an ended reading is better
    /// than all live ones by more than the words to come could well be worth.
    pub(super) fn step(&mut self, heard: &[Vec<f32>], pieces: usize) -> bool {
        let Breadth { width, look } = self.breadth;
        let mut next: Vec<Reading> = Vec::with_capacity(width * look);
        let live = std::mem::take(&mut self.live);
        for (from, reading) in live.iter().enumerate() {
            // An empty reading would rather say nothing at all with noise or a short word; whoever asks has found speech.
            let never = reading.tokens.is_empty().then_some(self.end);
            let rows = heard.iter().filter_map(|scores| scores.get(from * pieces..(from + 1) * pieces));
            for (token, likelihood) in likeliest(&likelihoods(rows, never), look) {
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
        next.truncate(width);
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

/// The logarithms of the pieces' likelihoods, without `never`: by each row of raw scores, and the mean of these.
fn likelihoods<'s>(rows: impl Iterator<Item = &'s [f32]>, never: Option<u32>) -> Vec<f32> {
    let (mut mean, mut count): (Vec<f32>, f32) = (Vec::new(), 0.0);
    for row in rows {
        let mut scores = row.to_vec();
        if let Some(never) = never.and_then(|never| scores.get_mut(never as usize)) {
            *never = f32::NEG_INFINITY;
        }
        let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = scores.iter().filter(|score| !score.is_nan()).map(|score| (score - highest).exp()).sum();
        let off = highest + sum.ln();
        scores.iter_mut().for_each(|score| *score -= off);
        if mean.is_empty() {
            mean = scores;
        } else {
            mean.iter_mut().zip(&scores).for_each(|(mean, score)| *mean += score);
        }
        count += 1.0;
    }
    if count > 1.0 {
        mean.iter_mut().for_each(|mean| *mean /= count);
    }
    mean
}

/// The `look` likeliest pieces, the best first.
fn likeliest(likelihoods: &[f32], look: usize) -> Vec<(u32, f32)> {
    let mut top: Vec<(u32, f32)> = Vec::with_capacity(look + 1);
    for (token, &likelihood) in (0_u32..).zip(likelihoods) {
        let least = top.last().map_or(f32::NEG_INFINITY, |(_, least)| *least);
        if !likelihood.is_finite() || (top.len() == look && likelihood <= least) {
            continue;
        }
        let place = top.partition_point(|(_, other)| *other >= likelihood);
        top.insert(place, (token, likelihood));
        top.truncate(look);
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

    /// What the beam makes of a network that has these raw scores at each step of each stretch, whatever was read.
    fn read_all(hints: &Hints, stretches: &[&[[f32; 7]]]) -> Pieces {
        let vocabulary = vocabulary();
        let mut beam = Beam::new(hints, &vocabulary, END, Breadth::of(16_000));
        for step in 0..stretches[0].len() {
            let heard: Vec<Vec<f32>> = stretches.iter().map(|scores| scores[step].repeat(beam.live().len())).collect();
            if !beam.step(&heard, 7) {
                break;
            }
        }
        beam.best()
    }

    fn read(hints: &[&str], steps: &[[f32; 7]]) -> Vec<u32> {
        read_all(&Hints::new(hints), &[steps]).tokens
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
        let calm = Hints::new(["wrong"]);
        // " long" was heard, 33 times likelier, where " wrong" is waited for.
        let steps = [[0.0, 0.0, 0.0, 4.5, 0.0, 0.0, 8.0], [0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0]];
        assert_eq!(read_all(&calm, &[&steps]).tokens, [6]);
        assert_eq!(read_all(&calm.clone().pressed(), &[&steps]).tokens, [3]);
    }

    #[test]
    fn two_stretches_that_err_in_different_places_make_one_reading() {
        // The first mistakes " number" for " member", the second " wrong" for " long"; each is sure of the other word.
        let first = [
            [0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.0, 4.0, 6.0, 0.0],
            [0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0],
        ];
        let second = [
            [0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 6.0],
            [0.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0],
            [0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0],
        ];
        assert_eq!(read(&[], &first), [3, 5]);
        assert_eq!(read(&[], &second), [6, 4]);
        let both = read_all(&Hints::default(), &[&first, &second]);
        assert_eq!(both.tokens, [3, 4]);
        // Where they say different things, the mean tells that no reading suits both.
        let other = [
            [0.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0],
        ];
        let apart = read_all(&Hints::default(), &[&first, &other]);
        assert!(apart.likelihood < both.likelihood - 4.0, "{} {}", apart.likelihood, both.likelihood);
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
        let top = likeliest(&scores, 16);
        assert_eq!(top.len(), 16);
        assert!(top.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        assert!(top.iter().all(|(token, _)| scores[*token as usize] > 2.35));
        let even = |never| likelihoods([[0.0, 0.0].as_slice(), &[3.0, 3.0]].into_iter(), never);
        assert!((even(None)[0] - 0.5_f32.ln()).abs() < 1e-6);
        assert_eq!(likeliest(&even(Some(0)), 16), [(1, 0.0)], "what may not come is no part of the whole");
    }
}
