//! The filter behind the integer resampler: a windowed sinc, and one inner loop that computes a tile of outputs at a time.
//! Knows nothing of rates, frames or samples as integers.

use std::f64::consts::PI;

/// Taps of one phase. Delay of the filter: half of these, in samples of the lower rate.
pub(crate) const TAPS: usize = 32;

/// Outputs computed together: each coefficient is read once and broadcast over the tile, so everything vectorises and
/// the sums stay in registers, also on the baseline instruction set.
pub(crate) const TILE: usize = 16;

/// Shape of the Kaiser window: about 70 dB of stop band, which at 8 kHz begins at 4.6 kHz.
const BETA: f64 = 7.0;

/// The phases 1 to `ratio` − 1 of a low-pass at the Nyquist frequency of the lower rate, each for an ascending history
/// (the last coefficient meets the newest sample) and each of sum 1. Phase 0 is left out: the cut-off lies exactly at
/// 1/`ratio`, so all of its taps but the middle one fall on zeros of the sinc, and it is a plain delay of `TAPS` / 2.
pub(crate) fn phases(ratio: usize) -> Vec<[f32; TAPS]> {
    (1..ratio)
        .map(|phase| {
            let taps: [f64; TAPS] = std::array::from_fn(|k| tap(k * ratio + phase, ratio));
            let sum: f64 = taps.iter().sum();
            std::array::from_fn(|k| (taps[TAPS - 1 - k] / sum) as f32)
        })
        .collect()
}

fn tap(n: usize, ratio: usize) -> f64 {
    let half = (TAPS * ratio / 2) as f64;
    let x = n as f64 - half;
    let sinc = if x == 0.0 { 1.0 } else { (PI * x / ratio as f64).sin() / (PI * x / ratio as f64) };
    sinc * kaiser(x / half)
}

/// The Kaiser window at `x` in −1..1.
fn kaiser(x: f64) -> f64 {
    bessel_i0(BETA * (1.0 - x * x).max(0.0).sqrt()) / bessel_i0(BETA)
}

/// The modified Bessel function of order zero, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-15 {
        term *= (x / (2.0 * k)).powi(2);
        sum += term;
        k += 1.0;
    }
    sum
}

/// One tile of correlations: `out[j] = Σ c[k] · x[j + k]`, for which `x` holds `TILE + c.len() - 1` samples.
#[inline(always)]
pub(crate) fn tile(x: &[f32], c: &[f32]) -> [f32; TILE] {
    debug_assert!(x.len() + 1 >= TILE + c.len(), "{} samples for {} coefficients", x.len(), c.len());
    let mut sums = [0.0; TILE];
    for (window, &c) in x.windows(TILE).zip(c) {
        for (sum, &x) in sums.iter_mut().zip(window) {
            *sum += c * x;
        }
    }
    sums
}

/// The nearest sixteen-bit sample, clipped at full scale, without a call to `round`: adding 1.5 · 2²³ leaves the rounded
/// integer in the low bits of the mantissa, on every instruction set.
#[inline(always)]
pub(crate) fn to_sample(x: f32) -> i16 {
    const MAGIC: f32 = 12_582_912.0;
    let clipped = x.clamp(-32_768.0, 32_767.0);
    ((clipped + MAGIC).to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_round_to_the_nearest_and_clip() {
        for (x, expected) in [(0.4, 0), (0.6, 1), (-0.6, -1), (32_767.4, 32_767), (9e9, 32_767), (-9e9, -32_768)] {
            assert_eq!(to_sample(x), expected, "{x}");
        }
        assert!((-32_768..=32_767).all(|s| i32::from(to_sample(s as f32)) == s));
    }

    #[test]
    fn a_phase_passes_a_constant_unchanged() {
        for ratio in [2, 3, 6] {
            for phase in phases(ratio) {
                let out = tile(&[1000.0; TAPS + TILE], &phase);
                assert!(out.iter().all(|y| (y - 1000.0).abs() < 1e-2), "{out:?}");
            }
        }
    }

    #[test]
    fn the_phase_left_out_is_a_delay() {
        for ratio in [2, 3, 6] {
            for k in (0..TAPS).filter(|&k| k != TAPS / 2) {
                assert!(tap(k * ratio, ratio).abs() < 1e-12, "tap {k} of ratio {ratio}");
            }
        }
    }
}
