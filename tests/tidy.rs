//! The house's own rules, as data: who may name whom, what a pure layer may not know, what stands at the top level, and that
//! the README is in step. Reads the source as text.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules a module may name, besides itself. An `io.rs` or a folder `io/` may also name `rt` and `telemetry`.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("media", &["units"]),
    ("wire", &["units"]),
    ("template", &["units"]),
    ("turn", &["units", "template"]),
    ("call", &["units", "media", "wire", "turn"]),
    ("journal", &["units", "turn", "call"]),
    ("bot", &["units", "template", "turn"]),
    ("record", &["units", "media"]),
    ("results", &["units", "template", "call", "journal", "record"]),
    ("fleet", &["units"]),
    ("rt", &["units"]),
    ("telemetry", &["units", "rt"]),
    ("provider", &["units", "media", "turn", "bot", "template", "rt", "telemetry"]),
    ("shard", &["units", "media", "wire", "call", "record", "journal", "rt", "telemetry"]),
    // A trunk is a configuration file that speaks of bots, codecs and how calls end; the SIP edge reads it.
    ("trunk", &["units", "wire", "call", "bot"]),
    ("transport", &["units", "media", "wire", "call", "shard", "fleet", "trunk", "rt", "telemetry"]),
    ("api", &["units", "bot", "fleet", "results", "record", "journal", "template", "call", "rt", "telemetry"]),
    ("config", &["*"]),
    ("tools", &["*"]),
    ("app", &["*"]),
];

/// Modules of layers 0 to 2: no clock, socket, lock, task, environment or serialization (their settings may be read).
const PURE: &[&str] = &["units", "media", "wire", "template", "turn", "call"];

/// What a pure module's source may not contain, and why.
const IMPURE: &[(&str, &str)] = &[
    ("std::net", "sockets belong to the edges"),
    ("tokio", "tasks belong to the edges"),
    ("Mutex", "no lock in a pure layer"),
    ("RwLock", "no lock in a pure layer"),
    ("std::env", "the environment is read by config"),
    ("std::fs", "files belong to an io.rs"),
    ("Instant", "time is an argument"),
    ("SystemTime", "time is an argument"),
    ("Serialize", "wire types belong to edges and journal"),
];

/// Entries of the top level that the specification names.
const TOP_LEVEL: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "NOTICE",
    "README.md",
    "benches",
    "config",
    "data",
    "fixtures",
    "src",
    "target",
    "tests",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A file's path below `src`, and its module at the top.
fn place(path: &Path) -> (String, String) {
    let below = path.strip_prefix(root().join("src")).expect("a file below src").to_string_lossy().into_owned();
    let module = below.split(['/', '.']).next().unwrap_or_default().to_owned();
    (below, module)
}

/// The source without comments and without its test modules.
fn production(text: &str) -> String {
    let cut = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    let mut out = String::new();
    for line in text[..cut].lines() {
        let code = line.split("//").next().unwrap_or("");
        out.push_str(code);
        out.push('\n');
    }
    out
}

fn is_test_file(below: &str) -> bool {
    let name = below.rsplit('/').next().unwrap_or(below);
    name == "tests.rs" || name.ends_with("_tests.rs") || below.contains("/tests/")
}

#[test]
fn arrows_point_down() {
    let table: BTreeMap<&str, &[&str]> = MAY_NAME.iter().copied().collect();
    let mut faults = Vec::new();
    for path in sources(&root().join("src")) {
        let (below, module) = place(&path);
        if below == "lib.rs" || below == "main.rs" || is_test_file(&below) {
            continue;
        }
        let Some(allowed) = table.get(module.as_str()) else {
            faults.push(format!("{below}: module `{module}` has no row in the table"));
            continue;
        };
        if allowed.contains(&"*") {
            continue;
        }
        let is_io = below.ends_with("/io.rs") || below.contains("/io/");
        let text = production(&fs::read_to_string(&path).unwrap());
        for (at, _) in text.match_indices("crate::") {
            let rest = &text[at + "crate::".len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(list) => {
                    list.split('}').next().unwrap().split(',').map(|n| n.trim().split("::").next().unwrap()).collect()
                }
                None => vec![rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap()],
            };
            for named in names {
                let fine = named == module
                    || allowed.contains(&named)
                    || (is_io && (named == "rt" || named == "telemetry"))
                    || !table.contains_key(named);
                if !fine {
                    faults.push(format!("{below} names `{named}`, which `{module}` may not"));
                }
            }
        }
    }
    faults.sort();
    faults.dedup();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn pure_layers_stay_pure() {
    let mut faults = Vec::new();
    for path in sources(&root().join("src")) {
        let (below, module) = place(&path);
        if !PURE.contains(&module.as_str()) || is_test_file(&below) {
            continue;
        }
        let text = production(&fs::read_to_string(&path).unwrap());
        for (word, why) in IMPURE {
            let deserializes = *word == "Serialize";
            let found = text.match_indices(word).any(|(at, _)| !(deserializes && text[..at].ends_with("De")));
            if found {
                faults.push(format!("{below} contains `{word}`: {why}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let mut faults = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for path in sources(&root().join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            if !text.starts_with("//!") {
                faults.push(path.strip_prefix(root()).unwrap().display().to_string());
            }
        }
    }
    assert!(faults.is_empty(), "no opening words:\n{}", faults.join("\n"));
}

#[test]
fn the_top_level_is_as_specified() {
    let mut faults = Vec::new();
    for entry in fs::read_dir(root()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()) {
            faults.push(name);
        }
    }
    assert!(faults.is_empty(), "unexpected at the top level: {faults:?}");
}

#[test]
fn no_test_is_left_out_silently() {
    let mut faults = Vec::new();
    for folder in ["src", "tests"] {
        for path in sources(&root().join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            // The soak suite is the long form of proofs that the ordinary suite has in small.
            let ignored = concat!("#[", "ignore");
            if text.contains(ignored) && name != "tests/soak.rs" {
                faults.push(name);
            }
        }
    }
    assert!(faults.is_empty(), "ignored tests outside tests/soak.rs: {faults:?}");
}
