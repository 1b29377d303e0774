//! The characters under the scanner and what was said before: the two things every reader is given.
//! Positions past the end read as NUL, so that no reader can run off the text.

/// How far any reader looks ahead from where it stands; keeps the scan linear.
pub(super) const LOOK_AHEAD_CHARS: usize = 256;

/// What a reader made of the text from its position on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spoken {
    /// The words and pauses to say.
    pub(super) words: String,
    /// Where the scan goes on.
    pub(super) end: usize,
    /// A value that a dash may make a range of ("2-3").
    pub(super) ranged: bool,
}

impl Spoken {
    /// Plain words.
    pub(super) fn words(words: impl Into<String>, end: usize) -> Self {
        Self { words: words.into(), end, ranged: false }
    }

    /// A number, date, time or amount.
    pub(super) fn value(words: impl Into<String>, end: usize) -> Self {
        Self { words: words.into(), end, ranged: true }
    }
}

/// The text as characters.
#[derive(Clone, Copy)]
pub(super) struct Text<'a>(pub(super) &'a [char]);

impl Text<'_> {
    pub(super) fn at(&self, at: usize) -> char {
        self.0.get(at).copied().unwrap_or('\0')
    }

    pub(super) fn before(&self, at: usize) -> char {
        at.checked_sub(1).map_or('\0', |at| self.at(at))
    }

    pub(super) fn slice(&self, from: usize, to: usize) -> String {
        self.0.get(from..to).unwrap_or(&[]).iter().collect()
    }

    /// The end of the run of `wanted` characters from `from`.
    pub(super) fn run(&self, from: usize, wanted: impl Fn(char) -> bool) -> usize {
        let rest = self.0.get(from..).unwrap_or(&[]);
        from + rest.iter().take_while(|&&c| wanted(c)).count()
    }

    /// The end of a run of ASCII digits.
    pub(super) fn digits(&self, from: usize) -> usize {
        self.run(from, |c| c.is_ascii_digit())
    }

    /// The end of a run of letters.
    pub(super) fn letters(&self, from: usize) -> usize {
        self.run(from, char::is_alphabetic)
    }

    /// The end of a run of spaces.
    pub(super) fn spaces(&self, from: usize) -> usize {
        self.run(from, |c| c == ' ')
    }

    /// The lower-case word at `from` and its end; empty where there is none.
    pub(super) fn word(&self, from: usize) -> (String, usize) {
        let end = self.letters(from);
        if end - from > LOOK_AHEAD_CHARS {
            return (String::new(), from);
        }
        (self.slice(from, end).to_lowercase(), end)
    }

    /// The digits at `from` as a number, where there are at most `most` of them, and their end.
    pub(super) fn number(&self, from: usize, most: usize) -> Option<(u64, usize)> {
        let end = self.digits(from);
        if end == from || end - from > most.min(18) {
            return None;
        }
        Some((self.slice(from, end).parse().ok()?, end))
    }

    /// Whether a word could end at `at`: no letter or digit goes on.
    pub(super) fn breaks(&self, at: usize) -> bool {
        !self.at(at).is_alphanumeric()
    }
}

/// What the words just before let a number mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cue {
    /// An amount of money.
    Money,
    /// A code or id, read digit by digit.
    Digits,
    /// A year or a day may follow.
    Date,
}

/// The words said last in this sentence, as written.
#[derive(Default)]
pub(super) struct Recent {
    words: Vec<String>,
}

impl Recent {
    const KEPT: usize = 5;

    pub(super) fn note(&mut self, written: &str) {
        for word in written.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty()) {
            if self.words.len() == Self::KEPT {
                self.words.remove(0);
            }
            self.words.push(word.chars().take(32).collect());
        }
    }

    /// A sentence ended: nothing before it says anything about what follows.
    pub(super) fn forget(&mut self) {
        self.words.clear();
    }

    /// The last word as written.
    pub(super) fn last(&self) -> &str {
        self.words.last().map_or("", String::as_str)
    }

    /// The last word in lower case.
    pub(super) fn last_lower(&self) -> String {
        self.last().to_lowercase()
    }

    /// What the nearest word that says anything lets a number mean.
    pub(super) fn cue(&self) -> Option<Cue> {
        for word in self.words.iter().rev() {
            let word = word.to_lowercase();
            if let Some(cue) = cue_of(&word) {
                return Some(cue);
            }
            if !FILLERS.contains(&word.as_str()) {
                return None;
            }
        }
        None
    }

    /// Whether one of the last words is `wanted`.
    pub(super) fn holds(&self, wanted: &[&str]) -> bool {
        self.words.iter().any(|word| wanted.contains(&word.to_lowercase().as_str()))
    }
}

const FILLERS: [&str; 22] = [
    "of",
    "is",
    "was",
    "are",
    "the",
    "a",
    "your",
    "my",
    "no",
    "number",
    "in",
    "with",
    "now",
    "only",
    "about",
    "just",
    "around",
    "still",
    "currently",
    "at",
    "as",
    "be",
];

fn cue_of(word: &str) -> Option<Cue> {
    const MONEY: [&str; 39] = [
        "amount",
        "amounts",
        "due",
        "dues",
        "balance",
        "emi",
        "instalment",
        "installment",
        "payment",
        "pay",
        "paying",
        "price",
        "cost",
        "costs",
        "fee",
        "fees",
        "charge",
        "charges",
        "total",
        "bill",
        "outstanding",
        "overdue",
        "owe",
        "owed",
        "owing",
        "paid",
        "refund",
        "premium",
        "salary",
        "deposit",
        "penalty",
        "fine",
        "principal",
        "repay",
        "arrears",
        "invoice",
        "discount",
        "cashback",
        "rent",
    ];
    const DIGITS: [&str; 31] = [
        "otp",
        "pin",
        "code",
        "pincode",
        "postcode",
        "zip",
        "cvv",
        "account",
        "acct",
        "ac",
        "card",
        "policy",
        "reference",
        "ref",
        "ticket",
        "extension",
        "ext",
        "token",
        "ending",
        "ends",
        "digits",
        "id",
        "passcode",
        "password",
        "loan",
        "order",
        "serial",
        "meter",
        "consumer",
        "dial",
        "awb",
    ];
    const DATE: [&str; 12] =
        ["year", "since", "until", "till", "during", "by", "on", "before", "after", "dated", "date", "from"];
    if MONEY.contains(&word) {
        Some(Cue::Money)
    } else if DIGITS.contains(&word) {
        Some(Cue::Digits)
    } else if DATE.contains(&word) {
        Some(Cue::Date)
    } else {
        None
    }
}
