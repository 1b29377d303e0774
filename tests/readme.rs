//! The README is in step with the code: keys, metrics, end reasons, modules, dependencies, targets, routes, problem codes, paths
//! and commands. Reads the source as text where a list is private; never judges the prose.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use voicefleet::api::NotReady;
use voicefleet::bot::Bot;
use voicefleet::call::EndReason;
use voicefleet::telemetry::DECLARED;

/// Keys that never stand in a file, so no parsed file names them.
const ONLY_FROM_THE_ENVIRONMENT: &[&str] = &["auth.ws_token", "auth.page_token"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text_of(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn readme() -> String {
    text_of("README.md")
}

/// The text from the heading `title` to the next heading of the same depth or above.
fn section(title: &str) -> String {
    let text = readme();
    let depth = title.chars().take_while(|c| *c == '#').count();
    let mut inside = false;
    let mut fenced = false;
    let mut found = String::new();
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        let level = if fenced { 0 } else { line.chars().take_while(|c| *c == '#').count() };
        if inside && (1..=depth).contains(&level) {
            break;
        }
        inside |= line == title;
        if inside {
            found.push_str(line);
            found.push('\n');
        }
    }
    assert!(!found.is_empty(), "the README has no heading `{title}`");
    found
}

/// The first cell of every table row that begins with a name in backticks, with the whole row.
fn rows(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| {
            let name = line.strip_prefix("| `")?.split('`').next()?;
            Some((name.to_owned(), line.to_owned()))
        })
        .collect()
}

