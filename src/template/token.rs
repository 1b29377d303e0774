//! The grammar of one token: open, white space, namespace, `.`, path, white space, perhaps `|` and a default, close. Looks at
//! one place of a text at a time and never past the next pair of brackets, so that a whole text is scanned in linear
//! time. Never looks a value up.

use std::ops::Range;

use unicode_normalization::char::is_combining_mark;

use super::Namespace;

/// Longest path, in characters.
const MAX_PATH_CHARS: usize = 128;

/// How far a lint looks for the end of something that is nearly a token, in bytes.
const SUSPECT_BYTES: usize = 200;

/// A token at one place of a text, as byte ranges of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub namespace: Namespace,
    pub path: Range<usize>,
    pub default: Option<Range<usize>>,
    /// First byte after the token.
    pub end: usize,
}

/// What is wrong with something that is nearly a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flaw {
    /// A namespace that does not exist, or none: `{{crmm.name}}`, `{{customer_name}}`.
    UnknownNamespace,
    /// A known namespace with a bad path, a mixed pair or no end: `{{crm.a$b}}`, `{{crm.a>>`, `{{crm.a}`.
    Malformed,
}

/// The closing pair for the opening pair at `at`, if one opens there.
fn close_of(text: &str, at: usize) -> Option<&'static str> {
    let rest = text.as_bytes().get(at..at + 2)?;
    match rest {
        b"{{" => Some("}}"),
        b"<<" => Some(">>"),
        _ => None,
    }
}

/// The first place at or after `from` where a token may open.
pub(super) fn next_open(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    (from..bytes.len().saturating_sub(1)).find(|&at| matches!(&bytes[at..at + 2], b"{{" | b"<<"))
}

/// The token that stands at `at`, if exactly one does.
pub(super) fn token_at(text: &str, at: usize) -> Option<Found> {
    let close = close_of(text, at)?;
    let inner = text[at + 2..].trim_start();
    let (namespace, after) = namespace_of(inner)?;
    let path_start = text.len() - after.len();
    let run = after.find(|c| !is_path_char(c)).unwrap_or(after.len());
    let path = after[..run].trim_end_matches(' ');
    if !path.starts_with(is_path_start) || path.chars().nth(MAX_PATH_CHARS).is_some() {
        return None;
    }
    let path_range = path_start..path_start + path.len();
    let tail = after[path.len()..].trim_start();
    let tail_start = text.len() - tail.len();
    let Some(default) = tail.strip_prefix('|') else {
        let end = tail.starts_with(close).then_some(tail_start + close.len())?;
        return Some(Found { namespace, path: path_range, default: None, end });
    };
    let stop = next_bracket_or_line(default);
    if !default[stop..].starts_with(close) {
        return None;
    }
    let literal = default[..stop].trim_matches(' ');
    let literal_start = text.len() - default.len() + (default.len() - default.trim_start_matches(' ').len()).min(stop);
    let end = tail_start + 1 + stop + close.len();
    Some(Found { namespace, path: path_range, default: Some(literal_start..literal_start + literal.len()), end })
}

/// What is nearly a token at `at`, where [`token_at`] found none: its range and what is wrong with it.
pub(super) fn suspect_at(text: &str, at: usize) -> Option<(Range<usize>, Flaw)> {
    close_of(text, at)?;
    let body = &text[at + 2..];
    let near = &body[..floor_char_boundary(body, SUSPECT_BYTES)];
    let stop = next_bracket_or_line(near);
    let closed = near[stop..].starts_with("}}") || near[stop..].starts_with(">>");
    let matching = closed && near[stop..].starts_with(close_of(text, at)?);
    let range = at..at + 2 + stop + if closed { 2 } else { 0 };
    let inner = near[..stop].trim();
    let name_end = inner.find(|c| !is_path_start(c) && c != '-').unwrap_or(inner.len());
    let (name, after) = inner.split_at(name_end);
    let known = Namespace::ALL.iter().any(|ns| name.eq_ignore_ascii_case(ns.name()));
    let after = after.trim_start();
    if known && (after.starts_with('.') || (matching && (after.is_empty() || after.starts_with('|')))) {
        return Some((range, Flaw::Malformed));
    }
    let path_like = after.is_empty() || after.starts_with('|') || after.strip_prefix('.').is_some_and(is_path_like);
    let word = name.starts_with(|c: char| is_path_start(c) && !c.is_numeric());
    (matching && word && path_like && !known).then_some((range, Flaw::UnknownNamespace))
}

/// A path, perhaps followed by a default.
fn is_path_like(text: &str) -> bool {
    text.split('|').next().is_some_and(|path| path.starts_with(is_path_start) && path.chars().all(is_path_char))
}

/// The namespace that `text` opens with, and what follows its `.`.
fn namespace_of(text: &str) -> Option<(Namespace, &str)> {
    Namespace::ALL.into_iter().find_map(|namespace| {
        let name = namespace.name();
        let head = text.get(..name.len())?;
        let after = text[name.len()..].strip_prefix('.')?;
        head.eq_ignore_ascii_case(name).then_some((namespace, after))
    })
}

/// Where the next pair of brackets, either way, or the end of the line is.
fn next_bracket_or_line(text: &str) -> usize {
    let bytes = text.as_bytes();
    (0..bytes.len())
        .find(|&i| {
            matches!(bytes[i], b'\n' | b'\r')
                || bytes.get(i..i + 2).is_some_and(|two| matches!(two, b"{{" | b"}}" | b"<<" | b">>"))
        })
        .unwrap_or(bytes.len())
}

/// The largest character boundary of `text` that is not above `at`.
pub(super) fn floor_char_boundary(text: &str, at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    (0..=at).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

/// `[\p{L}\p{N}_]`.
fn is_path_start(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric() || (!c.is_ascii() && (is_letter(c) || c.is_numeric()))
}

/// `[\p{L}\p{N}_ .-]`.
fn is_path_char(c: char) -> bool {
    matches!(c, ' ' | '.' | '-') || is_path_start(c)
}

/// `\p{L}`: the standard library's `Alphabetic` without what is not a letter in it: numbers, marks, circled letters.
fn is_letter(c: char) -> bool {
    let circled = matches!(
        c,
        '\u{24B6}'..='\u{24E9}' | '\u{1F130}'..='\u{1F149}' | '\u{1F150}'..='\u{1F169}' | '\u{1F170}'..='\u{1F189}'
    );
    c.is_alphabetic() && !c.is_numeric() && !is_combining_mark(c) && !circled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_takes_letters_and_numbers_of_any_script_but_no_marks() {
        for yes in ["é", "名", "ग", "Ⅷ", "²", "٣", "_", "7", "ß"] {
            assert!(yes.chars().all(is_path_start), "{yes}");
        }
        for no in ["\u{93E}", "\u{94D}", "\u{301}", "Ⓐ", "🅰", "€", "-", ".", " ", "\u{a0}", "\u{200d}"] {
            assert!(!no.chars().any(is_path_start), "{no:?}");
        }
    }

    #[test]
    fn ranges_point_at_path_and_default() {
        let text = "é{{ CRM.a b  | of the day }}!";
        let found = token_at(text, 2).unwrap();
        assert_eq!(&text[found.path], "a b");
        assert_eq!(found.default.map(|d| &text[d]), Some("of the day"));
        assert_eq!(&text[found.end..], "!");
    }
}
