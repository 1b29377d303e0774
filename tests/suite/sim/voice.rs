//! Voices of the simulation: recorded speech for the caller and the bot, a cough, an echo. Deterministic.

use std::sync::{Arc, OnceLock};

use voicefleet::units::UtteranceId;

fn clip(name: &str) -> Vec<i16> {
    let path = format!("{}/fixtures/audio/{name}.wav", env!("CARGO_MANIFEST_DIR"));
    let mut reader = hound::WavReader::open(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    reader.samples::<i16>().map(|s| s.expect("a whole fixture")).collect()
}

/// A clip without its silent parts, so that every stretch of it is voiced.
fn voiced(name: &str) -> Vec<i16> {
    let all = clip(name);
    let loud = |frame: &[i16]| frame.iter().map(|s| i32::from(*s).abs()).max().unwrap_or(0) > 1_200;
    all.chunks(160).filter(|f| loud(f)).flatten().copied().collect()
}

/// Mixes the caller's voice, `at` samples into the utterance, into a frame.
pub fn caller(frame: &mut [i16], at: usize, is_cough: bool) {
    static SPEECH: OnceLock<Vec<i16>> = OnceLock::new();
    static COUGH: OnceLock<Vec<i16>> = OnceLock::new();
    let source = if is_cough { COUGH.get_or_init(cough) } else { SPEECH.get_or_init(|| voiced(CALLER_CLIP)) };
    for (i, sample) in frame.iter_mut().enumerate() {
        *sample = sample.saturating_add(source[(at + i) % source.len()]);
    }
}

/// Mixes a tone, `at` samples into it, into a frame.
pub fn tone(frame: &mut [i16], at: usize, hz: u32) {
    for (i, sample) in frame.iter_mut().enumerate() {
        let turns = (at + i) as f64 * f64::from(hz) / 8_000.0;
        *sample = sample.saturating_add(((turns * std::f64::consts::TAU).sin() * 6_000.0) as i16);
    }
}

/// Speech of the bot, `ms` long; each answer begins at another place of the clip. Never a zero sample.
pub fn bot(ms: u64, utterance: UtteranceId) -> Arc<[i16]> {
    static SPEECH: OnceLock<Vec<i16>> = OnceLock::new();
    let source = SPEECH.get_or_init(|| voiced(BOT_CLIP));
    let from = utterance.0 as usize * 1_600;
    (0..ms as usize * 8).map(|i| source[(from + i) % source.len()]).map(|s| if s == 0 { 1 } else { s }).collect()
}

/// Samples that only say which answer they belong to.
pub fn tagged(ms: u64, utterance: UtteranceId) -> Arc<[i16]> {
    vec![(utterance.0 % 30_000) as i16 + 1; ms as usize * 8].into()
}

/// The answer that a tagged sample belongs to.
pub fn tag_of(sample: i16) -> Option<u32> {
    u32::try_from(sample).ok().and_then(|s| s.checked_sub(1))
}

/// Samples that count themselves from 1, so that a lost, doubled or swapped one shows.
pub fn counting(ms: u64, first: usize) -> Arc<[i16]> {
    (first..first + ms as usize * 8).map(|i| (i % 30_000) as i16 + 1).collect()
}

/// A burst of noise that decays, coloured by a throat: what a cough is to a voice detector.
fn cough() -> Vec<i16> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut throat = 0.0;
    (0..8_000)
        .map(|i| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let noise = (state >> 48) as i16;
            let decay = (-(i as f32) / 1_200.0).exp();
            throat = 0.7 * throat + 0.3 * f32::from(noise);
            (throat * 0.7 * decay) as i16
        })
        .collect()
}

/// Adds what the far end heard `delay_ms` ago, at `db` below.
pub fn echo(frame: &mut [i16], heard: &[i16], db: f32, delay_ms: u64) {
    let delay = delay_ms as usize * 8;
    let gain = 10f32.powf(db / 20.0);
    let n = frame.len();
    for (i, sample) in frame.iter_mut().enumerate() {
        let at = (heard.len() + i).checked_sub(delay + n);
        let past = at.and_then(|at| heard.get(at)).copied().unwrap_or(0);
        *sample = sample.saturating_add((f32::from(past) * gain) as i16);
    }
}

const CALLER_CLIP: &str = "caller_rms";
const BOT_CLIP: &str = "bot_slt";
