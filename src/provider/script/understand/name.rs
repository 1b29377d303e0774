//! A person's name in an utterance: after `my name is` and its kin, or up to four bare words. Keeps inner capitals and
//! apostrophes. Never takes an answer such as yes or a whole sentence for a name.

use super::words::{Word, Words};

const LEADS: &[&[&str]] = &[
    &["my", "name", "is"],
    &["the", "name", "is"],
    &["my", "full", "name", "is"],
    &["name", "is"],
    &["i", "am", "called"],
    &["it", "is", "under"],
    &["put", "it", "under"],
    &["they", "call", "me"],
    &["you", "can", "call", "me"],
    &["call", "me"],
    &["this", "is"],
    &["i", "am"],
    &["it", "is"],
    &["that", "is"],
    // What recognition makes of "this is" and of a first name that it does not know.
    &["they", "are"],
    &["there", "is"],
    &["under"],
    &["in", "the", "name", "of"],
    &["name"],
    &["for"],
    &["i", "said"],
    &["myself"],
];

/// Words that no name of a caller is made of.
const NOT_A_NAME: &[&str] = &[
    "yes",
    "yeah",
    "no",
    "not",
    "nope",
    "okay",
    "sure",
    "right",
    "correct",
    "wrong",
    "the",
    "a",
    "an",
    "is",
    "are",
    "was",
    "i",
    "you",
    "he",
    "she",
    "it",
    "we",
    "they",
    "my",
    "your",
    "this",
    "that",
    "what",
    "who",
    "why",
    "when",
    "where",
    "how",
    "to",
    "of",
    "in",
    "on",
    "at",
    "for",
    "and",
    "or",
    "but",
    "with",
    "do",
    "does",
    "did",
    "can",
    "could",
    "will",
    "would",
    "want",
    "need",
    "have",
    "has",
    "had",
    "am",
    "be",
    "been",
    "pay",
    "paid",
    "call",
    "calling",
    "number",
    "hello",
    "hi",
    "hey",
    "thanks",
    "thank",
    "sorry",
    "today",
    "tomorrow",
    "time",
    "appointment",
    "book",
    "cancel",
    "booking",
    "know",
    "think",
    "say",
    "said",
    "speaking",
    "here",
    "there",
    "busy",
    "wait",
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
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "pm",
    "name",
    "me",
    "him",
    "her",
    "so",
    "then",
    "now",
    "if",
    "as",
    "by",
    "from",
    "me",
    "spell",
    "spelled",
    "good",
    "bye",
];

/// The name, in capitals as it was said or written. `bare` also takes words without a lead.
#[must_use]
pub fn name(words: &Words, bare: bool) -> Option<String> {
    let led = (0..words.len()).find_map(|at| {
        let lead = LEADS.iter().find(|lead| words.stands_at(at, lead))?;
        // A weak lead ("for", "it is") in the middle of a sentence introduces anything.
        let strong = lead.contains(&"name") || at == 0 || words.all()[at].after_break || bare;
        strong.then(|| taken(words, at + lead.len(), true)).flatten()
    });
    led.or_else(|| {
        let start = (0..words.len()).find(|&at| !is_politeness(words.text(at)))?;
        bare.then(|| taken(words, start, false)).flatten()
    })
}

fn is_politeness(word: &str) -> bool {
    matches!(word, "yes" | "yeah" | "okay" | "sure" | "hello" | "hi" | "no" | "so" | "ji" | "haan" | "right" | "sorry")
}

/// The name from word `start` on.
fn taken(words: &Words, start: usize, led: bool) -> Option<String> {
    if let Some(spelled) = spelled_out(words, start) {
        return Some(spelled);
    }
    let mut parts: Vec<String> = Vec::new();
    let mut at = start;
    while let Some(word) = words.all().get(at) {
        let broken = at > start && word.after_break;
        if broken || !is_name_like(word) || parts.len() == 4 {
            break;
        }
        parts.push(capitals(word));
        at += 1;
    }
    if matches!(words.text(at), "speaking" | "here") {
        at += 1;
    }
    let rest = words.len() - at;
    // Without a lead the whole utterance has to be the name, but for a spelling or a courtesy after it.
    let follows = words.all().get(at).is_none_or(|word| word.after_break);
    let whole = led || rest == 0 || (follows && (is_politeness(words.text(at)) || single(words.text(at))));
    if let Some(spelled) = spelled_out(words, at).filter(|_| !parts.is_empty() && follows) {
        parts.pop();
        parts.push(spelled);
    }
    (whole && !parts.is_empty()).then(|| parts.join(" "))
}

fn is_name_like(word: &Word) -> bool {
    let letters = word.text.chars().all(|c| c.is_alphabetic() || c == '\'' || !c.is_ascii());
    letters && !NOT_A_NAME.contains(&word.text.as_str()) && word.text.chars().count() > 1
}

fn single(word: &str) -> bool {
    word.chars().count() == 1
}

/// `r a h u l`: at least three single letters.
fn spelled_out(words: &Words, start: usize) -> Option<String> {
    let letters: String = (start..words.len())
        .map(|at| words.text(at))
        .take_while(|word| single(word) && word.chars().all(char::is_alphabetic))
        .collect();
    (letters.chars().count() >= 3).then(|| title(&letters))
}

fn capitals(word: &Word) -> String {
    let inner = word.raw.chars().skip(1).any(char::is_uppercase) && word.raw.chars().any(char::is_lowercase);
    // A raw word may stand for several (`It's`); only one that is the same word keeps its own capitals.
    if inner && word.raw.to_lowercase() == word.text { word.raw.clone() } else { title(&word.text) }
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut start = true;
    for c in text.chars() {
        if start {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        start = c == '\'' || c == '-';
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        for (text, found) in [
            ("my name is Rahul Sharma", Some("Rahul Sharma")),
            ("rahul sharma", Some("Rahul Sharma")),
            ("It's Adebayo", Some("Adebayo")),
            ("this is Mary O'Brien speaking", Some("Mary O'Brien")),
            ("John McDonald", Some("John McDonald")),
            ("yes, Priya", Some("Priya")),
            ("r a h u l", Some("Rahul")),
            ("It's Raul, R A H U L", Some("Rahul")),
            ("yes", None),
            ("I don't know what you mean", None),
            ("can you repeat that", None),
            ("", None),
        ] {
            assert_eq!(name(&Words::of(text), true).as_deref(), found, "{text}");
        }
        assert_eq!(name(&Words::of("rahul sharma"), false), None);
        assert_eq!(name(&Words::of("book a table under the name of Rahul"), false), None);
    }
}
