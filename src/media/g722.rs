//! G.722 at 64 kbit/s (ITU-T G.722, mode 1): 16 kHz audio split in two bands, each coded by an adaptive predictor, one byte
//! for two samples. Integer arithmetic as the recommendation writes it; no allocation, no payload that it refuses.
//! On the wire its RTP clock says 8,000 (RFC 3551 4.5.2), so one byte is one tick.

/// Coefficients of the 24-tap quadrature mirror filter, every second one; the other half is the same backwards.
const QMF: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];
/// Decision levels of the lower band, for a scale of 4096.
const Q6: [i32; 30] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219, 1339,
    1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
/// Output levels of the lower band by the six-bit code.
const QM6: [i16; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576,
    -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688, -1360, -1040,
    -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
    4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
/// The same by its four highest bits, which drive the adaptation.
const QM4: [i16; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];
/// Output levels of the higher band.
const QM2: [i16; 4] = [-7408, -1616, 7408, 1616];
/// How a code of the lower band moves the logarithm of its scale.
const WL4: [i16; 16] = [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];
/// How a code of the higher band moves it.
const WH2: [i16; 4] = [798, -214, 798, -214];
/// Powers of two in steps of 1/32.
const ILB: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025,
    3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

/// Speech in, one byte for two samples out.
#[derive(Clone, Debug)]
pub struct G722Encoder {
    low: Band,
    high: Band,
    filter: Qmf,
}

impl G722Encoder {
    /// An encoder at rest.
    #[must_use]
    pub const fn new() -> Self {
        Self { low: Band::new(32), high: Band::new(8), filter: Qmf::new() }
    }

    /// Encodes pairs of 16 kHz samples; stops at the shorter of the two sides (an odd sample is left out) and returns the
    /// bytes written.
    pub fn encode(&mut self, samples: &[i16], out: &mut [u8]) -> usize {
        let (pairs, _) = samples.as_chunks::<2>();
        for (&pair, code) in pairs.iter().zip(out.iter_mut()) {
            let (odd, even) = self.filter.push(pair.map(i32::from));
            let low = self.low_code((even + odd) >> 14);
            let high = self.high_code((even - odd) >> 14);
            *code = high << 6 | low;
        }
        pairs.len().min(out.len())
    }

    fn low_code(&mut self, sample: i32) -> u8 {
        let error = limit(sample - self.low.predicted);
        let size = if error < 0 { -(error + 1) } else { error };
        let above = Q6.iter().skip(1).take_while(|&&level| size >= (level * self.low.scale) >> 12).count() as u8;
        // The two smallest steps of the negative side have the codes 63 and 62; all others count down from 31 or 61.
        let code = match (error < 0, above) {
            (true, 0 | 1) => 63 - above,
            (true, _) => 33 - above,
            (false, _) => 61 - above,
        };
        self.low.adapt_low(code);
        code
    }

    fn high_code(&mut self, sample: i32) -> u8 {
        let error = limit(sample - self.high.predicted);
        let size = if error < 0 { -(error + 1) } else { error };
        let large = size >= (564 * self.high.scale) >> 12;
        let code = match (error < 0, large) {
            (true, false) => 1,
            (true, true) => 0,
            (false, false) => 3,
            (false, true) => 2,
        };
        self.high.adapt_high(code);
        code
    }
}

impl Default for G722Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes in, two 16 kHz samples each out.
#[derive(Clone, Debug)]
pub struct G722Decoder {
    low: Band,
    high: Band,
    filter: Qmf,
}

impl G722Decoder {
    /// A decoder at rest.
    #[must_use]
    pub const fn new() -> Self {
        Self { low: Band::new(32), high: Band::new(8), filter: Qmf::new() }
    }

    /// Decodes; stops at the shorter of the two sides and returns the samples written.
    pub fn decode(&mut self, codes: &[u8], out: &mut [i16]) -> usize {
        let (pairs, _) = out.as_chunks_mut::<2>();
        let count = codes.len().min(pairs.len());
        for (pair, &code) in pairs.iter_mut().zip(codes) {
            let (low, high) = (code & 0x3f, code >> 6);
            let step = (self.low.scale * i32::from(QM6[usize::from(low)])) >> 15;
            let lower = (self.low.predicted + step).clamp(-16_384, 16_383);
            self.low.adapt_low(low);
            let step = (self.high.scale * i32::from(QM2[usize::from(high)])) >> 15;
            let higher = (self.high.predicted + step).clamp(-16_384, 16_383);
            self.high.adapt_high(high);
            let (odd, even) = self.filter.push([lower + higher, lower - higher]);
            *pair = [limit(even >> 11) as i16, limit(odd >> 11) as i16];
        }
        count * 2
    }
}

impl Default for G722Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// The filter that splits and joins the bands; two samples in, its two half sums out.
#[derive(Clone, Debug)]
struct Qmf {
    /// The last 24 samples twice in a row, so that they can always be read in one piece.
    past: [i32; 48],
    at: usize,
}

impl Qmf {
    const fn new() -> Self {
        Self { past: [0; 48], at: 0 }
    }

    /// The sum over the older sample of each pair, and the one over the newer.
    fn push(&mut self, [first, second]: [i32; 2]) -> (i32, i32) {
        for (offset, sample) in [(0, first), (1, second), (24, first), (25, second)] {
            if let Some(place) = self.past.get_mut(self.at + offset) {
                *place = sample;
            }
        }
        self.at = (self.at + 2) % 24;
        // Half the scale of the receiver's and the sender's sums is their own business.
        let (mut odd, mut even) = (0, 0);
        let (pairs, _) = self.past.get(self.at..self.at + 24).unwrap_or_default().as_chunks::<2>();
        for ((&[older, newer], forth), back) in pairs.iter().zip(QMF).zip(QMF.into_iter().rev()) {
            odd += older * forth;
            even += newer * back;
        }
        (odd, even)
    }
}

/// One band's adaptive predictor: two poles, six zeros (G.722 3.6).
#[derive(Clone, Debug)]
struct Band {
    /// What the next sample is expected to be.
    predicted: i32,
    /// The part of it that comes from the zeros.
    from_zeros: i32,
    /// Scale of the quantiser, and its logarithm.
    scale: i32,
    log_scale: i32,
    /// Pole coefficients, and the last two reconstructed samples.
    poles: [i32; 2],
    rebuilt: [i32; 2],
    /// The last two sums of step and zeros' part.
    partial: [i32; 2],
    /// Zero coefficients, and the last six steps.
    zeros: [i32; 6],
    steps: [i32; 6],
}

impl Band {
    const fn new(scale: i32) -> Self {
        Self {
            predicted: 0,
            from_zeros: 0,
            scale,
            log_scale: 0,
            poles: [0; 2],
            rebuilt: [0; 2],
            partial: [0; 2],
            zeros: [0; 6],
            steps: [0; 6],
        }
    }

    fn adapt_low(&mut self, code: u8) {
        let coarse = usize::from(code >> 2) & 15;
        let step = (self.scale * i32::from(QM4[coarse])) >> 15;
        self.rescale(i32::from(WL4[coarse]), 18_432, 8);
        self.adapt(step);
    }

    fn adapt_high(&mut self, code: u8) {
        let code = usize::from(code) & 3;
        let step = (self.scale * i32::from(QM2[code])) >> 15;
        self.rescale(i32::from(WH2[code]), 22_528, 10);
        self.adapt(step);
    }

    /// LOGSCL and SCALEL (or SCALEH) of the recommendation.
    fn rescale(&mut self, by: i32, most: i32, shift: i32) {
        self.log_scale = (((self.log_scale * 127) >> 7) + by).clamp(0, most);
        let mantissa = ILB[(self.log_scale >> 6 & 31) as usize];
        let down = shift - (self.log_scale >> 11);
        self.scale = if down < 0 { mantissa << -down } else { mantissa >> down } << 2;
    }

    /// Block 4 of the recommendation: both sets of coefficients, then the next prediction.
    fn adapt(&mut self, step: i32) {
        let rebuilt = limit(self.predicted + step);
        let partial = limit(self.from_zeros + step);
        let [one_ago, two_ago] = self.partial;
        let same = |a: i32, b: i32| (a < 0) == (b < 0);

        // UPPOL2, then UPPOL1, which is bound by it.
        let lean = limit(self.poles[0] << 2);
        let lean = if same(partial, one_ago) { (-lean).min(32_767) } else { lean };
        let pull = if same(partial, two_ago) { 128 } else { -128 };
        let second = ((lean >> 7) + pull + ((self.poles[1] * 32_512) >> 15)).clamp(-12_288, 12_288);
        let pull = if same(partial, one_ago) { 192 } else { -192 };
        let bound = limit(15_360 - second);
        let first = limit(pull + ((self.poles[0] * 32_640) >> 15)).clamp(-bound, bound);

        // UPZERO and the delay line in one walk from the oldest.
        let pull = if step == 0 { 0 } else { 128 };
        for (zero, &earlier) in self.zeros.iter_mut().zip(&self.steps) {
            let pull = if same(earlier, step) { pull } else { -pull };
            *zero = limit(pull + ((*zero * 32_640) >> 15));
        }
        self.steps.copy_within(0..5, 1);
        self.steps[0] = step;
        self.poles = [first, second];
        self.partial = [partial, one_ago];
        self.rebuilt = [rebuilt, self.rebuilt[0]];

        // FILTEP, FILTEZ, PREDIC.
        let by = |coefficient: i32, sample: i32| (coefficient * limit(sample + sample)) >> 15;
        let from_poles = limit(by(first, self.rebuilt[0]) + by(second, self.rebuilt[1]));
        self.from_zeros = limit(self.zeros.iter().zip(&self.steps).map(|(&zero, &step)| by(zero, step)).sum());
        self.predicted = limit(from_poles + self.from_zeros);
    }
}

fn limit(value: i32) -> i32 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::tone::{Noise, Tone};
    use crate::units::SampleRate;

    /// Samples that the two filters together hold back.
    const DELAY: usize = 22;

    fn coded(samples: &[i16]) -> (Vec<u8>, Vec<i16>) {
        let mut codes = vec![0; samples.len() / 2];
        let mut heard = vec![0; samples.len()];
        assert_eq!(G722Encoder::new().encode(samples, &mut codes), codes.len());
        assert_eq!(G722Decoder::new().decode(&codes, &mut heard), heard.len());
        (codes, heard)
    }

    fn snr(samples: &[i16]) -> f64 {
        let (_, heard) = coded(samples);
        let (mut signal, mut noise) = (0.0, 1e-9);
        for (&a, &b) in samples.iter().zip(&heard[DELAY..]).skip(800) {
            signal += f64::from(a).powi(2);
            noise += (f64::from(a) - f64::from(b)).powi(2);
        }
        10.0 * (signal / noise).log10()
    }

    fn checksum(bytes: impl Iterator<Item = u8>) -> u64 {
        bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// A signal made of integers alone, so that every machine makes the same: chirps, clicks, noise and full scale.
    fn integers() -> Vec<i16> {
        let mut state = 1_u32;
        (0..64_000_u32)
            .map(|n| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (state >> 16) as i16;
                match n / 8_000 {
                    0 => noise >> 8,
                    1 => noise,
                    2 => ((n * n / 64) as i16) >> 2,
                    3 => i16::from(n % 500 == 0).wrapping_mul(i16::MAX),
                    4 => {
                        if n / 20 % 2 == 0 {
                            i16::MAX
                        } else {
                            i16::MIN
                        }
                    }
                    5 => (n % 133) as i16 * 200 - 13_300,
                    6 => 0,
                    _ => (noise >> 4) + ((n % 80) as i16 * 300 - 12_000),
                }
            })
            .collect()
    }

    #[test]
    fn codes_and_samples_are_those_of_the_reference() {
        // The sums are those of the public reference implementation in C that most telephony stacks carry, translated, with
        // the start values of the recommendation (scale 32 and 8), on the same signal and on every byte in a row.
        let (codes, heard) = coded(&integers());
        assert_eq!(checksum(codes.into_iter()), REFERENCE_CODES);
        assert_eq!(checksum(heard.into_iter().flat_map(i16::to_le_bytes)), REFERENCE_SAMPLES);
    }

    const REFERENCE_CODES: u64 = 0x1052_3a52_7544_125b;
    const REFERENCE_SAMPLES: u64 = 0x0863_493d_44db_789a;

    #[test]
    fn tones_of_both_bands_come_through() {
        for (hz, least) in [(300.0, 30.0), (1_000.0, 30.0), (3_000.0, 20.0), (5_500.0, 12.0)] {
            let tone = Tone::new(SampleRate::WIDE, &[hz], 10_000).take_ms(1_000);
            let snr = snr(&tone);
            assert!(snr >= least, "{hz} Hz: {snr:.1} dB");
        }
    }

    #[test]
    fn speech_comes_through() {
        let read = |path: &str| -> Vec<i16> {
            hound::WavReader::open(path).unwrap().samples::<i16>().map(Result::unwrap).collect()
        };
        let narrow = read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/audio/caller_f3.wav"));
        let wide: Vec<i16> =
            narrow.windows(2).flat_map(|w| [w[0], ((i32::from(w[0]) + i32::from(w[1])) / 2) as i16]).collect();
        let snr = snr(&wide);
        assert!(snr >= 20.0, "{snr:.1} dB");
    }

    #[test]
    fn silence_stays_silent_and_unequal_slices_stop_at_the_shorter() {
        let (_, heard) = coded(&[0; 3_200]);
        assert!(heard.iter().all(|s| s.abs() <= 8), "{:?}", heard.iter().max());
        assert_eq!(G722Encoder::new().encode(&[1; 7], &mut [0; 9]), 3);
        assert_eq!(G722Encoder::new().encode(&[1; 40], &mut [0; 9]), 9);
        assert_eq!(G722Decoder::new().decode(&[1; 4], &mut [0; 7]), 6);
        assert_eq!(G722Decoder::new().decode(&[1; 4], &mut [0; 70]), 8);
    }

    proptest! {
        #[test]
        fn no_bytes_and_no_samples_hurt(bytes in proptest::collection::vec(any::<u8>(), 0..2_000), level in -60..0) {
            let mut samples = vec![0; bytes.len() * 2];
            prop_assert_eq!(G722Decoder::new().decode(&bytes, &mut samples), samples.len());
            Noise::new(u64::from(bytes.len() as u32) + 1, level as f32).fill(&mut samples);
            coded(&samples);
        }
    }
}
