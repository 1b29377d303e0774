//! The 44-byte header of a recording, and what a header and a file's length say about each other. Pure: bytes in, bytes out.

use std::fmt;

use crate::units::SampleRate;

/// Length of the header; the audio begins here.
pub const HEADER_BYTES: u64 = 44;

/// Bytes of one stereo sample.
pub const FRAME_BYTES: u64 = 4;

/// The most audio a WAV file can name: its lengths are 32 bits wide. 37 hours at 8 kHz.
pub const MAX_DATA_BYTES: u64 = (u32::MAX as u64 - HEADER_BYTES) / FRAME_BYTES * FRAME_BYTES;

/// Why a recording lacks its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Incomplete {
    /// The disk or the share of it that `data.max_bytes` allows was full.
    DiskFull,
    /// The disk refused to write for another reason.
    IoError,
    /// The media shard never said that the recording is over; what came before is there.
    CutOff,
    /// The longest recording that the format can hold.
    TooLong,
    /// The recorder gave no answer in time; the file may still be whole.
    NoAnswer,
}

impl Incomplete {
    /// The code in results.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::IoError => "io_error",
            Self::CutOff => "cut_off",
            Self::TooLong => "too_long",
            Self::NoAnswer => "no_answer",
        }
    }
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The header of a stereo PCM16 file with `data_bytes` of audio (RIFF, `fmt ` with 16 bytes, `data`).
#[must_use]
pub fn header(rate: SampleRate, data_bytes: u64) -> [u8; HEADER_BYTES as usize] {
    let data = u32::try_from(data_bytes.min(MAX_DATA_BYTES)).unwrap_or(u32::MAX);
    let mut out = [0; HEADER_BYTES as usize];
    out[..4].copy_from_slice(b"RIFF");
    out[4..8].copy_from_slice(&data.saturating_add(36).to_le_bytes());
    out[8..16].copy_from_slice(b"WAVEfmt ");
    out[16..20].copy_from_slice(&16_u32.to_le_bytes());
    out[20..22].copy_from_slice(&1_u16.to_le_bytes());
    out[22..24].copy_from_slice(&2_u16.to_le_bytes());
    out[24..28].copy_from_slice(&rate.hz().to_le_bytes());
    out[28..32].copy_from_slice(&(rate.hz() * FRAME_BYTES as u32).to_le_bytes());
    out[32..34].copy_from_slice(&(FRAME_BYTES as u16).to_le_bytes());
    out[34..36].copy_from_slice(&16_u16.to_le_bytes());
    out[36..40].copy_from_slice(b"data");
    out[40..44].copy_from_slice(&data.to_le_bytes());
    out
}

/// What the start of a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// A recording of ours whose header agrees with the file's length.
    Agrees {
        /// Its rate.
        rate: SampleRate,
    },
    /// A recording of ours whose header does not: it was not finished.
    Disagrees {
        /// Its rate.
        rate: SampleRate,
    },
    /// The header itself never reached the disk (a short file, or zeros); audio may stand behind it.
    Headless,
    /// Some other file: not ours to change.
    Foreign,
}

/// Judges a file by its first bytes (at most 44 are looked at) and its length.
#[must_use]
pub fn judge(start: &[u8], file_bytes: u64) -> Verdict {
    if start.iter().take(HEADER_BYTES as usize).all(|&b| b == 0) {
        return Verdict::Headless;
    }
    let Some(head) = start.first_chunk::<{ HEADER_BYTES as usize }>() else {
        let prefix = header(SampleRate::NARROW, 0);
        let n = start.len().min(4);
        return if start[..n] == prefix[..n] { Verdict::Headless } else { Verdict::Foreign };
    };
    let rate = SampleRate::new(u32::from_le_bytes([head[24], head[25], head[26], head[27]]));
    let Some(rate) = rate else { return Verdict::Foreign };
    let mut ours = header(rate, 0);
    // The two lengths are the only fields that may differ.
    ours[4..8].copy_from_slice(&head[4..8]);
    ours[40..44].copy_from_slice(&head[40..44]);
    if ours != *head {
        return Verdict::Foreign;
    }
    let audio = file_bytes.saturating_sub(HEADER_BYTES);
    let agrees = audio.is_multiple_of(FRAME_BYTES) && *head == header(rate, audio);
    if agrees { Verdict::Agrees { rate } } else { Verdict::Disagrees { rate } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_agrees_with_its_own_length_and_no_other() {
        let head = header(SampleRate::WIDE, 640);
        assert_eq!(judge(&head, 44 + 640), Verdict::Agrees { rate: SampleRate::WIDE });
        for other in [44, 44 + 639, 44 + 641, 44 + 644] {
            assert_eq!(judge(&head, other), Verdict::Disagrees { rate: SampleRate::WIDE });
        }
    }

    #[test]
    fn files_of_others_are_left_alone() {
        let mut tagged = header(SampleRate::NARROW, 16);
        tagged[36..40].copy_from_slice(b"LIST");
        assert_eq!(judge(&tagged, 60), Verdict::Foreign);
        assert_eq!(judge(&[7; 44], 44), Verdict::Foreign);
        assert_eq!(judge(b"OggS", 4), Verdict::Foreign);
    }

    #[test]
    fn a_header_that_never_arrived_is_known() {
        assert_eq!(judge(&[], 0), Verdict::Headless);
        assert_eq!(judge(&[0; 44], 9_000), Verdict::Headless);
        let head = header(SampleRate::NARROW, 0);
        for cut in 0..44 {
            assert_eq!(judge(&head[..cut], cut as u64), Verdict::Headless, "cut at {cut}");
        }
    }

    #[test]
    fn an_independent_reader_reads_the_header() {
        let mut file = header(SampleRate::NARROW, 8).to_vec();
        file.extend_from_slice(&[1, 0, 2, 0, 3, 0, 4, 0]);
        let mut reader = hound::WavReader::new(file.as_slice()).unwrap();
        assert_eq!((reader.spec().channels, reader.spec().sample_rate, reader.spec().bits_per_sample), (2, 8_000, 16));
        assert_eq!(reader.samples::<i16>().map(Result::unwrap).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
