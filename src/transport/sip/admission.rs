//! New INVITEs: admitted in the order of the README's chain, or refused with the status that says why; what is admitted gets a leg. Never
//! waits for a call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::auth::Verdict;
use super::core::SipCounters;
use super::dialog::{Dialog, random_token};
use super::endpoint::{Shared, answer};
use super::flow::{Flow, Transport};
use super::gate::{Rate, Source};
use super::host::{CallRequest, Host, MediaPort as _, MediaPorts, Refusal, SipOpened, SipReport};
use super::leg::{Answering, Leg, Parts, Replaced, allows};
use super::stack::ServerTransaction;
use super::timer;
use crate::call::LegMeta;
use crate::rt;
use crate::trunk::{CallFacts, Trunk};
use crate::units::{BotId, Moment, Pii};
use crate::wire::sdp::{CryptoKeys, KEY_BYTES, MediaPlan, Negotiator, SdpError};
use crate::wire::sip::{Message, list, session_description};

impl<H: Host, P: MediaPorts> Shared<H, P> {
    /// Admits a call or refuses it; then runs its leg to the end.
    pub(super) async fn invited(self: Arc<Self>, request: ServerTransaction) {
        let Some((leg, answering)) = self.admit(request) else { return };
        SipCounters::add(&self.core.counters.calls);
        leg.run_inbound(answering).await;
    }

    fn admit(&self, request: ServerTransaction) -> Option<(Leg<P::Port>, Answering)> {
        let invite = request.request.clone();
        let flow = request.flow;
        let facts = CallFacts::of(&invite);
        let busy = |request, after: u32| {
            SipCounters::add(&self.core.counters.refused);
            answer(request, 503, "", &[("Retry-After", after.to_string())]);
        };
        if self.draining.load(Ordering::Acquire) {
            busy(request, 30);
            return None;
        }
        let Some(pending) = self.core.pending.take(self.core.config.max_pending) else {
            busy(request, 2);
            return None;
        };
        let Some(trunk) = self.book().of(flow.peer.ip(), &facts.domain).map(Arc::clone) else {
            answer(request, 403, "", &[]);
            return None;
        };
        let now = rt::now();
        if trunk.inbound.digest
            && let Verdict::Challenge { stale } = self.verdict(&trunk, &invite)
        {
            self.challenge(request, &trunk, stale, now);
            return None;
        }
        let request = unless_keys_show(request, &trunk, flow)?;
        if let Some(named) = Replaced::of(&invite) {
            self.take_over(request, named, &trunk);
            return None;
        }
        let rate = trunk.limits.calls_per_second;
        if rate > 0 && !self.core.rates.pass(&Source::Trunk(trunk.id.clone()), Rate::per_second(rate), now) {
            busy(request, 1);
            return None;
        }
        let Some(channel) = self.core.channel(&trunk.id, trunk.limits.channels) else {
            busy(request, 5);
            return None;
        };
        let session = match timer::asked(&invite, &trunk.timers, now) {
            Ok(session) => session,
            Err(least) => {
                answer(request, 422, "", &[("Min-SE", least.to_string())]);
                return None;
            }
        };
        let Some(bot) = trunk.bot_for(&facts, &invite).map(BotId::new) else {
            answer(request, 404, "", &[]);
            return None;
        };
        let Some(origin) = self.core.originate(&invite) else {
            // A proxy split the call and both ways led here: one of them is enough.
            answer(request, 482, "", &[]);
            return None;
        };
        let asked = CallRequest { bot: &bot, trunk: &trunk.id, peer: flow.peer };
        let slot = match self.host.admit(&asked) {
            Ok(slot) => slot,
            Err(refusal) => {
                SipCounters::add(&self.core.counters.refused);
                turn_away(request, refusal);
                return None;
            }
        };
        let Some(port) = self.ports.reserve() else {
            busy(request, 5);
            return None;
        };
        let (request, sdp, agreed) = described(request, port.local(), &trunk)?;
        let dialog = Dialog::answering(&invite, &random_token(8), flow, &self.core.place, &trunk.identity.contact);
        let (row, requests) = self.core.register(&dialog.key, &trunk.id);
        let link = self.host.open(
            slot,
            SipOpened {
                bot,
                trunk: trunk.id.clone(),
                meta: inbound(facts),
                flow,
                sip_call_id: dialog.key.call_id.clone(),
                media: port.id(),
            },
        );
        let timer_known = invite.all("Supported").flat_map(list).any(|option| option.eq_ignore_ascii_case("timer"));
        let leg = Leg::new(Parts {
            core: Arc::clone(&self.core),
            trunk,
            dialog,
            row,
            requests,
            sdp,
            port,
            link,
            session,
            channel,
            origin: Some(origin),
            report: SipReport::default(),
            updates: allows(&invite, "UPDATE"),
        });
        Some((leg, Answering { transaction: request, agreed, timer_known, pending }))
    }

