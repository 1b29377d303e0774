//! Sockets to transactions: what arrives is read, judged, let through or answered, and given to its transaction, and from there to its
//! dialog or to `admission`. Nothing here waits for a call.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;

use super::auth::Nonces;
use super::config::SipConfig;
use super::core::{Core, SipCounters};
use super::dialog::{DialogKey, Place, introduce, random_token};
use super::flow::{Flow, Flows, Pings, RECEIVED, Received, STREAMS_WAITING, Transport};
use super::gate::{Rate, Source};
use super::health::Watched;
use super::host::{Host, MediaPorts};
use super::keeper::Keepers;
use super::stack::{Engine, ServerTransaction};
use super::tls::TlsSide;
use crate::rt;
use crate::trunk::Book;
use crate::wire::sip::{Fault, Message, Via, fault_of, list, tight};

/// Why the endpoint did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken or not ours.
    #[error("{key}: expected to listen on {address}, found: {source}; change the key or stop what holds the port")]
    Listen {
        /// The key to change.
        key: &'static str,
        /// What it says.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The transaction layer refused the socket.
    #[error("expected a SIP transaction layer, found: {0}")]
    Engine(String),
}

/// What lives, for gauges and for the proof that nothing leaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Census {
    /// Dialogs with an owner.
    pub dialogs: usize,
    /// INVITEs not answered, or answered and not acknowledged.
    pub pending: u32,
    /// Transactions that are not over.
    pub transactions: usize,
    /// Finished transactions that absorb duplicates.
    pub absorbing: usize,
    /// TCP and TLS connections.
    pub streams: usize,
}

/// A running SIP endpoint. Dropping it stops listening; legs end with their drivers.
pub struct Endpoint<H: Host, P: MediaPorts> {
    pub(super) shared: Arc<Shared<H, P>>,
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    tasks: Vec<tokio::task::AbortHandle>,
    keepers: Keepers,
}

pub(super) struct Shared<H: Host, P: MediaPorts> {
    pub core: Arc<Core>,
    pub(super) host: Arc<H>,
    pub(super) ports: Arc<P>,
    book: RwLock<Arc<Book>>,
    pub(super) nonces: Nonces,
    pub(super) draining: AtomicBool,
}

impl<H: Host, P: MediaPorts> std::fmt::Debug for Endpoint<H, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("address", &self.address).finish_non_exhaustive()
    }
}

impl<H: Host, P: MediaPorts> Drop for Endpoint<H, P> {
    fn drop(&mut self) {
        self.keepers.abort();
        self.tasks.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

impl<H: Host, P: MediaPorts> Endpoint<H, P> {
    /// Listens and serves. The process-wide TLS provider must be installed before where TLS is used.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        config: SipConfig,
        book: Book,
        tls: TlsSide,
        host: Arc<H>,
        ports: Arc<P>,
    ) -> Result<Self, StartError> {
        let failed = |key, address| move |source| StartError::Listen { key, address, source };
        let (udp, tcp) = bind_pair(config.listen).await.map_err(failed("sip.listen", config.listen))?;
        let udp = Arc::new(udp);
        let address = udp.local_addr().map_err(failed("sip.listen", config.listen))?;
        let secure = match tls.acceptor.clone() {
            Some(acceptor) => {
                let at = config.tls_listen;
                Some((TcpListener::bind(at).await.map_err(failed("sip.tls_listen", at))?, acceptor))
            }
            None => None,
        };
        let tls_address = secure.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
        let place = Place {
            host: advertised(&config, address),
            port: address.port(),
            tls_port: tls_address.map_or(5061, |at| at.port()),
        };
        let t1 = Duration::from_millis(config.t1_ms);
        let engine = Engine::new(Arc::clone(&udp), t1, super::stack::OWN_MARK).await;
        let engine = engine.map_err(|error| StartError::Engine(error.to_string()))?;
        let (sender, received) = mpsc::channel(RECEIVED);
        let (begin, begun) = mpsc::channel(STREAMS_WAITING);
        let pings = Pings::every(config.ping_ms);
        let flows = Flows::new(udp, (sender, begin), Arc::clone(&engine), tls.connector, pings);
        let core = Arc::new(Core {
            engine: Arc::clone(&engine),
            flows: Arc::clone(&flows),
            resolver: super::resolve::server(&config.resolver),
            known: super::resolve::Known::default(),
            config,
            place,
            dialogs: std::sync::Mutex::default(),
            rates: super::gate::Rates::default(),
            pending: super::gate::Places::default(),
            channels: std::sync::Mutex::default(),
            counters: Arc::default(),
            origins: std::sync::Mutex::default(),
            pulses: super::health::Pulses::default(),
        });
        let book = Arc::new(book);
        flows.follow(&book);
        let keepers = Keepers::new(Arc::clone(&core));
        let shared = Arc::new(Shared {
            core,
            host,
            ports,
            book: RwLock::new(book),
            nonces: Nonces::default(),
            draining: AtomicBool::new(false),
        });
        let mut tasks = vec![
            rt::spawn("sip timers", Arc::clone(&engine).run_timers()).abort_handle(),
            rt::spawn("sip datagrams", Arc::clone(&flows).read_datagrams()).abort_handle(),
            rt::spawn("sip tcp", Arc::clone(&flows).listen(tcp, None)).abort_handle(),
            rt::spawn("sip received", Self::read(Arc::downgrade(&shared), received)).abort_handle(),
            rt::spawn("sip streams", Self::read_streams(Arc::downgrade(&shared), begun)).abort_handle(),
            rt::spawn("sip requests", Arc::clone(&shared).dispatch(engine)).abort_handle(),
        ];
        if let Some((listener, acceptor)) = secure {
            tasks.push(rt::spawn("sip tls", flows.listen(listener, Some(acceptor))).abort_handle());
        }
        keepers.follow(&shared.book());
        Ok(Self { shared, address, tls_address, tasks, keepers })
    }

    /// Looks at everything that arrives by one way, in its order.
    async fn read(shared: Weak<Shared<H, P>>, mut received: mpsc::Receiver<Received>) {
        while let Some(one) = received.recv().await {
            let Some(shared) = shared.upgrade() else { return };
            shared.look_at(&one.bytes, one.flow).await;
        }
    }

    /// Streams are looked at one beside the other: answering a request again waits for a peer that does not read.
    async fn read_streams(shared: Weak<Shared<H, P>>, mut begun: mpsc::Receiver<mpsc::Receiver<Received>>) {
        while let Some(received) = begun.recv().await {
            rt::spawn("sip stream messages", Self::read(Weak::clone(&shared), received));
        }
    }

    /// Where it listens for datagrams and TCP.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for TLS.
    #[must_use]
    pub const fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_address
    }

