//! The one recorder thread: takes full blocks from the media shards and lines from the journals, and writes them at once.
//! Never holds up a call: every queue into it is bounded, and what finds no room is counted.
//!
//! | queue | holds | when full |
//! |---|---|---|
//! | blocks | every block of the pool | the shard finds no free block: time counted as lost, silence in its place |
//! | orders | [`ORDERS`] | opening is refused; closing and journals wait and try again |
//! | a journal's own buffer | [`PENDING_BYTES`] | new lines are dropped and counted |

mod api;
mod file;
mod repair;
mod space;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, TryRecvError, bounded};
use tokio::sync::oneshot;

pub use api::{Log, LogOutcome, Recorder, RecorderError, RecorderStats, Recording, RecordingId};
pub use repair::{RepairError, RepairReport, Repaired, repair, repair_file};

use self::file::{LogFile, WavFile};
use self::space::Space;
use super::plan::{BlockPool, RecordBlock};
use super::wav::{FRAME_BYTES, Incomplete};
use crate::rt;
use crate::units::{Moment, SampleRate};

/// Orders that may wait for the recorder thread.
const ORDERS: usize = 4_096;

/// Bytes of journal that one call keeps while the order queue is full.
const PENDING_BYTES: usize = 256 * 1024;

/// While anything is recorded blocks and lines of journals are looked at this often; who waits for an answer wakes the thread.
const POLL: Duration = Duration::from_millis(10);

/// Headers and forgotten recordings are looked after this often: with a thousand recordings a look at each is work.
const SWEEP: Duration = Duration::from_millis(250);

/// With nothing open the thread wakes only for orders, and this often to look at the disk.
const REST: Duration = Duration::from_secs(1);

/// After a close was asked, the last block may take this long.
const GRACE_MS: u64 = 2_000;

/// A recording without a block for this long has lost its line; a finished one that nobody closes is forgotten.
const ABANDONED_MS: u64 = 60_000;

/// Blocks written between two looks at the orders.
const BURST: usize = 256;

/// Settings of everything that is kept under the data folder.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Most bytes under the data folder; recordings stop there, journals and results go on. 0: no bound.
    pub max_bytes: u64,
    /// Recordings stop when the disk has less free room than this, so that journals and results still find some.
    pub min_free_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_bytes: 0, min_free_bytes: 256 << 20 }
    }
}

/// What the recorder thread is told.
#[derive(Debug)]
enum Order {
    Open {
        id: u32,
        path: PathBuf,
        rate: SampleRate,
    },
    Close {
        id: u32,
        reply: oneshot::Sender<Recording>,
    },
    OpenLog {
        id: u32,
        path: PathBuf,
    },
    Append {
        id: u32,
        bytes: Vec<u8>,
    },
    Settle {
        reply: oneshot::Sender<()>,
    },
    CloseLog {
        id: u32,
        reply: oneshot::Sender<u64>,
    },
    Stop,
    #[cfg(test)]
    Panic,
}

/// Counts that the recorder keeps for metrics; written by the thread, read by anybody.
#[derive(Debug, Default)]
struct Counts {
    open: AtomicU64,
    bytes_written: AtomicU64,
    lost_frames: AtomicU64,
    journal_lost_bytes: AtomicU64,
    is_full: AtomicU64,
}

/// The recorder thread itself; kept by whoever started it.
#[derive(Debug)]
pub struct RecorderThread {
    handle: std::thread::JoinHandle<()>,
    orders: crossbeam::channel::Sender<Order>,
}

impl RecorderThread {
    /// Ends all recordings where they stand, closes every file and waits for the thread. For the end of the process, after
    /// the last call. Blocks; `false` where the thread had panicked.
    #[must_use]
    pub fn stop(self) -> bool {
        // Where the channel is closed the thread is gone already.
        drop(self.orders.send(Order::Stop));
        self.handle.thread().unpark();
        self.handle.join().is_ok()
    }
}

