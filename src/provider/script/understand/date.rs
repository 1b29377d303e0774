//! Days as callers say them, relative to a given today: `the fifth`, `May 1st`, `next monday`. Past days only where the words
//! say so. Never reads a clock.

use jiff::civil::{Date, Weekday};
use jiff::{Span, ToSpan as _};

use super::lexicon::likeness;
use super::number::{number_at, small};
use super::words::Words;
use crate::units::number_words::ORDINALS;

/// What a day is measured from and how figures are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// The caller's date.
    pub today: Date,
    /// `03/04` is the third of April.
    pub day_first: bool,
}

const MONTHS: &[(&str, &str)] = &[
    ("january", "jan"),
    ("february", "feb"),
    ("march", "mar"),
    ("april", "apr"),
    ("may", "may"),
    ("june", "jun"),
    ("july", "jul"),
    ("august", "aug"),
    ("september", "sept"),
    ("october", "oct"),
    ("november", "nov"),
    ("december", "dec"),
];

const WEEKDAYS: &[(&str, &str, Weekday)] = &[
    ("monday", "mon", Weekday::Monday),
    ("tuesday", "tues", Weekday::Tuesday),
    ("wednesday", "wed", Weekday::Wednesday),
    ("thursday", "thurs", Weekday::Thursday),
    ("friday", "fri", Weekday::Friday),
    ("saturday", "sat", Weekday::Saturday),
    ("sunday", "sun", Weekday::Sunday),
];

/// The number of a month's name.
#[must_use]
pub fn month(word: &str) -> Option<i8> {
    let at = MONTHS.iter().position(|(long, short)| {
        word == *long
            || word == *short
            || word == "sep" && *short == "sept"
            || (long.len() >= 5 && likeness(word, long) >= 0.9)
    })?;
    i8::try_from(at + 1).ok()
}

/// How recognisers write weekdays, beyond what an edit explains.
const WEEKDAY_SLIPS: &[(&str, &str)] = &[
    ("wensday", "wednesday"),
    ("wendsday", "wednesday"),
    ("tuseday", "tuesday"),
    ("chooseday", "tuesday"),
    ("thirsday", "thursday"),
];

fn weekday(word: &str) -> Option<Weekday> {
    let word = WEEKDAY_SLIPS.iter().find(|(heard, _)| *heard == word).map_or(word, |(_, meant)| meant);
    let word = word.strip_suffix('s').filter(|word| word.ends_with("day")).unwrap_or(word);
    let alike = |long: &str| likeness(word, long) >= 0.85;
    WEEKDAYS.iter().find(|(long, short, _)| word == *short || alike(long)).map(|(_, _, day)| *day)
}

/// A day of the month at word `at`: `5th`, `fifth`, `twenty first`; with the words it takes.
fn ordinal(words: &Words, at: usize) -> Option<(i8, usize)> {
    let word = words.text(at);
    let single = |word: &str| ORDINALS.iter().position(|name| *name == word).map(|n| n as i8 + 1);
    let written = |word: &str| {
        let digits = ["st", "nd", "rd", "th"].iter().find_map(|end| word.strip_suffix(end))?;
        digits.parse::<i8>().ok()
    };
    let day = match (word, words.text(at + 1)) {
        ("thirtieth", _) => Some((30, 1)),
        ("thirty", next) => single(next).filter(|n| *n == 1).map(|n| (30 + n, 2)),
        ("twenty", next) => single(next).filter(|n| *n < 10).map(|n| (20 + n, 2)),
        (_, "st" | "nd" | "rd" | "th") => word.parse().ok().map(|n| (n, 2)),
        _ => single(word).or_else(|| written(word)).map(|n| (n, 1)),
    };
    day.filter(|(n, _)| (1..=31).contains(n))
}

/// A day of the month as a plain number.
fn cardinal(words: &Words, at: usize) -> Option<(i8, usize)> {
    let word = words.text(at);
    let tens = small(word).filter(|tens| (20..=30).contains(tens) && tens % 10 == 0);
    let units = small(words.text(at + 1)).filter(|units| (1..10).contains(units));
    if let (Some(tens), Some(units)) = (tens, units) {
        return i8::try_from(tens + units).ok().filter(|n| *n <= 31).map(|n| (n, 2));
    }
    let value = small(word).or_else(|| word.parse().ok())?;
    i8::try_from(value).ok().filter(|n| (1..=31).contains(n)).map(|n| (n, 1))
}

fn year(words: &Words, at: usize) -> Option<i16> {
    let word = words.text(at);
    if let Some(year) = word.parse::<i16>().ok().filter(|year| (1900..2200).contains(year)) {
        return Some(year);
    }
    // "twenty twenty six"
    match number_at(words, at) {
        Some((value, _)) if word == "twenty" && (2020.0..2100.0).contains(&value) => Some(value as i16),
        Some((value, _)) if (2000.0..2100.0).contains(&value) => Some(value as i16),
        _ => None,
    }
}

