//! What a far end that answers marks says of its own playout. A piece of speech counts as heard when the line's clock has played
//! it and the far end has too; one that does not answer in time is believed no longer, and the line's clock counts alone, as
//! it does for every far end that never offered to answer. Never holds a piece back for more than [`ANSWER_LIMIT_MS`].

use std::collections::VecDeque;

use super::leg::Mark;
use crate::units::{Moment, UtteranceId};

/// A far end may report a piece this long after the line's clock has played it.
pub const ANSWER_LIMIT_MS: u64 = 2_000;
/// Answers that came before the line's clock, and pieces whose answer may come late. Full: the oldest is forgotten.
const MOST_KEPT: usize = 32;

/// How far a far end's word is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trust {
    /// It does not answer marks.
    Never,
    /// It said that it would.
    Asked,
    /// It does.
    Answers,
    /// It has let a limit pass; its next answer is believed again.
    Silent,
}

/// A piece that the line's clock has played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Piece {
    mark: Mark,
    expected: Moment,
    /// Played or cleared, once that is known.
    played: Option<bool>,
}

/// A piece that the far end reports as played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FarPlayout {
    /// The piece.
    pub mark: Mark,
    /// The report came this long after the line's clock had played the piece, in milliseconds: the far end's buffer and the way there
    /// and back, less the last frame. Negative where the far end is ahead of the clock.
    pub lag_ms: i64,
}

/// The far end's playout of one call.
#[derive(Debug)]
pub(super) struct FarEnd {
    trust: Trust,
    /// Played by the line's clock, in order; the answer is awaited.
    awaited: VecDeque<Piece>,
    /// Answered before the line's clock had played it.
    early: VecDeque<(Mark, bool, Moment)>,
    /// Counted as heard without an answer.
    unanswered: VecDeque<(Mark, Moment)>,
    /// What counts as heard (or as thrown away) from now on.
    settled: VecDeque<(Mark, bool)>,
    reports: VecDeque<FarPlayout>,
    /// How far the far end was behind when it last reported.
    lag_ms: u64,
    /// Since when the line holds its place; the far end plays on from what it holds.
    paused_at: Option<Moment>,
    /// Everything up to this answer was cut.
    cut_through: UtteranceId,
    /// How things stood then, where the far end is believed.
    cut: Option<Cut>,
}

/// How things stood when an answer was cut.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// Until when the line's clock went on: the cut, or the pause before it.
    until: Moment,
    /// How far the far end was behind by its last report.
    lag_ms: u64,
    /// The oldest and the newest piece that the clock had played and the far end had not reported.
    unreported: Option<(Piece, Piece)>,
    at: Moment,
}

impl FarEnd {
    /// A far end that has said whether it answers marks.
    pub(super) fn new(marks: bool) -> Self {
        Self {
            trust: if marks { Trust::Asked } else { Trust::Never },
            awaited: VecDeque::new(),
            early: VecDeque::new(),
            unanswered: VecDeque::new(),
            settled: VecDeque::new(),
            reports: VecDeque::new(),
            lag_ms: 0,
            paused_at: None,
            cut_through: UtteranceId(0),
            cut: None,
        }
    }

    /// The line's clock has played a piece.
    pub(super) fn clock_played(&mut self, now: Moment, mark: Mark) {
        if self.trust == Trust::Never {
            self.settled.push_back((mark, true));
            return;
        }
        if mark.utterance <= self.cut_through {
            // Played while the order to cut was on its way. A far end that answers need not have heard it; the line says where it was.
            if self.cut.is_none() {
                self.settled.push_back((mark, true));
            }
            return;
        }
        let early = self.early.iter().position(|(early, ..)| *early == mark).and_then(|at| self.early.remove(at));
        if let Some((_, true, at)) = early {
            self.report(mark, now, at);
        }
        self.awaited.push_back(Piece { mark, expected: now, played: early.map(|(_, played, _)| played) });
        self.settle();
    }

