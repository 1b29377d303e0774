//! Yes or no, in the forms that callers of India, Nigeria, Britain and America use. A leading word decides; a longer
//! phrase later in the turn overrules a single word. Never guesses: an utterance without either is neither.

use super::lexicon::likeness;
use super::words::Words;

/// The phrases, cut into words once.
#[derive(Clone, Debug)]
pub struct Polarity {
    phrases: Vec<(Vec<Vec<String>>, Option<bool>)>,
}

/// Phrases that hold a word of yes or no and say neither.
const NEITHER: &[&str] = &[
    "do not know",
    "i do not know|understand|remember|follow|hear|get|have",
    "i did not understand|hear|get|catch",
    "i can not say|hear|understand|remember|tell",
    "do not understand|remember|follow|hear|get",
    "did not understand|hear|get|catch",
    "no idea",
    "not sure",
    "not certain",
    "can not say|hear|understand|remember|tell",
    "could not hear|understand",
    "no clue",
    "not clear",
    "i have to|a|been|not",
    "i am not sure",
    "i am trying",
    "i can hear",
    "never mind",
];

/// Yes where they end what is said (`I will.`), the start of anything where they do not (`I will think`).
const OPEN_ENDED: &[&str] = &["am", "do", "can", "will", "would", "have", "is", "it", "go", "so", "that"];

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// Yes.
    pub yes: bool,
    /// The first word after the phrase that decided.
    pub end: usize,
    /// The words of that phrase.
    pub words: usize,
}

impl Polarity {
    /// From phrases as the script data write them.
    #[must_use]
    pub fn new(yes: &[&str], no: &[&str]) -> Self {
        let cut = |text: &&str| -> Vec<Vec<String>> {
            text.split_whitespace().map(|word| word.split('|').map(str::to_owned).collect()).collect()
        };
        let yes = yes.iter().map(|text| (cut(text), Some(true)));
        let no = no.iter().map(|text| (cut(text), Some(false)));
        let mut phrases: Vec<_> = NEITHER.iter().map(|text| (cut(text), None)).chain(yes).chain(no).collect();
        phrases.sort_by_key(|(words, _)| std::cmp::Reverse(words.len()));
        Self { phrases }
    }

    /// Yes, no or neither.
    #[must_use]
    pub fn of(&self, words: &Words) -> Option<Opinion> {
        let mut found: Vec<(usize, Opinion)> = Vec::new();
        let mut at = 0;
        while at < words.len() {
            let Some((size, yes)) = self.at(words, at) else {
                at += 1;
                continue;
            };
            if let Some(yes) = yes {
                let yes = yes && !turned(words, at);
                found.push((at, Opinion { yes, end: at + size, words: size }));
            }
            at += size;
        }
        // A single word in the middle of a sentence ("I have no idea", "right now") says nothing.
        let short = words.len() <= 3;
        let telling = |&(at, opinion): &(usize, Opinion)| {
            opinion.words > 1 || short || at == 0 || words.all().get(at).is_some_and(|word| word.after_break)
        };
        let mut telling = found.into_iter().filter(telling);
        let first = telling.next()?.1;
        let longest = telling.map(|(_, opinion)| opinion).max_by_key(|opinion| opinion.words);
        Some(match longest {
            Some(later) if first.words == 1 && later.words >= 3 && later.yes != first.yes => later,
            _ => first,
        })
    }

    fn at(&self, words: &Words, at: usize) -> Option<(usize, Option<bool>)> {
        let fits = |phrase: &[Vec<String>]| {
            phrase.iter().enumerate().all(|(n, choices)| {
                let heard = words.text(at + n);
                let inside = n == 0 || words.all().get(at + n).is_some_and(|word| !word.after_break);
                inside && choices.iter().any(|meant| meant == heard || likeness(heard, meant) >= 0.9)
            })
        };
        // "right now", "fine print", "right away" are no yes.
        if words.text(at) == "right" && matches!(words.text(at + 1), "now" | "away" | "person" | "number") {
            let speaks = matches!(words.text(at + 1), "person" | "number");
            return Some((2, speaks.then_some(true)));
        }
        let ends = |size: usize| words.all().get(at + size).is_none_or(|word| word.after_break);
        let open = |phrase: &[Vec<String>]| {
            let last = phrase.last().and_then(|choices| choices.first());
            phrase.len() == 2
                && phrase.iter().all(|choices| choices.len() == 1)
                && last.is_some_and(|last| OPEN_ENDED.contains(&last.as_str()))
        };
        let found = self
            .phrases
            .iter()
            .find(|(phrase, yes)| fits(phrase) && (*yes != Some(true) || !open(phrase) || ends(phrase.len())));
        found.map(|(phrase, yes)| (phrase.len(), *yes))
    }
}

/// A negation just before turns a yes around: `not sure`, `not right`.
fn turned(words: &Words, at: usize) -> bool {
    let near = |back: usize| {
        let joined = (0..back).all(|n| words.all().get(at - n).is_some_and(|word| !word.after_break));
        joined && super::intent::is_negation(words.text(at - back))
    };
    (at >= 1 && near(1)) || (at >= 2 && near(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bot::script::{NO_PHRASES, YES_PHRASES};

    #[test]
    fn yes_and_no_are_told_apart() {
        let polarity = Polarity::new(YES_PHRASES, NO_PHRASES);
        for (text, yes) in [
            ("yes", Some(true)),
            ("Haan ji", Some(true)),
            ("yeah that's right", Some(true)),
            ("that's write", Some(true)),
            ("speaking", Some(true)),
            ("na me", Some(true)),
            ("no problem", Some(true)),
            ("uh huh, correct", Some(true)),
            ("write number", Some(true)),
            ("no, that's right", Some(true)),
            ("nope", Some(false)),
            ("abeg no", Some(false)),
            ("that's not right", Some(false)),
            ("not correct", Some(false)),
            ("yes I am not", Some(false)),
            ("no no no", Some(false)),
            ("I don't think so", Some(false)),
            ("I have no idea", None),
            ("I don't know", None),
            ("I'm not sure", None),
            ("I will think about it", None),
            ("I will", Some(true)),
            ("call me right now", None),
            ("purple elephants dance", None),
            ("", None),
        ] {
            assert_eq!(polarity.of(&Words::of(text)).map(|o| o.yes), yes, "{text}");
        }
    }
}
