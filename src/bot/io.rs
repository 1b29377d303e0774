//! The bot folder on disk: reads every `<id>.toml` in it, again whenever one changes. A file is looked at by length and time of
//! change, read where either moved (or the change is so young that another could hide behind the same time), and judged
//! only where its bytes are new. Never watches below the folder, never follows what is not a regular file.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, UNIX_EPOCH};

use super::schema::shown_text;
use super::{Bot, BotShelf, BotStatus, Change, Fault};
use crate::rt;
use crate::units::Stamp;

/// Longest bot file; a prompt is at most 64 KiB, so this is room for a large script.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Most bot files of one folder.
const MAX_FILES: usize = 10_000;

/// A file that changed less than this before it was read is read again next time: its clock may be this coarse.
const COARSE_CLOCK_MS: i64 = 2_500;

/// How often a watched folder is looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The bot folder and what it held when it was last looked at. Shared by all calls; reading it never waits for the disk.
#[derive(Debug)]
pub struct BotFolder {
    dir: PathBuf,
    shelf: RwLock<BotShelf>,
    /// The fault of the folder itself.
    fault: RwLock<Option<Fault>>,
    /// What each file looked like; held through a look, so that looks follow one another.
    marks: Mutex<Marks>,
}

/// What files looked like when they were read: tells which are to be read again. Shared by all folders that are watched.
#[derive(Debug, Default)]
pub struct Marks(BTreeMap<PathBuf, Mark>);

impl Marks {
    /// The file's bytes where it may have changed since it was last read through these marks.
    ///
    /// # Errors
    /// What was found in place of a readable regular file of at most [`MAX_FILE_BYTES`]; it is read again next time.
    pub fn read_if_changed(&mut self, path: &Path, now: Stamp) -> Result<Option<Vec<u8>>, String> {
        let read = mark_of(path, now).and_then(|mark| {
            let unmoved = |old: &Mark| {
                let old_is_settled = old.read_ms - old.changed_ms > COARSE_CLOCK_MS || old.read_ms < old.changed_ms;
                old.len == mark.len && old.changed_ms == mark.changed_ms && old_is_settled
            };
            if self.0.get(path).is_some_and(unmoved) {
                return Ok(None);
            }
            self.0.insert(path.to_owned(), mark);
            bytes_of(path).map(Some)
        });
        if read.is_err() {
            self.0.remove(path);
        }
        read
    }

    /// Forgets what is not among these.
    pub fn keep_only(&mut self, wanted: impl Fn(&Path) -> bool) {
        self.0.retain(|path, _| wanted(path));
    }
}

/// The stems of a folder's TOML files, hidden ones left out.
///
/// # Errors
/// The system's, or that there are more than `most`.
pub fn stems_of(dir: &Path, most: usize) -> std::io::Result<BTreeSet<String>> {
    let mut stems = BTreeSet::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if let Some(stem) = name.strip_suffix(".toml").filter(|stem| !stem.starts_with('.')) {
            stems.insert(stem.to_owned());
        }
        if stems.len() > most {
            return Err(std::io::Error::other(format!("more than {most} files")));
        }
    }
    Ok(stems)
}

/// What a file looked like when it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Mark {
    len: u64,
    changed_ms: i64,
    read_ms: i64,
}

impl BotFolder {
    /// Reads the folder once; [`BotFolder::faults`] then says what is wrong.
    #[must_use]
    pub fn open(dir: &Path, now: Stamp) -> Self {
        let folder =
            Self { dir: dir.to_owned(), shelf: RwLock::default(), fault: RwLock::default(), marks: Mutex::default() };
        folder.refresh(now);
        folder
    }

