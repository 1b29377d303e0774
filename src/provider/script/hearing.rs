//! What the caller's words do to the dialogue: a value, a wish, a yes or no, or nothing; read-backs and keys. Never says a
//! line itself and never counts: the engine does.

use serde_json::Value;

use super::engine::{Engine, Piece, Way};
use super::plan::{Place, Plan, StepPlan};
use super::state::At;
use super::understand::{Fit, Manner, SlotValue, Words, rank, read};
use crate::bot::script::SlotKind;
use crate::template::Namespace;

/// What an answer means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// A value for the step's slot.
    Value(SlotValue),
    /// An intent, and where it leads; a line answers it where it leads nowhere.
    Wish(Fit, Option<Place>),
    /// Yes or no.
    Opinion(bool),
    /// Nothing that this step knows.
    Nothing,
}

impl Engine {
    pub(super) fn heard(&mut self, plan: &Plan, at: At, words: &Words, out: &mut Vec<Piece>) {
        self.state.spoken |= !words.is_empty();
        self.state.fell_silent = false;
        match at {
            At::Step(step) if words.is_empty() => self.unclear(plan, step, out),
            At::Step(step) if self.state.pending.is_some() => self.on_read_back(plan, step, words, out),
            At::Step(step) => self.on_answer(plan, step, words, out),
            At::Start | At::End(_) => {
                let strong = rank(&plan.intents, words).into_iter().find(|fit| fit.words >= 2);
                match strong.and_then(|fit| plan.globals[fit.intent]) {
                    Some(place) => self.go(plan, place, Way::Chosen, out),
                    None => self.begin(plan, out),
                }
            }
        }
    }

    /// The best intent that means something at this step, and where it leads; `None` as place where a line answers it.
    fn wish(plan: &Plan, step: &StepPlan, words: &Words) -> Option<(Fit, Option<Place>)> {
        let known = rank(&plan.intents, words).into_iter().filter_map(|fit| {
            let expected = step.expect.iter().find(|(intent, _)| *intent == fit.intent).map(|(_, place)| *place);
            let place = expected.or(plan.globals[fit.intent]);
            // What the step waits for comes first where two fit alike.
            let score = fit.score + if expected.is_some() { 0.15 } else { 0.0 };
            let answered = plan.answers[fit.intent].is_some();
            (place.is_some() || answered).then_some((Fit { score, ..fit }, place))
        });
        known.max_by(|a, b| a.0.score.total_cmp(&b.0.score).then(b.0.intent.cmp(&a.0.intent)))
    }

    /// What the words mean at a step that waits for its first answer.
    pub(super) fn judge(&self, plan: &Plan, step: &StepPlan, words: &Words) -> Verdict {
        let wish = Self::wish(plan, step, words);
        let value = step.slot.as_ref().and_then(|slot| {
            let value = read(slot.kind, words, &self.calendar, &plan.polarity, Manner::Asked)?;
            let value = slot.takes(&value).then_some(value)?;
            wish.is_none_or(|(fit, place)| value_wins(slot.kind, words, fit, place.is_some())).then_some(value)
        });
        match (value, wish) {
            (Some(value), _) => Verdict::Value(value),
            (None, Some((fit, place))) => Verdict::Wish(fit, place),
            (None, None) => plan.polarity.of(words).map_or(Verdict::Nothing, |opinion| Verdict::Opinion(opinion.yes)),
        }
    }

    fn on_answer(&mut self, plan: &Plan, at: usize, words: &Words, out: &mut Vec<Piece>) {
        let step = &plan.steps[at];
        match self.judge(plan, step, words) {
            Verdict::Value(value) => {
                self.state.carry = step.slot.as_ref().map(|slot| (words.clone(), vec![slot.kind]));
                self.take(plan, at, value, out);
            }
            Verdict::Wish(fit, place) => self.follow(plan, fit, place, words, out),
            Verdict::Opinion(yes) => match if yes { step.yes } else { step.no } {
                Some(place) => {
                    self.state.carry = Some((words.clone(), Vec::new()));
                    self.go(plan, place, Way::Chosen, out);
                }
                // A bare yes to "which day?" was understood: ask in other words, without an excuse.
                None => self.miss(plan, at, false, out),
            },
            Verdict::Nothing => self.unclear(plan, at, out),
        }
    }

    fn follow(&mut self, plan: &Plan, fit: Fit, place: Option<Place>, words: &Words, out: &mut Vec<Piece>) {
        if let Some(place) = place {
            // A short answer ("the day") chooses and gives nothing for later.
            if words.len() > 3 {
                self.state.earlier = Some((words.clone(), Vec::new()));
            }
            self.state.carry = None;
            if let At::Step(at) = self.state.at {
                self.pass_up(&plan.steps[at], place);
            }
            self.go(plan, place, Way::Chosen, out);
            return;
        }
        let name = plan.intents[fit.intent].name.as_str();
        let lines = plan.answers[fit.intent].as_ref();
        let spoke = lines.is_some_and(|lines| self.speak(lines, false, out));
        match (spoke, name, self.state.at) {
            // "Hold on" wants silence, not the question again.
            (true, "wait", _) => {}
            (true, _, _) => self.ask_again(plan, name == "repeat", out),
            (false, "repeat", _) => self.ask_again(plan, true, out),
            (false, _, At::Step(at)) => self.unclear(plan, at, out),
            (false, _, _) => {}
        }
    }

