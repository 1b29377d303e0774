//! What the journal of a crashed call still knows, as the summary that its result is made of. Never guesses: a line whose
//! hearing nobody confirmed says `heard: false`, and every shortcoming becomes a warning.

use std::collections::BTreeMap;

use super::result::{
    Direction, DisconnectedBy, MediaQuality, RecordingReport, Resources, SipDetails, SipStep, Speaker, TranscriptItem,
    VoicemailReport, VoicemailSignal, Warning,
};
use super::summary::CallSummary;
use crate::journal::{Answerer, Entry, Fact, Heard, Journal, LegFact, LegMeta, Note, Said, Sign, Who};
use crate::units::{BotId, CallId, Pii, Stamp};

/// What a crashed call left on the disk.
#[derive(Clone, Debug)]
pub struct Remains<'a> {
    /// The call, by its folder's name.
    pub call_id: CallId,
    /// What its journal says.
    pub journal: &'a Journal,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// The mended recording.
    pub recording: Option<RecordingReport>,
    /// The link to it.
    pub recording_url: Option<String>,
    /// When the newest of its files was written last.
    pub last_seen: Stamp,
}

/// The summary of a call that did not live to give one.
#[must_use]
pub fn rebuild(remains: Remains<'_>) -> CallSummary {
    let journal = remains.journal;
    let known = Known::of(journal);
    let played_us = remains.recording.as_ref().map_or(0, |recording| recording.duration_ms * 1000);
    let last_line_us = journal.lines.iter().map(|line| line.at_us).max().unwrap_or(0);
    let recorded_us = known.recording_us.unwrap_or(0).saturating_add(played_us);
    let end_us = known.ended.as_ref().map_or(last_line_us.max(recorded_us), |ended| ended.at_us);
    let started = journal.header.as_ref().map_or_else(
        // Without a header the files' own time is all there is.
        || after(remains.last_seen, -(i64::try_from(end_us / 1000).unwrap_or(0))),
        |header| header.started,
    );
    let wall = |us: u64| after(started, i64::try_from(us / 1000).unwrap_or(0));
    let duration_ms = known.answered_us.map_or(0, |answered| end_us.saturating_sub(answered) / 1000);
    let (bot, bot_version) =
        journal.header.as_ref().map_or(("unknown", ""), |h| (h.bot.as_str(), h.bot_version.as_str()));
    let meta = known.meta;
    let (end_reason, disconnected_by, outcome) = match &known.ended {
        Some(ended) => (ended.end_reason.to_owned(), ended.disconnected_by, ended.analysis.cloned()),
        None => ("worker_crashed".to_owned(), DisconnectedBy::Error, None),
    };
    CallSummary {
        caller_id: Pii::new(meta.map_or_else(String::new, |meta| meta.caller_id.clone())),
        direction: if meta.is_some_and(|meta| meta.outgoing) { Direction::Outbound } else { Direction::Inbound },
        bot: BotId::new(bot),
        bot_version: bot_version.to_owned(),
        started,
        answered: known.answered_us.map(wall),
        ended: wall(end_us),
        duration_ms,
        disconnected_by,
        end_reason,
        transcript: transcript(journal, known.recording_us.unwrap_or(0), known.rate_hz, end_us, started),
        outcome,
        turns: Vec::new(),
        media: MediaQuality::default(),
        sip: known.sip(),
        voicemail: known.voicemail.cloned().map(VoicemailReport::from),
        resources: Resources { journal_bytes: remains.journal_bytes, ..Resources::default() },
        warnings: warnings(journal),
        recording: remains.recording,
        recording_url: remains.recording_url,
        call_id: remains.call_id,
    }
}

/// The few facts that stand once in a journal.
#[derive(Default)]
struct Known<'a> {
    meta: Option<&'a LegMeta>,
    answered_us: Option<u64>,
    recording_us: Option<u64>,
    rate_hz: u32,
    ended: Option<Ended<'a>>,
    voicemail: Option<&'a Answerer>,
    ladder: Vec<SipStep>,
    media_us: Option<u64>,
}

