//! What the HTTP routes ask of the process, and the small types the answers are made of. The process implements
//! [`Control`]; a test implements it with plain data. Never names a socket, a file format or a task.
//!
//! Every method answers from memory, within microseconds: it is called on the runtime's threads. What lies on disk is named
//! by path and read by the routes themselves, in blocks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::fleet::FleetView;
use crate::telemetry::ProcessSample;
use crate::units::{BotId, CallId, Pii, Stamp};

/// The process, as the HTTP routes see it.
pub trait Control: Send + Sync + 'static {
    /// Capacity now.
    fn fleet(&self) -> FleetView;
    /// The worker and the process now.
    fn health(&self) -> Health;
    /// May a balancer send a new call here?
    ///
    /// # Errors
    /// Why it may not.
    fn ready(&self) -> Result<(), NotReady>;
    /// Every metric, in the text of [`crate::telemetry::CONTENT_TYPE`].
    fn metrics(&self) -> String;
    /// The bots, by id.
    fn bots(&self) -> Vec<BotRow>;
    /// The calls in progress, newest first.
    fn live_calls(&self) -> Vec<LiveCall>;
    /// Ended calls, newest first.
    fn ended_calls(&self, ask: &PageAsk) -> EndedPage;
    /// One call, live or ended; `None` where it is not known.
    fn call(&self, id: &CallId) -> Option<CallDetail>;
    /// Ends a call that is up, as an operator: the far end is told, and the call ends by its own rules within seconds. `false` where no
    /// such call is up.
    fn hang_up(&self, id: &CallId) -> bool;
    /// Presses keys at the far end of a call that is up, out of 0-9, *, #, A-D. `false` where no such call is up.
    fn press(&self, id: &CallId, keys: &str) -> bool;
    /// Places a call: a slot of the worker and a channel of a trunk are held when this returns, before anything rings. Nothing is
    /// queued.
    ///
    /// # Errors
    /// [`DialRefusal`]: nothing was sent and nothing is held.
    fn dial(&self, ask: DialAsk) -> Result<CallId, DialRefusal>;
    /// The call behind a recording link; `None` where the token is forged, of another worker, or its call is gone. Takes
    /// the same time whichever byte of the token is wrong (see [`Links`](crate::results::Links)).
    fn linked(&self, token: &str) -> Option<Linked>;
}

/// The worker and the process at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// The product's version.
    pub version: &'static str,
    /// Time since the start.
    pub uptime: Duration,
    /// Media threads.
    pub shards: u32,
    /// The media threads were granted real-time scheduling (SCHED_FIFO).
    pub fifo: bool,
    /// Memory, processor time, threads, files.
    pub process: ProcessSample,
}

/// Why no new call should come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// The models are still being loaded.
    #[error("the worker is starting: its speech models are being loaded")]
    Starting,
    /// Calls in progress end, none begins.
    #[error("the worker is draining and takes no new call")]
    Draining,
    /// Every place is held.
    #[error("every place is held")]
    Full,
}

impl NotReady {
    /// Stable code of the problem document.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Draining => "draining",
            Self::Full => "no_capacity",
        }
    }
}

/// One bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotRow {
    /// Its id, the file's stem.
    pub id: BotId,
    /// Its name for people.
    pub name: String,
    /// Hash of the version that new calls get; empty where none was ever good.
    pub version: String,
    /// BCP 47 language.
    pub language: String,
    /// What is wrong with the file as it is now; the version above goes on serving.
    pub faults: Vec<String>,
}

/// One call in progress.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveCall {
    /// The call.
    pub id: CallId,
    /// Its bot.
    pub bot: BotId,
    /// The customer's number.
    pub caller: Pii<String>,
    /// We (or the dialler) rang the customer.
    pub outgoing: bool,
    /// The leg's protocol, e.g. `native`.
    pub dialect: &'static str,
    /// When it was accepted.
    pub started_at: Stamp,
    /// What it does now, e.g. `listening`.
    pub state: &'static str,
    /// Turns of the caller so far.
    pub turns: u32,
    /// Latency of the last turn, caller stops until bot audible.
    pub last_turn_ms: Option<u32>,
}

