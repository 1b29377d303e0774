//! What a call's driver holds of the recorder: opening and closing recordings and journals. Never waits without a bound,
//! and always has an answer: a recorder that is stuck or gone gives an incomplete recording, not an error in the call.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::Thread;
use std::time::Duration;

use crossbeam::channel::{Sender, TrySendError};
use tokio::sync::oneshot;

use super::super::plan::{BlockPool, BlockWriter};
use super::super::wav::Incomplete;
use super::file::WavFile;
use super::{Counts, Order, PENDING_BYTES};
use crate::rt;
use crate::units::{Moment, SampleRate};

/// How long an order waits before it is tried again where the queue is full.
const RETRY: Duration = Duration::from_millis(5);

/// One recording of this process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordingId {
    id: u32,
    path: PathBuf,
}

/// What became of a recording.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recording {
    /// The file.
    pub path: PathBuf,
    /// How long it plays.
    pub duration_ms: u64,
    /// Bytes of the file; 0 where there is none.
    pub bytes: u64,
    /// Of the duration, silence in the place of lost audio.
    pub lost_ms: u64,
    /// Why the end is missing, where it is.
    pub incomplete: Option<Incomplete>,
}

impl Recording {
    pub(super) fn of(wav: &WavFile) -> Self {
        Self {
            path: wav.path.clone(),
            duration_ms: wav.rate.ms_of(wav.frames),
            bytes: wav.file_bytes(),
            lost_ms: wav.rate.ms_of(wav.lost_frames),
            incomplete: wav.incomplete,
        }
    }
}

/// Why the recorder did not take an order.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// The data folder cannot be made.
    #[error("{path}: expected a folder that can be made and written, found: {error}; set `data.dir` or its owner")]
    Folder {
        /// The folder.
        path: String,
        /// The disk's words.
        error: std::io::Error,
    },
    /// No thread for the recorder.
    #[error("the recorder thread could not be started: {0}")]
    Thread(std::io::Error),
    /// Too many orders wait; the disk stands still.
    #[error("the recorder is {limit} orders behind; the call goes on without a recording")]
    Busy {
        /// The bound of the queue.
        limit: usize,
    },
    /// The recorder thread is gone.
    #[error("the recorder thread is gone; the call goes on without a recording, restart the worker")]
    Stopped,
}

/// What metrics show of the recorder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RecorderStats {
    /// Recordings open now.
    pub open: u64,
    /// Audio written so far, in bytes.
    pub bytes_written: u64,
    /// Stereo samples that became silence.
    pub lost_frames: u64,
    /// Bytes of journal that the disk refused.
    pub journal_lost_bytes: u64,
    /// Recordings are refused for want of room.
    pub is_full: bool,
    /// Blocks that nobody uses.
    pub free_blocks: u64,
}

/// The recorder as calls see it; cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    orders: Sender<Order>,
    /// Woken for every order but lines of a journal: those can wait for its next look, and waking it for each would cost more
    /// than writing them.
    thread: Thread,
    pool: Arc<BlockPool>,
    next: Arc<AtomicU32>,
    counts: Arc<Counts>,
}

impl Recorder {
    pub(super) fn new(
        orders: Sender<Order>,
        thread: Thread,
        pool: Arc<BlockPool>,
        next: Arc<AtomicU32>,
        counts: Arc<Counts>,
    ) -> Self {
        Self { orders, thread, pool, next, counts }
    }

    /// Opens the recording of a call at `path` (its folder is made). The writer belongs into the call's line on its media
    /// shard; the id closes the recording. A file that cannot be created is told by [`Recorder::close`].
    ///
    /// # Errors
    /// Where the recorder is far behind or gone: the call then goes on without a recording.
    pub fn open(&self, path: PathBuf, rate: SampleRate) -> Result<(RecordingId, BlockWriter), RecorderError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.send(Order::Open { id, path: path.clone(), rate })?;
        Ok((RecordingId { id, path }, BlockWriter::new(Arc::clone(&self.pool), id)))
    }

    /// Waits until the recording's last block is on the disk and gives the outcome; call it after the line was told to
    /// end. Answers within `within`, whatever the disk does.
    pub async fn close(&self, recording: RecordingId, within: Duration) -> Recording {
        let deadline = rt::now() + within;
        let (reply, outcome) = oneshot::channel();
        let unanswered = Recording {
            path: recording.path,
            duration_ms: 0,
            bytes: 0,
            lost_ms: 0,
            incomplete: Some(Incomplete::NoAnswer),
        };
        if !self.insist(Order::Close { id: recording.id, reply }, deadline).await {
            return unanswered;
        }
        match rt::timeout(deadline.since(rt::now()), outcome).await {
            Some(Ok(recording)) => recording,
            Some(Err(_)) | None => unanswered,
        }
    }

    /// Opens an append-only file of lines at `path` (its folder is made): the journal of a call.
    ///
    /// # Errors
    /// Where the recorder is far behind or gone.
    pub fn open_log(&self, path: PathBuf) -> Result<Log, RecorderError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.send(Order::OpenLog { id, path })?;
        Ok(Log { recorder: self.clone(), id, pending: Vec::new(), lost_bytes: 0 })
    }

    /// The counts for metrics.
    #[must_use]
    pub fn stats(&self) -> RecorderStats {
        let read = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        RecorderStats {
            open: read(&self.counts.open),
            bytes_written: read(&self.counts.bytes_written),
            lost_frames: read(&self.counts.lost_frames),
            journal_lost_bytes: read(&self.counts.journal_lost_bytes),
            is_full: read(&self.counts.is_full) == 1,
            free_blocks: self.pool.free_blocks() as u64,
        }
    }

    fn send(&self, order: Order) -> Result<(), RecorderError> {
        let sent = self.orders.try_send(order).map_err(|error| match error {
            TrySendError::Full(_) => RecorderError::Busy { limit: super::ORDERS },
            TrySendError::Disconnected(_) => RecorderError::Stopped,
        });
        self.thread.unpark();
        sent
    }

    /// Sends until there is room or `deadline` has come.
    async fn insist(&self, mut order: Order, deadline: Moment) -> bool {
        loop {
            order = match self.orders.try_send(order) {
                Ok(()) => {
                    self.thread.unpark();
                    return true;
                }
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(order)) => order,
            };
            if rt::now() >= deadline {
                return false;
            }
            rt::sleep(RETRY).await;
        }
    }
}

