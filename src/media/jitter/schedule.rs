//! When a tick ought to be played: the fastest way a packet took in the last seconds, and on top of it as much delay as the
//! measured jitter needs. Counts in microseconds; knows nothing of payloads.

use crate::units::{FRAME_MS, Moment};

/// Width of one bin of the delay histogram.
const BIN_US: i64 = 10_000;
/// Bins: up to the largest target, and one for all above.
const BINS: usize = 26;
/// The fastest arrival is remembered for one to two of these; long enough for a quiet second on a busy line, short enough
/// for a drifting sender.
const WINDOW_MICROS: u64 = 4_000_000;
/// Share of the packets that may come later than the target says.
const LATE_SHARE: f32 = 0.02;
/// What one packet weighs once the histogram has settled (about 13 s of 20 ms packets).
const WEIGHT: f32 = 0.0015;
/// Packets that the start value weighs.
const PRIOR: f32 = 25.0;
/// Late packets in a row that make room at once, without waiting for the histogram.
const LATE_RUN: u32 = 3;
/// Late packets in a row after which the stream must have moved for good.
const LOST_RUN: u32 = 10;
/// Packets that arrive within this of one another were held up together, and count once.
const TOGETHER_US: u64 = 2_000;

/// The schedule of one stream.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    start_ms: u32,
    min_ms: u32,
    max_ms: u32,
    target_ms: u32,
    /// Smallest transit of the running window and of the one before.
    fastest: Option<[i64; 2]>,
    window_since: Moment,
    /// Shares of the packets per [`BIN_US`] of delay over the fastest; they add up to 1.
    delays: [f32; BINS],
    measured: f32,
    late_run: u32,
    last: Option<Moment>,
    /// The last packet came together with the one before it.
    together: bool,
}

impl Schedule {
    pub(super) fn new(start_ms: u32, min_ms: u32, max_ms: u32) -> Self {
        let max_ms = max_ms.max(FRAME_MS);
        let min_ms = min_ms.clamp(FRAME_MS, max_ms);
        let mut made = Self {
            start_ms: start_ms.clamp(min_ms, max_ms),
            min_ms,
            max_ms,
            target_ms: 0,
            fastest: None,
            window_since: Moment::ZERO,
            delays: [0.0; BINS],
            measured: 0.0,
            late_run: 0,
            last: None,
            together: false,
        };
        made.restart();
        made
    }

    /// Forgets the stream.
    pub(super) fn restart(&mut self) {
        self.fastest = None;
        self.last = None;
        self.late_run = 0;
        self.presume();
    }

    /// Begins the histogram with the start value, as if that had been measured: the depth counts the frame that is played.
    fn presume(&mut self) {
        self.target_ms = self.start_ms;
        self.delays = [0.0; BINS];
        let room = i64::from(self.start_ms.saturating_sub(FRAME_MS)) * 1000;
        if let Some(bin) = self.delays.get_mut(bin_of(room - 1)) {
            *bin = 1.0;
        }
        self.measured = PRIOR;
    }

    pub(super) const fn target_ms(&self) -> u32 {
        self.target_ms
    }

    /// How far a transit lies above the fastest one.
    pub(super) fn off_base_us(&self, transit_us: i64) -> Option<i64> {
        Some(transit_us.saturating_sub(self.base_us()?))
    }

    /// The microsecond of the stream that ought to be played at `now`.
    pub(super) fn due_us(&self, now: Moment) -> Option<i64> {
        let now = i64::try_from(now.as_micros()).unwrap_or(i64::MAX / 4);
        Some(now - self.base_us()? - i64::from(self.target_ms - FRAME_MS) * 1000)
    }

    /// A packet came on its way of `transit_us` (arrival minus timestamp, on any common scale).
    pub(super) fn arrived(&mut self, now: Moment, transit_us: i64) {
        let before = self.base_us();
        let [mut recent, mut older] = self.fastest.unwrap_or([transit_us; 2]);
        if before.is_none() {
            self.window_since = now;
        } else if now.as_micros().saturating_sub(self.window_since.as_micros()) >= WINDOW_MICROS {
            self.window_since = now;
            older = recent;
            recent = transit_us;
        }
        self.fastest = Some([recent.min(transit_us), older]);
        let base = self.base_us().unwrap_or(transit_us);
        self.shift((before.unwrap_or(base) - base) / BIN_US);
        self.together = self.last.is_some_and(|last| now.as_micros().abs_diff(last.as_micros()) < TOGETHER_US);
        self.last = Some(now);
        if !self.together {
            self.measured = (self.measured + 1.0).min(1.0 / WEIGHT);
            self.weigh(transit_us - base, 1.0 / self.measured);
        }
    }

    /// The packet came too late to be played; `true` where so many did in a row that the time base must be found anew.
    pub(super) fn was_late(&mut self, transit_us: i64) -> bool {
        if self.together {
            return false;
        }
        self.late_run += 1;
        if self.late_run == LATE_RUN {
            self.weigh(self.off_base_us(transit_us).unwrap_or(0), 0.1);
        }
        self.late_run >= LOST_RUN
    }

