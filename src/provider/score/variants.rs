//! Variants of the same word brought to one: contractions, titles, British and American spelling.

/// Each word in its one form; a contraction becomes two words.
pub(super) fn plain(words: Vec<String>) -> Vec<String> {
    let mut out = Vec::with_capacity(words.len());
    for word in words {
        expand(&word, &mut out);
    }
    merge_pairs(out)
}

/// Two words that are one elsewhere.
fn merge_pairs(words: Vec<String>) -> Vec<String> {
    const PAIRS: [(&str, &str, &str); 6] = [
        ("per", "cents", "percent"),
        ("all", "right", "alright"),
        ("a", "m", "am"),
        ("p", "m", "pm"),
        ("e", "mail", "email"),
        ("et", "cetera", "etcetera"),
    ];
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        let pair =
            PAIRS.iter().find(|(first, second, _)| *second == word && out.last().is_some_and(|last| last == first));
        match (pair, out.last_mut()) {
            (Some((_, _, one)), Some(last)) => *last = (*one).to_owned(),
            _ => out.push(word),
        }
    }
    out
}

fn expand(word: &str, out: &mut Vec<String>) {
    let whole: &[&str] = match word {
        "cannot" | "can't" => &["can", "not"],
        "won't" => &["will", "not"],
        "shan't" => &["shall", "not"],
        "let's" => &["let", "us"],
        "o'clock" => return,
        "gonna" => &["going", "to"],
        "wanna" => &["want", "to"],
        "it's" | "that's" | "what's" | "who's" | "there's" | "here's" | "he's" | "she's" | "how's" | "where's" => {
            out.extend([word.trim_end_matches("'s").to_owned(), "is".to_owned()]);
            return;
        }
        _ => &[],
    };
    if !whole.is_empty() {
        out.extend(whole.iter().map(|part| (*part).to_owned()));
        return;
    }
    const ENDS: [(&str, &str); 6] =
        [("n't", "not"), ("'re", "are"), ("'ve", "have"), ("'ll", "will"), ("'d", "would"), ("'m", "am")];
    for (end, full) in ENDS {
        if let Some(stem) = word.strip_suffix(end).filter(|stem| !stem.is_empty()) {
            out.extend([stem.to_owned(), full.to_owned()]);
            return;
        }
    }
    out.push(spelling(&word.replace('\'', "")));
}

/// Whole words with more than one spelling, to the one that stands for all.
const SPELLINGS: [(&str, &str); 57] = [
    ("ok", "okay"),
    ("mr", "mister"),
    ("mrs", "missus"),
    ("dr", "doctor"),
    ("vs", "versus"),
    ("etc", "etcetera"),
    ("centre", "center"),
    ("centres", "centers"),
    ("metre", "meter"),
    ("metres", "meters"),
    ("kilometre", "kilometers"),
    ("kilometres", "kilometers"),
    ("litre", "liter"),
    ("litres", "liters"),
    ("theatre", "theater"),
    ("cheque", "check"),
    ("cheques", "checks"),
    ("programme", "program"),
    ("programmes", "programs"),
    ("licence", "license"),
    ("defence", "defense"),
    ("grey", "gray"),
    ("catalogue", "catalog"),
    ("dialogue", "dialog"),
    ("cancelled", "canceled"),
    ("cancelling", "canceling"),
    ("travelled", "traveled"),
    ("travelling", "traveling"),
    ("enrol", "enroll"),
    ("enrolment", "enrollment"),
    ("instalment", "installment"),
    ("instalments", "installments"),
    ("fulfil", "fulfill"),
    ("paisa", "paise"),
    ("cent", "cents"),
    ("penny", "pence"),
    ("pound", "pounds"),
    ("km", "kilometers"),
    ("kilometer", "kilometers"),
    ("kg", "kilograms"),
    ("kilogram", "kilograms"),
    ("min", "minutes"),
    ("mins", "minutes"),
    ("minute", "minutes"),
    ("hr", "hours"),
    ("hrs", "hours"),
    ("hour", "hours"),
    ("rupee", "rupees"),
    ("dollar", "dollars"),
    ("euro", "euros"),
    ("lac", "lakh"),
    ("lacs", "lakh"),
    ("lakhs", "lakh"),
    ("crores", "crore"),
    ("practise", "practice"),
    ("storey", "story"),
    ("judgement", "judgment"),
];

/// Stems whose British "our" is an American "or".
const OUR: [&str; 11] = [
    "colour",
    "favour",
    "honour",
    "labour",
    "neighbour",
    "behaviour",
    "harbour",
    "humour",
    "rumour",
    "flavour",
    "endeavour",
];

/// Stems whose British "is" is an American "iz".
const ISE: [&str; 16] = [
    "apologis",
    "organis",
    "recognis",
    "realis",
    "authoris",
    "finalis",
    "prioritis",
    "summaris",
    "customis",
    "minimis",
    "maximis",
    "utilis",
    "specialis",
    "analys",
    "normalis",
    "cancelis",
];

fn spelling(word: &str) -> String {
    if let Some((_, one)) = SPELLINGS.iter().find(|(other, _)| *other == word) {
        return (*one).to_owned();
    }
    if let Some(stem) = OUR.iter().find(|stem| word.starts_with(**stem)) {
        return word.replacen(stem, &stem.replace("our", "or"), 1);
    }
    if let Some(stem) = ISE.iter().find(|stem| word.starts_with(**stem)) {
        let american = format!("{}z", stem.get(..stem.len() - 1).unwrap_or(stem));
        return word.replacen(stem, &american, 1);
    }
    word.to_owned()
}
