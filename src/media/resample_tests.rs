//! What the contract asks of resampling by 2, 3 and 6, measured: delay, noise, aliases, flatness, exact counts.

use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;
use crate::media::tone::{Noise, Tone};

const PAIRS_HZ: [(u32, u32); 8] = [
    (8_000, 16_000),
    (16_000, 8_000),
    (8_000, 24_000),
    (24_000, 8_000),
    (8_000, 48_000),
    (48_000, 8_000),
    (16_000, 48_000),
    (48_000, 16_000),
];

fn rate(hz: u32) -> SampleRate {
    SampleRate::new(hz).unwrap()
}

fn resampler(from: u32, to: u32) -> Resampler {
    Resampler::new(rate(from), rate(to)).unwrap()
}

fn run(resampler: &mut Resampler, input: &[i16], chunk: usize) -> Vec<i16> {
    let mut all = Vec::new();
    for chunk in input.chunks(chunk) {
        let mut out = vec![0; resampler.output_len(chunk.len())];
        assert_eq!(resampler.process(chunk, &mut out), out.len());
        all.extend(out);
    }
    all
}

/// Amplitude and phase of one frequency over a whole number of its periods.
fn component(samples: &[i16], hz: f64, rate_hz: u32) -> (f64, f64) {
    let (mut re, mut im) = (0.0, 0.0);
    for (i, &s) in samples.iter().enumerate() {
        let angle = TAU * hz * i as f64 / f64::from(rate_hz);
        re += f64::from(s) * angle.sin();
        im += f64::from(s) * angle.cos();
    }
    let n = samples.len() as f64 / 2.0;
    ((re / n).hypot(im / n), im.atan2(re))
}

/// One second in, half a second of settled output.
fn settled(from: u32, to: u32, hz: f64, amplitude: i16) -> Vec<i16> {
    let input = Tone::new(rate(from), &[hz], amplitude).take_ms(1000);
    let out = run(&mut resampler(from, to), &input, rate(from).frame_samples());
    out[to as usize / 4..to as usize * 3 / 4].to_vec()
}

