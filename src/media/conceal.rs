//! Concealment of missing audio by repeating the last pitch period, after the idea of ITU-T G.711 Appendix I: the period is
//! found by correlation, repeated without a step, fades after 10 ms and is silent after 60, and flows into the audio that
//! comes back. Adds no delay to a stream without holes, does not touch it, and allocates nothing.

use crate::units::{MAX_FRAME_SAMPLES, SampleRate, prefetch};

/// The shortest and the longest period looked for: voices from 66 to 200 Hz, higher ones by a multiple of their own.
const SHORTEST_MS: u64 = 5;
const LONGEST_MS: u64 = 15;
/// How much of the past is compared with its own past.
const COMPARED_MS: u64 = 10;
/// Full level until here, then down to nothing.
const FADE_FROM_MS: u64 = 10;
/// After this long silence is more honest than an invention.
const FADE_TO_MS: u64 = 60;
/// How long the return to real audio takes after a short hole.
const RETURN_MS: u64 = 4;

/// Below this squared correlation a signal has no period.
const LIKE: f32 = 0.16;

/// The longest period at the highest rate of a leg (24 kHz).
const MAX_PERIOD: usize = MAX_FRAME_SAMPLES * 15 / 20;
/// The longest period, the part that is compared, and room for the blend.
const MAX_PAST: usize = MAX_FRAME_SAMPLES * 30 / 20;

/// Fills the holes of one stream. Give it every frame that came, and ask it for every frame that did not.
#[derive(Clone, Debug)]
pub struct Concealer {
    rate: SampleRate,
    /// What was last heard, inventions included; the newest sample last.
    past: [i16; MAX_PAST],
    /// Samples of `past` in use at this rate.
    kept: usize,
    /// Something was heard since the beginning.
    heard: bool,
    /// One period, made so that its end flows into its start.
    cycle: [i16; MAX_PERIOD],
    period: usize,
    /// The step between what was heard last and the first sample of the cycle, taken back over a quarter period.
    step: i32,
    /// Samples invented since the last real one.
    at: usize,
}

impl Concealer {
    /// A concealer for a stream at this rate (24 kHz at the most), which has heard nothing yet.
    #[must_use]
    pub const fn new(rate: SampleRate) -> Self {
        let wanted = rate.samples_in(LONGEST_MS + COMPARED_MS + 5) as usize;
        Self {
            rate,
            past: [0; MAX_PAST],
            kept: if wanted < MAX_PAST { wanted } else { MAX_PAST },
            heard: false,
            cycle: [0; MAX_PERIOD],
            period: 0,
            step: 0,
            at: 0,
        }
    }

    /// A frame came. After a hole its first milliseconds are blended in place with the end of the invention.
    pub fn arrived(&mut self, frame: &mut [i16]) {
        if self.at > 0 {
            self.blend(frame);
            self.at = 0;
        }
        self.remember(frame);
    }

    /// A frame came, but audio before it was cut out: the two ends are blended in place.
    pub fn joined(&mut self, frame: &mut [i16]) {
        if self.at == 0 {
            self.begin();
        }
        self.blend(frame);
        self.at = 0;
        self.remember(frame);
    }

    /// A frame is missing: fills `out` with the invention, which goes on where the last frame or invention ended.
    pub fn conceal(&mut self, out: &mut [i16]) {
        if out.is_empty() {
            return;
        }
        if self.at == 0 {
            self.begin();
        }
        for (i, sample) in out.iter_mut().enumerate() {
            *sample = self.invented(self.at.saturating_add(i));
        }
        self.at = self.at.saturating_add(out.len()).min(usize::MAX / 2);
        self.remember(out);
    }

    /// Begins to bring near what the next frame that came touches.
    pub fn prefetch(&self) {
        prefetch(self.past.get(..self.kept).unwrap_or_default());
        prefetch(&self.at);
    }

    /// Forgets the stream.
    pub const fn reset(&mut self) {
        self.past = [0; MAX_PAST];
        self.heard = false;
        self.at = 0;
    }

