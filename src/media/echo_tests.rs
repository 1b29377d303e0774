//! The guard on synthetic speech: the bot's echo at every level and delay, other speakers, and both at once.

use super::*;
use crate::media::clips::{BOTS, CALLERS, clip};
use crate::media::g711::{ulaw_decode, ulaw_encode};
use crate::media::level::{factor, gain, mix};
use crate::media::resample_any::convert;
use crate::media::tone::Noise;
use crate::units::dbfs;

const FRAME: usize = 160;

fn echo_of(bot: &[i16], delay_ms: usize, db: f32) -> Vec<i16> {
    delayed(bot, delay_ms * 8, db)
}

/// The same, later by so many samples of a narrow line.
fn delayed(bot: &[i16], delay: usize, db: f32) -> Vec<i16> {
    let mut echo = vec![0; delay];
    echo.extend_from_slice(bot);
    echo.truncate(bot.len());
    gain(&mut echo, factor(db));
    echo
}

fn through_ulaw(samples: &mut [i16]) {
    let mut codes = vec![0; samples.len()];
    ulaw_encode(samples, &mut codes);
    ulaw_decode(&codes, samples);
}

/// One question put to the guard, and the levels of the last 200 ms of caller and echo.
struct Asked {
    similarity: f32,
    is_echo: bool,
    voice_dbfs: f32,
    echo_dbfs: f32,
}

/// Asks after every 40 ms in which the line was loud enough that a voice detector would: within 12 dB of its loudest.
fn ask(rate: SampleRate, bot: &[i16], echo: &[i16], voice: &[i16], spoil: impl Fn(&mut [i16])) -> Vec<Asked> {
    let frame = rate.frame_samples();
    let mut line = echo.to_vec();
    line.resize(echo.len().max(voice.len()), 0);
    mix(&mut line, voice);
    spoil(&mut line);
    let loudest = line.chunks(10 * frame).map(dbfs).fold(-100.0, f32::max);
    let mut guard = EchoGuard::new(rate);
    let mut asked = Vec::new();
    for end in (frame..=line.len()).step_by(frame) {
        let window = end.saturating_sub(10 * frame)..end;
        guard.played(bot.get(end - frame..end).unwrap_or(&vec![0; frame]));
        guard.heard(&line[end - frame..end]);
        let level_of = |samples: &[i16]| samples.get(window.clone()).map_or(-100.0, dbfs);
        if end >= 10 * frame && (end / frame).is_multiple_of(2) && dbfs(&line[window.clone()]) > loudest - 12.0 {
            asked.push(Asked {
                similarity: guard.similarity(),
                is_echo: guard.is_echo(),
                voice_dbfs: level_of(voice),
                echo_dbfs: level_of(echo),
            });
        }
    }
    asked
}

fn worst(asked: &[Asked]) -> f32 {
    asked.iter().map(|a| a.similarity).fold(1.0, f32::min)
}

fn best(asked: &[Asked]) -> f32 {
    asked.iter().map(|a| a.similarity).fold(0.0, f32::max)
}

#[test]
fn the_bots_own_voice_is_an_echo_at_any_delay_and_level() {
    for bot in BOTS {
        let played = clip(bot);
        for delay_ms in [0, 20, 63, 150, 277, 400] {
            for db in [-10.0, -20.0, -30.0] {
                let echo = echo_of(&played, delay_ms, db);
                let asked = ask(SampleRate::NARROW, &played, &echo, &[], |_| {});
                assert!(asked.len() > 40 && worst(&asked) > 0.95, "{bot} {delay_ms} ms {db} dB: {}", worst(&asked));
                let hiss = dbfs(&echo) - 15.0;
                let asked = ask(SampleRate::NARROW, &played, &echo, &[], |line| {
                    Noise::new(5, hiss).add_to(line);
                    through_ulaw(line);
                });
                assert!(asked.iter().all(|a| a.is_echo), "{bot} {delay_ms} ms {db} dB, noisy: {}", worst(&asked));
            }
        }
    }
}

