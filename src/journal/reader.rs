//! Reads a journal back, as far as it goes: a last line that a crash tore is left out, a line that a newer version wrote is
//! named and passed over. Never fails: a journal is evidence, and part of it is better than none.

use serde::Deserialize as _;

use super::{Header, Line, VERSION};

/// A line that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its number, counted from 1.
    pub line: usize,
    /// Why; never the line's own words.
    pub why: String,
}

/// What a journal says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Journal {
    /// The header; `None` where the first line is torn or missing.
    pub header: Option<Header>,
    /// Everything else, in order.
    pub lines: Vec<Line>,
    /// What was passed over.
    pub unread: Vec<Unread>,
    /// The last line was cut short by a crash.
    pub torn: bool,
}

impl Journal {
    /// The file was written by a newer version of this program.
    #[must_use]
    pub fn is_newer(&self) -> bool {
        self.header.as_ref().is_some_and(|header| header.version > VERSION)
    }
}

/// Reads the bytes of a journal.
#[must_use]
pub fn read(bytes: &[u8]) -> Journal {
    let mut journal = Journal::default();
    let ends_whole = bytes.ends_with(b"\n");
    let lines: Vec<&[u8]> = bytes.split(|&b| b == b'\n').collect();
    for (at, line) in lines.iter().enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let parsed = parse(at, line, &mut journal);
        if let Err(why) = parsed {
            if at + 1 == lines.len() && !ends_whole {
                journal.torn = true;
            } else {
                journal.unread.push(Unread { line: at + 1, why });
            }
        }
    }
    journal
}

/// Reads one line into the journal. The header is the first line only.
fn parse(at: usize, line: &[u8], journal: &mut Journal) -> Result<(), String> {
    let value: serde_json::Value = serde_json::from_slice(line)
        .map_err(|error| format!("expected a JSON object on one line: {}", kind(&error)))?;
    if at == 0 {
        let header = Header::deserialize(&value).map_err(|_| "expected the header of a journal".to_owned())?;
        journal.header = Some(header);
        return Ok(());
    }
    match Line::deserialize(&value) {
        Ok(line) => journal.lines.push(line),
        Err(_) => return Err(format!("a kind of line that version {VERSION} does not know: {}", path(&value))),
    }
    Ok(())
}

/// A parser's complaint without the text it complains about.
fn kind(error: &serde_json::Error) -> String {
    format!("{:?} error at column {}", error.classify(), error.column())
}

/// The names that lead to what a line says, for example `fact.leg.started`: keys only, and at most three, so that nobody's
/// words get into a log.
fn path(value: &serde_json::Value) -> String {
    const WORDS: [&str; 3] = ["fact", "order", "note"];
    let Some(object) = value.as_object() else { return "not an object".to_owned() };
    let Some((first, mut inner)) = object.iter().find(|(key, _)| WORDS.contains(&key.as_str())) else {
        return "neither fact, order nor note".to_owned();
    };
    let mut out = first.clone();
    for _ in 0..2 {
        let next = match inner {
            serde_json::Value::Object(map) if map.len() == 1 => map.iter().next(),
            _ => None,
        };
        let Some((key, value)) = next else { break };
        out.push('.');
        out.extend(key.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(32));
        inner = value;
    }
    out
}
