//! Cuts streamed text into pieces that can be spoken: whole sentences, so that synthesis hears the melody of each. Never
//! loses or reorders a character that carries sound.

/// Longest piece before a cut is forced at a space, in characters.
const LONGEST: usize = 280;

/// Gathers drafted text and gives back what is ready to be spoken.
#[derive(Clone, Debug, Default)]
pub struct SentenceCutter {
    pending: String,
}

impl SentenceCutter {
    /// Adds drafted text; complete sentences are appended to `ready`.
    pub fn push(&mut self, text: &str, ready: &mut Vec<String>) {
        self.pending.push_str(text);
        while let Some(end) = cut_point(&self.pending) {
            let rest = self.pending.split_off(end);
            let piece = std::mem::replace(&mut self.pending, rest);
            keep(piece.trim(), ready);
        }
    }

    /// The draft is complete: whatever is left is the last piece.
    pub fn finish(&mut self, ready: &mut Vec<String>) {
        let piece = std::mem::take(&mut self.pending);
        keep(piece.trim(), ready);
    }

    /// Forgets what was not cut yet.
    pub fn clear(&mut self) {
        self.pending.clear();
    }
}

fn keep(piece: &str, ready: &mut Vec<String>) {
    if piece.chars().any(char::is_alphanumeric) {
        ready.push(piece.to_owned());
    }
}

/// Byte index after which the first sentence ends; `None` while it may still go on. The character after the mark must be
/// there, so that "3." of "3.5" is never taken for an end.
fn cut_point(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().peekable();
    let mut count = 0;
    let mut last_space = None;
    while let Some((at, c)) = chars.next() {
        count += 1;
        let end = at + c.len_utf8();
        if c.is_whitespace() {
            last_space = Some(end);
        }
        let next = chars.peek().map(|&(_, n)| n);
        let ends = match c {
            '\n' | '।' => true,
            '!' | '?' | '…' => next.is_some_and(char::is_whitespace),
            '.' => next.is_some_and(char::is_whitespace) && !is_abbreviation(&text[..at]),
            _ => false,
        };
        if ends {
            return Some(end);
        }
        if count >= LONGEST {
            return Some(last_space.unwrap_or(end));
        }
    }
    None
}

/// Does the text before a full stop end in a common abbreviation, a single letter or a list number?
fn is_abbreviation(before: &str) -> bool {
    const KNOWN: &[&str] =
        &["mr", "mrs", "ms", "dr", "prof", "st", "rs", "no", "vs", "etc", "e.g", "i.e", "approx", "dept", "ltd"];
    let word = before.rsplit(char::is_whitespace).next().unwrap_or("").to_lowercase();
    KNOWN.contains(&word.as_str()) || (word.chars().count() == 1 && word.chars().all(char::is_alphabetic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&str]) -> Vec<String> {
        let mut cutter = SentenceCutter::default();
        let mut ready = Vec::new();
        for piece in pieces {
            cutter.push(piece, &mut ready);
        }
        cutter.finish(&mut ready);
        ready
    }

    #[test]
    fn sentences_are_cut_wherever_the_stream_is() {
        assert_eq!(cut(&["Hel", "lo. How are", " you? F", "ine"]), ["Hello.", "How are you?", "Fine"]);
        assert_eq!(cut(&["One.", " Two."]), ["One.", "Two."]);
    }

    #[test]
    fn numbers_and_abbreviations_stay_whole() {
        assert_eq!(cut(&["Rs. 3.50 is due. Ask Mr. Rao."]), ["Rs. 3.50 is due.", "Ask Mr. Rao."]);
    }

    #[test]
    fn a_text_without_marks_is_cut_at_a_space() {
        let pieces = cut(&[&"word ".repeat(100)]);
        assert!(pieces.len() >= 2 && pieces.iter().all(|p| p.chars().count() <= LONGEST));
        assert_eq!(pieces.join(" ").split_whitespace().count(), 100);
    }

    #[test]
    fn pieces_without_sound_are_not_spoken() {
        assert!(cut(&[" ... \n\n !"]).is_empty());
    }
}
