//! Keys as tones in the audio (ITU-T Q.23, Q.24): two sines for each, made and heard. Allocates nothing; works at 8 and 16 kHz.
//!
//! Heard is a key only where two blocks in a row are nearly nothing but one tone of each group, about as loud as each other: a voice
//! is not that, for so long.

use std::f32::consts::TAU;

use crate::units::SampleRate;

/// The rows of the keypad, in Hz.
const LOW_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
/// Its columns.
const HIGH_HZ: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
/// What stands where they cross.
const KEYPAD: [[u8; 4]; 4] = [*b"123A", *b"456B", *b"789C", *b"*0#D"];
/// Peak of each of the two tones that are made: −12 and −10 dBFS, the higher one a little louder, as lines attenuate it more.
const PEAKS: [f32; 2] = [8_200.0, 10_400.0];
/// A key sounds for so many frames of 20 ms, and so many are silent behind it (Q.24: at least 40 ms each).
const SOUND_FRAMES: u8 = 5;
const PAUSE_FRAMES: u8 = 3;

/// Makes the tones of one key after the other.
#[derive(Clone, Debug)]
pub struct KeyVoice {
    step: [f32; 2],
    phase: [f32; 2],
    sound: u8,
    pause: u8,
}

impl Default for KeyVoice {
    fn default() -> Self {
        Self::new()
    }
}

impl KeyVoice {
    /// One at rest.
    #[must_use]
    pub const fn new() -> Self {
        Self { step: [0.0; 2], phase: [0.0; 2], sound: 0, pause: 0 }
    }

    /// Does a key sound, or the pause behind it last?
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.sound > 0 || self.pause > 0
    }

    /// A key begins with the next frame; `false`, and nothing happens, for what is none.
    pub fn press(&mut self, key: u8, rate: SampleRate) -> bool {
        let place = KEYPAD.iter().enumerate().find_map(|(row, keys)| Some((row, keys.iter().position(|k| *k == key)?)));
        let Some((row, column)) = place else { return false };
        self.step = [LOW_HZ[row], HIGH_HZ[column]].map(|hz| hz / rate.hz() as f32 * TAU);
        (self.phase, self.sound, self.pause) = ([0.0; 2], SOUND_FRAMES, PAUSE_FRAMES);
        true
    }

    /// One frame of 20 ms in place of what stands in it; `false`, and it stays, where there is nothing to be heard.
    pub fn fill(&mut self, frame: &mut [i16]) -> bool {
        if self.sound == 0 {
            let pausing = self.pause > 0;
            self.pause = self.pause.saturating_sub(1);
            if pausing {
                frame.fill(0);
            }
            return pausing;
        }
        self.sound -= 1;
        for sample in frame {
            let sum: f32 = self.phase.iter().zip(PEAKS).map(|(phase, peak)| phase.sin() * peak).sum();
            *sample = sum as i16;
            for (phase, step) in self.phase.iter_mut().zip(self.step) {
                *phase = (*phase + step) % TAU;
            }
        }
        true
    }
}

/// Samples of a block at 8 kHz: 12.75 ms, so that any 40 ms hold two whole ones.
const BLOCK: usize = 102;
/// Softer than this is nothing: −40 dBFS, as a mean of squares.
const SOFTEST: f32 = 327.0 * 327.0;
/// At least this share of a block's energy is in the two tones.
const SHARE: f32 = 0.8;
/// The higher tone may be so many times as strong as the lower (8 dB), and the lower as the higher (5 dB).
const TWIST: (f32, f32) = (6.3, 3.2);
/// A tone is so many times as strong as the next one of its group (8 dB).
const PEAK: f32 = 6.3;
/// Blocks in a row that a key must sound in, and that it must be missing in before it counts again.
const HITS: u8 = 2;

/// Hears keys in audio.
#[derive(Clone, Debug)]
pub struct KeyEar {
    /// Of each of the eight tones: twice the cosine of its step, and the filter's two values.
    tones: [(f32, f32, f32); 8],
    block: usize,
    at: usize,
    energy: f32,
    /// What the last block held, and in how many in a row.
    last: Option<u8>,
    run: u8,
    /// The key that is down, as it was told.
    down: Option<u8>,
}

impl KeyEar {
    /// For audio of this rate.
    #[must_use]
    pub fn new(rate: SampleRate) -> Self {
        let mut tones = [(0.0, 0.0, 0.0); 8];
        for (tone, hz) in tones.iter_mut().zip(LOW_HZ.into_iter().chain(HIGH_HZ)) {
            tone.0 = 2.0 * (hz / rate.hz() as f32 * TAU).cos();
        }
        let block = BLOCK * (rate.hz() as usize) / 8_000;
        Self { tones, block, at: 0, energy: 0.0, last: None, run: 0, down: None }
    }

    /// More audio: the key that was found to be down in it, once for each press. A frame of 20 ms ends at most two blocks, and no two
    /// keys begin in it.
    pub fn hear(&mut self, samples: &[i16]) -> Option<u8> {
        let mut found = None;
        for sample in samples {
            let x = f32::from(*sample);
            self.energy += x * x;
            for (turn, one, two) in &mut self.tones {
                let next = x + *turn * *one - *two;
                (*two, *one) = (*one, next);
            }
            self.at += 1;
            if self.at == self.block {
                found = self.judge().or(found);
            }
        }
        found
    }

