//! Calls that we place: INVITE to a trunk's addresses in order, challenges answered, early media taken, the ring time-out kept, a late
//! 200 after our CANCEL ended. The next address is tried only where nobody can have been rung; those that are down come last.

mod early;
mod followed;
mod invite;
mod late;
mod updated;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::admission::negotiator;
use super::core::{Core, Registered, SipCounters};
use super::dialog::{Dialog, DialogKey, random_token};
use super::endpoint::Endpoint;
use super::flow::{Called, Flow, Transport};
use super::gate::{Place, Rate, Source};
use super::health::Way;
use super::host::{Host, LadderRow, MediaPort, MediaPorts, SipLink, SipReport};
use super::leg::{CHALLENGES, Leg, Parts, allows, authorise, cause_of};
use super::stack::{ClientEvent, ServerTransaction};
use super::timer;
use crate::call::{EndReason, LegFact, LegOrder};
use crate::rt;
use crate::trunk::{SipStage, Trunk, outcome};
use crate::units::Moment;
use crate::wire::sdp::{MediaPlan, Negotiator};
use crate::wire::sip::{Message, session_description};

use early::Fork;
pub(super) use followed::{Following, Taken, follow};
use late::CANCELS;

/// A call to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundCall {
    /// The trunk's id.
    pub trunk: String,
    /// The number to call, E.164 with plus.
    pub to: String,
    /// The caller ID; empty: the trunk's own.
    pub from: String,
    /// Further fields of the INVITE, `X-` ones.
    pub fields: Vec<(String, String)>,
}

/// Why a call is not even tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No such trunk.
    #[error("expected a trunk, found none called {0:?}")]
    UnknownTrunk(String),
    /// It has no targets.
    #[error("trunk {0:?}: expected `outbound.targets`, found none")]
    NoTargets(String),
    /// The number's prefix is not on the trunk's list.
    #[error("trunk {0:?}: expected a number with one of `outbound.prefixes`")]
    Forbidden(String),
    /// The caller ID is not the trunk's.
    #[error("trunk {0:?}: expected a caller ID out of `identity.numbers`")]
    ForeignCaller(String),
    /// All channels are taken, or too many calls this second.
    #[error("trunk {0:?}: expected a free channel within its caps, found none")]
    Full(String),
    /// Too many calls to numbers of one prefix.
    #[error(
        "trunk {trunk:?}: expected at most {per_minute} calls a minute to {prefix}, as `outbound.per_minute` has it"
    )]
    TooMany {
        /// The trunk's id.
        trunk: String,
        /// The prefix.
        prefix: String,
        /// Its cap.
        per_minute: u32,
    },
    /// No port for audio is free.
    #[error("expected a free port for audio, found none")]
    NoPort,
    /// The system gives no random numbers.
    #[error("expected random numbers of the system, found none")]
    NoRandomness,
    /// The worker takes no new calls.
    #[error("expected a worker that takes calls, found one that drains")]
    Draining,
}

impl<H: Host, P: MediaPorts> Endpoint<H, P> {
    /// Places a call; what follows comes as facts on `link`. The channel of the trunk is held before this returns. The port is taken
    /// last, by `reserve`: one that was taken rests before it is used again.
    ///
    /// # Errors
    /// [`PlaceError`]; nothing was sent.
    pub fn place_call(
        &self,
        call: OutboundCall,
        reserve: impl FnOnce() -> Option<P::Port>,
        link: SipLink,
    ) -> Result<(), PlaceError> {
        if self.is_draining() {
            return Err(PlaceError::Draining);
        }
        let book = self.trunks();
        let trunk = book.get(&call.trunk).ok_or_else(|| PlaceError::UnknownTrunk(call.trunk.clone()))?;
        let id = || trunk.id.clone();
        if trunk.outbound.targets.is_empty() {
            return Err(PlaceError::NoTargets(id()));
        }
        if !trunk.may_call(&call.to) {
            return Err(PlaceError::Forbidden(id()));
        }
        if !call.from.is_empty() && !trunk.shows(&call.from) {
            return Err(PlaceError::ForeignCaller(id()));
        }
        let core = &self.shared.core;
        let channel = core.admit_outward(trunk, &call.to)?;
        let port = reserve().ok_or(PlaceError::NoPort)?;
        let sdp = negotiator(port.local(), trunk).ok_or(PlaceError::NoRandomness)?;
        SipCounters::add(&core.counters.calls);
        let placing = Placing::new(Arc::clone(core), Arc::clone(trunk), sdp, call, (port, link));
        rt::spawn("sip outbound call", placing.run(channel));
        Ok(())
    }
}

