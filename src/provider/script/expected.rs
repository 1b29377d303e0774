//! What a caller may say at each step, as hints for recognition: the phrases of what the step and the whole dialogue know, in the
//! forms in which people say them. Made once per bot version; decides nothing.

use std::collections::BTreeMap;

use super::plan::{StepPlan, phrases};
use super::understand::Intent;
use crate::bot::script::{NO_PHRASES, Script, SlotKind, YES_PHRASES};
use crate::provider::Hints;
use crate::template::{Namespace, Values};
use crate::units::number_words::{TENS, UNITS, digits};

/// Ways of choosing that are taken from one phrase.
const MOST_FORMS: usize = 64;

/// As the phrases have it, and as it is said.
const SHORT_FORMS: &[(&str, &str)] = &[
    ("can not", "can't"),
    ("can not", "cannot"),
    ("could not", "couldn't"),
    ("did not", "didn't"),
    ("do not", "don't"),
    ("does not", "doesn't"),
    ("have not", "haven't"),
    ("is not", "isn't"),
    ("was not", "wasn't"),
    ("will not", "won't"),
    ("would not", "wouldn't"),
    ("i am", "i'm"),
    ("i have", "i've"),
    ("i will", "i'll"),
    ("i would", "i'd"),
    ("he is", "he's"),
    ("it is", "it's"),
    ("she is", "she's"),
    ("that is", "that's"),
    ("there is", "there's"),
    ("what is", "what's"),
    ("who is", "who's"),
    ("you are", "you're"),
];

const BESIDE_DIGITS: &[&str] = &["double", "triple"];
const BESIDE_NUMBERS: &[&str] = &["hundred", "thousand", "lakh", "crore", "half"];
const MONEY: &[&str] = &["rupees", "thousand rupees", "hundred rupees", "dollars", "naira", "pounds", "euros"];
const DAYS: &[&str] = &[
    "today",
    "tomorrow",
    "day after tomorrow",
    "on|this|next|coming monday|tuesday|wednesday|thursday|friday|saturday|sunday",
    "monday|tuesday|wednesday|thursday|friday|saturday|sunday",
    "next|this week|month",
    "end of the week|month",
    "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth|fourteenth|fifteenth",
    "sixteenth|seventeenth|eighteenth|nineteenth|twentieth|thirtieth",
    "twenty first|second|third|fourth|fifth|sixth|seventh|eighth|ninth",
    "thirty first",
    "of january|february|march|april|may|june|july|august|september|october|november|december",
    "january|february|march|april|june|july|august|september|october|november|december",
    "first|second|third|fourth|fifth of next|this month",
];
const TIMES: &[&str] = &[
    "in the morning|afternoon|evening",
    "o'clock",
    "half|quarter past",
    "quarter to",
    "noon",
    "thirty",
    "fifteen",
    "at one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|noon",
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve in the morning|afternoon|evening",
    "am|pm",
];
const NAMES: &[&str] = &["my name is", "it is", "the name is", "this is"];
/// Around a name, at `@`.
const NAME_FRAMES: &[&str] = &[
    "this is @",
    "yes this is @",
    "this is @ speaking",
    "yes this is @ speaking",
    "@ speaking",
    "i am @",
    "yes i am @",
    "i'm @",
];
/// A name of more words is none.
const MOST_NAME_WORDS: usize = 4;
/// Answers that begin or end in a common way, at any step.
const ALWAYS: &[&str] = &[
    "yes",
    "yes please",
    "yes that is right",
    "yes that is correct",
    "yes speaking",
    "yes this is",
    "no thank you",
    "no that is all",
];

/// The hints of each step, in their order. The words of a slot that another step asks for do not count.
pub(super) fn of_steps(script: &Script, steps: &[StepPlan], intents: &[Intent], anywhere: &[bool]) -> Vec<Hints> {
    let of_intents: BTreeMap<&str, Vec<&str>> = phrases(script).into_iter().collect();
    let any = |numbers: &mut dyn Iterator<Item = usize>| -> Vec<&str> {
        let names = numbers.filter_map(|number| intents.get(number));
        names.filter_map(|intent| of_intents.get(intent.name.as_str())).flatten().copied().collect()
    };
    let mut always: Vec<&str> = any(&mut (0..intents.len()).filter(|number| anywhere.get(*number) == Some(&true)));
    for fixed in [ALWAYS, YES_PHRASES, NO_PHRASES] {
        always.extend(fixed);
    }
    let always: Vec<String> = always.into_iter().flat_map(forms).collect();
    let of_step = |step: &StepPlan| {
        let expected = any(&mut step.expect.iter().map(|(number, _)| *number));
        let slot = step.slot.iter().flat_map(|slot| of_slot(slot.kind)).flat_map(|words| words.iter().copied());
        let own: Vec<String> = expected.into_iter().chain(slot).flat_map(forms).collect();
        Hints::new(own.iter().chain(&always))
    };
    steps.iter().map(of_step).collect()
}

