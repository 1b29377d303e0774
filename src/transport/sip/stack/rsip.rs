//! The engine on `rsipstack`'s transactions, without its sockets and without its dialogs. Its log targets carry whole messages;
//! `telemetry::log` keeps them at `warn`.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rsipstack::EndpointBuilder;
use rsipstack::platform::mpsc::unbounded_channel as unbounded;
use rsipstack::sip::{HostWithPort, SipMessage, StatusCodeKind, Transport as RsTransport};
use rsipstack::transaction::TransactionReceiver;
use rsipstack::transaction::endpoint::{EndpointInnerRef, EndpointOption};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::transaction::{Transaction, TransactionEvent, TransactionEventSender};
use rsipstack::transport::channel::ChannelConnection;
use rsipstack::transport::udp::UdpConnection;
use rsipstack::transport::{SipAddr, SipConnection, TransportEvent};
use tokio::net::UdpSocket;
use tokio::sync::{Notify, mpsc};

use super::{ClientEvent, ClientTransaction, EVENTS, ServerEvent, ServerTransaction};
use crate::rt;
use crate::transport::sip::{Flow, Transport};
use crate::wire::sip::{Message, Start};

/// Messages of transactions on their way to one stream. Full: the sender waits for at most as long as the stream's own queue holds,
/// which closes when it is stuck.
const STREAM_QUEUE: usize = 64;

/// A message that the engine cannot take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// It reads differently than the judge thought.
    #[error("expected a message that the transaction layer reads, found: {0}")]
    Unreadable(String),
    /// The stream is gone.
    #[error("expected a live connection to {0}, found none")]
    NoFlow(SocketAddr),
}

/// Carries a request's source through the engine, which knows the Via alone; never leaves us.
const SOURCE: &str = "Voicefleet-Source";

/// The longest payload of a datagram over IPv4: 65,535 bytes without the headers of IP and UDP.
const LONGEST_DATAGRAM: usize = 65_507;

/// What the engine holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EngineStats {
    /// Transactions that are not over.
    pub running: usize,
    /// Finished ones that absorb duplicates for 64 × T1.
    pub finished: usize,
}

impl EngineStats {
    /// All that take memory.
    #[must_use]
    pub const fn kept(self) -> usize {
        self.running + self.finished
    }
}

/// The transaction engine.
pub struct Engine {
    inner: EndpointInnerRef,
    incoming: tokio::sync::Mutex<TransactionReceiver>,
    udp: SipConnection,
    /// The address that datagrams leave from.
    local: Option<IpAddr>,
    streams: Mutex<HashMap<Flow, SipConnection>>,
    t1: Duration,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine that sends datagrams by `udp`. `t1` is the round-trip estimate all of SIP's timers hang on (500 ms).
    ///
    /// # Errors
    /// [`EngineError`] where the socket has no address.
    pub async fn new(udp: Arc<UdpSocket>, t1: Duration, agent: &str) -> Result<Arc<Self>, EngineError> {
        let unreadable = |error: rsipstack::Error| EngineError::Unreadable(error.to_string());
        let local = udp.local_addr().ok().map(|at| at.ip());
        let udp = SipConnection::Udp(UdpConnection::from_socket(udp, None, None).await.map_err(unreadable)?);
        let option = EndpointOption {
            t1,
            t2: t1 * 8,
            t4: t1 * 10,
            t1x64: t1 * 64,
            // Ringing is bounded by the caller's own limit; this only has to be longer.
            timerc: Duration::from_secs(300),
            auto_ack_2xx: false,
            ..EndpointOption::default()
        };
        let endpoint = EndpointBuilder::new().with_user_agent(agent).with_option(option).build();
        let incoming = endpoint.incoming_transactions().map_err(unreadable)?;
        Ok(Arc::new(Self {
            inner: endpoint.inner,
            incoming: tokio::sync::Mutex::new(incoming),
            udp,
            local,
            streams: Mutex::default(),
            t1,
        }))
    }

    /// Fires the timers until the task is dropped. To be run by [`rt::spawn`], once.
    pub async fn run_timers(self: Arc<Self>) {
        self.inner.process_timer().await;
    }

