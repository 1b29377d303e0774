//! The caller's half of the turn loop: voice, words, the end of a turn, interruption, keys, idle time. Never speaks.

use super::answer::Answer;
use super::barge_in::{BargeIn, Said, Verdict};
use super::caller::CallerTurn;
use super::fact::{AskCause, KeyEntry, Speaker};
use super::history::TranscriptLine;
use super::idle::Nudge;
use super::order::TurnOrder;
use super::patience::Ending;
use super::timeline::TurnTiming;
use super::words;
use super::{CUT_LIMIT_MS, MOST_TIMINGS, TurnLoop};
use crate::units::{Moment, TurnNo};

/// The words are waited for at most this long after the take; then the partial must do.
const TRANSCRIPT_LIMIT_MS: u64 = 3_000;
/// The end-of-turn model is waited for at most this long; then the words decide alone.
const JUDGE_LIMIT_MS: u64 = 350;
/// Sound of this length in which no word was found is answered with "I did not understand".
const UNCLEAR_MS: u64 = 1_000;
/// Words said over the bot so shortly before its end are an answer to it.
const EARLY_ANSWER_MS: u64 = 1_500;
/// A caller who speaks this soon after the bot began was not finished: nobody reacts so fast.
const TOO_QUICK_MS: u64 = 400;
/// So many words of the bot's and no other are its echo; fewer may be an answer that takes them up ("Tuesday").
const ECHO_WORDS: usize = 4;

impl TurnLoop {
    /// The caller's voice began at `since`, at sample `pos` of the listening clock.
    pub fn on_voice_began(&mut self, since: Moment, pos: u64) {
        self.voice_on = true;
        if self.closed {
            return;
        }
        self.idle.hold();
        let audible = self.is_audible();
        match &mut self.caller {
            // The bot takes the turn from a caller who speaks without end: a breath changes nothing.
            Some(turn) if turn.forced => return,
            Some(turn) => {
                let pause_ms = turn.silent_at.map(|s| since.ms_since(s));
                let ending = turn.ending();
                if let (Some(pause_ms), false) = (pause_ms, turn.over_bot) {
                    self.patience.went_on(ending, u32::try_from(pause_ms).unwrap_or(u32::MAX));
                }
                turn.go_on(since);
                if turn.answered_by.take().is_some() {
                    turn.withdrawn += 1;
                    self.withdraw();
                }
            }
            None => self.begin_turn(since, Some(pos), audible),
        }
        self.suspect(since);
    }

    /// The caller's voice ceased at `since`.
    pub fn on_voice_ceased(&mut self, now: Moment, since: Moment) {
        self.voice_on = false;
        if self.closed {
            return;
        }
        self.barge.voice_ceased(since);
        match &mut self.caller {
            Some(turn) if turn.forced => turn.silent_at = Some(since),
            Some(turn) => {
                turn.fall_silent(since);
                // Over the bot the words decide; after it they are taken on speculation, so that recognition works while the
                // silence grows. Where the caller goes on, they are thrown away.
                if self.barge.is_paused() || !turn.over_bot {
                    self.take(now, false);
                }
            }
            None => self.rest(now),
        }
    }

    /// The answer is not audible yet and the caller simply goes on: it never happened.
    pub(super) fn withdraw(&mut self) {
        self.counts.withdrawn += 1;
        self.drop_unheard();
        if self.timings.last().is_some_and(|t| t.audible_at.is_none()) {
            self.timings.pop();
        }
    }

    pub(super) fn begin_turn(&mut self, since: Moment, pos: Option<u64>, over_bot: bool) {
        self.ids.turn = self.ids.turn.next();
        let turn = self.ids.turn;
        self.caller = Some(CallerTurn::new(turn, since, over_bot));
        self.orders.push_back(TurnOrder::BeginTurn { turn, pos });
    }

    /// The caller may be interrupting.
    pub(super) fn suspect(&mut self, since: Moment) {
        let may = self.policy.interruptible
            && self.answer.as_ref().is_some_and(|a| a.audible_at.is_some() && !a.is_protected());
        if may {
            self.barge.voice_began(since);
        }
    }

