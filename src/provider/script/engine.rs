//! The dialogue itself: a request in, lines and tools out, at once and always the same for the same script, values and
//! words. Goes back where an answer was abandoned unheard, never says a sentence more than twice in a call, and ends
//! whatever the caller says. Reads no clock, waits for nothing.

use std::sync::Arc;

use super::plan::{Lines, Place, Plan, StepPlan};
use super::state::{At, MOST_OFTEN, Past, State};
use super::understand::{Calendar, Manner, SlotValue, Words, rank, read};
use crate::bot::script::{MOST_KEYS, SlotKind, is_key};
use crate::provider::Hints;
use crate::template::{Namespace, Template, Values};
use crate::turn::{Ask, AskCause, KeyEntry, ToolCall};

/// A part of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Say this.
    Say {
        /// One or more whole sentences.
        text: String,
        /// It must be heard to its end.
        protected: bool,
    },
    /// Do this after what was said before it.
    Tool(ToolCall),
}

/// The dialogue of one call.
#[derive(Debug)]
pub struct Engine {
    pub(super) plan: Arc<Plan>,
    base: Arc<Values>,
    /// `base` and the slots filled so far.
    pub(super) values: Values,
    pub(super) state: State,
    past: Past,
    /// Requests so far, also those that were taken back.
    asks: u16,
    /// A step's way of typing was told, and may have to be taken back.
    told_keys: bool,
    pub(super) calendar: Calendar,
}

/// How a place is come to.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Way {
    /// The caller chose it.
    Chosen,
    /// The step before it is done.
    Onward,
}

impl Engine {
    /// The dialogue of a call that has not begun; `calendar` says what today is to the caller.
    #[must_use]
    pub fn new(plan: Arc<Plan>, values: Arc<Values>, calendar: Calendar) -> Self {
        let state = State::new();
        let past = Past::new(state.clone());
        Self { plan, values: (*values).clone(), base: values, state, past, asks: 0, told_keys: false, calendar }
    }

    /// The step at which the dialogue stands, the first before anything was said, and what may be said there; nothing once it is
    /// over.
    #[must_use]
    pub fn expects(&self) -> Option<(usize, &Hints)> {
        let step = match self.state.at {
            At::Start => 0,
            At::Step(step) => step,
            At::End(_) => return None,
        };
        Some((step, self.plan.expected.get(step)?))
    }

    /// Was the last answer at this step not understood?
    #[must_use]
    pub const fn asks_again(&self) -> bool {
        self.state.attempts > 0
    }

    /// Answers one request.
    pub fn answer(&mut self, ask: &Ask) -> Vec<Piece> {
        if let Some(state) = self.past.back_to(ask.after) {
            self.take_back(state);
        }
        self.asks = self.asks.saturating_add(1);
        let plan = Arc::clone(&self.plan);
        let mut out = Vec::new();
        match (&ask.cause, self.state.at) {
            (AskCause::TimeWarning, _) => {
                self.speak(&plan.warning, false, &mut out);
            }
            (AskCause::IdleGoodbye, _) => self.give_up_on_silence(&plan, &mut out),
            (cause, At::End(end)) => self.after_the_end(&plan, end, cause, &mut out),
            (_, _) if self.asks > plan.max_turns => self.go_lost(&plan, &mut out),
            (AskCause::Caller(text), at) => self.heard(&plan, at, &Words::of(text), &mut out),
            (_, At::Start) => self.begin(&plan, &mut out),
            (AskCause::Opening, At::Step(_)) => self.ask_again(&plan, false, &mut out),
            (AskCause::Digits(digits), At::Step(step)) => self.typed(&plan, step, digits, &mut out),
            (AskCause::Idle(_), At::Step(_)) => self.remind(&plan, &mut out),
            (AskCause::Unclear, At::Step(step)) => self.unclear(&plan, step, &mut out),
        }
        self.past.keep(ask.utterance, &self.state);
        self.tell_keys(&plan, &mut out);
        out
    }

