//! What a dialogue would understand next, as a hint for recognition: phrases, and how much of a text they cover while it is still
//! being written. A hint weighs between readings that the audio leaves open; it never adds words of its own, and never forbids any.

/// Phrases that are likely to be said, sorted. Lower case words with single spaces; digits and apostrophes may occur.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    phrases: Vec<Box<str>>,
    pressing: bool,
}

impl Hints {
    /// From phrases; what is no letter, digit or apostrophe separates words.
    #[must_use]
    pub fn new(phrases: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let plain = phrases.into_iter().map(|phrase| {
            let lower = phrase.as_ref().to_lowercase();
            let words = lower.split(|c: char| !(c.is_alphanumeric() || c == '\'')).filter(|word| !word.is_empty());
            words.collect::<Vec<_>>().join(" ").into_boxed_str()
        });
        let mut phrases: Vec<Box<str>> = plain.filter(|phrase| !phrase.is_empty()).collect();
        phrases.sort_unstable();
        phrases.dedup();
        Self { phrases, pressing: false }
    }

    /// These and `more`.
    #[must_use]
    pub fn with(&self, more: &[String]) -> Self {
        let all = Self::new(self.phrases.iter().map(AsRef::as_ref).chain(more.iter().map(String::as_str)));
        Self { pressing: self.pressing, ..all }
    }

    /// The same, where the last answer was not understood: the caller has been asked again, so that one of these is far likelier.
    #[must_use]
    pub fn pressed(mut self) -> Self {
        self.pressing = true;
        self
    }

    /// Was the last answer not understood?
    #[must_use]
    pub const fn pressing(&self) -> bool {
        self.pressing
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.phrases.is_empty()
    }

    /// Is `text` made of phrases by seven tenths at least, and does it end with one? A name or a filler may stand between them.
    #[must_use]
    pub fn make_up(&self, text: &str) -> bool {
        let mut trail = Trail::default();
        trail.follow(self, text.trim());
        trail.end(self);
        trail.is_made_up()
    }

    /// The phrases of `range` whose byte at `depth` is `byte`.
    fn narrowed(&self, range: Range, byte: u8) -> Option<Range> {
        let phrases = self.phrases.get(range.from..range.to)?;
        let at = |phrase: &str| phrase.as_bytes().get(range.depth).copied();
        let below = phrases.partition_point(|phrase| at(phrase) < Some(byte));
        let within = phrases.partition_point(|phrase| at(phrase) <= Some(byte));
        (below < within).then_some(Range { from: range.from + below, to: range.from + within, depth: range.depth + 1 })
    }

    /// Is the first phrase of `range` complete? The sorting puts a phrase before those that go on from it.
    fn complete(&self, range: Range) -> bool {
        self.phrases.get(range.from).is_some_and(|phrase| phrase.len() == range.depth)
    }
}

/// Phrases that begin with the same `depth` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    from: usize,
    to: usize,
    depth: usize,
}

/// How far one reading of the audio has come, and how much of it phrases cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trail {
    /// Phrases begun at some word and not left yet.
    open: Vec<Range>,
    /// Bytes that complete phrases cover, each counted once.
    covered: usize,
    /// Bytes written, and up to where they are counted as covered.
    written: usize,
    counted_to: usize,
    /// Between two words.
    between: bool,
}

impl Default for Trail {
    fn default() -> Self {
        Self { open: Vec::new(), covered: 0, written: 0, counted_to: 0, between: true }
    }
}

impl Trail {
    /// Follows `text`, the next piece of the reading.
    pub fn follow(&mut self, hints: &Hints, text: &str) {
        for c in text.chars() {
            match c {
                ' ' => self.space(hints),
                c if c.is_alphanumeric() || c == '\'' => {
                    let mut bytes = [0; 4];
                    for lower in c.to_lowercase() {
                        for &byte in lower.encode_utf8(&mut bytes).as_bytes() {
                            self.letter(hints, byte);
                        }
                    }
                }
                // A recogniser puts commas anywhere: "Yes, speaking." is "yes speaking".
                _ => {}
            }
        }
    }

    fn letter(&mut self, hints: &Hints, byte: u8) {
        if self.between {
            self.open.push(Range { from: 0, to: hints.phrases.len(), depth: 0 });
            self.between = false;
        }
        self.written += 1;
        self.narrow(hints, byte);
    }