    fn take(&mut self, now: Moment, judge: bool) {
        if let Some(turn) = &mut self.caller {
            let take = turn.next_take(now);
            self.orders.push_back(TurnOrder::Take { turn: turn.turn, take });
            if judge {
                self.judge(now);
            }
        }
    }

    /// Asks the end-of-turn model about the last take.
    fn judge(&mut self, now: Moment) {
        if let Some(turn) = &mut self.caller {
            turn.judge_asked_at = Some(now);
            self.counts.judged += 1;
            self.orders.push_back(TurnOrder::Judge { turn: turn.turn, take: turn.take });
        }
    }

    pub(super) fn on_partial(&mut self, now: Moment, turn: TurnNo, text: &str, sure: f32) {
        let Some(mine) = self.caller.as_mut().filter(|t| t.turn == turn) else { return };
        if !mine.over_bot {
            text.clone_into(&mut mine.partial);
            return;
        }
        let (own, echo) = self.own_words(now, text);
        if let Some(mine) = &mut self.caller {
            if echo { "" } else { text }.clone_into(&mut mine.partial);
        }
        let verdict = self.barge.on_words(now, Said { text: &own, sure, last: false }, &self.policy);
        self.apply(now, verdict);
    }

    /// What of a text heard over the bot is the caller's own, and whether all of it was the bot's.
    fn own_words(&mut self, now: Moment, text: &str) -> (String, bool) {
        let Some(turn) = &mut self.caller else { return (String::new(), false) };
        if let Some(answer) = self.answer.as_ref().filter(|a| a.audible_at.is_some()) {
            turn.bot_words = answer.words_since(turn.began, now);
        }
        let own = words::without_echo(text, &turn.bot_words).join(" ");
        let echo = own.is_empty() && words::words(text).count() >= ECHO_WORDS;
        (own, echo)
    }

    pub(super) fn on_transcribed(&mut self, now: Moment, (turn, take): (TurnNo, u32), text: &str, sure: f32) {
        let voice_on = self.voice_on;
        let Some(mine) = self.caller.as_mut().filter(|t| t.turn == turn && t.take == take) else { return };
        if mine.asked_at.is_none() {
            return;
        }
        let over_bot = mine.over_bot && self.answer.as_ref().is_some_and(|a| a.audible_at.is_some());
        // What is nothing but the bot's own voice is no line of the caller's.
        let unsettled = mine.over_bot || (!mine.cut_bot && !mine.bot_words.is_empty());
        let (own, echo) = if unsettled { self.own_words(now, text) } else { (String::new(), false) };
        let text = if echo { "" } else { text };
        if let Some(mine) = &mut self.caller {
            text.clone_into(&mut mine.partial);
        }
        if over_bot {
            if !voice_on && let Some(mine) = &mut self.caller {
                mine.text = Some(text.to_owned());
            }
            let verdict = self.barge.on_words(now, Said { text: &own, sure, last: !voice_on }, &self.policy);
            self.apply(now, verdict);
            return;
        }
        if let Some(mine) = &mut self.caller {
            mine.text = Some(text.to_owned());
            mine.transcribed_at = Some(now);
        }
        self.try_end(now);
    }

    pub(super) fn on_expected(&mut self, turn: TurnNo, take: u32) {
        let mine = self.caller.as_mut().filter(|t| t.turn == turn && t.take == take && t.asked_at.is_some());
        if let Some(mine) = mine {
            mine.expected = true;
        }
    }

    pub(super) fn on_judged(&mut self, now: Moment, turn: TurnNo, take: u32, complete: f32) {
        let Some(mine) = self.caller.as_mut().filter(|t| t.turn == turn && t.take == take) else { return };
        if mine.asked_at.is_none() || mine.judged.is_some() {
            return;
        }
        mine.judged = Some(complete);
        mine.judged_at = Some(now);
        if complete < 0.5 {
            self.counts.judged_open += 1;
        }
        self.try_end(now);
    }

    pub(super) fn on_listen_failed(&mut self, now: Moment) {
        // The words so far must do; a call whose recogniser is gone ends by its own limits, not by one error.
        if let Some(turn) = &mut self.caller
            && turn.text.is_none()
            && turn.asked_at.is_some()
        {
            turn.text = Some(std::mem::take(&mut turn.partial));
            turn.transcribed_at = Some(now);
            self.try_end(now);
        }
    }

