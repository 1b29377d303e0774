//! The dialog task: one per SIP call, the counterpart of a WebSocket session. Turns what happens in the dialog into facts and the
//! driver's orders into SIP; owns the dialog, its row and its media port, and gives all back however it ends. Every wait has a
//! deadline.

mod asked;
mod digits;
mod early;
mod handed;
mod keys;
mod ours;
mod reliable;

use std::sync::Arc;

use tokio::sync::mpsc;

use super::core::{Core, Originated, Registered};
use super::dialog::{Dialog, introduce};
use super::flow::Called;
use super::gate::Place;
use super::host::{LadderRow, MediaPort, SipLink, SipReport};
use super::outbound::{Following, Taken};
use super::stack::{ServerEvent, ServerTransaction};
use super::timer::Session;
use crate::call::{LegFact, LegLoss, LegOrder};
use crate::rt;
use crate::trunk::Trunk;
use crate::units::Moment;
use crate::wire::sdp::{Direction, MediaPlan, Negotiator};
use crate::wire::sip::{Message, list};

pub(super) use digits::cause_of;
pub(super) use handed::Replaced;
use keys::Informing;
use ours::{Asking, Outcome, Transfer};
pub(super) use ours::{CHALLENGES, authorise};
use reliable::Reliable;

/// How long a fact that must arrive may wait for the driver, in milliseconds.
const TELL_MS: u64 = 1_000;
/// Outcomes of our own requests; there are never more than a handful at once. Full: the task that waits for the answer waits.
const OUTCOMES: usize = 8;

/// Everything a leg is made of.
pub(super) struct Parts<P: MediaPort> {
    pub core: Arc<Core>,
    pub trunk: Arc<Trunk>,
    pub dialog: Dialog,
    pub row: Registered,
    pub requests: mpsc::Receiver<ServerTransaction>,
    pub sdp: Negotiator,
    pub port: P,
    pub link: SipLink,
    pub session: Option<Session>,
    pub channel: Place,
    /// Keeps copies of the INVITE away.
    pub origin: Option<Originated>,
    pub report: SipReport,
    /// The peer takes UPDATE.
    pub updates: bool,
}

/// An INVITE that is being answered.
pub(super) struct Answering {
    pub transaction: ServerTransaction,
    /// What was agreed, and our answer where it is not told yet; `None` where the INVITE brought no offer and we offer.
    pub agreed: Option<(MediaPlan, Option<String>)>,
    /// The peer knows session timers.
    pub timer_known: bool,
    /// Counts as unanswered until the ACK.
    pub pending: Place,
}

/// How a leg ends: its last fact.
type Step = Result<(), LegFact>;

pub(super) struct Leg<P: MediaPort> {
    core: Arc<Core>,
    trunk: Arc<Trunk>,
    dialog: Dialog,
    row: Registered,
    requests: mpsc::Receiver<ServerTransaction>,
    sdp: Negotiator,
    port: P,
    link: SipLink,
    session: Option<Session>,
    channel: Place,
    _origin: Option<Originated>,
    report: SipReport,
    updates: bool,
    answering: Option<Answering>,
    /// A 2xx of ours that waits for its ACK: the first one or a later one.
    unacknowledged: Option<ServerTransaction>,
    pending: Option<Place>,
    outcomes_in: mpsc::Sender<Outcome>,
    outcomes: mpsc::Receiver<Outcome>,
    /// Our own INVITE or UPDATE under way.
    asking: Option<Asking>,
    ring_until: Option<Moment>,
    /// Our provisional response that the caller did not acknowledge yet.
    reliable: Option<Reliable>,
    /// When a refresh that was refused is tried again.
    again_at: Option<Moment>,
    /// The least interval that the peer named by 422, in seconds.
    least_s: u32,
    /// It named it in the refresh that is under way.
    raised: bool,
    leaving: Option<Moment>,
    /// A hang-up that waits for the peer's ACK, and why.
    leave_after_ack: Option<&'static str>,
    /// Whereto the caller is handed behind its ACK.
    refer_after_ack: Option<String>,
    /// The fact that the leg then ends by, where it is not to wait for the answer to its BYE.
    last: Option<LegFact>,
    transfer: Option<Transfer>,
    /// A call that the far end's REFER made us place.
    followed: Option<Following>,
    /// The far end hung up while that call was under way: nobody is left in this dialog.
    alone: bool,
    /// The way that such a call went out by, while the leg goes on in it.
    known: Option<Called>,
    informing: Informing,
    started: bool,
    /// The bot was told that somebody hears it.
    opened: bool,
    /// The far end that took another's place has not told yet where its audio is to go.
    unsettled: bool,
    orders_open: bool,
}

