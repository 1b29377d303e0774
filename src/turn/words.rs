//! What single words mean for turn-taking: back-channels, words that stop a bot, and endings that say "there is more". English;
//! never decides anything by itself.

use crate::units::number_words::digits;

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

/// Words that say nothing where nothing else is said: what recognition makes of a hum.
const EMPTY_WORDS: &[&str] = &["a", "an", "and", "at", "in", "it", "of", "on", "the", "to"];

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
    "a", "about", "an", "and", "around", "at", "because", "but", "by", "er", "for", "from", "i", "i'd", "i'll", "i'm",
    "if", "into", "it's", "my", "of", "or", "than", "that's", "the", "to", "uh", "uhm", "um", "until", "when", "which",
    "with",
];

/// A turn that ends in one of these is often not over, but `yes I can` and `I think so` are.
const OFTEN_OPEN: &[&str] = &[
    "am", "are", "can", "could", "have", "in", "is", "like", "maybe", "on", "so", "then", "was", "well", "will",
    "would",
];

/// A turn that ends in one of these phrases goes on.
const OPEN_PHRASES: &[&str] =
    &["let me think", "let me see", "let me check", "let me look", "you know", "i mean", "one moment"];

/// What callers say beside digits when they read a number out.
const BESIDE_DIGITS: &[&str] = &["oh", "double", "triple", "ten"];

/// Words that carry something: not back-channels, and not empty words among themselves.
pub fn weighty_words(text: &str) -> u32 {
    let rest: Vec<String> = words(text).filter(|w| !BACK_CHANNELS.contains(&w.as_str())).collect();
    let says_something = rest.iter().any(|w| !EMPTY_WORDS.contains(&w.as_str()));
    u32::try_from(rest.len()).ok().filter(|_| says_something).unwrap_or(0)
}

/// Is one of the words enough to stop the bot?
pub fn has_stop_word(text: &str) -> bool {
    words(text).any(|w| STOP_WORDS.contains(&w.as_str()))
}

/// A word of so many letters is seldom the bot's by chance.
const TELLING_LETTERS: usize = 5;

/// What is left of a text recognised while the bot said `played`, without the bot's own words. An echo brings them in the bot's
/// order, so two neighbours must be found together; where there are but two words, one that is long; a lone one always. The
/// words beside are heard in part and misheard: they are given up as well, unless they stop the bot.
pub fn without_echo(text: &str, played: &str) -> Vec<String> {
    let heard: Vec<String> = words(text).collect();
    let said: Vec<String> = words(played).collect();
    let mut own = vec![false; heard.len()];
    for (at, pair) in heard.windows(2).enumerate() {
        if said.windows(2).any(|s| are_alike(&s[0], &pair[0]) && are_alike(&s[1], &pair[1])) {
            (own[at], own[at + 1]) = (true, true);
        }
    }
    if heard.len() <= 2 {
        let tells = |word: &str| heard.len() == 1 || word.chars().count() >= TELLING_LETTERS;
        for (own, word) in own.iter_mut().zip(&heard) {
            *own |= tells(word) && said.iter().any(|said| are_alike(said, word));
        }
    }
    let beside = |at: usize| (at > 0 && own[at - 1]) || own.get(at + 1).copied().unwrap_or(false);
    let is_own = |at: usize, word: &str| own[at] || (beside(at) && !STOP_WORDS.contains(&word));
    heard.iter().enumerate().filter(|(at, word)| !is_own(*at, word)).map(|(_, word)| word.clone()).collect()
}

/// The same word, or one that begins like it and was not heard to its end.
fn are_alike(one: &str, other: &str) -> bool {
    let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let longer = one.chars().count().max(other.chars().count());
    same == longer || (same >= 3 && 3 * same >= 2 * longer)
}

/// Does the text end in a phrase that wants a continuation?
fn ends_in_phrase(text: &str) -> bool {
    let said = words(text).collect::<Vec<_>>().join(" ");
    let ends = |p: &str| said.strip_suffix(p).is_some_and(|before| before.is_empty() || before.ends_with(' '));
    OPEN_PHRASES.iter().any(|p| ends(p))
}

