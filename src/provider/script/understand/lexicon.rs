//! Are two words the same to the ear: exactly, by a small edit, or by a phonetic key, so that a recogniser's slip does not
//! lose the meaning. Never used for numbers, where one sound makes another amount.

/// Slips that neither an edit nor a key explains.
const SLIPS: &[(&str, &str)] = &[
    ("write", "right"),
    ("rite", "right"),
    ("rong", "wrong"),
    ("lone", "loan"),
    ("pade", "paid"),
    ("payed", "paid"),
    ("peyd", "paid"),
    ("numb", "number"),
    ("hooman", "human"),
    ("agents", "agent"),
    ("tomoro", "tomorrow"),
    ("too", "to"),
    ("two", "to"),
    ("four", "for"),
    ("yer", "your"),
    ("knot", "not"),
    ("bye", "buy"),
    ("by", "buy"),
    ("coal", "call"),
    ("cole", "call"),
    ("here", "hear"),
    ("speek", "speak"),
    ("bored", "board"),
];

/// Does `heard` stand for `meant`, and how surely: 1.0 exactly, 0.9 or 0.85 by sound, 0.0 not at all.
#[must_use]
pub fn likeness(heard: &str, meant: &str) -> f32 {
    if heard == meant {
        return 1.0;
    }
    // A first letter that differs is another word (Sunday, Monday; night, right), unless both letters have one sound. This
    // comes first because it settles nearly every comparison.
    let (Some(&first), Some(&meant_first)) = (heard.as_bytes().first(), meant.as_bytes().first()) else { return 0.0 };
    let same_start = first == meant_first;
    if !(same_start || start_alike(first, meant_first)) {
        return 0.0;
    }
    if SLIPS.contains(&(heard, meant)) {
        return 0.9;
    }
    let (short, long) = (heard.len().min(meant.len()), heard.len().max(meant.len()));
    if short < 4 || long - short > 4 {
        return 0.0;
    }
    // Nothing that carries a digit is alike.
    if heard.bytes().chain(meant.bytes()).any(|b| b.is_ascii_digit()) {
        return 0.0;
    }
    if plural_of(heard, meant) || plural_of(meant, heard) {
        return 0.95;
    }
    if short < 5 {
        return 0.0;
    }
    if !same_start {
        return if key(heard) == key(meant) { 0.85 } else { 0.0 };
    }
    let edits = strsim::osa_distance(heard, meant);
    if edits == 1 || (edits == 2 && short >= 8) {
        return 0.9;
    }
    let by_ear = key(heard);
    if by_ear == key(meant) && by_ear.len() >= 2 && long - short <= 2 && edits <= 3 { 0.85 } else { 0.0 }
}

fn plural_of(one: &str, many: &str) -> bool {
    one.len() >= 4 && many.strip_suffix('s') == Some(one)
}

/// May two words that start with different letters sound alike from the start (`write`, `right`)?
const fn start_alike(one: u8, other: u8) -> bool {
    let pair = if one < other { (one, other) } else { (other, one) };
    matches!(
        pair,
        (b'r', b'w')
            | (b'k', b'n')
            | (b'g', b'n')
            | (b'f', b'p')
            | (b'c', b'k')
            | (b'k', b'q')
            | (b'c', b's')
            | (b'p', b's')
            | (b's', b'z')
            | (b's', b'x')
            | (b'g', b'j')
    )
}

/// How a word sounds, roughly: consonants by class, vowels only at the start, no silent letters, no final r.
#[must_use]
pub fn key(word: &str) -> String {
    let mut text = word.to_lowercase();
    for (from, to) in [("kn", "n"), ("wr", "r"), ("gn", "n"), ("ps", "s"), ("wh", "w"), ("x", "s")] {
        if let Some(rest) = text.strip_prefix(from) {
            text = format!("{to}{rest}");
            break;
        }
    }
    for (from, to) in [
        ("ph", "f"),
        ("gh", ""),
        ("tion", "sn"),
        ("ck", "k"),
        ("dg", "j"),
        ("q", "k"),
        ("x", "ks"),
        ("z", "s"),
        ("mb", "m"),
    ] {
        text = text.replace(from, to);
    }
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    for (n, &c) in chars.iter().enumerate() {
        let next = chars.get(n + 1).copied().unwrap_or(' ');
        let sound = match c {
            'a' | 'e' | 'i' | 'o' | 'u' if n == 0 => 'a',
            'a' | 'e' | 'i' | 'o' | 'u' | '\'' => continue,
            'y' | 'h' | 'w' if n > 0 => continue,
            'c' if matches!(next, 'e' | 'i' | 'y') => 's',
            'c' => 'k',
            'r' if n > 0 && n + 1 == chars.len() => continue,
            other => other,
        };
        if !out.ends_with(sound) {
            out.push(sound);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_absorbed_and_other_words_are_not() {
        for (heard, meant) in [
            ("tomorow", "tomorrow"),
            ("numba", "number"),
            ("write", "right"),
            ("payement", "payment"),
            ("custommer", "customer"),
            ("apointment", "appointment"),
            ("reshedule", "reschedule"),
            ("cansel", "cancel"),
            ("manger", "manager"),
            ("supervizor", "supervisor"),
            ("friday", "fridays"),
        ] {
            assert!(likeness(heard, meant) > 0.8, "{heard} {meant} {} {}", key(heard), key(meant));
        }
        for (heard, meant) in [
            ("sunday", "monday"),
            ("tuesday", "thursday"),
            ("night", "right"),
            ("book", "back"),
            ("paid", "said"),
            ("not", "now"),
            ("fifteen", "fifty"),
            ("later", "water"),
            ("15", "150"),
            ("today", "tomorrow"),
        ] {
            assert!(likeness(heard, meant) < 0.5, "{heard} {meant}");
        }
    }
}