    /// What it holds.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        let stats = self.inner.get_stats();
        EngineStats { running: stats.running_transactions, finished: stats.finished_transactions }
    }

    /// Lets transactions use a stream.
    pub async fn attach(&self, flow: Flow, out: mpsc::Sender<Vec<u8>>) {
        #[expect(clippy::disallowed_methods, reason = "the engine's own type wants one; nothing is ever sent by it")]
        let (_unused, incoming) = unbounded();
        let (outgoing, mut queue) = mpsc::channel::<TransportEvent>(STREAM_QUEUE);
        let made = ChannelConnection::create_connection_bounded(incoming, outgoing, address(flow), None).await;
        let Ok(channel) = made else { return };
        self.streams().insert(flow, SipConnection::Channel(channel));
        rt::spawn("sip stream queue", async move {
            while let Some(event) = queue.recv().await {
                // Full: this waits until the stream's own task has written, or closed the stream because the peer does not read.
                if let TransportEvent::Incoming(message, ..) = event
                    && out.send(message.to_bytes()).await.is_err()
                {
                    return;
                }
            }
        });
    }

    /// Forgets a stream.
    pub fn detach(&self, flow: Flow) {
        self.streams().remove(&flow);
    }

    fn streams(&self) -> std::sync::MutexGuard<'_, HashMap<Flow, SipConnection>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self, flow: Flow) -> Result<SipConnection, EngineError> {
        match flow.transport {
            Transport::Udp => Ok(self.udp.clone()),
            Transport::Tcp | Transport::Tls => self.streams().get(&flow).cloned().ok_or(EngineError::NoFlow(flow.peer)),
        }
    }

    /// Does this request belong to a transaction that is kept?
    #[must_use]
    pub fn knows(&self, request: &Message) -> bool {
        let Ok(SipMessage::Request(request)) = read(request) else { return false };
        let key = TransactionKey::from_request(&request, TransactionRole::Server);
        key.is_ok_and(|key| {
            self.inner.transactions.contains_key(&key) || self.inner.finished_transactions.contains_key(&key)
        })
    }

    /// Gives a received message to its transaction, or makes one of it ([`Engine::next`]).
    ///
    /// # Errors
    /// [`EngineError`]: a request may be answered 400.
    pub async fn deliver(&self, message: &Message, flow: Flow) -> Result<(), EngineError> {
        let connection = self.connection(flow)?;
        let message = match message.method() {
            Some(_) => {
                let mut marked = message.clone();
                marked.remove(SOURCE);
                marked.push(SOURCE, &flow.peer.to_string());
                read(&marked)?
            }
            None => read(message)?,
        };
        let given = self.inner.on_received_message(message, connection, &address(flow)).await;
        given.map_err(|error| EngineError::Unreadable(error.to_string()))
    }

    /// The next request that no transaction knew; `None` never, while the engine lives.
    pub async fn next(&self) -> Option<ServerTransaction> {
        loop {
            let transaction = self.incoming.lock().await.recv().await?;
            if let Some(made) = self.server(transaction) {
                return Some(made);
            }
        }
    }

    fn server(&self, mut transaction: Transaction) -> Option<ServerTransaction> {
        let mut request = write(&SipMessage::Request(transaction.original.clone()))?;
        let flow = flow_of(&transaction, &request)?;
        request.remove(SOURCE);
        let (sender, events) = mpsc::channel(EVENTS);
        let over = Arc::new(Notify::new());
        let to_tag = super::super::dialog::random_token(8);
        let respond = Responder {
            sender: transaction.tu_sender.clone(),
            request: request.clone(),
            to_tag,
            finished: false,
            over: Arc::clone(&over),
        };
        // A final response is repeated for 64 × T1; a transaction that outlives that has lost its connection.
        let grace = self.t1 * 80;
        rt::spawn("sip server transaction", async move {
            let events = async {
                while let Some(message) = transaction.receive().await {
                    let SipMessage::Request(request) = message else { continue };
                    let event = match (request.method, write(&SipMessage::Request(request))) {
                        (rsipstack::sip::Method::Cancel, _) => ServerEvent::Cancelled,
                        (_, Some(mut ack)) => {
                            ack.remove(SOURCE);
                            ServerEvent::Ack(Box::new(ack))
                        }
                        (_, None) => continue,
                    };
                    // A reader that is gone wants no events; the transaction lives on to absorb duplicates.
                    let _ = sender.send(event).await;
                }
            };
            let too_long = async {
                over.notified().await;
                rt::sleep(grace).await;
            };
            tokio::select! {
                () = events => {}
                () = too_long => {}
            }
        });
        Some(ServerTransaction { request, flow, respond, events })
    }

    /// Sends a request of ours. Its topmost Via must be ours, with a branch of its own.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn request(&self, message: &Message, flow: Flow) -> Result<ClientTransaction, EngineError> {
        let connection = self.connection(flow)?;
        let SipMessage::Request(request) = read(message)? else {
            return Err(EngineError::Unreadable("a response".to_owned()));
        };
        let unreadable = |error: rsipstack::Error| EngineError::Unreadable(error.to_string());
        let key = TransactionKey::from_request(&request, TransactionRole::Client).map_err(unreadable)?;
        let mut transaction = Transaction::new_client(key, request, Arc::clone(&self.inner), Some(connection));
        transaction.destination = Some(address(flow));
        let (sender, events) = mpsc::channel(EVENTS);
        // The engine takes a datagram that the system refuses for one that was lost on its way, and waits for the answer.
        if flow.transport == Transport::Udp && !self.can_leave(message.to_bytes().len(), flow.peer) {
            tracing::warn!(%flow, "a SIP request is longer than a datagram, or no way leads there; it is not sent");
            let _ = sender.try_send(ClientEvent::Unsent);
            return Ok(ClientTransaction { unsent: false, events });
        }
        rt::spawn("sip client transaction", async move {
            if transaction.send().await.is_err() {
                let _ = sender.send(ClientEvent::Unsent).await;
                return;
            }
            while let Some(message) = transaction.receive().await {
                let SipMessage::Response(response) = message else { continue };
                let is_final = response.status_code.kind() != StatusCodeKind::Provisional;
                let phrase = response.wire_reason.clone();
                let Some(mut message) = write(&SipMessage::Response(response)) else { continue };
                if let (Some(phrase), Start::Response { reason, .. }) = (phrase, &mut message.start) {
                    *reason = phrase;
                }
                // The engine says "timed out" and "not sent" as responses of its own making, which have no Via of a peer's answer.
                let made_here = message.get("User-Agent") == Some(OWN_MARK) || is_own(&message);
                let event = if made_here { ClientEvent::TimedOut } else { ClientEvent::Response(Box::new(message)) };
                let _ = sender.send(event).await;
                if is_final {
                    break;
                }
            }
        });
        Ok(ClientTransaction { unsent: false, events })
    }

    /// Does the system take a datagram of this length for `peer`? Asks without sending anything: a socket is only connected.
    fn can_leave(&self, bytes: usize, peer: SocketAddr) -> bool {
        let local = self.local.filter(|local| local.is_ipv4() == peer.is_ipv4());
        // Without a socket to try it with nothing can be said against it.
        let tried =
            local.and_then(|local| std::net::UdpSocket::bind((local, 0)).ok()).map(|socket| socket.connect(peer));
        bytes <= LONGEST_DATAGRAM && !matches!(tried, Some(Err(_)))
    }
}

