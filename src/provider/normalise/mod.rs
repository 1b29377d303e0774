//! The normaliser: the text of a bot becomes plain English words for the voice. Dates, times, money, numbers to call, ids and
//! addresses are read as a person would; mark-up, template tokens and symbols never reach the voice.
//!
//! Three passes, each linear: characters ([`clean`]), mark-up ([`markup`]), then one scan from left to right that asks each
//! reader in turn. Never reads a clock, never fails, and lets out nothing but letters, spaces, inner apostrophes and hyphens,
//! and `.,?!;:`. Numbers are read in English whatever the voice's language; the language decides day or month first and
//! whether accents on Latin letters stay.

mod clean;
pub(crate) mod dates;
mod ids;
mod markup;
mod money;
pub mod number;
mod numbers;
mod phone;
mod scan;
mod speech;
mod times;
mod web;
mod words;

#[cfg(test)]
mod tests;

use crate::provider::Voice;
use unicode_normalization::char::is_combining_mark;

use scan::{Recent, Spoken, Text};
use speech::Speech;

/// The longest text that is read, in characters; the rest is left away.
const INPUT_LIMIT_CHARS: usize = 16_000;
/// The longest text that goes to the voice at once, in characters; cut at the end of a sentence.
const OUTPUT_LIMIT_CHARS: usize = 4_000;
/// The longest respelling of one word.
const RESPELLING_LIMIT_CHARS: usize = 200;

/// The words a caller should hear for `text`, at most 4,000 characters of letters, spaces, inner `'` and `-`, and `.,?!;:`.
///
/// A lone capital letter in the result is always the letter's name ("A T M", "nine A M"); the article that opens a sentence
/// comes out as "a". A G2P may rely on that.
#[must_use]
pub fn speakable(text: &str, voice: &Voice) -> String {
    speak(text, voice, &voice.pronounce, OUTPUT_LIMIT_CHARS)
}

fn speak(text: &str, voice: &Voice, pronounce: &[(String, String)], limit_chars: usize) -> String {
    let text = match text.char_indices().nth(INPUT_LIMIT_CHARS) {
        Some((end, _)) => text.get(..end).unwrap_or(text),
        None => text,
    };
    let english = voice.language.is_empty() || primary(&voice.language).eq_ignore_ascii_case("en");
    let plain = markup::without_markup(&clean::plain_characters(text, english));
    let mut chars: Vec<char> = Vec::with_capacity(plain.len());
    for c in plain.chars() {
        // Removed mark-up may have put a stray mark behind a letter that has none, where it would hide the word from its reader.
        let carries = |last: &char| !last.is_ascii() && (last.is_alphabetic() || is_combining_mark(*last));
        let stray = is_combining_mark(c) && !chars.last().is_some_and(carries);
        if !stray {
            chars.push(c);
        }
    }
    let scan = Scan {
        text: Text(&chars),
        voice,
        pronounce,
        day_first: !month_first(&voice.language),
        shouting: words::is_shouting(&chars),
        at: 0,
        recent: Recent::default(),
        speech: Speech::default(),
        ranged: false,
    };
    scan.run().finish(limit_chars)
}

fn primary(language: &str) -> &str {
    language.split(['-', '_']).next().unwrap_or("")
}

/// The United States and their neighbours in custom write the month first; all others write the day first.
fn month_first(language: &str) -> bool {
    language
        .split(['-', '_'])
        .skip(1)
        .any(|part| matches!(part.to_ascii_uppercase().as_str(), "US" | "PH" | "PR" | "FM"))
}

/// One scan over one text.
struct Scan<'a> {
    text: Text<'a>,
    voice: &'a Voice,
    pronounce: &'a [(String, String)],
    day_first: bool,
    shouting: bool,
    at: usize,
    recent: Recent,
    speech: Speech,
    /// The last thing said was a value that ended right here.
    ranged: bool,
}

