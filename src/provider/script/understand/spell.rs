//! Ids and telephone numbers, spelled or not: `LN123456`, `l n one two three`, `L for London`, `double five`, `oh`, the radio
//! alphabet. Never accepts one by itself: the dialogue reads it back.

use super::number::small;
use super::words::Words;

const RADIO: &[(&str, char)] = &[
    ("alpha", 'A'),
    ("alfa", 'A'),
    ("bravo", 'B'),
    ("charlie", 'C'),
    ("delta", 'D'),
    ("echo", 'E'),
    ("foxtrot", 'F'),
    ("golf", 'G'),
    ("hotel", 'H'),
    ("india", 'I'),
    ("juliet", 'J'),
    ("juliett", 'J'),
    ("kilo", 'K'),
    ("lima", 'L'),
    ("mike", 'M'),
    ("november", 'N'),
    ("oscar", 'O'),
    ("papa", 'P'),
    ("quebec", 'Q'),
    ("romeo", 'R'),
    ("sierra", 'S'),
    ("tango", 'T'),
    ("uniform", 'U'),
    ("victor", 'V'),
    ("whiskey", 'W'),
    ("xray", 'X'),
    ("yankee", 'Y'),
    ("zulu", 'Z'),
];

/// Letters as a recogniser may write their names. Only taken between other letters and digits.
const LETTER_NAMES: &[(&str, char)] = &[
    ("bee", 'B'),
    ("cee", 'C'),
    ("see", 'C'),
    ("sea", 'C'),
    ("dee", 'D'),
    ("ee", 'E'),
    ("eff", 'F'),
    ("gee", 'G'),
    ("aitch", 'H'),
    ("haitch", 'H'),
    ("jay", 'J'),
    ("kay", 'K'),
    ("el", 'L'),
    ("ell", 'L'),
    ("elle", 'L'),
    ("em", 'M'),
    ("en", 'N'),
    ("pee", 'P'),
    ("cue", 'Q'),
    ("queue", 'Q'),
    ("ar", 'R'),
    ("are", 'R'),
    ("ess", 'S'),
    ("tee", 'T'),
    ("tea", 'T'),
    ("you", 'U'),
    ("vee", 'V'),
    ("ex", 'X'),
    ("why", 'Y'),
    ("zed", 'Z'),
    ("zee", 'Z'),
];

/// What may be spelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Alphabet {
    /// Letters and digits.
    Mixed,
    /// Digits only.
    Digits,
}

/// The longest run of spelled characters; `None` below `least` characters.
#[must_use]
pub fn spelled(words: &Words, alphabet: Alphabet, least: usize) -> Option<String> {
    let mut best = String::new();
    let mut at = 0;
    while at < words.len() {
        let (run, end) = run_at(words, at, alphabet);
        if run.chars().count() > best.chars().count() {
            best = run;
        }
        at = end.max(at + 1);
    }
    let count = best.chars().count();
    (count >= least && count <= 40).then_some(best)
}

/// The run that starts at word `start`, and the first word after it.
fn run_at(words: &Words, start: usize, alphabet: Alphabet) -> (String, usize) {
    let mut run = String::new();
    let (mut at, mut end) = (start, start);
    while at < words.len() {
        if let Some((part, size)) = atom(words, at, alphabet, &run) {
            run.push_str(&part);
            at += size;
            end = at;
        } else if !run.is_empty()
            && matches!(words.text(at), "and" | "then" | "dash" | "hyphen" | "space" | "capital" | "next")
        {
            at += 1;
        } else {
            break;
        }
    }
    (run, end)
}

/// The characters at word `at`, and the words they take.
fn atom(words: &Words, at: usize, alphabet: Alphabet, before: &str) -> Option<(String, usize)> {
    let word = words.text(at);
    if let Some(times) = match word {
        "double" => Some(2),
        "triple" | "treble" => Some(3),
        _ => None,
    } {
        // "double u" is a letter.
        if word == "double" && words.text(at + 1) == "u" && alphabet == Alphabet::Mixed {
            return Some(("W".to_owned(), 2));
        }
        // "double double" is a stammer; following it would recurse through the whole utterance.
        if matches!(words.text(at + 1), "" | "double" | "triple" | "treble") {
            return None;
        }
        let (part, size) = atom(words, at + 1, alphabet, before)?;
        let once = part.chars().count() == 1 && size <= 2;
        return once.then(|| (part.repeat(times), size + 1));
    }
    if let Some(digits) = digits_of(words, at) {
        return Some(digits);
    }
    if alphabet == Alphabet::Digits {
        let zero = matches!(word, "o" | "oh") && (!before.is_empty() || digits_of(words, at + 1).is_some());
        return zero.then(|| ("0".to_owned(), 1)).or_else(|| homophone(words, at, before));
    }
    letter(words, at, before)
}

/// A number: digits as written, number words joined as they are said in pairs (`twenty three` = 23).
fn digits_of(words: &Words, at: usize) -> Option<(String, usize)> {
    let word = words.text(at);
    if word.bytes().all(|b| b.is_ascii_digit()) && !word.is_empty() {
        return Some((word.to_owned(), 1));
    }
    let value = small(word)?;
    let unit = small(words.text(at + 1)).filter(|unit| (1..10).contains(unit));
    match unit {
        Some(unit) if value >= 20 => Some(((value + unit).to_string(), 2)),
        _ if words.text(at + 1) == "hundred" && value < 10 => Some((format!("{value}00"), 2)),
        _ => Some((value.to_string(), 1)),
    }
}