    /// Ends the turn if it is over by now, else notes when it will be.
    pub(super) fn try_end(&mut self, now: Moment) {
        if self.is_held() {
            return;
        }
        let Some(turn) = &mut self.caller else { return };
        if turn.answered_by.is_some() || turn.over_bot || turn.text.is_none() {
            return;
        }
        if turn.forced {
            self.end_turn(now);
            return;
        }
        let Some(silent_at) = turn.silent_at else { return };
        if self.voice_on {
            return;
        }
        let wordless = turn.words().trim().is_empty();
        if turn.judge_asked_at.is_none() && !wordless {
            turn.ends_at = Some(silent_at.plus_ms(u64::from(self.policy.ask_after_ms)));
            return;
        }
        let judge_due = turn.judge_asked_at.unwrap_or(now).plus_ms(JUDGE_LIMIT_MS);
        if turn.judged.is_none() && now < judge_due && !wordless {
            turn.ends_at = Some(judge_due);
            return;
        }
        let ends_at = silent_at.plus_ms(u64::from(self.patience.wait_ms(turn.ending())));
        if now >= ends_at {
            self.end_turn(now);
        } else {
            turn.ends_at = Some(ends_at);
        }
    }

    /// Must the end of the caller's turn wait? For the line, which has not said yet where a cut answer stopped; or for an
    /// answer that must be heard before anything else; or because the bot is held silent.
    fn is_held(&self) -> bool {
        let owed = |a: &Answer| a.audible_at.is_none() && matches!(a.cause, AskCause::Opening | AskCause::Digits(_));
        self.held || self.cutting.is_some() || self.answer.as_ref().is_some_and(owed)
    }

    fn end_turn(&mut self, now: Moment) {
        let Some(mut turn) = self.caller.take() else { return };
        let text = turn.words().trim().to_owned();
        let ending = turn.ending();
        if words::words(&text).next().is_none() {
            self.orders.push_back(TurnOrder::EndTurn { turn: turn.turn });
            let going_on_ms = if self.voice_on { now.ms_since(turn.voice_since) } else { 0 };
            if turn.cut_bot || turn.unheard || turn.spoken_ms + going_on_ms >= UNCLEAR_MS {
                self.ask(now, AskCause::Unclear);
                if self.voice_on {
                    self.begin_turn(now, None, false);
                }
            } else {
                self.rest(now);
            }
            return;
        }
        self.idle.reset();
        self.ask(now, AskCause::Caller(text));
        turn.answered_by = Some(self.ids.utterance);
        if self.timings.len() < MOST_TIMINGS {
            let silent_at = turn.silent_at.unwrap_or(now);
            self.timings.push(TurnTiming {
                turn: turn.turn,
                silent_at,
                asked_at: turn.judge_asked_at.or(turn.asked_at).unwrap_or(now),
                transcribed_at: turn.transcribed_at,
                judged_at: turn.judged_at,
                judged: turn.judged,
                ending,
                ended_at: now,
                drafted_at: None,
                said_at: None,
                spoken_at: None,
                audible_at: None,
                withdrawn: turn.withdrawn,
            });
        }
        turn.ends_at = None;
        self.caller = Some(turn);
    }

    /// The answer to this turn is audible: the turn is history.
    pub(super) fn settle_caller(&mut self, turn: &CallerTurn, now: Moment) {
        self.history.push(TranscriptLine {
            speaker: Speaker::Customer,
            text: turn.words().trim().to_owned(),
            began: turn.began,
            ended: turn.silent_at.unwrap_or(now),
            whole: true,
            turn: turn.turn,
            serial: 0,
        });
    }

    /// The bot's answer became audible.
    pub(super) fn settle_answered(&mut self, now: Moment) {
        self.barge = BargeIn::default();
        let Some(turn) = self.caller.take() else { return };
        if turn.answered_by.is_none() {
            // The caller began while an opening or a reminder was being prepared: that is speech over the bot.
            self.caller = Some(CallerTurn { over_bot: true, ..turn });
            if self.voice_on {
                self.suspect(now);
            }
            return;
        }
        self.settle_caller(&turn, now);
        self.orders.push_back(TurnOrder::EndTurn { turn: turn.turn });
        self.last_end = turn.silent_at.map(|at| (at, turn.ending()));
        self.patience.ended_well(turn.ending());
        if self.voice_on {
            // Still speaking after the monologue guard: what comes now is a new turn over the bot, and it does not interrupt
            // before the voice has ceased once.
            self.begin_turn(now, None, true);
        }
    }

