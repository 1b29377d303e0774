//! Numbers to call and other grouped digit runs (cards, ids of persons): digit by digit, in groups with a pause.
//! Never says a group as a quantity; a run that does not look like any known grouping is left to the other readers.

use super::number;
use super::scan::{Spoken, Text};

/// E.164 allows 15 digits; cards have 16 to 19.
const LONGEST_DIGITS: usize = 19;

/// Group lengths that people write numbers to call, cards and personal ids in.
const PATTERNS: [&[usize]; 17] = [
    &[5, 5],
    &[3, 3, 4],
    &[4, 3, 3],
    &[4, 3, 4],
    &[4, 6],
    &[3, 4, 4],
    &[3, 7],
    &[4, 7],
    &[2, 4, 4],
    &[3, 8],
    &[2, 8],
    &[4, 3, 3, 3],
    &[4, 4, 4],
    &[4, 4, 4, 4],
    &[1, 3, 3, 4],
    &[3, 2, 4],
    &[5, 6],
];

/// Reads a number to call that starts at `at`.
pub(super) fn read(text: Text<'_>, at: usize) -> Option<Spoken> {
    let plus = text.at(at) == '+';
    let (groups, end) = groups(text, if plus { at + 1 } else { at })?;
    let total: usize = groups.iter().map(String::len).sum();
    if !text.breaks(end) || total > LONGEST_DIGITS || continues(text, end) {
        return None;
    }
    if plus {
        return (7..=15).contains(&total).then(|| Spoken::words(format!("plus {}", international(&groups)), end));
    }
    if let [run] = groups.as_slice() {
        return (total == 10).then(|| Spoken::words(number::digit_groups(&national(run, "")), end));
    }
    let lengths: Vec<usize> = groups.iter().map(String::len).collect();
    let bracketed = text.at(at) == '(';
    let dashed_local = lengths == [3, 4] && text.slice(at, end).contains('-');
    let known = PATTERNS.contains(&lengths.as_slice()) || dashed_local || (bracketed && total >= 7);
    known.then(|| Spoken::words(number::digit_groups(&groups), end))
}

/// Groups of digits with one space, dash, dot or bracket between, and the end of the last.
fn groups(text: Text<'_>, from: usize) -> Option<(Vec<String>, usize)> {
    let mut groups = Vec::new();
    let mut at = if text.at(from) == '(' { from + 1 } else { from };
    let mut end = at;
    while groups.len() < 8 {
        let group_end = text.digits(at);
        if group_end == at || group_end - at > LONGEST_DIGITS {
            break;
        }
        groups.push(text.slice(at, group_end));
        end = group_end;
        let gap_end = text.run(group_end, |c| matches!(c, ' ' | '-' | '(' | ')' | '.' | '–')).min(group_end + 3);
        let gap = text.slice(group_end, gap_end);
        // ". " ends a sentence and " - " is a pause or a range.
        if gap.is_empty() || gap.contains(". ") || gap.contains(" -") || gap.contains("--") || gap.contains(" –") {
            break;
        }
        at = gap_end;
    }
    (!groups.is_empty()).then_some((groups, end))
}

/// A grouping that goes on is a list, a sum or a date, not a number to call.
fn continues(text: Text<'_>, end: usize) -> bool {
    matches!(text.at(end), ',' | '.' | ':' | '/' | '-') && text.at(end + 1).is_ascii_digit() || text.at(end) == '%'
}

/// Country code, pause, the national number in the groups it was written in or in those of the country.
fn international(groups: &[String]) -> String {
    let joined: String = groups.concat();
    let (code, national_digits) = joined.split_at(country_code_len(&joined).min(joined.len()));
    let national_groups = match groups.split_first() {
        Some((first, rest)) if first == code && rest.len() > 1 => rest.to_vec(),
        _ => national(national_digits, code),
    };
    let mut all = vec![code.to_owned()];
    all.extend(national_groups.into_iter().filter(|group| !group.is_empty()));
    number::digit_groups(&all)
}

/// A national number of ten digits is said in fives in India (and where no country is named and it starts as an Indian
/// mobile does), else in three groups.
fn national(run: &str, code: &str) -> Vec<String> {
    let indian = code == "91" || (code.is_empty() && run.starts_with(['6', '7', '8', '9']));
    if indian && run.len() == 10 {
        let (head, tail) = run.split_at(5);
        return vec![head.to_owned(), tail.to_owned()];
    }
    number::listening_groups(run)
}

/// The length of the country code that these digits start with (ITU-T E.164 assignments).
fn country_code_len(digits: &str) -> usize {
    const TWO: [&str; 44] = [
        "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49",
        "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84",
        "86", "90", "91", "92", "93", "94", "95", "98",
    ];
    if digits.starts_with(['1', '7']) {
        1
    } else if digits.get(..2).is_some_and(|head| TWO.contains(&head)) {
        2
    } else {
        3
    }
}
