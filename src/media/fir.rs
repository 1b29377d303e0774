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

/// The phases 1 to `RATIO` − 1 of a low-pass at the Nyquist frequency of the lower rate, each for an ascending history
/// (the last coefficient meets the newest sample) and each of sum 1. Phase 0 is left out: the cut-off lies exactly at
/// 1/`RATIO`, so all of its taps but the middle one fall on zeros of the sinc, and it is a plain delay of `TAPS` / 2.
/// The compiler computes them: one table stands in the program for all streams.
pub(crate) const fn phases<const RATIO: usize, const PHASES: usize>() -> [[f32; TAPS]; PHASES] {
    assert!(PHASES + 1 == RATIO, "phase 0 is left out");
    let mut phases = [[0.0; TAPS]; PHASES];
    let mut phase = 1;
    while phase < RATIO {
        let (mut taps, mut sum, mut k) = ([0.0; TAPS], 0.0, 0);
        while k < TAPS {
            taps[k] = tap(k * RATIO + phase, RATIO);
            sum += taps[k];
            k += 1;
        }
        k = 0;
        while k < TAPS {
            phases[phase - 1][k] = (taps[TAPS - 1 - k] / sum) as f32;
            k += 1;
        }
        phase += 1;
    }
    phases
}

const fn tap(n: usize, ratio: usize) -> f64 {
    // Twice the distance from the middle, which may lie between two samples.
    let twice = (2 * n).abs_diff(TAPS * ratio);
    let x = twice as f64 / 2.0;
    let sinc = if twice == 0 { 1.0 } else { sine(twice * 6 / (2 * ratio)) / (PI * x / ratio as f64) };
    let share = x / ((TAPS * ratio / 2) as f64);
    sinc * bessel_i0(BETA * BETA * (1.0 - share * share)) / bessel_i0(BETA * BETA)
}

/// The sine of so many twelfths of a turn: of the angles of the ratios 2, 3 and 6 there are no others.
const fn sine(twelfths: usize) -> f64 {
    const ROOT_OF_3: f64 = 1.732_050_807_568_877_2;
    let half = match twelfths % 6 {
        0 => 0.0,
        1 | 5 => 0.5,
        2 | 4 => ROOT_OF_3 / 2.0,
        _ => 1.0,
    };
    if twelfths % 12 < 6 { half } else { -half }
}

/// The modified Bessel function of order zero, of the root of `square`, by its power series: the Kaiser window, which is a quotient
/// of two of them.
const fn bessel_i0(square: f64) -> f64 {
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-15 {
        term *= square / (4.0 * k * k);
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

    fn all() -> impl Iterator<Item = [f32; TAPS]> {
        phases::<2, 1>().into_iter().chain(phases::<3, 2>()).chain(phases::<6, 5>())
    }

    #[test]
    fn a_phase_passes_a_constant_unchanged() {
        for phase in all() {
            let out = tile(&[1000.0; TAPS + TILE], &phase);
            assert!(out.iter().all(|y| (y - 1000.0).abs() < 1e-2), "{out:?}");
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

    #[test]
    fn a_tap_is_the_sinc_under_its_window() {
        for ratio in [2, 3, 6] {
            for n in 0..=TAPS * ratio {
                let x = n as f64 - (TAPS * ratio / 2) as f64;
                let angle = PI * x / ratio as f64;
                let sinc = if x == 0.0 { 1.0 } else { angle.sin() / angle };
                let share = 2.0 * x / (TAPS * ratio) as f64;
                let window = bessel_i0(BETA * BETA * (1.0 - share * share)) / bessel_i0(BETA * BETA);
                assert!((tap(n, ratio) - sinc * window).abs() < 1e-12, "tap {n} of ratio {ratio}");
            }
        }
        assert!((bessel_i0(1.0) - 1.266_065_877_752_008).abs() < 1e-12 && bessel_i0(0.0) == 1.0);
    }
}