/// Does the text end in a word that wants a continuation? Where the turn is taken to be complete for other reasons (`sure`: by the
/// end-of-turn model, or since the words are all that the dialogue waits for), only words count that never end one; a comma is as
/// often the recogniser's way of writing a short answer ("On Friday,").
pub fn ends_open(text: &str, sure: bool) -> bool {
    let trimmed = text.trim_end();
    let broken_off = trimmed.ends_with("...") || trimmed.ends_with('…') || trimmed.ends_with('-');
    if broken_off || (!sure && trimmed.ends_with(',')) {
        return true;
    }
    if ends_in_phrase(text) {
        return true;
    }
    words(text)
        .last()
        .is_some_and(|w| OPEN_ENDINGS.contains(&w.as_str()) || (!sure && OFTEN_OPEN.contains(&w.as_str())))
}

/// Is the caller reading digits or letters out? True where the text ends in a run of at least two digits, digit words or
/// lone letters. A short number within a sentence is an amount or a date, not a dictation.
pub fn is_dictating(text: &str) -> bool {
    let all: Vec<String> = words(text).collect();
    let is_item = |w: &String| {
        (w.chars().count() == 1 && w != "i" && w != "a")
            || w.chars().all(|c| c.is_ascii_digit())
            || (w.len() <= 12 && w.chars().any(|c| c.is_ascii_digit()) && w.chars().all(|c| c.is_ascii_alphanumeric()))
            || BESIDE_DIGITS.iter().chain(digits()).any(|word| word == w)
    };
    let run = all.iter().rev().take_while(|w| is_item(w)).count();
    let glyphs: usize =
        all.iter().rev().take(run).map(|w| if w.chars().any(|c| c.is_ascii_digit()) { w.len() } else { 1 }).sum();
    let amount = run == 1 && all.len() > 1 && glyphs <= 4;
    run >= 1 && !amount && (2..10).contains(&glyphs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_channels_never_count_as_words() {
        assert_eq!(weighty_words("Mm-hmm, okay."), 0);
        assert_eq!(weighty_words("Yeah, I paid it"), 3);
        assert_eq!(weighty_words("In it."), 0);
        assert_eq!(weighty_words("The bill"), 2);
    }

    #[test]
    fn one_stop_word_is_found_in_any_spelling() {
        assert!(has_stop_word("Wait!"));
        assert!(has_stop_word("a HUMAN please"));
        assert!(!has_stop_word("I know"));
    }

    #[test]
    fn the_bots_own_words_are_taken_out() {
        let played = "We are calling about the garden that you asked us to look after, sorry,";
        for (heard, left) in [
            ("Lying about the garden that you asked us to do", ""),
            ("Knowing about the", ""),
            ("sorry", ""),
            ("garden", ""),
            ("no", "no"),
            ("No, about the garden", "no"),
            ("about the garden wait a moment please", "wait a moment please"),
            ("I already paid that", "i already paid that"),
            ("you paid", "you paid"),
            ("Lying about", ""),
            ("stop calling", "stop"),
            ("", ""),
        ] {
            assert_eq!(without_echo(heard, played).join(" "), left, "{heard}");
        }
        assert_eq!(without_echo("about the garden", "").len(), 3);
    }

    #[test]
    fn open_endings_and_dictation() {
        assert!(ends_open("I will pay on the", true));
        assert!(ends_open("because...", true));
        assert!(ends_open("Well, let me think.", true) && !ends_open("outlet me think", true));
        assert!(!ends_open("I will pay tomorrow.", false));
        assert!(ends_open("yes I will", false) && !ends_open("yes I will", true));
        assert!(!is_dictating("I can pay 500"));
        assert!(is_dictating("L N one two"));
        assert!(is_dictating("my number is 98765"));
        assert!(!is_dictating("9876543210"));
        assert!(!is_dictating("I will pay tomorrow"));
    }
}
