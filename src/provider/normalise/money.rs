//! Money: signs and codes before or behind the amount, Indian and western groups, subunits, and plain amounts that the words
//! before them mark as money. Never guesses a currency: without a sign it is the bot's own.

use super::number::{self, System};
use super::numbers::{self, Quantity};
use super::scan::{Cue, Recent, Spoken, Text};

/// How a currency is said.
struct Currency {
    code: &'static str,
    one: &'static str,
    many: &'static str,
    /// One and many of the hundredth part; empty where there is none.
    part: (&'static str, &'static str),
    /// What is written before (or behind) the amount, without spaces or dots.
    signs: &'static [&'static str],
}

const fn currency(
    code: &'static str,
    (one, many): (&'static str, &'static str),
    part: (&'static str, &'static str),
    signs: &'static [&'static str],
) -> Currency {
    Currency { code, one, many, part, signs }
}

const CENTS: (&str, &str) = ("cent", "cents");

/// The currencies our callers' systems write; another code is spelled behind the amount.
const CURRENCIES: [Currency; 15] = [
    currency("INR", ("rupee", "rupees"), ("paisa", "paise"), &["₹", "rs", "inr", "rupees", "rupee"]),
    currency("USD", ("dollar", "dollars"), CENTS, &["$", "us$", "usd", "dollars", "dollar"]),
    currency("EUR", ("euro", "euros"), CENTS, &["€", "eur", "euros", "euro"]),
    currency("GBP", ("pound", "pounds"), ("penny", "pence"), &["£", "gbp"]),
    currency("NGN", ("naira", "naira"), ("kobo", "kobo"), &["₦", "ngn", "naira"]),
    currency("AED", ("dirham", "dirhams"), ("fils", "fils"), &["aed", "dirhams", "dirham"]),
    currency("KES", ("shilling", "shillings"), CENTS, &["ksh", "kes", "shillings"]),
    currency("GHS", ("cedi", "cedis"), ("pesewa", "pesewas"), &["gh₵", "₵", "ghs", "cedis"]),
    currency("ZAR", ("rand", "rand"), CENTS, &["zar", "rand"]),
    currency("AUD", ("Australian dollar", "Australian dollars"), CENTS, &["a$", "aud"]),
    currency("CAD", ("Canadian dollar", "Canadian dollars"), CENTS, &["c$", "cad"]),
    currency("SGD", ("Singapore dollar", "Singapore dollars"), CENTS, &["s$", "sgd"]),
    currency("JPY", ("yen", "yen"), ("", ""), &["¥", "jpy", "yen"]),
    currency("CNY", ("yuan", "yuan"), ("", ""), &["cny", "rmb", "yuan"]),
    currency("BDT", ("taka", "taka"), ("poisha", "poisha"), &["৳", "bdt", "taka"]),
];

/// Words that may follow an amount which only the words before it marked; any other word is what is being counted.
const AFTER_AMOUNT: [&str; 40] = [
    "by",
    "before",
    "on",
    "and",
    "is",
    "was",
    "has",
    "for",
    "today",
    "now",
    "in",
    "to",
    "or",
    "only",
    "towards",
    "against",
    "from",
    "as",
    "per",
    "plus",
    "with",
    "via",
    "at",
    "will",
    "which",
    "that",
    "this",
    "immediately",
    "tomorrow",
    "please",
    "due",
    "outstanding",
    "remains",
    "remaining",
    "each",
    "every",
    "but",
    "if",
    "till",
    "until",
];

/// The longest whole part of an amount that no sign marks; longer runs are ids and numbers to call.
const UNMARKED_DIGITS: usize = 9;

/// Reads an amount that starts at `at`. `own` is the bot's currency as an ISO 4217 code.
pub(super) fn read(text: Text<'_>, at: usize, recent: &Recent, own: &str) -> Option<Spoken> {
    if !text.at(at).is_ascii_digit() {
        return signed(text, at, own);
    }
    let quantity = numbers::quantity(text, at)?;
    let (magnitude, end) = numbers::magnitude(text, quantity.end, false).unwrap_or(("", quantity.end));
    if let Some((currency, end)) = sign_behind(text, end) {
        return Some(Spoken::value(amount(currency, &quantity, magnitude), end));
    }
    let marked = recent.cue() == Some(Cue::Money) && quantity.whole.len() <= UNMARKED_DIGITS;
    if !marked || !text.breaks(end) || !may_follow(text, end) {
        return None;
    }
    Some(Spoken::value(amount_in(own, &quantity, magnitude), dash_tail(text, end)))
}

/// A sign or code, then the amount: "₹15,000.50", "Rs. 500/-", "USD 20", "$5-10".
fn signed(text: Text<'_>, at: usize, own: &str) -> Option<Spoken> {
    let (currency, sign_end) = sign_at(text, at, own)?;
    let mut number_at = text.spaces(if text.at(sign_end) == '.' { sign_end + 1 } else { sign_end });
    let mut minus = "";
    if text.at(number_at) == '-' && text.at(number_at + 1).is_ascii_digit() {
        number_at += 1;
        minus = "minus ";
    }
    let quantity = numbers::quantity(text, number_at)?;
    let (magnitude, mut end) = numbers::magnitude(text, quantity.end, true).unwrap_or(("", quantity.end));
    if matches!(text.at(end), '-' | '–')
        && let Some(upper) = numbers::quantity(text, end + 1)
    {
        let (upper_magnitude, end) = numbers::magnitude(text, upper.end, true).unwrap_or(("", upper.end));
        let lower = number::decimal(&quantity.whole, &quantity.fraction, system(currency, &quantity));
        let words = format!("{minus}{lower} {magnitude} to {}", amount(currency, &upper, upper_magnitude));
        return Some(Spoken::value(words, end));
    }
    if let Some((_, after)) = sign_behind(text, end).filter(|(behind, _)| behind.code == currency.code) {
        end = after;
    }
    Some(Spoken::value(format!("{minus}{}", amount(currency, &quantity, magnitude)), dash_tail(text, end)))
}

