//! Does every recording hold its own caller, whole? The audio that a call sent is laid over the left channel of its recording, turn by
//! turn. Reads the files of a worker on this machine; never changes one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::load::{Spoke, number};
use super::report::Planted;
use super::sound::{FRAME, Pool};
use crate::results::{CallResult, MediaQuality, read_result};

/// A recording matches where its worst turn correlates so well with what was said.
const MATCH: f64 = 0.99;
/// A turn with a hole in it is still its own caller's.
const SAME: f64 = 0.5;
/// Turns of a call that are looked at.
const MOST_TURNS: usize = 8;
/// How far a recording may stand off what was sent, in samples: 2 s.
const MOST_LAG: isize = 16_000;
/// The media thread takes whole packets, so most recordings stand off by a multiple of this.
const COARSE: isize = (FRAME / 2) as isize;

/// What sampled recordings held.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Recordings {
    /// Calls that were long enough to tell, in the order of time.
    pub whole: usize,
    /// Of them looked at, spread from the first to the last.
    pub sampled: usize,
    /// Their own caller, whole.
    pub matched: usize,
    /// Their own caller with a hole that their own result names: audio that came too late or not at all.
    pub disturbed: usize,
    /// The worst correlation of any turn of the others.
    pub worst: f64,
    /// No recording was found for so many.
    pub missing: usize,
    /// Recordings that hold another caller: whose they are, and whom they hold.
    pub swapped: Vec<(u64, u64)>,
}

impl Recordings {
    /// Was everything as it should be? Holes that the results own up to are no fault of the recordings, as long as most have none.
    #[must_use]
    pub fn all_match(&self) -> bool {
        self.matched + self.disturbed == self.sampled && self.disturbed <= self.matched && self.swapped.is_empty()
    }

    pub(super) fn line(&self) -> String {
        let Self { whole, sampled, matched, disturbed, worst, missing, swapped } = self;
        format!(
            "recordings: {matched} of {sampled} (of {whole}, from the first to the last) match what was sent (worst correlation of a turn {worst:.4}), {disturbed} have holes that their results name, {} hold another caller, {missing} missing",
            swapped.len()
        )
    }
}

/// Every result below a data folder by the caller's number, with its folder.
pub(super) fn results(data: &Path) -> HashMap<String, (PathBuf, CallResult)> {
    let Ok(entries) = std::fs::read_dir(data.join("calls")) else { return HashMap::new() };
    let folders = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    let read = folders.filter_map(|folder| read_result(&folder).ok().map(|result| (folder, result)));
    read.map(|(folder, result)| (result.caller_id.reveal().clone(), (folder, result))).collect()
}

/// What the results of these calls say of their streams, beside what was planted.
pub(super) fn seen(found: &HashMap<String, (PathBuf, CallResult)>, calls: &[Spoke], planted: Planted) -> Planted {
    let mut out = planted;
    for call in calls {
        let Some((_, result)) = found.get(&number(call.id)) else { continue };
        let Some(rtp) = &result.media.rtp else { continue };
        out.results += 1;
        out.of_results += call.packets;
        out.seen_received += rtp.received;
        out.seen_lost += rtp.lost;
        out.seen_doubled += rtp.duplicated;
        out.seen_reordered += rtp.reordered;
    }
    out
}

/// Which of `all` calls are looked at, `most` of them or all: evenly spread from the first to the last, in the order of time.
fn spread(all: usize, most: usize) -> impl Iterator<Item = usize> {
    let wanted = all.min(most);
    (0..wanted).map(move |n| if wanted < 2 { 0 } else { n * (all - 1) / (wanted - 1) })
}

