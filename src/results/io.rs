//! The disk's side of results: one folder per call, a result that is written whole or not at all and never twice, the secret
//! behind the links, the call log at start-up. Blocks on the disk: async callers go through a blocking task. Never
//! overwrites a result.

mod claim;
mod recover;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

pub use claim::{ClaimError, DataClaim};
pub use recover::{Recovery, recover};

use super::index::{CallIndex, CallRow};
use super::result::CallResult;
use crate::units::{CallId, Stamp};

/// The result's name in a call's folder.
pub(super) const RESULT: &str = "result.json";

/// The longest call id that may name a folder.
const MAX_ID_BYTES: usize = 128;

/// Keeps the temporary files of this process apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A call id that cannot name a folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "call id: expected 1 to 128 of a-z, A-Z, 0-9, `-`, `_` and `.`, not beginning with `.`; found {found} bytes that are not"
)]
pub struct CallFolderError {
    /// Length of the refused id.
    pub found: usize,
}

/// The folder of a call under the data folder: `<data>/calls/<call_id>`.
///
/// # Errors
/// Where the id could lead out of the folder of calls, or is no name at all.
pub fn call_folder(data_dir: &Path, call: &CallId) -> Result<PathBuf, CallFolderError> {
    let id = call.as_str();
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    if id.is_empty() || id.len() > MAX_ID_BYTES || id.starts_with('.') || !id.bytes().all(allowed) {
        return Err(CallFolderError { found: id.len() });
    }
    Ok(data_dir.join("calls").join(id))
}

/// Why a result was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// This call has its result.
    #[error("{path}: this call has its result already; the second one was not written")]
    AlreadyWritten {
        /// The result that stands.
        path: String,
    },
    /// The disk said no.
    #[error("{path}: the result could not be written: {error}; the journal has the call, a restart writes its result")]
    Io {
        /// The result's place.
        path: String,
        /// The disk's words.
        error: io::Error,
    },
}

/// Writes a call's result into its folder: whole, on the disk when this returns, and once only.
///
/// # Errors
/// [`WriteError::AlreadyWritten`] where the call has a result; [`WriteError::Io`] where the disk fails, and then there is no
/// result, not half a one.
pub fn write_result(folder: &Path, result: &CallResult) -> Result<PathBuf, WriteError> {
    let path = folder.join(RESULT);
    let io = |error| WriteError::Io { path: path.display().to_string(), error };
    let mut bytes = serde_json::to_vec_pretty(result).map_err(|error| io(error.into()))?;
    bytes.push(b'\n');
    std::fs::create_dir_all(folder).map_err(io)?;
    match place(folder, RESULT, &bytes, 0o644) {
        Ok(()) => Ok(path),
        // What is not a file is nobody's result: it is in the way of this one.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_file() => {
            Err(WriteError::AlreadyWritten { path: path.display().to_string() })
        }
        Err(error) => Err(io(error)),
    }
}

/// Reads a call's result.
///
/// # Errors
/// Where there is none, or it is not a result.
pub fn read_result(folder: &Path) -> io::Result<CallResult> {
    let bytes = std::fs::read(folder.join(RESULT))?;
    serde_json::from_slice(&bytes).map_err(io::Error::from)
}

/// Puts a file into `folder` whole and durably; `AlreadyExists` where the name is taken.
fn place(folder: &Path, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    let path = folder.join(name);
    if path.symlink_metadata().is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!("{name}.{}-{n}.tmp", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        rename_new(&temporary, &path)
    })();
    if written.is_err() {
        // The name may never have been made; what matters is that none is left.
        drop(std::fs::remove_file(&temporary));
    }
    written?;
    // The name itself is on the disk only with its folder.
    File::open(folder)?.sync_all()
}

/// Renames, but never onto an existing name.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // Some file systems cannot; a link to a new name is refused the same way where the name is taken.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        Err(error) => Err(error.into()),
    }
}

/// Why the secret of the links is not usable.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The disk said no.
    #[error("{path}: expected a file that can be read, or made on the first start, found: {error}; check its owner")]
    Io {
        /// The file.
        path: String,
        /// The disk's words.
        error: io::Error,
    },
    /// Not 32 bytes.
    #[error("{path}: expected 32 bytes, found {found}; restore it from a backup, or remove it (all links become void)")]
    Length {
        /// The file.
        path: String,
        /// Its length.
        found: usize,
    },
    /// The system has no randomness.
    #[error("the system gave no random bytes for a new secret: {0}")]
    Random(String),
}

/// The secret behind the links, `<data>/secret`: read, or made on the first start, for the owner's eyes only.
///
/// # Errors
/// Where it cannot be read or made, or is not 32 bytes.
pub fn load_secret(data_dir: &Path) -> Result<[u8; 32], SecretError> {
    let path = data_dir.join("secret");
    let io = |error| SecretError::Io { path: path.display().to_string(), error };
    if !path.exists() {
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).map_err(|error| SecretError::Random(error.to_string()))?;
        std::fs::create_dir_all(data_dir).map_err(io)?;
        match place(data_dir, "secret", &fresh, 0o600) {
            Ok(()) => {}
            // Another process was first: its secret is read below.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io(error)),
        }
    }
    let bytes = std::fs::read(&path).map_err(io)?;
    let mode = std::fs::metadata(&path).map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others could read the secret of the links; its mode is 0600 from now on");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(io)?;
    }
    <[u8; 32]>::try_from(bytes.as_slice())
        .map_err(|_| SecretError::Length { path: path.display().to_string(), found: bytes.len() })
}

/// The call log as found on the disk.
#[derive(Debug)]
pub struct IndexLoad {
    /// The newest calls.
    pub index: CallIndex,
    /// Results that could not be read, with the reason.
    pub unreadable: Vec<(PathBuf, String)>,
}

/// Reads the newest `limit` results under `data_dir`.
#[must_use]
pub fn load_index(data_dir: &Path, limit: usize) -> IndexLoad {
    let mut found: Vec<(Stamp, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(data_dir.join("calls")).into_iter().flatten().flatten() {
        let folder = entry.path();
        if let Some(written) = modified(&folder.join(RESULT)) {
            found.push((written, folder));
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.truncate(limit);
    let mut load = IndexLoad { index: CallIndex::new(limit), unreadable: Vec::new() };
    for (_, folder) in found {
        match read_result(&folder) {
            Ok(result) => load.index.insert(CallRow::from(&result)),
            Err(error) => load.unreadable.push((folder.join(RESULT), error.to_string())),
        }
    }
    load
}

/// When a file was written last; `None` where it is not there.
fn modified(path: &Path) -> Option<Stamp> {
    let at = std::fs::metadata(path).ok()?.modified().ok()?;
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(Stamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}
