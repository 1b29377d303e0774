//! The media line by itself, tick after tick: two channels on one clock, jitter, bursts, late ticks, starvation, and an hour
//! without drift.

use voicefleet::call::line::{DriverEnd, LegEnd, Line, LineFact, LineOrder, Rings};
use voicefleet::media::{Noise, Tone, VoiceTables};
use voicefleet::units::{Moment, SampleRate, UtteranceId};

use crate::sim::{Ear, Tape};

const RATE: SampleRate = SampleRate::NARROW;
const FRAME: usize = 160;

struct Rig {
    line: Line,
    leg: LegEnd,
    ends: DriverEnd,
    ear: Ear,
    tape: Tape,
    now: Moment,
    facts: Vec<LineFact>,
}

impl Rig {
    fn new() -> Self {
        let (rings, leg, ends) = Rings::new(RATE);
        let line = Line::new(RATE, rings, &VoiceTables::new()).expect("a leg's rate");
        Self { line, leg, ends, ear: Ear::default(), tape: Tape::default(), now: Moment::ZERO, facts: Vec::new() }
    }

    fn tick(&mut self) {
        self.now = self.now.plus_ms(20);
        self.line.tick(self.now, &mut self.ear, &mut self.tape);
        self.ear.play();
        let mut listened = [0; 4_096];
        while !self.ends.listen.pop_partial_slice(&mut listened).0.is_empty() {}
        while let Ok(fact) = self.ends.facts.pop() {
            self.facts.push(fact);
        }
    }

    /// The thread came too late for this one; the far end plays on all the same.
    fn skip(&mut self) {
        self.now = self.now.plus_ms(20);
        self.line.skip(self.now, &mut self.ear, &mut self.tape);
        self.ear.play();
    }

    fn caller(&mut self, samples: &[i16]) {
        for &sample in samples {
            self.leg.push(sample).expect("room for the caller");
        }
    }

    /// Gives as much speech as there is room for.
    fn speak(&mut self, speech: &mut Vec<i16>, last: bool) {
        let n = self.ends.speech.push(UtteranceId(1), 0, speech, last);
        speech.drain(..n);
    }
}

/// Power of one frequency in a block, by Goertzel, relative to the block's whole power: 0 to 1.
fn share(samples: &[i16], hz: f64) -> f64 {
    let w = std::f64::consts::TAU * hz / 8_000.0;
    let (mut a, mut b) = (0.0, 0.0);
    for &s in samples {
        (a, b) = (f64::from(s) + 2.0 * w.cos() * a - b, a);
    }
    let power = a * a + b * b - 2.0 * w.cos() * a * b;
    let whole: f64 = samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
    if whole == 0.0 { 0.0 } else { power * 2.0 / (whole * samples.len() as f64) }
}

#[test]
fn two_tones_stay_on_their_channels_and_in_time() {
    let mut rig = Rig::new();
    let mut caller = Tone::new(RATE, &[400.0], 8_000);
    let mut bot = Tone::new(RATE, &[1_000.0], 8_000).take_ms(4_000);
    for tick in 0..500 {
        let mut frame = [0; FRAME];
        caller.fill(&mut frame);
        rig.caller(&frame);
        if tick >= 100 && !bot.is_empty() {
            rig.speak(&mut bot, true);
        }
        rig.tick();
    }
    let Tape(left, right) = &rig.tape;
    assert_eq!((left.len(), right.len()), (500 * FRAME, 500 * FRAME));
    assert_eq!(right, &rig.ear.heard, "the right channel is what the far end heard, sample by sample");
    assert!(share(&left[16_000..48_000], 400.0) > 0.98 && share(&left[16_000..48_000], 1_000.0) < 0.01);
    assert!(share(&right[16_000..48_000], 1_000.0) > 0.98 && share(&right[16_000..48_000], 400.0) < 0.01);
    // Speech given before tick 100 is heard in tick 100: its first sample may be the tone's zero.
    let first = right.iter().position(|&s| s != 0).expect("the bot was recorded");
    assert!((16_000..=16_001).contains(&first), "began at {first}");
    let last = right.iter().rposition(|&s| s != 0).expect("the bot was recorded");
    assert!((47_998..48_000).contains(&last), "four seconds long, ended at {last}");
}

