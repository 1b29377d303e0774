//! The bot's half of the turn loop: from the engine's first word to the last word heard. Never listens.

use super::answer::Answer;
use super::fact::{AskCause, ProviderRole, Speaker, ToolCall};
use super::history::TranscriptLine;
use super::order::TurnOrder;
use super::timeline::TurnTiming;
use super::{APOLOGY, CUT_LIMIT_MS, MOST_FAILURES, PlayoutFact, TurnLoop};
use crate::units::{Moment, UtteranceId};

/// The engine's first word is waited for at most this long.
const FIRST_WORD_MS: u64 = 10_000;
/// Between two signs of life of an answer (text, audio, a piece heard) there is at most this, beyond the audio already made.
const STALL_MS: u64 = 8_000;

impl TurnLoop {
    pub(super) fn on_drafted(&mut self, now: Moment, utterance: UtteranceId, text: &str, protected: bool) {
        let Some(answer) = self.answer.as_mut().filter(|a| a.id == utterance && !a.draft_ended) else { return };
        answer.progress_at = now;
        let first = answer.draft(text, protected);
        self.note(utterance, |t| {
            t.drafted_at.get_or_insert(now);
        });
        self.say_from(now, first);
    }

    pub(super) fn on_tool(&mut self, now: Moment, utterance: UtteranceId, tool: &ToolCall) {
        if let Some(answer) = self.answer.as_mut().filter(|a| a.id == utterance && !a.draft_ended) {
            answer.progress_at = now;
            // Not to be done after what was said: a caller who knows the question types before it is over.
            if let ToolCall::CollectKeys(entry) = tool {
                self.entry = *entry;
            } else {
                answer.add_tool(tool.clone());
            }
        }
    }

    pub(super) fn on_draft_ended(&mut self, now: Moment, utterance: UtteranceId) {
        let Some(answer) = self.answer.as_mut().filter(|a| a.id == utterance && !a.draft_ended) else { return };
        answer.progress_at = now;
        let first = answer.end_draft();
        self.ids.draft_failures_in_row = 0;
        self.say_from(now, first);
        self.finish_if_over(now);
    }

    pub(super) fn on_draft_failed(&mut self, now: Moment, utterance: UtteranceId) {
        let Some(answer) = self.answer.as_mut().filter(|a| a.id == utterance && !a.draft_ended) else { return };
        answer.break_draft();
        answer.progress_at = now;
        self.counts.failures += 1;
        self.ids.draft_failures_in_row += 1;
        let (speechless, cause) = (answer.segments.is_empty(), answer.cause.clone());
        if self.give_up_if(self.ids.draft_failures_in_row, ProviderRole::Llm) {
            return;
        }
        // Reminders, warnings and goodbyes are simply left out.
        let asked_by_caller = is_asked_by_caller(&cause);
        if speechless && cause == AskCause::Opening {
            // Nothing begins without its opening line.
            self.ask(now, AskCause::Opening);
        } else if speechless && asked_by_caller {
            self.apologise(now);
        } else {
            self.finish_if_over(now);
        }
    }

    /// Puts an apology in the place of an answer that failed without a word. It has an id of its own: everything about the
    /// failed one may have been cancelled.
    fn apologise(&mut self, now: Moment) {
        let Some(failed) = self.answer.take() else { return };
        self.ids.utterance = self.ids.utterance.next();
        let id = self.ids.utterance;
        let mut apology = Answer::new(id, failed.cause, now);
        (apology.apology, apology.interrupted) = (true, failed.interrupted);
        let _ = apology.draft(APOLOGY, false);
        let _ = apology.end_draft();
        self.say_instead(now, failed.id, apology);
    }

    /// Gives an answer of which nothing could be heard to synthesis once more, under an id of its own: that of the failed one may
    /// have been cancelled.
    fn say_again(&mut self, now: Moment) {
        let Some(failed) = self.answer.take() else { return };
        self.ids.utterance = self.ids.utterance.next();
        let (of, again) = (failed.id, failed.said_again(self.ids.utterance, now));
        self.say_instead(now, of, again);
    }

    fn say_instead(&mut self, now: Moment, of: UtteranceId, answer: Answer) {
        if let Some(turn) = self.caller.as_mut().filter(|t| t.answered_by == Some(of)) {
            turn.answered_by = Some(answer.id);
        }
        self.answer = Some(answer);
        self.say_from(now, 0);
    }

    pub(super) fn say_from(&mut self, now: Moment, first: usize) {
        let Some(answer) = &self.answer else { return };
        let utterance = answer.id;
        let mut any = false;
        for (i, seg) in answer.segments.iter().enumerate().skip(first) {
            any = true;
            self.orders.push_back(TurnOrder::Say {
                utterance,
                segment: u16::try_from(i).unwrap_or(u16::MAX),
                text: seg.text.clone(),
            });
        }
        if any {
            self.note(utterance, |t| {
                t.said_at.get_or_insert(now);
            });
        }
    }

