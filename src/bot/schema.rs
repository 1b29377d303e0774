//! Configuration keys as data: what may stand in a table, of which kind, in which range. Checked before serde sees the
//! table, because serde stops at the first fault and a reader wants all of them at once. Never reads a file.

use toml::{Table, Value};

use super::Fault;

/// Longest piece of a value that a fault repeats, in characters.
const MAX_SHOWN_CHARS: usize = 60;

/// One key that a table may hold.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// Must it be there.
    pub required: bool,
}

/// What may stand at a key.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text.
    Text {
        /// May it be empty or only white space.
        blank: bool,
        /// Longest, in bytes.
        max_bytes: usize,
    },
    /// Text with a grammar of its own.
    Checked {
        /// What the grammar wants, in words.
        expected: &'static str,
        /// Whether a text follows it.
        holds: fn(&str) -> bool,
    },
    /// Text that is never shown and only comes from the environment.
    Secret {
        /// The key that may name a file instead.
        instead: &'static str,
    },
    /// `true` or `false`.
    Switch,
    /// A whole number in a range, both ends included.
    Whole {
        /// Least.
        min: u64,
        /// Most.
        max: u64,
        /// What is counted, e.g. `ms`.
        unit: &'static str,
    },
    /// A number in a range, both ends included.
    Number {
        /// Least.
        min: f64,
        /// Most.
        max: f64,
    },
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A table of text to text, at most this many.
    Words(usize),
    /// A table of these keys.
    Table(&'static [Key]),
    /// A table with a lint of its own.
    Foreign,
}

/// Where the values come from; secrets may come from the environment only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A file in the configuration folder.
    File,
    /// The process's environment or command line.
    Process,
}

impl Key {
    /// A key that may be left out.
    #[must_use]
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: false }
    }

    /// A key that must be there.
    #[must_use]
    pub const fn required(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: true }
    }
}

/// Checks `table` against `keys`, appends every fault and takes what is at fault out of the table, so that what is left
/// deserialises.
pub fn check(table: &mut Table, keys: &[Key], prefix: &str, file: &str, origin: Origin, faults: &mut Vec<Fault>) {
    let found: Vec<String> = table.keys().cloned().collect();
    for name in found {
        let path = join(prefix, &name);
        let Some(value) = table.get_mut(&name) else { continue };
        let Some(key) = keys.iter().find(|key| key.name == name) else {
            let expected = unknown(&name, keys);
            faults.push(Fault { file: file.to_owned(), key: path, value: shown(&name, value), expected });
            table.remove(&name);
            continue;
        };
        if let (Kind::Table(inner), Value::Table(below)) = (key.kind, &mut *value) {
            check(below, inner, &path, file, origin, faults);
        } else if let Some(expected) = key.kind.complaint(value, origin) {
            let value = if matches!(key.kind, Kind::Secret { .. }) { HIDDEN.to_owned() } else { shown(&name, value) };
            faults.push(Fault { file: file.to_owned(), key: path, value, expected });
            table.remove(&name);
        }
    }
    for key in keys.iter().filter(|key| key.required && !table.contains_key(key.name)) {
        let path = join(prefix, key.name);
        if !faults.iter().any(|fault| fault.file == file && fault.key == path) {
            let expected = key.kind.expectation();
            faults.push(Fault { file: file.to_owned(), key: path, value: "nothing".to_owned(), expected });
        }
    }
}

const HIDDEN: &str = "a secret, not shown";

impl Kind {
    /// What is expected, in words, where `value` is not of this kind.
    fn complaint(&self, value: &Value, origin: Origin) -> Option<String> {
        let holds = match (self, value) {
            (Self::Text { blank, max_bytes }, Value::String(text)) => {
                text.len() <= *max_bytes && (*blank || !text.trim().is_empty())
            }
            (Self::Checked { holds, .. }, Value::String(text)) => holds(text),
            (Self::Secret { .. }, Value::String(text)) => origin == Origin::Process && !text.trim().is_empty(),
            (Self::OneOf(words), Value::String(text)) => words.contains(&text.as_str()),
            (Self::Switch, Value::Boolean(_)) | (Self::Foreign, Value::Table(_)) => true,
            (Self::Whole { min, max, .. }, Value::Integer(number)) => {
                u64::try_from(*number).is_ok_and(|number| (*min..=*max).contains(&number))
            }
            (Self::Number { min, max }, Value::Integer(number)) => (*min..=*max).contains(&(*number as f64)),
            (Self::Number { min, max }, Value::Float(number)) => (*min..=*max).contains(number),
            (Self::Words(most), Value::Table(words)) => {
                let is_pair = |(word, said): (&String, &Value)| {
                    !word.trim().is_empty() && said.as_str().is_some_and(|said| !said.trim().is_empty())
                };
                words.len() <= *most && words.iter().all(is_pair)
            }
            _ => false,
        };
        (!holds).then(|| self.expectation())
    }

