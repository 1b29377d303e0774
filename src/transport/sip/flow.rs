//! The sockets of the SIP endpoint: one for datagrams, a listener each for TCP and TLS, and the streams that came or were dialled.
//! Cuts streams into messages and answers pings; knows nothing of what the messages mean. A stream that is stuck, silent or out
//! of frame is closed.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::gate::Places;
use super::stack::Engine;
use crate::rt;
use crate::trunk::Book;
use crate::wire::sip::{Frame, Framer};

/// Received datagrams that wait to be looked at. Full: one is dropped (it is sent again).
pub(super) const RECEIVED: usize = 1_024;
/// Received messages of one stream that wait to be looked at, in its own order. Full: the stream waits, and nobody else does.
const STREAM_RECEIVED: usize = 8;
/// Streams that wait to have their messages looked at. Full: the stream waits.
pub(super) const STREAMS_WAITING: usize = 64;
/// Messages on their way to one stream. Full: the stream is stuck and is closed.
const OUT: usize = 128;
/// Most streams that came and live, handshakes included; more are closed as they come.
const STREAMS: u32 = 1_024;
/// Most of them from addresses of no trunk, so that strangers cannot keep carriers out.
const STRANGERS: u32 = 64;
/// Names that one TLS peer may have proved.
const NAMES_EACH: usize = 16;
/// How long dialling a stream may take, its TLS handshake included.
const DIAL: Duration = Duration::from_secs(5);
/// How long one write may take.
const WRITE: Duration = Duration::from_secs(5);
/// Names of TLS peers that are remembered.
const NAMES: usize = 1_024;

/// How streams are kept alive and how dead ones are found out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pings {
    /// Between pings of ours on a stream (RFC 5626 section 3.5.1).
    every: Duration,
    /// A stream that answers pings, or that never brought a message, is gone when it sent nothing for so long.
    silence: Duration,
    /// One that brought messages and answers no ping (many peers do not) may be in a long call: its death is told by TCP, which
    /// carries our pings.
    patience: Duration,
}

impl Pings {
    /// A ping every so many milliseconds; ten in vain are too many, and where none is ever answered 480 (four hours of 30 s).
    pub fn every(ms: u64) -> Self {
        let every = Duration::from_millis(ms);
        Self { every, silence: every * 10, patience: every * 480 }
    }
}

/// How a message travels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// An encrypted stream.
    Tls,
}

impl Transport {
    /// The name in a Via.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// The value of `transport=` in a URI.
    #[must_use]
    pub const fn parameter(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// The way to a peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Flow {
    /// How.
    pub transport: Transport,
    /// Where.
    pub peer: SocketAddr,
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.parameter(), self.peer)
    }
}

/// Whose name a TLS peer has to prove.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whose {
    /// A trunk's target, by the name that stands in its file.
    Target,
    /// The other end of a call, by its own word.
    Peer,
}

/// A name as it is to be proved: without the brackets of an address, and the address where there is none.
fn written(flow: Flow, name: &str) -> String {
    let name = name.trim_matches(['[', ']']);
    if name.is_empty() { flow.peer.ip().to_string() } else { name.to_owned() }
}

/// Bytes that arrived.
pub(super) struct Received {
    pub bytes: Vec<u8>,
    pub flow: Flow,
    /// The stream that they came by is not taken out before they were looked at: a peer may say its last word and close.
    _stream: Option<Arc<Attached>>,
}

/// A message that cannot leave.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// The system said so.
    #[error("expected to reach {flow}, found: {source}")]
    Io {
        /// Where to.
        flow: Flow,
        /// What the system said.
        source: std::io::Error,
    },
    /// It took too long.
    #[error("expected a connection to {0} within {DIAL:?}, found none")]
    Late(Flow),
    /// The stream does not take messages any more.
    #[error("expected {0} to take a message, found its queue full or closed")]
    Stuck(Flow),
}

/// All sockets of an endpoint.
pub(super) struct Flows {
    pub udp: Arc<UdpSocket>,
    streams: Mutex<HashMap<Flow, mpsc::Sender<Vec<u8>>>>,
    received: mpsc::Sender<Received>,
    /// The messages of each stream that begins: a peer that does not read its answers holds up its own alone.
    begun: mpsc::Sender<mpsc::Receiver<Received>>,
    engine: Arc<Engine>,
    tls: Option<TlsConnector>,
    /// The names that TLS peers proved, the first one first, for when they are dialled again. Full: all are forgotten.
    names: Mutex<HashMap<Flow, Vec<String>>>,
    /// Streams that are being dialled, one turn each.
    dials: Mutex<HashMap<Flow, Arc<tokio::sync::Mutex<()>>>>,
    pings: Pings,
    /// Ways of calls that we placed, one entry each.
    called: Mutex<Vec<Flow>>,
    /// Streams that came, all and those of strangers.
    came: Places,
    strangers: Places,
    /// Whose addresses are no strangers'.
    book: RwLock<Arc<Book>>,
}