    /// A value for the slot of step `at`: read back first where the slot says so.
    fn take(&mut self, plan: &Plan, at: usize, value: SlotValue, out: &mut Vec<Piece>) {
        let step = &plan.steps[at];
        let Some(slot) = &step.slot else { return };
        if !slot.confirms {
            self.fill(&slot.name, value);
            self.go(plan, slot.then, Way::Onward, out);
            return;
        }
        self.pend(&slot.name, value);
        self.state.last_line = 0;
        if !self.speak_question(plan, false, out) {
            self.fail(plan, at, out);
        }
    }

    /// The answer to a value that was read back.
    fn on_read_back(&mut self, plan: &Plan, at: usize, words: &Words, out: &mut Vec<Piece>) {
        let step = &plan.steps[at];
        let (Some(slot), Some(pending)) = (&step.slot, self.state.pending.clone()) else { return };
        let value = read(slot.kind, words, &self.calendar, &plan.polarity, Manner::ReadBack);
        let value = value.filter(|value| slot.takes(value));
        let says = plan.polarity.of(words).map(|opinion| opinion.yes);
        let wish = Self::wish(plan, step, words).filter(|(fit, place)| {
            // "Wrong number" after a number was read back is about that number.
            let about_value = plan.intents[fit.intent].name == "wrong_number" && slot.kind != SlotKind::Name;
            let weak = fit.words < 2 && !fit.whole;
            !(about_value || (weak && says.is_some()) || (says == Some(true) && place.is_none()))
        });
        if let Some((fit, place)) = wish.filter(|_| value.is_none()) {
            self.drop_pending(&slot.name, place.is_some());
            self.follow(plan, fit, place, words, out);
            return;
        }
        match (value, says) {
            // Saying the same again is a yes; saying it after a no means that it was misheard.
            (Some(value), says) if value == pending && says != Some(false) => self.accept(plan, at, value, words, out),
            (Some(value), _) if value != pending => {
                self.state.attempts += 1;
                if self.state.attempts > step.retries {
                    self.fail(plan, at, out);
                } else {
                    self.take(plan, at, value, out);
                }
            }
            (None, Some(true)) => self.accept(plan, at, pending, words, out),
            (_, Some(false)) => {
                self.drop_pending(&slot.name, true);
                self.miss(plan, at, false, out);
            }
            _ => self.unclear(plan, at, out),
        }
    }

    fn accept(&mut self, plan: &Plan, at: usize, value: SlotValue, words: &Words, out: &mut Vec<Piece>) {
        let Some(slot) = &plan.steps[at].slot else { return };
        self.fill(&slot.name, value);
        if words.len() > 2 {
            self.state.carry = Some((words.clone(), vec![slot.kind]));
        }
        self.go(plan, slot.then, Way::Onward, out);
    }

    /// The value read back does not stand.
    pub(super) fn drop_pending(&mut self, name: &str, leaves: bool) {
        if leaves {
            self.state.pending = None;
            let before = self.state.slots.get(name).map_or(Value::Null, SlotValue::json);
            self.values.set(Namespace::Result, name, before);
        }
    }

    pub(super) fn typed(&mut self, plan: &Plan, at: usize, digits: &str, out: &mut Vec<Piece>) {
        self.state.spoken = true;
        let entry = digits;
        let digits: String = digits.chars().filter(char::is_ascii_digit).take(32).collect();
        let step = &plan.steps[at];
        let rule = step.slot.as_ref().and_then(|slot| slot.keys.as_ref());
        let kind = step.slot.as_ref().map(|slot| slot.kind);
        let value = match kind {
            // A rule is the last word: what does not fit it is no value, and an entry that is short by it may be one.
            Some(_) if rule.is_some_and(|rule| !rule.fits(entry)) => None,
            Some(SlotKind::Id | SlotKind::Phone) if rule.is_some() => Some(SlotValue::Text(digits.clone())),
            Some(SlotKind::Number | SlotKind::Money) if digits.len() <= 12 => {
                digits.parse().ok().map(SlotValue::Number)
            }
            Some(SlotKind::Id | SlotKind::Phone) if digits.len() >= 3 => Some(SlotValue::Text(digits.clone())),
            _ => None,
        };
        let word = match (digits.as_str(), &self.state.pending) {
            ("1", _) if self.state.pending.is_some() || (value.is_none() && rule.is_none()) => "yes",
            ("2", _) if self.state.pending.is_some() || (value.is_none() && rule.is_none()) => "no",
            ("0", None) if value.is_none() => "human",
            _ => "",
        };
        match value {
            _ if !word.is_empty() => self.heard(plan, At::Step(at), &Words::of(word), out),
            Some(value) => self.take(plan, at, value, out),
            None => self.unclear(plan, at, out),
        }
    }
}

/// Does a value for the slot count for more than the wish in the same words?
fn value_wins(kind: SlotKind, words: &Words, fit: Fit, leads: bool) -> bool {
    let until = words.all().iter().any(|word| matches!(word.text.as_str(), "until" | "till" | "before" | "after"));
    match kind {
        // Anything can be a name or a text, so a wish that was understood comes first.
        SlotKind::Name | SlotKind::YesNo => false,
        SlotKind::Text => fit.words < 3 && !fit.whole,
        _ => !leads || (fit.words < 2 && !fit.whole) || until,
    }
}