    /// What is expected, in words.
    #[must_use]
    pub fn expectation(&self) -> String {
        match self {
            Self::Text { blank: true, max_bytes } => format!("text of at most {max_bytes} bytes"),
            Self::Text { blank: false, max_bytes } => format!("text of 1 to {max_bytes} bytes that is not blank"),
            Self::Checked { expected, .. } => (*expected).to_owned(),
            Self::Secret { instead } => {
                format!("no secret in a file: set it by the environment, or name a file that holds it with `{instead}`")
            }
            Self::Switch => "true or false".to_owned(),
            Self::Whole { min, max, unit } => format!("a whole number from {min} to {max} ({unit})"),
            Self::Number { min, max } => format!("a number from {min:?} to {max:?}"),
            Self::OneOf(words) => format!("one of {}", quoted(words.iter().copied())),
            Self::Words(most) => format!("a table of at most {most} pairs, word = \"text\", none of them blank"),
            Self::Table(keys) => format!("a table of the keys {}", quoted(keys.iter().map(|key| key.name))),
            Self::Foreign => "a table".to_owned(),
        }
    }

    /// A value written as plain text (environment, command line) in the type that this kind wants; what does not fit stays
    /// text, for [`check`] to complain about.
    #[must_use]
    pub fn read(&self, text: &str) -> Value {
        let as_text = || Value::String(text.to_owned());
        let trimmed = text.trim();
        match self {
            Self::Switch => trimmed.parse().map_or_else(|_| as_text(), Value::Boolean),
            Self::Whole { .. } => trimmed.parse().map_or_else(|_| as_text(), Value::Integer),
            Self::Number { .. } => trimmed.parse().map_or_else(|_| as_text(), Value::Float),
            _ => as_text(),
        }
    }
}

/// `a.b` from `a` and `b`.
#[must_use]
pub fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// What to say about a key that does not exist.
fn unknown(name: &str, keys: &[Key]) -> String {
    let names = || keys.iter().map(|key| key.name);
    nearest(name, names()).map_or_else(
        || format!("one of the keys {}", quoted(names())),
        |near| format!("no such key; did you mean `{near}`?"),
    )
}

/// The known name that `name` was probably meant to be: at most a third of its letters differ.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    known
        .map(|known| (strsim::osa_distance(&lower, &known.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= (known.chars().count().max(lower.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// A value as a fault shows it: short, on one line, and not at all where the key's name says that it is secret.
#[must_use]
pub fn shown(name: &str, value: &Value) -> String {
    let lower = name.to_lowercase();
    if ["token", "secret", "passw", "credential", "api_key", "apikey", "private"].iter().any(|s| lower.contains(s)) {
        return HIDDEN.to_owned();
    }
    match value {
        Value::Table(table) if table.is_empty() => "an empty table".to_owned(),
        Value::Table(_) => "a table".to_owned(),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::String(text) => shown_text(text),
        other => other.to_string(),
    }
}

/// A text in quotes, shortened.
#[must_use]
pub fn shown_text(text: &str) -> String {
    let short: String = text.chars().take(MAX_SHOWN_CHARS).collect();
    if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_key_and_a_stranger_none() {
        let known = || ["opening_message", "voice", "turn", "idle_ms"].into_iter();
        assert_eq!(nearest("openning_mesage", known()), Some("opening_message"));
        assert_eq!(nearest("Voice", known()), Some("voice"));
        assert_eq!(nearest("idle_sm", known()), Some("idle_ms"));
        assert_eq!(nearest("webhooks", known()), None);
    }

    #[test]
    fn a_shown_value_is_short_and_never_a_secret() {
        assert_eq!(shown("name", &Value::String("a\nb".to_owned())), "\"a\\nb\"");
        assert_eq!(shown("name", &Value::String("é".repeat(61))).chars().count(), 63);
        assert_eq!(shown("crm_token", &Value::String("Bearer x".to_owned())), HIDDEN);
    }
}