impl fmt::Debug for Flows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flows").field("streams", &self.stream_count()).finish_non_exhaustive()
    }
}

impl Flows {
    pub fn new(
        udp: Arc<UdpSocket>,
        (received, begun): (mpsc::Sender<Received>, mpsc::Sender<mpsc::Receiver<Received>>),
        engine: Arc<Engine>,
        tls: Option<TlsConnector>,
        pings: Pings,
    ) -> Arc<Self> {
        let (streams, names, called, dials) = (Mutex::default(), Mutex::default(), Mutex::default(), Mutex::default());
        let (came, strangers, book) = (Places::default(), Places::default(), RwLock::default());
        Arc::new(Self {
            udp,
            streams,
            received,
            begun,
            engine,
            tls,
            names,
            dials,
            pings,
            called,
            came,
            strangers,
            book,
        })
    }

    /// From now on these trunks' addresses are no strangers'.
    pub fn follow(&self, book: &Arc<Book>) {
        *self.book.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(book);
    }

    fn is_stranger(&self, peer: SocketAddr) -> bool {
        !self.book.read().unwrap_or_else(PoisonError::into_inner).knows(peer.ip())
    }

    /// The name that a TLS peer must prove. A target's is its own, whatever the same address has proved to be besides; a request in
    /// mid-call knows only the peer's own word for it, the host of its Contact, and takes what was proved first. Without any it is
    /// the address.
    fn server_name(&self, flow: Flow, given: &str, whose: Whose) -> Result<(ServerName<'static>, String), FlowError> {
        let proved = self.names().get(&flow).and_then(|names| names.first().cloned());
        let name = proved.filter(|_| whose == Whose::Peer).unwrap_or_else(|| written(flow, given));
        let server = ServerName::try_from(name.clone())
            .map_err(|error| FlowError::Io { flow, source: std::io::Error::other(error) })?;
        Ok((server, name))
    }

    fn names(&self) -> std::sync::MutexGuard<'_, HashMap<Flow, Vec<String>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This peer has proved that it is `name`.
    fn proved(&self, flow: Flow, name: String) {
        let mut names = self.names();
        if names.len() >= NAMES && !names.contains_key(&flow) {
            names.clear();
        }
        let known = names.entry(flow).or_default();
        if !known.contains(&name) {
            known.truncate(NAMES_EACH - 1);
            known.push(name);
        }
    }

    /// Can it be sent by as it is: datagrams, or a stream that is there?
    pub fn lives(&self, flow: Flow) -> bool {
        flow.transport == Transport::Udp || self.streams().contains_key(&flow)
    }

    /// There is a stream, and whoever is at its end has proved what it must.
    fn is_ready(&self, flow: Flow, name: &str, whose: Whose) -> bool {
        let lives = self.streams().contains_key(&flow);
        let needs_proof = flow.transport == Transport::Tls && whose == Whose::Target;
        let proved = || self.names().get(&flow).is_some_and(|names| names.contains(&written(flow, name)));
        lives && (!needs_proof || proved())
    }

