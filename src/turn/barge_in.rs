//! Is the caller taking the turn while the bot speaks? Suspected after enough speech, when the bot pauses at once; decided by
//! the words within a bound: stop for good, or go on from the same sample. Never touches audio.
//!
//! A word that stops the bot does so at once. Other words have to be borne out by the voice: what is over after half a second
//! is a murmur, whatever recognition makes of it ("Mm-hmm" becomes "In it."). Who means to interrupt goes on, and the bot
//! has been silent since the pause.

use super::policy::Policy;
use super::words;
use crate::units::Moment;

/// A voice that ceases sooner is a murmur, unless it said a word that stops the bot. In milliseconds, with the 120 for which the
/// detector's network goes on after the last sound.
const MURMUR_MS: u64 = 650;
/// That a voice has ceased is told this long after it has, in milliseconds.
const CEASED_LATE_MS: u64 = 100;

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
    /// Since when the voice is on, or was, and how long it was.
    stretch_since: Option<Moment>,
    spoken_ms: u64,
    /// Enough words to interrupt were said, but the voice had not lasted long enough for them.
    claimed: bool,
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
        if !self.voiced {
            self.stretch_since = Some(since);
            self.claimed = false;
        }
        self.voiced = true;
    }

    /// The caller's voice ceased at `since`.
    pub fn voice_ceased(&mut self, since: Moment) {
        self.voiced = false;
        self.claimed = false;
        self.spoken_ms = self.stretch_since.map_or(0, |began| since.ms_since(began));
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
            (Some(at), _) if self.claimed => Some(at.plus_ms(u64::from(policy.decide_ms)).min(self.borne_out_at(at))),
            (Some(at), _) if self.wants_again() => Some(at.plus_ms(again_ms(policy))),
            (Some(at), _) => Some(at.plus_ms(u64::from(policy.decide_ms))),
            (None, Some(since)) if self.voiced && !self.dismissed => Some(since.plus_ms(u64::from(policy.barge_in_ms))),
            _ => None,
        }
    }

    /// When the voice will have lasted long enough for its words, if it goes on.
    fn borne_out_at(&self, paused_at: Moment) -> Moment {
        self.stretch_since.unwrap_or(paused_at).plus_ms(MURMUR_MS + CEASED_LATE_MS)
    }

    /// Has the voice lasted long enough to be more than a murmur?
    fn is_borne_out(&self, now: Moment) -> bool {
        if self.voiced { now >= self.borne_out_at(now) } else { self.spoken_ms >= MURMUR_MS }
    }

    /// Is it worth asking recognition once more before the bound?
    const fn wants_again(&self) -> bool {
        self.voiced && self.answered && !self.claimed && !self.asked_again
    }

    /// Time passes.
    pub fn on_time(&mut self, now: Moment, policy: &Policy) -> Verdict {
        if let Some(at) = self.paused_at {
            if self.claimed && self.voiced && self.is_borne_out(now) {
                self.paused_at = None;
                return Verdict::Cut;
            }
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
            // Who has said enough and still speaks has it too.
            let cut = self.voiced && (!self.answered || self.claimed);
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
    pub fn on_words(&mut self, now: Moment, text: &str, last: bool, policy: &Policy) -> Verdict {
        let enough = words::weighty_words(text) >= policy.barge_in_words;
        if self.suspected && (words::has_stop_word(text) || (enough && self.is_borne_out(now))) {
            self.paused_at = None;
            return Verdict::Cut;
        }
        self.claimed = enough && self.voiced;
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
        barge.voice_ceased(at(1200));
        assert_eq!(barge.on_time(at(1250), &policy), Verdict::Wait);
        assert_eq!(barge.deadline(&policy), None);
    }

    #[test]
    fn words_decide_a_pause() {
        let policy = Policy::default();
        for (text, last, voiced, verdict) in [
            ("I already paid", false, true, Verdict::Wait),
            ("wait", false, true, Verdict::Cut),
            ("stop", true, false, Verdict::Cut),
            ("In there", true, false, Verdict::Resume),
            ("okay yeah", true, false, Verdict::Resume),
            ("", true, false, Verdict::Resume),
            ("monday", false, true, Verdict::Wait),
        ] {
            let mut barge = BargeIn::default();
            barge.voice_began(at(0));
            assert_eq!(barge.on_time(at(250), &policy), Verdict::Pause);
            if !voiced {
                barge.voice_ceased(at(500));
            }
            assert_eq!(barge.on_words(at(600), text, last, &policy), verdict, "{text}");
        }
    }

    #[test]
    fn words_cut_once_the_voice_has_borne_them_out() {
        let policy = Policy::default();
        let paused = || {
            let mut barge = BargeIn::default();
            barge.voice_began(at(0));
            assert_eq!(barge.on_time(at(250), &policy), Verdict::Pause);
            barge
        };
        let mut barge = paused();
        assert_eq!(barge.on_words(at(400), "I already", false, &policy), Verdict::Wait);
        assert_eq!(barge.deadline(&policy), Some(at(750)));
        assert_eq!(barge.on_time(at(749), &policy), Verdict::Wait);
        assert_eq!(barge.on_time(at(750), &policy), Verdict::Cut, "the voice goes on");
        let mut barge = paused();
        assert_eq!(barge.on_words(at(800), "I already", false, &policy), Verdict::Cut, "it had gone on long enough");
        let mut barge = paused();
        barge.on_words(at(400), "I already", false, &policy);
        barge.voice_ceased(at(500));
        assert_eq!(barge.on_time(at(750), &policy), Verdict::Wait);
        assert_eq!(barge.on_words(at(760), "In it again", true, &policy), Verdict::Resume, "too short for its words");
        assert_eq!(
            barge.on_words(at(900), "In it again", true, &policy),
            Verdict::Wait,
            "and late words do not mend it"
        );
        assert_eq!(barge.on_words(at(950), "no", true, &policy), Verdict::Cut, "a word that stops the bot does");
        let mut barge = paused();
        barge.voice_ceased(at(700));
        assert_eq!(
            barge.on_words(at(820), "I already paid", true, &policy),
            Verdict::Cut,
            "long enough when it ceased"
        );
    }

    #[test]
    fn undecided_at_the_bound_goes_on_unless_recognition_is_silent() {
        let policy = Policy::default();
        let mut barge = BargeIn::default();
        barge.voice_began(at(0));
        barge.on_time(at(250), &policy);
        assert_eq!(barge.on_time(at(849), &policy), Verdict::Wait);
        assert_eq!(barge.clone().on_time(at(850), &policy), Verdict::Cut);
        barge.on_words(at(300), "", false, &policy);
        assert_eq!(barge.deadline(&policy), Some(at(600)));
        assert_eq!(barge.on_time(at(600), &policy), Verdict::Listen, "more may be known by now");
        barge.on_words(at(640), "yeah", false, &policy);
        assert_eq!(barge.on_time(at(850), &policy), Verdict::Resume);
        assert_eq!(barge.on_words(at(900), "yeah but there", false, &policy), Verdict::Cut, "words stop it later too");
    }
}
