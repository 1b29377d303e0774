//! Placing calls by HTTP. Checks what was asked; whether there is room is the process's to say. Never queues a call.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::calls::own_site;
use super::control::{DialAsk, DialRefusal};
use super::health::json;
use super::{Api, Problem};
use crate::units::Pii;

/// Most characters of a number.
const MAX_NUMBER: usize = 64;
/// Most variables, most characters of a name, most bytes of them all.
const MAX_VARIABLES: usize = 64;
const MAX_NAME: usize = 64;
const MAX_VARIABLE_BYTES: usize = 8 * 1024;
/// Most header fields, and most bytes of one.
const MAX_HEADERS: usize = 16;
const MAX_HEADER_BYTES: usize = 256;
/// When to come back where no place is free.
const RETRY_AFTER_S: &str = "5";
/// When to come back to a worker that starts, or for another to take its place.
const RETRY_LATER_S: &str = "30";

/// The body of `POST /api/v1/calls`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    bot_id: String,
    to_number: String,
    #[serde(default)]
    from_number: Option<String>,
    #[serde(default)]
    trunk: Option<String>,
    #[serde(default)]
    variables: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Placed {
    status: &'static str,
    call_id: String,
}

/// `POST /api/v1/calls`: an operator, or a program of theirs, has a call placed. The answer comes before it rings.
pub(super) async fn place(State(api): State<Api>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    api.permit(&headers)?;
    own_site(&headers)?;
    let asked: Asked = serde_json::from_slice(&body).map_err(|error| {
        // Where it stands and what was expected; a value may be personal and stays out.
        let place = format!("line {}, column {}", error.line(), error.column());
        let detail = match error.classify() {
            serde_json::error::Category::Data => {
                format!(
                    "expected {{bot_id, to_number, from_number, trunk, variables, headers}}, found another at {place}"
                )
            }
            _ => format!("expected a JSON object, found none: it breaks off at {place}"),
        };
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_body", detail)
    })?;
    let call_id = api.control.dial(asked.checked()?).map_err(Problem::from)?;
    let body = serde_json::to_string(&Placed { status: "ok", call_id: call_id.to_string() });
    body.map(json).map_err(|_| Problem::internal("the answer could not be written"))
}

/// What can stand in the user part of a SIP URI as it is, so that nothing that is dialled can become a field of its own.
fn is_number(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'*' | b'.' | b'-' | b'_');
    (1..=MAX_NUMBER).contains(&text.len()) && text.bytes().all(fits)
}

fn bad_number(field: &str) -> Problem {
    let detail = format!("{field}: expected digits with an optional + before them, at most {MAX_NUMBER} characters");
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_number", detail)
}

impl Asked {
    fn checked(self) -> Result<DialAsk, Problem> {
        if !is_number(&self.to_number) {
            return Err(bad_number("to_number"));
        }
        if self.from_number.as_deref().is_some_and(|from| !is_number(from)) {
            return Err(bad_number("from_number"));
        }
        let variables: BTreeMap<String, String> =
            self.variables.into_iter().map(|(name, value)| (name, stringified(value))).collect();
        let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
        let long = variables.keys().any(|name| name.is_empty() || name.chars().count() > MAX_NAME);
        if variables.len() > MAX_VARIABLES || bytes > MAX_VARIABLE_BYTES || long {
            let detail = format!(
                "variables: expected at most {MAX_VARIABLES} with names of 1 to {MAX_NAME} characters and \
                 {MAX_VARIABLE_BYTES} bytes in all"
            );
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_variables", detail));
        }
        if self.headers.len() > MAX_HEADERS || !self.headers.iter().all(|(name, value)| is_header(name, value)) {
            let detail = format!(
                "headers: expected at most {MAX_HEADERS} whose names begin with X- and whose values are one line of at most \
                 {MAX_HEADER_BYTES} bytes"
            );
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_headers", detail));
        }
        Ok(DialAsk {
            bot: self.bot_id,
            to: Pii::new(self.to_number),
            from: self.from_number,
            trunk: self.trunk,
            variables,
            headers: self.headers.into_iter().collect(),
        })
    }
}

