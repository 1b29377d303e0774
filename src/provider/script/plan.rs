//! A script made ready to run: ids resolved to places, lines parsed, phrases cut into words. Made once per bot version and
//! shared by its calls. Cannot fail: what the linter refuses leads to the script's own way out here.

use std::collections::BTreeMap;

use super::expected;
use super::understand::{Intent, Polarity, SlotValue};
use crate::bot::script::{
    Action, Answer, BUILT_IN_ANSWERS, BUILT_IN_INTENTS, End, KeyRule, NO_PHRASES, Script, Slot, SlotKind, Step,
    YES_PHRASES, built_in_ends,
};
use crate::provider::Hints;
use crate::template::Template;

/// A place of the dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A step, by its number.
    Step(usize),
    /// An end, by its number.
    End(usize),
}

/// Lines of which one is said at a time.
pub(super) type Lines = Vec<Template>;

/// A script, ready.
#[derive(Debug)]
pub struct Plan {
    pub(super) steps: Vec<StepPlan>,
    /// Per step: what may be said there.
    pub(super) expected: Vec<Hints>,
    pub(super) ends: Vec<EndPlan>,
    pub(super) intents: Vec<Intent>,
    /// Per intent: where it leads from anywhere.
    pub(super) globals: Vec<Option<Place>>,
    /// Per intent: what answers it.
    pub(super) answers: Vec<Option<Lines>>,
    pub(super) polarity: Polarity,
    pub(super) disclosure: Option<Template>,
    pub(super) opening: Option<Template>,
    pub(super) idle: Lines,
    pub(super) idle_goodbye: Lines,
    pub(super) warning: Lines,
    pub(super) unclear: Lines,
    pub(super) farewell: Lines,
    pub(super) lost: Place,
    /// The built-in end for where `lost` cannot help any more.
    pub(super) last_resort: usize,
    pub(super) no_response: usize,
    pub(super) max_unclear: u8,
    pub(super) max_turns: u16,
    pub(super) day_first: bool,
    pub(super) utc_offset_minutes: i32,
}

#[derive(Debug)]
pub(super) struct StepPlan {
    pub id: String,
    pub say: Lines,
    /// Intent → place.
    pub expect: Vec<(usize, Place)>,
    pub yes: Option<Place>,
    pub no: Option<Place>,
    pub slot: Option<SlotPlan>,
    pub next: Option<Place>,
    pub retries: u8,
    pub on_fail: Place,
    pub protected: bool,
    pub disposition: Option<String>,
    pub keys: Option<Template>,
}

#[derive(Debug)]
pub(super) struct SlotPlan {
    pub name: String,
    pub kind: SlotKind,
    pub confirms: bool,
    pub confirm_say: Lines,
    pub keys: Option<KeyRule>,
    pub then: Place,
}

#[derive(Debug)]
pub(super) struct EndPlan {
    pub say: Lines,
    pub disposition: String,
    pub summary: Option<Template>,
    pub opt_out: bool,
    /// Where a transfer goes; hangs up where there is none.
    pub transfer: Option<Template>,
}

fn lines(texts: &[String]) -> Lines {
    texts.iter().map(|text| Template::parse(text)).collect()
}

fn fixed(texts: &[&str]) -> Lines {
    texts.iter().map(|text| Template::parse(text)).collect()
}

/// Names to places, with the script's way out for a name that does not exist.
struct Places {
    by_id: BTreeMap<String, Place>,
    lost: Place,
}

impl Places {
    fn of(&self, id: &str) -> Place {
        self.by_id.get(id).copied().unwrap_or(self.lost)
    }
}

impl Plan {
    /// Makes `script` ready, with the bot's opening message and disclosure line.
    #[must_use]
    pub fn new(script: &Script, opening: Option<&str>, disclosure: Option<&str>) -> Self {
        let all_ends: Vec<End> = script.end.iter().cloned().chain(built_in_ends()).collect();
        let places = places(script, &all_ends);
        let intents: Vec<Intent> = phrases(script).into_iter().map(|(name, any)| Intent::new(name, any)).collect();
        let number = |name: &str| intents.iter().position(|intent| intent.name == name);
        let globals: Vec<Option<Place>> =
            intents.iter().map(|intent| script.global_target(&intent.name).map(|id| places.of(id))).collect();
        let answers =
            intents.iter().zip(&globals).map(|(intent, global)| answer(script, &intent.name, global.is_some()));
        let answers: Vec<Option<Lines>> = answers.collect();
        let anywhere: Vec<bool> =
            globals.iter().zip(&answers).map(|(global, answer)| global.is_some() || answer.is_some()).collect();
        let steps: Vec<StepPlan> = script.step.iter().map(|step| StepPlan::new(step, &places, &number)).collect();
        let built_in = |id: &str| all_ends.iter().rposition(|end| end.id == id).unwrap_or(0);
        Self {
            expected: expected::of_steps(script, &steps, &intents, &anywhere),
            steps,
            ends: all_ends.iter().map(EndPlan::new).collect(),
            globals,
            answers,
            intents,
            polarity: Polarity::new(YES_PHRASES, NO_PHRASES),
            disclosure: disclosure.map(Template::parse).filter(|line| !line.is_blank()),
            opening: opening.map(Template::parse).filter(|line| !line.is_blank()),
            idle: lines(&script.idle),
            idle_goodbye: lines(&script.idle_goodbye),
            warning: lines(&script.warning),
            unclear: lines(&script.unclear),
            farewell: lines(&script.farewell),
            lost: places.lost,
            last_resort: built_in("@lost"),
            no_response: built_in("@no_response"),
            max_unclear: script.max_unclear,
            max_turns: script.max_turns,
            day_first: script.day_first,
            utc_offset_minutes: script.utc_offset_minutes().unwrap_or(0),
        }
    }
}

