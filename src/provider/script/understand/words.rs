//! Normalised words of an utterance: lower case, contractions spelled out, fillers gone, numbers in one piece, with the
//! breaks that punctuation makes. Keeps how each word was written for names. Never judges what the words mean.

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Lower case, without punctuation.
    pub text: String,
    /// As the recogniser wrote it.
    pub raw: String,
    /// Punctuation or a filler stood before it.
    pub after_break: bool,
}

/// A word that can be one half of a word the recogniser has cut in two is no longer than this.
const MAX_HALF: usize = 12;

/// The words of one utterance.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Words {
    all: Vec<Word>,
    /// Per word: it and the next one as one, where no break is between them.
    joined: Vec<Option<String>>,
}

/// Longest utterance that is looked at; a minute of fast speech has about 300 words.
const MAX_WORDS: usize = 400;

/// Words that carry no meaning for a dialogue.
const FILLERS: &[&str] = &[
    "um",
    "uh",
    "uhm",
    "umm",
    "erm",
    "er",
    "hmm",
    "mm",
    "mmm",
    "ah",
    "eh",
    "please",
    "kindly",
    "just",
    "actually",
    "basically",
    "well",
    "sir",
    "madam",
    "maam",
    "ma'am",
    "oga",
    "oh-ho",
    "huh",
    "yaar",
    "na-na",
];

/// Contractions and slips of the recogniser that stand for several words or another one.
const EXPANSIONS: &[(&str, &[&str])] = &[
    ("can't", &["can", "not"]),
    ("cant", &["can", "not"]),
    ("cannot", &["can", "not"]),
    ("won't", &["will", "not"]),
    ("wont", &["will", "not"]),
    ("shan't", &["shall", "not"]),
    ("dont", &["do", "not"]),
    ("didnt", &["did", "not"]),
    ("doesnt", &["does", "not"]),
    ("isnt", &["is", "not"]),
    ("havent", &["have", "not"]),
    ("hasnt", &["has", "not"]),
    ("wasnt", &["was", "not"]),
    ("arent", &["are", "not"]),
    ("couldnt", &["could", "not"]),
    ("wouldnt", &["would", "not"]),
    ("ain't", &["is", "not"]),
    ("aint", &["is", "not"]),
    ("im", &["i", "am"]),
    ("ive", &["i", "have"]),
    ("ill", &["i", "will"]),
    ("its", &["it", "is"]),
    ("thats", &["that", "is"]),
    ("whats", &["what", "is"]),
    ("whos", &["who", "is"]),
    ("theres", &["there", "is"]),
    ("youve", &["you", "have"]),
    ("youre", &["you", "are"]),
    ("gonna", &["going", "to"]),
    ("wanna", &["want", "to"]),
    ("gotta", &["have", "to"]),
    ("lemme", &["let", "me"]),
    ("gimme", &["give", "me"]),
    ("mhm", &["yes"]),
    ("ok", &["okay"]),
    ("ur", &["your"]),
    ("tmrw", &["tomorrow"]),
    ("goodbye", &["bye"]),
    ("a.m", &["am"]),
    ("p.m", &["pm"]),
    ("dialed", &["dialled"]),
];

/// Units that a recogniser glues to a number.
const GLUED: &[&str] = &[
    "am", "pm", "k", "m", "l", "lakh", "lakhs", "lac", "cr", "crore", "hrs", "rs", "inr", "usd", "ngn", "eur", "gbp",
    "days", "rupees", "rupee", "dollars", "naira", "o'clock",
];

