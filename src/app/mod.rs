//! The process: builds every part in order, serves, drains. Owns nothing that it can pass on, and decides nothing about a
//! conversation.

mod calibration;
mod control;
mod dial;
mod directory;
mod driver;
mod feeder;
mod finish;
mod host;
mod kit;
mod scribe;
mod sip;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

pub use calibration::Calibration;
pub use driver::{Control as CallControl, Machinery};
pub use kit::voice;

use crate::api::{self, Access};
use crate::bot::io::BotFolder;
use crate::bot::{JudgeChoice, SttChoice, TtsChoice};
use crate::config::Config;
use crate::fleet::{Capacity, Machine, Means, tightest};
use crate::provider::local::{LocalConfig, LocalSpeech};
use crate::provider::{models, standin};
use crate::record::{Recorder, RecorderThread};
use crate::results::{CallIndex, DataClaim, Links, Tokens, load_index, load_secret, recover};
use crate::shard::Shards;
use crate::telemetry::{Metrics, memory_left_bytes};
use crate::transport::sip::Census;
use crate::transport::ws::{self, HttpLimits, WsConfig, WsMetrics};
use crate::units::Moment;
use crate::{record, rt, shard, trunk};
use directory::Directory;
use kit::Speech;
use sip::{RtpShelf, SipSide};

/// Ended calls listed from memory.
const LISTED_CALLS: usize = 1_000;
/// Calls that are still up when the drain's time is over have this long to end.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// The drain's time beyond the longest call of any bot.
const DRAIN_MARGIN_MS: u64 = 60_000;

/// Why the worker did not start. Every text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Something in the bots' files.
    #[error("the bots' files have faults:\n{0}")]
    Bots(String),
    /// The data folder.
    #[error("{0}")]
    Data(String),
    /// The models.
    #[error("{0}")]
    Models(String),
    /// A port.
    #[error("cannot listen on {address}: {error}. Set server.listen (or VOICEFLEET__SERVER__LISTEN) to a free address")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The system's words.
        error: std::io::Error,
    },
    /// Something in the trunks' files.
    #[error("the trunks' files have faults:\n{0}")]
    Trunks(String),
    /// Threads, sockets, certificates.
    #[error("{0}")]
    System(String),
}

/// The running worker.
#[derive(Debug)]
pub struct App {
    me: Weak<Self>,
    bots: Arc<BotFolder>,
    machinery: Machinery,
    speech: OnceLock<Speech>,
    capacity: Arc<Capacity>,
    metrics: Arc<Metrics>,
    ws_metrics: Arc<WsMetrics>,
    links: Links,
    index: Mutex<CallIndex>,
    directory: Arc<Directory>,
    /// RTP legs between their agreement and their line.
    shelf: RtpShelf,
    /// The way out by SIP, where there are trunks.
    sip: OnceLock<Weak<SipSide>>,
    data_dir: PathBuf,
    started: Moment,
    recorder_thread: Mutex<Option<RecorderThread>>,
    _claim: DataClaim,
}

/// A worker that listens.
#[derive(Debug)]
pub struct Running {
    /// The worker.
    pub app: Arc<App>,
    /// Where it listens.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    /// The SIP endpoint, where there are trunks.
    sip: Option<Arc<SipSide>>,
    server: tokio::task::JoinHandle<Result<(), rt::Stopped>>,
    watcher: tokio::task::JoinHandle<Result<(), rt::Stopped>>,
}

/// A worker that answers HTTP and takes no call yet: its models are not loaded. `/readyz` says so.
#[derive(Debug)]
pub struct Starting {
    running: Running,
    config: Config,
    standin: standin::Config,
}

/// Builds everything, listens, loads the models.
///
/// # Errors
/// Whatever keeps the worker from serving, with what to do.
pub async fn start(config: &Config, standin: standin::Config) -> Result<Running, StartError> {
    listen(config, standin).await?.ready().await
}

/// Builds everything but the models and begins to listen.
///
/// # Errors
/// Whatever keeps the worker from listening, with what to do.
pub async fn listen(config: &Config, standin: standin::Config) -> Result<Starting, StartError> {
    let address = config.server.listen;
    // The port first: a second worker must not touch the data of the first.
    let listener = TcpListener::bind(address).await.map_err(|error| StartError::Listen { address, error })?;
    let address = listener.local_addr().map_err(|e| StartError::System(e.to_string()))?;
    let tls = match config.server.tls() {
        Some((cert, key)) => Some(ws::server_tls(cert, key).map_err(|e| StartError::System(e.to_string()))?),
        None => None,
    };
    let app = build(config, address)?;
    let tokens = config.auth.ws_token.iter().map(|t| t.reveal().clone()).collect();
    let ws_config = WsConfig { tokens, ..config.websocket.clone() };
    if ws_config.tokens.is_empty() && !address.ip().is_loopback() {
        tracing::warn!("media sockets are open to anybody who reaches {address}: set auth.ws_token");
    }
    let page_token = config.auth.page_token.as_ref().map(|token| token.reveal().as_str());
    let access = Access::for_listener(address, page_token);
    let router = api::router(Arc::clone(&app) as Arc<dyn api::Control>, access).merge(ws::routes(
        Arc::clone(&app),
        ws_config,
        Arc::clone(&app.ws_metrics),
    ));
    let limits = HttpLimits { connections: config.server.max_connections as usize, ..HttpLimits::default() };
    let (stop, stopped) = watch::channel(false);
    let server = rt::spawn("http", ws::serve(listener, tls, router, limits, stopped));
    let watcher = rt::spawn("bots", Arc::clone(&app.bots).watch());
    let sip = sip::listen(&app, config).await?;
    let running = Running { app, address, stop, sip, server, watcher };
    Ok(Starting { running, config: config.clone(), standin })
}

