//! Speech on its way from synthesis to the line's ring: holds what does not fit yet. Bounded; never reorders, and forgets an
//! answer the moment it is cut.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::call::line::SpeechFeed;
use crate::units::UtteranceId;

/// Samples that may wait: two minutes at 24 kHz. More than that of one call's speech is a fault of the provider.
const MOST_SAMPLES: usize = 24_000 * 120;

#[derive(Debug)]
struct Clip {
    utterance: UtteranceId,
    segment: u16,
    samples: Arc<[i16]>,
    at: usize,
    last: bool,
}

/// Waiting speech of one call.
#[derive(Debug, Default)]
pub(super) struct Feeder {
    clips: VecDeque<Clip>,
    waiting: usize,
}

impl Feeder {
    /// Adds speech; `false` where more waits than ever should.
    pub(super) fn push(&mut self, utterance: UtteranceId, segment: u16, samples: Arc<[i16]>, last: bool) -> bool {
        if self.waiting + samples.len() > MOST_SAMPLES {
            return false;
        }
        self.waiting += samples.len();
        self.clips.push_back(Clip { utterance, segment, samples, at: 0, last });
        true
    }

    /// Forgets everything up to `utterance`.
    pub(super) fn cut(&mut self, utterance: UtteranceId) {
        self.clips.retain(|c| c.utterance > utterance);
        self.waiting = self.clips.iter().map(|c| c.samples.len() - c.at).sum();
    }

    /// Moves as much as fits into the ring.
    pub(super) fn pour(&mut self, feed: &mut SpeechFeed) {
        while let Some(clip) = self.clips.front_mut() {
            if !feed.has_place() {
                return;
            }
            let rest = &clip.samples[clip.at..];
            let taken = feed.push(clip.utterance, clip.segment, rest, clip.last);
            self.waiting -= taken;
            clip.at += taken;
            if clip.at < clip.samples.len() {
                return;
            }
            self.clips.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::line::Rings;
    use crate::units::SampleRate;

    #[test]
    fn speech_waits_for_room_and_a_cut_answer_is_forgotten() {
        let (_rings, _leg, mut ends) = Rings::new(SampleRate::NARROW);
        let mut feeder = Feeder::default();
        assert!(feeder.push(UtteranceId(1), 0, vec![1; 20_000].into(), true));
        assert!(feeder.push(UtteranceId(2), 0, vec![2; 100].into(), true));
        feeder.pour(&mut ends.speech);
        assert_eq!(feeder.waiting, 20_100 - 4_800, "600 ms fit into the ring");
        feeder.cut(UtteranceId(1));
        assert_eq!(feeder.waiting, 100);
        assert!(!feeder.push(UtteranceId(3), 0, vec![0; MOST_SAMPLES].into(), true));
    }
}
