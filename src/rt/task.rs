//! Starting tasks: named, and a panic in one ends that one only, with a log line that names it.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;

/// How a task ended where it did not return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It panicked; the text is the panic's message.
    Panicked(String),
    /// It was aborted.
    Aborted,
}

/// Panics since the start of the process that ended one task or one line only.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Panics since the start of the process that ended one task, or one line of a media shard, and nothing else.
#[must_use]
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Counts one that was caught elsewhere than in a task.
pub fn count_panic() {
    PANICS.fetch_add(1, Ordering::Relaxed);
}

/// Starts `work` as a task of the current runtime. The handle gives the task's value, or how it stopped.
pub fn spawn<F>(name: &'static str, work: F) -> tokio::task::JoinHandle<Result<F::Output, Stopped>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let guarded = async move {
        match std::panic::AssertUnwindSafe(work).catch_unwind().await {
            Ok(value) => Ok(value),
            Err(panic) => {
                count_panic();
                let text = panic_text(&*panic);
                tracing::error!(task = name, panic = %text, "a task panicked; only its own call or connection ends");
                Err(Stopped::Panicked(text))
            }
        }
    };
    #[expect(clippy::disallowed_methods, reason = "the one home of starting tasks")]
    tokio::spawn(guarded)
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
