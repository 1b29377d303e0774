//! Characters before meaning: entities decoded, compatibility forms and typographic signs mapped, everything invisible
//! dropped, foreign digits made ASCII. Never touches words or mark-up; that comes after.

use deunicode::deunicode_char;
use unicode_normalization::UnicodeNormalization;

/// The text as plain characters. `fold_latin`: accents on Latin letters are dropped and other scripts are written in Latin letters,
/// so that a name in them is heard (the English G2P knows no others).
pub(super) fn plain_characters(text: &str, fold_latin: bool) -> String {
    let decoded = entities(text);
    let mut mapped = String::with_capacity(decoded.len());
    for c in decoded.chars() {
        map_before(c, &mut mapped);
    }
    let composed: String = if fold_latin { folded(&mapped).nfc().collect() } else { mapped.nfkc().collect() };
    let mut out = String::with_capacity(composed.len());
    for c in composed.chars() {
        match latin(c).filter(|_| fold_latin) {
            Some(letters) => out.push_str(letters),
            None => map_after(c, &mut out),
        }
    }
    out
}

/// A letter or sign of another script in Latin letters; nothing for what is Latin, a digit, punctuation or a symbol.
fn latin(c: char) -> Option<&'static str> {
    let scripts = ['\u{370}'..='\u{1fff}', '\u{3040}'..='\u{9fff}', '\u{ac00}'..='\u{d7a3}'];
    let of_a_script = scripts.iter().any(|script| script.contains(&c)) && !('\u{1e00}'..='\u{1eff}').contains(&c);
    let letters = deunicode_char(c).filter(|_| of_a_script && ascii_digit(c).is_none())?;
    letters.chars().all(|letter| letter.is_ascii_alphabetic() || letter == ' ').then_some(letters)
}

/// Signs whose compatibility form would lose their meaning.
fn map_before(c: char, out: &mut String) {
    match c {
        '½' => out.push_str(" 1/2"),
        '¼' => out.push_str(" 1/4"),
        '¾' => out.push_str(" 3/4"),
        '²' => out.push_str(" squared"),
        '³' => out.push_str(" cubed"),
        '™' | '℠' | '©' | '®' | '℗' => out.push(' '),
        '\u{a0}' | '\u{2007}' | '\u{202f}' => out.push(' '),
        '‘' | '’' | '‚' | '‛' | '′' | 'ʼ' | '＇' | '´' => out.push('\''),
        '“' | '”' | '„' | '‟' | '«' | '»' | '″' => out.push('"'),
        '‐' | '‑' | '‒' | '−' => out.push('-'),
        // The long dashes are a pause between words and a range between digits; the scanner tells which.
        '–' | '—' | '―' => out.push('–'),
        '…' => out.push_str("..."),
        '\u{2028}' | '\u{2029}' | '\u{85}' => out.push('\n'),
        _ => out.push(c),
    }
}

/// What must not be seen by any reader of words.
fn map_after(c: char, out: &mut String) {
    match c {
        '\n' => out.push('\n'),
        '\r' | '\t' | '\u{b}' | '\u{c}' => out.push(' '),
        // Joiners and direction marks stand inside words: they go without leaving a gap.
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{feff}' => {}
        '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}' => {}
        _ if c.is_control() => {}
        _ => match ascii_digit(c) {
            Some(digit) => out.push(digit),
            // Other scripts' numerals have no reader; letters that count (as in Chinese) are letters.
            None if c.is_numeric() && !c.is_ascii_digit() && !c.is_alphabetic() => out.push(' '),
            None => out.push(c),
        },
    }
}

/// Decimal digits of the scripts our callers' systems write, as ASCII.
fn ascii_digit(c: char) -> Option<char> {
    const ZEROS: [u32; 14] = [
        0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0e50, 0x1040,
    ];
    let code = u32::from(c);
    let zero = ZEROS.iter().find(|&&zero| (zero..zero + 10).contains(&code))?;
    char::from_digit(code - zero, 10)
}

/// Compatibility decomposition with the combining marks on ASCII letters dropped.
fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut after_latin = false;
    for c in text.nfkd() {
        if unicode_normalization::char::is_combining_mark(c) {
            if !after_latin {
                out.push(c);
            }
            continue;
        }
        match c {
            'ß' | 'ẞ' => out.push_str("ss"),
            'æ' => out.push_str("ae"),
            'Æ' => out.push_str("Ae"),
            'œ' => out.push_str("oe"),
            'Œ' => out.push_str("Oe"),
            'ø' => out.push('o'),
            'Ø' => out.push('O'),
            'đ' | 'ð' | 'ɗ' => out.push('d'),
            'Đ' | 'Ð' | 'Ɗ' => out.push('D'),
            'ł' => out.push('l'),
            'Ł' => out.push('L'),
            'ı' => out.push('i'),
            'ɓ' => out.push('b'),
            'Ɓ' => out.push('B'),
            'ƙ' => out.push('k'),
            'Ƙ' => out.push('K'),
            'þ' => out.push_str("th"),
            'Þ' => out.push_str("Th"),
            _ => out.push(c),
        }
        after_latin = out.ends_with(|c: char| c.is_ascii_alphabetic());
    }
    out
}

/// Decodes the HTML entities that CRM texts carry, once: what a decoded entity yields is never decoded again.
fn entities(text: &str) -> String {
    const LONGEST: usize = 10;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let body = from.get(1..).unwrap_or("");
        let end = body.char_indices().take(LONGEST).find(|&(_, c)| c == ';').map(|(end, _)| end);
        match end.and_then(|end| entity(body.get(..end)?).map(|c| (end, c))) {
            Some((end, c)) => {
                out.push(c);
                rest = body.get(end + 1..).unwrap_or("");
            }
            None => {
                out.push('&');
                rest = body;
            }
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "euro" => '€',
        "pound" => '£',
        "ndash" | "mdash" => '–',
        "hellip" => '…',
        "rsquo" | "lsquo" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_digits_and_entities_become_plain() {
        assert_eq!(plain_characters("Tom&nbsp;&amp;&#32;Ann’s “x”", true), "Tom & Ann's \"x\"");
        assert_eq!(plain_characters("₹१५०० ４２", true), "₹1500 42");
        assert_eq!(plain_characters("&amp;lt;", true), "&lt;");
        assert_eq!(plain_characters("a&b; &unknown; &#xD800;", true), "a&b; &unknown; &#xD800;");
    }

    #[test]
    fn the_invisible_goes() {
        assert_eq!(plain_characters("Ra\u{200b}hul\u{202e}\u{7}", true), "Rahul");
    }

    #[test]
    fn accents_are_folded_for_english_only() {
        assert_eq!(plain_characters("José Adébáyọ̀ Łukasz Straße", true), "Jose Adebayo Lukasz Strasse");
        assert_eq!(plain_characters("José", false), "José");
        assert_eq!(plain_characters("हिन्दी नमस्ते Ωμέγα", true), "hindii nmste Omega");
        assert_eq!(plain_characters("हिन्दी", false), "हिन्दी");
    }
}