    /// The version of `id` that a new call takes.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<Bot>> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner).get(id)
    }

    /// All bots, the broken ones too, by id.
    #[must_use]
    pub fn list(&self) -> Vec<BotStatus> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner).list()
    }

    /// Everything that is wrong with the folder and its files as they stand.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let folder = self.fault.read().unwrap_or_else(PoisonError::into_inner).clone();
        let shelf = self.shelf.read().unwrap_or_else(PoisonError::into_inner);
        folder.into_iter().chain(shelf.faults()).collect()
    }

    /// Looks at the folder and takes what changed. Blocks on the disk; one look at a time.
    pub fn refresh(&self, now: Stamp) -> Vec<Change> {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let stems = match self.stems() {
            Ok(stems) => stems,
            Err(fault) => {
                let mut known = self.fault.write().unwrap_or_else(PoisonError::into_inner);
                if known.as_ref() != Some(&fault) {
                    tracing::error!(%fault, "the bot folder cannot be read; bots stay as they are");
                }
                *known = Some(fault);
                return Vec::new();
            }
        };
        *self.fault.write().unwrap_or_else(PoisonError::into_inner) = None;
        marks.keep_only(|path| path.file_stem().is_some_and(|stem| stems.contains(stem.to_string_lossy().as_ref())));
        let mut changes = self.shelf.write().unwrap_or_else(PoisonError::into_inner).keep_only(&stems);
        for stem in &stems {
            changes.extend(self.look_at(stem, &mut marks, now));
        }
        drop(marks);
        for change in &changes {
            log(change);
        }
        changes
    }

    /// Looks every second until the task is dropped. To be run by [`rt::spawn`].
    pub async fn watch(self: Arc<Self>) {
        loop {
            rt::sleep(LOOK_EVERY).await;
            let folder = Arc::clone(&self);
            // A look that panics is logged by the runtime's hook and must not end the watch.
            if tokio::task::spawn_blocking(move || folder.refresh(rt::stamp())).await.is_err() {
                tracing::error!("a look at the bot folder failed; looking again");
            }
        }
    }

    fn stems(&self) -> Result<BTreeSet<String>, Fault> {
        stems_of(&self.dir, MAX_FILES).map_err(|error| Fault {
            file: self.dir.display().to_string(),
            key: "folder".to_owned(),
            value: error.to_string(),
            expected: format!("a readable folder of at most {MAX_FILES} bot files (`bots.dir`)"),
        })
    }

    fn look_at(&self, stem: &str, marks: &mut Marks, now: Stamp) -> Option<Change> {
        let path = self.dir.join(format!("{stem}.toml"));
        let file = path.display().to_string();
        let bytes = match marks.read_if_changed(&path, now) {
            Ok(bytes) => bytes?,
            Err(value) => {
                let expected = format!("a readable regular file of at most {MAX_FILE_BYTES} bytes");
                let fault = Fault { file, key: "file".to_owned(), value, expected };
                return self.shelf.write().unwrap_or_else(PoisonError::into_inner).put_unreadable(stem, fault);
            }
        };
        if self.shelf.read().unwrap_or_else(PoisonError::into_inner).knows(stem, &bytes) {
            return None;
        }
        // Judged before the shelf is locked: a long script takes milliseconds, and new calls are reading.
        let parsed = Bot::parse(stem, &file, &bytes);
        self.shelf.write().unwrap_or_else(PoisonError::into_inner).put(stem, &bytes, parsed)
    }
}

fn mark_of(path: &Path, now: Stamp) -> Result<Mark, String> {
    let about = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("something that is not a regular file".to_owned());
    }
    let changed = about.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let changed_ms = i64::try_from(changed.as_millis()).unwrap_or(i64::MAX);
    Ok(Mark { len: about.len(), changed_ms, read_ms: now.unix_ms() })
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("more than {MAX_FILE_BYTES} bytes"));
    }
    Ok(bytes)
}