/// Whether the text from `end` on lets a number that is only marked by words be an amount.
fn may_follow(text: Text<'_>, end: usize) -> bool {
    match text.at(end) {
        '%' | '°' => return false,
        ':' | '.' | '/' | '-' | '–' | ',' if text.at(end + 1).is_ascii_digit() => return false,
        _ => {}
    }
    let next = text.spaces(end);
    if text.at(next) == '%' {
        return false;
    }
    let (word, _) = text.word(next);
    word.is_empty() || text.at(end) == '/' || AFTER_AMOUNT.contains(&word.as_str())
}

/// The Indian "/-" that closes an amount.
fn dash_tail(text: Text<'_>, end: usize) -> usize {
    if text.at(end) == '/' && matches!(text.at(end + 1), '-' | '=') { end + 2 } else { end }
}

/// Whether an amount with a sign starts at `at`: what a minus or a range may stand before.
pub(super) fn starts(text: Text<'_>, at: usize) -> bool {
    sign_at(text, at, "").is_some_and(|(_, end)| {
        let end = if text.at(end) == '.' { end + 1 } else { end };
        text.at(text.spaces(end)).is_ascii_digit()
    })
}

/// The currency whose sign or code stands at `at`, and the end of the sign.
fn sign_at(text: Text<'_>, at: usize, own: &str) -> Option<(&'static Currency, usize)> {
    let end = sign_end(text, at);
    let sign = text.slice(at, end).to_lowercase();
    // Prices in naira are written with a plain N; elsewhere "N5000" is an id.
    if own == "NGN" && sign == "n" && text.at(end).is_ascii_digit() {
        return find(|c| c.code == "NGN").map(|c| (c, end));
    }
    find(|c| c.signs.contains(&sign.as_str())).map(|c| (c, end))
}

fn sign_behind(text: Text<'_>, end: usize) -> Option<(&'static Currency, usize)> {
    let at = text.spaces(end);
    let sign_end = sign_end(text, at);
    let sign = text.slice(at, sign_end).to_lowercase();
    let currency = find(|c| c.signs.contains(&sign.as_str()))?;
    // "500 $20": the sign belongs to what follows.
    if text.at(sign_end).is_ascii_digit() || (at > end && !sign.chars().all(char::is_alphabetic)) {
        return None;
    }
    let dotted = sign == "rs" && text.at(sign_end) == '.' && !text.at(text.spaces(sign_end + 1)).is_uppercase();
    let dotted = dotted && text.at(text.spaces(sign_end + 1)) != '\0';
    Some((currency, if dotted { sign_end + 1 } else { sign_end }))
}

/// The end of the longest sign at `at`: letters, a sign, or letters with a sign ("US$").
fn sign_end(text: Text<'_>, at: usize) -> usize {
    let letters = text.run(at, char::is_alphabetic).min(at + 12);
    if is_sign(text.at(letters)) { letters + 1 } else { letters }
}

/// The signs that stand for money by themselves.
pub(super) const fn is_sign(c: char) -> bool {
    matches!(c, '₹' | '$' | '€' | '£' | '₦' | '¥' | '₵' | '৳')
}

fn find(wanted: impl Fn(&Currency) -> bool) -> Option<&'static Currency> {
    CURRENCIES.iter().find(|currency| wanted(currency))
}

/// The amount in the currency of an ISO 4217 code; an unknown code is spelled.
fn amount_in(code: &str, quantity: &Quantity, magnitude: &str) -> String {
    if let Some(currency) = find(|c| c.code.eq_ignore_ascii_case(code)) {
        return amount(currency, quantity, magnitude);
    }
    let letters: Vec<String> =
        code.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_uppercase().to_string()).collect();
    format!(
        "{} {magnitude} {}",
        number::decimal(&quantity.whole, &quantity.fraction, quantity.system),
        letters.join(" ")
    )
}

fn system(currency: &Currency, quantity: &Quantity) -> System {
    let large = quantity.whole.parse::<u64>().is_ok_and(|value| value >= 100_000);
    if currency.code == "INR" && large { System::Indian } else { quantity.system }
}

fn amount(currency: &Currency, quantity: &Quantity, magnitude: &str) -> String {
    let Currency { one, many, part, .. } = currency;
    let system = system(currency, quantity);
    if !magnitude.is_empty() {
        return format!("{} {magnitude} {many}", number::decimal(&quantity.whole, &quantity.fraction, system));
    }
    let hundredths: Option<u64> = match quantity.fraction.len() {
        0 => Some(0),
        1 => quantity.fraction.parse::<u64>().ok().map(|tenths| tenths * 10),
        2 => quantity.fraction.parse().ok(),
        _ => None,
    };
    let whole: Option<u64> = quantity.whole.parse().ok();
    match (whole, hundredths) {
        (Some(whole), Some(hundredths)) if hundredths == 0 || !part.0.is_empty() => {
            let coins = format!("{} {}", number::cardinal(hundredths), if hundredths == 1 { part.0 } else { part.1 });
            let notes = format!("{} {}", number::cardinal_in(whole, system), if whole == 1 { one } else { many });
            match (whole, hundredths) {
                (_, 0) => notes,
                (0, _) => coins,
                _ => format!("{notes} and {coins}"),
            }
        }
        _ => format!("{} {many}", number::decimal(&quantity.whole, &quantity.fraction, system)),
    }
}
