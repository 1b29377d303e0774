//! What the bot side says in the native protocol, written by template: ids are escaped once, a frame costs one base64 pass. Never
//! sends an event that the dialler did not ask for.

use std::fmt::Write as _;

use crate::units::Stamp;

use super::super::{AudioFormat, Caps, Egress, Opening, Written, escape_into};

/// The writer of one session. Holds the customer's number, so it has no `Debug`.
#[derive(Default)]
pub(super) struct Output {
    caller_id: String,
    did: String,
    direction: String,
    stream_id: String,
    encoding: String,
    /// `reverse-media` from after `chunk` to the payload, and from after the time to `chunk_durn_ms`, and the rest.
    before_payload: String,
    before_length: String,
    tail: String,
    chunk: u64,
    clock: WallClock,
}

impl Output {
    /// Takes who the far end is. A direction that was not given, or is no known word, is `incoming`.
    pub(super) fn far_end(&mut self, opening: &Opening, direction: Option<&str>) {
        self.caller_id.clear();
        escape_into(opening.caller_id.reveal(), &mut self.caller_id);
        self.did.clear();
        escape_into(&opening.did, &mut self.did);
        let spoken = direction.filter(|word| word.eq_ignore_ascii_case("outgoing") || word.eq_ignore_ascii_case("incoming"));
        spoken.unwrap_or("incoming").clone_into(&mut self.direction);
    }

    /// Takes the stream id and the encoding as the dialler spells it.
    pub(super) fn stream(&mut self, stream_id: &str, encoding: Option<&str>) {
        self.stream_id.clear();
        escape_into(stream_id, &mut self.stream_id);
        if let Some(name) = encoding {
            self.encoding = name.to_ascii_uppercase();
        } else if self.encoding.is_empty() {
            "LINEAR".clone_into(&mut self.encoding);
        }
        self.before_payload = format!(r#","did":"{}","payload":""#, self.did);
        self.before_length =
            format!(r#"","streamId":"{}","callerId":"{}","chunk_durn_ms":"#, self.stream_id, self.caller_id);
        self.tail = format!(
            r#","callDirection":"{}","encoding":"{}","RevMediaQ":0,"source":"ai"}}"#,
            self.direction, self.encoding
        );
    }

    /// Appends one order as text.
    pub(super) fn write(&mut self, order: &Egress<'_>, caps: Caps, format: AudioFormat, text: &mut String) -> Written {
        match *order {
            Egress::Audio { payload, at } => {
                self.chunk += 1;
                if format.binary {
                    return Written::Binary;
                }
                self.audio(payload, at, format, text);
            }
            Egress::Clear => {
                self.open("reverse-media-stop", text);
                self.caller_then_stream(text);
            }
            Egress::HangUp { message } => {
                self.open("reverse-hangup-call", text);
                self.stream_then_caller(text);
                text.push_str(r#","source":"ai","message":""#);
                escape_into(message, text);
                text.push_str("\"}");
            }
            Egress::Transfer { to } => {
                self.open("reverse-call-transfer", text);
                self.stream_then_caller(text);
                text.push_str(r#","transferTo":""#);
                escape_into(to, text);
                text.push_str(r#"","source":"ai","message":"transfer"}"#);
            }
            Egress::Mark { name } if caps.mark => {
                self.open("reverse-mark", text);
                self.stream_only(text);
                text.push_str(r#","name":""#);
                escape_into(name, text);
                text.push_str("\"}");
            }
            Egress::Ready { call_id } if caps.ready => {
                self.open("ready", text);
                self.stream_only(text);
                text.push_str(r#","callId":""#);
                escape_into(call_id, text);
                text.push_str(r#"","protocol":"1"}"#);
            }
            Egress::Error { code, message, retry_after_ms } if caps.error => {
                text.push_str(r#"{"event":"error","code":""#);
                escape_into(code, text);
                text.push_str(r#"","message":""#);
                escape_into(message, text);
                text.push('"');
                if let Some(ms) = retry_after_ms {
                    let _ = write!(text, r#","retryAfterMs":{ms}"#);
                }
                text.push('}');
            }
            Egress::Ping if caps.ping => text.push_str(r#"{"event":"ping"}"#),
            Egress::Pong if caps.ping => text.push_str(r#"{"event":"pong"}"#),
            Egress::Mark { .. } | Egress::Ready { .. } | Egress::Error { .. } | Egress::Ping | Egress::Pong => {
                return Written::Nothing;
            }
        }
        Written::Text
    }

    fn audio(&mut self, payload: &[u8], at: Stamp, format: AudioFormat, text: &mut String) {
        text.reserve(payload.len().div_ceil(3) * 4 + self.before_length.len() + self.tail.len() + 160);
        // Writing to a String cannot fail.
        let _ = write!(text, r#"{{"event":"reverse-media","chunk":{}{}"#, self.chunk, self.before_payload);
        base64_simd::STANDARD.encode_append(payload, text);
        text.push_str(r#"","timestamp":""#);
        text.push_str(self.clock.at(at));
        text.push_str(&self.before_length);
        let _ = write!(text, "{}", format.ms_of(payload.len()));
        text.push_str(&self.tail);
    }

    fn open(&self, event: &str, text: &mut String) {
        text.push_str(r#"{"event":""#);
        text.push_str(event);
        text.push('"');
    }

    fn stream_only(&self, text: &mut String) {
        let _ = write!(text, r#","streamId":"{}""#, self.stream_id);
    }

    fn stream_then_caller(&self, text: &mut String) {
        let _ = write!(text, r#","streamId":"{}","callerId":"{}""#, self.stream_id, self.caller_id);
    }

    fn caller_then_stream(&self, text: &mut String) {
        let _ = write!(text, r#","callerId":"{}","streamId":"{}"}}"#, self.caller_id, self.stream_id);
    }
}

/// `YYYY-MM-DD HH:MM:SS`, made once a second. UTC: the protocol names no zone.
#[derive(Debug, Default)]
struct WallClock {
    second: Option<i64>,
    text: String,
}

impl WallClock {
    fn at(&mut self, at: Stamp) -> &str {
        let second = at.unix_ms().div_euclid(1000);
        if self.second != Some(second) {
            self.second = Some(second);
            let zoned = jiff::Timestamp::from_second(second).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
            self.text = zoned.strftime("%Y-%m-%d %H:%M:%S").to_string();
        }
        &self.text
    }
}
