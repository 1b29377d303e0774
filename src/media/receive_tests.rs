//! The receiving half over networks that lose, delay, reorder and double, with clocks that drift: in virtual time, by seed.

use super::*;
use crate::media::codec::{Encoder, MAX_ENCODED_BYTES};
use crate::media::tone::Tone;
use crate::units::dbfs;

/// A small generator of repeatable chance.
struct Chance(u64);

impl Chance {
    /// 0 up to, but not including, `below`.
    fn draw(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below.max(1)
    }
}

/// What the way between sender and receiver does.
#[derive(Clone, Copy, Default)]
struct Way {
    lost_per_mille: u64,
    doubled_per_mille: u64,
    /// Uniform, on top of 30 ms; more than the packet's length means reordering.
    jitter_us: u64,
    /// The sender's clock is faster by this many millionths.
    drift_ppm: i64,
    /// Speech for three seconds, then pauses this long with no packets.
    pause_ms: u64,
}

struct Run {
    lost: u64,
    frames: [u64; 3],
    /// Delay of what is heard behind what is said, second by second, where both were there.
    delays_ms: Vec<i64>,
    receiver: RtpReceiver,
}

/// Plays µ-law packets of `ptime` ms for `seconds`. Every packet's samples say which packet it is.
fn play(ptime: u64, seconds: u64, way: Way, seed: u64) -> Run {
    let mut chance = Chance(seed);
    let mut arrivals: Vec<(u64, u64)> = Vec::new();
    let (mut lost, mut sequence) = (0, 0_u16);
    let mut sequences = Vec::new();
    for n in 0..seconds * 1000 / ptime {
        let media_us = n * ptime * 1000;
        let in_pause = way.pause_ms > 0 && media_us / 1000 % (3_000 + way.pause_ms) >= 3_000;
        sequences.push(sequence);
        if in_pause {
            continue;
        }
        sequence = sequence.wrapping_add(1);
        if chance.draw(1000) < way.lost_per_mille {
            lost += 1;
            continue;
        }
        let sent = 1_000_000 + media_us.saturating_add_signed(-(media_us as i64 * way.drift_ppm / 1_000_000));
        let copies = if chance.draw(1000) < way.doubled_per_mille { 2 } else { 1 };
        for _ in 0..copies {
            arrivals.push((sent + 30_000 + chance.draw(way.jitter_us), n));
        }
    }
    arrivals.sort_unstable();
    let mut receiver = RtpReceiver::new(Codec::Pcmu).unwrap();
    let (mut frames, mut delays_ms, mut next) = ([0; 3], Vec::new(), 0);
    let mut out = [0; 160];
    for tick in 0..(seconds + 1) * 50 {
        let now = Moment::from_micros(1_007_000 + tick * 20_000);
        while let Some(&(at, n)) = arrivals.get(next).filter(|(at, _)| *at <= now.as_micros()) {
            // A code of its own, loud enough to be no silence; it comes round after 256 packets.
            let code = code_of(n);
            let payload = vec![code; ptime as usize * 8];
            receiver.audio(Moment::from_micros(at), sequences[n as usize], (n * ptime * 8) as u32, &payload);
            next += 1;
        }
        let heard = receiver.frame(now, &mut out);
        frames[heard as usize] += 1;
        if tick % 50 == 49 && heard == Heard::Audio {
            delays_ms.extend(delay_ms(&out, now, ptime, way));
        }
    }
    Run { lost, frames, delays_ms, receiver }
}

fn code_of(n: u64) -> u8 {
    // Positive codes of falling size, so that neighbours are told apart after decoding.
    0x80 | (n % 100) as u8
}

/// How long ago the first sample of the frame was said, from the packet it names; `None` where a blend made it unreadable.
fn delay_ms(frame: &[i16], now: Moment, ptime: u64, way: Way) -> Option<i64> {
    let mut code = [0];
    crate::media::g711::ulaw_encode(&frame[80..81], &mut code);
    let run = frame[..=80].iter().rev().take_while(|s| **s == frame[80]).count();
    let said_us = (now.as_micros() as i64 - 1_000_000) * (1_000_000 + way.drift_ppm) / 1_000_000;
    let newest = said_us / 1000 / ptime as i64;
    let named = (0..100).map(|back| newest - back).find(|&n| n >= 0 && code_of(n as u64) == code[0])?;
    (run <= 80 || ptime >= 20).then(|| said_us / 1000 - named * ptime as i64)
}

