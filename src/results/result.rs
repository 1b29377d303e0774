//! The result of a call as a CRM reads it: the guide's seven fields first, in the guide's order, then what this product adds.
//! Field names and codes are a contract: they are added to, never renamed.

use serde::{Deserialize, Serialize};

use crate::units::{Pii, Stamp};

/// Everything that is known of a call after its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallResult {
    /// The call's id; equal to `call_id` everywhere else.
    pub session_id: String,
    /// The customer's number, whatever the direction.
    #[serde(with = "pii")]
    pub caller_id: Pii<String>,
    /// From the answer to the end; 0.0 where nobody answered.
    pub call_duration_seconds: f64,
    /// Who ended it.
    pub disconnected_by: DisconnectedBy,
    /// What was said, in order.
    pub transcript: Vec<TranscriptItem>,
    /// Absolute link to the recording; `null` where there is none.
    pub recording_url: Option<String>,
    /// By the bot's schema; from the scripted engine `{disposition, summary, slots}`.
    #[serde(with = "pii")]
    pub post_call_analysis: Pii<serde_json::Value>,
    /// The closed, finer reason.
    pub end_reason: String,
    /// Which bot.
    pub bot_id: String,
    /// Hash of the bot's file and what it names.
    pub bot_version: String,
    /// Who rang whom.
    pub direction: Direction,
    /// When the call was accepted.
    #[serde(with = "rfc3339")]
    pub started_at: Stamp,
    /// When the customer was on the line.
    #[serde(with = "rfc3339::option", default)]
    pub answered_at: Option<Stamp>,
    /// When it ended.
    #[serde(with = "rfc3339")]
    pub ended_at: Stamp,
    /// One latency waterfall per answer of the bot.
    #[serde(default)]
    pub turns: Vec<TurnReport>,
    /// The recording; `null` where there is none.
    #[serde(default)]
    pub recording: Option<RecordingReport>,
    /// How the audio fared.
    #[serde(default)]
    pub media: MediaQuality,
    /// What signalling knew, of a call by SIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip: Option<SipDetails>,
    /// Who answered, of an outgoing call that was watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voicemail: Option<VoicemailReport>,
    /// What the call used.
    #[serde(default)]
    pub resources: Resources,
    /// What the operator should know.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

/// Who ended the call: the guide's six words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisconnectedBy {
    /// The bot said goodbye, or hung up.
    Bot,
    /// The far end hung up.
    Customer,
    /// A machine answered.
    Voicemail,
    /// It rang and nobody answered, busy and declined included.
    #[serde(rename = "RNR")]
    Rnr,
    /// The call was too long, or nobody spoke.
    Timeout,
    /// Something failed.
    Error,
}

impl DisconnectedBy {
    /// All of them, in the guide's order.
    pub const ALL: [Self; 6] = [Self::Bot, Self::Customer, Self::Voicemail, Self::Rnr, Self::Timeout, Self::Error];

    /// The guide's word.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Bot => "bot",
            Self::Customer => "customer",
            Self::Voicemail => "voicemail",
            Self::Rnr => "RNR",
            Self::Timeout => "timeout",
            Self::Error => "error",
        }
    }

    /// The value of a guide's word.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.code() == code)
    }
}

/// Who rang whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The customer rang.
    Inbound,
    /// The customer was rung.
    Outbound,
}

/// One line of the conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptItem {
    /// Who.
    pub speaker: Speaker,
    /// The words; for the bot only those that were heard.
    #[serde(with = "pii")]
    pub text: Pii<String>,
    /// When it began.
    #[serde(with = "rfc3339")]
    pub timestamp: Stamp,
    /// Where it begins on the recording's clock.
    pub start_ms: u64,
    /// Where it ends on the recording's clock.
    pub end_ms: u64,
    /// It was heard to its end.
    pub heard: bool,
    /// Which turn of the call.
    pub turn: u32,
}

/// Who spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The bot.
    Bot,
    /// The person at the other end.
    Customer,
}

/// The waterfall of one answer: from the caller's last sound to the first audible sample of the bot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TurnReport {
    /// Which turn of the call.
    pub turn: u32,
    /// The whole wait, as measured at the leg.
    pub total_ms: f64,
    /// Its parts in order; together they are the whole.
    pub stages: Vec<Stage>,
    /// The caller cut this answer short.
    pub interrupted: bool,
}

impl TurnReport {
    /// What the stages leave unexplained; below zero where they overlap.
    #[must_use]
    pub fn unexplained_ms(&self) -> f64 {
        self.total_ms - self.stages.iter().map(|stage| stage.ms).sum::<f64>()
    }
}

/// One part of a wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name: `silence`, `recognise`, `patience`, `think`, `sentence`, `synthesise`, `playout`.
    pub stage: String,
    /// How long it took.
    pub ms: f64,
}

/// The recording's file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingReport {
    /// How long it plays.
    pub duration_ms: u64,
    /// Its size.
    pub bytes: u64,
    /// Silence in it that stands for lost audio.
    pub lost_ms: u64,
    /// Why its end is missing (`disk_full`, `io_error`, `cut_off`, …), where it is.
    #[serde(default)]
    pub incomplete: Option<String>,
}