fn log(change: &Change) {
    match change {
        Change::Loaded { id, version } => tracing::info!(bot = %id, %version, "new calls take this version of the bot"),
        Change::Removed { id } => tracing::warn!(bot = %id, "the bot's file is gone; new calls do not find it"),
        Change::Broken { id, kept, faults } => {
            let kept = kept.as_deref().unwrap_or("none");
            tracing::error!(bot = %shown_text(id.as_str()), kept, faults = faults.len(), "the bot's file is broken");
            for fault in faults {
                tracing::error!(bot = %shown_text(id.as_str()), %fault);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test alone, gone with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("voicefleet-bots-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.0.join(name), text).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn good(name: &str) -> String {
        format!("name = \"{name}\"\nopening_message = \"Hello\"\n[providers]\nllm = \"standin\"\n")
    }

    #[test]
    fn new_calls_take_a_changed_file_and_running_calls_keep_theirs() {
        let scratch = Scratch::new("change");
        scratch.write("desk.toml", &good("One"));
        scratch.write("notes.txt", "not a bot");
        scratch.write(".desk.toml", "an editor's backup");
        let folder = BotFolder::open(&scratch.0, rt::stamp());
        assert_eq!(folder.faults(), []);
        let running = folder.get("desk").unwrap();
        assert_eq!(folder.refresh(rt::stamp()), []);

        // The same length within the same tick of the file's clock is seen too.
        scratch.write("desk.toml", &good("Two"));
        assert_eq!(folder.refresh(rt::stamp()).len(), 1);
        assert_eq!((folder.get("desk").unwrap().name.as_str(), running.name.as_str()), ("Two", "One"));

        scratch.write("desk.toml", "name = \n");
        let changes = folder.refresh(rt::stamp());
        assert!(matches!(&changes[..], [Change::Broken { kept: Some(_), .. }]), "{changes:?}");
        assert_eq!(folder.get("desk").unwrap().name, "Two");
        assert_eq!(folder.list()[0].fault.as_ref().map(Vec::len), Some(1));

        scratch.write("new.toml", &good("New"));
        std::fs::remove_file(scratch.0.join("desk.toml")).unwrap();
        folder.refresh(rt::stamp());
        assert!(folder.get("desk").is_none() && folder.get("new").is_some());
        assert_eq!(folder.faults(), []);
    }

    #[test]
    fn a_settled_file_is_not_read_again() {
        let scratch = Scratch::new("settled");
        scratch.write("a.toml", &good("A"));
        let later = rt::stamp().plus_ms(COARSE_CLOCK_MS * 2);
        let folder = BotFolder::open(&scratch.0, later);
        let path = scratch.0.join("a.toml");
        let changed = std::fs::metadata(&path).unwrap().modified().unwrap();
        // The same length and the same time of change: only a read could tell the difference.
        scratch.write("a.toml", &good("B"));
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
        assert_eq!(folder.refresh(later), []);
        assert_eq!(folder.get("a").unwrap().name, "A");
    }

    #[test]
    fn what_cannot_be_a_bot_is_named_and_harms_no_other() {
        let scratch = Scratch::new("strange");
        scratch.write("good.toml", &good("Good"));
        scratch.write("Not An Id.toml", &good("X"));
        scratch.write("huge.toml", &"#".repeat(usize::try_from(MAX_FILE_BYTES).unwrap() + 1));
        std::fs::create_dir_all(scratch.0.join("folder.toml")).unwrap();
        let folder = BotFolder::open(&scratch.0, rt::stamp());
        let keys: Vec<String> = folder.faults().into_iter().map(|fault| fault.key).collect();
        assert_eq!(keys, ["file name", "file", "file"]);
        assert!(folder.get("good").is_some());
        assert!(folder.get("Not An Id").is_none());
    }

    #[test]
    fn a_folder_that_vanishes_keeps_its_bots() {
        let scratch = Scratch::new("vanish");
        scratch.write("a.toml", &good("A"));
        let folder = BotFolder::open(&scratch.0, rt::stamp());
        std::fs::remove_dir_all(&scratch.0).unwrap();
        assert_eq!(folder.refresh(rt::stamp()), []);
        assert!(folder.get("a").is_some());
        assert_eq!(folder.faults()[0].key, "folder");
        // The watch can run as a task.
        let _: Box<dyn Future<Output = ()> + Send> = Box::new(Arc::new(folder).watch());
    }
}