    fn judge(&mut self) -> Option<u8> {
        let powers = self.tones.map(|(turn, one, two)| one * one + two * two - turn * one * two);
        let key = key_of(powers, self.energy, self.block as f32);
        for (_, one, two) in &mut self.tones {
            (*one, *two) = (0.0, 0.0);
        }
        (self.at, self.energy) = (0, 0.0);
        self.run = if key == self.last { self.run.saturating_add(1) } else { 1 };
        self.last = key;
        if self.run != HITS || key == self.down {
            return None;
        }
        self.down = key;
        key
    }
}

/// The key of a block, by the powers of the eight tones and the whole energy.
fn key_of(powers: [f32; 8], energy: f32, samples: f32) -> Option<u8> {
    if energy < SOFTEST * samples {
        return None;
    }
    let (low, high) = powers.split_at(4);
    let (row, low) = strongest(low)?;
    let (column, high) = strongest(high)?;
    let balanced = high <= low * TWIST.0 && low <= high * TWIST.1;
    // A sine of the block's length has its energy times half the samples as its power.
    let pure = low + high >= SHARE * energy * samples / 2.0;
    (balanced && pure).then(|| KEYPAD[row][column])
}

/// The strongest of a group, where it is far above the others.
fn strongest(group: &[f32]) -> Option<(usize, f32)> {
    let (at, power) = group.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let clear = group.iter().enumerate().all(|(other, weaker)| other == at || *weaker * PEAK <= power);
    clear.then_some((at, power))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::clips::{BOTS, CALLERS, wide};
    use crate::media::tone::{Noise, Tone};
    use crate::media::{Codec, Decoder, Encoder};

    const RATES: [SampleRate; 2] = [SampleRate::NARROW, SampleRate::WIDE];
    const KEYS: &[u8] = b"0123456789*#ABCD";

    /// Keys as they are sent.
    fn sounded(keys: &[u8], rate: SampleRate) -> Vec<i16> {
        let (mut voice, mut all) = (KeyVoice::new(), Vec::new());
        for key in keys {
            assert!(voice.press(*key, rate));
            let mut frame = vec![7; rate.frame_samples()];
            while voice.is_busy() {
                assert!(voice.fill(&mut frame));
                all.extend(&frame);
            }
            assert!(!voice.fill(&mut frame));
        }
        all
    }

    fn heard(samples: &[i16], rate: SampleRate) -> Vec<u8> {
        let mut ear = KeyEar::new(rate);
        samples.chunks(rate.frame_samples()).filter_map(|frame| ear.hear(frame)).collect()
    }

    #[test]
    fn what_is_sounded_is_heard_through_every_codec() {
        for codec in Codec::ALL {
            let rate = codec.rate();
            let (mut encoder, mut decoder) = (Encoder::new(codec).unwrap(), Decoder::new(codec).unwrap());
            let mut passed = Vec::new();
            for frame in sounded(KEYS, rate).chunks(rate.frame_samples()) {
                let (mut bytes, mut out) = ([0; 400], vec![0; frame.len()]);
                let length = encoder.encode(frame, &mut bytes);
                let samples = decoder.decode(&bytes[..length], &mut out);
                passed.extend(&out[..samples]);
            }
            assert_eq!(heard(&passed, rate), KEYS, "{codec:?}");
        }
    }

    #[test]
    fn the_same_key_twice_is_two_presses_and_a_long_one_is_one() {
        for rate in RATES {
            assert_eq!(heard(&sounded(b"11", rate), rate), b"11");
            let long = Tone::new(rate, &[770.0, 1_336.0], 8_000).take_ms(3_000);
            assert_eq!(heard(&long, rate), b"5");
        }
        assert!(!KeyVoice::new().press(b'x', SampleRate::NARROW));
    }

    #[test]
    fn neither_speech_nor_noise_nor_a_single_tone_is_a_key() {
        let rate = SampleRate::WIDE;
        for clip in BOTS.iter().chain(&CALLERS).map(|name| wide(name)) {
            assert_eq!(heard(&clip, rate), b"", "a voice pressed a key");
        }
        for rate in RATES {
            let mut noise = vec![0; rate.samples_in(20_000) as usize];
            Noise::new(3, -12.0).fill(&mut noise);
            assert_eq!(heard(&noise, rate), b"");
            for hz in [&[697.0][..], &[1_477.0], &[440.0, 480.0], &[770.0, 852.0, 1_336.0], &[735.0, 1_270.0]] {
                assert_eq!(heard(&Tone::new(rate, hz, 8_000).take_ms(500), rate), b"", "{hz:?}");
            }
            // Two keys' worth of twist: 12 dB are no key of a telephone's.
            let (mut low, high) = (Tone::new(rate, &[697.0], 8_000), Tone::new(rate, &[1_209.0], 1_200).take_ms(300));
            let mixed: Vec<i16> = low.take_ms(300).iter().zip(high).map(|(a, b)| a + b).collect();
            assert_eq!(heard(&mixed, rate), b"");
        }
    }

    proptest! {
        #[test]
        fn keys_are_heard_over_noise_at_any_level_and_offset(
            keys in "[0-9*#A-D]{1,8}",
            ahead in 0_usize..400,
            gain in 0.06_f32..1.5,
            wide: bool,
        ) {
            let rate = RATES[usize::from(wide)];
            let mut samples = vec![0; ahead];
            samples.extend(sounded(keys.as_bytes(), rate).iter().map(|s| (f32::from(*s) * gain) as i16));
            samples.extend([0; 1_000]);
            // 26 dB below the keys.
            Noise::new(9, -36.0 + 20.0 * gain.log10()).add_to(&mut samples);
            prop_assert_eq!(heard(&samples, rate), keys.as_bytes());
        }
    }
}
