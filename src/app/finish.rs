//! From a call that is over to its one result: closes recording and journal, gathers what the line, the leg and the turn loop
//! counted, writes `result.json`. Never changes how the call ended.

use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use super::driver::{RecordingSlot, Remains};
use super::host::FarReport;
use crate::bot::Bot;
use crate::call::{self, EndReason, LegMeta, Milestones};
use crate::journal::{Answerer, Note};
use crate::media::Codec;
use crate::record::{Recorder, Recording};
use crate::results::{
    CallResult, CallSummary, Direction, DisconnectedBy, Links, MediaQuality, RecordingReport, Resources, RtpQuality,
    SipDetails, SipStep, Speaker, Stage, TranscriptItem, TurnReport, VoicemailReport, Warning, WriteError, analysis_or,
    write_result,
};
use crate::rt;
use crate::shard::LineReport;
use crate::shard::rtp::RtpStats;
use crate::transport::sip::{LadderRow, SipReport};
use crate::turn::{self, TranscriptLine, TurnTiming};
use crate::units::{CallId, FRAME_MS, Moment, SampleRate, Stamp};
use crate::wire::rtp::{CodecImpairment, Quality, mos_of, r_factor};

/// The recorder has this long for a call's last blocks.
const RECORDER_PATIENCE: Duration = Duration::from_secs(3);

/// What is known of a call besides what its driver left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) id: &'a CallId,
    pub(super) bot: &'a Bot,
    pub(super) meta: &'a LegMeta,
    pub(super) started: Stamp,
    pub(super) links: &'a Links,
}

/// Waits for the recording's end, where there is a recording.
pub(super) async fn close_recording(recorder: &Recorder, slot: &RecordingSlot) -> Option<Recording> {
    let open = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let (id, _open) = open?;
    Some(recorder.close(id, RECORDER_PATIENCE).await)
}

/// Closes the journal of the call and makes its result; does not write it.
pub(super) async fn close(
    remains: Remains,
    record: Record<'_>,
    recording: Option<Recording>,
    leg: Option<FarReport>,
    now: Moment,
) -> CallResult {
    let Remains { call, line, outcome, meter, scribe, rate } = remains;
    let reason = call.ending().map_or(EndReason::Internal, |e| e.reason);
    let ended_at = call.ending().map_or(now, |e| e.at);
    let by = disconnected_by(reason);
    let end = Note::Ended {
        end_reason: reason.code().to_owned(),
        disconnected_by: by.code().to_owned(),
        analysis: outcome.clone(),
    };
    let (mut warnings, journal_bytes) = scribe.close(now, end).await;
    let milestones = call.milestones();
    warnings.extend(milestones.errors.iter().map(|e| Warning::new("provider_error", e.clone())));
    let clock = Clock::new(milestones, record.started);
    let counts = call.turn().counts();
    let report = recording.as_ref().map(RecordingReport::from);
    CallResult::from(CallSummary {
        call_id: record.id.clone(),
        caller_id: record.meta.caller_id.clone(),
        direction: if record.meta.outgoing { Direction::Outbound } else { Direction::Inbound },
        bot: record.bot.id.clone(),
        bot_version: record.bot.version.clone(),
        started: record.started,
        answered: milestones.answered_at.map(|at| clock.stamp(at)),
        ended: clock.stamp(ended_at),
        duration_ms: milestones.answered_at.map_or(0, |at| ended_at.ms_since(at)),
        disconnected_by: by,
        end_reason: reason.code().to_owned(),
        transcript: call.turn().history().lines().iter().map(|l| clock.item(l)).collect(),
        recording_url: report.as_ref().filter(|r| r.bytes > 0).map(|_| record.links.recording_url(record.id)),
        recording: report,
        outcome: Some(analysis_or(outcome, &record.bot.result.disposition, reason.code())),
        turns: call
            .turn()
            .timings()
            .iter()
            .filter(|t| t.audible_at.is_some())
            .map(|t| turn_report(t, call.turn().history().lines()))
            .collect(),
        media: media(line, leg.as_ref(), rate, counts.cuts),
        sip: sip(leg.as_ref(), milestones.opened_at),
        voicemail: call.voicemail().map(|known| VoicemailReport::from(Answerer::of(&known, clock.zero))),
        resources: Resources {
            stt_audio_ms: meter.listened_samples / 16,
            llm_asks: meter.asks,
            llm_asks_wasted: counts.withdrawn,
            tts_characters: meter.characters,
            tts_audio_ms: rate.ms_of(meter.spoken_samples),
            journal_bytes,
        },
        warnings,
    })
}

/// How long a disk may take to write a result before the call's place is given back. The write goes on; should it never end, the
/// next start makes the result from the journal.
const WRITE_MS: u64 = 15_000;

/// Writes the result; blocking work, done on the runtime's blocking threads.
pub(super) async fn write(folder: &Path, result: CallResult) -> Result<(), String> {
    let folder = folder.to_owned();
    let writing = tokio::task::spawn_blocking(move || write_result(&folder, &result));
    let Some(written) = rt::timeout(Duration::from_millis(WRITE_MS), writing).await else {
        return Err(format!("the disk did not take the result within {WRITE_MS} ms"));
    };
    match written {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error @ WriteError::AlreadyWritten { .. })) => Err(format!("a call may end only once: {error}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(format!("writing the result failed: {error}")),
    }
}

