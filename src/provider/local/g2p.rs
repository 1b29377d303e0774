//! From text to phonemes: clean the text of what the lexicon would execute or stumble over, cut it into chunks that are
//! synthesised one by one, look the words up. The marker for unknown words never leaves this file.

use std::sync::Arc;

use misaki_rs::{G2P, Language};

use super::hibari::{MOST_PHONEMES, Phonemes};
use super::oov::{Oov, Shared};
use super::runtime::odd;
use crate::provider::ProviderError;

/// What the lexicon writes for a word it cannot say.
const UNKNOWN: char = '❓';
/// A chunk is cut at a clause once it is this long, so that the first sound of a long sentence comes early.
const CHUNK_CHARS: usize = 110;
/// No chunk is shorter than this because of a clause: "Yes, of course" is one breath.
const LEAST_CHUNK_CHARS: usize = 40;

/// The lexicons, the tagger and the pronouncer; one for all threads.
pub(super) struct Pronunciation {
    lexicon: G2P,
    phonemes: Arc<Phonemes>,
}

impl Pronunciation {
    pub(super) fn new(oov: Arc<Oov>, phonemes: Arc<Phonemes>) -> Self {
        Self { lexicon: G2P::with_fallback(Language::EnglishUS, Some(Box::new(Shared(oov)))), phonemes }
    }

    /// The phonemes of a text; `None` where it has a word that neither the lexicon nor the network for unknown words can say.
    pub(super) fn whole(&self, text: &str) -> Result<Option<String>, ProviderError> {
        let (said, _) = self.lexicon.g2p(&cleaned(text)).map_err(|error| odd("pronunciation", error.to_string()))?;
        Ok((!said.contains(UNKNOWN)).then_some(said))
    }

    /// The phonemes of one chunk of `chunks`, in runs that the network can take; empty where nothing can be said.
    pub(super) fn of(&self, chunk: &str) -> Result<Vec<String>, ProviderError> {
        let (said, _) = self.lexicon.g2p(chunk).map_err(|error| odd("pronunciation", error.to_string()))?;
        if said.contains(UNKNOWN) {
            tracing::debug!("a word cannot be said and is left out");
        }
        let known: String = said.chars().filter(|&phoneme| self.phonemes.knows(phoneme)).collect();
        Ok(bounded(known.trim()))
    }
}

/// Runs of at most [`MOST_PHONEMES`], cut after a clause mark where there is one, else between words, else anywhere.
fn bounded(phonemes: &str) -> Vec<String> {
    let mut runs = Vec::new();
    let mut left: Vec<char> = phonemes.chars().collect();
    while left.len() > MOST_PHONEMES {
        let head = &left[..MOST_PHONEMES];
        let after = |marks: &str| head.iter().rposition(|c| marks.contains(*c)).map(|at| at + 1);
        let cut = after(",;:—…").or_else(|| after(" ")).unwrap_or(MOST_PHONEMES);
        runs.push(left.drain(..cut).collect::<String>().trim().to_owned());
    }
    runs.push(left.into_iter().collect::<String>().trim().to_owned());
    runs.retain(|run| run.chars().any(char::is_alphabetic));
    runs
}

