//! Words: abbreviations in full, initials letter by letter, shouted words as words, the pronunciation list.
//! Names stay as they are; never reads digits.

use super::scan::{LOOK_AHEAD_CHARS, Recent, Spoken, Text};
use crate::units::number_words::digits;

/// Initials that are said letter by letter, however they are written.
pub(super) const INITIALS: [&str; 46] = [
    "emi", "otp", "kyc", "atm", "upi", "sms", "gst", "ifsc", "rtgs", "imps", "cvv", "pdf", "faq", "url", "tv", "usa",
    "uae", "hdfc", "icici", "sbi", "bvn", "ussd", "gps", "vip", "crm", "api", "ivr", "ceo", "cfo", "hr", "nri", "dob",
    "eta", "fd", "gmt", "utc", "ist", "dnd", "mms", "led", "tds", "itr", "nbfc", "pnr", "bsnl", "lpg",
];
/// Initials that are also words: letter by letter only in capitals, and not where everything is in capitals.
const CAPITAL_INITIALS: [&str; 15] =
    ["id", "us", "uk", "it", "ai", "eu", "un", "ac", "pa", "ui", "oem", "aka", "asap", "eod", "iou"];
/// Initials without a vowel that are said as words.
const SAID: [&str; 8] = ["mr", "mrs", "ms", "dr", "st", "sr", "jr", "vs"];

/// Reads a word that starts at `at` and needs another form than its own.
pub(super) fn read(text: Text<'_>, at: usize, recent: &Recent, shouting: bool) -> Option<Spoken> {
    if !text.at(at).is_alphabetic() {
        return None;
    }
    if let Some(spoken) = slashed(text, at).or_else(|| dotted_initials(text, at)) {
        return Some(spoken);
    }
    let (lower, end) = text.word(at);
    if lower.is_empty() {
        return None;
    }
    if lower == "a" && article(text, at, end, recent, shouting) {
        return Some(Spoken::words("a", end));
    }
    let between_numbers =
        || recent.last().ends_with(|c: char| c.is_ascii_digit()) && text.at(text.spaces(end)).is_ascii_digit();
    if lower == "x" && between_numbers() {
        return Some(Spoken::words("by", end));
    }
    if let Some(spoken) = abbreviation(text, at, &lower, end, recent) {
        return Some(spoken);
    }
    let written = text.slice(at, end);
    initials(&written, &lower, end, shouting).or_else(|| {
        let capitals = written.chars().count() > 1 && !written.chars().any(char::is_lowercase);
        capitals
            .then(|| Spoken::words(title_case(&written), end))
            .filter(|_| written.chars().all(|c| c.is_ascii_uppercase()))
    })
}

/// Whether a capital A is the article that opens a sentence (or is shouted), and not the letter.
fn article(text: Text<'_>, at: usize, end: usize, recent: &Recent, shouting: bool) -> bool {
    const IN_IDS: [&str; 5] = ["dash", "underscore", "slash", "point", "dot"];
    let (next, next_end) = text.word(text.spaces(end));
    let opens = recent.last().is_empty() && text.at(end) == ' ';
    let word = next_end > text.spaces(end) + 1 && !IN_IDS.iter().chain(digits()).any(|word| *word == next);
    text.at(at) == 'A' && word && (shouting || opens)
}