    /// The invention and the frame, one fading into the other.
    fn blend(&self, frame: &mut [i16]) {
        let hole_ms = self.rate.ms_of(self.at as u64).min(FADE_TO_MS);
        // A longer hole has drifted farther from the truth, so it needs a longer way back (Appendix I: 4 ms per 10 ms).
        let wanted = self.rate.samples_in(RETURN_MS.max(hole_ms * 2 / 5).min(10)) as usize;
        let blend = wanted.min(frame.len());
        for (i, sample) in frame.iter_mut().take(blend).enumerate() {
            let (new, of) = (i as i32 + 1, blend as i32 + 1);
            let invented = i32::from(self.invented(self.at.saturating_add(i)));
            *sample = ((i32::from(*sample) * new + invented * (of - new)) / of) as i16;
        }
    }

    fn remember(&mut self, frame: &[i16]) {
        let tail = frame.get(frame.len().saturating_sub(self.kept)..).unwrap_or_default();
        let Some(past) = self.past.get_mut(..self.kept) else { return };
        let stay = self.kept - tail.len();
        past.copy_within(tail.len().., 0);
        if let Some(end) = past.get_mut(stay..) {
            end.copy_from_slice(tail);
        }
        self.heard |= !tail.is_empty();
    }

    /// Finds the period and makes the cycle that is repeated.
    fn begin(&mut self) {
        let past = self.past.get(..self.kept).unwrap_or_default();
        let period = period_of(past, self.rate);
        let quarter = period / 4;
        let (Some(last), Some(before)) = (tail(past, 0, period), tail(past, period, quarter)) else { return };
        let Some(cycle) = self.cycle.get_mut(..period) else { return };
        cycle.copy_from_slice(last);
        // The end of the cycle turns into what came before its start, so that it can be repeated without a step.
        for (i, (sample, &earlier)) in cycle.iter_mut().skip(period - quarter).zip(before).enumerate() {
            let (new, of) = (i as i32 + 1, quarter as i32 + 1);
            *sample = ((i32::from(*sample) * (of - new) + i32::from(earlier) * new) / of) as i16;
        }
        let ends = |samples: &[i16]| samples.last().copied().map_or(0, i32::from);
        self.step = ends(past) - ends(before);
        self.period = period;
    }

    /// The invention `n` samples after the last real one.
    fn invented(&self, n: usize) -> i16 {
        let (from, to) = (self.rate.samples_in(FADE_FROM_MS) as usize, self.rate.samples_in(FADE_TO_MS) as usize);
        if !self.heard || self.period == 0 || n >= to {
            return 0;
        }
        let quarter = self.period / 4;
        let mut sample = self.cycle.get(n % self.period).copied().map_or(0, i32::from);
        if n < quarter {
            sample += self.step * (quarter - n) as i32 / (quarter as i32 + 1);
        }
        if n >= from {
            sample = (i64::from(sample) * (to - n) as i64 / (to - from).max(1) as i64) as i32;
        }
        sample.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
    }
}

/// `length` samples that end `back` samples before the end.
fn tail(past: &[i16], back: usize, length: usize) -> Option<&[i16]> {
    let end = past.len().checked_sub(back)?;
    past.get(end.checked_sub(length)?..end)
}

/// The lag at which the last milliseconds look most like what was before them; the longest where nothing looks like it, for
/// a short piece of noise repeated is a buzz. Searched at 8 kHz first, then exactly around what was found.
fn period_of(past: &[i16], rate: SampleRate) -> usize {
    let compared = rate.samples_in(COMPARED_MS) as usize;
    // No leg has a rate that reaches these bounds, but a rate is any number.
    let shortest = (rate.samples_in(SHORTEST_MS) as usize).clamp(1, MAX_PERIOD);
    let longest = (rate.samples_in(LONGEST_MS) as usize).clamp(shortest, MAX_PERIOD);
    let coarse = (rate.hz() as usize / 8_000).max(1);
    // Sixteenths, so that the sums of a comparison stay within 32 bits and the loops run on vectors.
    let (mut fine, mut thin) = ([0; MAX_PAST], [0; MAX_PAST]);
    for (to, &from) in fine.iter_mut().rev().zip(past.iter().rev()) {
        *to = from >> 4;
    }
    for (to, &from) in thin.iter_mut().rev().zip(past.iter().rev().step_by(coarse)) {
        *to = from >> 4;
    }
    let (likeness, lag) = likeliest(&thin, shortest / coarse..=longest / coarse, compared / coarse);
    if likeness < LIKE {
        return longest;
    }
    let around = (lag * coarse).saturating_sub(coarse).max(shortest)..=(lag * coarse + coarse).min(longest);
    match coarse {
        1 => lag,
        _ => likeliest(&fine, around, compared).1.clamp(shortest, longest),
    }
}