/// What people say with their name, for the values of `crm.*` whose field is a name: each word, the whole, and the usual frames.
pub(super) fn names(values: &Values) -> Vec<String> {
    let fields = values.fields(Namespace::Crm).iter();
    let named = fields.filter(|(field, _)| *field == "name" || field.ends_with("_name"));
    let mut all = Vec::new();
    for name in named.filter_map(|(_, name)| name.as_str()) {
        let words: Vec<&str> = name.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).collect();
        if words.is_empty() || words.len() > MOST_NAME_WORDS {
            continue;
        }
        for said in words.iter().copied().chain([name]) {
            all.push(said.to_owned());
            all.extend(NAME_FRAMES.iter().map(|frame| frame.replace('@', said)));
        }
    }
    all
}

fn of_slot(kind: SlotKind) -> Vec<&'static [&'static str]> {
    match kind {
        SlotKind::Number => vec![&UNITS, &TENS, BESIDE_DIGITS, BESIDE_NUMBERS],
        SlotKind::Money => vec![&UNITS, &TENS, BESIDE_DIGITS, BESIDE_NUMBERS, MONEY],
        SlotKind::Date => vec![DAYS],
        SlotKind::Time => vec![TIMES],
        SlotKind::Id | SlotKind::Phone => vec![digits(), BESIDE_DIGITS],
        SlotKind::Name => vec![NAMES],
        // Anything may be said: callbacks are about days and times, reasons about nothing that could be listed.
        SlotKind::Text => vec![DAYS, TIMES],
        SlotKind::YesNo => Vec::new(),
    }
}

/// A phrase of a script (`call|ring me back`) in all its forms, long and short.
fn forms(phrase: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for part in phrase.trim_start_matches('=').split_whitespace() {
        let longer = all.iter().flat_map(|start| part.split('|').map(move |word| format!("{start} {word}")));
        all = longer.take(MOST_FORMS).collect();
    }
    let mut short: Vec<String> = Vec::new();
    for form in &mut all {
        *form = form.trim_start().to_owned();
        for (long, said) in SHORT_FORMS {
            let shortened = format!(" {form} ").replace(&format!(" {long} "), &format!(" {said} "));
            if shortened.trim() != form {
                short.push(shortened.trim().to_owned());
            }
        }
    }
    all.append(&mut short);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_that_a_call_knows_stand_in_the_frames_of_names() {
        let mut values = Values::default();
        values.set(Namespace::Crm, "customer_name", "Rahul Sharma".into());
        values.set(Namespace::Crm, "loan_number", "LN123456".into());
        values.set(Namespace::Crm, "bank_name", "a b c d e".into());
        let names = names(&values);
        assert!(
            ["Rahul", "Rahul Sharma", "yes this is Rahul speaking"]
                .iter()
                .all(|said| names.contains(&(*said).to_owned()))
        );
        assert!(!names.iter().any(|said| said.contains("LN") || said.contains("b c")), "{names:?}");
    }

    #[test]
    fn a_phrase_stands_in_all_forms_in_which_it_is_said() {
        assert_eq!(forms("=pardon me"), ["pardon me"]);
        assert_eq!(forms("call|ring me"), ["call me", "ring me"]);
        assert_eq!(forms("i can not pay"), ["i can not pay", "i can't pay", "i cannot pay"]);
        assert_eq!(forms("a|b|c|d|e a|b|c|d|e a|b|c|d|e").len(), MOST_FORMS);
        assert_eq!(forms("cannot be this ism"), ["cannot be this ism"]);
        for blank in ["", "=", "\t", "\u{a0}"] {
            assert_eq!(forms(blank), [""], "a phrase without a word is left to the lint");
        }
    }

    #[test]
    fn a_step_waits_for_its_intents_its_slot_and_what_is_heard_anywhere() {
        let script: Script = toml::from_str(
            r#"
            step = [
                { id = "day", say = ["Which day?"], slot = { name = "day", type = "date" }, expect = { day = "e", refuse = "e" } },
                { id = "other", say = ["And?"], expect = { yes = "e" } },
            ]
            end = [{ id = "e", say = ["Bye."], disposition = "done" }]
            intents = { refuse = { any = ["i will not pay"] } }
            "#,
        )
        .unwrap();
        let plan = super::super::Plan::new(&script, None, None);
        let (day, other) = (&plan.expected[0], &plan.expected[1]);
        for said in ["On Friday.", "The twenty third of May.", "sixteenth", "I won't pay.", "wrong number", "yes"] {
            assert!(day.make_up(said), "{said:?}");
        }
        assert!(!day.make_up("sixteenth first nineteenth second and so on"), "days are no sums");
        assert!(!other.make_up("I won't pay.") && !other.make_up("twentieth"), "another step, other words");
        assert!(other.make_up("Call me back."), "what is heard anywhere");
    }
}
