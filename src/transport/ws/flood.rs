//! How many frames a peer may send: a bucket of one second's worth, and an answer to each of our questions beside it. Never looks
//! into a frame.

use crate::units::Moment;

/// What to do with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Read it.
    Take,
    /// Drop it, count it.
    Drop,
    /// Close the socket: the flood does not end.
    Close,
}

/// A token bucket that holds one second of frames. Dropped frames add up until the bucket is full again.
#[derive(Debug)]
pub(super) struct Flood {
    per_second: u32,
    close_after: u32,
    /// Thousandths of a frame.
    tokens: u64,
    /// Answers that we asked for and that did not come yet.
    asked: u32,
    seen: Moment,
    dropped: u32,
}

/// Open questions that count. The oldest beyond them are forgotten.
pub(super) const MOST_ASKED: u32 = 256;

impl Flood {
    pub(super) fn new(per_second: u32, close_after: u32, now: Moment) -> Self {
        Self { per_second, close_after, tokens: u64::from(per_second) * 1000, asked: 0, seen: now, dropped: 0 }
    }

    /// We sent something that the peer answers, at a time that is the peer's to choose: all answers may come at once, and none of
    /// them takes the place of audio.
    pub(super) fn ask(&mut self) {
        self.asked = (self.asked + 1).min(MOST_ASKED);
    }

    pub(super) fn frame(&mut self, now: Moment) -> Verdict {
        let full = u64::from(self.per_second) * 1000;
        let earned = now.since(self.seen).as_micros() as u64 * u64::from(self.per_second) / 1000;
        self.seen = now;
        self.tokens = self.tokens.saturating_add(earned).min(full);
        if self.tokens == full {
            self.dropped = 0;
        }
        if self.tokens >= 1000 {
            self.tokens -= 1000;
            return Verdict::Take;
        }
        if self.asked > 0 {
            self.asked -= 1;
            return Verdict::Take;
        }
        self.dropped += 1;
        if self.dropped >= self.close_after { Verdict::Close } else { Verdict::Drop }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Verdicts over `seconds` of `per_second` evenly sent frames.
    fn play(flood: &mut Flood, from_ms: u64, seconds: u64, per_second: u64) -> (u32, u32, bool) {
        let (mut taken, mut dropped, mut closed) = (0, 0, false);
        for n in 0..seconds * per_second {
            match flood.frame(Moment::from_millis(from_ms + n * 1000 / per_second)) {
                Verdict::Take => taken += 1,
                Verdict::Drop => dropped += 1,
                Verdict::Close => closed = true,
            }
        }
        (taken, dropped, closed)
    }

    #[test]
    fn a_call_at_fifty_frames_never_loses_one_even_after_a_stall() {
        let mut flood = Flood::new(200, 1000, Moment::ZERO);
        assert_eq!(play(&mut flood, 0, 60, 50), (3000, 0, false));
        for _ in 0..190 {
            assert_eq!(flood.frame(Moment::from_millis(64_000)), Verdict::Take);
        }
    }

    #[test]
    fn answers_that_were_asked_for_come_on_top_and_only_so_many() {
        let mut flood = Flood::new(200, 1000, Moment::ZERO);
        let taken =
            |flood: &mut Flood| (0..1_000).filter(|_| flood.frame(Moment::from_millis(1)) == Verdict::Take).count();
        (0..60).for_each(|_| flood.ask());
        assert_eq!((taken(&mut flood), taken(&mut flood)), (260, 0));
        let mut flood = Flood::new(200, 10_000, Moment::ZERO);
        (0..5_000).for_each(|_| flood.ask());
        assert_eq!(taken(&mut flood), 456);
    }

    #[test]
    fn a_flood_is_thinned_to_the_limit_and_a_lasting_one_closes() {
        let mut flood = Flood::new(200, 1000, Moment::ZERO);
        let (taken, dropped, closed) = play(&mut flood, 0, 2, 400);
        assert!((590..=602).contains(&taken) && dropped == 800 - taken && !closed, "{taken} {dropped}");
        assert!(play(&mut flood, 2_000, 5, 400).2);
    }

    #[test]
    fn a_pause_forgives() {
        let mut flood = Flood::new(200, 300, Moment::ZERO);
        for second in 0..10 {
            assert!(!play(&mut flood, second * 10_000, 1, 450).2, "second {second}");
        }
    }
}
