//! Takes steady noise out of a turn's audio before it is recognised: a Wiener filter over short spectra, with the noise learnt from
//! the quietest fifth of the turn itself. Clean audio passes untouched. Never changes the length, keeps no state.

use realfft::RealFftPlanner;

/// Samples of one spectrum: 32 ms at 16 kHz.
const WINDOW: usize = 512;
/// Samples between two spectra.
const STEP: usize = 128;
/// Share of the spectra that teaches the noise.
const QUIETEST: f32 = 0.2;
/// Fewest spectra that teach it.
const LEAST_SPECTRA: usize = 8;
/// Nothing is made softer than by this factor: what is left of the noise hides the filter's own artefacts, and soft consonants stay.
/// A recogniser wants less taken out than an ear does: at 0.3 it makes a third fewer errors in white noise than at 0.12.
const FLOOR: f32 = 0.3;
/// How much of the last spectrum's estimate goes into the next.
const MEMORY: f32 = 0.9;
/// A noise floor below this power of a sample (−58 dBFS) is left alone.
const QUIET_POWER: f32 = 1.6e-6;

/// `wave` (−1 to 1) without its steady noise.
pub(super) fn denoised(wave: Vec<f32>) -> Vec<f32> {
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, inverse) = (planner.plan_fft_forward(WINDOW), planner.plan_fft_inverse(WINDOW));
    let shape: Vec<f32> =
        (0..WINDOW).map(|n| 0.5 - 0.5 * (std::f32::consts::TAU * n as f32 / WINDOW as f32).cos()).collect();
    let mut padded = vec![0.0; WINDOW];
    padded.extend_from_slice(&wave);
    padded.resize(padded.len() + WINDOW, 0.0);
    let mut spectra = Vec::new();
    for window in padded.windows(WINDOW).step_by(STEP) {
        let mut shaped: Vec<f32> = window.iter().zip(&shape).map(|(sample, weight)| sample * weight).collect();
        let mut spectrum = forward.make_output_vec();
        if forward.process(&mut shaped, &mut spectrum).is_err() {
            return wave;
        }
        spectra.push(spectrum);
    }
    let powers: Vec<Vec<f32>> = spectra.iter().map(|s| s.iter().map(|bin| bin.norm_sqr()).collect()).collect();
    let Some(noise) = noise_of(&powers) else { return wave };
    let mut out = vec![0.0; padded.len()];
    let mut weight = vec![1e-6; padded.len()];
    let mut before = vec![0.0; WINDOW / 2 + 1];
    for (at, (spectrum, power)) in spectra.iter_mut().zip(&powers).enumerate() {
        for (((bin, &power), &noise), before) in spectrum.iter_mut().zip(power).zip(&noise).zip(&mut before) {
            let posterior = power / noise.max(1e-12);
            let prior = MEMORY * *before + (1.0 - MEMORY) * (posterior - 1.0).max(0.0);
            let gain = (prior / (1.0 + prior)).max(FLOOR);
            *before = gain * gain * posterior;
            *bin *= gain;
        }
        let mut samples = inverse.make_output_vec();
        if inverse.process(spectrum, &mut samples).is_err() {
            return wave;
        }
        let place = at * STEP..at * STEP + WINDOW;
        let slots = out[place.clone()].iter_mut().zip(&mut weight[place]);
        for (((slot, weight), sample), shape) in slots.zip(&samples).zip(&shape) {
            *slot += sample * shape / WINDOW as f32;
            *weight += shape * shape;
        }
    }
    out.iter().zip(&weight).skip(WINDOW).take(wave.len()).map(|(sample, weight)| sample / weight).collect()
}

/// The mean power of each bin over the quietest spectra; `None` where these are as good as silent. Spectra of lost frames (silence
/// in mid-noise) do not count.
fn noise_of(powers: &[Vec<f32>]) -> Option<Vec<f32>> {
    let mut order: Vec<(f32, usize)> = powers.iter().map(|power| power.iter().sum()).zip(0..).collect();
    let loudest = order.iter().map(|(power, _)| *power).fold(0.0, f32::max);
    let all = order.len();
    order.retain(|(power, _)| *power > loudest * 1e-6);
    // Lost frames are few. Where much is that silent, the line itself is, and what is left is speech, not noise.
    if (all - order.len()) * 5 > all {
        return None;
    }
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let count = ((order.len() as f32 * QUIETEST) as usize).max(LEAST_SPECTRA).min(order.len());
    let chosen = order.get(..count).filter(|chosen| !chosen.is_empty())?;
    // By Parseval, with the window's mean square of 3/8: back to the mean power of a sample.
    let mean = chosen.iter().map(|(power, _)| power).sum::<f32>() / count as f32;
    let sample_power = 2.0 * mean / (WINDOW * WINDOW) as f32 / 0.375;
    if sample_power < QUIET_POWER {
        return None;
    }
    let bins = WINDOW / 2 + 1;
    Some(
        (0..bins)
            .map(|bin| chosen.iter().filter_map(|(_, at)| powers.get(*at)?.get(bin)).sum::<f32>() / count as f32)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Noise;

    /// A tone from 0.5 s to 1.0 s of a second and a half, over noise.
    fn line(noise_dbfs: f32) -> Vec<f32> {
        let mut samples = vec![0_i16; 24_000];
        if noise_dbfs > -99.0 {
            Noise::new(5, noise_dbfs).fill(&mut samples);
        }
        for (n, sample) in samples.iter_mut().enumerate().filter(|(n, _)| (8_000..16_000).contains(n)) {
            *sample = sample.saturating_add((4_000.0 * (n as f32 * 0.2).sin()) as i16);
        }
        samples.iter().map(|&sample| f32::from(sample) / 32_768.0).collect()
    }

    fn power(wave: &[f32]) -> f32 {
        wave.iter().map(|sample| sample * sample).sum::<f32>() / wave.len() as f32
    }

    #[test]
    fn noise_sinks_and_what_stands_out_of_it_stays() {
        let noisy = line(-35.0);
        let clean = denoised(noisy.clone());
        assert_eq!(clean.len(), noisy.len());
        let (rest, tone) = (1_000..7_000, 9_000..15_000);
        assert!(power(&clean[rest.clone()]) < power(&noisy[rest]) / 8.0, "nine decibels less noise");
        let kept = power(&clean[tone.clone()]) / power(&noisy[tone]);
        assert!((0.7..1.1).contains(&kept), "{kept}");
    }

    #[test]
    fn clean_audio_and_none_pass_untouched() {
        assert_eq!(denoised(line(-100.0)), line(-100.0));
        assert_eq!(denoised(line(-70.0)), line(-70.0));
        assert_eq!(denoised(Vec::new()), Vec::<f32>::new());
        assert_eq!(denoised(vec![0.0; 3_000]), vec![0.0; 3_000]);
    }
}
