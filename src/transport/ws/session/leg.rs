//! A session's side of an opened call: facts out, orders in, the caller's audio into the media line. Tells exactly one last fact,
//! whatever happens to the session.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use crate::call::{LegFact, LegLoss, LegOrder};
use crate::rt;
use crate::shard::LegPort;
use crate::transport::ws::audio;
use crate::transport::ws::counters::{LegReport, SessionCounters};
use crate::transport::ws::host::LegLink;
use crate::wire::ws::AudioFormat;

/// How long a fact waits for a driver that is busy.
const FACT_WAIT: Duration = Duration::from_secs(1);

/// An opened call's leg.
pub(super) struct Leg {
    facts: mpsc::Sender<LegFact>,
    ended: bool,
    pub(super) orders: mpsc::Receiver<LegOrder>,
    pub(super) orders_open: bool,
    pub(super) port_to_come: oneshot::Receiver<LegPort>,
    pub(super) port_awaited: bool,
    pub(super) port: Option<LegPort>,
    pub(super) wake: Arc<Notify>,
    report: Option<oneshot::Sender<LegReport>>,
    /// The caller's audio from before the port came, at most one second.
    held: Vec<i16>,
    samples: Vec<i16>,
}

impl Leg {
    pub(super) fn new(link: LegLink) -> Self {
        Self {
            facts: link.facts,
            ended: false,
            orders: link.orders,
            orders_open: true,
            port_to_come: link.port,
            port_awaited: true,
            port: None,
            wake: Arc::new(Notify::new()),
            report: Some(link.report),
            held: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Takes the media line; what the caller said before it goes in first.
    pub(super) fn take_port(&mut self, port: Option<LegPort>, counters: &mut SessionCounters) {
        self.port_awaited = false;
        let Some(mut port) = port else { return };
        self.wake = port.wake();
        let taken = port.caller_audio(&self.held);
        counters.line_full += (self.held.len() - taken) as u64;
        self.held = Vec::new();
        self.port = Some(port);
    }

    /// The caller's audio, to the line or kept for it. Full: the line drops the newest, the keep drops the oldest.
    pub(super) fn caller_audio(&mut self, format: AudioFormat, bytes: &[u8], counters: &mut SessionCounters) {
        self.samples.clear();
        audio::decode(format.encoding, bytes, &mut self.samples);
        counters.samples_in += self.samples.len() as u64;
        if let Some(port) = &mut self.port {
            let taken = port.caller_audio(&self.samples);
            counters.line_full += (self.samples.len() - taken) as u64;
        } else if self.port_awaited {
            self.held.extend_from_slice(&self.samples);
            let beyond = self.held.len().saturating_sub(format.rate.hz() as usize);
            self.held.drain(..beyond);
            counters.held_dropped += beyond as u64;
        }
    }

    /// Tells a fact, waiting for room a second at most. A driver that is gone is noticed by its orders.
    pub(super) async fn tell(&mut self, fact: LegFact) {
        let _ = rt::timeout(FACT_WAIT, self.facts.send(fact)).await;
    }

    /// Tells a fact where there is room now.
    pub(super) fn tell_if_room(&mut self, fact: LegFact) -> bool {
        self.facts.try_send(fact).is_ok()
    }

    /// Tells the last fact.
    pub(super) async fn end(&mut self, fact: LegFact) {
        self.ended = true;
        self.tell(fact).await;
    }

    /// Gives the session's counts to the driver, if it still wants them.
    pub(super) fn report(mut self, report: LegReport) {
        if let Some(to) = self.report.take() {
            let _ = to.send(report);
        }
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.facts.try_send(LegFact::Lost(LegLoss::Internal));
        }
    }
}
