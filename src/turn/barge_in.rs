//! Is the caller taking the turn while the bot speaks? Suspected after enough speech, when the bot pauses at once; decided by
//! the words within a bound: stop for good, or go on from the same sample. Never touches audio.
//!
//! Words that recognition is sure of stop the bot at once. Others have to be borne out by the voice, the longer the less sure they
//! are: recognition makes words of a murmur too ("Mm-hmm" becomes "In it."), and is never sure of those. Who means to interrupt
//! goes on.

use super::policy::Policy;
use super::words;
use crate::units::Moment;

/// Recognition that is this sure of its words has heard words: of 562 readings of murmurs by seven voices, whole and broken off, none
/// with more was anything but back-channels; of 84 interruptions on a good line 57 had more, of 82 at 15 dB of noise 20.
const SURE: f32 = 0.74;
/// One word that stops the bot is known sooner: it is one of a few.
const SURE_OF_ONE: f32 = 0.60;
/// The voice has to last longer by this for each hundredth that recognition is less sure, and no longer than that.
const PER_HUNDREDTH_MS: f32 = 45.0;
const LONGEST_MS: u64 = 1_500;
/// That a voice has ceased is told this long after it has, in milliseconds.
const CEASED_LATE_MS: u64 = 100;

/// What the caller said over the bot, so far or in the end.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Said<'a> {
    /// The words.
    pub text: &'a str,
    /// How sure recognition is of them, 0 to 1.
    pub sure: f32,
    /// No more come of this voice.
    pub last: bool,
}

