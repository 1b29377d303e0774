//! Is somebody speaking? The `earshot` network over hops of 256 samples at 16 kHz, behind an energy gate that spares it the
//! silence. Answers with a probability a frame; what is a beginning or an end of speech is `vad_edges`' business.
//!
//! **The gate.** A hop is *quiet* when it is below −60 dBFS or less than 3 dB above the noise floor. The floor falls fast
//! towards quieter hops and rises slowly towards louder ones, but only while the network finds no voice in them, so that
//! steady noise of any level soon counts as quiet and speech never does. The network is skipped once [`HOLD_HOPS`] hops
//! running were quiet and without voice. **Its state stays sane:** it looks at three hops at a time and remembers, so
//! the last [`WARM_HOPS`] skipped hops are kept; when the gate opens they go through the network first (their verdict is
//! dropped, they were quiet), and it meets the new hop with the true past before it. In between its memory is that of the
//! silence in which the gate closed. A sound that holds its level for three quarters of a second is no speech either,
//! whatever the network says of it: that takes dial tones, chords and very loud hiss out.
//!
//! Measured by the tests on five synthetic voices at 8 kHz: 98 % of the spoken frames found when clean, 95–96 % at 20 and
//! 10 dB over white noise or 20 dB softer; no voice in noise of −100 to −10 dBFS, where the network rests for more than
//! four fifths of the hops; of 162 noise bursts of 30 to 120 ms at most four become a beginning. Ringing tone in a short
//! cadence **is** taken for speech.

#[path = "vad_net.rs"]
mod net;

use net::Net;
pub use net::VoiceTables;

use std::sync::Arc;

use crate::media::tone::Noise;
use crate::units::{SampleRate, dbfs, prefetch};

/// Samples of one hop: 16 ms at 16 kHz, fixed by the network.
pub const HOP: usize = 256;

/// Quiet hops without voice before the gate closes: about a quarter of a second.
const HOLD_HOPS: u32 = 16;
/// Skipped hops that are kept for the opening of the gate: the network's window and context.
const WARM_HOPS: usize = 4;
/// Where voice is taken as present, here and in the debouncer's default.
const VOICED: f32 = 0.5;
/// Below this a hop counts as being without voice for the gate and the floor.
const UNVOICED: f32 = 0.3;
/// The floor is never taken to be lower: idle G.711 lines hum at about this level.
const LOWEST_FLOOR_DBFS: f32 = -63.0;
/// A hop this much above the floor opens the gate. Hops of white noise scatter by 0.4 dB.
const MARGIN_DB: f32 = 3.0;

/// A sound that kept its level to within [`STEADY_DB`] for this many hops, three quarters of a second, is no speech.
const STEADY_HOPS: usize = 48;
/// How much the level of a steady sound may vary, in dB from the least to the greatest hop.
const STEADY_DB: f32 = 3.0;

/// A hop whose spectrum is so flat that four coefficients foretell it by less than this, as a ratio of powers, is noise: 1.5 dB.
/// White noise stays below half a decibel, a voice 3 dB under the noise comes above it.
const FLAT_GAIN: f32 = 1.41;
/// Distance between the samples that foretell each other: on a narrow line every second one is made up.
const FLAT_STEP: usize = 2;
/// Consonants are as flat as noise, but they stand beside a voice: for so many hops, 320 ms, after it.
const BESIDE_HOPS: u32 = 20;

/// Zeros in a hop that make it part of a hole.
const DEAD_SAMPLES: usize = HOP / 4;
/// Only in a line with noise is dead silence a hole.
const NOISY_FLOOR_DBFS: f32 = -53.0;
/// A hole of up to so many hops, 80 ms, teaches the floor nothing.
const HOLE_HOPS: u32 = 5;

/// Noise that a new network hears before its first call: from its blank state it takes the first 200 ms of any noise for
/// voice. About 0.1 ms, once a call.
const PRIME_HOPS: usize = 32;
/// Level of that noise.
const PRIME_DBFS: f32 = -40.0;

/// What the detector says of one frame.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct VoiceFrame {
    /// The highest probability of voice over the hops that this frame completed, 0 to 1; the last one known where it
    /// completed none.
    pub probability: f32,
    /// Whether the probability is one half or more.
    pub voiced: bool,
}

/// How often the gate spared the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GateCount {
    /// Hops heard.
    pub hops: u64,
    /// Hops of these that the network never saw.
    pub skipped: u64,
}