#[test]
fn packets_of_any_length_are_played_sample_by_sample() {
    for codec in [Codec::Pcmu, Codec::Pcma] {
        for ptime in [10, 20, 30, 40, 60, 80] {
            let mut receiver = RtpReceiver::new(codec).unwrap();
            let mut decoder = Decoder::new(codec).unwrap();
            let length = ptime * 8;
            let (mut said, mut heard, mut sent) = (Vec::new(), Vec::new(), 0);
            for tick in 0..500_u64 {
                let now = Moment::from_millis(1_000 + tick * 20);
                while sent * ptime as u64 <= tick * 20 {
                    let payload: Vec<u8> = (0..length).map(|i| ((sent as usize * length + i) % 241) as u8).collect();
                    let mut samples = vec![0; length];
                    decoder.decode(&payload, &mut samples);
                    said.extend(samples);
                    let (number, at) = (65_500_u16.wrapping_add(sent as u16), u32::MAX - 1_000);
                    receiver.audio(now, number, at.wrapping_add(sent as u32 * length as u32), &payload);
                    sent += 1;
                }
                let mut frame = [0; 160];
                if receiver.frame(now, &mut frame) == Heard::Audio {
                    heard.extend(frame);
                }
            }
            let counted = receiver.jitter().counters();
            assert_eq!((counted.lost, counted.late, counted.dropped, counted.concealed_ms), (0, 0, 0, 0), "{ptime} ms");
            assert!(heard.len() > 495 * 160, "{codec:?}, {ptime} ms: {} samples", heard.len());
            // The first packet comes out of silence, into which it is blended.
            let from = heard.iter().position(|s| *s != 0).unwrap() + 160;
            let at = said.windows(400).position(|run| *run == heard[from..from + 400]).unwrap();
            assert!(at <= from + 160, "{codec:?}, {ptime} ms: begins at {at}");
            let whole = heard[from..].iter().zip(&said[at..]).all(|(heard, said)| heard == said);
            assert!(whole, "{codec:?}, {ptime} ms: not all of what was said");
        }
    }
}

#[test]
fn without_trouble_every_frame_is_played() {
    for ptime in [10, 20, 30, 40, 60] {
        let run = play(ptime, 60, Way { jitter_us: 1, ..Way::default() }, 1);
        let counters = run.receiver.jitter().counters();
        assert_eq!((counters.late, counters.lost, counters.dropped), (0, 0, 0), "{ptime} ms");
        assert!(run.frames[Heard::Audio as usize] >= 50 * 60 - 6, "{ptime} ms: {:?}", run.frames);
    }
}

#[test]
fn what_is_lost_is_concealed_and_nothing_else() {
    for seed in 0..6 {
        let run =
            play(20, 300, Way { lost_per_mille: 50, doubled_per_mille: 20, jitter_us: 5_000, ..Way::default() }, seed);
        let counters = run.receiver.jitter().counters();
        assert_eq!((counters.late, counters.dropped), (0, 0));
        // A loss at the very end is followed by nothing that would show it.
        assert!(counters.lost <= run.lost && counters.lost + 3 >= run.lost, "{} of {}", counters.lost, run.lost);
        let concealed = counters.concealed_ms / 20;
        assert!(concealed.abs_diff(run.lost) <= 60, "concealed {concealed} frames for {} lost", run.lost);
    }
}

#[test]
fn reordering_within_the_jitter_costs_nothing_once_it_is_known() {
    let way = Way { jitter_us: 60_000, doubled_per_mille: 10, ..Way::default() };
    let run = play(20, 600, way, 5);
    let counters = run.receiver.jitter().counters();
    assert!(counters.reordered > 3_000, "the way must reorder: {counters:?}");
    assert!(counters.late + counters.lost < 300, "under 1 %: {counters:?}");
    assert!((60..=100).contains(&run.receiver.jitter().target_ms()), "{} ms", run.receiver.jitter().target_ms());
}

#[test]
fn an_hour_of_drift_and_trouble_leaves_the_delay_where_it_was() {
    for (drift_ppm, pause_ms) in [(200, 0), (-200, 0), (-300, 1_500)] {
        let way = Way { lost_per_mille: 10, doubled_per_mille: 5, jitter_us: 20_000, drift_ppm, pause_ms };
        let run = play(20, 3_600, way, 77);
        let (third, counters) = (run.delays_ms.len() / 3, run.receiver.jitter().counters());
        assert!(third > 300, "delays were measured: {third}");
        let mean = |part: &[i64]| part.iter().sum::<i64>() / part.len() as i64;
        let (early, late) = (mean(&run.delays_ms[..third]), mean(&run.delays_ms[2 * third..]));
        let worst = run.delays_ms.iter().max().unwrap();
        assert!((late - early).abs() <= 15, "{drift_ppm} ppm: {early} ms became {late} ms");
        assert!(*worst <= 30 + 20 + 20 + 60 + 20 + 20, "{drift_ppm} ppm: {worst} ms at worst; {counters:?}");
        let share = (counters.late + counters.dropped) as f64 / counters.received as f64;
        assert!(share < 0.02, "{drift_ppm} ppm: {counters:?}");
    }
}