/// Looks at the recordings of at most `most` calls, spread over all of them in the order that they ended.
pub(super) fn check(
    pool: &Pool,
    found: &HashMap<String, (PathBuf, CallResult)>,
    calls: &[Spoke],
    most: usize,
) -> Recordings {
    let whole: Vec<&Spoke> = calls.iter().filter(|call| Pool::turns(call.id, call.packets).next().is_some()).collect();
    let sampled: Vec<&Spoke> = spread(whole.len(), most).map(|n| whole[n]).collect();
    let mut out = Recordings { whole: whole.len(), worst: 1.0, ..Recordings::default() };
    for call in &sampled {
        out.sampled += 1;
        let of_call = found.get(&number(call.id));
        let read = of_call.and_then(|(folder, result)| Some((left(&folder.join("recording.wav"))?, result)));
        let Some((left, result)) = read else {
            out.missing += 1;
            continue;
        };
        let likeness = likeness(pool, call.id, call.packets, &left);
        if likeness < MATCH
            && has_holes(&result.media)
            && first_turn(pool, call, &left).is_some_and(|first| first >= SAME)
        {
            out.disturbed += 1;
            continue;
        }
        out.worst = out.worst.min(likeness);
        if likeness >= MATCH {
            out.matched += 1;
        } else if let Some(other) = sampled.iter().find(|other| {
            other.id != call.id && first_turn(pool, other, &left).is_some_and(|likeness| likeness >= MATCH)
        }) {
            out.swapped.push((call.id, other.id));
        }
    }
    out
}

/// Lets two recordings of a run's folder change places and looks again: the proof that a swap is found. For tests.
///
/// # Errors
/// Where the folder holds no two whole calls.
pub fn swapped_pair(data: &Path) -> std::io::Result<Recordings> {
    let missing = || std::io::Error::other("expected two recorded calls");
    let pool = Pool::new().map_err(std::io::Error::other)?;
    let mut found = results(data);
    let mut calls: Vec<Spoke> = Vec::new();
    for (caller, (folder, result)) in &found {
        if has_holes(&result.media) {
            continue;
        }
        let id = caller.strip_prefix("+9190").and_then(|id| id.parse().ok()).ok_or_else(missing)?;
        let samples = left(&folder.join("recording.wav")).map_or(0, |left| left.len() / FRAME);
        calls.push(Spoke { id, packets: (samples as u64).saturating_sub(25) });
    }
    calls.retain(|call| Pool::turns(call.id, call.packets).next().is_some());
    let [one, other, ..] = calls[..] else { return Err(missing()) };
    let (one, other) = (number(one.id), number(other.id));
    let folder_of = |found: &HashMap<String, (PathBuf, CallResult)>, caller: &str| {
        found.get(caller).map(|(folder, _)| folder.clone()).ok_or_else(missing)
    };
    let (first, second) = (folder_of(&found, &one)?, folder_of(&found, &other)?);
    for (caller, folder) in [(&one, second), (&other, first)] {
        if let Some(place) = found.get_mut(caller) {
            place.0 = folder;
        }
    }
    Ok(check(&pool, &found, &calls, usize::MAX))
}

/// Did the caller's audio come too late to be heard in its place, or not at all? Over WebSocket nothing is lost, but a frame that is late
/// leaves silence where it should have been, and moves what follows.
fn has_holes(media: &MediaQuality) -> bool {
    media.rtp.as_ref().map_or(media.concealed_ms + media.dropped_ms, |rtp| rtp.late + rtp.lost) > 0
}

fn left(wav: &Path) -> Option<Vec<i16>> {
    let mut reader = hound::WavReader::open(wav).ok()?;
    let channels = usize::from(reader.spec().channels);
    let samples: Vec<i16> = reader.samples::<i16>().collect::<Result<_, _>>().ok()?;
    Some(samples.into_iter().step_by(channels).collect())
}

fn first_turn(pool: &Pool, call: &Spoke, recorded: &[i16]) -> Option<f64> {
    let from = Pool::turns(call.id, call.packets).next()?;
    Some(place(&pool.audio(call.id, from, from + Pool::turn_frames()), from, recorded, 0).1)
}

/// How well the worst of the call's turns is found in its recording: 1 is sample for sample.
fn likeness(pool: &Pool, id: u64, packets: u64, recorded: &[i16]) -> f64 {
    let turns: Vec<u64> = Pool::turns(id, packets).collect();
    let step = turns.len().div_ceil(MOST_TURNS).max(1);
    let mut lag = 0;
    let mut worst = 1.0f64;
    for from in turns.into_iter().step_by(step) {
        let said = pool.audio(id, from, from + Pool::turn_frames());
        let (at, likeness) = place(&said, from, recorded, lag);
        lag = at;
        worst = worst.min(likeness);
    }
    worst
}

