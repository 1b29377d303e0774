//! Health of worker and process, for orchestrators, balancers and scrapers. Never slow: every figure is at hand.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::control::NotReady;
use super::{Api, Problem};
use crate::fleet::{FleetView, WorkerRow};
use crate::telemetry::CONTENT_TYPE;

/// `/health/fleet`: these keys in this order, compact, integers; load balancers match the text itself. New keys go last.
#[derive(Serialize)]
struct FleetBody<'a> {
    status: &'static str,
    fleet_calls: u32,
    fleet_max: u32,
    fleet_available: u32,
    workers: Vec<WorkerBody<'a>>,
}

#[derive(Serialize)]
struct WorkerBody<'a> {
    id: &'a str,
    state: &'static str,
    calls: u32,
    max: u32,
    limit: &'static str,
}

impl<'a> From<&'a WorkerRow> for WorkerBody<'a> {
    fn from(row: &'a WorkerRow) -> Self {
        Self { id: &row.id, state: row.state.as_str(), calls: row.calls, max: row.max, limit: row.limit }
    }
}

fn fleet_text(view: &FleetView, rows: bool) -> Result<String, serde_json::Error> {
    let shown = if rows { view.workers.as_slice() } else { &[] };
    serde_json::to_string(&FleetBody {
        status: "ok",
        fleet_calls: view.calls,
        fleet_max: view.max,
        fleet_available: view.available,
        workers: shown.iter().map(WorkerBody::from).collect(),
    })
}

/// `GET /health/fleet`: the counts for all, the workers' rows for those who may see the pages (`workers` is empty
/// otherwise).
pub(super) async fn fleet(State(api): State<Api>, headers: HeaderMap) -> Result<Response, Problem> {
    let rows = api.permit(&headers).is_ok();
    let text =
        fleet_text(&api.control.fleet(), rows).map_err(|_| Problem::internal("the counts could not be written"))?;
    Ok(json(text))
}

#[derive(Serialize)]
struct HealthBody<'a> {
    status: &'static str,
    version: &'static str,
    worker: Option<WorkerBody<'a>>,
    uptime_seconds: u64,
    media: MediaBody,
    process: ProcessBody,
}

#[derive(Serialize)]
struct MediaBody {
    shards: u32,
    fifo: bool,
}

#[derive(Serialize)]
struct ProcessBody {
    resident_bytes: u64,
    cpu_seconds: f64,
    threads: u32,
    open_files: u32,
}

/// `GET /health`: 200 while the process answers at all; `status` says how it is.
pub(super) async fn health(State(api): State<Api>) -> Result<Response, Problem> {
    let (health, view) = (api.control.health(), api.control.fleet());
    let status = match api.control.ready() {
        Ok(()) | Err(NotReady::Full) => "ok",
        Err(NotReady::Starting) => "starting",
        Err(NotReady::Draining) => "draining",
    };
    let body = HealthBody {
        status,
        version: health.version,
        worker: view.workers.first().map(WorkerBody::from),
        uptime_seconds: health.uptime.as_secs(),
        media: MediaBody { shards: health.shards, fifo: health.fifo },
        process: ProcessBody {
            resident_bytes: health.process.resident_bytes,
            cpu_seconds: health.process.cpu_seconds,
            threads: health.process.threads,
            open_files: health.process.open_files,
        },
    };
    let text = serde_json::to_string(&body).map_err(|_| Problem::internal("the state could not be written"))?;
    Ok(json(text))
}

/// `GET /livez`: the process answers.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: may a balancer send a new call here?
pub(super) async fn readyz(State(api): State<Api>) -> Result<&'static str, Problem> {
    api.control.ready().map(|()| "ready\n").map_err(|why| {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, why.code(), why.to_string());
        // A place or a start comes soon; a drain does not pass by waiting.
        match why {
            NotReady::Full | NotReady::Starting => problem.with(header::RETRY_AFTER, "2"),
            NotReady::Draining => problem,
        }
    })
}

/// `GET /metrics`.
pub(super) async fn metrics(State(api): State<Api>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], api.control.metrics()).into_response()
}

/// JSON text that was written by us.
pub(super) fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Account;

    #[test]
    fn the_fleet_s_text_is_what_balancers_match() {
        let mut account = Account::new("w1", 40, "cpu");
        account.set_ready(true);
        assert_eq!(
            fleet_text(&account.view(), true).unwrap(),
            r#"{"status":"ok","fleet_calls":0,"fleet_max":40,"fleet_available":40,"workers":[{"id":"w1","state":"ready","calls":0,"max":40,"limit":"cpu"}]}"#
        );
        account.hold().unwrap();
        account.drain();
        assert_eq!(
            fleet_text(&account.view(), false).unwrap(),
            r#"{"status":"ok","fleet_calls":1,"fleet_max":40,"fleet_available":0,"workers":[]}"#
        );
    }
}
