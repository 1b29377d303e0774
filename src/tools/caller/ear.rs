//! When the bot is audible: turn ends come from the level of what was heard, never from gaps between messages. Two grains: a
//! *spurt* ends with a short silence (for measuring), a *turn* with a long one (for answering). Reads no clock.

use crate::units::{FRAME_MS, dbfs};

/// Quieter than this is silence: below any speech that a telephone carries, above its noise floor.
pub(super) const AUDIBLE_DBFS: f32 = -45.0;
/// Loud for so long before it counts, so that a click is no speech.
const ON_MS: u32 = 40;
/// A silence that ends a spurt.
const SPURT_SILENCE_MS: u32 = 200;
/// A silence after which it is worth recognising what was said so far.
const PAUSE_MS: u32 = 300;

/// What the ear noticed; positions are samples of the telephone's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noticed {
    /// Speech after a turn's silence; first audible sample.
    TurnBegan { onset: usize },
    /// Speech after a short or a long silence.
    SpurtBegan { onset: usize },
    /// The spurt is over; one past its last audible sample.
    SpurtEnded { last: usize },
    /// Perhaps the end of the turn.
    Paused,
    /// The turn is over; one past its last audible sample.
    TurnEnded { last: usize },
}

/// The ear.
#[derive(Debug)]
pub(super) struct Ear {
    turn_silence_ms: u32,
    at: usize,
    onset: Option<usize>,
    loud_ms: u32,
    silent_ms: u32,
    last: usize,
    in_spurt: bool,
    in_turn: bool,
}

impl Ear {
    pub(super) const fn new(turn_silence_ms: u32) -> Self {
        Self { turn_silence_ms, at: 0, onset: None, loud_ms: 0, silent_ms: 0, last: 0, in_spurt: false, in_turn: false }
    }

    /// Samples listened to so far.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// One past the last audible sample so far.
    pub(super) const fn last(&self) -> usize {
        self.last
    }

    /// The next 20 ms of the earpiece.
    pub(super) fn listen(&mut self, frame: &[i16], noticed: &mut Vec<Noticed>) {
        if dbfs(frame) > AUDIBLE_DBFS {
            self.loud(frame, noticed);
        } else {
            self.silent(noticed);
        }
        self.at += frame.len();
    }

    fn loud(&mut self, frame: &[i16], noticed: &mut Vec<Noticed>) {
        let onset = *self.onset.get_or_insert_with(|| self.at + first_audible(frame).unwrap_or(0));
        self.loud_ms += FRAME_MS;
        self.silent_ms = 0;
        if self.loud_ms < ON_MS && !self.in_spurt {
            return;
        }
        self.last = self.at + last_audible(frame).map_or(frame.len(), |at| at + 1);
        if !self.in_turn {
            self.in_turn = true;
            noticed.push(Noticed::TurnBegan { onset });
        }
        if !self.in_spurt {
            self.in_spurt = true;
            noticed.push(Noticed::SpurtBegan { onset });
        }
    }

    fn silent(&mut self, noticed: &mut Vec<Noticed>) {
        self.loud_ms = 0;
        if !self.in_spurt {
            self.onset = None;
        }
        self.silent_ms = self.silent_ms.saturating_add(FRAME_MS);
        let reached = |ms: u32| self.silent_ms >= ms && self.silent_ms - FRAME_MS < ms;
        let (spurt, pause, turn) = (reached(SPURT_SILENCE_MS), reached(PAUSE_MS), reached(self.turn_silence_ms));
        if spurt && self.in_spurt {
            self.in_spurt = false;
            self.onset = None;
            noticed.push(Noticed::SpurtEnded { last: self.last });
        }
        if pause && self.in_turn && self.turn_silence_ms > PAUSE_MS {
            noticed.push(Noticed::Paused);
        }
        if turn && self.in_turn {
            self.in_turn = false;
            if self.turn_silence_ms <= PAUSE_MS {
                noticed.push(Noticed::Paused);
            }
            noticed.push(Noticed::TurnEnded { last: self.last });
        }
    }
}

/// Amplitude that counts as audible for a single sample: the peak of a sine at [`AUDIBLE_DBFS`].
const AUDIBLE_PEAK: u16 = 260;

/// The first audible sample.
pub(super) fn first_audible(samples: &[i16]) -> Option<usize> {
    samples.iter().position(|s| s.unsigned_abs() >= AUDIBLE_PEAK)
}

/// The last audible sample.
pub(super) fn last_audible(samples: &[i16]) -> Option<usize> {
    samples.iter().rposition(|s| s.unsigned_abs() >= AUDIBLE_PEAK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noticed(parts: &[(bool, usize)], turn_silence_ms: u32) -> Vec<Noticed> {
        let mut ear = Ear::new(turn_silence_ms);
        let mut all = Vec::new();
        for &(loud, frames) in parts {
            for _ in 0..frames {
                ear.listen(&[if loud { 4000 } else { 0 }; 160], &mut all);
            }
        }
        all
    }

    #[test]
    fn a_short_pause_ends_a_spurt_and_not_the_turn() {
        let all = noticed(&[(false, 5), (true, 10), (false, 20), (true, 10), (false, 40)], 700);
        assert_eq!(
            all,
            [
                Noticed::TurnBegan { onset: 800 },
                Noticed::SpurtBegan { onset: 800 },
                Noticed::SpurtEnded { last: 2400 },
                Noticed::Paused,
                Noticed::SpurtBegan { onset: 5600 },
                Noticed::SpurtEnded { last: 7200 },
                Noticed::Paused,
                Noticed::TurnEnded { last: 7200 },
            ]
        );
    }

    #[test]
    fn a_click_is_no_speech() {
        assert_eq!(noticed(&[(false, 2), (true, 1), (false, 50), (true, 1), (false, 1)], 700), []);
    }

    #[test]
    fn the_onset_is_the_sample_and_not_the_frame() {
        let mut ear = Ear::new(700);
        let mut frame = [0; 160];
        frame[100..].fill(9000);
        let mut all = Vec::new();
        ear.listen(&frame, &mut all);
        ear.listen(&[9000; 160], &mut all);
        assert_eq!(all[0], Noticed::TurnBegan { onset: 100 });
    }
}