    /// The bot finished while something had been said over it.
    pub(super) fn settle_overlap(&mut self, now: Moment) {
        self.barge = BargeIn::default();
        let voice_on = self.voice_on;
        let Some(turn) = &mut self.caller else { return };
        let recent = turn.silent_at.is_none_or(|at| now.ms_since(at) <= EARLY_ANSWER_MS);
        if voice_on || recent {
            turn.take_floor(now);
            if !voice_on {
                if turn.asked_at.is_none() {
                    self.take(now, true);
                } else {
                    self.try_end(now);
                }
            }
            return;
        }
        if let Some(turn) = self.caller.take() {
            self.settle_caller(&turn, now);
            self.orders.push_back(TurnOrder::EndTurn { turn: turn.turn });
        }
    }

    fn apply(&mut self, now: Moment, verdict: Verdict) {
        match verdict {
            Verdict::Wait => {}
            Verdict::Pause => {
                self.counts.pauses += 1;
                if let Some(answer) = &mut self.answer {
                    answer.paused_at = Some(now);
                }
                self.orders.push_back(TurnOrder::Pause);
                self.take(now, false);
            }
            Verdict::Listen => self.take(now, false),
            Verdict::Resume => {
                self.counts.resumes += 1;
                if let Some(answer) = &mut self.answer {
                    answer.resume(now);
                }
                self.orders.push_back(TurnOrder::Resume);
            }
            Verdict::Cut => self.cut(now),
        }
    }

    pub(super) fn cut(&mut self, now: Moment) {
        let Some(answer) = self.answer.take() else { return };
        self.counts.cuts += 1;
        self.learn_from_cut(&answer);
        self.ids.interrupted = true;
        self.barge = BargeIn::default();
        self.orders.push_back(TurnOrder::CancelAnswer { utterance: answer.id });
        self.orders.push_back(TurnOrder::Cut { utterance: answer.id });
        self.keep_promise(&answer);
        self.cutting = Some(answer);
        self.cutting_until = now.plus_ms(CUT_LIMIT_MS);
        if let Some(turn) = &mut self.caller {
            turn.take_floor(now);
            turn.cut_bot = true;
            if !self.voice_on && turn.text.is_none() {
                self.take(now, true);
            }
        }
    }

    /// Who interrupts an answer that has just begun had not finished: the bot was too quick.
    fn learn_from_cut(&mut self, answer: &Answer) {
        let (Some(turn), Some(audible), Some((silent_at, ending))) = (&self.caller, answer.audible_at, self.last_end)
        else {
            return;
        };
        if matches!(answer.cause, AskCause::Caller(_)) && turn.began.ms_since(audible) <= TOO_QUICK_MS {
            let pause_ms = u32::try_from(turn.began.ms_since(silent_at)).unwrap_or(u32::MAX);
            self.patience.went_on(ending, pause_ms);
        }
    }

    pub(super) fn on_barge_time(&mut self, now: Moment) {
        if self.is_audible() {
            let verdict = self.barge.on_time(now, &self.policy);
            self.apply(now, verdict);
        }
    }

    pub(super) fn on_listening_time(&mut self, now: Moment) {
        let Some(turn) = &mut self.caller else { return };
        if self.voice_on && !turn.over_bot && !turn.forced {
            if now.ms_since(turn.floor_at) >= u64::from(self.policy.monologue_ms) {
                turn.forced = true;
                self.take(now, false);
            }
            return;
        }
        if turn.answered_by.is_some() {
            return;
        }
        if let Some(silent_at) = turn.silent_at
            && now.ms_since(silent_at) >= u64::from(self.policy.ask_after_ms)
        {
            match (turn.asked_at, turn.judge_asked_at, turn.over_bot) {
                (None, _, over_bot) => {
                    self.take(now, !over_bot);
                    return;
                }
                (Some(_), None, false) if !turn.forced => self.judge(now),
                _ => {}
            }
        }
        let Some(turn) = &mut self.caller else { return };
        if turn.text.is_none() && turn.asked_at.is_some_and(|at| now.ms_since(at) >= TRANSCRIPT_LIMIT_MS) {
            turn.text = Some(turn.partial.clone());
            turn.transcribed_at = Some(now);
            turn.unheard = true;
        }
        self.try_end(now);
    }

