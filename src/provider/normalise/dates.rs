//! Dates: ISO, local with the order of the language, and with the month's name. Says no date that the calendar has not.

use super::number;
use super::scan::{Cue, Recent, Spoken, Text};
use super::times;

/// The months' names, January first.
pub(crate) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// How the day and the month stand to each other in speech.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// "May first".
    MonthFirst,
    /// "first of May": where the text says "the" or "of" itself.
    DayOfMonth,
}

/// Reads a date that starts at `at`.
pub(super) fn read(text: Text<'_>, at: usize, recent: &Recent, day_first: bool) -> Option<Spoken> {
    if text.at(at).is_ascii_digit() {
        iso(text, at).or_else(|| local(text, at, recent, day_first)).or_else(|| day_then_month(text, at, recent))
    } else {
        month_then_day(text, at, recent).or_else(|| weekday(text, at))
    }
}

fn iso(text: Text<'_>, at: usize) -> Option<Spoken> {
    let (year, month_at) = exact(text, at, 4)?;
    let separator = text.at(month_at);
    if !matches!(separator, '-' | '/' | '.') {
        return None;
    }
    let (month, month_end) = exact(text, month_at + 1, 2)?;
    if text.at(month_end) != separator {
        // "2026-05" is a month, "2024-25" a range of years.
        let month_only = separator == '-' && text.at(month_at + 1) == '0' && ends_date(text, month_end);
        let words = format!("{} {}", month_name(month)?, number::year(year));
        return month_only.then(|| Spoken::value(words, month_end));
    }
    let (day, end) = exact(text, month_end + 1, 2)?;
    let date = said(month, day, Some(year), Order::MonthFirst)?;
    if let Some((clock, end)) = times::after_date(text, end) {
        return Some(Spoken::value(format!("{date}, at {clock}"), end));
    }
    ends_date(text, end).then(|| Spoken::value(date, end))
}

fn local(text: Text<'_>, at: usize, recent: &Recent, day_first: bool) -> Option<Spoken> {
    let (first, first_end) = text.number(at, 2)?;
    let separator = text.at(first_end);
    if !matches!(separator, '/' | '-' | '.') {
        return None;
    }
    let (second, second_end) = text.number(first_end + 1, 2)?;
    let (year, end) = if text.at(second_end) == separator {
        let (year, end) = text.number(second_end + 1, 4)?;
        match end - second_end - 1 {
            4 => (Some(year), end),
            2 if separator != '.' => (Some(if year < 70 { 2_000 + year } else { 1_900 + year }), end),
            _ => return None,
        }
    } else {
        // Without a year it is a date only where the words say so; else it is a fraction or a range.
        let marked = recent.cue() == Some(Cue::Date) || recent.last_lower() == "due";
        if separator != '/' || !marked {
            return None;
        }
        (None, second_end)
    };
    let (day, month) = if day_first { (first, second) } else { (second, first) };
    let (day, month) = if month > 12 { (month, day) } else { (day, month) };
    ends_date(text, end).then_some(())?;
    Some(Spoken::value(said(month, day, year, Order::MonthFirst)?, end))
}

/// "1 May 2026", "17th of May", "01-May-26".
fn day_then_month(text: Text<'_>, at: usize, recent: &Recent) -> Option<Spoken> {
    let (day, digits_end) = text.number(at, 2)?;
    let suffix_end = ordinal_suffix(text, digits_end).unwrap_or(digits_end);
    let has_suffix = suffix_end > digits_end;
    let dashed = text.at(suffix_end) == '-';
    let mut month_at = if dashed { suffix_end + 1 } else { text.spaces(suffix_end) };
    if month_at == suffix_end && !has_suffix {
        // "5May" is no date that people write; ids are.
        return None;
    }
    let (of, of_end) = text.word(month_at);
    let mut order = if recent.last_lower() == "the" { Order::DayOfMonth } else { Order::MonthFirst };
    if of == "of" {
        order = Order::DayOfMonth;
        month_at = text.spaces(of_end);
    }
    let (month, month_end) = month_word(text, month_at)?;
    let (year, end) = year_after(text, month_end, dashed).map_or((None, month_end), |(year, end)| (Some(year), end));
    let sure = has_suffix || year.is_some() || of == "of" || text.at(month_at).is_uppercase();
    if !sure && recent.cue() != Some(Cue::Date) && recent.last_lower() != "due" {
        return None;
    }
    Some(Spoken::value(said(month, day, year, order)?, end))
}

/// "May 1, 2026", "May 17th", "May 2026", "Mar. 3".
fn month_then_day(text: Text<'_>, at: usize, recent: &Recent) -> Option<Spoken> {
    let (month, month_end) = month_word(text, at)?;
    let number_at = text.spaces(month_end);
    if number_at == month_end {
        return None;
    }
    let sure = text.at(at).is_uppercase() || recent.cue() == Some(Cue::Date);
    if let Some((year, end)) = exact(text, number_at, 4)
        && (1_900..2_100).contains(&year)
        && text.breaks(end)
    {
        let words = format!("{} {}", month_name(month)?, number::year(year));
        return sure.then(|| Spoken::value(words, end));
    }
    let (day, digits_end) = text.number(number_at, 2)?;
    let suffix_end = ordinal_suffix(text, digits_end);
    let day_end = suffix_end.unwrap_or(digits_end);
    if !text.breaks(day_end) || goes_on(text, day_end) {
        return None;
    }
    let (year, end) = year_after(text, day_end, false).map_or((None, day_end), |(year, end)| (Some(year), end));
    (sure || suffix_end.is_some() || year.is_some()).then_some(())?;
    Some(Spoken::value(said(month, day, year, Order::MonthFirst)?, end))
}