    /// The far end has played or thrown away a piece.
    pub(super) fn answered(&mut self, now: Moment, mark: Mark, played: bool) {
        if self.trust == Trust::Never {
            return;
        }
        self.trust = Trust::Answers;
        if let Some(at) = self.awaited.iter().position(|piece| piece.mark == mark) {
            let expected = self.awaited[at].expected;
            if played {
                self.report(mark, expected, now);
            }
            self.awaited[at].played = Some(played);
            // It plays in order: answers for what came before are lost, not late.
            self.awaited.iter_mut().take(at).for_each(|before| _ = before.played.get_or_insert(true));
            self.settle();
        } else if let Some(at) = self.unanswered.iter().position(|(late, _)| *late == mark) {
            if let Some((_, expected)) = self.unanswered.remove(at).filter(|_| played) {
                self.report(mark, expected, now);
            }
        } else if mark.utterance > self.cut_through {
            keep(&mut self.early, (mark, played, now));
        }
    }

    /// The line stops sending and keeps its place.
    pub(super) fn pause(&mut self, now: Moment) {
        self.paused_at.get_or_insert(now);
    }

    /// The line goes on.
    pub(super) fn resume(&mut self) {
        self.paused_at = None;
    }

    /// An answer and everything older is cut.
    pub(super) fn cut(&mut self, now: Moment, utterance: UtteranceId) {
        if utterance > self.cut_through {
            let ends = self.awaited.front().copied().zip(self.awaited.back().copied());
            let until = self.paused_at.unwrap_or(now);
            let cut = Cut { until, lag_ms: self.lag_ms, unreported: ends, at: now };
            self.cut = (self.trust == Trust::Answers).then_some(cut);
            self.cut_through = utterance;
        }
        self.paused_at = None;
        self.awaited.retain(|piece| piece.mark.utterance > utterance);
        self.early.retain(|(mark, ..)| mark.utterance > utterance);
    }

    /// How much of what the line's clock had played when the last answer was cut the far end had not, in milliseconds of audio; the
    /// clock stood in `segment` then. By the last report, and by what was not reported yet; what the far end caught up while the
    /// clock stood still (in a pause, or with nothing more to play) is taken off.
    pub(super) fn cut_behind_ms(&self, segment: u16) -> u64 {
        let Some(Cut { until, lag_ms, unreported, at }) = self.cut else { return 0 };
        let until = match unreported {
            Some((_, newest)) if newest.mark.segment == segment => until.min(newest.expected),
            _ => until,
        };
        let by_silence = unreported.map_or(0, |(oldest, _)| until.ms_since(oldest.expected));
        lag_ms.saturating_sub(at.ms_since(until)).max(by_silence)
    }

    /// When [`FarEnd::on_time`] is wanted.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.awaited.front().map(|piece| piece.expected.plus_ms(ANSWER_LIMIT_MS))
    }

    /// Time passes.
    pub(super) fn on_time(&mut self, now: Moment) {
        if self.deadline().is_some_and(|at| now >= at) {
            self.trust = Trust::Silent;
            self.settle();
        }
    }

    /// The next piece that counts as heard (`true`) or will not be heard.
    pub(super) fn settled(&mut self) -> Option<(Mark, bool)> {
        self.settled.pop_front()
    }

    /// The next report of a piece that was played.
    pub(super) fn reported(&mut self) -> Option<FarPlayout> {
        self.reports.pop_front()
    }

    /// Settles, in order, what is known or no longer waited for.
    fn settle(&mut self) {
        while let Some(piece) = self.awaited.front().copied() {
            let Some(played) = piece.played.or((self.trust == Trust::Silent).then_some(true)) else { return };
            if piece.played.is_none() {
                keep(&mut self.unanswered, (piece.mark, piece.expected));
            }
            self.settled.push_back((piece.mark, played));
            self.awaited.pop_front();
        }
    }

    fn report(&mut self, mark: Mark, expected: Moment, at: Moment) {
        self.lag_ms = at.ms_since(expected);
        let ahead_ms = expected.ms_since(at);
        let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let lag_ms = if ahead_ms > 0 { -ms(ahead_ms) } else { ms(self.lag_ms) };
        keep(&mut self.reports, FarPlayout { mark, lag_ms });
    }
}

