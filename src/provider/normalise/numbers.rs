//! Numbers in text: grouped, decimal, ordinal, percent, with units, fractions, ranges of years, plain. Decides from the
//! form and the words before whether a run of digits is a quantity, a year or a code; never reads money or dates.

use super::dates::ordinal_suffix;
use super::number::{self, System};
use super::scan::{Cue, Recent, Spoken, Text};

/// A number as written: its digits, its fraction's digits, its groups.
pub(super) struct Quantity {
    pub(super) whole: String,
    pub(super) fraction: String,
    pub(super) system: System,
    grouped: bool,
    pub(super) end: usize,
}

/// The longest run of digits that is read as a quantity; longer ones are read digit by digit.
const QUANTITY_DIGITS: usize = 15;
/// An ungrouped run of this length is an id unless it is round.
const ID_DIGITS: usize = 7;

/// The number at `at`: digits, perhaps in groups by commas, perhaps with a fraction.
pub(super) fn quantity(text: Text<'_>, at: usize) -> Option<Quantity> {
    let first_end = text.digits(at);
    if first_end == at || first_end - at > QUANTITY_DIGITS {
        return None;
    }
    let mut whole = text.slice(at, first_end);
    let (mut end, mut system, mut grouped) = (first_end, System::Western, false);
    if first_end - at <= 3
        && let Some((digits, groups_end, groups)) = comma_groups(text, first_end)
        && whole.len() + digits.len() <= QUANTITY_DIGITS
    {
        whole.push_str(&digits);
        (end, system, grouped) = (groups_end, groups, true);
    }
    let mut fraction = String::new();
    if text.at(end) == '.' && text.at(end + 1).is_ascii_digit() {
        let fraction_end = text.digits(end + 1);
        // "1.2.3" is no decimal.
        if !(text.at(fraction_end) == '.' && text.at(fraction_end + 1).is_ascii_digit()) && fraction_end - end < 16 {
            fraction = text.slice(end + 1, fraction_end);
            end = fraction_end;
        }
    }
    Some(Quantity { whole, fraction, system, grouped, end })
}

/// The groups behind the first: ",000,000" is western, ",50,000" Indian.
fn comma_groups(text: Text<'_>, from: usize) -> Option<(String, usize, System)> {
    let mut groups: Vec<(usize, usize)> = Vec::new();
    let mut end = from;
    while text.at(end) == ',' && groups.len() < 6 {
        let group_end = text.digits(end + 1);
        if !(2..=3).contains(&(group_end - end - 1)) {
            break;
        }
        groups.push((end + 1, group_end));
        end = group_end;
    }
    let (last, leading) = groups.split_last()?;
    if last.1 - last.0 != 3 {
        return None;
    }
    let size = leading.first().map_or(3, |(start, end)| end - start);
    if leading.iter().any(|(start, end)| end - start != size) {
        return None;
    }
    let system = if size == 2 { System::Indian } else { System::Western };
    Some((groups.iter().map(|&(start, end)| text.slice(start, end)).collect(), end, system))
}

/// A magnitude behind a number: "5 lakh", "2.5 million", "10k". `money`: a sign stood before, so "5L" and "2M" count.
pub(super) fn magnitude(text: Text<'_>, end: usize, money: bool) -> Option<(&'static str, usize)> {
    let at = text.spaces(end);
    let (word, word_end) = text.word(at);
    if !text.breaks(word_end) {
        return None;
    }
    let name = match word.as_str() {
        "lakh" | "lakhs" | "lac" | "lacs" => "lakh",
        "crore" | "crores" | "cr" => "crore",
        "thousand" => "thousand",
        "million" | "mn" | "mln" => "million",
        "billion" | "bn" => "billion",
        "k" if at == end => "thousand",
        "l" if at == end && money => "lakh",
        "m" if at == end && money => "million",
        "b" if at == end && money => "billion",
        _ => return None,
    };
    Some((name, word_end))
}

/// Reads any other number that starts at `at`.
pub(super) fn read(text: Text<'_>, at: usize, recent: &Recent) -> Option<Spoken> {
    if let Some(counted) = counted(text, at) {
        return Some(counted);
    }
    if !text.at(at).is_ascii_digit() {
        return None;
    }
    if let Some(spoken) = suffixed(text, at) {
        return Some(spoken);
    }
    if let Some(spoken) = fraction(text, at, recent).or_else(|| dotted(text, at)) {
        return Some(spoken);
    }
    let run_end = text.digits(at);
    let Some(quantity) = quantity(text, at) else {
        let groups = number::listening_groups(&text.slice(at, run_end));
        return Some(Spoken::value(number::digit_groups(&groups), run_end));
    };
    if text.at(quantity.end).is_alphabetic() {
        return None;
    }
    let Quantity { whole, fraction, system, grouped, end } = quantity;
    if !fraction.is_empty() || grouped {
        return Some(Spoken::value(number::decimal(&whole, &fraction, system), end));
    }
    Some(Spoken::value(plain(text, &whole, end, recent), end))
}

