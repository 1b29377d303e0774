//! Is the caller taking the turn while the bot speaks? Suspected after enough speech, when the bot pauses at once; decided by
//! the words within a bound: stop for good, or go on from the same sample. Never touches audio.

use super::policy::Policy;
use super::words;
use crate::units::Moment;

/// What the bot is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing changes.
    Wait,
    /// Stop sending now, keep the place.
    Pause,
    /// Go on from where it paused.
    Resume,
    /// Ask recognition once more: more may be known by now.
    Listen,
    /// The caller has the turn.
    Cut,
}

/// The state of one suspicion; made anew when the caller's voice begins while the bot speaks.
#[derive(Clone, Debug, Default)]
pub struct BargeIn {
    /// Since when the caller speaks over the bot.
    voice_since: Option<Moment>,
    voiced: bool,
    paused_at: Option<Moment>,
    /// Recognition has said something since the pause, if only that there were no words.
    answered: bool,
    /// Recognition was asked once more.
    asked_again: bool,
    /// The bot went on although the caller still spoke: only words can stop it now.
    dismissed: bool,
    /// It has paused for this voice: words that come late still stop it.
    suspected: bool,
}

impl BargeIn {
    /// The caller's voice began over the bot.
    pub fn voice_began(&mut self, since: Moment) {
        if self.paused_at.is_none() && !self.voiced && !self.dismissed {
            self.voice_since = Some(since);
        }
        self.voiced = true;
    }

    /// The caller's voice ceased; `speech_ms` is what was said in one go.
    pub fn voice_ceased(&mut self) {
        self.voiced = false;
        if self.paused_at.is_none() {
            self.voice_since = None;
            self.dismissed = false;
        }
    }

    /// Is the bot paused by this suspicion?
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused_at.is_some()
    }

    /// When time alone changes something.
    #[must_use]
    pub fn deadline(&self, policy: &Policy) -> Option<Moment> {
        match (self.paused_at, self.voice_since) {
            (Some(at), _) if self.wants_again() => Some(at.plus_ms(again_ms(policy))),
            (Some(at), _) => Some(at.plus_ms(u64::from(policy.decide_ms))),
            (None, Some(since)) if self.voiced && !self.dismissed => Some(since.plus_ms(u64::from(policy.barge_in_ms))),
            _ => None,
        }
    }

    /// Is it worth asking recognition once more before the bound?
    const fn wants_again(&self) -> bool {
        self.voiced && self.answered && !self.asked_again
    }

    /// Time passes.
    pub fn on_time(&mut self, now: Moment, policy: &Policy) -> Verdict {
        if let Some(at) = self.paused_at {
            if self.wants_again()
                && now.ms_since(at) >= again_ms(policy)
                && now.ms_since(at) < u64::from(policy.decide_ms)
            {
                self.asked_again = true;
                return Verdict::Listen;
            }
            if now.ms_since(at) < u64::from(policy.decide_ms) {
                return Verdict::Wait;
            }
            // Undecided at the bound. Where recognition has said nothing at all it may be slow: who still speaks has the turn.
            let cut = self.voiced && !self.answered;
            self.paused_at = None;
            self.voice_since = None;
            self.dismissed = self.voiced;
            return if cut { Verdict::Cut } else { Verdict::Resume };
        }
        match self.voice_since {
            Some(since) if self.voiced && !self.dismissed && now.ms_since(since) >= u64::from(policy.barge_in_ms) => {
                self.paused_at = Some(now);
                (self.suspected, self.answered, self.asked_again) = (true, false, false);
                Verdict::Pause
            }
            _ => Verdict::Wait,
        }
    }

    /// What the caller said over the bot, so far or in the end (`last`).
    pub fn on_words(&mut self, text: &str, last: bool, policy: &Policy) -> Verdict {
        let stops = words::has_stop_word(text) || words::weighty_words(text) >= policy.barge_in_words;
        if stops && self.suspected {
            self.paused_at = None;
            return Verdict::Cut;
        }
        self.answered = true;
        if self.paused_at.is_some() && last && !self.voiced {
            self.paused_at = None;
            self.voice_since = None;
            return Verdict::Resume;
        }
        Verdict::Wait
    }
}

/// How long after the pause recognition is asked once more, in milliseconds.
fn again_ms(policy: &Policy) -> u64 {
    u64::from(policy.decide_ms) * 7 / 12
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    #[test]
    fn a_short_sound_does_not_even_pause() {
        let policy = Policy::default();
        let mut barge = BargeIn::default();
        barge.voice_began(at(1000));
        assert_eq!(barge.deadline(&policy), Some(at(1250)));
        barge.voice_ceased();
        assert_eq!(barge.on_time(at(1250), &policy), Verdict::Wait);
        assert_eq!(barge.deadline(&policy), None);
    }

    #[test]
    fn words_decide_a_pause() {
        let policy = Policy::default();
        for (text, last, voiced, verdict) in [
            ("I already paid", false, true, Verdict::Cut),
            ("stop", true, false, Verdict::Cut),
            ("okay yeah", true, false, Verdict::Resume),
            ("", true, false, Verdict::Resume),
            ("monday", false, true, Verdict::Wait),
        ] {
            let mut barge = BargeIn::default();
            barge.voice_began(at(0));
            assert_eq!(barge.on_time(at(250), &policy), Verdict::Pause);
            if !voiced {
                barge.voice_ceased();
            }
            assert_eq!(barge.on_words(text, last, &policy), verdict, "{text}");
        }
    }

    #[test]
    fn undecided_at_the_bound_goes_on_unless_recognition_is_silent() {
        let policy = Policy::default();
        let mut barge = BargeIn::default();
        barge.voice_began(at(0));
        barge.on_time(at(250), &policy);
        assert_eq!(barge.on_time(at(849), &policy), Verdict::Wait);
        assert_eq!(barge.clone().on_time(at(850), &policy), Verdict::Cut);
        barge.on_words("", false, &policy);
        assert_eq!(barge.deadline(&policy), Some(at(600)));
        assert_eq!(barge.on_time(at(600), &policy), Verdict::Listen, "more may be known by now");
        barge.on_words("yeah", false, &policy);
        assert_eq!(barge.on_time(at(850), &policy), Verdict::Resume);
        assert_eq!(barge.on_words("yeah but listen", false, &policy), Verdict::Cut, "words stop it later too");
    }
}