/// The agent that the engine writes on responses which it makes itself.
pub(in crate::transport::sip) const OWN_MARK: &str = "Voicefleet";

/// A final response without a To tag where the request had none: only the engine makes those.
fn is_own(message: &Message) -> bool {
    matches!(message.status(), Some(408 | 503))
        && message.get("To").is_some_and(|to| crate::wire::sip::parameter(to, "tag").is_none())
        && message.get("User-Agent") == Some(OWN_MARK)
}

/// Sends responses of one transaction.
pub(super) struct Responder {
    sender: TransactionEventSender,
    request: Message,
    to_tag: String,
    finished: bool,
    over: Arc<Notify>,
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Responder").field("finished", &self.finished).finish_non_exhaustive()
    }
}

impl Responder {
    pub(super) fn send(&mut self, response: &Message) {
        if self.finished {
            return;
        }
        let Ok(SipMessage::Response(made)) = read(response) else {
            tracing::error!(status = response.status(), "a response of ours could not be written");
            return;
        };
        if response.status().is_some_and(|status| status >= 200) {
            self.finished = true;
            self.over.notify_one();
        }
        let _ = self.sender.send(TransactionEvent::Respond(made));
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if !self.finished {
            let response = Message::response(&self.request, 500, "", &self.to_tag);
            self.send(&response);
        }
    }
}

fn read(message: &Message) -> Result<SipMessage, EngineError> {
    let bytes = message.to_bytes();
    SipMessage::try_from(bytes.as_slice()).map_err(|error| EngineError::Unreadable(error.to_string()))
}

fn write(message: &SipMessage) -> Option<Message> {
    Message::parse(&message.to_bytes()).ok()
}

fn address(flow: Flow) -> SipAddr {
    let kind = match flow.transport {
        Transport::Udp => RsTransport::Udp,
        Transport::Tcp => RsTransport::Tcp,
        Transport::Tls => RsTransport::Tls,
    };
    SipAddr::new(kind, HostWithPort::from(flow.peer))
}

/// Where a request came from: a stream's own address, or what it was marked with.
fn flow_of(transaction: &Transaction, request: &Message) -> Option<Flow> {
    if let Some(SipConnection::Channel(channel)) = &transaction.connection {
        let addr = channel.get_addr();
        let transport = if addr.r#type == Some(RsTransport::Tls) { Transport::Tls } else { Transport::Tcp };
        return Some(Flow { transport, peer: addr.get_socketaddr().ok()? });
    }
    Some(Flow { transport: Transport::Udp, peer: request.get(SOURCE)?.parse().ok()? })
}