    fn space(&mut self, hints: &Hints) {
        if !self.between {
            self.count(hints);
            self.narrow(hints, b' ');
            self.between = true;
        }
        self.written += 1;
    }

    fn narrow(&mut self, hints: &Hints, byte: u8) {
        self.open.retain_mut(|range| match hints.narrowed(*range, byte) {
            Some(narrower) => {
                *range = narrower;
                true
            }
            None => false,
        });
    }

    /// Counts the longest phrase that is complete here.
    fn count(&mut self, hints: &Hints) {
        if let Some(length) = self.open.iter().filter(|range| hints.complete(**range)).map(|range| range.depth).max() {
            self.covered += length.min(self.written - self.counted_to);
            self.counted_to = self.written;
        }
    }

    /// The reading is at its end.
    pub fn end(&mut self, hints: &Hints) {
        if !self.between {
            self.count(hints);
        }
        self.open.clear();
        self.between = true;
    }

    /// Is the reading, at its end, made of phrases by seven tenths at least, and does it end with one?
    #[must_use]
    pub const fn is_made_up(&self) -> bool {
        self.written > 0 && self.counted_to == self.written && self.covered * 10 >= self.written * 7
    }

    /// Bytes that phrases cover, with those of the furthest phrase that is still open.
    #[must_use]
    pub fn covered(&self) -> usize {
        let open = self.open.iter().map(|range| range.depth.min(self.written - self.counted_to)).max();
        self.covered + open.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn covered(phrases: &[&str], pieces: &[&str]) -> usize {
        let hints = Hints::new(phrases);
        let mut trail = Trail::default();
        for piece in pieces {
            trail.follow(&hints, piece);
        }
        trail.end(&hints);
        trail.covered()
    }

    #[test]
    fn whole_phrases_count_and_broken_ones_do_not() {
        let phrases = ["wrong number", "wrong", "call me later", "I'll pay"];
        assert_eq!(covered(&phrases, &[" Sor", "ry,", " wrong", " num", "ber."]), "wrong number".len());
        assert_eq!(covered(&phrases, &["Wrong", " members"]), "wrong".len());
        assert_eq!(covered(&phrases, &["call me"]), 0);
        assert_eq!(covered(&phrases, &["recall me later"]), 0, "a phrase begins with a word");
        assert_eq!(covered(&phrases, &["I'll", " pay it"]), "i'll pay".len());
        assert_eq!(covered(&[], &["anything at all"]), 0);
        assert_eq!(covered(&phrases, &["", "  ", "…"]), 0);
    }

    #[test]
    fn an_answer_is_what_was_waited_for_where_phrases_make_it_up_to_its_end() {
        let hints = Hints::new(["yes", "yes this is", "speaking", "i will pay", "on friday"]);
        for whole in ["Yes.", "Yes, this is Rahul speaking.", "I will pay on Friday.", " yes! "] {
            assert!(hints.make_up(whole), "{whole:?}");
        }
        for not in ["", " ", "...", "Yes, but I", "I will pay and", "My brother is speaking"] {
            assert!(!hints.make_up(not), "{not:?}");
        }
    }

    #[test]
    fn a_letter_counts_once_in_phrases_that_overlap() {
        assert_eq!(covered(&["i will pay", "will pay it", "pay"], &["I will pay it"]), "i will pay it".len());
        assert_eq!(covered(&["yes", "yes yes"], &["yes yes"]), "yes yes".len());
    }

    #[test]
    fn an_open_phrase_counts_as_long_as_it_may_be_one() {
        let hints = Hints::new(["call me later"]);
        let mut trail = Trail::default();
        trail.follow(&hints, "Call me l");
        assert_eq!(trail.covered(), 9);
        trail.follow(&hints, "ast");
        assert_eq!(trail.covered(), 0);
    }

    proptest! {
        #[test]
        fn never_more_is_covered_than_was_written(text in "[a-c ',.é]{0,40}", phrases in prop::collection::vec("[a-c]{1,3}( [a-c]{1,3}){0,2}", 0..8)) {
            let hints = Hints::new(&phrases);
            let mut trail = Trail::default();
            for piece in text.split_inclusive('a') {
                trail.follow(&hints, piece);
                prop_assert!(trail.covered() <= text.len());
            }
            trail.end(&hints);
            prop_assert!(trail.covered() <= text.len());
        }
    }
}
