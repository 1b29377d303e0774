//! The signal code of a tick allocates nothing and frees nothing, nor does a live line: ten thousand ticks with speech in both
//! directions, the voice detector, the search for a voicemail's beep, the echo guard, the recording, the listeners and every order,
//! counted by the allocator itself; as many over a socket, with RTP, plain and sealed, that is lost, late and doubled, keys, comfort
//! noise, control packets and codecs that change in mid-call. And the real media thread, counted from outside, while calls come and go.
#![expect(unsafe_code, reason = "a global allocator cannot be written without it; this one only counts")]

mod line;
mod media;
mod rtp;
mod shared;
mod thread;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use voicefleet::rt;

struct Counting;

thread_local! {
    static TOUCHES: Cell<u64> = const { Cell::new(0) };
    static OWN_ID: Cell<u64> = const { Cell::new(0) };
}

/// A thread of the product that is counted from outside, by its id in the system, and how often it called the allocator.
static WATCHED: AtomicU64 = AtomicU64::new(0);
static WATCHED_TOUCHES: AtomicU64 = AtomicU64::new(0);

fn count() {
    TOUCHES.with(|n| n.set(n.get() + 1));
    let watched = WATCHED.load(Ordering::Relaxed);
    if watched != 0 && OWN_ID.with(own_id) == watched {
        WATCHED_TOUCHES.fetch_add(1, Ordering::Relaxed);
    }
}

/// Asks the system once; asking allocates nothing.
fn own_id(known: &Cell<u64>) -> u64 {
    if known.get() == 0 {
        known.set(rt::thread_id());
    }
    known.get()
}

/// One test at a time may watch a thread.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From here on this thread's calls of the allocator are counted.
fn watch(thread: u64) {
    WATCHED.store(0, Ordering::SeqCst);
    WATCHED_TOUCHES.store(0, Ordering::SeqCst);
    WATCHED.store(thread, Ordering::SeqCst);
}

fn watched() -> u64 {
    WATCHED_TOUCHES.load(Ordering::SeqCst)
}

// SAFETY: every call goes to the system's allocator unchanged; the counter is a plain thread-local that allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn touches(work: impl FnOnce()) -> u64 {
    let before = TOUCHES.with(Cell::get);
    work();
    TOUCHES.with(Cell::get) - before
}
fn clip(name: &str) -> Vec<i16> {
    let path = format!("{}/fixtures/audio/{name}.wav", env!("CARGO_MANIFEST_DIR"));
    hound::WavReader::open(&path).expect("a clip").samples().map(|s| s.expect("a sample")).collect()
}

#[test]
fn the_counter_counts() {
    assert!(touches(|| drop(std::hint::black_box(vec![1_u8; 100]))) >= 2);
}
