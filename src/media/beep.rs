//! Finds the beep after which a voicemail records: one steady tone of 400 to 2500 Hz for 120 ms to 2 s. Never calls a beep what a
//! network or a fax sends: two tones at once are none (keys, ringing and busy tones of most countries), a tone that repeats or comes
//! without speech before it is told by its other name. Allocates nothing.
//!
//! A frame is one tone where one sine explains nearly all of its energy. Its pitch is guessed from how the frame resembles itself one
//! and two samples later (noise adds nothing to that) and refined by the turn of its phase over four quarters, whose levels also show
//! a beat.

use crate::units::{FRAME_MS, SampleRate};

/// Samples of a frame at 8 kHz, and of its four quarters.
const FRAME: usize = 160;
const QUARTER: usize = 40;
/// Pairs of samples compared with each lag: whole blocks of [`LANES`].
const PAIRS: usize = 152;
const LANES: usize = 8;
const RATE_HZ: f32 = 8_000.0;
/// A beep's pitch.
const LOWEST_HZ: f32 = 380.0;
const HIGHEST_HZ: f32 = 2_550.0;
/// A beep's length, in whole frames: one of 120 ms fills at least five.
const SHORTEST: u32 = 5;
const LONGEST: u32 = 100;
/// The mean square below which nothing is looked at: -42 dBFS.
const FAINT: f32 = 68_000.0;
/// The sine's least share of the energy: 8.6 dB more than everything else. Keys with a twist of 8 dB have less.
const SHARE: f32 = 0.88;
/// The faintest quarter's least share of the loudest one's energy.
const EVEN: f32 = 0.5;
/// A guess this far beside the pitch, in radians per quarter, is made once more from where it led.
const FAR_BESIDE: f32 = 0.5;
/// A tone stays on its pitch, in hertz, and near its level, as a factor of energy.
const PITCH_HZ: f32 = 10.0;
const LEVEL: f32 = 2.5;
/// Frames after a tone in which another makes it a melody, and after which it is told.
const AFTER: u32 = 4;
/// Frames within which the same tone again is a cadence: the longest pause of a ringing tone, 4 s, and a little.
const CADENCE: u32 = 225;
/// Pitches of tones that networks send alone: dialling, ringing and busy (ITU-T E.180: 400 to 450 Hz).
const PROGRESS_HZ: std::ops::RangeInclusive<f32> = 380.0..=500.0;
/// The calling tone of a fax (ITU-T T.30): 1100 Hz for half a second.
const FAX_HZ: std::ops::RangeInclusive<f32> = 1_055.0..=1_145.0;
const FAX_FRAMES: std::ops::RangeInclusive<u32> = 20..=31;
/// Speech came before a tone where so much of it is left in the meter: voiced frames fill it by two, others drain it by one.
const SPOKEN: u32 = 30;
const METER: u32 = 400;

/// What a tone is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ToneKind {
    /// A voicemail's beep.
    Beep,
    /// Ringing, busy or dialling: at the pitch of those without speech before it, or repeated.
    Progress,
    /// A fax calls: 1100 Hz for half a second without speech before it.
    Fax,
    /// One of several tones in a row: a special information tone, a melody.
    Melody,
    /// Too long for a beep: a fax that answers (2100 Hz), a dialling tone, a fault.
    Steady,
}

/// One tone, told when it has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineTone {
    /// What it is.
    pub kind: ToneKind,
    /// Its pitch.
    pub hz: u16,
    /// Its length, in whole frames.
    pub lasted_ms: u32,
    /// It ended this long before the end of the frame that tells it.
    pub ago_ms: u32,
}

/// A tone that sounds, or has just ended.
#[derive(Clone, Copy, Debug)]
struct Run {
    hz: f32,
    energy: f32,
    frames: u32,
    /// Frames since without it.
    gap: u32,
    melody: bool,
}

/// The detector of one line.
#[derive(Clone, Debug)]
pub struct BeepDetector {
    /// Samples of the line for one at 8 kHz.
    fold: usize,
    run: Option<Run>,
    /// The last tone's pitch, and frames since its end.
    last: Option<(f32, u32)>,
    speech: u32,
}

