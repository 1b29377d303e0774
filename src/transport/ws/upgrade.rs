//! From an HTTP request to a session: every refusal is a plain HTTP answer before the upgrade. Never logs a path, a query or a
//! header, since a token may stand in each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::rt;
use crate::units::BotId;
use crate::wire::ws::native::{Native, NativeOptions};

use super::config::{WsConfig, ms};
use super::counters::WsMetrics;
use super::host::{Host, Refusal, UpgradeRequest};
use super::session::{Plan, run};
use super::token;

/// Longest bot id of a path.
const MAX_BOT_BYTES: usize = 64;

/// The media routes: `/ws/{bot_id}` and `/ws/{bot_id}/{token}`.
pub fn routes<H: Host>(host: Arc<H>, config: WsConfig, metrics: Arc<WsMetrics>) -> Router {
    let edge = Arc::new(Edge { host, config: Arc::new(config), metrics });
    Router::new()
        .route("/ws/{bot_id}", get(by_bot::<H>))
        .route("/ws/{bot_id}/{token}", get(by_bot_and_token::<H>))
        .with_state(edge)
}

struct Edge<H> {
    host: Arc<H>,
    config: Arc<WsConfig>,
    metrics: Arc<WsMetrics>,
}

async fn by_bot<H: Host>(State(edge): State<Arc<Edge<H>>>, Path(bot): Path<String>, request: Request) -> Response {
    edge.answer(&bot, None, request)
}

async fn by_bot_and_token<H: Host>(
    State(edge): State<Arc<Edge<H>>>,
    Path((bot, token)): Path<(String, String)>,
    request: Request,
) -> Response {
    edge.answer(&bot, Some(&token), request)
}

/// A refusal as problem+json (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Always `about:blank`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status' own words.
    pub title: &'static str,
    /// HTTP status.
    pub status: u16,
    /// A stable word for programs.
    pub code: &'static str,
    /// What was expected and what to do.
    pub detail: &'static str,
    /// Seconds, sent as `Retry-After`.
    #[serde(skip)]
    pub retry_after_s: Option<u32>,
}

impl Problem {
    const fn new(status: u16, title: &'static str, code: &'static str, detail: &'static str) -> Self {
        Self { kind: "about:blank", title, status, code, detail, retry_after_s: None }
    }

    const fn later(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // Who was refused a call has nothing more to ask here, and must not hold a connection that a caller could use.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        match self.status {
            401 => drop(headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            426 => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade, close"));
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            _ => {}
        }
        response
    }
}

const NOT_WEBSOCKET: Problem = Problem::new(
    426,
    "Upgrade Required",
    "not_websocket",
    "expected a WebSocket upgrade: GET with Connection: Upgrade, Upgrade: websocket, Sec-WebSocket-Version: 13 and a key",
);
const UNAUTHORISED: Problem = Problem::new(
    401,
    "Unauthorized",
    "unauthorized",
    "expected a known token as Authorization: Bearer, as /ws/{bot_id}/{token} or as ?token=, and a bot that exists",
);
const UNKNOWN_BOT: Problem = Problem::new(404, "Not Found", "unknown_bot", "expected the id of a configured bot");
const FULL: Problem = Problem::new(
    503,
    "Service Unavailable",
    "no_capacity",
    "every call slot is taken; try again or ask another worker",
);
const DRAINING: Problem =
    Problem::new(503, "Service Unavailable", "draining", "this worker takes no new calls; ask another worker");
const STARTING: Problem =
    Problem::new(503, "Service Unavailable", "starting", "this worker is still loading its models; try again");
const OUTSIDE_HOURS: Problem =
    Problem::new(503, "Service Unavailable", "outside_active_hours", "the bot is outside its active hours");

