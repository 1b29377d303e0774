//! The watch alone: what it says to do, and when, told by hand what a call would tell it.

use super::*;

/// The call is answered at this time.
const ANSWER: u64 = 10_000;

struct Rig {
    watch: Watch,
    now: u64,
    did: Vec<(u64, Step)>,
}

fn at(ms: u64) -> Moment {
    Moment::from_millis(ms)
}

impl Rig {
    fn new(message: Option<&str>) -> Self {
        let settings = VoicemailSettings { message: message.map(str::to_owned), beep_wait_ms: 20_000 };
        Self { watch: Watch::new(settings), now: 0, did: Vec::new() }
    }

    fn answered(message: Option<&str>) -> Self {
        let mut rig = Self::new(message);
        rig.to(ANSWER);
        rig.watch.answered(at(ANSWER));
        rig.drain();
        rig
    }

    /// Time passes; every deadline on the way is kept, and moves.
    fn to(&mut self, ms: u64) {
        while let Some(due) = self.watch.deadline().filter(|due| *due <= at(ms)) {
            self.now = self.now.max(due.as_millis());
            self.watch.on_time(at(self.now));
            self.drain();
            assert!(self.watch.deadline().is_none_or(|next| next > at(self.now)), "the deadline did not move");
        }
        self.now = ms;
    }

    fn drain(&mut self) {
        while let Some(step) = self.watch.step() {
            self.did.push((self.now, step));
        }
    }

    /// The far end speaks from here to there, with these words.
    fn speaks(&mut self, turn: u32, from: u64, to: u64, words: &str) {
        self.to(from + 100);
        self.watch.voice_began(at(self.now), at(from));
        self.drain();
        self.to(to + 120);
        self.watch.voice_ceased(at(self.now), at(to));
        self.drain();
        self.to(to + 300);
        self.watch.heard(at(self.now), TurnNo(turn), words, true);
        self.drain();
    }

    fn beeps(&mut self, ended: u64) {
        self.to(ended + 80);
        self.watch.beeped(at(self.now), at(ended), 1_000, 400);
        self.drain();
    }

    /// The bot is heard from here to there.
    fn bot(&mut self, from: u64, to: u64) {
        self.to(from);
        self.watch.bot(at(from), true);
        self.to(to);
        self.watch.bot(at(to), false);
    }

    fn verdict(&self) -> Verdict {
        self.watch.verdict().0
    }

    fn steps(&self) -> Vec<Step> {
        self.did.iter().map(|(_, step)| *step).collect()
    }

    fn kinds(&self) -> Vec<SignalKind> {
        self.watch.signals().iter().map(|signal| signal.kind).collect()
    }
}

const GREETING: &str = "Hi, this is Sam. I can't take your call, please leave a message after the tone.";

#[test]
fn a_machine_without_a_message_for_it_is_hung_up_on() {
    let mut rig = Rig::answered(None);
    rig.speaks(1, 10_200, 14_200, GREETING);
    assert_eq!(rig.kinds(), [SignalKind::LongGreeting, SignalKind::MachineWords, SignalKind::AbsenceWords]);
    assert_eq!(rig.did, [(13_200, Step::Hold), (14_500, Step::Rest), (14_500, Step::HangUp)]);
    assert_eq!((rig.verdict(), rig.watch.is_decided()), (Verdict::Machine, true));
    // It was acted upon: nothing that comes later changes it.
    rig.watch.key_pressed(at(14_600));
    assert_eq!((rig.verdict(), rig.watch.deadline()), (Verdict::Machine, None));
}

#[test]
fn a_message_is_left_after_the_beep() {
    let mut rig = Rig::answered(Some("Please call back."));
    rig.speaks(1, 10_200, 14_200, GREETING);
    rig.beeps(15_400);
    assert_eq!(rig.did, [(13_200, Step::Hold), (15_480, Step::Rest), (15_480, Step::LeaveMessage)]);
    assert_eq!(rig.verdict(), Verdict::Beep);
}

#[test]
fn a_beep_that_comes_before_the_words_are_known_is_still_good() {
    let mut rig = Rig::answered(Some("Please call back."));
    rig.to(10_300);
    rig.watch.voice_began(at(10_300), at(10_200));
    rig.to(12_620);
    rig.watch.voice_ceased(at(12_620), at(12_500));
    rig.beeps(13_000);
    rig.to(13_400);
    rig.watch.heard(at(13_400), TurnNo(1), "leave a message after the beep", true);
    rig.drain();
    assert_eq!(rig.did.last(), Some(&(13_400, Step::LeaveMessage)));
}

#[test]
fn where_no_beep_comes_a_silence_will_do_and_without_one_there_is_no_message() {
    let mut rig = Rig::answered(Some("Please call back."));
    rig.speaks(1, 10_200, 14_200, GREETING);
    rig.to(60_000);
    assert_eq!(rig.did.last(), Some(&(16_700, Step::LeaveMessage)));

    let mut rig = Rig::answered(Some("Please call back."));
    rig.to(10_300);
    rig.watch.voice_began(at(10_300), at(10_200));
    rig.to(14_000);
    rig.watch.heard(at(14_000), TurnNo(1), GREETING, false);
    rig.drain();
    rig.to(60_000);
    assert_eq!(rig.did.last(), Some(&(34_000, Step::HangUp)), "it talks and talks");
}

