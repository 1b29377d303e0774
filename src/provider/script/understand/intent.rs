//! What the caller wants, by example: phrases are laid over the words, with room for slips, small gaps and one lost word,
//! and never over a negation that the phrase does not have itself. Knows nothing of steps or slots.

use super::lexicon::likeness;
use super::words::Words;

/// An intent with its phrases, ready to be matched.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Its name.
    pub name: String,
    phrases: Vec<Phrase>,
}

/// How well an intent fits an utterance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Which intent, by its place in the list.
    pub intent: usize,
    /// Rank among intents: how surely, weighed by how much of a phrase was there.
    pub score: f32,
    /// How many words the phrase has.
    pub words: usize,
    /// The whole utterance is the phrase.
    pub whole: bool,
    /// First word of the phrase in the utterance, and the first one after it.
    pub span: (usize, usize),
}

#[derive(Clone, Debug)]
struct Phrase {
    words: Vec<Vec<String>>,
    /// Per word but the last: it and the next one as one word, for recognisers that join them.
    joined: Vec<Vec<String>>,
    whole: bool,
    negated: bool,
}

/// Words that turn a meaning around.
const NEGATIONS: &[&str] = &["not", "never", "neither", "nor", "without", "nobody", "nothing", "none"];

/// A phrase that fits less well than this does not fit.
const THRESHOLD: f32 = 0.78;

/// What a word between two words of a phrase costs.
const GAP_COST: f32 = 0.05;

/// Words that may stand between two words of a phrase.
const MAX_GAP: usize = 2;

impl Intent {
    /// An intent from its phrases as a script writes them.
    #[must_use]
    pub fn new(name: &str, phrases: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let phrases = phrases.into_iter().filter_map(|text| Phrase::parse(text.as_ref())).collect();
        Self { name: name.to_owned(), phrases }
    }

    /// The best fit of this intent, if any.
    fn best(&self, at: usize, words: &Words) -> Option<Fit> {
        let fits = self.phrases.iter().filter_map(|phrase| phrase.fit(words));
        let best = fits.max_by(|a, b| a.score.total_cmp(&b.score))?;
        Some(Fit { intent: at, ..best })
    }
}

/// The intents that fit, best first.
#[must_use]
pub fn rank(intents: &[Intent], words: &Words) -> Vec<Fit> {
    let mut fits: Vec<Fit> = intents.iter().enumerate().filter_map(|(at, intent)| intent.best(at, words)).collect();
    fits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.intent.cmp(&b.intent)));
    fits
}

impl Phrase {
    fn parse(text: &str) -> Option<Self> {
        let (whole, text) = text.strip_prefix('=').map_or((false, text), |rest| (true, rest));
        let mut words: Vec<Vec<String>> = Vec::new();
        for part in text.split_whitespace() {
            let choices: Vec<Words> = part.split('|').map(Words::of).collect();
            // A single choice may stand for several words (`can't`); of several choices each is one word.
            if let [only] = choices.as_slice() {
                words.extend(only.all().iter().map(|word| vec![word.text.clone()]));
            } else {
                words.push(
                    choices.iter().filter_map(|choice| choice.all().first()).map(|word| word.text.clone()).collect(),
                );
            }
        }
        let negated = words.iter().flatten().any(|word| is_negation(word) || word == "no");
        let joined = words.windows(2).map(|pair| {
            let both = pair[0].iter().flat_map(|first| pair[1].iter().map(move |second| format!("{first}{second}")));
            both.filter(|both| both.len() >= 6).collect()
        });
        let joined = joined.collect();
        (!words.is_empty()).then_some(Self { words, joined, whole, negated })
    }

    fn fit(&self, words: &Words) -> Option<Fit> {
        let starts = if self.whole { 0..1 } else { 0..words.len() };
        let fits = starts.filter_map(|start| self.fit_at(words, start));
        fits.max_by(|a, b| a.score.total_cmp(&b.score))
    }

