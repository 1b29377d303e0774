//! Sample rates, the length of a frame, and levels. Never holds audio itself.

/// Length of one media frame. Every leg, ring and recording counts in these.
pub const FRAME_MS: u32 = 20;

/// Samples of one frame at the highest rate of a leg (24 kHz).
pub const MAX_FRAME_SAMPLES: usize = 480;

/// Samples per second of one channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SampleRate(u32);

impl SampleRate {
    /// 8 kHz: telephony, narrow band.
    pub const NARROW: Self = Self(8_000);
    /// 16 kHz: wide band; also what the voice detector and local recognition want.
    pub const WIDE: Self = Self(16_000);
    /// 24 kHz: local synthesis and the widest WebSocket leg.
    pub const STUDIO: Self = Self(24_000);

    /// A rate from a number of samples per second; `None` outside 1 Hz to 384 kHz.
    #[must_use]
    pub const fn new(hz: u32) -> Option<Self> {
        if hz == 0 || hz > 384_000 { None } else { Some(Self(hz)) }
    }

    /// Samples per second.
    #[must_use]
    pub const fn hz(self) -> u32 {
        self.0
    }

    /// Samples in one 20 ms frame.
    #[must_use]
    pub const fn frame_samples(self) -> usize {
        (self.0 / (1000 / FRAME_MS)) as usize
    }

    /// Samples in `ms` milliseconds.
    #[must_use]
    pub const fn samples_in(self, ms: u64) -> u64 {
        self.0 as u64 * ms / 1000
    }

    /// Milliseconds that `samples` last.
    #[must_use]
    pub const fn ms_of(self, samples: u64) -> u64 {
        samples * 1000 / self.0 as u64
    }
}

/// Level of a block of PCM16 relative to full scale, in dBFS; −100 for silence or an empty block.
#[must_use]
pub fn dbfs(samples: &[i16]) -> f32 {
    if samples.is_empty() {
        return -100.0;
    }
    // As integers, because sums of those may be made beside each other; they are exact.
    let sum: i64 = samples.iter().map(|&s| i64::from(i32::from(s) * i32::from(s))).sum();
    let mean = sum as f64 / samples.len() as f64;
    if mean < 1e-3 { -100.0 } else { ((mean / (32768.0 * 32768.0)).log10() * 10.0).max(-100.0) as f32 }
}
