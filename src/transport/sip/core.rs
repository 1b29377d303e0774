//! What every leg of an endpoint shares: engine, sockets, the table of dialogs, caps. A dialog has one owner, and its row goes with
//! the owner's guard.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::config::SipConfig;
use super::dialog::{Dialog, DialogKey, Place, Way};
use super::flow::{Flow, Flows, Whose};
use super::gate::{Places, Rates};
use super::health::Pulses;
use super::stack::{ClientTransaction, Engine, ServerTransaction};
use crate::rt;
use crate::wire::sip::{CSeq, Message, parameter};

/// Requests of the peer that wait for a leg. Full: the request gets 500 with Retry-After.
const REQUESTS: usize = 16;

/// Counts of an endpoint since its start.
#[derive(Debug, Default)]
pub struct SipCounters {
    /// Messages that were none or could not be answered.
    pub unreadable: AtomicU64,
    /// Requests refused without a transaction, by a fault of their own.
    pub faulty: AtomicU64,
    /// Messages of strangers that were dropped or refused.
    pub strangers: AtomicU64,
    /// Requests answered in passing because too many transactions are kept.
    pub crowded: AtomicU64,
    /// INVITEs refused because of a cap.
    pub refused: AtomicU64,
    /// Calls that were opened, both directions.
    pub calls: AtomicU64,
}

impl SipCounters {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What every leg shares.
#[derive(Debug)]
pub(super) struct Core {
    pub engine: Arc<Engine>,
    pub flows: Arc<Flows>,
    pub config: SipConfig,
    pub place: Place,
    /// Who is asked for SRV records.
    pub resolver: Option<std::net::SocketAddr>,
    /// What was said last.
    pub known: super::resolve::Known,
    pub dialogs: Mutex<HashMap<DialogKey, Row>>,
    pub rates: Rates,
    pub pending: Places,
    /// Calls per trunk.
    pub channels: Mutex<HashMap<String, Places>>,
    pub counters: Arc<SipCounters>,
    /// Calls that came, as their senders name them.
    pub origins: Mutex<HashSet<Origin>>,
    /// Which addresses of trunks answer.
    pub pulses: Pulses,
}

/// One dialog's row.
#[derive(Debug)]
pub(super) struct Row {
    /// The trunk that its call came or went by.
    trunk: String,
    requests: mpsc::Sender<ServerTransaction>,
    /// Our acknowledgement of the peer's 2xx, for when that comes again: its remote tag, number, bytes and way.
    ack: Option<(String, u32, Vec<u8>, Flow)>,
    /// An INVITE of ours that more than one phone may answer.
    forked: Option<Forked>,
}

/// What ends the answers of further phones.
#[derive(Debug)]
struct Forked {
    invite: Message,
    /// The highest number that was used before the answer.
    number: u32,
    /// Who else answered: the tag, and our acknowledgement.
    others: Vec<(String, Vec<u8>)>,
}

/// Phones that may answer a call that is answered already; more are left to give up by themselves.
const FORKS: usize = 16;

/// What stays the same of a request on whichever way it comes (RFC 3261 section 8.2.2.2): Call-ID, From tag, number.
pub(super) type Origin = (String, String, u32);

/// A call that came lives: the same one on another way is a copy.
#[derive(Debug)]
pub(super) struct Originated {
    core: Arc<Core>,
    origin: Origin,
}

impl Drop for Originated {
    fn drop(&mut self) {
        self.core.known_origins().remove(&self.origin);
    }
}

/// Takes the row away when its owner is gone.
#[derive(Debug)]
pub(super) struct Registered {
    core: Arc<Core>,
    key: DialogKey,
}

impl Registered {
    /// The dialog's name.
    pub const fn key(&self) -> &DialogKey {
        &self.key
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.core.rows().remove(&self.key);
    }
}

impl Core {
    pub fn rows(&self) -> std::sync::MutexGuard<'_, HashMap<DialogKey, Row>> {
        self.dialogs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_origins(&self) -> std::sync::MutexGuard<'_, HashSet<Origin>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call comes; `None` where it came already by another way, and lives.
    pub fn originate(self: &Arc<Self>, invite: &Message) -> Option<Originated> {
        let tag = parameter(invite.get("From").unwrap_or_default(), "tag").unwrap_or_default();
        let number = invite.get("CSeq").and_then(CSeq::parse).map_or(0, |cseq| cseq.number);
        let origin = (invite.get("Call-ID").unwrap_or_default().to_owned(), tag.to_owned(), number);
        let new = self.known_origins().insert(origin.clone());
        new.then(|| Originated { core: Arc::clone(self), origin })
    }

    /// Makes the row of a dialog, and the queue of the peer's requests in it.
    pub fn register(self: &Arc<Self>, key: &DialogKey, trunk: &str) -> (Registered, mpsc::Receiver<ServerTransaction>) {
        let (requests, queue) = mpsc::channel(REQUESTS);
        self.rows().insert(key.clone(), Row { trunk: trunk.to_owned(), requests, ack: None, forked: None });
        (Registered { core: Arc::clone(self), key: key.clone() }, queue)
    }

