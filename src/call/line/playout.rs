//! Paced playout: speech leaves in frames, at most three ahead of what the caller hears, and every sample heard is known.
//! A pause keeps the place; a cut drops everything of an answer and says how much of it was heard. Never mixes two answers
//! in one frame.

use std::collections::VecDeque;

use super::super::leg::Mark;
use super::LineStats;
use super::rings::{CHUNKS, Chunk, SpeechSource, skip_samples};
use crate::units::{MAX_FRAME_SAMPLES, SampleRate, UtteranceId, prefetch};

/// Frames the far end may hold that the caller has not heard.
pub const LEAD_FRAMES: usize = 3;

/// Pieces that may end within one frame; further ones end with the next frame.
pub const ENDS_PER_FRAME: usize = 4;

/// The pieces that end within a frame.
pub type Ended = [Option<Mark>; ENDS_PER_FRAME];

/// A place in an answer: the piece, and how many samples of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Place {
    utterance: UtteranceId,
    segment: u16,
    samples: u64,
}

/// A frame that was sent and not heard yet.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    /// Where its last sample stands.
    place: Place,
    ended: Ended,
    samples: [i16; MAX_FRAME_SAMPLES],
}

/// What the caller hears in a tick.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Playing {
    /// Nothing of the bot.
    Silence,
    /// A frame of speech; these pieces ended with it.
    Speech {
        /// Their ends.
        ended: Ended,
    },
}

/// Playout of one line.
#[derive(Debug)]
pub(super) struct Playout {
    rate: SampleRate,
    in_flight: [InFlight; LEAD_FRAMES],
    /// Index of the oldest frame in flight, and how many there are.
    oldest: usize,
    held: usize,
    paused: bool,
    /// Everything up to this answer was cut.
    cut_through: UtteranceId,
    /// Speech that waits in the ring, in order; its room is made once.
    queue: VecDeque<Chunk>,
    /// Where the last sample that was sent stands; `None` before an answer's first frame.
    sent: Option<Place>,
    /// Where the last sample that was heard stands.
    heard: Option<Place>,
    /// The piece that was sent last has not come to its end.
    mid_piece: bool,
}

impl Playout {
    pub(super) fn new(rate: SampleRate) -> Self {
        let empty =
            InFlight { place: Place::default(), ended: [None; ENDS_PER_FRAME], samples: [0; MAX_FRAME_SAMPLES] };
        Self {
            rate,
            in_flight: [empty; LEAD_FRAMES],
            oldest: 0,
            held: 0,
            paused: false,
            cut_through: UtteranceId(0),
            queue: VecDeque::with_capacity(CHUNKS),
            sent: None,
            heard: None,
            mid_piece: false,
        }
    }

    /// Begins to bring near what the next tick touches.
    pub(super) fn prefetch(&self) {
        prefetch(&self.queue);
        prefetch(&self.heard);
        let next = &self.in_flight[self.oldest];
        prefetch(&next.place);
        prefetch(&next.ended);
        prefetch(&next.samples[..self.rate.frame_samples()]);
    }

    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    pub(super) fn resume(&mut self) {
        self.paused = false;
    }

    /// Drops `utterance` and everything older. Returns the piece that was being heard and how much of it, in milliseconds,
    /// where anything of that answer was sent.
    pub(super) fn cut(&mut self, utterance: UtteranceId) -> Option<(u16, u32)> {
        self.paused = false;
        self.cut_through = self.cut_through.max(utterance);
        self.held = 0;
        self.mid_piece = false;
        let sent = self.sent.take().filter(|p| p.utterance == utterance);
        let heard = self.heard.take().filter(|p| p.utterance == utterance);
        match (heard, sent) {
            (Some(at), _) => Some((at.segment, u32::try_from(self.rate.ms_of(at.samples)).unwrap_or(u32::MAX))),
            (None, Some(_)) => Some((0, 0)),
            (None, None) => None,
        }
    }

    /// May another frame be sent in this tick?
    pub(super) const fn wants_more(&self, lead: usize) -> bool {
        !self.paused && self.held < LEAD_FRAMES && self.held < lead
    }

