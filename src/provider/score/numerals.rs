//! Number words and digits brought to strings of digits: the inverse of `normalise::number`, by its own grammar.

use crate::provider::normalise::dates::month_of;

/// The words with every run of numbers as one string of digits, dates as month, day, year.
pub(super) fn joined(words: Vec<String>) -> Vec<String> {
    // "nine hundredth" is read as its cardinal and the ending.
    let ending = |word: String| match word.strip_suffix("th").filter(|stem| scale(stem).is_some()) {
        Some(stem) => vec![stem.to_owned(), "th".to_owned()],
        None => vec![word],
    };
    let words: Vec<String> = words.into_iter().flat_map(ending).collect();
    let mut out: Vec<Token> = Vec::with_capacity(words.len());
    let mut at = 0;
    while at < words.len() {
        let (token, next) = number(&words, at).unwrap_or_else(|| (Token::Word(word(&words, at).to_owned()), at + 1));
        out.push(token);
        at = next;
    }
    written(amounts(dates(out)))
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// Digits, perhaps with a decimal point, that join with numbers beside them.
    Number(String),
    /// "first", "14th": joins with a number before it, as in "hundred and first".
    Ordinal(String),
    /// The day of a date: joins with nothing.
    Day(String),
}

fn word(words: &[String], at: usize) -> &str {
    words.get(at).map_or("", String::as_str)
}

