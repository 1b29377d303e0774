//! The other side of the native protocol: what a dialler writes and reads. For the test caller, the load generator and the tests;
//! the worker itself never plays this part. Keeps no state beyond its ids.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::super::{decode_base64, escape_into, fields};

/// A dialler's writer.
#[derive(Clone, Debug)]
pub struct Dialler {
    stream_id: String,
}

/// What came from the bot side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromBot {
    /// `reverse-media`.
    Media(ReverseMedia),
    /// `reverse-media-stop`: forget what was not played.
    Stop,
    /// `reverse-hangup-call`.
    HangUp {
        /// Free text.
        message: String,
    },
    /// `reverse-call-transfer`.
    Transfer {
        /// Where to.
        to: String,
    },
    /// `reverse-mark`.
    Mark {
        /// To be sent back when everything before it was played.
        name: String,
    },
    /// `ready`.
    Ready {
        /// The call's id.
        call_id: String,
    },
    /// `error`.
    Error {
        /// A stable word.
        code: String,
        /// For people.
        message: String,
    },
    /// `ping`.
    Ping,
    /// `pong`.
    Pong,
}

/// A `reverse-media` message, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReverseMedia {
    /// Counts from 1 through the call.
    pub chunk: u64,
    /// The dialled number.
    pub did: String,
    /// Encoded samples.
    pub payload: Vec<u8>,
    /// `YYYY-MM-DD HH:MM:SS`.
    pub timestamp: String,
    /// The stream.
    pub stream_id: String,
    /// The customer's number.
    pub caller_id: String,
    /// Play time in milliseconds.
    pub chunk_durn_ms: u32,
    /// `incoming` or `outgoing`.
    pub call_direction: String,
    /// `LINEAR`, `LINEAR16`, `MULAW` or `ALAW`.
    pub encoding: String,
}

/// The text is no message of the bot side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotOurs {
    /// Not one JSON object.
    #[error("expected one JSON object")]
    BadJson,
    /// An event that this protocol does not have.
    #[error("expected an event of the bot side")]
    UnknownEvent,
    /// A `reverse-media` with a field missing or malformed.
    #[error("expected reverse-media with chunk, base64 payload and chunk_durn_ms")]
    BadMedia,
}

const FROM_BOT: [&str; 15] = [
    "event",
    "payload",
    "chunk",
    "did",
    "timestamp",
    "streamId",
    "callerId",
    "chunk_durn_ms",
    "callDirection",
    "encoding",
    "message",
    "transferTo",
    "name",
    "callId",
    "code",
];

impl Dialler {
    /// A dialler of this stream; with an empty id no message names one.
    #[must_use]
    pub fn new(stream_id: &str) -> Self {
        Self { stream_id: stream_id.to_owned() }
    }

    /// `connected` with these fields; each value is written as a string.
    #[must_use]
    pub fn connected(&self, named: &[(&str, &str)], caps: &[&str]) -> String {
        let mut text = self.event("connected");
        for (name, value) in named {
            text.push_str(",\"");
            escape_into(name, &mut text);
            text.push_str("\":\"");
            escape_into(value, &mut text);
            text.push('"');
        }
        if !caps.is_empty() {
            let _ = write!(text, ",\"caps\":[\"{}\"]", caps.join("\",\""));
        }
        text.push('}');
        text
    }

    /// `start` with this format.
    #[must_use]
    pub fn start(&self, encoding: &str, rate_hz: u32, binary: bool) -> String {
        let mut text = self.event("start");
        let _ = write!(text, r#","mediaFormat":{{"encoding":"{encoding}","sampleRate":{rate_hz},"channels":1"#);
        text.push_str(if binary { r#","binary":true}}"# } else { "}}" });
        text
    }

    /// `answer`.
    #[must_use]
    pub fn answer(&self) -> String {
        self.event("answer") + "}"
    }

    /// `media` with these encoded samples.
    #[must_use]
    pub fn media(&self, payload: &[u8]) -> String {
        let mut text = String::with_capacity(payload.len().div_ceil(3) * 4 + 64);
        text.push_str(r#"{"event":"media","payload":""#);
        base64_simd::STANDARD.encode_append(payload, &mut text);
        text.push_str("\"}");
        text
    }

    /// `dtmf` with one key.
    #[must_use]
    pub fn digit(&self, key: char) -> String {
        format!(r#"{{"event":"dtmf","digit":"{key}","durationMs":120}}"#)
    }

    /// `mark-played` for a mark that came.
    #[must_use]
    pub fn mark_played(&self, name: &str, played: bool) -> String {
        let mut text = String::from(r#"{"event":"mark-played","name":""#);
        escape_into(name, &mut text);
        text.push_str(if played { r#"","status":"played"}"# } else { r#"","status":"cleared"}"# });
        text
    }

    /// `hangup-call` with who ended it.
    #[must_use]
    pub fn hang_up(&self, by: &str) -> String {
        let mut text = String::from(r#"{"event":"hangup-call","disconnectedBy":""#);
        escape_into(by, &mut text);
        text.push_str("\"}");
        text
    }

    fn event(&self, name: &str) -> String {
        let mut text = format!(r#"{{"event":"{name}""#);
        if !self.stream_id.is_empty() {
            text.push_str(r#","streamId":""#);
            escape_into(&self.stream_id, &mut text);
            text.push('"');
        }
        text
    }

    /// Reads one text frame of the bot side.
    ///
    /// # Errors
    /// [`NotOurs`] where it is none.
    pub fn read(text: &str) -> Result<FromBot, NotOurs> {
        let found = fields(text, &FROM_BOT).map_err(|_| NotOurs::BadJson)?;
        let [
            event,
            payload,
            chunk,
            did,
            timestamp,
            stream_id,
            caller_id,
            length,
            direction,
            encoding,
            message,
            to,
            name,
            call_id,
            code,
        ] = found;
        let owned = |value: Option<Cow<'_, str>>| value.map(Cow::into_owned).unwrap_or_default();
        match event.as_deref() {
            Some("reverse-media") => {
                let mut bytes = Vec::new();
                decode_base64(payload.as_deref().ok_or(NotOurs::BadMedia)?, &mut bytes).map_err(|_| NotOurs::BadMedia)?;
                let number = |value: Option<Cow<'_, str>>| value.and_then(|text| text.parse().ok()).ok_or(NotOurs::BadMedia);
                Ok(FromBot::Media(ReverseMedia {
                    chunk: number(chunk)?,
                    did: owned(did),
                    payload: bytes,
                    timestamp: owned(timestamp),
                    stream_id: owned(stream_id),
                    caller_id: owned(caller_id),
                    chunk_durn_ms: u32::try_from(number(length)?).map_err(|_| NotOurs::BadMedia)?,
                    call_direction: owned(direction),
                    encoding: owned(encoding),
                }))
            }
            Some("reverse-media-stop") => Ok(FromBot::Stop),
            Some("reverse-hangup-call") => Ok(FromBot::HangUp { message: owned(message) }),
            Some("reverse-call-transfer") => Ok(FromBot::Transfer { to: owned(to) }),
            Some("reverse-mark") => Ok(FromBot::Mark { name: owned(name) }),
            Some("ready") => Ok(FromBot::Ready { call_id: owned(call_id) }),
            Some("error") => Ok(FromBot::Error { code: owned(code), message: owned(message) }),
            Some("ping") => Ok(FromBot::Ping),
            Some("pong") => Ok(FromBot::Pong),
            _ => Err(NotOurs::UnknownEvent),
        }
    }
}
