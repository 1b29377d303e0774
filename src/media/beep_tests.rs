//! What is a beep, on clean lines and bad ones, and what is not: speech, singing, keys, everything a network or a fax sends.

use proptest::prelude::*;

use super::*;
use crate::media::clips::{BOTS, CALLERS, clip};
use crate::media::{Noise, Tone, VoiceDetector, VoiceTables, convert, ulaw_decode, ulaw_encode};
use crate::units::dbfs;

const NARROW: SampleRate = SampleRate::NARROW;

/// Every tone that the detector finds in `samples`, with the voice detector's opinion beside it as on a line.
fn tones(samples: &[i16], rate: SampleRate) -> Vec<LineTone> {
    let mut vad = VoiceDetector::new(&VoiceTables::new());
    let wide = convert(samples, rate, SampleRate::WIDE).unwrap();
    let voiced: Vec<bool> = wide.chunks(320).map(|frame| vad.push(frame).voiced).collect();
    let mut beep = BeepDetector::new(rate);
    samples
        .chunks_exact(rate.frame_samples())
        .enumerate()
        .filter_map(|(i, frame)| beep.push(frame, voiced.get(i).copied().unwrap_or(false)))
        .collect()
}

fn kinds(samples: &[i16]) -> Vec<ToneKind> {
    tones(samples, NARROW).into_iter().map(|tone| tone.kind).collect()
}

fn silence(ms: u64) -> Vec<i16> {
    vec![0; NARROW.samples_in(ms) as usize]
}

/// A greeting of two seconds.
fn greeting() -> Vec<i16> {
    clip("bot_slt")[4_000..20_000].to_vec()
}

fn tone(hz: &[f64], amplitude: i16, ms: u64) -> Vec<i16> {
    Tone::new(NARROW, hz, amplitude).take_ms(ms)
}

fn through_mulaw(samples: &[i16]) -> Vec<i16> {
    let (mut coded, mut back) = (vec![0; samples.len()], vec![0; samples.len()]);
    ulaw_encode(samples, &mut coded);
    ulaw_decode(&coded, &mut back);
    back
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    /// Wherever it falls among the frames, at whatever pitch and level, clean or 15 dB above noise, after a codec.
    #[test]
    fn a_beep_is_found(
        hz in 400.0..2_500.0_f64,
        ms in 120_u64..1_950,
        level in 800_i16..20_000,
        shift in 0_usize..160,
        noisy in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let mut samples = greeting();
        samples.truncate(samples.len() - shift);
        samples.extend(silence(100));
        let before_ms = NARROW.ms_of(samples.len() as u64);
        let beep = tone(&[hz], level, ms);
        let noise_db = dbfs(&beep) - 15.0;
        samples.extend(beep);
        samples.extend(silence(300));
        if noisy {
            Noise::new(seed, noise_db).add_to(&mut samples);
        }
        let found = tones(&through_mulaw(&samples), NARROW);
        prop_assert_eq!(found.len(), 1, "{} Hz, {} ms: {:?}", hz, ms, &found);
        prop_assert_eq!(found[0].kind, ToneKind::Beep);
        prop_assert!((f64::from(found[0].hz) - hz).abs() < 8.0, "{hz}: {:?}", found[0]);
        prop_assert!(found[0].lasted_ms as u64 <= ms + 40 && found[0].lasted_ms as u64 + 60 >= ms, "{ms}: {:?}", found[0]);
        prop_assert!(found[0].ago_ms <= 100 && before_ms > 1_800);
    }

    /// No beep is made of two tones, however unequal a keypad may send them.
    #[test]
    fn a_key_is_no_beep(
        low in proptest::sample::select(vec![697.0, 770.0, 852.0, 941.0]),
        high in proptest::sample::select(vec![1_209.0, 1_336.0, 1_477.0, 1_633.0]),
        twist_db in -8.0..4.0_f64,
        ms in 60_u64..500,
    ) {
        let mut low = tone(&[low], 6_000, ms);
        let high = tone(&[high], (6_000.0 * 10.0_f64.powf(-twist_db / 20.0)) as i16, ms);
        low.iter_mut().zip(&high).for_each(|(a, b)| *a = a.saturating_add(*b));
        let mut samples = greeting();
        samples.extend(low);
        samples.extend(silence(300));
        prop_assert_eq!(kinds(&samples), []);
    }

    #[test]
    fn noise_is_no_beep(seed in any::<u64>(), level in -40.0..-5.0_f32) {
        let mut samples = silence(4_000);
        Noise::new(seed, level).fill(&mut samples);
        prop_assert_eq!(kinds(&samples), []);
    }
}

