//! How a media thread wakes tasks without taking a lock: it notes whom in a queue and writes one byte into a socket pair, once
//! per slot; a task of the runtime reads both and passes the word on. Never runs on the media thread itself, except for
//! [`Bell::ring`].

use std::collections::HashMap;
use std::os::unix::net::UnixStream as Pipe;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot};

use super::LineReport;
use super::thread::Shared;
use crate::rt;

/// The media thread's end of the socket pair. (An eventfd would be a little cheaper, but registering one with the runtime
/// is unsafe code.)
#[derive(Debug)]
pub(super) struct Bell(Pipe);

impl Bell {
    /// A bell and the end that hears it.
    pub(super) fn new() -> std::io::Result<(Self, Pipe)> {
        let (ring, hear) = Pipe::pair()?;
        ring.set_nonblocking(true)?;
        hear.set_nonblocking(true)?;
        Ok((Self(ring), hear))
    }

    /// Wakes the pump. Where the socket is full, the pump is awake already.
    pub(super) fn ring(&self) {
        let _ = rustix::io::write(&self.0, &[1]);
    }
}

/// Whom to tell about one line.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) leg: Arc<Notify>,
    pub(super) driver: Arc<Notify>,
    pub(super) done: Option<oneshot::Sender<LineReport>>,
}

#[derive(Debug, Default)]
struct Register {
    next: u32,
    entries: HashMap<u32, Entry>,
}

/// The task that passes wake-ups on, and the register of lines it knows. The register's lock is never taken by a shard.
#[derive(Debug)]
pub(super) struct Pump {
    register: Arc<Mutex<Register>>,
    task: tokio::task::JoinHandle<Result<(), rt::Stopped>>,
}

impl Pump {
    pub(super) fn start(shared: &Arc<Shared>, bell: Pipe) -> std::io::Result<Self> {
        let register = Arc::new(Mutex::new(Register::default()));
        let bell = UnixStream::from_std(bell)?;
        let task = rt::spawn("shard-pump", pump(bell, Arc::clone(shared), Arc::clone(&register)));
        Ok(Self { register, task })
    }

    pub(super) fn register(&self, entry: Entry) -> u32 {
        let mut register = self.register.lock().unwrap_or_else(PoisonError::into_inner);
        register.next = register.next.wrapping_add(1);
        let key = register.next;
        register.entries.insert(key, entry);
        key
    }

    pub(super) fn forget(&self, key: u32) {
        self.register.lock().unwrap_or_else(PoisonError::into_inner).entries.remove(&key);
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pump(bell: UnixStream, shared: Arc<Shared>, register: Arc<Mutex<Register>>) {
    loop {
        let mut rings = [0u8; 256];
        if bell.readable().await.is_err() || matches!(bell.try_read(&mut rings), Ok(0)) {
            return;
        }
        let mut register = register.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((key, wake)) = shared.dirty.pop() {
            if let Some(entry) = register.entries.get(&key) {
                if wake.leg {
                    entry.leg.notify_one();
                }
                if wake.driver {
                    entry.driver.notify_one();
                }
            }
        }
        while let Some(seat) = shared.done.pop() {
            if let Some(mut entry) = register.entries.remove(&seat.key) {
                if let Some(done) = entry.done.take() {
                    // The call may have gone already; then nobody wants the counters.
                    let _ = done.send(seat.counted());
                }
                entry.leg.notify_one();
                entry.driver.notify_one();
            }
        }
    }
}
