//! Numbers and amounts, in digits and in words, Western and Indian scales: `15,000`, `fifteen hundred`, `2.5 lakh`, `one
//! fifty`. Words are taken exactly: a slip makes another amount. Never decides whether an amount is accepted.

use super::lexicon::likeness;
use super::words::Words;
use crate::units::number_words::{TENS, UNITS};

/// A number at a place of an utterance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The value.
    pub value: f64,
    /// First word.
    pub start: usize,
    /// First word after it.
    pub end: usize,
    /// A currency stands beside it.
    pub marked: bool,
}

/// Spellings that recognisers produce.
const VARIANTS: &[(&str, &str)] = &[
    ("fourty", "forty"),
    ("ninty", "ninety"),
    ("fiften", "fifteen"),
    ("fivteen", "fifteen"),
    ("twelf", "twelve"),
    ("eigth", "eight"),
    ("sevn", "seven"),
    ("tree", "three"),
    ("nought", "zero"),
    ("naught", "zero"),
    ("nil", "zero"),
    ("thousands", "thousand"),
    ("hundreds", "hundred"),
    ("hundered", "hundred"),
    ("thousant", "thousand"),
    ("thousan", "thousand"),
    ("tousand", "thousand"),
];

/// The value of a word below one hundred.
#[must_use]
pub fn small(word: &str) -> Option<u64> {
    let word = VARIANTS.iter().find(|(heard, _)| *heard == word).map_or(word, |(_, meant)| meant);
    if let Some(at) = UNITS.iter().position(|unit| *unit == word) {
        return Some(at as u64);
    }
    TENS.iter().position(|ten| *ten == word).map(|at| (at as u64 + 2) * 10)
}

fn scale(word: &str) -> Option<f64> {
    let word = VARIANTS.iter().find(|(heard, _)| *heard == word).map_or(word, |(_, meant)| meant);
    Some(match word {
        "hundred" => 100.0,
        "thousand" | "k" | "grand" => 1_000.0,
        "lakh" | "lakhs" | "lac" | "lacs" | "lack" | "lak" => 100_000.0,
        "million" => 1_000_000.0,
        "crore" | "crores" | "cr" => 10_000_000.0,
        // A scale that is nearly right must not shrink the amount to its head; it is read back anyway.
        _ if likeness(word, "thousand") >= 0.9 => 1_000.0,
        _ if likeness(word, "hundred") >= 0.9 => 100.0,
        _ => return None,
    })
}

/// Is the word a currency.
#[must_use]
pub fn is_currency(word: &str) -> bool {
    matches!(
        word,
        "$" | "€"
            | "£"
            | "₹"
            | "₦"
            | "rs"
            | "inr"
            | "usd"
            | "ngn"
            | "eur"
            | "gbp"
            | "rupee"
            | "rupees"
            | "dollar"
            | "dollars"
            | "naira"
            | "euro"
            | "euros"
            | "pound"
            | "pounds"
            | "bucks"
            | "rupis"
            | "nairas"
    )
}

fn digits(word: &str) -> Option<f64> {
    let plain = word.chars().all(|c| c.is_ascii_digit() || c == '.') && word.starts_with(|c: char| c.is_ascii_digit());
    // Twelve digits are more than any amount and any age.
    (plain && word.len() <= 15).then(|| word.parse().ok()).flatten()
}

/// All numbers of the utterance that are neither part of a date nor of a time nor counts of days.
#[must_use]
pub fn numbers(words: &Words) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let Some((value, end)) = number_at(words, at) else {
            at += 1;
            continue;
        };
        let after = words.text(end);
        let before = if at > 0 { words.text(at - 1) } else { "" };
        let marked = is_currency(after) || is_currency(before) || scale(words.text(end - 1)).is_some();
        if marked
            || !(counts_something(after)
                || names_a_day(before, after)
                || (before == "of"
                    && end == at + 1
                    && value <= 31.0
                    && at > 1
                    && super::date::month(words.text(at - 2)).is_some()))
        {
            found.push(Found { value, start: at, end, marked });
        }
        at = end;
    }
    found
}

fn counts_something(after: &str) -> bool {
    matches!(
        after,
        "day"
            | "days"
            | "week"
            | "weeks"
            | "month"
            | "months"
            | "year"
            | "years"
            | "hour"
            | "hours"
            | "minute"
            | "minutes"
            | "o'clock"
            | "am"
            | "pm"
            | "percent"
            | "%"
            | "times"
            | "st"
            | "nd"
            | "th"
    )
}