#[test]
fn jitter_and_bursts_lose_no_sample_and_swap_none() {
    for seed in 1..=20u64 {
        let mut rig = Rig::new();
        let mut next = 0usize;
        let mut state = seed * 0x9E37_79B9;
        let mut due = 0usize;
        // Every other sender gathers a whole second before it sends.
        let gathers = if seed % 2 == 0 { 50 } else { 1 };
        for tick in 0..1_500usize {
            due += 1;
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let stuck = if gathers == 1 { state >> 60 < 4 } else { tick % gathers != 0 };
            if !stuck {
                let frames: Vec<i16> = (next..next + due * FRAME).map(|i| (i % 30_000) as i16 + 1).collect();
                next += frames.len();
                due = 0;
                rig.caller(&frames);
            }
            rig.tick();
        }
        let heard: Vec<i16> = rig.tape.0.iter().copied().filter(|&s| s != 0).collect();
        let in_order = heard.iter().enumerate().all(|(i, &s)| s == (i % 30_000) as i16 + 1);
        assert!(in_order, "seed {seed}: {:?}: the caller's samples came once and in order", rig.line.stats());
        let stats = rig.line.stats();
        assert_eq!(stats.dropped_samples, 0, "seed {seed}: {stats:?}");
        assert!(stats.gaps < 150, "seed {seed}: the queue learns how late audio comes: {stats:?}");
        assert_eq!(rig.tape.0.len(), 1_500 * FRAME, "seed {seed}: the clock is the line's, not the sender's");
    }
}

#[test]
fn an_outage_costs_its_own_length_and_leaves_no_latency() {
    let mut rig = Rig::new();
    let mut next = 0usize;
    let mut frames = |n: usize| -> Vec<i16> {
        next += n * FRAME;
        (next - n * FRAME..next).map(|i| (i % 30_000) as i16 + 1).collect()
    };
    for tick in 0..600 {
        match tick {
            100..150 => {}
            150 => rig.caller(&frames(51)),
            _ => rig.caller(&frames(1)),
        }
        rig.tick();
    }
    let stats = rig.line.stats();
    assert!(stats.dropped_samples <= 50 * FRAME as u64, "{stats:?}");
    let newest = *rig.tape.0.last().expect("a sample") as usize;
    let behind = (next % 30_000 + 30_000 - newest) % 30_000;
    assert!(behind <= 18 * FRAME, "nine seconds later the caller is still {} ms behind", behind / 8);
}

#[test]
fn a_sender_that_is_too_fast_is_cut_back_and_never_adds_latency() {
    let mut rig = Rig::new();
    for tick in 0..3_000u32 {
        // One per cent too fast: two seconds in 200.
        let n = if tick % 100 == 0 { 2 } else { 1 };
        rig.caller(&vec![1_000; n * FRAME]);
        rig.tick();
    }
    let stats = rig.line.stats();
    assert!(stats.dropped_samples > 0 && stats.dropped_samples <= 30 * FRAME as u64, "{stats:?}");
    assert_eq!((stats.frames_in, stats.gaps), (3_000, 0), "{stats:?}");
}

#[test]
fn ticks_that_come_too_late_cost_nothing_but_their_own_time() {
    let mut rig = Rig::new();
    let mut speech: Vec<i16> = (0..24_000).map(|i| (i % 30_000) as i16 + 1).collect();
    for tick in 0..400 {
        rig.caller(&[500; FRAME]);
        rig.speak(&mut speech, true);
        if tick % 40 == 39 {
            rig.skip();
        } else {
            rig.tick();
        }
    }
    let Tape(left, right) = &rig.tape;
    assert_eq!((left.len(), right.len()), (400 * FRAME, 400 * FRAME));
    assert_eq!(right, &rig.ear.heard, "the recording knows what the far end played while the thread slept");
    let heard: Vec<i16> = right.iter().copied().filter(|&s| s != 0).collect();
    assert!(heard.iter().enumerate().all(|(i, &s)| s == (i % 30_000) as i16 + 1), "every sample once and in order");
    assert_eq!(heard.len(), 24_000);
    assert_eq!(rig.line.stats().skipped, 10);
    let ended = rig.facts.iter().any(|f| matches!(f, LineFact::SegmentHeard { segment: 0, .. }));
    assert!(ended, "the end of the piece was told");
}

