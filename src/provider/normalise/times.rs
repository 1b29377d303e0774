//! Times of day: "14:30", "2:30 pm", "9 a.m.", "1430 hrs". Says hours of twelve, as callers do.

use super::number;
use super::scan::{Spoken, Text};

/// Which half of the day.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Morning,
    Afternoon,
}

impl Half {
    const fn letters(self) -> &'static str {
        match self {
            Self::Morning => "A M",
            Self::Afternoon => "P M",
        }
    }
}

/// Reads a time that starts at `at`.
pub(super) fn read(text: Text<'_>, at: usize) -> Option<Spoken> {
    let (hour, hour_end) = text.number(at, 4)?;
    let written = hour_end - at;
    if written == 4 {
        return military(text, hour, hour_end);
    }
    if written > 2 {
        return None;
    }
    let separator = text.at(hour_end);
    let minute = two_digits(text, hour_end + 1).filter(|&(minute, _)| matches!(separator, ':' | '.') && minute < 60);
    let end = minute.map_or(hour_end, |(_, end)| end);
    let (second, clock_end) = match two_digits(text, end + 1) {
        Some((second, after)) if separator == ':' && minute.is_some() && text.at(end) == ':' && second < 60 => {
            (Some(second), after)
        }
        _ => (None, end),
    };
    let half = half_after(text, clock_end);
    if half.is_none() && (separator != ':' || minute.is_none() || !text.breaks(clock_end)) {
        return None;
    }
    let (minute, _) = minute.unwrap_or((0, 0));
    let mut words = said(hour, minute, half.map(|(half, _)| half), written == 2 && text.at(at) == '0')?;
    if let Some(second) = second.filter(|&second| second > 0) {
        let unit = if second == 1 { "second" } else { "seconds" };
        words = format!("{words} and {} {unit}", number::cardinal(second));
    }
    let end = half.map_or_else(|| hours_word(text, clock_end).unwrap_or(clock_end), |(_, end)| end);
    if half.is_some() && ends_sentence(text, end) {
        words.push('.');
    }
    Some(Spoken::value(words, end))
}

/// The time that belongs to an ISO date, from the `T` or the space on: its words and its end, zone included.
pub(super) fn after_date(text: Text<'_>, at: usize) -> Option<(String, usize)> {
    if !matches!(text.at(at), 'T' | 't' | ' ') {
        return None;
    }
    let (hour, hour_end) = two_digits(text, at + 1)?;
    let (minute, mut end) = two_digits(text, hour_end + 1).filter(|_| text.at(hour_end) == ':')?;
    if minute > 59 {
        return None;
    }
    if let Some((_, after)) = two_digits(text, end + 1).filter(|_| text.at(end) == ':') {
        end = after;
        if text.at(end) == '.' && text.at(end + 1).is_ascii_digit() {
            end = text.digits(end + 1);
        }
    }
    // 12-hour times behind a date carry their own half; a zone's offset is nothing a caller wants to hear.
    if let Some((half, end)) = half_after(text, end) {
        return Some((said(hour, minute, Some(half), false)?, end));
    }
    let mut words = said(hour, minute, None, true)?;
    if text.at(end) == 'Z' && text.breaks(end + 1) {
        words.push_str(" U T C");
        end += 1;
    } else if matches!(text.at(end), '+' | '-') {
        let digits = text.run(end + 1, |c| c.is_ascii_digit() || c == ':');
        if (2..=5).contains(&(digits - end - 1)) {
            end = digits;
        }
    }
    text.breaks(end).then_some((words, end))
}

fn two_digits(text: Text<'_>, at: usize) -> Option<(u64, usize)> {
    text.number(at, 2).filter(|&(_, end)| end - at == 2)
}

/// "1430 hrs".
fn military(text: Text<'_>, value: u64, end: usize) -> Option<Spoken> {
    let after = hours_word(text, end)?;
    let (hour, minute) = (value / 100, value % 100);
    (hour < 24 && minute < 60).then_some(())?;
    Some(Spoken::value(said(hour, minute, None, true)?, after))
}

/// The end of "hrs" or "hours" behind a clock time.
fn hours_word(text: Text<'_>, at: usize) -> Option<usize> {
    let (word, end) = text.word(text.spaces(at));
    (matches!(word.as_str(), "hrs" | "hours") && text.breaks(end)).then_some(end)
}

/// "am", "PM", "a.m." behind a time, after at most one space.
fn half_after(text: Text<'_>, at: usize) -> Option<(Half, usize)> {
    let at = if text.at(at) == ' ' { at + 1 } else { at };
    let half = match text.at(at).to_ascii_lowercase() {
        'a' => Half::Morning,
        'p' => Half::Afternoon,
        _ => return None,
    };
    let dotted = text.at(at + 1) == '.';
    let m_at = if dotted { at + 2 } else { at + 1 };
    if !text.at(m_at).eq_ignore_ascii_case(&'m') || !text.breaks(m_at + 1) {
        return None;
    }
    let end = if dotted && text.at(m_at + 1) == '.' { m_at + 2 } else { m_at + 1 };
    Some((half, end))
}

/// A dot that was part of "a.m." and the end of the sentence at once.
fn ends_sentence(text: Text<'_>, end: usize) -> bool {
    text.before(end) == '.' && matches!(text.at(text.spaces(end)), c if c.is_uppercase() || c == '\0')
}

/// The time in words. `of_day`: written as an hour of twenty-four (a leading zero says so, too).
fn said(hour: u64, minute: u64, half: Option<Half>, of_day: bool) -> Option<String> {
    if half.is_some() && !(1..=12).contains(&hour) && hour != 0 {
        // "14:30 pm" has its half already.
        return if hour < 24 { said(hour, minute, None, true) } else { None };
    }
    if hour > 24 || (hour == 24 && minute > 0) {
        return None;
    }
    if half.is_none() && minute == 0 {
        match hour {
            0 | 24 => return Some("midnight".to_owned()),
            12 => return Some("noon".to_owned()),
            _ => {}
        }
    }
    let half = half.or(match hour {
        13.. => Some(Half::Afternoon),
        12 if of_day => Some(Half::Afternoon),
        0 => Some(Half::Morning),
        _ if of_day => Some(Half::Morning),
        _ => None,
    });
    let twelve = if hour.is_multiple_of(12) { 12 } else { hour % 12 };
    let mut words = number::cardinal(twelve);
    match minute {
        0 if half.is_none() => words.push_str(" o'clock"),
        0 => {}
        1..=9 => words = format!("{words} oh {}", number::cardinal(minute)),
        _ => words = format!("{words} {}", number::cardinal(minute)),
    }
    if let Some(half) = half {
        words.push(' ');
        words.push_str(half.letters());
    }
    Some(words)
}
