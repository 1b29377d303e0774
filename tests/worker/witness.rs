//! A witness of what the machine itself costs: two threads with runtimes of their own that do nothing but pass a byte on, along the
//! way that a bot frame takes (a clock by absolute deadlines, a socket pair, a reader that is woken). Shares no thread, no lock and
//! no runtime with the worker or the callers, so a worker that blocks, sleeps too long or waits for itself does not make it late.
//! Only want of processor does, whoever takes it.

use std::os::unix::net::UnixStream as Pair;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use voicefleet::rt;
use voicefleet::units::Moment;

/// Time between two bytes: as often as a call of 20 ms frames on each of four slots.
const EVERY_MS: u64 = 5;

pub struct Witness {
    stop: Arc<AtomicBool>,
    late: Arc<AtomicU64>,
    worst_us: Arc<AtomicU64>,
    all: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

/// How often something was late.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    pub late: u64,
    pub all: u64,
}

impl Count {
    pub fn share(self) -> f64 {
        if self.all == 0 { 0.0 } else { self.late as f64 / self.all as f64 }
    }
}

fn alone(name: &str, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(work)).unwrap()
}

impl Witness {
    /// Counts as late what comes more than `bar_us` after it was due.
    pub fn begin(bar_us: u64) -> Self {
        let (to, from) = Pair::pair().unwrap();
        to.set_nonblocking(true).unwrap();
        from.set_nonblocking(true).unwrap();
        let (stop, late, all) = (Arc::new(AtomicBool::new(false)), Arc::default(), Arc::default());
        let worst_us: Arc<AtomicU64> = Arc::default();
        let stopped = Arc::clone(&stop);
        let clock = alone("witness-clock", async move {
            let mut to = UnixStream::from_std(to).unwrap();
            let start = rt::now();
            for n in 1.. {
                let due = start.plus_ms(n * EVERY_MS);
                rt::sleep_until(due).await;
                if stopped.load(Ordering::Relaxed) || to.write_all(&due.as_micros().to_le_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let (lates, alls): (Arc<AtomicU64>, Arc<AtomicU64>) = (Arc::clone(&late), Arc::clone(&all));
        let worst = Arc::clone(&worst_us);
        let reader = alone("witness-reader", async move {
            let mut from = UnixStream::from_std(from).unwrap();
            let mut due = [0; 8];
            while from.read_exact(&mut due).await.is_ok() {
                let late_us = rt::now().since(Moment::from_micros(u64::from_le_bytes(due))).as_micros();
                alls.fetch_add(1, Ordering::Relaxed);
                worst.fetch_max(u64::try_from(late_us).unwrap_or(u64::MAX), Ordering::Relaxed);
                lates.fetch_add(u64::from(late_us > u128::from(bar_us)), Ordering::Relaxed);
            }
        });
        Self { stop, late, worst_us, all, threads: vec![clock, reader] }
    }

    /// The latest so far of all that came, in microseconds.
    pub fn worst_us(&self) -> u64 {
        self.worst_us.load(Ordering::Relaxed)
    }

    /// What it counted.
    pub fn end(self) -> Count {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        Count { late: self.late.load(Ordering::Relaxed), all: self.all.load(Ordering::Relaxed) }
    }
}
