//! What is done to the caller's voice before it leaves: level, trimming, noise, the loss of µ-law and of frames. Repeatable:
//! the same seed gives the same call.

use super::ear::{first_audible, last_audible};
use crate::media::{Noise, ulaw_decode, ulaw_encode};
use crate::units::SampleRate;

/// Level of the caller's speech.
pub(super) const SPEECH_DBFS: f32 = -20.0;

/// A line, ready to be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clip {
    /// At the leg's rate.
    pub samples: Vec<i16>,
    /// First and last audible sample.
    pub audible: (usize, usize),
}

impl Clip {
    /// Levels the speech, and cuts off what is inaudible at both ends. `None` where nothing is audible.
    pub(super) fn speech(mut samples: Vec<i16>, rate: SampleRate) -> Option<Self> {
        level(&mut samples, rate);
        Self::as_it_is(samples)
    }

    /// Only cuts off what is inaudible at both ends.
    pub(super) fn as_it_is(mut samples: Vec<i16>) -> Option<Self> {
        let (first, last) = (first_audible(&samples)?, last_audible(&samples)?);
        samples.truncate(last + 1);
        samples.drain(..first);
        let audible = (0, samples.len() - 1);
        Some(Self { samples, audible })
    }

    /// A cough: 280 ms of noise that rises fast and dies away.
    pub(super) fn cough(rate: SampleRate, seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x0c0c_0c0c);
        let count = rate.samples_in(280) as usize;
        let rise = rate.samples_in(15) as f64;
        let shape = |at: usize| (at as f64 / rise).min(1.0) * (-(at as f64) / (count as f64 / 3.0)).exp();
        let samples: Vec<i16> = (0..count).map(|at| (random.signed() * shape(at) * 14_000.0) as i16).collect();
        let audible = (first_audible(&samples).unwrap_or(0), last_audible(&samples).unwrap_or(count - 1));
        Self { samples, audible }
    }
}

/// Brings speech to [`SPEECH_DBFS`], measured over the loud windows of 20 ms alone, without clipping.
fn level(samples: &mut [i16], rate: SampleRate) {
    let power = |window: &[i16]| window.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / window.len() as f64;
    let powers: Vec<f64> = samples.chunks(rate.frame_samples()).map(power).collect();
    let top = powers.iter().copied().fold(0.0, f64::max);
    let loud: Vec<f64> = powers.into_iter().filter(|&p| p > top / 1000.0).collect();
    let mean = loud.iter().sum::<f64>() / loud.len().max(1) as f64;
    let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
    if mean < 1.0 || peak == 0 {
        return;
    }
    let wanted = 32_768.0 * 10_f64.powf(f64::from(SPEECH_DBFS) / 20.0) / mean.sqrt();
    let gain = wanted.min(32_000.0 / f64::from(peak));
    samples.iter_mut().for_each(|s| *s = (f64::from(*s) * gain).round() as i16);
}

/// How the line between caller and server is spoilt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spoil {
    /// White noise so many decibels below the speech, all the time.
    pub noise_db: Option<f32>,
    /// Share of frames that are lost, 0 to 100. A WebSocket loses nothing: what the network before the dialler lost comes
    /// out of it as silence of the same length, so that is what is sent.
    pub loss_pct: f32,
    /// The far end's telephone gives back what it plays.
    pub echo: Option<Echo>,
    /// Every sample goes through µ-law and back.
    pub mulaw: bool,
    /// Start of the pseudo-random numbers.
    pub seed: u64,
}

/// An echo of the bot's own voice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Echo {
    /// So many decibels below what was played.
    pub below_db: f32,
    /// So much later.
    pub delay_ms: u32,
}

impl Echo {
    /// Adds the echo of `played` to a frame.
    pub(super) fn add(self, played: &[i16], frame: &mut [i16]) {
        let gain = 10_f32.powf(-self.below_db / 20.0);
        for (sample, &echo) in frame.iter_mut().zip(played) {
            *sample = (f32::from(*sample) + f32::from(echo) * gain).round() as i16;
        }
    }
}

impl Default for Spoil {
    fn default() -> Self {
        Self { noise_db: None, loss_pct: 0.0, mulaw: false, echo: None, seed: 1 }
    }
}

