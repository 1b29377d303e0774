//! Linear PCM between its three forms: little- or big-endian bytes as they cross a wire, `i16` as the media path wants
//! them, `f32` in −1..1 as models and FFTs want them. Never resamples, never encodes.

use dasp::Sample;

/// Which byte of a sample comes first on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Endian {
    /// Low byte first: almost every WebSocket dialect.
    #[default]
    Little,
    /// High byte first: `audio/L16` of RFC 2586 and RFC 3551.
    Big,
}

/// Turns a stream of byte chunks into samples, whatever way the sender cuts it: a chunk may end in the middle of a
/// sample, and the odd byte waits here for the next one.
#[derive(Clone, Debug, Default)]
pub struct PcmReader {
    endian: Endian,
    carry: Option<u8>,
}

impl PcmReader {
    /// A reader of a stream in this byte order.
    #[must_use]
    pub const fn new(endian: Endian) -> Self {
        Self { endian, carry: None }
    }

    /// How many samples the next [`read`](Self::read) of `bytes` bytes will give.
    #[must_use]
    pub const fn samples_in(&self, bytes: usize) -> usize {
        (bytes + self.carry.is_some() as usize) / 2
    }

    /// Reads a chunk into `out` and returns the number of samples written. Where `out` is too short the surplus is
    /// dropped whole samples at a time, so that the stream never falls out of step.
    pub fn read(&mut self, bytes: &[u8], out: &mut [i16]) -> usize {
        let mut written = 0;
        let mut rest = bytes;
        if let (Some(first), Some((&second, tail))) = (self.carry, bytes.split_first()) {
            self.carry = None;
            rest = tail;
            if let Some(slot) = out.first_mut() {
                *slot = self.sample([first, second]);
                written = 1;
            }
        }
        let (pairs, odd) = rest.as_chunks::<2>();
        let room = out.get_mut(written..).unwrap_or_default();
        written += pairs.len().min(room.len());
        match self.endian {
            Endian::Little => room.iter_mut().zip(pairs).for_each(|(slot, &pair)| *slot = i16::from_le_bytes(pair)),
            Endian::Big => room.iter_mut().zip(pairs).for_each(|(slot, &pair)| *slot = i16::from_be_bytes(pair)),
        }
        if let Some(&byte) = odd.first() {
            self.carry = Some(byte);
        }
        written
    }

    /// Forgets a half sample, as at the start of a new stream. Returns whether there was one.
    pub fn reset(&mut self) -> bool {
        self.carry.take().is_some()
    }

    fn sample(&self, pair: [u8; 2]) -> i16 {
        match self.endian {
            Endian::Little => i16::from_le_bytes(pair),
            Endian::Big => i16::from_be_bytes(pair),
        }
    }
}

/// Writes samples as bytes in this order, up to the shorter of the two; returns the number of bytes written.
pub fn write_pcm(endian: Endian, samples: &[i16], out: &mut [u8]) -> usize {
    let (pairs, _) = out.as_chunks_mut::<2>();
    let count = pairs.len().min(samples.len());
    match endian {
        Endian::Little => pairs.iter_mut().zip(samples).for_each(|(pair, s)| *pair = s.to_le_bytes()),
        Endian::Big => pairs.iter_mut().zip(samples).for_each(|(pair, s)| *pair = s.to_be_bytes()),
    }
    count * 2
}

/// Converts to −1.0..1.0, up to the shorter of the two; returns the number of samples written.
pub fn to_float(samples: &[i16], out: &mut [f32]) -> usize {
    for (float, &sample) in out.iter_mut().zip(samples) {
        *float = sample.to_sample();
    }
    samples.len().min(out.len())
}

/// Converts from −1.0..1.0, clipping what lies outside; returns the number of samples written. Not-a-number is silence.
pub fn from_float(floats: &[f32], out: &mut [i16]) -> usize {
    /// The greatest float below one that still fits sixteen bits.
    const TOP: f32 = 32_767.0 / 32_768.0;
    for (sample, &float) in out.iter_mut().zip(floats) {
        *sample = if float.is_nan() { 0 } else { float.clamp(-1.0, TOP).to_sample() };
    }
    floats.len().min(out.len())
}

#[cfg(test)]
mod tests {
    use dasp::{Signal, signal};
    use proptest::prelude::*;

    use super::*;

    /// 400 Hz, amplitude 8000, at 8 kHz, as in the vectors of the WebSocket dialects.
    fn tone() -> Vec<i16> {
        signal::rate(8000.0).const_hz(400.0).sine().take(20).map(|s| (s * 8000.0).round() as i16).collect()
    }

    #[test]
    fn a_400_hz_tone_has_the_known_bytes() {
        let mut bytes = [0; 40];
        assert_eq!(write_pcm(Endian::Little, &tone(), &mut bytes), 40);
        let base64 = base64_simd::STANDARD.encode_to_string(bytes);
        assert_eq!(base64, "AACoCV4SSBm4HUAfuB1IGV4SqAkAAFj2ou245kjiwOBI4rjmou1Y9g==");
        write_pcm(Endian::Big, &tone(), &mut bytes);
        let base64 = base64_simd::STANDARD.encode_to_string(bytes);
        assert_eq!(base64, "AAAJqBJeGUgduB9AHbgZSBJeCagAAPZY7aLmuOJI4MDiSOa47aL2WA==");
    }

    #[test]
    fn every_sample_survives_the_way_through_float() {
        let all: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        let (mut floats, mut back) = (vec![0.0; all.len()], vec![0; all.len()]);
        assert_eq!(to_float(&all, &mut floats), 65_536);
        assert!(floats.iter().all(|f| (-1.0..1.0).contains(f)));
        from_float(&floats, &mut back);
        assert_eq!(back, all);
    }

    #[test]
    fn floats_out_of_range_clip_and_do_not_wrap() {
        let mut out = [1; 5];
        from_float(&[2.0, -2.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN], &mut out);
        assert_eq!(out, [i16::MAX, i16::MIN, i16::MAX, i16::MIN, 0]);
    }

    #[test]
    fn an_output_too_short_drops_whole_samples_and_stays_in_step() {
        let mut reader = PcmReader::new(Endian::Big);
        assert_eq!(reader.read(&[0, 1, 0, 2, 0], &mut [0; 1]), 1);
        let mut out = [0; 2];
        assert_eq!(reader.read(&[3, 0, 4], &mut out), 2);
        assert_eq!(out, [3, 4]);
    }

    proptest! {
        #[test]
        fn cutting_the_stream_anywhere_changes_nothing(
            samples in prop::collection::vec(any::<i16>(), 0..200),
            cuts in prop::collection::vec(1..17_usize, 1..20),
            big in any::<bool>(),
        ) {
            let endian = if big { Endian::Big } else { Endian::Little };
            let mut bytes = vec![0; samples.len() * 2];
            write_pcm(endian, &samples, &mut bytes);
            let mut reader = PcmReader::new(endian);
            let (mut back, mut rest, mut sizes) = (Vec::new(), &bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (chunk, tail) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                let mut out = [0; 16];
                let expected = reader.samples_in(chunk.len());
                let written = reader.read(chunk, &mut out);
                prop_assert_eq!(written, expected);
                back.extend_from_slice(&out[..written]);
                rest = tail;
            }
            prop_assert_eq!(back, samples);
            prop_assert!(!reader.reset());
        }
    }
}
