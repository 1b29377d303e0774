//! The speech clips of `fixtures/audio`, and what the tests of several media parts do with them. Tests only.

use crate::media::resample_any::convert;
use crate::units::{SampleRate, dbfs};

pub(crate) const BOTS: [&str; 2] = ["bot_slt", "bot_m3"];
pub(crate) const CALLERS: [&str; 3] = ["caller_rms", "caller_awb", "caller_f3"];

/// A clip at 8 kHz.
pub(crate) fn clip(name: &str) -> Vec<i16> {
    let path = format!("{}/fixtures/audio/{name}.wav", env!("CARGO_MANIFEST_DIR"));
    let mut reader = hound::WavReader::open(&path).unwrap();
    assert_eq!((reader.spec().sample_rate, reader.spec().channels), (8000, 1), "{path}");
    reader.samples::<i16>().map(Result::unwrap).collect()
}

/// A clip at 16 kHz.
pub(crate) fn wide(name: &str) -> Vec<i16> {
    convert(&clip(name), SampleRate::NARROW, SampleRate::WIDE).unwrap()
}

/// Which 20 ms frames of a clean clip hold speech: those within 30 dB of its loudest.
pub(crate) fn spoken(samples: &[i16], rate: SampleRate) -> Vec<bool> {
    let levels: Vec<f32> = samples.chunks(rate.frame_samples()).map(dbfs).collect();
    let loudest = levels.iter().copied().fold(-100.0, f32::max);
    levels.iter().map(|&level| level > loudest - 30.0).collect()
}
