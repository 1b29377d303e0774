//! Keeps a call's journal: every fact and order as it happens, and the notes from which a result can be made should the
//! process not live to write it. Never waits while the call runs.

use std::path::Path;
use std::time::Duration;

use super::driver::Machinery;
use crate::bot::Bot;
use crate::call::{Call, Fact, FarPlayout, LegMeta, Order};
use crate::journal::{Answerer, Entry, Note, Said, Who, Writer};
use crate::record::Log;
use crate::results::Warning;
use crate::telemetry::LiveGuard;
use crate::transport::sip::LiveLadder;
use crate::turn::TranscriptLine;
use crate::units::{CallId, Moment, SampleRate, Stamp};

/// The journal may take this long to be on its way to the disk before the call is accepted, and to be closed after it.
const DISK_PATIENCE: Duration = Duration::from_secs(2);
/// Warnings kept for the result.
const MOST_WARNINGS: usize = 50;

/// The journal of one call, and what the operator should know of it.
#[derive(Debug)]
pub struct Scribe {
    writer: Writer,
    log: Option<(Log, LiveGuard)>,
    buffer: Vec<u8>,
    warnings: Vec<Warning>,
    bytes: u64,
    said: u32,
    answered: bool,
    recording: bool,
    /// What was noted of who answered.
    answerer: u32,
    /// Signalling messages that were noted.
    rungs: usize,
}

impl Scribe {
    /// Begins the journal of a call in `folder`. Where the disk refuses it, the call goes on with a warning.
    #[must_use]
    pub fn begin(
        machinery: &Machinery,
        folder: &Path,
        call: &CallId,
        bot: &Bot,
        opened: (Stamp, Moment),
        meta: &LegMeta,
    ) -> Self {
        let mut buffer = Vec::with_capacity(1024);
        let (started, now) = opened;
        let writer = Writer::begin(call, &bot.id, &bot.version, started, now, &mut buffer);
        writer.line(now, Entry::Fact(crate::journal::Fact::Opened(meta.into())), &mut buffer);
        let mut scribe = Self {
            writer,
            log: None,
            buffer,
            warnings: Vec::new(),
            bytes: 0,
            said: 0,
            answered: false,
            recording: false,
            answerer: 0,
            rungs: 0,
        };
        match machinery.recorder.open_log(folder.join("journal")) {
            Ok(log) => scribe.log = Some((log, machinery.metrics.live_journals.enter())),
            Err(error) => scribe.warn("journal_missing", &error.to_string()),
        }
        scribe.flush();
        scribe
    }

    /// Waits until the journal's beginning is written, so that a crash from now on still leaves a result.
    pub async fn settle(&mut self) {
        self.flush();
        if let Some((log, _)) = &mut self.log
            && !log.settle(DISK_PATIENCE).await
        {
            self.warn("journal_late", "the disk did not take the journal within 2 s; a crash may lose this call");
        }
    }

    /// Notes a fact.
    pub(super) fn fact(&mut self, now: Moment, fact: &Fact) {
        self.writer.fact(now, fact, &mut self.buffer);
    }

    /// Notes an order.
    pub(super) fn order(&mut self, now: Moment, order: &Order) {
        self.writer.order(now, order, &mut self.buffer);
    }

    /// Something the operator should know.
    pub fn warn(&mut self, code: &str, detail: &str) {
        tracing::warn!(code, detail, "call warning");
        if self.warnings.len() < MOST_WARNINGS {
            self.warnings.push(Warning::new(code, detail));
        }
    }

    /// Notes what the call has settled since the last time: recording, answer, lines of the transcript.
    pub(super) fn follow(&mut self, now: Moment, call: &Call, rate: Option<SampleRate>) {
        let milestones = call.milestones();
        if let (false, Some(line_at), Some(rate)) = (self.recording, milestones.line_at, rate) {
            self.recording = true;
            self.note(line_at, Note::Recording { rate_hz: rate.hz() });
        }
        if let (false, Some(at)) = (self.answered, milestones.answered_at) {
            self.answered = true;
            self.note(at, Note::Answered);
        }
        let zero = milestones.line_at.unwrap_or(milestones.opened_at);
        if let Some(known) = call.voicemail().filter(|known| known.revision != self.answerer) {
            self.answerer = known.revision;
            self.note(now, Note::Voicemail(Answerer::of(&known, zero)));
        }
        let lines = call.turn().history().lines();
        // A line may be settled after one that began later: told by the order of settling.
        let next = self.said;
        for line in lines.iter().filter(|line| line.serial >= next) {
            self.said = self.said.max(line.serial + 1);
            self.note(now, Note::Said(said(line, zero)));
        }
    }

    /// Notes the signalling messages that have passed since the last time.
    pub(super) fn climb(&mut self, ladder: &LiveLadder) {
        for row in ladder.behind(self.rungs) {
            self.rungs += 1;
            self.note(row.at, Note::Sip { sent: row.sent, message: row.what });
        }
    }

    /// Notes what the far end says of its playout.
    pub(super) fn played(&mut self, now: Moment, report: FarPlayout) {
        self.note(now, Note::FarPlayout { mark: report.mark.to_string(), lag_ms: report.lag_ms });
    }

    fn note(&mut self, at: Moment, note: Note) {
        self.writer.line(at, Entry::Note(note), &mut self.buffer);
    }

    /// Gives what was noted to the recorder, all at once: a call settles several things in one go. To be called before waiting for
    /// anything.
    pub(super) fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        self.bytes += self.buffer.len() as u64;
        if let Some((log, _)) = &mut self.log {
            log.append(&self.buffer);
        }
        self.buffer.clear();
    }

    /// Notes the end and closes the journal; gives the warnings and the journal's length.
    pub(super) async fn close(mut self, now: Moment, end: Note) -> (Vec<Warning>, u64) {
        self.note(now, end);
        self.flush();
        if let Some((log, _open)) = self.log.take() {
            let outcome = log.close(DISK_PATIENCE).await;
            if outcome.lost_bytes > 0 || !outcome.closed {
                let lost = outcome.lost_bytes;
                self.warn("journal_incomplete", &format!("{lost} bytes of the journal were not written"));
            }
        }
        (std::mem::take(&mut self.warnings), self.bytes)
    }
}

impl Drop for Scribe {
    /// What a driver noted before it panicked is in the journal too.
    fn drop(&mut self) {
        self.flush();
    }
}

/// A settled line as the journal keeps it; `zero` is where the recording begins.
fn said(line: &TranscriptLine, zero: Moment) -> Said {
    Said {
        speaker: Who::from(line.speaker),
        text: line.text.clone(),
        start_ms: line.began.ms_since(zero),
        end_ms: line.ended.ms_since(zero),
        heard: line.whole,
        turn: line.turn.0,
    }
}
