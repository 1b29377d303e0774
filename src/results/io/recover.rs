//! The look through the calls at start-up: whatever was running when the process died gets a recording that plays and the one
//! result that was still owed. Doing it again changes nothing. For the start, before calls are taken.

use std::io;
use std::path::Path;

use super::super::rebuild::{Remains, rebuild};
use super::super::result::{CallResult, RecordingReport};
use super::super::token::Links;
use super::{DataClaim, RESULT, WriteError, call_folder, modified, write_result};
use crate::journal::{Entry, Fact, Journal, LegFact, Note};
use crate::record::{Incomplete, Recording, Repaired, repair_file};
use crate::units::{CallId, SampleRate, Stamp};

/// The longest journal that is read; a longer one is read up to here.
const MAX_JOURNAL_BYTES: u64 = 256 << 20;

/// What the look through the calls did.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Calls that got the result they were owed.
    pub recovered: Vec<CallId>,
    /// Recordings that were mended, of these calls or of others.
    pub mended: usize,
    /// What could not be done, in words for the operator.
    pub failed: Vec<String>,
}

/// Finishes every call under the claimed folder that has no result: mends its recording, and writes a result from its journal with
/// `disconnected_by: "error"`, `end_reason: "worker_crashed"` (or with the reason that the journal notes, where the call had
/// ended and only its result was missing). Recordings of other calls are mended as well.
#[must_use]
pub fn recover(claim: &DataClaim, links: &Links) -> Recovery {
    let data_dir = claim.dir();
    let mut done = Recovery::default();
    let calls = match std::fs::read_dir(data_dir.join("calls")) {
        Ok(calls) => calls,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return done,
        Err(error) => {
            done.failed.push(format!("{}: the calls cannot be listed: {error}", data_dir.join("calls").display()));
            return done;
        }
    };
    for entry in calls.flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str().map(CallId::new) else { continue };
        // What is not named like a call is not a call's folder.
        let Ok(folder) = call_folder(data_dir, &id) else { continue };
        if folder.is_dir() {
            finish(&folder, id, links, &mut done);
        }
    }
    done
}

fn finish(folder: &Path, call: CallId, links: &Links, done: &mut Recovery) {
    sweep_temporaries(folder);
    let (wav, journal_path) = (folder.join("recording.wav"), folder.join("journal"));
    let owes_result = !folder.join(RESULT).exists() && (wav.exists() || journal_path.exists());
    let (journal, journal_bytes) = if owes_result { read_journal(&journal_path, done) } else { Default::default() };
    // Before anything is mended: the files' times tell when the call was last alive.
    let last_seen = modified(&wav).max(modified(&journal_path));
    let recording = wav.exists().then(|| mend(&wav, &journal, done)).flatten();
    if !owes_result {
        return;
    }
    let remains = Remains {
        recording_url: recording.as_ref().map(|_| links.recording_url(&call)),
        call_id: call.clone(),
        journal: &journal,
        journal_bytes,
        recording,
        last_seen: last_seen.unwrap_or_else(|| Stamp::from_unix_ms(0)),
    };
    match write_result(folder, &CallResult::from(rebuild(remains))) {
        Ok(_) => done.recovered.push(call),
        Err(WriteError::AlreadyWritten { .. }) => {}
        Err(error) => done.failed.push(error.to_string()),
    }
}

/// Half-written results of the dead process.
fn sweep_temporaries(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("result.json.") && name.ends_with(".tmp") {
            // A leftover does no harm; the next start tries again.
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

fn read_journal(path: &Path, done: &mut Recovery) -> (Journal, u64) {
    use std::io::Read as _;
    let read = std::fs::File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(MAX_JOURNAL_BYTES).read_to_end(&mut bytes).map(|_| bytes)
    });
    match read {
        Ok(bytes) => (crate::journal::read(&bytes), bytes.len() as u64),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                done.failed.push(format!("{}: the journal cannot be read: {error}", path.display()));
            }
            (Journal::default(), 0)
        }
    }
}

fn mend(path: &Path, journal: &Journal, done: &mut Recovery) -> Option<RecordingReport> {
    match repair_file(path, noted_rate(journal)) {
        Ok(found) => {
            done.mended += usize::from(found.mended);
            Some(report(&found, has_ended(journal)))
        }
        Err(error) => {
            done.failed.push(error.to_string());
            None
        }
    }
}

/// The recording of a crashed call ends where the process died, also where its header happened to be up to date. That of a
/// call which had ended may be whole.
fn report(found: &Repaired, had_ended: bool) -> RecordingReport {
    let whole = had_ended && !found.mended;
    RecordingReport {
        duration_ms: found.duration_ms(),
        bytes: found.bytes,
        lost_ms: 0,
        incomplete: (!whole).then(|| Incomplete::CutOff.code().to_owned()),
    }
}

fn has_ended(journal: &Journal) -> bool {
    journal.lines.iter().any(|line| matches!(line.entry, Entry::Note(Note::Ended { .. })))
}

/// The rate that the journal notes, for a recording whose header never reached the disk.
fn noted_rate(journal: &Journal) -> SampleRate {
    let noted = journal.lines.iter().rev().find_map(|line| match &line.entry {
        Entry::Note(Note::Recording { rate_hz }) | Entry::Fact(Fact::Leg(LegFact::Started { rate_hz })) => {
            Some(*rate_hz)
        }
        _ => None,
    });
    noted.and_then(SampleRate::new).unwrap_or(SampleRate::NARROW)
}

impl From<&Recording> for RecordingReport {
    fn from(recording: &Recording) -> Self {
        Self {
            duration_ms: recording.duration_ms,
            bytes: recording.bytes,
            lost_ms: recording.lost_ms,
            incomplete: recording.incomplete.map(|why| why.code().to_owned()),
        }
    }
}
