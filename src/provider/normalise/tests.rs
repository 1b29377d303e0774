//! The golden table of the normaliser and the properties that hold for any text.

use super::*;
use proptest::prelude::*;
use std::sync::Arc;

fn voice(language: &str, currency: &str, pronounce: &[(&str, &str)]) -> Voice {
    let pronounce: Vec<_> = pronounce.iter().map(|(word, said)| ((*word).to_owned(), (*said).to_owned())).collect();
    Voice {
        name: "heart".to_owned(),
        speed: 1.0,
        language: language.to_owned(),
        pronounce: Arc::from(pronounce),
        currency: currency.to_owned(),
    }
}

/// Rows: text, words; a line `@ language currency` sets the voice of the rows below it.
#[test]
fn the_golden_table_holds() {
    let table = include_str!("../../../fixtures/normaliser.tsv");
    let (mut rows, mut wrong) = (0, Vec::new());
    let mut voice = voice("en-IN", "INR", &[]);
    for (number, line) in table.lines().enumerate() {
        if line.starts_with("# ") || line.is_empty() {
            continue;
        }
        if let Some(setting) = line.strip_prefix("@ ") {
            let (language, currency) = setting.split_once(' ').unwrap();
            (voice.language, voice.currency) = (language.to_owned(), currency.to_owned());
            continue;
        }
        let (text, wanted) = line.split_once('\t').unwrap_or_else(|| panic!("line {}: no tab", number + 1));
        let text = text.replace("\\n", "\n").replace("\\t", "\t");
        let said = speakable(&text, &voice);
        rows += 1;
        if said != wanted {
            wrong.push(format!("line {}: {text}\n    wanted: {wanted}\n      said: {said}", number + 1));
        }
        let again = speakable(&said, &voice);
        if again != said {
            wrong.push(format!("line {}: not stable: {said}\n     again: {again}", number + 1));
        }
    }
    assert!(rows >= 130, "the table has only {rows} rows");
    assert!(wrong.is_empty(), "{} of {rows} rows differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_pronunciation_list_comes_first() {
    let voice = voice(
        "en-IN",
        "INR",
        &[("Adebayo", "Ah-deh-bye-oh"), ("KYC", "know your customer"), ("EMI plan", "easy plan")],
    );
    assert_eq!(
        speakable("ADEBAYO, your kyc and EMI plan (EMI)", &voice),
        "Ah-deh-bye-oh, your know your customer and easy plan, E M I"
    );
    assert_eq!(speakable("Adebayos stay", &voice), "Adebayos stay");
    assert_eq!(speakable("x@adebayo.com", &voice), "X at adebayo dot com");
}

#[test]
fn a_respelling_is_cleaned_like_any_text() {
    let voice = voice("en-IN", "INR", &[("Rahul", "[Rahul](/x/) {{crm.a}} ₹5")]);
    assert_eq!(speakable("Hi Rahul", &voice), "Hi Rahul five rupees");
}

#[test]
fn long_texts_end_with_a_sentence() {
    let said = speakable(&"This is one sentence. ".repeat(400), &voice("en", "INR", &[]));
    assert!(said.chars().count() <= OUTPUT_LIMIT_CHARS);
    assert!(said.ends_with("sentence."));
}

/// Pieces that readers stumble over, to be put together at random.
fn tricky() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[0-9]{1,12}",
        "[A-Za-z]{1,6}",
        "[.,:;/+#%&@ \\-\\n'\"(){}<>|*_`$~=\\[\\]]{1,3}",
        Just("₹".to_owned()),
        Just(" Rs. ".to_owned()),
        Just(" May ".to_owned()),
        Just(" EMI of ".to_owned()),
        Just("2026-05-01".to_owned()),
        Just(" 2:30 pm".to_owned()),
        Just("XXXX".to_owned()),
        Just("{{crm.x}}".to_owned()),
        Just(" e.g. St. No. ".to_owned()),
        "\\PC{1,3}",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn in_alphabet(said: &str) -> bool {
    said.chars().all(|c| {
        c.is_alphabetic() || matches!(c, ' ' | '\'' | '-' | '.' | ',' | '?' | '!' | ';' | ':') || is_combining_mark(c)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_stays_in_the_alphabet(text in any::<String>(), language in prop_oneof![Just("en-IN"), Just("en-US"), Just("hi-IN")]) {
        let said = speakable(&text, &voice(language, "NGN", &[]));
        prop_assert!(in_alphabet(&said), "{said:?}");
    }

    #[test]
    fn tricky_text_stays_in_the_alphabet(text in tricky()) {
        let said = speakable(&text, &voice("en-IN", "INR", &[("may", "Mae"), ("x", "{ex}")]));
        prop_assert!(in_alphabet(&said), "{said:?}");
        prop_assert!(!said.contains("  ") && !said.starts_with(' ') && !said.ends_with(' '), "{said:?}");
    }

    #[test]
    fn what_was_said_is_said_again(text in tricky()) {
        let voice = voice("en-IN", "INR", &[]);
        let said = speakable(&text, &voice);
        // Letter or article: what a lone A is depends on what stood around it.
        prop_assume!(!said.split(|c: char| !c.is_alphabetic()).any(|word| word == "A"));
        prop_assert_eq!(speakable(&said, &voice), said.clone(), "{:?}", said);
    }

    #[test]
    fn no_digit_is_lost_to_silence(value in 0_u64..10_000_000_000) {
        let said = speakable(&format!("It is {value}"), &voice("en-IN", "INR", &[]));
        prop_assert!(said.len() > "It is ".len(), "{said:?}");
    }
}