/// A telephone line owes nobody a delay of whole milliseconds.
#[test]
fn an_echo_may_come_back_between_two_samples_of_the_comparison() {
    for bot in BOTS {
        let played = clip(bot);
        for delay in 1_200..1_204 {
            let echo = delayed(&played, delay, -20.0);
            let asked = ask(SampleRate::NARROW, &played, &echo, &[], |line| {
                Noise::new(5, dbfs(&echo) - 15.0).add_to(line);
                through_ulaw(line);
            });
            println!("{bot} {delay} samples: {:.3}", worst(&asked));
            assert!(asked.len() > 40 && asked.iter().all(|a| a.is_echo), "{bot} {delay} samples: {}", worst(&asked));
        }
    }
}

#[test]
fn an_echo_with_a_reflection_is_an_echo() {
    let played = clip(BOTS[0]);
    let mut echo = echo_of(&played, 120, -15.0);
    mix(&mut echo, &echo_of(&played, 133, -22.0));
    let asked = ask(SampleRate::NARROW, &played, &echo, &[], |_| {});
    assert!(asked.iter().all(|a| a.is_echo), "{}", worst(&asked));
}

#[test]
fn another_speaker_is_no_echo_while_the_bot_speaks() {
    for bot in BOTS {
        for caller in CALLERS.into_iter().chain(BOTS).filter(|caller| *caller != bot) {
            let asked = ask(SampleRate::NARROW, &clip(bot), &[], &clip(caller), through_ulaw);
            assert!(asked.len() > 40 && !asked.iter().any(|a| a.is_echo), "{bot}, {caller}: {}", best(&asked));
        }
    }
}

#[test]
fn a_caller_louder_than_the_echo_beneath_is_no_echo() {
    for bot in BOTS {
        for caller in CALLERS {
            let (played, voice) = (clip(bot), clip(caller));
            let echo = echo_of(&played, 150, -6.0);
            let asked = ask(SampleRate::NARROW, &played, &echo, &voice, through_ulaw);
            let louder: Vec<Asked> = asked.into_iter().filter(|a| a.voice_dbfs > a.echo_dbfs + 3.0).collect();
            assert!(louder.len() >= 10, "{bot}, {caller}: {} questions", louder.len());
            assert!(!louder.iter().any(|a| a.is_echo), "{bot}, {caller}: {}", best(&louder));
        }
    }
}

#[test]
fn wide_legs_are_guarded_too() {
    for rate in [SampleRate::WIDE, SampleRate::STUDIO] {
        let wide = |name| convert(&clip(name), SampleRate::NARROW, rate).unwrap();
        let played = wide(BOTS[0]);
        let mut echo = vec![0; rate.samples_in(150) as usize];
        echo.extend_from_slice(&played);
        gain(&mut echo, factor(-20.0));
        assert!(worst(&ask(rate, &played, &echo, &[], |_| {})) > 0.95);
        assert!(best(&ask(rate, &played, &[], &wide(CALLERS[0]), |_| {})) < 0.7);
    }
}

#[test]
fn silence_on_either_side_is_like_nothing() {
    let played = clip(BOTS[0]);
    let silence = vec![0; played.len()];
    let mut guard = EchoGuard::new(SampleRate::NARROW);
    assert!(guard.similarity() <= 0.0);
    guard.heard(&played[..FRAME * 20]);
    assert!(guard.similarity() <= 0.0, "nothing was played");
    guard.played(&played[..FRAME * 20]);
    assert!(guard.is_echo());
    guard.heard(&silence[..FRAME * 20]);
    assert!(guard.similarity() <= 0.0, "nothing was heard");
    guard.heard(&played[..FRAME * 20]);
    guard.reset();
    assert!(guard.similarity() <= 0.0);
}