enum Event {
    Order(Option<LegOrder>),
    Request(Option<ServerTransaction>),
    Outcome(Option<Outcome>),
    Server(Option<ServerEvent>),
    Followed(Result<Box<Taken>, u16>),
    Timer,
}

impl<P: MediaPort> Leg<P> {
    pub fn new(parts: Parts<P>) -> Self {
        let (outcomes_in, outcomes) = mpsc::channel(OUTCOMES);
        Self {
            core: parts.core,
            trunk: parts.trunk,
            dialog: parts.dialog,
            row: parts.row,
            requests: parts.requests,
            sdp: parts.sdp,
            port: parts.port,
            link: parts.link,
            session: parts.session,
            channel: parts.channel,
            _origin: parts.origin,
            report: parts.report,
            updates: parts.updates,
            answering: None,
            unacknowledged: None,
            pending: None,
            outcomes_in,
            outcomes,
            asking: None,
            ring_until: None,
            reliable: None,
            again_at: None,
            least_s: 0,
            raised: false,
            leaving: None,
            leave_after_ack: None,
            refer_after_ack: None,
            last: None,
            transfer: None,
            followed: None,
            alone: false,
            known: None,
            informing: Informing::default(),
            started: false,
            opened: false,
            unsettled: false,
            orders_open: true,
        }
    }

    /// Runs a leg that came by INVITE, from its first answer to its end.
    pub async fn run_inbound(mut self, answering: Answering) {
        self.note(false, "INVITE");
        self.answering = Some(answering);
        let ring_ms = self.trunk.inbound.ring_ms;
        let step = if ring_ms > 0 {
            self.ring_until = Some(rt::now().plus_ms(ring_ms));
            self.progress().await
        } else {
            self.answer().await
        };
        self.run_on(step).await;
    }

    /// Runs a leg whose INVITE of ours was answered and acknowledged.
    pub async fn run_outbound(mut self, plan: MediaPlan, early: bool) {
        self.started = early;
        let step = self.audio(plan).await;
        if step.is_ok() {
            self.open().await;
        }
        self.run_on(step).await;
    }

    async fn run_on(mut self, mut step: Step) {
        while step.is_ok() {
            let event = self.event().await;
            step = self.take(event).await;
        }
        let Err(last) = step else { return };
        // From here on the task of a BYE answers a challenge to it; one that came already is answered now.
        self.outcomes.close();
        while let Ok(outcome) = self.outcomes.try_recv() {
            if outcome.is_bye() {
                drop(self.outcome(outcome).await);
            }
        }
        self.port.stop();
        self.tell(last).await;
        let SipLink { report, facts, .. } = self.link;
        drop(facts);
        let _ = report.send(self.report);
        // A re-INVITE or BYE that is still under way ends in its own transaction.
    }