    /// Adds to the timing of the turn that `utterance` answers, if it answers one.
    fn note(&mut self, utterance: UtteranceId, add: impl FnOnce(&mut TurnTiming)) {
        let answers = self.answer.as_ref().is_some_and(|a| a.id == utterance && matches!(a.cause, AskCause::Caller(_)));
        if answers && let Some(timing) = self.timings.last_mut() {
            add(timing);
        }
    }

    pub(super) fn on_spoken(&mut self, now: Moment, utterance: UtteranceId, _segment: u16) {
        let Some(answer) = self.answer.as_mut().filter(|a| a.id == utterance) else { return };
        answer.progress_at = now;
        self.ids.mute_in_row = 0;
        self.note(utterance, |t| {
            t.spoken_at.get_or_insert(now);
        });
    }

    pub(super) fn on_speech_failed(&mut self, now: Moment, utterance: UtteranceId, segment: u16) {
        let Some(answer) = self.answer.as_mut().filter(|a| a.id == utterance) else { return };
        answer.fail(segment);
        answer.progress_at = now;
        self.counts.failures += 1;
        if answer.is_over() && answer.is_mute() {
            self.note_mute(now);
        } else {
            self.finish_if_over(now);
        }
    }

    /// Nothing of an answer could be heard. The caller is not left in silence: it is said once more; where that fails too, an
    /// apology is said in its place (the opening is said a third time), unless the call ends by it or nobody asked for it; the
    /// third failure in a row ends the call.
    fn note_mute(&mut self, now: Moment) {
        self.ids.mute_in_row += 1;
        if self.give_up_if(self.ids.mute_in_row, ProviderRole::Tts) {
            return;
        }
        let Some(answer) = &self.answer else { return };
        if !answer.again || answer.cause == AskCause::Opening {
            self.say_again(now);
        } else if is_asked_by_caller(&answer.cause) && !answer.ends_the_call() {
            self.apologise(now);
        } else {
            self.finish_if_over(now);
        }
    }

    /// Gives the conversation up where a role has failed too often in a row.
    fn give_up_if(&mut self, failures: u32, role: ProviderRole) -> bool {
        let give_up = failures >= MOST_FAILURES;
        if give_up {
            self.orders.push_back(TurnOrder::GiveUp(role));
        }
        give_up
    }

    /// A fact from playout.
    pub fn on_playout(&mut self, now: Moment, fact: PlayoutFact) {
        match fact {
            PlayoutFact::Began { utterance } => self.on_audible(now, utterance),
            PlayoutFact::SegmentHeard { utterance, segment } => self.on_piece(now, utterance, |a| a.heard(segment)),
            PlayoutFact::SegmentLost { utterance, segment } => self.on_piece(now, utterance, |a| a.lose(segment)),
            PlayoutFact::Cut { utterance, segment, heard_ms, behind_ms } => {
                if self.cutting.as_ref().is_some_and(|a| a.id == utterance)
                    && let Some(answer) = self.cutting.take()
                {
                    let (segment, heard_ms) = answer.place_before(segment, heard_ms, behind_ms);
                    let text = answer.text_until(segment, heard_ms);
                    self.settle_bot(&answer, text, false, now);
                    self.after_cut(now, &answer);
                }
            }
        }
    }

    /// A piece is over, heard or not.
    fn on_piece(&mut self, now: Moment, utterance: UtteranceId, note: impl Fn(&mut Answer)) {
        if let Some(cut) = self.cutting.as_mut().filter(|a| a.id == utterance) {
            note(cut);
        }
        let Some(answer) = self.answer.as_mut().filter(|a| a.id == utterance) else { return };
        let was_protected = answer.is_protected();
        note(answer);
        (answer.progress_at, answer.piece_since) = (now, now);
        let released = was_protected && !answer.is_protected();
        if released && self.voice_on {
            self.suspect(now);
        }
        self.finish_if_over(now);
        if released {
            self.on_digit_time(now);
        }
    }

    /// Takes up what waited for the end of a cut.
    fn after_cut(&mut self, now: Moment, answer: &Answer) {
        if self.closed {
            return;
        }
        let ends = answer.stalled && self.act_on(answer);
        if !ends {
            self.on_digit_time(now);
            self.try_end(now);
            self.rest(now);
        }
    }

    /// The line has not said in time where the cut answer stopped.
    pub(super) fn on_cut_time(&mut self, now: Moment) {
        if now >= self.cutting_until
            && let Some(answer) = self.cutting.take()
        {
            self.settle_bot(&answer, answer.heard_text(), false, now);
            self.after_cut(now, &answer);
        }
    }

    /// The line did not say where the cut answer stopped: only its whole pieces count as heard.
    pub fn settle_unsaid(&mut self, now: Moment) {
        if let Some(answer) = self.cutting.take() {
            let text = answer.heard_text();
            self.settle_bot(&answer, text, false, now);
        }
    }