/// The voice detector of one direction of one call.
pub struct VoiceDetector {
    net: Box<Net>,
    hop: [i16; HOP],
    filled: usize,
    /// Whether the open hop contains made-up silence, which says nothing about the line's noise.
    patched: bool,
    /// Hops running in which the line was dead silent.
    dead_hops: u32,
    floor_dbfs: f32,
    quiet_hops: u32,
    /// The last skipped hops, oldest first from `warm_at`.
    warm: [[i16; HOP]; WARM_HOPS],
    warm_at: usize,
    warm_held: usize,
    /// Smoothed levels of the last hops, a ring; not yet heard hops count as silence, so a stream is never steady from the start.
    levels: [f32; STEADY_HOPS],
    level_at: usize,
    smooth_power: f32,
    last: f32,
    /// Hops since a voice was heard in one that was not flat.
    unvoiced_hops: u32,
    count: GateCount,
}

impl std::fmt::Debug for VoiceDetector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VoiceDetector").finish_non_exhaustive()
    }
}

impl VoiceDetector {
    /// A detector that has heard nothing. About 5 KiB, made once a call.
    #[must_use]
    pub fn new(tables: &Arc<VoiceTables>) -> Self {
        let mut net = Box::new(Net::new(tables));
        prime(&mut net);
        Self {
            net,
            hop: [0; HOP],
            filled: 0,
            patched: false,
            dead_hops: 0,
            floor_dbfs: LOWEST_FLOOR_DBFS,
            quiet_hops: 0,
            warm: [[0; HOP]; WARM_HOPS],
            warm_at: 0,
            warm_held: 0,
            levels: [-100.0; STEADY_HOPS],
            level_at: 0,
            smooth_power: 0.0,
            last: 0.0,
            unvoiced_hops: BESIDE_HOPS,
            count: GateCount::default(),
        }
    }

    /// Hears a frame at 16 kHz, of any length.
    pub fn push(&mut self, frame_16k: &[i16]) -> VoiceFrame {
        self.hear(frame_16k, false)
    }

    /// A frame of 20 ms did not come: it is heard as silence, and the noise floor learns nothing from it.
    pub fn gap(&mut self) -> VoiceFrame {
        self.hear(&[0; SampleRate::WIDE.frame_samples()], true)
    }

