//! Samples to and from the bytes of a leg's format. Plain functions over slices; keeps nothing between frames (the dialect hands
//! in whole samples).

use crate::media::{alaw_decode, alaw_encode, ulaw_decode, ulaw_encode};
use crate::wire::ws::Encoding;

/// Appends the samples of `bytes`; a last odd byte of PCM16 is left out.
pub(super) fn decode(encoding: Encoding, bytes: &[u8], samples: &mut Vec<i16>) {
    match encoding {
        Encoding::Linear => {
            samples.extend(bytes.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)));
        }
        Encoding::Mulaw => append(bytes, samples, ulaw_decode),
        Encoding::Alaw => append(bytes, samples, alaw_decode),
    }
}

/// Appends the bytes of `samples`.
pub(super) fn encode(encoding: Encoding, samples: &[i16], bytes: &mut Vec<u8>) {
    match encoding {
        Encoding::Linear => bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
        Encoding::Mulaw => append(samples, bytes, ulaw_encode),
        Encoding::Alaw => append(samples, bytes, alaw_encode),
    }
}

/// Appends what `coded` makes of `input`, which gives one item for each of its own.
fn append<A, B: Default + Clone>(input: &[A], out: &mut Vec<B>, coded: fn(&[A], &mut [B]) -> usize) {
    let begin = out.len();
    out.resize(begin + input.len(), B::default());
    coded(input, &mut out[begin..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 400 Hz at 8 kHz, and its G.711 bytes as two independent implementations give them.
    const TONE: [i16; 20] = [
        0, 2472, 4702, 6472, 7608, 8000, 7608, 6472, 4702, 2472, 0, -2472, -4702, -6472, -7608, -8000, -7608, -6472,
        -4702, -2472,
    ];
    const MULAW: u128 = 0xffbb_ada6_a1a0_a1a6_adbb_ff3b_2d26_2120;
    const ALAW: u128 = 0xd596_878c_888a_888c_8796_d516_070c_080a;

    #[test]
    fn the_tone_has_its_known_bytes() {
        for (encoding, expected) in [(Encoding::Mulaw, MULAW), (Encoding::Alaw, ALAW)] {
            let mut bytes = Vec::new();
            encode(encoding, &TONE, &mut bytes);
            assert_eq!(bytes[..16], expected.to_be_bytes(), "{encoding:?}");
            encode(encoding, &[0], &mut bytes);
            assert_eq!(bytes.last(), bytes.first(), "silence");
        }
    }

    #[test]
    fn every_g711_byte_decodes_to_what_encodes_to_it() {
        for encoding in [Encoding::Mulaw, Encoding::Alaw] {
            for byte in 0..=255u8 {
                let (mut samples, mut back) = (Vec::new(), Vec::new());
                decode(encoding, &[byte], &mut samples);
                encode(encoding, &samples, &mut back);
                // µ-law has two zeros.
                let zero = encoding == Encoding::Mulaw && byte == 0x7f;
                assert_eq!(back[0], if zero { 0xff } else { byte }, "{encoding:?} {byte:#x}");
            }
        }
    }

    #[test]
    fn linear_is_little_endian_and_whole() {
        let mut samples = Vec::new();
        decode(Encoding::Linear, &[0xa8, 0x09, 0xff, 0xff, 7], &mut samples);
        assert_eq!(samples, [2472, -1]);
        let mut bytes = Vec::new();
        encode(Encoding::Linear, &samples, &mut bytes);
        assert_eq!(bytes, [0xa8, 0x09, 0xff, 0xff]);
    }
}
