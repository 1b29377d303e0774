//! The caller's audio as the listeners want it: 16 kHz from any leg rate, by integer-ratio filters only. Never allocates once
//! built.

use crate::media::{ResampleError, Resampler};
use crate::units::SampleRate;

/// Samples of one frame at 48 kHz.
const WIDEST_FRAME: usize = 960;

/// Brings frames of one leg rate to 16 kHz.
#[derive(Debug)]
pub(super) enum Widen {
    /// 8 kHz and 16 kHz legs: one step.
    One(Resampler),
    /// 24 kHz legs: up to 48 kHz and down to 16 kHz, because 3:2 is no integer ratio.
    Two(Resampler, Resampler),
}

impl Widen {
    pub(super) fn new(rate: SampleRate) -> Result<Self, ResampleError> {
        match Resampler::new(rate, SampleRate::WIDE) {
            Ok(one) => Ok(Self::One(one)),
            Err(error) => {
                let Some(high) = SampleRate::new(48_000) else { return Err(error) };
                Ok(Self::Two(Resampler::new(rate, high)?, Resampler::new(high, SampleRate::WIDE)?))
            }
        }
    }

    /// Returns how many samples of `out` were filled; `out` has room for a frame at 16 kHz and a few samples more.
    pub(super) fn frame(&mut self, heard: &[i16], out: &mut [i16]) -> usize {
        match self {
            Self::One(one) => one.process(heard, out),
            Self::Two(up, down) => {
                let mut high = [0i16; WIDEST_FRAME];
                let n = up.process(heard, &mut high);
                down.process(&high[..n], out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Tone;

    #[test]
    fn every_leg_rate_comes_out_at_16_khz_with_its_level() {
        for rate in [SampleRate::NARROW, SampleRate::WIDE, SampleRate::STUDIO] {
            let mut widen = Widen::new(rate).unwrap();
            let tone = Tone::new(rate, &[1_000.0], 8_000).take_ms(1_000);
            let mut wide = Vec::new();
            for frame in tone.chunks(rate.frame_samples()) {
                let mut out = [0i16; 328];
                let n = widen.frame(frame, &mut out);
                wide.extend_from_slice(&out[..n]);
            }
            assert!((15_990..=16_010).contains(&wide.len()), "{rate:?}: {}", wide.len());
            let level = crate::units::dbfs(&wide[2_000..]);
            let sent = crate::units::dbfs(&tone);
            assert!((level - sent).abs() < 0.2, "{rate:?}: {level} against {sent}");
        }
    }
}
