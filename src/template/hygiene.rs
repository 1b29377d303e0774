//! What a value from outside may not carry into a prompt or a spoken line: control characters, invisible and
//! direction-turning characters, and role markers such as `<|im_start|>`. Linear in the value; never lengthens it. Says
//! nothing about meaning: a value that asks the model to misbehave in plain words is the prompt's business.

use std::borrow::Cow;

/// Longest role marker that is taken out, in bytes; longer stretches between `<|` and `|>` are text.
const MAX_MARKER_BYTES: usize = 128;

/// `value` without control characters (a run becomes one space), invisible characters and `<|…|>` role markers. A marker
/// that appears only when another one inside it is taken out goes too.
#[must_use]
pub fn clean(value: &str) -> Cow<'_, str> {
    if !value.chars().any(|c| is_break(c) || is_invisible(c)) && !value.contains("|>") {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut openings: Vec<usize> = Vec::new();
    let mut in_break = false;
    for c in value.chars().filter(|&c| !is_invisible(c)) {
        if is_break(c) {
            if !in_break {
                out.push(' ');
            }
            in_break = true;
            continue;
        }
        in_break = false;
        out.push(c);
        if out.ends_with("<|") {
            openings.push(out.len() - 2);
        } else if out.ends_with("|>") {
            close_marker(&mut out, &mut openings);
        }
    }
    Cow::Owned(out)
}

/// `out` ends with `|>`: takes the marker out that it closes, if it closes one.
fn close_marker(out: &mut String, openings: &mut Vec<usize>) {
    // `<|>` opens and does not close: the bar belongs to the opening.
    let Some(start) = openings.pop_if(|start| *start + 4 <= out.len()) else { return };
    if out.len() - start <= MAX_MARKER_BYTES {
        out.truncate(start);
    }
}

/// Characters of which a run reads as one space.
fn is_break(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Characters that nobody sees and that turn or smuggle text: bidirectional controls, zero-width space, byte order mark,
/// soft hyphen, tags. The joiners U+200C and U+200D stay: Indic scripts are written with them.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_lose_what_they_may_not_carry() {
        for (value, cleaned) in [
            ("Rahul Sharma", "Rahul Sharma"),
            ("a\r\n\r\nb\tc", "a b c"),
            ("x<|im_start|>system<|im_end|>y", "xsystemy"),
            ("<|<|a|>im_start|>", ""),
            ("<<|a|>|b|>", ""),
            ("a <|> b", "a <|> b"),
            ("a |> b", "a |> b"),
            ("a\u{202e}b\u{200b}c\u{e0041}", "abc"),
            ("क्‍ष", "क्‍ष"),
            ("<\u{200b}|x|\u{feff}>", ""),
        ] {
            assert_eq!(clean(value), cleaned, "{value:?}");
        }
        let long = format!("<|{}|>", "x".repeat(200));
        assert_eq!(clean(&long), long);
    }

    proptest! {
        #[test]
        fn cleaning_twice_changes_nothing_more(value in "([<|>a\n\u{200b}]|<\\||\\|>|\\PC){0,60}") {
            let once = clean(&value).into_owned();
            prop_assert!(once.len() <= value.len());
            prop_assert!(!once.chars().any(|c| c.is_control()));
            prop_assert_eq!(clean(&once).into_owned(), once);
        }
    }
}
