//! The published scorer: word error rates after one normaliser for numbers, money, dates, case and spelling variants.
//! Never shares code with the voice's own normaliser beyond the calendar, so that a misreading there counts as an error here.
//!
//! Canonical form: lower-case words; a run of adjacent number words and digits is one string of digits ("nine eight seven" =
//! "987", "fifteen thousand" = "15,000" = "15000", "twenty twenty-six" = "2026"); a date is month, day, year; an amount is
//! number and currency word, its hundredths a second number; contractions are written out; British spellings become American;
//! single letters in a row are one word ("E M I" = "emi"). In the alignment a word also equals the pieces it was cut into
//! ("web site" = "website"). A number counts as one word, so a wrong digit in it is one error.
//!
//! Not read here, so that no order or currency is guessed: local dates in digits, mark-up, masks, amounts that only their
//! context marks as money. Where a text has those, score against the words that were sent to the voice.

mod align;
mod numerals;
mod variants;
mod written;

pub use align::{WordErrors, raw_errors, word_errors};

/// The canonical words of a text, written or spoken: see the module's text for the form.
#[must_use]
pub fn canonical_words(text: &str) -> Vec<String> {
    let tokens = written::tokens(text);
    let tokens = variants::plain(tokens);
    let tokens = numerals::joined(tokens);
    letters_joined(tokens)
}

/// The words with nothing but case and punctuation removed: what the raw figure counts.
#[must_use]
pub fn raw_words(text: &str) -> Vec<String> {
    let words =
        text.split(|c: char| !(c.is_alphanumeric() || c == '\'')).map(|word| word.trim_matches('\'').to_lowercase());
    words.filter(|word| !word.is_empty()).collect()
}

/// Runs of single letters as one word.
fn letters_joined(words: Vec<String>) -> Vec<String> {
    let single = |word: &str| word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    let mut in_run = false;
    for word in words {
        let letter = single(&word);
        match out.last_mut() {
            Some(last) if letter && in_run => last.push_str(&word),
            _ => out.push(word),
        }
        in_run = letter;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::normalise::number::{System, cardinal, cardinal_in, digits, ordinal, year};
    use proptest::prelude::*;

    fn canonical(text: &str) -> String {
        canonical_words(text).join(" ")
    }

    #[test]
    fn what_sounds_the_same_is_the_same() {
        for (written, heard) in [
            ("₹15000", "fifteen thousand rupees"),
            ("Rs. 15,000", "15000 rupees"),
            ("$50", "Fifty dollars."),
            ("$78.34", "seventy-eight dollars and thirty-four cents"),
            ("₹1,50,000", "one lakh fifty thousand rupees"),
            ("₹2.5 lakh", "2,50,000 rupees"),
            ("₹15,000.50", "fifteen thousand rupees and fifty paise"),
            ("₦5000", "five thousand naira"),
            ("2026-05-01", "May 1st, 2026"),
            ("1 May 2026", "May first, twenty twenty-six"),
            ("14th of July 1982", "July fourteenth nineteen eighty two"),
            ("47912", "four seven nine one two"),
            ("LN123456", "L N 1 2 3 4 5 6"),
            ("ln123456", "L N one two three four five six"),
            ("c_54fa89d1", "C underscore five four F A eight nine D one"),
            ("+919876543210", "plus nine one, nine eight seven six five, four three two one zero"),
            ("+91 98765 43210", "+91-98765-43210"),
            ("14:30", "2:30 PM"),
            ("2:30 p.m.", "two thirty P M"),
            ("9 am", "9:00 a.m."),
            ("9:05", "nine oh five"),
            ("12.5%", "twelve point five per cent"),
            ("235 items", "two hundred and thirty-five items"),
            ("the 22nd", "the twenty second"),
            ("We apologise, it's the colour", "we apologize it is the color"),
            ("I can't, you won't, don't", "I cannot you will not do not"),
            ("Mr. Sharma", "mister Sharma"),
            ("EMI", "E M I"),
            ("Dr. Rao & Co", "Doctor Rao and co"),
            ("a@b.com", "a at b dot com"),
            ("website", "web site"),
            ("double five", "55"),
            ("okay", "OK"),
            ("two thousand and six", "2006"),
            ("a hundred rupees", "₹100"),
            ("#12", "number twelve"),
            ("$1.01", "one dollar and one cent"),
            ("2-3 days", "two to three days"),
            ("5 km", "five kilometers"),
            ("José's café", "Joses cafe"),
            ("May 2026", "May twenty twenty-six"),
        ] {
            let errors = word_errors(written, heard);
            assert_eq!(
                errors.total(),
                0,
                "{written} [{}] and {heard} [{}]: {errors:?}",
                canonical(written),
                canonical(heard)
            );
        }
    }

    #[test]
    fn what_sounds_different_stays_different() {
        for (one, other) in [
            ("fifteen", "fifty"),
            ("15000", "50000"),
            ("₹15000", "$15000"),
            ("fifteen thousand", "fifty thousand"),
            ("2026-05-01", "2026-05-02"),
            ("2026-05-01", "2026-01-05"),
            ("LN123456", "LN123457"),
            ("14:30", "2:30 am"),
            ("one lakh", "one thousand"),
            ("Rahul Sharma", "Rahul"),
            ("can", "can't"),
            ("$78.34", "$78.43"),
            ("1.5", "15"),
            ("one hundred five", "one hundred fifty"),
        ] {
            assert!(word_errors(one, other).total() > 0, "{one} and {other}: {}", canonical(one));
        }
    }

    #[test]
    fn canonical_forms_are_the_documented_ones() {
        assert_eq!(canonical("₹15,000.50 due 1 May 2026 at 14:30"), "15000 rupees 50 paise due may 1 2026 at 230 pm");
        assert_eq!(canonical("between five hundred and six hundred"), "between 500 and 600");
        assert_eq!(canonical("nineteen hundred"), "1900");
        assert_eq!(canonical("the EMI's due"), "the emis due");
        assert_eq!(raw_words("Don't — STOP, 'now'!"), ["don't", "stop", "now"]);
    }

    fn number_word() -> impl Strategy<Value = &'static str> {
        proptest::sample::select(vec![
            "one",
            "twenty",
            "nineteen",
            "hundred",
            "thousand",
            "lakh",
            "crore",
            "trillion",
            "and",
            "a",
            "point",
            "oh",
            "double",
            "second",
            "th",
            "hundredth",
            "15",
            "2.5",
            "99999999999999999999",
            "may",
            "of",
            "rupees",
            "paise",
            "1st",
            "18446744073709551615",
        ])
    }

    proptest! {
        #[test]
        fn number_words_read_back(value in 0_u64..10_000_000_000) {
            prop_assert_eq!(canonical(&cardinal(value)), value.to_string());
            prop_assert_eq!(canonical(&cardinal_in(value, System::Indian)), value.to_string());
            prop_assert_eq!(canonical(&digits(&value.to_string())), value.to_string());
        }

        #[test]
        fn ordinals_and_years_read_back(value in 1_000_u64..3_000) {
            prop_assert_eq!(canonical(&year(value)), value.to_string());
            let written = canonical(&ordinal(value));
            prop_assert!(written.starts_with(&value.to_string()), "{}", written);
        }

        #[test]
        fn any_heap_of_number_words_is_read(words in proptest::collection::vec(number_word(), 0..24)) {
            let text = words.join(" ");
            prop_assert_eq!(word_errors(&text, &text).total(), 0);
        }

        #[test]
        fn any_text_equals_itself(text in any::<String>()) {
            let errors = word_errors(&text, &text);
            prop_assert_eq!(errors.total(), 0);
        }
    }
}