fn keep<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() == MOST_KEPT {
        queue.pop_front();
    }
    queue.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    fn mark(utterance: u32, segment: u16) -> Mark {
        Mark { utterance: UtteranceId(utterance), segment }
    }

    fn settled(far: &mut FarEnd) -> Vec<(Mark, bool)> {
        std::iter::from_fn(|| far.settled()).collect()
    }

    fn lags(far: &mut FarEnd) -> Vec<i64> {
        std::iter::from_fn(|| far.reported()).map(|report| report.lag_ms).collect()
    }

    #[test]
    fn without_marks_the_clock_counts_at_once() {
        let mut far = FarEnd::new(false);
        far.clock_played(at(100), mark(1, 0));
        assert_eq!((settled(&mut far), far.deadline()), (vec![(mark(1, 0), true)], None));
        far.answered(at(900), mark(1, 0), false);
        assert_eq!((settled(&mut far), lags(&mut far)), (vec![], vec![]), "nobody asked");
    }

    #[test]
    fn a_piece_counts_when_both_have_played_it() {
        let mut far = FarEnd::new(true);
        far.clock_played(at(100), mark(1, 0));
        assert_eq!((settled(&mut far), far.deadline()), (vec![], Some(at(2_100))));
        far.answered(at(400), mark(1, 0), true);
        assert_eq!((settled(&mut far), lags(&mut far)), (vec![(mark(1, 0), true)], vec![300]));
        // The far end may be ahead: it is told 40 ms before the clock has played.
        far.answered(at(960), mark(1, 1), true);
        assert_eq!(settled(&mut far), [], "the clock bounds what a mark can tell");
        far.clock_played(at(1_000), mark(1, 1));
        assert_eq!((settled(&mut far), lags(&mut far)), (vec![(mark(1, 1), true)], vec![-40]));
        assert_eq!(far.deadline(), None);
    }

    #[test]
    fn a_far_end_that_does_not_answer_costs_one_limit() {
        let mut far = FarEnd::new(true);
        far.clock_played(at(100), mark(1, 0));
        far.clock_played(at(1_900), mark(1, 1));
        far.on_time(at(2_099));
        assert_eq!(settled(&mut far), []);
        far.on_time(at(2_100));
        assert_eq!(settled(&mut far), [(mark(1, 0), true), (mark(1, 1), true)], "it is not waited for twice");
        far.clock_played(at(3_000), mark(2, 0));
        assert_eq!(settled(&mut far), [(mark(2, 0), true)]);
        // An answer that comes at last is measured, and the next one is waited for.
        far.answered(at(3_100), mark(1, 0), true);
        far.clock_played(at(4_000), mark(2, 1));
        assert_eq!((settled(&mut far), lags(&mut far)), (vec![], vec![3_000]));
    }

    #[test]
    fn an_answer_settles_what_came_before_it() {
        let mut far = FarEnd::new(true);
        (0..3).for_each(|n| far.clock_played(at(100 * u64::from(n)), mark(1, n)));
        far.answered(at(500), mark(1, 1), false);
        assert_eq!(settled(&mut far), [(mark(1, 0), true), (mark(1, 1), false)]);
        assert_eq!(lags(&mut far), [0; 0], "what was thrown away measures nothing");
    }

    #[test]
    fn a_cut_remembers_how_far_the_far_end_was_behind() {
        let mut far = FarEnd::new(true);
        far.clock_played(at(1_000), mark(1, 0));
        far.cut(at(1_200), UtteranceId(1));
        assert_eq!(far.cut_behind_ms(0), 0, "nothing is known of it before its first answer");
        far.answered(at(1_300), mark(1, 0), false);
        assert_eq!((settled(&mut far), far.deadline()), (vec![], None));
        far.clock_played(at(2_000), mark(2, 0));
        far.answered(at(2_250), mark(2, 0), true);
        far.clock_played(at(3_000), mark(2, 1));
        far.cut(at(3_100), UtteranceId(2));
        assert_eq!(far.cut_behind_ms(2), 250, "by its last report");
        assert_eq!(far.cut_behind_ms(1), 150, "the clock had nothing more to play for 100 ms");
        assert_eq!(settled(&mut far), [(mark(2, 0), true)]);
        far.clock_played(at(3_110), mark(2, 2));
        assert_eq!(settled(&mut far), [], "on its way while the cut was");
        far.clock_played(at(4_000), mark(3, 0));
        far.cut(at(4_400), UtteranceId(3));
        assert_eq!(far.cut_behind_ms(1), 400, "by what it has not reported");
        far.pause(at(5_000));
        far.cut(at(5_100), UtteranceId(4));
        assert_eq!(far.cut_behind_ms(0), 150, "it plays on while the line holds its place");
    }
}