impl BeepDetector {
    /// A detector for a line of 8, 16 or 24 kHz.
    #[must_use]
    pub fn new(rate: SampleRate) -> Self {
        Self { fold: (rate.frame_samples() / FRAME).max(1), run: None, last: None, speech: 0 }
    }

    /// Hears one frame of 20 ms, of which the voice detector says whether it is a voice.
    pub fn push(&mut self, frame: &[i16], voiced: bool) -> Option<LineTone> {
        let mut narrow = [0.0; FRAME];
        if self.fold == 1 {
            narrow.iter_mut().zip(frame).for_each(|(out, &s)| *out = f32::from(s));
        } else {
            for (out, samples) in narrow.iter_mut().zip(frame.chunks(self.fold)) {
                *out = samples.iter().map(|&s| f32::from(s)).sum::<f32>();
            }
        }
        if let Some((_, since)) = &mut self.last {
            *since = since.saturating_add(1);
        }
        // Folded samples are sums: the floor rises with the square of their number.
        let faint = FAINT * (self.fold * self.fold) as f32;
        match sine(&narrow, faint) {
            Some((hz, energy)) => {
                self.sounds(hz, energy);
                None
            }
            None => {
                if self.run.is_none_or(|run| run.gap > 0) {
                    self.speech = if voiced { (self.speech + 2).min(METER) } else { self.speech.saturating_sub(1) };
                }
                self.pauses()
            }
        }
    }

    /// A frame of one tone.
    fn sounds(&mut self, hz: f32, energy: f32) {
        match &mut self.run {
            Some(run) if run.gap <= 1 && run.goes_on(hz, energy) => run.extend(hz, energy),
            Some(run) => {
                let melody = run.melody || run.frames >= SHORTEST;
                *run = Run { melody, ..Run::new(hz, energy) };
            }
            None => self.run = Some(Run::new(hz, energy)),
        }
    }

    /// A frame of anything else.
    fn pauses(&mut self) -> Option<LineTone> {
        let run = self.run.as_mut()?;
        run.gap += 1;
        if run.gap < AFTER {
            return None;
        }
        let run = self.run.take().filter(|run| run.frames >= SHORTEST)?;
        let kind = self.kind_of(&run);
        self.last = Some((run.hz, run.gap));
        let (hz, ago_ms) = (run.hz.round() as u16, run.gap * FRAME_MS);
        Some(LineTone { kind, hz, lasted_ms: run.frames * FRAME_MS, ago_ms })
    }

    fn kind_of(&self, run: &Run) -> ToneKind {
        let spoken = self.speech >= SPOKEN;
        let between = |since: u32| since.saturating_sub(run.frames + run.gap);
        let again = self.last.is_some_and(|(hz, since)| (hz - run.hz).abs() <= PITCH_HZ && between(since) <= CADENCE);
        match run {
            _ if run.melody => ToneKind::Melody,
            _ if run.frames > LONGEST => ToneKind::Steady,
            _ if again || (!spoken && PROGRESS_HZ.contains(&run.hz)) => ToneKind::Progress,
            _ if !spoken && FAX_HZ.contains(&run.hz) && FAX_FRAMES.contains(&run.frames) => ToneKind::Fax,
            _ => ToneKind::Beep,
        }
    }
}

impl Run {
    const fn new(hz: f32, energy: f32) -> Self {
        Self { hz, energy, frames: 1, gap: 0, melody: false }
    }

    fn goes_on(&self, hz: f32, energy: f32) -> bool {
        (hz - self.hz).abs() <= PITCH_HZ && energy <= self.energy * LEVEL && self.energy <= energy * LEVEL
    }

    fn extend(&mut self, hz: f32, energy: f32) {
        self.frames += 1 + self.gap;
        self.gap = 0;
        // A mean of the last few frames, so that the first, which the tone fills in part, does not count for ever.
        let share = 1.0 / self.frames.min(8) as f32;
        self.hz += (hz - self.hz) * share;
        self.energy += (energy - self.energy) * share;
    }
}