impl Words {
    /// The words of `text`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut words = Self::default();
        let plain = hummed(&text.replace(['’', '‘', '`'], "'"));
        let mut broken = false;
        for chunk in plain.split_whitespace().take(MAX_WORDS) {
            let mut pieces = Vec::new();
            cut(chunk, &mut pieces);
            for piece in pieces {
                match piece {
                    Piece::Break => broken = true,
                    Piece::Text(raw) => broken = words.add(raw, broken),
                }
            }
        }
        words.join_phrases();
        Self::new(words.all)
    }

    fn new(all: Vec<Word>) -> Self {
        let join = |pair: &[Word]| {
            let fits = !pair[1].after_break && pair.iter().all(|word| word.text.len() <= MAX_HALF);
            fits.then(|| format!("{}{}", pair[0].text, pair[1].text)).filter(|joined| joined.len() >= 5)
        };
        let joined = all.windows(2).map(join).collect();
        Self { all, joined }
    }

    /// Word `at` and the next one as one word.
    #[must_use]
    pub fn joined(&self, at: usize) -> Option<&str> {
        self.joined.get(at)?.as_deref()
    }

    /// Adds a word; tells whether the next one stands after a break.
    fn add(&mut self, raw: &str, broken: bool) -> bool {
        let text = raw.to_lowercase();
        if FILLERS.contains(&text.as_str()) {
            return true;
        }
        for (n, part) in expand(&text).into_iter().enumerate() {
            self.all.push(Word { text: part, raw: raw.to_owned(), after_break: broken && n == 0 });
        }
        false
    }

    /// Two words that are one: `good bye`, `per cent`.
    fn join_phrases(&mut self) {
        for (first, second, joined) in
            [("good", "bye", "bye"), ("per", "cent", "percent"), ("day", "light", "daylight")]
        {
            while let Some(at) = self
                .all
                .windows(2)
                .position(|pair| pair[0].text == first && pair[1].text == second && !pair[1].after_break)
            {
                joined.clone_into(&mut self.all[at].text);
                self.all.remove(at + 1);
            }
        }
    }

    /// The words in order.
    #[must_use]
    pub fn all(&self) -> &[Word] {
        &self.all
    }

    /// The text of word `at`; empty past the end.
    #[must_use]
    pub fn text(&self, at: usize) -> &str {
        self.all.get(at).map_or("", |word| word.text.as_str())
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// None at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The words without those of `range`; what follows stands after a break.
    #[must_use]
    pub fn without(&self, range: std::ops::Range<usize>) -> Self {
        let mut rest: Vec<Word> = self.all.get(..range.start).unwrap_or_default().to_vec();
        let mut tail: Vec<Word> = self.all.get(range.end..).unwrap_or_default().to_vec();
        if let Some(word) = tail.first_mut() {
            word.after_break = true;
        }
        rest.append(&mut tail);
        Self::new(rest)
    }

    /// The words from `from` on.
    #[must_use]
    pub fn from(&self, from: usize) -> Self {
        Self::new(self.all.get(from..).unwrap_or_default().to_vec())
    }

    /// Does `phrase` stand at `at`, word for word.
    #[must_use]
    pub fn stands_at(&self, at: usize, phrase: &[&str]) -> bool {
        phrase.iter().enumerate().all(|(n, word)| self.text(at + n) == *word)
    }
}

enum Piece<'a> {
    Text(&'a str),
    Break,
}

/// A hummed yes is a yes before its halves are taken for fillers.
fn hummed(text: &str) -> String {
    let lower = text.to_lowercase();
    let hums = ["uh huh", "uh-huh", "mm hmm", "mm-hmm", "mhmm"];
    if !hums.iter().any(|hum| lower.contains(hum)) {
        return text.to_owned();
    }
    hums.iter().fold(lower, |text, hum| text.replace(hum, "yes"))
}

/// The words that a word stands for.
fn expand(text: &str) -> Vec<String> {
    if let Some((_, parts)) = EXPANSIONS.iter().find(|(short, _)| *short == text) {
        return parts.iter().map(|&part| part.to_owned()).collect();
    }
    let ends: [(&str, &str); 7] =
        [("n't", "not"), ("'ll", "will"), ("'m", "am"), ("'re", "are"), ("'ve", "have"), ("'d", "would"), ("'s", "is")];
    for (end, full) in ends {
        let Some(head) = text.strip_suffix(end).filter(|head| !head.is_empty()) else { continue };
        if end == "'s"
            && !["it", "that", "he", "she", "what", "who", "there", "here", "where", "name", "how"].contains(&head)
        {
            return vec![head.to_owned()];
        }
        return vec![head.to_owned(), full.to_owned()];
    }
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if !number.is_empty() && GLUED.contains(&unit) {
        return vec![plain_number(number), unit.to_owned()];
    }
    let letters = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
    let (unit, number) = text.split_at(letters);
    if ["rs", "inr", "usd", "ngn", "eur", "gbp"].contains(&unit) && number.starts_with(|c: char| c.is_ascii_digit()) {
        return vec![unit.to_owned(), plain_number(number)];
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) { vec![plain_number(text)] } else { vec![text.to_owned()] }
}

/// `15,000` and `1,50,000` without their commas.
fn plain_number(text: &str) -> String {
    text.replace(',', "")
}

/// Cuts a stretch without white space into words and breaks.
fn cut<'a>(chunk: &'a str, out: &mut Vec<Piece<'a>>) {
    let bare = chunk.trim_matches(|c: char| !c.is_alphanumeric() && !is_sign(c));
    if chunk.starts_with([',', '.', ';', ':', '!', '?', '-', '—', '–', '"', '(']) {
        out.push(Piece::Break);
    }
    let mut rest = bare;
    while let Some(first) = rest.chars().next() {
        let size = if is_sign(first) { first.len_utf8() } else { word_len(rest) };
        let (head, tail) = rest.split_at(size.max(first.len_utf8()));
        if head.starts_with(char::is_alphanumeric) || is_sign(first) {
            out.push(Piece::Text(head));
        }
        rest = tail.trim_start_matches(|c: char| {
            let glue = matches!(c, '-' | '.' | '/' | '\'' | '&' | '+' | '_' | '*' | '#' | '=');
            glue || (!c.is_alphanumeric() && !is_sign(c))
        });
        if tail.starts_with([',', '!', '?', ';', '—', '–']) {
            out.push(Piece::Break);
        }
    }
    if chunk.ends_with([',', '.', '!', '?', ';', ':', '—', '–', '-']) {
        out.push(Piece::Break);
    }
}

