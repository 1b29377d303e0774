//! The bot reads its own lines and more in calls at 8 kHz; what came over the wire is recognised and scored by the published
//! scorer. The suite has every second line, `make soak` all of them.

use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use regex::Regex;
use voicefleet::provider::Voice;
use voicefleet::provider::normalise::speakable;
use voicefleet::provider::score::{WordErrors, raw_errors, word_errors};
use voicefleet::tools::caller::{Report, Script, Speaker, Step, run};

use crate::tally::show;
use crate::worker::{CALLS_AT_ONCE, World};

/// The most word errors in a hundred words.
pub const MOST_ERRORS: f64 = 0.10;
/// Sentences of one call.
const BATCH: usize = 3;

/// The values of the guides.
const VALUES: [(&str, &str); 11] = [
    ("customer_name", "Rahul Sharma"),
    ("loan_number", "LN123456"),
    ("amount_due", "15000"),
    ("due_date", "2026-05-01"),
    ("pay_date", "2026-05-08"),
    ("part_amount", "5000"),
    ("phone", "+919876543210"),
    ("name", "Maria Lopez"),
    ("date", "2026-06-15"),
    ("time", "14:30"),
    ("booking_id", "47912"),
];

/// Lines beside the bots' own.
const MORE: [&str; 14] = [
    "Good morning Adebayo, your balance is ₦5000.",
    "Maria Lopez, your order of $78.34 has been shipped.",
    "Please call us at +91 98765 43210 before 6 pm.",
    "Your reference is LN123456, and the amount is ₹15000.",
    "The rent of ₹1,50,000 was received on 14 July 2025.",
    "Thank you Rahul Sharma, we received ₹2,500 yesterday.",
    "The interest is 12.5% for the first six months.",
    "Your table for 4 people is booked on 2026-05-01 at 8 pm.",
    "Ticket 47912 was closed on March 3rd, 2026.",
    "We'll send the receipt to your email address today.",
    "The doctor can see you on Monday at 10:30 am.",
    "You still owe $120 of the $500 from last month.",
    "Please have your booking number ready when you come in.",
    "The office is open from 9 am to 5 pm on weekdays.",
];

/// Lines whose digits the scorer does not read, so that it guesses no order of day and month: scored against the words that were
/// sent to the voice.
const LOCAL: [&str; 2] =
    ["Your next payment is due on 04/05/2026.", "The last visit was on 12/03/2026 in the afternoon."];

/// The voice that reads, as far as the words it is given depend on it.
pub fn voice() -> Voice {
    Voice {
        name: "heart".to_owned(),
        speed: 1.0,
        language: "en-IN".to_owned(),
        pronounce: Arc::new([]),
        currency: "INR".to_owned(),
    }
}

/// The first wording of every line of both bots, with the guides' values.
fn bots_lines() -> Vec<String> {
    let token = Regex::new(r"\{\{\w+\.(\w+)(?:\|[^}]*)?\}\}").unwrap();
    let mut lines = Vec::new();
    for bot in ["payment-reminder", "appointment-desk"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/bots/{bot}.toml"));
        let table: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        lines.push(table["opening_message"].as_str().unwrap().to_owned());
        for part in ["step", "answer", "end"] {
            for entry in table["script"][part].as_array().unwrap() {
                lines.push(entry["say"][0].as_str().unwrap().to_owned());
            }
        }
    }
    let value = |found: &regex::Captures<'_>| {
        let known = VALUES.iter().find(|(name, _)| *name == &found[1]);
        known.unwrap_or_else(|| panic!("no value for {}", &found[0])).1.to_owned()
    };
    let mut lines: Vec<String> = lines.iter().map(|line| token.replace_all(line, value).into_owned()).collect();
    lines.dedup();
    lines
}

/// Has the bot say `line` over a call of its own.
pub async fn heard(world: &World, name: String, line: &str) -> Report {
    let mut script = Script { name, limit_s: 100, turn_silence_ms: 3_000, ..Script::default() };
    script.step = vec![Step { hangup: true, ..Step::default() }];
    let mut call = world.call("reader", script);
    call.fields = vec![("line".to_owned(), line.to_owned())];
    run(call).await.unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn words_of(report: &Report) -> String {
    let bot = report.transcript.iter().filter(|line| line.speaker == Speaker::Bot);
    bot.map(|line| line.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// Every line with the words that it is scored against.
pub fn lines() -> Vec<(String, String)> {
    let own = bots_lines().into_iter().chain(MORE.map(str::to_owned)).map(|line| (line.clone(), line));
    let local = LOCAL.map(|line| (line.to_owned(), speakable(line, &voice())));
    own.chain(local).collect()
}

/// Has these lines read out, and scores what came over the wire: by the published normaliser, and without it.
pub fn read_out(world: &World, lines: &[(String, String)]) -> (WordErrors, WordErrors) {
    let batches: Vec<(String, String)> = lines
        .chunks(BATCH)
        .map(|batch| {
            let side = |of: fn(&(String, String)) -> &str| batch.iter().map(of).collect::<Vec<_>>().join(" ");
            (side(|line| &line.0), side(|line| &line.1))
        })
        .collect();
    let (mut canonical, mut raw) = (WordErrors::default(), WordErrors::default());
    world.run(CALLS_AT_ONCE, async {
        let calls = batches.iter().enumerate().map(|(at, (line, reference))| async move {
            (reference, words_of(&heard(world, format!("understood {at}"), line).await))
        });
        let mut calls = stream::iter(calls).buffered(CALLS_AT_ONCE);
        while let Some((reference, words)) = calls.next().await {
            let errors = word_errors(reference, &words);
            show(&format!(
                "{:>2} of {:>2} words: {reference}\n{:>16} {words}",
                errors.total(),
                errors.reference_words,
                ""
            ));
            canonical += errors;
            raw += raw_errors(reference, &words);
        }
    });
    show(&format!(
        "{} sentences, {} words: word error rate {:.1} % canonical, {:.1} % raw",
        lines.len(),
        canonical.reference_words,
        canonical.rate() * 100.0,
        raw.rate() * 100.0
    ));
    (canonical, raw)
}