impl Starting {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Loads the models and opens the doors.
    ///
    /// # Errors
    /// Models that a bot wants and that cannot be loaded, with what to do. The worker has stopped then.
    pub async fn ready(self) -> Result<Running, StartError> {
        let Self { running, config, standin } = self;
        let bots = Arc::clone(&running.app.bots);
        let loaded = tokio::task::spawn_blocking(move || load_local(&config, &bots)).await;
        let local = match loaded.unwrap_or_else(|error| Err(StartError::Models(error.to_string()))) {
            Ok(local) => local,
            Err(error) => {
                running.stop().await;
                return Err(error);
            }
        };
        let speech = running.app.speech.get_or_init(|| Speech::new(local, standin));
        speech.render_ahead(&running.app.bots);
        running.app.capacity.set_ready(true);
        Ok(running)
    }
}

fn build(config: &Config, address: SocketAddr) -> Result<Arc<App>, StartError> {
    let data_dir = config.data.dir.clone();
    let data = |error: String| StartError::Data(format!("{}: {error}", data_dir.display()));
    std::fs::create_dir_all(&data_dir).map_err(|e| data(format!("the data folder cannot be made: {e}")))?;
    let claim = DataClaim::take(&data_dir).map_err(|e| data(e.to_string()))?;
    let secret = load_secret(&data_dir).map_err(|e| data(e.to_string()))?;
    let links = Links::new(Tokens::new(&secret), &config.server.public_url(address));
    let bots = Arc::new(BotFolder::open(&config.bots.dir, rt::stamp()));
    let faults = bots.faults();
    if !faults.is_empty() {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        return Err(StartError::Bots(lines.join("\n")));
    }
    let recovery = recover(&claim, &links);
    for id in &recovery.recovered {
        tracing::warn!(call = %id, "the last run died in this call; its result is written now");
    }
    for failed in &recovery.failed {
        tracing::error!(failed, "a call of the last run could not be repaired");
    }
    let index = load_index(&data_dir, LISTED_CALLS);
    for (path, error) in &index.unreadable {
        tracing::error!(path = %path.display(), error, "a result cannot be read and is not listed");
    }
    let Means { name: limit, calls: max_calls } = tightest(config.media.max_calls, &machine(config));
    if limit != "configured" {
        tracing::warn!(calls = max_calls, limit, "the machine carries fewer calls than media.max_calls allows");
    }
    let record_config = record::Config { max_bytes: config.data.max_bytes, ..record::Config::default() };
    let (recorder, thread) =
        Recorder::start(&data_dir, &record_config, max_calls as usize).map_err(|e| data(e.to_string()))?;
    let shard_config = shard::Config {
        shards: usize::from(config.media.shards),
        fifo: config.media.fifo,
        task_per_call: config.media.task_per_call,
    };
    let metrics = Metrics::new();
    let lateness = Some(metrics.tick_lateness.clone());
    let shards =
        Shards::start(&shard_config, max_calls as usize, lateness).map_err(|e| StartError::System(e.to_string()))?;
    let machinery = Machinery { shards: Arc::new(shards), recorder, metrics: Arc::clone(&metrics) };
    Ok(Arc::new_cyclic(|me| App {
        me: me.clone(),
        bots,
        machinery,
        speech: OnceLock::new(),
        capacity: Capacity::new("w1", max_calls, limit),
        ws_metrics: Arc::new(WsMetrics::shown(Arc::clone(&metrics))),
        metrics,
        links,
        index: Mutex::new(index.index),
        directory: Arc::new(Directory::default()),
        shelf: RtpShelf::default(),
        sip: OnceLock::new(),
        data_dir,
        started: rt::now(),
        recorder_thread: Mutex::new(Some(thread)),
        _claim: claim,
    }))
}

/// What this machine has for calls.
fn machine(config: &Config) -> Machine {
    // Where there are no trunks no call needs a port.
    let trunks = std::fs::read_dir(&config.sip.trunks).is_ok_and(|mut files| files.next().is_some());
    let ports = u32::from(config.sip.rtp_last).saturating_sub(config.sip.rtp_first.into()) + 1;
    Machine {
        files: rt::raise_open_files(),
        memory_bytes: memory_left_bytes(),
        ports: (trunks && !config.sip.rtp_per_shard).then_some(ports),
        measured: Calibration::read(&config.data.dir).map(|found| found.offered(config.media.shards.into())),
    }
}

