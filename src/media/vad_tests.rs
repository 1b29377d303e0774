//! The detector on speech, noise, ringing tones, music and coughs: what share of each it calls voice.

use super::*;
use crate::media::clips::{BOTS, CALLERS, spoken, wide};
use crate::media::level::{factor, gain};
use crate::media::resample::Resampler;
use crate::media::tone::{Noise, Tone};
use crate::media::vad_edges::{Edge, EdgeConfig, VoiceEdges};
use crate::units::SampleRate;

const FRAME: usize = 320;

fn verdicts(detector: &mut VoiceDetector, samples: &[i16]) -> Vec<bool> {
    samples.chunks(FRAME).map(|frame| detector.push(frame).voiced).collect()
}

fn share(verdicts: &[bool]) -> f32 {
    verdicts.iter().filter(|&&v| v).count() as f32 / verdicts.len().max(1) as f32
}

fn noise(level: f32, seconds: usize) -> Vec<i16> {
    let mut samples = vec![0; seconds * 16_000];
    if level > -99.0 {
        Noise::new(11, level).fill(&mut samples);
    }
    samples
}

/// The verdicts on a clip at this level, `snr` dB over white noise that was there two seconds before and stays one second
/// after it: before, during (the spoken frames alone), after.
fn on_speech(name: &str, change_db: f32, snr: f32) -> [Vec<bool>; 3] {
    let mut speech = wide(name);
    let truth = spoken(&speech, SampleRate::WIDE);
    gain(&mut speech, factor(change_db));
    let hiss = dbfs(&speech) - snr;
    let mut line = vec![0; 2 * 16_000];
    line.extend_from_slice(&speech);
    line.resize(line.len() + 16_000, 0);
    Noise::new(3, hiss).add_to(&mut line);
    let all = verdicts(&mut VoiceDetector::new(&VoiceTables::new()), &line);
    let during = truth.iter().zip(&all[100..]).filter(|(spoken, _)| **spoken).map(|(_, v)| *v).collect();
    [all[..100].to_vec(), during, all[100 + truth.len()..].to_vec()]
}

fn began(samples: &[i16]) -> usize {
    let (mut detector, mut edges) = (VoiceDetector::new(&VoiceTables::new()), VoiceEdges::new(EdgeConfig::default()));
    let edge = |frame| edges.push(detector.push(frame));
    samples.chunks(FRAME).filter_map(edge).filter(|edge| matches!(edge, Edge::Began { .. })).count()
}

#[test]
fn the_network_says_what_it_says_behind_its_crates_own_front() {
    let (mut hops, mut others, mut worst) = (0, 0, 0.0_f32);
    for name in BOTS.into_iter().chain(CALLERS) {
        for snr in [60.0, 15.0] {
            let mut speech = wide(name);
            Noise::new(5, dbfs(&speech) - snr).add_to(&mut speech);
            let (mut ours, mut theirs) = (Net::new(&VoiceTables::new()), earshot::Detector::default());
            for hop in speech.as_chunks::<HOP>().0 {
                let (our, their) = (ours.predict(hop), theirs.predict_i16(hop));
                worst = worst.max((our - their).abs());
                others += usize::from((our >= VOICED) != (their >= VOICED));
                hops += 1;
            }
        }
    }
    println!("{hops} hops, {others} other verdicts, {worst} apart at most");
    assert!(hops > 1_000 && others == 0 && worst < 0.005, "{others} of {hops}, {worst}");
}

#[test]
fn speech_is_found_loud_and_soft_clean_and_noisy() {
    let (mut found, mut clips) = (0.0, 0.0);
    for name in BOTS.into_iter().chain(CALLERS) {
        for (change_db, snr, bar) in [(0.0, 60.0, 0.94), (-20.0, 40.0, 0.88), (0.0, 20.0, 0.88), (0.0, 10.0, 0.84)] {
            let [before, during, after] = on_speech(name, change_db, snr);
            let recall = share(&during);
            println!("{name} {change_db} dB, {snr} dB over noise: {recall:.3}");
            assert!(recall >= bar, "{name} {change_db} dB, {snr} dB over noise: {recall:.3}");
            assert!(share(&before) <= 0.02, "{name} {snr}: noise before");
            assert!(!after[20..].contains(&true), "{name} {snr}: voice 400 ms after the last word");
            (found, clips) = (found + recall, clips + 1.0);
        }
    }
    assert!(found / clips >= 0.95, "mean {:.3}", found / clips);
}