const fn is_sign(c: char) -> bool {
    matches!(c, '$' | '€' | '£' | '₹' | '₦' | '%')
}

/// Bytes of the word that `text` starts with: letters with inner apostrophes, or a number with inner points, commas and
/// colons, or an ISO or local date.
fn word_len(text: &str) -> usize {
    if let Some(size) =
        ["a.m", "p.m"].iter().find(|short| text.get(..3).is_some_and(|head| head.eq_ignore_ascii_case(short)))
    {
        return size.len();
    }
    if let Some(size) = date_len(text) {
        return size;
    }
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let digit = |n: usize| chars.get(n).is_some_and(|(_, c)| c.is_ascii_digit());
    let letter = |n: usize| chars.get(n).is_some_and(|(_, c)| c.is_alphabetic());
    let mut n = 0;
    while let Some(&(_, c)) = chars.get(n) {
        let inner = match c {
            '.' | ':' => n > 0 && digit(n - 1) && digit(n + 1),
            ',' => n > 0 && digit(n - 1) && groups(&text[chars[n].0..]),
            '\'' => n > 0 && letter(n - 1) && letter(n + 1),
            _ => c.is_alphanumeric() || is_mark(c),
        };
        if !inner {
            break;
        }
        n += 1;
    }
    chars.get(n).map_or(text.len(), |(at, _)| *at)
}

/// Combining marks of Indic scripts and diacritics belong to the letter before them.
const fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{900}'..='\u{97f}')
}

/// `,000`, `,50,000`: groups of two or three digits, the last of three.
fn groups(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != ',').unwrap_or(text.len());
    let mut parts = text[..end].split(',').skip(1).filter(|part| !part.is_empty()).peekable();
    let mut fits = parts.peek().is_some();
    while let Some(part) = parts.next() {
        fits &= part.len() == 3 || (part.len() == 2 && parts.peek().is_some());
    }
    fits
}

/// Bytes of `2026-05-01`, `01/05/2026`, `1-5-26`, `5/1`.
fn date_len(text: &str) -> Option<usize> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '-' && c != '/').unwrap_or(text.len());
    let head = text[..end].trim_end_matches(['-', '/']);
    let parts: Vec<&str> = head.split(['-', '/']).collect();
    let slashed = head.contains('/');
    let sizes: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let fits = match sizes.as_slice() {
        [4, 1..=2, 1..=2] | [1..=2, 1..=2, 4] => true,
        [1..=2, 1..=2, 2] | [1..=2, 1..=2] => slashed,
        _ => false,
    };
    fits.then_some(head.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(text: &str) -> String {
        Words::of(text).all().iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_are_normalised() {
        for (text, words) in [
            ("I'll pay, um, tomorrow.", "i will pay tomorrow"),
            ("I can't. Don't call!", "i can not do not call"),
            ("₹15,000 or Rs.1,50,000", "₹ 15000 or rs 150000"),
            ("$50.75, 2.5k", "$ 50.75 2.5 k"),
            ("at 5pm or 5 p.m.", "at 5 pm or 5 pm"),
            ("L.N. 123456", "l n 123456"),
            ("L-N-1-2", "l n 1 2"),
            ("LN123456", "ln123456"),
            ("2026-05-01, 01/05/2026", "2026-05-01 01/05/2026"),
            ("twenty-first at 3:30", "twenty first at 3:30"),
            ("1, 2, 3", "1 2 3"),
            ("1,2,3", "1 2 3"),
            ("Rahul's here, that's me", "rahul here that is me"),
            ("O'Brien", "o'brien"),
            ("+91 98765-43210", "91 98765 43210"),
            ("good bye", "bye"),
            ("...", ""),
        ] {
            assert_eq!(plain(text), words, "{text}");
        }
    }

    #[test]
    fn punctuation_breaks() {
        let words = Words::of("No, fifteen. Not fifty");
        let breaks: Vec<bool> = words.all().iter().map(|word| word.after_break).collect();
        assert_eq!(breaks, [false, true, true, false]);
    }

    proptest! {
        #[test]
        fn any_text_is_cut_without_loss_of_footing(text in "\\PC{0,80}") {
            for word in Words::of(&text).all() {
                prop_assert!(!word.text.is_empty());
            }
        }
    }
}