/// Loads the local set where a bot wants it, and only then.
fn load_local(config: &Config, bots: &BotFolder) -> Result<Option<Arc<LocalSpeech>>, StartError> {
    let wanted = bots.list().iter().filter_map(|b| bots.get(b.id.as_str())).any(|b| {
        b.providers.stt == SttChoice::Local
            || b.providers.tts == TtsChoice::Local
            || b.providers.judge == JudgeChoice::Local
    });
    if !wanted {
        return Ok(None);
    }
    let cache =
        if config.models.dir.as_os_str().is_empty() { models::default_cache() } else { config.models.dir.clone() };
    let local = LocalConfig { threads: usize::from(config.models.threads), ..LocalConfig::default() };
    LocalSpeech::load(&cache, &local).map(Some).map_err(|error| StartError::Models(error.to_string()))
}

impl App {
    fn me(&self) -> Arc<Self> {
        // An `App` lives in the `Arc` that it was built in.
        #[expect(clippy::expect_used, reason = "whoever calls a method holds the Arc")]
        self.me.upgrade().expect("the worker is alive while it is called")
    }

    /// Calls in progress.
    #[must_use]
    pub fn live(&self) -> usize {
        self.directory.list().len()
    }

    /// The metrics, for tests and commands.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The counts of all media sockets, for tests and commands.
    #[must_use]
    pub const fn ws_metrics(&self) -> &Arc<WsMetrics> {
        &self.ws_metrics
    }

    /// The account of places.
    #[must_use]
    pub const fn capacity(&self) -> &Arc<Capacity> {
        &self.capacity
    }

    /// The recorder's counts.
    #[must_use]
    pub fn recorder_stats(&self) -> record::RecorderStats {
        self.machinery.recorder.stats()
    }

    /// The media threads' own counters.
    #[must_use]
    pub fn shard_views(&self) -> Vec<shard::ShardView> {
        self.machinery.shards.views()
    }

    /// The longest call that any bot allows, in milliseconds.
    fn longest_call_ms(&self) -> u64 {
        let bots = self.bots.list();
        bots.iter()
            .filter_map(|b| self.bots.get(b.id.as_str()))
            .map(|b| u64::from(b.turn.max_duration_ms))
            .max()
            .unwrap_or(600_000)
    }
}

impl Running {
    /// Where SIP is spoken, if it is.
    #[must_use]
    pub fn sip_address(&self) -> Option<SocketAddr> {
        self.sip.as_ref().map(|sip| sip.endpoint.address())
    }

    /// Where SIP is spoken over TLS, if it is.
    #[must_use]
    pub fn sip_tls_address(&self) -> Option<SocketAddr> {
        self.sip.as_ref().and_then(|sip| sip.endpoint.tls_address())
    }

    /// What lives of SIP, if it is spoken.
    #[must_use]
    pub fn sip_census(&self) -> Option<Census> {
        self.sip.as_ref().map(|sip| sip.endpoint.census())
    }

    /// New calls see these trunks; live ones keep theirs.
    pub fn set_trunks(&self, book: trunk::Book) {
        if let Some(sip) = &self.sip {
            sip.endpoint.set_trunks(book);
        }
    }

    /// Closes the doors, waits until every call has ended (the longest call plus a minute at most, or until `now_please`), ends
    /// what is left with a reason, and stops. Returns how many calls had to be ended.
    pub async fn drain(self, now_please: impl Future<Output = ()>) -> usize {
        self.app.capacity.drain();
        if let Some(sip) = &self.sip {
            sip.endpoint.drain(true);
            // The registrars send no more calls here; those that are up go on.
            sip.endpoint.close().await;
        }
        let limit = Duration::from_millis(self.app.longest_call_ms() + DRAIN_MARGIN_MS);
        let live = self.app.live();
        tracing::info!(live, limit_s = limit.as_secs(), "draining: no new call; a second signal ends the rest at once");
        tokio::select! {
            _ = rt::timeout(limit, self.app.capacity.emptied()) => {}
            () = now_please => {}
        }
        let ended = self.app.directory.tell_all(&CallControl::DrainOver);
        if rt::timeout(LAST_WORDS, self.app.capacity.emptied()).await.is_none() {
            tracing::error!(calls = self.app.live(), "calls did not end in time; the next start writes their results");
        }
        self.stop().await;
        ended
    }

    /// Stops at once; calls that are up are left to the next start's repair.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.watcher.abort();
        if let Some(sip) = &self.sip {
            sip.watcher.abort();
            sip.endpoint.close().await;
        }
        let _ = rt::timeout(Duration::from_secs(5), self.server).await;
        let thread = self.app.recorder_thread.lock().ok().and_then(|mut t| t.take());
        if let Some(thread) = thread {
            let stopped = tokio::task::spawn_blocking(move || thread.stop()).await;
            if !matches!(stopped, Ok(true)) {
                tracing::error!("the recorder thread had panicked");
            }
        }
    }
}