/// How the audio fared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MediaQuality {
    /// Frames of 20 ms that came.
    pub frames_in: u64,
    /// Frames of 20 ms that were sent.
    pub frames_out: u64,
    /// The caller's audio that was thrown away to keep the wait short.
    pub dropped_ms: u64,
    /// The caller's audio that was missing and made up.
    pub concealed_ms: u64,
    /// The bot's audio that came too late to be spoken in one breath.
    pub starved_ms: u64,
    /// Send time minus due time, half of the frames below.
    pub pacing_p50_us: u64,
    /// Send time minus due time, 99 of 100 frames below.
    pub pacing_p99_us: u64,
    /// Times the caller cut the bot short.
    pub barge_ins: u32,
    /// Of a call by RTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtp: Option<RtpQuality>,
}

/// How an RTP stream fared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RtpQuality {
    /// Packets that came.
    pub received: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came too late to be played.
    pub late: u64,
    /// Packets that came twice.
    pub duplicated: u64,
    /// Packets that came behind a later one.
    pub reordered: u64,
    /// Datagrams that were not the peer's audio.
    pub foreign: u64,
    /// Packets that the agreed SRTP key did not sign.
    pub refused: u64,
    /// Packets that were sent.
    pub sent: u64,
    /// Interarrival jitter at the end (RFC 3550), in microseconds.
    pub jitter_us: u32,
    /// The delay of the jitter buffer at the end.
    pub jitter_buffer_ms: u32,
    /// There and back, by the peer's reports; `null` where it sent none.
    pub round_trip_ms: Option<u32>,
    /// Share of our packets that the peer missed, by its last report.
    pub peer_loss_percent: Option<u8>,
    /// The opinion that listeners would have of what was heard of the caller, 1 to 4.5, by the E-model.
    pub mos: f64,
    /// Was the audio encrypted at the end (SRTP)?
    pub encrypted: bool,
}

/// What SIP knew of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SipDetails {
    /// The final status of the INVITE; 0 where none came.
    pub status: u16,
    /// Its phrase.
    pub reason: String,
    /// Q.850 cause of the message that ended the call (RFC 3326).
    pub cause: Option<u8>,
    /// The first sign that it rings (18x), since the call was accepted.
    pub rang_ms: Option<u64>,
    /// Audio was agreed before the answer.
    pub early_media_ms: Option<u64>,
    /// The answer (2xx).
    pub answered_ms: Option<u64>,
    /// The messages in their order.
    pub ladder: Vec<SipStep>,
    /// Messages beyond the ladder's length.
    pub ladder_cut: u32,
}

/// One message of a dialog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SipStep {
    /// Since the call was accepted.
    pub at_ms: u64,
    /// We sent it.
    pub sent: bool,
    /// Method or status with its phrase.
    pub message: String,
}

/// Who answered an outgoing call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VoicemailReport {
    /// `unknown`, `human`, `machine`, or `beep` where it has beeped, too.
    pub verdict: String,
    /// How sure that is, 0 to 0.99; 0 where it is unknown.
    pub confidence: f64,
    /// The evidence, oldest first.
    pub signals: Vec<VoicemailSignal>,
    /// The bot's message was said to its end.
    pub message_left: bool,
}

/// One piece of evidence of who answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VoicemailSignal {
    /// What.
    pub kind: String,
    /// When it was known, on the recording's clock.
    pub at_ms: u64,
    /// What was measured.
    pub detail: String,
}

/// What the call used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// The caller's audio that was recognised.
    pub stt_audio_ms: u64,
    /// Questions to the dialogue engine.
    pub llm_asks: u32,
    /// Of those, answers that nobody heard.
    pub llm_asks_wasted: u32,
    /// Characters given to the voice.
    pub tts_characters: u64,
    /// The bot's audio that was made.
    pub tts_audio_ms: u64,
    /// Bytes of journal.
    pub journal_bytes: u64,
}

/// Something the operator should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Machine-readable: `template_unset`, `recording_incomplete`, `recording_gap`, `recovered`, …
    pub code: String,
    /// For people.
    pub detail: String,
}

impl Warning {
    /// A warning.
    #[must_use]
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { code: code.to_owned(), detail: detail.into() }
    }
}

/// Personal values are plain in a result, which is where they belong.
mod pii {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::units::Pii;

    pub(super) fn serialize<T: Serialize, S: Serializer>(value: &Pii<T>, to: S) -> Result<S::Ok, S::Error> {
        value.reveal().serialize(to)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Pii<T>, D::Error> {
        T::deserialize(from).map(Pii::new)
    }
}

/// Wall times as people write them: RFC 3339, UTC, milliseconds.
mod rfc3339 {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::units::Stamp;

    pub(super) fn serialize<S: Serializer>(stamp: &Stamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(stamp)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Stamp, D::Error> {
        let text = String::deserialize(from)?;
        let at: jiff::Timestamp =
            text.parse().map_err(|_| D::Error::custom(format!("expected an RFC 3339 time, found {text:?}")))?;
        Ok(Stamp::from_unix_ms(at.as_millisecond()))
    }

    pub(super) mod option {
        use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

        use crate::units::Stamp;

        #[derive(serde::Serialize, serde::Deserialize)]
        struct At(#[serde(with = "super")] Stamp);

        #[expect(clippy::ref_option, reason = "serde calls it so")]
        pub(in super::super) fn serialize<S: Serializer>(stamp: &Option<Stamp>, to: S) -> Result<S::Ok, S::Error> {
            stamp.map(At).serialize(to)
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Stamp>, D::Error> {
            Ok(Option::<At>::deserialize(from)?.map(|at| at.0))
        }
    }
}