/// A value as templates write it: text as it is, `null` as nothing, everything else as compact JSON.
fn stringified(value: serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn is_header(name: &str, value: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let named = name.len() > 2 && name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("X-"));
    named
        && name.len() <= MAX_NAME
        && name.bytes().all(token)
        && value.len() <= MAX_HEADER_BYTES
        && !value.chars().any(char::is_control)
}

impl From<DialRefusal> for Problem {
    fn from(refusal: DialRefusal) -> Self {
        const BUSY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
        let detail = refusal.to_string();
        let (problem, retry_after_s) = match refusal {
            DialRefusal::UnknownBot => return Self::new(StatusCode::NOT_FOUND, "unknown_bot", detail),
            DialRefusal::Unfit(_) => return Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_trunk", detail),
            DialRefusal::TooMany(_) => {
                let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_calls", detail);
                return problem.with(header::RETRY_AFTER, RETRY_LATER_S);
            }
            DialRefusal::Internal(_) => return Self::internal("the call could not be placed; the log says why"),
            DialRefusal::Full => (Self::new(BUSY, "no_capacity", detail), RETRY_AFTER_S),
            DialRefusal::Draining => (Self::new(BUSY, "draining", detail), RETRY_LATER_S),
            DialRefusal::Starting => (Self::new(BUSY, "starting", detail), RETRY_LATER_S),
            DialRefusal::NoTrunk => (Self::new(BUSY, "no_trunk", detail), RETRY_LATER_S),
            DialRefusal::NoChannel(_) => (Self::new(BUSY, "no_channel", detail), RETRY_AFTER_S),
            DialRefusal::NoPort => (Self::new(BUSY, "no_port", detail), RETRY_AFTER_S),
        };
        problem.with(header::RETRY_AFTER, retry_after_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(json: &str) -> Result<DialAsk, Problem> {
        serde_json::from_str::<Asked>(json).unwrap().checked()
    }

    #[test]
    fn what_is_asked_is_taken_as_templates_and_trunks_want_it() {
        let ask = asked(
            r#"{"bot_id":"demo","to_number":"+919876543210","variables":{"name":"Rahul","n":15000,"none":null,"o":{"a":1}},
                "headers":{"X-Campaign":"may"}}"#,
        )
        .unwrap();
        let variables: Vec<(&str, &str)> = ask.variables.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(variables, [("n", "15000"), ("name", "Rahul"), ("none", ""), ("o", r#"{"a":1}"#)]);
        assert_eq!(ask.headers, [("X-Campaign".to_owned(), "may".to_owned())]);
        assert_eq!((ask.to.reveal().as_str(), ask.from, ask.trunk), ("+919876543210", None, None));
    }

    #[test]
    fn nothing_that_is_dialled_can_become_a_field_of_its_own() {
        for to in
            ["", "+91 98", "+91;phone-context=x", "98@evil.example", "98\\r\\nX-Evil: 1", "<98>", "%41", "12#", "é"]
        {
            let refused = asked(&format!(r#"{{"bot_id":"demo","to_number":"{to}"}}"#)).unwrap_err();
            assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY, "{to}");
        }
        for (name, value) in [
            ("From", "x"),
            ("X-", "x"),
            ("X-A", "a\\r\\nB: c"),
            ("X-A B", "x"),
            ("X-A:", "x"),
            ("X-Long", &"v".repeat(257)),
        ] {
            let refused = asked(&format!(r#"{{"bot_id":"d","to_number":"+1","headers":{{"{name}":"{value}"}}}}"#));
            assert!(refused.is_err(), "{name}: {value}");
        }
    }

    #[test]
    fn variables_have_bounds() {
        let many: Vec<String> = (0..65).map(|n| format!(r#""v{n}":1"#)).collect();
        for variables in [many.join(","), format!(r#""v":"{}""#, "x".repeat(8 * 1024)), r#""":1"#.to_owned()] {
            let body = format!(r#"{{"bot_id":"d","to_number":"+1","variables":{{{variables}}}}}"#);
            assert!(asked(&body).is_err(), "{} bytes", body.len());
        }
    }
}