/// The best of these lags, with the square of its normalised correlation; 0 where none is positive.
fn likeliest(past: &[i16], lags: std::ops::RangeInclusive<usize>, compared: usize) -> (f32, usize) {
    let mut best = (0.0, *lags.start());
    let now = tail(past, 0, compared).unwrap_or_default();
    let own = product(now, now).max(1) as f32;
    for lag in lags {
        let then = tail(past, lag, compared).unwrap_or_default();
        let cross = product(now, then).max(0) as f32;
        let likeness = cross * cross / (own * product(then, then).max(1) as f32);
        if likeness > best.0 {
            best = (likeness, lag);
        }
    }
    best
}

/// The inner product of sixteenths; at most 240 samples, so below 2^30.
fn product(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).fold(0, |sum: i32, (&a, &b)| sum.wrapping_add(i32::from(a) * i32::from(b)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::tone::Tone;
    use crate::units::dbfs;

    fn largest_step(samples: &[i16]) -> i32 {
        samples.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap_or(0)
    }

    fn with_holes(whole: &[i16], rate: SampleRate, lost: &[usize]) -> Vec<i16> {
        let mut concealer = Concealer::new(rate);
        let mut heard = whole.to_vec();
        for (i, frame) in heard.chunks_mut(rate.frame_samples()).enumerate() {
            if lost.contains(&i) { concealer.conceal(frame) } else { concealer.arrived(frame) }
        }
        heard
    }

    /// A tone of 330 Hz, whose period fits no frame.
    fn tone(rate: SampleRate, frames: usize) -> Vec<i16> {
        Tone::new(rate, &[330.0], 12_000).take_ms(frames as u64 * 20)
    }

    fn snr(whole: &[i16], heard: &[i16]) -> f64 {
        let (mut signal, mut noise) = (0.0, 1e-9);
        for (&a, &b) in whole.iter().zip(heard) {
            signal += f64::from(a).powi(2);
            noise += (f64::from(a) - f64::from(b)).powi(2);
        }
        10.0 * (signal / noise).log10()
    }

    #[test]
    fn holes_of_any_length_make_no_click() {
        for rate in [SampleRate::NARROW, SampleRate::WIDE, SampleRate::STUDIO] {
            for lost in [&[3][..], &[3, 4], &[3, 4, 5], &[3, 4, 5, 6, 7], &[2, 4, 6], &[0, 1]] {
                let whole = tone(rate, 10);
                let heard = with_holes(&whole, rate, lost);
                let (bar, step) = (largest_step(&whole), largest_step(&heard));
                // Blending two phases of the tone over 4 ms may add a little; a click would be ten times it.
                let allowed = bar + 24_000 / rate.samples_in(RETURN_MS) as i32;
                assert!(step <= allowed, "{} Hz, lost {lost:?}: step {step}, tone alone {bar}", rate.hz());
            }
        }
    }

    #[test]
    fn a_lost_frame_of_a_tone_or_a_voice_is_closer_to_the_truth_than_silence() {
        let voice = vowel(SampleRate::WIDE);
        let cases = [(SampleRate::NARROW, tone(SampleRate::NARROW, 100)), (SampleRate::WIDE, voice)];
        for (rate, whole) in cases {
            // Every twentieth frame is 5 % loss.
            let lost: Vec<usize> = (5..100).step_by(20).collect();
            let heard = with_holes(&whole, rate, &lost);
            let mut silent = whole.clone();
            for &frame in &lost {
                silent.chunks_mut(rate.frame_samples()).nth(frame).unwrap().fill(0);
            }
            let (concealed, zeroed) = (snr(&whole, &heard), snr(&whole, &silent));
            assert!(concealed > zeroed + 6.0, "{} Hz: {concealed:.1} dB against {zeroed:.1} dB", rate.hz());
        }
    }

    /// Pulses at 120 Hz with a falling ring: as periodic as a voice, and no sine.
    fn vowel(rate: SampleRate) -> Vec<i16> {
        let period = rate.hz() as usize / 120;
        (0..rate.frame_samples() * 100)
            .map(|n| {
                let t = (n % period) as f64 / f64::from(rate.hz());
                ((-t * 400.0).exp() * (t * 700.0 * std::f64::consts::TAU).sin() * 9_000.0) as i16
            })
            .collect()
    }

    #[test]
    fn the_invention_falls_silent_within_60_ms() {
        let heard = with_holes(&tone(SampleRate::NARROW, 8), SampleRate::NARROW, &[2, 3, 4, 5, 6]);
        let levels: Vec<f32> = heard.chunks(160).map(dbfs).collect();
        assert!(levels[2] > levels[1] - 3.0 && levels[2] > levels[3] && levels[3] > levels[4], "{levels:?}");
        assert_eq!(&levels[5..7], [-100.0, -100.0]);
    }

    #[test]
    fn nothing_to_fill_changes_nothing() {
        let rate = SampleRate::NARROW;
        let mut concealer = Concealer::new(rate);
        concealer.arrived(&mut tone(rate, 1));
        concealer.conceal(&mut []);
        assert_eq!((concealer.at, concealer.period), (0, 0), "no period is looked for where nothing is missing");
    }

    #[test]
    fn a_cut_is_joined_without_a_click() {
        let rate = SampleRate::NARROW;
        let whole = tone(rate, 6);
        let mut cut = [&whole[..330], &whole[440..600]].concat();
        let bar = largest_step(&whole) + 24_000 / rate.samples_in(RETURN_MS) as i32;
        assert!(largest_step(&cut) > bar, "the cut alone must click for this test to say anything");
        let mut concealer = Concealer::new(rate);
        concealer.arrived(&mut cut[..330]);
        concealer.joined(&mut cut[330..]);
        assert!(largest_step(&cut) <= bar);
    }

    #[test]
    fn a_stream_without_holes_is_not_touched_and_nothing_heard_is_silence() {
        let whole = tone(SampleRate::WIDE, 5);
        assert_eq!(with_holes(&whole, SampleRate::WIDE, &[]), whole);
        let mut concealer = Concealer::new(SampleRate::NARROW);
        let mut out = [9; 160];
        concealer.conceal(&mut out);
        assert_eq!(out, [0; 160]);
        concealer.arrived(&mut []);
        concealer.conceal(&mut out);
        assert_eq!(out, [0; 160]);
    }

    #[test]
    fn a_rate_no_leg_has_is_concealed_too() {
        for hz in [1, 7, 143_900, 144_100, 384_000] {
            let mut concealer = Concealer::new(SampleRate::new(hz).unwrap());
            concealer.arrived(&mut [900; 700]);
            concealer.conceal(&mut [0; 700]);
            assert!((1..=MAX_PERIOD).contains(&concealer.period) || concealer.period == 0, "{hz} Hz");
        }
    }

    proptest! {
        #[test]
        fn any_samples_in_any_pieces_at_any_rate(
            hz in 1_u32..384_000,
            pieces in proptest::collection::vec((0_u8..3, 0_usize..700, any::<i16>()), 1..40),
        ) {
            let mut concealer = Concealer::new(SampleRate::new(hz).unwrap());
            for (what, length, value) in pieces {
                let mut frame: Vec<i16> = (0..length).map(|n| value.wrapping_mul(n as i16)).collect();
                match what {
                    0 => concealer.arrived(&mut frame),
                    1 => concealer.conceal(&mut frame),
                    _ => concealer.joined(&mut frame),
                }
            }
        }
    }
}
