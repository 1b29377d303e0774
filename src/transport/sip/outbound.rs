//! Calls that we place: INVITE to a trunk's addresses in order, challenges answered, early media taken, the ring time-out kept, a late
//! 200 after our CANCEL ended. The next address is tried only where nobody can have been rung; those that are down come last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::core::{Core, Registered, SipCounters};
use super::dialog::{Dialog, DialogKey, introduce, random_token};
use super::endpoint::{Endpoint, negotiator};
use super::flow::{Called, Flow, Transport};
use super::gate::{Place, Rate, Source};
use super::health::Way;
use super::host::{Host, LadderRow, MediaPort, MediaPorts, SipEnd, SipLink, SipReport};
use super::leg::{CHALLENGES, Leg, Parts, allows, authorise, cause_of};
use super::stack::{ClientEvent, ClientTransaction, ServerTransaction};
use super::timer;
use crate::call::{EndReason, LegFact, LegOrder};
use crate::rt;
use crate::trunk::{SipStage, TimerMode, Trunk, outcome};
use crate::units::Moment;
use crate::wire::sdp::{Direction, MediaPlan, Negotiator};
use crate::wire::sip::{CSeq, Message, list, parameter, quoted, session_description};

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

/// An answered call whose dialog another leg goes on in.
pub(super) struct Taken {
    pub dialog: Dialog,
    pub row: Registered,
    pub requests: mpsc::Receiver<ServerTransaction>,
    pub sdp: Negotiator,
    pub plan: MediaPlan,
    pub session: Option<timer::Session>,
    pub updates: bool,
    pub channel: Place,
    /// The way that it was called by.
    pub known: Called,
}

impl Taken {
    /// BYE: nobody goes on in it.
    async fn leave(mut self, core: &Core) {
        let bye = self.dialog.request("BYE");
        if let Some(mut transaction) = core.send(&bye, &self.dialog.towards()).await {
            let _ = rt::timeout(Duration::from_millis(core.config.hang_up_ms), transaction.last()).await;
        }
    }
}

/// A call that a leg has placed for itself. Dropping it cancels the call, or ends it where it was answered in that moment.
pub(super) struct Following {
    core: Arc<Core>,
    outcome: oneshot::Receiver<Result<Box<Taken>, u16>>,
    _orders: mpsc::Sender<LegOrder>,
}

impl Following {
    /// The answered call, or the status that it ended with (0: none came).
    pub async fn outcome(&mut self) -> Result<Box<Taken>, u16> {
        (&mut self.outcome).await.unwrap_or(Err(0))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.outcome.close();
        // An answer that was handed over and that nobody took must not stay an open line.
        if let Ok(Ok(taken)) = self.outcome.try_recv() {
            let core = Arc::clone(&self.core);
            rt::spawn("sip untaken call", async move { taken.leave(&core).await });
        }
    }
}

/// Places a call that a leg will go on in: with the leg's own audio port and the codec that it has.
pub(super) fn follow(
    core: Arc<Core>,
    trunk: Arc<Trunk>,
    sdp: Negotiator,
    call: OutboundCall,
    local: SocketAddr,
    channel: Place,
) -> Following {
    // Nobody reads its facts: the leg that waits has said all that there is to say.
    let (link, SipEnd { orders, .. }) = SipLink::pair();
    let (then, outcome) = oneshot::channel();
    let mut placing = Placing::new(Arc::clone(&core), trunk, sdp, call, (Mute(local), link));
    placing.then = Some(then);
    rt::spawn("sip followed call", placing.run(channel));
    Following { core, outcome, _orders: orders }
}

/// The audio of a call that is not one's own yet: nobody hears what plays before its answer.
struct Mute(SocketAddr);

impl MediaPort for Mute {
    fn id(&self) -> u64 {
        0
    }

    fn local(&self) -> SocketAddr {
        self.0
    }

    fn start(&mut self, _plan: MediaPlan) {}

    fn change(&mut self, _plan: MediaPlan) {}

    fn press(&mut self, _key: char) -> bool {
        false
    }

    fn stop(&mut self) {}
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
}

/// One phone that may answer: the tag of its early dialog.
struct Fork {
    tag: String,
    /// What its description agreed to, where it gave one.
    sdp: Option<Negotiator>,
    /// The number of its last reliable response (RFC 3262), where there was one.
    acknowledged: Option<u32>,
}

