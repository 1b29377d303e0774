//! Is the bot understood over a telephone, and are the customers' names among what is heard. The long form of the first is in
//! `make soak`.

use futures_util::StreamExt as _;
use futures_util::stream;
use voicefleet::provider::normalise::speakable;

use crate::reading::{MOST_ERRORS, heard, lines, read_out, voice};
use crate::tally::show;
use crate::worker::{CALLS_AT_ONCE, world};

#[test]
fn the_bot_is_understood_over_a_telephone() {
    let lines: Vec<_> = lines().into_iter().step_by(2).collect();
    assert!(lines.len() >= 30, "{} sentences", lines.len());
    let (canonical, _) = read_out(world(), &lines);
    assert!(canonical.rate() <= MOST_ERRORS, "word error rate {:.3}", canonical.rate());
}

#[test]
fn names_are_said_and_heard() {
    /// The least speech at a name's place.
    const LEAST_MS: u64 = 150;
    let world = world();
    let names = ["Rahul Sharma", "Adebayo", "Maria Lopez", "Priya Venkataraman", "Chukwuemeka"];
    for name in names {
        let phonemes = world.speech.phonemes(&speakable(name, &voice())).unwrap();
        assert!(phonemes.as_ref().is_some_and(|said| !said.trim().is_empty()), "{name}: {phonemes:?}");
    }
    world.run(CALLS_AT_ONCE, async {
        let calls = [""].into_iter().chain(names).map(|name| async move {
            let line = format!("Thank you {name} for your time.").replace("  ", " ");
            (name, heard(world, format!("name {name}"), &line).await.bot_audible_ms)
        });
        let spoken: Vec<(&str, u64)> = stream::iter(calls).buffered(CALLS_AT_ONCE).collect().await;
        let without = spoken[0].1;
        for (name, ms) in &spoken[1..] {
            show(&format!("{name}: {} ms of speech at its place", ms.saturating_sub(without)));
            assert!(*ms >= without + LEAST_MS, "{name}: {ms} ms with it, {without} ms without");
        }
    });
}
