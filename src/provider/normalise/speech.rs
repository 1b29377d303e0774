//! The text that goes to the voice, under construction: single spaces, one mark between words, and an alphabet that the
//! G2P can read. Whatever is pushed, nothing but letters, inner apostrophes and hyphens, spaces and `.,?!;:` comes out.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Builds clean spoken text from words and marks.
#[derive(Debug, Default)]
pub(super) struct Speech {
    text: String,
    /// The strongest mark since the last letter, not yet written.
    mark: Option<char>,
    /// A gap since the last letter.
    gap: bool,
    /// An apostrophe or hyphen that stays only if a letter follows at once.
    joint: Option<char>,
}

impl Speech {
    /// Appends words and marks as they stand in `words`, with a gap on both sides.
    pub(super) fn push(&mut self, words: &str) {
        self.space();
        self.glue(words);
        self.space();
    }

    /// Appends without a gap before or after.
    pub(super) fn glue(&mut self, words: &str) {
        for c in words.chars() {
            self.push_char(c);
        }
    }

    /// A gap between words.
    pub(super) fn space(&mut self) {
        self.gap = true;
        self.joint = None;
    }

    /// A punctuation mark; of several in a row the strongest stays, none stands at the start.
    pub(super) fn mark(&mut self, mark: char) {
        self.space();
        if !self.text.is_empty() && self.mark.is_none_or(|old| strength(mark) > strength(old)) {
            self.mark = Some(mark);
        }
    }

    /// Whether a mark that ends a clause stands last (or nothing was said yet).
    pub(super) fn at_pause(&self) -> bool {
        self.text.is_empty() || self.mark.is_some()
    }

    fn push_char(&mut self, c: char) {
        if is_combining_mark(c) {
            // Vowel signs and the like belong to their letter; alone they are nothing.
            if !self.gap
                && self.mark.is_none()
                && self.joint.is_none()
                && self.text.ends_with(|last: char| !last.is_ascii())
            {
                self.text.push(c);
            }
        } else if c.is_alphabetic() {
            self.letter(c);
        } else if strength(c) > 0 {
            self.mark(c);
        } else if matches!(c, '\'' | '-') && !self.gap && self.joint.is_none() && !self.text.is_empty() {
            self.joint = Some(c);
        } else {
            self.space();
        }
    }

    fn letter(&mut self, c: char) {
        if let Some(mark) = self.mark.take() {
            self.text.push(mark);
            self.gap = true;
        }
        if let Some(joint) = self.joint.take() {
            self.text.push(joint);
        } else if self.gap && !self.text.is_empty() {
            self.text.push(' ');
        }
        self.gap = false;
        self.text.push(c);
    }

    /// The finished text, at most `limit_chars` long, cut at the end of a sentence where one is in the second half, else
    /// between words.
    pub(super) fn finish(mut self, limit_chars: usize) -> String {
        if let Some(mark) = self.mark.take() {
            self.text.push(mark);
        }
        self.text = self.text.nfc().collect();
        let Some((limit, _)) = self.text.char_indices().nth(limit_chars) else { return self.text };
        let head = self.text.get(..limit).unwrap_or("");
        let sentence = head.rfind(['.', '?', '!']).map(|at| at + 1).filter(|&at| at > limit / 2);
        // A cut inside a word only where the text has no gap at all.
        let cut = sentence.or_else(|| head.rfind(' ')).unwrap_or(limit);
        self.text.truncate(cut);
        self.text
    }
}

/// How long a pause a mark stands for; 0 = no mark of the output alphabet.
const fn strength(mark: char) -> u8 {
    match mark {
        ',' => 1,
        ';' => 2,
        ':' => 3,
        '.' => 4,
        '!' => 5,
        '?' => 6,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(parts: &[&str]) -> String {
        let mut speech = Speech::default();
        for part in parts {
            speech.push(part);
        }
        speech.finish(4_000)
    }

    #[test]
    fn gaps_and_marks_are_single() {
        assert_eq!(built(&["...", "Hello", " , ", "world!!?", "  "]), "Hello, world?");
        assert_eq!(built(&["a", ",", ".", "b"]), "a. b");
    }

    #[test]
    fn only_inner_apostrophes_and_hyphens_stay() {
        assert_eq!(built(&["'don't'", "well-known-", "--x"]), "don't well-known x");
    }

    #[test]
    fn nothing_outside_the_alphabet_passes() {
        assert_eq!(built(&["{a}[b]<c>1❓_"]), "a b c");
    }

    #[test]
    fn the_cut_falls_on_a_sentence_or_a_word() {
        let mut speech = Speech::default();
        speech.push("One two three. Four five six");
        assert_eq!(speech.finish(20), "One two three.");
        let mut speech = Speech::default();
        speech.push("One two three four");
        assert_eq!(speech.finish(10), "One two");
    }
}
