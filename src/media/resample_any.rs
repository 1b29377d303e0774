//! Resampling between any two rates, through rubato's FFT method: transparent, with some 10 ms inside, allocating. For
//! speech from a synthesiser and for whole clips, on the tasks that fetch them; never in a tick.

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

use crate::media::pcm::{from_float, to_float};
use crate::media::resample::{MAX_RESAMPLE_INPUT, ResampleError, Resampler};
use crate::units::SampleRate;

/// Resamples a whole clip: equal rates copy, ratios of 2, 3 and 6 take the FIR, all others rubato. The output lies exactly
/// over the input (the filter's delay is cut off the front and made good at the end) and has ⌈n · to / from⌉ samples.
///
/// # Errors
/// [`ResampleError::Refused`] for rates that no block of bearable length joins.
pub fn convert(samples: &[i16], from: SampleRate, to: SampleRate) -> Result<Vec<i16>, ResampleError> {
    match Resampler::new(from, to) {
        Ok(fir) => Ok(convert_by_fir(fir, samples)),
        Err(_) => AnyResampler::convert(samples, from, to),
    }
}

fn convert_by_fir(mut fir: Resampler, samples: &[i16]) -> Vec<i16> {
    let skip = fir.delay_samples();
    let length = fir.output_len(samples.len());
    let mut all = Vec::with_capacity(length + skip + MAX_RESAMPLE_INPUT);
    let tail = vec![0; skip * fir.from().hz() as usize / fir.to().hz() as usize + 1];
    for chunk in samples.chunks(MAX_RESAMPLE_INPUT).chain(tail.chunks(MAX_RESAMPLE_INPUT)) {
        let at = all.len();
        all.resize(at + fir.output_len(chunk.len()), 0);
        fir.process(chunk, &mut all[at..]);
    }
    all.drain(..skip);
    all.truncate(length);
    all
}

/// A stream between two arbitrary rates, aligned: the first sample out lies over the first sample in (to half a sample of
/// the input, where the smallest block is odd: 22.05 to 8 kHz), and [`finish`](Self::finish) gives the tail, so that the
/// sum of the output is ⌈n · to / from⌉.
pub struct AnyResampler {
    from: SampleRate,
    to: SampleRate,
    fft: Fft<f32>,
    /// Input not yet a whole block.
    waiting: Vec<f32>,
    block: Vec<f32>,
    /// Output samples still to be cut off as the filter's delay.
    skip: usize,
    taken: u64,
    given: u64,
}

impl AnyResampler {
    /// A stream from one rate to the other.
    ///
    /// # Errors
    /// [`ResampleError::Refused`] for rates whose greatest common divisor is below 10 Hz: a block that joins them would be
    /// longer than 100 ms.
    pub fn new(from: SampleRate, to: SampleRate) -> Result<Self, ResampleError> {
        Self::with_block(from, to, from.frame_samples().max(1))
    }

    fn with_block(from: SampleRate, to: SampleRate, block: usize) -> Result<Self, ResampleError> {
        let refused = |reason| ResampleError::Refused { from_hz: from.hz(), to_hz: to.hz(), reason };
        if gcd(from.hz(), to.hz()) < 10 {
            return Err(refused("their greatest common divisor is below 10 Hz"));
        }
        let fft = Fft::new(from.hz() as usize, to.hz() as usize, block, 1, FixedSync::Both)
            .map_err(|_| refused("the resampler was given a rate of nothing"))?;
        let block = vec![0.0; fft.output_frames_max()];
        let skip = fft.output_delay();
        Ok(Self { from, to, fft, waiting: Vec::new(), block, skip, taken: 0, given: 0 })
    }

