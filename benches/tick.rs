//! What one tick of a live line costs: jitter queue, resampling for the listeners, voice detection, echo guard, playout and the
//! recording's block. A tick is due every 20 ms, so 20 ms divided by this is how many lines a core could tick if it did
//! nothing else. Shown here, never asserted.

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use voicefleet::call::line::{DriverEnd, Ended, LegEdge, LegEnd, Line, Rings};
use voicefleet::media::{BeepDetector, Tone, VoiceTables};
use voicefleet::record::{BlockPool, BlockWriter};
use voicefleet::units::{Moment, SampleRate, UtteranceId};

struct FarEnd;

impl LegEdge for FarEnd {
    fn has_room(&self) -> bool {
        true
    }

    fn send(&mut self, _due: Moment, samples: &[i16], ended: &Ended) {
        std::hint::black_box(ended);
        std::hint::black_box(samples);
    }

    fn clear(&mut self) {}
}

fn clip(name: &str) -> Arc<[i16]> {
    let path = format!("{}/fixtures/audio/{name}.wav", env!("CARGO_MANIFEST_DIR"));
    let read = || hound::WavReader::open(&path)?.samples::<i16>().collect::<Result<Arc<[_]>, _>>();
    read().unwrap_or_else(|error| panic!("{path}: {error}"))
}

struct Rig {
    line: Line,
    leg: LegEnd,
    ends: DriverEnd,
    pool: Arc<BlockPool>,
    tape: BlockWriter,
    caller: Arc<[i16]>,
    bot: Arc<[i16]>,
    tick: usize,
}

impl Rig {
    fn new() -> Self {
        Self::of(clip("caller_rms"), clip("bot_slt"))
    }

    fn of(caller: Arc<[i16]>, bot: Arc<[i16]>) -> Self {
        let (rings, leg, ends) = Rings::new(SampleRate::NARROW);
        let line = Line::new(SampleRate::NARROW, rings, &VoiceTables::new()).expect("a leg's rate");
        let pool = BlockPool::new(8);
        let tape = BlockWriter::new(pool.clone(), 1);
        Self { line, leg, ends, pool, tape, caller, bot, tick: 0 }
    }

    fn tick(&mut self, caller: bool, bot: bool) {
        self.tick += 1;
        let at = |clip: &[i16]| self.tick * 160 % (clip.len() - 160);
        let silence = [0; 160];
        let from = at(&self.caller);
        let frame = if caller { &self.caller[from..from + 160] } else { &silence };
        let _ = self.leg.push_partial_slice(frame);
        if bot {
            let from = at(&self.bot);
            self.ends.speech.push(UtteranceId(1), 0, &self.bot[from..from + 160], false);
        }
        self.line.tick(Moment::from_millis(20 * self.tick as u64), &mut FarEnd, &mut self.tape);
        let mut listened = [0_i16; 4_096];
        let _ = self.ends.listen.pop_partial_slice(&mut listened);
        while self.ends.facts.pop().is_ok() {}
        while let Some(block) = self.pool.pop_full() {
            self.pool.give_back(block);
        }
    }
}

fn ticks(c: &mut Criterion) {
    let mut group = c.benchmark_group("one tick of a line at 8 kHz");
    for (name, caller, bot) in [
        ("silence", false, false),
        ("the caller speaks", true, false),
        ("the bot speaks", false, true),
        ("both speak", true, true),
    ] {
        let mut rig = Rig::new();
        for _ in 0..100 {
            rig.tick(caller, bot);
        }
        group.bench_function(name, |b| b.iter(|| rig.tick(caller, bot)));
    }
    group.finish();
}

/// Lines in turn, as a shard has them: what one line's tick costs when the others have used the caches since its last. A third of the
/// lines have a caller who speaks, a third a bot.
fn in_turn(c: &mut Criterion) {
    let mut group = c.benchmark_group("one tick of a line at 8 kHz, lines in turn");
    let (caller, bot) = (clip("caller_rms"), clip("bot_slt"));
    for lines in [3, 30, 300, 900] {
        let mut rigs: Vec<Rig> = (0..lines).map(|_| Rig::of(Arc::clone(&caller), Arc::clone(&bot))).collect();
        for (n, rig) in rigs.iter_mut().enumerate() {
            (0..100).for_each(|_| rig.tick(n % 3 == 1, n % 3 == 2));
        }
        let mut next = 0;
        group.bench_function(lines.to_string(), |b| {
            b.iter(|| {
                next = (next + 1) % lines;
                rigs[next].tick(next % 3 == 1, next % 3 == 2);
            });
        });
    }
    group.finish();
}

/// What of a tick is the search for a voicemail's beep, of an outgoing call until it is known who answered.
fn beep(c: &mut Criterion) {
    let mut group = c.benchmark_group("the search for a beep in a tick at 8 kHz");
    let tone = Tone::new(SampleRate::NARROW, &[1_000.0], 6_000).take_ms(10_000);
    for (name, audio) in [("silence", vec![0; 80_000]), ("speech", clip("caller_rms").to_vec()), ("a tone", tone)] {
        let mut search = BeepDetector::new(SampleRate::NARROW);
        let mut frames = audio.chunks_exact(160).cycle();
        group.bench_function(name, |b| {
            b.iter(|| search.push(std::hint::black_box(frames.next().unwrap_or(&[0; 160])), true));
        });
    }
    group.finish();
}

/// What of a tick is the recording: two channels into the block, a full block every 250 ms to the recorder's queue.
fn recording(c: &mut Criterion) {
    let pool = BlockPool::new(8);
    let mut tape = BlockWriter::new(pool.clone(), 1);
    let (caller, bot) = ([1_000; 160], [-1_000; 160]);
    c.bench_function("the recorder's share of a tick", |b| {
        b.iter(|| {
            tape.push(std::hint::black_box(&caller), std::hint::black_box(&bot));
            while let Some(block) = pool.pop_full() {
                pool.give_back(block);
            }
        });
    });
}

criterion_group!(benches, ticks, in_turn, beep, recording);
criterion_main!(benches);
