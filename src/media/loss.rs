//! Concealment of missing frames: the last good one, mirrored and fading to silence within 60 ms, and a soft way back. No
//! allocation; never longer than it is plausible.

use crate::units::{MAX_FRAME_SAMPLES, SampleRate};

/// After this long without a frame, silence is more honest than an invention.
const FADE_MS: u64 = 60;
/// How long the return to real audio takes.
const RETURN_MS: u64 = 4;

/// Fills the holes of one stream. Give it every frame that came, and ask it for every frame that did not.
#[derive(Clone, Debug)]
pub struct Concealer {
    last: [i16; MAX_FRAME_SAMPLES],
    /// Samples of `last` that are real.
    held: usize,
    /// Where in the mirrored repeat the next invented sample lies; the last sample of `last` is 0.
    at: usize,
    fade_samples: usize,
    return_samples: usize,
}

impl Concealer {
    /// A concealer for a stream at this rate, which has heard nothing yet.
    #[must_use]
    pub const fn new(rate: SampleRate) -> Self {
        Self {
            last: [0; MAX_FRAME_SAMPLES],
            held: 0,
            at: 0,
            fade_samples: rate.samples_in(FADE_MS) as usize,
            return_samples: rate.samples_in(RETURN_MS) as usize,
        }
    }

    /// A frame came. After a hole its first milliseconds are blended in place with the end of the invention.
    pub fn arrived(&mut self, frame: &mut [i16]) {
        if self.at > 0 && self.at < self.fade_samples {
            let blend = self.return_samples.min(frame.len()).max(1);
            for (i, sample) in frame.iter_mut().take(blend).enumerate() {
                let invented = i32::from(self.invented(self.at + i));
                let (new, of) = (i as i32 + 1, blend as i32 + 1);
                *sample = ((i32::from(*sample) * new + invented * (of - new)) / of) as i16;
            }
        } else if self.at > 0 {
            let blend = self.return_samples.min(frame.len());
            for (i, sample) in frame.iter_mut().take(blend).enumerate() {
                *sample = (i32::from(*sample) * (i as i32 + 1) / (blend as i32 + 1)) as i16;
            }
        }
        self.at = 0;
        let tail = &frame[frame.len().saturating_sub(MAX_FRAME_SAMPLES)..];
        self.held = tail.len();
        self.last[..tail.len()].copy_from_slice(tail);
    }

    /// A frame is missing: fills `out` with the invention, which goes on where the last frame or invention ended.
    pub fn conceal(&mut self, out: &mut [i16]) {
        for (i, sample) in out.iter_mut().enumerate() {
            *sample = self.invented(self.at + i);
        }
        self.at = self.at.saturating_add(out.len());
    }

    /// Forgets the stream.
    pub const fn reset(&mut self) {
        self.held = 0;
        self.at = 0;
    }

    /// The invention at `n` samples after the last real one: there and back again through the last frame, so that it has
    /// no step anywhere, on a straight line to silence.
    fn invented(&self, n: usize) -> i16 {
        if self.held == 0 || n >= self.fade_samples {
            return 0;
        }
        let there_and_back = n % (2 * self.held);
        let back = self.held - 1 - there_and_back.min(2 * self.held - 1 - there_and_back);
        let left = (self.fade_samples - n) as i32;
        (i32::from(self.last[back]) * left / self.fade_samples as i32) as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::tone::Tone;
    use crate::units::dbfs;

    fn largest_step(samples: &[i16]) -> i32 {
        samples.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap_or(0)
    }

    /// A tone of 330 Hz (whose period fits no frame) with the given frames lost, and the same without loss.
    fn with_holes(rate: SampleRate, frames: usize, lost: &[usize]) -> (Vec<i16>, Vec<i16>) {
        let whole = Tone::new(rate, &[330.0], 12_000).take_ms(frames as u64 * 20);
        let mut concealer = Concealer::new(rate);
        let mut heard = whole.clone();
        for (i, frame) in heard.chunks_mut(rate.frame_samples()).enumerate() {
            if lost.contains(&i) { concealer.conceal(frame) } else { concealer.arrived(frame) }
        }
        (whole, heard)
    }

    #[test]
    fn holes_of_any_length_make_no_click() {
        for rate in [SampleRate::NARROW, SampleRate::WIDE, SampleRate::STUDIO] {
            for lost in [&[3][..], &[3, 4], &[3, 4, 5], &[3, 4, 5, 6, 7], &[2, 4, 6], &[0, 1]] {
                let (whole, heard) = with_holes(rate, 10, lost);
                let (bar, step) = (largest_step(&whole), largest_step(&heard));
                // Blending two phases of the tone over 4 ms may add a little; a click would be ten times it.
                let allowed = bar + 24_000 / rate.samples_in(RETURN_MS) as i32;
                assert!(step <= allowed, "{} Hz, lost {lost:?}: step {step}, tone alone {bar}", rate.hz());
            }
        }
    }

    #[test]
    fn without_the_blend_there_would_be_a_click() {
        let (whole, mut heard) = with_holes(SampleRate::NARROW, 6, &[3]);
        heard[480..640].fill(0);
        assert!(largest_step(&heard) > 2 * largest_step(&whole));
    }

    #[test]
    fn the_invention_falls_silent_within_60_ms() {
        let (_, heard) = with_holes(SampleRate::NARROW, 8, &[2, 3, 4, 5, 6]);
        let levels: Vec<f32> = heard.chunks(160).map(dbfs).collect();
        assert!(levels[2] > levels[1] - 4.0 && levels[2] > levels[3] && levels[3] > levels[4], "{levels:?}");
        assert_eq!(&levels[5..7], [-100.0, -100.0]);
    }

    #[test]
    fn a_stream_without_holes_is_not_touched() {
        let (whole, heard) = with_holes(SampleRate::WIDE, 5, &[]);
        assert_eq!(whole, heard);
    }

    #[test]
    fn nothing_heard_is_concealed_by_silence() {
        let mut concealer = Concealer::new(SampleRate::NARROW);
        let mut out = [9; 160];
        concealer.conceal(&mut out);
        assert_eq!(out, [0; 160]);
        concealer.arrived(&mut []);
        concealer.conceal(&mut out);
        assert_eq!(out, [0; 160]);
    }
}