/// One ended call.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedCall {
    /// The call.
    pub id: CallId,
    /// Its bot.
    pub bot: BotId,
    /// Hash of the bot's version that it had.
    pub bot_version: String,
    /// The customer's number.
    pub caller: Pii<String>,
    /// We (or the dialler) rang the customer.
    pub outgoing: bool,
    /// When it was accepted.
    pub started_at: Stamp,
    /// Answer to end.
    pub duration_ms: u64,
    /// `bot`, `customer`, `voicemail`, `RNR`, `timeout` or `error`.
    pub disconnected_by: String,
    /// The finer reason.
    pub end_reason: String,
    /// The disposition of the analysis.
    pub disposition: Option<String>,
    /// Turns of the caller.
    pub turns: u32,
    /// The token of its link `/r/{token}`.
    pub token: String,
    /// There is a recording file.
    pub recorded: bool,
}

/// Which page of ended calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageAsk {
    /// At most so many.
    pub limit: usize,
    /// Only calls older than this one; where it is not known, none is.
    pub before: Option<CallId>,
}

/// One page of ended calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndedPage {
    /// Newest first.
    pub calls: Vec<EndedCall>,
    /// Older ones exist: ask again with `before` = the last one's id.
    pub more: bool,
}

/// One call with what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub enum CallDetail {
    /// In progress.
    Live(LiveCall),
    /// Ended, with its `result.json`.
    Ended(EndedCall, PathBuf),
}

/// What a recording link stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linked {
    /// The call has not ended: nothing is served yet.
    StillRunning,
    /// The call's files.
    Ended(CallFiles),
}

/// The files of an ended call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFiles {
    /// The call.
    pub id: CallId,
    /// `recording.wav`, where the call was recorded.
    pub recording: Option<PathBuf>,
    /// `result.json`.
    pub result: PathBuf,
}

/// A call to be placed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialAsk {
    /// The bot that talks.
    pub bot: String,
    /// The number to call, E.164 with plus where the carrier is to make its own of it.
    pub to: Pii<String>,
    /// The caller ID; `None`: the trunk's own.
    pub from: Option<String>,
    /// The trunk's id; `None`: the first that may call the number.
    pub trunk: Option<String>,
    /// What templates know of the call, stringified.
    pub variables: BTreeMap<String, String>,
    /// Further header fields of the INVITE, `X-` ones.
    pub headers: Vec<(String, String)>,
}

/// Why a call is not placed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialRefusal {
    /// No such bot.
    #[error("expected the id of a bot in bot_id, found none called so; GET / lists them")]
    UnknownBot,
    /// Every place is held.
    #[error("every place of this worker is held; try again when a call has ended")]
    Full,
    /// The worker finishes its calls.
    #[error("the worker is draining and takes no new call; use another worker")]
    Draining,
    /// The models are still being loaded.
    #[error("the worker is starting; /readyz says when it is ready")]
    Starting,
    /// No trunk may call this number.
    #[error("expected a trunk that may call this number (outbound.targets and outbound.prefixes), found none")]
    NoTrunk,
    /// The trunk that was named, or the caller ID, does not fit.
    #[error("{0}")]
    Unfit(String),
    /// All channels of the trunk are taken, or too many calls this second.
    #[error("{0}")]
    NoChannel(String),
    /// Too many calls to numbers of one prefix in the last minute.
    #[error("{0}")]
    TooMany(String),
    /// No port for audio is free.
    #[error("every port of sip.rtp_first to sip.rtp_last is taken; try again when a call has ended")]
    NoPort,
    /// Something of the worker's own.
    #[error("{0}")]
    Internal(String),
}
