//! The text of a configuration file as TOML: every syntax fault with its place, and every fault of a section whose keys only
//! its own type knows. Never repeats a faulty line: it may hold a secret.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::Fault;
use super::schema::{join, nearest};

/// Most faults reported of one section or one file's syntax; a file this broken is read again after mending.
const MAX_FAULTS: usize = 50;

/// Parses `text`.
///
/// # Errors
/// All syntax faults in order, the first of each line (the rest follow from it), with line and column as key.
pub fn parse(file: &str, text: &str) -> Result<toml::Table, Vec<Fault>> {
    let (_, mut errors) = DeTable::parse_recoverable(text);
    let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    let line = |error: &toml::de::Error| text.get(..start(error)).unwrap_or_default().matches('\n').count();
    errors.sort_by_key(start);
    errors.truncate(4 * MAX_FAULTS);
    errors.dedup_by_key(|error| line(error));
    errors.truncate(MAX_FAULTS);
    if !errors.is_empty() {
        return Err(errors.iter().map(|error| syntax_fault(file, text, error)).collect());
    }
    toml::from_str(text).map_err(|error| vec![syntax_fault(file, text, &error)])
}

fn syntax_fault(file: &str, text: &str, error: &toml::de::Error) -> Fault {
    let start = error.span().map_or(0, |span| span.start);
    Fault {
        file: file.to_owned(),
        key: place(text, start),
        value: "text that is not TOML".to_owned(),
        expected: format!("valid TOML ({})", error.message()),
    }
}

/// `line 3, column 7`, both counted from 1.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}")
}

/// Reads the section `name` of a text that parses. Serde stops at the first fault, so what is at fault is taken out and the
/// rest is tried again until nothing is left to complain about.
///
/// # Errors
/// All faults of the section.
pub fn section<T: DeserializeOwned>(file: &str, text: &str, name: &str) -> Result<Option<T>, Vec<Fault>> {
    let (root, _) = DeTable::parse_recoverable(text);
    let Some(original) = root.get_ref().get(name) else { return Ok(None) };
    let mut rest = original.clone();
    let mut faults: Vec<Fault> = Vec::new();
    let mut removed: Vec<String> = Vec::new();
    while faults.len() < MAX_FAULTS && removed.len() < 4 * MAX_FAULTS {
        let error = match T::deserialize(ValueDeserializer::from(rest.clone())) {
            Ok(section) if faults.is_empty() => return Ok(Some(section)),
            Ok(_) => break,
            Err(error) => error,
        };
        let at = error.span().unwrap_or_else(|| original.span());
        let path = path_of(original, &at, name).unwrap_or_else(|| name.to_owned());
        let key = missing_field(error.message()).map_or_else(|| path.clone(), |field| join(&path, field));
        // A key that was taken out before is not missing.
        if !removed.contains(&key) {
            faults.push(type_fault(file, text, &key, &at, error.message()));
        }
        removed.push(path);
        if !take_out(&mut rest, &at) {
            break;
        }
    }
    Err(faults)
}

fn type_fault(file: &str, text: &str, key: &str, at: &Range<usize>, message: &str) -> Fault {
    let line = text.get(..at.start).unwrap_or_default().matches('\n').count() + 1;
    let (found, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let hint = match names.split_first() {
        Some((wrong, known)) => nearest(wrong, known.iter().copied()).map(|near| format!("; did you mean `{near}`?")),
        None => None,
    };
    let (value, expected) = if missing_field(message).is_some() {
        ("nothing".to_owned(), "this key".to_owned())
    } else if expected.is_empty() {
        (short(text.get(at.clone()).unwrap_or_default()), found.to_owned())
    } else {
        (short(found), format!("{expected}{}", hint.unwrap_or_default()))
    };
    Fault { file: file.to_owned(), key: key.to_owned(), value, expected: format!("{expected} (line {line})") }
}

fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let kept: String = line.chars().take(80).collect();
    if kept.len() < text.len() { format!("{kept}…") } else { kept }
}

/// The dotted path of the innermost value (or key) at `at`.
fn path_of(value: &Spanned<DeValue<'_>>, at: &Range<usize>, path: &str) -> Option<String> {
    let below = match value.get_ref() {
        DeValue::Table(table) => table.iter().find_map(|(key, inner)| {
            let inner_path = join(path, key.get_ref());
            path_of(inner, at, &inner_path).or_else(|| (key.span() == *at).then_some(inner_path))
        }),
        DeValue::Array(items) => {
            items.iter().enumerate().find_map(|(index, inner)| path_of(inner, at, &join(path, &index.to_string())))
        }
        _ => None,
    };
    below.or_else(|| (value.span() == *at).then(|| path.to_owned()))
}

