//! The English number words below one hundred and the ordinals to twentieth: the one list that reading aloud, understanding and
//! turn-taking share. Data alone. (The word-error scorer keeps a list of its own on purpose: it is the judge.)

/// Zero to nineteen, each at its value.
pub const UNITS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];

/// Twenty to ninety in tens; the first is twice ten.
pub const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// First to twentieth, each one place before its value.
pub const ORDINALS: [&str; 20] = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
];

/// The words of the digits, each at its value.
#[must_use]
pub fn digits() -> &'static [&'static str] {
    UNITS.split_at(10).0
}
