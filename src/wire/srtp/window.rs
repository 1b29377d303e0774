//! Which indexes of a stream were seen (RFC 3711 3.3.2), and which index a sequence number stands for (3.3.1). Pure.

/// How far back a packet may come behind the newest one.
const WIDTH: u64 = u128::BITS as u64;
/// Half of the sequence numbers.
const HALF: u64 = 1 << 15;

/// The newest index that was verified, and which of those before it were.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    highest: u64,
    /// Bit `n` is the index `highest - n`.
    seen: u128,
}

impl Window {
    /// A stream of which this index was the first.
    pub(super) const fn starting(index: u64) -> Self {
        Self { highest: index, seen: 1 }
    }

    /// How often the sequence number has wrapped.
    pub(super) const fn rounds(&self) -> u32 {
        (self.highest >> 16) as u32
    }

    /// May this index be accepted: neither seen before nor too old to tell?
    pub(super) const fn is_new(&self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            None => true,
            Some(back) => back < WIDTH && self.seen >> back & 1 == 0,
        }
    }

    /// An index whose packet was verified.
    pub(super) const fn note(&mut self, index: u64) {
        match self.highest.checked_sub(index) {
            Some(back) if back < WIDTH => self.seen |= 1 << back,
            Some(_) => {}
            None => {
                let on = index - self.highest;
                self.seen = if on < WIDTH { self.seen << on | 1 } else { 1 };
                self.highest = index;
            }
        }
    }

    /// The index nearest to the newest one that ends in this sequence number; `None` where that is before the first or beyond the
    /// last of 2^48.
    pub(super) fn nearest(&self, sequence: u16) -> Option<u64> {
        let same = self.highest & !0xffff | u64::from(sequence);
        let index = if same > self.highest + HALF {
            same.checked_sub(1 << 16)?
        } else if same + HALF < self.highest {
            same + (1 << 16)
        } else {
            same
        };
        (index < 1 << 48).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_index_within_half_a_round_is_found_again(highest in 0_u64..1 << 40, step in -32_768_i64..=32_768) {
            let Some(index) = highest.checked_add_signed(step) else { return Ok(()) };
            let found = Window::starting(highest).nearest(index as u16);
            // At exactly half a round both neighbours are as near.
            prop_assert!(found == Some(index) || step.abs() == 32_768);
        }

        #[test]
        fn an_index_is_new_once_and_never_when_it_is_too_old(steps in prop::collection::vec(0_u64..300, 1..200)) {
            let mut window = Window::starting(1_000);
            let mut accepted = std::collections::BTreeSet::from([1_000]);
            for step in steps {
                let index = window.highest + step - 150;
                let fits = !accepted.contains(&index) && index + WIDTH > window.highest;
                prop_assert_eq!(window.is_new(index), fits, "{} of {:?}", index, window);
                if fits {
                    window.note(index);
                    accepted.insert(index);
                }
            }
        }
    }

    #[test]
    fn nothing_is_before_the_first_or_beyond_the_last_index() {
        assert_eq!(Window::starting(5).nearest(u16::MAX), None);
        assert_eq!(Window::starting((1 << 48) - 1).nearest(0), None);
        assert_eq!(
            (Window::starting(0xffff).nearest(0), Window::starting(0x1_0000).nearest(0xffff)),
            (Some(0x1_0000), Some(0xffff))
        );
        assert_eq!(Window::starting(0x2_0000).rounds(), 2);
    }
}