#[test]
fn time_does_not_collapse_in_pauses() {
    let run = play(20, 600, Way { jitter_us: 10_000, pause_ms: 2_000, ..Way::default() }, 3);
    let counters = run.receiver.jitter().counters();
    assert_eq!((counters.lost, counters.late), (0, 0));
    let spoken = 600 * 50 * 3 / 5;
    let (audio, rest) = (run.frames[0], run.frames[1] + run.frames[2]);
    assert!(audio.abs_diff(spoken) <= 150, "{audio} frames of audio, {spoken} were sent");
    assert_eq!(audio + rest, 601 * 50);
}

#[test]
fn a_tone_with_five_per_cent_lost_is_nearer_to_the_truth_than_with_holes() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722] {
        let rate = codec.rate();
        let frames: Vec<Vec<i16>> = Tone::new(rate, &[330.0], 10_000)
            .take_ms(8_000)
            .chunks_exact(rate.frame_samples())
            .map(<[i16]>::to_vec)
            .collect();
        // With and without loss through the same codec; what is missing in the one is told by the other.
        let heard = |lose: bool| {
            let (mut encoder, mut receiver) = (Encoder::new(codec).unwrap(), RtpReceiver::new(codec).unwrap());
            let mut all = Vec::new();
            let mut bytes = [0; MAX_ENCODED_BYTES];
            for (n, frame) in frames.iter().enumerate() {
                let now = Moment::from_millis(1_000 + n as u64 * 20);
                let length = encoder.encode(frame, &mut bytes);
                if !(lose && n % 20 == 13) {
                    receiver.audio(now, n as u16, n as u32 * codec.frame_ticks(), &bytes[..length]);
                }
                let mut out = vec![0; rate.frame_samples()];
                let what = receiver.frame(now, &mut out);
                all.push((what, out));
            }
            all
        };
        let (whole, lossy) = (heard(false), heard(true));
        let (mut by_concealment, mut by_silence) = (0.0, 0.0);
        for ((_, truth), (what, got)) in whole.iter().zip(&lossy) {
            let off = |a: i16, b: i16| (f64::from(a) - f64::from(b)).powi(2);
            by_concealment += truth.iter().zip(got).map(|(&a, &b)| off(a, b)).sum::<f64>();
            let silenced = if *what == Heard::Concealed { 0.0 } else { 1.0 };
            by_silence += truth.iter().map(|&a| off(a, (f64::from(a) * silenced) as i16)).sum::<f64>();
        }
        assert!(by_concealment * 4.0 < by_silence, "{codec:?}: {by_concealment:.0} against {by_silence:.0}");
    }
}

#[test]
fn opus_repairs_and_bytes_that_are_none_are_concealed() {
    let mut encoder = Encoder::new(Codec::Opus).unwrap();
    encoder.expect_loss(10);
    let mut receiver = RtpReceiver::new(Codec::Opus).unwrap();
    let mut tone = Tone::new(Codec::Opus.rate(), &[300.0, 600.0], 8_000);
    let (mut frame, mut out, mut bytes) = ([0; 320], [0; 320], [0; MAX_ENCODED_BYTES]);
    let mut levels = Vec::new();
    for n in 0..60_u16 {
        let now = Moment::from_millis(1_000 + u64::from(n) * 20);
        tone.fill(&mut frame);
        let length = encoder.encode(&frame, &mut bytes);
        match n {
            30 => {}
            // A head that promises 20 ms with noise behind it, and one that promises nothing.
            40 => receiver.audio(now, n, u32::from(n) * 960, &[0x4b, 1]),
            50 => receiver.audio(now, n, u32::from(n) * 960, &[0x4b]),
            _ => receiver.audio(now, n, u32::from(n) * 960, &bytes[..length]),
        }
        let heard = receiver.frame(now, &mut out);
        levels.push((heard, dbfs(&out)));
    }
    assert_eq!(levels[31].0, Heard::Concealed);
    assert!(levels[10..40].iter().all(|(_, level)| *level > -25.0), "{levels:?}");
    assert_eq!(receiver.jitter().counters().lost, 1);
}

#[test]
fn comfort_noise_is_silence() {
    let mut receiver = RtpReceiver::new(Codec::Pcmu).unwrap();
    let mut out = [0; 160];
    for n in 0..40_u16 {
        let now = Moment::from_millis(1_000 + u64::from(n) * 20);
        match n {
            0..10 => receiver.audio(now, n, u32::from(n) * 160, &[0x90; 160]),
            10 | 20 | 30 => receiver.comfort_noise(now, 9 + n / 10, u32::from(n) * 160),
            _ => {}
        }
        let heard = receiver.frame(now, &mut out);
        if n > 11 {
            assert_eq!((heard, out), (Heard::Silence, [0; 160]), "tick {n}");
        }
    }
    assert_eq!(receiver.jitter().counters().lost, 0);
    assert_eq!(receiver.jitter().counters().concealed_ms, 0);
}