fn places(script: &Script, all_ends: &[End]) -> Places {
    let mut by_id = BTreeMap::new();
    for (n, step) in script.step.iter().enumerate() {
        by_id.entry(step.id.clone()).or_insert(Place::Step(n));
    }
    for (n, end) in all_ends.iter().enumerate() {
        by_id.entry(end.id.clone()).or_insert(Place::End(n));
    }
    let last_resort = Place::End(script.end.len());
    let lost = by_id.get(&script.lost).copied().unwrap_or(last_resort);
    Places { by_id, lost }
}

/// The built-in intents and the script's own, each once, with the phrases of both.
pub(super) fn phrases(script: &Script) -> Vec<(&str, Vec<&str>)> {
    let mut phrases: Vec<(&str, Vec<&str>)> =
        BUILT_IN_INTENTS.iter().map(|(name, any)| (*name, any.to_vec())).collect();
    for (name, own) in &script.intents {
        let own = own.any.iter().map(String::as_str);
        match phrases.iter_mut().find(|(known, _)| known == name) {
            Some((_, any)) => any.extend(own),
            None => phrases.push((name, own.collect())),
        }
    }
    phrases
}

/// The script's answer to an intent, else the built-in one; none where the intent leads somewhere.
fn answer(script: &Script, intent: &str, leads: bool) -> Option<Lines> {
    let own = |answer: &&Answer| answer.intent == intent;
    if let Some(own) = script.answer.iter().find(own) {
        return Some(lines(&own.say));
    }
    let built_in = BUILT_IN_ANSWERS.iter().find(|(name, _)| *name == intent && !leads);
    built_in.map(|(_, say)| fixed(say))
}

impl StepPlan {
    fn new(step: &Step, places: &Places, number: &impl Fn(&str) -> Option<usize>) -> Self {
        let on_fail = step.on_fail.as_ref().map_or(places.lost, |id| places.of(id));
        let target = |name: &str| step.expect.get(name).map(|id| places.of(id));
        let slot = step.slot.as_ref().map(|slot| SlotPlan::new(slot, target(&slot.name).unwrap_or(on_fail)));
        let is_slot = |name: &str| slot.as_ref().is_some_and(|slot| slot.name == name);
        let expect = step.expect.iter().filter(|(name, _)| !is_slot(name));
        Self {
            id: step.id.clone(),
            say: lines(&step.say),
            expect: expect.filter_map(|(name, id)| Some((number(name)?, places.of(id)))).collect(),
            yes: target("yes"),
            no: target("no"),
            next: step.next.as_ref().map(|id| places.of(id)),
            retries: step.retries,
            on_fail,
            protected: step.protected,
            disposition: step.disposition.clone(),
            keys: step.keys.as_deref().map(Template::parse),
            slot,
        }
    }
}

impl SlotPlan {
    fn new(slot: &Slot, then: Place) -> Self {
        let name = &slot.name;
        let defaults = [
            format!("So that's {{{{result.{name}}}}}, right?"),
            format!("I have {{{{result.{name}}}}}. Is that correct?"),
        ];
        let confirm_say = if slot.confirm_say.is_empty() { lines(&defaults) } else { lines(&slot.confirm_say) };
        let keys = slot.keys.clone();
        Self { name: name.clone(), kind: slot.kind, confirms: slot.confirms(), confirm_say, keys, then }
    }
}

impl SlotPlan {
    /// Does a value fit the rule by which it is typed?
    pub fn takes(&self, value: &SlotValue) -> bool {
        let entry = match value {
            SlotValue::Number(number) => number.to_string(),
            SlotValue::Text(text) => text.clone(),
            SlotValue::Truth(_) => return true,
        };
        self.keys.as_ref().is_none_or(|rule| rule.fits(&entry))
    }
}

impl EndPlan {
    fn new(end: &End) -> Self {
        Self {
            say: lines(&end.say),
            disposition: end.disposition.clone(),
            summary: end.summary.as_deref().map(Template::parse),
            opt_out: end.opt_out,
            transfer: match &end.action {
                Action::Hangup => None,
                Action::Transfer { to } => Some(Template::parse(to)),
            },
        }
    }
}
