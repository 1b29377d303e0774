//! The whole worker inside the test process, on a free port, with the shipped bots, a data folder of its own and local speech; and
//! callers that reach it through real sockets. One worker per process: models are loaded once. Never a stand-in for speech.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use voicefleet::app::{self, Running};
use voicefleet::config::Config;
use voicefleet::provider::local::{LocalConfig, LocalSpeech};
use voicefleet::provider::{models, standin};
use voicefleet::tools::caller::dialogues::DialogueRun;
use voicefleet::tools::caller::{CallOptions, Opening, ResultFrom, Script, Spoil, Trust};

/// Calls that one machine of two cores carries with both ends' speech models in one process.
pub const CALLS_AT_ONCE: usize = 3;

/// The bot that answers the trunk.
pub const TRUNK_BOT: &str = "payment-reminder-trunk";

/// The worker, its callers' ears, and where things are.
pub struct World {
    runtime: Runtime,
    /// The worker.
    pub running: Running,
    /// The callers' own recognition, and their natural voices.
    pub speech: Arc<LocalSpeech>,
    /// Models and rendered lines.
    pub cache: PathBuf,
    /// Recordings of the callers' ends.
    pub tapes: PathBuf,
    /// The worker's data folder.
    pub data: PathBuf,
    /// Turns among tests: each takes as many as it makes calls at once.
    pub room: Semaphore,
}

static WORLD: LazyLock<World> = LazyLock::new(World::open);

/// The process' one world.
///
/// # Panics
/// By name, where models or the callers' voices are missing.
pub fn world() -> &'static World {
    &WORLD
}

impl World {
    fn open() -> Self {
        let cache = models::default_cache();
        for program in ["flite", "espeak-ng"] {
            assert!(on_path(program), "the callers' voice `{program}` is missing: apt-get install {program}");
        }
        let speech = LocalSpeech::load(&cache, &LocalConfig::default())
            .unwrap_or_else(|error| panic!("the speech models are needed here: {error}"));
        let folder = std::env::temp_dir().join(format!("voicefleet-spoken-{}", std::process::id()));
        let (bots, data, tapes) = (folder.join("bots"), folder.join("data"), folder.join("tapes"));
        for made in [&bots, &tapes] {
            std::fs::create_dir_all(made).unwrap();
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for from in ["config/bots", "tests/spoken/bots"] {
            for entry in std::fs::read_dir(root.join(from)).unwrap() {
                let path = entry.unwrap().path();
                std::fs::copy(&path, bots.join(path.file_name().unwrap())).unwrap();
            }
        }
        // What a carrier tells comes as `X-` fields, so the bot on its trunk knows them by that name.
        let reminder = std::fs::read_to_string(bots.join("payment-reminder.toml")).unwrap();
        std::fs::write(bots.join(format!("{TRUNK_BOT}.toml")), reminder.replace("{{crm.", "{{crm.x_")).unwrap();
        let trunks = folder.join("trunks");
        std::fs::create_dir_all(&trunks).unwrap();
        let carrier = format!("name = \"Carrier\"\n[inbound]\naddresses = [\"127.0.0.1/32\"]\nbot = \"{TRUNK_BOT}\"\n");
        std::fs::write(trunks.join("carrier.toml"), carrier).unwrap();
        let mut config = Config::default();
        config.sip.trunks = trunks;
        config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.sip.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.bots.dir = bots;
        config.data.dir.clone_from(&data);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let running =
            runtime.block_on(app::start(&config, standin::Config::default())).unwrap_or_else(|e| panic!("{e}"));
        Self { runtime, running, speech, cache, tapes, data, room: Semaphore::new(CALLS_AT_ONCE) }
    }

    /// Runs a test on the world's own threads, once there is room for its calls.
    pub fn run<T>(&self, calls: usize, test: impl Future<Output = T>) -> T {
        self.runtime.block_on(async {
            let calls = u32::try_from(calls.min(CALLS_AT_ONCE)).unwrap();
            let _room = self.room.acquire_many(calls).await.unwrap();
            test.await
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn http(&self) -> String {
        format!("http://{}", self.running.address)
    }

    /// A call to `bot` by this script.
    pub fn call(&self, bot: &str, script: Script) -> CallOptions {
        CallOptions {
            url: format!("ws://{}/ws/{bot}", self.running.address),
            token: None,
            trust: Trust::Public,
            folder: PathBuf::new(),
            voice: "slt".to_owned(),
            caller_id: "+919876543210".to_owned(),
            did: "+918000000002".to_owned(),
            fields: Vec::new(),
            opening: Opening::FULL.to_vec(),
            ring_s: 10,
            answer_after_ms: None,
            spoil: Spoil::default(),
            out: Some(self.tapes.join(format!("{}.wav", file_name(&script.name)))),
            show: false,
            cache: self.cache.clone(),
            stt: Some(self.speech.stt()),
            tts: Some(self.speech.tts()),
            result: Some(ResultFrom { base: self.http(), token: None, trust: Trust::Public }),
            script,
        }
    }

    /// How dialogues are run against this worker.
    pub fn dialogues(&self, at_a_time: usize, spoil: Spoil) -> DialogueRun {
        DialogueRun {
            ws_base: format!("ws://{}", self.running.address),
            http_base: self.http(),
            token: None,
            result_token: None,
            spoil,
            at_a_time,
            folder: PathBuf::new(),
            cache: self.cache.clone(),
            recordings: Some(self.tapes.clone()),
            stt: self.speech.stt(),
            tts: Some(self.speech.tts()),
        }
    }
}

/// A name as a file's.
pub fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

fn on_path(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}
