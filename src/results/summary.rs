//! What a call hands over when it has ended, and how that becomes its result. Plain values without serde, so that the call's
//! own types may move while the result's shape stays.

use super::analysis::analysis;
use super::result::{
    CallResult, Direction, DisconnectedBy, MediaQuality, RecordingReport, Resources, SipDetails, TranscriptItem,
    TurnReport, VoicemailReport, Warning,
};
use crate::units::{BotId, CallId, Pii, Stamp};

/// A call that has ended.
#[derive(Clone, Debug)]
pub struct CallSummary {
    /// The call.
    pub call_id: CallId,
    /// The customer's number.
    pub caller_id: Pii<String>,
    /// Who rang whom.
    pub direction: Direction,
    /// The bot that served it.
    pub bot: BotId,
    /// The hash of the bot's file.
    pub bot_version: String,
    /// When the call was accepted.
    pub started: Stamp,
    /// When the customer was on the line.
    pub answered: Option<Stamp>,
    /// When it ended.
    pub ended: Stamp,
    /// From the answer to the end on the monotonic clock (wall times may jump); ignored where nobody answered.
    pub duration_ms: u64,
    /// Who ended it.
    pub disconnected_by: DisconnectedBy,
    /// Code of the end reason.
    pub end_reason: String,
    /// What was said, in any order.
    pub transcript: Vec<TranscriptItem>,
    /// The recording, where there is one.
    pub recording: Option<RecordingReport>,
    /// The link to it.
    pub recording_url: Option<String>,
    /// What the dialogue engine made of the call.
    pub outcome: Option<serde_json::Value>,
    /// Latency per answer.
    pub turns: Vec<TurnReport>,
    /// How the audio fared.
    pub media: MediaQuality,
    /// What signalling knew, of a call by SIP.
    pub sip: Option<SipDetails>,
    /// Who answered, of an outgoing call that was watched.
    pub voicemail: Option<VoicemailReport>,
    /// What the call used.
    pub resources: Resources,
    /// What the operator should know.
    pub warnings: Vec<Warning>,
}

impl From<CallSummary> for CallResult {
    fn from(call: CallSummary) -> Self {
        let mut transcript = call.transcript;
        // Stable: lines that begin together stay in the order in which they were settled.
        transcript.sort_by_key(|item| item.start_ms);
        let mut warnings = call.warnings;
        if let Some(recording) = &call.recording {
            warnings.extend(about(recording));
        }
        let duration_ms = if call.answered.is_some() { call.duration_ms } else { 0 };
        Self {
            session_id: call.call_id.as_str().to_owned(),
            caller_id: call.caller_id,
            call_duration_seconds: duration_ms as f64 / 1000.0,
            disconnected_by: call.disconnected_by,
            transcript,
            recording_url: call.recording_url,
            post_call_analysis: Pii::new(analysis(call.outcome, &call.end_reason)),
            end_reason: call.end_reason,
            bot_id: call.bot.as_str().to_owned(),
            bot_version: call.bot_version,
            direction: call.direction,
            started_at: call.started,
            answered_at: call.answered,
            ended_at: call.ended,
            turns: call.turns,
            recording: call.recording,
            media: call.media,
            sip: call.sip,
            voicemail: call.voicemail,
            resources: call.resources,
            warnings,
        }
    }
}

/// What an operator should know of a recording.
fn about(recording: &RecordingReport) -> impl Iterator<Item = Warning> {
    let incomplete = recording.incomplete.as_ref().map(|why| {
        let played = recording.duration_ms as f64 / 1000.0;
        Warning::new("recording_incomplete", format!("{why}: the recording ends after {played:.1} s"))
    });
    let gap = (recording.lost_ms > 0).then(|| {
        Warning::new("recording_gap", format!("{} ms of the recording are silence for lost audio", recording.lost_ms))
    });
    incomplete.into_iter().chain(gap)
}
