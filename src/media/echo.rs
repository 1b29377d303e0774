//! Is what the caller's line brings only the bot's own voice, come back? Keeps the last 600 ms of what was played and
//! 200 ms of what was heard, and compares them at 2 kHz when asked. Cancels nothing and decides nothing: a turn that
//! is about to be interrupted asks.
//!
//! The measure is the normalised cross-correlation, its highest peak over delays of 0 to 400 ms. An echo is the same wave,
//! only later and softer, and comes near 1 at any level; another speaker, even on the same vowel, stays well below; a
//! caller who talks over an echo pulls it down by being louder.
//!
//! No echo comes back after a whole number of samples. Half a sample off, the upper harmonics are in counter-phase and an
//! echo looks like another speaker, so the correlation is interpolated to quarters of a sample before its peak is sought.

use std::f32::consts::PI;

use crate::media::fir::{TILE, tile};
use crate::units::{SampleRate, prefetch};

/// The rate at which the two are compared. The voice's strongest harmonics lie below its half.
const RATE_HZ: u32 = 2000;
/// Heard samples that are compared: 200 ms.
const WINDOW: usize = 400;
/// The longest delay looked at: 400 ms.
const MAX_LAG: usize = 800;
/// Delays looked at for each sample: the correlation is interpolated in between.
const PHASES: usize = 4;
/// Samples of the correlation on either side that an interpolated one is made of.
const REACH: usize = 6;
/// Samples kept of what was played.
const HISTORY: usize = WINDOW + MAX_LAG;
/// From here on a similarity is an echo.
const ECHO: f32 = 0.78;
/// Once an echo was found, what is at most so much louder than it is echo as well, as a ratio of powers: 6 dB.
const LOUDER: f32 = 4.0;
/// An echo louder than this beside what was played, 13 dB below it, would drown a caller if loudness were to tell.
const SOFT: f32 = 0.05;
/// For so many questions after the last one that found it: about 5 s of sound on the caller's line, as silence asks none.
const TRUSTED_ASKS: u32 = 80;
/// By how much the loudest that was played fades from one question to the next, as a ratio of powers: half a decibel.
const FADE: f32 = 0.9;
/// Mean power, in squared sixteen-bit units, below which there is nothing to compare: about −75 dBFS.
const SILENCE: f32 = 32.0;
/// Share of the sample before that is taken off, to lift the upper harmonics: they tell voices apart better than pitch.
const EMPHASIS: f32 = 0.7;

/// The fastest line, in samples for each of the comparison.
const MOST_STEP: usize = 12;
/// Samples of such a line that are kept.
const MOST_KEPT: usize = (HISTORY + LOW_PASS_GROUPS) * MOST_STEP;
/// The low-pass before the rate is taken down is so many samples of the comparison long.
const LOW_PASS_GROUPS: usize = 12;
/// The share of the band that it passes, to half the amplitude.
const PASSED: f32 = 0.7;

/// Compares what one call's bot says with what its caller's line brings.
#[derive(Clone, Debug)]
pub struct EchoGuard {
    played: Track,
    heard: Track,
    /// The filters of the places between two samples.
    between: [[f32; 2 * REACH]; PHASES - 1],
    /// How loud the echo was beside what was played, as a ratio of powers, and how many questions ago it was found.
    coupling: Option<(f32, u32)>,
    /// The energy of the loudest 200 ms played of late.
    loudest: f32,
}

/// The likest of all delays.
#[derive(Clone, Copy, Debug, Default)]
struct Likest {
    similarity: f32,
    heard_energy: f32,
    played_energy: f32,
    /// The energy of the loudest stretch that was compared.
    loudest: f32,
}

impl EchoGuard {
    /// A guard for a call at this rate, 24 kHz at most, which has played and heard silence so far. About 13 KiB at 8 kHz.
    #[must_use]
    pub fn new(rate: SampleRate) -> Self {
        let step = ((rate.hz() / RATE_HZ).max(1) as usize).min(MOST_STEP);
        Self {
            played: Track::new(step, HISTORY),
            heard: Track::new(step, WINDOW),
            between: std::array::from_fn(|i| interpolator(i + 1)),
            coupling: None,
            loudest: 0.0,
        }
    }

    /// What the bot played in this tick: silence too, or the two lose their common time.
    pub fn played(&mut self, frame: &[i16]) {
        self.played.push(frame);
    }

    /// What the caller's line brought in this tick, or its concealment.
    pub fn heard(&mut self, frame: &[i16]) {
        self.heard.push(frame);
    }

