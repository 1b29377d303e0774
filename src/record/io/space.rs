//! How much may still be written: the operator's bound on everything under the data folder, and the room that the disk
//! must keep free. Recordings ask before they write; journals and results are small, are never refused, and are what the
//! free room is kept for.

use std::path::{Path, PathBuf};

use crate::units::Moment;

/// How often the disk is asked for its free room.
const CHECK_EVERY_MS: u64 = 2_000;

/// How often a full data folder is counted again (somebody may have deleted old calls).
const RECOUNT_EVERY_MS: u64 = 60_000;

/// The account of the data folder.
#[derive(Debug)]
pub(super) struct Space {
    dir: PathBuf,
    max_bytes: Option<u64>,
    min_free_bytes: u64,
    used_bytes: u64,
    disk_is_full: bool,
    checked: Option<Moment>,
    counted: Moment,
}

impl Space {
    /// Counts what is there now.
    pub(super) fn new(dir: &Path, max_bytes: Option<u64>, min_free_bytes: u64, now: Moment) -> Self {
        let used_bytes = if max_bytes.is_some() { count(dir) } else { 0 };
        let dir = dir.to_owned();
        let mut space =
            Self { dir, max_bytes, min_free_bytes, used_bytes, disk_is_full: false, checked: None, counted: now };
        space.refresh(now);
        space
    }

    /// Looks at the disk again where it is time to.
    pub(super) fn refresh(&mut self, now: Moment) {
        if self.checked.is_some_and(|at| now.ms_since(at) < CHECK_EVERY_MS) {
            return;
        }
        self.checked = Some(now);
        let was_full = self.disk_is_full;
        match rustix::fs::statvfs(&self.dir) {
            Ok(fs) => self.disk_is_full = fs.f_bavail.saturating_mul(fs.f_frsize) < self.min_free_bytes,
            Err(error) => tracing::warn!(%error, "the free room of the data folder could not be read"),
        }
        if self.disk_is_full && !was_full {
            tracing::error!(
                min_free_bytes = self.min_free_bytes,
                "the disk of the data folder is nearly full: recordings stop, calls go on; free some room"
            );
        }
        let over = self.max_bytes.is_some_and(|max| self.used_bytes >= max);
        if over && now.ms_since(self.counted) >= RECOUNT_EVERY_MS {
            self.counted = now;
            self.used_bytes = count(&self.dir);
        }
    }

    /// May a recording write `bytes` more?
    pub(super) fn has_room_for(&self, bytes: u64) -> bool {
        !self.disk_is_full && self.max_bytes.is_none_or(|max| self.used_bytes.saturating_add(bytes) <= max)
    }

    /// `bytes` were written.
    pub(super) fn written(&mut self, bytes: u64) {
        self.used_bytes = self.used_bytes.saturating_add(bytes);
    }

    /// Is there no room for recordings now?
    pub(super) fn is_full(&self) -> bool {
        !self.has_room_for(1)
    }
}

/// The bytes of all files under `dir`; what cannot be read counts as nothing. Symbolic links are not followed.
fn count(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => count(&entry.path()),
            Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |meta| meta.len()),
            _ => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::scratch::Scratch;

    #[test]
    fn the_bound_counts_what_is_there_and_what_is_written() {
        let dir = Scratch::new("space-bound");
        std::fs::create_dir_all(dir.path().join("calls/a")).unwrap();
        std::fs::write(dir.path().join("calls/a/recording.wav"), [0; 600]).unwrap();
        let mut space = Space::new(dir.path(), Some(1_000), 0, Moment::ZERO);
        assert!(space.has_room_for(400) && !space.has_room_for(401));
        space.written(400);
        assert!(space.is_full());
        std::fs::remove_file(dir.path().join("calls/a/recording.wav")).unwrap();
        space.refresh(Moment::from_millis(59_000));
        assert!(space.is_full(), "not counted again yet");
        space.refresh(Moment::from_millis(61_500));
        assert!(space.has_room_for(1_000), "deleted calls make room");
    }

    #[test]
    fn the_disk_keeps_its_free_room() {
        let dir = Scratch::new("space-floor");
        assert!(Space::new(dir.path(), None, u64::MAX, Moment::ZERO).is_full());
        assert!(!Space::new(dir.path(), None, 0, Moment::ZERO).is_full());
    }
}
