//! Numbers as English words: cardinals (western and Indian groups), ordinals, digit by digit, years.
//! Pure arithmetic on values; never looks at text and never decides which of the readings a text wants.

use crate::units::number_words::{TENS, UNITS};

const WESTERN: [(u64, &str); 6] = [
    (1_000_000_000_000_000_000, "quintillion"),
    (1_000_000_000_000_000, "quadrillion"),
    (1_000_000_000_000, "trillion"),
    (1_000_000_000, "billion"),
    (1_000_000, "million"),
    (1_000, "thousand"),
];
const INDIAN: [(u64, &str); 3] = [(10_000_000, "crore"), (100_000, "lakh"), (1_000, "thousand")];

/// Which groups a large number is read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Thousand, million, billion.
    Western,
    /// Thousand, lakh, crore.
    Indian,
}

/// The cardinal in western groups: 15000 → "fifteen thousand", 26 → "twenty-six". Without "and".
#[must_use]
pub fn cardinal(value: u64) -> String {
    cardinal_in(value, System::Western)
}

/// The cardinal in the given groups: 150000 in Indian groups → "one lakh fifty thousand".
#[must_use]
pub fn cardinal_in(value: u64, system: System) -> String {
    let scales: &[(u64, &str)] = match system {
        System::Western => &WESTERN,
        System::Indian => &INDIAN,
    };
    let mut words = Vec::new();
    let mut rest = value;
    for &(scale, name) in scales {
        if rest >= scale {
            // The largest Indian group is open upwards ("one lakh crore"), every other one is below a thousand.
            words.push(cardinal_in(rest / scale, system));
            words.push(name.to_owned());
            rest %= scale;
        }
    }
    if rest > 0 || value == 0 {
        words.push(below_thousand(rest));
    }
    words.join(" ")
}

fn below_thousand(value: u64) -> String {
    let mut out = String::new();
    if value >= 100 {
        out.push_str(small(value / 100));
        out.push_str(" hundred");
        if value.is_multiple_of(100) {
            return out;
        }
        out.push(' ');
    }
    out.push_str(&below_hundred(value % 100));
    out
}

fn below_hundred(value: u64) -> String {
    if value < 20 {
        return small(value).to_owned();
    }
    let tens = tens(value / 10);
    if value.is_multiple_of(10) { tens.to_owned() } else { format!("{tens}-{}", small(value % 10)) }
}

fn small(value: u64) -> &'static str {
    usize::try_from(value).ok().and_then(|v| UNITS.get(v)).copied().unwrap_or("")
}

fn tens(value: u64) -> &'static str {
    usize::try_from(value).ok().and_then(|v| TENS.get(v.checked_sub(2)?)).copied().unwrap_or("")
}

/// The ordinal: 1 → "first", 22 → "twenty-second".
#[must_use]
pub fn ordinal(value: u64) -> String {
    let mut words = cardinal(value);
    let last_at = words.rfind([' ', '-']).map_or(0, |at| at + 1);
    let last = words.split_off(last_at);
    words.push_str(&ordinal_word(&last));
    words
}

fn ordinal_word(cardinal: &str) -> String {
    match cardinal {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        other => match other.strip_suffix('y') {
            Some(stem) => format!("{stem}ieth"),
            None => format!("{other}th"),
        },
    }
}

/// Digit by digit: "4821" → "four eight two one". What is no ASCII digit is left out.
#[must_use]
pub fn digits(text: &str) -> String {
    let words: Vec<&str> = text.chars().filter_map(digit).collect();
    words.join(" ")
}

/// The word for one ASCII digit.
#[must_use]
pub fn digit(c: char) -> Option<&'static str> {
    c.to_digit(10).map(|d| small(u64::from(d)))
}

/// Digit by digit with a pause (a comma) after each group: ["98765", "43210"] → "nine eight seven six five, four …".
#[must_use]
pub fn digit_groups<S: AsRef<str>>(groups: &[S]) -> String {
    let spoken: Vec<String> = groups.iter().map(|group| digits(group.as_ref())).collect();
    spoken.join(", ")
}

