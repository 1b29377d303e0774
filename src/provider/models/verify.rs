//! Are the model files there and whole? Reads and hashes files; never changes one.

use std::io;
use std::path::Path;

use super::archive::sha256_of;
use super::manifest::{Group, Member, packages};
use super::{REPAIR, REPAIR_TEST};

/// What was found of one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileState {
    /// There, and its checksum agrees.
    Whole,
    /// Not there.
    Missing,
    /// There, but something else.
    Damaged {
        /// SHA-256 from the manifest.
        expected: &'static str,
        /// SHA-256 of the file.
        actual: String,
    },
    /// There, but it cannot be read.
    Unreadable(String),
}

/// One file of the manifest and what was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// What the file is for.
    pub role: &'static str,
    /// Who needs it.
    pub group: Group,
    /// Which file.
    pub member: Member,
    /// What was found.
    pub state: FileState,
}

impl Checked {
    /// One sentence about a file that is not whole, with the command that repairs it; `None` for a whole one.
    #[must_use]
    pub fn fault(&self, cache: &Path) -> Option<String> {
        let path = cache.join(self.member.file);
        let path = path.display();
        let role = self.role;
        let repair = match self.group {
            Group::Speech => REPAIR,
            Group::Test => REPAIR_TEST,
        };
        match &self.state {
            FileState::Whole => None,
            FileState::Missing => Some(format!("{role}: {path} is missing; run `{repair}`")),
            FileState::Damaged { expected, actual } => {
                Some(format!("{role}: {path} is damaged (expected SHA-256 {expected}, found {actual}); run `{repair}`"))
            }
            FileState::Unreadable(why) => Some(format!("{role}: {path} cannot be read ({why}); run `{repair}`")),
        }
    }
}

/// Checks every file of `groups` that this machine's processor needs, in the manifest's order.
#[must_use]
pub fn verify(cache: &Path, groups: &[Group]) -> Vec<Checked> {
    packages(std::env::consts::ARCH, groups)
        .flat_map(|package| {
            package.members.iter().map(|member| Checked {
                role: package.role,
                group: package.group,
                member: *member,
                state: state_of(cache, member),
            })
        })
        .collect()
}

/// What is wrong with the files of `groups`, one sentence per file; empty where all are whole. Also says where this
/// processor has no runtime at all.
#[must_use]
pub fn faults(cache: &Path, groups: &[Group]) -> Vec<String> {
    let arch = std::env::consts::ARCH;
    let lacking = groups.contains(&Group::Speech)
        && !packages(arch, groups).any(|package| package.platform.is_some_and(|platform| platform.arch == arch));
    let unsupported = lacking.then(|| {
        format!("local speech has no runtime for {arch} (there is one for x86_64 and aarch64); use remote providers")
    });
    unsupported.into_iter().chain(verify(cache, groups).iter().filter_map(|checked| checked.fault(cache))).collect()
}

/// What is wrong with these files (names in the cache, as the manifest has them), one sentence per file; for those that are
/// loaded only when they are asked for.
#[must_use]
pub fn faults_among(cache: &Path, files: &[&str]) -> Vec<String> {
    let groups = [Group::Speech, Group::Test];
    let packages = packages(std::env::consts::ARCH, &groups);
    packages
        .flat_map(|package| package.members.iter().map(move |member| (package, member)))
        .filter(|(_, member)| files.contains(&member.file))
        .filter_map(|(package, member)| {
            let state = state_of(cache, member);
            Checked { role: package.role, group: package.group, member: *member, state }.fault(cache)
        })
        .collect()
}

pub(super) fn state_of(cache: &Path, member: &Member) -> FileState {
    match sha256_of(&cache.join(member.file)) {
        Ok((actual, _)) if actual == member.sha256 => FileState::Whole,
        Ok((actual, _)) => FileState::Damaged { expected: member.sha256, actual },
        Err(error) if error.kind() == io::ErrorKind::NotFound => FileState::Missing,
        Err(error) => FileState::Unreadable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::models::archive::tests::Scratch;
    use crate::provider::models::{JOE_SETTINGS, KOKORO_PARTS};

    #[test]
    fn an_empty_cache_misses_every_file_and_says_how_to_get_them() {
        let dir = Scratch::new("verify-empty");
        let found = verify(&dir.0, &[Group::Speech]);
        assert!(found.len() >= 8 && found.iter().all(|checked| checked.state == FileState::Missing));
        for fault in faults(&dir.0, &[Group::Speech]) {
            assert!(fault.contains("missing") && fault.contains("voicefleet models fetch"), "{fault}");
        }
    }

    #[test]
    fn a_missing_voice_of_the_tests_names_the_command_that_fetches_it() {
        let dir = Scratch::new("verify-test-voices");
        let files: Vec<&str> = KOKORO_PARTS.into_iter().chain([JOE_SETTINGS]).collect();
        let faults = faults_among(&dir.0, &files);
        assert_eq!(faults.len(), files.len(), "{faults:?}");
        for fault in faults {
            assert!(fault.contains("is missing; run `voicefleet models fetch --test-voices`"), "{fault}");
        }
    }

    #[test]
    fn a_damaged_file_is_named_with_both_checksums() {
        let dir = Scratch::new("verify-damaged");
        std::fs::create_dir_all(dir.0.join("tts")).unwrap();
        std::fs::write(dir.0.join("tts/vocab.json"), "{}").unwrap();
        let faults = faults(&dir.0, &[Group::Speech]);
        let fault = faults.iter().find(|fault| fault.contains("vocab.json")).unwrap();
        assert!(fault.contains("70abefbe8a1c"), "{fault}");
        assert!(fault.contains("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"), "{fault}");
    }
}
