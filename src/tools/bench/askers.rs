//! Asks a worker's HTTP listener for what a load wants of it: sockets, and calls. On a few threads of its own, since connecting and
//! reading an answer may wait, and the generator's clock must not. Speaks no dialect.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::rt;
use crate::units::Moment;

/// Questions that are asked at the same time.
const THREADS: usize = 4;
/// Longest wait for a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest head of an answer.
const MOST_HEAD: usize = 16 * 1024;
/// Questions that may wait to be asked.
const WAITING: usize = 256;

/// What was answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// Upgraded: the socket, and what came behind the answer's head.
    Open(TcpStream, Vec<u8>),
    /// This status; a time to come back was named, or not.
    Status(u16, bool),
    /// Nothing sensible came.
    Failed,
}

/// The threads that ask.
pub(super) struct Askers {
    ask: Sender<(u64, Moment)>,
    answer: Receiver<(u64, Moment, Answer)>,
}

impl Askers {
    /// Threads that send what `request` makes for a call's id to `there`.
    ///
    /// # Errors
    /// Where the system gives no threads.
    pub fn start(there: SocketAddr, request: impl Fn(u64) -> String + Clone + Send + 'static) -> std::io::Result<Self> {
        let (ask, asked) = bounded::<(u64, Moment)>(WAITING);
        let (told, answer) = bounded(WAITING * 2);
        for _ in 0..THREADS {
            let (asked, told, request) = (asked.clone(), told.clone(), request.clone());
            // They end with the sender of what they are asked.
            std::thread::Builder::new().name("asker".to_owned()).spawn(move || {
                for (id, since) in asked {
                    let answer = exchange(there, &request(id)).unwrap_or(Answer::Failed);
                    if told.send((id, since, answer)).is_err() {
                        return;
                    }
                }
            })?;
        }
        Ok(Self { ask, answer })
    }

    /// Asks for call `id`; `false` where too many wait already.
    pub fn ask(&self, id: u64) -> bool {
        self.ask.try_send((id, rt::now())).is_ok()
    }

    /// One that is done.
    pub fn done(&self) -> Option<(u64, Moment, Answer)> {
        self.answer.try_recv().ok()
    }
}

/// The upgrade of a media socket.
pub(super) fn upgrade(there: SocketAddr, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {there}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// The order to call a number.
pub(super) fn order(there: SocketAddr, bot: &str, number: &str) -> String {
    let body = serde_json::json!({"bot_id": bot, "to_number": number}).to_string();
    format!(
        "POST /api/v1/calls HTTP/1.1\r\nHost: {there}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn exchange(there: SocketAddr, request: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&there, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    let mut buffer = [0; 2048];
    let end = loop {
        let n = stream.read(&mut buffer)?;
        head.extend_from_slice(&buffer[..n]);
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if n == 0 || head.len() > MOST_HEAD {
            return Ok(Answer::Failed);
        }
    };
    let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    if status != 101 {
        return Ok(Answer::Status(status, text.contains("\r\nretry-after:")));
    }
    stream.set_nonblocking(true)?;
    Ok(Answer::Open(stream, head.split_off(end)))
}