    /// An INVITE that wants the place of a call's far end goes to that call, which decides. Only whoever may call by the same trunk has
    /// a call to be named (RFC 3891 section 4).
    fn take_over(&self, request: ServerTransaction, named: Result<Replaced, ()>, trunk: &Trunk) {
        let Ok(named) = named else { return answer(request, 400, "", &[]) };
        if !self.core.has(&named.key, &trunk.id) {
            return answer(request, 481, "", &[]);
        }
        if let Err(back) = self.core.hand_over(&named.key, request) {
            let (status, request) = *back;
            answer(request, status, "", &[]);
        }
    }

    fn challenge(&self, request: ServerTransaction, trunk: &Trunk, stale: bool, now: Moment) {
        let fields = self.nonces.challenges(&trunk.account.realm, stale, trunk.account.sha256, now);
        let fields: Vec<(&str, String)> = fields.into_iter().map(|field| ("WWW-Authenticate", field)).collect();
        answer(request, 401, "", &fields);
    }

    fn verdict(&self, trunk: &Trunk, invite: &Message) -> Verdict {
        trunk.credentials().map_or(Verdict::Challenge { stale: false }, |credentials| {
            self.nonces.judge(invite, &credentials, &trunk.account.realm, rt::now())
        })
    }
}

/// What was agreed, and our answer.
type Told = (MediaPlan, Option<String>);

/// The answer to an INVITE's offer, where it brought one; an offer that cannot be met is refused.
fn described(
    request: ServerTransaction,
    local: SocketAddr,
    trunk: &Trunk,
) -> Option<(ServerTransaction, Negotiator, Option<Told>)> {
    let Some(mut sdp) = negotiator(local, trunk) else {
        answer(request, 500, "", &[]);
        return None;
    };
    match session_description(&request.request).map(|offer| sdp.answer(offer)).transpose() {
        Ok(agreed) => Some((request, sdp, agreed.map(|agreed| (agreed.plan, Some(agreed.sdp))))),
        Err(error) => {
            refuse_offer(request, &error);
            None
        }
    }
}

/// The local end of a leg's offers and answers, with random numbers of its own; `None` where the system gives no randomness: a key
/// that anybody can guess is worse than no call.
pub(super) fn negotiator(local: SocketAddr, trunk: &Trunk) -> Option<Negotiator> {
    let mut id = [0_u8; 8];
    let key = fresh_key().filter(|_| getrandom::fill(&mut id).is_ok());
    if key.is_none() {
        tracing::error!(trunk = %trunk.id, "a call is refused: the system gives no randomness");
    }
    Some(Negotiator::new(local, trunk.media_policy(), u64::from_le_bytes(id), key?))
}

/// A key of ours that nobody knows; `None` where the system gives no randomness.
pub(super) fn fresh_key() -> Option<CryptoKeys> {
    let mut key = [0_u8; KEY_BYTES];
    getrandom::fill(&mut key).is_ok().then_some(CryptoKeys(key))
}

/// What an INVITE says of its call.
fn inbound(facts: CallFacts) -> LegMeta {
    let CallFacts { from, to, custom, .. } = facts;
    LegMeta { caller_id: Pii::new(from), did: to, custom, tells_transfers: true, ..LegMeta::default() }
}

/// The status of the application's refusal.
fn turn_away(request: ServerTransaction, refusal: Refusal) {
    let after = |seconds: u32| [("Retry-After", seconds.to_string())];
    match refusal {
        Refusal::UnknownBot => answer(request, 404, "", &[]),
        Refusal::Full { retry_after_s } => answer(request, 503, "", &after(retry_after_s)),
        Refusal::Draining | Refusal::Starting => answer(request, 503, "", &after(30)),
        Refusal::OutsideHours { retry_after_s } => answer(request, 480, "Outside Hours", &after(retry_after_s)),
    }
}

/// The status of an offer that cannot be met, and why in a Warning (RFC 3261 section 20.43).
fn refuse_offer(request: ServerTransaction, error: &SdpError) {
    let status = if matches!(error, SdpError::Parse(_)) { 400 } else { 488 };
    warn(request, status, &error.to_string());
}

/// The request, where keys that are required cannot be read on their way; else it is refused.
fn unless_keys_show(request: ServerTransaction, trunk: &Trunk, flow: Flow) -> Option<ServerTransaction> {
    if flow.transport == Transport::Tls || !trunk.needs_tls() {
        return Some(request);
    }
    warn(request, 488, "expected TLS, because keys of SRTP are required and others could read them");
    None
}

fn warn(request: ServerTransaction, status: u16, why: &str) {
    let warning = format!("304 voicefleet \"{}\"", why.replace('"', "'"));
    answer(request, status, "", &[("Warning", warning)]);
}
