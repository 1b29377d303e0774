//! Word errors by the cheapest alignment of two texts. Quadratic in the words; meant for utterances, not for books.

use super::{canonical_words, raw_words};

/// How a hypothesis differs from its reference, in words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordErrors {
    /// Words that came out as others.
    pub substitutions: usize,
    /// Words of the reference that are missing.
    pub deletions: usize,
    /// Words that the reference does not have.
    pub insertions: usize,
    /// Words of the reference.
    pub reference_words: usize,
}

impl WordErrors {
    /// All errors.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.substitutions + self.deletions + self.insertions
    }

    /// The word error rate, 0.0 = none; above 1.0 where more was inserted than the reference has. An empty reference
    /// counts as one word.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let words = u32::try_from(self.reference_words.max(1)).unwrap_or(u32::MAX);
        let errors = u32::try_from(self.total()).unwrap_or(u32::MAX);
        f64::from(errors) / f64::from(words)
    }
}

impl std::ops::AddAssign for WordErrors {
    fn add_assign(&mut self, other: Self) {
        self.substitutions += other.substitutions;
        self.deletions += other.deletions;
        self.insertions += other.insertions;
        self.reference_words += other.reference_words;
    }
}

/// The errors between the canonical words of both texts.
#[must_use]
pub fn word_errors(reference: &str, hypothesis: &str) -> WordErrors {
    aligned(&canonical_words(reference), &canonical_words(hypothesis), true)
}

/// The errors between the raw words of both texts: the figure to publish beside the canonical one.
#[must_use]
pub fn raw_errors(reference: &str, hypothesis: &str) -> WordErrors {
    aligned(&raw_words(reference), &raw_words(hypothesis), false)
}

/// The most pieces that one word may have been cut into.
const MOST_PIECES: usize = 8;

/// The cheapest way to one cell, counted by kind.
fn aligned(reference: &[String], hypothesis: &[String], compounds: bool) -> WordErrors {
    let width = hypothesis.len() + 1;
    let mut cells = vec![WordErrors::default(); width * (reference.len() + 1)];
    for row in 0..=reference.len() {
        for column in 0..width {
            if let Some(best) = cell(&cells, (reference, hypothesis), (row, column), compounds)
                && let Some(cell) = cells.get_mut(row * width + column)
            {
                *cell = best;
            }
        }
    }
    let end = cells.last().copied().unwrap_or_default();
    WordErrors { reference_words: reference.len(), ..end }
}

/// The best value of one cell from those above and left of it; nothing for the first one.
fn cell(
    cells: &[WordErrors],
    (reference, hypothesis): (&[String], &[String]),
    (row, column): (usize, usize),
    compounds: bool,
) -> Option<WordErrors> {
    let width = hypothesis.len() + 1;
    let from = |up: usize, left: usize| cells.get(row.checked_sub(up)? * width + column.checked_sub(left)?).copied();
    let word = row.checked_sub(1).and_then(|at| reference.get(at));
    let heard = column.checked_sub(1).and_then(|at| hypothesis.get(at));
    let mut ways: Vec<WordErrors> = Vec::with_capacity(4);
    if let (Some(word), Some(heard), Some(before)) = (word, heard, from(1, 1)) {
        let substitutions = before.substitutions + usize::from(word != heard);
        ways.push(WordErrors { substitutions, ..before });
    }
    if let Some(before) = from(1, 0).filter(|_| row > 0) {
        ways.push(WordErrors { deletions: before.deletions + 1, ..before });
    }
    if let Some(before) = from(0, 1).filter(|_| column > 0) {
        ways.push(WordErrors { insertions: before.insertions + 1, ..before });
    }
    if compounds {
        let cut_up = word.and_then(|word| pieces(word, hypothesis, column)).and_then(|pieces| from(1, pieces));
        let put_together = heard.and_then(|heard| pieces(heard, reference, row)).and_then(|pieces| from(pieces, 1));
        ways.extend(cut_up.into_iter().chain(put_together));
    }
    ways.into_iter().min_by_key(WordErrors::total)
}

/// How many of the words before `end`, put together, are `whole`.
fn pieces(whole: &str, words: &[String], end: usize) -> Option<usize> {
    let mut rest = whole;
    for count in 1..=MOST_PIECES {
        let piece = words.get(end.checked_sub(count)?)?;
        rest = rest.strip_suffix(piece.as_str())?;
        if rest.is_empty() {
            return (count > 1).then_some(count);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_kind() {
        let errors = word_errors("your loan is due today now", "your lone is today now please");
        assert_eq!(errors, WordErrors { substitutions: 1, deletions: 1, insertions: 1, reference_words: 6 });
        assert!((errors.rate() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn empty_texts_have_a_rate() {
        assert_eq!(word_errors("", "").total(), 0);
        assert_eq!(word_errors("", "hello").insertions, 1);
        assert_eq!(word_errors("hello there", "").deletions, 2);
        assert!(word_errors("", "hello").rate() <= 1.0);
    }

    #[test]
    fn the_raw_figure_forgives_nothing_but_case_and_marks() {
        assert_eq!(raw_errors("Hello, Rahul.", "hello rahul").total(), 0);
        assert_eq!(raw_errors("It is $50", "it is fifty dollars").total(), 2);
    }

    #[test]
    fn a_word_equals_its_pieces_but_no_others() {
        assert_eq!(word_errors("our website works", "our web site works").total(), 0);
        assert_eq!(word_errors("our website works", "our web sight works").total(), 2);
    }
}
