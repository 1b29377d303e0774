//! The silence before and after a spoken chunk. Levels only.

use crate::units::{SampleRate, dbfs};

/// Below this a stretch of synthesised audio is silence.
const SILENT_DBFS: f32 = -52.0;
const STEP_MS: u64 = 5;

/// `samples` with at most `lead_ms` of silence before the first sound and `tail_ms` after the last; nothing where there
/// is no sound at all.
pub(super) fn trimmed(samples: &[i16], rate: SampleRate, lead_ms: u64, tail_ms: u64) -> &[i16] {
    let step = usize::try_from(rate.samples_in(STEP_MS)).unwrap_or(1).max(1);
    let sounds = |chunk: &[i16]| dbfs(chunk) > SILENT_DBFS;
    let Some(first) = samples.chunks(step).position(sounds) else { return &[] };
    let last = samples.chunks(step).rposition(sounds).unwrap_or(first);
    let span = |ms| usize::try_from(rate.samples_in(ms)).unwrap_or(0);
    let from = (first * step).saturating_sub(span(lead_ms));
    let to = ((last + 1) * step + span(tail_ms)).min(samples.len());
    samples.get(from..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_around_speech_is_bounded_and_speech_is_whole() {
        let mut samples = vec![0i16; 8_000];
        samples.extend((0..1_600).map(|n| if n % 2 == 0 { 4_000 } else { -4_000 }));
        samples.extend(vec![0i16; 8_000]);
        let kept = trimmed(&samples, SampleRate::NARROW, 60, 120);
        assert_eq!(kept.len(), 480 + 1_600 + 960);
        assert!(trimmed(&[3; 4_000], SampleRate::NARROW, 60, 120).is_empty());
        assert_eq!(trimmed(&samples[8_000..9_600], SampleRate::NARROW, 60, 120).len(), 1_600);
    }
}