    /// Begins to bring near where the next frame of both goes, of so many samples.
    pub fn prefetch(&self, frame: usize) {
        self.played.prefetch(frame);
        self.heard.prefetch(frame);
    }

    /// How much the last 200 ms heard are like anything played up to 400 ms before them, 0 to 1; 0 where either is silent.
    /// Costs some 400,000 multiplications whatever the signals, so ask when there is something to decide.
    #[must_use]
    pub fn similarity(&self) -> f32 {
        self.likest().similarity
    }

    fn likest(&self) -> Likest {
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") {
            #[expect(
                unsafe_code,
                reason = "the dearest thing in a tick takes half the time in vectors of twice the length"
            )]
            // SAFETY: this processor has the feature.
            return unsafe { self.likest_avx2() };
        }
        self.likest_on()
    }

    /// The same sums where the processor has longer vectors.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn likest_avx2(&self) -> Likest {
        self.likest_on()
    }

    #[inline(always)]
    fn likest_on(&self) -> Likest {
        let heard: [f32; WINDOW] = self.heard.last();
        let heard_energy = energy(&heard);
        let mut best = Likest { heard_energy, ..Likest::default() };
        if heard_energy < SILENCE * WINDOW as f32 {
            return best;
        }
        let (sums, energies) = self.correlate(&heard);
        let mut keep_best = |sum: f32, played_energy: f32| {
            best.loudest = best.loudest.max(played_energy);
            if played_energy > SILENCE * WINDOW as f32 {
                let similarity = (sum.abs() / (heard_energy * played_energy).sqrt()).min(1.0);
                if similarity > best.similarity {
                    (best.similarity, best.played_energy) = (similarity, played_energy);
                }
            }
        };
        for (&sum, &played_energy) in sums.iter().zip(&energies) {
            keep_best(sum, played_energy);
        }
        for (around, pair) in sums.windows(2 * REACH).zip(energies[REACH - 1..].windows(2)) {
            for (phase, filter) in (1..).zip(&self.between) {
                let sum = around.iter().zip(filter).map(|(sum, tap)| sum * tap).sum();
                let share = phase as f32 / PHASES as f32;
                keep_best(sum, pair[0] + share * (pair[1] - pair[0]));
            }
        }
        best
    }

    /// What was heard against what was played at every delay in whole samples, the longest first, and the energy of the latter.
    #[inline(always)]
    fn correlate(&self, heard: &[f32]) -> ([f32; MAX_LAG + 1], [f32; MAX_LAG + 1]) {
        let played: [f32; HISTORY] = self.played.last();
        let (mut sums, mut energies) = ([0.0; MAX_LAG + 1], [0.0; MAX_LAG + 1]);
        for start in (0..MAX_LAG).step_by(TILE) {
            sums[start..start + TILE].copy_from_slice(&tile(&played[start..start + WINDOW + TILE - 1], heard));
            // Summed anew for every tile, so that rounding cannot pile up.
            let mut played_energy = energy(&played[start..start + WINDOW]);
            for at in start..start + TILE {
                energies[at] = played_energy;
                played_energy += played[at + WINDOW].powi(2) - played[at].powi(2);
            }
        }
        let undelayed = &played[MAX_LAG..];
        sums[MAX_LAG] = undelayed.iter().zip(heard).map(|(p, h)| p * h).sum();
        energies[MAX_LAG] = energy(undelayed);
        (sums, energies)
    }

    /// Whether the last 200 ms heard are the bot's own voice. A line that was found to echo is known by its loudness from then
    /// on: where the network stumbles, the echo jumps to another delay, and for as long as the jump is among the last 200 ms it
    /// is like nothing that was played. A caller who talks over the echo is louder.
    pub fn is_echo(&mut self) -> bool {
        let likest = self.likest();
        self.loudest = likest.loudest.max(self.loudest * FADE);
        if likest.similarity >= ECHO {
            let coupling = likest.heard_energy / likest.played_energy;
            // The loudest of late, as an echo beneath a caller's soft words shows itself too small, never too great.
            let before = self.coupling.map_or(0.0, |(before, _)| before * FADE);
            self.coupling = Some((coupling.max(before), 0));
            return true;
        }
        self.coupling = self.coupling.map(|(c, asks)| (c, asks + 1)).filter(|&(_, asks)| asks <= TRUSTED_ASKS);
        self.coupling.is_some_and(|(c, _)| c <= SOFT && likest.heard_energy <= LOUDER * c * self.loudest)
    }

    /// Forgets both.
    pub fn reset(&mut self) {
        self.played.reset();
        self.heard.reset();
        (self.coupling, self.loudest) = (None, 0.0);
    }
}