/// Where a turn that was sent from packet `from` on stands in the recording, first looked for at `near`; the lag and how alike.
fn place(said: &[i16], from: u64, recorded: &[i16], near: isize) -> (isize, f64) {
    let start = from as isize * FRAME as isize;
    let at = |lag: isize| (lag, correlation(said, recorded, start + lag));
    let better = |a: (isize, f64), b: (isize, f64)| if b.1 > a.1 { b } else { a };
    let best = at(near);
    if best.1 >= MATCH {
        return best;
    }
    let coarse = (-MOST_LAG / COARSE..=MOST_LAG / COARSE).map(|n| at(n * COARSE)).fold(best, better);
    if coarse.1 >= MATCH {
        return coarse;
    }
    (coarse.0 - COARSE..=coarse.0 + COARSE).map(at).fold(coarse, better)
}

/// The normalised correlation of `said` with the stretch of `recorded` that begins at `at`; what lies outside is silence.
fn correlation(said: &[i16], recorded: &[i16], at: isize) -> f64 {
    let (mut both, mut one, mut other) = (0.0, 0.0, 0.0);
    for (i, sample) in said.iter().enumerate() {
        let place = usize::try_from(at + i as isize).ok();
        let heard = place.and_then(|place| recorded.get(place)).copied().unwrap_or(0);
        let (a, b) = (f64::from(*sample), f64::from(heard));
        both += a * b;
        one += a * a;
        other += b * b;
    }
    if one == 0.0 || other == 0.0 { 0.0 } else { both / (one * other).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::RtpQuality;

    #[test]
    fn the_sample_spans_the_run_from_its_first_call_to_its_last() {
        let picked = |all, most| spread(all, most).collect::<Vec<_>>();
        assert_eq!(picked(5, 50), [0, 1, 2, 3, 4]);
        assert_eq!(picked(101, 3), [0, 50, 100], "begin, middle and end");
        assert_eq!((picked(7, 1), picked(7, 0), picked(0, 5)), (vec![0], vec![], vec![]));
        for all in [50usize, 51, 60, 99, 1_000, 20_000] {
            let picked = picked(all, 50);
            assert_eq!((picked.len(), picked[0], picked[49]), (50, 0, all - 1));
            let apart: Vec<usize> = picked.windows(2).map(|two| two[1] - two[0]).collect();
            let (least, most) = (apart.iter().min().unwrap(), apart.iter().max().unwrap());
            assert!(*least > 0 && most - least <= 1, "{all}: {apart:?}");
        }
    }

    #[test]
    fn a_hole_is_what_the_result_of_either_transport_names() {
        let ws = |concealed_ms, dropped_ms| MediaQuality { concealed_ms, dropped_ms, ..MediaQuality::default() };
        assert_eq!([ws(0, 0), ws(20, 0), ws(0, 20)].map(|media| has_holes(&media)), [false, true, true]);
        let rtp =
            |lost, late| MediaQuality { rtp: Some(RtpQuality { lost, late, ..RtpQuality::default() }), ..ws(20, 0) };
        // What a packet's own lateness did not do, a drifting clock may: no hole.
        assert_eq!([rtp(0, 0), rtp(1, 0), rtp(0, 1)].map(|media| has_holes(&media)), [false, true, true]);
    }

    #[test]
    fn a_recording_matches_its_own_caller_alone_at_whatever_lag() {
        let pool = Pool::new().unwrap();
        let packets = 2_000;
        let mut recorded = vec![0i16; 723];
        recorded.extend(pool.audio(5, 0, packets));
        assert!(likeness(&pool, 5, packets, &recorded) > 0.999);
        assert!(likeness(&pool, 6, packets, &recorded) < 0.5, "another caller's words");
        let half = recorded.len() / 2;
        let mut swapped = recorded[..half].to_vec();
        swapped.extend(&pool.audio(6, 0, packets)[half - 723..]);
        assert!(likeness(&pool, 5, packets, &swapped) < 0.5, "swapped in mid-call");
        let mut holed = recorded.clone();
        let turn = Pool::turns(5, packets).next().unwrap() as usize * FRAME + 723;
        holed[turn + 4_000..turn + 8_000].fill(0);
        assert!(likeness(&pool, 5, packets, &holed) < MATCH, "half a second is missing");
    }
}
