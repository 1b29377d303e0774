//! The `connected` message: who is calling, what the dialler can do, and its custom fields in the order they came. Bounds what a
//! hostile dialler can make us keep; never interprets a custom field.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;

use crate::units::Pii;

use super::super::{BadJson, Caps, Opening};

/// Custom fields that are kept.
const MAX_FIELDS: usize = 64;
/// Bytes of names and values that are kept.
const MAX_BYTES: usize = 8 * 1024;
/// Longest number or stream id; what is longer is cut.
const MAX_ID_BYTES: usize = 128;

/// A `connected` message, read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) opening: Opening,
    pub(super) stream_id: Option<String>,
    /// `callDirection` as it came.
    pub(super) direction: Option<String>,
    pub(super) caps: Caps,
    /// Custom fields beyond the bounds.
    pub(super) dropped: u64,
}

/// Reads a `connected` message. A custom field that does not fit is left out whole: half a value would be a wrong one.
pub(super) fn read(text: &str) -> Result<Read, BadJson> {
    let mut json = serde_json::Deserializer::from_str(text);
    let read = json.deserialize_map(Connected).map_err(|_| BadJson)?;
    json.end().map_err(|_| BadJson)?;
    Ok(read)
}

struct Connected;

impl<'a> Visitor<'a> for Connected {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a connected message")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Read, M::Error> {
        let (mut caller_id, mut did, mut direction, mut stream_id) = (None, None, None, None);
        let (mut caps, mut custom, mut bytes, mut dropped) = (Caps::default(), BTreeMap::new(), 0, 0);
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value::<Value>()?;
            match key.as_str() {
                "event" => {}
                "callerId" | "caller_id" => caller_id = short(&value).or(caller_id),
                "did" => did = short(&value).or(did),
                "callDirection" => direction = short(&value).or(direction),
                "streamId" | "stream_id" => stream_id = short(&value).or(stream_id),
                "caps" => caps = read_caps(&value),
                _ => {
                    let Some(value) = stringified(value) else { continue };
                    let size = key.len() + value.len();
                    if custom.len() >= MAX_FIELDS || bytes + size > MAX_BYTES {
                        dropped += 1;
                    } else {
                        bytes += size;
                        custom.insert(key, value);
                    }
                }
            }
        }
        let outgoing = direction.as_deref().is_some_and(|word| word.eq_ignore_ascii_case("outgoing"));
        let opening = Opening {
            caller_id: Pii::new(caller_id.unwrap_or_default()),
            did: did.unwrap_or_default(),
            outgoing,
            custom,
        };
        Ok(Read { opening, stream_id, direction, caps, dropped })
    }
}

/// A value as text; `None` for null.
fn stringified(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// A scalar that is a number or id, not empty.
fn short(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let end = (0..=text.len().min(MAX_ID_BYTES)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text.get(..end).filter(|kept| !kept.is_empty()).map(str::to_owned)
}

fn read_caps(value: &Value) -> Caps {
    let mut caps = Caps::default();
    for word in value.as_array().into_iter().flatten().filter_map(Value::as_str) {
        match word {
            "mark" => caps.mark = true,
            "dtmf" => caps.dtmf = true,
            "binary" => caps.binary = true,
            "ready" => caps.ready = true,
            "error" => caps.error = true,
            "ping" => caps.ping = true,
            _ => {}
        }
    }
    caps
}
