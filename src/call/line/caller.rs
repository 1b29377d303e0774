//! The jitter queue in front of the caller's audio: waits for a little before it begins, grows with the sender's bursts, throws
//! away the oldest when the sender runs ahead, so that lateness never becomes latency. Never invents audio: what is missing
//! is silence.

use super::LineStats;
use super::rings::skip_samples;
use crate::units::{FRAME_MS, SampleRate};

/// Frames held before the first is played out.
const START_FRAMES: usize = 2;
/// The target never grows beyond this, in frames.
const MOST_FRAMES: usize = 12;
/// Audio beyond the target that is tolerated before the oldest is dropped, in frames.
const SLACK_FRAMES: usize = 6;
/// Ticks without a gap after which the target shrinks by one frame: 20 s.
const CALM_TICKS: u32 = 1_000;
/// How far back the wait of a frame can be asked for, in ticks: 1.28 s.
const WAITS: usize = 64;
/// A sender that is late for a moment is on time within so many ticks: 320 ms.
const ON_TIME_TICKS: u32 = 16;

/// The jitter queue's state; the audio itself stays in the ring.
#[derive(Debug)]
pub(super) struct CallerQueue {
    frame: usize,
    rate: SampleRate,
    target: usize,
    /// Waiting until the target is reached.
    filling: bool,
    /// Audio has come at all.
    begun: bool,
    calm: u32,
    /// Largest recent arrival between two ticks, in samples.
    burst: usize,
    left_over: usize,
    /// How long the frame of each of the last ticks had waited, in milliseconds; the newest is at `ticks - 1`.
    waits: [u16; WAITS],
    ticks: usize,
    /// Most audio behind a frame, in this stretch of [`ON_TIME_TICKS`] and in the one before, without a gap in between: a
    /// sender that is late for a moment lets the queue run down, and its frames wait no shorter for that.
    behind: [usize; 2],
    stretch: u32,
}

impl CallerQueue {
    pub(super) fn new(rate: SampleRate) -> Self {
        Self {
            frame: rate.frame_samples(),
            rate,
            target: START_FRAMES,
            filling: true,
            begun: false,
            calm: 0,
            burst: 0,
            left_over: 0,
            waits: [0; WAITS],
            ticks: 0,
            behind: [0; 2],
            stretch: 0,
        }
    }

    /// How long the frame of the tick `ago_ms` back had waited in the queue, in milliseconds.
    pub(super) fn wait_ms(&self, ago_ms: u32) -> u32 {
        let ago = (ago_ms / FRAME_MS) as usize + 1;
        let at = self.ticks.saturating_sub(ago.min(WAITS)) % WAITS;
        self.waits[at].into()
    }

    fn note_wait(&mut self) {
        if self.stretch >= ON_TIME_TICKS {
            self.stretch = 0;
            self.behind = [0, self.behind[0]];
        }
        self.stretch += 1;
        self.behind[0] = self.behind[0].max(self.left_over);
        let most = self.behind[0].max(self.behind[1]);
        self.waits[self.ticks % WAITS] = u16::try_from(self.rate.ms_of(most as u64)).unwrap_or(u16::MAX);
        self.ticks += 1;
    }

    /// The next frame: audio, or silence where there is none. `out` is one frame of zeros.
    pub(super) fn pop(&mut self, ring: &mut rtrb::Consumer<i16>, out: &mut [i16], stats: &mut LineStats) {
        let available = ring.slots();
        let arrived = available.saturating_sub(self.left_over);
        self.burst = arrived.max(self.burst - self.burst / 128);
        let most = (self.target + SLACK_FRAMES) * self.frame + 2 * self.burst;
        let mut depth = available;
        if available > most {
            let excess = available - self.target * self.frame;
            stats.dropped_samples += skip_samples(ring, excess) as u64;
            self.behind = [0; 2];
            depth = ring.slots();
        }
        let wanted = if self.filling { self.target * self.frame } else { self.frame };
        if depth < wanted {
            self.note_gap(stats);
        } else if ring.pop_entire_slice(out).is_ok() {
            self.filling = false;
            self.begun = true;
            stats.frames_in += 1;
            self.calm += 1;
            if self.calm >= CALM_TICKS && self.target > START_FRAMES {
                self.target -= 1;
                self.calm = 0;
            }
        }
        self.left_over = ring.slots();
        self.note_wait();
    }

