//! From a frame's payload to whole samples: tolerant base64, WAV headers cut off, odd bytes carried to the next frame. Never
//! changes a sample: decoding µ-law or A-law is the transport's.

use super::{Encoding, Tally};

/// The text is not base64 in any accepted spelling.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected base64")]
pub struct BadBase64;

/// Appends the bytes of `text`. The fast way takes the standard alphabet with padding; what it refuses is tried again with the
/// URL-safe alphabet, without padding and without white space.
///
/// # Errors
/// [`BadBase64`]; `out` is then as it was.
pub fn decode_base64(text: &str, out: &mut Vec<u8>) -> Result<(), BadBase64> {
    if base64_simd::STANDARD.decode_append(text, out).is_ok() {
        return Ok(());
    }
    let plain: Vec<u8> = text
        .trim_ascii_end()
        .trim_end_matches('=')
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        })
        .collect();
    base64_simd::STANDARD_NO_PAD.decode_append(&plain, out).map_err(|_| BadBase64)
}

/// The customer's audio stream: payloads in, whole samples out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Intake {
    carry: Option<u8>,
}

impl Intake {
    /// Appends base64 audio to `audio`, at most `limit` bytes; `true` where whole samples came.
    pub fn text(&mut self, encoding: Encoding, text: &str, limit: usize, audio: &mut Vec<u8>, tally: &mut Tally) -> bool {
        if text.len() / 4 * 3 > limit + WAV_HEADER_BYTES {
            tally.oversize += 1;
            return false;
        }
        let from = audio.len();
        if decode_base64(text, audio).is_err() {
            tally.bad_base64 += 1;
            return false;
        }
        self.settle(encoding, from, limit, audio, tally)
    }

    /// Appends bare audio to `audio`, at most `limit` bytes; `true` where whole samples came.
    pub fn bytes(&mut self, encoding: Encoding, bytes: &[u8], limit: usize, audio: &mut Vec<u8>, tally: &mut Tally) -> bool {
        if bytes.len() > limit + WAV_HEADER_BYTES {
            tally.oversize += 1;
            return false;
        }
        let from = audio.len();
        audio.extend_from_slice(bytes);
        self.settle(encoding, from, limit, audio, tally)
    }

    fn settle(&mut self, encoding: Encoding, from: usize, limit: usize, audio: &mut Vec<u8>, tally: &mut Tally) -> bool {
        if let Some(header) = wav_header(audio.get(from..).unwrap_or_default()) {
            audio.drain(from..from + header);
            tally.wav_header += 1;
            self.carry = None;
        }
        if audio.len() - from > limit {
            audio.truncate(from);
            tally.oversize += 1;
            return false;
        }
        if encoding == Encoding::Linear {
            if audio.len() > from
                && let Some(byte) = self.carry.take()
            {
                audio.insert(from, byte);
            }
            if (audio.len() - from) % 2 == 1 {
                self.carry = audio.pop();
            }
        }
        audio.len() > from
    }
}

/// A WAV header as most writers make it.
const WAV_HEADER_BYTES: usize = 44;

/// Length of the WAV header that `bytes` begin with: through to its `data` chunk, or everything where there is none.
fn wav_header(bytes: &[u8]) -> Option<usize> {
    if !bytes.starts_with(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
        return None;
    }
    let mut at = 12;
    while let Some(head) = bytes.get(at..at + 8) {
        if head.starts_with(b"data") {
            return Some(at + 8);
        }
        let size = head.get(4..8).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes) as usize;
        at = at.saturating_add(8).saturating_add(size).saturating_add(size % 2).min(bytes.len());
    }
    Some(bytes.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_of_base64_gives_the_same_bytes() {
        for text in ["+/+/AA==", "+/+/AA", "-_-_AA==", "-_-_AA", "+/+/\r\nAA==\n"] {
            let mut out = vec![9];
            decode_base64(text, &mut out).unwrap();
            assert_eq!(out, [9, 0xfb, 0xff, 0xbf, 0], "{text:?}");
        }
        for text in ["A", "AAAA*", "é", "=A==", "AA=A"] {
            let mut out = vec![9];
            assert_eq!(decode_base64(text, &mut out), Err(BadBase64), "{text:?}");
            assert_eq!(out, [9], "{text:?}");
        }
    }

    #[test]
    fn a_wav_header_is_cut_off_wherever_its_data_begins() {
        let mut wav = b"RIFF\x24\0\0\0WAVEfmt \x04\0\0\0abcdLIST\x03\0\0\0abc\0data\x04\0\0\0".to_vec();
        wav.extend([1, 2, 3, 4]);
        let (mut audio, mut tally) = (Vec::new(), Tally::default());
        assert!(Intake::default().bytes(Encoding::Linear, &wav, 16_000, &mut audio, &mut tally));
        assert_eq!((audio.as_slice(), tally.wav_header), ([1, 2, 3, 4].as_slice(), 1));
        audio.clear();
        assert!(!Intake::default().bytes(Encoding::Linear, b"RIFF\xff\xff\xff\xffWAVEjunk\xff\xff\xff\xff", 99, &mut audio, &mut tally));
        assert!(audio.is_empty());
    }

    #[test]
    fn more_than_a_second_in_one_message_is_refused_whole() {
        let (mut audio, mut tally) = (Vec::new(), Tally::default());
        let long = base64_simd::STANDARD.encode_to_string(vec![0; 16_002]);
        assert!(!Intake::default().text(Encoding::Linear, &long, 16_000, &mut audio, &mut tally));
        assert!(!Intake::default().bytes(Encoding::Linear, &[0; 99_999], 16_000, &mut audio, &mut tally));
        assert_eq!((audio.len(), tally.oversize), (0, 2));
        assert!(Intake::default().bytes(Encoding::Linear, &[0; 16_000], 16_000, &mut audio, &mut tally));
    }

    proptest! {
        #[test]
        fn split_anywhere_the_samples_come_out_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..600), cuts in prop::collection::vec(0usize..600, 0..12),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let (mut intake, mut tally, mut all) = (Intake::default(), Tally::default(), Vec::new());
            for pair in cuts.windows(2) {
                let text = base64_simd::STANDARD.encode_to_string(&bytes[pair[0]..pair[1]]);
                let before = all.len();
                let came = intake.text(Encoding::Linear, &text, 16_000, &mut all, &mut tally);
                prop_assert_eq!(all.len() % 2, 0);
                prop_assert_eq!(came, all.len() > before);
            }
            prop_assert_eq!(all.as_slice(), &bytes[..bytes.len() / 2 * 2]);
        }
    }
}