impl Calendar {
    /// The day an utterance names. `bare` also takes a lone number as a day of the month.
    #[must_use]
    pub fn date(&self, words: &Words, bare: bool) -> Option<Date> {
        let at_each = |read: &dyn Fn(usize) -> Option<Date>| (0..words.len()).find_map(read);
        at_each(&|at| self.written(words.text(at)))
            .or_else(|| at_each(&|at| self.with_month(words, at)))
            .or_else(|| at_each(&|at| self.relative(words, at)))
            .or_else(|| at_each(&|at| self.of_the_week(words, at)))
            .or_else(|| at_each(&|at| self.day_only(words, at)))
            .or_else(|| bare.then(|| at_each(&|at| self.bare_number(words, at))).flatten())
    }

    /// `2026-05-01`, `01/05/2026`, `1/5`.
    fn written(&self, word: &str) -> Option<Date> {
        let parts: Vec<i16> = word.split(['-', '/']).map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let (year, first, second) = match *parts.as_slice() {
            [year, month, day] if year > 31 => {
                return Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok();
            }
            [first, second, year] => (Some(if year < 100 { 2000 + year } else { year }), first, second),
            [first, second] => (None, first, second),
            _ => return None,
        };
        let day_first = (self.day_first || first > 12) && second <= 12;
        let (day, month) = if day_first { (first, second) } else { (second, first) };
        self.on(i8::try_from(day).ok()?, i8::try_from(month).ok()?, year)
    }

    /// `1st of may`, `may the first`, `5 may 2026`.
    fn with_month(&self, words: &Words, at: usize) -> Option<Date> {
        let month = month(words.text(at))?;
        let skip = |at: usize, word: &str| if words.text(at) == word { at + 1 } else { at };
        let after = skip(at + 1, "the");
        let before = if at >= 1 && words.text(at - 1) == "of" { at - 1 } else { at };
        let ends_here = |start: usize, found: Option<(i8, usize)>| found.filter(|(_, size)| start + size == before);
        let back = (1..=2).rev().filter_map(|size| before.checked_sub(size)).find_map(|start| {
            ends_here(start, ordinal(words, start)).or_else(|| ends_here(start, cardinal(words, start)))
        });
        if let Some((day, _)) = back {
            return self.on(day, month, year(words, at + 1));
        }
        let (day, size) = ordinal(words, after).or_else(|| cardinal(words, after))?;
        self.on(day, month, year(words, after + size))
    }

    /// The day in this year or the next, whichever is not over.
    fn on(&self, day: i8, month: i8, year: Option<i16>) -> Option<Date> {
        let this = year.unwrap_or_else(|| self.today.year());
        let date = Date::new(this, month, day).ok();
        match (year, date) {
            (None, Some(date)) if date < self.today => Date::new(this + 1, month, day).ok(),
            (None, None) => Date::new(this + 1, month, day).ok(),
            (_, date) => date,
        }
    }

    fn after(&self, span: Span) -> Option<Date> {
        self.today.checked_add(span).ok()
    }

    fn relative(&self, words: &Words, at: usize) -> Option<Date> {
        let like = |meant: &str| likeness(words.text(at), meant) >= 0.9;
        if words.stands_at(at, &["day", "after"]) && likeness(words.text(at + 2), "tomorrow") > 0.8 {
            return self.after(2.days());
        }
        if words.stands_at(at, &["end", "of"]) {
            let next = (at + 2..at + 5).any(|n| words.text(n) == "next");
            let month = (at + 2..at + 5).any(|n| words.text(n) == "month");
            return month.then(|| self.month_ahead(i32::from(next)).map(Date::last_of_month)).flatten();
        }
        if words.stands_at(at, &["month", "end"]) {
            return Some(self.today.last_of_month());
        }
        if matches!(words.text(at), "today" | "tonight") || like("tonight") || words.stands_at(at, &["right", "now"]) {
            return Some(self.today);
        }
        if like("tomorrow") || words.stands_at(at, &["to", "morrow"]) {
            return self.after(1.day());
        }
        if words.text(at) == "yesterday" {
            return self.after((-1).day());
        }
        if words.text(at) == "weekend" {
            return Some(self.upcoming(Weekday::Saturday));
        }
        if words.stands_at(at, &["next", "week"]) && (0..words.len()).all(|n| weekday(words.text(n)).is_none()) {
            return self.after(7.days());
        }
        self.counted(words, at)
    }

    /// `in two days`, `after a week`, `ten days from now`.
    fn counted(&self, words: &Words, at: usize) -> Option<Date> {
        let led = at > 0 && matches!(words.text(at - 1), "in" | "after" | "within");
        let (count, end) = match words.text(at) {
            "a" | "an" => (1.0, at + 1),
            "couple" => (2.0, if words.text(at + 1) == "of" { at + 2 } else { at + 1 }),
            _ => number_at(words, at)?,
        };
        let trailed = ["from", "later", "time"].contains(&words.text(end + 1)) || words.stands_at(end + 1, &["after"]);
        let count = Some(count).filter(|count| (1.0..=120.0).contains(count) && count.fract() == 0.0)? as i64;
        if !(led || trailed || words.text(at) == "couple") {
            return None;
        }
        match words.text(end) {
            "day" | "days" => self.after(count.days()),
            "week" | "weeks" => self.after(count.weeks()),
            "month" | "months" => self.after(count.months()),
            _ => None,
        }
    }

