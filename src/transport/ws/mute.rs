//! The connections that have not asked for anything yet, oldest first. Where there is no room for one more, the oldest of them
//! gives way, so that a crowd that only holds the line cannot keep a caller out. Never touches one that has asked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::Notify;

/// What the listener and a connection's task know of each other.
#[derive(Debug, Default)]
pub(super) struct Word {
    asked: AtomicBool,
    dismissed: Notify,
}

impl Word {
    /// The first request is whole: the connection stays.
    pub(super) fn asked(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Done when the connection has to give way. One that asked meanwhile need not.
    pub(super) async fn dismissed(&self) {
        self.dismissed.notified().await;
        if self.asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

/// The connections that came, less those that are known to have asked or to be gone.
#[derive(Debug, Default)]
pub(super) struct Mute {
    oldest_first: VecDeque<Weak<Word>>,
}

impl Mute {
    /// One more connection, at most `most` of which live at once.
    pub(super) fn enter(&mut self, most: usize) -> Arc<Word> {
        // At least half of what is dropped here stood for nothing, so an entry costs the same however many there are.
        if self.oldest_first.len() > 2 * most {
            self.oldest_first.retain(|word| is_mute(word).is_some());
        }
        let word = Arc::new(Word::default());
        self.oldest_first.push_back(Arc::downgrade(&word));
        word
    }

    /// Tells the oldest that never asked to give way; false where there is none.
    pub(super) fn give_way(&mut self) -> bool {
        while let Some(word) = self.oldest_first.pop_front() {
            if let Some(word) = is_mute(&word) {
                word.dismissed.notify_one();
                return true;
            }
        }
        false
    }
}

fn is_mute(word: &Weak<Word>) -> Option<Arc<Word>> {
    word.upgrade().filter(|word| !word.asked.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn the_oldest_that_never_asked_gives_way_once() {
        let mut mute = Mute::default();
        let all: Vec<Arc<Word>> = (0..4).map(|_| mute.enter(8)).collect();
        all[0].asked();
        assert!(mute.give_way());
        let told = |of: &Arc<Word>| of.dismissed().now_or_never().is_some();
        assert_eq!([told(&all[1]), told(&all[2])], [true, false]);
        assert!(mute.give_way() && mute.give_way() && !mute.give_way(), "each is told once, those that asked never");
        all[3].asked();
        assert!(!told(&all[3]), "it asked just before it was told");
    }

    #[test]
    fn what_is_gone_is_not_kept() {
        let mut mute = Mute::default();
        (0..1_000).for_each(|_| drop(mute.enter(8)));
        assert!(mute.oldest_first.len() <= 17 && !mute.give_way());
    }
}