impl From<Answerer> for VoicemailReport {
    fn from(known: Answerer) -> Self {
        let signal = |sign: Sign| VoicemailSignal { kind: sign.kind, at_ms: sign.at_ms, detail: sign.detail };
        Self {
            verdict: known.verdict,
            confidence: f64::from(known.confidence) / 100.0,
            signals: known.signals.into_iter().map(signal).collect(),
            message_left: known.message_left,
        }
    }
}

struct Ended<'a> {
    at_us: u64,
    end_reason: &'a str,
    disconnected_by: DisconnectedBy,
    analysis: Option<&'a serde_json::Value>,
}

impl<'a> Known<'a> {
    fn of(journal: &'a Journal) -> Self {
        let mut known = Self { rate_hz: 8_000, ..Self::default() };
        for line in &journal.lines {
            match &line.entry {
                Entry::Fact(Fact::Opened(meta)) => known.meta = known.meta.or(Some(meta)),
                Entry::Fact(Fact::Leg(LegFact::Answered)) | Entry::Note(Note::Answered) => {
                    known.answered_us.get_or_insert(line.at_us);
                }
                Entry::Fact(Fact::Leg(LegFact::Started { rate_hz })) => {
                    known.media_us.get_or_insert(line.at_us);
                    known.rate_hz = (*rate_hz).max(1);
                }
                Entry::Note(Note::Recording { rate_hz }) => {
                    known.recording_us.get_or_insert(line.at_us);
                    known.rate_hz = (*rate_hz).max(1);
                }
                Entry::Note(Note::Voicemail(answerer)) => known.voicemail = Some(answerer),
                Entry::Note(Note::Sip { sent, message }) => {
                    known.ladder.push(SipStep { at_ms: line.at_us / 1000, sent: *sent, message: message.clone() });
                }
                Entry::Note(Note::Ended { end_reason, disconnected_by, analysis }) => {
                    // The first reason wins, as in the call itself.
                    known.ended.get_or_insert(Ended {
                        at_us: line.at_us,
                        end_reason,
                        disconnected_by: DisconnectedBy::from_code(disconnected_by).unwrap_or(DisconnectedBy::Error),
                        analysis: analysis.as_ref(),
                    });
                }
                _ => {}
            }
        }
        known.recording_us = known.recording_us.or(known.media_us);
        known
    }

    /// What the messages that are kept tell of the signalling; phrase and cause stood in none of them.
    fn sip(&self) -> Option<SipDetails> {
        let invited = self.ladder.iter().position(|step| step.message == "INVITE")?;
        let ours = self.ladder.get(invited)?.sent;
        let mut found = SipDetails { ladder: self.ladder.clone(), ..SipDetails::default() };
        for step in self.ladder.iter().skip(invited + 1) {
            let Some(status) = step.message.parse::<u16>().ok().filter(|_| step.sent != ours) else { continue };
            if status > 100 && status < 200 {
                found.rang_ms.get_or_insert(step.at_ms);
            }
            if status >= 200 && found.answered_ms.is_none() {
                found.status = status;
                found.answered_ms = (status < 300).then_some(step.at_ms);
            }
        }
        let media_ms = self.media_us.map(|at| at / 1000);
        let until = found.answered_ms.unwrap_or(u64::MAX);
        found.early_media_ms = media_ms.filter(|at| *at < until && found.rang_ms.is_some());
        Some(found)
    }
}

