//! The call log as JSON. Never shows a whole number in a list; one ended call shows its result as it was delivered.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::control::{CallDetail, EndedCall, LiveCall, PageAsk};
use super::health::json;
use super::{Api, Problem, file};
use crate::units::{CallId, Pii};

/// Ended calls on a page where nobody asks for another number.
const DEFAULT_LIMIT: usize = 50;
/// Most ended calls on a page.
const MAX_LIMIT: usize = 200;

/// `?limit=50&before=<call id>`.
#[derive(Debug, Deserialize)]
pub(super) struct Paging {
    limit: Option<usize>,
    before: Option<String>,
}

/// Reads the query of a page of ended calls.
pub(super) fn page_ask(query: Result<Query<Paging>, QueryRejection>) -> Result<PageAsk, Problem> {
    let bad = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_query", detail);
    let Query(paging) = query.map_err(|_| bad("expected ?limit=<number>&before=<call id>".to_owned()))?;
    let limit = paging.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(bad(format!("expected limit from 1 to {MAX_LIMIT}, found {limit}")));
    }
    let before = match paging.before {
        None => None,
        Some(id) => Some(call_id(&id).ok_or_else(|| bad("expected before=<call id>".to_owned()))?),
    };
    Ok(PageAsk { limit, before })
}

/// An id that a call can have: nothing that means something in a path or a log line.
fn call_id(text: &str) -> Option<CallId> {
    let fits =
        (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    fits.then(|| CallId::new(text))
}

fn unknown_call() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown_call", "no call has this id, or it is gone")
}

/// A number with all but its last four characters hidden; a short one wholly.
pub(super) fn masked(number: &Pii<String>) -> String {
    let chars: Vec<char> = number.reveal().chars().collect();
    match chars.len() {
        0 => String::new(),
        1..=5 => "…".to_owned(),
        n => format!("…{}", chars[n - 4..].iter().collect::<String>()),
    }
}

#[derive(Serialize)]
struct ListBody {
    live: Vec<LiveBody>,
    ended: Vec<EndedBody>,
    next_before: Option<String>,
}

#[derive(Serialize)]
struct LiveBody {
    call_id: String,
    bot_id: String,
    caller: String,
    direction: &'static str,
    dialect: &'static str,
    started_at: String,
    state: &'static str,
    turns: u32,
    last_turn_ms: Option<u32>,
}

#[derive(Serialize)]
struct EndedBody {
    call_id: String,
    bot_id: String,
    bot_version: String,
    caller: String,
    direction: &'static str,
    started_at: String,
    call_duration_seconds: f64,
    disconnected_by: String,
    end_reason: String,
    disposition: Option<String>,
    turns: u32,
    recorded: bool,
    link: String,
}

/// The word for who rang.
pub(super) const fn direction(outgoing: bool) -> &'static str {
    if outgoing { "outgoing" } else { "incoming" }
}

impl From<&LiveCall> for LiveBody {
    fn from(call: &LiveCall) -> Self {
        Self {
            call_id: call.id.to_string(),
            bot_id: call.bot.to_string(),
            caller: masked(&call.caller),
            direction: direction(call.outgoing),
            dialect: call.dialect,
            started_at: call.started_at.to_string(),
            state: call.state,
            turns: call.turns,
            last_turn_ms: call.last_turn_ms,
        }
    }
}

impl From<&EndedCall> for EndedBody {
    fn from(call: &EndedCall) -> Self {
        Self {
            call_id: call.id.to_string(),
            bot_id: call.bot.to_string(),
            bot_version: call.bot_version.clone(),
            caller: masked(&call.caller),
            direction: direction(call.outgoing),
            started_at: call.started_at.to_string(),
            call_duration_seconds: call.duration_ms as f64 / 1000.0,
            disconnected_by: call.disconnected_by.clone(),
            end_reason: call.end_reason.clone(),
            disposition: call.disposition.clone(),
            turns: call.turns,
            recorded: call.recorded,
            link: format!("/r/{}", call.token),
        }
    }
}

fn written(body: &impl Serialize) -> Result<Response, Problem> {
    serde_json::to_string(body).map(json).map_err(|_| Problem::internal("the calls could not be written"))
}

/// `GET /api/v1/calls?limit=&before=`.
pub(super) async fn list(
    State(api): State<Api>,
    headers: HeaderMap,
    query: Result<Query<Paging>, QueryRejection>,
) -> Result<Response, Problem> {
    api.permit(&headers)?;
    let page = api.control.ended_calls(&page_ask(query)?);
    let next_before = page.calls.last().filter(|_| page.more).map(|call| call.id.to_string());
    written(&ListBody {
        live: api.control.live_calls().iter().map(LiveBody::from).collect(),
        ended: page.calls.iter().map(EndedBody::from).collect(),
        next_before,
    })
}

