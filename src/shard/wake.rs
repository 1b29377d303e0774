//! How a media thread wakes tasks without taking a lock: it notes whom in a queue and writes to an eventfd, once per slot; a
//! task of the runtime reads both and passes the word on. Never runs on the media thread itself, except for [`ring`].

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::EventfdFlags;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, oneshot};

use super::thread::Shared;
use crate::call::line::LineStats;
use crate::rt;

/// An eventfd that a reactor can wait for.
pub(super) fn bell() -> std::io::Result<OwnedFd> {
    Ok(rustix::event::eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?)
}

/// Wakes the pump. A full counter means that it is awake already.
pub(super) fn ring(bell: &OwnedFd) {
    let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
}

/// Whom to tell about one line.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) leg: Arc<Notify>,
    pub(super) driver: Arc<Notify>,
    pub(super) done: Option<oneshot::Sender<LineStats>>,
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
    pub(super) fn start(shared: &Arc<Shared>) -> std::io::Result<Self> {
        let register = Arc::new(Mutex::new(Register::default()));
        let bell = AsyncFd::try_new(shared.bell.try_clone()?)?;
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

async fn pump(bell: AsyncFd<OwnedFd>, shared: Arc<Shared>, register: Arc<Mutex<Register>>) {
    loop {
        let Ok(mut ready) = bell.readable().await else { return };
        let mut count = [0u8; 8];
        if rustix::io::read(bell.get_ref(), &mut count).is_err() {
            ready.clear_ready();
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
                    let _ = done.send(seat.line.stats());
                }
                entry.leg.notify_one();
                entry.driver.notify_one();
            }
        }
    }
}