    /// The named day after today.
    fn upcoming(&self, day: Weekday) -> Date {
        (1..=7).filter_map(|n| self.after(i64::from(n).days())).find(|date| date.weekday() == day).unwrap_or(self.today)
    }

    fn of_the_week(&self, words: &Words, at: usize) -> Option<Date> {
        let day = weekday(words.text(at))?;
        let before = |n: usize| at.checked_sub(n).map_or("", |at| words.text(at));
        let next_week = words.stands_at(at + 1, &["next", "week"]) || words.stands_at(at + 1, &["of", "next", "week"]);
        if before(1) == "last" {
            return self
                .upcoming(day)
                .checked_sub(7.days())
                .ok()
                .map(|date| if date == self.today { date.checked_sub(7.days()).unwrap_or(date) } else { date });
        }
        if before(1) == "next" || next_week {
            let monday = self.upcoming(Weekday::Monday);
            return monday.checked_add(i64::from(day.to_monday_zero_offset()).days()).ok();
        }
        let at_once = before(1) == "this" && self.today.weekday() == day;
        Some(if at_once { self.today } else { self.upcoming(day) })
    }

    fn month_ahead(&self, months: i32) -> Option<Date> {
        self.today.first_of_month().checked_add(i64::from(months).months()).ok()
    }

    /// `the fifth`, `5th of next month`.
    fn day_only(&self, words: &Words, at: usize) -> Option<Date> {
        let (day, size) = ordinal(words, at)?;
        // "first thing", "one second", "second time" are no days.
        if matches!(words.text(at + size), "thing" | "time" | "of" | "week" | "one" | "floor")
            && !(at + size..at + size + 4).any(|n| words.text(n) == "month")
        {
            return None;
        }
        if words.text(at) == "second" && at > 0 && matches!(words.text(at - 1), "one" | "a") {
            return None;
        }
        let next = (at + size..at + size + 3).any(|n| words.text(n) == "next");
        self.day_of_month(day, next)
    }

    fn bare_number(&self, words: &Words, at: usize) -> Option<Date> {
        let (day, size) = cardinal(words, at)?;
        let alone = words.len() <= size + 2;
        let led = at > 0 && matches!(words.text(at - 1), "on" | "the" | "by" | "date");
        let money = super::number::is_currency(words.text(at + size))
            || at > 0 && super::number::is_currency(words.text(at - 1));
        let bigger = matches!(
            words.text(at + size),
            "second" | "moment" | "minute" | "hundred" | "thousand" | "lakh" | "am" | "pm" | "o'clock" | "k"
        );
        ((alone || led) && !money && !bigger).then(|| self.day_of_month(day, false)).flatten()
    }

    /// The day in this month or, where it is over or does not exist, in the next that has it.
    fn day_of_month(&self, day: i8, next: bool) -> Option<Date> {
        let months = if next { 1..=1 } else { 0..=2 };
        months.filter_map(|ahead| self.month_ahead(ahead)).find_map(|month| {
            let date = Date::new(month.year(), month.month(), day).ok()?;
            (date >= self.today).then_some(date)
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    /// A Wednesday.
    const CALENDAR: Calendar = Calendar { today: date(2026, 4, 22), day_first: true };

    #[test]
    fn days_are_read() {
        for (text, day) in [
            ("2026-05-01", "2026-05-01"),
            ("01/05/2026", "2026-05-01"),
            ("may 1st", "2026-05-01"),
            ("first of May", "2026-05-01"),
            ("twenty first of may", "2026-05-21"),
            ("may twenty first", "2026-05-21"),
            ("5 may twenty twenty six", "2026-05-05"),
            ("the fifth", "2026-05-05"),
            ("on the 25th", "2026-04-25"),
            ("fifth of next month", "2026-05-05"),
            ("tomorow", "2026-04-23"),
            ("day after tomorrow", "2026-04-24"),
            ("today", "2026-04-22"),
            ("friday", "2026-04-24"),
            ("next monday", "2026-04-27"),
            ("next friday", "2026-05-01"),
            ("wensday", "2026-04-29"),
            ("in three days", "2026-04-25"),
            ("in a week", "2026-04-29"),
            ("two weeks from now", "2026-05-06"),
            ("end of the month", "2026-04-30"),
            ("month end", "2026-04-30"),
            ("3rd march", "2027-03-03"),
            ("thirty first", "2026-05-31"),
            ("yesterday", "2026-04-21"),
        ] {
            let found = CALENDAR.date(&Words::of(text), true);
            assert_eq!(found.map(|date| date.to_string()).as_deref(), Some(day), "{text}");
        }
        for text in ["I may pay", "hello", "one second", "first thing", "five thousand"] {
            assert_eq!(CALENDAR.date(&Words::of(text), true), None, "{text}");
        }
    }
}
