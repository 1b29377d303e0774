//! From the synthesis network's spectra to a wave: a band-limited pulse train shaped by the harmonic part, shaped noise,
//! and a part with free phase, put together by one inverse transform per frame. Arithmetic only; the same input gives
//! the same wave.

use std::f32::consts::PI;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Samples per second of the wave.
pub(super) const RATE_HZ: u32 = 24_000;
const HOP: usize = 300;
const WINDOW: usize = 1_200;
/// Rows of every spectrum.
pub(super) const BINS: usize = WINDOW / 2 + 1;
/// Below this pitch a frame is unvoiced.
const LEAST_PITCH_HZ: f32 = 40.0;
/// Harmonics up to here.
const TOP_HZ: f32 = 11_000.0;
/// Log-magnitudes are cut here, so that a wild value cannot overflow.
const MOST_LOG: f32 = 7.0;

/// What the network gives for `frames` frames: each spectrum is bin-major, [`BINS`] × `frames`.
pub(super) struct Spectra<'a> {
    pub harmonic_log: &'a [f32],
    pub harmonic_phase: &'a [f32],
    pub noise_log: &'a [f32],
    pub free_log: &'a [f32],
    pub free_phase: &'a [f32],
    pub pitch_hz: &'a [f32],
}

/// Plans, window and buffers; made once per thread.
pub(super) struct Synth {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    window: Vec<f32>,
    frame: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    forward_scratch: Vec<Complex<f32>>,
    inverse_scratch: Vec<Complex<f32>>,
}

impl Synth {
    pub(super) fn new() -> Self {
        let mut planner = RealFftPlanner::<f32>::new();
        let (forward, inverse) = (planner.plan_fft_forward(WINDOW), planner.plan_fft_inverse(WINDOW));
        let turn = 2.0 * PI / WINDOW as f32;
        Self {
            window: (0..WINDOW).map(|n| 0.5 - 0.5 * (turn * n as f32).cos()).collect(),
            frame: forward.make_input_vec(),
            spectrum: forward.make_output_vec(),
            forward_scratch: forward.make_scratch_vec(),
            inverse_scratch: inverse.make_scratch_vec(),
            forward,
            inverse,
        }
    }

    /// The wave of `spectra`, about −1 to 1; `seed` starts the noise. Empty where the sizes do not fit.
    pub(super) fn wave(&mut self, spectra: &Spectra<'_>, seed: u64) -> Vec<f32> {
        let frames = spectra.pitch_hz.len();
        let size = frames * BINS;
        let fits =
            [spectra.harmonic_log, spectra.harmonic_phase, spectra.noise_log, spectra.free_log, spectra.free_phase]
                .iter()
                .all(|part| part.len() == size);
        if frames == 0 || !fits {
            return Vec::new();
        }
        let excitation = mirrored(&pulses(spectra.pitch_hz));
        let mut noise = Noise::new(seed);
        let half = WINDOW / 2;
        let mut sum = vec![0f32; frames * HOP + WINDOW];
        let mut weight = vec![0f32; frames * HOP + WINDOW];
        for at in 0..frames {
            self.excite(&excitation[at * HOP..at * HOP + WINDOW]);
            self.shape(spectra, frames, at, &mut noise);
            if self
                .inverse
                .process_with_scratch(&mut self.spectrum, &mut self.frame, &mut self.inverse_scratch)
                .is_err()
            {
                return Vec::new();
            }
            let from = at * HOP;
            let places = sum[from..from + WINDOW].iter_mut().zip(&mut weight[from..from + WINDOW]);
            for ((place, total), (value, window)) in places.zip(self.frame.iter().zip(&self.window)) {
                *place += value * window / WINDOW as f32;
                *total += window * window;
            }
        }
        let inside = sum.iter().zip(&weight).skip(half).take(frames * HOP);
        inside.map(|(value, total)| value / total.max(1e-11)).collect()
    }

    /// The excitation's spectrum around one frame; a harmonic of amplitude 1 has magnitude 1.
    fn excite(&mut self, excitation: &[f32]) {
        let scale = 1.0 / HOP as f32;
        for ((out, sample), window) in self.frame.iter_mut().zip(excitation).zip(&self.window) {
            *out = sample * window * scale;
        }
        let done = self.forward.process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.forward_scratch);
        if done.is_err() {
            self.spectrum.fill(Complex::default());
        }
    }

    fn shape(&mut self, spectra: &Spectra<'_>, frames: usize, at: usize, noise: &mut Noise) {
        for (bin, value) in self.spectrum.iter_mut().enumerate() {
            let place = bin * frames + at;
            let (turn, gain) = (PI * spectra.harmonic_phase[place].tanh(), amplitude(spectra.harmonic_log[place]));
            let (sin, cos) = turn.sin_cos();
            let harmonic = *value * Complex::new(cos * gain, sin * gain);
            let (sin, cos) = spectra.free_phase[place].sin_cos();
            let gain = amplitude(spectra.free_log[place]);
            let free = Complex::new(cos * gain, sin * gain);
            *value = harmonic + free + noise.complex() * amplitude(spectra.noise_log[place]);
        }
        for edge in [0, BINS - 1] {
            self.spectrum[edge].im = 0.0;
        }
    }
}

