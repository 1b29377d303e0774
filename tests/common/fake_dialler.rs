//! A dialler that plays what it is sent and keeps what a caller would have heard, sample by sample. Its playback clock is told the
//! time, so a test needs no sleep. One model; the wire format is the native dialect's.

use std::collections::VecDeque;
use std::time::Duration;

use tokio_tungstenite::tungstenite::Message;
use voicefleet::rt;
use voicefleet::transport::ws::{Client, ClientError, ClientTls, connect};
use voicefleet::wire::ws::native::{Dialler, FromBot};

/// How long any single answer may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a full playback buffer does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overflow {
    DropNew,
    DropOld,
}

/// The far end's playback: a queue, a clock, and what came out of the loudspeaker. Silence is 0 where the queue was empty.
#[derive(Debug)]
pub struct Playback {
    rate_hz: u64,
    /// The far clock against ours, in parts per million.
    pub drift_ppm: i64,
    /// Samples that fit.
    pub depth: usize,
    pub overflow: Overflow,
    queue: VecDeque<i16>,
    pub heard: Vec<i16>,
    pub overflowed: usize,
    pub stopped: usize,
}

impl Playback {
    pub fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz: rate_hz.into(),
            drift_ppm: 0,
            depth: rate_hz as usize * 20,
            overflow: Overflow::DropNew,
            queue: VecDeque::new(),
            heard: Vec::new(),
            overflowed: 0,
            stopped: 0,
        }
    }

    /// Plays on until `ms` after the start.
    pub fn advance_to(&mut self, ms: u64) {
        let nominal = i64::try_from(ms * self.rate_hz / 1000).unwrap();
        let until = usize::try_from(nominal + nominal * self.drift_ppm / 1_000_000).unwrap();
        while self.heard.len() < until {
            self.heard.push(self.queue.pop_front().unwrap_or(0));
        }
    }

    /// Queues samples behind what is waiting.
    pub fn push(&mut self, samples: &[i16]) {
        for &sample in samples {
            if self.queue.len() >= self.depth {
                self.overflowed += 1;
                match self.overflow {
                    Overflow::DropNew => continue,
                    Overflow::DropOld => drop(self.queue.pop_front()),
                }
            }
            self.queue.push_back(sample);
        }
    }

    /// Forgets what was not played.
    pub fn stop(&mut self) {
        self.stopped += self.queue.len();
        self.queue.clear();
    }

    /// Samples heard between two times.
    pub fn between(&self, from_ms: u64, to_ms: u64) -> &[i16] {
        let at = |ms: u64| usize::try_from(ms * self.rate_hz / 1000).unwrap().min(self.heard.len());
        &self.heard[at(from_ms)..at(to_ms)]
    }
}

/// A connected dialler.
pub struct FakeDialler {
    client: Client,
    pub dialler: Dialler,
    pub playback: Playback,
    pub now_ms: u64,
    next_chunk: u64,
    kept: VecDeque<Message>,
}

impl FakeDialler {
    pub async fn connect(url: &str) -> Self {
        Self::connect_with(url, None, &ClientTls::Public).await.expect("an upgrade")
    }

    pub async fn connect_with(url: &str, token: Option<&str>, trust: &ClientTls) -> Result<Self, ClientError> {
        let client = connect(url, token, trust, PATIENCE).await?;
        let (dialler, playback) = (Dialler::new(""), Playback::new(8000));
        Ok(Self { client, dialler, playback, now_ms: 0, next_chunk: 1, kept: VecDeque::new() })
    }

    /// Moves the playback clock.
    pub fn at(&mut self, ms: u64) {
        self.now_ms = ms;
        self.playback.advance_to(ms);
    }

    pub async fn say(&mut self, text: impl Into<String>) {
        self.client.send_text(text.into()).await.expect("a socket that is up");
    }

    pub async fn send(&mut self, message: Message) -> Result<(), ClientError> {
        self.client.send(message).await
    }

    /// Sends `ms` of a constant level as PCM16 frames of 20 ms.
    pub async fn speak(&mut self, ms: usize, level: i16) {
        for _ in 0..ms / 20 {
            let text = self.dialler.media(&level.to_le_bytes().repeat(160));
            self.say(text).await;
        }
    }

    /// The next message of the bot side; its audio is played from now on.
    pub async fn hear(&mut self) -> Result<FromBot, ClientError> {
        let frame = match self.kept.pop_front() {
            Some(frame) => frame,
            None => rt::timeout(PATIENCE, self.client.next()).await.expect("an answer in time")?,
        };
        Ok(self.take(&frame))
    }

    fn take(&mut self, frame: &Message) -> FromBot {
        let Message::Text(text) = frame else { panic!("expected text, got {frame:?}") };
        let message = Dialler::read(text.as_str()).unwrap_or_else(|error| panic!("{error}: {text}"));
        match &message {
            FromBot::Media(media) => {
                assert_eq!(media.chunk, self.next_chunk, "chunk counts on through the call");
                assert_eq!(media.chunk_durn_ms, 20, "one frame a message");
                self.next_chunk += 1;
                let samples: Vec<i16> =
                    media.payload.as_chunks::<2>().0.iter().map(|p| i16::from_le_bytes(*p)).collect();
                self.playback.push(&samples);
            }
            FromBot::Stop => self.playback.stop(),
            _ => {}
        }
        message
    }

    /// The next frame as it came.
    pub async fn raw(&mut self) -> Result<Message, ClientError> {
        rt::timeout(PATIENCE, self.client.next()).await.expect("an answer in time")
    }

    /// Waits until the worker has read everything so far; gives how many messages came meanwhile (they are kept).
    pub async fn settle(&mut self) -> usize {
        let came = rt::timeout(PATIENCE, self.client.round_trip())
            .await
            .expect("a pong in time")
            .expect("a socket that is up");
        self.kept.extend(came);
        self.kept.len()
    }

    /// Reads until the worker closes; gives the code and the messages before it.
    pub async fn closed(mut self) -> (u16, String, Vec<FromBot>) {
        let mut before = Vec::new();
        loop {
            match self.hear().await {
                Ok(message) => before.push(message),
                Err(ClientError::Closed { code, reason }) => return (code, reason, before),
                Err(other) => panic!("expected a close frame, got {other}"),
            }
        }
    }

    pub async fn close(self, code: u16) {
        self.client.close(code, "", PATIENCE).await;
    }
}