    /// New calls see these trunks; live ones keep theirs. Registrations and watches follow. To be called on the runtime.
    pub fn set_trunks(&self, book: Book) {
        let book = Arc::new(book);
        *self.shared.book.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&book);
        self.shared.core.flows.follow(&book);
        self.keepers.follow(&book);
    }

    /// Takes registrations back and ends the watches; bounded by `hang_up_ms` and half a second.
    pub async fn close(&self) {
        self.keepers.close().await;
    }

    /// The addresses of trunks that are watched (`health.options_s`), in no order.
    #[must_use]
    pub fn watched(&self) -> Vec<Watched> {
        self.shared.core.pulses.all()
    }

    /// Trunks with `account.register`, and whether they are registered, in no order.
    #[must_use]
    pub fn registrations(&self) -> Vec<(String, bool)> {
        self.keepers.registrations()
    }

    /// The trunks that new calls see.
    #[must_use]
    pub fn trunks(&self) -> Arc<Book> {
        self.shared.book()
    }

    /// From now on new INVITEs get 503 (or are taken again).
    pub fn drain(&self, draining: bool) {
        self.shared.draining.store(draining, Ordering::Release);
    }

    /// Is it draining?
    pub(super) fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Acquire)
    }

    /// Counts since the start.
    #[must_use]
    pub fn counters(&self) -> Arc<SipCounters> {
        Arc::clone(&self.shared.core.counters)
    }

    /// What lives now.
    #[must_use]
    pub fn census(&self) -> Census {
        let core = &self.shared.core;
        let stats = core.engine.stats();
        Census {
            dialogs: core.rows().len(),
            pending: core.pending.taken(),
            transactions: stats.running,
            absorbing: stats.finished,
            streams: core.flows.stream_count(),
        }
    }
}

/// One port for datagrams and TCP, also where any free one is wanted.
async fn bind_pair(at: SocketAddr) -> std::io::Result<(UdpSocket, TcpListener)> {
    let mut last = None;
    for _ in 0..8 {
        let udp = UdpSocket::bind(at).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if at.port() != 0 => return Err(error),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::Error::other("no free port")))
}

fn advertised(config: &SipConfig, address: SocketAddr) -> String {
    let told = config.advertised_address.trim();
    if told.contains(':') && !told.starts_with('[') {
        return format!("[{told}]");
    }
    if !told.is_empty() {
        return told.to_owned();
    }
    match address.ip() {
        ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        std::net::IpAddr::V4(ip) => ip.to_string(),
    }
}