/// A sinc under a raised cosine that finds what lies `phase` of [`PHASES`] parts behind the middle of its samples.
fn interpolator(phase: usize) -> [f32; 2 * REACH] {
    std::array::from_fn(|tap| {
        let x = tap as f32 - (REACH - 1) as f32 - phase as f32 / PHASES as f32;
        let window = (PI * x / (2 * REACH) as f32).cos().powi(2);
        window * (PI * x).sin() / (PI * x)
    })
}

/// A windowed sinc of sum 1, for taking the rate down by `step`.
fn low_pass(step: usize) -> Box<[f32]> {
    let count = LOW_PASS_GROUPS * step;
    let middle = (count - 1) as f32 / 2.0;
    let tap = |n: usize| {
        let x = n as f32 - middle;
        let turn = PI * x * PASSED / step as f32;
        let sinc = if x.abs() < 0.25 { 1.0 } else { turn.sin() / turn };
        sinc * (PI * x / count as f32).cos().powi(2)
    };
    let taps: Vec<f32> = (0..count).map(tap).collect();
    let sum: f32 = taps.iter().sum();
    taps.into_iter().map(|tap| tap / sum).collect()
}

#[inline(always)]
fn energy(samples: &[f32]) -> f32 {
    inner(samples, samples)
}

/// The inner product of two stretches of one length, in several sums beside each other: one sum alone would wait for itself.
#[inline(always)]
fn inner(a: &[f32], b: &[f32]) -> f32 {
    let (eights, rest) = a.as_chunks::<8>();
    let (others, other_rest) = b.as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for (a, b) in eights.iter().zip(others) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest.iter().zip(other_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// One signal at the line's rate: a ring of what is kept. Most of it is never asked for, so a tick only writes its own frame, and
/// the rate is taken down when the comparison is made, not before.
#[derive(Clone, Debug)]
struct Track {
    samples: Box<[i16]>,
    /// Where the next sample goes: behind the newest, before the oldest.
    end: usize,
    step: usize,
    taps: Box<[f32]>,
}

impl Track {
    /// Keeps what `count` samples of the comparison are made of, and the one before them.
    fn new(step: usize, count: usize) -> Self {
        let taps = low_pass(step);
        Self { samples: vec![0; count * step + taps.len()].into_boxed_slice(), end: 0, step, taps }
    }

    fn reset(&mut self) {
        self.samples.fill(0);
    }

    fn prefetch(&self, frame: usize) {
        let end = (self.end + frame).min(self.samples.len());
        prefetch(&self.samples[self.end..end]);
    }

    fn push(&mut self, frame: &[i16]) {
        let mut rest = frame;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(self.samples.len() - self.end));
            self.samples[self.end..self.end + now.len()].copy_from_slice(now);
            self.end = (self.end + now.len()) % self.samples.len();
            rest = later;
        }
    }

    /// The newest samples of the comparison. What lies above the new band has to be gone: folded into it, it would move the
    /// other way with the delay.
    #[inline(always)]
    fn last<const N: usize>(&self) -> [f32; N] {
        let mut room = [0; MOST_KEPT];
        let newest = &mut room[..self.samples.len()];
        let (newer, older) = self.samples.split_at(self.end);
        newest[..older.len()].copy_from_slice(older);
        newest[older.len()..].copy_from_slice(newer);
        let newest = &newest[self.samples.len() - self.taps.len() - N * self.step..];
        let mut windows = newest.windows(self.taps.len()).step_by(self.step);
        let mut before = windows.next().map_or(0.0, |window| weighted(window, &self.taps));
        let mut out = [0.0; N];
        for (out, window) in out.iter_mut().zip(windows) {
            let plain = weighted(window, &self.taps);
            *out = plain - EMPHASIS * before;
            before = plain;
        }
        out
    }
}

/// [`inner`] of samples as they come from the line.
#[inline(always)]
fn weighted(samples: &[i16], taps: &[f32]) -> f32 {
    let (eights, rest) = samples.as_chunks::<8>();
    let (others, other_rest) = taps.as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for (samples, taps) in eights.iter().zip(others) {
        for ((sum, sample), tap) in sums.iter_mut().zip(samples).zip(taps) {
            *sum += f32::from(*sample) * tap;
        }
    }
    sums.iter().sum::<f32>() + rest.iter().zip(other_rest).map(|(s, tap)| f32::from(*s) * tap).sum::<f32>()
}

#[cfg(test)]
#[path = "echo_tests.rs"]
mod tests;
