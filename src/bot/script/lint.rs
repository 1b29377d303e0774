//! What is wrong with a script, all of it at once, each fault with its key, what stands there and what was expected.
//! Never changes a script and never stops at the first fault.

use std::collections::BTreeSet;

use super::super::Fault;
use super::flow::{automatic_cycles, edges, end_ids, filled_at, without_end};
use super::{Action, BUILT_IN_INTENTS, End, GLOBAL_INTENTS, KeyRule, MOST_KEYS, Script, SlotKind, Step, is_key};
use crate::template::{Namespace, SET_AFTER_THE_CALL, Template};

/// All faults of `script`, in the order of the file; `file` is named in each.
#[must_use]
pub fn lint(file: &str, script: &Script) -> Vec<Fault> {
    let mut lint = Lint { file, script, places: BTreeSet::new(), faults: Vec::new() };
    lint.places.extend(script.step.iter().map(|step| step.id.clone()));
    lint.places.extend(end_ids(script));
    lint.whole();
    lint.ids();
    lint.intents();
    for step in &script.step {
        lint.step(step);
    }
    lint.flow();
    lint.lines();
    lint.faults
}

struct Lint<'a> {
    file: &'a str,
    script: &'a Script,
    places: BTreeSet<String>,
    faults: Vec<Fault>,
}

