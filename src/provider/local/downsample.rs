//! From the synthesis rate to the call's: one windowed-sinc filter over a whole chunk. For chunks only, never for a
//! stream.

use std::f64::consts::PI;

use crate::units::SampleRate;

/// Zero crossings of the sinc on each side.
const CROSSINGS: f64 = 24.0;
/// Pass band as a share of the lower rate's half: a little is left for the slope.
const PASS: f64 = 0.92;

/// `wave` at `from` as PCM16 at `to`, scaled by `gain` and limited to full scale.
pub(super) fn convert(wave: &[f32], from: SampleRate, to: SampleRate, gain: f32) -> Vec<i16> {
    if from == to {
        return wave.iter().map(|sample| pcm(sample * gain)).collect();
    }
    let (from_hz, to_hz) = (u64::from(from.hz()), u64::from(to.hz()));
    let common = greatest_common_divisor(from_hz, to_hz);
    let (step, phases) = (from_hz / common, to_hz / common);
    // Where the rates have little in common the table would be huge; 1/256 sample apart is inaudible.
    let phases_kept = phases.min(256);
    let cutoff = (to_hz.min(from_hz) as f64 / from_hz as f64) * PASS;
    let reach = (CROSSINGS / cutoff).ceil() as i64;
    let table: Vec<Vec<f32>> =
        (0..phases_kept).map(|phase| taps(phase as f64 / phases_kept as f64, cutoff, reach)).collect();
    let count = wave.len() as u64 * phases / step;
    (0..count)
        .map(|n| {
            let place = n * step;
            let (at, phase) = ((place / phases) as i64, place % phases * phases_kept / phases);
            let first = at - reach + 1;
            let Some(taps) = table.get(phase as usize) else { return 0 };
            let skip = usize::try_from(-first).unwrap_or(0);
            let from = usize::try_from(first).unwrap_or(0);
            let window = wave.get(from..).unwrap_or_default();
            let sum: f32 = window.iter().zip(taps.iter().skip(skip)).map(|(sample, tap)| sample * tap).sum();
            pcm(sum * gain)
        })
        .collect()
}

/// The filter for an output that lies `offset` after an input sample; its sum is 1.
fn taps(offset: f64, cutoff: f64, reach: i64) -> Vec<f32> {
    let raw: Vec<f64> = (-reach + 1..=reach)
        .map(|tap| {
            let x = tap as f64 - offset;
            let sinc = if x.abs() < 1e-9 { 1.0 } else { (PI * x * cutoff).sin() / (PI * x * cutoff) };
            let w = (x / (reach as f64 + 1.0)).clamp(-1.0, 1.0);
            sinc * (0.42 + 0.5 * (PI * w).cos() + 0.08 * (2.0 * PI * w).cos())
        })
        .collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|tap| (tap / sum) as f32).collect()
}

fn pcm(sample: f32) -> i16 {
    (sample * 32_767.0).clamp(-32_768.0, 32_767.0) as i16
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::dbfs;

    fn tone(hz: f64, rate: u32) -> Vec<f32> {
        (0..rate).map(|n| (2.0 * PI * hz * f64::from(n) / f64::from(rate)).sin() as f32 * 0.5).collect()
    }

    #[test]
    fn a_tone_keeps_its_level_and_an_alias_is_gone() {
        for to in [SampleRate::NARROW, SampleRate::WIDE, SampleRate::new(22_050).unwrap()] {
            let kept = convert(&tone(1_000.0, 24_000), SampleRate::STUDIO, to, 1.0);
            assert_eq!(kept.len(), to.hz() as usize);
            let level = dbfs(&kept[200..kept.len() - 200]);
            assert!((level + 9.03).abs() < 0.1, "{to:?}: {level}");
        }
        let alias = convert(&tone(6_000.0, 24_000), SampleRate::STUDIO, SampleRate::NARROW, 1.0);
        assert!(dbfs(&alias[200..7_800]) < -69.0, "{}", dbfs(&alias[200..7_800]));
    }

    #[test]
    fn the_same_rate_is_only_scaled_and_limited() {
        assert_eq!(convert(&[0.5, 2.0, -2.0], SampleRate::WIDE, SampleRate::WIDE, 1.0), [16_383, 32_767, -32_768]);
        assert!(convert(&[], SampleRate::STUDIO, SampleRate::NARROW, 1.0).is_empty());
    }
}
