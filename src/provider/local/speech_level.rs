//! Is there speech in a stretch of audio, and where does it pause? Levels only; the call's voice detector decides about
//! turns, this decides whether a recogniser's words can be believed and where long audio is cut.

use crate::units::dbfs;

/// 20 ms at 16 kHz.
const FRAME: usize = 320;
/// Below this nothing is speech.
const FLOOR_DBFS: f32 = -58.0;
/// Speech stands out of the quietest tenth of the audio by this…
const OVER_NOISE_DB: f32 = 4.0;
/// …and is not weaker than the loudest frame by more than this.
const UNDER_PEAK_DB: f32 = 32.0;

/// How much of `audio` (16 kHz) sounds like speech, in milliseconds.
pub(super) fn speech_ms(audio: &[i16]) -> u32 {
    let levels: Vec<f32> = audio.chunks(FRAME).map(dbfs).collect();
    let threshold = threshold(&levels);
    let frames = levels.iter().filter(|&&level| level > threshold).count();
    u32::try_from(frames * 20).unwrap_or(u32::MAX)
}

fn threshold(levels: &[f32]) -> f32 {
    let mut sorted = levels.to_vec();
    sorted.sort_by(f32::total_cmp);
    let noise = sorted.get(sorted.len() / 10).copied().unwrap_or(-100.0);
    let peak = sorted.last().copied().unwrap_or(-100.0);
    FLOOR_DBFS.max(noise + OVER_NOISE_DB).max(peak - UNDER_PEAK_DB)
}

/// Where to cut `audio`: the middle of the longest pause in its last two thirds, or of the quietest 100 ms where it never
/// pauses. The first third stays whole, so that a cut always makes progress.
pub(super) fn longest_pause(audio: &[i16]) -> usize {
    let levels: Vec<f32> = audio.chunks(FRAME).map(dbfs).collect();
    let first = levels.len() / 3;
    let threshold = threshold(&levels);
    let (mut best, mut run) = ((0, 0), 0);
    for (at, &level) in levels.iter().enumerate().skip(first) {
        run = if level > threshold { 0 } else { run + 1 };
        if run > best.1 {
            best = (at + 1 - run, run);
        }
    }
    let (start, length) = if best.1 >= 3 { best } else { (quietest(&levels, first), 5) };
    ((start + length / 2) * FRAME).min(audio.len())
}

fn quietest(levels: &[f32], first: usize) -> usize {
    let windows = levels.windows(5).enumerate().skip(first);
    let loudness = |window: &[f32]| window.iter().sum::<f32>();
    windows.min_by(|a, b| loudness(a.1).total_cmp(&loudness(b.1))).map_or(first, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(ms: usize, amplitude: f32) -> Vec<i16> {
        (0..ms * 16).map(|n| (amplitude * (n as f32 * 0.2).sin()) as i16).collect()
    }

    #[test]
    fn a_word_is_speech_and_steady_noise_is_not() {
        let word = [tone(300, 3.0), tone(260, 9_000.0), tone(200, 3.0)].concat();
        assert!((240..=300).contains(&speech_ms(&word)), "{}", speech_ms(&word));
        assert_eq!(speech_ms(&tone(2_000, 300.0)), 0);
        assert_eq!(speech_ms(&[]), 0);
        assert_eq!(speech_ms(&vec![0; 16_000]), 0);
    }

    #[test]
    fn a_click_is_too_short_to_be_a_word() {
        let click = [tone(500, 3.0), tone(15, 12_000.0), tone(500, 3.0)].concat();
        assert!(speech_ms(&click) <= 40);
    }

    #[test]
    fn long_audio_is_cut_in_its_longest_pause() {
        let audio = [tone(4_000, 8_000.0), tone(150, 5.0), tone(2_000, 8_000.0), tone(600, 5.0), tone(3_000, 8_000.0)];
        let cut = longest_pause(&audio.concat()) / 16;
        assert!((6_150..6_750).contains(&cut), "{cut}");
        let unbroken = longest_pause(&tone(10_000, 8_000.0)) / 16;
        assert!((3_000..=10_000).contains(&unbroken), "{unbroken}");
    }
}
