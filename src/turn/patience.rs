//! How long to wait in a silence: moves with the caller's own pauses. Never reads the audio; told of silences by the turn
//! loop.

use super::policy::Policy;
use super::words;

/// What the end of the caller's words looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The model and the words agree that the turn is complete.
    Complete,
    /// The model says that more is coming; the words are wholly what the dialogue waits for.
    Doubtful,
    /// The model or the words say that more is coming.
    Open,
    /// The caller reads digits or letters out, in groups.
    Dictation,
}

/// From here on the model's opinion outweighs a word that only often goes on.
const SURE: f32 = 0.8;

/// Judges an ending from the words, the end-of-turn model's probability (`None` where it gave no opinion) and whether the words are
/// wholly what the dialogue waits for.
#[must_use]
pub fn ending(text: &str, complete: Option<f32>, expected: bool) -> Ending {
    if words::is_dictating(text) {
        Ending::Dictation
    } else if words::ends_open(text, expected || complete.is_some_and(|p| p >= SURE)) {
        Ending::Open
    } else if complete.is_some_and(|p| p < 0.5) {
        if expected { Ending::Doubtful } else { Ending::Open }
    } else {
        Ending::Complete
    }
}

/// The moving estimate of one caller's pauses, in milliseconds.
#[derive(Clone, Debug)]
pub struct Patience {
    min_ms: f32,
    max_ms: f32,
    /// Wait after a complete ending.
    complete_ms: f32,
    /// Wait after a doubtful ending.
    doubtful_ms: f32,
    /// Wait after an open ending.
    open_ms: f32,
    /// Wait within dictation.
    dictation_ms: f32,
}

/// Where the waits start before the caller was heard: short after a complete ending, long after an open one.
const START_COMPLETE_MS: f32 = 300.0;
const START_DOUBTFUL_MS: f32 = 550.0;
const START_OPEN_MS: f32 = 1_050.0;
const START_DICTATION_MS: f32 = 1_200.0;
/// A pause is covered with this much to spare, and with the time the voice detector takes to be sure of a beginning.
const MARGIN: f32 = 1.15;
const ONSET_MS: f32 = 120.0;
/// A turn that ended without a cut-off lets the waits come back by this share.
const DECAY: f32 = 0.93;

impl Patience {
    /// The estimate before the first word.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let (min_ms, max_ms) = (policy.patience_min_ms as f32, policy.patience_max_ms as f32);
        let within = |ms: f32| ms.clamp(min_ms, max_ms);
        Self {
            min_ms,
            max_ms,
            complete_ms: within(START_COMPLETE_MS),
            doubtful_ms: within(START_DOUBTFUL_MS),
            open_ms: within(START_OPEN_MS),
            dictation_ms: within(START_DICTATION_MS),
        }
    }

    /// How long the silence must last before the turn ends, in milliseconds.
    #[must_use]
    pub fn wait_ms(&self, ending: Ending) -> u32 {
        let ms = match ending {
            Ending::Complete => self.complete_ms,
            Ending::Doubtful => self.doubtful_ms.max(self.complete_ms),
            Ending::Open => self.open_ms.max(self.complete_ms),
            Ending::Dictation => self.dictation_ms.max(self.complete_ms),
        };
        ms.clamp(self.min_ms, self.max_ms) as u32
    }

    /// The caller went on after a silence of `pause_ms` that had looked like `ending`: wait longer than that from now on.
    pub fn went_on(&mut self, ending: Ending, pause_ms: u32) {
        let wanted = (pause_ms as f32 * MARGIN + ONSET_MS).clamp(self.min_ms, self.max_ms);
        let slot = match ending {
            Ending::Complete => &mut self.complete_ms,
            Ending::Doubtful => &mut self.doubtful_ms,
            Ending::Open => &mut self.open_ms,
            Ending::Dictation => &mut self.dictation_ms,
        };
        // Up at once, because every further cut-off hurts. Down is the business of turns that ended well.
        *slot = slot.max(wanted);
    }

    /// A turn ended and the caller did not go on: the waits may come back a little.
    pub fn ended_well(&mut self, ending: Ending) {
        // An open ending after which nothing came was none: a voice that the model does not know is learned quickly.
        let (slot, least, decay) = match ending {
            Ending::Complete => (&mut self.complete_ms, self.min_ms, DECAY),
            Ending::Doubtful => (&mut self.doubtful_ms, START_DOUBTFUL_MS * 0.8, DECAY),
            Ending::Open => (&mut self.open_ms, START_OPEN_MS * 0.55, DECAY * DECAY),
            Ending::Dictation => (&mut self.dictation_ms, START_DICTATION_MS * 0.8, DECAY),
        };
        *slot = (*slot * decay).max(least.clamp(self.min_ms, self.max_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_judged_by_words_before_the_model() {
        assert_eq!(ending("I will pay on the", Some(0.9), false), Ending::Open);
        assert_eq!(ending("I will pay on the", Some(0.9), true), Ending::Open, "a phrase may end in mid-sentence");
        assert_eq!(ending("one two three", Some(0.9), true), Ending::Dictation);
        assert_eq!(ending("On Friday,", Some(0.6), false), Ending::Open);
        assert_eq!(ending("On Friday,", Some(0.6), true), Ending::Complete);
        assert_eq!(ending("Yes, I will", Some(0.2), true), Ending::Doubtful);
        assert_eq!(ending("I paid it yesterday", Some(0.9), false), Ending::Complete);
        assert_eq!(ending("I paid it yesterday", Some(0.1), false), Ending::Open);
        assert_eq!(ending("I paid it yesterday", Some(0.1), true), Ending::Doubtful);
        assert_eq!(ending("I paid it yesterday", None, true), Ending::Complete);
    }

    #[test]
    fn patience_rises_at_once_and_falls_slowly_within_its_bounds() {
        let policy = Policy::default();
        let mut patience = Patience::new(&policy);
        let before = patience.wait_ms(Ending::Complete);
        patience.went_on(Ending::Complete, 500);
        let raised = patience.wait_ms(Ending::Complete);
        assert!(raised > 500 && raised > before);
        for _ in 0..100 {
            patience.ended_well(Ending::Complete);
        }
        assert_eq!(patience.wait_ms(Ending::Complete), policy.patience_min_ms);
        patience.went_on(Ending::Open, 5_000);
        assert_eq!(patience.wait_ms(Ending::Open), policy.patience_max_ms);
    }
}
