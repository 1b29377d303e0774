//! What tests of files need: a folder of a test's own, removed afterwards, and a process of its own in which the disk refuses to write
//! beyond a bound. Never part of the product.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The folder.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// A new, empty folder.
    pub(crate) fn new(name: &str) -> Self {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("voicefleet-{name}-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Says to a process that it is the one which a test was started in again.
const APART: &str = "VOICEFLEET_TEST_APART";

/// Runs `work` in a process of its own, in which a write beyond the bound of [`files_of_at_most`] fails, in its middle where it must,
/// as on a disk that fills up. `test` is the whole path of the test that calls this: it is what the new process runs.
pub(crate) fn apart(test: &str, work: impl FnOnce()) {
    if std::env::var_os(APART).is_some() {
        return work();
    }
    let (_, test) = test.split_once("::").unwrap();
    let mut command = Command::new("sh");
    // Without this the kernel ends whoever writes too much.
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    let ran = command.args([test, "--exact", "--nocapture"]).env(APART, "1").output().unwrap();
    let (told, failed) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && told.contains("1 passed"), "{test}: {told}\n{failed}");
}

/// From here on no file of this process grows beyond `bytes`; `None` for no bound.
pub(crate) fn files_of_at_most(bytes: Option<u64>) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}