fn rms(samples: &[i16]) -> f64 {
    (samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
}

fn db(ratio: f64) -> f64 {
    20.0 * ratio.log10()
}

#[test]
fn the_delay_is_at_most_two_milliseconds_and_is_the_stated_one() {
    for (from, to) in PAIRS_HZ {
        let mut resampler = resampler(from, to);
        assert!(resampler.delay_us() <= 2000, "{from} to {to}: {} µs", resampler.delay_us());
        let mut input = vec![0; 960];
        input[0] = 20_000;
        let out = run(&mut resampler, &input, 960);
        let peak = (0..out.len()).max_by_key(|&i| out[i].abs()).unwrap();
        assert_eq!(peak, resampler.delay_samples(), "{from} to {to}");
    }
}

#[test]
fn a_tone_of_1_khz_keeps_a_signal_to_noise_ratio_of_90_db() {
    for (from, to) in PAIRS_HZ {
        let out = settled(from, to, 1000.0, 32_000);
        let (amplitude, phase) = component(&out, 1000.0, to);
        let noise: Vec<f64> = out
            .iter()
            .enumerate()
            .map(|(i, &s)| f64::from(s) - amplitude * (TAU * 1000.0 * i as f64 / f64::from(to) + phase).sin())
            .collect();
        let noise_rms = (noise.iter().map(|n| n * n).sum::<f64>() / noise.len() as f64).sqrt();
        let snr = db(amplitude / 2.0_f64.sqrt() / noise_rms);
        println!("{from} to {to}: SNR {snr:.1} dB");
        assert!(snr >= 90.0, "{from} to {to}: {snr:.1} dB");
    }
}

#[test]
fn what_lies_above_the_lower_nyquist_is_60_db_down() {
    for (from, to) in PAIRS_HZ.into_iter().filter(|(from, to)| from > to) {
        // 4.6 and 5 kHz for a lower rate of 8 kHz; the same fractions of it for others.
        for fraction in [0.575, 0.625, 0.7] {
            let out = settled(from, to, f64::from(to) * fraction, 30_000);
            let rejection = db(30_000.0 / 2.0_f64.sqrt() / rms(&out).max(0.3));
            println!("{from} to {to}: {:.0} Hz {rejection:.1} dB down", f64::from(to) * fraction);
            assert!(rejection >= 60.0, "{from} to {to} at {fraction}: {rejection:.1} dB");
        }
    }
}

#[test]
fn images_of_3400_hz_are_60_db_down_going_up() {
    for (from, to) in PAIRS_HZ.into_iter().filter(|(from, to)| from < to) {
        let hz = f64::from(from) * 0.425;
        let out = settled(from, to, hz, 30_000);
        for image in [f64::from(from) - hz, f64::from(from) + hz] {
            if image < f64::from(to) / 2.0 {
                let rejection = db(30_000.0 / component(&out, image, to).0);
                println!("{from} to {to}: image at {image} {rejection:.1} dB down");
                assert!(rejection >= 60.0, "{from} to {to}: image at {image}: {rejection:.1} dB");
            }
        }
    }
}

#[test]
fn the_pass_band_is_flat_to_3400_hz() {
    for (from, to) in PAIRS_HZ {
        for fraction in [0.0375, 0.125, 0.25, 0.375, 0.425] {
            let hz = f64::from(from.min(to)) * fraction;
            let gain = db(component(&settled(from, to, hz, 20_000), hz, to).0 / 20_000.0);
            assert!(gain.abs() <= 0.1, "{from} to {to} at {hz}: {gain:.3} dB");
        }
    }
}

#[test]
fn other_ratios_are_refused_and_say_what_to_use() {
    let error = Resampler::new(rate(16_000), rate(24_000)).unwrap_err();
    assert_eq!(error, ResampleError::Ratio { from_hz: 16_000, to_hz: 24_000 });
    assert!(error.to_string().contains("AnyResampler"));
    assert!(Resampler::new(rate(8_000), rate(32_000)).is_err());
    assert!(Resampler::new(rate(44_100), rate(8_000)).is_err());
}

#[test]
fn equal_rates_copy_without_delay() {
    let mut same = resampler(8_000, 8_000);
    assert_eq!(run(&mut same, &[1, -2, 3], 2), [1, -2, 3]);
    assert_eq!((same.delay_samples(), same.delay_us()), (0, 0));
}

#[test]
fn full_scale_clips_and_does_not_wrap() {
    for (from, to) in PAIRS_HZ {
        let square: Vec<i16> = (0..960).map(|i| if i / 60 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        let out = run(&mut resampler(from, to), &square, 480);
        let mut steps = out.windows(2).map(|w| (i32::from(w[0]) - i32::from(w[1])).abs());
        assert!(out.contains(&i16::MAX) && out.contains(&i16::MIN), "{from} to {to}");
        // The overshoot of a band-limited edge clips; a wrap would show as a step of the whole range up.
        assert!(steps.all(|step| step < 65_000), "{from} to {to}");
    }
}

proptest! {
    #[test]
    fn cutting_the_stream_anywhere_changes_nothing(
        pair in prop::sample::select(&PAIRS_HZ[..]),
        cuts in prop::collection::vec(0..700_usize, 1..12),
        seed in any::<u64>(),
    ) {
        let mut input = vec![0; cuts.iter().sum()];
        Noise::new(seed, -12.0).fill(&mut input);
        let mut whole = resampler(pair.0, pair.1);
        let expected = run(&mut whole, &input, MAX_RESAMPLE_INPUT);
        let mut cut = resampler(pair.0, pair.1);
        let (mut out, mut rest) = (Vec::new(), &input[..]);
        for length in cuts {
            let (chunk, tail) = rest.split_at(length);
            let mut part = vec![0; cut.output_len(length)];
            prop_assert_eq!(cut.process(chunk, &mut part), part.len());
            out.extend(part);
            rest = tail;
        }
        prop_assert_eq!(&out, &expected);
        let exact = (input.len() as u64 * u64::from(pair.1)).div_ceil(u64::from(pair.0));
        prop_assert_eq!(out.len() as u64, exact);
        cut.reset();
        prop_assert_eq!(run(&mut cut, &input, 480), expected);
    }
}
