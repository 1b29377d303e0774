//! Facts about answers and turns that are over, or never were, change nothing: every golden script runs once more with such
//! facts strewn in, and must go the same way.

use std::fs;

use crate::golden::folder;
use crate::sim::{Act, Script, When, run};

#[test]
fn stale_facts_change_nothing_in_any_script() {
    let mut faults = Vec::new();
    for path in fs::read_dir(folder()).expect("fixtures/calls").flatten().map(|e| e.path()) {
        if path.extension().is_none_or(|e| e != "call") {
            continue;
        }
        let plain = Script::parse(&fs::read_to_string(&path).expect("a script"));
        let mut strewn = plain.clone();
        // Not on a tick, so that the order of events at one moment stays the same.
        strewn.acts.extend((0..12).map(|i| (When::At(333 + i * 1_111), Act::Stale)));
        let told = |script: &Script| -> Vec<String> {
            run(script).log.into_iter().filter(|l| !l.ends_with("stale facts come")).collect()
        };
        let (plain, strewn) = (told(&plain), told(&strewn));
        if plain != strewn {
            let differs = plain.iter().zip(&strewn).position(|(a, b)| a != b).unwrap_or(plain.len().min(strewn.len()));
            let (a, b) = (plain.get(differs), strewn.get(differs));
            faults.push(format!("{}, line {differs}: without: {a:?}; with: {b:?}", path.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