impl Core {
    /// A channel of the trunk for a call to this number, within the trunk's caps.
    pub(super) fn admit_outward(&self, trunk: &Trunk, number: &str) -> Result<Place, PlaceError> {
        let full = || PlaceError::Full(trunk.id.clone());
        let channel = self.channel(&trunk.id, trunk.limits.channels).ok_or_else(full)?;
        let (rate, now) = (trunk.limits.calls_per_second, rt::now());
        if rate > 0 && !self.rates.pass(&Source::Trunk(trunk.id.clone()), Rate::per_second(rate), now) {
            return Err(full());
        }
        if let Some((prefix, per_minute)) = trunk.cap_of(number) {
            let source = Source::Prefix(trunk.id.clone(), prefix.to_owned());
            if !self.rates.pass(&source, Rate::per_minute(per_minute), now) {
                return Err(PlaceError::TooMany { trunk: trunk.id.clone(), prefix: prefix.to_owned(), per_minute });
            }
        }
        Ok(channel)
    }
}

struct Placing<P: MediaPort> {
    core: Arc<Core>,
    trunk: Arc<Trunk>,
    call: OutboundCall,
    sdp: Negotiator,
    port: P,
    link: SipLink,
    report: SipReport,
    stage: SipStage,
    /// What the early media that plays agreed to.
    early: Option<Negotiator>,
    /// What each phone of a forked call said before the answer.
    forks: Vec<Fork>,
    number: u32,
    /// Challenges of one address that were answered.
    challenges: u8,
    call_id: String,
    tag: String,
    ring_until: Moment,
    least_session: Option<u32>,
    /// Who wants the answered call, where it is not to become a leg of its own.
    then: Option<oneshot::Sender<Result<Box<Taken>, u16>>>,
    /// The last INVITE did not leave, by no fault of the carrier's.
    unsent: bool,
    /// The row of the dialog, also while none is made, and what the carrier asks in it.
    row: Registered,
    requests: mpsc::Receiver<ServerTransaction>,
}

/// How many T1 a carrier has to say more than 100: 32 s, as long as it has for any other answer.
const TRYING_T1: u64 = 64;
/// How one try ended.
enum Tried {
    /// 2xx.
    Answered(Box<Message>, Box<Message>),
    /// A final refusal, 0 for silence.
    Refused(u16),
    /// Refused in a way that the same address may yet take.
    Again(Box<Message>),
    /// We gave up.
    GivenUp(GaveUp),
}

/// Why we gave up.
#[derive(Clone, Copy, Debug)]
enum GaveUp {
    /// It rang too long.
    RangOut,
    /// The driver ended the call.
    Ordered,
}

impl<P: MediaPort> Placing<P> {
    fn new(
        core: Arc<Core>,
        trunk: Arc<Trunk>,
        sdp: Negotiator,
        call: OutboundCall,
        (port, link): (P, SipLink),
    ) -> Self {
        let (call_id, tag) = (random_token(16), random_token(8));
        let key = DialogKey { call_id: call_id.clone(), local_tag: tag.clone() };
        let (row, requests) = core.register(&key, &trunk.id);
        Self {
            ring_until: rt::now().plus_ms(trunk.outbound.ring_ms),
            core,
            trunk,
            sdp,
            call,
            port,
            link,
            report: SipReport::default(),
            stage: SipStage::Trying,
            early: None,
            forks: Vec::new(),
            number: 0,
            challenges: 0,
            call_id,
            tag,
            least_session: None,
            then: None,
            unsent: false,
            row,
            requests,
        }
    }

    async fn run(mut self, channel: Place) {
        let ways = self.core.ways(&self.trunk).await;
        let mut last = Tried::Refused(0);
        for Way { flow, name, domain } in ways {
            // Whatever an address before this one said is not what this one says.
            (self.report.status, self.report.cause) = (0, None);
            self.report.reason.clear();
            if self.is_called_off() {
                last = Tried::GivenUp(GaveUp::Ordered);
                break;
            }
            let known = self.core.flows.called(flow);
            last = self.at(flow, &name, &domain).await;
            if let Tried::Answered(..) | Tried::Refused(_) = last
                && !std::mem::take(&mut self.unsent)
            {
                self.core.pulses.tell(&self.trunk, flow, !matches!(last, Tried::Refused(0)));
            }
            match &last {
                Tried::Refused(status) if self.may_try_next(*status) => {}
                Tried::Answered(..) => {
                    let Tried::Answered(invite, response) = last else { return };
                    return self.answered(&invite, &response, flow, (channel, known)).await;
                }
                _ => break,
            }
        }
        let end = match last {
            Tried::GivenUp(GaveUp::Ordered) => LegFact::HungUp { by: Some("bot".to_owned()) },
            Tried::GivenUp(GaveUp::RangOut) => LegFact::Unreached(EndReason::NoAnswer),
            _ => LegFact::Unreached(outcome(self.report.status, self.report.cause, self.stage)),
        };
        self.finish(end).await;
    }

