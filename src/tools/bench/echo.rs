//! A caller's own voice on its way back, where the worker's bot echoes: how long from the packet with the onset of a turn to the one that
//! brings it back. Pure: times are arguments.

use super::sound::FRAME;
use crate::units::Moment;

/// A turn begins behind so much silence, in packets: longer than any pause in it, and than any way there and back.
const SILENT_PACKETS: u32 = 50;

/// Is anything in this packet? µ-law has two zeroes.
pub(super) fn sounds(codes: &[u8]) -> bool {
    codes.iter().any(|code| code | 0x80 != 0xff)
}

/// One caller.
#[derive(Clone, Debug, Default)]
pub(super) struct Echo {
    silent: u32,
    onset: Option<Moment>,
}

impl Echo {
    /// A packet left at `at`.
    pub fn said(&mut self, codes: &[u8; FRAME], at: Moment) {
        if !sounds(codes) {
            self.silent += 1;
        } else if std::mem::take(&mut self.silent) >= SILENT_PACKETS {
            self.onset = Some(at);
        }
    }

    /// A packet came at `at`: how long the onset took, in microseconds, where this one brings it.
    pub fn heard(&mut self, sounds: bool, at: Moment) -> Option<u64> {
        let onset = if sounds { self.onset.take() } else { None };
        onset.map(|onset| at.since(onset).as_micros() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sound::SILENCE;
    use super::*;

    #[test]
    fn only_the_onset_of_a_turn_is_timed_and_once() {
        let (mut echo, speech) = (Echo::default(), [0x10; FRAME]);
        let at = |ms: u64| Moment::from_millis(10_000 + ms);
        let mut timed = Vec::new();
        for n in 0..400u64 {
            let spoken = n % 200 >= 120 && n % 7 != 0;
            echo.said(if spoken { &speech } else { &SILENCE }, at(n * 20));
            // It comes back two packets later.
            let back = n.checked_sub(2).is_some_and(|n| n % 200 >= 120 && n % 7 != 0);
            timed.extend(echo.heard(back, at(n * 20 + 3)));
        }
        assert_eq!(timed, [43_000, 43_000]);
    }
}