    /// How keys belong together where the dialogue stands now. Said with every answer once it was anything but usual: an answer that
    /// nobody heard may have told otherwise.
    fn tell_keys(&mut self, plan: &Plan, out: &mut Vec<Piece>) {
        let At::Step(at) = self.state.at else { return };
        // A value that is read back waits for its yes or no.
        let slot = plan.steps[at].slot.as_ref().filter(|_| self.state.pending.is_none());
        let rule = slot.and_then(|slot| slot.keys.as_ref());
        if rule.is_none() && !self.told_keys {
            return;
        }
        self.told_keys = true;
        let entry = rule.map_or_else(KeyEntry::default, |rule| KeyEntry {
            most: rule.max,
            end: rule.end.chars().next(),
            gap_ms: rule.gap_ms,
        });
        out.insert(0, Piece::Tool(ToolCall::CollectKeys(entry)));
    }

    fn take_back(&mut self, state: State) {
        self.state = state;
        self.values = (*self.base).clone();
        for (name, value) in &self.state.slots {
            self.values.set(Namespace::Result, name, value.json());
        }
    }

    // --- what is said -------------------------------------------------------------------------------------------------

    /// Says the freshest of `lines`; `false` where each was said twice.
    pub(super) fn speak(&mut self, lines: &Lines, protected: bool, out: &mut Vec<Piece>) -> bool {
        let order: Vec<usize> = (0..lines.len()).collect();
        self.speak_in_order(lines, &order, protected, out).is_some()
    }

    fn speak_in_order(
        &mut self,
        lines: &Lines,
        order: &[usize],
        protected: bool,
        out: &mut Vec<Piece>,
    ) -> Option<usize> {
        let rendered: Vec<(usize, String)> = order.iter().map(|&n| (n, self.render(&lines[n]))).collect();
        let fresh = |worn: u8| rendered.iter().find(|(_, text)| !text.is_empty() && self.state.worn(text) == worn);
        let (n, text) = (0..MOST_OFTEN).find_map(fresh)?.clone();
        self.say(text, protected, out);
        Some(n)
    }

    fn say(&mut self, text: String, protected: bool, out: &mut Vec<Piece>) {
        self.state.note_said(&text);
        out.push(Piece::Say { text, protected });
    }