/// Takes the innermost entry whose key or value stands at `at` out; false where there is none below `value`.
fn take_out(value: &mut Spanned<DeValue<'_>>, at: &Range<usize>) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => {
            if table.iter_mut().any(|(_, inner)| take_out(inner, at)) {
                return true;
            }
            let found = table.iter().find(|(key, inner)| key.span() == *at || inner.span() == *at);
            let Some(key) = found.map(|(key, _)| key.clone()) else { return false };
            table.remove(&*key.into_inner()).is_some()
        }
        DeValue::Array(items) => {
            if items.iter_mut().any(|inner| take_out(inner, at)) {
                return true;
            }
            let before = items.len();
            *items = items.iter().filter(|inner| inner.span() != *at).cloned().collect();
            items.len() < before
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Play {
        start: String,
        #[serde(default)]
        step: BTreeMap<String, Step>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Step {
        say: Vec<String>,
        #[serde(default)]
        retries: u8,
        kind: Option<Mood>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Mood {
        Calm,
        Brisk,
    }

    fn faults(text: &str) -> Vec<(String, String, String)> {
        let faults = section::<Play>("f", text, "script").unwrap_err();
        faults.into_iter().map(|fault| (fault.key, fault.value, fault.expected)).collect()
    }

    #[test]
    fn every_fault_of_a_section_is_found_with_its_path_and_line() {
        let text = "[script]\nstart = 5\n\n[script.step.a]\nsay = [\"x\", 7]\nretrys = 2\n\n[script.step.b]\nretries = 900\n\n\
                    [script.step.c]\nsay = []\nkind = \"brisc\"\n";
        let found = faults(text);
        let keys: Vec<&str> = found.iter().map(|(key, ..)| key.as_str()).collect();
        let wanted = [
            "script.start",
            "script.step.a.retrys",
            "script.step.a.say.1",
            "script.step.b.retries",
            "script.step.b.say",
        ];
        for key in wanted.into_iter().chain(["script.step.c.kind"]) {
            assert!(keys.contains(&key), "{key} is not in {keys:?}");
        }
        assert_eq!(found.len(), 6, "{found:?}");
        let retrys = found.iter().find(|(key, ..)| key.ends_with("retrys")).unwrap();
        assert!(retrys.2.contains("did you mean `retries`? (line 6)"), "{retrys:?}");
        let kind = found.iter().find(|(key, ..)| key.ends_with("kind")).unwrap();
        assert!(kind.2.contains("did you mean `brisk`? (line 13)"), "{kind:?}");
    }

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Listed {
        step: Vec<Step>,
        mood: BTreeMap<String, Mood>,
    }

    #[test]
    fn faults_in_lists_of_tables_are_numbered_as_the_file_has_them() {
        let text = "[script.mood]\na = \"calm\"\nb = 1\n[[script.step]]\nretries = 1\n[[script.step]]\nsay = [\"x\"]\n\
                    [[script.step]]\nsay = [1, \"x\", 2]\n[[script.step]]\nsay = \"x\"\nwhy = 1\n";
        let found = section::<Listed>("f", text, "script").unwrap_err();
        let mut keys: Vec<&str> = found.iter().map(|fault| fault.key.as_str()).collect();
        keys.sort_unstable();
        let wanted =
            ["script.mood.b", "script.step.0.say", "script.step.2.say.0", "script.step.2.say.2", "script.step.3.say"];
        assert_eq!(keys, [wanted.as_slice(), &["script.step.3.why"]].concat(), "{found:#?}");
    }

    #[test]
    fn a_sound_or_absent_section_has_no_fault() {
        let play = section::<Play>("f", "[script]\nstart = \"a\"\n", "script").unwrap().unwrap();
        assert_eq!(play.start, "a");
        assert!(section::<Play>("f", "x = 1\n", "script").unwrap().is_none());
    }

    #[test]
    fn all_syntax_faults_are_found_with_their_places() {
        let found = parse("f", "a = \n[b\nc = 1\nd == 2\n").unwrap_err();
        let places: Vec<&str> = found.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(places, ["line 1, column 5", "line 2, column 3", "line 4, column 4"]);
        let twice = parse("f", "a = 1\na = 2\n").unwrap_err();
        assert!(twice[0].key.starts_with("line 2,"), "{twice:?}");
    }
}
