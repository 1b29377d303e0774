//! A parsed template and its rendering: one pass from left to right, values appended and never looked at again. Bounded
//! output and bounded values. Never fails: what is not a token is text.

use std::fmt;
use std::ops::Range;

use super::token::{Flaw, Found, floor_char_boundary, next_open, suspect_at, token_at};
use super::{Namespace, Values, clean};

/// Longest rendered text; the rest is cut at a character.
pub const MAX_OUTPUT_BYTES: usize = 64 * 1024;

/// Longest single value in a rendered text; the rest is cut at a character.
pub const MAX_VALUE_BYTES: usize = 8 * 1024;

/// A text with tokens in it, parsed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Template {
    source: Box<str>,
    parts: Vec<Part>,
    suspects: Vec<(Range<usize>, Flaw)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(Range<usize>),
    Token(Found),
}

/// One token of a template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token<'a> {
    /// Where its value comes from.
    pub namespace: Namespace,
    /// The field: a key, or the way down through nested values.
    pub path: &'a str,
    /// What stands there where the field is unset or empty.
    pub default: Option<&'a str>,
}

/// A rendered template. Personal: it holds the values.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// Fields that are unset and have no default, as `ns.path`, each once, in order of appearance. Names only.
    pub unset: Vec<String>,
    /// The text was cut at [`MAX_OUTPUT_BYTES`], or a value at [`MAX_VALUE_BYTES`].
    pub truncated: bool,
}

impl Template {
    /// Parses a text. Cannot fail; what looks wrong is in [`Template::malformed`] and [`Template::unknown_namespaces`].
    #[must_use]
    pub fn parse(source: &str) -> Self {
        let mut parts = Vec::new();
        let mut suspects = Vec::new();
        let mut text_from = 0;
        let mut at = 0;
        while let Some(open) = next_open(source, at) {
            if let Some(found) = token_at(source, open) {
                if text_from < open {
                    parts.push(Part::Text(text_from..open));
                }
                (text_from, at) = (found.end, found.end);
                parts.push(Part::Token(found));
            } else {
                suspects.extend(suspect_at(source, open));
                at = open + 1;
            }
        }
        if text_from < source.len() {
            parts.push(Part::Text(text_from..source.len()));
        }
        Self { source: source.into(), parts, suspects }
    }

    /// The text as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Is there nothing but white space.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.source.trim().is_empty()
    }

    /// The tokens in order.
    pub fn tokens(&self) -> impl Iterator<Item = Token<'_>> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Token(found) => Some(self.token(found)),
        })
    }

    /// What opens like a token of a known namespace and is none, so that it would be spoken as it stands.
    #[must_use]
    pub fn malformed(&self) -> Vec<&str> {
        self.suspects_of(Flaw::Malformed)
    }

    /// What is built like a token and names a namespace that does not exist, or none at all.
    #[must_use]
    pub fn unknown_namespaces(&self) -> Vec<&str> {
        self.suspects_of(Flaw::UnknownNamespace)
    }

    /// The text with the values in it, each cleaned by [`clean`]. An unset field without a default renders as nothing.
    #[must_use]
    pub fn render(&self, values: &Values) -> Rendered {
        let mut out = Rendered { text: String::with_capacity(self.source.len()), ..Rendered::default() };
        for part in &self.parts {
            match part {
                Part::Text(range) => out.append(&self.source[range.clone()]),
                Part::Token(found) => out.append_value(self.token(found), values),
            }
        }
        out
    }

    fn token(&self, found: &Found) -> Token<'_> {
        Token {
            namespace: found.namespace,
            path: &self.source[found.path.clone()],
            default: found.default.clone().map(|range| &self.source[range]),
        }
    }

    fn suspects_of(&self, wanted: Flaw) -> Vec<&str> {
        let of_kind = self.suspects.iter().filter(|(_, flaw)| *flaw == wanted);
        of_kind.map(|(range, _)| &self.source[range.clone()]).collect()
    }
}

impl Rendered {
    fn append(&mut self, text: &str) {
        let room = MAX_OUTPUT_BYTES.saturating_sub(self.text.len());
        let fits = floor_char_boundary(text, room);
        self.truncated |= fits < text.len();
        self.text.push_str(&text[..fits]);
    }

    fn append_value(&mut self, token: Token<'_>, values: &Values) {
        let found = values.get(token.namespace, token.path);
        let value = found.as_deref().unwrap_or_default();
        let fits = floor_char_boundary(value, MAX_VALUE_BYTES);
        self.truncated |= fits < value.len();
        let cleaned = clean(&value[..fits]);
        match (cleaned.trim().is_empty(), token.default) {
            (true, Some(default)) => self.append(default),
            (true, None) if found.is_none() => self.note_unset(token),
            _ => self.append(&cleaned),
        }
    }

    fn note_unset(&mut self, token: Token<'_>) {
        let name = format!("{}.{}", token.namespace, token.path);
        if !self.unset.contains(&name) {
            self.unset.push(name);
        }
    }
}

/// The source is the author's, not personal.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.source).finish()
    }
}

/// Names of unset fields only.
impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, unset, truncated) = (self.text.len(), &self.unset, self.truncated);
        write!(f, "Rendered {{ text: {bytes} bytes redacted, unset: {unset:?}, truncated: {truncated} }}")
    }
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