/// Spoils frame after frame.
#[derive(Debug)]
pub(super) struct Spoiler {
    noise: Option<Noise>,
    loss: f64,
    pub echo: Option<Echo>,
    mulaw: bool,
    random: Random,
    /// Frames lost.
    pub lost: u64,
}

impl Spoiler {
    pub(super) fn new(spoil: Spoil) -> Self {
        Self {
            noise: spoil.noise_db.map(|db| Noise::new(spoil.seed, SPEECH_DBFS - db)),
            loss: f64::from(spoil.loss_pct) / 100.0,
            echo: spoil.echo,
            mulaw: spoil.mulaw,
            random: Random::new(spoil.seed),
            lost: 0,
        }
    }

    /// Spoils a frame; a lost one is silence.
    pub(super) fn pass(&mut self, frame: &mut [i16]) {
        if let Some(noise) = &mut self.noise {
            noise.add_to(frame);
        }
        if self.mulaw {
            let mut code = [0];
            for sample in frame.chunks_mut(1) {
                ulaw_encode(sample, &mut code);
                ulaw_decode(&code, sample);
            }
        }
        if self.loss > 0.0 && self.random.unit() < self.loss {
            frame.fill(0);
            self.lost += 1;
        }
    }
}

/// xorshift64*: which frames are lost, and what a cough is made of.
#[derive(Debug)]
struct Random(u64);

impl Random {
    const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// 0 to 1.
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// −1 to 1.
    fn signed(&mut self) -> f64 {
        self.unit() * 2.0 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::dbfs;

    fn tone(hz: f64, rate: SampleRate, ms: u64, peak: f64) -> Vec<i16> {
        let step = std::f64::consts::TAU * hz / f64::from(rate.hz());
        (0..rate.samples_in(ms)).map(|n| ((n as f64 * step).sin() * peak) as i16).collect()
    }

    #[test]
    fn speech_is_levelled_and_trimmed() {
        let mut samples = vec![0; 4000];
        samples.extend(tone(400.0, SampleRate::NARROW, 500, 900.0));
        samples.extend(vec![3; 2000]);
        let clip = Clip::speech(samples, SampleRate::NARROW).unwrap();
        assert!((dbfs(&clip.samples) + 20.0).abs() < 0.3, "{}", dbfs(&clip.samples));
        assert!((3990..=4000).contains(&clip.samples.len()), "{}", clip.samples.len());
        assert_eq!(clip.audible, (0, clip.samples.len() - 1));
        assert_eq!(Clip::speech(vec![0; 900], SampleRate::NARROW), None);
    }

    #[test]
    fn noise_is_as_loud_as_asked_and_repeatable() {
        let frames = |seed| {
            let mut spoiler = Spoiler::new(Spoil { noise_db: Some(15.0), seed, ..Spoil::default() });
            let mut all = vec![0; 16_000];
            all.chunks_mut(160).for_each(|frame| spoiler.pass(frame));
            all
        };
        assert!((dbfs(&frames(7)) + 35.0).abs() < 0.3);
        assert_eq!(frames(7), frames(7));
        assert_ne!(frames(7), frames(8));
    }

    #[test]
    fn an_echo_is_as_loud_as_asked() {
        let mut frame = [100, -100, 32_000];
        Echo { below_db: 20.0, delay_ms: 150 }.add(&[10_000, 10_000, 32_000], &mut frame);
        assert_eq!(frame, [1_100, 900, 32_767]);
    }

    #[test]
    fn about_as_many_frames_are_lost_as_asked() {
        let mut spoiler = Spoiler::new(Spoil { loss_pct: 2.0, ..Spoil::default() });
        let silent = |_: &i32| {
            let mut frame = [1; 160];
            spoiler.pass(&mut frame);
            frame == [0; 160]
        };
        let lost = (0..10_000).filter(silent).count();
        assert_eq!(lost as u64, spoiler.lost);
        assert!((150..250).contains(&spoiler.lost), "{}", spoiler.lost);
    }

    #[test]
    fn a_mulaw_line_is_heard_in_the_samples() {
        let mut spoiler = Spoiler::new(Spoil { mulaw: true, ..Spoil::default() });
        let mut frame = [0, 1000, -1000, 32_767];
        spoiler.pass(&mut frame);
        assert_eq!(frame, [0, 988, -988, 32_124]);
    }
}
