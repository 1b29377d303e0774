//! What the SIP endpoint needs from the application: admission and the start of a call's driver, and a port for its audio. The channels
//! between one leg and its driver. No method may wait.
//!
//! The life of an inbound leg, as the application sees it:
//! 1. [`Host::admit`] when an INVITE passed its trunk's checks: take a slot or refuse (404, 480, 503).
//! 2. [`MediaPorts::reserve`]: a local port for the audio, or 503.
//! 3. [`Host::open`]: a call exists and will get a result, whatever follows. Make a [`SipLink::pair`], start the driver with the
//!    [`SipEnd`], give back the [`SipLink`].
//! 4. Facts: `Started{rate}` with the answer agreed (after [`MediaPort::start`]), then `Answered` (with `inbound.early_media` both as soon
//!    as early media can be heard, and nothing more with the 200), digits of SIP INFO among them, at last
//!    exactly one of `HungUp` or `Lost`; then the channel closes. Either of the last two may come at any point. A cancelled call ends
//!    in `HungUp` without `Answered`.
//! 5. Holds and codec changes reach the audio alone, by [`MediaPort::change`]; the port stops with the leg, however that ends.
//! 6. Orders: `HangUp` sends BYE (before the answer 480) and ends in `HungUp`; `Transfer` sends REFER and ends in `HungUp{by: "transfer"}`
//!    when the far end took over, or `TransferFailed` says that it did not and the call goes on; `Close` and dropping the sender end
//!    at once. `Keys` presses keys as the trunk's `media.dtmf` has it. `Ready` does nothing.
//! 7. After the last fact the leg sends its [`SipReport`].
//!
//! An outbound leg begins with [`super::Endpoint::place_call`] and goes on the same way; it is the application that holds slot and
//! port before that.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, mpsc, oneshot};

use super::Flow;
use crate::call::{LegFact, LegMeta, LegOrder};
pub use crate::transport::ws::Refusal;
use crate::units::{BotId, Moment};
use crate::wire::sdp::MediaPlan;

/// Facts on their way to the driver. Full: a digit is dropped and counted; the others wait for at most 1 s.
const FACTS: usize = 64;
/// Orders on their way to the leg. Full: the driver waits.
const ORDERS: usize = 16;
/// Most rows of a ladder; later ones are counted only.
const LADDER: usize = 64;

/// An INVITE that passed its trunk's checks.
#[derive(Clone, Debug)]
pub struct CallRequest<'a> {
    /// The bot that the trunk routes it to.
    pub bot: &'a BotId,
    /// The trunk's id.
    pub trunk: &'a str,
    /// Where it comes from.
    pub peer: SocketAddr,
}

/// A call that came by SIP.
#[derive(Clone, Debug)]
pub struct SipOpened {
    /// The bot.
    pub bot: BotId,
    /// The trunk's id.
    pub trunk: String,
    /// What the INVITE said.
    pub meta: LegMeta,
    /// The way to the peer.
    pub flow: Flow,
    /// SIP's own name for the call.
    pub sip_call_id: String,
    /// [`MediaPort::id`] of its audio.
    pub media: u64,
}

/// The application, as the SIP edge sees it.
pub trait Host: Send + Sync + 'static {
    /// A held call slot; dropping it gives it back.
    type Slot: Send + 'static;

    /// Takes a slot for a call with this bot.
    ///
    /// # Errors
    /// [`Refusal`]: the INVITE is refused with its status.
    fn admit(&self, request: &CallRequest<'_>) -> Result<Self::Slot, Refusal>;

    /// Starts the driver of a call.
    fn open(&self, slot: Self::Slot, opened: SipOpened) -> SipLink;
}

/// Ports for audio.
pub trait MediaPorts: Send + Sync + 'static {
    /// One port; dropping it stops and frees it.
    type Port: MediaPort;

    /// Takes a port; `None` when all are taken: 503.
    fn reserve(&self) -> Option<Self::Port>;
}

