//! E-mail addresses and web addresses as they are dictated. The scheme and the query are left out: nobody notes them by ear.

use super::number;
use super::scan::{LOOK_AHEAD_CHARS, Spoken, Text};
use super::words::INITIALS;

/// Top-level names by which a bare domain is known as one.
const TOP_LEVEL: [&str; 22] = [
    "com", "org", "net", "in", "io", "ng", "ai", "app", "dev", "gov", "edu", "info", "uk", "us", "bank", "shop",
    "online", "tech", "biz", "me", "example", "test",
];
/// Parts of addresses that are said as words although they are short or have no vowel.
const SAID: [&str; 14] =
    ["com", "org", "net", "info", "app", "dev", "bank", "shop", "biz", "gov", "pay", "help", "my", "in"];

/// Reads an address that starts at `at`, which must be the start of a run without spaces.
pub(super) fn read(text: Text<'_>, at: usize) -> Option<Spoken> {
    if !matches!(text.before(at), '\0' | ' ' | '\n' | '(' | '"' | '<' | ',' | ':' | '/') {
        return None;
    }
    let run_end = text.run(at, |c| !c.is_whitespace() && !matches!(c, '"' | '(' | ')' | '<' | '>' | ',' | ';' | '\0'));
    if run_end - at > LOOK_AHEAD_CHARS || run_end - at < 4 {
        return None;
    }
    let run = text.slice(at, run_end);
    let address = run.trim_end_matches(['.', '!', '?', ':', '\'', '*', '_', '-']);
    let end = at + address.chars().count();
    let words = email(address).or_else(|| url(address))?;
    Some(Spoken::words(words, end))
}

fn email(address: &str) -> Option<String> {
    let address = address.strip_prefix("mailto:").unwrap_or(address);
    let (local, domain) = address.split_once('@')?;
    let host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    let name = |c: char| host(c) || matches!(c, '_' | '+' | '%');
    let good = !local.is_empty() && local.chars().all(name) && domain.contains('.') && domain.chars().all(host);
    good.then(|| format!("{} at {}", dictated(local), dictated(domain)))
}

fn url(address: &str) -> Option<String> {
    let lower = address.to_lowercase();
    let scheme = ["https://", "http://", "wss://", "ws://", "ftp://"].iter().find(|scheme| lower.starts_with(**scheme));
    let bare = address.get(scheme.map_or(0, |scheme| scheme.len())..)?;
    let (bare, www) = match bare.get(..4) {
        Some(head) if head.eq_ignore_ascii_case("www.") => (bare.get(4..)?, true),
        _ => (bare, false),
    };
    let shown = bare.split(['?', '#']).next().unwrap_or("").trim_end_matches('/');
    let (host, path) = shown.split_once('/').unwrap_or((shown, ""));
    let host = host.rsplit('@').next().unwrap_or(host);
    if host.is_empty() || !host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | ':')) {
        return None;
    }
    if scheme.is_none() && !www && !is_domain(host) {
        return None;
    }
    let mut words = dictated(host);
    for part in path.split('/').filter(|part| !part.is_empty()) {
        words.push_str(" slash ");
        words.push_str(&dictated(part));
    }
    Some(words)
}

/// Whether a name without a scheme is a domain and not two sentences without a space ("us.In").
fn is_domain(host: &str) -> bool {
    let mut labels = host.split('.');
    let (first, last) = (labels.next().unwrap_or(""), host.rsplit('.').next().unwrap_or(""));
    let named = first.chars().filter(|c| c.is_alphabetic()).count() >= 2;
    host.contains('.') && named && host.split('.').all(|label| !label.is_empty()) && TOP_LEVEL.contains(&last)
}

/// An address part by part: words as words, digits one by one, signs by name.
fn dictated(part: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut letters = String::new();
    for c in part.chars() {
        if c.is_alphabetic() {
            letters.push(c);
            continue;
        }
        flush(&mut letters, &mut words);
        let sign = match c {
            '.' => "dot",
            '_' => "underscore",
            '-' => "dash",
            '+' => "plus",
            '@' => "at",
            '%' => "percent",
            '&' => "and",
            '=' => "equals",
            ':' => "colon",
            '~' => "tilde",
            _ => number::digit(c).unwrap_or(""),
        };
        if !sign.is_empty() {
            words.push(sign.to_owned());
        }
    }
    flush(&mut letters, &mut words);
    words.join(" ")
}

fn flush(letters: &mut String, words: &mut Vec<String>) {
    if letters.is_empty() {
        return;
    }
    let lower = letters.to_lowercase();
    let vowels = lower.chars().any(|c| matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y'));
    if SAID.contains(&lower.as_str()) || (vowels && lower.chars().count() > 2 && !INITIALS.contains(&lower.as_str())) {
        words.push(lower);
    } else {
        words.extend(letters.chars().map(|c| c.to_ascii_uppercase().to_string()));
    }
    letters.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_dictated() {
        assert_eq!(email("rahul.sharma9@example.com").as_deref(), Some("rahul dot sharma nine at example dot com"));
        assert_eq!(
            url("https://pay.example.com/r/a1?x=1").as_deref(),
            Some("pay dot example dot com slash R slash A one")
        );
        assert_eq!(url("us.In"), None);
        assert_eq!(url("1.5"), None);
        assert_eq!(email("@home"), None);
    }
}