    pub(super) fn listening_deadline(&self) -> Option<Moment> {
        let turn = self.caller.as_ref()?;
        if turn.answered_by.is_some() || (turn.text.is_some() && self.is_held()) {
            return None;
        }
        if self.voice_on && !turn.over_bot && !turn.forced {
            // What was asked about while the bot still spoke does not matter any more.
            return Some(turn.floor_at.plus_ms(u64::from(self.policy.monologue_ms)));
        }
        let unasked =
            if turn.over_bot { turn.asked_at.is_none() } else { turn.judge_asked_at.is_none() && !turn.forced };
        let ask_at = turn.silent_at.filter(|_| unasked && !self.voice_on);
        let ask_at = ask_at.map(|at| at.plus_ms(u64::from(self.policy.ask_after_ms)));
        if turn.text.is_none() && turn.asked_at.is_some() {
            let limit = turn.asked_at.map(|at| at.plus_ms(TRANSCRIPT_LIMIT_MS));
            return ask_at.into_iter().chain(limit).min();
        }
        if self.voice_on || ask_at.is_some() {
            return ask_at;
        }
        turn.ends_at.filter(|_| !turn.over_bot)
    }

    /// The caller pressed a key.
    pub fn on_digit(&mut self, now: Moment, digit: char) {
        if self.closed {
            return;
        }
        self.idle.reset();
        if self.is_audible() && self.may_interrupt() {
            self.cut(now);
        }
        let KeyEntry { most, end, gap_ms } = self.entry;
        let (digits, at) = self.digits.get_or_insert_with(|| (String::new(), now));
        let ends = end == Some(digit);
        if !ends && digits.len() < most {
            digits.push(digit);
        }
        *at = if ends || digits.len() >= most { now } else { now.plus_ms(gap_ms) };
        self.on_digit_time(now);
    }

    fn may_interrupt(&self) -> bool {
        self.policy.interruptible && self.answer.as_ref().is_none_or(|a| !a.is_protected())
    }

    /// When the keys pressed so far are an entry; `None` while something must be heard to its end first.
    pub(super) fn digits_due(&self) -> Option<Moment> {
        let waits = self.held || self.cutting.is_some() || (self.is_audible() && !self.may_interrupt());
        self.digits.as_ref().filter(|_| !waits).map(|(_, at)| *at)
    }

    pub(super) fn on_digit_time(&mut self, now: Moment) {
        if self.digits_due().is_none_or(|at| now < at) {
            return;
        }
        if self.is_audible() {
            // It became audible after the last key. The entry is taken up again once the line has said what was heard.
            self.cut(now);
            return;
        }
        let Some((digits, _)) = self.digits.take() else { return };
        if digits.is_empty() {
            self.rest(now);
            return;
        }
        if let Some(turn) = self.caller.take() {
            self.settle_caller(&turn, now);
            self.orders.push_back(TurnOrder::EndTurn { turn: turn.turn });
        }
        self.history.push(TranscriptLine {
            speaker: Speaker::Customer,
            text: digits.clone(),
            began: now,
            ended: now,
            whole: true,
            turn: self.ids.turn,
            serial: 0,
        });
        self.ask(now, AskCause::Digits(digits));
        if self.voice_on {
            self.begin_turn(now, None, false);
        }
    }

    pub(super) fn on_idle_time(&mut self, now: Moment) {
        match self.idle.on_time(now, &self.policy) {
            Some(Nudge::Remind(n)) => self.ask(now, AskCause::Idle(n)),
            Some(Nudge::GiveUp) => self.ask(now, AskCause::IdleGoodbye),
            None => {}
        }
    }

    /// The last ending's kind, for tests and reports.
    #[must_use]
    pub fn patience_ms(&self, ending: Ending) -> u32 {
        self.patience.wait_ms(ending)
    }
}
