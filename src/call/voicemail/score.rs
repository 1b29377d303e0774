//! The evidence for and against a machine, as one small sum. A machine is only what two independent sources speak for: a tone, the
//! cadence of the greeting, its words. Whoever takes turns is a person, whatever was said before. Pure; keeps no clock.

use crate::units::Moment;

/// Where evidence comes from. Two signals of one source are not independent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The line: a beep.
    Tone,
    /// When and how long somebody speaks.
    Cadence,
    /// What is said.
    Words,
    /// Who answers whom.
    Turns,
}

/// One kind of evidence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignalKind {
    /// A voicemail's beep after the answer.
    Beep,
    /// The same before the answer, where music may hold such a note.
    EarlyBeep,
    /// Speech right after the answer that goes on and on.
    LongGreeting,
    /// Speech before the answer that goes on and on.
    EarlySpeech,
    /// Words that only machines say: "after the tone".
    MachineWords,
    /// Words that machines and people say: "is not available".
    AbsenceWords,
    /// A short word after the answer, then silence: "Hello?"
    ShortGreeting,
    /// Words that only people say: "who is this".
    PersonWords,
    /// An answer to the bot, or a key pressed.
    TookTurn,
}

impl SignalKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Beep,
        Self::EarlyBeep,
        Self::LongGreeting,
        Self::EarlySpeech,
        Self::MachineWords,
        Self::AbsenceWords,
        Self::ShortGreeting,
        Self::PersonWords,
        Self::TookTurn,
    ];

    /// The word in results and journals.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Beep => "beep",
            Self::EarlyBeep => "early_beep",
            Self::LongGreeting => "long_greeting",
            Self::EarlySpeech => "early_speech",
            Self::MachineWords => "machine_words",
            Self::AbsenceWords => "absence_words",
            Self::ShortGreeting => "short_greeting",
            Self::PersonWords => "person_words",
            Self::TookTurn => "took_turn",
        }
    }

    /// Where it comes from.
    #[must_use]
    pub const fn source(self) -> Source {
        match self {
            Self::Beep | Self::EarlyBeep => Source::Tone,
            Self::LongGreeting | Self::EarlySpeech | Self::ShortGreeting => Source::Cadence,
            Self::MachineWords | Self::AbsenceWords | Self::PersonWords => Source::Words,
            Self::TookTurn => Source::Turns,
        }
    }

    /// Hundredths for a machine, below zero for a person.
    #[must_use]
    pub const fn points(self) -> i32 {
        match self {
            Self::Beep => 70,
            Self::MachineWords => 60,
            Self::LongGreeting => 40,
            Self::EarlyBeep | Self::EarlySpeech | Self::AbsenceWords => 30,
            Self::PersonWords => -30,
            Self::ShortGreeting => -40,
            Self::TookTurn => -80,
        }
    }
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// What.
    pub kind: SignalKind,
    /// When it was known.
    pub at: Moment,
    /// What was measured, in words of ours: never what was said beyond the phrase that was found.
    pub detail: String,
}

/// What answered the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Verdict {
    /// Too little is known.
    #[default]
    Unknown,
    /// A person.
    Human,
    /// A machine.
    Machine,
    /// A machine, and it has beeped: it records.
    Beep,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Human, Self::Machine, Self::Beep];

    /// The word in results and journals.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Human => "human",
            Self::Machine => "machine",
            Self::Beep => "beep",
        }
    }

    /// Is it a machine, recording or not?
    #[must_use]
    pub const fn is_machine(self) -> bool {
        matches!(self, Self::Machine | Self::Beep)
    }
}

/// So many hundredths are a machine, where two sources speak for it.
const MACHINE: i32 = 90;
/// So many raise a suspicion: the bot falls silent while the far end speaks.
const SUSPECT: i32 = 40;
/// So many below zero are a person.
const HUMAN: i32 = -60;
/// Words said before the answer are known this soon after it.
const RECOGNISED_WITHIN_MS: u64 = 1_500;
/// Turns taken beyond this add nothing.
const MOST_TURNS: usize = 2;

/// Everything that is known about who answered.
#[derive(Clone, Debug, Default)]
pub struct Score {
    signals: Vec<Signal>,
    answered_at: Option<Moment>,
}