impl Recorder {
    /// Starts the recorder thread of this process for at most `max_calls` calls at once, keeping `config`'s bounds on
    /// `data_dir` (made where it is missing).
    ///
    /// # Errors
    /// Where the folder cannot be made or the system gives no thread.
    pub fn start(data_dir: &Path, config: &Config, max_calls: usize) -> Result<(Self, RecorderThread), RecorderError> {
        std::fs::create_dir_all(data_dir)
            .map_err(|error| RecorderError::Folder { path: data_dir.display().to_string(), error })?;
        // Three blocks a call: one filling, one waiting, one being written; a small fleet gets seconds of slack.
        let pool = BlockPool::new((max_calls * 3).max(512));
        let (sender, orders) = bounded(ORDERS);
        let counts = Arc::new(Counts::default());
        let max_bytes = (config.max_bytes > 0).then_some(config.max_bytes);
        let space = Space::new(data_dir, max_bytes, config.min_free_bytes, rt::now());
        let mut desk = Desk::new(Arc::clone(&pool), orders, space, Arc::clone(&counts));
        let handle = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || desk.run())
            .map_err(RecorderError::Thread)?;
        let recorder = Self::new(sender.clone(), handle.thread().clone(), pool, Arc::new(AtomicU32::new(1)), counts);
        Ok((recorder, RecorderThread { handle, orders: sender }))
    }
}

/// One recording on the thread.
#[derive(Debug)]
struct Tape {
    wav: WavFile,
    /// The last block came, or the file was stopped.
    over: bool,
    closing: Option<(oneshot::Sender<Recording>, Moment)>,
    touched: Moment,
}

impl Tape {
    /// Nothing more comes, or is waited for.
    fn end(&mut self) {
        if !self.over {
            self.over = true;
            self.wav.stop(Incomplete::CutOff);
        }
    }
}

/// The thread's state.
#[derive(Debug)]
struct Desk {
    pool: Arc<BlockPool>,
    orders: Receiver<Order>,
    space: Space,
    counts: Arc<Counts>,
    tapes: HashMap<u32, Tape>,
    logs: HashMap<u32, LogFile>,
    /// Recordings that are to be closed.
    ending: Vec<u32>,
    swept: Moment,
    stopping: bool,
}

impl Desk {
    fn new(pool: Arc<BlockPool>, orders: Receiver<Order>, space: Space, counts: Arc<Counts>) -> Self {
        Self {
            pool,
            orders,
            space,
            counts,
            tapes: HashMap::new(),
            logs: HashMap::new(),
            ending: Vec::new(),
            swept: Moment::ZERO,
            stopping: false,
        }
    }

