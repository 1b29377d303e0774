//! What is on a recording: its two channels, and how strong a tone is in them.

use std::f64::consts::TAU;
use std::path::Path;

pub const RATE_HZ: u32 = 8_000;
/// Peak of a caller's own tone.
pub const TONE_PEAK: f64 = 2_500.0;
/// A stretch in which a tone is looked for: 200 ms tell frequencies 5 Hz apart.
const WINDOW: usize = 1_600;

/// The tone of caller `n`: above most of the energy of speech, 40 Hz apart.
pub fn tone_hz(n: usize) -> f64 {
    2_500.0 + 40.0 * n as f64
}

/// Left: the caller; right: the bot. Fails where the file does not play.
pub fn channels(wav: &Path) -> (Vec<i16>, Vec<i16>) {
    let mut reader = hound::WavReader::open(wav).unwrap_or_else(|e| panic!("{} does not play: {e}", wav.display()));
    assert_eq!((reader.spec().channels, reader.spec().sample_rate), (2, RATE_HZ), "{}", wav.display());
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    (samples.iter().step_by(2).copied().collect(), samples.iter().skip(1).step_by(2).copied().collect())
}

/// The peak of a tone in each 200 ms of `samples` (Goertzel).
pub fn tone_peaks(samples: &[i16], hz: f64) -> Vec<f64> {
    samples.chunks_exact(WINDOW).map(|window| tone_peak(window, hz)).collect()
}

fn tone_peak(window: &[i16], hz: f64) -> f64 {
    let step = TAU * hz / f64::from(RATE_HZ);
    let coefficient = 2.0 * step.cos();
    let (mut last, mut before) = (0.0, 0.0);
    for &sample in window {
        (last, before) = (f64::from(sample) + coefficient * last - before, last);
    }
    let power = last * last + before * before - coefficient * last * before;
    2.0 * power.max(0.0).sqrt() / window.len() as f64
}

/// The left channel holds caller `own`'s tone, whole stretches of it, and never another's of `all` callers.
pub fn assert_own_voice(left: &[i16], own: usize, all: usize, what: &str) {
    let whole = tone_peaks(left, tone_hz(own)).iter().filter(|&&peak| peak > TONE_PEAK * 0.7).count();
    assert!(whole >= 2, "{what}: {whole} stretches of the caller's own tone");
    for other in (0..all).filter(|&n| n != own) {
        let worst = tone_peaks(left, tone_hz(other)).into_iter().fold(0.0, f64::max);
        assert!(worst < TONE_PEAK * 0.4, "{what}: the tone of caller {other} at {worst:.0}");
    }
}

/// Is anything audible in it?
pub fn is_audible(samples: &[i16]) -> bool {
    samples.iter().any(|s| s.unsigned_abs() > 500)
}

#[test]
fn a_tone_is_found_where_it_is_and_nowhere_else() {
    let tone: Vec<i16> =
        (0..WINDOW).map(|i| ((i as f64 * TAU * tone_hz(3) / f64::from(RATE_HZ)).sin() * TONE_PEAK) as i16).collect();
    assert!((tone_peak(&tone, tone_hz(3)) - TONE_PEAK).abs() < 25.0);
    assert!(tone_peak(&tone, tone_hz(4)) < 25.0);
}