#[derive(Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum OneBody {
    Live(LiveBody),
    Ended(Box<EndedOne>),
}

#[derive(Serialize)]
struct EndedOne {
    #[serde(flatten)]
    call: EndedBody,
    result: serde_json::Value,
}

/// `GET /api/v1/calls/{id}`.
pub(super) async fn one(
    State(api): State<Api>,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    api.permit(&headers)?;
    let id = id.ok().and_then(|Path(text)| call_id(&text)).ok_or_else(unknown_call)?;
    match api.control.call(&id).ok_or_else(unknown_call)? {
        CallDetail::Live(call) => written(&OneBody::Live(LiveBody::from(&call))),
        CallDetail::Ended(call, path) => {
            let result = file::read_json(&path).await?;
            written(&OneBody::Ended(Box::new(EndedOne { call: EndedBody::from(&call), result })))
        }
    }
}

#[derive(Serialize)]
struct Told {
    status: &'static str,
    call_id: String,
}

/// `POST /api/v1/calls/{id}/hangup`: an operator ends a call. The answer comes before the call has ended; asking twice is harmless.
pub(super) async fn hang_up(
    State(api): State<Api>,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    api.permit(&headers)?;
    own_site(&headers)?;
    let id = id.ok().and_then(|Path(text)| call_id(&text)).ok_or_else(unknown_call)?;
    if api.control.hang_up(&id) {
        return written(&Told { status: "ok", call_id: id.to_string() });
    }
    match api.control.call(&id) {
        Some(_) => Err(Problem::new(StatusCode::CONFLICT, "call_ended", "this call has ended already")),
        None => Err(unknown_call()),
    }
}

/// The body of `POST /api/v1/calls/{id}/keys`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    keys: String,
}

/// Most keys that are pressed at once.
const MAX_KEYS: usize = 32;

/// `POST /api/v1/calls/{id}/keys`: an operator presses keys at the far end. The answer comes before they are pressed.
pub(super) async fn press(
    State(api): State<Api>,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
    body: axum::body::Bytes,
) -> Result<Response, Problem> {
    api.permit(&headers)?;
    own_site(&headers)?;
    let id = id.ok().and_then(|Path(text)| call_id(&text)).ok_or_else(unknown_call)?;
    let is_key = |byte: u8| matches!(byte, b'0'..=b'9' | b'*' | b'#' | b'A'..=b'D');
    let asked = serde_json::from_slice(&body).ok().map(|Keys { keys }| keys);
    let keys =
        asked.filter(|keys| (1..=MAX_KEYS).contains(&keys.len()) && keys.bytes().all(is_key)).ok_or_else(|| {
            let detail = format!("expected {{\"keys\": 1 to {MAX_KEYS} of 0-9, *, #, A-D}}, found something else");
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_keys", detail)
        })?;
    match api.control.call(&id) {
        None => Err(unknown_call()),
        Some(CallDetail::Live(call)) if call.dialect != "sip" => {
            let detail = "expected a call on a SIP trunk; the dialect of this one has no word for keys";
            Err(Problem::new(StatusCode::CONFLICT, "no_keys", detail))
        }
        Some(CallDetail::Live(_)) if api.control.press(&id, &keys) => {
            written(&Told { status: "ok", call_id: id.to_string() })
        }
        Some(_) => Err(Problem::new(StatusCode::CONFLICT, "call_ended", "this call has ended already")),
    }
}

/// Refuses what a page of another site made a browser ask.
pub(super) fn own_site(headers: &HeaderMap) -> Result<(), Problem> {
    if !comes_from_elsewhere(headers) {
        return Ok(());
    }
    let detail = "a page of another site asked for this; only this server's own pages and programs may";
    Err(Problem::new(StatusCode::FORBIDDEN, "cross_site", detail))
}

/// A browser that was led here by another site sends the operator's password all the same, but says where it comes from.
fn comes_from_elsewhere(headers: &HeaderMap) -> bool {
    let word = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = word("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"));
    let host = word("host").unwrap_or_default();
    let origin = word("origin").is_some_and(|o| o.split_once("://").is_none_or(|(_, authority)| authority != host));
    site || origin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_never_shows_a_whole_number() {
        let masked = |n: &str| masked(&Pii::new(n.to_owned()));
        assert_eq!(masked("+919876543210"), "…3210");
        assert_eq!(masked("12345"), "…");
        assert_eq!(masked("ज़ख़ग़फ़क़"), "…फ़क़");
        assert_eq!(masked(""), "");
    }

    #[test]
    fn an_id_is_a_plain_word() {
        assert!(call_id("0196f3c2-7a10-7c44-8000-1f2e3d4c5b6a").is_some());
        for bad in ["", "../x", "a b", "a\nb", &"x".repeat(129)] {
            assert_eq!(call_id(bad), None, "{bad:?}");
        }
    }
}
