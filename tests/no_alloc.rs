//! A live line allocates nothing and frees nothing: ten thousand ticks with speech in both directions, the voice detector, the
//! echo guard, the recording, the listeners and every order, counted by the allocator itself.
#![expect(unsafe_code, reason = "a global allocator cannot be written without it; this one only counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use voicefleet::call::line::{Ended, LegEdge, Line, LineFact, LineOrder, Rings};
use voicefleet::record::{BlockPool, BlockWriter};
use voicefleet::units::{Moment, SampleRate, UtteranceId};

struct Counting;

thread_local! {
    static TOUCHES: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    TOUCHES.with(|n| n.set(n.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged; the counter is a plain thread-local that allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn touches(work: impl FnOnce()) -> u64 {
    let before = TOUCHES.with(Cell::get);
    work();
    TOUCHES.with(Cell::get) - before
}

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

fn clip(name: &str) -> Vec<i16> {
    let path = format!("{}/fixtures/audio/{name}.wav", env!("CARGO_MANIFEST_DIR"));
    hound::WavReader::open(&path).expect("a clip").samples().map(|s| s.expect("a sample")).collect()
}

#[test]
fn the_counter_counts() {
    assert!(touches(|| drop(std::hint::black_box(vec![1_u8; 100]))) >= 2);
}

#[test]
fn ten_thousand_ticks_of_a_live_line_allocate_and_free_nothing() {
    for rate in [SampleRate::NARROW, SampleRate::WIDE, SampleRate::STUDIO] {
        let frame = rate.frame_samples();
        let (caller, bot) = (clip("caller_rms"), clip("bot_slt"));
        let (rings, mut leg, mut ends) = Rings::new(rate);
        let mut line = Line::new(rate, rings).expect("a leg's rate");
        let pool = BlockPool::new(8);
        let mut tape = BlockWriter::new(pool.clone(), 1);
        let mut far = FarEnd { frames: 0, clears: 0, full: false };
        let (mut voices, mut cuts, mut heard, mut blocks) = (0, 0, 0, 0);
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
                }
                while let Some(block) = pool.pop_full() {
                    blocks += 1;
                    pool.give_back(block);
                }
            }
        });
        assert_eq!(n, 0, "{rate:?}: {n} times the allocator was called");
        let stats = line.stats();
        assert!(
            voices > 20 && cuts > 5 && far.clears > 5,
            "{rate:?}: {voices} voices, {cuts} cuts: the line was alive"
        );
        assert!(far.frames > 5_000 && heard > 3_000_000 && blocks > 500, "{rate:?}: {stats:?}, {blocks} blocks");
    }
}