    fn note_gap(&mut self, stats: &mut LineStats) {
        if !self.begun {
            return;
        }
        stats.gaps += 1;
        self.behind = [0; 2];
        if !self.filling {
            self.filling = true;
            self.calm = 0;
            self.target = (self.target + 1).min(MOST_FRAMES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arrivals: impl Iterator<Item = usize>) -> (Vec<i16>, LineStats) {
        let (mut tx, mut rx) = rtrb::RingBuffer::<i16>::new(16_000);
        let mut queue = CallerQueue::new(SampleRate::NARROW);
        let mut stats = LineStats::default();
        let mut next = 1i16;
        let mut heard = Vec::new();
        for frames in arrivals {
            for _ in 0..frames * 160 {
                tx.push(next).unwrap();
                next = if next == i16::MAX { 1 } else { next + 1 };
            }
            let mut out = [0i16; 160];
            queue.pop(&mut rx, &mut out, &mut stats);
            heard.extend_from_slice(&out);
        }
        (heard, stats)
    }

    #[test]
    fn steady_audio_comes_through_whole_after_two_frames() {
        let (heard, stats) = run(std::iter::repeat_n(1, 100));
        assert_eq!(stats.gaps, 0);
        assert_eq!(stats.dropped_samples, 0);
        let first = heard.iter().position(|&s| s != 0).unwrap();
        assert_eq!(first, 160);
        assert!(heard[first..].windows(2).all(|w| w[1] == w[0] + 1));
    }

    #[test]
    fn a_frame_waited_as_long_as_the_place_it_is_played_at_says() {
        // Late by three frames from tick 50 on, then on time; late by one frame, which the queue absorbs, at tick 100.
        let arrivals = |tick| match tick {
            50..53 | 100 => 0,
            53 => 4,
            101 => 2,
            _ => 1,
        };
        let (mut tx, mut rx) = rtrb::RingBuffer::<i16>::new(16_000);
        let mut queue = CallerQueue::new(SampleRate::NARROW);
        let mut stats = LineStats::default();
        let mut waits = Vec::new();
        for tick in 0..130 {
            (0..arrivals(tick) * 160).for_each(|_| tx.push(1).unwrap());
            queue.pop(&mut rx, &mut [0i16; 160], &mut stats);
            waits.push(queue.wait_ms(0));
        }
        assert_eq!((waits[49], waits[60], waits[99]), (20, 60, 60), "a gap moves what comes after it");
        assert_eq!(waits[100], 60, "the queue ran down, and the frame waited no shorter");
        assert_eq!((queue.wait_ms(20 * 29), queue.wait_ms(20 * 40)), (60, 60));
        assert_eq!(queue.wait_ms(60_000), waits[129 - 63]);
    }

    #[test]
    fn bursts_of_a_second_are_played_without_loss() {
        let (_, stats) = run((0..500).map(|t| if t % 50 == 0 { 50 } else { 0 }));
        assert_eq!(stats.dropped_samples, 0);
        assert!(stats.gaps <= 20, "{stats:?}");
    }

    #[test]
    fn a_sender_that_runs_ahead_loses_the_oldest_and_never_adds_latency() {
        let (_, stats) = run((0..400).map(|_| 2));
        assert!(stats.dropped_samples > 100 * 160);
        assert!(stats.frames_in >= 398);
    }

    #[test]
    fn jitter_raises_the_target_until_the_gaps_cease() {
        let (_, stats) = run((0..3000).map(|t: usize| if t.is_multiple_of(5) { 5 } else { 0 }));
        assert!(stats.gaps < 12, "{stats:?}");
    }
}