impl Scan<'_> {
    fn run(mut self) -> Speech {
        while self.at < self.text.0.len() {
            self.step();
        }
        self.speech
    }

    fn step(&mut self) {
        let (at, c) = (self.at, self.text.at(self.at));
        let fresh =
            !self.text.before(at).is_alphanumeric() || c.is_ascii_digit() != self.text.before(at).is_ascii_digit();
        if fresh && !c.is_whitespace() {
            if let Some(spoken) = web::read(self.text, at) {
                return self.say(&spoken);
            }
            if let Some((said, end)) = words::pronounced(self.text, at, self.pronounce) {
                let said = speak(said, self.voice, &[], RESPELLING_LIMIT_CHARS);
                return self.say(&Spoken::words(said, end));
            }
            if let Some(spoken) = self.readers(at) {
                return self.say(&spoken);
            }
        }
        if c.is_alphanumeric() {
            self.word();
        } else {
            self.symbol(c);
        }
    }

    /// The readers, the surest first.
    fn readers(&self, at: usize) -> Option<Spoken> {
        let (text, recent) = (self.text, &self.recent);
        ids::masked(text, at, recent)
            .or_else(|| dates::read(text, at, recent, self.day_first))
            .or_else(|| times::read(text, at))
            .or_else(|| money::read(text, at, recent, &self.voice.currency))
            .or_else(|| phone::read(text, at))
            .or_else(|| if numbers::suffixed(text, at).is_some() { None } else { ids::read(text, at) })
            .or_else(|| numbers::read(text, at, recent))
            .or_else(|| words::read(text, at, recent, self.shouting))
    }

    fn say(&mut self, spoken: &Spoken) {
        let written = self.text.slice(self.at, spoken.end);
        // An abbreviation tells what follows by its full form ("Acct." → "account"), initials by themselves ("OTP").
        let full = spoken.words.split(' ').any(|word| word.chars().filter(|c| c.is_alphabetic()).count() > 2);
        self.recent.note(if full && !spoken.ranged { &spoken.words } else { &written });
        self.speech.push(&spoken.words);
        self.ranged = spoken.ranged;
        self.at = spoken.end.max(self.at + 1);
    }

    /// A word as it stands, up to its last letter.
    fn word(&mut self) {
        let end = self.text.run(self.at, |c| c.is_alphabetic() || is_combining_mark(c));
        let end = end.max(self.at + 1);
        let word = self.text.slice(self.at, end);
        self.recent.note(&word);
        self.speech.glue(&word);
        self.ranged = false;
        self.at = end;
    }

    /// A sign: a pause, a word, or nothing.
    fn symbol(&mut self, c: char) {
        let (at, text) = (self.at, self.text);
        let (before, after) = (text.before(at), text.at(at + 1));
        self.at += 1;
        match c {
            ' ' => return self.speech.space(),
            '\n' => {
                if !self.speech.at_pause() {
                    self.speech.mark('.');
                }
                self.recent.forget();
            }
            '.' | '!' | '?' => {
                self.speech.mark(c);
                self.recent.forget();
            }
            '-' | '–' | '—' => self.dash(c, before, after),
            ',' | ';' => self.speech.mark(c),
            ':' if self.ranged && before.is_ascii_digit() && after.is_ascii_digit() => self.speech.push("to"),
            ':' => self.speech.mark(c),
            '\'' => self.speech.glue("'"),
            '/' => self.slash(before, after),
            '(' | ')' if before.is_alphanumeric() || after.is_whitespace() || before == ' ' => self.bracket(c),
            _ => self.sign(c, before),
        }
        self.ranged = false;
    }

    fn dash(&mut self, c: char, before: char, after: char) {
        let next = self.text.spaces(self.at);
        let value_next = self.text.at(next).is_ascii_digit() || money::starts(self.text, next);
        if self.ranged && value_next {
            self.speech.push("to");
        } else if value_next && next == self.at && c == '-' && !before.is_alphanumeric() {
            self.speech.push("minus");
        } else if c == '-' && before.is_alphabetic() && after.is_alphabetic() {
            self.speech.glue("-");
        } else if before.is_alphanumeric() && after.is_alphanumeric() && c == '-' {
            self.speech.space();
        } else {
            self.speech.mark(',');
        }
    }

    /// "₹500/month" is per month, "yes/no" an either-or; elsewhere a slash is a gap.
    fn slash(&mut self, before: char, after: char) {
        const PERIODS: [&str; 18] = [
            "month", "mo", "year", "yr", "day", "week", "hour", "hr", "person", "unit", "night", "kg", "km", "piece",
            "item", "min", "minute", "call",
        ];
        let (word, end) = self.text.word(self.at);
        if self.ranged && PERIODS.contains(&word.as_str()) {
            let full = match word.as_str() {
                "mo" => "month",
                "yr" => "year",
                "hr" => "hour",
                "min" => "minute",
                "kg" => "kilogram",
                "km" => "kilometer",
                other => other,
            };
            self.speech.push(&format!("per {full}"));
            self.at = end;
        } else if before.is_ascii_digit() && after.is_ascii_digit() {
            self.speech.push("slash");
        } else if before.is_alphabetic() && after.is_alphabetic() && word != "or" && self.recent.last_lower() != "and" {
            self.speech.push("or");
        } else {
            self.speech.space();
        }
    }

    /// A bracket is a short pause where words stand on both of its sides.
    fn bracket(&mut self, c: char) {
        if c == '(' || self.text.at(self.at) == ' ' { self.speech.mark(',') } else { self.speech.space() }
    }

    fn sign(&mut self, c: char, before: char) {
        let next = self.text.at(self.text.spaces(self.at));
        let words = match c {
            '&' => "and",
            '@' if next.is_alphanumeric() => "at",
            '+' if before.is_alphanumeric() || next.is_ascii_digit() => "plus",
            '%' => "percent",
            '=' if next.is_alphanumeric() || next == '-' => "equals",
            '°' => "degrees",
            '×' | '*' if next.is_ascii_digit() && (before == ' ' || before.is_ascii_digit()) => "times",
            '÷' => "divided by",
            '±' => "plus or minus",
            '<' if next.is_ascii_digit() => "less than",
            '>' if next.is_ascii_digit() => "more than",
            '≤' => "at most",
            '≥' => "at least",
            '~' | '≈' if next.is_ascii_digit() => "about",
            '§' => "section",
            _ => return self.unspoken(c, before),
        };
        self.speech.push(words);
        self.recent.note(words);
    }

    /// A sign that nobody says. A combining mark stays with its letter.
    fn unspoken(&mut self, c: char, before: char) {
        if is_combining_mark(c) && before.is_alphabetic() {
            self.speech.glue(c.encode_utf8(&mut [0; 4]));
        } else {
            self.speech.space();
        }
    }
}