#[test]
fn noise_is_no_voice_from_its_first_frame_and_the_net_soon_rests() {
    for level in [-100.0, -70.0, -60.0, -50.0, -40.0, -30.0, -20.0, -10.0] {
        let mut detector = VoiceDetector::new(&VoiceTables::new());
        let false_share = share(&verdicts(&mut detector, &noise(level, 10)));
        let GateCount { hops, skipped } = detector.gate();
        assert!(false_share <= 0.02, "{level} dBFS: {false_share}");
        assert_eq!(hops, 625);
        assert!(skipped >= 500, "{level} dBFS: {skipped} of {hops} skipped");
    }
}

/// On a narrow line noise is only half as wide as the band that the network knows: it took its onset for voice, for as long as
/// it took to find it steady.
#[test]
fn noise_that_sets_in_on_a_narrow_line_begins_no_speech() {
    for level in [-55.0, -45.0, -35.0, -25.0] {
        for silent_frames in [0, 2, 20, 60] {
            let mut line = vec![0; (silent_frames + 100) * 160];
            Noise::new(7, level).fill(&mut line[silent_frames * 160..]);
            let mut up = Resampler::new(SampleRate::NARROW, SampleRate::WIDE).unwrap();
            let mut wide = Vec::new();
            for frame in line.chunks(160) {
                let mut out = [0; FRAME + 8];
                let count = up.process(frame, &mut out);
                wide.extend_from_slice(&out[..count]);
            }
            assert_eq!(began(&wide), 0, "{level} dBFS after {silent_frames} frames");
        }
    }
}

#[test]
fn lost_frames_do_not_make_noise_a_voice() {
    for level in [-50.0, -35.0, -20.0] {
        let mut line = noise(level, 20);
        for (at, frame) in line.chunks_mut(FRAME).enumerate() {
            if at % 47 == 40 {
                frame.fill(0);
            }
        }
        assert_eq!(began(&line), 0, "{level} dBFS");
    }
}

#[test]
fn the_gate_loses_no_speech() {
    for name in BOTS.into_iter().chain(CALLERS) {
        let mut line = noise(-55.0, 3);
        line.extend(wide(name));
        let mut net = Net::new(&VoiceTables::new());
        let bare: Vec<f32> = line.as_chunks::<HOP>().0.iter().map(|hop| net.predict(hop)).collect();
        let mut gated = VoiceDetector::new(&VoiceTables::new());
        let behind: Vec<f32> = line.chunks_exact(HOP).map(|hop| gated.push(hop).probability).collect();
        assert!(gated.gate().skipped > 100, "{name}: the gate never closed");
        let speech = 3 * 16_000 / HOP..;
        let pairs = || bare[speech.clone()].iter().zip(&behind[speech.clone()]);
        let lost = pairs().filter(|(bare, behind)| **bare >= VOICED && **behind < VOICED).count();
        assert!(lost * 100 <= 3 * pairs().count(), "{name}: {lost} of {} hops lost", pairs().count());
    }
}

/// How far the gated detector is from the bare network over the first hops after the gate opened, on average.
#[test]
fn the_network_meets_the_first_word_with_its_true_past() {
    let (mut apart, mut hops) = (0.0, 0.0);
    for name in BOTS.into_iter().chain(CALLERS) {
        for silence_ms in [2000, 2005, 2010] {
            let mut line = noise(-45.0, 3)[..silence_ms * 16].to_vec();
            let mut speech = wide(name);
            Noise::new(17, -45.0).add_to(&mut speech);
            line.extend(speech);
            let (mut bare, mut gated) =
                (VoiceDetector::new(&VoiceTables::new()), VoiceDetector::new(&VoiceTables::new()));
            let mut since_open = None;
            for hop in line.as_chunks::<HOP>().0 {
                let true_verdict = bare.net.predict(hop);
                let skipped = gated.gate().skipped;
                let verdict = gated.push(hop).probability;
                match (gated.gate().skipped > skipped, &mut since_open) {
                    (true, open) => *open = Some(0),
                    (false, Some(n @ 0..6)) => {
                        *n += 1;
                        apart += (true_verdict - verdict).abs();
                        hops += 1.0;
                    }
                    _ => {}
                }
            }
        }
    }
    println!("{:.4} apart over {hops} hops", apart / hops);
    assert!(hops > 60.0 && apart / hops < 0.01, "{:.3} apart over {hops} hops", apart / hops);
}