/// The value of a word below one hundred.
fn small(word: &str) -> Option<u64> {
    const WORDS: [&str; 20] = [
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
    const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let value = match word {
        "oh" => 0,
        _ => match WORDS.iter().position(|name| *name == word) {
            Some(value) => value,
            None => TENS.iter().position(|name| *name == word)? * 10 + 20,
        },
    };
    u64::try_from(value).ok()
}

/// The value of an ordinal word below one hundred.
fn small_ordinal(word: &str) -> Option<u64> {
    match word {
        "first" => return Some(1),
        "second" => return Some(2),
        "third" => return Some(3),
        "fifth" => return Some(5),
        "eighth" => return Some(8),
        "ninth" => return Some(9),
        "twelfth" => return Some(12),
        _ => {}
    }
    match word.strip_suffix("ieth") {
        Some(stem) => small(&format!("{stem}y")),
        None => small(word.strip_suffix("th")?),
    }
}

/// What a magnitude multiplies by.
pub(super) fn scale(word: &str) -> Option<u64> {
    Some(match word {
        "hundred" => 100,
        "thousand" => 1_000,
        "lakh" | "lakhs" | "lac" | "lacs" => 100_000,
        "million" => 1_000_000,
        "crore" | "crores" => 10_000_000,
        "billion" => 1_000_000_000,
        "trillion" => 1_000_000_000_000,
        _ => return None,
    })
}

/// One number from `at` on and where it ends.
fn number(words: &[String], at: usize) -> Option<(Token, usize)> {
    let first = word(words, at);
    if let Some(times) = [("double", 2), ("triple", 3)].iter().find(|(name, _)| *name == first).map(|(_, times)| *times)
    {
        let digit = small(word(words, at + 1)).filter(|&digit| digit < 10)?;
        return Some((Token::Number(digit.to_string().repeat(times)), at + 2));
    }
    if first.starts_with(|c: char| c.is_ascii_digit()) {
        return Some(digits(words, at));
    }
    if let Some(value) = ordinal_at(words, at) {
        return Some((Token::Ordinal(value.0.to_string()), value.1));
    }
    let (value, end) = cardinal(words, at)?;
    if let Some((ordinal, end)) = ordinal_at(words, skip_and(words, end)) {
        // "two hundred and first", "two thousand twenty-first".
        let after_tens = value % 100 >= 20 && value.is_multiple_of(10) && ordinal < 10;
        if value > 0 && (value.is_multiple_of(100) || after_tens) {
            return Some((Token::Ordinal(value.saturating_add(ordinal).to_string()), end));
        }
    }
    if word(words, end) == "th" {
        return Some((Token::Ordinal(value.to_string()), end + 1));
    }
    Some(point(words, value.to_string(), end))
}

/// Digits as written: an ordinal, or a number with the magnitude behind it.
fn digits(words: &[String], at: usize) -> (Token, usize) {
    let first = word(words, at);
    if let Some(value) = first.strip_suffix("th") {
        return (Token::Ordinal(value.to_owned()), at + 1);
    }
    match scale(word(words, at + 1)).and_then(|scale| scaled(first, scale)) {
        Some(value) => {
            // "1 lakh 50 thousand" goes on below its magnitude.
            let rest = cardinal_below(words, at + 2, scale(word(words, at + 1)).unwrap_or(0));
            let (more, end) = rest.unwrap_or((0, at + 2));
            (Token::Number(value.saturating_add(more).to_string()), end)
        }
        None => (Token::Number(first.to_owned()), at + 1),
    }
}

/// "2.5" of a million, exactly or not at all.
fn scaled(digits: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let parts = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let value: u64 = format!("{whole}{fraction}").parse().ok()?;
    let product = value.checked_mul(scale)?;
    product.is_multiple_of(parts).then_some(product / parts)
}

/// "three point one four", and "two point five million".
fn point(words: &[String], whole: String, end: usize) -> (Token, usize) {
    let mut fraction = String::new();
    let mut at = end + 1;
    if word(words, end) == "point" {
        while let Some(digit) = small(word(words, at)).filter(|&digit| digit < 10) {
            fraction.push_str(&digit.to_string());
            at += 1;
        }
    }
    if fraction.is_empty() {
        return (Token::Number(whole), end);
    }
    let decimal = format!("{whole}.{fraction}");
    match scale(word(words, at)).and_then(|scale| scaled(&decimal, scale)) {
        Some(value) => (Token::Number(value.to_string()), at + 1),
        None => (Token::Number(decimal), at),
    }
}

fn skip_and(words: &[String], at: usize) -> usize {
    at + usize::from(word(words, at) == "and")
}

/// "twenty-second", "third", "hundredth".
fn ordinal_at(words: &[String], at: usize) -> Option<(u64, usize)> {
    if let Some(value) = small_ordinal(word(words, at)) {
        return Some((value, at + 1));
    }
    let tens = small(word(words, at)).filter(|tens| *tens >= 20)?;
    let unit = small_ordinal(word(words, at + 1)).filter(|unit| (1..10).contains(unit))?;
    Some((tens + unit, at + 2))
}

fn cardinal(words: &[String], at: usize) -> Option<(u64, usize)> {
    // "a hundred" is a number, "a" alone is not.
    if word(words, at) == "a" {
        let scale = scale(word(words, at + 1))?;
        let (more, end) = cardinal_below(words, at + 2, scale).unwrap_or((0, at + 2));
        return Some((scale.saturating_add(more), end));
    }
    cardinal_below(words, at, u64::MAX)
}

/// A cardinal whose groups all stay below `limit`, perhaps with an "and" before it where one came before.
fn cardinal_below(words: &[String], at: usize, limit: u64) -> Option<(u64, usize)> {
    let (mut total, mut limit, mut end) = (0_u64, limit, at);
    loop {
        let start = if end == at && limit == u64::MAX { end } else { skip_and(words, end) };
        let Some((mut group, mut group_end)) = hundreds(words, start) else { break };
        let mut magnitude = 1;
        // "one lakh crore" multiplies twice.
        while let Some(scale) = scale(word(words, group_end)).filter(|&scale| scale > 100) {
            magnitude = scale;
            group = group.checked_mul(scale)?;
            group_end += 1;
        }
        if group >= limit || (limit != u64::MAX && group == 0) {
            break;
        }
        total = total.checked_add(group)?;
        (limit, end) = (magnitude, group_end);
        if magnitude == 1 {
            break;
        }
    }
    (end > at).then_some((total, end))
}

/// "two hundred and thirty-five", "nineteen hundred", "sixty".
fn hundreds(words: &[String], at: usize) -> Option<(u64, usize)> {
    let (value, end) = tens(words, at)?;
    if word(words, end) != "hundred" || value == 0 {
        return Some((value, end));
    }
    let value = value * 100;
    let end = end + 1;
    // "five hundred and six hundred" are two numbers.
    match tens(words, skip_and(words, end)) {
        Some((rest, rest_end))
            if scale(word(words, rest_end)) != Some(100) && rest > 0 && !begins_ordinal(words, end) =>
        {
            Some((value + rest, rest_end))
        }
        _ => Some((value, end)),
    }
}

/// A number that an ordinal ends ("one hundred twenty-second") is not to be cut inside of it.
fn begins_ordinal(words: &[String], at: usize) -> bool {
    ordinal_at(words, skip_and(words, at)).is_some()
}

fn tens(words: &[String], at: usize) -> Option<(u64, usize)> {
    let first = word(words, at);
    if let Ok(value) = first.parse::<u64>() {
        // "15 thousand": digits count as words only before a magnitude.
        return (value < 1_000 && scale(word(words, at + 1)).is_some()).then_some((value, at + 1));
    }
    let value = small(first)?;
    if value < 20 {
        return Some((value, at + 1));
    }
    match small(word(words, at + 1)).filter(|unit| (1..10).contains(unit)) {
        Some(unit) => Some((value + unit, at + 2)),
        None => Some((value, at + 1)),
    }
}

/// Day and month in one order: "14th of july" and "july fourteenth" become month, day.
fn dates(tokens: Vec<Token>) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let of = usize::from(tokens.get(at + 1) == Some(&Token::Word("of".to_owned())));
        if let (Some(day), Some(month)) = (day(token), tokens.get(at + 1 + of).and_then(month)) {
            out.extend([Token::Word(month), Token::Day(day)]);
            at += 2 + of;
        } else if let (Some(month), Some(day)) = (month(token), tokens.get(at + 1).and_then(day)) {
            out.extend([Token::Word(month), Token::Day(day)]);
            at += 2;
        } else {
            out.push(token.clone());
            at += 1;
        }
    }
    out
}