impl Lint<'_> {
    fn fault(&mut self, key: &str, value: &str, expected: &str) {
        let shown = if value.chars().count() > 60 {
            value.chars().take(57).chain("...".chars()).collect()
        } else {
            value.to_owned()
        };
        let shown = if shown.is_empty() { "nothing".to_owned() } else { format!("`{shown}`") };
        let key = format!("script.{key}");
        self.faults.push(Fault { file: self.file.to_owned(), key, value: shown, expected: expected.to_owned() });
    }

    fn whole(&mut self) {
        if self.script.step.is_empty() {
            self.fault("step", "", "at least one step");
        }
        if self.script.max_unclear == 0 {
            self.fault("max_unclear", "0", "at least 1");
        }
        if !(10..=500).contains(&self.script.max_turns) {
            self.fault("max_turns", &self.script.max_turns.to_string(), "10 to 500");
        }
        if self.script.utc_offset_minutes().is_none() {
            self.fault("utc_offset", &self.script.utc_offset, "an offset from UTC such as `+05:30`");
        }
        let lost = self.script.lost.clone();
        self.target("lost", &lost);
    }

    fn target(&mut self, key: &str, to: &str) {
        if !self.places.contains(to) {
            self.fault(key, to, "the id of a step or an end of this script");
        }
    }

    fn ids(&mut self) {
        let mut seen = BTreeSet::new();
        let steps = self.script.step.iter().map(|step| ("step", &step.id));
        for (kind, id) in steps.chain(self.script.end.iter().map(|end| ("end", &end.id))) {
            if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
                self.fault(&format!("{kind}.{id}.id"), id, "letters, digits, `_` and `-`");
            }
            if !seen.insert(id) {
                self.fault(&format!("{kind}.{id}.id"), id, "an id that no other step or end has");
            }
        }
    }

    fn intents(&mut self) {
        for (intent, to) in &self.script.globals {
            if !GLOBAL_INTENTS.contains(&intent.as_str()) {
                self.fault(&format!("globals.{intent}"), intent, &format!("one of {}", GLOBAL_INTENTS.join(", ")));
            }
            self.target(&format!("globals.{intent}"), to);
        }
        for (intent, phrases) in &self.script.intents {
            if phrases.any.is_empty()
                || phrases.any.iter().any(|phrase| phrase.trim_start_matches('=').trim().is_empty())
            {
                self.fault(&format!("intents.{intent}.any"), "", "at least one phrase, none of them empty");
            }
            let answered = self.script.answer.iter().any(|answer| answer.intent == *intent);
            let expected = self.script.step.iter().any(|step| step.expect.contains_key(intent));
            if !(answered || expected || self.known_built_in(intent)) {
                self.fault(
                    &format!("intents.{intent}"),
                    intent,
                    "a step that expects it or an answer to it; or take it out",
                );
            }
        }
        for answer in &self.script.answer {
            self.intent(&format!("answer.{}.intent", answer.intent), &answer.intent);
        }
    }

    fn known_built_in(&self, intent: &str) -> bool {
        matches!(intent, "yes" | "no") || BUILT_IN_INTENTS.iter().any(|(name, _)| *name == intent)
    }

    fn intent(&mut self, key: &str, intent: &str) {
        if !self.script.intents.contains_key(intent) && !self.known_built_in(intent) {
            self.fault(key, intent, "a built-in intent, an intent under `[script.intents]`, or the step's slot");
        }
    }

    fn step(&mut self, step: &Step) {
        let key = |rest: &str| format!("step.{}.{rest}", step.id);
        for edge in edges(self.script, step) {
            // A missing `on_fail` falls back to `lost`, which has a fault of its own.
            if edge.key != "on_fail" || step.on_fail.is_some() {
                self.target(&key(&edge.key), &edge.to);
            }
        }
        let slot = step.slot.as_ref();
        for intent in step.expect.keys().filter(|name| slot.is_none_or(|slot| slot.name != **name)) {
            self.intent(&key(&format!("expect.{intent}")), intent);
        }
        match (&step.next, step.expect.is_empty()) {
            (Some(next), false) => self.fault(&key("next"), next, "either `next` or `expect`, not both"),
            (None, true) => self.fault(&key("expect"), "", "what the caller may answer, or `next`"),
            _ => {}
        }
        if let Some(slot) = slot {
            if !step.expect.contains_key(&slot.name) {
                let expected = format!("`{}` = where to go once the slot is filled", slot.name);
                self.fault(&key("expect"), "", &expected);
            }
            if slot.kind == SlotKind::Money && !slot.confirms() {
                self.fault(&key("slot.confirm"), "false", "true, or nothing: no amount counts that was not read back");
            }
            if let Some(rule) = &slot.keys {
                self.key_rule(&key("slot.keys"), slot.kind, rule);
            }
            if slot.kind == SlotKind::YesNo && slot.confirms() {
                self.fault(&key("slot.confirm"), "true", "no confirmation of a yes or no");
            }
        }
        let asks_yes_no = slot.is_some_and(|slot| slot.kind == SlotKind::YesNo);
        for (has, misses) in [("yes", "no"), ("no", "yes")] {
            if step.expect.contains_key(has) && !step.expect.contains_key(misses) && !asks_yes_no {
                let slot_takes_it = slot.is_some();
                if !slot_takes_it {
                    self.fault(&key("expect"), has, &format!("`{misses}` beside `{has}`: a caller may say either"));
                }
            }
        }
        if step.retries > 5 {
            self.fault(&key("retries"), &step.retries.to_string(), "0 to 5");
        }
    }

    fn key_rule(&mut self, key: &str, kind: SlotKind, rule: &KeyRule) {
        let mut complain =
            |part: &str, value: &str, expected: &str| self.fault(&format!("{key}{part}"), value, expected);
        if !matches!(kind, SlotKind::Number | SlotKind::Money | SlotKind::Id | SlotKind::Phone) {
            complain("", "a rule", "a slot of type number, money, id or phone: only figures are typed");
        }
        if rule.min == 0 || rule.min > rule.max || rule.max > MOST_KEYS {
            complain(".min", &rule.min.to_string(), "a whole number from 1 to `max`, which is at most 32");
        }
        if !["", "#", "*"].contains(&rule.end.as_str()) {
            complain(".end", &rule.end, "\"#\", \"*\" or \"\"");
        }
        if !(500..=10_000).contains(&rule.gap_ms) {
            complain(".gap_ms", &rule.gap_ms.to_string(), "a whole number from 500 to 10000");
        }
        for start in &rule.begins {
            if start.is_empty() || start.len() > rule.max || !start.bytes().all(|b| b.is_ascii_digit()) {
                complain(".begins", start, "figures, at most `max` of them");
            }
        }
    }

    fn flow(&mut self) {
        let reached = filled_at(self.script);
        for step in self.script.step.iter().filter(|step| !reached.contains_key(&step.id)) {
            self.fault(&format!("step.{}", step.id), &step.id, "a step that leads here; or take it out");
        }
        for end in self.script.end.iter().filter(|end| !reached.contains_key(&end.id)) {
            self.fault(&format!("end.{}", end.id), &end.id, "a step or global intent that leads here; or take it out");
        }
        for id in automatic_cycles(self.script) {
            self.fault(&format!("step.{id}"), &id, "no circle of `next` and `on_fail`: it would never end");
        }
        for id in without_end(self.script) {
            self.fault(&format!("step.{id}.expect"), &id, "a way from here to an end");
        }
    }

    fn lines(&mut self) {
        let script = self.script;
        let filled = filled_at(script);
        let nothing = BTreeSet::new();
        for step in &script.step {
            let known = filled.get(&step.id).unwrap_or(&nothing);
            // A step that only presses keys has nothing to say.
            let silent = step.say.is_empty() && step.keys.is_some() && step.next.is_some();
            if !silent {
                self.texts(&format!("step.{}.say", step.id), &step.say, known);
            }
            if let Some(keys) = &step.keys {
                let key = format!("step.{}.keys", step.id);
                self.texts(&key, std::slice::from_ref(keys), known);
                let written = Template::parse(keys).tokens().count() == 0;
                if written && (!keys.chars().all(is_key) || keys.chars().count() > MOST_KEYS) {
                    self.fault(&key, keys, "1 to 32 of 0-9, *, #, A-D, or a template");
                }
            }
            if let Some(slot) = step.slot.as_ref().filter(|slot| !slot.confirm_say.is_empty()) {
                let mut with_own = known.clone();
                with_own.insert(slot.name.clone());
                self.texts(&format!("step.{}.slot.confirm_say", step.id), &slot.confirm_say, &with_own);
            }
        }
        for end in &script.end {
            self.end(end, filled.get(&end.id).unwrap_or(&nothing));
        }
        for answer in &script.answer {
            self.texts(&format!("answer.{}.say", answer.intent), &answer.say, &nothing);
        }
        for (key, lines) in [
            ("idle", &script.idle),
            ("idle_goodbye", &script.idle_goodbye),
            ("warning", &script.warning),
            ("unclear", &script.unclear),
            ("farewell", &script.farewell),
        ] {
            self.texts(key, lines, &nothing);
        }
    }

    fn end(&mut self, end: &End, known: &BTreeSet<String>) {
        self.texts(&format!("end.{}.say", end.id), &end.say, known);
        if end.disposition.trim().is_empty() {
            self.fault(&format!("end.{}.disposition", end.id), "", "a disposition, e.g. `completed`");
        }
        if let Some(summary) = &end.summary {
            self.texts(&format!("end.{}.summary", end.id), std::slice::from_ref(summary), known);
        }
        if let Action::Transfer { to } = &end.action {
            self.texts(&format!("end.{}.action.transfer.to", end.id), std::slice::from_ref(to), known);
        }
    }

    fn texts(&mut self, key: &str, lines: &[String], known: &BTreeSet<String>) {
        if lines.is_empty() {
            self.fault(key, "", "at least one line");
        }
        for line in lines {
            let template = Template::parse(line);
            if template.is_blank() {
                self.fault(key, line, "a line that says something");
            }
            for bad in template.unknown_namespaces() {
                self.fault(key, bad, "a token of `crm`, `call` or `result`");
            }
            for bad in template.malformed() {
                self.fault(key, bad, "a whole token such as `{{crm.name}}`");
            }
            for token in template.tokens() {
                match token.namespace {
                    Namespace::Result => self.slot_token(key, token.path, token.default.is_some(), known),
                    Namespace::Call if SET_AFTER_THE_CALL.contains(&token.path) => {
                        self.fault(key, token.path, "a field that is known during the call; this one is set after it");
                    }
                    Namespace::Call | Namespace::Crm => {}
                }
            }
        }
    }

    fn slot_token(&mut self, key: &str, path: &str, has_default: bool, known: &BTreeSet<String>) {
        if !self.script.slot_names().contains(path) {
            self.fault(key, &format!("result.{path}"), "a slot of this script");
        } else if !has_default && !known.contains(path) {
            let expected = "a slot that is filled on every way here, or a default after `|`";
            self.fault(key, &format!("result.{path}"), expected);
        }
    }
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
