//! The two kinds of file that the recorder thread owns: a growing WAV and an append-only log. Every write goes to the page
//! cache at once, so what was written survives the process; nothing here waits for the disk itself.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::super::plan::{BLOCK_FRAMES, RecordBlock};
use super::super::wav::{FRAME_BYTES, HEADER_BYTES, Incomplete, MAX_DATA_BYTES, header};
use super::space::Space;
use crate::units::{Moment, SampleRate};

/// How often the header of an open recording is brought up to date.
const PATCH_EVERY_MS: u64 = 5_000;

/// Opens `path` for writing, with its folder.
fn create(path: &Path, options: &OpenOptions) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    options.open(path)
}

/// What an error of the disk means for a recording.
fn cause(error: &io::Error) -> Incomplete {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Incomplete::DiskFull,
        _ => Incomplete::IoError,
    }
}

/// A recording that grows.
#[derive(Debug)]
pub(super) struct WavFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its rate.
    pub(super) rate: SampleRate,
    /// Stereo samples in the file.
    pub(super) frames: u64,
    /// Of those, silence in the place of lost audio.
    pub(super) lost_frames: u64,
    /// Why nothing is written any more; what is there stays.
    pub(super) incomplete: Option<Incomplete>,
    file: Option<File>,
    has_header: bool,
    patched: Moment,
}

impl WavFile {
    /// A new recording with the header of an empty one. A file that is already there is not touched: the recording is then
    /// incomplete from the start.
    pub(super) fn create(path: PathBuf, rate: SampleRate, space: &mut Space, now: Moment) -> Self {
        let opened = if space.has_room_for(HEADER_BYTES) {
            create(&path, OpenOptions::new().write(true).create_new(true)).map_err(|error| {
                tracing::error!(path = %path.display(), %error, "a recording could not be created; the call goes on");
                cause(&error)
            })
        } else {
            Err(Incomplete::DiskFull)
        };
        let (file, incomplete) = match opened {
            Ok(file) => (Some(file), None),
            Err(incomplete) => (None, Some(incomplete)),
        };
        Self::begin(path, rate, file, incomplete, space, now)
    }

    fn begin(
        path: PathBuf,
        rate: SampleRate,
        file: Option<File>,
        incomplete: Option<Incomplete>,
        space: &mut Space,
        now: Moment,
    ) -> Self {
        let (frames, lost_frames, has_header) = (0, 0, false);
        let mut wav = Self { path, rate, frames, lost_frames, incomplete, file, has_header, patched: now };
        if let Some(mut file) = wav.file.take() {
            let head = file.write_all(&header(rate, 0));
            wav.file = Some(file);
            match head {
                Ok(()) => {
                    wav.has_header = true;
                    space.written(HEADER_BYTES);
                }
                Err(error) => wav.stop(cause(&error)),
            }
        }
        wav
    }

    /// Writes a block at its place: silence first where blocks are missing before it.
    pub(super) fn write(&mut self, block: &RecordBlock, space: &mut Space) {
        if self.incomplete.is_some() {
            return;
        }
        let gap = block.first_frame.saturating_sub(self.frames);
        self.lost_frames += self.silence(gap, space);
        // A block can only begin early where the writer was started twice; what is there wins.
        let early = self.frames.saturating_sub(block.first_frame).min(u64::from(block.len));
        let fresh = block.used().get(early as usize * 2..).unwrap_or_default();
        let mut bytes = [0; BLOCK_FRAMES * FRAME_BYTES as usize];
        let (places, _) = bytes.as_chunks_mut::<2>();
        places.iter_mut().zip(fresh).for_each(|(place, sample)| *place = sample.to_le_bytes());
        self.append(&bytes[..fresh.len() * 2], space);
    }

    /// Brings the header up to date where it is time to, so that a copy of a running call plays as well.
    pub(super) fn tick(&mut self, now: Moment) {
        if now.ms_since(self.patched) >= PATCH_EVERY_MS {
            self.patched = now;
            self.patch();
        }
    }

    /// Writes the final header and closes the file.
    pub(super) fn finish(&mut self) {
        self.patch();
        self.file = None;
    }