    /// Lays the phrase over the words from `start` on; its first word has to stand there.
    fn fit_at(&self, words: &Words, start: usize) -> Option<Fit> {
        let (mut at, mut sum, mut gaps, mut lost) = (start, 0.0_f32, 0_usize, 0_usize);
        let mut n = 0;
        while n < self.words.len() {
            let reach = if n == 0 || self.whole { 0 } else { MAX_GAP };
            let found = (0..=reach).find_map(|gap| self.word_at(words, n, at + gap).map(|hit| (gap, hit)));
            let Some((gap, hit)) = found else {
                // One lost word inside a long phrase is a slip; the first and the last say too much.
                if n == 0 || n + 1 == self.words.len() || self.whole || self.words.len() < 4 || lost > 0 {
                    return None;
                }
                lost += 1;
                n += 1;
                continue;
            };
            if !self.negated && (at..at + gap).any(|between| is_negation(words.text(between))) {
                return None;
            }
            gaps += gap;
            sum += hit.likeness * hit.meant as f32;
            at += gap + hit.heard;
            n += hit.meant;
        }
        if self.whole && at != words.len() {
            return None;
        }
        if !self.negated && negated_before(words, start) {
            return None;
        }
        let size = self.words.len();
        let quality = sum / size as f32 - gaps as f32 * GAP_COST;
        if quality < THRESHOLD - if lost > 0 { 0.05 } else { 0.0 } {
            return None;
        }
        let weight = 1.0 + 0.2 * size.min(6) as f32 + if self.whole { 0.3 } else { 0.0 };
        Some(Fit {
            intent: 0,
            score: quality * weight,
            words: size,
            whole: at - start == words.len(),
            span: (start, at),
        })
    }

    /// Word `n` of the phrase at word `at` of the utterance, with one word heard as two and two as one.
    fn word_at(&self, words: &Words, n: usize, at: usize) -> Option<Hit> {
        let heard = words.all().get(at)?;
        let choices = &self.words[n];
        let alike = choices.iter().map(|meant| likeness(&heard.text, meant)).fold(0.0, f32::max);
        if alike > 0.0 {
            return Some(Hit { likeness: alike, heard: 1, meant: 1 });
        }
        if let Some(joined) = words.joined(at) {
            let alike = choices
                .iter()
                .filter(|meant| meant.len() >= 5)
                .map(|meant| likeness(joined, meant))
                .fold(0.0, f32::max);
            if alike > 0.0 {
                return Some(Hit { likeness: alike * 0.95, heard: 2, meant: 1 });
            }
        }
        let alike = self.joined.get(n)?.iter().map(|both| likeness(&heard.text, both)).fold(0.0, f32::max);
        (alike > 0.0).then_some(Hit { likeness: alike * 0.95, heard: 1, meant: 2 })
    }
}

struct Hit {
    likeness: f32,
    heard: usize,
    meant: usize,
}

/// Does the word turn a meaning around.
#[must_use]
pub fn is_negation(word: &str) -> bool {
    NEGATIONS.contains(&word)
}

/// A negation among the three words before `start`, in the same stretch of speech.
fn negated_before(words: &Words, start: usize) -> bool {
    for back in 1..=3 {
        let Some(at) = start.checked_sub(back) else { return false };
        if words.all().get(at + 1).is_some_and(|word| word.after_break) {
            return false;
        }
        if matches!(words.text(at), "but" | "and" | "because" | "so") {
            return false;
        }
        if is_negation(words.text(at)) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(phrases: &[(&str, &[&str])], text: &str) -> Option<String> {
        let intents: Vec<Intent> = phrases.iter().map(|(name, any)| Intent::new(name, *any)).collect();
        rank(&intents, &Words::of(text)).first().map(|fit| intents[fit.intent].name.clone())
    }

    const PAY: &[(&str, &[&str])] = &[
        ("will_pay", &["i will pay", "make the payment"]),
        ("paid", &["already paid", "have paid"]),
        ("cannot", &["can't pay", "no money"]),
        ("stop", &["=stop"]),
    ];

    #[test]
    fn phrases_are_found_with_slips_gaps_and_lost_words() {
        for (text, intent) in [
            ("Yeah I'll pay on Friday", Some("will_pay")),
            ("i will surely pay", Some("will_pay")),
            ("I have already payed that", Some("paid")),
            ("I'll make the pay meant", Some("will_pay")),
            ("I cannot pay now", Some("cannot")),
            ("I will not pay", None),
            ("I never said I will pay", None),
            ("No, I will pay", Some("will_pay")),
            ("stop", Some("stop")),
            ("the bus stop", None),
            ("purple monkeys", None),
            ("", None),
        ] {
            assert_eq!(best(PAY, text).as_deref(), intent, "{text}");
        }
    }

    #[test]
    fn the_longer_phrase_wins() {
        let both: &[(&str, &[&str])] = &[("a", &["call"]), ("b", &["do not call me"])];
        assert_eq!(best(both, "please don't call me").as_deref(), Some("b"));
    }
}
