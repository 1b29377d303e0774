//! G.711, both laws (ITU-T G.711): decode by a table of 256, encode without a branch. Works on slices of equal time; never
//! allocates, never keeps state.
//!
//! The encoders let the float unit find the segment: a magnitude converted to `f32` has its segment in the exponent and
//! its four step bits at the top of the mantissa, so one shift reads both. That vectorises, and needs no 64 KiB table in
//! the cache of a shard that serves a thousand calls.

/// What a µ-law line sends in silence.
pub const ULAW_SILENCE: u8 = 0xff;
/// What an A-law line sends in silence.
pub const ALAW_SILENCE: u8 = 0xd5;

const ULAW_BIAS: i32 = 132;
const ULAW_CLIP: i32 = 32_635;
/// An `f32` exponent of 7 (a magnitude of 128 to 255) in the position where the segment is read.
const EXPONENT_SEVEN: u32 = (127 + 7) << 4;

static ULAW_TABLE: [i16; 256] = ulaw_table();
static ALAW_TABLE: [i16; 256] = alaw_table();

/// Decodes µ-law into linear samples; stops at the shorter of the two slices and returns the number of samples written.
pub fn ulaw_decode(codes: &[u8], out: &mut [i16]) -> usize {
    decode(&ULAW_TABLE, codes, out)
}

/// Decodes A-law into linear samples; stops at the shorter of the two slices and returns the number of samples written.
pub fn alaw_decode(codes: &[u8], out: &mut [i16]) -> usize {
    decode(&ALAW_TABLE, codes, out)
}

/// Encodes linear samples as µ-law; stops at the shorter of the two slices and returns the number of codes written.
pub fn ulaw_encode(samples: &[i16], out: &mut [u8]) -> usize {
    for (code, &sample) in out.iter_mut().zip(samples) {
        *code = ulaw_code(sample);
    }
    samples.len().min(out.len())
}

/// Encodes linear samples as A-law; stops at the shorter of the two slices and returns the number of codes written.
pub fn alaw_encode(samples: &[i16], out: &mut [u8]) -> usize {
    for (code, &sample) in out.iter_mut().zip(samples) {
        *code = alaw_code(sample);
    }
    samples.len().min(out.len())
}

fn decode(table: &[i16; 256], codes: &[u8], out: &mut [i16]) -> usize {
    for (sample, &code) in out.iter_mut().zip(codes) {
        *sample = table[usize::from(code)];
    }
    codes.len().min(out.len())
}

#[inline(always)]
fn ulaw_code(sample: i16) -> u8 {
    let wide = i32::from(sample);
    let biased = wide.abs().min(ULAW_CLIP) + ULAW_BIAS;
    let step = ((biased as f32).to_bits() >> 19) - EXPONENT_SEVEN;
    let sign = (wide >> 24) as u32 & 0x80;
    !(step | sign) as u8
}

#[inline(always)]
fn alaw_code(sample: i16) -> u8 {
    let wide = i32::from(sample);
    // G.711 has no negative zero in A-law: −1 and 0 fall into neighbouring steps, hence the one's complement.
    let magnitude = wide ^ (wide >> 31);
    let curved = ((magnitude.max(256) as f32).to_bits() >> 19) - EXPONENT_SEVEN;
    let linear = magnitude as u32 >> 4;
    let step = if magnitude < 256 { linear } else { curved };
    let sign = !(wide >> 24) as u32 & 0x80;
    ((step | sign) ^ 0x55) as u8
}

const fn ulaw_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = !(code as u8);
        let segment = (bits >> 4) & 7;
        let magnitude = ((((bits & 15) as i32) << 3) + ULAW_BIAS) << segment;
        let linear = magnitude - ULAW_BIAS;
        table[code] = if bits & 0x80 == 0 { linear } else { -linear } as i16;
        code += 1;
    }
    table
}