    /// Nothing more is written; the header says what is there.
    pub(super) fn stop(&mut self, why: Incomplete) {
        if self.incomplete.is_none() {
            tracing::warn!(path = %self.path.display(), %why, "a recording stops; the call goes on");
            self.incomplete = Some(why);
        }
        if let Some(file) = &self.file
            && let Ok(meta) = file.metadata()
            && meta.is_file()
        {
            // A write that failed half-way may have left a torn sample. Cutting a file needs no room.
            let whole = meta.len().saturating_sub(HEADER_BYTES) / FRAME_BYTES;
            self.frames = whole;
            if meta.len() > HEADER_BYTES
                && let Err(error) = file.set_len(HEADER_BYTES + whole * FRAME_BYTES)
            {
                tracing::warn!(path = %self.path.display(), %error, "a torn sample stays at the end of a recording");
            }
        }
        self.finish();
    }

    /// Bytes of the file.
    pub(super) fn file_bytes(&self) -> u64 {
        if self.has_header { HEADER_BYTES + self.frames * FRAME_BYTES } else { 0 }
    }

    /// Is the file still open?
    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    fn silence(&mut self, frames: u64, space: &mut Space) -> u64 {
        const ZEROS: [u8; 8_192] = [0; 8_192];
        let before = self.frames;
        let mut left = frames * FRAME_BYTES;
        while left > 0 && self.incomplete.is_none() {
            let n = left.min(ZEROS.len() as u64);
            self.append(&ZEROS[..n as usize], space);
            left -= n;
        }
        self.frames.saturating_sub(before)
    }

    fn append(&mut self, bytes: &[u8], space: &mut Space) {
        let n = bytes.len() as u64;
        if n == 0 || self.incomplete.is_some() {
            return;
        }
        if self.frames * FRAME_BYTES + n > MAX_DATA_BYTES {
            self.stop(Incomplete::TooLong);
        } else if !space.has_room_for(n) {
            self.stop(Incomplete::DiskFull);
        } else if let Some(mut file) = self.file.as_ref() {
            match file.write_all(bytes) {
                Ok(()) => {
                    self.frames += n / FRAME_BYTES;
                    space.written(n);
                }
                Err(error) => {
                    tracing::error!(path = %self.path.display(), %error, "a recording could not be written");
                    let before = self.frames;
                    self.stop(cause(&error));
                    // What the disk took before it failed stays.
                    space.written(self.frames.saturating_sub(before) * FRAME_BYTES);
                }
            }
        }
    }

    fn patch(&mut self) {
        let Some(file) = &self.file else { return };
        if let Err(error) = file.write_all_at(&header(self.rate, self.frames * FRAME_BYTES), 0) {
            tracing::warn!(path = %self.path.display(), %error, "a recording's header could not be brought up to date");
        }
    }
}

/// An append-only file of lines.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: Option<File>,
    torn: bool,
    /// Bytes that the disk refused.
    pub(super) lost_bytes: u64,
}

impl LogFile {
    /// Opens or creates the file; where that fails, everything given to it is counted as lost.
    pub(super) fn open(path: PathBuf) -> Self {
        let file = create(&path, OpenOptions::new().append(true).create(true))
            .inspect_err(|error| tracing::error!(path = %path.display(), %error, "a log could not be opened"))
            .ok();
        Self { path, file, torn: false, lost_bytes: 0 }
    }

    /// Appends whole lines.
    pub(super) fn append(&mut self, bytes: &[u8], space: &mut Space) {
        let n = bytes.len() as u64;
        let Some(mut file) = self.file.as_ref() else {
            self.lost_bytes += n;
            return;
        };
        // After a write that failed half-way the next line must not grow onto the torn one.
        if std::mem::take(&mut self.torn) && file.write_all(b"\n").is_err() {
            self.torn = true;
            self.lost_bytes += n;
            return;
        }
        match file.write_all(bytes) {
            Ok(()) => space.written(n),
            Err(error) => {
                if self.lost_bytes == 0 {
                    tracing::error!(path = %self.path.display(), %error, "a log could not be written; the call goes on");
                }
                self.torn = true;
                self.lost_bytes += n;
            }
        }
    }
}

