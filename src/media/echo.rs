//! Is what the caller's line brings only the bot's own voice, come back? Keeps the last 600 ms of what was played and
//! 200 ms of what was heard, both at 2 kHz, and compares them when asked. Cancels nothing and decides nothing: a turn that
//! is about to be interrupted asks.
//!
//! The measure is the normalised cross-correlation, its highest peak over delays of 0 to 400 ms. An echo is the same wave,
//! only later and softer, and comes near 1 at any level; another speaker, even on the same vowel, stays well below; a
//! caller who talks over an echo pulls it down by being louder.

use crate::media::fir::{TILE, tile};
use crate::units::SampleRate;

/// The rate at which the two are compared. The voice's strongest harmonics lie below its half.
const RATE_HZ: u32 = 2000;
/// Heard samples that are compared: 200 ms.
const WINDOW: usize = 400;
/// The longest delay looked at: 400 ms.
const MAX_LAG: usize = 800;
/// Samples kept of what was played.
const HISTORY: usize = WINDOW + MAX_LAG;
/// From here on a similarity is an echo.
const ECHO: f32 = 0.7;
/// Mean power, in squared sixteen-bit units, below which there is nothing to compare: about −75 dBFS.
const SILENCE: f32 = 32.0;
/// Share of the sample before that is taken off, to lift the upper harmonics: they tell voices apart better than pitch.
const EMPHASIS: f32 = 0.7;

/// Compares what one call's bot says with what its caller's line brings.
#[derive(Clone, Debug)]
pub struct EchoGuard {
    played: Track<{ 2 * HISTORY }>,
    heard: Track<{ 2 * WINDOW }>,
}

impl EchoGuard {
    /// A guard for a call at this rate, which has played and heard silence so far. About 13 KiB.
    #[must_use]
    pub fn new(rate: SampleRate) -> Self {
        let step = (rate.hz() / RATE_HZ).max(1) as usize;
        Self { played: Track::new(step), heard: Track::new(step) }
    }

    /// What the bot played in this tick: silence too, or the two lose their common time.
    pub fn played(&mut self, frame: &[i16]) {
        self.played.push(frame);
    }

    /// What the caller's line brought in this tick, or its concealment.
    pub fn heard(&mut self, frame: &[i16]) {
        self.heard.push(frame);
    }

    /// How much the last 200 ms heard are like anything played up to 400 ms before them, 0 to 1; 0 where either is silent.
    /// Costs some 320,000 multiplications whatever the signals, so ask when there is something to decide.
    #[must_use]
    pub fn similarity(&self) -> f32 {
        let heard = self.heard.last(WINDOW);
        let heard_energy = energy(heard);
        if heard_energy < SILENCE * WINDOW as f32 {
            return 0.0;
        }
        let played = self.played.last(HISTORY);
        let mut best = 0.0_f32;
        let mut keep_best = |sum: f32, played_energy: f32| {
            if played_energy > SILENCE * WINDOW as f32 {
                best = best.max(sum.abs() / (heard_energy * played_energy).sqrt());
            }
        };
        for start in (0..MAX_LAG).step_by(TILE) {
            let sums = tile(&played[start..start + WINDOW + TILE - 1], heard);
            // Summed anew for every tile, so that rounding cannot pile up.
            let mut played_energy = energy(&played[start..start + WINDOW]);
            for (at, sum) in (start..).zip(sums) {
                keep_best(sum, played_energy);
                played_energy += played[at + WINDOW].powi(2) - played[at].powi(2);
            }
        }
        let undelayed = &played[MAX_LAG..];
        keep_best(undelayed.iter().zip(heard).map(|(p, h)| p * h).sum(), energy(undelayed));
        best.min(1.0)
    }

    /// Whether the last 200 ms heard are the bot's own voice.
    #[must_use]
    pub fn is_echo(&self) -> bool {
        self.similarity() >= ECHO
    }

    /// Forgets both.
    pub fn reset(&mut self) {
        self.played.reset();
        self.heard.reset();
    }
}

fn energy(samples: &[f32]) -> f32 {
    samples.iter().map(|s| s * s).sum()
}

/// One signal at 2 kHz, its newest samples always in one piece: a buffer of twice the history, moved to its front when full.
#[derive(Clone, Debug)]
struct Track<const N: usize> {
    samples: Box<[f32]>,
    end: usize,
    step: usize,
    /// Samples of the open group, and its two weighted sums.
    filled: usize,
    rising: i32,
    falling: i32,
    /// The rising half of the group before.
    before: i32,
    /// The last output before emphasis.
    plain: f32,
}

impl<const N: usize> Track<N> {
    fn new(step: usize) -> Self {
        let samples = vec![0.0; N].into_boxed_slice();
        Self { samples, end: N / 2, step, filled: 0, rising: 0, falling: 0, before: 0, plain: 0.0 }
    }

    fn reset(&mut self) {
        self.samples.fill(0.0);
        self.end = N / 2;
        (self.filled, self.rising, self.falling, self.before, self.plain) = (0, 0, 0, 0, 0.0);
    }

    fn last(&self, count: usize) -> &[f32] {
        &self.samples[self.end - count..self.end]
    }

    /// Takes the rate down by a triangle over two groups of `step` samples, one rising, one falling.
    fn push(&mut self, frame: &[i16]) {
        for &sample in frame {
            let sample = i32::from(sample);
            self.filled += 1;
            self.rising += sample * self.filled as i32;
            self.falling += sample * (self.step - self.filled) as i32;
            if self.filled == self.step {
                let sum = (self.before + self.falling) as f32 / (self.step * self.step) as f32;
                self.append(sum);
                (self.before, self.rising, self.falling, self.filled) = (self.rising, 0, 0, 0);
            }
        }
    }

    /// Adds one sample at 2 kHz.
    fn append(&mut self, plain: f32) {
        if self.end == N {
            self.samples.copy_within(N - N / 2.., 0);
            self.end = N / 2;
        }
        self.samples[self.end] = plain - EMPHASIS * self.plain;
        self.plain = plain;
        self.end += 1;
    }
}

#[cfg(test)]
#[path = "echo_tests.rs"]
mod tests;
