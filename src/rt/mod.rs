//! The runtime's edge: the only clock, the only sleep, the only way to start a task. Never knows what a call is.

mod clock;
mod files;
mod task;
mod thread;

pub use clock::{moment_of_wall, now, sleep, sleep_until, stamp, timeout};
pub use files::raise_open_files;
pub use task::{Stopped, count_panic, panics, spawn};
pub use thread::{park_until, prefer_this_thread, rest, thread_id};