impl Score {
    /// Adds a signal; a second one of its kind adds nothing, but turns taken count twice. Says whether it was new.
    pub fn add(&mut self, kind: SignalKind, at: Moment, detail: impl Into<String>) -> bool {
        let most = if kind == SignalKind::TookTurn { MOST_TURNS } else { 1 };
        let new = self.signals.iter().filter(|signal| signal.kind == kind).count() < most;
        if new {
            self.signals.push(Signal { kind, at, detail: detail.into() });
        }
        new
    }

    /// A greeting that was long only by a tone which began then, taken for a voice, was not.
    pub fn shorten(&mut self, since: Moment) {
        self.signals.retain(|signal| signal.kind != SignalKind::LongGreeting || signal.at < since);
    }

    /// The call was answered: what was heard before counts from now on only where words came with it.
    pub const fn answered(&mut self, at: Moment) {
        self.answered_at = Some(at);
    }

    /// Is what was heard before the answer a greeting rather than a song or a ringing tone? Whoever answers may say anything.
    fn was_greeted_early(&self) -> bool {
        let words = |signal: &&Signal| signal.kind.source() == Source::Words && signal.kind.points() > 0;
        let until = self.answered_at.map(|at| at.plus_ms(RECOGNISED_WITHIN_MS));
        until.is_none_or(|until| self.signals.iter().filter(words).any(|signal| signal.at <= until))
    }

    /// The evidence, oldest first.
    #[must_use]
    pub fn signals(&self) -> &[Signal] {
        &self.signals
    }

    /// Is there evidence of this kind?
    #[must_use]
    pub fn has(&self, kind: SignalKind) -> bool {
        self.signals.iter().any(|signal| signal.kind == kind)
    }

    fn turns(&self) -> usize {
        self.signals.iter().filter(|signal| signal.kind == SignalKind::TookTurn).count()
    }

    /// What a source says for a machine, and against one.
    fn sides(&self, source: Source) -> (i32, i32) {
        let of = self.signals.iter().filter(|signal| signal.kind.source() == source);
        let (mut for_it, mut against) = (0, 0);
        for signal in of {
            let early = matches!(signal.kind, SignalKind::EarlySpeech | SignalKind::EarlyBeep);
            let points = if early && !self.was_greeted_early() { 0 } else { signal.kind.points() };
            for_it = for_it.max(points);
            against += points.min(0);
        }
        // Somebody who takes turns may well have talked long before.
        let talkative = source == Source::Cadence && self.turns() > 0;
        (if talkative { 0 } else { for_it }, against)
    }

    /// The sum in hundredths, and how many sources speak for a machine.
    fn sum(&self) -> (i32, usize) {
        let sides = [Source::Tone, Source::Cadence, Source::Words, Source::Turns].map(|source| self.sides(source));
        let sum = sides.iter().map(|(for_it, against)| for_it + against).sum();
        (sum, sides.iter().filter(|(for_it, _)| *for_it > 0).count())
    }