    /// Resamples a whole clip, aligned, to ⌈n · to / from⌉ samples. Also for whole ratios, as a yardstick.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn convert(samples: &[i16], from: SampleRate, to: SampleRate) -> Result<Vec<i16>, ResampleError> {
        // An even number of the smallest blocks: the middle of an odd one lies between two samples.
        let smallest = (from.hz() / gcd(from.hz(), to.hz())) as usize;
        let mut stream = Self::with_block(from, to, from.frame_samples().div_ceil(2 * smallest).max(1) * 2 * smallest)?;
        let mut out = Vec::with_capacity(stream.total_for(samples.len() as u64) as usize);
        stream.push(samples, &mut out);
        stream.finish(&mut out);
        Ok(out)
    }

    /// How long a sample waits inside at most, in milliseconds: a block, and half of one.
    #[must_use]
    pub fn holds_ms(&self) -> u64 {
        self.from.ms_of(self.fft.input_frames_max() as u64) + self.to.ms_of(self.fft.output_delay() as u64)
    }

    /// Takes a chunk of any length and appends what is ready to `out`.
    pub fn push(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        self.taken += samples.len() as u64;
        let at = self.waiting.len();
        self.waiting.resize(at + samples.len(), 0.0);
        to_float(samples, &mut self.waiting[at..]);
        let block = self.fft.input_frames_next();
        let mut used = 0;
        while self.waiting.len() - used >= block {
            self.turn(used, out);
            used += block;
        }
        self.waiting.drain(..used);
    }

    /// Appends all that is still inside to `out` and starts anew.
    pub fn finish(&mut self, out: &mut Vec<i16>) {
        while self.given < self.total_for(self.taken) {
            let block = self.fft.input_frames_next();
            self.waiting.resize(block.max(self.waiting.len()), 0.0);
            self.turn(0, out);
            self.waiting.drain(..block);
        }
        self.fft.reset();
        self.waiting.clear();
        (self.skip, self.taken, self.given) = (self.fft.output_delay(), 0, 0);
    }

    fn total_for(&self, taken: u64) -> u64 {
        (taken * u64::from(self.to.hz())).div_ceil(u64::from(self.from.hz()))
    }

    /// One block through the filter, from `waiting[at..]`.
    fn turn(&mut self, at: usize, out: &mut Vec<i16>) {
        let frames = self.fft.input_frames_next();
        let room = self.block.len();
        let input = InterleavedSlice::new(&self.waiting[at..at + frames], 1, frames);
        let output = InterleavedSlice::new_mut(&mut self.block, 1, room);
        let (Ok(input), Ok(mut output)) = (input, output) else { return };
        // The lengths are the ones the filter asked for, which are all that it can refuse; then nothing is written.
        let Ok((_, written)) = self.fft.process_into_buffer(&input, &mut output, None) else { return };
        let cut = self.skip.min(written);
        self.skip -= cut;
        // Only `finish` reaches this bound: while the stream runs, the delay keeps the output behind it.
        let keep = ((written - cut) as u64).min(self.total_for(self.taken).saturating_sub(self.given)) as usize;
        let start = out.len();
        out.resize(start + keep, 0);
        from_float(&self.block[cut..cut + keep], &mut out[start..]);
        self.given += keep as u64;
    }
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::tone::{Noise, Tone};

    const PAIRS_HZ: [(u32, u32); 7] = [
        (16_000, 24_000),
        (24_000, 16_000),
        (22_050, 8_000),
        (44_100, 16_000),
        (8_000, 44_100),
        (8_000, 16_000),
        (24_000, 8_000),
    ];

    fn rate(hz: u32) -> SampleRate {
        SampleRate::new(hz).unwrap()
    }

    fn stream(input: &[i16], from: u32, to: u32) -> Vec<i16> {
        let mut stream = AnyResampler::new(rate(from), rate(to)).unwrap();
        let mut out = Vec::new();
        stream.push(input, &mut out);
        stream.finish(&mut out);
        out
    }

    /// Signal-to-error ratio in dB, away from the ends, where a tone that starts and stops is not band-limited.
    fn likeness(a: &[i16], b: &[i16], margin: usize) -> f64 {
        let (mut signal, mut error) = (0.0, 1e-9);
        for (&a, &b) in a.iter().zip(b).skip(margin).take(a.len() - 2 * margin) {
            signal += f64::from(a).powi(2);
            error += (f64::from(a) - f64::from(b)).powi(2);
        }
        10.0 * (signal / error).log10()
    }

    #[test]
    fn a_converted_tone_lies_exactly_over_the_original() {
        for (from, to) in PAIRS_HZ {
            let input = Tone::new(rate(from), &[440.0, 1000.0], 9000).take_ms(300);
            let ideal = Tone::new(rate(to), &[440.0, 1000.0], 9000).take_ms(300);
            // Half a sample of 22.05 kHz off is 19 dB for these tones; half a millisecond would be less than nothing.
            for (out, bar) in [
                (convert(&input, rate(from), rate(to)).unwrap(), 60.0),
                (AnyResampler::convert(&input, rate(from), rate(to)).unwrap(), 60.0),
                (stream(&input, from, to), 15.0),
            ] {
                assert!(out.len().abs_diff(ideal.len()) <= 1, "{from} to {to}: {} samples", out.len());
                let likeness = likeness(&ideal, &out, to as usize / 50);
                assert!(likeness > bar, "{from} to {to}: {likeness:.1} dB");
            }
        }
    }

    #[test]
    fn the_tail_is_not_lost() {
        for (from, to) in PAIRS_HZ {
            let mut input = vec![0; from as usize / 5];
            let at = input.len() - from as usize / 1000;
            Tone::new(rate(from), &[1000.0], 20_000).fill(&mut input[at..]);
            let out = convert(&input, rate(from), rate(to)).unwrap();
            let loudest = out.iter().rev().take(to as usize / 800).map(|s| s.unsigned_abs()).max().unwrap();
            assert!(loudest > 15_000, "{from} to {to}: {loudest}");
        }
    }

    #[test]
    fn clips_of_no_and_one_sample_keep_their_length() {
        for (from, to) in PAIRS_HZ {
            assert!(convert(&[], rate(from), rate(to)).unwrap().is_empty());
            assert_eq!(convert(&[5], rate(from), rate(to)).unwrap().len(), to.div_ceil(from) as usize);
        }
    }

    #[test]
    fn rates_without_a_bearable_block_are_refused() {
        let error = convert(&[0; 8], rate(8_000), rate(11_111)).unwrap_err();
        assert!(error.to_string().contains("11111 Hz"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn cutting_the_stream_anywhere_changes_nothing(
            pair in prop::sample::select(&PAIRS_HZ[..]),
            cuts in prop::collection::vec(0..1500_usize, 0..8),
            seed in any::<u64>(),
        ) {
            let mut input = vec![0; cuts.iter().sum()];
            Noise::new(seed, -12.0).fill(&mut input);
            let expected = stream(&input, pair.0, pair.1);
            let exact = (input.len() as u64 * u64::from(pair.1)).div_ceil(u64::from(pair.0));
            prop_assert_eq!(expected.len() as u64, exact);
            let mut stream = AnyResampler::new(rate(pair.0), rate(pair.1)).unwrap();
            // The second round shows that `finish` starts anew.
            for _ in 0..2 {
                let (mut out, mut rest) = (Vec::new(), &input[..]);
                for &length in &cuts {
                    let (chunk, tail) = rest.split_at(length);
                    stream.push(chunk, &mut out);
                    rest = tail;
                }
                stream.finish(&mut out);
                prop_assert_eq!(&out, &expected);
            }
        }
    }
}
