//! Made-up audio for tests, benches and stand-ins: tones with a cadence, and white noise from a seed. Pure and exactly
//! repeatable; never used to play anything to a real caller.

use std::f64::consts::TAU;

use crate::units::SampleRate;

/// One to four sines sounding together, steady or in a cadence, continuous over calls of [`fill`](Self::fill).
#[derive(Clone, Debug)]
pub struct Tone {
    rate: SampleRate,
    parts_hz: [f64; 4],
    amplitude: f64,
    cadence_ms: [u32; 4],
    at: u64,
}

impl Tone {
    /// A steady tone of these frequencies (the first four count), each with a peak of `amplitude`.
    #[must_use]
    pub fn new(rate: SampleRate, hz: &[f64], amplitude: i16) -> Self {
        let mut parts_hz = [0.0; 4];
        parts_hz.iter_mut().zip(hz).for_each(|(slot, &hz)| *slot = hz);
        Self { rate, parts_hz, amplitude: f64::from(amplitude), cadence_ms: [1, 0, 0, 0], at: 0 }
    }

    /// The same tone switched on and off: on, off, on, off milliseconds, over and over. All zero means silence.
    #[must_use]
    pub const fn with_cadence(mut self, on_off_ms: [u32; 4]) -> Self {
        self.cadence_ms = on_off_ms;
        self
    }

    /// Indian ringing tone: 400 + 450 Hz, 0.4 s on, 0.2 s off, 0.4 s on, 2 s off (ITU-T E.180 list).
    #[must_use]
    pub fn ringback_in(rate: SampleRate, amplitude: i16) -> Self {
        Self::new(rate, &[400.0, 450.0], amplitude).with_cadence([400, 200, 400, 2000])
    }

    /// North American ringing tone: 440 + 480 Hz, 2 s on, 4 s off (ITU-T E.180 list).
    #[must_use]
    pub fn ringback_us(rate: SampleRate, amplitude: i16) -> Self {
        Self::new(rate, &[440.0, 480.0], amplitude).with_cadence([2000, 4000, 0, 0])
    }

    /// Fills `out` with the next samples.
    pub fn fill(&mut self, out: &mut [i16]) {
        for sample in out {
            *sample = self.sample();
            self.at += 1;
        }
    }

    /// The next `ms` milliseconds as a new buffer.
    #[must_use]
    pub fn take_ms(&mut self, ms: u64) -> Vec<i16> {
        let mut samples = vec![0; self.rate.samples_in(ms) as usize];
        self.fill(&mut samples);
        samples
    }

    fn sample(&self) -> i16 {
        let seconds = self.at as f64 / f64::from(self.rate.hz());
        if !self.sounds_at(self.rate.ms_of(self.at)) {
            return 0;
        }
        let sum: f64 = self.parts_hz.iter().filter(|&&hz| hz > 0.0).map(|hz| (seconds * hz * TAU).sin()).sum();
        (sum * self.amplitude).round() as i16
    }

    fn sounds_at(&self, ms: u64) -> bool {
        let round = self.cadence_ms.iter().map(|&part| u64::from(part)).sum::<u64>().max(1);
        let mut left = ms % round;
        for (i, &part) in self.cadence_ms.iter().enumerate() {
            if left < u64::from(part) {
                return i % 2 == 0;
            }
            left -= u64::from(part);
        }
        false
    }
}

/// White noise with a flat distribution, from xorshift64: the same seed gives the same noise on every machine.
#[derive(Clone, Debug)]
pub struct Noise {
    state: u64,
    scale: f32,
}

impl Noise {
    /// Noise of this level relative to full scale, in dBFS RMS.
    #[must_use]
    pub fn new(seed: u64, level_dbfs: f32) -> Self {
        // The RMS of a flat distribution over −1..1 is 1/√3.
        let scale = 32_768.0 * 10.0_f32.powf(level_dbfs / 20.0) * 3.0_f32.sqrt();
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, scale }
    }

    /// Fills `out` with noise.
    pub fn fill(&mut self, out: &mut [i16]) {
        out.iter_mut().for_each(|sample| *sample = self.sample());
    }

    /// Adds noise onto `samples`, clipping at full scale.
    pub fn add_to(&mut self, samples: &mut [i16]) {
        samples.iter_mut().for_each(|sample| *sample = sample.saturating_add(self.sample()));
    }

    fn sample(&mut self) -> i16 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let flat = (self.state >> 40) as f32 / 8_388_608.0 - 1.0;
        (flat * self.scale).round() as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::dbfs;

    #[test]
    fn a_tone_has_the_known_samples_and_runs_on_over_calls() {
        let mut tone = Tone::new(SampleRate::NARROW, &[400.0], 8000);
        let (mut first, mut second) = ([0; 7], [0; 13]);
        tone.fill(&mut first);
        tone.fill(&mut second);
        assert_eq!(first, [0, 2472, 4702, 6472, 7608, 8000, 7608]);
        assert_eq!(second, [6472, 4702, 2472, 0, -2472, -4702, -6472, -7608, -8000, -7608, -6472, -4702, -2472]);
    }

    #[test]
    fn ringing_tone_keeps_its_cadence() {
        let ring = Tone::ringback_in(SampleRate::NARROW, 5000).take_ms(6000);
        let loud: Vec<bool> = ring.chunks(1600).map(|c| dbfs(c) > -60.0).collect();
        let round = [true, true, false, true, true].into_iter().chain([false; 10]);
        assert_eq!(loud, round.clone().chain(round).collect::<Vec<_>>());
    }

    #[test]
    fn noise_has_the_level_asked_for_and_repeats_by_seed() {
        for level in [-10.0, -30.0, -50.0] {
            let (mut a, mut b) = ([0; 16_000], [0; 16_000]);
            Noise::new(7, level).fill(&mut a);
            Noise::new(7, level).fill(&mut b);
            assert!((dbfs(&a) - level).abs() < 0.3, "asked for {level}, got {}", dbfs(&a));
            assert_eq!(a, b);
        }
    }
}