    /// Takes the next frame from the ring into `frame` (zeros) and remembers it as sent. `None` where none is ready;
    /// otherwise the answer where it is the first frame of one, and the pieces that end with it.
    pub(super) fn next_frame(
        &mut self,
        source: &mut SpeechSource,
        frame: &mut [i16],
        stats: &mut LineStats,
    ) -> Option<(Option<UtteranceId>, Ended)> {
        self.fetch(source);
        let Some(utterance) = self.queue.front().map(|c| c.utterance) else {
            stats.starved += u64::from(self.mid_piece);
            return None;
        };
        let under_way = self.sent.filter(|p| p.utterance == utterance);
        if !self.is_ready(frame.len(), utterance) {
            stats.starved += u64::from(under_way.is_some());
            return None;
        }
        let mut place = under_way.unwrap_or(Place { utterance, segment: 0, samples: 0 });
        let mut ended = [None; ENDS_PER_FRAME];
        let mut filled = 0;
        for end in &mut ended {
            // One chunk after another, up to the end of a piece.
            while let Some(chunk) = self.queue.front_mut().filter(|c| c.utterance == utterance) {
                if chunk.segment != place.segment {
                    place = Place { segment: chunk.segment, samples: 0, ..place };
                }
                let n = (chunk.samples as usize).min(frame.len() - filled);
                let (got, _) = source.samples.pop_partial_slice(&mut frame[filled..filled + n]);
                let n = got.len();
                filled += n;
                place.samples += n as u64;
                chunk.samples -= u32::try_from(n).unwrap_or(0);
                if chunk.samples > 0 {
                    self.mid_piece = true;
                    break;
                }
                let last = chunk.last;
                self.mid_piece = !last;
                self.queue.pop_front();
                if last {
                    *end = Some(Mark { utterance, segment: place.segment });
                    break;
                }
            }
            if end.is_none() || filled == frame.len() {
                break;
            }
        }
        self.sent = Some(place);
        let at = (self.oldest + self.held) % LEAD_FRAMES;
        let entry = &mut self.in_flight[at];
        entry.place = place;
        entry.ended = ended;
        entry.samples[..frame.len()].copy_from_slice(frame);
        self.held += 1;
        Some((under_way.is_none().then_some(utterance), ended))
    }

    /// Moves what has come into the queue and throws away what belongs to answers that were cut.
    fn fetch(&mut self, source: &mut SpeechSource) {
        while self.queue.len() < CHUNKS
            && let Ok(chunk) = source.chunks.pop()
        {
            self.queue.push_back(chunk);
        }
        while let Some(chunk) = self.queue.front().filter(|c| c.utterance <= self.cut_through) {
            skip_samples(&mut source.samples, chunk.samples as usize);
            self.queue.pop_front();
        }
    }

    /// Is a whole frame of `utterance` there, or the end of a piece of it?
    fn is_ready(&self, wanted: usize, utterance: UtteranceId) -> bool {
        let mut there = 0;
        for chunk in &self.queue {
            // A newer answer waits: no more of this one comes.
            if chunk.utterance != utterance {
                return true;
            }
            there += chunk.samples as usize;
            if chunk.last || there >= wanted {
                return true;
            }
        }
        false
    }

