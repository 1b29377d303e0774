//! A scripted bot behind a WebSocket: tones for speech, and the frames it receives for a clock. And a recogniser that knows the
//! tones.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use voicefleet::provider::{FactSender, ProviderError, Stt, SttSession};
use voicefleet::tools::caller::{CallOptions, Opening, Report, Script, Spoil, Trust, run};
use voicefleet::turn::Heard;
use voicefleet::units::TurnNo;

pub const TONE_HELLO: f64 = 400.0;
pub const TONE_DATE: f64 = 800.0;
pub const TONE_GOODBYE: f64 = 1600.0;

/// One thing that the bot does.
#[derive(Clone, Copy)]
enum Deed {
    Say { hz: f64, frames: usize },
    SayAtOnce { hz: f64, frames: usize },
    AfterLine { silent_frames: usize },
    AfterLoud { frames: usize },
    StopAfterLoud { frames: usize },
    HangUp { frames: usize },
    Vanish,
}

/// The bot's script.
#[derive(Clone, Default)]
pub struct Bot {
    deeds: VecDeque<Deed>,
    impatient: bool,
    ready: Option<String>,
}

impl Bot {
    pub fn new() -> Self {
        Self::default()
    }

    fn and(mut self, deed: Deed) -> Self {
        self.deeds.push_back(deed);
        self
    }

    /// A tone, one frame for each frame that is received.
    pub fn say(self, hz: f64, frames: usize) -> Self {
        self.and(Deed::Say { hz, frames })
    }

    /// A tone, sent without waiting.
    pub fn say_at_once(self, hz: f64, frames: usize) -> Self {
        self.and(Deed::SayAtOnce { hz, frames })
    }

    /// Waits until the caller has spoken and was silent for so many frames.
    pub fn after_line(self, silent_frames: usize) -> Self {
        self.and(Deed::AfterLine { silent_frames })
    }

    /// Waits until so many loud frames came.
    pub fn after_loud(self, frames: usize) -> Self {
        self.and(Deed::AfterLoud { frames })
    }

    /// Takes back what was not played once so many loud frames came.
    pub fn stop_after_loud(self, frames: usize) -> Self {
        self.and(Deed::StopAfterLoud { frames })
    }

    /// Hangs up in order, at once.
    pub fn hang_up(self) -> Self {
        self.hang_up_after(0)
    }

    /// Hangs up in order after so many frames.
    pub fn hang_up_after(self, frames: usize) -> Self {
        self.and(Deed::HangUp { frames })
    }

    /// Drops the connection.
    pub fn vanish(self) -> Self {
        self.and(Deed::Vanish)
    }

    /// Does not wait for the answer.
    pub fn impatient(mut self) -> Self {
        self.impatient = true;
        self
    }

    /// Tells the call's id.
    pub fn ready(mut self, id: &str) -> Self {
        self.ready = Some(id.to_owned());
        self
    }
}

/// What the server saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Everything but media.
    pub texts: Vec<Value>,
    pub frames: u64,
    pub frames_before_answer: u64,
}

pub struct Server {
    pub url: String,
    task: tokio::task::JoinHandle<Result<Seen, voicefleet::rt::Stopped>>,
}

impl Server {
    pub async fn finish(self) -> Seen {
        self.task.await.unwrap().unwrap()
    }
}

/// Starts a server for one call.
pub async fn serve(bot: Bot) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws/demo", listener.local_addr().unwrap());
    let task = voicefleet::rt::spawn("bot", async move {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        Session::new(bot, tokio_tungstenite::accept_async(stream).await.unwrap()).talk().await
    });
    Server { url, task }
}

/// Starts a TLS server that serves calls; gives its address and the PEM of its authority.
pub async fn serve_tls(bot: Bot) -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = tokio_rustls::rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(voicefleet::rt::spawn("bot", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust us breaks off here.
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            Session::new(bot.clone(), socket).talk().await;
        }
    }));
    (address, made.cert.pem())
}

/// Answers one connection with these bytes.
pub async fn refuse(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(voicefleet::rt::spawn("refuse", async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 2048];
        let _ = stream.read(&mut request).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _ = stream.read(&mut request).await;
    }));
    address
}

