//! The log-mel picture that the end-of-turn model looks at: 80 Slaney bands by 800 frames of 10 ms. Arithmetic only.

use std::f32::consts::PI;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

/// Samples of the picture: 8 s at 16 kHz.
pub(super) const SAMPLES: usize = 128_000;
/// Mel bands.
pub(super) const BANDS: usize = 80;
/// Frames.
pub(super) const FRAMES: usize = 800;
const WINDOW: usize = 400;
const HOP: usize = 160;
const BINS: usize = WINDOW / 2 + 1;

/// One triangular band: the weights of consecutive bins from `first`.
struct Band {
    first: usize,
    weights: Vec<f32>,
}

/// Plan, window and bands; made once per thread.
pub(super) struct LogMel {
    fft: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    bands: Vec<Band>,
    padded: Vec<f32>,
    frame: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

impl LogMel {
    pub(super) fn new() -> Self {
        let fft = RealFftPlanner::<f32>::new().plan_fft_forward(WINDOW);
        let turn = 2.0 * PI / WINDOW as f32;
        Self {
            window: (0..WINDOW).map(|n| 0.5 - 0.5 * (turn * n as f32).cos()).collect(),
            bands: bands(),
            padded: vec![0.0; SAMPLES + WINDOW],
            frame: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            fft,
        }
    }

    /// The picture of the last 8 s of `audio`, band by band ([`BANDS`] × [`FRAMES`]); shorter audio has silence before it.
    pub(super) fn picture(&mut self, audio: &[i16]) -> Vec<f32> {
        self.place(audio);
        let mut picture = vec![0f32; BANDS * FRAMES];
        let mut peak = f32::MIN;
        // The silence before short audio is one value after normalisation: every frame in it looks the same.
        let silent_frames = (SAMPLES - audio.len().min(SAMPLES)).saturating_sub(WINDOW) / HOP;
        for frame in 0..FRAMES {
            if frame > 2 && frame < silent_frames {
                for row in picture.chunks_mut(FRAMES) {
                    row[frame] = row[frame - 1];
                }
                continue;
            }
            let from = frame * HOP;
            for ((out, sample), weight) in self.frame.iter_mut().zip(&self.padded[from..]).zip(&self.window) {
                *out = sample * weight;
            }
            if self.fft.process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch).is_err() {
                return picture;
            }
            for (band, row) in self.bands.iter().zip(picture.chunks_mut(FRAMES)) {
                let bins = self.spectrum.get(band.first..).unwrap_or_default();
                let power: f32 = bins.iter().zip(&band.weights).map(|(bin, weight)| bin.norm_sqr() * weight).sum();
                let level = power.max(1e-10).log10();
                peak = peak.max(level);
                row[frame] = level;
            }
        }
        for value in &mut picture {
            *value = (value.max(peak - 8.0) + 4.0) / 4.0;
        }
        picture
    }

    /// Normalised to zero mean and unit variance over the whole 8 s, with its ends mirrored for the centred frames.
    fn place(&mut self, audio: &[i16]) {
        let audio = audio.get(audio.len().saturating_sub(SAMPLES)..).unwrap_or_default();
        let count = SAMPLES as f64;
        let mean = audio.iter().map(|&sample| f64::from(sample) / 32_768.0).sum::<f64>() / count;
        let square = audio.iter().map(|&sample| (f64::from(sample) / 32_768.0).powi(2)).sum::<f64>() / count;
        let scale = 1.0 / (square - mean * mean + 1e-7).sqrt();
        let half = WINDOW / 2;
        let (body, silence) = (&mut self.padded[half..half + SAMPLES], (-mean * scale) as f32);
        let (before, rest) = body.split_at_mut(SAMPLES - audio.len());
        before.fill(silence);
        for (out, &sample) in rest.iter_mut().zip(audio) {
            *out = ((f64::from(sample) / 32_768.0 - mean) * scale) as f32;
        }
        for n in 1..=half {
            self.padded[half - n] = self.padded[half + n];
            self.padded[half + SAMPLES - 1 + n] = self.padded[half + SAMPLES - 1 - n];
        }
    }
}

/// Slaney's scale: linear below 1 kHz, logarithmic above.
fn hz_of_mel(mel: f64) -> f64 {
    if mel < 15.0 { mel * 200.0 / 3.0 } else { 1000.0 * ((6.4f64.ln() / 27.0) * (mel - 15.0)).exp() }
}

fn mel_of_hz(hz: f64) -> f64 {
    if hz < 1000.0 { hz * 3.0 / 200.0 } else { 15.0 + (hz / 1000.0).ln() * 27.0 / 6.4f64.ln() }
}

fn bands() -> Vec<Band> {
    let top = mel_of_hz(8_000.0);
    let edge = |n: usize| hz_of_mel(top * n as f64 / (BANDS + 1) as f64);
    (0..BANDS)
        .map(|band| {
            let (low, middle, high) = (edge(band), edge(band + 1), edge(band + 2));
            let area = 2.0 / (high - low);
            let weight = |bin: usize| {
                let hz = bin as f64 * 8_000.0 / (BINS - 1) as f64;
                ((hz - low) / (middle - low)).min((high - hz) / (high - middle)).max(0.0) * area
            };
            let first = (0..BINS).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
            let weights = (first..BINS).map(weight).take_while(|&weight| weight > 0.0).map(|w| w as f32).collect();
            Band { first, weights }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_lights_the_band_it_lies_in() {
        let tone: Vec<i16> = (0..SAMPLES).map(|n| ((n as f32 * 2.0 * PI / 16.0).sin() * 9_000.0) as i16).collect();
        let picture = LogMel::new().picture(&tone);
        let column: Vec<f32> = (0..BANDS).map(|band| picture[band * FRAMES + 400]).collect();
        let brightest = (0..BANDS).max_by(|&a, &b| column[a].total_cmp(&column[b])).unwrap();
        let expected = (mel_of_hz(1_000.0) / mel_of_hz(8_000.0) * 81.0).round() as usize - 1;
        assert!(brightest.abs_diff(expected) <= 1, "band {brightest}, expected {expected}");
    }

    #[test]
    fn the_shortcut_through_silence_changes_nothing() {
        let short: Vec<i16> = (0..30_000).map(|n| ((n as f32 * 0.07).sin() * 5_000.0) as i16 + 20).collect();
        let mut padded = vec![0i16; SAMPLES - short.len()];
        padded.extend_from_slice(&short);
        let mut mel = LogMel::new();
        let (a, b) = (mel.picture(&short), mel.picture(&padded));
        let apart = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(apart < 0.02, "{apart}");
    }

    #[test]
    fn silence_and_nothing_are_finite() {
        let mut mel = LogMel::new();
        assert!(mel.picture(&[]).iter().chain(&mel.picture(&[0; 500])).all(|value| value.is_finite()));
    }
}
