//! Ids of letters and digits, character by character, and masked numbers by what they show.
//! Never touches words or numbers that only stand beside each other ("Covid-19", "24-hour").

use super::number;
use super::scan::{LOOK_AHEAD_CHARS, Recent, Spoken, Text};
use super::words::is_wordlike;

/// Reads a masked number that starts at `at`: "XXXX1234", "xxxx-xxxx-1234" → "ending in one two three four".
pub(super) fn masked(text: Text<'_>, at: usize, recent: &Recent) -> Option<Spoken> {
    if !matches!(text.at(at), 'X' | 'x') {
        return None;
    }
    let mask_end = text.run(at, |c| matches!(c, 'X' | 'x' | '-' | ' '));
    let hidden = text.slice(at, mask_end).chars().filter(|c| matches!(c, 'X' | 'x')).count();
    let end = text.digits(mask_end);
    if hidden < 2 || !(2..=6).contains(&(end - mask_end)) || !text.breaks(end) {
        return None;
    }
    let digits = number::digits(&text.slice(mask_end, end));
    let told = recent.holds(&["ending", "ends"]);
    Some(Spoken::words(if told { digits } else { format!("ending in {digits}") }, end))
}

/// Reads an id that starts at `at`: "LN123456" → "L N one two three four five six".
pub(super) fn read(text: Text<'_>, at: usize) -> Option<Spoken> {
    let end = id_end(text, at);
    if end - at > LOOK_AHEAD_CHARS {
        return None;
    }
    let id = text.slice(at, end);
    let has_digit = id.chars().any(|c| c.is_ascii_digit());
    let has_letter = id.chars().any(char::is_alphabetic);
    if !has_digit || !has_letter || apart(&id) {
        return None;
    }
    let pieces = pieces(&id);
    let mut words: Vec<String> = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let first = piece.chars().next().unwrap_or('\0');
        if first.is_ascii_digit() {
            words.push(number::digits(piece));
        } else if first.is_alphabetic() {
            words.extend(spelled(piece));
        } else {
            words.push(joiner(first, pieces.get(index + 1)).to_owned());
        }
    }
    Some(Spoken::words(words.join(" "), end))
}

/// The end of letters and digits with single joiners between them.
fn id_end(text: Text<'_>, at: usize) -> usize {
    let mut end = text.run(at, char::is_alphanumeric);
    while matches!(text.at(end), '-' | '_' | '/' | '.')
        && text.at(end + 1).is_alphanumeric()
        && end - at <= LOOK_AHEAD_CHARS
    {
        // A dot joins only in front of digits ("v2.0"); before a letter it ends a sentence that lacks its space.
        if text.at(end) == '.' && !(text.at(end + 1).is_ascii_digit() && text.before(end).is_ascii_digit()) {
            break;
        }
        end = text.run(end + 1, char::is_alphanumeric);
    }
    end
}

/// Whether the parts between the joiners are words and numbers that only stand together: "Covid-19", "2-year".
fn apart(id: &str) -> bool {
    let word = |part: &str| is_wordlike(part) || (part.len() >= 5 && is_wordlike(&part.to_lowercase()));
    let mut parts = id.split(['-', '_', '/', '.']);
    parts.all(|part| part.chars().all(|c| c.is_ascii_digit()) || word(part)) && id.contains(['-', '_', '/', '.'])
}

/// The id cut wherever the kind of character changes; joiners are pieces of their own.
fn pieces(id: &str) -> Vec<String> {
    let kind = |c: char| if c.is_ascii_digit() { 0 } else { u8::from(!c.is_alphanumeric()) + 1 };
    let mut pieces: Vec<String> = Vec::new();
    let mut last = None;
    for c in id.chars() {
        match pieces.last_mut() {
            Some(piece) if last == Some(kind(c)) && kind(c) < 2 => piece.push(c),
            _ => pieces.push(c.to_string()),
        }
        last = Some(kind(c));
    }
    pieces
}

/// Long parts that can be said are said; all else is spelled.
fn spelled(letters: &str) -> Vec<String> {
    let long = letters.chars().count() >= 4;
    if long && is_wordlike(&letters.to_lowercase()) {
        return vec![letters.to_lowercase()];
    }
    letters.chars().map(|c| c.to_ascii_uppercase().to_string()).collect()
}

fn joiner(c: char, next: Option<&String>) -> &'static str {
    match c {
        '_' => "underscore",
        '/' => "slash",
        '.' if next.is_some_and(|next| next.starts_with(|c: char| c.is_ascii_digit())) => "point",
        '.' => "dot",
        _ => "dash",
    }
}
