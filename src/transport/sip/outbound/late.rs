//! Tries that are given up: CANCEL (RFC 3261 section 9), and what is answered all the same is acknowledged and ended, so that nobody is
//! left on an open line.

use std::sync::Arc;
use std::time::Duration;

use super::{GaveUp, Placing, Tried};
use crate::rt;
use crate::transport::sip::core::Core;
use crate::transport::sip::dialog::Dialog;
use crate::transport::sip::flow::Flow;
use crate::transport::sip::host::MediaPort;
use crate::transport::sip::stack::{ClientEvent, ClientTransaction};
use crate::wire::sip::{CSeq, Message};

/// How often a CANCEL is sent that nothing comes of.
pub(super) const CANCELS: u8 = 7;

impl<P: MediaPort> Placing<P> {
    /// Ends a call that is not answered yet. A 200 that crosses the CANCEL is acknowledged and ended.
    pub(super) async fn cancel(
        &mut self,
        invite: &Message,
        flow: Flow,
        mut transaction: ClientTransaction,
        provisional: bool,
        why: GaveUp,
    ) -> Tried {
        let bytes = cancel_of(invite).to_bytes();
        let t1 = Duration::from_millis(self.core.config.t1_ms);
        // Without a provisional answer a CANCEL may overtake the INVITE (RFC 3261 section 9.1): wait for a sign first.
        let mut may_send = provisional;
        let mut wait = t1;
        for _ in 0..CANCELS {
            if may_send {
                self.note(true, "CANCEL");
                let _ = self.core.flows.send(flow, bytes.clone());
            }
            match rt::timeout(wait, transaction.next()).await {
                Some(Some(ClientEvent::Response(response))) => {
                    may_send = true;
                    let status = response.status().unwrap_or(0);
                    if status < 200 {
                        if status > 100 {
                            self.report.ring(rt::now());
                        }
                        continue;
                    }
                    self.note(false, &status.to_string());
                    self.report.status = status;
                    if status < 300 {
                        self.late(invite, flow).end(&response).await;
                    }
                    return Tried::GivenUp(why);
                }
                Some(_) => return Tried::GivenUp(why),
                None => wait = (wait * 2).min(t1 * 8),
            }
        }
        // Nothing final in all that time; an answer may still come, and whoever answers must not be left on an open line.
        self.abandon(invite, flow, transaction, may_send, if may_send { 0 } else { CANCELS });
        Tried::GivenUp(why)
    }

    /// Leaves a try behind that may yet be answered: a task of its own ends what comes late, and cancels so many times, from the first
    /// sign of life on (RFC 3261 section 9.1), which came where it is `alive`. It lasts as long as the transaction, bounded by the ring
    /// time.
    pub(super) fn abandon(
        &self,
        invite: &Message,
        flow: Flow,
        transaction: ClientTransaction,
        alive: bool,
        cancels: u8,
    ) {
        let limit = Duration::from_millis(self.trunk.outbound.ring_ms + self.core.config.t1_ms * 64);
        let late = self.late(invite, flow);
        rt::spawn("sip late answer", async move {
            let _ = rt::timeout(limit, late.run(transaction, alive, cancels)).await;
        });
    }

    /// What ends an answer that nobody wants any more.
    pub(super) fn late(&self, invite: &Message, flow: Flow) -> Late {
        Late { core: Arc::clone(&self.core), invite: invite.clone(), flow, number: self.number }
    }
}

/// The CANCEL of an INVITE (RFC 3261 section 9.1).
fn cancel_of(invite: &Message) -> Message {
    let mut cancel = Message::request("CANCEL", invite.uri().unwrap_or_default());
    for name in ["Via", "Max-Forwards", "From", "To", "Call-ID", "Route"] {
        if let Some(value) = invite.get(name) {
            cancel.push(name, value);
        }
    }
    let number = CSeq::parse(invite.get("CSeq").unwrap_or_default()).map_or(1, |cseq| cseq.number);
    cancel.push("CSeq", &format!("{number} CANCEL"));
    cancel.push("Reason", "Q.850;cause=16;text=\"Normal call clearing\"");
    cancel
}

/// A try that nobody waits for any more, until it is certain that it leaves no open line behind.
pub(super) struct Late {
    core: Arc<Core>,
    invite: Message,
    flow: Flow,
    /// The last number that any request of ours had: of a PRACK, it is above the INVITE's.
    number: u32,
}

impl Late {
    async fn run(&self, mut transaction: ClientTransaction, mut alive: bool, mut cancels: u8) {
        let t1 = Duration::from_millis(self.core.config.t1_ms);
        let mut wait = t1;
        loop {
            let event = if alive && cancels > 0 {
                cancels -= 1;
                let _ = self.core.flows.send(self.flow, cancel_of(&self.invite).to_bytes());
                let Some(event) = rt::timeout(wait, transaction.next()).await else {
                    wait = (wait * 2).min(t1 * 8);
                    continue;
                };
                event
            } else {
                transaction.next().await
            };
            let Some(ClientEvent::Response(response)) = event else { return };
            match response.status().unwrap_or(0) {
                ..200 => alive = true,
                200..300 => return self.end(&response).await,
                _ => return,
            }
        }
    }

    /// ACK and BYE.
    pub(super) async fn end(&self, response: &Message) {
        let mut dialog = Dialog::calling(&self.invite, response, self.flow, &self.core.place);
        let ack = dialog.ack(&self.invite);
        let _ = self.core.flows.send(dialog.way(), ack.to_bytes());
        dialog.local_number = dialog.local_number.max(self.number);
        let bye = dialog.request("BYE");
        if let Some(mut transaction) = self.core.send(&bye, &dialog.towards()).await {
            let _ = rt::timeout(Duration::from_millis(self.core.config.hang_up_ms), transaction.last()).await;
        }
    }
}
