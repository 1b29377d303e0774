//! `voicefleet models fetch` and `voicefleet models verify`. Prints; never loads a model.

use std::path::Path;

use crate::provider::models::{self, FetchError, FileState, Group};

const ALL: &[Group] = &[Group::Speech, Group::Test];

/// Fetches the speech models (and, with `test_voices`, the voices and recordings of the tests) into `cache`, a line per
/// file.
///
/// # Errors
/// [`FetchError`], which says what to do.
#[expect(clippy::print_stdout, reason = "a command's own output")]
pub async fn fetch(cache: &Path, test_voices: bool) -> Result<(), FetchError> {
    println!("models are kept in {}", cache.display());
    let groups = if test_voices { ALL } else { &[Group::Speech] };
    models::fetch(cache, groups, |progress| println!("{progress}")).await?;
    println!("all model files are present and whole");
    Ok(())
}

/// Lists every model file with its state; `true` where all that `serve` needs are whole.
#[expect(clippy::print_stdout, reason = "a command's own output")]
#[must_use]
pub fn verify(cache: &Path) -> bool {
    println!("models are kept in {}", cache.display());
    for checked in models::verify(cache, ALL) {
        let file = checked.member.file;
        match &checked.state {
            FileState::Whole => println!("ok         {file}"),
            FileState::Missing => println!("missing    {file}"),
            FileState::Damaged { expected, actual } => {
                println!("damaged    {file}: expected SHA-256 {expected}, found {actual}");
            }
            FileState::Unreadable(why) => println!("unreadable {file}: {why}"),
        }
    }
    let faults = models::faults(cache, &[Group::Speech]);
    if !faults.is_empty() {
        println!("{} of the files that local speech needs are not whole; run `{}`", faults.len(), models::REPAIR);
    }
    faults.is_empty()
}
