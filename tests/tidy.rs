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

/// Words that a pure module's source may not contain, and why.
const IMPURE: &[(&str, &str)] = &[
    ("std::net", "sockets belong to the edges"),
    ("tokio", "tasks belong to the edges"),
    ("async", "tasks belong to the edges"),
    ("reqwest", "sockets belong to the edges"),
    ("std::thread", "threads belong to shards and recorder"),
    ("thread_local", "state is an argument"),
    ("Mutex", "no lock in a pure layer"),
    ("RwLock", "no lock in a pure layer"),
    ("Condvar", "no lock in a pure layer"),
    ("OnceLock", "state is an argument"),
    ("LazyLock", "state is an argument"),
    ("mpsc", "channels belong to the edges"),
    ("crossbeam", "channels belong to the edges"),
    ("std::env", "the environment is read by config"),
    ("std::fs", "files belong to an io.rs"),
    ("std::io", "files belong to an io.rs"),
    ("std::process", "programs belong to the edges"),
    ("Instant", "time is an argument"),
    ("SystemTime", "time is an argument"),
    ("rand", "chance is an argument"),
    ("tracing", "what happened is a fact, not a line of a log"),
    ("println", "what happened is a fact, not a line of a log"),
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

/// The source with nothing in its comments, texts and character literals.
fn bare(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let raw_hashes = rest.strip_prefix('r').map(|r| r.len() - r.trim_start_matches('#').len());
        let raw = raw_hashes.filter(|&n| rest[1 + n..].starts_with('"') && !out.ends_with(is_word));
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(hashes) = raw {
            let close = format!("\"{}", "#".repeat(hashes));
            rest[hashes + 2..].find(&close).map_or(rest.len(), |at| hashes + 2 + at + close.len())
        } else if next == '"' || next == '\'' {
            literal(rest, next)
        } else {
            0
        };
        if skipped == 0 {
            out.push(next);
        }
        rest = &rest[skipped.max(next.len_utf8())..];
    }
    out
}

/// The length of a text or character literal; 0 for the mark of a lifetime.
fn literal(rest: &str, mark: char) -> usize {
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            _ if c == mark => return at + 1,
            // A character literal has one character.
            _ if mark == '\'' && !rest[at + c.len_utf8()..].starts_with('\'') && !rest[1..].starts_with('\\') => {
                return 0;
            }
            _ => {}
        }
    }
    rest.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The source without comments and texts, and without what only tests have.
fn production(text: &str) -> String {
    let mut text = bare(text);
    while let Some(start) = text.find("#[cfg(test)]") {
        let end = item_end(&text[start..]);
        text.replace_range(start..start + end, "");
    }
    text
}

/// Where an item ends: at its closing brace, or at the comma or semicolon that it has no brace before.
fn item_end(text: &str) -> usize {
    let mut depth = 0_i32;
    for (at, c) in text.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth -= 1;
                if depth < 0 {
                    return at;
                }
                if depth == 0 && c == '}' {
                    return at + 1;
                }
            }
            ';' | ',' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The first names of all paths that begin with `crate`, also in lists of lists.
fn modules_named(text: &str) -> Vec<&str> {
    let first = |path: &str| path.len() - path.trim_start_matches(is_word).len();
    let mut names = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            names.push(&rest[..first(rest)]);
            continue;
        };
        let (mut depth, mut begins) = (0, true);
        for (at, c) in list.char_indices() {
            if begins && is_word(c) {
                names.push(&list[at..at + first(&list[at..])]);
                begins = false;
            }
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                _ => {}
            }
        }
    }
    names
}

/// Does the text have this word, or path, as one of its own?
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_word) && !text[at + word.len()..].starts_with(is_word))
}

#[test]
fn the_reader_sees_code_and_nothing_else() {
    let text = r##"
        use crate::{call::{self, line::{Line, shard}}, media, wire::rtp::Packet}; // use crate::api;
        fn a<'a>(x: &'a str) -> char { let t = "crate::app {"; let r = r#"" } crate::tools"#; if x == t { '{' } else { '\'' } }
        #[cfg(test)]
        mod tests { fn b() { crate::fleet::c('}', "}"); } }
        struct S { #[cfg(test)] planted: crate::tools::Bool, kept: crate::units::Moment }
        fn after() { crate::turn::d() }
    "##;
    let code = production(text);
    assert_eq!(modules_named(&code), ["call", "media", "wire", "units", "turn"], "{code}");
    assert!(
        has_word("use std::fs;", "std::fs") && !has_word("operand", "rand") && !has_word("Deserialize", "Serialize")
    );
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
        for named in modules_named(&text) {
            let fine = named == module
                || allowed.contains(&named)
                || (is_io && (named == "rt" || named == "telemetry"))
                || !table.contains_key(named);
            if !fine {
                faults.push(format!("{below} names `{named}`, which `{module}` may not"));
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
            if has_word(&text, word) {
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
