//! The folder of trunk files and the password files that they name: read at the start, again whenever one changes. A trunk whose file
//! broke stays as it last was good. A missing folder is a book without trunks. Never tells a password.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Book, Trunk};
use crate::bot::Fault;
use crate::bot::io::{LOOK_EVERY, Marks, stems_of};
use crate::rt;
use crate::units::{Pii, Stamp};

/// Most trunks.
const MAX_FILES: usize = 1_000;

/// The trunks of a folder, and everything that is wrong with them; trunks at fault are left out.
#[must_use]
pub fn open(folder: &Path) -> (Book, Vec<Fault>) {
    let folder = TrunkFolder::open(folder, rt::stamp());
    (folder.book(), folder.faults())
}

/// The folder and what it held when it was last looked at.
#[derive(Debug)]
pub struct TrunkFolder {
    dir: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    files: BTreeMap<String, TrunkFile>,
    /// The fault of the folder itself.
    fault: Option<Fault>,
}

/// One trunk's file.
#[derive(Debug, Default)]
struct TrunkFile {
    marks: Marks,
    /// As the file stands, without its password.
    written: Option<Trunk>,
    /// The last that was sound.
    good: Option<Trunk>,
    faults: Vec<Fault>,
}

impl TrunkFolder {
    /// Reads the folder once; [`TrunkFolder::faults`] then says what is wrong.
    #[must_use]
    pub fn open(dir: &Path, now: Stamp) -> Self {
        let folder = Self { dir: dir.to_owned(), seen: Mutex::default() };
        folder.refresh(now);
        folder
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every trunk as it last was sound.
    #[must_use]
    pub fn book(&self) -> Book {
        Book::new(self.seen().files.values().filter_map(|file| file.good.clone()).collect())
    }

    /// Everything that is wrong with the folder and its files as they stand.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let seen = self.seen();
        seen.fault.iter().chain(seen.files.values().flat_map(|file| &file.faults)).cloned().collect()
    }

    /// The bots that sound trunks name and that are not there: a call for one would only find out that nobody answers.
    #[must_use]
    pub fn missing_bots(&self, is_there: impl Fn(&str) -> bool) -> Vec<Fault> {
        let expected = "the stem of a bot's file in `bots.dir`; there is none of this name";
        let of = |trunk: &Trunk| {
            let path = self.dir.join(format!("{}.toml", trunk.id));
            let missing = trunk.missing_bots(&is_there).into_iter();
            missing.map(|(key, bot)| fault(&path, &key, format!("{bot:?}"), expected)).collect::<Vec<_>>()
        };
        self.seen().files.values().filter_map(|file| file.good.as_ref()).flat_map(of).collect()
    }

    /// Looks at the folder; true where the book is another than before. Blocks on the disk; one look at a time.
    pub fn refresh(&self, now: Stamp) -> bool {
        let mut seen = self.seen();
        let stems = match stems_of(&self.dir, MAX_FILES) {
            Ok(stems) => stems,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && seen.files.is_empty() => return false,
            Err(error) => {
                let expected = "a readable folder of at most 1000 trunk files (`sip.trunks`)";
                let fault = fault(&self.dir, "folder", error.to_string(), expected);
                if seen.fault.as_ref() != Some(&fault) {
                    tracing::error!(%fault, "the trunk folder cannot be read; trunks stay as they are");
                }
                seen.fault = Some(fault);
                return false;
            }
        };
        seen.fault = None;
        let mut changed = false;
        seen.files.retain(|stem, file| {
            let stays = stems.contains(stem);
            if !stays && file.good.is_some() {
                tracing::warn!(trunk = %stem, "the trunk's file is gone; new calls do not find it");
                changed = true;
            }
            stays
        });
        for stem in &stems {
            changed |= seen.files.entry(stem.clone()).or_default().look(&self.dir, stem, now);
        }
        changed
    }

    /// Looks every second, and gives every other book to `taken`, until the task is dropped. To be run by [`rt::spawn`].
    pub async fn watch(self: Arc<Self>, taken: impl Fn(Book) + Send) {
        loop {
            rt::sleep(LOOK_EVERY).await;
            let folder = Arc::clone(&self);
            // A look that panics is logged by the runtime's hook and must not end the watch.
            match tokio::task::spawn_blocking(move || folder.refresh(rt::stamp())).await {
                Ok(true) => taken(self.book()),
                Ok(false) => {}
                Err(_) => tracing::error!("a look at the trunk folder failed; looking again"),
            }
        }
    }
}