impl Said<'_> {
    /// How long the voice must have lasted for these words to stop the bot; `None` where they never do.
    fn bearing_ms(self, policy: &Policy) -> Option<u64> {
        if words::has_stop_word(self.text) && self.sure >= SURE_OF_ONE {
            return Some(0);
        }
        let enough = words::weighty_words(self.text) >= policy.barge_in_words || words::has_stop_word(self.text);
        let doubt_ms = ((SURE - self.sure).max(0.0) * 100.0 * PER_HUNDREDTH_MS) as u64;
        let least_ms = u64::from(policy.barge_in_ms);
        enough.then(|| (least_ms + doubt_ms).min(LONGEST_MS.max(least_ms)))
    }
}

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
    /// Words to interrupt were said, but the voice had not lasted for as long as they need, in milliseconds.
    claimed: Option<u64>,
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
            self.claimed = None;
        }
        self.voiced = true;
    }

    /// The caller's voice ceased at `since`.
    pub fn voice_ceased(&mut self, since: Moment) {
        self.voiced = false;
        self.claimed = None;
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
            (Some(at), _) => {
                let borne_out = self.claimed.map(|needed_ms| self.borne_out_at(at, needed_ms));
                let again = self.wants_again().then(|| at.plus_ms(again_ms(policy)));
                Some(borne_out.or(again).into_iter().fold(at.plus_ms(u64::from(policy.decide_ms)), Moment::min))
            }
            (None, Some(since)) if self.voiced && !self.dismissed => Some(since.plus_ms(u64::from(policy.barge_in_ms))),
            _ => None,
        }
    }

    /// When the voice will have lasted long enough for its words, if it goes on.
    fn borne_out_at(&self, paused_at: Moment, needed_ms: u64) -> Moment {
        self.stretch_since.unwrap_or(paused_at).plus_ms(needed_ms + CEASED_LATE_MS)
    }

    /// Has the voice lasted as long as its words need?
    fn is_borne_out(&self, now: Moment, needed_ms: u64) -> bool {
        needed_ms == 0
            || if self.voiced { now >= self.borne_out_at(now, needed_ms) } else { self.spoken_ms >= needed_ms }
    }

    /// Were words said that the voice has borne out by now?
    fn may_cut(&self, now: Moment) -> bool {
        self.voiced && self.claimed.is_some_and(|needed_ms| self.is_borne_out(now, needed_ms))
    }

    /// Is it worth asking recognition once more before the bound?
    const fn wants_again(&self) -> bool {
        self.voiced && self.answered && self.claimed.is_none() && !self.asked_again
    }

    /// Time passes.
    pub fn on_time(&mut self, now: Moment, policy: &Policy) -> Verdict {
        if let Some(at) = self.paused_at {
            if self.may_cut(now) {
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
            let cut = self.voiced && !self.answered;
            self.paused_at = None;
            self.voice_since = None;
            self.dismissed = self.voiced;
            return if cut { Verdict::Cut } else { Verdict::Resume };
        }
        match self.voice_since {
            Some(since) if self.voiced && !self.dismissed && now.ms_since(since) >= u64::from(policy.barge_in_ms) => {
                (self.suspected, self.answered, self.asked_again) = (true, false, false);
                if self.may_cut(now) {
                    // Where the bot may not be stopped, time alone changes nothing more.
                    (self.voice_since, self.dismissed, self.claimed) = (None, true, None);
                    return Verdict::Cut;
                }
                self.paused_at = Some(now);
                Verdict::Pause
            }
            _ => Verdict::Wait,
        }
    }

    /// What the caller said over the bot.
    pub fn on_words(&mut self, now: Moment, said: Said<'_>, policy: &Policy) -> Verdict {
        let needed_ms = said.bearing_ms(policy);
        if self.suspected && needed_ms.is_some_and(|needed_ms| self.is_borne_out(now, needed_ms)) {
            self.paused_at = None;
            return Verdict::Cut;
        }
        self.claimed = needed_ms.filter(|_| self.voiced);
        self.answered = true;
        if self.paused_at.is_some() && said.last && !self.voiced {
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

    fn said(text: &str, sure: f32, last: bool) -> Said<'_> {
        Said { text, sure, last }
    }

    fn paused() -> BargeIn {
        let mut barge = BargeIn::default();
        barge.voice_began(at(0));
        assert_eq!(barge.on_time(at(250), &Policy::default()), Verdict::Pause);
        barge
    }

    #[test]
    fn words_decide_a_pause() {
        let policy = Policy::default();
        for (text, sure, last, voiced, verdict) in [
            ("I already paid", 0.9, false, true, Verdict::Cut),
            ("I already paid", 0.6, false, true, Verdict::Wait),
            ("not now", 0.8, true, false, Verdict::Cut),
            ("wait", 0.7, false, true, Verdict::Cut),
            ("no", 0.5, false, true, Verdict::Wait),
            ("stop", 0.9, true, false, Verdict::Cut),
            ("And then", 0.5, true, false, Verdict::Resume),
            ("okay yeah", 0.9, true, false, Verdict::Resume),
            ("", 1.0, true, false, Verdict::Resume),
            ("monday", 0.9, false, true, Verdict::Wait),
        ] {
            let mut barge = paused();
            if !voiced {
                barge.voice_ceased(at(500));
            }
            assert_eq!(barge.on_words(at(600), said(text, sure, last), &policy), verdict, "{text}");
        }
    }

    #[test]
    fn doubtful_words_stop_it_once_the_voice_has_borne_them_out() {
        let policy = Policy::default();
        // Nine hundredths short of sure: 405 ms beyond the 250.
        let doubtful = |last| said("I already", 0.65, last);
        let mut barge = paused();
        assert_eq!(barge.on_words(at(400), doubtful(false), &policy), Verdict::Wait);
        let due = barge.deadline(&policy).unwrap();
        assert!((at(750)..=at(756)).contains(&due), "{due:?}");
        assert_eq!(barge.on_time(due.back_ms(1), &policy), Verdict::Wait);
        assert_eq!(barge.on_time(due, &policy), Verdict::Cut, "the voice goes on");
        let mut barge = paused();
        assert_eq!(barge.on_words(at(800), doubtful(false), &policy), Verdict::Cut, "it had gone on long enough");
        let mut barge = paused();
        barge.on_words(at(400), doubtful(false), &policy);
        barge.voice_ceased(at(500));
        assert_eq!(barge.on_time(due, &policy), Verdict::Wait);
        assert_eq!(barge.on_words(at(760), doubtful(true), &policy), Verdict::Resume, "too short for its words");
        assert_eq!(barge.on_words(at(900), doubtful(true), &policy), Verdict::Wait, "and late words do not mend it");
        assert_eq!(barge.on_words(at(950), said("no", 0.9, true), &policy), Verdict::Cut, "a word that stops it does");
        let mut barge = paused();
        barge.voice_ceased(at(700));
        assert_eq!(barge.on_words(at(820), doubtful(true), &policy), Verdict::Cut, "long enough when it ceased");
    }

    #[test]
    fn a_long_hum_that_recognition_makes_words_of_is_only_paused_for() {
        let policy = Policy::default();
        let mut barge = paused();
        let hum = |last| said("Then the nation then", 0.48, last);
        assert_eq!(barge.on_words(at(700), hum(false), &policy), Verdict::Wait);
        assert_eq!(barge.on_time(at(850), &policy), Verdict::Resume, "decided within its bound");
        barge.voice_ceased(at(1_150));
        assert_eq!(barge.on_words(at(1_300), hum(true), &policy), Verdict::Wait);
        assert_eq!(hum(true).bearing_ms(&policy), Some(1_420));
        assert_eq!(said("a b c", 0.0, true).bearing_ms(&policy), Some(LONGEST_MS));
    }

    #[test]
    fn undecided_at_the_bound_goes_on_unless_recognition_is_silent() {
        let policy = Policy::default();
        let mut barge = BargeIn::default();
        barge.voice_began(at(0));
        barge.on_time(at(250), &policy);
        assert_eq!(barge.on_time(at(849), &policy), Verdict::Wait);
        assert_eq!(barge.clone().on_time(at(850), &policy), Verdict::Cut);
        barge.on_words(at(300), said("", 1.0, false), &policy);
        assert_eq!(barge.deadline(&policy), Some(at(600)));
        assert_eq!(barge.on_time(at(600), &policy), Verdict::Listen, "more may be known by now");
        barge.on_words(at(640), said("yeah", 0.9, false), &policy);
        assert_eq!(barge.on_time(at(850), &policy), Verdict::Resume);
        assert_eq!(
            barge.on_words(at(900), said("yeah but there", 0.9, false), &policy),
            Verdict::Cut,
            "words stop it later too"
        );
    }
}
