//! What every leg of an endpoint shares: engine, sockets, the table of dialogs, caps. A dialog has one owner, and its row goes with
//! the owner's guard.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::config::SipConfig;
use super::dialog::{DialogKey, Place};
use super::flow::{Flow, Flows};
use super::gate::{Places, Rates};
use super::health::Pulses;
use super::stack::{ClientTransaction, Engine, ServerTransaction};
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
    pub dialogs: Mutex<HashMap<DialogKey, Row>>,
    pub rates: Rates,
    pub pending: Places,
    /// Calls per trunk.
    pub channels: Mutex<HashMap<String, Places>>,
    pub counters: Arc<SipCounters>,
    /// Which addresses of trunks answer.
    pub pulses: Pulses,
}

/// One dialog's row.
#[derive(Debug)]
pub(super) struct Row {
    requests: mpsc::Sender<ServerTransaction>,
    /// Our acknowledgement of the peer's 2xx, for when that comes again: its remote tag, number, bytes and way.
    ack: Option<(String, u32, Vec<u8>, Flow)>,
}

/// Takes the row away when its owner is gone.
#[derive(Debug)]
pub(super) struct Registered {
    core: Arc<Core>,
    key: DialogKey,
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

    /// Makes the row of a dialog, and the queue of the peer's requests in it.
    pub fn register(self: &Arc<Self>, key: &DialogKey) -> (Registered, mpsc::Receiver<ServerTransaction>) {
        let (requests, queue) = mpsc::channel(REQUESTS);
        self.rows().insert(key.clone(), Row { requests, ack: None });
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

    /// Sends our ACK again where `response` is a 2xx that was acknowledged before.
    pub fn acknowledge_again(&self, response: &Message) -> bool {
        let known = (|| {
            let cseq = CSeq::parse(response.get("CSeq")?)?;
            if cseq.method != "INVITE" || !response.status().is_some_and(|status| (200..300).contains(&status)) {
                return None;
            }
            let local_tag = parameter(response.get("From")?, "tag")?.to_owned();
            let key = DialogKey { call_id: response.get("Call-ID")?.to_owned(), local_tag };
            let rows = self.rows();
            let (tag, number, bytes, flow) = rows.get(&key)?.ack.as_ref()?;
            let same = *number == cseq.number && parameter(response.get("To")?, "tag") == Some(tag.as_str());
            same.then(|| (bytes.clone(), *flow))
        })();
        known.is_some_and(|(bytes, flow)| self.flows.send(flow, bytes).is_ok())
    }

    /// A channel of a trunk.
    pub fn channel(&self, trunk: &str, most: u32) -> Option<super::gate::Place> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.entry(trunk.to_owned()).or_default().take(most)
    }

    /// Sends a request of ours, dialling where a stream is gone.
    pub async fn send(&self, request: &Message, flow: Flow, name: &str) -> Option<ClientTransaction> {
        if let Err(error) = self.flows.ready(flow, name).await {
            tracing::warn!(%flow, %error, "a SIP request could not be sent");
            return None;
        }
        self.engine.request(request, flow).map_err(|error| tracing::warn!(%flow, %error, "a SIP request failed")).ok()
    }
}
