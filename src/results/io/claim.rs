//! The claim of one process on its data folder. Two workers on one folder would each take the other's running calls for
//! crashed ones; the claim makes that impossible, and the kernel gives it back however the process ends.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another process has it.
    #[error(
        "{path}: expected a data folder of this worker's own, found one in use; stop the other worker or set `--data`"
    )]
    InUse {
        /// The folder.
        path: String,
    },
    /// The disk said no.
    #[error("{path}: expected a folder that can be made and written, found: {error}; check its owner or set `--data`")]
    Io {
        /// The folder.
        path: String,
        /// The disk's words.
        error: io::Error,
    },
}

/// The claim; the folder is this process's own while it lives.
#[derive(Debug)]
pub struct DataClaim {
    dir: PathBuf,
    // Held, not read: closing the file gives the claim back.
    _lock: File,
}

impl DataClaim {
    /// Claims `dir`, which is made where it is missing.
    ///
    /// # Errors
    /// Where another process has it, or it cannot be made.
    pub fn take(dir: &Path) -> Result<Self, ClaimError> {
        let io = |error| ClaimError::Io { path: dir.display().to_string(), error };
        std::fs::create_dir_all(dir).map_err(io)?;
        let options = OpenOptions::new().write(true).create(true).truncate(false).open(dir.join("lock"));
        let lock = options.map_err(io)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: lock }),
            Err(Errno::WOULDBLOCK) => Err(ClaimError::InUse { path: dir.display().to_string() }),
            Err(error) => Err(io(error.into())),
        }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::scratch::Scratch;

    #[test]
    fn a_folder_has_one_owner_at_a_time() {
        let dir = Scratch::new("claim");
        let first = DataClaim::take(dir.path()).unwrap();
        assert_eq!(first.dir(), dir.path());
        assert!(matches!(DataClaim::take(dir.path()), Err(ClaimError::InUse { .. })));
        drop(first);
        assert!(DataClaim::take(dir.path()).is_ok());
    }
}
