//! Written forms taken apart into words: signs, amounts, dates, times, addresses, contractions stay for the next step.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::provider::normalise::dates::MONTHS;

/// The words of a text in lower case; digits keep their decimal point and lose their grouping commas.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let lower = text.to_lowercase().replace(['’', '‘'], "'");
    // Recognisers write names without accents.
    let chars: Vec<char> = lower.nfd().filter(|&c| !is_combining_mark(c)).nfc().collect();
    let mut scan = Scan { chars: &chars, at: 0, out: Vec::new() };
    while scan.at < chars.len() {
        scan.step();
    }
    scan.out
}

struct Scan<'a> {
    chars: &'a [char],
    at: usize,
    out: Vec<String>,
}

/// What money signs are called.
fn sign_word(c: char) -> Option<&'static str> {
    Some(match c {
        '₹' => "rupees",
        '$' => "dollars",
        '€' => "euros",
        '£' => "pounds",
        '₦' => "naira",
        _ => return None,
    })
}

impl Scan<'_> {
    fn char(&self, at: usize) -> char {
        self.chars.get(at).copied().unwrap_or('\0')
    }

    fn run(&self, from: usize, wanted: impl Fn(char) -> bool) -> usize {
        from + self.chars.get(from..).unwrap_or(&[]).iter().take_while(|&&c| wanted(c)).count()
    }

    fn text(&self, from: usize, to: usize) -> String {
        self.chars.get(from..to).unwrap_or(&[]).iter().collect()
    }

    fn push(&mut self, word: impl Into<String>) {
        self.out.push(word.into());
    }

    fn step(&mut self) {
        let c = self.char(self.at);
        if c.is_ascii_digit() {
            self.digits();
        } else if c.is_alphanumeric() {
            self.letters();
        } else if let Some(word) = sign_word(c) {
            self.at += 1;
            self.money(word);
        } else {
            self.sign(c);
        }
    }

    /// The amount behind a money sign: number, magnitude, then the currency.
    fn money(&mut self, word: &str) {
        self.at = self.run(self.at, |c| c == ' ' || c == '.');
        if !self.char(self.at).is_ascii_digit() {
            return self.push(word);
        }
        self.digits();
        let at = self.run(self.at, |c| c == ' ');
        let end = self.run(at, char::is_alphabetic);
        let magnitude = self.text(at, end);
        if super::numerals::scale(&magnitude).is_some_and(|scale| scale > 100) {
            self.push(magnitude);
            self.at = end;
        }
        self.push(word);
    }

    fn letters(&mut self) {
        let end = self.run(self.at, |c| c.is_alphabetic() || c == '\'');
        let end = end.max(self.at + 1);
        let word = self.text(self.at, end).trim_matches('\'').to_owned();
        // "a.m.", "u.s.a": dots between single letters.
        if self.char(self.at + 1) == '.'
            && self.char(self.at + 2).is_alphabetic()
            && !self.char(self.at + 3).is_alphanumeric()
        {
            self.push(self.char(self.at).to_string());
            self.at += 2;
            return;
        }
        self.at = end;
        let currency = match word.as_str() {
            "rs" | "inr" => "rupees",
            "ngn" => "naira",
            "usd" => "dollars",
            _ => "",
        };
        if !currency.is_empty() {
            return self.money(currency);
        }
        if !word.is_empty() {
            self.push(word);
        }
        // A dot inside an address is said.
        if self.char(self.at) == '.' && self.char(self.at + 1).is_alphanumeric() {
            self.push("dot");
        }
    }

    fn digits(&mut self) {
        if self.date() || self.time() {
            return;
        }
        let mut number = String::new();
        let mut at = self.at;
        loop {
            let end = self.run(at, |c| c.is_ascii_digit());
            number.push_str(&self.text(at, end));
            at = end;
            let group = self.run(at + 1, |c| c.is_ascii_digit()) - at.min(self.chars.len());
            let grouped = self.char(at) == ',' && matches!(group, 3 | 4) && self.char(at + 1).is_ascii_digit();
            let point = self.char(at) == '.' && self.char(at + 1).is_ascii_digit() && !number.contains('.');
            if point {
                number.push('.');
            } else if !grouped {
                break;
            }
            at += 1;
        }
        self.at = at;
        let suffix_end = self.run(at, char::is_alphabetic);
        let suffix = self.text(at, suffix_end);
        if matches!(suffix.as_str(), "st" | "nd" | "rd" | "th") {
            self.at = suffix_end;
            return self.push(number + "th");
        }
        self.push(number);
    }

    fn number(&self, at: usize, widths: std::ops::RangeInclusive<usize>) -> Option<(u32, usize)> {
        let end = self.run(at, |c| c.is_ascii_digit());
        if !widths.contains(&(end - at)) {
            return None;
        }
        Some((self.text(at, end).parse().ok()?, end))
    }

    /// "2026-05-01" as month, day, year. Local orders are left as they stand: no order is given here.
    fn date(&mut self) -> bool {
        let Some((month, day, end)) = self.iso() else { return false };
        let year = self.text(self.at, self.at + 4);
        self.out.extend([month.to_lowercase(), format!("{day}th"), year]);
        self.at = end;
        true
    }

    fn iso(&self) -> Option<(&'static str, u32, usize)> {
        let (_, year_end) = self.number(self.at, 4..=4)?;
        let (month, month_end) = self.number(year_end + 1, 2..=2).filter(|_| self.char(year_end) == '-')?;
        let (day, end) = self.number(month_end + 1, 2..=2).filter(|_| self.char(month_end) == '-')?;
        let month = MONTHS.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
        (1..=31).contains(&day).then_some((*month, day, end))
    }

    /// "14:30" as "2 30 pm", "9:00" as "9": hours of twelve, as they are said.
    fn time(&mut self) -> bool {
        let Some((hour, minute, end)) = self.clock() else { return false };
        let after = self.run(end, |c| c == ' ');
        let halved = matches!(self.char(after), 'a' | 'p') && matches!(self.char(after + 1), 'm' | '.');
        let leading_zero = self.char(self.at) == '0';
        self.at = end;
        match (hour, minute) {
            (0, 0) if !halved => return self.said("midnight"),
            (12, 0) if !halved => return self.said("noon"),
            _ => {}
        }
        let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
        self.push(twelve.to_string());
        if minute > 0 {
            self.push(format!("{minute:02}"));
        }
        if !halved && (hour > 12 || hour == 0 || leading_zero) {
            self.push(if hour >= 12 { "pm" } else { "am" });
        }
        true
    }

    fn said(&mut self, word: &str) -> bool {
        self.push(word);
        true
    }

    fn clock(&self) -> Option<(u32, u32, usize)> {
        let (hour, hour_end) = self.number(self.at, 1..=2)?;
        let (minute, end) = self.number(hour_end + 1, 2..=2).filter(|_| self.char(hour_end) == ':')?;
        (hour < 24 && minute < 60 && self.char(end) != ':').then_some((hour, minute, end))
    }

    /// "2-3" is a range, "98765-43210" one number: a dash just read, with at most three digits on both sides.
    fn between_short_numbers(&self) -> bool {
        let dash = self.at.saturating_sub(1);
        let before = self.chars.get(..dash).unwrap_or(&[]).iter().rev().take_while(|c| c.is_ascii_digit()).count();
        let after = self.run(self.at, |c| c.is_ascii_digit()) - self.at;
        let more = |c: char| c == '-' || c.is_alphanumeric();
        let alone = !more(self.char(self.at + after)) && (dash == before || !more(self.char(dash - before - 1)));
        (1..=3).contains(&before) && (1..=3).contains(&after) && alone
    }

    fn sign(&mut self, c: char) {
        let next = self.char(self.at + 1);
        let joined = self.at > 0 && self.char(self.at - 1).is_alphanumeric() && next.is_alphanumeric();
        self.at += 1;
        match c {
            '%' => self.push("percent"),
            '&' => self.push("and"),
            '@' => self.push("at"),
            '#' if next.is_ascii_digit() => self.push("number"),
            '+' if next.is_ascii_digit() => self.push("plus"),
            '-' if next.is_ascii_digit() && !joined && (self.at < 2 || self.char(self.at - 2) == ' ') => {
                self.push("minus")
            }
            '-' | '–' if joined && self.between_short_numbers() => self.push("to"),
            '_' if joined => self.push("underscore"),
            '.' if joined && self.char(self.at.wrapping_sub(2)).is_ascii_digit() && next.is_alphabetic() => {
                self.push("dot")
            }
            _ => {}
        }
    }
}
