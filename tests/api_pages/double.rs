//! A process made of plain data, in the place of the real one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use tower::ServiceExt as _;
use voicefleet::api::{
    Access, BotRow, CallDetail, CallFiles, Control, DialAsk, DialRefusal, EndedCall, EndedPage, Health, Linked,
    LiveCall, NotReady, PageAsk, router,
};
use voicefleet::fleet::{Account, FleetView};
use voicefleet::results::Tokens;
use voicefleet::telemetry::{Metrics, ProcessSample};
use voicefleet::units::{BotId, CallId, Pii, Stamp};

/// Text that does harm wherever it is not escaped.
pub const HOSTILE: &str = "<script>alert(1)</script>\"><img src=x onerror='alert(2)'>&amp;\u{202e}";

/// The double.
pub struct Double {
    pub folder: PathBuf,
    pub tokens: Tokens,
    pub ready: Result<(), NotReady>,
    pub bots: Vec<BotRow>,
    pub live: Vec<LiveCall>,
    pub ended: Vec<EndedCall>,
}

impl Drop for Double {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Double {
    /// No bot, no call.
    pub fn empty() -> Self {
        let folder = std::env::temp_dir().join(format!("voicefleet-api-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            folder,
            tokens: Tokens::new(&[9; 32]),
            ready: Ok(()),
            bots: Vec::new(),
            live: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// Adds an ended call with these files; returns its token.
    pub fn end(&mut self, id: &str, recording: Option<&[u8]>, result: &str) -> String {
        let token = self.tokens.issue(&CallId::new(id));
        std::fs::write(self.result(id), result).unwrap();
        if let Some(bytes) = recording {
            std::fs::write(self.wav(id), bytes).unwrap();
        }
        let call = EndedCall {
            id: CallId::new(id),
            bot: BotId::new("payment-reminder"),
            bot_version: "9f2c".to_owned(),
            caller: Pii::new("+919876543210".to_owned()),
            outgoing: true,
            started_at: Stamp::from_unix_ms(1_777_627_800_250),
            duration_ms: 61_500,
            disconnected_by: "bot".to_owned(),
            end_reason: "goodbye".to_owned(),
            disposition: Some("promise_to_pay".to_owned()),
            turns: 4,
            token: token.clone(),
            recorded: recording.is_some(),
        };
        self.ended.insert(0, call);
        token
    }

    /// Adds a call in progress; returns its token.
    pub fn begin(&mut self, id: &str, caller: &str) -> String {
        self.live.push(LiveCall {
            id: CallId::new(id),
            bot: BotId::new("appointment-desk"),
            caller: Pii::new(caller.to_owned()),
            outgoing: false,
            dialect: "native",
            started_at: Stamp::from_unix_ms(1_777_627_800_250),
            state: "listening",
            turns: 2,
            last_turn_ms: Some(540),
        });
        self.tokens.issue(&CallId::new(id))
    }

    pub fn wav(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.wav"))
    }

    pub fn result(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// The routes over this double, for a server on a loopback address without a token.
    pub fn local(self) -> Router {
        self.under(Access::LocalOnly)
    }

    /// The routes over this double under `access`.
    pub fn under(self, access: Access) -> Router {
        router(Arc::new(self), access)
    }
}

impl Control for Double {
    fn fleet(&self) -> FleetView {
        let mut account = Account::new("w1", 40, "cpu");
        account.set_ready(self.ready.is_ok());
        for _ in &self.live {
            account.hold().unwrap();
        }
        account.view()
    }

    fn health(&self) -> Health {
        Health {
            version: "0.1.0",
            uptime: Duration::from_secs(3725),
            shards: 1,
            fifo: false,
            process: ProcessSample { resident_bytes: 64 << 20, cpu_seconds: 1.5, threads: 9, open_files: 20 },
        }
    }

    fn ready(&self) -> Result<(), NotReady> {
        self.ready.clone()
    }

    fn metrics(&self) -> String {
        let metrics = Metrics::new();
        metrics.sample(&ProcessSample::read(), 0, 40);
        metrics.encode()
    }

    fn bots(&self) -> Vec<BotRow> {
        self.bots.clone()
    }

    fn live_calls(&self) -> Vec<LiveCall> {
        self.live.clone()
    }

    fn ended_calls(&self, ask: &PageAsk) -> EndedPage {
        let start = match &ask.before {
            None => 0,
            Some(id) => self.ended.iter().position(|c| c.id == *id).map_or(self.ended.len(), |at| at + 1),
        };
        let left = &self.ended[start..];
        EndedPage { calls: left.iter().take(ask.limit).cloned().collect(), more: left.len() > ask.limit }
    }

    fn call(&self, id: &CallId) -> Option<CallDetail> {
        let live = self.live.iter().find(|c| c.id == *id).cloned().map(CallDetail::Live);
        live.or_else(|| {
            let ended = self.ended.iter().find(|c| c.id == *id)?;
            Some(CallDetail::Ended(ended.clone(), self.result(id.as_str())))
        })
    }

    fn hang_up(&self, id: &CallId) -> bool {
        self.live.iter().any(|call| call.id == *id)
    }

    fn press(&self, id: &CallId, _keys: &str) -> bool {
        self.live.iter().any(|call| call.id == *id)
    }

    fn dial(&self, ask: DialAsk) -> Result<CallId, DialRefusal> {
        match ask.bot.as_str() {
            "payment-reminder" => Ok(CallId::new("placed-1")),
            "full" => Err(DialRefusal::Full),
            _ => Err(DialRefusal::UnknownBot),
        }
    }

    fn linked(&self, token: &str) -> Option<Linked> {
        let id = self.tokens.verify(token)?;
        match self.call(&id)? {
            CallDetail::Live(_) => Some(Linked::StillRunning),
            CallDetail::Ended(call, result) => {
                let recording = call.recorded.then(|| self.wav(id.as_str()));
                Some(Linked::Ended(CallFiles { id, recording, result }))
            }
        }
    }
}

/// An answer, read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// Status and `code` of a problem document.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16());
        assert!(body["detail"].as_str().is_some_and(|d| !d.is_empty()));
        (self.status.as_u16(), body["code"].as_str().unwrap().to_owned())
    }
}

/// Asks the routes for `path` with these headers.
pub async fn ask(router: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    with_body(router, (method, path), Body::empty(), headers).await
}

/// Posts a body.
pub async fn send(router: &Router, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
    with_body(router, ("POST", path), Body::from(body.to_owned()), headers).await
}

async fn with_body(router: &Router, (method, path): (&str, &str), body: Body, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 16 << 20).await.unwrap().to_vec();
    Answer { status: parts.status, headers: parts.headers, bytes }
}

/// `GET path` without headers.
pub async fn get(router: &Router, path: &str) -> Answer {
    ask(router, "GET", path, &[]).await
}