impl<H: Host> Edge<H> {
    fn answer(&self, bot: &str, path_token: Option<&str>, request: Request) -> Response {
        match self.admit(bot, path_token, &request) {
            Ok((bot, slot, accept)) => self.upgrade(bot, slot, &accept, request),
            Err(problem) => {
                self.counter(&problem).fetch_add(1, Ordering::Relaxed);
                self.metrics.refused(problem.code);
                problem.into_response()
            }
        }
    }

    fn counter(&self, problem: &Problem) -> &AtomicU64 {
        match problem.status {
            401 => &self.metrics.refused_unauthorised,
            404 => &self.metrics.refused_unknown_bot,
            426 => &self.metrics.refused_not_websocket,
            _ => &self.metrics.refused_unavailable,
        }
    }

    fn admit(
        &self,
        bot: &str,
        path_token: Option<&str>,
        request: &Request,
    ) -> Result<(BotId, H::Slot, String), Problem> {
        let accept = accept_key(request.headers()).ok_or(NOT_WEBSOCKET)?;
        let guarded = !self.config.tokens.is_empty();
        if guarded {
            let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let given = token::given(authorization, path_token, request.uri().query());
            if !given.is_some_and(|given| token::is_known(&self.config.tokens, &given)) {
                return Err(UNAUTHORISED);
            }
        }
        let unknown = if guarded { UNAUTHORISED } else { UNKNOWN_BOT };
        if bot.len() > MAX_BOT_BYTES {
            return Err(unknown);
        }
        let bot = BotId::new(bot);
        let asked = UpgradeRequest { bot: &bot, dialect: "native", peer: peer(request) };
        match self.host.admit(&asked) {
            Ok(slot) => Ok((bot, slot, accept)),
            Err(Refusal::UnknownBot) => Err(unknown),
            Err(Refusal::Full { retry_after_s }) => Err(FULL.later(retry_after_s)),
            Err(Refusal::Draining) => Err(DRAINING.later(30)),
            Err(Refusal::Starting) => Err(STARTING.later(2)),
            Err(Refusal::OutsideHours { retry_after_s }) => Err(OUTSIDE_HOURS.later(retry_after_s)),
        }
    }

    fn upgrade(&self, bot: BotId, slot: H::Slot, accept: &str, mut request: Request) -> Response {
        let peer = peer(&request);
        let upgrade = hyper::upgrade::on(&mut request);
        let options = NativeOptions { lenient: self.config.lenient, stream_id: uuid::Uuid::now_v7().to_string() };
        let plan = Plan {
            host: Arc::clone(&self.host),
            slot,
            bot,
            dialect: Box::new(Native::new(options)),
            peer,
            config: Arc::clone(&self.config),
            metrics: Arc::clone(&self.metrics),
        };
        let patience = ms(self.config.handshake_ms);
        drop(rt::spawn("websocket session", async move {
            // Where the upgrade fails the plan is dropped here, and the slot with it.
            if let Some(Ok(stream)) = rt::timeout(patience, upgrade).await {
                plan.metrics.upgraded.fetch_add(1, Ordering::Relaxed);
                run(TokioIo::new(stream), plan).await;
            }
        }));
        let headers = [
            (header::CONNECTION, HeaderValue::from_static("Upgrade")),
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(accept).unwrap_or(HeaderValue::from_static(""))),
        ];
        (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
    }
}

fn peer(request: &Request) -> Option<SocketAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0)
}

/// The answer to a request's key; `None` where the request is no WebSocket upgrade (RFC 6455, 4.2.1).
fn accept_key(headers: &HeaderMap) -> Option<String> {
    let lists = |name: header::HeaderName, wanted: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    let sixteen_bytes = base64_simd::STANDARD.decode_to_vec(key.as_bytes()).is_ok_and(|bytes| bytes.len() == 16);
    let version = headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|value| value == "13");
    (sixteen_bytes && version && lists(header::CONNECTION, "upgrade") && lists(header::UPGRADE, "websocket"))
        .then(|| derive_accept_key(key.as_bytes()))
}
