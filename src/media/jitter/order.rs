//! Wrapping counters made straight, and which sequence numbers were seen. Plain arithmetic on a few words.

/// 16-bit sequence numbers on one line of 64-bit ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Unwrap16 {
    newest: Option<i64>,
}

impl Unwrap16 {
    /// The newest number so far.
    pub(super) const fn last(&self) -> Option<i64> {
        self.newest
    }

    /// How far `raw` lies from the newest number, the short way round.
    pub(super) fn distance(&self, raw: u16) -> i64 {
        self.newest.map_or(0, |newest| i64::from(raw.wrapping_sub(newest as u16) as i16))
    }

    /// Where `raw` lies, and whether that is the newest number so far.
    pub(super) fn place(&mut self, raw: u16) -> (i64, bool) {
        let Some(newest) = self.newest else {
            // Away from zero, so that an older packet has a place too.
            let at = i64::from(raw) + (1 << 32);
            self.newest = Some(at);
            return (at, true);
        };
        let at = newest + self.distance(raw);
        self.newest = Some(newest.max(at));
        (at, at > newest)
    }
}

/// 32-bit timestamps on one line of 64-bit ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Unwrap32 {
    newest: Option<i64>,
}

impl Unwrap32 {
    /// Where `raw` lies, nearest to the newest timestamp.
    pub(super) fn peek(&self, raw: u32) -> i64 {
        self.newest.map_or(i64::from(raw), |newest| newest + i64::from(raw.wrapping_sub(newest as u32) as i32))
    }

    /// The same, and it counts as seen.
    pub(super) fn place(&mut self, raw: u32) -> i64 {
        let at = self.peek(raw);
        self.newest = Some(self.newest.map_or(at, |newest| newest.max(at)));
        at
    }
}

/// The last 128 sequence numbers, seen or not.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    newest: i64,
    /// Bit n is the number `newest - n`.
    bits: u128,
}

impl Seen {
    /// Marks a number; `false` where it was marked before. One older than the memory is taken for new.
    pub(super) fn insert(&mut self, at: i64) -> bool {
        if self.bits == 0 || at > self.newest {
            let step = at.saturating_sub(self.newest);
            self.bits = if self.bits == 0 || step >= 128 { 0 } else { self.bits << step };
            self.newest = at;
        }
        let back = self.newest - at;
        if back >= 128 {
            return true;
        }
        let bit = 1_u128 << back;
        let new = self.bits & bit == 0;
        self.bits |= bit;
        new
    }

    /// How many numbers strictly between the two were not seen.
    pub(super) fn missing(&self, after: i64, before: i64) -> u64 {
        let between = before.saturating_sub(after).saturating_sub(1);
        if between <= 0 {
            return 0;
        }
        // Bits of the numbers before - 1 down to after + 1.
        let lowest = self.newest - (before - 1);
        let shifted = match lowest {
            0..=127 => self.bits >> lowest,
            -127..=-1 => self.bits << -lowest,
            _ => 0,
        };
        let window = if between >= 128 { u128::MAX } else { (1 << between) - 1 };
        between as u64 - u64::from((shifted & window).count_ones())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counters_go_on_over_their_wrap_both_ways() {
        let mut sequences = Unwrap16::default();
        let (first, _) = sequences.place(65_534);
        assert_eq!(sequences.place(1), (first + 3, true));
        assert_eq!(sequences.place(65_535), (first + 1, false));
        assert_eq!((sequences.distance(2), sequences.distance(0)), (1, -1));
        let mut timestamps = Unwrap32::default();
        assert_eq!(timestamps.place(u32::MAX - 79), i64::from(u32::MAX) - 79);
        assert_eq!(timestamps.place(80), i64::from(u32::MAX) + 81);
        assert_eq!(timestamps.peek(u32::MAX - 79), i64::from(u32::MAX) - 79);
    }

    proptest! {
        #[test]
        fn the_memory_agrees_with_a_plain_list(numbers in proptest::collection::vec(1000_i64..1100, 1..60)) {
            let mut seen = Seen::default();
            let mut list = Vec::new();
            for &at in &numbers {
                prop_assert_eq!(seen.insert(at), !list.contains(&at));
                list.push(at);
            }
            let newest = *numbers.iter().max().unwrap();
            let oldest = *numbers.iter().min().unwrap();
            for after in oldest - 3..newest {
                let missing = (after + 1..newest).filter(|at| !list.contains(at)).count();
                prop_assert_eq!(seen.missing(after, newest), missing as u64);
            }
        }
    }
}
