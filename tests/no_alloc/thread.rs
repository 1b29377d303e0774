//! The real media thread, counted from outside, while calls come and go on it.

use voicefleet::call::line::{LineFact, LineOrder};
use voicefleet::record::{BlockPool, BlockWriter};
use voicefleet::rt;
use voicefleet::shard::{Config, LegPort, LineHandle, OutItem, Shards};
use voicefleet::telemetry::Metrics;
use voicefleet::units::{MAX_FRAME_SAMPLES, SampleRate, UtteranceId};

use crate::{alone, clip, watch, watched};

/// What a call's two tasks do in one frame's time: audio and speech in, orders, and everything out that is there.
struct Caller {
    line: LineHandle,
    port: LegPort,
    rate: SampleRate,
    frames: usize,
    utterance: UtteranceId,
    heard: Heard,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    frames: u64,
    clears: u64,
    voices: u64,
    cuts: u64,
    listened: usize,
}

impl std::ops::AddAssign for Heard {
    fn add_assign(&mut self, more: Self) {
        self.frames += more.frames;
        self.clears += more.clears;
        self.voices += more.voices;
        self.cuts += more.cuts;
        self.listened += more.listened;
    }
}

impl Caller {
    fn open(shards: &Shards, rate: SampleRate, tape: BlockWriter) -> Self {
        let (line, port) = shards.open(rate, Some(tape)).expect("a place");
        Self { line, port, rate, frames: 0, utterance: UtteranceId(1), heard: Heard::default() }
    }

    fn frame(&mut self, caller: &[i16], bot: &[i16]) {
        let (frame, at) = (self.rate.frame_samples(), self.frames);
        self.frames += 1;
        let from = at * frame;
        if at % 150 < 100 {
            self.port.caller_audio(&caller[from % (caller.len() - frame)..][..frame]);
        } else if at % 7 != 0 {
            self.port.caller_audio(&[0; MAX_FRAME_SAMPLES][..frame]);
        }
        self.line.ends.speech.push(self.utterance, 0, &bot[from % (bot.len() - frame)..][..frame], at % 100 == 99);
        let order = match at % 100 {
            10 => Some(LineOrder::SeekBeep { on: at % 200 == 10 }),
            30 => Some(LineOrder::Pause),
            35 => Some(LineOrder::Resume),
            60 => Some(LineOrder::Cut { utterance: self.utterance }),
            _ => None,
        };
        if let Some(order) = order {
            let _ = self.line.ends.orders.push(order);
        }
        if at % 100 == 60 {
            self.utterance = self.utterance.next();
        }
        // A far end that stops reading for a while, also when its utterance is cut.
        let reads = !(50..65).contains(&(at % 200));
        while let Some(item) = reads.then(|| self.port.pop()).flatten() {
            match item {
                OutItem::Frame(_) => self.heard.frames += 1,
                OutItem::Clear => self.heard.clears += 1,
            }
        }
        self.heard.listened += self.line.ends.listen.pop_partial_slice(&mut [0_i16; 4_096]).0.len();
        while let Ok(fact) = self.line.ends.facts.pop() {
            self.heard.voices += u64::from(matches!(fact, LineFact::VoiceBegan { .. }));
            self.heard.cuts += u64::from(matches!(fact, LineFact::SpeechCut { .. }));
        }
    }
}

/// Waits for the media thread.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = rt::now().plus_ms(60_000);
    while !holds() {
        assert!(rt::now() < limit, "{what}");
        rt::park_until(rt::now().plus_ms(5));
    }
}

#[test]
fn a_media_thread_allocates_and_frees_nothing_from_a_calls_first_tick_to_its_last() {
    const LINES: usize = 24;
    const TICKS: u64 = 10_000;
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    let _within = runtime.enter();
    let lateness = Metrics::new().tick_lateness.clone();
    let config = Config { shards: 1, ..Config::default() };
    let shards = Shards::start(&config, LINES, Some(lateness)).expect("a media thread");
    until("the thread says who it is", || shards.views()[0].thread_id != 0);
    // Here, so that what is watched is seen to be counted.
    watch(rt::thread_id());
    drop(std::hint::black_box(vec![1_u8; 100]));
    assert!(watched() >= 2, "the counter counts");

    let pool = BlockPool::new(LINES * 4);
    let (caller, bot) = (clip("caller_rms"), clip("bot_slt"));
    let rates = [SampleRate::NARROW, SampleRate::WIDE, SampleRate::STUDIO];
    let mut tapes = 0;
    let mut call = || {
        tapes += 1;
        Caller::open(&shards, rates[tapes as usize % 3], BlockWriter::new(pool.clone(), tapes))
    };
    watch(shards.views()[0].thread_id);
    let mut calls: Vec<Caller> = (0..LINES).map(|_| call()).collect();
    let (mut heard, mut blocks, mut due) = (Heard::default(), 0, rt::now());
    while shards.views()[0].ticks < TICKS {
        due = due.max(rt::now()).plus_ms(20);
        for one in &mut calls {
            one.frame(&caller, &bot);
        }
        // Calls come and go while others are up.
        if calls[0].frames.is_multiple_of(50) {
            let mut over = calls.remove(0);
            let mut done = over.line.done().expect("asked once");
            let _ = over.line.ends.orders.push(LineOrder::Close);
            until("a line that is closed is over", || done.try_recv().is_ok());
            heard += over.heard;
            calls.push(call());
        }
        while let Some(block) = pool.pop_full() {
            blocks += 1;
            pool.give_back(block);
        }
        rt::park_until(due);
    }
    for one in &calls {
        heard += one.heard;
    }
    drop(calls);
    until("every line is over", || shards.views()[0].lines == 0);
    let (touches, view) = (watched(), &shards.views()[0]);
    assert_eq!(touches, 0, "{touches} times the media thread called the allocator: {view:?}");
    assert!(heard.voices > 20 && heard.cuts > 5 && heard.clears > 5, "{heard:?}: the lines were alive");
    assert!(heard.frames > 2_000 && heard.listened > 1_000_000 && blocks > 100, "{heard:?}, {blocks} blocks");
}