    fn hear(&mut self, frame_16k: &[i16], made_up: bool) -> VoiceFrame {
        let mut best: Option<f32> = None;
        let mut rest = frame_16k;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(HOP - self.filled));
            self.hop[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            self.patched |= made_up;
            rest = later;
            if self.filled == HOP {
                self.filled = 0;
                self.note_dead();
                let probability = self.hear_hop();
                self.patched = false;
                best = Some(best.map_or(probability, |b| b.max(probability)));
            }
        }
        self.last = best.unwrap_or(self.last);
        VoiceFrame { probability: self.last, voiced: self.last >= VOICED }
    }

    /// Begins to bring near what the next frame touches in the detector itself.
    pub fn prefetch(&self) {
        prefetch(&self.hop);
        prefetch(&self.levels);
        prefetch(&self.count);
    }

    /// The same for the network, where it will be asked as far as one can tell.
    pub fn prefetch_far(&self) {
        if self.quiet_hops < HOLD_HOPS {
            prefetch(&*self.net);
        }
    }

    /// Forgets the stream; the counters go on.
    pub fn reset(&mut self) {
        self.net.reset();
        prime(&mut self.net);
        self.filled = 0;
        self.patched = false;
        self.dead_hops = 0;
        self.floor_dbfs = LOWEST_FLOOR_DBFS;
        self.quiet_hops = 0;
        self.warm_held = 0;
        self.levels = [-100.0; STEADY_HOPS];
        self.smooth_power = 0.0;
        self.last = 0.0;
        self.unvoiced_hops = BESIDE_HOPS;
    }

    /// The noise floor as the gate sees it now, in dBFS.
    #[must_use]
    pub const fn floor_dbfs(&self) -> f32 {
        self.floor_dbfs
    }

    /// How many hops were heard, and how many of them the gate kept from the network.
    #[must_use]
    pub const fn gate(&self) -> GateCount {
        self.count
    }

    /// A stretch of zeros in mid-line is a frame that was lost on the way, not the line's noise; a longer one is a line that is
    /// silent indeed.
    fn note_dead(&mut self) {
        let zeros = self.hop.iter().filter(|&&sample| sample == 0).count();
        let in_noise = self.floor_dbfs > NOISY_FLOOR_DBFS;
        self.dead_hops = if in_noise && zeros >= DEAD_SAMPLES { self.dead_hops + 1 } else { 0 };
        self.patched |= (1..=HOLE_HOPS).contains(&self.dead_hops);
    }

    fn hear_hop(&mut self) -> f32 {
        self.count.hops += 1;
        let level = dbfs(&self.hop);
        let quiet = level < self.floor_dbfs + MARGIN_DB;
        if quiet && self.quiet_hops >= HOLD_HOPS {
            self.count.skipped += 1;
            self.unvoiced_hops = BESIDE_HOPS;
            self.keep_for_warming();
            self.follow(level, 0.0);
            return 0.0;
        }
        self.warm_up();
        let heard = self.net.predict(&self.hop).clamp(0.0, 1.0);
        // Both look at every hop: each counts.
        let (steady, onset) = (self.steady(level), self.is_onset_of_noise(heard));
        let probability = if steady || onset { 0.0 } else { heard };
        self.quiet_hops = if quiet && probability < UNVOICED { self.quiet_hops + 1 } else { 0 };
        self.follow(level, probability);
        probability
    }

    fn steady(&mut self, level: f32) -> bool {
        // Averaged over three hops or so, or the beat of a two-tone signal would look like speech.
        self.smooth_power += 0.3 * (10.0_f32.powf(level / 10.0) - self.smooth_power);
        self.levels[self.level_at] = 10.0 * self.smooth_power.max(1e-10).log10();
        self.level_at = (self.level_at + 1) % STEADY_HOPS;
        let (least, greatest) = self.levels.iter().fold((0.0_f32, -100.0_f32), |(a, b), &l| (a.min(l), b.max(l)));
        greatest - least < STEADY_DB
    }

    /// Noise that sets in on a silent line is taken for voice by the network for as long as it likes. Noise alone begins no
    /// speech: a flat hop is voice only beside one that is not.
    fn is_onset_of_noise(&mut self, heard: f32) -> bool {
        if heard < VOICED {
            self.unvoiced_hops = (self.unvoiced_hops + 1).min(BESIDE_HOPS);
            return false;
        }
        // A few samples of noise beside a hole are too few to be told from a voice.
        let zeros = self.hop.iter().filter(|&&sample| sample == 0).count();
        let flat = zeros >= DEAD_SAMPLES || is_flat(&self.hop);
        self.unvoiced_hops = if flat { (self.unvoiced_hops + 1).min(BESIDE_HOPS) } else { 0 };
        flat && self.unvoiced_hops >= BESIDE_HOPS
    }

    fn keep_for_warming(&mut self) {
        self.warm[self.warm_at] = self.hop;
        self.warm_at = (self.warm_at + 1) % WARM_HOPS;
        self.warm_held = (self.warm_held + 1).min(WARM_HOPS);
    }

    fn warm_up(&mut self) {
        for i in 0..self.warm_held {
            let at = (self.warm_at + WARM_HOPS - self.warm_held + i) % WARM_HOPS;
            let _ = self.net.predict(&self.warm[at]);
        }
        self.warm_held = 0;
    }

    fn follow(&mut self, level: f32, probability: f32) {
        if self.patched {
            return;
        }
        let speed = match level < self.floor_dbfs {
            true => 0.2,
            false if probability < UNVOICED => 0.06,
            false => 0.0,
        };
        self.floor_dbfs = (self.floor_dbfs + speed * (level - self.floor_dbfs)).max(LOWEST_FLOOR_DBFS);
    }
}

/// Is a hop as flat as noise? By the gain of linear prediction of order four (Levinson and Durbin).
fn is_flat(hop: &[i16; HOP]) -> bool {
    let r: [f32; 5] = std::array::from_fn(|lag| product(hop, &hop[lag * FLAT_STEP..]) as f32);
    if r[0] <= 0.0 {
        return false;
    }
    let (mut a, mut error) = ([0.0_f32; 5], r[0]);
    for order in 1..r.len() {
        let known: f32 = (1..order).map(|j| a[j] * r[order - j]).sum();
        let reflection = (r[order] - known) / error;
        let before = a;
        a[order] = reflection;
        for j in 1..order {
            a[j] = before[j] - reflection * before[order - j];
        }
        error *= 1.0 - reflection * reflection;
        if error <= 0.0 {
            return false;
        }
    }
    r[0] < error * FLAT_GAIN
}

/// The sum of the products as far as the second goes, in several sums beside each other.
fn product(a: &[i16], b: &[i16]) -> i64 {
    let (eights, rest) = a[..b.len()].as_chunks::<8>();
    let (others, other_rest) = b.as_chunks::<8>();
    let of = |a: i16, b: i16| i64::from(i32::from(a) * i32::from(b));
    let mut sums = [0i64; 8];
    for (a, b) in eights.iter().zip(others) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += of(a, b);
        }
    }
    sums.iter().sum::<i64>() + rest.iter().zip(other_rest).map(|(&a, &b)| of(a, b)).sum::<i64>()
}

fn prime(net: &mut Net) {
    let mut hiss = Noise::new(1, PRIME_DBFS);
    let mut hop = [0; HOP];
    for _ in 0..PRIME_HOPS {
        hiss.fill(&mut hop);
        let _ = net.predict(&hop);
    }
}

#[cfg(test)]
#[path = "vad_tests.rs"]
mod tests;
