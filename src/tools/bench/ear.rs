//! What one caller of a load hears, judged packet by packet: gaps, what was lost, and what a small play-out buffer would have missed.
//! Pure: times are arguments.

use super::counts::Counts;
use crate::units::Moment;

/// What a telephone holds back before it plays.
const PLAYOUT_US: i64 = 60_000;
/// What a player of frames that come three ahead holds back: with the two that stand before the first, 60 ms.
const AHEAD_US: i64 = 20_000;
/// A gap longer than this is heard as one.
const LONG_GAP_US: u64 = 40_000;
/// Length of a packet.
const FRAME_US: i64 = 20_000;
/// A caller that has heard nothing for so long at the end of a window misses what should have come.
const SILENT_US: u64 = 60_000;

/// The receiving side of one call.
#[derive(Clone, Debug, Default)]
pub(super) struct Ear {
    /// The number of the newest packet, counted on across the wrap of its field.
    newest: Option<i64>,
    /// Which of the 64 up to the newest came; the lowest bit is the newest.
    came: u64,
    heard_at: Moment,
    /// The earliest any packet came against its own place in the stream: what the play-out clock is set by.
    base_us: Option<i64>,
}

impl Ear {
    /// The packet `sequence` came at `at`; counted where `counts` are kept.
    pub fn packet(&mut self, at: Moment, sequence: u16, counts: Option<&mut Counts>) {
        let number = match self.newest {
            None => i64::from(sequence),
            Some(newest) => newest + i64::from(sequence.wrapping_sub(newest as u16) as i16),
        };
        let step = self.newest.map(|newest| number - newest);
        let arrival = at.as_micros() as i64 - number * FRAME_US;
        let base = self.base_us.map_or(arrival, |base| base.min(arrival));
        self.base_us = Some(base);
        if let Some(counts) = counts {
            let again = step.is_some_and(|step| step <= 0 && self.has(-step));
            counts.repeated += u64::from(again);
            counts.received += u64::from(!again);
            match step {
                Some(step) if step > 0 => {
                    counts.lost += (step - 1) as u64;
                    self.gap(at, counts);
                }
                // It was counted as lost when the one behind it came.
                Some(_) if !again => counts.lost = counts.lost.saturating_sub(1),
                _ => {}
            }
            counts.late += u64::from(!again && arrival > base + PLAYOUT_US);
        }
        match step {
            Some(step) if step <= 0 => {
                self.came |= u32::try_from(-step).map_or(0, |ago| 1u64.checked_shl(ago).unwrap_or(0))
            }
            step => {
                let on = step.and_then(|step| u32::try_from(step).ok());
                self.came = on.and_then(|on| self.came.checked_shl(on)).unwrap_or(0) | 1;
                self.newest = Some(number);
                self.heard_at = at;
            }
        }
    }

    /// Did the packet come that stands `ago` before the newest? Of what is too long ago nothing is known.
    fn has(&self, ago: i64) -> bool {
        u32::try_from(ago).ok().and_then(|ago| self.came.checked_shr(ago)).is_some_and(|bits| bits & 1 == 1)
    }

    fn gap(&self, at: Moment, counts: &mut Counts) {
        let gap = at.as_micros().saturating_sub(self.heard_at.as_micros());
        counts.gaps.note(gap);
        counts.long_gaps += u64::from(gap > LONG_GAP_US);
    }

    /// A frame of a stream that has no numbers on the wire (it never loses one) came at `at`. `pause`: the one before it was the last
    /// of what was said, so the time since is no gap.
    pub fn frame(&mut self, at: Moment, pause: bool, counts: Option<&mut Counts>) {
        // The clock of a stretch of speech begins with its first frame.
        let number = if pause { 0 } else { self.newest.map_or(0, |newest| newest + 1) };
        let arrival = at.as_micros() as i64 - number * FRAME_US;
        let base = if number == 0 { arrival } else { self.base_us.unwrap_or(arrival) };
        self.base_us = Some(base);
        if let Some(counts) = counts {
            counts.received += 1;
            if number > 0 {
                self.gap(at, counts);
                counts.late += u64::from(arrival > base + AHEAD_US);
            }
        }
        self.newest = Some(number);
        self.heard_at = at;
    }

    /// Has nothing come for longer than frames are ahead?
    pub fn is_paused(&self, now: Moment) -> bool {
        now.since(self.heard_at).as_micros() as u64 > LONG_GAP_US * 2
    }

    /// As [`Ear::close`], of a stream that pauses between what is said: only one that stopped in the middle misses something.
    pub fn close_speech(&self, pause: bool, now: Moment, counts: &mut Counts) {
        if !pause {
            self.close(now, now, counts);
        }
    }

    /// The window ends at `now` and the call has been up since `since`: what should have come and did not.
    pub fn close(&self, since: Moment, now: Moment, counts: &mut Counts) {
        let silent_us = now.since(if self.newest.is_some() { self.heard_at } else { since }).as_micros() as u64;
        if silent_us > SILENT_US {
            counts.missing += silent_us / FRAME_US as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> Moment {
        Moment::from_micros(1_000_000 + us)
    }

    #[test]
    fn loss_repeats_and_disorder_are_told_apart_across_the_wrap() {
        let (mut ear, mut counts) = (Ear::default(), Counts::default());
        for (ms, sequence) in [(0, 65_534), (20, 65_535), (40, 0), (60, 3), (61, 2), (62, 2), (62, 3), (80, 4)] {
            ear.packet(at(ms * 1_000), sequence, Some(&mut counts));
        }
        assert_eq!((counts.received, counts.lost, counts.repeated), (6, 1, 2), "{counts:?}");
    }

    #[test]
    fn what_comes_later_than_the_buffer_holds_is_late_and_a_long_gap_is_one() {
        let (mut ear, mut counts) = (Ear::default(), Counts::default());
        for n in 0..100u64 {
            let late = if n == 50 { 61_000 } else { 0 };
            ear.packet(at(n * 20_000 + late), n as u16, Some(&mut counts));
        }
        assert_eq!((counts.late, counts.long_gaps, counts.lost), (1, 1, 0));
        assert_eq!(counts.gaps.count(), 99);
        assert!((counts.gaps.max_ms() - 81.0).abs() < 0.2);
    }

    #[test]
    fn a_stream_that_stops_is_missed() {
        let (mut ear, mut counts) = (Ear::default(), Counts::default());
        ear.packet(at(0), 1, Some(&mut counts));
        ear.close(at(0), at(1_000_000), &mut counts);
        Ear::default().close(at(0), at(500_000), &mut counts);
        assert_eq!(counts.missing, 75, "a stream that stopped, and one that never began");
        ear.close(at(0), at(40_000), &mut counts);
        assert_eq!(counts.missing, 75);
    }

    #[test]
    fn a_pause_between_two_pieces_of_speech_is_no_gap() {
        let (mut ear, mut counts) = (Ear::default(), Counts::default());
        for (ms, pause) in [(0, true), (20, false), (40, false), (900, true), (920, false), (990, false)] {
            ear.frame(at(ms * 1_000), pause, Some(&mut counts));
        }
        assert_eq!((counts.received, counts.gaps.count(), counts.long_gaps), (6, 4, 1));
    }
}