fn in_backticks(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

fn assert_same(what: &str, told: &BTreeSet<String>, real: &BTreeSet<String>) {
    let missing: Vec<&String> = real.difference(told).collect();
    let stale: Vec<&String> = told.difference(real).collect();
    assert!(!real.is_empty(), "{what}: nothing was found in the source; the reader of this test is broken");
    assert!(missing.is_empty() && stale.is_empty(), "{what}: not in the README: {missing:?}; only in it: {stale:?}");
}

fn names(rows: &BTreeMap<String, String>) -> BTreeSet<String> {
    rows.keys().cloned().collect()
}

/// The literal after each `opening`, up to the next quote.
fn literals(text: &str, opening: &str) -> BTreeSet<String> {
    text.split(opening).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

#[test]
fn every_key_of_the_configuration_has_a_row_with_its_default() {
    let rows = rows(&section("### The configuration file"));
    let file: toml::Table = text_of("config/voicefleet.toml").parse().unwrap();
    let mut real: BTreeSet<String> = ONLY_FROM_THE_ENVIRONMENT.iter().map(|key| (*key).to_owned()).collect();
    for (section, keys) in &file {
        for (key, value) in keys.as_table().unwrap() {
            let path = format!("{section}.{key}");
            let shown = match value {
                toml::Value::String(text) if text.is_empty() => "empty".to_owned(),
                toml::Value::String(text) => format!("`{text}`"),
                other => format!("`{other}`"),
            };
            if let Some(row) = rows.get(&path) {
                assert!(row.contains(&shown), "{path}: the default {shown} is not in `{row}`");
            }
            real.insert(path);
        }
    }
    assert_same("configuration keys", &names(&rows), &real);
}

/// The keys that `const NAME: &[Key]` lists in `src/bot/keys.rs`; tables of tables are left out.
fn bot_keys(list: &str, prefix: &str) -> BTreeSet<String> {
    let text = text_of("src/bot/keys.rs");
    let body = text.split(&format!("const {list}: &[Key] =")).nth(1).unwrap().split("];").next().unwrap();
    let found = ["Key::new(\"", "Key::required(\"", "ms(\""].into_iter().flat_map(|opening| literals(body, opening));
    let tables = ["voice", "providers", "turn", "script", "voicemail", "result"];
    found
        .filter(|name| !prefix.is_empty() || !tables.contains(&name.as_str()))
        .map(|name| prefix.to_owned() + &name)
        .collect()
}

/// The public fields of a struct in `src/bot/script.rs`, as its file writes them.
fn script_keys(of: &str, prefix: &str) -> BTreeSet<String> {
    let text = text_of("src/bot/script.rs");
    let body = text.split(&format!("pub struct {of} {{")).nth(1).unwrap().split("\n}").next().unwrap();
    let fields = body.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split(':').next());
    let written = fields.map(|field| if field == "kind" { "type" } else { field });
    written.map(|field| format!("{prefix}{field}")).collect()
}

#[test]
fn every_key_of_a_bot_file_has_a_row() {
    let mut real = BTreeSet::new();
    for (list, prefix) in [
        ("BOT", ""),
        ("VOICE", "voice."),
        ("PROVIDERS", "providers."),
        ("TURN", "turn."),
        ("VOICEMAIL", "voicemail."),
        ("RESULT", "result."),
    ] {
        real.append(&mut bot_keys(list, prefix));
    }
    for (of, prefix) in [
        ("Script", "script."),
        ("Step", "script.step."),
        ("Slot", "script.step.slot."),
        ("End", "script.end."),
        ("Answer", "script.answer."),
        ("Phrases", "script.intents.NAME."),
    ] {
        real.append(&mut script_keys(of, prefix));
    }
    // Tables whose own keys have rows.
    for table in ["script.step", "script.end", "script.answer", "script.intents", "script.step.slot"] {
        assert!(real.remove(table), "{table} is no key any more");
    }
    assert_same("keys of a bot file", &names(&rows(&section("### A bot's file"))), &real);
}

#[test]
fn every_metric_and_every_end_reason_has_a_row() {
    let metrics = DECLARED.iter().map(|metric| metric.name.to_owned()).collect();
    assert_same("metrics", &names(&rows(&section("### Metrics"))), &metrics);
    let reasons = rows(&section("### End reasons"));
    assert_same("end reasons", &names(&reasons), &EndReason::ALL.iter().map(|r| r.code().to_owned()).collect());
    for reason in EndReason::ALL {
        let by = format!("| `{}` |", reason.disconnected_by().code());
        assert!(reasons[reason.code()].contains(&by), "{}: expected {by}", reason.code());
    }
}

/// Folders below `src` with the stems of their files, tests left out.
fn folders(at: &Path, found: &mut BTreeMap<String, BTreeSet<String>>) {
    let mut stems = BTreeSet::new();
    for entry in fs::read_dir(at).unwrap().flatten() {
        let path = entry.path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            folders(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && stem != "tests" && !stem.ends_with("_tests") {
            stems.insert(stem);
        }
    }
    if !stems.is_empty() {
        let below = at.strip_prefix(root()).unwrap().display().to_string();
        found.insert(below + "/", stems);
    }
}

#[test]
fn every_module_is_on_the_code_map() {
    let rows = rows(&section("### Code map"));
    let mut real = BTreeMap::new();
    folders(&root().join("src"), &mut real);
    assert_same("folders", &names(&rows), &real.keys().cloned().collect());
    for (folder, stems) in &real {
        let named: BTreeSet<String> =
            in_backticks(rows[folder].rsplit_once('|').unwrap().0.rsplit_once('|').unwrap().1)
                .map(str::to_owned)
                .collect();
        let stems = stems.iter().filter(|stem| *stem != "mod").cloned().collect();
        if named != stems {
            panic!("{folder}: the README names {named:?}, there are {stems:?}");
        }
    }
}

#[test]
fn every_direct_dependency_has_a_row() {
    let manifest: toml::Table = text_of("Cargo.toml").parse().unwrap();
    let real = ["dependencies", "dev-dependencies"]
        .into_iter()
        .flat_map(|list| manifest[list].as_table().unwrap().keys().cloned().collect::<Vec<_>>())
        .collect();
    assert_same("dependencies", &names(&rows(&section("## Dependencies"))), &real);
}

#[test]
fn every_target_of_make_is_told() {
    let makefile = text_of("Makefile");
    let phony = makefile.lines().find_map(|line| line.strip_prefix(".PHONY:")).unwrap();
    let text = readme();
    for target in phony.split_whitespace() {
        assert!(text.contains(&format!("`make {target}`")), "`make {target}` is not in the README");
    }
}

#[test]
fn every_route_has_a_row() {
    let mut real = BTreeSet::new();
    for file in ["src/api/mod.rs", "src/transport/ws/upgrade.rs"] {
        real.append(&mut literals(&text_of(file), ".route(\""));
    }
    let told = rows(&section("### Routes"))
        .into_keys()
        .map(|row| row.trim_start_matches("GET ").trim_start_matches("POST ").to_owned())
        .collect();
    assert_same("routes", &told, &real);
}

/// The words after a status in a call of `Problem::new`.
fn problem_codes(text: &str) -> BTreeSet<String> {
    let word = |code: &str| !code.is_empty() && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let calls = text.split("::new(").skip(1).map(|rest| rest.split(");").next().unwrap_or(rest));
    let status = |call: &&str| {
        let first = call.trim_start();
        first.starts_with("StatusCode::")
            || first.starts_with("BUSY")
            || first.starts_with(|c: char| c.is_ascii_digit())
    };
    let code = |call: &str| call.split('"').skip(1).step_by(2).find(|text| word(text)).map(str::to_owned);
    calls.filter(status).filter_map(code).collect()
}

#[test]
fn every_problem_code_has_a_row() {
    let mut real: BTreeSet<String> =
        [NotReady::Starting, NotReady::Draining, NotReady::Full].iter().map(|why| why.code().to_owned()).collect();
    for entry in fs::read_dir(root().join("src/api")).unwrap().flatten() {
        if entry.path().extension().is_some_and(|e| e == "rs") {
            real.append(&mut problem_codes(&fs::read_to_string(entry.path()).unwrap()));
        }
    }
    real.append(&mut problem_codes(&text_of("src/transport/ws/upgrade.rs")));
    assert_same("problem codes", &names(&rows(&section("### Problem codes"))), &real);
}

#[test]
fn every_path_and_every_named_test_exists() {
    let text = readme();
    let mut faults = Vec::new();
    for word in in_backticks(&text) {
        let (path, test) = word.split_once("::").map_or((word, None), |(path, test)| (path, Some(test)));
        let tops = ["src/", "tests/", "fixtures/", "config/", "benches/", ".ci/"];
        if !tops.iter().any(|top| path.starts_with(top)) || path.contains(['*', '<', '{', ' ']) {
            continue;
        }
        if !root().join(path).exists() {
            faults.push(format!("{path} does not exist"));
        } else if let Some(test) = test
            && !text_of(path).contains(&format!("fn {test}("))
        {
            faults.push(format!("{path} has no test {test}"));
        }
    }
    for entry in fs::read_dir(root().join("tests")).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !section("## Testing").contains(&format!("tests/{name}")) {
            faults.push(format!("tests/{name} is not in the section on testing"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The help of a command of the program.
fn help(command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_voicefleet")).args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "`voicefleet {}` is no command", command.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_shown_is_one() {
    let text = readme().replace("\\\n", " ");
    let mut fenced = false;
    let mut seen = 0;
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        let line = line.trim().trim_start_matches("target/release/");
        let Some(rest) = line.strip_prefix("voicefleet ").filter(|_| fenced) else { continue };
        let rest = rest.split(" #").next().unwrap();
        let words: Vec<&str> = rest.split_whitespace().collect();
        let length = words.iter().take_while(|word| word.bytes().all(|b| b.is_ascii_lowercase())).count();
        let help = help(&words[..length]);
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}\n")), "{flag} in `{line}`");
        }
        seen += 1;
    }
    assert!(seen >= 5, "only {seen} commands were found");
}

#[test]
fn the_example_bot_has_no_fault() {
    let section = section("### A bot's file");
    let example = section.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let bot = Bot::parse("survey", "README.md", example.as_bytes()).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(bot.name, "Survey");
}

#[test]
fn the_readme_is_no_longer_than_it_may_be() {
    let lines = readme().lines().count();
    // Two protocols, each with its ledger.
    assert!(lines <= 1_050, "expected at most 1050 lines, found {lines}");
}