const fn disconnected_by(reason: EndReason) -> DisconnectedBy {
    match reason.disconnected_by() {
        call::DisconnectedBy::Bot => DisconnectedBy::Bot,
        call::DisconnectedBy::Customer => DisconnectedBy::Customer,
        call::DisconnectedBy::Voicemail => DisconnectedBy::Voicemail,
        call::DisconnectedBy::Rnr => DisconnectedBy::Rnr,
        call::DisconnectedBy::Timeout => DisconnectedBy::Timeout,
        call::DisconnectedBy::Error => DisconnectedBy::Error,
    }
}

/// Turns moments into wall time and into positions of the recording.
struct Clock {
    opened: Moment,
    zero: Moment,
    started: Stamp,
}

impl Clock {
    fn new(milestones: &Milestones, started: Stamp) -> Self {
        let opened = milestones.opened_at;
        Self { opened, zero: milestones.line_at.unwrap_or(opened), started }
    }

    fn stamp(&self, at: Moment) -> Stamp {
        self.started.plus_ms(i64::try_from(at.ms_since(self.opened)).unwrap_or(0))
    }

    fn item(&self, line: &TranscriptLine) -> TranscriptItem {
        TranscriptItem {
            speaker: match line.speaker {
                turn::Speaker::Bot => Speaker::Bot,
                turn::Speaker::Customer => Speaker::Customer,
            },
            text: crate::units::Pii::new(line.text.clone()),
            timestamp: self.stamp(line.began),
            start_ms: line.began.ms_since(self.zero),
            end_ms: line.ended.ms_since(self.zero),
            heard: line.whole,
            turn: line.turn.0,
        }
    }
}

fn turn_report(timing: &TurnTiming, lines: &[TranscriptLine]) -> TurnReport {
    let stages = timing.stages();
    let ms = |us: u64| us as f64 / 1000.0;
    TurnReport {
        turn: timing.turn.0,
        total_ms: ms(stages.iter().map(|s| s.us).sum()),
        stages: stages.iter().map(|s| Stage { stage: s.name.to_owned(), ms: ms(s.us) }).collect(),
        interrupted: lines.iter().any(|l| l.speaker == turn::Speaker::Bot && l.turn == timing.turn && !l.whole),
    }
}

fn media(line: Option<LineReport>, leg: Option<&FarReport>, rate: SampleRate, cuts: u32) -> MediaQuality {
    let LineReport { line, rtp } = line.unwrap_or_default();
    let pacing = |percent: f64| match leg {
        Some(FarReport::Ws(leg)) => leg.pacing.percentile_us(percent),
        _ => 0,
    };
    MediaQuality {
        frames_in: line.frames_in,
        frames_out: line.frames_out,
        dropped_ms: rate.ms_of(line.dropped_samples),
        concealed_ms: rtp.map_or(line.gaps * u64::from(FRAME_MS), |rtp| rtp.concealed_ms),
        starved_ms: line.starved * u64::from(FRAME_MS),
        pacing_p50_us: pacing(50.0),
        pacing_p99_us: pacing(99.0),
        barge_ins: cuts,
        rtp: rtp.map(|rtp| quality(&rtp)),
    }
}

/// How an RTP leg fared, with the opinion that listeners would have of it (ITU-T G.107).
fn quality(rtp: &RtpStats) -> RtpQuality {
    let unheard = rtp.stream.lost() + rtp.late + rtp.dropped;
    let loss = if rtp.stream.expected == 0 { 0.0 } else { unheard as f32 / rtp.stream.expected as f32 };
    let delay_ms = rtp.round_trip_ms.unwrap_or(0) as f32 / 2.0 + rtp.target_ms as f32 + FRAME_MS as f32;
    let codec = match rtp.codec {
        Some(Codec::G722) => CodecImpairment::G722,
        Some(Codec::Opus) => CodecImpairment::OPUS,
        Some(Codec::Pcmu | Codec::Pcma) | None => CodecImpairment::G711,
    };
    let quality = Quality { delay_ms, loss: loss.min(1.0), burst_ratio: rtp.stream.burst_ratio() };
    RtpQuality {
        received: rtp.received,
        lost: rtp.stream.lost(),
        late: rtp.late,
        duplicated: rtp.duplicated,
        reordered: rtp.reordered,
        foreign: rtp.foreign,
        refused: rtp.refused,
        sent: rtp.sent,
        jitter_us: rtp.jitter_us,
        jitter_buffer_ms: rtp.target_ms,
        round_trip_ms: rtp.round_trip_ms,
        peer_loss_percent: rtp.peer_loss_percent,
        mos: (f64::from(mos_of(r_factor(codec, quality))) * 100.0).round() / 100.0,
        encrypted: rtp.encrypted,
    }
}

/// What signalling knew of the call.
fn sip(leg: Option<&FarReport>, opened: Moment) -> Option<SipDetails> {
    let Some(FarReport::Sip(report)) = leg else { return None };
    let SipReport { status, reason, cause, ladder, ladder_cut, rang_at, early_at, answered_at, .. } = report;
    let since = |at: &Option<Moment>| at.map(|at| at.ms_since(opened));
    let row = |row: &LadderRow| SipStep { at_ms: row.at.ms_since(opened), sent: row.sent, message: row.what.clone() };
    Some(SipDetails {
        status: *status,
        reason: reason.clone(),
        cause: *cause,
        rang_ms: since(rang_at),
        early_media_ms: since(early_at),
        answered_ms: since(answered_at),
        ladder: ladder.iter().map(row).collect(),
        ladder_cut: *ladder_cut,
    })
}