/// Pitch and mean square of the one sine that the frame is; `None` where it is anything else.
fn sine(x: &[f32; FRAME], faint: f32) -> Option<(f32, f32)> {
    let mean = autocorrelation(x, 0) / PAIRS as f32;
    if mean < faint {
        return None;
    }
    let mut w = guess(autocorrelation(x, 1), autocorrelation(x, 2))?;
    let (mut parts, mut turn) = quarters(x, w);
    if turn.abs() > FAR_BESIDE {
        w += turn / QUARTER as f32;
        (parts, turn) = quarters(x, w);
    }
    w += turn / QUARTER as f32;
    let hz = w * RATE_HZ / std::f32::consts::TAU;
    let (least, most) = parts.iter().map(|q| q.energy()).fold((f32::MAX, 0.0), |(l, m), e| (e.min(l), e.max(m)));
    if !(LOWEST_HZ..=HIGHEST_HZ).contains(&hz) || least < most * EVEN {
        return None;
    }
    // Sums of a polynomial in the turn, from its highest power down.
    let back = Phasor::of(-turn);
    let sum = parts.iter().rev().fold(Phasor::default(), |sum, part| sum.times(back) + *part);
    // The guess is a little beside the pitch, by which each quarter's sum came out too small.
    let beside = 1.0 - turn * turn / 24.0;
    let energy = 2.0 * sum.energy() / ((FRAME * FRAME) as f32 * beside * beside);
    (energy >= SHARE * mean).then_some((hz, energy))
}

/// How the frame resembles itself `lag` samples later. In lanes, so that they are summed beside each other.
fn autocorrelation(x: &[f32; FRAME], lag: usize) -> f32 {
    let mut lanes = [0.0; LANES];
    for (a, b) in x[..PAIRS].as_chunks::<LANES>().0.iter().zip(x[lag..lag + PAIRS].as_chunks::<LANES>().0) {
        lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    lanes.iter().sum()
}

/// The angle per sample of a sine with these autocorrelations at lags one and two (Pisarenko's way: white noise has none there).
fn guess(one: f32, two: f32) -> Option<f32> {
    let root = (two * two + 8.0 * one * one).sqrt();
    // The root with the sign of the sine's own cosine; a pitch of 2 kHz has a cosine of zero.
    let cosine = if one.abs() * 1e3 < two.abs() { 0.0 } else { (two + root) / (4.0 * one) };
    (cosine.abs() < 1.0).then(|| cosine.acos())
}

#[derive(Clone, Copy, Default)]
struct Phasor {
    re: f32,
    im: f32,
}

impl Phasor {
    fn of(angle: f32) -> Self {
        let (im, re) = angle.sin_cos();
        Self { re, im }
    }

    fn times(self, other: Self) -> Self {
        Self { re: self.re * other.re - self.im * other.im, im: self.re * other.im + self.im * other.re }
    }

    fn energy(self) -> f32 {
        self.re * self.re + self.im * self.im
    }
}

impl std::ops::Add for Phasor {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }
}

/// The four quarters of the frame, each summed against a turning phasor of `w` per sample, and how far the sine turns on from one to the
/// next beyond that.
fn quarters(x: &[f32; FRAME], w: f32) -> ([Phasor; 4], f32) {
    let step = Phasor::of(-w);
    let mut at = Phasor { re: 1.0, im: 0.0 };
    let (mut re, mut im) = ([0.0; 4], [0.0; 4]);
    let [a, b, c, d] = std::array::from_fn(|i| &x[i * QUARTER..(i + 1) * QUARTER]);
    for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
        let samples = [a, b, c, d];
        re.iter_mut().zip(samples).for_each(|(sum, sample)| *sum += at.re * sample);
        im.iter_mut().zip(samples).for_each(|(sum, sample)| *sum += at.im * sample);
        at = at.times(step);
    }
    // Each quarter began where the phasor stood at the end of the one before.
    let mut turned = Phasor { re: 1.0, im: 0.0 };
    let sums = std::array::from_fn(|i| {
        let sum = Phasor { re: re[i], im: im[i] }.times(turned);
        turned = turned.times(at);
        sum
    });
    let ahead = sums.windows(2).fold(Phasor::default(), |ahead, pair| {
        let back = Phasor { re: pair[0].re, im: -pair[0].im };
        ahead + pair[1].times(back)
    });
    (sums, ahead.im.atan2(ahead.re))
}

#[cfg(test)]
#[path = "beep_tests.rs"]
mod tests;
