//! One WebSocket stream that is read and flushed at the same time, so that a peer that does not read cannot stop us from hearing
//! it. Never waits inside a write: what is queued is flushed by [`Socket::next`].

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures_util::{Sink as _, Stream as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::units::Moment;

/// Read buffer of a socket: eight frames of the plain protocol.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Frames of one tick are written at once beyond this.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;
/// Bytes that may wait for a peer that does not read.
const MAX_WRITE_BYTES: usize = 256 * 1024;

/// What a socket gives.
pub(super) enum Io {
    /// A frame.
    Frame(Message),
    /// Everything queued has left.
    Flushed,
    /// Nothing more comes.
    Gone(Gone),
}

/// Why a socket gives nothing more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gone {
    /// The peer closed, or the connection broke.
    Closed,
    /// The peer broke the WebSocket protocol; close with this code.
    Broken(u16),
    /// The peer does not read, and the queue is full.
    Full,
}

/// The socket of one session.
pub(super) struct Socket<S> {
    ws: WebSocketStream<S>,
    /// Since when something waits to leave.
    pub(super) waiting_since: Option<Moment>,
    /// A frame was refused before its end.
    refused: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// The server's end of an upgraded stream.
    pub(super) async fn accept(stream: S, message_bytes: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_write_buffer_size(MAX_WRITE_BYTES)
            .max_message_size(Some(message_bytes))
            .max_frame_size(Some(message_bytes));
        let ws = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        Self { ws, waiting_since: None, refused: false }
    }

    /// Queues one frame.
    pub(super) fn send(&mut self, message: Message, now: Moment) -> Result<(), Gone> {
        self.waiting_since.get_or_insert(now);
        Pin::new(&mut self.ws).start_send(message).map_err(|error| gone(&error))
    }

    /// The next frame, or the end of a flush, whichever is first. Safe to drop and call again.
    pub(super) async fn next(&mut self) -> Io {
        poll_fn(|cx| {
            if self.waiting_since.is_some()
                && let Poll::Ready(flushed) = Pin::new(&mut self.ws).poll_flush(cx)
            {
                self.waiting_since = None;
                return Poll::Ready(flushed.map_or_else(|error| Io::Gone(gone(&error)), |()| Io::Flushed));
            }
            Pin::new(&mut self.ws).poll_next(cx).map(|came| match came {
                Some(Ok(frame)) => Io::Frame(frame),
                Some(Err(error)) => {
                    let gone = gone(&error);
                    self.refused = matches!(gone, Gone::Broken(_));
                    Io::Gone(gone)
                }
                None => Io::Gone(Gone::Closed),
            })
        })
        .await
    }

    /// The closing handshake; the caller bounds it.
    pub(super) async fn close(&mut self, code: u16, reason: &str, now: Moment) {
        let reason = Utf8Bytes::from(reason.chars().take(100).collect::<String>());
        if self.send(Message::Close(Some(CloseFrame { code: code.into(), reason })), now).is_err() {
            return;
        }
        self.drain().await;
        // A frame that was refused half-way still comes in; closing over it would reset the connection, and the close frame with it.
        let stream = self.ws.get_mut();
        let mut rest = [0; 4096];
        if self.refused && stream.shutdown().await.is_ok() {
            while stream.read(&mut rest).await.is_ok_and(|bytes| bytes > 0) {}
        }
    }

    /// Lets what is queued leave (the answer to the peer's close frame) and reads to the end; the caller bounds it.
    pub(super) async fn drain(&mut self) {
        while !matches!(self.next().await, Io::Gone(_)) {}
    }
}

fn gone(error: &Error) -> Gone {
    match error {
        Error::Capacity(_) => Gone::Broken(1009),
        Error::Utf8(_) => Gone::Broken(1007),
        Error::WriteBufferFull(_) => Gone::Full,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing) => Gone::Closed,
        Error::Protocol(_) => Gone::Broken(1002),
        _ => Gone::Closed,
    }
}
