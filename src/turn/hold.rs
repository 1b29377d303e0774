//! The bot holds its tongue: somebody speaks who may be no person, and is let speak. What is said is still heard and written down, and
//! answered once the conversation goes on; an opening that was not heard to its end is said from its beginning. Never decides who
//! speaks.

use super::TurnLoop;
use super::answer::Answer;
use super::caller::CallerTurn;
use super::fact::{AskCause, ToolCall};
use super::order::TurnOrder;
use crate::units::{Moment, TurnNo};

impl TurnLoop {
    /// The bot falls silent, at once and whatever it says, and answers nobody until [`TurnLoop::release`].
    pub fn hold(&mut self, now: Moment) {
        if self.closed || self.held {
            return;
        }
        self.held = true;
        self.idle.stop();
        let Some(answer) = &self.answer else { return };
        self.opening_owed |= answer.cause == AskCause::Opening;
        if answer.audible_at.is_some() {
            // Nobody has interrupted: it is not counted as that.
            let cuts = self.counts.cuts;
            self.cut(now);
            self.counts.cuts = cuts;
        } else {
            self.withdraw();
            if let Some(turn) = &mut self.caller {
                turn.answered_by = None;
            }
        }
    }

    /// The conversation goes on: with the opening where that is still owed, else with an answer to what was said.
    pub fn release(&mut self, now: Moment) {
        if !std::mem::take(&mut self.held) || self.closed {
            return;
        }
        if std::mem::take(&mut self.opening_owed) {
            self.open_again(now);
        } else {
            self.on_digit_time(now);
            self.try_end(now);
            self.rest(now);
        }
    }

    fn open_again(&mut self, now: Moment) {
        if let Some(answer) = self.cutting.take() {
            let text = answer.heard_text();
            self.settle_bot(&answer, text, false, now);
        }
        self.give_up_turn(now);
        // Nothing that the engine has done counts: it begins at the beginning.
        self.ids.heard = None;
        self.ids.interrupted = false;
        self.ask(now, AskCause::Opening);
        if self.voice_on {
            self.begin_turn(now, None, false);
        }
    }

    /// What was said so far is written down and not answered.
    fn give_up_turn(&mut self, now: Moment) {
        if let Some(turn) = self.caller.take() {
            self.settle_caller(&turn, now);
            self.orders.push_back(TurnOrder::EndTurn { turn: turn.turn });
        }
    }

    /// Is this the caller's open turn, and the last take of it where one is named?
    #[must_use]
    pub fn is_heard(&self, turn: TurnNo, take: Option<u32>) -> bool {
        let last = |open: &CallerTurn| open.turn == turn && take.is_none_or(|take| take == open.take);
        self.caller.as_ref().is_some_and(last)
    }

    /// Says a text of the call's own to its end, whoever speaks meanwhile, and ends the call by `reason`. The engine is not asked.
    pub fn say_last(&mut self, now: Moment, text: &str, reason: &str) {
        if self.closed {
            return;
        }
        self.hold(now);
        self.give_up_turn(now);
        self.ids.utterance = self.ids.utterance.next();
        // A goodbye that nobody asked for: where it cannot be spoken the call ends all the same.
        let mut answer = Answer::new(self.ids.utterance, AskCause::IdleGoodbye, now);
        answer.apology = true;
        let _ = answer.draft(text, true);
        let _ = answer.end_draft();
        answer.add_tool(ToolCall::EndCall { reason: reason.to_owned() });
        self.answer = Some(answer);
        self.say_from(now, 0);
    }
}
