//! What a media thread asks of the system: to sleep to a deadline exactly, and not to be kept waiting by other work.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::units::Moment;

/// Real-time priority of media threads: above ordinary work, below everything the system itself runs at real time.
const FIFO_PRIORITY: i32 = 5;

/// Blocks the thread until `at`. Only media threads and the recorder may block like this.
pub fn park_until(at: Moment) {
    let now = super::now();
    if at > now {
        #[expect(clippy::disallowed_methods, reason = "the one home of blocking sleep")]
        std::thread::sleep(at.since(now));
    }
}

/// Blocks the thread for `time`, or until it is unparked. For a thread that looks after queues of its own accord.
pub fn rest(time: Duration) {
    std::thread::park_timeout(time);
}

/// Makes this thread's timers exact and, where `fifo` is wanted and permitted, gives it real-time priority. Returns whether it
/// has real-time priority.
#[must_use]
pub fn prefer_this_thread(fifo: bool) -> bool {
    if let Err(error) = rustix::thread::set_current_timer_slack(NonZeroU64::new(1)) {
        tracing::warn!(%error, "timers of this thread stay coarse: the kernel refused a timer slack of 1 ns");
    }
    fifo && request_fifo()
}

fn request_fifo() -> bool {
    let param = libc::sched_param { sched_priority: FIFO_PRIORITY };
    #[expect(unsafe_code, reason = "the one call to the scheduler; no safe wrapper among the crates used")]
    // SAFETY: pid 0 is the calling thread, and `param` lives through the call.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const param) };
    if result != 0 {
        tracing::warn!("no real-time priority for this media thread (CAP_SYS_NICE or an rtprio limit would allow it)");
    }
    result == 0
}

/// The system's id of this thread, as in `/proc/<pid>/task`.
#[must_use]
pub fn thread_id() -> u64 {
    u64::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap_or(0)
}
