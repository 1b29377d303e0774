//! Some of the callers of `make soak`, over both bots, in a voice of Debian's and two of PyPI's, on the same bad line: 15 dB of noise,
//! µ-law, 2 % of the frames lost. The long form asserts the shares.

use std::path::Path;

use voicefleet::tools::caller::Spoil;
use voicefleet::tools::caller::dialogues::{Dialogues, run_all};

use crate::tally::{account, show, summary};
use crate::worker::{CALLS_AT_ONCE, world};

const CHOSEN: [&str; 5] = ["promises for friday", "lost the job", "wants a human", "books a visit", "wants nothing"];

#[test]
fn callers_reach_what_they_called_for_over_a_bad_line() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/callers/dialogues.toml");
    let mut dialogues = Dialogues::read(&path).unwrap();
    dialogues.dialogue.retain(|dialogue| CHOSEN.contains(&dialogue.name.as_str()));
    assert_eq!(dialogues.dialogue.len(), CHOSEN.len());
    let world = world();
    let spoilt = Spoil { noise_db: Some(15.0), loss_pct: 2.0, mulaw: true, echo: None, seed: 1 };
    let how = world.dialogues(CALLS_AT_ONCE, spoilt);
    let report = world.run(CALLS_AT_ONCE, run_all(&dialogues, &how, |row| show(&account(row))));
    show(&summary(&report));
    let right = report.rows.iter().filter(|row| row.found == row.wanted).count();
    // One of five may go wrong: a line at 15 dB is misheard at times, and the long form counts how often.
    assert!(right + 1 >= CHOSEN.len(), "{right} of {} ended as they should", CHOSEN.len());
    let cut_ins: usize = report.rows.iter().map(|row| row.cut_ins).sum();
    assert!(cut_ins <= 1, "{cut_ins} of the callers' lines were cut in on");
    assert_eq!(report.with_repeats, 0, "dialogues in which a line was said more than twice");
}