const fn alaw_table() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = code as u8 ^ 0x55;
        let segment = (bits >> 4) & 7;
        let middle = (((bits & 15) as i32) << 4) + 8;
        let magnitude = if segment == 0 { middle } else { (middle + 256) << (segment - 1) };
        table[code] = if bits & 0x80 == 0 { -magnitude } else { magnitude } as i16;
        code += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G.711 as its tables are written: find the segment by comparing, then the step by dividing.
    fn ulaw_by_the_book(sample: i16) -> u8 {
        let magnitude = (i32::from(sample).abs().min(32_635)) + 132;
        let segment = (0..8).find(|s| magnitude < 256 << s).unwrap();
        let step = (magnitude - (128 << segment)) / (8 << segment);
        let sign = if sample < 0 { 0x80 } else { 0 };
        !((sign | segment << 4 | step) as u8)
    }

    fn alaw_by_the_book(sample: i16) -> u8 {
        let magnitude = if sample < 0 { -i32::from(sample) - 1 } else { i32::from(sample) };
        let (segment, step) = match (1..8).find(|s| magnitude < 256 << s) {
            _ if magnitude < 256 => (0, magnitude / 16),
            Some(segment) => (segment, (magnitude - (128 << segment)) / (8 << segment)),
            None => unreachable!("a sample has fifteen bits beside its sign"),
        };
        let sign = if sample < 0 { 0 } else { 0x80 };
        (sign | segment << 4 | step) as u8 ^ 0x55
    }

    #[test]
    fn every_sample_encodes_as_the_recommendation_says() {
        for sample in i16::MIN..=i16::MAX {
            assert_eq!(ulaw_code(sample), ulaw_by_the_book(sample), "µ-law of {sample}");
            assert_eq!(alaw_code(sample), alaw_by_the_book(sample), "A-law of {sample}");
        }
    }

    #[test]
    fn every_code_decodes_to_a_sample_that_encodes_back_to_it() {
        for code in 0..=255_u8 {
            let (mut u, mut a) = ([0; 1], [0; 1]);
            ulaw_decode(&[code], &mut u);
            alaw_decode(&[code], &mut a);
            // µ-law has two zeros; the negative one comes back as the positive one.
            assert_eq!(ulaw_code(u[0]), if code == 0x7f { 0xff } else { code }, "µ-law {code:02x}");
            assert_eq!(alaw_code(a[0]), code, "A-law {code:02x}");
        }
    }

    #[test]
    fn a_decoded_sample_is_within_half_a_step_of_the_encoded_one() {
        for sample in i16::MIN..=i16::MAX {
            let wide = i32::from(sample);
            let u = i32::from(ULAW_TABLE[usize::from(ulaw_code(sample))]);
            let a = i32::from(ALAW_TABLE[usize::from(alaw_code(sample))]);
            let half_u = ((wide.abs().min(32_635) + 132) / 32).max(4);
            let half_a = (wide.abs() / 32).max(8);
            assert!((u - wide.clamp(-32_635, 32_635)).abs() <= half_u, "µ-law of {sample} came back as {u}");
            assert!((a - wide).abs() <= half_a + 1, "A-law of {sample} came back as {a}");
        }
    }

    #[test]
    fn a_400_hz_tone_has_the_known_codes() {
        let tone: [i16; 20] = [
            0, 2472, 4702, 6472, 7608, 8000, 7608, 6472, 4702, 2472, 0, -2472, -4702, -6472, -7608, -8000, -7608,
            -6472, -4702, -2472,
        ];
        let (mut ulaw, mut alaw) = ([0; 20], [0; 20]);
        assert_eq!(ulaw_encode(&tone, &mut ulaw), 20);
        assert_eq!(alaw_encode(&tone, &mut alaw), 20);
        assert_eq!(hex(&ulaw), "ffbbada6a1a0a1a6adbbff3b2d26212021262d3b");
        assert_eq!(hex(&alaw), "d596878c888a888c8796d516070c080a080c0716");
    }

    #[test]
    fn silence_has_its_own_byte() {
        let (mut u, mut a) = ([0; 2], [0; 2]);
        assert_eq!(ulaw_encode(&[0, 0], &mut u), 2);
        assert_eq!(alaw_encode(&[0, 0], &mut a), 2);
        assert_eq!((u, a), ([ULAW_SILENCE; 2], [ALAW_SILENCE; 2]));
    }

    #[test]
    fn slices_of_unequal_length_are_coded_up_to_the_shorter() {
        let mut out = [7_i16; 3];
        assert_eq!(ulaw_decode(&[ULAW_SILENCE; 2], &mut out), 2);
        assert_eq!(out, [0, 0, 7]);
        assert_eq!(alaw_encode(&[0; 9], &mut [0; 4]), 4);
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }
}