/// The settled lines, and what the facts after the last settled one of each speaker still tell.
fn transcript(journal: &Journal, origin_us: u64, rate_hz: u32, end_us: u64, started: Stamp) -> Vec<TranscriptItem> {
    let origin_ms = origin_us / 1000;
    let mut settled = Vec::new();
    let mut open = Open::default();
    for line in &journal.lines {
        let at_ms = (line.at_us / 1000).saturating_sub(origin_ms);
        match &line.entry {
            Entry::Note(Note::Said(said)) => {
                open.settle(said.speaker);
                settled.push(said.clone());
            }
            Entry::Fact(Fact::Heard(heard)) => open.hear(heard, at_ms, rate_hz),
            _ => {}
        }
    }
    settled.extend(open.lines((end_us / 1000).saturating_sub(origin_ms)));
    let begin = after(started, i64::try_from(origin_ms).unwrap_or(0));
    settled
        .into_iter()
        .map(|said| TranscriptItem {
            speaker: match said.speaker {
                Who::Bot => Speaker::Bot,
                Who::Customer => Speaker::Customer,
            },
            text: Pii::new(said.text),
            timestamp: after(begin, i64::try_from(said.start_ms).unwrap_or(0)),
            start_ms: said.start_ms,
            end_ms: said.end_ms,
            heard: said.heard,
            turn: said.turn,
        })
        .collect()
}

/// What was heard or drafted and not settled yet.
#[derive(Default)]
struct Open {
    caller: BTreeMap<u32, Piece>,
    bot: BTreeMap<u32, Piece>,
}

#[derive(Default)]
struct Piece {
    text: String,
    start_ms: Option<u64>,
    end_ms: u64,
}

impl Open {
    /// Everything of this speaker so far is in the settled lines.
    fn settle(&mut self, who: Who) {
        match who {
            Who::Bot => self.bot.clear(),
            Who::Customer => self.caller.clear(),
        }
    }

    fn hear(&mut self, heard: &Heard, at_ms: u64, rate_hz: u32) {
        match heard {
            // A take replaces the one before; an empty one (nothing understood) does not.
            Heard::Transcribed { turn, text, .. } if !text.trim().is_empty() => {
                let piece = self.caller.entry(*turn).or_default();
                piece.text.clone_from(text);
                piece.start_ms.get_or_insert(at_ms);
                piece.end_ms = at_ms;
            }
            Heard::Partial { turn, .. } => {
                self.caller.entry(*turn).or_default().start_ms.get_or_insert(at_ms);
            }
            Heard::Drafted { utterance, text, .. } => {
                self.bot.entry(*utterance).or_default().text.push_str(text);
            }
            Heard::Spoken { utterance, samples, .. } if *samples > 0 => {
                let piece = self.bot.entry(*utterance).or_default();
                let start = *piece.start_ms.get_or_insert(at_ms);
                let ms = samples.saturating_mul(1000) / u64::from(rate_hz);
                piece.end_ms = piece.end_ms.max(start).saturating_add(ms);
            }
            _ => {}
        }
    }

    /// The open pieces as lines: the caller's as recognised, the bot's where a voice was made for them.
    fn lines(self, end_ms: u64) -> impl Iterator<Item = Said> {
        let line = move |speaker, turn, piece: Piece| {
            let start_ms = piece.start_ms?.min(end_ms);
            let end_ms = piece.end_ms.clamp(start_ms, end_ms);
            let text = piece.text.trim().to_owned();
            let heard = speaker == Who::Customer;
            (!text.is_empty()).then_some(Said { speaker, text, start_ms, end_ms, heard, turn })
        };
        let caller = self.caller.into_iter().filter_map(move |(turn, piece)| line(Who::Customer, turn, piece));
        let bot = self.bot.into_iter().filter_map(move |(turn, piece)| line(Who::Bot, turn, piece));
        caller.chain(bot)
    }
}

fn warnings(journal: &Journal) -> Vec<Warning> {
    let mut detail =
        format!("the worker ended before this call did; rebuilt from {} journal lines", journal.lines.len());
    if journal.header.is_none() {
        detail.push_str(", without the journal's header");
    }
    if journal.torn {
        detail.push_str(", the last one torn");
    }
    let mut out = vec![Warning::new("recovered", detail)];
    if let Some(first) = journal.unread.first() {
        let n = journal.unread.len();
        out.push(Warning::new(
            "journal_unread",
            format!("{n} lines were passed over; line {}: {}", first.line, first.why),
        ));
    }
    out
}