    async fn event(&mut self) -> Event {
        let due = self.deadline();
        let server = async {
            match (&mut self.answering, &mut self.unacknowledged) {
                (Some(answering), _) => answering.transaction.next().await,
                (None, Some(transaction)) => transaction.next().await,
                (None, None) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = server => Event::Server(event),
            request = self.requests.recv() => Event::Request(request),
            order = self.link.orders.recv(), if self.orders_open => Event::Order(order),
            outcome = self.outcomes.recv() => Event::Outcome(outcome),
            followed = Self::following(&mut self.followed) => Event::Followed(followed),
            () = rt::sleep_until(due) => Event::Timer,
        }
    }

    fn deadline(&self) -> Moment {
        // What is asked for already, or put off, is not due again; and nothing is refreshed any more behind a BYE.
        let waits = self.asking.is_some() || self.again_at.is_some();
        let session = self.session.filter(|_| self.leaving.is_none());
        let session = session.map(|session| if waits { session.dead() } else { session.due() });
        let transfer = self.transfer.as_ref().map(|transfer| transfer.until);
        let reliable = self.reliable.as_ref().map(Reliable::due);
        let all = [self.ring_until, reliable, self.again_at, self.leaving, self.informing.due(), session, transfer];
        // A leg without any deadline is looked at once a minute all the same.
        all.into_iter().flatten().min().unwrap_or_else(|| rt::now().plus_ms(60_000))
    }

    async fn take(&mut self, event: Event) -> Step {
        match event {
            Event::Order(Some(order)) => self.order(order).await,
            Event::Order(None) => {
                self.orders_open = false;
                if self.leaving.is_some() { Ok(()) } else { self.hang_up("driver gone").await }
            }
            Event::Request(Some(request)) => self.asked(request).await,
            Event::Request(None) => Err(LegFact::Lost(LegLoss::Internal)),
            Event::Outcome(Some(outcome)) => self.outcome(outcome).await,
            Event::Outcome(None) => Ok(()),
            Event::Server(event) => self.server(event).await,
            Event::Followed(outcome) => self.followed(outcome).await,
            Event::Timer => self.time_out(rt::now()).await,
        }
    }

    async fn order(&mut self, order: LegOrder) -> Step {
        match order {
            LegOrder::Ready { .. } => Ok(()),
            LegOrder::HangUp { .. } | LegOrder::Close { .. } if self.answering.is_some() => {
                self.refuse(480, "");
                Err(LegFact::HungUp { by: Some("bot".to_owned()) })
            }
            LegOrder::HangUp { .. } => self.hang_up("bot").await,
            LegOrder::Transfer { to } => {
                // Nobody is handed over who was not answered, and knows it: a bot that is heard early may want it before.
                if self.answering.is_some() {
                    self.refer_after_ack = Some(to);
                    return self.answer_now().await;
                }
                self.refer(&to).await
            }
            LegOrder::Keys { keys } => {
                self.press(&keys);
                Ok(())
            }
            LegOrder::Close { .. } => self.leave("closed", LegFact::Lost(LegLoss::Closed)).await,
        }
    }

    async fn time_out(&mut self, now: Moment) -> Step {
        if self.leaving.is_some_and(|until| now >= until) {
            return Err(LegFact::HungUp { by: Some("bot".to_owned()) });
        }
        self.repeat(now)?;
        if self.ring_until.is_some_and(|until| now >= until) {
            return self.answer_now().await;
        }
        if self.transfer.as_ref().is_some_and(|transfer| now >= transfer.until) {
            self.transfer_failed("no outcome in time", None).await;
        }
        if self.informing.due().is_some_and(|at| now >= at) {
            self.inform();
        }
        if self.again_at.is_some_and(|at| now >= at) {
            self.again_at = None;
            self.refresh().await?;
        }
        let Some(session) = self.session.filter(|_| self.leaving.is_none()) else { return Ok(()) };
        if now >= session.dead() || (!session.ours && now >= session.due()) {
            tracing::info!(trunk = %self.trunk.id, "the session was not refreshed in time; hanging up");
            return self.leave("session expired", LegFact::Lost(LegLoss::Silent)).await;
        }
        let waits = self.asking.is_some() || self.again_at.is_some();
        if now >= session.due() && !waits { self.refresh().await } else { Ok(()) }
    }

    /// Refuses the INVITE that is being answered.
    fn refuse(&mut self, status: u16, reason: &str) {
        let Some(mut answering) = self.answering.take() else { return };
        let mut response =
            Message::response(&answering.transaction.request, status, reason, &self.dialog.key.local_tag);
        introduce(&mut response);
        answering.transaction.respond(&response);
        self.reliable = None;
        self.report.status = status;
        self.note(true, &status.to_string());
    }

    /// 200 with our description; audio flows from here on, unless the peer's description only comes with its ACK.
    async fn answer(&mut self) -> Step {
        let Some(mut answering) = self.answering.take() else { return Ok(()) };
        let mut response = Message::response(&answering.transaction.request, 200, "", &self.dialog.key.local_tag);
        response.push("Contact", self.dialog.contact());
        introduce(&mut response);
        response.push("Accept", "application/sdp");
        if let Some(session) = &self.session {
            response.push("Session-Expires", &session.answer_field());
            if answering.timer_known && !session.ours {
                response.push("Require", "timer");
            }
        }
        let plan = match answering.agreed.take() {
            Some((plan, sdp)) => {
                if let Some(sdp) = &sdp {
                    response.set_sdp(sdp);
                }
                Some(plan)
            }
            None => {
                response.set_sdp(&self.sdp.offer(Direction::SendRecv));
                None
            }
        };
        answering.transaction.respond(&response);
        (self.report.status, self.report.answered_at) = (200, Some(rt::now()));
        self.note(true, "200");
        self.unacknowledged = Some(answering.transaction);
        self.pending = Some(answering.pending);
        if let Some(plan) = plan {
            self.audio(plan).await?;
            self.open().await;
        }
        Ok(())
    }

    /// Tells the bot, once, that somebody hears it.
    async fn open(&mut self) {
        if !std::mem::replace(&mut self.opened, true) {
            self.tell(LegFact::Answered).await;
        }
    }

    /// Audio starts, or goes on differently.
    async fn audio(&mut self, plan: MediaPlan) -> Step {
        if self.started {
            self.port.change(plan);
        } else {
            self.started = true;
            let rate = plan.codec.audio_rate();
            self.port.start(plan);
            self.tell(LegFact::Started { rate }).await;
        }
        Ok(())
    }

    async fn server(&mut self, event: Option<ServerEvent>) -> Step {
        match event {
            Some(ServerEvent::Cancelled) if self.answering.is_some() => {
                self.note(false, "CANCEL");
                self.refuse(487, "");
                Err(LegFact::HungUp { by: Some("cancel".to_owned()) })
            }
            Some(ServerEvent::Cancelled) => Ok(()),
            Some(ServerEvent::Ack(ack)) => {
                self.note(false, "ACK");
                self.unacknowledged = None;
                self.pending = None;
                self.description_of_ack(&ack).await?;
                if let Some(to) = self.refer_after_ack.take() {
                    self.refer(&to).await?;
                }
                let Some(why) = self.leave_after_ack.take() else { return Ok(()) };
                self.hang_up(why).await?;
                self.last.take().map_or(Ok(()), Err)
            }
            None if self.answering.is_some() => Err(LegFact::Lost(LegLoss::Internal)),
            None => {
                self.unacknowledged = None;
                self.pending = None;
                if self.leaving.is_some() {
                    return Ok(());
                }
                tracing::info!(trunk = %self.trunk.id, "nobody acknowledged the answer; hanging up");
                self.hang_up("no ACK").await?;
                Err(self.last.take().unwrap_or(LegFact::Lost(LegLoss::Unanswered)))
            }
        }
    }

    /// The answer to an offer of ours in a 200.
    async fn description_of_ack(&mut self, ack: &Message) -> Step {
        if !self.sdp.is_offering() {
            return Ok(());
        }
        let first = !self.started;
        // Without an agreement there is no call: at its beginning, or with whoever took the far end's place.
        let needed = std::mem::take(&mut self.unsettled) || first;
        match crate::wire::sip::session_description(ack).map(|text| self.sdp.accept(text)) {
            Some(Ok(plan)) => {
                self.audio(plan).await?;
                if first {
                    self.open().await;
                }
                Ok(())
            }
            Some(Err(error)) if needed => {
                tracing::info!(trunk = %self.trunk.id, %error, "the answer in the ACK does not fit; hanging up");
                self.hang_up("no agreement").await?;
                Err(LegFact::Lost(LegLoss::Protocol))
            }
            None if needed => {
                self.hang_up("no answer in the ACK").await?;
                Err(LegFact::Lost(LegLoss::Protocol))
            }
            _ => {
                self.sdp.withdraw();
                Ok(())
            }
        }
    }

    /// Tells a fact that must arrive; a driver that does not listen for a second has lost it.
    async fn tell(&mut self, fact: LegFact) {
        let _ = rt::timeout(std::time::Duration::from_millis(TELL_MS), self.link.facts.send(fact)).await;
    }

    fn tell_if_room(&mut self, fact: LegFact) {
        if self.link.facts.try_send(fact).is_err() {
            self.report.facts_dropped += 1;
        }
    }

    fn note(&mut self, sent: bool, what: &str) {
        let row = LadderRow { at: rt::now(), sent, what: what.to_owned() };
        self.report.note(row, &self.link.ladder);
    }
}

/// Does a message's Allow name this method?
pub(super) fn allows(message: &Message, method: &str) -> bool {
    message.all("Allow").flat_map(list).any(|allowed| allowed.eq_ignore_ascii_case(method))
}
