//! A telephone's two ears of tape: what the caller said and what came out of the earpiece, sample by sample on one clock. The
//! earpiece plays what arrives back to back, and forgets what it has not played when it is told to. Reads no clock.

use std::path::Path;

use crate::units::SampleRate;

/// A silence in the earpiece up to this length, between two frames, is a gap that a listener notices, not a pause.
const GAP_MS: u64 = 200;

/// The tape.
#[derive(Debug)]
pub(super) struct Phone {
    rate: SampleRate,
    said: Vec<i16>,
    heard: Vec<i16>,
    most: usize,
    /// Times that the earpiece ran dry in the middle of speech.
    pub gaps: u32,
    /// How long it was dry in all, in samples.
    pub gap_samples: u64,
    stopped: bool,
}

impl Phone {
    /// A telephone at this rate that keeps at most `limit_ms`.
    pub(super) fn new(rate: SampleRate, limit_ms: u64) -> Self {
        let most = usize::try_from(rate.samples_in(limit_ms)).unwrap_or(usize::MAX);
        Self { rate, said: Vec::new(), heard: Vec::new(), most, gaps: 0, gap_samples: 0, stopped: true }
    }

    /// The next frame of the caller.
    pub(super) fn say(&mut self, frame: &[i16]) {
        let room = self.most.saturating_sub(self.said.len());
        self.said.extend_from_slice(&frame[..frame.len().min(room)]);
    }

    /// Samples said so far, silence included.
    pub(super) const fn said(&self) -> usize {
        self.said.len()
    }

    /// Where the audio that came so far ends on the tape.
    pub(super) const fn filled_to(&self) -> usize {
        self.heard.len()
    }

    /// Audio that arrived at sample `at` of the clock.
    pub(super) fn hear(&mut self, at: usize, samples: &[i16]) {
        let dry = at.saturating_sub(self.heard.len());
        if dry > 0 && !self.stopped && dry as u64 <= self.rate.samples_in(GAP_MS) {
            self.gaps += 1;
            self.gap_samples += dry as u64;
        }
        self.stopped = false;
        let start = at.max(self.heard.len()).min(self.most);
        self.heard.resize(start, 0);
        let room = self.most - start;
        self.heard.extend_from_slice(&samples[..samples.len().min(room)]);
    }

    /// What was not played at sample `at` never is. Returns how many samples were thrown away.
    pub(super) fn forget_unplayed(&mut self, at: usize) -> usize {
        let unplayed = self.heard.len().saturating_sub(at);
        self.heard.truncate(at);
        self.stopped = true;
        unplayed
    }

    /// What the earpiece played from sample `from` on; silence where nothing came.
    pub(super) fn played(&self, from: usize, out: &mut [i16]) {
        out.fill(0);
        let there = self.heard.get(from..).unwrap_or(&[]);
        out.iter_mut().zip(there).for_each(|(slot, &sample)| *slot = sample);
    }

    /// Samples that wait to be played at sample `at`.
    #[cfg(test)]
    pub(super) const fn waiting(&self, at: usize) -> usize {
        self.heard.len().saturating_sub(at)
    }

    /// Writes both tapes as a stereo WAV: left what was said, right what was heard until sample `end`.
    pub(super) fn write(&self, path: &Path, end: usize) -> Result<(), hound::Error> {
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: self.rate.hz(),
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut wav = hound::WavWriter::create(path, spec)?;
        for at in 0..end.min(self.most) {
            wav.write_sample(self.said.get(at).copied().unwrap_or(0))?;
            wav.write_sample(self.heard.get(at).copied().unwrap_or(0))?;
        }
        wav.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone() -> Phone {
        Phone::new(SampleRate::NARROW, 10_000)
    }

    fn played(phone: &Phone, from: usize, count: usize) -> Vec<i16> {
        let mut out = vec![7; count];
        phone.played(from, &mut out);
        out
    }

    #[test]
    fn frames_that_come_early_wait_and_frames_that_come_late_leave_a_gap() {
        let mut phone = phone();
        phone.hear(5, &[1; 10]);
        phone.hear(6, &[2; 10]);
        assert_eq!(phone.waiting(6), 19);
        phone.hear(30, &[3; 2]);
        assert_eq!(played(&phone, 4, 6), [0, 1, 1, 1, 1, 1]);
        assert_eq!(played(&phone, 14, 2), [1, 2]);
        assert_eq!(played(&phone, 24, 9), [2, 0, 0, 0, 0, 0, 3, 3, 0]);
        assert_eq!((phone.gaps, phone.gap_samples), (1, 5));
    }

    #[test]
    fn what_was_not_played_when_the_bot_stopped_was_never_heard() {
        let mut phone = phone();
        phone.hear(0, &[1; 100]);
        assert_eq!(phone.forget_unplayed(40), 60);
        phone.hear(50, &[2; 2]);
        assert_eq!(played(&phone, 39, 14), [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 0]);
        assert_eq!(phone.gaps, 0, "a silence that was asked for is no gap");
    }

    #[test]
    fn the_tape_has_an_end() {
        let mut phone = Phone::new(SampleRate::NARROW, 1);
        phone.say(&[1; 20]);
        phone.hear(4, &[2; 20]);
        phone.hear(900, &[2; 20]);
        assert_eq!((phone.said(), phone.waiting(0)), (8, 8));
    }
}