#[test]
fn at_every_rate_of_a_leg_a_beep_has_its_pitch() {
    for rate in [SampleRate::NARROW, SampleRate::WIDE, SampleRate::STUDIO] {
        let mut samples = Tone::new(rate, &[1_000.0], 5_000).take_ms(400);
        samples.extend(vec![0; rate.samples_in(200) as usize]);
        let found = tones(&samples, rate);
        assert_eq!(found.len(), 1, "{rate:?}");
        assert_eq!((found[0].kind, found[0].hz, found[0].lasted_ms), (ToneKind::Beep, 1_000, 400), "{rate:?}");
    }
}

#[test]
fn speech_is_no_beep_at_any_pitch_or_level() {
    for name in BOTS.into_iter().chain(CALLERS) {
        let clip = clip(name);
        // Played faster, a voice is higher: down to a man's, up to a child's.
        for pace_hz in [6_000, 8_000, 10_000, 13_000] {
            let played = convert(&clip, SampleRate::new(pace_hz).unwrap(), NARROW);
            let Ok(played) = played else { continue };
            assert_eq!(kinds(&played), [], "{name} at {pace_hz}");
            assert_eq!(kinds(&through_mulaw(&played)), [], "{name} at {pace_hz}, coded");
        }
    }
}

#[test]
fn a_sung_vowel_is_no_beep() {
    // Harmonics through the formants of "ah", "oo" and "ee": steady, but never one line.
    for formants in [[730.0, 1_090.0], [300.0, 870.0], [270.0, 2_290.0]] {
        for f0 in [110.0, 220.0, 330.0, 440.0] {
            let mut sung = silence(1_000);
            for n in 1..12 {
                let hz = f0 * f64::from(n);
                let near: f64 = formants.iter().map(|f: &f64| 1.0 / (1.0 + ((hz - f) / 90.0).powi(2))).sum();
                let part = tone(&[hz], (9_000.0 * (near + 0.05) / f64::from(n)) as i16, 1_000);
                sung.iter_mut().zip(&part).for_each(|(a, b)| *a = a.saturating_add(*b));
            }
            sung.extend(silence(200));
            assert_eq!(kinds(&sung), [], "{f0} Hz, {formants:?}");
        }
    }
}

#[test]
fn what_networks_and_faxes_send_has_other_names() {
    use ToneKind::{Fax, Melody, Progress, Steady};
    let on_off = |hz: &[f64], cadence| Tone::new(NARROW, hz, 5_000).with_cadence(cadence).take_ms(12_000);
    for (what, samples, expected) in [
        ("ringing, India", Tone::ringback_in(NARROW, 5_000).take_ms(12_000), vec![]),
        ("ringing, North America", Tone::ringback_us(NARROW, 5_000).take_ms(12_000), vec![]),
        ("ringing, Europe", on_off(&[425.0], [1_000, 4_000, 0, 0]), vec![Progress; 3]),
        ("busy, North America", on_off(&[480.0, 620.0], [500, 500, 0, 0]), vec![]),
        ("busy, Europe", on_off(&[425.0], [500, 500, 0, 0]), vec![Progress; 12]),
        ("congestion, Europe", on_off(&[425.0], [250, 250, 0, 0]), vec![Progress; 24]),
        ("a fax that calls", on_off(&[1_100.0], [500, 3_000, 0, 0]), vec![Fax, Progress, Progress, Progress]),
        ("a fax that answers", [tone(&[2_100.0], 5_000, 3_300), silence(500)].concat(), vec![Steady]),
        ("a dialling tone", [tone(&[350.0, 440.0], 5_000, 5_000), silence(500)].concat(), vec![]),
        (
            "number not in service",
            [tone(&[950.0], 5_000, 330), tone(&[1_400.0], 5_000, 330), tone(&[1_800.0], 5_000, 330), silence(500)]
                .concat(),
            vec![Melody],
        ),
        ("a chime", [tone(&[660.0], 5_000, 400), tone(&[520.0], 5_000, 400), silence(500)].concat(), vec![Melody]),
    ] {
        assert_eq!(kinds(&samples), expected, "{what}");
    }
}

#[test]
fn a_low_tone_is_a_beep_only_after_speech() {
    let low = [tone(&[440.0], 5_000, 400), silence(300)].concat();
    assert_eq!(kinds(&low), [ToneKind::Progress]);
    assert_eq!(kinds(&[greeting(), silence(200), low].concat()), [ToneKind::Beep]);
}

#[test]
fn what_is_too_short_or_too_faint_is_nothing() {
    let after = |beep: Vec<i16>| [greeting(), silence(100), beep, silence(300)].concat();
    assert_eq!(kinds(&after(tone(&[1_000.0], 5_000, 70))), []);
    assert_eq!(kinds(&after(tone(&[1_000.0], 200, 500))), []);
    assert_eq!(kinds(&after(tone(&[1_000.0], 5_000, 2_200))), [ToneKind::Steady]);
}