#[test]
fn an_hour_without_drift() {
    let mut rig = Rig::new();
    let hour_ticks = 180_000usize;
    // A click of one sample every ten seconds, on both sides.
    let every = 500;
    for tick in 0..hour_ticks {
        let mut frame = [0i16; FRAME];
        if tick % every == 0 {
            frame[0] = 20_000;
        }
        rig.caller(&frame);
        if tick % every == 0 {
            let id = UtteranceId(1 + (tick / every) as u32);
            assert_eq!(rig.ends.speech.push(id, 0, &frame, true), FRAME);
        }
        rig.tick();
    }
    let Tape(left, right) = &rig.tape;
    assert_eq!(left.len(), hour_ticks * FRAME, "an hour of ticks is an hour of recording");
    for (name, channel) in [("caller", left), ("bot", right)] {
        let clicks: Vec<usize> = channel.iter().enumerate().filter(|(_, s)| **s != 0).map(|(i, _)| i).collect();
        assert_eq!(clicks.len(), 360, "{name}");
        for pair in clicks.windows(2) {
            assert!(
                (pair[1] - pair[0]).abs_diff(every * FRAME) <= 1,
                "{name}: {} samples between two clicks",
                pair[1] - pair[0]
            );
        }
    }
}

#[test]
fn starvation_is_counted_and_what_comes_late_is_played() {
    let mut rig = Rig::new();
    let mut speech = vec![7; 5 * FRAME];
    rig.speak(&mut speech, false);
    for _ in 0..20 {
        rig.tick();
    }
    assert!(rig.line.stats().starved > 0, "speech was under way and did not come");
    let mut rest = vec![7; 5 * FRAME];
    rig.speak(&mut rest, true);
    for _ in 0..20 {
        rig.tick();
    }
    assert_eq!(rig.ear.heard.iter().filter(|&&s| s == 7).count(), 10 * FRAME);
    let before = rig.line.stats().starved;
    for _ in 0..50 {
        rig.tick();
    }
    assert_eq!(rig.line.stats().starved, before, "silence after the end is no starvation");
}

#[test]
fn a_far_end_without_room_holds_speech_back_and_loses_none() {
    let mut rig = Rig::new();
    let mut speech: Vec<i16> = (0..3_200).map(|i| i as i16 + 1).collect();
    rig.speak(&mut speech, true);
    rig.tick();
    rig.ear.full = true;
    for _ in 0..50 {
        rig.tick();
    }
    assert!(rig.line.stats().stalled > 0);
    rig.ear.full = false;
    for _ in 0..50 {
        rig.tick();
    }
    let heard: Vec<i16> = rig.ear.heard.iter().copied().filter(|&s| s != 0).collect();
    assert!(heard.iter().enumerate().all(|(i, &s)| s == i as i16 + 1) && heard.len() == 3_200);
}

#[test]
fn every_leg_rate_hears_the_caller_and_the_voice() {
    for rate in [SampleRate::NARROW, SampleRate::WIDE, SampleRate::STUDIO] {
        let (rings, mut leg, mut ends) = Rings::new(rate);
        let mut line = Line::new(rate, rings, &VoiceTables::new()).expect("a leg's rate");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/audio/caller_rms.wav");
        let clip: Vec<i16> =
            hound::WavReader::open(path).expect("a clip").samples().map(|s| s.expect("a sample")).collect();
        let times = (rate.hz() / 8_000) as usize;
        let wide: Vec<i16> = clip.iter().flat_map(|&s| std::iter::repeat_n(s, times)).collect();
        let (mut ear, mut tape, mut heard, mut voices) = (Ear::default(), Tape::default(), 0, 0);
        for (tick, frame) in wide.chunks_exact(rate.frame_samples()).enumerate() {
            leg.push_entire_slice(frame).expect("room");
            line.tick(Moment::from_millis(20 * tick as u64), &mut ear, &mut tape);
            let mut block = [0; 4_096];
            heard += ends.listen.pop_partial_slice(&mut block).0.len();
            while let Ok(fact) = ends.facts.pop() {
                voices += u32::from(matches!(fact, LineFact::VoiceBegan { .. }));
            }
        }
        let ticks = wide.len() / rate.frame_samples();
        assert_eq!(heard, ticks * 320, "{rate:?}: 16 kHz for the listeners");
        assert!(voices >= 1, "{rate:?}: the voice was found");
    }
}