    /// Has the driver ended the call while a name was looked up or a stream was dialled?
    fn is_called_off(&mut self) -> bool {
        loop {
            match self.link.orders.try_recv() {
                Ok(LegOrder::HangUp { .. } | LegOrder::Close { .. }) | Err(TryRecvError::Disconnected) => return true,
                Ok(LegOrder::Ready { .. } | LegOrder::Transfer { .. } | LegOrder::Keys { .. }) => {}
                Err(TryRecvError::Empty) => return false,
            }
        }
    }

    /// Never after somebody may have been rung or has decided.
    fn may_try_next(&self, status: u16) -> bool {
        let hopeful = matches!(status, 0 | 500..=504) || self.trunk.outbound.retry_on.contains(&status);
        hopeful && self.stage == SipStage::Trying && self.early.is_none() && rt::now() < self.ring_until
    }

    /// One address: challenges are answered, a 422 met once.
    async fn at(&mut self, flow: Flow, name: &str, domain: &str) -> Tried {
        let mut invite = self.invite(flow, domain);
        self.challenges = 0;
        for _ in 0..CHALLENGES + 2 {
            match self.once(&invite, flow, name).await {
                Tried::Again(next) => invite = *next,
                other => return other,
            }
        }
        Tried::Refused(self.report.status)
    }

    async fn once(&mut self, invite: &Message, flow: Flow, name: &str) -> Tried {
        self.note(true, "INVITE");
        let Some(mut transaction) = self.core.send_to_target(invite, flow, name).await else {
            self.report.status = 0;
            return Tried::Refused(0);
        };
        let mut provisional = false;
        let first_until = rt::now().plus_ms(self.trunk.outbound.first_answer_ms);
        let trying_until = rt::now().plus_ms(self.core.config.t1_ms * TRYING_T1);
        loop {
            // Who says no more than that it tries has its time as well, though a longer one than who says nothing.
            let due = match (provisional, self.stage) {
                (false, _) => self.ring_until.min(first_until),
                (true, SipStage::Trying) => self.ring_until.min(trying_until),
                (true, _) => self.ring_until,
            };
            tokio::select! {
                biased;
                event = transaction.next() => match event {
                    Some(ClientEvent::Response(response)) => {
                        let status = response.status().unwrap_or(0);
                        self.note(false, &status.to_string());
                        if status >= 200 {
                            return self.finally(invite, *response, status);
                        }
                        provisional = true;
                        self.provisional(invite, flow, status, &response).await;
                    }
                    Some(ClientEvent::TimedOut | ClientEvent::Unsent) | None => {
                        self.report.status = 0;
                        self.unsent = transaction.is_unsent();
                        return Tried::Refused(0);
                    }
                },
                order = self.link.orders.recv() => match order {
                    Some(LegOrder::Ready { .. } | LegOrder::Transfer { .. } | LegOrder::Keys { .. }) => {}
                    Some(LegOrder::HangUp { .. } | LegOrder::Close { .. }) | None => {
                        return self.cancel(invite, flow, transaction, provisional, GaveUp::Ordered).await;
                    }
                },
                request = self.requests.recv() => {
                    if let Some(request) = request {
                        self.asked_early(invite, request);
                    }
                }
                () = rt::sleep_until(due) => {
                    if self.stage != SipStage::Trying || (!provisional && rt::now() >= self.ring_until) {
                        return self.cancel(invite, flow, transaction, provisional, GaveUp::RangOut).await;
                    }
                    // Nobody was rung, as far as we know. What still comes is ended when it does.
                    self.report.status = 0;
                    if provisional {
                        self.note(true, "CANCEL");
                    }
                    self.abandon(invite, flow, transaction, provisional, CANCELS);
                    return Tried::Refused(0);
                }
            }
        }
    }

    fn finally(&mut self, invite: &Message, response: Message, status: u16) -> Tried {
        self.report.status = status;
        response.reason().unwrap_or_default().clone_into(&mut self.report.reason);
        if (200..300).contains(&status) {
            return Tried::Answered(Box::new(invite.clone()), Box::new(response));
        }
        self.report.cause = cause_of(&response);
        if matches!(status, 401 | 407)
            && self.challenges < CHALLENGES
            && let Some(credentials) = self.trunk.credentials()
            && let Some(again) = authorise(invite, &response, &credentials, self.number + 1)
        {
            self.number += 1;
            self.challenges += 1;
            return Tried::Again(Box::new(again));
        }
        if status == 422
            && self.least_session.is_none()
            && let Some(least) = timer::least(&response)
        {
            self.least_session = Some(least);
            self.number += 1;
            let mut again = invite.clone();
            again.set("Session-Expires", &self.trunk.timers.expires_s.max(least).to_string());
            again.set("Min-SE", &least.to_string());
            again.set("CSeq", &format!("{} INVITE", self.number));
            let transport = if invite.get("Via").is_some_and(|via| via.starts_with("SIP/2.0/UDP")) {
                Transport::Udp
            } else if invite.get("Via").is_some_and(|via| via.starts_with("SIP/2.0/TLS")) {
                Transport::Tls
            } else {
                Transport::Tcp
            };
            again.set("Via", &self.core.place.via(transport));
            return Tried::Again(Box::new(again));
        }
        Tried::Refused(status)
    }