#[test]
fn somebody_who_says_that_another_is_not_available_is_a_person() {
    let mut rig = Rig::answered(None);
    rig.speaks(1, 10_300, 10_800, "Hello?");
    rig.bot(11_000, 14_000);
    rig.speaks(2, 14_500, 16_300, "He is not available at the moment.");
    rig.watch.turn_taken(at(16_700), "He is not available at the moment.");
    rig.drain();
    assert_eq!(rig.kinds(), [SignalKind::ShortGreeting, SignalKind::AbsenceWords]);
    rig.to(60_000);
    assert_eq!((rig.verdict(), rig.steps()), (Verdict::Unknown, vec![Step::Rest]), "nothing was held, nobody hung up");

    // At once, and at length.
    let mut rig = Rig::answered(None);
    rig.speaks(1, 10_200, 15_800, "No he is not available at the moment he has gone out and will call you back later");
    rig.to(60_000);
    assert_eq!((rig.verdict(), rig.watch.is_decided()), (Verdict::Unknown, false));
    assert_eq!(rig.did[..2], [(13_200, Step::Hold), (17_000, Step::Release)]);
}

#[test]
fn whoever_answers_the_bot_is_a_person_and_costs_no_more() {
    let mut rig = Rig::answered(None);
    rig.speaks(1, 10_300, 10_700, "Hello?");
    rig.bot(11_000, 14_000);
    rig.speaks(2, 14_600, 15_400, "Yes, I paid it yesterday.");
    rig.watch.turn_taken(at(15_700), "Yes, I paid it yesterday.");
    rig.drain();
    assert_eq!((rig.verdict(), rig.did), (Verdict::Human, vec![(15_700, Step::Rest)]));
    assert!(!rig.watch.is_watching() && rig.watch.deadline().is_none());
}

#[test]
fn a_machine_that_calls_into_the_silence_is_a_person() {
    let mut rig = Rig::answered(Some("Please call back."));
    rig.speaks(1, 10_200, 14_000, "You have reached the Smiths, leave a message if you like, no, I am joking.");
    assert!(rig.watch.is_decided());
    rig.speaks(1, 15_600, 16_400, "You have reached the Smiths, I am joking. Hello? Who is this?");
    assert_eq!(rig.did[1..], [(16_700, Step::Rest), (16_700, Step::Release)]);
    assert_eq!(rig.verdict(), Verdict::Human);
}

#[test]
fn before_the_answer_words_are_needed_and_what_was_learnt_counts_after_it() {
    let mut rig = Rig::new(Some("Please call back."));
    rig.speaks(0, 3_000, 7_000, GREETING);
    assert_eq!(rig.kinds(), [SignalKind::EarlySpeech, SignalKind::MachineWords, SignalKind::AbsenceWords]);
    assert!(rig.watch.is_decided());
    assert_eq!(rig.did, [(7_300, Step::Hold)], "nothing is said before the answer");
    rig.beeps(8_000);
    rig.to(9_000);
    rig.watch.answered(at(9_000));
    rig.drain();
    assert_eq!(rig.did[1..], [(9_000, Step::Rest), (9_000, Step::LeaveMessage)]);

    let mut song = Rig::new(None);
    song.speaks(0, 1_000, 9_000, "and I will always love you");
    song.beeps(9_500);
    song.to(ANSWER);
    song.watch.answered(at(ANSWER));
    song.drain();
    song.speaks(1, 10_400, 10_900, "Hello?");
    assert!(song.did.is_empty(), "a song before the answer keeps nobody waiting: {:?}", song.did);
}

#[test]
fn a_beep_does_not_make_the_greeting_before_it_a_long_one() {
    let mut rig = Rig::answered(None);
    rig.speaks(1, 10_300, 12_500, "hello who are you");
    rig.to(13_100);
    rig.watch.voice_began(at(13_100), at(13_000));
    rig.beeps(13_400);
    rig.watch.voice_ceased(at(13_500), at(13_400));
    rig.to(20_000);
    assert_eq!(rig.kinds(), [SignalKind::Beep], "what beeps was taken for a voice");
    assert_eq!(rig.verdict(), Verdict::Unknown);
}

#[test]
fn a_greeting_that_goes_on_over_the_answer_is_let_end() {
    let mut rig = Rig::new(None);
    rig.to(4_100);
    rig.watch.voice_began(at(4_100), at(4_000));
    rig.to(ANSWER);
    rig.watch.answered(at(ANSWER));
    rig.drain();
    rig.to(10_320);
    rig.watch.voice_ceased(at(10_320), at(10_200));
    rig.drain();
    rig.to(12_000);
    assert_eq!(rig.did, [(ANSWER, Step::Hold), (10_700, Step::Release)], "a song that ends: half a second, no more");
}

#[test]
fn where_nothing_speaks_for_a_machine_the_watch_ends_by_itself() {
    let mut rig = Rig::answered(None);
    rig.to(100_000);
    assert_eq!(rig.did, [(ANSWER + WATCH_MS, Step::Rest)]);
    assert_eq!(rig.verdict(), Verdict::Unknown);
}

#[test]
fn only_the_newest_words_are_kept() {
    let mut rig = Rig::answered(None);
    for turn in 1..200 {
        rig.watch.heard(at(ANSWER + u64::from(turn)), TurnNo(turn), "und so weiter für immer und ewig", true);
        assert!(rig.watch.words.len() <= MOST_LETTERS + 1);
    }
}
