//! Is the bot understood over a telephone, and are the customers' names among what is heard. The long form of the first is in
//! `make soak`.

use std::collections::{BTreeMap, BTreeSet};

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
fn every_word_of_a_name_is_said_and_heard() {
    /// The least speech at a word's place.
    const LEAST_MS: u64 = 150;
    let world = world();
    let names = ["Rahul Sharma", "Adebayo", "Maria Lopez", "Priya Venkataraman", "Chukwuemeka"];
    for name in names {
        let phonemes = world.speech.phonemes(&speakable(name, &voice())).unwrap();
        assert!(phonemes.as_ref().is_some_and(|said| !said.trim().is_empty()), "{name}: {phonemes:?}");
    }
    let without = |name: &str, word: &str| name.split(' ').filter(|w| *w != word).collect::<Vec<_>>().join(" ");
    let words = || names.into_iter().flat_map(|name| name.split(' ').map(move |word| (name, word)));
    // Every name, and every name without each of its words.
    let mut wanted: BTreeSet<String> = names.into_iter().map(str::to_owned).collect();
    wanted.extend(words().map(|(name, word)| without(name, word)));
    world.run(CALLS_AT_ONCE, async {
        let calls = wanted.into_iter().map(|name| async move {
            let line = format!("Thank you {name} for your time.").replace("  ", " ");
            let ms = heard(world, format!("name {name}"), &line).await.bot_audible_ms;
            (name, ms)
        });
        let spoken: BTreeMap<String, u64> = stream::iter(calls).buffered(CALLS_AT_ONCE).collect().await;
        for (name, word) in words() {
            let (with, less) = (spoken[name], spoken[&without(name, word)]);
            show(&format!("{word} of {name}: {} ms of speech at its place", with.saturating_sub(less)));
            assert!(with >= less + LEAST_MS, "{word} of {name}: {with} ms with it, {less} ms without");
        }
    });
}