    fn on_audible(&mut self, now: Moment, utterance: UtteranceId) {
        if self.answer.as_ref().is_none_or(|a| a.id != utterance || a.audible_at.is_some()) {
            return;
        }
        self.note(utterance, |t| {
            t.audible_at.get_or_insert(now);
        });
        if let Some(answer) = &mut self.answer {
            answer.audible_at = Some(now);
            (answer.progress_at, answer.piece_since) = (now, now);
            if !answer.apology {
                self.ids.heard = Some(answer.asked_as);
            }
        }
        if !self.closed {
            self.settle_answered(now);
        }
    }

    pub(super) fn settle_bot(&mut self, answer: &Answer, text: String, whole: bool, now: Moment) {
        self.history.push(TranscriptLine {
            speaker: Speaker::Bot,
            text,
            began: answer.audible_at.unwrap_or(answer.asked_at),
            ended: now,
            whole,
            turn: self.ids.turn,
            serial: 0,
        });
    }

    /// Everything of the answer was drafted and heard: the floor is free, or the call is to end.
    fn finish_if_over(&mut self, now: Moment) {
        if self.answer.as_ref().is_none_or(|a| !a.is_over()) {
            return;
        }
        let Some(answer) = self.answer.take() else { return };
        if let Some(turn) = self.caller.as_mut().filter(|t| t.over_bot && answer.audible_at.is_some()) {
            turn.bot_words = answer.words_since(turn.began, now);
        }
        if answer.audible_at.is_none() {
            // An answer without sound (only tools, or all of it failed): the caller's turn is settled all the same.
            self.settle_answered(now);
            if !answer.is_mute() && !answer.apology {
                self.ids.heard = Some(answer.asked_as);
            }
        }
        let text = answer.heard_text();
        self.settle_bot(&answer, text, !answer.torn, now);
        if self.barge.is_paused() {
            self.orders.push_back(TurnOrder::Resume);
        }
        if self.act_on(&answer) {
            return;
        }
        self.settle_overlap(now);
        self.on_digit_time(now);
        self.rest(now);
    }

    /// Runs what the answer wanted done; does the call end by it?
    fn act_on(&mut self, answer: &Answer) -> bool {
        let mut ends = false;
        // What ends the call comes last, or it would end before the rest was done.
        let is_last = |tool: &&ToolCall| !matches!(tool, ToolCall::OptOut | ToolCall::SendKeys { .. });
        let (last, first): (Vec<&ToolCall>, Vec<&ToolCall>) = answer.tools.iter().partition(is_last);
        for tool in first.into_iter().chain(last) {
            ends |= matches!(tool, ToolCall::EndCall { .. } | ToolCall::Transfer { .. });
            self.orders.push_back(TurnOrder::Act(tool.clone()));
        }
        if matches!(answer.cause, AskCause::IdleGoodbye) && !ends {
            ends = true;
            self.orders.push_back(TurnOrder::Act(ToolCall::EndCall { reason: "idle".to_owned() }));
        }
        ends
    }

    pub(super) fn answer_deadline(&self) -> Option<Moment> {
        let answer = self.answer.as_ref()?;
        if answer.segments.is_empty() && !answer.draft_ended {
            return Some(answer.asked_at.plus_ms(FIRST_WORD_MS));
        }
        Some(answer.progress_at.plus_ms(STALL_MS + unheard_ms(answer)))
    }

    pub(super) fn on_answer_time(&mut self, now: Moment) {
        if self.answer_deadline().is_none_or(|at| now < at) {
            return;
        }
        let Some(answer) = &mut self.answer else { return };
        let utterance = answer.id;
        let engine_stalled = !answer.draft_ended;
        if engine_stalled && answer.segments.is_empty() {
            self.orders.push_back(TurnOrder::CancelAnswer { utterance });
            self.on_draft_failed(now, utterance);
            return;
        }
        answer.break_draft();
        self.counts.failures += 1;
        self.orders.push_back(TurnOrder::CancelAnswer { utterance });
        self.orders.push_back(TurnOrder::Cut { utterance });
        if answer.audible_at.is_some() {
            // Engine, synthesis or playout stands still in mid-answer: the line says what was heard, and that is all of it.
            answer.stalled = true;
            self.cutting = self.answer.take();
            self.cutting_until = now.plus_ms(CUT_LIMIT_MS);
            self.settle_overlap(now);
        } else {
            answer.fail_all();
            self.note_mute(now);
        }
        if engine_stalled {
            self.ids.draft_failures_in_row += 1;
            self.give_up_if(self.ids.draft_failures_in_row, ProviderRole::Llm);
        }
    }
}

/// Is somebody waiting for this answer?
const fn is_asked_by_caller(cause: &AskCause) -> bool {
    matches!(cause, AskCause::Caller(_) | AskCause::Digits(_) | AskCause::Unclear)
}

/// Audio of an answer that was made and not yet heard.
fn unheard_ms(answer: &Answer) -> u64 {
    answer.segments.iter().filter(|s| !s.done).map(|s| u64::from(s.made_ms)).sum()
}