/// What became of a journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogOutcome {
    /// Bytes that are not in the file: no room in the queue, or refused by the disk.
    pub lost_bytes: u64,
    /// The file was closed; otherwise the recorder gave no answer in time.
    pub closed: bool,
}

/// An append-only file of lines, written by the recorder thread. Close it to know that everything is in the file; dropping
/// it closes the file without a word.
#[derive(Debug)]
pub struct Log {
    recorder: Recorder,
    id: u32,
    pending: Vec<u8>,
    lost_bytes: u64,
}

impl Log {
    /// Appends whole lines. Never waits: what finds no room stays here, and above 256 KiB new lines are dropped and counted.
    pub fn append(&mut self, lines: &[u8]) {
        if self.pending.len() + lines.len() > PENDING_BYTES {
            self.lost_bytes += lines.len() as u64;
        } else {
            self.pending.extend_from_slice(lines);
        }
        self.flush();
    }

    /// Waits until everything given so far was written, so that it survives the process; `false` where that took longer than
    /// `within`. A call is accepted after this: then a crash at any later moment still owes it a result.
    pub async fn settle(&mut self, within: Duration) -> bool {
        let deadline = rt::now() + within;
        let rest = std::mem::take(&mut self.pending);
        let left = rest.len() as u64;
        if !rest.is_empty() && !self.recorder.insist(Order::Append { id: self.id, bytes: rest }, deadline).await {
            self.lost_bytes += left;
            return false;
        }
        let (reply, settled) = oneshot::channel();
        self.recorder.insist(Order::Settle { reply }, deadline).await
            && matches!(rt::timeout(deadline.since(rt::now()), settled).await, Some(Ok(())))
    }

    /// Bytes dropped so far for want of room in the queue.
    #[must_use]
    pub const fn lost_bytes(&self) -> u64 {
        self.lost_bytes
    }

    /// Writes what is left and closes the file; answers within `within`, whatever the disk does.
    pub async fn close(mut self, within: Duration) -> LogOutcome {
        let deadline = rt::now() + within;
        let (reply, outcome) = oneshot::channel();
        let rest = std::mem::take(&mut self.pending);
        let left = rest.len() as u64;
        if !rest.is_empty() && !self.recorder.insist(Order::Append { id: self.id, bytes: rest }, deadline).await {
            return LogOutcome { lost_bytes: self.lost_bytes + left, closed: false };
        }
        if !self.recorder.insist(Order::CloseLog { id: self.id, reply }, deadline).await {
            return LogOutcome { lost_bytes: self.lost_bytes, closed: false };
        }
        match rt::timeout(deadline.since(rt::now()), outcome).await {
            Some(Ok(lost)) => LogOutcome { lost_bytes: self.lost_bytes + lost, closed: true },
            Some(Err(_)) | None => LogOutcome { lost_bytes: self.lost_bytes, closed: false },
        }
    }

    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.pending);
        match self.recorder.orders.try_send(Order::Append { id: self.id, bytes }) {
            Ok(()) => {}
            Err(TrySendError::Full(Order::Append { bytes, .. })) => self.pending = bytes,
            Err(TrySendError::Disconnected(Order::Append { bytes, .. })) => self.lost_bytes += bytes.len() as u64,
            // The order that comes back is the one that was sent.
            Err(_) => {}
        }
    }
}

impl Drop for Log {
    /// A driver that vanishes (its call panicked) does not leave the file open for ever.
    fn drop(&mut self) {
        self.flush();
        let (reply, _) = oneshot::channel();
        drop(self.recorder.orders.try_send(Order::CloseLog { id: self.id, reply }));
        self.recorder.thread.unpark();
    }
}
