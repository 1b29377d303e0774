//! The long proofs: `make soak`. Each is also in the suite in a small form. This is the one file whose tests are ignored otherwise.

#![expect(clippy::unwrap_used, reason = "a proof that cannot set up its world has failed")]

#[path = "fuzz/wire_native.rs"]
mod fuzz;
#[path = "spoken/interrupted.rs"]
mod interrupted;
#[path = "spoken/kept.rs"]
#[expect(dead_code, reason = "the suite uses more of it")]
mod kept;
#[path = "spoken/latency.rs"]
mod latency;
#[path = "spoken/reading.rs"]
mod reading;
#[path = "spoken/tally.rs"]
mod tally;
#[path = "spoken/worker.rs"]
mod worker;

use std::collections::BTreeSet;
use std::path::Path;

use interrupted::{INTERRUPTERS, INTERRUPTIONS, share_cut, spoken_over};
use tally::{account, show};
use voicefleet::tools::caller::Spoil;
use voicefleet::tools::caller::dialogues::{DialogueRow, Dialogues, run_all};
use worker::{CALLS_AT_ONCE, world};

/// The line of the long form: 15 dB of noise, µ-law, 2 % of the frames lost.
const SPOILT: Spoil = Spoil { noise_db: Some(15.0), loss_pct: 2.0, mulaw: true, echo: None, seed: 1 };

/// Every dialogue of the fixture over both bots, by all voices, over a bad line.
#[test]
#[ignore = "takes about fifteen minutes"]
fn callers_reach_what_they_called_for() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/callers/dialogues.toml");
    let mut dialogues = Dialogues::read(&path).unwrap();
    match std::env::var("VOICEFLEET_SOAK_ONLY") {
        Ok(only) => dialogues.dialogue.retain(|dialogue| only.split(',').any(|name| dialogue.name.contains(name))),
        Err(_) => {
            let voices: BTreeSet<_> =
                dialogues.dialogue.iter().filter_map(|dialogue| dialogue.voice.as_ref()).collect();
            let bots: BTreeSet<_> = dialogues.dialogue.iter().map(|dialogue| &dialogue.bot).collect();
            assert!(dialogues.dialogue.len() >= 40 && voices.len() >= 3 && bots.len() == 2, "{voices:?} {bots:?}");
        }
    }
    let world = world();
    let how = world.dialogues(CALLS_AT_ONCE, SPOILT);
    let report = world.run(CALLS_AT_ONCE, run_all(&dialogues, &how, |row| show(&account(row))));
    show(&tally::summary(&report));
    let held = |row: &DialogueRow| row.report.as_ref().is_some_and(|call| call.server.is_some() && row.lines > 0);
    let missing: Vec<_> = report.rows.iter().filter(|row| !held(row)).map(|row| &row.name).collect();
    assert!(
        missing.is_empty() && report.rows.len() == dialogues.dialogue.len(),
        "calls that never came about: {missing:?}"
    );
    assert!(report.right_share >= 0.90, "{:.3} of the dialogues ended as they should", report.right_share);
    assert!(report.cut_in_share <= 0.05, "the bot cut in on {:.3} of the callers' lines", report.cut_in_share);
    assert_eq!(report.with_repeats, 0, "dialogues in which a line was said more than twice");
}

/// Complete utterances over both bots, five turns and more each.
const CALLERS: [&str; 4] = ["promises for friday", "asks to repeat", "books and asks the hours", "moves without an id"];

/// How long callers wait, over twenty turns and more.
#[test]
#[ignore = "takes about four minutes"]
fn the_parts_of_a_wait_are_the_whole() {
    latency::parts_are_the_whole(world(), &CALLERS, 20);
}

/// What listeners say to show that they listen.
const LISTENING: [&str; 6] = ["Okay.", "Uh huh.", "Yeah.", "Right.", "Mm-hmm.", "Hm."];
/// Flite spells what has no vowel.
const FLITE_CAN_SAY: usize = 4;

/// Ordinary words over the bot cut it; what shows that somebody listens seldom does, whatever it is recognised as.
#[test]
#[ignore = "takes about five minutes"]
fn words_cut_the_bot_and_listening_does_not() {
    let clean = ("on a clean line", Spoil::default(), 0.95, 0.10);
    let over_noise = ("with 15 dB of noise", interrupted::noisy(), 0.80, 0.20);
    for (line, spoil, least, most) in [clean, over_noise] {
        let words = share_cut(&format!("words {line}"), &spoken_over(world(), &INTERRUPTERS, &INTERRUPTIONS, spoil));
        let mut listening = spoken_over(world(), &["rms", "awb"], &LISTENING[..FLITE_CAN_SAY], spoil);
        listening.extend(spoken_over(world(), &["joe", "kumo"], &LISTENING, spoil));
        let listening = share_cut(&format!("listening {line}"), &listening);
        assert!(words >= least, "{words:.2} of the interruptions {line} cut the bot");
        assert!(listening <= most, "{listening:.2} of the back-channels {line} cut the bot");
    }
}

/// Every line of both bots and more, over the wire and recognised.
#[test]
#[ignore = "takes about four minutes"]
fn the_bot_is_understood() {
    let lines = reading::lines();
    assert!(lines.len() >= 60, "{} sentences", lines.len());
    let (canonical, _) = reading::read_out(world(), &lines);
    assert!(canonical.rate() <= reading::MOST_ERRORS, "word error rate {:.3}", canonical.rate());
}

/// Inputs of the long form, where the environment asks for no other number.
const INPUTS: u64 = 2_000_000;

/// The fuzz body of the native dialect over many more inputs than the suite's. `VOICEFLEET_SOAK_INPUTS` sets how many, and each run
/// begins where `VOICEFLEET_SOAK_SEED` says, so that a fault that was found is found again.
#[test]
#[ignore = "takes about a minute"]
fn the_dialect_stands_millions_of_inputs() {
    let number = |name: &str, or: u64| std::env::var(name).ok().map_or(or, |text| text.parse().unwrap());
    let mut state = number("VOICEFLEET_SOAK_SEED", 1);
    let mut next = || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let inputs = number("VOICEFLEET_SOAK_INPUTS", INPUTS);
    for _ in 0..inputs {
        let length = usize::try_from(next() % 200).unwrap();
        let data: Vec<u8> = (0..length).map(|_| next().to_le_bytes()[3]).collect();
        fuzz::run(&data);
    }
    show(&format!("{inputs} inputs stood"));
}
