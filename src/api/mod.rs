//! The HTTP routes of one worker: health and metrics, the calls as JSON, the page for operators, and the recordings behind
//! their links. Everything is asked of [`Control`], which the process implements; media sockets are not here.
//!
//! | Route | Who may | Answers |
//! |---|---|---|
//! | `GET /` | [`Access`] | the operators' page |
//! | `GET /api/v1/calls`, `/api/v1/calls/{id}` | [`Access`] | live and ended calls |
//! | `POST /api/v1/calls` | [`Access`], own site | places a call |
//! | `POST /api/v1/calls/{id}/hangup` | [`Access`], own site | ends a call |
//! | `POST /api/v1/calls/{id}/keys` | [`Access`], own site | presses keys at the far end |
//! | `GET /health/fleet` | all; the workers' rows by [`Access`] | capacity |
//! | `GET /health`, `/livez`, `/readyz`, `/metrics` | all | state of worker and process |
//! | `GET /r/{token}` and below | who has the token | recording, transcript, result |

mod auth;
mod calls;
mod control;
mod dial;
mod edge;
mod file;
mod health;
mod html;
mod page;
mod problem;
mod range;
mod recording;
mod recording_page;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

pub use auth::{Access, PageToken};
pub use control::{
    BotRow, CallDetail, CallFiles, Control, DialAsk, DialRefusal, EndedCall, EndedPage, Health, Linked, LiveCall,
    NotReady, PageAsk,
};
pub use problem::Problem;

/// Largest request body that any route reads.
pub const BODY_LIMIT_BYTES: usize = 64 * 1024;

/// What every handler is given.
#[derive(Clone)]
struct Api {
    control: Arc<dyn Control>,
    access: Arc<Access>,
}

impl Api {
    /// Lets the request through to the operators' routes, or says why not.
    fn permit(&self, headers: &HeaderMap) -> Result<(), Problem> {
        self.access.check(headers).map_err(Problem::from)
    }
}

/// The routes, with their limits and headers, ready to be merged with those of the media sockets (which bring no fallback of
/// their own: unknown paths are answered here).
pub fn router(control: Arc<dyn Control>, access: Access) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/ui/{name}", get(asset))
        .route("/health/fleet", get(health::fleet))
        .route("/health", get(health::health))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/api/v1/calls", get(calls::list).post(dial::place))
        .route("/api/v1/calls/{id}", get(calls::one))
        .route("/api/v1/calls/{id}/hangup", post(calls::hang_up))
        .route("/api/v1/calls/{id}/keys", post(calls::press))
        .route("/r/{token}", get(recording::link))
        .route("/r/{token}/recording.wav", get(recording::wav))
        .route("/r/{token}/result", get(recording::result))
        .route("/r/{token}/transcript", get(recording::transcript))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(from_fn(edge::guard))
        .with_state(Api { control, access: Arc::new(access) })
}

/// `GET /`.
async fn home(
    State(api): State<Api>,
    headers: HeaderMap,
    query: Result<axum::extract::Query<calls::Paging>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    api.permit(&headers)?;
    let ask = calls::page_ask(query)?;
    let view = page::Home {
        health: api.control.health(),
        fleet: api.control.fleet(),
        bots: api.control.bots(),
        live: api.control.live_calls(),
        ended: api.control.ended_calls(&ask),
        now: crate::rt::stamp(),
    };
    Ok(html_response(StatusCode::OK, page::render(&view)))
}

/// The page's own style and script.
async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let (kind, text) = match name.as_str() {
        "page.css" => ("text/css; charset=utf-8", include_str!("ui/page.css")),
        "page.js" => ("text/javascript; charset=utf-8", include_str!("ui/page.js")),
        "recording.js" => ("text/javascript; charset=utf-8", include_str!("ui/recording.js")),
        _ => return Err(Problem::unknown_route()),
    };
    let etag = edge::text_etag(text);
    if range::names_etag(headers.get(header::IF_NONE_MATCH), &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let head =
        [(header::CONTENT_TYPE, kind.to_owned()), (header::CACHE_CONTROL, "no-cache".to_owned()), (header::ETAG, etag)];
    Ok((head, text).into_response())
}

async fn unknown() -> Problem {
    Problem::unknown_route()
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "this path answers the methods in the Allow header")
}

/// A page with its content type.
fn html_response(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}
