//! Opens the sockets of a load over WebSocket: connects and upgrades on a few threads of its own, since both may wait, and the
//! generator's clock must not. Speaks no dialect.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::rt;
use crate::units::Moment;

/// Sockets that are opened at the same time.
const THREADS: usize = 4;
/// Longest wait for a connection, and for the answer to the upgrade.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest head of an answer.
const MOST_HEAD: usize = 16 * 1024;
/// Calls that may wait to be dialled.
const WAITING: usize = 256;

/// How a set-up ended.
#[derive(Debug)]
pub(super) enum Dialled {
    /// Open: the socket, and what came behind the answer's head.
    Open(TcpStream, Vec<u8>),
    /// Refused with this status; a time to come back was named, or not.
    Refused(u16, bool),
    /// Nothing sensible came.
    Failed,
}

/// The threads that dial.
pub(super) struct Diallers {
    ask: Sender<(u64, Moment)>,
    answer: Receiver<(u64, Moment, Dialled)>,
}

impl Diallers {
    /// Threads that dial `path` at `there`.
    ///
    /// # Errors
    /// Where the system gives no threads.
    pub fn start(there: SocketAddr, path: &str) -> std::io::Result<Self> {
        let (ask, asked) = bounded::<(u64, Moment)>(WAITING);
        let (told, answer) = bounded(WAITING * 2);
        for _ in 0..THREADS {
            let (asked, told, path) = (asked.clone(), told.clone(), path.to_owned());
            // They end with the sender of what they are asked.
            std::thread::Builder::new().name("dialler".to_owned()).spawn(move || {
                for (id, since) in asked {
                    let dialled = dial(there, &path).unwrap_or(Dialled::Failed);
                    if told.send((id, since, dialled)).is_err() {
                        return;
                    }
                }
            })?;
        }
        Ok(Self { ask, answer })
    }

    /// Dials for call `id`; `false` where too many wait already.
    pub fn dial(&self, id: u64) -> bool {
        self.ask.try_send((id, rt::now())).is_ok()
    }

    /// One that is done.
    pub fn done(&self) -> Option<(u64, Moment, Dialled)> {
        self.answer.try_recv().ok()
    }
}

fn dial(there: SocketAddr, path: &str) -> std::io::Result<Dialled> {
    let mut stream = TcpStream::connect_timeout(&there, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {there}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )?;
    let mut head = Vec::new();
    let mut buffer = [0; 2048];
    let end = loop {
        let n = stream.read(&mut buffer)?;
        head.extend_from_slice(&buffer[..n]);
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if n == 0 || head.len() > MOST_HEAD {
            return Ok(Dialled::Failed);
        }
    };
    let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    if status != 101 {
        return Ok(Dialled::Refused(status, text.contains("\r\nretry-after:")));
    }
    stream.set_nonblocking(true)?;
    Ok(Dialled::Open(stream, head.split_off(end)))
}
