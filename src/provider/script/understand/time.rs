//! Times of day as callers say them: `3 pm`, `half past three`, `ten oh five`. Without morning or evening: office hours.
//! Never a duration, never the day of a date.

use jiff::civil::Time;

use super::date::month;
use super::number::small;
use super::words::Words;

/// The time of day an utterance names. Where neither morning nor evening is said: office hours.
#[must_use]
pub fn time(words: &Words, bare: bool) -> Option<Time> {
    let half = half_of_day(words);
    (0..words.len()).find_map(|at| {
        let (hour, minute, sure) = clock_at(words, at)?;
        let hour = match (half, hour) {
            (Some(Half::Noon), 12) => 12,
            (Some(Half::Am), 12) => 0,
            (Some(Half::Pm), 1..=11) => hour + 12,
            (None, 1..=6) => hour + 12,
            _ => hour,
        };
        if !(sure || half.is_some() || bare) {
            return None;
        }
        Time::new(hour, minute, 0, 0).ok()
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Half {
    Am,
    Pm,
    Noon,
}

fn half_of_day(words: &Words) -> Option<Half> {
    words.all().iter().enumerate().find_map(|(at, word)| match word.text.as_str() {
        "am" if at > 0 && words.text(at - 1) != "i" => Some(Half::Am),
        "morning" if !(at > 0 && words.text(at - 1) == "good") => Some(Half::Am),
        "pm" | "evening" | "night" | "tonight" => Some(Half::Pm),
        "afternoon" => Some(Half::Pm),
        "noon" | "midday" => Some(Half::Noon),
        _ => None,
    })
}

/// Hour, minute, and whether it can be nothing but a time.
fn clock_at(words: &Words, at: usize) -> Option<(i8, i8, bool)> {
    let word = words.text(at);
    if let Some((hour, minute)) = word.split_once([':', '.']) {
        let (hour, minute) = (hour.parse().ok()?, minute.parse().ok()?);
        return (hour < 24 && minute < 60 && word.len() >= 4).then_some((hour, minute, word.contains(':')));
    }
    match word {
        "noon" | "midday" => return Some((12, 0, true)),
        "midnight" => return Some((0, 0, true)),
        "half" if words.text(at + 1) == "past" => return hour_of(words, at + 2).map(|(hour, _)| (hour, 30, true)),
        "quarter" if matches!(words.text(at + 1), "past" | "after") => {
            return hour_of(words, at + 2).map(|(hour, _)| (hour, 15, true));
        }
        "quarter" if matches!(words.text(at + 1), "to" | "before") => {
            return hour_of(words, at + 2).map(|(hour, _)| (if hour == 1 { 12 } else { hour - 1 }, 45, true));
        }
        _ => {}
    }
    // The day of a date is no hour: "the 5th at 3".
    if month(words.text(at + 1)).is_some() || at > 0 && month(words.text(at - 1)).is_some() {
        return None;
    }
    let (hour, size) = hour_of(words, at)?;
    let led = at > 0 && matches!(words.text(at - 1), "at" | "around" | "by" | "about");
    let after = at + size;
    if words.text(after) == "o'clock" || words.stands_at(after, &["o", "clock"]) {
        return Some((hour, 0, true));
    }
    if matches!(words.text(after), "am" | "pm") || words.stands_at(after, &["in", "the"]) {
        return Some((hour, 0, true));
    }
    if matches!(words.text(after), "day" | "days" | "week" | "weeks" | "hundred" | "thousand") {
        return None;
    }
    let minute = match words.text(after) {
        "oh" | "o" | "zero" => small(words.text(after + 1)).filter(|n| *n < 10),
        _ => minute_of(words, after),
    };
    Some((hour, minute.and_then(|n| i8::try_from(n).ok()).unwrap_or(0), minute.is_some() || led))
}

fn hour_of(words: &Words, at: usize) -> Option<(i8, usize)> {
    let word = words.text(at);
    if let Some((number, joined)) = word.strip_suffix("hrs").map(|n| (n, true)) {
        return number.parse().ok().filter(|n| joined && *n < 24).map(|n| (n, 1));
    }
    let value = small(word).or_else(|| word.parse().ok())?;
    let hour = i8::try_from(value).ok()?;
    (1..24).contains(&hour).then_some((hour, 1))
}

fn minute_of(words: &Words, at: usize) -> Option<u64> {
    let tens = small(words.text(at)).or_else(|| words.text(at).parse().ok().filter(|n| (10..60).contains(n)))?;
    let units = small(words.text(at + 1)).filter(|n| (1..10).contains(n) && tens >= 20 && tens % 10 == 0);
    Some(tens + units.unwrap_or(0)).filter(|n| (10..60).contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, clock) in [
            ("3 pm", "15:00"),
            ("3:30", "15:30"),
            ("at ten", "10:00"),
            ("half past three", "15:30"),
            ("quarter to five", "16:45"),
            ("three thirty", "15:30"),
            ("eleven in the morning", "11:00"),
            ("7 in the evening", "19:00"),
            ("noon", "12:00"),
            ("nine o'clock", "09:00"),
            ("ten oh five", "10:05"),
            ("15:45", "15:45"),
            ("3.30 pm", "15:30"),
            ("12 pm", "12:00"),
            ("10 a.m.", "10:00"),
        ] {
            let found = time(&Words::of(text), true).map(|time| time.strftime("%H:%M").to_string());
            assert_eq!(found.as_deref(), Some(clock), "{text}");
        }
    }
}