#[test]
fn steady_sounds_are_no_voice_after_a_second() {
    for amplitude in [1500, 5000] {
        for hz in [&[425.0][..], &[440.0, 480.0], &[350.0, 440.0], &[261.6, 329.6, 392.0, 523.2]] {
            let heard = verdicts(
                &mut VoiceDetector::new(&VoiceTables::new()),
                &Tone::new(SampleRate::WIDE, hz, amplitude).take_ms(4000),
            );
            assert!(!heard[60..].contains(&true), "{hz:?} at {amplitude}");
        }
    }
}

/// Not wanted, but so: a fast cadence of tones is taken for speech. Whoever dials a leg out must not listen before answer.
#[test]
fn indian_ringing_tone_is_taken_for_speech() {
    let ring = Tone::ringback_in(SampleRate::WIDE, 3000).take_ms(12_000);
    assert!((4..=8).contains(&began(&ring)), "{} beginnings in four rounds", began(&ring));
}

#[test]
fn coughs_and_knocks_seldom_begin_speech() {
    let mut beginnings = 0;
    for level in [-40.0, -25.0, -12.0] {
        for burst in [30, 60, 120_usize].map(|ms| ms * 16) {
            let mut line = noise(-60.0, 10);
            for at in (8000..line.len() - 8000).step_by(8000) {
                Noise::new(at as u64, level).add_to(&mut line[at..at + burst]);
            }
            beginnings += began(&line);
        }
    }
    // Of 162 bursts; those that do are the loudest and longest.
    assert!(beginnings <= 4, "{beginnings} beginnings");
}

#[test]
fn a_gap_is_silence_and_ends_speech() {
    let speech = wide(CALLERS[0]);
    let (mut detector, mut edges) = (VoiceDetector::new(&VoiceTables::new()), VoiceEdges::new(EdgeConfig::default()));
    for frame in speech[..16_000].chunks(FRAME) {
        edges.push(detector.push(frame));
    }
    assert!(edges.speaking());
    let ceased = (0..25).find_map(|i| Some((i, edges.push(detector.gap())?)));
    assert!(matches!(ceased, Some((_, Edge::Ceased { ago_ms: 100 }))), "{ceased:?}");
}

#[test]
fn a_gap_teaches_the_floor_nothing() {
    let mut detector = VoiceDetector::new(&VoiceTables::new());
    verdicts(&mut detector, &noise(-35.0, 5));
    let floor = detector.floor_dbfs();
    assert!((floor + 35.0).abs() < 1.0, "{floor}");
    for _ in 0..50 {
        detector.gap();
    }
    // A hop that ends in made-up silence counts as made up, the one after it is real again.
    assert!((detector.floor_dbfs() - floor).abs() < 0.01, "{}", detector.floor_dbfs());
}

#[test]
fn frames_of_any_length_are_cut_into_hops() {
    let mut detector = VoiceDetector::new(&VoiceTables::new());
    let speech = wide(CALLERS[2]);
    let mut whole = VoiceDetector::new(&VoiceTables::new());
    let at_once = whole.push(&speech).probability;
    let in_pieces = speech.chunks(77).map(|piece| detector.push(piece).probability).fold(0.0, f32::max);
    assert_eq!(detector.gate(), whole.gate());
    assert!((at_once - in_pieces).abs() < 1e-6);
    assert_eq!(detector.push(&[]).probability.to_bits(), detector.push(&[]).probability.to_bits());
}
