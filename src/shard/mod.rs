//! The media threads: each owns its lines outright and ticks them every 20 ms on a wheel of one-millisecond slots with absolute
//! deadlines. While lines are up a shard takes no lock and allocates nothing; it meets the rest of the process in bounded
//! lock-free queues, and wakes it by one byte through a socket pair per slot. Never runs a task, never speaks a protocol.

mod gauge;
mod port;
pub mod rtp;
mod solo;
mod thread;
mod wake;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::queue::ArrayQueue;
use tokio::sync::{Notify, oneshot};

pub use gauge::{LATE_BOUNDS_US, ShardGauge, ShardView};
pub use port::{LegPort, OutFrame, OutItem};

use crate::call::line::{DriverEnd, Line, LineOrder, LineStats, RecordTap, Rings};
use crate::media::{ResampleError, VoiceTables};
use crate::record::BlockWriter;
use crate::telemetry::Histogram;
use crate::units::SampleRate;
use rtp::{PortRange, RtpLeg, RtpPorts, RtpStats};
use thread::{Seat, Shared};
use wake::{Bell, Entry, Pump};

/// Frames that may wait for a leg's task: a little more than the lead, so that a task that is late by a tick loses nothing.
/// Full: the line keeps its place and counts a stall.
const OUT_ITEMS: usize = 8;
/// Lines that may wait to be taken in by a shard. Full: the call is refused.
const INBOX: usize = 1_024;

/// Settings of the media threads.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Media threads; 0 means one less than there are cores, at least one.
    pub shards: usize,
    /// Try real-time priority (SCHED_FIFO), so that other work on the machine does not delay a tick. The worker says
    /// whether it got it.
    pub fifo: bool,
    /// A task and a timer per line instead: what the threads are measured against.
    #[serde(skip)]
    pub task_per_call: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { shards: 0, fifo: true, task_per_call: false }
    }
}

/// A line could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No line runs at this rate.
    #[error("a line runs at 8000, 16000 or 24000 samples per second: {0}")]
    Rate(#[from] ResampleError),
    /// Every shard has as many new lines waiting as it may; the call is to be refused.
    #[error(
        "{INBOX} lines wait to be taken in by each media thread; expected room for one more: the machine is overloaded"
    )]
    Full,
    /// The media threads were stopped.
    #[error("the media threads are stopped")]
    Stopped,
}

/// What a line and its leg counted, when both are over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineReport {
    /// The line.
    pub line: LineStats,
    /// The leg, where it is RTP.
    pub rtp: Option<RtpStats>,
}

/// A call's end of its line.
#[derive(Debug)]
pub struct LineHandle {
    /// The rings.
    pub ends: DriverEnd,
    /// Notified when there are facts or audio to read.
    pub wake: Arc<Notify>,
    done: Option<oneshot::Receiver<LineReport>>,
}

impl LineHandle {
    /// The line's counters, once it was closed; given once.
    pub fn done(&mut self) -> Option<oneshot::Receiver<LineReport>> {
        self.done.take()
    }
}

impl Drop for LineHandle {
    /// A call that vanishes (its task panicked) takes its line along; for one that was closed this says nothing new.
    fn drop(&mut self) {
        // The line empties this ring every tick; it is full only where the shard is dead.
        let _ = self.ends.orders.push(LineOrder::Close);
    }
}

/// All media threads of the process.
#[derive(Debug)]
pub struct Shards {
    shards: Vec<Shard>,
    task_per_call: bool,
    max_lines: usize,
    voice_tables: Arc<VoiceTables>,
}

#[derive(Debug)]
struct Shard {
    shared: Arc<Shared>,
    pump: Pump,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Shards {
    /// Starts the media threads for at most `max_lines` lines in all; `lateness` is told how late each tick began. Must be called within a runtime.
    ///
    /// # Errors
    /// Where the system gives no thread or no socket pair.
    pub fn start(config: &Config, max_lines: usize, lateness: Option<Histogram>) -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let count = if config.shards == 0 { cores.saturating_sub(1).max(1) } else { config.shards };
        let mut shards = Vec::with_capacity(count);
        for i in 0..count {
            let (bell, hear) = Bell::new()?;
            let shared = Arc::new(Shared {
                inbox: ArrayQueue::new(INBOX),
                exchange: ArrayQueue::new(1),
                dirty: ArrayQueue::new((max_lines * 4).max(256)),
                done: ArrayQueue::new(max_lines.max(INBOX)),
                bell,
                stop: AtomicBool::new(false),
                gauge: ShardGauge::new(lateness.clone()),
            });
            let pump = Pump::start(&shared, hear)?;
            let (thread_shared, fifo) = (Arc::clone(&shared), config.fifo);
            let thread = std::thread::Builder::new()
                .name(format!("shard-{i}"))
                .spawn(move || thread::run(&thread_shared, fifo, max_lines))?;
            shards.push(Shard { shared, pump, thread: Some(thread) });
        }
        Ok(Self { shards, task_per_call: config.task_per_call, max_lines, voice_tables: VoiceTables::new() })
    }