/// A run of digits without any sign of what it is.
fn plain(text: Text<'_>, run: &str, end: usize, recent: &Recent) -> String {
    let zeros = run.len() - run.trim_end_matches('0').len();
    let code = recent.cue() == Some(Cue::Digits) && run.len() >= 3;
    let called =
        recent.holds(&["dial", "call"]) && matches!(run, "911" | "112" | "999" | "100" | "108" | "101" | "102" | "767");
    let id = run.len() >= ID_DIGITS && zeros * 2 < run.len();
    if code || called || id || (run.len() > 1 && run.starts_with('0')) {
        return number::digit_groups(&if run.len() > 6 { number::listening_groups(run) } else { vec![run.to_owned()] });
    }
    match run.parse() {
        Ok(value) if is_year(text, value, end, recent) => number::year(value),
        Ok(value) => number::cardinal(value),
        Err(_) => number::digits(run),
    }
}

/// Whether the words around let a number be a year.
fn is_year(text: Text<'_>, value: u64, end: usize, recent: &Recent) -> bool {
    if !(1_900..2_100).contains(&value) {
        return false;
    }
    let before = recent.last_lower();
    let dated =
        recent.cue() == Some(Cue::Date) || matches!(before.as_str(), "in" | "of" | "copyright" | "fy" | "and" | "to");
    let named = super::dates::month_of(&before).is_some();
    let (next, _) = text.word(text.spaces(end));
    // "in 2000 cities" counts; "in 2026 we" and "in 2026." do not.
    let counts = next.len() > 3 && next.ends_with('s') && next != "this";
    // "2019-2021", "2024-25": the second year has the first before it.
    let range = matches!(text.at(end), '-' | '–') && matches!(text.digits(end + 1) - end - 1, 2 | 4)
        || before.len() == 4
            && before.parse().is_ok_and(|first: u64| (1_900..2_100).contains(&first) && first <= value);
    named || range || (dated && !counts)
}

/// "#12", "No. 5", "Nos. 3".
fn counted(text: Text<'_>, at: usize) -> Option<Spoken> {
    if text.at(at) == '#' && text.at(at + 1).is_ascii_digit() {
        return Some(Spoken::words("number", at + 1));
    }
    let (word, end) = text.word(at);
    if !matches!(word.as_str(), "no" | "nos" | "nr") || text.at(end) != '.' {
        return None;
    }
    let next = text.spaces(end + 1);
    let named = text.at(next).is_ascii_digit()
        || (text.at(next).is_uppercase() && text.run(next, char::is_alphanumeric) > text.letters(next));
    named.then(|| Spoken::words(if word == "nos" { "numbers" } else { "number" }, end + 1))
}

/// A number whose letters or sign belong to it: "1st", "12.5%", "5kg", "10k", "3x", "1990s".
pub(super) fn suffixed(text: Text<'_>, at: usize) -> Option<Spoken> {
    let digits_end = text.digits(at);
    if let Some(end) = ordinal_suffix(text, digits_end)
        && let Some((value, _)) = text.number(at, QUANTITY_DIGITS)
    {
        return Some(Spoken::value(number::ordinal(value), end));
    }
    if let Some(decade) = decade(text, at, digits_end) {
        return Some(decade);
    }
    let quantity = quantity(text, at)?;
    let words = || number::decimal(&quantity.whole, &quantity.fraction, quantity.system);
    let one = quantity.whole == "1" && quantity.fraction.is_empty();
    let percent = text.spaces(quantity.end);
    if text.at(percent) == '%' {
        return Some(Spoken::value(format!("{} percent", words()), percent + 1));
    }
    if let Some((name, end)) = magnitude(text, quantity.end, false) {
        return Some(Spoken::value(format!("{} {name}", words()), end));
    }
    if text.at(quantity.end) == '°' {
        let (scale, end) = match text.at(quantity.end + 1) {
            'C' if text.breaks(quantity.end + 2) => (" Celsius", quantity.end + 2),
            'F' if text.breaks(quantity.end + 2) => (" Fahrenheit", quantity.end + 2),
            _ => ("", quantity.end + 1),
        };
        return Some(Spoken::value(format!("{} {}{scale}", words(), if one { "degree" } else { "degrees" }), end));
    }
    let at_once = text.at(quantity.end).is_alphabetic();
    let (name, end) = unit(text, text.spaces(quantity.end), at_once, one)?;
    Some(Spoken::value(format!("{} {name}", words()), end))
}

/// "1990s" → "nineteen nineties".
fn decade(text: Text<'_>, at: usize, digits_end: usize) -> Option<Spoken> {
    let (value, _) =
        text.number(at, 4).filter(|(value, _)| (1_000..3_000).contains(value) && value.is_multiple_of(10))?;
    let end = digits_end + 1 + usize::from(text.at(digits_end) == '\'');
    if text.at(end - 1) != 's' || !text.breaks(end) {
        return None;
    }
    let year = number::year(value);
    let words = year.strip_suffix('y').map_or_else(|| format!("{year}s"), |stem| format!("{stem}ies"));
    Some(Spoken::words(words, end))
}