impl<H: Host, P: MediaPorts> Shared<H, P> {
    pub(super) fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn look_at(&self, bytes: &[u8], flow: Flow) {
        let counters = &self.core.counters;
        let stranger = !self.book().knows(flow.peer.ip()) && !self.is_target(flow);
        if stranger {
            let source = Source::Stranger(flow.peer.ip());
            if !self.core.rates.pass(&source, Rate::per_second(self.core.config.stranger_per_second), rt::now()) {
                SipCounters::add(&counters.strangers);
                return;
            }
        }
        let Ok(mut message) = Message::parse(bytes) else {
            SipCounters::add(&counters.unreadable);
            return;
        };
        if message.status().is_some() {
            if !self.core.acknowledge_again(&message, flow) && self.core.engine.deliver(&message, flow).await.is_err() {
                SipCounters::add(&counters.unreadable);
            }
            return;
        }
        if let Some(via) = message.get("Via").and_then(Via::parse) {
            let whole = message.get("Via").unwrap_or_default();
            let rest = list(whole).into_iter().skip(1).fold(String::new(), |out, one| out + ", " + one);
            let completed = via.completed(flow.peer.ip(), flow.peer.port()) + &rest;
            message.set("Via", &completed);
        }
        // Blanks around a tag's equals sign are legal, and more than the transaction layer reads.
        for name in ["From", "To"] {
            if let Some(value) = message.get(name).map(tight) {
                message.set(name, &value);
            }
        }
        // On a stream only the length says where a message ends (RFC 3261 section 18.3).
        let endless = flow.transport != Transport::Udp && message.get("Content-Length").is_none();
        let unmeasured = endless.then_some(Fault { status: 400, reason: "No Content-Length", field: None });
        if let Some(fault) = fault_of(&message).or(unmeasured) {
            SipCounters::add(&counters.faulty);
            self.refuse(&message, flow, &fault);
            return;
        }
        let in_dialog = DialogKey::of_request(&message).is_some_and(|key| self.core.rows().contains_key(&key));
        if stranger && !in_dialog {
            SipCounters::add(&counters.strangers);
            self.refuse(&message, flow, &Fault { status: 403, reason: "", field: None });
            return;
        }
        let begins = !in_dialog && !matches!(message.method(), Some("ACK" | "CANCEL"));
        let full = || self.core.engine.stats().kept() >= self.core.config.max_transactions;
        if begins && full() && !self.core.engine.knows(&message) {
            SipCounters::add(&counters.crowded);
            let busy = message.method() != Some("OPTIONS");
            let (status, field) = if busy { (503, ("Retry-After", "5".to_owned())) } else { (200, accept()) };
            self.refuse(&message, flow, &Fault { status, reason: "", field: Some(field) });
            return;
        }
        if let Err(error) = self.core.engine.deliver(&message, flow).await {
            tracing::debug!(%flow, %error, "a request that the transaction layer does not take");
            self.refuse(&message, flow, &Fault { status: 400, reason: "", field: None });
        }
    }

    /// A carrier that we call answers from its own address, which need not be one that may call us.
    fn is_target(&self, flow: Flow) -> bool {
        self.core.flows.is_known(flow)
    }

    /// Answers without a transaction; an ACK is never answered.
    fn refuse(&self, request: &Message, flow: Flow, fault: &Fault) {
        if request.method() == Some("ACK") || request.get("Via").is_none() {
            return;
        }
        let mut response = Message::response(request, fault.status, fault.reason, &random_token(6));
        introduce(&mut response);
        if let Some((name, value)) = &fault.field {
            response.set(name, value);
        }
        // A Via that cannot be read names no port: then it is where the request came from.
        let named = request.get("Via").and_then(Via::parse).and_then(|via| via.answered_at());
        let peer = named.filter(|_| flow.transport == Transport::Udp).unwrap_or(flow.peer);
        let _ = self.core.flows.send(Flow { peer, ..flow }, response.to_bytes());
    }

    /// New transactions to legs.
    async fn dispatch(self: Arc<Self>, engine: Arc<Engine>) {
        while let Some(request) = engine.next().await {
            let method = request.request.method().unwrap_or_default().to_owned();
            match (DialogKey::of_request(&request.request), method.as_str()) {
                (Some(key), _) => {
                    if let Err(back) = self.core.hand_over(&key, request) {
                        let (status, request) = *back;
                        answer(request, status, "", &[]);
                    }
                }
                (None, "INVITE") => {
                    let shared = Arc::clone(&self);
                    rt::spawn("sip call", async move { shared.invited(request).await });
                }
                (None, "OPTIONS") => {
                    answer(request, 200, "", &[accept(), ("Accept-Encoding", "identity".to_owned())]);
                }
                (None, _) => answer(request, 481, "", &[]),
            }
        }
    }
}

/// What we take in a body.
fn accept() -> (&'static str, String) {
    ("Accept", "application/sdp".to_owned())
}

/// A final answer and nothing more.
pub(super) fn answer(mut request: ServerTransaction, status: u16, reason: &str, fields: &[(&str, String)]) {
    let tag = random_token(8);
    let mut response = Message::response(&request.request, status, reason, &tag);
    introduce(&mut response);
    for (name, value) in fields {
        response.push(name, value);
    }
    request.respond(&response);
}
