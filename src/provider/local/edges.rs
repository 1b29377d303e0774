//! The silence before and after a spoken chunk. Levels only.

use crate::units::SampleRate;

/// Below this level (full scale = 1) a stretch of synthesised audio is silence: −52 dBFS.
const SILENT: f32 = 0.0025;
const STEP_MS: u64 = 5;

/// `wave` with at most `lead_ms` of silence before the first sound and `tail_ms` after the last; nothing where there is no
/// sound at all. Asked of the full-band wave: a narrow band would lose the end of a final "s".
pub(super) fn trimmed(wave: &[f32], rate: SampleRate, lead_ms: u64, tail_ms: u64) -> &[f32] {
    let step = usize::try_from(rate.samples_in(STEP_MS)).unwrap_or(1).max(1);
    let sounds = |stretch: &[f32]| {
        let square: f32 = stretch.iter().map(|sample| sample * sample).sum();
        square > SILENT * SILENT * stretch.len() as f32
    };
    let Some(first) = wave.chunks(step).position(sounds) else { return &[] };
    let last = wave.chunks(step).rposition(sounds).unwrap_or(first);
    let span = |ms| usize::try_from(rate.samples_in(ms)).unwrap_or(0);
    let from = (first * step).saturating_sub(span(lead_ms));
    let to = ((last + 1) * step + span(tail_ms)).min(wave.len());
    wave.get(from..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_around_speech_is_bounded_and_speech_is_whole() {
        let mut wave = vec![0f32; 8_000];
        wave.extend((0..1_600).map(|n| if n % 2 == 0 { 0.1 } else { -0.1 }));
        wave.extend(vec![0f32; 8_000]);
        let kept = trimmed(&wave, SampleRate::NARROW, 60, 120);
        assert_eq!(kept.len(), 480 + 1_600 + 960);
        assert!(trimmed(&[0.0001; 4_000], SampleRate::NARROW, 60, 120).is_empty());
        assert_eq!(trimmed(&wave[8_000..9_600], SampleRate::NARROW, 60, 120).len(), 1_600);
    }
}