fn day(token: &Token) -> Option<String> {
    let (Token::Number(day) | Token::Ordinal(day)) = token else { return None };
    day.parse::<u64>().ok().filter(|day| (1..=31).contains(day)).map(|day| day.to_string())
}

fn month(token: &Token) -> Option<String> {
    let Token::Word(name) = token else { return None };
    let index = usize::try_from(month_of(name)?).ok()?.checked_sub(1)?;
    crate::provider::normalise::dates::MONTHS.get(index).map(|name| name.to_lowercase())
}

/// "78.34 dollars" as "78 dollars 34 cents"; "and" between notes and coins goes.
fn amounts(tokens: Vec<Token>) -> Vec<Token> {
    const PARTS: [(&str, &str); 5] =
        [("rupees", "paise"), ("dollars", "cents"), ("euros", "cents"), ("pounds", "pence"), ("naira", "kobo")];
    let part = |token: Option<&Token>| match token {
        Some(Token::Word(word)) => PARTS.iter().find(|(notes, _)| notes == word).map(|(_, coins)| *coins),
        _ => None,
    };
    let coins = |token: Option<&Token>| matches!(token, Some(Token::Word(word)) if PARTS.iter().any(|(_, coins)| coins == word) || word == "cent");
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        let after_notes = at > 0 && part(tokens.get(at - 1)).is_some();
        if after_notes && *token == Token::Word("and".to_owned()) && coins(tokens.get(at + 2)) {
            continue;
        }
        let notes = match (token, part(tokens.get(at + 1))) {
            (Token::Number(number), Some(_)) => number.split_once('.'),
            _ => None,
        };
        if let Some((whole, _)) = notes {
            out.push(Token::Number(whole.to_owned()));
            continue;
        }
        out.push(token.clone());
        if let (Some(coins), Some(Token::Number(number))) =
            (part(Some(token)), at.checked_sub(1).and_then(|at| tokens.get(at)))
            && let Some((_, hundredths)) = number.split_once('.')
            && let Ok(value) = format!("{hundredths:0<2}").parse::<u64>()
            && value > 0
        {
            out.extend([Token::Number(value.to_string()), Token::Word(coins.to_owned())]);
        }
    }
    out
}

/// The tokens as words, numbers beside each other joined.
fn written(tokens: Vec<Token>) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(tokens.len());
    let mut joins = false;
    for token in tokens {
        let (text, number) = match token {
            Token::Word(word) => (word, false),
            Token::Day(day) => (day, false),
            Token::Ordinal(value) => (format!("{value}th"), false),
            Token::Number(digits) => (digits, true),
        };
        match out.last_mut() {
            Some(last) if number && joins => last.push_str(&text),
            _ => out.push(text),
        }
        joins = number;
    }
    out
}