/// A line that comes up noisy, 15 dB below a voice, and a caller who only listens.
#[test]
fn noise_that_comes_with_the_call_is_nobodys_voice() {
    for seed in 1..=8 {
        let mut rig = Rig::new();
        let mut hiss = Noise::new(seed, -35.0);
        for tick in 0..250 {
            // Frames come late now and then, as they do.
            if tick >= seed && tick % 13 != seed % 13 {
                let mut frame = [0; FRAME];
                hiss.fill(&mut frame);
                rig.caller(&frame);
            }
            rig.tick();
        }
        let voices = rig.facts.iter().filter(|f| matches!(f, LineFact::VoiceBegan { .. })).count();
        assert_eq!(voices, 0, "seed {seed}");
    }
}

/// An echo at a delay that is no whole number of anything, and changes, while the thread now and then comes too late.
#[test]
fn an_echo_is_nobodys_voice_at_any_delay_also_where_that_changes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/audio/bot_slt.wav");
    let bot: Vec<i16> = hound::WavReader::open(path).expect("a clip").samples().map(|s| s.expect("a sample")).collect();
    for delay in [1_233, 1_234, 1_235, 1_701] {
        let mut rig = Rig::new();
        let mut speech = bot.clone();
        for tick in 0..bot.len() / FRAME {
            rig.speak(&mut speech, true);
            // The network stumbles twice: from then on the echo comes later.
            let from = (tick * FRAME).checked_sub(delay + [0, 333, 777][(tick / 100).min(2)]);
            let heard = |i: usize| from.and_then(|from| rig.ear.heard.get(from + i)).map_or(0, |s| s / 10);
            let frame: Vec<i16> = (0..FRAME).map(heard).collect();
            rig.caller(&frame);
            if tick % 70 == 69 { rig.skip() } else { rig.tick() }
        }
        assert!(rig.line.stats().echo_ticks > 20, "{delay}: {:?}", rig.line.stats());
        let voices = rig.facts.iter().filter(|f| matches!(f, LineFact::VoiceBegan { .. })).count();
        assert_eq!(voices, 0, "{delay} samples: {:?}", rig.line.stats());
    }
}

#[test]
fn an_echoing_line_sends_back_what_it_hears_in_the_tick_in_which_it_hears_it() {
    let mut rig = Rig::new();
    let mut speech = vec![7; 20 * FRAME];
    rig.speak(&mut speech, true);
    rig.ends.orders.push(LineOrder::Echo).expect("room for an order");
    for n in 0..100i16 {
        rig.caller(&[n + 100; FRAME]);
        rig.tick();
    }
    assert_eq!(rig.tape.0, rig.tape.1, "in one and the same tick");
    assert!(rig.tape.0.iter().filter(|&&sample| sample != 0).count() > 95 * FRAME, "the caller is heard");
    assert!(!rig.ear.heard.contains(&7), "nothing else is");
    rig.ear.full = true;
    (0..5).for_each(|_| rig.tick());
    assert_eq!(
        (rig.line.stats().stalled, rig.line.stats().frames_out),
        (5, 100),
        "what finds no room is not kept for later"
    );
}

#[test]
fn a_closed_line_says_so() {
    let mut rig = Rig::new();
    let mut hiss = Noise::new(3, -40.0);
    let mut frame = [0; FRAME];
    hiss.fill(&mut frame);
    rig.caller(&frame);
    rig.tick();
    rig.ends.orders.push(LineOrder::Close).expect("room for an order");
    assert!(rig.line.tick(rig.now.plus_ms(20), &mut rig.ear, &mut rig.tape).closed);
}
