//! The server's own account of a call: fetched over its HTTP API after the call, its latency waterfall laid beside what was
//! measured on the wire. Reads leniently: what a server does not tell stays empty.

use std::time::Duration;

use serde_json::Value;

use super::report::{Report, ServerAccount, ServerTurn};
use super::socket::Trust;
use crate::rt;
use crate::tools::api::WorkerApi;
use crate::units::Pii;

/// Longest wait for the result to be there.
const RESULT_LIMIT: Duration = Duration::from_secs(20);
/// Time between two questions.
const POLL: Duration = Duration::from_millis(250);
/// A line of the caller and a line of the server's transcript are the same if they end within so many milliseconds.
const SAME_LINE_MS: f64 = 1_500.0;

/// Where the result is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultFrom {
    /// Base URL of the HTTP API, `http://127.0.0.1:8080`.
    pub base: String,
    /// The operators' token, where one is set.
    pub token: Option<Pii<String>>,
    /// Whose certificate the server may show.
    pub trust: Trust,
}

/// Fetches the account into `report`; a failure to get it is a failure of the call, as is a wrong disposition.
pub(super) async fn add(report: &mut Report, from: &ResultFrom, wanted: Option<&str>) {
    match fetch(report, from).await {
        Ok(body) => {
            take(report, from, &body);
            let found = report.server.as_ref().map_or("", |server| server.disposition.as_str());
            if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
                report.failures.push(format!("expected the disposition {wanted}, the server's result says {found:?}"));
            }
        }
        Err(why) => report.failures.push(format!("the server's result could not be had: {why}")),
    }
}

async fn fetch(report: &Report, from: &ResultFrom) -> Result<Value, String> {
    let api = WorkerApi::new(&from.base, from.token.clone(), &from.trust).await?;
    let until = rt::now() + RESULT_LIMIT;
    let mut id = report.call_id.clone();
    loop {
        let last = match &id {
            None => {
                let list = api.get("/api/v1/calls?limit=50").await;
                id = list.as_ref().ok().and_then(|list| newest(list, &report.caller_id));
                list.err().unwrap_or_else(|| "no ended call of this caller is listed".to_owned())
            }
            Some(id) => match api.get(&format!("/api/v1/calls/{id}")).await {
                Ok(call) if call.get("status").and_then(Value::as_str) == Some("ended") => return Ok(call),
                Ok(_) => format!("call {id} has not ended there"),
                Err(why) => why,
            },
        };
        if rt::now() >= until {
            return Err(last);
        }
        rt::sleep(POLL).await;
    }
}

/// The newest ended call of a caller; lists show only the end of a number.
fn newest(list: &Value, caller_id: &str) -> Option<String> {
    let end: String = caller_id.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
    let calls = list.get("ended")?.as_array()?;
    let ours = |call: &&Value| call.get("caller").and_then(Value::as_str).is_some_and(|caller| caller.ends_with(&end));
    Some(calls.iter().find(ours)?.get("call_id")?.as_str()?.to_owned())
}