/// An HTTP API that knows one ended call.
pub async fn results(id: &'static str) -> String {
    let body = serde_json::json!({"status": "ended", "call_id": id, "link": "/r/tok", "result": {
        "disconnected_by": "bot", "end_reason": "completed", "post_call_analysis": {"disposition": "refused"},
        "transcript": [], "turns": []}});
    let answer = move || std::future::ready(axum::Json(body.clone()));
    let routes = axum::Router::new().route(&format!("/api/v1/calls/{id}"), axum::routing::get(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(voicefleet::rt::spawn("results", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = hyper_util::service::TowerToHyperService::new(routes.clone());
            let io = hyper_util::rt::TokioIo::new(stream);
            drop(voicefleet::rt::spawn("result", async move {
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
            }));
        }
    }));
    base
}

struct Session<S> {
    bot: Bot,
    socket: WebSocketStream<S>,
    seen: Seen,
    answered: bool,
    chunk: u64,
    /// Position in the deed at the front: frames said, or frames waited.
    at: usize,
    spoke: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    fn new(bot: Bot, socket: WebSocketStream<S>) -> Self {
        let seen = Seen::default();
        Self { bot, socket, seen, answered: false, chunk: 0, at: 0, spoke: false }
    }

    async fn talk(mut self) -> Seen {
        while let Some(Ok(message)) = self.socket.next().await {
            let Message::Text(text) = message else { continue };
            let value: Value = serde_json::from_str(&text).unwrap();
            if value["event"] == "media" {
                if !self.media(&value).await {
                    return self.seen;
                }
                continue;
            }
            let event = value["event"].as_str().unwrap().to_owned();
            self.seen.texts.push(value);
            match event.as_str() {
                "answer" => {
                    self.answered = true;
                    self.seen.frames_before_answer = self.seen.frames;
                }
                "connected" => {
                    if let Some(id) = self.bot.ready.clone() {
                        self.send(
                            &serde_json::json!({"event": "ready", "streamId": "s", "callId": id, "protocol": "1"}),
                        )
                        .await;
                    }
                }
                "hangup-call" => {
                    let _ = self.socket.close(None).await;
                    return self.seen;
                }
                _ => {}
            }
        }
        self.seen
    }

    /// A frame of the caller: the bot's clock. `false` once the connection is to be dropped.
    async fn media(&mut self, value: &Value) -> bool {
        self.seen.frames += 1;
        let lone = !self.seen.texts.iter().any(|text| text["event"] == "start");
        if !(self.answered || lone || self.bot.impatient) {
            return true;
        }
        let bytes = base64_simd::STANDARD.decode_to_vec(value["payload"].as_str().unwrap()).unwrap();
        assert_eq!(bytes.len(), 320);
        let loud = bytes.as_chunks::<2>().0.iter().any(|&pair| i16::from_le_bytes(pair).unsigned_abs() > 1200);
        match self.bot.deeds.front().copied() {
            None => {}
            Some(Deed::Say { hz, frames }) => {
                self.tone(hz).await;
                self.step(frames);
            }
            Some(Deed::SayAtOnce { hz, frames }) => {
                for _ in 0..frames {
                    self.tone(hz).await;
                    self.at += 1;
                }
                self.next();
            }
            Some(Deed::AfterLine { silent_frames }) => {
                self.spoke |= loud;
                self.at = if loud || !self.spoke { 0 } else { self.at + 1 };
                if self.at >= silent_frames {
                    self.next();
                    // The reply starts with the frame that completes the silence.
                    return Box::pin(self.media_again(value)).await;
                }
            }
            Some(Deed::AfterLoud { frames }) => {
                self.at += usize::from(loud);
                if self.at >= frames {
                    self.next();
                }
            }
            Some(Deed::StopAfterLoud { frames }) => {
                self.at += usize::from(loud);
                if self.at >= frames {
                    self.next();
                    self.spoke = true;
                    self.send(&serde_json::json!({"event": "reverse-media-stop", "callerId": "", "streamId": "s"}))
                        .await;
                }
            }
            Some(Deed::HangUp { frames }) => {
                self.at += 1;
                if self.at > frames {
                    self.next();
                    self.send(&serde_json::json!({"event": "reverse-hangup-call", "streamId": "s", "message": "bye"}))
                        .await;
                }
            }
            Some(Deed::Vanish) => return false,
        }
        true
    }

    async fn media_again(&mut self, value: &Value) -> bool {
        self.seen.frames -= 1;
        self.media(value).await
    }

    fn step(&mut self, frames: usize) {
        self.at += 1;
        if self.at >= frames {
            self.next();
        }
    }

    fn next(&mut self) {
        self.bot.deeds.pop_front();
        (self.at, self.spoke) = (0, false);
    }