/// Cuts a run of digits into groups that a listener can hold: 10 → 3+3+4, 8 → 4+4, 16 → 4+4+4+4.
#[must_use]
pub fn listening_groups(run: &str) -> Vec<String> {
    let all: Vec<char> = run.chars().collect();
    let size = if all.len() >= 8 && all.len().is_multiple_of(4) { 4 } else { 3 };
    let mut groups = Vec::new();
    let mut rest = all.as_slice();
    // The last group takes up to one more digit, so that no group has a single one.
    while rest.len() > size + 1 {
        let (head, tail) = rest.split_at(size);
        groups.push(head.iter().collect());
        rest = tail;
    }
    if !rest.is_empty() {
        groups.push(rest.iter().collect());
    }
    groups
}

/// A year: 2026 → "twenty twenty-six", 1905 → "nineteen oh five", 2000 → "two thousand", 1900 → "nineteen hundred".
#[must_use]
pub fn year(value: u64) -> String {
    let (century, rest) = (value / 100, value % 100);
    if !(1_000..10_000).contains(&value) || (century.is_multiple_of(10) && rest < 10) {
        return cardinal(value);
    }
    match rest {
        0 => format!("{} hundred", below_hundred(century)),
        1..=9 => format!("{} oh {}", below_hundred(century), small(rest)),
        _ => format!("{} {}", below_hundred(century), below_hundred(rest)),
    }
}

/// A decimal given as digits: ("12", "50") → "twelve point five zero". An integer part beyond 64 bits is read digit by digit.
#[must_use]
pub fn decimal(whole: &str, fraction: &str, system: System) -> String {
    let mut out = match whole.parse() {
        Ok(value) => cardinal_in(value, system),
        Err(_) => digits(whole),
    };
    if !fraction.is_empty() {
        out.push_str(" point ");
        out.push_str(&digits(fraction));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cardinals_read_in_both_systems() {
        assert_eq!(cardinal(0), "zero");
        assert_eq!(cardinal(26), "twenty-six");
        assert_eq!(cardinal(100), "one hundred");
        assert_eq!(cardinal(15_000), "fifteen thousand");
        assert_eq!(cardinal(1_002_003), "one million two thousand three");
        assert_eq!(cardinal_in(150_000, System::Indian), "one lakh fifty thousand");
        assert_eq!(
            cardinal_in(12_345_678, System::Indian),
            "one crore twenty-three lakh forty-five thousand six hundred seventy-eight"
        );
        assert_eq!(cardinal_in(1_000_000_000_000, System::Indian), "one lakh crore");
        assert!(cardinal(u64::MAX).starts_with("eighteen quintillion"));
    }

    #[test]
    fn ordinals_change_only_the_last_word() {
        for (value, words) in [
            (1, "first"),
            (2, "second"),
            (12, "twelfth"),
            (20, "twentieth"),
            (22, "twenty-second"),
            (100, "one hundredth"),
        ] {
            assert_eq!(ordinal(value), words);
        }
    }

    #[test]
    fn years_read_in_pairs() {
        for (value, words) in [
            (2026, "twenty twenty-six"),
            (2000, "two thousand"),
            (2005, "two thousand five"),
            (1905, "nineteen oh five"),
            (1900, "nineteen hundred"),
            (1982, "nineteen eighty-two"),
        ] {
            assert_eq!(year(value), words);
        }
    }

    #[test]
    fn digit_runs_are_cut_for_the_ear() {
        assert_eq!(listening_groups("8012345678"), ["801", "234", "5678"]);
        assert_eq!(listening_groups("12345678"), ["1234", "5678"]);
        assert_eq!(listening_groups("1234567"), ["123", "4567"]);
        assert_eq!(digit_groups(&["12", "30"]), "one two, three zero");
    }
}
