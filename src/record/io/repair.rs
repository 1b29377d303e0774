//! Mends recordings that a crash left unfinished: the file's length is the truth, the header follows it. Never removes a
//! byte, and never touches a file that is not a recording of ours.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::super::wav::{FRAME_BYTES, HEADER_BYTES, MAX_DATA_BYTES, Verdict, header, judge};
use crate::units::SampleRate;

/// What a look at a recording found and did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repaired {
    /// The header was wrong and is right now.
    pub mended: bool,
    /// The recording's rate.
    pub rate: SampleRate,
    /// Stereo samples in it.
    pub frames: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

impl Repaired {
    /// How long it plays, in milliseconds.
    #[must_use]
    pub const fn duration_ms(&self) -> u64 {
        self.rate.ms_of(self.frames)
    }
}

/// Why a recording could not be mended; the file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The disk said no.
    #[error(
        "{path}: expected a recording that can be read and written, found: {error}; check the file's owner and the disk"
    )]
    Io {
        /// The file.
        path: String,
        /// The disk's words.
        error: io::Error,
    },
    /// Not one of our recordings.
    #[error(
        "{path}: expected a stereo PCM16 recording with a 44-byte header, found something else; it was not touched"
    )]
    Foreign {
        /// The file.
        path: String,
    },
    /// The mended file does not read back.
    #[error("{path}: the mended recording does not read back: {detail}; its audio is unchanged from byte 44 on")]
    Unreadable {
        /// The file.
        path: String,
        /// The reader's words.
        detail: String,
    },
}

/// What a look through a folder of calls did.
#[derive(Debug, Default)]
pub struct RepairReport {
    /// Recordings looked at.
    pub checked: usize,
    /// Recordings whose header was wrong and is right now.
    pub mended: Vec<PathBuf>,
    /// Recordings that could not be mended.
    pub failed: Vec<RepairError>,
}

/// Mends every `recording.wav` in the folders of `calls_dir`. For the start, before calls are taken.
#[must_use]
pub fn repair(calls_dir: &Path) -> RepairReport {
    let mut report = RepairReport::default();
    let Ok(entries) = std::fs::read_dir(calls_dir) else { return report };
    for entry in entries.flatten() {
        let path = entry.path().join("recording.wav");
        if !path.is_file() {
            continue;
        }
        report.checked += 1;
        match repair_file(&path, SampleRate::NARROW) {
            Ok(found) if found.mended => report.mended.push(path),
            Ok(_) => {}
            Err(error) => report.failed.push(error),
        }
    }
    report
}

/// Mends one recording from its length. `rate` is taken where the header never reached the disk.
///
/// # Errors
/// Where the file cannot be read or written, is not a recording of ours, or does not read back.
pub fn repair_file(path: &Path, rate: SampleRate) -> Result<Repaired, RepairError> {
    let found = mend(path, rate)
        .map_err(|error| RepairError::Io { path: path.display().to_string(), error })?
        .ok_or_else(|| RepairError::Foreign { path: path.display().to_string() })?;
    // A reader that shares no code with the writer has the last word.
    let unreadable = |detail: String| RepairError::Unreadable { path: path.display().to_string(), detail };
    let reader = hound::WavReader::open(path).map_err(|error| unreadable(error.to_string()))?;
    let (spec, frames) = (reader.spec(), u64::from(reader.duration()));
    if (spec.channels, spec.bits_per_sample, spec.sample_rate, frames) != (2, 16, found.rate.hz(), found.frames) {
        return Err(unreadable(format!("{frames} samples as {spec:?}, expected {} at {:?}", found.frames, found.rate)));
    }
    Ok(found)
}

