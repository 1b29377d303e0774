//! The detector on speech, noise, ringing tones, music and coughs: what share of each it calls voice.

use super::*;
use crate::media::clips::{BOTS, CALLERS, spoken, wide};
use crate::media::level::{factor, gain};
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

#[test]
fn probe() {
    for name in BOTS.into_iter().chain(CALLERS) {
        for (db, snr) in [(0.0, 99.0), (-20.0, 99.0), (0.0, 20.0), (0.0, 10.0)] {
            let mut samples = wide(name);
            let truth = spoken(&samples, SampleRate::WIDE);
            let level = dbfs(&samples);
            gain(&mut samples, factor(db));
            let nl = level + db - snr;
            let mut lead = noise(nl, 2);
            if nl > -90.0 { Noise::new(3, nl).add_to(&mut samples); }
            let lead_frames = lead.len() / FRAME;
            lead.extend(&samples);
            let mut d = VoiceDetector::new();
            let v = verdicts(&mut d, &lead);
            let hits: Vec<bool> = truth.iter().zip(&v[lead_frames..]).filter(|(t, _)| **t).map(|(_, v)| *v).collect();
            let first = truth.iter().position(|&t| t).unwrap();
            let firstv = v[lead_frames..].iter().position(|&t| t).unwrap();
            println!("{name} {db} snr {snr}: recall {:.3} lead false {:.3} onset {first} detected {firstv} gate {:?}", share(&hits), share(&v[..lead_frames]), d.gate());
            let mut tail = vec![]; tail.extend(noise(nl, 1));
            let v = verdicts(&mut d, &tail);
            println!("   tail: {:?} last true {:?}", share(&v), v.iter().rposition(|&x| x));
        }
    }
    for level in [-70.0, -50.0, -40.0, -30.0, -20.0, -10.0] {
        let mut d = VoiceDetector::new();
        println!("noise {level}: {:.4} gate {:?} floor {}", share(&verdicts(&mut d, &noise(level, 10))), d.gate(), d.floor_dbfs());
    }
    for amp in [300, 3000, 10000] {
        let mut d = VoiceDetector::new();
        let t = Tone::ringback_in(SampleRate::WIDE, amp).take_ms(12_000);
        let v = verdicts(&mut d, &t);
        let mut e = VoiceEdges::new(EdgeConfig::default());
        let mut d2 = VoiceDetector::new();
        let edges = t.chunks(FRAME).filter_map(|f| e.push(d2.push(f))).filter(|e| matches!(e, Edge::Began{..})).count();
        println!("ring in {amp}: {:.4} began {edges} {:?}", share(&v), d.gate());
        let mut d = VoiceDetector::new();
        println!("ring us {amp}: {:.4}", share(&verdicts(&mut d, &Tone::ringback_us(SampleRate::WIDE, amp).take_ms(12_000))));
        let mut d = VoiceDetector::new();
        println!("chord {amp}: {:.4}", share(&verdicts(&mut d, &Tone::new(SampleRate::WIDE, &[261.6, 329.6, 392.0, 523.2], amp/2).take_ms(12_000))));
        let mut d = VoiceDetector::new();
        println!("dtmf {amp}: {:.4}", share(&verdicts(&mut d, &Tone::new(SampleRate::WIDE, &[770., 1336.], amp).with_cadence([100,100,0,0]).take_ms(12_000))));
    }
    for level in [-40.0, -25.0, -12.0] {
        for burst_ms in [30, 60, 120] {
            let mut d = VoiceDetector::new();
            let mut e = VoiceEdges::new(EdgeConfig::default());
            let mut began = 0; let mut s = noise(-60.0, 10);
            for at in (8000..s.len() - 8000).step_by(8000) { Noise::new(at as u64, level).add_to(&mut s[at..at + burst_ms * 16]); }
            let v: Vec<bool> = s.chunks(FRAME).map(|f| { let f = d.push(f); began += usize::from(matches!(e.push(f), Some(Edge::Began{..}))); f.voiced }).collect();
            println!("cough {level} {burst_ms}: {:.4} began {began} of 18", share(&v));
        }
    }
}