    /// Gives each media thread one of these ports, which the RTP legs on it share; once.
    ///
    /// # Errors
    /// Where there are fewer ports than threads, one cannot be bound, or the lines are tasks.
    pub fn share_rtp(&self, range: PortRange, silence_ms: u32) -> std::io::Result<RtpPorts> {
        if self.task_per_call {
            return Err(std::io::Error::other("a line that is a task shares no port"));
        }
        let (ports, exchanges) = RtpPorts::per_shard(range, silence_ms, self.shards.len(), self.max_lines)?;
        for (shard, exchange) in self.shards.iter().zip(exchanges) {
            let given = shard.shared.exchange.push(Box::new(exchange));
            given.map_err(|_| std::io::Error::other("the media threads have their ports already"))?;
        }
        Ok(ports)
    }

    /// Opens a line on the shard with the fewest; its leg is a task that holds the port given back.
    ///
    /// # Errors
    /// Where no shard takes it.
    pub fn open(&self, rate: SampleRate, recording: Option<BlockWriter>) -> Result<(LineHandle, LegPort), OpenError> {
        let (rings, caller, ends) = Rings::new(rate);
        let line = Line::new(rate, rings, &self.voice_tables)?;
        let (out, out_rx) = rtrb::RingBuffer::new(OUT_ITEMS);
        let leg_wake = Arc::new(Notify::new());
        let port = LegPort { caller, out: out_rx, wake: Arc::clone(&leg_wake) };
        let handle = self.seat(ends, leg_wake, None, |key| Seat::with_port(key, line, out, recording))?;
        Ok((handle, port))
    }

    /// Opens a line on the shard with the fewest, or whose port `leg` shares.
    ///
    /// # Errors
    /// Where no shard takes it.
    pub fn open_rtp(
        &self,
        rate: SampleRate,
        recording: Option<BlockWriter>,
        leg: RtpLeg,
    ) -> Result<LineHandle, OpenError> {
        let (rings, ends) = Rings::off_the_wire(rate);
        let line = Line::new(rate, rings, &self.voice_tables)?;
        let at = leg.shard();
        self.seat(ends, Arc::new(Notify::new()), at, |key| Seat::with_rtp(key, line, leg, recording))
    }

    fn seat(
        &self,
        ends: DriverEnd,
        leg_wake: Arc<Notify>,
        at: Option<usize>,
        seat: impl FnOnce(u32) -> Seat,
    ) -> Result<LineHandle, OpenError> {
        // A thread that died takes nothing in.
        let alive = |shard: &&Shard| shard.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        let shard = self
            .shards
            .iter()
            .enumerate()
            .filter(|(i, _)| at.is_none_or(|at| at == *i))
            .map(|(_, shard)| shard)
            .filter(alive)
            .min_by_key(|s| s.shared.gauge.lines.load(Ordering::Relaxed))
            .ok_or(OpenError::Stopped)?;
        if shard.shared.stop.load(Ordering::Relaxed) {
            return Err(OpenError::Stopped);
        }
        let driver_wake = Arc::new(Notify::new());
        let (done_tx, done) = oneshot::channel();
        let entry = Entry { leg: leg_wake, driver: Arc::clone(&driver_wake), done: Some(done_tx) };
        if self.task_per_call {
            shard.shared.gauge.lines.fetch_add(1, Ordering::Relaxed);
            drop(crate::rt::spawn("line", solo::drive(Box::new(seat(0)), entry, Arc::clone(&shard.shared))));
            return Ok(LineHandle { ends, wake: driver_wake, done: Some(done) });
        }
        let key = shard.pump.register(entry);
        if shard.shared.inbox.push(Box::new(seat(key))).is_err() {
            shard.pump.forget(key);
            return Err(OpenError::Full);
        }
        shard.shared.gauge.lines.fetch_add(1, Ordering::Relaxed);
        Ok(LineHandle { ends, wake: driver_wake, done: Some(done) })
    }

    /// What each thread says of itself.
    #[must_use]
    pub fn views(&self) -> Vec<ShardView> {
        self.shards.iter().map(|s| s.shared.gauge.view()).collect()
    }

    /// Ends the threads; lines that are still up are dropped. Blocks until they are gone.
    pub fn stop(&mut self) {
        for shard in &self.shards {
            shard.shared.stop.store(true, Ordering::Relaxed);
        }
        for shard in &mut self.shards {
            if let Some(thread) = shard.thread.take()
                && thread.join().is_err()
            {
                tracing::error!("a media thread had panicked");
            }
        }
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        self.stop();
    }
}

impl RecordTap for BlockWriter {
    fn pair(&mut self, caller: &[i16], bot: &[i16]) {
        self.push(caller, bot);
    }
}
