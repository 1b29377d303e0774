//! What the WebSocket edge needs from the application, and the channels between one session and the task that drives its call.
//!
//! The life of a leg, as the application sees it:
//! 1. [`Host::admit`] before the HTTP upgrade: take a slot or refuse. The slot is dropped if no call comes of it (10 s at most).
//! 2. [`Host::open`] at the first valid `connected`: a call exists. Make a [`LegLink::pair`], start the driver with the
//!    [`LegEnd`], give back the [`LegLink`].
//! 3. Facts arrive in this order: `Started{rate}`, then `Answered`, with digits and marks among them, at last exactly one of `HungUp` or
//!    `Lost`; then the channel closes. Either of the last two may come at any point.
//! 4. On `Started` the driver makes the media line and sends its [`LegPort`]. Audio that came before is kept up to 1 s (the oldest is
//!    dropped) and then put in.
//! 5. The driver sends orders. `HangUp` ends in the peer's `HungUp`, or after 2 s in `Lost(Closed)`. `Close` ends at once. Dropping the
//!    orders' sender closes with 1011.
//! 6. After the last fact the session sends its [`LegReport`].

use std::net::SocketAddr;

use tokio::sync::{mpsc, oneshot};

use crate::call::{LegFact, LegMeta, LegOrder};
use crate::shard::LegPort;
use crate::units::BotId;

use super::LegReport;
use super::flood::MOST_ASKED;

/// Facts on their way to the driver: every mark that may be open, answered at once, and 64 others. Full: a digit or mark is dropped
/// and counted; the others wait for at most 1 s.
const FACTS: usize = MOST_ASKED as usize + 64;
/// Orders on their way to the session. Full: the driver waits.
const ORDERS: usize = 16;

/// A request to open a media socket, its token already checked.
#[derive(Clone, Debug)]
pub struct UpgradeRequest<'a> {
    /// The bot of the path.
    pub bot: &'a BotId,
    /// The dialect of the path.
    pub dialect: &'static str,
    /// Where it comes from, where that is known.
    pub peer: Option<SocketAddr>,
}

/// Why a socket is not upgraded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No such bot: 404, or 401 where a token is required.
    UnknownBot,
    /// No free slot: 503.
    Full {
        /// For `Retry-After`.
        retry_after_s: u32,
    },
    /// The worker takes no new calls: 503.
    Draining,
    /// The worker takes no calls yet: 503.
    Starting,
    /// The bot is outside its active hours: 503.
    OutsideHours {
        /// For `Retry-After`.
        retry_after_s: u32,
    },
}

/// A call that a dialler opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The bot of the path.
    pub bot: BotId,
    /// What the dialler said of the call.
    pub meta: LegMeta,
    /// The dialect spoken.
    pub dialect: &'static str,
    /// Where the dialler is, where that is known.
    pub peer: Option<SocketAddr>,
}

/// The application, as the WebSocket edge sees it. Neither method may wait.
pub trait Host: Send + Sync + 'static {
    /// A held call slot; dropping it gives it back.
    type Slot: Send + 'static;

    /// Takes a slot for a call with this bot.
    ///
    /// # Errors
    /// [`Refusal`]: the upgrade is refused with its status.
    fn admit(&self, request: &UpgradeRequest<'_>) -> Result<Self::Slot, Refusal>;

    /// Starts the driver of a call.
    fn open(&self, slot: Self::Slot, opened: Opened) -> LegLink;
}

/// A session's end of the channels to its driver.
#[derive(Debug)]
pub struct LegLink {
    pub(super) facts: mpsc::Sender<LegFact>,
    pub(super) orders: mpsc::Receiver<LegOrder>,
    pub(super) port: oneshot::Receiver<LegPort>,
    pub(super) report: oneshot::Sender<LegReport>,
}

/// The driver's end of the channels to its session.
#[derive(Debug)]
pub struct LegEnd {
    /// What happens on the leg; closed after the last fact.
    pub facts: mpsc::Receiver<LegFact>,
    /// What the leg is to do.
    pub orders: mpsc::Sender<LegOrder>,
    /// Takes the media line's port, once, after `Started`.
    pub port: oneshot::Sender<LegPort>,
    /// What the session counted; comes after the last fact.
    pub report: oneshot::Receiver<LegReport>,
}

impl LegLink {
    /// The channels of one leg.
    #[must_use]
    pub fn pair() -> (Self, LegEnd) {
        let (facts, facts_end) = mpsc::channel(FACTS);
        let (orders_end, orders) = mpsc::channel(ORDERS);
        let (port_end, port) = oneshot::channel();
        let (report, report_end) = oneshot::channel();
        let link = Self { facts, orders, port, report };
        (link, LegEnd { facts: facts_end, orders: orders_end, port: port_end, report: report_end })
    }
}