fn names_a_day(before: &str, after: &str) -> bool {
    super::date::month(after).is_some() || super::date::month(before).is_some()
}

/// The number that starts at word `start`, and the first word after it.
#[must_use]
pub fn number_at(words: &Words, start: usize) -> Option<(f64, usize)> {
    let mut parse = Parse::default();
    let mut at = start;
    while at < words.len() {
        let word = words.text(at);
        // A comma between digits is a list, between words and scales it is not.
        if at > start && words.all()[at].after_break && !parse.goes_on_after_break(word) {
            break;
        }
        if !parse.take(words, at) {
            break;
        }
        at += parse.taken;
    }
    parse.value().map(|value| (value, start + parse.kept))
}

#[derive(Default)]
struct Parse {
    total: f64,
    current: f64,
    /// Words eaten by the last `take`.
    taken: usize,
    /// Words up to the last one that carried value.
    kept: usize,
    seen: usize,
    any: bool,
    /// Single digits said one after the other.
    run: String,
    last_scale: f64,
}

impl Parse {
    fn goes_on_after_break(&self, word: &str) -> bool {
        self.any
            && self.last_scale >= 1000.0
            && (small(word).is_some() || digits(word).is_some_and(|value| value < self.last_scale))
    }

    fn take(&mut self, words: &Words, at: usize) -> bool {
        let word = words.text(at);
        self.taken = 1;
        let kept = if let Some(value) = small(word).map(|value| value as f64).or_else(|| digits(word)) {
            self.add(value, word)
        } else if let Some(factor) = scale(word) {
            self.multiply(factor, words, at)
        } else if matches!(word, "a" | "an") && !self.any {
            // "a hundred", "a lakh"
            scale(words.text(at + 1)).is_some() && {
                self.current = 1.0;
                self.any = true;
                true
            }
        } else if word == "and" && self.any {
            self.and(words, at)
        } else if word == "half" && !self.any && scale(words.text(at + 1)).is_some() {
            self.current = 0.5;
            self.any = true;
            true
        } else if words.stands_at(at, &["half", "a"]) && !self.any && scale(words.text(at + 2)).is_some() {
            (self.current, self.taken, self.any) = (0.5, 2, true);
            true
        } else if word == "point" && self.any {
            self.point(words, at)
        } else {
            return false;
        };
        if kept {
            self.seen += self.taken;
            self.kept = self.seen;
        }
        kept
    }

    fn add(&mut self, value: f64, word: &str) -> bool {
        let single = value < 10.0 && value.fract() == 0.0;
        let first = !self.any;
        self.any = true;
        if single && (first || !self.run.is_empty()) && self.last_scale == 0.0 {
            self.run.push_str(&format!("{value:.0}"));
        } else if !self.run.is_empty() && self.run.len() > 1 && !single {
            return false;
        }
        if first || self.current == 0.0 {
            self.current = value;
            return true;
        }
        let size = word.len();
        let tail = self.current % 100.0;
        if self.run.len() > 1 {
            if self.run.len() > 12 {
                return false;
            }
            self.current = self.run.parse().unwrap_or(0.0);
        } else if (tail == 0.0 && value < 100.0)
            || (tail >= 20.0 && tail % 10.0 == 0.0 && single && small(word).is_some())
        {
            self.current += value;
        } else if (10.0..100.0).contains(&value) && self.current < 100.0 {
            // "one fifty", "fifteen fifty", "twenty five fifty"
            self.current = self.current * 100.0 + value;
            self.run.clear();
        } else if size == 3 && digits(word).is_some() && self.current < 1000.0 {
            // "15 000", as some recognisers write it
            self.current = self.current * 1000.0 + value;
        } else {
            return false;
        }
        true
    }

    fn multiply(&mut self, factor: f64, words: &Words, at: usize) -> bool {
        if !self.any {
            return false;
        }
        // "k" alone is a letter unless it follows a number at once.
        if words.text(at) == "k" && at > 0 && self.current == 0.0 {
            return false;
        }
        self.run.clear();
        if factor == 100.0 {
            let below = if self.current >= 100.0 { return false } else { self.current.max(1.0) };
            self.current = below * 100.0;
        } else {
            if self.last_scale != 0.0 && factor > self.last_scale {
                self.total = (self.total + self.current) * factor;
            } else {
                self.total += if self.current == 0.0 { 1.0 } else { self.current } * factor;
            }
            self.current = 0.0;
            self.last_scale = factor;
        }
        self.last_scale = self.last_scale.max(if factor == 100.0 { 100.0 } else { factor });
        true
    }