    async fn tone(&mut self, hz: f64) {
        self.chunk += 1;
        let first = self.at * 160;
        let bytes: Vec<u8> = (first..first + 160)
            .flat_map(|at| (((at as f64 * hz * TAU / 8000.0).sin() * 8000.0) as i16).to_le_bytes())
            .collect();
        let payload = base64_simd::STANDARD.encode_to_string(bytes);
        let media = serde_json::json!({"event": "reverse-media", "chunk": self.chunk, "did": "", "payload": payload,
            "timestamp": "2026-03-02 10:15:30", "streamId": "s", "callerId": "", "chunk_durn_ms": 20,
            "callDirection": "incoming", "encoding": "LINEAR", "RevMediaQ": 0, "source": "ai"});
        self.send(&media).await;
    }

    async fn send(&mut self, value: &Value) {
        // The caller may have hung up meanwhile.
        let _ = self.socket.send(Message::text(value.to_string())).await;
    }
}

/// A recogniser that tells tones apart by their zero crossings.
pub struct Words;

impl Words {
    pub fn stt() -> Arc<dyn Stt> {
        Arc::new(Self)
    }
}

impl Stt for Words {
    fn open(&self, facts: FactSender) -> Result<Box<dyn SttSession>, ProviderError> {
        Ok(Box::new(Listener { facts, audio: Vec::new() }))
    }
}

struct Listener {
    facts: FactSender,
    audio: Vec<i16>,
}

impl SttSession for Listener {
    fn audio(&mut self, samples: &[i16]) {
        self.audio.extend_from_slice(samples);
    }

    fn begin(&mut self, _turn: TurnNo, ago_ms: u32) {
        let keep = (ago_ms as usize * 16).min(self.audio.len());
        self.audio.drain(..self.audio.len() - keep);
    }

    fn take(&mut self, turn: TurnNo, take: u32) {
        let loud: Vec<i16> = self.audio.iter().copied().filter(|s| s.unsigned_abs() > 200).collect();
        let crossings = loud.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
        // Close to two crossings for each period; the samples near zero are left out alike at every pitch.
        let hz = crossings as f64 * 16_000.0 / 2.0 / loud.len().max(1) as f64;
        let text = match hz {
            0.0..600.0 => "hello",
            600.0..1200.0 => "which date",
            _ => "goodbye",
        };
        let heard = Heard::Transcribed { turn, take, text: text.to_owned(), sure: 1.0 };
        self.facts.try_send(heard).unwrap();
    }

    fn end(&mut self, _turn: TurnNo) {}
}

/// A folder of this test's own, with two lines in it.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("caller-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    wav_tone(&folder.join("yes.wav"), 300.0, 400);
    wav_tone(&folder.join("friday.wav"), 500.0, 400);
    folder
}

/// Writes a tone between two silences.
pub fn wav_tone(path: &Path, hz: f64, ms: u64) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(path, spec).unwrap();
    let silence = std::iter::repeat_n(0, 3200);
    let tone = (0..ms * 16).map(|at| ((at as f64 * hz * TAU / 16_000.0).sin() * 8000.0) as i16);
    silence.clone().chain(tone).chain(silence).for_each(|sample| wav.write_sample(sample).unwrap());
    wav.finalize().unwrap();
}

pub fn options(server: &Server, folder: &Path, script: &str) -> CallOptions {
    options_for(&server.url, folder, script)
}

pub fn options_for(url: &str, folder: &Path, script: &str) -> CallOptions {
    CallOptions {
        url: url.to_owned(),
        token: None,
        trust: Trust::Public,
        script: Script { limit_s: 20, ..Script::parse(script, "test").unwrap() },
        folder: folder.to_owned(),
        voice: "auto".to_owned(),
        caller_id: "+919876543210".to_owned(),
        did: "+918000000002".to_owned(),
        fields: Vec::new(),
        opening: Opening::FULL.to_vec(),
        ring_s: 10,
        answer_after_ms: None,
        spoil: Spoil::default(),
        out: None,
        show: false,
        cache: folder.to_owned(),
        stt: Some(Words::stt()),
        tts: None,
        result: None,
    }
}

/// One call of this script to this bot.
pub async fn call(name: &str, bot: Bot, script: &str) -> (Report, Seen) {
    let server = serve(bot).await;
    let mut asked = options(&server, &folder(name), script);
    asked.script.limit_s = Script::parse(script, name).unwrap().limit_s.min(20);
    let report = run(asked).await.unwrap();
    (report, server.finish().await)
}