fn amplitude(log: f32) -> f32 {
    log.min(MOST_LOG).exp()
}

/// The pulse train of a pitch curve: all harmonics up to [`TOP_HZ`] at amplitude 1, silent where unvoiced.
fn pulses(pitch_hz: &[f32]) -> Vec<f32> {
    let last = pitch_hz.len() - 1;
    let mut phase = 0f64;
    let mut out = Vec::with_capacity(pitch_hz.len() * HOP);
    for n in 0..pitch_hz.len() * HOP {
        // Frame centres lie half a hop into each hop.
        let place = ((n as f32 + 0.5) / HOP as f32 - 0.5).max(0.0);
        let (frame, share) = (place as usize, place.fract());
        let (this, next) = (pitch_hz[frame.min(last)], pitch_hz[(frame + 1).min(last)]);
        let pitch = this + (next - this) * share;
        let stepped = pitch.max(LEAST_PITCH_HZ);
        phase = (phase + f64::from(stepped) / f64::from(RATE_HZ)).fract();
        out.push(if pitch > LEAST_PITCH_HZ { dirichlet(phase as f32 * 2.0 * PI, stepped) } else { 0.0 });
    }
    out
}

/// cos t + cos 2t + … + cos Ht by the closed form.
fn dirichlet(angle: f32, pitch_hz: f32) -> f32 {
    let order = (TOP_HZ / pitch_hz).floor() + 0.5;
    let below = 2.0 * (angle * 0.5).sin();
    if below.abs() <= 2e-3 { order - 0.5 } else { (order * angle).sin() / below - 0.5 }
}

/// The wave with half a window mirrored at both ends, for centred frames.
fn mirrored(wave: &[f32]) -> Vec<f32> {
    let half = WINDOW / 2;
    let length = wave.len() as i64;
    let reflect = |n: i64| {
        // Short waves bounce more than once.
        let period = (2 * (length - 1)).max(1);
        let m = n.rem_euclid(period);
        wave[(if m < length { m } else { period - m }) as usize]
    };
    (-(half as i64)..length + half as i64).map(reflect).collect()
}

/// Normal noise from a small generator: four uniform numbers added up are close enough for a spectrum of 601 bins.
struct Noise(u64);

impl Noise {
    fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn normal(&mut self) -> f32 {
        // Variance of four uniform 16-bit numbers: 4 · 65536² / 12.
        const SCALE: f32 = 1.0 / (65_536.0 * 0.577_350_26);
        let bits = self.next();
        let sum: u64 = (0..4).map(|n| (bits >> (16 * n)) & 0xFFFF).sum();
        (sum as f32 - 2.0 * 65_535.0) * SCALE
    }

    fn complex(&mut self) -> Complex<f32> {
        Complex::new(self.normal(), self.normal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(frames: usize, pitch: f32, harmonic: f32) -> Vec<f32> {
        let (quiet, zero) = (vec![-30.0; frames * BINS], vec![0.0; frames * BINS]);
        let spectra = Spectra {
            harmonic_log: &vec![harmonic; frames * BINS],
            harmonic_phase: &zero,
            noise_log: &quiet,
            free_log: &quiet,
            free_phase: &zero,
            pitch_hz: &vec![pitch; frames],
        };
        Synth::new().wave(&spectra, 7)
    }

    #[test]
    fn a_flat_spectrum_gives_back_the_pulse_train() {
        let (pitch, frames) = (200.0, 40);
        let wave = flat(frames, pitch, 0.0);
        assert_eq!(wave.len(), frames * HOP);
        let train = pulses(&vec![pitch; frames]);
        // The analysis and synthesis windows together keep the pulses' places; the peak falls every 120 samples.
        let peak = |wave: &[f32]| (6_000..6_120).max_by(|&a, &b| wave[a].total_cmp(&wave[b])).unwrap();
        assert_eq!(peak(&wave), peak(&train));
        assert_eq!(peak(&train) % 120, (peak(&wave) + 120) % 120);
    }

    #[test]
    fn unvoiced_frames_have_no_pulses_and_wild_values_stay_finite() {
        assert!(pulses(&[0.0; 10]).iter().all(|&sample| sample == 0.0));
        assert!(flat(8, 0.0, 500.0).iter().all(|sample| sample.is_finite()));
    }

    #[test]
    fn sizes_that_do_not_fit_give_nothing() {
        let spectra = Spectra {
            harmonic_log: &[0.0],
            harmonic_phase: &[],
            noise_log: &[],
            free_log: &[],
            free_phase: &[],
            pitch_hz: &[100.0],
        };
        assert!(Synth::new().wave(&spectra, 1).is_empty());
    }

    #[test]
    fn noise_is_centred_with_unit_variance() {
        let mut noise = Noise::new(42);
        let values: Vec<f32> = (0..100_000).map(|_| noise.normal()).collect();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let variance = values.iter().map(|value| value * value).sum::<f32>() / values.len() as f32;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }
}