/// What recognition makes of a digit between digits: `to`, `for`, `ate`, and on a bad line `there` of a zero.
fn homophone(words: &Words, at: usize, before: &str) -> Option<(String, usize)> {
    let digit = match words.text(at) {
        "there" | "their" | "hero" | "sero" | "zeros" => "0",
        "won" | "wan" => "1",
        "to" | "too" => "2",
        "tree" | "free" => "3",
        "for" | "fore" => "4",
        "fife" | "fine" | "hive" => "5",
        "sex" | "sick" | "sicks" => "6",
        "heaven" => "7",
        "ate" | "hate" => "8",
        "nigh" | "night" | "mine" => "9",
        _ => return None,
    };
    let after = digits_of(words, at + 1).is_some() || at + 1 == words.len();
    (!before.is_empty() && after).then(|| (digit.to_owned(), 1))
}

fn letter(words: &Words, at: usize, before: &str) -> Option<(String, usize)> {
    let word = words.text(at);
    let next = words.text(at + 1);
    let single = single_letter(word);
    if word == "x" && next == "ray" {
        return Some(("X".to_owned(), 2));
    }
    if let Some(letter) = single {
        // "L for London", "N as in Nancy": the example only has to start alike.
        let (example, size) = match (next, words.text(at + 2)) {
            ("for" | "four" | "4" | "like", _) => (words.text(at + 2), 3),
            ("as", "in") => (words.text(at + 3), 4),
            _ => ("", 0),
        };
        let alike = example.len() > 2 && example.to_uppercase().starts_with(letter) && small(example).is_none();
        if alike {
            return Some((letter.to_string(), size));
        }
    }
    if let Some((_, letter)) = RADIO.iter().find(|(name, _)| *name == word) {
        return Some((letter.to_string(), 1));
    }
    if word.bytes().any(|b| b.is_ascii_digit()) && word.bytes().all(|b| b.is_ascii_alphanumeric()) {
        // An ordinal is no id.
        let ordinal = ["st", "nd", "rd", "th"].iter().any(|end| word.ends_with(end))
            && word.starts_with(|c: char| c.is_ascii_digit());
        return (!ordinal).then(|| (word.to_uppercase(), 1));
    }
    let digit_before = before.ends_with(|c: char| c.is_ascii_digit());
    let repeats = matches!(next, "double" | "triple" | "treble");
    let digit_after = digits_of(words, if repeats { at + 2 } else { at + 1 }).is_some();
    if matches!(word, "oh" | "o") && (digit_before || (digit_after && before.is_empty())) {
        return Some(("0".to_owned(), 1));
    }
    if word == "oh" && !before.is_empty() {
        return Some(("O".to_owned(), 1));
    }
    if let Some(letter) = single {
        // "a" and "i" are words unless they stand among letters.
        let word_like = matches!(word, "a" | "i") && before.is_empty() && single_letter(next).is_none() && !digit_after;
        return (!word_like).then(|| (letter.to_string(), 1));
    }
    let named = LETTER_NAMES.iter().any(|(name, _)| *name == next);
    let neighbours = !before.is_empty() || single_letter(next).is_some() || digit_after || (named && next != word);
    if let Some((_, letter)) = LETTER_NAMES.iter().find(|(name, _)| *name == word).filter(|_| neighbours) {
        return Some((letter.to_string(), 1));
    }
    // Two or three letters said at once just before digits: "LN 123456".
    let prefix = (2..=4).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_alphabetic()) && before.is_empty();
    let written_so = words.all().get(at).is_some_and(|word| word.raw.chars().all(|c| !c.is_lowercase()));
    if prefix && digit_after && (written_so || !has_vowel(word)) {
        return Some((word.to_uppercase(), 1));
    }
    homophone(words, at, if digit_before { before } else { "" })
}

fn single_letter(word: &str) -> Option<char> {
    let mut chars = word.chars();
    let letter = chars.next()?.to_ascii_uppercase();
    (chars.next().is_none() && letter.is_ascii_uppercase()).then_some(letter)
}

fn has_vowel(word: &str) -> bool {
    word.contains(['a', 'e', 'i', 'o', 'u', 'y'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_put_together() {
        for (text, id) in [
            ("LN123456", Some("LN123456")),
            ("l n one two three four five six", Some("LN123456")),
            ("it's L for London N for Nancy 1 2 3 4 5 6", Some("LN123456")),
            ("L as in lemon, N as in nose, 123456", Some("LN123456")),
            ("lima november one twenty three", Some("LN123")),
            ("my booking id is b k double five triple zero", Some("BK55000")),
            ("LN 123456", Some("LN123456")),
            ("A B dash four oh seven", Some("AB407")),
            ("el en one to three for", Some("LN1234")),
            ("double u x one", Some("WX1")),
            ("I don't have it", None),
            ("what is that", None),
            ("a moment", None),
            ("double", None),
            ("a b double double", None),
            ("triple", None),
        ] {
            assert_eq!(spelled(&Words::of(text), Alphabet::Mixed, 3).as_deref(), id, "{text}");
        }
    }

    #[test]
    fn phone_numbers_are_put_together() {
        for (text, digits) in [
            ("98765 43210", Some("9876543210")),
            ("nine eight seven six five, four three two one oh", Some("9876543210")),
            ("+91 98765 43210", Some("919876543210")),
            ("double nine eight seven triple six five four three", Some("9987666543")),
            ("my number is 555-123-4567", Some("5551234567")),
            ("two one two five five five there one five five", Some("2125550155")),
            ("there are one two of us", None),
            ("five", None),
        ] {
            assert_eq!(spelled(&Words::of(text), Alphabet::Digits, 7).as_deref(), digits, "{text}");
        }
    }
}
