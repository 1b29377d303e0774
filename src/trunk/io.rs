//! Reading the folder of trunk files and the password files that they name. Reads once, at start or for the linter; a missing folder
//! is a book without trunks.

use std::io::Read as _;
use std::path::Path;

use super::{Book, Trunk};
use crate::bot::Fault;
use crate::units::Pii;

/// Longest file.
const MAX_BYTES: u64 = 1024 * 1024;
/// Most trunks.
const MAX_FILES: usize = 1_000;

/// The trunks of a folder, and everything that is wrong with them; trunks at fault are left out.
#[must_use]
pub fn open(folder: &Path) -> (Book, Vec<Fault>) {
    let mut faults = Vec::new();
    let mut trunks = Vec::new();
    let fault = |file: &Path, key: &str, value: String, expected: &str| Fault {
        file: file.display().to_string(),
        key: key.to_owned(),
        value,
        expected: expected.to_owned(),
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return (Book::default(), faults),
        Err(error) => {
            faults.push(fault(folder, "folder", error.to_string(), "a readable folder of trunk files (`sip.trunks`)"));
            return (Book::default(), faults);
        }
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        path.extension().is_some_and(|end| end == "toml")
            && !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
    });
    paths.sort();
    if paths.len() > MAX_FILES {
        faults.push(fault(folder, "folder", format!("{} files", paths.len()), "at most 1000 trunk files"));
        paths.truncate(MAX_FILES);
    }
    for path in paths {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                faults.push(fault(&path, "file", error.to_string(), "a readable file of at most 1 MiB"));
                continue;
            }
        };
        match Trunk::parse(&stem, &path.display().to_string(), &bytes) {
            Ok(mut trunk) => match password(&trunk) {
                Ok(password) => {
                    trunk.password = password;
                    trunks.push(trunk);
                }
                Err(value) => {
                    let expected = "a readable file with the password on its first line";
                    faults.push(fault(&path, "account.password_file", value, expected));
                }
            },
            Err(found) => faults.extend(found),
        }
    }
    (Book::new(trunks), faults)
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES { Err(std::io::Error::other("more than 1 MiB")) } else { Ok(bytes) }
}

fn password(trunk: &Trunk) -> Result<Option<Pii<String>>, String> {
    let path = &trunk.account.password_file;
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let bytes = read(path).map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().next().map(str::trim).filter(|line| !line.is_empty());
    line.map(|line| Some(Pii::new(line.to_owned()))).ok_or_else(|| "a blank first line".to_owned())
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
}