/// `stamp` moved by `ms`, without running over.
fn after(stamp: Stamp, ms: i64) -> Stamp {
    Stamp::from_unix_ms(stamp.unix_ms().saturating_add(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(text: &str) -> CallSummary {
        let journal = crate::journal::read(text.as_bytes());
        rebuild(Remains {
            call_id: CallId::new("c"),
            journal: &journal,
            journal_bytes: 0,
            recording: None,
            recording_url: None,
            last_seen: Stamp::from_unix_ms(0),
        })
    }

    #[test]
    fn the_ladder_of_a_call_that_broke_off_is_what_the_journal_noted() {
        let head = r#"{"version":1,"call_id":"c","bot":"b","bot_version":"v","started":0}"#;
        let call = |rows: &[(u64, bool, &str)], media_us: Option<u64>| {
            let rung = |(at_us, sent, message): &(u64, bool, &str)| {
                format!(r#"{{"at_us":{at_us},"note":{{"sip":{{"sent":{sent},"message":"{message}"}}}}}}"#)
            };
            let media =
                media_us.map(|at| format!(r#"{{"at_us":{at},"fact":{{"leg":{{"started":{{"rate_hz":8000}}}}}}}}"#));
            let lines = std::iter::once(head.to_owned()).chain(rows.iter().map(rung)).chain(media);
            let sip = summary(&(lines.collect::<Vec<_>>().join("\n") + "\n")).sip;
            sip.map(|sip| (sip.status, sip.rang_ms, sip.early_media_ms, sip.answered_ms, sip.ladder.len()))
        };
        // A call of ours, challenged, heard early, answered; its session changed later.
        let ours = [
            (1_000, true, "INVITE"),
            (2_000, false, "100"),
            (3_000, false, "407"),
            (4_000, true, "INVITE"),
            (9_000, false, "183"),
            (20_000, false, "200"),
            (21_000, true, "ACK"),
            (30_000, false, "INVITE"),
            (31_000, true, "488"),
        ];
        assert_eq!(call(&ours, Some(9_500)), Some((200, Some(9), Some(9), Some(20), 9)));
        assert_eq!(call(&ours[..5], None), Some((407, Some(9), None, None, 5)), "killed while it rang");
        let theirs = [(0, false, "INVITE"), (1_000, true, "180"), (2_000, false, "CANCEL"), (3_000, true, "487")];
        assert_eq!(call(&theirs, None), Some((487, Some(1), None, None, 4)));
        let plain = [(0, false, "INVITE"), (1_000, true, "200"), (2_000, false, "ACK")];
        assert_eq!(call(&plain, Some(1_100)), Some((200, None, None, Some(1), 3)), "its audio came with the answer");
        assert_eq!(call(&[], Some(5)), None, "not a call of a trunk, or an older journal");
    }

    #[test]
    fn who_answered_is_what_the_journal_noted_last() {
        let text = concat!(
            r#"{"version":1,"call_id":"c","bot":"b","bot_version":"v","started":0}"#,
            "\n",
            r#"{"at_us":1,"note":{"voicemail":{"verdict":"unknown","confidence":0,"signals":[],"message_left":false}}}"#,
            "\n",
            r#"{"at_us":2,"note":{"voicemail":{"verdict":"beep","confidence":99,"signals":[{"kind":"beep","at_ms":7}]}}}"#,
            "\n",
        );
        let known = summary(text).voicemail.unwrap();
        assert_eq!((known.verdict.as_str(), known.confidence, known.message_left), ("beep", 0.99, false));
        assert_eq!((known.signals[0].kind.as_str(), known.signals[0].at_ms), ("beep", 7));
        let older = text.lines().next().unwrap();
        assert_eq!(summary(older).voicemail, None, "a journal of a version that did not look");
    }
}