#[cfg(test)]
#[path = "refusal_tests.rs"]
mod refusal_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::scratch::Scratch;

    fn block(first_frame: u64, len: u32, value: i16) -> Box<RecordBlock> {
        let mut block = RecordBlock::empty();
        block.first_frame = first_frame;
        block.len = len;
        block.samples.fill(value);
        block
    }

    fn read(path: &Path) -> Vec<i16> {
        hound::WavReader::open(path).unwrap().samples::<i16>().map(Result::unwrap).collect()
    }

    #[test]
    fn missing_blocks_become_silence_of_their_length() {
        let dir = Scratch::new("file-gap");
        let mut space = Space::new(dir.path(), None, 0, Moment::ZERO);
        let mut wav = WavFile::create(dir.path().join("c/r.wav"), SampleRate::NARROW, &mut space, Moment::ZERO);
        wav.write(&block(0, 10, 5), &mut space);
        wav.write(&block(5_000, 10, 6), &mut space);
        wav.write(&block(5_005, 10, 7), &mut space);
        wav.finish();
        assert_eq!((wav.frames, wav.lost_frames, wav.incomplete), (5_015, 4_990, None));
        let samples = read(&wav.path);
        assert_eq!(samples.len(), 5_015 * 2);
        assert!(samples[20..10_000].iter().all(|&s| s == 0));
        assert_eq!((samples[19], samples[10_000], samples[10_019], samples[10_020]), (5, 6, 6, 7));
    }

    #[test]
    fn a_running_recording_plays_after_each_header_patch() {
        let dir = Scratch::new("file-patch");
        let mut space = Space::new(dir.path(), None, 0, Moment::ZERO);
        let mut wav = WavFile::create(dir.path().join("r.wav"), SampleRate::NARROW, &mut space, Moment::ZERO);
        wav.write(&block(0, 100, 5), &mut space);
        wav.tick(Moment::from_millis(4_999));
        assert_eq!(read(&wav.path).len(), 0);
        wav.tick(Moment::from_millis(5_000));
        assert_eq!(read(&wav.path).len(), 200);
    }

    #[test]
    fn a_disk_without_room_ends_the_recording_and_says_why() {
        let dir = Scratch::new("file-enospc");
        let mut space = Space::new(dir.path(), None, 0, Moment::ZERO);
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let path = dir.path().join("r.wav");
        let wav = WavFile::begin(path, SampleRate::NARROW, Some(full), None, &mut space, Moment::ZERO);
        assert_eq!((wav.incomplete, wav.frames, wav.is_open()), (Some(Incomplete::DiskFull), 0, false));
    }

    #[test]
    fn a_quota_ends_the_recording_at_a_whole_sample_and_the_file_plays() {
        let dir = Scratch::new("file-quota");
        let mut space = Space::new(dir.path(), Some(44 + 8_000 + 4_001), 0, Moment::ZERO);
        let mut wav = WavFile::create(dir.path().join("r.wav"), SampleRate::NARROW, &mut space, Moment::ZERO);
        wav.write(&block(0, 2_000, 1), &mut space);
        wav.write(&block(2_000, 1_000, 2), &mut space);
        wav.write(&block(3_000, 1_000, 3), &mut space);
        wav.write(&block(4_000, 1, 4), &mut space);
        assert_eq!(wav.incomplete, Some(Incomplete::DiskFull));
        assert_eq!(read(&wav.path).len(), 6_000);
        assert_eq!(wav.file_bytes(), std::fs::metadata(&wav.path).unwrap().len());
    }

    #[test]
    fn a_recording_never_overwrites_another() {
        let dir = Scratch::new("file-exists");
        let path = dir.path().join("r.wav");
        std::fs::write(&path, b"precious").unwrap();
        let mut space = Space::new(dir.path(), None, 0, Moment::ZERO);
        let mut wav = WavFile::create(path.clone(), SampleRate::NARROW, &mut space, Moment::ZERO);
        wav.write(&block(0, 10, 5), &mut space);
        wav.finish();
        assert_eq!(wav.incomplete, Some(Incomplete::IoError));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn lines_that_the_disk_refuses_are_counted() {
        let dir = Scratch::new("log-lost");
        let mut space = Space::new(dir.path(), None, 0, Moment::ZERO);
        let mut log = LogFile::open(PathBuf::from("/dev/full"));
        log.append(b"one\n", &mut space);
        log.append(b"two\n", &mut space);
        assert_eq!(log.lost_bytes, 8);
        let mut log = LogFile::open(dir.path().join("c/journal"));
        log.append(b"one\n", &mut space);
        log.append(b"two\n", &mut space);
        assert_eq!(std::fs::read(dir.path().join("c/journal")).unwrap(), b"one\ntwo\n");
        assert_eq!(log.lost_bytes, 0);
    }
}