    fn render(&self, line: &Template) -> String {
        line.render(&self.values).text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The question of the step, or the read-back that waits for its yes.
    pub(super) fn speak_question(&mut self, plan: &Plan, same: bool, out: &mut Vec<Piece>) -> bool {
        let At::Step(at) = self.state.at else { return false };
        let step = &plan.steps[at];
        let lines = match (&self.state.pending, &step.slot) {
            (Some(_), Some(slot)) => &slot.confirm_say,
            _ => &step.say,
        };
        let mut order: Vec<usize> = (0..lines.len()).collect();
        if same && self.state.last_line < lines.len() {
            let last = self.state.last_line;
            let once_more = self.state.worn(&self.render(&lines[last])) < MOST_OFTEN;
            if once_more {
                order = vec![last];
            }
        }
        match self.speak_in_order(lines, &order, step.protected, out) {
            Some(n) => {
                self.state.last_line = n;
                true
            }
            None => false,
        }
    }

    // --- the beginning and the end ------------------------------------------------------------------------------------

    pub(super) fn begin(&mut self, plan: &Plan, out: &mut Vec<Piece>) {
        if let Some(line) = &plan.disclosure {
            let text = self.render(line);
            self.say(text, true, out);
        }
        let opening = plan.opening.as_ref().map(|line| self.render(line)).filter(|text| !text.is_empty());
        // An opening that asks something stands for the first question.
        let asks = opening.as_ref().is_some_and(|text| text.ends_with('?'));
        if let Some(text) = opening {
            self.say(text, false, out);
        }
        if asks && !plan.steps.is_empty() {
            self.state.at = At::Step(0);
        } else if plan.steps.is_empty() {
            self.go_lost(plan, out);
        } else {
            self.go(plan, Place::Step(0), Way::Chosen, out);
        }
    }

    fn finish(&mut self, plan: &Plan, end: usize, out: &mut Vec<Piece>) {
        self.state.at = At::End(end);
        self.state.pending = None;
        let ending = &plan.ends[end];
        if ending.opt_out {
            out.push(Piece::Tool(ToolCall::OptOut));
        }
        self.speak(&ending.say, false, out);
        out.push(Piece::Tool(self.closing_tool(plan, end)));
    }

    fn closing_tool(&self, plan: &Plan, end: usize) -> ToolCall {
        let ending = &plan.ends[end];
        let to = ending.transfer.as_ref().map(|to| self.render(to)).unwrap_or_default();
        if !to.is_empty() {
            return ToolCall::Transfer { to };
        }
        let reason = match (ending.opt_out, self.state.fell_silent) {
            (true, _) => "opted_out",
            (_, true) => "no_response",
            _ => "completed",
        };
        ToolCall::EndCall { reason: reason.to_owned() }
    }

    /// Nobody answered the reminders.
    fn give_up_on_silence(&mut self, plan: &Plan, out: &mut Vec<Piece>) {
        if let At::End(end) = self.state.at {
            out.push(Piece::Tool(self.closing_tool(plan, end)));
            return;
        }
        self.speak(&plan.idle_goodbye, false, out);
        self.state.fell_silent = true;
        out.push(Piece::Tool(ToolCall::EndCall { reason: "no_response".to_owned() }));
    }

    /// The caller speaks after the goodbye: only a stronger wish changes the end.
    fn after_the_end(&mut self, plan: &Plan, end: usize, cause: &AskCause, out: &mut Vec<Piece>) {
        if let AskCause::Caller(text) = cause {
            let words = Words::of(text);
            let wish = rank(&plan.intents, &words).into_iter().find_map(|fit| {
                let strong = matches!(plan.intents[fit.intent].name.as_str(), "opt_out" | "human");
                plan.globals[fit.intent].filter(|place| strong && *place != Place::End(end))
            });
            if let Some(place) = wish {
                self.go(plan, place, Way::Chosen, out);
                return;
            }
        }
        let tool = self.closing_tool(plan, end);
        let transfers = matches!(tool, ToolCall::Transfer { .. });
        self.speak(if transfers { &plan.ends[end].say } else { &plan.farewell }, false, out);
        out.push(Piece::Tool(tool));
    }

    fn go_lost(&mut self, plan: &Plan, out: &mut Vec<Piece>) {
        match plan.lost {
            // A step that is lost itself cannot help again.
            Place::Step(step) if self.state.at != At::Step(step) && self.asks <= plan.max_turns => {
                self.go(plan, plan.lost, Way::Onward, out);
            }
            Place::End(end) => self.finish(plan, end, out),
            Place::Step(_) => self.finish(plan, plan.last_resort, out),
        }
    }

    // --- from place to place ------------------------------------------------------------------------------------------

    /// Comes to a place: steps that ask nothing are said and passed, slots that are known already are passed over.
    pub(super) fn go(&mut self, plan: &Plan, to: Place, way: Way, out: &mut Vec<Piece>) {
        let (mut place, mut way) = (to, way);
        // Each round leaves a step for another; a script has no longer way than through all of them.
        for _ in 0..plan.steps.len() + 2 {
            let Place::Step(at) = place else { break };
            let step = &plan.steps[at];
            (self.state.at, self.state.pending, self.state.attempts, self.state.last_line) = (At::Step(at), None, 0, 0);
            if let Some(then) = self.known_already(step, way) {
                (place, way) = (then, Way::Onward);
                continue;
            }
            if self.state.pending.is_some() {
                if !self.speak_question(plan, false, out) {
                    (place, way) = (step.on_fail, Way::Onward);
                    continue;
                }
                return;
            }
            let spoke = self.speak_question(plan, false, out);
            if spoke || step.next.is_some() {
                self.press(step, out);
            }
            match step.next {
                Some(next) => (place, way) = (next, Way::Onward),
                None if spoke => {
                    self.state.carry = None;
                    return;
                }
                None => (place, way) = (step.on_fail, Way::Onward),
            }
        }
        match place {
            Place::End(end) => self.finish(plan, end, out),
            Place::Step(_) => self.go_lost(plan, out),
        }
    }

    /// The keys of a step, once it is come to.
    fn press(&self, step: &StepPlan, out: &mut Vec<Piece>) {
        let keys: String = step.keys.as_ref().map(|keys| self.render(keys)).unwrap_or_default();
        let keys: String = keys.chars().filter(|key| is_key(*key)).take(MOST_KEYS).collect();
        if !keys.is_empty() {
            out.push(Piece::Tool(ToolCall::SendKeys { keys }));
        }
    }

    /// Where the step's slot is filled already, or by what the caller has just said: where the dialogue goes on. A value
    /// that has to be confirmed becomes pending instead.
    fn known_already(&mut self, step: &StepPlan, way: Way) -> Option<Place> {
        let slot = step.slot.as_ref()?;
        let settled = self.state.slots.contains_key(&slot.name) || self.state.passed_up.contains(&slot.name);
        if way == Way::Onward && settled {
            return Some(slot.then);
        }
        let value = self.mentioned(slot.kind).filter(|value| slot.takes(value))?;
        if slot.confirms {
            self.pend(&slot.name, value);
            return None;
        }
        self.fill(&slot.name, value);
        Some(slot.then)
    }

    /// A value of `kind` that the caller gave before it was asked for: in the last utterance, or in the one that chose the
    /// way ("book me in for Friday at ten"). Each utterance gives each kind once.
    fn mentioned(&mut self, kind: SlotKind) -> Option<SlotValue> {
        let figures =
            |kind: SlotKind| matches!(kind, SlotKind::Number | SlotKind::Money | SlotKind::Id | SlotKind::Phone);
        let (calendar, plan) = (self.calendar, Arc::clone(&self.plan));
        [&mut self.state.carry, &mut self.state.earlier].into_iter().flatten().find_map(|(words, used)| {
            if used.iter().any(|&taken| taken == kind || (figures(taken) && figures(kind))) {
                return None;
            }
            let value = read(kind, words, &calendar, &plan.polarity, Manner::InPassing)?;
            used.push(kind);
            Some(value)
        })
    }

    /// Keeps a value that is read back; lines may name it already.
    pub(super) fn pend(&mut self, name: &str, value: SlotValue) {
        self.values.set(Namespace::Result, name, value.json());
        self.state.pending = Some(value);
    }

    pub(super) fn fill(&mut self, name: &str, value: SlotValue) {
        self.values.set(Namespace::Result, name, value.json());
        self.state.slots.insert(name.to_owned(), value);
        self.state.passed_up.remove(name);
        self.state.pending = None;
    }

    /// Notes a question that is left without a value for where its value would have led: it is not asked again on the way, only by
    /// the caller's wish.
    pub(super) fn pass_up(&mut self, step: &StepPlan, to: Place) {
        if let Some(slot) = step.slot.as_ref().filter(|slot| slot.then == to) {
            self.state.passed_up.insert(slot.name.clone());
        }
    }

    // --- what goes wrong ----------------------------------------------------------------------------------------------

    pub(super) fn unclear(&mut self, plan: &Plan, at: usize, out: &mut Vec<Piece>) {
        self.state.unclear = self.state.unclear.saturating_add(1);
        if self.state.unclear > plan.max_unclear {
            self.go_lost(plan, out);
        } else {
            self.miss(plan, at, true, out);
        }
    }

    /// The step did not get its answer: ask in other words while there are retries.
    pub(super) fn miss(&mut self, plan: &Plan, at: usize, excuse: bool, out: &mut Vec<Piece>) {
        self.state.attempts = self.state.attempts.saturating_add(1);
        if self.state.attempts > plan.steps[at].retries {
            self.fail(plan, at, out);
            return;
        }
        if excuse {
            self.speak(&plan.unclear, false, out);
        }
        self.ask_again(plan, false, out);
    }

    pub(super) fn ask_again(&mut self, plan: &Plan, same: bool, out: &mut Vec<Piece>) {
        if !self.speak_question(plan, same, out)
            && let At::Step(at) = self.state.at
        {
            self.fail(plan, at, out);
        }
    }

    pub(super) fn fail(&mut self, plan: &Plan, at: usize, out: &mut Vec<Piece>) {
        if let Some(slot) = &plan.steps[at].slot {
            self.drop_pending(&slot.name, true);
        }
        self.state.carry = None;
        self.pass_up(&plan.steps[at], plan.steps[at].on_fail);
        self.go(plan, plan.steps[at].on_fail, Way::Chosen, out);
    }

    fn remind(&mut self, plan: &Plan, out: &mut Vec<Piece>) {
        let nudged = self.speak(&plan.idle, false, out);
        let asked = self.speak_question(plan, false, out);
        if !(nudged || asked) {
            self.state.fell_silent = true;
            self.finish(plan, plan.no_response, out);
        }
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