/// How many T1 a carrier has to say more than 100: 32 s, as long as it has for any other answer.
const TRYING_T1: u64 = 64;
/// How often a CANCEL is sent that nothing comes of.
const CANCELS: u8 = 7;
/// Phones of one call that are kept apart; what more of them say before the answer is not heard.
const FORKS: usize = 16;

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
            call_id: random_token(16),
            tag: random_token(8),
            least_session: None,
            then: None,
            unsent: false,
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

    fn invite(&mut self, flow: Flow, domain: &str) -> Message {
        self.number += 1;
        let identity = &self.trunk.identity;
        let number = self.trunk.written(&self.call.to);
        let from = if self.call.from.is_empty() { &identity.caller_id } else { &self.call.from };
        let from = if from.is_empty() { "anonymous".to_owned() } else { self.trunk.written(from) };
        let fill = |template: &str| template.replace("{number}", &from).replace("{domain}", domain);
        let from_uri = if identity.from.is_empty() { format!("sip:{from}@{domain}") } else { fill(&identity.from) };
        let uri = format!("sip:{number}@{domain}");
        let mut invite = Message::request("INVITE", &uri);
        invite.push("Via", &self.core.place.via(flow.transport));
        invite.push("Max-Forwards", "70");
        let display = if identity.display_name.is_empty() {
            String::new()
        } else {
            format!("{} ", quoted(&identity.display_name))
        };
        invite.push("From", &format!("{display}<{from_uri}>;tag={}", self.tag));
        invite.push("To", &format!("<{uri}>"));
        invite.push("Call-ID", &self.call_id);
        invite.push("CSeq", &format!("{} INVITE", self.number));
        let user = if identity.contact_user.is_empty() { &from } else { &identity.contact_user };
        invite.push("Contact", &self.core.place.contact_by(&identity.contact, user, domain, flow.transport));
        if !identity.asserted_identity.is_empty() {
            invite.push("P-Asserted-Identity", &format!("<{}>", fill(&identity.asserted_identity)));
        }
        if self.trunk.timers.mode == TimerMode::On {
            let interval = self.trunk.timers.expires_s.max(self.least_session.unwrap_or(0));
            invite.push("Session-Expires", &interval.to_string());
            invite.push("Min-SE", &self.least_session.unwrap_or(self.trunk.timers.min_se_s).to_string());
        }
        introduce(&mut invite);
        for (name, value) in &self.call.fields {
            invite.push(name, value);
        }
        if !self.trunk.outbound.delayed_offer {
            let offer = self.sdp.offer(Direction::SendRecv);
            invite.set_sdp(&offer);
        }
        invite
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

    async fn provisional(&mut self, invite: &Message, flow: Flow, status: u16, response: &Message) {
        if status <= 100 {
            return;
        }
        self.stage = SipStage::Ringing;
        self.report.ring(rt::now());
        let tag = parameter(response.get("To").unwrap_or_default(), "tag").unwrap_or_default();
        let known = self.forks.iter().position(|fork| fork.tag == tag);
        let at = match known {
            Some(at) => at,
            None if self.forks.len() < FORKS => {
                self.forks.push(Fork { tag: tag.to_owned(), sdp: None, acknowledged: None });
                self.forks.len() - 1
            }
            None => return,
        };
        let reliable = reliable_number(response);
        if reliable.is_some_and(|number| !self.is_next_of(at, number)) {
            return;
        }
        let described =
            session_description(response).and_then(|text| self.described_early(text, reliable.is_some(), at));
        if let Some(number) = reliable {
            let answer = described.as_ref().and_then(|(_, _, answer)| answer.as_deref());
            self.acknowledge_early(invite, flow, response, number, answer);
        }
        let Some((trial, plan, _)) = described else { return };
        if let Some(fork) = self.forks.get_mut(at) {
            fork.sdp = Some(trial.clone());
        }
        let rate = plan.codec.audio_rate();
        self.report.early_at.get_or_insert_with(rt::now);
        match self.early.replace(trial) {
            Some(before) if before.plan() == Some(&plan) => {}
            Some(_) => self.port.change(plan),
            None => {
                self.port.start(plan);
                self.tell(LegFact::Started { rate }).await;
            }
        }
    }

    /// What a description before the answer leads to, and our answer where it is the carrier's offer. What plays before the answer may
    /// be replaced by the answer, so an offer of ours stays open; one of theirs counts where it must be acknowledged (RFC 3262
    /// section 5), once for each phone.
    fn described_early(
        &self,
        text: &[u8],
        reliable: bool,
        at: usize,
    ) -> Option<(Negotiator, MediaPlan, Option<String>)> {
        let mut trial = self.sdp.clone();
        let agreed = if !self.trunk.outbound.delayed_offer {
            trial.accept(text).map(|plan| (plan, None))
        } else if reliable && self.forks.get(at).is_some_and(|fork| fork.sdp.is_none()) {
            trial.answer(text).map(|agreed| (agreed.plan, Some(agreed.sdp)))
        } else {
            return None;
        };
        match agreed {
            Ok((plan, answer)) => Some((trial, plan, answer)),
            Err(error) => {
                tracing::info!(trunk = %self.trunk.id, %error, "early media does not fit and is not heard");
                None
            }
        }
    }

    /// Is a response that must be acknowledged the next of its phone? Neither a repetition nor one that overtook another; remembers it.
    fn is_next_of(&mut self, at: usize, number: u32) -> bool {
        let Some(fork) = self.forks.get_mut(at) else { return false };
        let next = fork.acknowledged.is_none_or(|last| number == last.wrapping_add(1));
        fork.acknowledged = if next { Some(number) } else { fork.acknowledged };
        next
    }

    /// PRACK for a response that its sender wants acknowledged, with the answer to its offer where it brought one.
    fn acknowledge_early(
        &mut self,
        invite: &Message,
        flow: Flow,
        response: &Message,
        number: u32,
        answer: Option<&str>,
    ) {
        let invited = CSeq::parse(invite.get("CSeq").unwrap_or_default()).map_or(1, |cseq| cseq.number);
        let mut dialog = Dialog::calling(invite, response, flow, &self.core.place);
        dialog.local_number = self.number;
        self.number += 1;
        let mut prack = dialog.request("PRACK");
        prack.push("RAck", &format!("{number} {invited} INVITE"));
        if let Some(answer) = answer {
            prack.set_sdp(answer);
        }
        self.note(true, "PRACK");
        let core = Arc::clone(&self.core);
        rt::spawn("sip prack", async move {
            if let Some(mut transaction) = core.send(&prack, &dialog.towards()).await {
                let _ = transaction.last().await;
            }
        });
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

    /// Ends a call that is not answered yet. A 200 that crosses the CANCEL is acknowledged and ended.
    async fn cancel(
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
    fn abandon(&self, invite: &Message, flow: Flow, transaction: ClientTransaction, alive: bool, cancels: u8) {
        let limit = Duration::from_millis(self.trunk.outbound.ring_ms + self.core.config.t1_ms * 64);
        let late = self.late(invite, flow);
        rt::spawn("sip late answer", async move {
            let _ = rt::timeout(limit, late.run(transaction, alive, cancels)).await;
        });
    }

    /// What ends an answer that nobody wants any more.
    fn late(&self, invite: &Message, flow: Flow) -> Late {
        Late { core: Arc::clone(&self.core), invite: invite.clone(), flow, number: self.number }
    }

    async fn answered(mut self, invite: &Message, response: &Message, flow: Flow, (channel, known): (Place, Called)) {
        self.stage = SipStage::Answered;
        self.report.answered_at = Some(rt::now());
        let mut dialog = Dialog::calling(invite, response, flow, &self.core.place);
        let key: DialogKey = dialog.key.clone();
        let (row, requests) = self.core.register(&key, &self.trunk.id);
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
            row,
            requests,
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
        let of_this = self.forks.iter().find(|fork| fork.tag == tag).and_then(|fork| fork.sdp.clone());
        match session_description(response) {
            Some(answer) if !delayed => (self.sdp.accept(answer).ok(), None),
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

/// The number of a response that its sender wants acknowledged (RFC 3262).
fn reliable_number(response: &Message) -> Option<u32> {
    let required = response.all("Require").flat_map(list).any(|option| option.eq_ignore_ascii_case("100rel"));
    response.get("RSeq").and_then(|text| text.trim().parse().ok()).filter(|_| required)
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
struct Late {
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
    async fn end(&self, response: &Message) {
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