    /// The caller hears the oldest frame that was sent.
    pub(super) fn play(&mut self, spoken: &mut [i16]) -> Playing {
        if self.held == 0 {
            return Playing::Silence;
        }
        let frame = &self.in_flight[self.oldest];
        spoken.copy_from_slice(&frame.samples[..spoken.len()]);
        self.heard = Some(frame.place);
        let ended = frame.ended;
        self.oldest = (self.oldest + 1) % LEAD_FRAMES;
        self.held -= 1;
        Playing::Speech { ended }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rings::{Rings, SpeechFeed};
    use super::*;

    struct Rig {
        playout: Playout,
        source: SpeechSource,
        feed: SpeechFeed,
        stats: LineStats,
    }

    fn rig() -> Rig {
        let (rings, _, driver) = Rings::new(SampleRate::NARROW);
        Rig {
            playout: Playout::new(SampleRate::NARROW),
            source: rings.speech,
            feed: driver.speech,
            stats: LineStats::default(),
        }
    }

    impl Rig {
        /// One tick: frames sent, first samples sent, what is heard.
        fn tick(&mut self) -> (Vec<i16>, Vec<i16>, Vec<u16>) {
            let mut sent = Vec::new();
            while self.playout.wants_more(LEAD_FRAMES) {
                let mut frame = [0; 160];
                if self.playout.next_frame(&mut self.source, &mut frame, &mut self.stats).is_none() {
                    break;
                }
                sent.extend_from_slice(&frame);
            }
            let mut spoken = [0; 160];
            let ended = match self.playout.play(&mut spoken) {
                Playing::Speech { ended } => ended.into_iter().flatten().map(|mark| mark.segment).collect(),
                Playing::Silence => Vec::new(),
            };
            (sent, spoken.to_vec(), ended)
        }
    }

    fn ramp(n: i16) -> Vec<i16> {
        (1..=n).collect()
    }

    #[test]
    fn three_frames_lead_then_one_a_tick_then_nothing() {
        let mut rig = rig();
        rig.feed.push(UtteranceId(1), 0, &ramp(1600), true);
        let counts: Vec<usize> = (0..12).map(|_| rig.tick().0.len() / 160).collect();
        assert_eq!(counts, [3, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn pieces_end_where_their_last_sample_is_heard() {
        let mut rig = rig();
        rig.feed.push(UtteranceId(1), 0, &ramp(200), true);
        rig.feed.push(UtteranceId(1), 1, &ramp(100), true);
        let ends: Vec<Vec<u16>> = (0..3).map(|_| rig.tick().2).collect();
        assert_eq!(ends, [vec![], vec![0, 1], vec![]]);
    }

    #[test]
    fn a_pause_keeps_the_place_to_the_sample() {
        let mut rig = rig();
        rig.feed.push(UtteranceId(1), 0, &ramp(3200), true);
        let mut heard = rig.tick().1;
        rig.playout.pause();
        for _ in 0..10 {
            let (sent, spoken, _) = rig.tick();
            assert!(sent.is_empty());
            if spoken[0] != 0 {
                heard.extend(spoken);
            }
        }
        rig.playout.resume();
        for _ in 0..20 {
            let (_, spoken, _) = rig.tick();
            if spoken[0] != 0 {
                heard.extend(spoken);
            }
        }
        assert_eq!(heard, ramp(3200), "every sample once and in order");
    }

    #[test]
    fn a_cut_drops_the_answer_and_says_where_it_was() {
        let mut rig = rig();
        rig.feed.push(UtteranceId(1), 0, &ramp(3200), true);
        for _ in 0..5 {
            rig.tick();
        }
        assert_eq!(rig.playout.cut(UtteranceId(1)), Some((0, 100)));
        assert!(rig.tick().0.is_empty());
        rig.feed.push(UtteranceId(1), 1, &ramp(320), true);
        rig.feed.push(UtteranceId(2), 0, &vec![-7; 320], true);
        let (sent, ..) = rig.tick();
        assert_eq!(sent, vec![-7; 320], "late audio of the cut answer never leaves");
        assert_eq!(rig.playout.cut(UtteranceId(9)), None);
    }

    #[test]
    fn half_a_frame_waits_for_the_rest_and_the_wait_is_counted() {
        let mut rig = rig();
        rig.feed.push(UtteranceId(1), 0, &ramp(200), false);
        assert_eq!(rig.tick().0.len(), 160);
        assert!(rig.stats.starved > 0);
        rig.feed.push(UtteranceId(1), 0, &ramp(10), true);
        let (sent, ..) = rig.tick();
        assert_eq!(&sent[..40], &ramp(200)[160..]);
        assert_eq!(sent[50..], [0; 110], "the last frame is filled with silence");
    }

    #[test]
    fn a_piece_that_never_ended_does_not_block_the_next_answer() {
        let mut rig = rig();
        rig.feed.push(UtteranceId(1), 0, &ramp(200), false);
        rig.tick();
        rig.feed.push(UtteranceId(2), 0, &vec![-7; 160], true);
        let (sent, ..) = rig.tick();
        assert_eq!(&sent[..40], &ramp(200)[160..]);
        assert_eq!(&sent[160..], &vec![-7; 160]);
    }

    #[test]
    fn an_empty_last_chunk_ends_its_piece() {
        let mut rig = rig();
        rig.feed.push(UtteranceId(1), 0, &ramp(160), false);
        rig.tick();
        rig.feed.push(UtteranceId(1), 0, &[], true);
        let (_, _, ended) = rig.tick();
        assert_eq!(ended, [0]);
    }
}