    fn streams(&self) -> std::sync::MutexGuard<'_, HashMap<Flow, mpsc::Sender<Vec<u8>>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dials(&self) -> std::sync::MutexGuard<'_, HashMap<Flow, Arc<tokio::sync::Mutex<()>>>> {
        self.dials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is it a way that we called out by? Answers come back by it, whoever may call us.
    pub fn is_known(&self, flow: Flow) -> bool {
        self.called.lock().unwrap_or_else(PoisonError::into_inner).contains(&flow)
    }

    /// Remembers a way that we call out by, as long as the guard lives.
    pub fn called(self: &Arc<Self>, flow: Flow) -> Called {
        self.called.lock().unwrap_or_else(PoisonError::into_inner).push(flow);
        Called { flows: Arc::clone(self), flow }
    }

    /// Live streams.
    pub fn stream_count(&self) -> usize {
        self.streams().len()
    }

    /// Reads datagrams until the task is dropped.
    pub async fn read_datagrams(self: Arc<Self>) {
        let mut buffer = vec![0; 65_535];
        loop {
            let Ok((length, peer)) = self.udp.recv_from(&mut buffer).await else {
                // The kernel reports a peer's closed port here; there is nothing to be done about it.
                tokio::task::yield_now().await;
                continue;
            };
            let bytes = buffer.get(..length).unwrap_or_default();
            if bytes.iter().all(u8::is_ascii_whitespace) {
                if bytes == b"\r\n\r\n" {
                    let _ = self.udp.try_send_to(b"\r\n", peer);
                }
                continue;
            }
            let flow = Flow { transport: Transport::Udp, peer };
            let _ = self.received.try_send(Received { bytes: bytes.to_vec(), flow, _stream: None });
        }
    }

    /// Takes connections until the task is dropped; with an acceptor they are TLS.
    pub async fn listen(self: Arc<Self>, listener: TcpListener, acceptor: Option<TlsAcceptor>) {
        loop {
            let Ok((socket, peer)) = listener.accept().await else {
                // Out of descriptors: wait for some to come back.
                rt::sleep(Duration::from_millis(50)).await;
                continue;
            };
            // Counted from here on: a handshake that is not made holds a place, too.
            let Some(place) = self.came.take(STREAMS) else { continue };
            let stranger = self.is_stranger(peer);
            let foreign = if stranger { self.strangers.take(STRANGERS) } else { None };
            if stranger && foreign.is_none() {
                continue;
            }
            let patience = stranger.then_some(self.pings.every * 2);
            let flows = Arc::clone(&self);
            let acceptor = acceptor.clone();
            rt::spawn("sip stream", async move {
                let _held = (place, foreign);
                match acceptor {
                    None => flows.serve(socket, Flow { transport: Transport::Tcp, peer }, patience).await,
                    Some(acceptor) => {
                        if let Some(Ok(socket)) = rt::timeout(DIAL, acceptor.accept(socket)).await {
                            flows.serve(socket, Flow { transport: Transport::Tls, peer }, patience).await;
                        }
                    }
                }
            });
        }
    }

    /// Makes sure that `flow` can be sent by; dials a stream that is not there, or whose end has not proved to be the target. `name` is
    /// the peer's name for TLS.
    ///
    /// # Errors
    /// [`FlowError`].
    pub async fn ready(self: &Arc<Self>, flow: Flow, name: &str, whose: Whose) -> Result<(), FlowError> {
        if flow.transport == Transport::Udp || self.is_ready(flow, name, whose) {
            return Ok(());
        }
        let io = |source| FlowError::Io { flow, source };
        let line = Arc::clone(self.dials().entry(flow).or_default());
        let dial = async {
            // One dials, the others wait for its stream.
            let _turn = line.lock().await;
            if self.is_ready(flow, name, whose) {
                return Ok(());
            }
            let socket = TcpStream::connect(flow.peer).await.map_err(io)?;
            let (started, wait) = tokio::sync::oneshot::channel();
            let flows = Arc::clone(self);
            if flow.transport == Transport::Tcp {
                rt::spawn("sip stream", async move { flows.serve_and_tell(socket, flow, started, None).await });
            } else {
                let missing = || std::io::Error::other("no TLS client configuration");
                let connector = self.tls.clone().ok_or_else(|| io(missing()))?;
                let (server, name) = self.server_name(flow, name, whose)?;
                let socket = connector.connect(server, socket).await.map_err(io)?;
                self.proved(flow, name);
                rt::spawn("sip stream", async move { flows.serve_and_tell(socket, flow, started, None).await });
            }
            let _ = wait.await;
            Ok(())
        };
        let dialled = rt::timeout(DIAL, dial).await.unwrap_or(Err(FlowError::Late(flow)));
        drop(line);
        self.dials().retain(|_, line| Arc::strong_count(line) > 1);
        dialled
    }

    /// Sends bytes outside any transaction.
    ///
    /// # Errors
    /// [`FlowError`]; a stream that is not there is not dialled.
    pub fn send(&self, flow: Flow, bytes: Vec<u8>) -> Result<(), FlowError> {
        if flow.transport == Transport::Udp {
            return match self.udp.try_send_to(&bytes, flow.peer) {
                Ok(_) => Ok(()),
                Err(source) => Err(FlowError::Io { flow, source }),
            };
        }
        let out = self.streams().get(&flow).cloned().ok_or(FlowError::Stuck(flow))?;
        out.try_send(bytes).map_err(|_| FlowError::Stuck(flow))
    }

    async fn serve<S: AsyncRead + AsyncWrite + Send + 'static>(
        self: Arc<Self>,
        socket: S,
        flow: Flow,
        patience: Option<Duration>,
    ) {
        let (started, _unheard) = tokio::sync::oneshot::channel();
        self.serve_and_tell(socket, flow, started, patience).await;
    }