    /// A packet came in time.
    pub(super) const fn was_in_time(&mut self) {
        self.late_run = 0;
    }

    fn base_us(&self) -> Option<i64> {
        self.fastest.map(|[recent, older]| recent.min(older))
    }

    /// Adds one delay with the given share of the whole, and reads the target off anew. A delay beyond the bound is left
    /// out: no depth that is allowed would help against it.
    fn weigh(&mut self, delay_us: i64, share: f32) {
        if delay_us > i64::from(self.max_ms) * 1000 {
            return;
        }
        for bin in &mut self.delays {
            *bin *= 1.0 - share;
        }
        if let Some(bin) = self.delays.get_mut(bin_of(delay_us)) {
            *bin += share;
        }
        let mut above = 0.0;
        let top = self.delays.iter().rposition(|share| {
            above += share;
            above > LATE_SHARE
        });
        let needed = (top.unwrap_or(0) as u32 + 1) * (BIN_US / 1000) as u32 + FRAME_MS;
        self.target_ms = needed.clamp(self.min_ms, self.max_ms);
    }

    /// The base went down by so many bins: every delay measured against it is that much longer.
    fn shift(&mut self, bins: i64) {
        let (by, last) = (bins.unsigned_abs() as usize, BINS - 1);
        if by == 0 {
            return;
        }
        if by > last {
            return self.presume();
        }
        let old = std::mem::replace(&mut self.delays, [0.0; BINS]);
        for (at, share) in old.into_iter().enumerate() {
            let to = if bins > 0 { at.saturating_add(by).min(last) } else { at.saturating_sub(by) };
            if let Some(bin) = self.delays.get_mut(to) {
                *bin += share;
            }
        }
    }
}

fn bin_of(delay_us: i64) -> usize {
    usize::try_from(delay_us.max(0) / BIN_US).unwrap_or(BINS).min(BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    /// 20 ms packets for `seconds`, each `delay(n)` microseconds late.
    fn feed(schedule: &mut Schedule, from_s: u64, seconds: u64, delay: impl Fn(u64) -> i64) {
        for n in 0..seconds * 50 {
            schedule.arrived(at(from_s * 1000 + n * 20), 1_000_000 + delay(n));
        }
    }

    #[test]
    fn the_target_follows_the_jitter_and_its_bounds() {
        let mut schedule = Schedule::new(40, 20, 240);
        assert_eq!(schedule.target_ms(), 40);
        feed(&mut schedule, 0, 60, |_| 0);
        assert_eq!(schedule.target_ms(), 30, "a line without jitter needs a bin beside the frame");
        feed(&mut schedule, 60, 20, |n| if n % 10 == 0 { 65_000 } else { 0 });
        assert_eq!(schedule.target_ms(), 90);
        feed(&mut schedule, 80, 60, |_| 0);
        assert_eq!(schedule.target_ms(), 30);
        feed(&mut schedule, 140, 20, |n| if n % 2 == 0 { 900_000 } else { 0 });
        assert_eq!(schedule.target_ms(), 30, "nothing helps against these");
        feed(&mut schedule, 160, 20, |n| if n % 2 == 0 { 235_000 } else { 0 });
        assert_eq!(schedule.target_ms(), 240);
    }

    #[test]
    fn one_straggler_in_a_hundred_moves_nothing_and_three_in_a_row_do_at_once() {
        let mut schedule = Schedule::new(40, 40, 240);
        feed(&mut schedule, 0, 60, |n| if n % 100 == 0 { 150_000 } else { 0 });
        assert_eq!(schedule.target_ms(), 40);
        (0..10).for_each(|n| schedule.arrived(at(60_000), 1_200_000 - n * 20_000));
        assert_eq!(schedule.target_ms(), 40, "a burst after a stall is one delay");
        schedule.arrived(at(60_020), 1_000_000);
        assert!(!schedule.was_late(1_100_000) && !schedule.was_late(1_100_000) && schedule.target_ms() == 40);
        assert!(!schedule.was_late(1_100_000));
        assert_eq!(schedule.target_ms(), 130);
    }

    #[test]
    fn a_longer_way_becomes_the_new_base_without_doubling_the_delay() {
        let mut schedule = Schedule::new(40, 40, 240);
        feed(&mut schedule, 0, 10, |_| 0);
        let mut longest = 0;
        for second in 10..60 {
            feed(&mut schedule, second, 1, |_| 100_000);
            let due = schedule.due_us(at(second * 1000)).unwrap();
            longest = longest.max(second as i64 * 1_000_000 - 1_100_000 - due);
        }
        assert!(longest <= 60_000, "{longest} µs over the new way");
        assert_eq!(schedule.target_ms(), 40);
    }
}