fn word(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Takes what the body of `/api/v1/calls/{id}` tells.
fn take(report: &mut Report, from: &ResultFrom, body: &Value) {
    let nothing = Value::Null;
    let result = body.get("result").unwrap_or(&nothing);
    let transcript = result.get("transcript").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let spoken = |line: &&Value| word(line, "speaker") == "bot";
    report.server = Some(ServerAccount {
        call_id: word(body, "call_id"),
        link: format!("{}{}", from.base.trim_end_matches('/'), word(body, "link")),
        disconnected_by: word(result, "disconnected_by"),
        end_reason: word(result, "end_reason"),
        disposition: result.get("post_call_analysis").map(|analysis| word(analysis, "disposition")).unwrap_or_default(),
        bot_lines: transcript.iter().filter(spoken).map(|line| word(line, "text")).collect(),
        heard: transcript.iter().filter(|line| !spoken(line)).map(|line| word(line, "text")).collect(),
    });
    for turn in result.get("turns").and_then(Value::as_array).map_or(&[][..], Vec::as_slice) {
        match_turn(report, turn, transcript);
    }
}

/// Lays one turn of the server's waterfall beside the caller's line that it answers.
fn match_turn(report: &mut Report, turn: &Value, transcript: &[Value]) {
    let Some(number) = turn.get("turn").and_then(Value::as_u64) else { return };
    let Some(total_ms) = turn.get("total_ms").and_then(Value::as_f64).filter(|&total| total > 0.0) else { return };
    let customer =
        |line: &&Value| word(line, "speaker") == "customer" && line.get("turn").and_then(Value::as_u64) == Some(number);
    let Some(end_ms) = transcript.iter().rev().find(customer).and_then(|line| line.get("end_ms")?.as_f64()) else {
        return;
    };
    let distance = |at: f64| (at - end_ms).abs();
    let row = report
        .turns
        .iter_mut()
        .filter(|row| row.server.is_none() && row.wire_ms.is_some() && distance(row.end_ms) <= SAME_LINE_MS)
        .min_by(|a, b| distance(a.end_ms).total_cmp(&distance(b.end_ms)));
    let Some((row, wire_ms)) = row.and_then(|row| row.wire_ms.map(|wire_ms| (row, wire_ms))) else { return };
    let stage = |stage: &Value| Some((word(stage, "stage"), stage.get("ms")?.as_f64()?));
    let stages = turn.get("stages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    row.server = Some(ServerTurn {
        turn: u32::try_from(number).unwrap_or(u32::MAX),
        stages: stages.iter().filter_map(stage).collect(),
        total_ms,
        wire_minus_server_ms: wire_ms - total_ms,
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::report::{LineKind, TurnRow};
    use super::*;

    fn row(turn: usize, end_ms: f64, wire_ms: f64) -> TurnRow {
        TurnRow {
            turn,
            said: String::new(),
            kind: LineKind::Answer,
            end_ms,
            wire_ms: Some(wire_ms),
            late_ms: 0.0,
            cut_in: false,
            talk_over_ms: 0.0,
            silenced_ms: None,
            server: None,
        }
    }

    #[test]
    fn a_waterfall_lies_beside_the_line_that_it_answers() {
        let mut report = Report { turns: vec![row(1, 4000.0, 510.0), row(2, 9000.0, 620.0)], ..Report::default() };
        let body = json!({"status": "ended", "call_id": "c1", "link": "/r/t", "result": {
            "disconnected_by": "bot", "end_reason": "completed",
            "post_call_analysis": {"disposition": "promise_to_pay", "summary": "", "slots": {}},
            "transcript": [{"speaker": "bot", "text": "Hello.", "end_ms": 1000, "turn": 0},
                           {"speaker": "customer", "text": "yes", "end_ms": 9040, "turn": 3}],
            "turns": [{"turn": 3, "total_ms": 600.0, "stages": [{"stage": "silence", "ms": 200.0}, {"stage": "think", "ms": 400.0}]},
                      {"turn": 9, "total_ms": 5.0, "stages": []}]}});
        take(&mut report, &ResultFrom { base: "http://h/".to_owned(), token: None, trust: Trust::Public }, &body);
        let server = report.server.clone().unwrap();
        assert_eq!((server.disposition.as_str(), server.link.as_str()), ("promise_to_pay", "http://h/r/t"));
        assert_eq!(server.bot_lines, ["Hello."]);
        assert_eq!(report.turns[0].server, None);
        let turn = report.turns[1].server.clone().unwrap();
        assert_eq!((turn.turn, turn.wire_minus_server_ms, turn.stages.len()), (3, 20.0, 2));
    }

    #[test]
    fn a_call_is_found_by_the_end_of_its_number() {
        let list = json!({"ended": [{"call_id": "a", "caller": "…0001"}, {"call_id": "b", "caller": "…3210"}]});
        assert_eq!(newest(&list, "+919876543210").as_deref(), Some("b"));
        assert_eq!(newest(&list, "+910000000000"), None);
        assert_eq!(newest(&json!({"ended": 5}), "+9198"), None);
    }
}
