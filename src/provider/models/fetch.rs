//! Fetching the model files: download what is missing, check it, take the members out. May be stopped at any point and
//! run again; never touches a file that is already whole.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::archive::{ExtractError, extract, sha256_of};
use super::client::{ClientError, download};
use super::manifest::{Group, Member, Package, packages};
use super::verify::{FileState, state_of};
use crate::rt;

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
    /// It goes on; told every few seconds.
    Waiting {
        /// `name==version`.
        package: String,
        /// For so long.
        seconds: u64,
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
            Self::Waiting { package, seconds } => write!(f, "waiting    {package}: {seconds} s"),
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
    clear_abandoned(&cache.join("downloads"));
    fetch_from(&Registries, &wanted, cache, progress).await
}

/// Where archives come from.
trait Source: Sync {
    /// Puts the archive of `package` into the empty folder `into`.
    fn bring(&self, package: &Package, into: &Path) -> impl Future<Output = Result<(), ClientError>> + Send;
}

/// The package clients of this machine.
struct Registries;

impl Source for Registries {
    fn bring(&self, package: &Package, into: &Path) -> impl Future<Output = Result<(), ClientError>> + Send {
        download(package, into)
    }
}

/// How often a person is told that a download goes on.
const HEARTBEAT: Duration = Duration::from_secs(5);

async fn fetch_from(
    source: &impl Source,
    wanted: &[&'static Package],
    cache: &Path,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<(), FetchError> {
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
            let archive = archive_of(source, package, cache, &mut progress).await?;
            extract(package, &archive, cache, &missing, |member| progress(Progress::Written(member.file))).map_err(
                |error| FetchError::Extract { role: package.role, specification: package.specification(), error },
            )?;
        }
    }
    Ok(())
}