/// Text without link syntax and without symbols that have no sound; a few symbols become words.
pub(super) fn cleaned(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let text = without_links(text);
    for c in text.chars() {
        match c {
            '&' => out.push_str(" and "),
            '%' => out.push_str(" percent "),
            '@' => out.push_str(" at "),
            '+' => out.push_str(" plus "),
            '=' => out.push_str(" equals "),
            c if c.is_alphanumeric() || ".,!?;:'’\"“”…—–-()$€£".contains(c) => out.push(c),
            '\u{300}'..='\u{36F}' => out.push(c),
            _ => out.push(' '),
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `[shown](target)` becomes `shown`: the lexicon would take the target for phonemes to say. Brackets go altogether, so
/// that none can come about by the removal of others.
fn without_links(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("](") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        rest = from.find(')').and_then(|end| from.get(end + 1..)).unwrap_or_default();
    }
    out.push_str(rest);
    out.replace(['[', ']', '{', '}', '<', '>', '`', '*', '_', '|', '\\', '^', '~', '#'], " ")
}

/// Cuts cleaned text into chunks: at the ends of sentences, and in long sentences at clauses. Each says whether a
/// sentence ends with it.
pub(super) fn chunks(text: &str) -> Vec<(String, bool)> {
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    let mut found = Vec::new();
    let mut chunk = String::new();
    for (at, word) in words.iter().enumerate() {
        if !chunk.is_empty() {
            chunk.push(' ');
        }
        chunk.push_str(word);
        let next = words.get(at + 1);
        let length = chunk.chars().count();
        if next.is_none() || ends_sentence(word, next.copied().unwrap_or_default()) {
            found.push((std::mem::take(&mut chunk), true));
        } else if length >= LEAST_CHUNK_CHARS && word.ends_with([',', ';', ':', '—', '–']) {
            // A cut costs a little of the sentence's melody, so a sentence that fits into one chunk is left whole.
            let left: usize = words[at + 1..].iter().map(|word| word.chars().count() + 1).sum();
            let to_end = words[at + 1..]
                .iter()
                .position(|word| word.ends_with(['.', '!', '?']))
                .map_or(left, |end| words[at + 1..=at + 1 + end].iter().map(|word| word.chars().count() + 1).sum());
            if length + to_end > CHUNK_CHARS {
                found.push((std::mem::take(&mut chunk), false));
            }
        }
    }
    found.retain(|(chunk, _)| chunk.chars().any(char::is_alphanumeric));
    found
}

fn ends_sentence(word: &str, next: &str) -> bool {
    let bare = word.trim_end_matches(['"', '”', '’', ')', '\'']);
    if bare.ends_with(['!', '?', '…']) {
        return true;
    }
    let Some(stem) = bare.strip_suffix('.') else { return false };
    let title = ["Mr", "Mrs", "Ms", "Dr", "Prof", "St", "No", "Rs", "vs", "Jr", "Sr"].contains(&stem);
    let initial = stem.chars().count() == 1 && stem.chars().all(char::is_uppercase);
    !title && !initial && !next.starts_with(char::is_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_marks_never_reach_the_lexicon() {
        assert_eq!(cleaned("Say [hello](/ˈɛvɪl/) now"), "Say hello now");
        assert_eq!(cleaned("[a]([b](/x/)) c"), "a) c");
        assert_eq!(cleaned("[unclosed](/x"), "unclosed");
        assert_eq!(cleaned("**Pay** 5% & more ₹ #1"), "Pay 5 percent and more 1");
        for text in ["[a](/b/)", "[[a](x)](/b/)", "[a](b](/c/)", "][(](/x/)"] {
            assert!(!cleaned(text).contains(['[', ']']), "{text}");
        }
    }

    #[test]
    fn sentences_are_chunks_and_long_ones_are_cut_at_clauses() {
        let cut = chunks("Hello Mr. Sharma. This is Asha! Are you there?");
        assert_eq!(cut.len(), 3, "{cut:?}");
        assert!(cut.iter().all(|(_, end)| *end));
        let long = "I am calling about the loan that you took in the year before the last one, because the payment of \
                    this month has not arrived yet, and I would like to know when we can expect it.";
        let cut = chunks(long);
        assert!(cut.len() >= 2 && !cut[0].1 && cut.last().unwrap().1, "{cut:?}");
        assert_eq!(cut.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(" "), long);
        assert_eq!(chunks("Yes, of course, thank you.").len(), 1);
        assert!(chunks("... — !").is_empty());
    }

    #[test]
    fn phonemes_are_cut_below_the_networks_bound() {
        let long = "həlˈO, ".repeat(200);
        let runs = bounded(&long);
        assert!(runs.len() > 1 && runs.iter().all(|run| run.chars().count() <= MOST_PHONEMES));
        assert_eq!(runs.concat().matches('h').count(), 200);
        assert!(bounded(&"a".repeat(1_000)).len() == 3);
        assert!(bounded(" . ").is_empty());
    }
}