/// `None`: not a recording of ours.
fn mend(path: &Path, fallback: SampleRate) -> io::Result<Option<Repaired>> {
    let mut file = OpenOptions::new().read(true).open(path)?;
    let mut bytes = file.metadata()?.len();
    let mut start = Vec::with_capacity(HEADER_BYTES as usize);
    file.by_ref().take(HEADER_BYTES).read_to_end(&mut start)?;
    let rate = match judge(&start, bytes) {
        Verdict::Foreign => return Ok(None),
        Verdict::Agrees { rate } => {
            let frames = bytes.saturating_sub(HEADER_BYTES) / FRAME_BYTES;
            return Ok(Some(Repaired { mended: false, rate, frames, bytes }));
        }
        Verdict::Disagrees { rate } => rate,
        Verdict::Headless => fallback,
    };
    let file = OpenOptions::new().write(true).open(path)?;
    // A sample torn in two is completed with zeros rather than cut: nothing that was said is removed.
    let torn = bytes.saturating_sub(HEADER_BYTES) % FRAME_BYTES;
    if torn > 0 {
        let missing = FRAME_BYTES - torn;
        file.write_all_at(&[0; FRAME_BYTES as usize][..missing as usize], bytes)?;
        bytes += missing;
    }
    let audio = bytes.saturating_sub(HEADER_BYTES).min(MAX_DATA_BYTES);
    file.write_all_at(&header(rate, audio), 0)?;
    file.sync_data()?;
    Ok(Some(Repaired { mended: true, rate, frames: audio / FRAME_BYTES, bytes: bytes.max(HEADER_BYTES) }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::scratch::Scratch;

    fn file(rate: SampleRate, named_bytes: u64, audio: &[u8]) -> Vec<u8> {
        let mut out = header(rate, named_bytes).to_vec();
        out.extend_from_slice(audio);
        out
    }

    proptest! {
        /// Whatever length a crash left and whatever lengths the header named: the file plays, holds every byte it held,
        /// and a second look changes nothing.
        #[test]
        fn any_cut_of_a_recording_is_mended(cut in 0_usize..3_044, named in 0_u64..6_000, wide in any::<bool>()) {
            let dir = Scratch::new("repair-any");
            let path = dir.path().join("recording.wav");
            let rate = if wide { SampleRate::WIDE } else { SampleRate::NARROW };
            let audio: Vec<u8> = (0..3_000_u32).map(|n| (n % 251 + 1) as u8).collect();
            let mut bytes = file(rate, named, &audio);
            bytes.truncate(cut);
            std::fs::write(&path, &bytes).unwrap();
            let first = repair_file(&path, rate).unwrap();
            let after = std::fs::read(&path).unwrap();
            prop_assert_eq!(first.rate, rate);
            prop_assert_eq!(first.bytes, after.len() as u64);
            let kept = bytes.get(44..).unwrap_or_default();
            prop_assert_eq!(&after[44..44 + kept.len()], kept);
            prop_assert!(after.len() - 44 < kept.len() + 4);
            let again = repair_file(&path, rate).unwrap();
            prop_assert_eq!(again, Repaired { mended: false, ..first });
            prop_assert_eq!(std::fs::read(&path).unwrap(), after);
        }
    }

    #[test]
    fn a_folder_of_calls_is_mended_and_strangers_are_left_alone() {
        let dir = Scratch::new("repair-folder");
        let put = |call: &str, bytes: &[u8]| {
            std::fs::create_dir_all(dir.path().join(call)).unwrap();
            std::fs::write(dir.path().join(call).join("recording.wav"), bytes).unwrap();
        };
        put("whole", &file(SampleRate::NARROW, 8, &[1; 8]));
        put("cut", &file(SampleRate::NARROW, 0, &[1; 8]));
        put("foreign", b"OggS and so on, longer than any header of ours would ever be");
        std::fs::create_dir_all(dir.path().join("unrecorded")).unwrap();
        let report = repair(dir.path());
        assert_eq!(report.checked, 3);
        assert_eq!(report.mended, [dir.path().join("cut/recording.wav")]);
        assert!(matches!(report.failed.as_slice(), [RepairError::Foreign { .. }]), "{:?}", report.failed);
        assert!(std::fs::read(dir.path().join("foreign/recording.wav")).unwrap().starts_with(b"OggS"));
        assert_eq!(repair(dir.path()).mended.len(), 0);
    }

    #[test]
    fn a_file_that_is_away_is_an_error_with_its_name() {
        let error = repair_file(Path::new("/nonexistent/recording.wav"), SampleRate::NARROW).unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/recording.wav: expected"), "{error}");
    }
}
