//! Golden dialogues: each file under `fixtures/dialogues` is a call, what the caller did and what the bot answered, line by
//! line. `VOICEFLEET_BLESS=1` writes what the engine says now; the difference is then read by a person.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use jiff::civil::Date;
use serde_json::json;

use super::engine::{Engine, Piece};
use super::{Calendar, Plan};
use crate::bot::script::{Script, lint};
use crate::template::{Namespace, Values};
use crate::turn::{Ask, AskCause, ToolCall};
use crate::units::UtteranceId;

#[derive(serde::Deserialize)]
struct BotFile {
    opening_message: String,
    disclosure: Option<String>,
    script: Script,
}

pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn bot(name: &str) -> BotFile {
    let path = root().join("config/bots").join(format!("{name}.toml"));
    toml::from_str(&std::fs::read_to_string(&path).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(super) fn values() -> Values {
    let mut values = Values::default();
    for (key, value) in [
        ("customer_name", "Rahul Sharma"),
        ("loan_number", "LN123456"),
        ("amount_due", "15000"),
        ("due_date", "2026-05-01"),
    ] {
        values.set(Namespace::Crm, key, json!(value));
    }
    values
}

static PLANS: LazyLock<[Arc<Plan>; 2]> = LazyLock::new(|| {
    ["payment-reminder", "appointment-desk"].map(|name| {
        let bot = bot(name);
        Arc::new(Plan::new(&bot.script, Some(&bot.opening_message), bot.disclosure.as_deref()))
    })
});

pub(super) fn plan(name: &str) -> Arc<Plan> {
    Arc::clone(&PLANS[usize::from(name == "appointment-desk")])
}

pub(super) fn engine(plan: &Arc<Plan>) -> Engine {
    let today: Date = "2026-04-22".parse().unwrap();
    Engine::new(Arc::clone(plan), Arc::new(values()), Calendar { today, day_first: plan.day_first })
}

pub(super) fn ask(number: u32, after: Option<u32>, cause: AskCause) -> Ask {
    Ask {
        utterance: UtteranceId(number),
        after: after.map(UtteranceId),
        cause,
        history: Arc::from([]),
        interrupted: false,
    }
}

#[test]
fn the_shipped_bots_have_no_fault() {
    for name in ["payment-reminder", "appointment-desk"] {
        assert_eq!(lint(name, &bot(name).script), Vec::new());
    }
}

fn cause(line: &str) -> AskCause {
    if let Some(text) = line.strip_prefix("C: ") {
        return AskCause::Caller(text.to_owned());
    }
    match line.trim_matches(['(', ')']).split_once(' ').unwrap_or((line.trim_matches(['(', ')']), "")) {
        ("opening", _) => AskCause::Opening,
        ("idle", n) => AskCause::Idle(n.parse().unwrap()),
        ("goodbye", _) => AskCause::IdleGoodbye,
        ("warning", _) => AskCause::TimeWarning,
        ("unclear", _) => AskCause::Unclear,
        ("digits", digits) => AskCause::Digits(digits.to_owned()),
        _ => panic!("expected `C: words` or `(cause)`, got {line:?}"),
    }
}

fn written(pieces: &[Piece], out: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Say { text, protected } => writeln!(out, "B{}: {text}", if *protected { "!" } else { "" }).unwrap(),
            Piece::Tool(ToolCall::EndCall { reason }) => writeln!(out, "[end_call {reason}]").unwrap(),
            Piece::Tool(ToolCall::Transfer { to }) => writeln!(out, "[transfer_call {to}]").unwrap(),
            Piece::Tool(ToolCall::SendKeys { keys }) => writeln!(out, "[send_dtmf {keys}]").unwrap(),
            Piece::Tool(ToolCall::CollectKeys(entry)) => writeln!(out, "[collect_dtmf {entry:?}]").unwrap(),
            Piece::Tool(ToolCall::OptOut) => writeln!(out, "[opt_out]").unwrap(),
        }
    }
}

/// Plays the caller's side of a golden file and writes the whole of it.
fn played(text: &str) -> String {
    let mut lines = text.lines();
    let head = lines.next().unwrap();
    let mut engine = engine(&plan(head.strip_prefix("bot ").unwrap()));
    let mut out = format!("{head}\n");
    let (mut number, mut heard) = (0_u32, None);
    for line in lines {
        if line == "(unheard)" {
            // The answer before this line was abandoned: the next request goes back behind it.
            writeln!(out, "{line}").unwrap();
            heard = number.checked_sub(2);
        } else if line.starts_with("C: ") || line.starts_with('(') {
            writeln!(out, "{line}").unwrap();
            written(&engine.answer(&ask(number, heard, cause(line))), &mut out);
            heard = Some(number);
            number += 1;
        }
    }
    writeln!(out, "= {}", engine.outcome()).unwrap();
    out
}

#[test]
fn golden_dialogues() {
    let bless = std::env::var_os("VOICEFLEET_BLESS").is_some();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(root().join("fixtures/dialogues")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "at least ten dialogues, found {}", files.len());
    let mut wrong = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let now = played(&text);
        if now != text && bless {
            std::fs::write(&path, &now).unwrap();
        } else if now != text {
            wrong.push(format!("--- {}\n{now}", name_of(&path)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