impl TrunkFile {
    /// True where the trunk is another than before.
    fn look(&mut self, dir: &Path, stem: &str, now: Stamp) -> bool {
        let path = dir.join(format!("{stem}.toml"));
        let found = match self.read(&path, stem, now) {
            Ok(Some(trunk)) => Ok(trunk),
            Ok(None) => return false,
            Err(faults) => Err(faults),
        };
        match found {
            Ok(trunk) => {
                self.faults.clear();
                if self.good.as_ref() == Some(&trunk) {
                    return false;
                }
                tracing::info!(trunk = %stem, "new calls take this version of the trunk");
                self.good = Some(trunk);
                true
            }
            Err(faults) => {
                if self.faults != faults {
                    let kept = self.good.is_some();
                    tracing::error!(file = %path.display(), kept, faults = faults.len(), "the trunk's file is broken");
                    faults.iter().for_each(|fault| tracing::error!(%fault));
                }
                self.faults = faults;
                false
            }
        }
    }

    /// The trunk with its password, where either file may have changed.
    fn read(&mut self, path: &Path, stem: &str, now: Stamp) -> Result<Option<Trunk>, Vec<Fault>> {
        let one = |path: &Path, key: &str, value: String, expected: &str| vec![fault(path, key, value, expected)];
        let bytes = self.marks.read_if_changed(path, now);
        let bytes = bytes.map_err(|value| one(path, "file", value, "a readable regular file of at most 1 MiB"))?;
        if let Some(bytes) = bytes {
            self.written = None;
            // What it names as its password is read with it.
            self.marks.keep_only(|marked| marked == path);
            self.written = Some(Trunk::parse(stem, &path.display().to_string(), &bytes)?);
        }
        let Some(written) = &self.written else { return Ok(None) };
        let secret = &written.account.password_file;
        if secret.as_os_str().is_empty() {
            return Ok(Some(written.clone()));
        }
        let wrong =
            |value| one(path, "account.password_file", value, "a readable file with the password on its first line");
        let Some(bytes) = self.marks.read_if_changed(secret, now).map_err(wrong)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let line = text.lines().next().map(str::trim).filter(|line| !line.is_empty());
        let line = line.ok_or_else(|| wrong("a blank first line".to_owned()))?;
        Ok(Some(Trunk { password: Some(Pii::new(line.to_owned())), ..written.clone() }))
    }
}

fn fault(file: &Path, key: &str, value: String, expected: &str) -> Fault {
    Fault { file: file.display().to_string(), key: key.to_owned(), value, expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_folder_is_sound_and_a_broken_one_is_told() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (book, faults) = open(&root.join("config/trunks"));
        assert_eq!((book.all().count(), faults), (1, vec![]));
        let (book, faults) = open(&root.join("fixtures/broken/trunks"));
        assert!(book.all().next().is_none() && faults.len() > 10);
        assert_eq!(open(Path::new("/nowhere/at/all")), (Book::default(), vec![]));
    }

    #[test]
    fn a_changed_trunk_is_taken_and_a_broken_one_stays_as_it_was() {
        let dir = std::env::temp_dir().join(format!("voicefleet-trunks-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
        let secret = dir.join("secret");
        write("secret", "one\n");
        let text = |bot: &str| {
            format!(
                "[inbound]\naddresses = [\"127.0.0.1\"]\nbot = \"{bot}\"\n[account]\nuser = \"u\"\npassword_file = {secret:?}\n"
            )
        };
        write("a.toml", &text("desk"));
        let folder = TrunkFolder::open(&dir, rt::stamp());
        assert_eq!(folder.faults(), []);
        let shown = || {
            let book = folder.book();
            let one = |trunk: &Arc<Trunk>| {
                (trunk.id.clone(), trunk.inbound.bot.clone(), trunk.password.clone().map(|p| p.reveal().clone()))
            };
            book.all().map(one).collect::<Vec<_>>()
        };
        let row = |id: &str, bot: &str, word: &str| (id.to_owned(), bot.to_owned(), Some(word.to_owned()));
        assert!(!folder.refresh(rt::stamp()), "nothing changed");
        write("a.toml", &text("news"));
        assert!(folder.refresh(rt::stamp()));
        assert_eq!(shown(), [row("a", "news", "one")]);
        write("secret", "two\n");
        assert!(folder.refresh(rt::stamp()));
        assert_eq!(shown(), [row("a", "news", "two")]);

        write("a.toml", "[inbound]\ncolour = 1\n[limits]\nchannels = 0\n");
        assert!(!folder.refresh(rt::stamp()));
        assert_eq!(shown(), [row("a", "news", "two")]);
        assert!(folder.faults().len() > 1, "{:?}", folder.faults());
        write("b.toml", &text("desk"));
        assert!(folder.refresh(rt::stamp()), "a broken file harms no other");
        assert_eq!(shown(), [row("a", "news", "two"), row("b", "desk", "two")]);
        write("a.toml", &text("news"));
        assert!(!folder.refresh(rt::stamp()), "mended, as it was");
        assert_eq!(folder.faults(), []);

        std::fs::remove_file(dir.join("a.toml")).unwrap();
        assert!(folder.refresh(rt::stamp()));
        assert_eq!(shown(), [row("b", "desk", "two")]);
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(!folder.refresh(rt::stamp()));
        assert_eq!((shown().len(), folder.faults().len()), (1, 1), "a folder that vanishes keeps its trunks");
    }
}
