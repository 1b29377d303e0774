//! Sockets to legs: what arrives is read, judged, let through or answered, and given to its transaction; new INVITEs are admitted and
//! get a leg of their own. Nothing here waits for a call.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;

use super::auth::{Nonces, Verdict};
use super::config::SipConfig;
use super::core::{Core, SipCounters};
use super::dialog::{Dialog, DialogKey, Place, introduce, random_token};
use super::flow::{Flow, Flows, Pings, RECEIVED, Received, Transport};
use super::gate::{Rate, Source};
use super::health::Watched;
use super::host::{CallRequest, Host, MediaPort as _, MediaPorts, Refusal, SipOpened, SipReport};
use super::keeper::Keepers;
use super::leg::{Answering, Leg, Parts, Replaced, allows};
use super::stack::{Engine, ServerTransaction};
use super::timer;
use super::tls::TlsSide;
use crate::call::LegMeta;
use crate::rt;
use crate::trunk::{Book, CallFacts, Trunk};
use crate::units::{BotId, Moment, Pii};
use crate::wire::sdp::{CryptoKeys, KEY_BYTES, MediaPlan, Negotiator, SdpError};
use crate::wire::sip::{Fault, Message, Via, fault_of, list, session_description, tight};

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
    host: Arc<H>,
    ports: Arc<P>,
    book: RwLock<Arc<Book>>,
    nonces: Nonces,
    draining: AtomicBool,
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
        let flows = Flows::new(udp, sender, Arc::clone(&engine), tls.connector, Pings::every(config.ping_ms));
        let core = Arc::new(Core {
            engine: Arc::clone(&engine),
            flows: Arc::clone(&flows),
            resolver: super::resolve::server(&config.resolver),
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
            rt::spawn("sip received", Arc::clone(&shared).read(received)).abort_handle(),
            rt::spawn("sip requests", Arc::clone(&shared).dispatch(engine)).abort_handle(),
        ];
        if let Some((listener, acceptor)) = secure {
            tasks.push(rt::spawn("sip tls", flows.listen(listener, Some(acceptor))).abort_handle());
        }
        keepers.follow(&shared.book());
        Ok(Self { shared, address, tls_address, tasks, keepers })
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
    fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at everything that arrives.
    async fn read(self: Arc<Self>, mut received: mpsc::Receiver<Received>) {
        while let Some(one) = received.recv().await {
            self.look_at(&one.bytes, one.flow).await;
        }
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

    /// Admits a call or refuses it; then runs its leg to the end.
    async fn invited(self: Arc<Self>, request: ServerTransaction) {
        let Some((leg, answering)) = self.admit(request) else { return };
        SipCounters::add(&self.core.counters.calls);
        leg.run_inbound(answering).await;
    }

    fn admit(&self, request: ServerTransaction) -> Option<(Leg<P::Port>, Answering)> {
        let invite = request.request.clone();
        let flow = request.flow;
        let facts = CallFacts::of(&invite);
        let busy = |request, after: u32| {
            SipCounters::add(&self.core.counters.refused);
            answer(request, 503, "", &[("Retry-After", after.to_string())]);
        };
        if self.draining.load(Ordering::Acquire) {
            busy(request, 30);
            return None;
        }
        let Some(pending) = self.core.pending.take(self.core.config.max_pending) else {
            busy(request, 2);
            return None;
        };
        let Some(trunk) = self.book().of(flow.peer.ip(), &facts.domain).map(Arc::clone) else {
            answer(request, 403, "", &[]);
            return None;
        };
        let now = rt::now();
        if trunk.inbound.digest
            && let Verdict::Challenge { stale } = self.verdict(&trunk, &invite)
        {
            self.challenge(request, &trunk, stale, now);
            return None;
        }
        let request = unless_keys_show(request, &trunk, flow)?;
        if let Some(named) = Replaced::of(&invite) {
            self.take_over(request, named, &trunk);
            return None;
        }
        let rate = trunk.limits.calls_per_second;
        if rate > 0 && !self.core.rates.pass(&Source::Trunk(trunk.id.clone()), Rate::per_second(rate), now) {
            busy(request, 1);
            return None;
        }
        let Some(channel) = self.core.channel(&trunk.id, trunk.limits.channels) else {
            busy(request, 5);
            return None;
        };
        let session = match timer::asked(&invite, &trunk.timers, now) {
            Ok(session) => session,
            Err(least) => {
                answer(request, 422, "", &[("Min-SE", least.to_string())]);
                return None;
            }
        };
        let Some(bot) = trunk.bot_for(&facts, &invite).map(BotId::new) else {
            answer(request, 404, "", &[]);
            return None;
        };
        let Some(origin) = self.core.originate(&invite) else {
            // A proxy split the call and both ways led here: one of them is enough.
            answer(request, 482, "", &[]);
            return None;
        };
        let asked = CallRequest { bot: &bot, trunk: &trunk.id, peer: flow.peer };
        let slot = match self.host.admit(&asked) {
            Ok(slot) => slot,
            Err(refusal) => {
                SipCounters::add(&self.core.counters.refused);
                turn_away(request, refusal);
                return None;
            }
        };
        let Some(port) = self.ports.reserve() else {
            busy(request, 5);
            return None;
        };
        let (request, sdp, agreed) = described(request, port.local(), &trunk)?;
        let dialog = Dialog::answering(&invite, &random_token(8), flow, &self.core.place, &trunk.identity.contact);
        let (row, requests) = self.core.register(&dialog.key, &trunk.id);
        let link = self.host.open(
            slot,
            SipOpened {
                bot,
                trunk: trunk.id.clone(),
                meta: inbound(facts),
                flow,
                sip_call_id: dialog.key.call_id.clone(),
                media: port.id(),
            },
        );
        let timer_known = invite.all("Supported").flat_map(list).any(|option| option.eq_ignore_ascii_case("timer"));
        let leg = Leg::new(Parts {
            core: Arc::clone(&self.core),
            trunk,
            dialog,
            row,
            requests,
            sdp,
            port,
            link,
            session,
            channel,
            origin: Some(origin),
            report: SipReport::default(),
            updates: allows(&invite, "UPDATE"),
        });
        Some((leg, Answering { transaction: request, agreed, timer_known, pending }))
    }

    /// An INVITE that wants the place of a call's far end goes to that call, which decides. Only whoever may call by the same trunk has
    /// a call to be named (RFC 3891 section 4).
    fn take_over(&self, request: ServerTransaction, named: Result<Replaced, ()>, trunk: &Trunk) {
        let Ok(named) = named else { return answer(request, 400, "", &[]) };
        if !self.core.has(&named.key, &trunk.id) {
            return answer(request, 481, "", &[]);
        }
        if let Err(back) = self.core.hand_over(&named.key, request) {
            let (status, request) = *back;
            answer(request, status, "", &[]);
        }
    }

    fn challenge(&self, request: ServerTransaction, trunk: &Trunk, stale: bool, now: Moment) {
        let fields = self.nonces.challenges(&trunk.account.realm, stale, trunk.account.sha256, now);
        let fields: Vec<(&str, String)> = fields.into_iter().map(|field| ("WWW-Authenticate", field)).collect();
        answer(request, 401, "", &fields);
    }

    fn verdict(&self, trunk: &Trunk, invite: &Message) -> Verdict {
        trunk.credentials().map_or(Verdict::Challenge { stale: false }, |credentials| {
            self.nonces.judge(invite, &credentials, &trunk.account.realm, rt::now())
        })
    }
}

/// What was agreed, and our answer.
type Told = (MediaPlan, Option<String>);

/// The answer to an INVITE's offer, where it brought one; an offer that cannot be met is refused.
fn described(
    request: ServerTransaction,
    local: SocketAddr,
    trunk: &Trunk,
) -> Option<(ServerTransaction, Negotiator, Option<Told>)> {
    let Some(mut sdp) = negotiator(local, trunk) else {
        answer(request, 500, "", &[]);
        return None;
    };
    match session_description(&request.request).map(|offer| sdp.answer(offer)).transpose() {
        Ok(agreed) => Some((request, sdp, agreed.map(|agreed| (agreed.plan, Some(agreed.sdp))))),
        Err(error) => {
            refuse_offer(request, &error);
            None
        }
    }
}

/// The local end of a leg's offers and answers, with random numbers of its own; `None` where the system gives no randomness: a key
/// that anybody can guess is worse than no call.
pub(super) fn negotiator(local: SocketAddr, trunk: &Trunk) -> Option<Negotiator> {
    let mut id = [0_u8; 8];
    let key = fresh_key().filter(|_| getrandom::fill(&mut id).is_ok());
    if key.is_none() {
        tracing::error!(trunk = %trunk.id, "a call is refused: the system gives no randomness");
    }
    Some(Negotiator::new(local, trunk.media_policy(), u64::from_le_bytes(id), key?))
}

/// A key of ours that nobody knows; `None` where the system gives no randomness.
pub(super) fn fresh_key() -> Option<CryptoKeys> {
    let mut key = [0_u8; KEY_BYTES];
    getrandom::fill(&mut key).is_ok().then_some(CryptoKeys(key))
}

/// What an INVITE says of its call.
fn inbound(facts: CallFacts) -> LegMeta {
    let CallFacts { from, to, custom, .. } = facts;
    LegMeta { caller_id: Pii::new(from), did: to, custom, tells_transfers: true, ..LegMeta::default() }
}

/// The status of the application's refusal.
fn turn_away(request: ServerTransaction, refusal: Refusal) {
    let after = |seconds: u32| [("Retry-After", seconds.to_string())];
    match refusal {
        Refusal::UnknownBot => answer(request, 404, "", &[]),
        Refusal::Full { retry_after_s } => answer(request, 503, "", &after(retry_after_s)),
        Refusal::Draining | Refusal::Starting => answer(request, 503, "", &after(30)),
        Refusal::OutsideHours { retry_after_s } => answer(request, 480, "Outside Hours", &after(retry_after_s)),
    }
}

/// The status of an offer that cannot be met, and why in a Warning (RFC 3261 section 20.43).
fn refuse_offer(request: ServerTransaction, error: &SdpError) {
    let status = if matches!(error, SdpError::Parse(_)) { 400 } else { 488 };
    warn(request, status, &error.to_string());
}

/// The request, where keys that are required cannot be read on their way; else it is refused.
fn unless_keys_show(request: ServerTransaction, trunk: &Trunk, flow: Flow) -> Option<ServerTransaction> {
    if flow.transport == Transport::Tls || !trunk.needs_tls() {
        return Some(request);
    }
    warn(request, 488, "expected TLS, because keys of SRTP are required and others could read them");
    None
}

fn warn(request: ServerTransaction, status: u16, why: &str) {
    let warning = format!("304 voicefleet \"{}\"", why.replace('"', "'"));
    answer(request, status, "", &[("Warning", warning)]);
}

/// A final answer and nothing more.
/// What we take in a body.
fn accept() -> (&'static str, String) {
    ("Accept", "application/sdp".to_owned())
}

fn answer(mut request: ServerTransaction, status: u16, reason: &str, fields: &[(&str, String)]) {
    let tag = random_token(8);
    let mut response = Message::response(&request.request, status, reason, &tag);
    introduce(&mut response);
    for (name, value) in fields {
        response.push(name, value);
    }
    request.respond(&response);
}