/// The checked archive of `package`: the one kept from before, or a fresh one.
async fn archive_of(
    source: &impl Source,
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
    // A folder of this fetch's own: two at once do not disturb each other, and only whole files are renamed.
    let own = Incoming::make(&downloads).map_err(|error| FetchError::Folder { path: downloads.clone(), error })?;
    let incoming = own.0.clone();
    let folder = |error| FetchError::Folder { path: incoming.clone(), error };
    let specification = package.specification();
    progress(Progress::Downloading {
        package: specification.clone(),
        role: package.role,
        bytes: package.archive_bytes,
    });
    brought(source, package, &incoming, progress).await.map_err(|error| FetchError::Client {
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

/// Waits for the archive, and tells every few seconds that it does.
async fn brought(
    source: &impl Source,
    package: &Package,
    into: &Path,
    progress: &mut (impl FnMut(Progress) + Send),
) -> Result<(), ClientError> {
    let coming = source.bring(package, into);
    tokio::pin!(coming);
    let mut beats = 0;
    loop {
        if let Some(done) = rt::timeout(HEARTBEAT, &mut coming).await {
            return done;
        }
        beats += 1;
        progress(Progress::Waiting { package: package.specification(), seconds: beats * HEARTBEAT.as_secs() });
    }
}

/// Beginning of a folder into which one fetch downloads.
const INCOMING: &str = "incoming-";
/// End of the file beside such a folder that its fetch holds locked. The kernel gives the lock back however a fetch ends, and it holds
/// among containers that share the cache, where process ids mean nothing.
const LOCK: &str = ".lock";

/// Removes what fetches left behind that were killed: folders whose lock nobody holds.
fn clear_abandoned(downloads: &Path) {
    for entry in std::fs::read_dir(downloads).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(INCOMING) && !name.ends_with(LOCK)) else {
            continue;
        };
        // One without a lock file is of a fetch that died before it had one, or after it removed it.
        if let Ok(lock) = Lock::take(downloads.join(format!("{name}{LOCK}"))) {
            drop(Incoming(entry.path(), lock));
        }
    }
}

/// A locked file, removed at the end.
struct Lock(PathBuf, #[expect(dead_code, reason = "held, not read: closing the file gives the lock back")] File);

impl Lock {
    fn take(path: PathBuf) -> io::Result<Self> {
        let file = File::options().write(true).create(true).truncate(false).open(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self(path, file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_file(&self.0);
    }
}

/// A fetch's own folder, which goes at the end, and then its lock.
struct Incoming(PathBuf, #[expect(dead_code, reason = "held, not read: released after the folder is gone")] Lock);

impl Incoming {
    fn make(downloads: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(downloads)?;
        let name = format!("{INCOMING}{}", uuid::Uuid::now_v7());
        // The lock first: a folder that is there is held.
        let lock = Lock::take(downloads.join(format!("{name}{LOCK}")))?;
        let path = downloads.join(name);
        std::fs::create_dir(&path)?;
        Ok(Self(path, lock))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::archive::tests::Scratch;
    use super::super::manifest::Registry;
    use super::*;
    use std::io::Write as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    static MEMBERS: [Member; 2] = [
        Member { path: "a", file: "out/a", sha256: HELLO, size_bytes: 5 },
        Member { path: "b", file: "out/b", sha256: HELLO, size_bytes: 5 },
    ];

    /// Brings these bytes, whatever is asked, or fails.
    struct Shop {
        goods: Option<Vec<u8>>,
        visits: AtomicUsize,
    }

    impl Shop {
        fn with(goods: Option<&[u8]>) -> Self {
            Self { goods: goods.map(<[u8]>::to_vec), visits: AtomicUsize::new(0) }
        }
    }

    impl Source for Shop {
        async fn bring(&self, package: &Package, into: &Path) -> Result<(), ClientError> {
            self.visits.fetch_add(1, Ordering::Relaxed);
            match &self.goods {
                Some(goods) => std::fs::write(into.join(package.archive), goods)
                    .map_err(|error| ClientError::Start { client: "shop", error }),
                None => Err(ClientError::TimedOut { client: "shop", bound: HEARTBEAT }),
            }
        }
    }

    fn wheel() -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for member in &MEMBERS {
            writer.start_file(member.path, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(b"hello").unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// The package of that wheel; leaked, as the manifest's packages live for ever.
    fn package(scratch: &Scratch, wheel: &[u8]) -> &'static Package {
        let path = scratch.0.join("to-weigh");
        std::fs::write(&path, wheel).unwrap();
        Box::leak(Box::new(Package {
            role: "test",
            group: Group::Test,
            registry: Registry::Python,
            name: "x",
            version: "1",
            platform: None,
            archive: "x-1.whl",
            archive_sha256: Box::leak(sha256_of(&path).unwrap().0.into_boxed_str()),
            archive_bytes: wheel.len() as u64,
            licence: "MIT",
            members: &MEMBERS,
        }))
    }

    async fn fetched(shop: &Shop, package: &'static Package, cache: &Path) -> Result<Vec<Progress>, FetchError> {
        let mut told = Vec::new();
        fetch_from(shop, &[package], cache, |progress| told.push(progress)).await.map(|()| told)
    }

    #[tokio::test]
    async fn a_fetch_goes_on_where_it_stopped_and_fetches_nothing_twice() {
        let scratch = Scratch::new("fetch-again");
        let (wheel, cache) = (wheel(), scratch.0.join("cache"));
        let package = package(&scratch, &wheel);
        let broken = fetched(&Shop::with(None), package, &cache).await.unwrap_err();
        assert!(matches!(broken, FetchError::Client { .. }), "{broken}");
        let shop = Shop::with(Some(&wheel));
        let told = fetched(&shop, package, &cache).await.unwrap();
        assert!(told.contains(&Progress::Written("out/a")) && told.contains(&Progress::Written("out/b")), "{told:?}");
        let told = fetched(&shop, package, &cache).await.unwrap();
        assert_eq!(told, [Progress::Present("out/a"), Progress::Present("out/b")]);
        std::fs::write(cache.join("out/b"), b"hullo").unwrap();
        let told = fetched(&shop, package, &cache).await.unwrap();
        let again = [Progress::Present("out/a"), Progress::Kept("x-1.whl"), Progress::Written("out/b")];
        assert_eq!(told, again, "a damaged file comes from the archive that was kept");
        assert_eq!(std::fs::read(cache.join("out/b")).unwrap(), b"hello");
        assert_eq!(shop.visits.load(Ordering::Relaxed), 1, "one download");
    }

    #[tokio::test]
    async fn something_else_under_the_name_is_refused_and_nothing_of_it_used() {
        let scratch = Scratch::new("fetch-other");
        let (wheel, cache) = (wheel(), scratch.0.join("cache"));
        let package = package(&scratch, &wheel);
        let refused = fetched(&Shop::with(Some(b"another archive")), package, &cache).await.unwrap_err();
        assert!(matches!(refused, FetchError::Differs { .. }), "{refused}");
        assert!(!cache.join("out").exists() && !cache.join("downloads/x-1.whl").exists());
        let left = std::fs::read_dir(cache.join("downloads")).unwrap().count();
        assert_eq!(left, 0, "nor is anything of it left");
    }

    #[test]
    fn what_a_killed_fetch_left_is_cleared_and_what_a_living_one_uses_is_not() {
        let scratch = Scratch::new("fetch-cleared");
        // A fetch that lives, whose process id could be anything in its own container.
        let living = Incoming::make(&scratch.0).unwrap();
        std::fs::write(living.0.join("half"), b"half").unwrap();
        // One that was killed: its folder and its lock file are there, and nobody holds the lock; one of an older version; a stranger.
        let dead = scratch.0.join(format!("{INCOMING}dead"));
        let old = scratch.0.join(format!("{INCOMING}{}", std::process::id()));
        for folder in [&dead, &old, &scratch.0.join("kept")] {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::write(scratch.0.join(format!("{INCOMING}dead{LOCK}")), b"").unwrap();
        clear_abandoned(&scratch.0);
        assert!(!dead.exists() && !old.exists(), "what nobody holds is gone");
        assert!(living.0.join("half").exists() && scratch.0.join("kept").exists());
        drop(living);
        let left: Vec<_> = std::fs::read_dir(&scratch.0).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["kept"], "neither folder nor lock file is left");
    }
}
