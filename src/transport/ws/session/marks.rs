//! The marks that a dialler was sent and has not answered. Only these are listened to: a name that was never sent, or was answered
//! before, tells nothing.

use std::collections::VecDeque;

use super::super::flood::MOST_ASKED;
use crate::call::Mark;

/// Marks that may be open. A dialler that answers has few, one that answers late and holds short pieces has hundreds at most; for
/// one that never does, the oldest is forgotten.
const MOST_OPEN: usize = MOST_ASKED as usize;

/// The open marks of one session, oldest first.
#[derive(Debug, Default)]
pub(super) struct Marks {
    open: VecDeque<Mark>,
}

impl Marks {
    /// A mark was sent.
    pub(super) fn sent(&mut self, mark: Mark) {
        if self.open.len() == MOST_OPEN {
            self.open.pop_front();
        }
        self.open.push_back(mark);
    }

    /// The dialler named a mark; it is closed by that. `None` where it is not open.
    pub(super) fn answered(&mut self, name: &str) -> Option<Mark> {
        let mark = Mark::parse(name)?;
        let at = self.open.iter().position(|open| *open == mark)?;
        self.open.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::UtteranceId;

    #[test]
    fn a_mark_is_answered_once_and_only_if_it_was_sent() {
        let mark = |n: u32| Mark { utterance: UtteranceId(n), segment: 0 };
        let mut marks = Marks::default();
        (1..=260).for_each(|n| marks.sent(mark(n)));
        assert_eq!(marks.answered("g260.u1"), Some(mark(260)));
        assert_eq!(marks.answered("g260.u1"), None, "answered already");
        assert_eq!(marks.answered("g5.u1"), Some(mark(5)));
        assert_eq!(marks.answered("g4.u1"), None, "the oldest are forgotten");
        assert_eq!(marks.answered("g261.u1"), None, "not sent yet");
        assert_eq!(marks.answered("goodbye"), None);
    }
}