/// Whether letters could be a word and not initials: three or more, a vowel, not all capitals.
pub(super) fn is_wordlike(letters: &str) -> bool {
    letters.chars().count() >= 3
        && letters.chars().all(char::is_alphabetic)
        && !letters.chars().all(char::is_uppercase)
        && letters.to_lowercase().chars().any(|c| matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y') || !c.is_ascii())
}

/// Whether most of the text is in capitals, so that capitals mean nothing.
pub(super) fn is_shouting(text: &[char]) -> bool {
    let (mut capitals, mut words) = (0_usize, 0_usize);
    for word in text.split(|c| !c.is_alphabetic()).filter(|word| word.len() > 1) {
        words += 1;
        capitals += usize::from(word.iter().all(|c| c.is_uppercase()));
    }
    capitals >= 3 && capitals * 10 > words * 7
}

/// "a/c", "c/o", "w/o".
fn slashed(text: Text<'_>, at: usize) -> Option<Spoken> {
    if text.at(at + 1) != '/' {
        return None;
    }
    let (word, long) = match (text.at(at).to_ascii_lowercase(), text.at(at + 2).to_ascii_lowercase()) {
        ('a', 'c') => ("account", true),
        ('c', 'o') => ("care of", true),
        ('w', 'o') => ("without", true),
        ('w', ' ') => ("with", false),
        _ => return None,
    };
    let end = at + if long { 3 } else { 2 };
    text.breaks(end).then(|| Spoken::words(word, end))
}

/// "U.S.A.", "e.g.", "i.e.", "J. K." stay letters; the Latin ones are said in English.
fn dotted_initials(text: Text<'_>, at: usize) -> Option<Spoken> {
    let mut letters = String::new();
    let mut end = at;
    while text.at(end).is_alphabetic() && text.at(end + 1) == '.' && letters.chars().count() < 8 {
        letters.push(text.at(end));
        end += 2;
    }
    // "U.S" lacks its last dot.
    let mut dotted = true;
    if text.at(end).is_alphabetic() && text.breaks(end + 1) && !letters.is_empty() {
        letters.push(text.at(end));
        end += 1;
        dotted = false;
    }
    if letters.chars().count() < 2 || text.at(end).is_alphanumeric() {
        return None;
    }
    let mut words = match letters.to_lowercase().as_str() {
        "eg" => "for example".to_owned(),
        "ie" => "that is".to_owned(),
        _ => spell(&letters),
    };
    let next = text.at(text.run(end, char::is_whitespace));
    if dotted && (next.is_uppercase() || next == '\0') {
        words.push('.');
    }
    Some(Spoken::words(words, end))
}

/// Abbreviations: short, full, whether it needs its dot.
const ABBREVIATIONS: [(&str, &str, bool); 44] = [
    ("mr", "Mister", false),
    ("mrs", "Missus", false),
    ("dr", "Doctor", false),
    ("prof", "Professor", true),
    ("sr", "Senior", true),
    ("jr", "Junior", true),
    ("vs", "versus", false),
    ("etc", "et cetera", false),
    ("eg", "for example", false),
    ("approx", "approximately", false),
    ("dept", "department", false),
    ("govt", "government", false),
    ("ltd", "limited", false),
    ("pvt", "private", false),
    ("inc", "incorporated", true),
    ("corp", "corporation", true),
    ("co", "company", true),
    ("ave", "avenue", true),
    ("rd", "road", true),
    ("blvd", "boulevard", false),
    ("apt", "apartment", true),
    ("bldg", "building", false),
    ("ext", "extension", true),
    ("max", "maximum", true),
    ("qty", "quantity", false),
    ("amt", "amount", false),
    ("acct", "account", false),
    ("pls", "please", false),
    ("plz", "please", false),
    ("thx", "thanks", false),
    ("msg", "message", false),
    ("smt", "Shrimati", true),
    ("gen", "General", true),
    ("capt", "Captain", true),
    ("lt", "Lieutenant", true),
    ("hon", "Honorable", true),
    ("rev", "Reverend", true),
    ("ref", "reference", true),
    ("tel", "telephone", true),
    ("no", "number", true),
    ("rs", "rupees", false),
    ("inr", "rupees", false),
    ("wrt", "with respect to", false),
    ("addr", "address", false),
];

fn abbreviation(text: Text<'_>, at: usize, lower: &str, end: usize, recent: &Recent) -> Option<Spoken> {
    if !text.breaks(end) || matches!(text.at(end), '-' | '\'') && text.at(end + 1).is_alphanumeric() {
        return None;
    }
    let dotted = text.at(end) == '.';
    let next = text.at(text.spaces(end + usize::from(dotted)));
    if lower == "st" && dotted {
        // "Park St. is" or "St. Mary": a street has its name before it, a saint behind.
        let street = recent.last().starts_with(char::is_uppercase) && !next.is_uppercase();
        return Some(with_dot(if street { "Street" } else { "Saint" }, end, street && next == '\0'));
    }
    let &(_, full, needs_dot) = ABBREVIATIONS.iter().find(|(short, ..)| *short == lower)?;
    if !dotted {
        return (!needs_dot).then(|| Spoken::words(full, end));
    }
    // "I said no." and "to the max." are words; before a capital or the end the dot closes a sentence.
    let title = full.starts_with(char::is_uppercase);
    let closes = next == '\0' || (next.is_uppercase() && !title) || next == '\n';
    let word = matches!(lower, "no" | "max" | "co" | "gen" | "rev");
    if (word && (closes || lower == "no")) || (lower == "no" && !text.at(at).is_alphabetic()) {
        return None;
    }
    Some(with_dot(full, end, closes))
}

fn with_dot(full: &str, end: usize, closes: bool) -> Spoken {
    Spoken::words(if closes { format!("{full}.") } else { full.to_owned() }, end + 1)
}

/// Initials letter by letter: the known ones, and short capitals without a vowel. A plural keeps its s.
fn initials(written: &str, lower: &str, end: usize, shouting: bool) -> Option<Spoken> {
    let plural =
        written.strip_suffix('s').filter(|stem| stem.chars().count() > 1 && stem.chars().all(char::is_uppercase));
    let stem = plural.unwrap_or(written);
    let stem_lower = if plural.is_some() { lower.strip_suffix('s').unwrap_or(lower) } else { lower };
    let capitals = stem.chars().all(char::is_uppercase) && stem.chars().count() > 1;
    let voiceless = stem.chars().all(|c| c.is_ascii_alphabetic())
        && !stem_lower.chars().any(|c| matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y'))
        && stem.len() <= 4
        && !SAID.contains(&stem_lower);
    let known = INITIALS.contains(&stem_lower) && (capitals || stem == stem_lower || title_case(stem) == stem);
    // Short lower-case ones are initials of other things, too ("led", "hr" are told apart by their capitals).
    let known = known && (capitals || !matches!(stem_lower, "led" | "eta" | "hr" | "ist" | "fd" | "tds" | "itr"));
    let capital_known = capitals && !shouting && CAPITAL_INITIALS.contains(&stem_lower);
    let spelled = known || capital_known || (capitals && voiceless);
    if !spelled {
        return None;
    }
    let mut words = spell(stem);
    if plural.is_some() {
        words.push_str("'s");
    }
    Some(Spoken::words(words, end))
}

fn spell(letters: &str) -> String {
    let letters: Vec<String> = letters.chars().map(|c| c.to_ascii_uppercase().to_string()).collect();
    letters.join(" ")
}

fn title_case(word: &str) -> String {
    let mut chars = word.chars();
    let Some(first) = chars.next() else { return String::new() };
    let mut out = String::from(first);
    // A capital with an iota below grows a second capital with every mapping: only ASCII is shouted at us.
    out.extend(chars.map(|c| c.to_ascii_lowercase()));
    out
}

/// The bot's pronunciation list: the respelling of the longest listed word or phrase that stands at `at`.
pub(super) fn pronounced<'a>(text: Text<'_>, at: usize, list: &'a [(String, String)]) -> Option<(&'a str, usize)> {
    if text.before(at).is_alphanumeric() {
        return None;
    }
    let found = list.iter().filter_map(|(word, said)| Some((said.as_str(), matches_at(text, at, word)?)));
    found.max_by_key(|&(_, end)| end)
}

fn matches_at(text: Text<'_>, at: usize, word: &str) -> Option<usize> {
    let mut end = at;
    for wanted in word.chars().take(LOOK_AHEAD_CHARS) {
        let same = text.at(end) == wanted || text.at(end).to_lowercase().eq(wanted.to_lowercase());
        same.then_some(())?;
        end += 1;
    }
    (end > at && text.breaks(end)).then_some(end)
}