/// "Mon, 3 May": the short name of a weekday before a date.
fn weekday(text: Text<'_>, at: usize) -> Option<Spoken> {
    let (word, end) = text.word(at);
    let name = match word.as_str() {
        "mon" => 0,
        "tue" | "tues" => 1,
        "wed" => 2,
        "thu" | "thur" | "thurs" => 3,
        "fri" => 4,
        "sat" => 5,
        "sun" => 6,
        _ => return None,
    };
    let dot_end = if text.at(end) == '.' { end + 1 } else { end };
    let next = text.run(dot_end, |c| c == ' ' || c == ',');
    let before_date = text.at(next).is_ascii_digit() || month_word(text, next).is_some();
    (next > end && before_date && text.at(at).is_uppercase()).then(|| Spoken::words(WEEKDAYS[name], dot_end))
}

/// The date in words; nothing for a day that the month has not.
fn said(month: u64, day: u64, year: Option<u64>, order: Order) -> Option<String> {
    let name = month_name(month)?;
    if year.is_some_and(|year| !(1_000..3_000).contains(&year)) {
        return None;
    }
    let leap = year.is_none_or(|y| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400)));
    let days = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=days).contains(&day) {
        return None;
    }
    let day = number::ordinal(day);
    let mut words = match order {
        Order::MonthFirst => format!("{name} {day}"),
        Order::DayOfMonth => format!("{day} of {name}"),
    };
    if let Some(year) = year {
        words.push_str(", ");
        words.push_str(&number::year(year));
    }
    Some(words)
}

fn month_index(month: u64) -> Option<usize> {
    usize::try_from(month).ok()?.checked_sub(1).filter(|&index| index < MONTHS.len())
}

fn month_name(month: u64) -> Option<&'static str> {
    MONTHS.get(month_index(month)?).copied()
}

/// A month's name, full or short, and its end (with the dot of a short one).
fn month_word(text: Text<'_>, at: usize) -> Option<(u64, usize)> {
    let (word, end) = text.word(at);
    let month = month_of(&word)?;
    if !text.breaks(end) {
        return None;
    }
    let dotted = word.len() <= 4 && word != "may" && word != "june" && word != "july" && text.at(end) == '.';
    Some((month, if dotted { end + 1 } else { end }))
}

/// The number of the month of this lower-case name: full, or short as in "sept".
pub(crate) fn month_of(word: &str) -> Option<u64> {
    if word.len() < 3 {
        return None;
    }
    let full = MONTHS.iter().position(|name| {
        let name = name.to_lowercase();
        name == word || (word.len() == 3 && name.starts_with(word)) || (word == "sept" && name == "september")
    })?;
    u64::try_from(full + 1).ok()
}

/// A year behind a named date: ", 2026", " 2026", "-26", " '26".
fn year_after(text: Text<'_>, from: usize, dashed: bool) -> Option<(u64, usize)> {
    let at = match text.at(from) {
        '-' if dashed => from + 1,
        ',' => text.spaces(from + 1),
        ' ' => text.spaces(from),
        _ => return None,
    };
    let (year, end) = match text.at(at) {
        '\'' => exact(text, at + 1, 2).map(|(year, end)| (2_000 + year, end))?,
        _ if dashed => exact(text, at, 4).or_else(|| exact(text, at, 2).map(|(year, end)| (2_000 + year, end)))?,
        _ => exact(text, at, 4)?,
    };
    ((1_000..3_000).contains(&year) && text.breaks(end) && !goes_on(text, end)).then_some((year, end))
}

fn exact(text: Text<'_>, at: usize, digits: usize) -> Option<(u64, usize)> {
    text.number(at, digits).filter(|&(_, end)| end - at == digits)
}

/// The end of "st", "nd", "rd" or "th" at `at`.
pub(super) fn ordinal_suffix(text: Text<'_>, at: usize) -> Option<usize> {
    let (word, end) = text.word(at);
    (matches!(word.as_str(), "st" | "nd" | "rd" | "th") && text.breaks(end)).then_some(end)
}

/// A number that goes on is no day and no year: "May 1,500", "May 2:30", "May 5%".
fn goes_on(text: Text<'_>, end: usize) -> bool {
    match text.at(end) {
        ',' | '.' | ':' | '/' => text.at(end + 1).is_ascii_digit(),
        '%' => true,
        _ => false,
    }
}

fn ends_date(text: Text<'_>, end: usize) -> bool {
    text.breaks(end) && !(matches!(text.at(end), '-' | '/' | '_') && text.at(end + 1).is_alphanumeric())
}