    /// What answered, by what is known now.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let (sum, sources) = self.sum();
        if sources >= 2 && sum >= MACHINE {
            if self.has(SignalKind::Beep) { Verdict::Beep } else { Verdict::Machine }
        } else if sum <= HUMAN || (self.turns() > 0 && sum <= 0) {
            Verdict::Human
        } else {
            Verdict::Unknown
        }
    }

    /// Is it likely enough a machine that the bot lets it finish? What came before the answer raises no suspicion by itself: songs and
    /// announcements are played there, and whoever answers then is not to be kept waiting.
    #[must_use]
    pub fn is_suspected(&self) -> bool {
        let raises = [SignalKind::Beep, SignalKind::LongGreeting, SignalKind::MachineWords];
        raises.into_iter().any(|kind| self.has(kind)) && self.sum().0 >= SUSPECT
    }

    /// How sure the verdict is, 0 to 0.99; 0 where there is none.
    #[must_use]
    pub fn confidence(&self) -> f32 {
        let (sum, _) = self.sum();
        let hundredths = match self.verdict() {
            Verdict::Unknown => 0,
            Verdict::Human => -sum.min(HUMAN),
            Verdict::Machine | Verdict::Beep => sum,
        };
        hundredths.min(99) as f32 / 100.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn score(kinds: &[SignalKind]) -> Score {
        let mut score = Score::default();
        for (i, kind) in kinds.iter().enumerate() {
            score.add(*kind, Moment::from_millis(i as u64), "");
        }
        score
    }

    #[test]
    fn the_table_of_verdicts() {
        use SignalKind::{
            AbsenceWords, Beep, EarlyBeep, EarlySpeech, LongGreeting, MachineWords, PersonWords, ShortGreeting,
            TookTurn,
        };
        for (kinds, verdict, suspected) in [
            (vec![], Verdict::Unknown, false),
            (vec![MachineWords], Verdict::Unknown, true),
            (vec![AbsenceWords], Verdict::Unknown, false),
            (vec![Beep], Verdict::Unknown, true),
            (vec![LongGreeting], Verdict::Unknown, true),
            (vec![EarlySpeech], Verdict::Unknown, false),
            (vec![LongGreeting, AbsenceWords], Verdict::Unknown, true),
            (vec![LongGreeting, MachineWords], Verdict::Machine, true),
            (vec![LongGreeting, Beep], Verdict::Beep, true),
            (vec![AbsenceWords, Beep], Verdict::Beep, true),
            (vec![ShortGreeting, MachineWords, Beep], Verdict::Beep, true),
            (vec![EarlySpeech, MachineWords], Verdict::Machine, true),
            // A song or an announcement before the answer.
            (vec![EarlySpeech, EarlyBeep], Verdict::Unknown, false),
            (vec![EarlySpeech, AbsenceWords], Verdict::Unknown, false),
            // "Hello? ... Who is this?"
            (vec![ShortGreeting], Verdict::Unknown, false),
            (vec![ShortGreeting, PersonWords], Verdict::Human, false),
            (vec![ShortGreeting, AbsenceWords], Verdict::Unknown, false),
            (vec![LongGreeting, PersonWords], Verdict::Unknown, false),
            // A change of mind.
            (vec![LongGreeting, MachineWords, TookTurn], Verdict::Human, false),
            (vec![LongGreeting, Beep, TookTurn], Verdict::Human, false),
            (vec![ShortGreeting, TookTurn], Verdict::Human, false),
        ] {
            let score = score(&kinds);
            assert_eq!((score.verdict(), score.is_suspected()), (verdict, suspected), "{kinds:?}");
            assert_eq!(score.confidence() > 0.0, verdict != Verdict::Unknown, "{kinds:?}");
        }
    }

    #[test]
    fn what_was_heard_before_the_answer_counts_with_its_own_words_only() {
        let at = Moment::from_millis;
        let mut score = score(&[SignalKind::EarlySpeech, SignalKind::EarlyBeep]);
        score.answered(at(10_000));
        assert_eq!(score.sum(), (0, 0), "a song, and then somebody answers");
        score.add(SignalKind::MachineWords, at(14_000), "\"leave a message\"");
        assert_eq!(score.verdict(), Verdict::Unknown, "who may offer to take a message");
        let mut greeted = Score::default();
        greeted.add(SignalKind::EarlySpeech, at(8_000), "");
        greeted.add(SignalKind::MachineWords, at(10_900), "");
        greeted.answered(at(10_000));
        assert_eq!(greeted.verdict(), Verdict::Machine);
    }

    proptest! {
        /// The rule of the house: no machine without two independent sources, whatever comes and however often.
        #[test]
        fn a_machine_needs_two_sources(
            kinds in proptest::collection::vec(proptest::sample::select(SignalKind::ALL.to_vec()), 0..12),
        ) {
            let score = score(&kinds);
            let sources = [Source::Tone, Source::Cadence, Source::Words].into_iter();
            let speaks = |source: &Source| {
                score.signals().iter().any(|signal| signal.kind.source() == *source && signal.kind.points() > 0)
            };
            let count = sources.filter(speaks).count();
            prop_assert!(!score.verdict().is_machine() || count >= 2, "{kinds:?}");
            prop_assert!((0.0..1.0).contains(&score.confidence()));
        }
    }
}
