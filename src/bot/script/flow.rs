//! The script as a graph: which place leads where, which slots are surely filled there. Feeds the linter; never reports.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Script, Step, built_in_ends};

/// One way out of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    /// Dotted key under the step, e.g. `expect.yes`.
    pub key: String,
    /// Where it leads.
    pub to: String,
    /// The slot that is filled on this way.
    pub fills: Option<String>,
    /// Is it taken without an answer of the caller that was understood (`next`, `on_fail`).
    pub automatic: bool,
}

/// The ways out of a step.
pub(super) fn edges(script: &Script, step: &Step) -> Vec<Edge> {
    let slot = step.slot.as_ref().map(|slot| slot.name.as_str());
    let expected = step.expect.iter().map(|(key, to)| Edge {
        key: format!("expect.{key}"),
        to: to.clone(),
        fills: (slot == Some(key)).then(|| key.clone()),
        automatic: false,
    });
    let automatic = |key: &str, to: &String| Edge { key: key.to_owned(), to: to.clone(), fills: None, automatic: true };
    let mut all: Vec<Edge> = expected.collect();
    all.extend(step.next.iter().map(|to| automatic("next", to)));
    if step.next.is_none() {
        all.push(automatic("on_fail", step.on_fail.as_ref().unwrap_or(&script.lost)));
    }
    all
}

/// Ids of all ends, the built-in ones among them.
pub(super) fn end_ids(script: &Script) -> BTreeSet<String> {
    script.end.iter().cloned().chain(built_in_ends()).map(|end| end.id).collect()
}

/// For every step and end that the dialogue can come to: the slots that are filled on every way there. Globals lead
/// from any step, so their targets can rely on nothing.
pub(super) fn filled_at(script: &Script) -> BTreeMap<String, BTreeSet<String>> {
    let mut filled: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let starts = script.step.first().map(|step| step.id.as_str()).into_iter();
    let globals = super::GLOBAL_INTENTS.iter().filter_map(|intent| script.global_target(intent));
    let from_nothing = starts.chain(globals).chain([script.lost.as_str()]);
    let mut open: VecDeque<(String, BTreeSet<String>)> =
        from_nothing.map(|id| (id.to_owned(), BTreeSet::new())).collect();
    // A place is left again only when fewer slots are sure there than before, so this ends.
    while let Some((id, slots)) = open.pop_front() {
        let sure = filled.get(&id).map_or_else(|| slots.clone(), |had| had.intersection(&slots).cloned().collect());
        if filled.get(&id) == Some(&sure) {
            continue;
        }
        filled.insert(id.clone(), sure.clone());
        for edge in script.step.iter().filter(|step| step.id == id).flat_map(|step| edges(script, step)) {
            let mut slots = sure.clone();
            slots.extend(edge.fills);
            open.push_back((edge.to, slots));
        }
    }
    filled
}

/// Steps that are on a cycle of automatic ways: such a dialogue talks to itself.
pub(super) fn automatic_cycles(script: &Script) -> BTreeSet<String> {
    let ways = |id: &str| -> Vec<String> {
        let step = script.step.iter().find(|step| step.id == id);
        step.map_or_else(Vec::new, |step| {
            edges(script, step).into_iter().filter(|edge| edge.automatic).map(|edge| edge.to).collect()
        })
    };
    script.step.iter().filter(|step| reaches(&step.id, &ways, |id| id == step.id)).map(|step| step.id.clone()).collect()
}

/// Steps from which no answer of the caller ever leads to an end.
pub(super) fn without_end(script: &Script) -> BTreeSet<String> {
    let ends = end_ids(script);
    let ways = |id: &str| -> Vec<String> {
        let step = script.step.iter().find(|step| step.id == id);
        step.map_or_else(Vec::new, |step| {
            edges(script, step).into_iter().filter(|edge| edge.key != "on_fail").map(|edge| edge.to).collect()
        })
    };
    let stuck = script.step.iter().filter(|step| !reaches(&step.id, &ways, |id| ends.contains(id)));
    stuck.map(|step| step.id.clone()).collect()
}

/// Does a way of at least one edge lead from `from` to a place that `is_goal`.
fn reaches(from: &str, ways: &impl Fn(&str) -> Vec<String>, is_goal: impl Fn(&str) -> bool) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = ways(from);
    while let Some(id) = open.pop() {
        if is_goal(&id) {
            return true;
        }
        if seen.insert(id.clone()) {
            open.extend(ways(&id));
        }
    }
    false
}
