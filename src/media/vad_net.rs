//! What the `earshot` network looks at, and the network: hops of 256 samples at 16 kHz become forty bands of a mel spectrum over
//! 768 samples. The crate's own front does the same by a slower Fourier transform and keeps 8 KiB a stream, most of it room to compute
//! in; here a stream keeps its samples, three hops of bands and the network's memory, 2.5 KiB, and computes on the stack, where every
//! stream finds its room near. `vad_tests` holds both fronts to the same verdicts. Never allocates once it is built.

use std::sync::Arc;

use earshot::{DefaultPredictor, Predictor as _};
use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

use super::HOP;

/// Hops of one spectrum.
const HOPS: usize = 3;
/// Samples of one spectrum.
const WINDOW: usize = HOPS * HOP;
/// The Fourier transform's length: the window, then zeros.
const FFT: usize = 1_024;
/// Its bins.
const BINS: usize = FFT / 2 + 1;
/// Bands of one hop.
const BANDS: usize = 40;
/// Hops whose bands the network looks at.
const CONTEXT: usize = 3;
/// Share of the sample before that is taken off.
const EMPHASIS: f32 = 0.97;
/// Powers are of samples between −1 and 1.
const SCALE: f32 = 1.0 / (32_768.0 * 32_768.0);
/// Keeps the logarithm of silence finite.
const LEAST: f32 = 1e-20;
/// Room that the network computes in: its first layer's output and its second's.
const NET_ROOM: usize = 512;
/// Room for the transform to compute in; more than it asks for.
const FFT_ROOM: usize = FFT;

/// Where the bands begin, peak and end, in bins: band `n` rises from edge `n` to the next and falls to the one behind it. As the
/// network was trained.
const EDGES: [usize; BANDS + 2] = [
    4, 7, 10, 13, 17, 21, 25, 29, 33, 38, 43, 48, 54, 60, 66, 73, 80, 87, 95, 103, 112, 122, 132, 142, 153, 165, 178,
    191, 205, 220, 236, 253, 270, 289, 309, 330, 353, 376, 402, 428, 456, 486,
];

/// What all voice detectors of a process share: made once and handed to each, for a table of its own would push others' out of the
/// processor's cache.
pub struct VoiceTables {
    fft: Arc<dyn RealToComplex<f32>>,
    /// A raised cosine.
    window: [f32; WINDOW],
    /// The weights of each band's bins, its first bin's first.
    bands: [Box<[f32]>; BANDS],
}

impl VoiceTables {
    /// The tables; they are always the same.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            fft: RealFftPlanner::new().plan_fft_forward(FFT),
            window: std::array::from_fn(|n| {
                let turn = std::f64::consts::TAU * n as f64 / WINDOW as f64;
                (0.5 - 0.5 * turn.cos()) as f32
            }),
            bands: std::array::from_fn(|band| {
                let [first, peak, end] = [EDGES[band], EDGES[band + 1], EDGES[band + 2]];
                let rise = (first..peak).map(|bin| (bin - first) as f32 / (peak - first) as f32);
                rise.chain((peak..end).map(|bin| (end - bin) as f32 / (end - peak) as f32)).collect()
            }),
        })
    }
}

impl std::fmt::Debug for VoiceTables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VoiceTables").finish_non_exhaustive()
    }
}

/// What a hop is computed in.
struct Room {
    samples: [f32; FFT],
    spectrum: [Complex32; BINS],
    fft: [Complex32; FFT_ROOM],
    power: [f32; BINS],
    net: [f32; NET_ROOM],
}

impl Room {
    const fn new() -> Self {
        let zero = Complex32::new(0.0, 0.0);
        Self {
            samples: [0.0; FFT],
            spectrum: [zero; BINS],
            fft: [zero; FFT_ROOM],
            power: [0.0; BINS],
            net: [0.0; NET_ROOM],
        }
    }
}

/// The network over one stream.
pub(super) struct Net {
    tables: Arc<VoiceTables>,
    predictor: DefaultPredictor,
    /// The last hops, a ring; the oldest is at `oldest`.
    hops: [[i16; HOP]; HOPS],
    oldest: usize,
    /// The sample before the oldest hop.
    before: i16,
    /// The bands of the last hops, the oldest first.
    bands: [f32; CONTEXT * BANDS],
}

impl Net {
    /// A network that has heard nothing.
    pub(super) fn new(tables: &Arc<VoiceTables>) -> Self {
        Self {
            tables: Arc::clone(tables),
            predictor: DefaultPredictor::new(),
            hops: [[0; HOP]; HOPS],
            oldest: 0,
            before: 0,
            bands: [0.0; CONTEXT * BANDS],
        }
    }

    /// Forgets the stream.
    pub(super) fn reset(&mut self) {
        self.predictor.reset();
        (self.hops, self.oldest, self.before) = ([[0; HOP]; HOPS], 0, 0);
        self.bands = [0.0; CONTEXT * BANDS];
    }

    /// How likely it is that the next hop holds a voice, 0 to 1.
    pub(super) fn predict(&mut self, hop: &[i16; HOP]) -> f32 {
        self.before = self.hops[self.oldest][HOP - 1];
        self.hops[self.oldest] = *hop;
        self.oldest = (self.oldest + 1) % HOPS;
        self.predict_in(&mut Room::new())
    }

    fn predict_in(&mut self, room: &mut Room) -> f32 {
        let VoiceTables { fft, window, bands } = &*self.tables;
        let mut before = self.before;
        for n in 0..HOPS {
            let hop = &self.hops[(self.oldest + n) % HOPS];
            let weights = &window[n * HOP..(n + 1) * HOP];
            let out = &mut room.samples[n * HOP..(n + 1) * HOP];
            out[0] = (f32::from(hop[0]) - EMPHASIS * f32::from(before)) * weights[0];
            for ((out, pair), weight) in out[1..].iter_mut().zip(hop.windows(2)).zip(&weights[1..]) {
                *out = (f32::from(pair[1]) - EMPHASIS * f32::from(pair[0])) * weight;
            }
            before = hop[HOP - 1];
        }
        let scratch = fft.get_scratch_len().min(FFT_ROOM);
        let done = fft.process_with_scratch(&mut room.samples, &mut room.spectrum, &mut room.fft[..scratch]);
        debug_assert!(done.is_ok(), "the lengths are its own");
        for (power, bin) in room.power.iter_mut().zip(&room.spectrum) {
            *power = (bin.re * bin.re + bin.im * bin.im) * SCALE;
        }
        self.bands.copy_within(BANDS.., 0);
        let newest = &mut self.bands[(CONTEXT - 1) * BANDS..];
        for ((level, weights), first) in newest.iter_mut().zip(bands).zip(EDGES) {
            *level = (weighted(&room.power[first..first + weights.len()], weights) + LEAST).ln();
        }
        self.predictor.normalize(newest);
        self.predictor.predict(&self.bands, &mut room.net)
    }
}

/// The sum of the products, in several sums beside each other: one sum alone would wait for itself.
fn weighted(powers: &[f32], weights: &[f32]) -> f32 {
    let (eights, rest) = powers.as_chunks::<8>();
    let (others, other_rest) = weights.as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for (powers, weights) in eights.iter().zip(others) {
        for ((sum, power), weight) in sums.iter_mut().zip(powers).zip(weights) {
            *sum += power * weight;
        }
    }
    sums.iter().sum::<f32>() + rest.iter().zip(other_rest).map(|(a, b)| a * b).sum::<f32>()
}