    async fn serve_and_tell<S: AsyncRead + AsyncWrite + Send + 'static>(
        self: Arc<Self>,
        socket: S,
        flow: Flow,
        started: tokio::sync::oneshot::Sender<()>,
        patience: Option<Duration>,
    ) {
        let (out, queue) = mpsc::channel(OUT);
        let (read, messages) = mpsc::channel(STREAM_RECEIVED);
        if self.begun.send(messages).await.is_err() {
            return;
        }
        self.engine.attach(flow, out.clone()).await;
        self.streams().insert(flow, out.clone());
        let live = Arc::new(Attached { flows: Arc::clone(&self), flow, out: out.clone() });
        let _ = started.send(());
        let (reader, writer) = tokio::io::split(socket);
        tokio::select! {
            () = self.read_stream(reader, &live, read, patience) => {}
            () = write_stream(writer, queue, self.pings.every) => {}
        }
    }

    /// Reads until the stream ends, or is silent for longer than it may: a stranger's `patience` is short and its own.
    async fn read_stream<R: AsyncRead + Unpin>(
        &self,
        mut reader: R,
        live: &Arc<Attached>,
        read: mpsc::Sender<Received>,
        patience: Option<Duration>,
    ) {
        let (flow, out) = (live.flow, &live.out);
        let mut framer = Framer::default();
        let mut buffer = vec![0; 16 * 1024];
        let (mut spoke, mut pongs) = (false, false);
        loop {
            let usual = if spoke && !pongs { self.pings.patience } else { self.pings.silence };
            let limit = patience.unwrap_or(usual);
            let length = match rt::timeout(limit, reader.read(&mut buffer)).await {
                Some(Ok(length)) if length > 0 => length,
                _ => return,
            };
            // Line ends alone: a pong, or a ping of the peer's own.
            pongs |= buffer.iter().take(length).all(|byte| matches!(byte, b'\r' | b'\n'));
            framer.push(buffer.get(..length).unwrap_or_default());
            loop {
                match framer.take() {
                    Ok(Some(Frame::Message(bytes))) => {
                        spoke = true;
                        let received = Received { bytes, flow, _stream: Some(Arc::clone(live)) };
                        if read.send(received).await.is_err() {
                            return;
                        }
                    }
                    Ok(Some(Frame::Ping)) => {
                        let _ = out.try_send(b"\r\n".to_vec());
                    }
                    Ok(Some(Frame::Pong)) => {}
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(%flow, %error, "a SIP stream lost its frame and is closed");
                        // Its last message may still be answered with 400.
                        let (bytes, stream) = (framer.rest().to_vec(), Some(Arc::clone(live)));
                        let _ = read.try_send(Received { bytes, flow, _stream: stream });
                        rt::sleep(Duration::from_millis(100)).await;
                        return;
                    }
                }
            }
            framer.settle();
        }
    }
}

async fn write_stream<W: AsyncWrite + Unpin>(mut writer: W, mut queue: mpsc::Receiver<Vec<u8>>, ping: Duration) {
    loop {
        let bytes = match rt::timeout(ping, queue.recv()).await {
            Some(Some(bytes)) => bytes,
            Some(None) => return,
            None => b"\r\n\r\n".to_vec(),
        };
        let write = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        if !matches!(rt::timeout(WRITE, write).await, Some(Ok(()))) {
            return;
        }
    }
}

/// Takes a stream out of the tables when its task ends, however it ends.
struct Attached {
    flows: Arc<Flows>,
    flow: Flow,
    out: mpsc::Sender<Vec<u8>>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        // A later stream of the same flow is not this one's to take out.
        let mut streams = self.flows.streams();
        if streams.get(&self.flow).is_some_and(|out| out.same_channel(&self.out)) {
            streams.remove(&self.flow);
            drop(streams);
            self.flows.engine.detach(self.flow);
        }
    }
}

/// A way that a call of ours goes.
#[derive(Debug)]
pub(super) struct Called {
    flows: Arc<Flows>,
    flow: Flow,
}

impl Drop for Called {
    fn drop(&mut self) {
        let mut called = self.flows.called.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = called.iter().position(|flow| *flow == self.flow) {
            called.swap_remove(at);
        }
    }
}
