//! What the callers of a load say: recorded speech, cut into pieces that each call joins in an order of its own, so that a recording
//! tells whose it is. 35 % of the time, then silence. Pure; the same number always says the same.

use crate::media::{ulaw_decode, ulaw_encode};

/// Samples of a packet.
pub(super) const FRAME: usize = 160;
/// What silence is in µ-law.
pub(super) const SILENCE: [u8; FRAME] = [0xff; FRAME];
/// Packets of one piece of speech: 300 ms.
const PIECE: usize = 15;
/// Pieces of one turn: 3 s.
const PIECES_A_TURN: usize = 10;
/// Packets of one turn.
const TURN: u64 = (PIECE * PIECES_A_TURN) as u64;
/// Packets from turn to turn: speech is 35 % of it; the rest leaves the bot its own 35 %.
const CYCLE: u64 = 428;
/// Packets before anybody's first turn, while the bot greets.
const FIRST: u64 = 75;

const CLIPS: [&[u8]; 3] = [
    include_bytes!("../../../fixtures/audio/caller_rms.wav"),
    include_bytes!("../../../fixtures/audio/caller_awb.wav"),
    include_bytes!("../../../fixtures/audio/caller_f3.wav"),
];

/// Repeatable pseudo-random numbers (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// True in `percent` of a hundred.
    pub fn chance(&mut self, percent: f64) -> bool {
        percent > 0.0 && (self.roll() >> 11) as f64 / (1u64 << 53) as f64 * 100.0 < percent
    }
}

/// Pieces of speech, ready for the wire.
#[derive(Debug)]
pub(super) struct Pool {
    frames: Vec<[u8; FRAME]>,
}

impl Pool {
    /// Cuts and encodes the clips.
    ///
    /// # Errors
    /// Where a clip that was compiled in is no WAV.
    pub fn new() -> Result<Self, hound::Error> {
        let mut frames = Vec::new();
        for clip in CLIPS {
            let samples: Vec<i16> = hound::WavReader::new(clip)?.samples::<i16>().collect::<Result<_, _>>()?;
            for piece in samples.chunks_exact(PIECE * FRAME) {
                let last = piece.len() - 1;
                // Faded over 5 ms, so that joints do not click.
                let faded: Vec<i16> = piece
                    .iter()
                    .enumerate()
                    .map(|(i, s)| (i32::from(*s) * i32::try_from(i.min(last - i).min(40)).unwrap_or(40) / 40) as i16)
                    .collect();
                for frame in faded.chunks_exact(FRAME) {
                    let mut coded = SILENCE;
                    ulaw_encode(frame, &mut coded);
                    frames.push(coded);
                }
            }
        }
        Ok(Self { frames })
    }

    /// Every packet of speech there is.
    pub fn frames(&self) -> impl Iterator<Item = &[u8; FRAME]> {
        self.frames.iter()
    }

    /// What call `id` says in its packet `n`; `None` where it is silent.
    pub fn frame(&self, id: u64, n: u64) -> Option<&[u8; FRAME]> {
        let phase = Dice(id).roll() % CYCLE;
        let at = n.checked_sub(FIRST + phase)?;
        let (turn, within) = (at / CYCLE, at % CYCLE);
        if within >= TURN {
            return None;
        }
        let nth = within / PIECE as u64;
        let pieces = (self.frames.len() / PIECE) as u64;
        let piece = Dice(id.wrapping_mul(0x1_0001).wrapping_add(turn << 32 | nth)).roll() % pieces.max(1);
        self.frames.get(piece as usize * PIECE + (within as usize % PIECE))
    }

    /// The audio of call `id` in its packets `from..to`.
    pub fn audio(&self, id: u64, from: u64, to: u64) -> Vec<i16> {
        let mut out = Vec::with_capacity((to - from) as usize * FRAME);
        for n in from..to {
            let mut samples = [0i16; FRAME];
            ulaw_decode(self.frame(id, n).unwrap_or(&SILENCE), &mut samples);
            out.extend_from_slice(&samples);
        }
        out
    }

    /// The packets of call `id` below `n` that begin a turn; every turn has [`Pool::turn_frames`] of them.
    pub fn turns(id: u64, n: u64) -> impl Iterator<Item = u64> {
        let first = FIRST + Dice(id).roll() % CYCLE;
        (0..).map(move |turn| first + turn * CYCLE).take_while(move |from| from + TURN <= n)
    }

    /// Packets of a turn.
    pub const fn turn_frames() -> u64 {
        TURN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_speaks_a_third_of_the_time_and_each_says_something_else() {
        let pool = Pool::new().unwrap();
        let spoken = |id| (1_000..1_000 + CYCLE * 50).filter(|n| pool.frame(id, *n).is_some()).count() as f64;
        for id in 0..20 {
            assert!((spoken(id) / (CYCLE * 50) as f64 - 0.35).abs() < 0.005);
        }
        let first = |id| Pool::turns(id, 10_000).next().map(|from| pool.audio(id, from, from + TURN)).unwrap();
        let mut said: Vec<_> = (0..200).map(first).collect();
        said.sort();
        said.dedup();
        assert_eq!(said.len(), 200, "every call has words of its own");
        assert!(said.iter().all(|audio| crate::units::dbfs(audio) > -35.0), "and they are loud enough");
    }

    #[test]
    fn chance_is_what_it_says() {
        let mut dice = Dice(7);
        let hits = (0..100_000).filter(|_| dice.chance(10.0)).count();
        assert!((9_700..10_300).contains(&hits), "{hits}");
        assert!(!(0..1_000).any(|_| dice.chance(0.0)));
    }
}