    /// "one and a half lakh", "two hundred and fifty".
    fn and(&mut self, words: &Words, at: usize) -> bool {
        if words.stands_at(at, &["and", "a", "half"]) {
            if let Some(factor) = scale(words.text(at + 3)) {
                self.taken = 4;
                self.total += (self.current + 0.5) * factor;
                self.current = 0.0;
                self.last_scale = factor;
                return true;
            }
            return false;
        }
        let follows =
            small(words.text(at + 1)).is_some() || digits(words.text(at + 1)).is_some_and(|value| value < 100.0);
        if follows && self.last_scale >= 100.0 {
            self.run.clear();
            return true;
        }
        false
    }

    /// "two point five lakh".
    fn point(&mut self, words: &Words, at: usize) -> bool {
        let mut fraction = String::from("0.");
        let mut taken = 1;
        while let Some(value) = small(words.text(at + taken)).filter(|value| *value < 10) {
            fraction.push_str(&value.to_string());
            taken += 1;
        }
        if taken == 1 || taken > 4 {
            return false;
        }
        self.taken = taken;
        self.current += fraction.parse::<f64>().unwrap_or(0.0);
        self.run.clear();
        true
    }

    fn value(&self) -> Option<f64> {
        let value = ((self.total + self.current) * 100.0).round() / 100.0;
        (self.any && self.kept > 0 && value < 1e12).then_some(value)
    }
}

/// The amount of an utterance: a marked number before an unmarked one, the first of those.
#[must_use]
pub fn money(words: &Words) -> Option<Found> {
    let found = numbers(words);
    let marked = found.iter().find(|found| found.marked && found.value > 0.0);
    let found = marked.or_else(|| found.iter().find(|found| found.value > 0.0)).copied()?;
    let with_cents = cents(words, found);
    Some(with_cents)
}

/// "fifty dollars and twenty five cents".
fn cents(words: &Words, found: Found) -> Found {
    let mut at = found.end;
    if !is_currency(words.text(at)) {
        return found;
    }
    at += 1;
    if words.text(at) == "and" {
        at += 1;
    }
    match number_at(words, at) {
        Some((value, end))
            if value < 100.0 && matches!(words.text(end), "cents" | "cent" | "paise" | "paisa" | "kobo" | "pence") =>
        {
            Found { value: ((found.value + value / 100.0) * 100.0).round() / 100.0, end: end + 1, ..found }
        }
        _ => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_digits_and_words() {
        for (text, value) in [
            ("15,000", Some(15_000.0)),
            ("fifteen thousand", Some(15_000.0)),
            ("fifteen hundred", Some(1_500.0)),
            ("$50", Some(50.0)),
            ("one lakh", Some(100_000.0)),
            ("a lakh", Some(100_000.0)),
            ("2.5k", Some(2_500.0)),
            ("two point five lakh", Some(250_000.0)),
            ("one and a half lakh", Some(150_000.0)),
            ("half a million", Some(500_000.0)),
            ("half lakh", Some(50_000.0)),
            ("one lakh fifty thousand five hundred", Some(150_500.0)),
            ("two hundred and fifty", Some(250.0)),
            ("one fifty", Some(150.0)),
            ("twenty five fifty", Some(2_550.0)),
            ("one five zero zero", Some(1_500.0)),
            ("fifteen thousand, five hundred", Some(15_500.0)),
            ("15 thousand rupees", Some(15_000.0)),
            ("15 000", Some(15_000.0)),
            ("₹1,50,000", Some(150_000.0)),
            ("I can pay 5000 on the 5th", Some(5_000.0)),
            ("in 2 days I pay 700", Some(700.0)),
            ("on 5 may", None),
            ("fifty dollars and twenty five cents", Some(50.25)),
            ("three thousand two hundred and twelve", Some(3_212.0)),
            ("twelve hundred naira", Some(1_200.0)),
            ("zero", None),
            ("nothing at all", None),
        ] {
            assert_eq!(money(&Words::of(text)).map(|found| found.value), value, "{text}");
        }
    }
}