    /// One step, whose panic costs what it was about and no other recording or journal.
    fn contained(&mut self, step: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| step(self))).is_err() {
            tracing::error!("a step of the recorder panicked; the recorder goes on with the next");
        }
    }

    fn run(&mut self) {
        while !self.stopping {
            self.obey_waiting();
            while self.write_burst() {
                self.obey_waiting();
            }
            let now = rt::now();
            if now.since(self.swept) >= SWEEP {
                self.swept = now;
                self.contained(|desk| desk.sweep(now));
            } else {
                self.contained(|desk| desk.answer_closing(now));
            }
            if !self.stopping && self.orders.is_empty() {
                rt::rest(if self.tapes.is_empty() && self.logs.is_empty() { REST } else { POLL });
            }
        }
        self.finish_all();
    }

    fn obey_waiting(&mut self) {
        for _ in 0..ORDERS {
            match self.orders.try_recv() {
                Ok(order) => self.contained(|desk| desk.obey(order)),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.stopping = true;
                    return;
                }
            }
        }
    }

    fn obey(&mut self, order: Order) {
        let now = rt::now();
        match order {
            Order::Open { id, path, rate } => {
                self.space.refresh(now);
                let wav = WavFile::create(path, rate, &mut self.space, now);
                self.tapes.insert(id, Tape { wav, over: false, closing: None, touched: now });
            }
            Order::Close { id, reply } => match self.tapes.get_mut(&id) {
                Some(tape) => {
                    tape.closing = Some((reply, now));
                    self.ending.push(id);
                }
                // The waiting end sees that its sender is gone.
                None => drop(reply),
            },
            Order::OpenLog { id, path } => {
                self.logs.insert(id, LogFile::open(path));
            }
            Order::Append { id, bytes } => {
                if let Some(log) = self.logs.get_mut(&id) {
                    let lost = log.lost_bytes;
                    log.append(&bytes, &mut self.space);
                    self.counts.journal_lost_bytes.fetch_add(log.lost_bytes - lost, Ordering::Relaxed);
                }
            }
            Order::Settle { reply } => {
                // Orders are obeyed in their order, so what was asked before is done.
                let _ = reply.send(());
            }
            Order::CloseLog { id, reply } => {
                if let Some(log) = self.logs.remove(&id) {
                    // Nobody listening is fine: the file is closed either way.
                    let _ = reply.send(log.lost_bytes);
                }
            }
            Order::Stop => self.stopping = true,
            #[cfg(test)]
            Order::Panic => panic!("a panic of a test"),
        }
    }

    /// Writes what waits, a burst at a time, so that orders are never far behind. `true`: there may be more.
    fn write_burst(&mut self) -> bool {
        for _ in 0..BURST {
            let Some(block) = self.pool.pop_full() else { return false };
            self.contained(|desk| desk.write(&block));
            self.pool.give_back(block);
        }
        true
    }

    fn write(&mut self, block: &RecordBlock) {
        if !self.tapes.contains_key(&block.call) {
            // Its `Open` was sent before its first block, so it waits among the orders.
            self.obey_waiting();
        }
        let Some(tape) = self.tapes.get_mut(&block.call) else { return };
        let (frames, lost) = (tape.wav.frames, tape.wav.lost_frames);
        tape.touched = rt::now();
        tape.wav.write(block, &mut self.space);
        if block.last {
            tape.over = true;
            tape.wav.finish();
        }
        self.counts.bytes_written.fetch_add(tape.wav.frames.saturating_sub(frames) * FRAME_BYTES, Ordering::Relaxed);
        self.counts.lost_frames.fetch_add(tape.wav.lost_frames - lost, Ordering::Relaxed);
    }

    /// Headers, recordings that were forgotten, and endings.
    fn sweep(&mut self, now: Moment) {
        self.space.refresh(now);
        for (&id, tape) in &mut self.tapes {
            tape.wav.tick(now);
            if now.ms_since(tape.touched) >= ABANDONED_MS {
                tape.end();
                self.ending.push(id);
            }
        }
        self.answer_closing(now);
        self.show();
    }

    /// Recordings that are to be closed, or were forgotten.
    fn answer_closing(&mut self, now: Moment) {
        let mut at = 0;
        while let Some(&id) = self.ending.get(at) {
            if let Some(tape) = self.tapes.get_mut(&id) {
                let late = tape.closing.as_ref().is_some_and(|(_, asked)| now.ms_since(*asked) >= GRACE_MS);
                if late || !tape.wav.is_open() {
                    tape.end();
                }
                if !tape.over {
                    at += 1;
                    continue;
                }
            }
            self.ending.swap_remove(at);
            if let Some(tape) = self.tapes.remove(&id) {
                answer(tape);
                self.show();
            }
        }
    }

    fn show(&self) {
        self.counts.open.store(self.tapes.len() as u64, Ordering::Relaxed);
        self.counts.is_full.store(u64::from(self.space.is_full()), Ordering::Relaxed);
    }

    fn finish_all(&mut self) {
        while self.write_burst() {}
        for (_, mut tape) in self.tapes.drain() {
            if !tape.over {
                tape.wav.stop(Incomplete::CutOff);
            }
            answer(tape);
        }
        self.logs.clear();
        self.counts.open.store(0, Ordering::Relaxed);
    }
}

/// Tells whoever closed the recording what became of it.
fn answer(tape: Tape) {
    let outcome = Recording::of(&tape.wav);
    if let Some((reply, _)) = tape.closing {
        // Nobody listening is fine: the file stands.
        drop(reply.send(outcome));
    }
}
