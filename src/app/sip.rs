//! The worker as the SIP edge sees it: slots, ports for audio, and the shelf on which a leg's RTP waits for its line. Never speaks
//! SIP.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::host::{FarEnd, Held};
use super::{App, StartError};
use crate::bot::io::BotFolder;
use crate::config::Config;
use crate::rt;
use crate::shard::rtp::{PortRange, RtpLeg, RtpPort, RtpPorts};
use crate::transport::sip::{self, CallRequest, Endpoint, SipLink, SipOpened, TlsSide};
use crate::transport::ws::Refusal;
use crate::trunk::io::TrunkFolder;
use crate::wire::sdp::MediaPlan;

/// RTP that is agreed and waits for its line, by the port's number. Holds a leg for as long as its port lives, at most.
#[derive(Clone, Debug, Default)]
pub struct RtpShelf(Arc<Mutex<HashMap<u64, Result<RtpLeg, String>>>>);

impl RtpShelf {
    fn put(&self, id: u64, leg: Result<RtpLeg, String>) {
        self.legs().insert(id, leg);
    }

    /// The leg of this port, once, or why there is none; `None` where the leg is over already.
    #[must_use]
    pub fn take(&self, id: u64) -> Option<Result<RtpLeg, String>> {
        self.legs().remove(&id)
    }

    fn legs(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Result<RtpLeg, String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ports for the legs of the SIP endpoint.
#[derive(Debug)]
pub struct Ports {
    ports: RtpPorts,
    /// The address that peers are told, where it is not the one that is bound.
    told: Option<IpAddr>,
    shelf: RtpShelf,
    next: AtomicU64,
}

impl Ports {
    pub(super) const fn new(ports: RtpPorts, told: Option<IpAddr>, shelf: RtpShelf) -> Self {
        Self { ports, told, shelf, next: AtomicU64::new(1) }
    }
}

/// The audio of one SIP leg.
#[derive(Debug)]
pub struct Port {
    id: u64,
    port: RtpPort,
    told: Option<IpAddr>,
    shelf: RtpShelf,
}

impl sip::MediaPorts for Ports {
    type Port = Port;

    fn reserve(&self) -> Option<Port> {
        let port = self.ports.reserve()?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        Some(Port { id, port, told: self.told, shelf: self.shelf.clone() })
    }
}

impl sip::MediaPort for Port {
    fn id(&self) -> u64 {
        self.id
    }

    fn local(&self) -> SocketAddr {
        let local = self.port.local();
        SocketAddr::new(self.told.unwrap_or(local.ip()), local.port())
    }

    fn start(&mut self, plan: MediaPlan) {
        match self.port.start(plan) {
            Ok(Some((leg, _))) => self.shelf.put(self.id, Ok(leg)),
            Ok(None) => tracing::error!("a leg's audio was started twice"),
            // The line finds this on the shelf, and the call ends with it.
            Err(error) => self.shelf.put(self.id, Err(format!("a leg's codec cannot be set up: {error}"))),
        }
    }

    fn change(&mut self, plan: MediaPlan) {
        match self.port.change(plan) {
            Ok(true) => {}
            Ok(false) => tracing::warn!("a re-negotiation found no room on the media thread: the peer sends too many"),
            Err(error) => tracing::error!(%error, "a leg's new codec cannot be set up"),
        }
    }

    fn press(&mut self, key: char) -> bool {
        self.port.press(key)
    }

    fn stop(&mut self) {
        drop(self.shelf.take(self.id));
        self.port.stop();
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        drop(self.shelf.take(self.id));
    }
}

/// SIP as this worker speaks it.
#[derive(Debug)]
pub struct SipSide {
    /// Signalling.
    pub(super) endpoint: Endpoint<App, Ports>,
    /// The ports of audio, which calls in and calls out share.
    pub(super) ports: Arc<Ports>,
    /// The task that looks at the trunk files.
    pub(super) watcher: tokio::task::AbortHandle,
}

impl Drop for SipSide {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// Logs the bots that a trunk names and nobody has. A bot may follow its trunk, and other calls need it not: until it is there its own
/// calls get 404, and `voicefleet check` calls it a fault.
fn tell_missing(files: &TrunkFolder, bots: &BotFolder) {
    for fault in files.missing_bots(|bot| bots.get(bot).is_some()) {
        tracing::error!(%fault, "a trunk names a bot that is not there");
    }
}

/// Starts the SIP endpoint where there is a trunk; without one nothing is listened on.
pub(super) async fn listen(app: &Arc<App>, config: &Config) -> Result<Option<Arc<SipSide>>, StartError> {
    let folder = Arc::new(TrunkFolder::open(&config.sip.trunks, rt::stamp()));
    let (book, faults) = (folder.book(), folder.faults());
    if !faults.is_empty() {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        return Err(StartError::Trunks(lines.join("\n")));
    }
    if book.all().next().is_none() {
        return Ok(None);
    }
    tell_missing(&folder, &app.bots);
    let system = |error: String| StartError::System(error);
    let tls = TlsSide::of(&config.sip.tls_cert, &config.sip.tls_key, &config.sip.tls_ca);
    let tls = tls.map_err(|error| system(error.to_string()))?;
    let range = PortRange { ip: config.sip.listen.ip(), first: config.sip.rtp_first, last: config.sip.rtp_last };
    let told = config.sip.advertised_address.trim().parse().ok();
    let ports = if config.sip.rtp_per_shard {
        let shared = app.machinery.shards.share_rtp(range, config.sip.rtp_silence_ms);
        shared.map_err(|error| {
            system(format!("the ports of audio from {} on: {error}; set sip.rtp_first", range.first))
        })?
    } else {
        RtpPorts::new(range, config.sip.rtp_silence_ms)
    };
    let ports = Arc::new(Ports::new(ports, told, app.shelf.clone()));
    let started = Endpoint::start(config.sip.clone(), book, tls, Arc::clone(app), Arc::clone(&ports)).await;
    let endpoint = started.map_err(|error| system(error.to_string()))?;
    let side = Arc::new_cyclic(|side: &Weak<SipSide>| {
        let (side, bots, files) = (Weak::clone(side), Arc::clone(&app.bots), Arc::clone(&folder));
        let taken = move |book| {
            tell_missing(&files, &bots);
            if let Some(side) = side.upgrade() {
                side.endpoint.set_trunks(book);
            }
        };
        SipSide { endpoint, ports, watcher: rt::spawn("trunks", folder.watch(taken)).abort_handle() }
    });
    // Weakly: the endpoint has the worker, so the worker must not have the endpoint.
    let _ = app.sip.set(Arc::downgrade(&side));
    Ok(Some(side))
}

impl sip::Host for App {
    type Slot = Held;

    fn admit(&self, request: &CallRequest<'_>) -> Result<Held, Refusal> {
        self.hold(request.bot)
    }

    fn open(&self, slot: Held, opened: SipOpened) -> SipLink {
        let (link, end) = SipLink::pair();
        let SipOpened { bot: _, trunk, meta, media, .. } = opened;
        self.accept(slot, meta, FarEnd::Sip { end, media: (self.shelf.clone(), media), trunk });
        link
    }
}
