//! Seven of the callers of `make soak`, over both bots and five voices, on a telephone line without the noise and loss that the
//! long form adds.

use std::path::Path;

use voicefleet::tools::caller::dialogues::{Dialogues, run_all};

use crate::tally::{account, show, summary};
use crate::worker::{CALLS_AT_ONCE, CLEAN, world};

const CHOSEN: [&str; 7] = [
    "promises for tomorrow",
    "already paid last week",
    "wrong number",
    "opts out",
    "books without a number",
    "wants the front desk",
    "dialled the wrong number",
];

#[test]
fn callers_reach_what_they_called_for() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/callers/dialogues.toml");
    let mut dialogues = Dialogues::read(&path).unwrap();
    dialogues.dialogue.retain(|dialogue| CHOSEN.contains(&dialogue.name.as_str()));
    assert_eq!(dialogues.dialogue.len(), CHOSEN.len());
    let world = world();
    let how = world.dialogues(CALLS_AT_ONCE, CLEAN);
    let report = world.run(CALLS_AT_ONCE, run_all(&dialogues, &how, |row| show(&account(row))));
    show(&summary(&report));
    let right = report.rows.iter().filter(|row| row.found == row.wanted).count();
    assert!(right + 1 >= CHOSEN.len(), "{right} of {} ended as they should", CHOSEN.len());
    assert_eq!(report.with_repeats, 0, "dialogues in which a line was said more than twice");
}
