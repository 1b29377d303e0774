//! `[websocket]` of the configuration: deadlines and limits of WebSocket legs. Every default is the contract's.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Deadlines and limits of WebSocket legs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct WsConfig {
    /// Tokens that open a media socket; any of them does. Empty: no token is asked for. Never part of the section: they come from
    /// `[auth]`.
    #[serde(skip)]
    pub tokens: Vec<String>,
    /// Also take `start` and `answer` before `connected`.
    pub lenient: bool,
    /// From the upgrade to `connected`, and from `connected` to `start` or audio, in milliseconds.
    pub handshake_ms: u64,
    /// From `start` (or the first audio) to `answer`, in milliseconds.
    pub answer_ms: u64,
    /// Text frames before audio starts.
    pub early_frames: u32,
    /// Bytes of text before audio starts.
    pub early_bytes: usize,
    /// Longest message, in bytes; a longer one closes with 1009.
    pub message_bytes: usize,
    /// Frames per second that are read; more are dropped.
    pub frames_per_second: u32,
    /// Frames dropped without a pause that close the socket with 1008.
    pub flood_frames: u32,
    /// A write that takes longer means that the peer is stuck, in milliseconds.
    pub write_ms: u64,
    /// Between pings, in milliseconds.
    pub ping_ms: u64,
    /// Neither a frame nor a pong for this long means that the peer is gone, in milliseconds.
    pub silence_ms: u64,
    /// From our hang-up to the peer's answer, in milliseconds.
    pub hang_up_ms: u64,
    /// For the closing handshake, in milliseconds.
    pub close_ms: u64,
    /// Bot audio that could not be sent for this long is dropped, in milliseconds, so that a stall does not become a delay.
    pub late_ms: u64,
}

impl Default for WsConfig {
    fn default() -> Self {
        Self {
            tokens: Vec::new(),
            lenient: false,
            handshake_ms: 10_000,
            answer_ms: 60_000,
            early_frames: 8,
            early_bytes: 64 * 1024,
            message_bytes: 256 * 1024,
            frames_per_second: 200,
            flood_frames: 1_000,
            write_ms: 5_000,
            ping_ms: 15_000,
            silence_ms: 30_000,
            hang_up_ms: 2_000,
            close_ms: 500,
            late_ms: 500,
        }
    }
}

/// A span of the configuration.
pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