    async fn answered(mut self, invite: &Message, response: &Message, flow: Flow, (channel, known): (Place, Called)) {
        self.stage = SipStage::Answered;
        self.report.answered_at = Some(rt::now());
        let mut dialog = Dialog::calling(invite, response, flow, &self.core.place);
        let key: DialogKey = dialog.key.clone();
        let number = dialog.local_number;
        let (agreed, answer) = self.agreed_with(response, &dialog.remote_tag);
        let mut ack = dialog.ack(invite);
        if let Some(answer) = &answer {
            ack.set_sdp(answer);
        }
        dialog.local_number = self.number.max(number);
        self.core.expect_forks(&key, invite, dialog.local_number);
        self.core.acknowledge(&key, &dialog.remote_tag, number, &ack, dialog.way());
        self.note(true, "ACK");
        let Some(plan) = agreed else {
            self.late(invite, flow).end(response).await;
            self.report.status = 488;
            return self.finish(LegFact::Unreached(EndReason::MediaRefused)).await;
        };
        if let Some(then) = self.then.take() {
            let (session, updates) = (timer::granted(response, rt::now()), allows(response, "UPDATE"));
            let (row, requests) = (self.row, self.requests);
            let taken = Taken { dialog, row, requests, sdp: self.sdp, plan, session, updates, channel, known };
            if let Err(Ok(taken)) = then.send(Ok(Box::new(taken))) {
                // The leg ended in this very moment.
                taken.leave(&self.core).await;
            }
            return;
        }
        let early = self.early.is_some();
        let leg = Leg::new(Parts {
            session: timer::granted(response, rt::now()),
            updates: allows(response, "UPDATE"),
            core: self.core,
            trunk: self.trunk,
            dialog,
            row: self.row,
            requests: self.requests,
            sdp: self.sdp,
            port: self.port,
            link: self.link,
            channel,
            origin: None,
            report: self.report,
        });
        leg.run_outbound(plan, early).await;
    }

    /// What an answer leads to, and what our ACK must say where the offer was the carrier's.
    fn agreed_with(&mut self, response: &Message, tag: &str) -> (Option<MediaPlan>, Option<String>) {
        let delayed = self.trunk.outbound.delayed_offer;
        let fork = self.forks.iter().find(|fork| fork.tag == tag);
        let (of_this, updated) = (fork.and_then(|fork| fork.sdp.clone()), fork.is_some_and(|fork| fork.updated));
        match session_description(response) {
            // What an UPDATE has changed is not answered by what was said before it.
            Some(answer) if !delayed && !updated => (self.sdp.accept(answer).ok(), None),
            // What a PRACK has settled is not offered again by the 200 (RFC 6337 section 2.1).
            Some(offer) if of_this.is_none() => match self.sdp.answer(offer) {
                Ok(agreed) => (Some(agreed.plan), Some(agreed.sdp)),
                Err(error) => {
                    tracing::info!(trunk = %self.trunk.id, %error, "the carrier's offer does not fit; hanging up");
                    (None, None)
                }
            },
            // The answer came early and is not repeated.
            _ => {
                let agreed = of_this.or_else(|| self.early.clone().filter(|_| !delayed));
                let plan = agreed.and_then(|agreed| {
                    self.sdp = agreed;
                    self.sdp.plan().cloned()
                });
                (plan, None)
            }
        }
    }

    async fn tell(&mut self, fact: LegFact) {
        let _ = rt::timeout(Duration::from_secs(1), self.link.facts.send(fact)).await;
    }

    fn note(&mut self, sent: bool, what: &str) {
        let row = LadderRow { at: rt::now(), sent, what: what.to_owned() };
        self.report.note(row, &self.link.ladder);
    }

    async fn finish(mut self, last: LegFact) {
        self.port.stop();
        self.tell(last).await;
        if let Some(then) = self.then.take() {
            let _ = then.send(Err(self.report.status));
        }
        let SipLink { report, facts, .. } = self.link;
        drop(facts);
        let _ = report.send(self.report);
    }
}