/// Units by their short names: short, one, many. Those of one letter count only right behind the number.
const UNITS: [(&str, &str, &str); 38] = [
    ("km", "kilometer", "kilometers"),
    ("kms", "kilometer", "kilometers"),
    ("m", "meter", "meters"),
    ("cm", "centimeter", "centimeters"),
    ("mm", "millimeter", "millimeters"),
    ("ft", "foot", "feet"),
    ("kg", "kilogram", "kilograms"),
    ("kgs", "kilogram", "kilograms"),
    ("g", "gram", "grams"),
    ("gm", "gram", "grams"),
    ("gms", "gram", "grams"),
    ("mg", "milligram", "milligrams"),
    ("lb", "pound", "pounds"),
    ("lbs", "pound", "pounds"),
    ("oz", "ounce", "ounces"),
    ("l", "liter", "liters"),
    ("ltr", "liter", "liters"),
    ("ltrs", "liter", "liters"),
    ("ml", "milliliter", "milliliters"),
    ("h", "hour", "hours"),
    ("hr", "hour", "hours"),
    ("hrs", "hour", "hours"),
    ("min", "minute", "minutes"),
    ("mins", "minute", "minutes"),
    ("s", "second", "seconds"),
    ("sec", "second", "seconds"),
    ("secs", "second", "seconds"),
    ("ms", "millisecond", "milliseconds"),
    ("yr", "year", "years"),
    ("yrs", "year", "years"),
    ("kb", "kilobyte", "kilobytes"),
    ("mb", "megabyte", "megabytes"),
    ("gb", "gigabyte", "gigabytes"),
    ("tb", "terabyte", "terabytes"),
    ("kmph", "kilometer per hour", "kilometers per hour"),
    ("kwh", "kilowatt hour", "kilowatt hours"),
    ("x", "times", "times"),
    ("pcs", "piece", "pieces"),
];

fn unit(text: Text<'_>, at: usize, at_once: bool, one: bool) -> Option<(&'static str, usize)> {
    let (word, mut end) = text.word(at);
    if !text.breaks(end) || matches!(text.at(end), '-' | '_') && text.at(end + 1).is_alphanumeric() {
        return None;
    }
    if (word.len() == 1 || word == "ms") && !at_once {
        return None;
    }
    // "3 x 4" multiplies, "4G" is a name and not four grams.
    if word == "g" && text.at(at) == 'G'
        || word == "x" && !text.breaks(text.spaces(end)) && text.at(text.spaces(end)).is_ascii_digit()
    {
        return None;
    }
    if word == "km" && text.at(end) == '/' && text.at(end + 1) == 'h' && text.breaks(end + 2) {
        return Some((if one { "kilometer per hour" } else { "kilometers per hour" }, end + 2));
    }
    let &(_, singular, plural) = UNITS.iter().find(|(short, ..)| *short == word)?;
    // The dot of "5 min." goes unless it ends the sentence.
    if text.at(end) == '.' && text.at(text.spaces(end + 1)).is_lowercase() {
        end += 1;
    }
    Some((if one { singular } else { plural }, end))
}

/// "1/2", "3/4", "24/7", "2/5".
fn fraction(text: Text<'_>, at: usize, recent: &Recent) -> Option<Spoken> {
    let (top, slash) = text.number(at, 4)?;
    if text.at(slash) != '/' {
        return None;
    }
    let (bottom, end) = text.number(slash + 1, 4)?;
    if !text.breaks(end) || matches!(text.at(end), '/' | '-') && text.at(end + 1).is_alphanumeric() {
        return None;
    }
    if (top, bottom) == (24, 7) {
        return Some(Spoken::words("twenty-four seven", end));
    }
    let after_number = recent.last().chars().all(|c| c.is_ascii_digit()) && !recent.last().is_empty();
    let lead = if after_number { "and " } else { "" };
    let part = match bottom {
        2 => "half".to_owned(),
        4 => "quarter".to_owned(),
        3 | 5..=10 => number::ordinal(bottom),
        _ => String::new(),
    };
    if part.is_empty() || top >= bottom || top == 0 {
        return Some(Spoken::value(format!("{} over {}", number::cardinal(top), number::cardinal(bottom)), end));
    }
    let plural = if top == 1 { "" } else { "s" };
    Some(Spoken::value(format!("{lead}{} {part}{plural}", number::cardinal(top)), end))
}

/// "1.2.3": a version, its parts by "point".
fn dotted(text: Text<'_>, at: usize) -> Option<Spoken> {
    let end = text.run(at, |c| c.is_ascii_digit() || c == '.').min(at + 40);
    let written = text.slice(at, end);
    let parts: Vec<&str> = written.trim_end_matches('.').split('.').collect();
    if parts.len() < 3 || parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    let words: Vec<String> = parts.iter().map(|part| number::digits(part)).collect();
    Some(Spoken::words(words.join(" point "), at + written.trim_end_matches('.').chars().count()))
}
