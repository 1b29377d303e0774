//! What single words mean for turn-taking: back-channels, words that stop a bot, and endings that say "there is more". English;
//! never decides anything by itself.

/// The words of a transcript: lower case, without punctuation, apostrophes kept.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !(c.is_alphanumeric() || c == '\''))
        .filter(|w| w.chars().any(char::is_alphanumeric))
        .map(str::to_lowercase)
}

/// Sounds and words that only say "I am listening".
const BACK_CHANNELS: &[&str] = &[
    "ah", "aha", "alright", "hm", "hmm", "huh", "ji", "m", "mhm", "mm", "mmhmm", "mmm", "oh", "ok", "okay", "right",
    "sure", "uh", "uhhuh", "uhuh", "um", "yeah", "yep", "yes", "yup",
];

/// One of these is enough to stop the bot.
const STOP_WORDS: &[&str] = &[
    "agent",
    "cancel",
    "excuse",
    "hold",
    "human",
    "listen",
    "no",
    "nope",
    "operator",
    "pardon",
    "person",
    "quiet",
    "representative",
    "sorry",
    "stop",
    "supervisor",
    "wait",
    "wrong",
];

/// A turn that ends in one of these is not over.
const OPEN_ENDINGS: &[&str] = &[
    "a", "about", "an", "and", "around", "at", "because", "but", "by", "can", "could", "er", "for", "from", "i", "i'd",
    "i'll", "i'm", "if", "in", "into", "is", "it's", "like", "maybe", "my", "of", "or", "so", "than", "that's", "the",
    "then", "to", "uh", "uhm", "um", "until", "was", "well", "when", "which", "will", "with", "would",
];

/// Words that are digits when a caller reads a number out.
const DIGIT_WORDS: &[&str] =
    &["zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "double", "triple", "ten"];

/// Words that carry something: neither a back-channel nor a filler.
pub fn weighty_words(text: &str) -> u32 {
    let count = words(text).filter(|w| !BACK_CHANNELS.contains(&w.as_str())).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Is one of the words enough to stop the bot?
pub fn has_stop_word(text: &str) -> bool {
    words(text).any(|w| STOP_WORDS.contains(&w.as_str()))
}

/// Does the text end in a word that wants a continuation?
pub fn ends_open(text: &str) -> bool {
    let trimmed = text.trim_end();
    if trimmed.ends_with("...") || trimmed.ends_with('…') || trimmed.ends_with(',') || trimmed.ends_with('-') {
        return true;
    }
    words(text).last().is_some_and(|w| OPEN_ENDINGS.contains(&w.as_str()))
}

/// Is the caller reading digits or letters out? True where the text ends in a digit, a digit word or a lone letter that
/// belongs to a run of at least two such.
pub fn is_dictating(text: &str) -> bool {
    let all: Vec<String> = words(text).collect();
    let is_item = |w: &String| {
        (w.chars().count() == 1 && w != "i" && w != "a")
            || w.chars().all(|c| c.is_ascii_digit())
            || (w.len() <= 12 && w.chars().any(|c| c.is_ascii_digit()) && w.chars().all(|c| c.is_ascii_alphanumeric()))
            || DIGIT_WORDS.contains(&w.as_str())
    };
    let run = all.iter().rev().take_while(|w| is_item(w)).count();
    let glyphs: usize =
        all.iter().rev().take(run).map(|w| if w.chars().any(|c| c.is_ascii_digit()) { w.len() } else { 1 }).sum();
    run >= 1 && (2..10).contains(&glyphs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_channels_never_count_as_words() {
        assert_eq!(weighty_words("Mm-hmm, okay."), 0);
        assert_eq!(weighty_words("Yeah, I paid it"), 3);
    }

    #[test]
    fn one_stop_word_is_found_in_any_spelling() {
        assert!(has_stop_word("Wait!"));
        assert!(has_stop_word("a HUMAN please"));
        assert!(!has_stop_word("I know"));
    }

    #[test]
    fn open_endings_and_dictation() {
        assert!(ends_open("I will pay on the"));
        assert!(ends_open("because..."));
        assert!(!ends_open("I will pay tomorrow."));
        assert!(is_dictating("L N one two"));
        assert!(is_dictating("my number is 98765"));
        assert!(!is_dictating("9876543210"));
        assert!(!is_dictating("I will pay tomorrow"));
    }
}