    /// Gives a request to its dialog.
    ///
    /// # Errors
    /// The request, where the dialog is unknown or does not read.
    pub fn hand_over(&self, key: &DialogKey, request: ServerTransaction) -> Result<(), Box<(u16, ServerTransaction)>> {
        let sender = self.rows().get(key).map(|row| row.requests.clone());
        match sender {
            None => Err(Box::new((481, request))),
            Some(sender) => sender.try_send(request).map_err(|error| match error {
                mpsc::error::TrySendError::Full(request) => Box::new((500, request)),
                mpsc::error::TrySendError::Closed(request) => Box::new((481, request)),
            }),
        }
    }

    /// Is there such a dialog, of a call on this trunk?
    pub fn has(&self, key: &DialogKey, trunk: &str) -> bool {
        self.rows().get(key).is_some_and(|row| row.trunk == trunk)
    }

    /// Remembers our ACK and sends it.
    pub fn acknowledge(&self, key: &DialogKey, remote_tag: &str, number: u32, ack: &Message, flow: Flow) {
        let bytes = ack.to_bytes();
        if let Some(row) = self.rows().get_mut(key) {
            row.ack = Some((remote_tag.to_owned(), number, bytes.clone(), flow));
        }
        if let Err(error) = self.flows.send(flow, bytes) {
            tracing::warn!(%flow, %error, "an ACK could not be sent; it is repeated when the answer is");
        }
    }

    /// Further phones may answer `invite`: they are acknowledged and hung up (RFC 3261 section 13.2.2.4).
    pub fn expect_forks(&self, key: &DialogKey, invite: &Message, number: u32) {
        if let Some(row) = self.rows().get_mut(key) {
            row.forked = Some(Forked { invite: invite.clone(), number, others: Vec::new() });
        }
    }

    /// Sends our ACK again where `response` is a 2xx that was acknowledged before; ends the answer of another phone of a call that one
    /// has answered already.
    pub fn acknowledge_again(self: &Arc<Self>, response: &Message, flow: Flow) -> bool {
        let known = (|| {
            let cseq = CSeq::parse(response.get("CSeq")?)?;
            if cseq.method != "INVITE" || !response.status().is_some_and(|status| (200..300).contains(&status)) {
                return None;
            }
            let local_tag = parameter(response.get("From")?, "tag")?.to_owned();
            let theirs = parameter(response.get("To")?, "tag")?;
            let key = DialogKey { call_id: response.get("Call-ID")?.to_owned(), local_tag };
            let mut rows = self.rows();
            let row = rows.get_mut(&key)?;
            let (tag, number, bytes, way) = row.ack.as_ref()?;
            if tag == theirs {
                return (*number == cseq.number).then(|| (bytes.clone(), *way, None));
            }
            let forked = row.forked.as_mut()?;
            let invited = CSeq::parse(forked.invite.get("CSeq")?)?;
            if invited.number != cseq.number {
                return None;
            }
            let mut dialog = Dialog::calling(&forked.invite, response, flow, &self.place);
            let way = dialog.way();
            if let Some((_, bytes)) = forked.others.iter().find(|(tag, _)| tag == theirs) {
                return Some((bytes.clone(), way, None));
            }
            if forked.others.len() >= FORKS {
                return None;
            }
            let bytes = dialog.ack(&forked.invite).to_bytes();
            forked.others.push((theirs.to_owned(), bytes.clone()));
            dialog.local_number = forked.number;
            Some((bytes, way, Some(dialog)))
        })();
        let Some((bytes, way, another)) = known else { return false };
        let sent = self.flows.send(way, bytes).is_ok();
        if let Some(dialog) = another {
            self.end_fork(dialog);
        }
        sent
    }

    /// Hangs up on a phone that answered too late.
    fn end_fork(self: &Arc<Self>, mut dialog: Dialog) {
        let bye = dialog.request("BYE");
        let core = Arc::clone(self);
        rt::spawn("sip fork", async move {
            let limit = std::time::Duration::from_millis(core.config.hang_up_ms);
            if let Some(mut transaction) = core.send(&bye, &dialog.towards()).await {
                let _ = rt::timeout(limit, transaction.last()).await;
            }
        });
    }

    /// A channel of a trunk.
    pub fn channel(&self, trunk: &str, most: u32) -> Option<super::gate::Place> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.entry(trunk.to_owned()).or_default().take(most)
    }

    /// Sends a request of ours to the other end of a call, dialling where a stream is gone.
    pub async fn send(&self, request: &Message, way: &Way) -> Option<ClientTransaction> {
        let mut flow = way.flow;
        // A connection that came and is gone came from a port of the moment. It is made anew to where the peer says that it is.
        if !self.flows.lives(flow)
            && !self.flows.is_known(flow)
            && let Some(named) = way.named().await
        {
            flow = named;
        }
        self.send_as(request, flow, &way.host, Whose::Peer).await
    }

    /// Sends a request of ours to a target of a trunk, which must prove the name that the trunk's file gives it.
    pub async fn send_to_target(&self, request: &Message, flow: Flow, name: &str) -> Option<ClientTransaction> {
        self.send_as(request, flow, name, Whose::Target).await
    }

    async fn send_as(&self, request: &Message, flow: Flow, name: &str, whose: Whose) -> Option<ClientTransaction> {
        if let Err(error) = self.flows.ready(flow, name, whose).await {
            tracing::warn!(%flow, %error, "a SIP request could not be sent");
            return None;
        }
        self.engine.request(request, flow).map_err(|error| tracing::warn!(%flow, %error, "a SIP request failed")).ok()
    }
}