/// The audio of one leg. The port stays the same for the leg's whole life.
pub trait MediaPort: Send + 'static {
    /// Names it towards the application.
    fn id(&self) -> u64;

    /// Where the peer is to send, as it is told.
    fn local(&self) -> SocketAddr;

    /// Audio may flow.
    fn start(&mut self, plan: MediaPlan);

    /// Hold, resume, another codec or address. The stream to the peer keeps its numbers and clock.
    fn change(&mut self, plan: MediaPlan);

    /// Presses a key behind those that wait: as an RTP event where that is agreed, else as a tone. `false`: no room, or no key.
    fn press(&mut self, key: char) -> bool;

    /// The leg is over.
    fn stop(&mut self);
}

/// One row of a call's ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LadderRow {
    /// When.
    pub at: Moment,
    /// We sent it.
    pub sent: bool,
    /// Method or status with its phrase; no address, no number.
    pub what: String,
}

/// What SIP knows of a leg when it is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SipReport {
    /// The final status of the INVITE; 0 where none came.
    pub status: u16,
    /// Its phrase, as it stood.
    pub reason: String,
    /// Q.850 cause of the message that ended the call (RFC 3326).
    pub cause: Option<u8>,
    /// The call rang before it ended.
    pub rang: bool,
    /// The first response above 100 came or went.
    pub rang_at: Option<Moment>,
    /// Audio was agreed before the answer.
    pub early_at: Option<Moment>,
    /// The 2xx came or went.
    pub answered_at: Option<Moment>,
    /// Messages in their order.
    pub ladder: Vec<LadderRow>,
    /// Rows beyond the ladder's length.
    pub ladder_cut: u32,
    /// Facts dropped because the driver did not read.
    pub facts_dropped: u32,
    /// Transfers that the far end refused or that had no outcome in time.
    pub transfers_failed: u32,
}

impl SipReport {
    /// Notes a message, here and for whoever follows the call.
    pub(super) fn note(&mut self, row: LadderRow, live: &LiveLadder) {
        if self.ladder.len() < LADDER {
            live.push(row.clone());
            self.ladder.push(row);
        } else {
            self.ladder_cut += 1;
        }
    }

    /// It rings, or more.
    pub(super) fn ring(&mut self, now: Moment) {
        self.rang = true;
        self.rang_at.get_or_insert(now);
    }
}

/// A leg's messages as they pass, for whoever keeps them while the call lasts; as long as the report's own ladder.
#[derive(Clone, Debug, Default)]
pub struct LiveLadder(Arc<(Mutex<Vec<LadderRow>>, Notify)>);

impl LiveLadder {
    fn push(&self, row: LadderRow) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).push(row);
        self.0.1.notify_one();
    }

    /// The rows behind the first `known`.
    #[must_use]
    pub fn behind(&self, known: usize) -> Vec<LadderRow> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).get(known..).unwrap_or_default().to_vec()
    }

    /// Waits until there may be more; for one who waits.
    pub async fn grown(&self) {
        self.0.1.notified().await;
    }
}

/// A leg's end of the channels to its driver.
#[derive(Debug)]
pub struct SipLink {
    pub(super) facts: mpsc::Sender<LegFact>,
    pub(super) orders: mpsc::Receiver<LegOrder>,
    pub(super) report: oneshot::Sender<SipReport>,
    pub(super) ladder: LiveLadder,
}

/// The driver's end of the channels to its leg.
#[derive(Debug)]
pub struct SipEnd {
    /// What happens on the leg; closed after the last fact.
    pub facts: mpsc::Receiver<LegFact>,
    /// What the leg is to do.
    pub orders: mpsc::Sender<LegOrder>,
    /// What SIP knew; comes after the last fact.
    pub report: oneshot::Receiver<SipReport>,
    /// Messages as they pass.
    pub ladder: LiveLadder,
}

impl SipLink {
    /// The channels of one leg.
    #[must_use]
    pub fn pair() -> (Self, SipEnd) {
        let (facts, facts_end) = mpsc::channel(FACTS);
        let (orders_end, orders) = mpsc::channel(ORDERS);
        let (report, report_end) = oneshot::channel();
        let ladder = LiveLadder::default();
        let end = SipEnd { facts: facts_end, orders: orders_end, report: report_end, ladder: ladder.clone() };
        (Self { facts, orders, report, ladder }, end)
    }
}
