//! A line over a far end of the test's own: every order, both directions of speech, at every rate.

use voicefleet::call::line::{Ended, LegEdge, Line, LineFact, LineOrder, Rings};
use voicefleet::media::{Tone, VoiceTables};
use voicefleet::record::{BlockPool, BlockWriter};
use voicefleet::units::{Moment, SampleRate, UtteranceId};

use crate::{clip, touches};

/// A far end that sometimes has no room.
struct FarEnd {
    frames: u64,
    clears: u64,
    full: bool,
}

impl LegEdge for FarEnd {
    fn has_room(&self) -> bool {
        !self.full
    }

    fn send(&mut self, _due: Moment, _samples: &[i16], _ended: &Ended) {
        self.frames += 1;
    }

    fn clear(&mut self) {
        self.clears += 1;
    }
}

#[test]
fn ten_thousand_ticks_of_a_live_line_allocate_and_free_nothing() {
    for rate in [SampleRate::NARROW, SampleRate::WIDE, SampleRate::STUDIO] {
        let frame = rate.frame_samples();
        let (caller, bot) = (clip("caller_rms"), clip("bot_slt"));
        let (rings, mut leg, mut ends) = Rings::new(rate);
        let mut line = Line::new(rate, rings, &VoiceTables::new()).expect("a leg's rate");
        let pool = BlockPool::new(8);
        let mut tape = BlockWriter::new(pool.clone(), 1);
        let mut far = FarEnd { frames: 0, clears: 0, full: false };
        let (mut voices, mut cuts, mut heard, mut blocks, mut beeps) = (0, 0, 0, 0, 0);
        let beep = Tone::new(rate, &[1_000.0], 6_000).take_ms(400);
        let mut utterance = UtteranceId(1);
        let mut listened = [0_i16; 4_096];
        let n = touches(|| {
            for tick in 0..10_000_usize {
                // Three seconds of the caller, two of silence; the bot nearly always.
                let from = tick * frame;
                if tick % 250 < 150 {
                    for i in 0..frame {
                        let _ = leg.push(caller[(from + i) % caller.len()]);
                    }
                } else if (200..220).contains(&(tick % 250)) {
                    let from = (tick % 250 - 200) * frame;
                    let _ = leg.push_partial_slice(&beep[from..from + frame]);
                } else if tick % 7 != 0 {
                    for _ in 0..frame {
                        let _ = leg.push(0);
                    }
                }
                if tick % 400 < 380 {
                    let at = from % (bot.len() - frame);
                    ends.speech.push(utterance, (tick % 400 / 100) as u16, &bot[at..at + frame], tick % 100 == 99);
                }
                let order = match tick % 400 {
                    // Not for the whole call: it is switched on and off as often as may be.
                    10 => Some(LineOrder::SeekBeep { on: tick % 2_000 < 1_600 }),
                    90 => Some(LineOrder::Pause),
                    110 => Some(LineOrder::Resume),
                    300 if tick % 800 > 400 => Some(LineOrder::Cut { utterance }),
                    _ => None,
                };
                if let Some(order) = order {
                    let _ = ends.orders.push(order);
                }
                if matches!(order, Some(LineOrder::Cut { .. })) || tick % 400 == 399 {
                    utterance = utterance.next();
                }
                far.full = tick % 1_000 > 990;
                if tick % 333 == 332 {
                    line.skip(Moment::from_millis(20 * tick as u64), &mut far, &mut tape);
                } else {
                    line.tick(Moment::from_millis(20 * tick as u64), &mut far, &mut tape);
                }
                heard += ends.listen.pop_partial_slice(&mut listened).0.len();
                while let Ok(fact) = ends.facts.pop() {
                    voices += u32::from(matches!(fact, LineFact::VoiceBegan { .. }));
                    cuts += u32::from(matches!(fact, LineFact::SpeechCut { .. }));
                    beeps += u32::from(matches!(fact, LineFact::Beeped { .. }));
                }
                while let Some(block) = pool.pop_full() {
                    blocks += 1;
                    pool.give_back(block);
                }
            }
        });
        assert_eq!(n, 0, "{rate:?}: {n} times the allocator was called");
        let stats = line.stats();
        assert!(beeps > 10, "{rate:?}: {beeps} beeps");
        assert!(
            voices > 20 && cuts > 5 && far.clears > 5,
            "{rate:?}: {voices} voices, {cuts} cuts: the line was alive"
        );
        assert!(far.frames > 5_000 && heard > 3_000_000 && blocks > 500, "{rate:?}: {stats:?}, {blocks} blocks");
    }
}
