//! A worker of a test's own: its folders, its bots, its address, and what it left on the disk.

#[path = "../common/until.rs"]
mod waiting;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use voicefleet::app::{self, App, Running};
use voicefleet::config::Config;
use voicefleet::provider::standin;
use voicefleet::results::{CallResult, read_result};

pub use waiting::until;

/// How long anything at all may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// What is measured of the process is measured alone; everything else runs side by side.
static MACHINE: RwLock<()> = RwLock::const_new(());

pub async fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

pub async fn beside_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}

/// A folder that goes with the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("voicefleet-worker-{}-{n}-{name}", std::process::id()));
        std::fs::create_dir_all(path.join("bots")).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// Writes a bot's file whole, as an operator's editor does.
    pub fn bot(&self, id: &str, text: &str) {
        let (new, path) = (self.0.join(format!("{id}.new")), self.0.join("bots").join(format!("{id}.toml")));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    /// Writes a trunk's file; a worker over this folder reads it when it starts.
    pub fn trunk(&self, id: &str, text: &str) {
        std::fs::create_dir_all(self.trunks()).unwrap();
        std::fs::write(self.trunks().join(format!("{id}.toml")), text).unwrap();
    }

    pub fn trunks(&self) -> PathBuf {
        self.0.join("trunks")
    }

    /// Every result below the data folder.
    pub fn results(&self) -> Vec<CallResult> {
        let mut all: Vec<CallResult> = self.calls().iter().filter_map(|f| read_result(f).ok()).collect();
        all.sort_by(|a, b| a.caller_id.reveal().cmp(b.caller_id.reveal()));
        all
    }

    /// The folder of every call.
    pub fn calls(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.data().join("calls")) else { return Vec::new() };
        entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }
}

/// A bot of stand-ins; `rest` is put before its providers.
pub fn standin_bot(rest: &str) -> String {
    format!(
        "name = \"Stand-in\"\nsystem_prompt = \"Be brief. {{{{call.mood|calm}}}}\"\nopening_message = \"Hello.\"\n{rest}\n\
         [providers]\nstt = \"standin\"\nllm = \"standin\"\ntts = \"standin\"\njudge = \"standin\"\n"
    )
}

/// A trunk whose carrier calls the bot `demo` from this machine.
pub const CARRIER: &str = "name = \"Carrier\"\n[inbound]\naddresses = [\"127.0.0.1/32\"]\nbot = \"demo\"\n";

/// Short lines, so that a whole conversation takes seconds.
pub fn brisk() -> standin::Config {
    standin::Config { speech_ms_per_char: 20, ..standin::Config::default() }
}

/// A worker in this process.
pub struct World {
    pub running: Running,
    pub folder: Folder,
}

impl World {
    pub async fn new(name: &str) -> Self {
        Self::with(name, |_| {}, brisk()).await
    }

    pub async fn with(name: &str, tune: impl FnOnce(&mut Config), speech: standin::Config) -> Self {
        let folder = Folder::new(name);
        folder.bot("demo", &standin_bot(""));
        Self::over(folder, tune, speech).await
    }

    /// A worker that [`CARRIER`] calls.
    pub async fn with_carrier(name: &str, tune: impl FnOnce(&mut Config)) -> Self {
        let folder = Folder::new(name);
        folder.bot("demo", &standin_bot(""));
        folder.trunk("carrier", CARRIER);
        Self::over(folder, tune, brisk()).await
    }

    pub async fn over(folder: Folder, tune: impl FnOnce(&mut Config), speech: standin::Config) -> Self {
        let mut config = Config::default();
        config.server.listen = "127.0.0.1:0".parse().unwrap();
        config.sip.listen = config.server.listen;
        config.data.dir = folder.data();
        config.bots.dir = folder.path().join("bots");
        // None, unless the test has its own: the sample trunk is for the sample bots.
        config.sip.trunks = folder.trunks();
        // No model is there, and none is wanted.
        config.models.dir = folder.path().join("no-models");
        tune(&mut config);
        let running = app::start(&config, speech).await.unwrap_or_else(|error| panic!("{error}"));
        Self { running, folder }
    }

    pub fn app(&self) -> &App {
        &self.running.app
    }

    pub fn ws(&self, bot: &str) -> String {
        format!("ws://{}/ws/{bot}", self.running.address)
    }

    pub async fn get(&self, path: &str) -> crate::http::Answer {
        crate::http::get(self.running.address, path).await
    }

    /// The value of one sample of the metrics page; zero where it is not there.
    pub async fn metric(&self, sample: &str) -> f64 {
        let page = self.get("/metrics").await.body;
        page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok()).unwrap_or(0.0)
    }

    /// Waits until nothing of any call is left: places, listings, sockets, lines, recordings, journals, sessions.
    pub async fn quiet(&self) {
        let app = self.app();
        let left = || {
            let lines: usize = app.shard_views().iter().map(|v| v.lines).sum();
            let held = app.capacity().held();
            let sockets = app.ws_metrics().live.load(Ordering::Relaxed);
            (held, app.live(), sockets, lines, app.recorder_stats().open, app.metrics().unbalanced(held))
        };
        until(|| left() == (0, 0, 0, 0, 0, Vec::new()), || format!("something of a call is left: {:?}", left())).await;
    }

    /// The one result of a caller's one call, once the worker has written it.
    pub async fn result_of(&self, caller_id: &str) -> CallResult {
        let found = || {
            let of_caller = |r: &CallResult| r.caller_id.reveal() == caller_id;
            self.folder.results().into_iter().filter(of_caller).collect::<Vec<_>>()
        };
        until(|| !found().is_empty(), || format!("no result of {caller_id}")).await;
        let mut found = found();
        assert_eq!(found.len(), 1, "one result of {caller_id}");
        found.remove(0)
    }

    pub async fn stop(self) -> Folder {
        self.running.stop().await;
        self.folder
    }
}
