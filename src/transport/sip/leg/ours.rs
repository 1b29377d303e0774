//! What we ask for inside the dialog: BYE, REFER, the refresh of the session. Each answer comes back to the leg as an outcome; a
//! challenge is answered, a collision (491) is tried again after the standard's random wait. A refresh that fails moves the end
//! of the session by nothing.

use super::{Leg, Step};
use crate::call::{LegFact, LegLoss};
use crate::rt;
use crate::transport::sip::dialog::{random, random_token};
use crate::transport::sip::host::MediaPort;
use crate::transport::sip::stack::ServerTransaction;
use crate::transport::sip::timer;
use crate::units::Moment;
use crate::wire::sdp::Direction;
use crate::wire::sip::{Answer, Challenge, Message, Uri, session_description};

/// Which request an outcome is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Bye,
    Refer,
    /// A key.
    Info,
    /// How a REFER of theirs goes.
    Notify,
    /// By UPDATE, without a description.
    Update,
    /// By INVITE, with the same description.
    Reinvite,
}

/// A request of ours under way.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    kind: Kind,
}

impl Asking {
    pub fn changes_session(&self) -> bool {
        self.kind == Kind::Reinvite
    }
}

/// What became of a request of ours.
pub(super) struct Outcome {
    kind: Kind,
    request: Message,
    response: Option<Message>,
    /// Challenges that were answered on the way.
    challenges: u8,
}

impl Outcome {
    pub(super) fn is_bye(&self) -> bool {
        self.kind == Kind::Bye
    }
}

/// A transfer under way.
#[derive(Debug)]
pub(super) struct Transfer {
    /// It has failed when no outcome has come by now.
    pub until: Moment,
    /// It never takes longer than this.
    limit: Moment,
    /// The far end took the REFER.
    pub accepted: bool,
}

/// Challenges that are answered for one request: one of each of two servers, and one whose nonce has grown old.
pub(in crate::transport::sip) const CHALLENGES: u8 = 3;
/// How many T1 a transfer has until its first NOTIFY: 10 s.
const FIRST_WORD_T1: u64 = 20;
/// Between two tries of a refresh that was refused, in milliseconds.
const AGAIN_MS: u64 = 1_000;
/// Longest wait that a peer's Retry-After is given, in seconds; the session may be over before that.
const MOST_RETRY_S: u64 = 32;

/// How long a collision is waited out, in milliseconds (RFC 3261 section 14.1): 2.1 to 4 s by whoever owns the Call-ID, up to 2 s by the
/// other, in steps of 10 ms, so that the two do not meet again.
fn collision_ms(owner: bool, random: u64) -> u64 {
    if owner { 2_100 + random % 191 * 10 } else { random % 201 * 10 }
}

fn retry_after_s(field: &str) -> Option<u64> {
    field.split([';', '(']).next()?.trim().parse().ok()
}

impl<P: MediaPort> Leg<P> {
    /// Sends a request and lets its outcome come back.
    pub(super) fn ask(&mut self, kind: Kind, request: Message) {
        self.ask_on(kind, request, 0);
    }

    fn ask_on(&mut self, kind: Kind, request: Message, challenges: u8) {
        if matches!(kind, Kind::Update | Kind::Reinvite) {
            self.asking = Some(Asking { kind });
        }
        self.note(true, request.method().unwrap_or_default());
        let way = self.dialog.towards();
        let core = std::sync::Arc::clone(&self.core);
        let outcomes = self.outcomes_in.clone();
        let (credentials, mut number) = (self.trunk.credentials(), self.dialog.local_number);
        rt::spawn("sip request", async move {
            let mut asked = Outcome { kind, request, response: None, challenges };
            loop {
                asked.response = match core.send(&asked.request, &way).await {
                    Some(mut transaction) => transaction.last().await,
                    None => None,
                };
                let Err(unheard) = outcomes.send(asked).await else { return };
                // The leg is over and nobody answers a challenge for it: its BYE has to be believed all the same.
                asked = unheard.0;
                number += 1;
                let challenged =
                    asked.response.as_ref().filter(|_| asked.kind == Kind::Bye && asked.challenges < CHALLENGES);
                let proved = challenged
                    .zip(credentials.as_ref())
                    .filter(|(response, _)| matches!(response.status(), Some(401 | 407)))
                    .and_then(|(response, credentials)| authorise(&asked.request, response, credentials, number));
                let Some(again) = proved else { return };
                asked = Outcome { kind, request: again, response: None, challenges: asked.challenges + 1 };
            }
        });
    }

    pub(super) async fn hang_up(&mut self, why: &'static str) -> Step {
        if self.leaving.is_some() {
            return Ok(());
        }
        if self.answering.is_some() {
            self.refuse(480, "");
            return Err(LegFact::HungUp { by: Some("bot".to_owned()) });
        }
        // Whoever was called for a REFER has nobody to talk to any more.
        self.followed = None;
        if self.alone {
            return Err(LegFact::HungUp { by: Some("bot".to_owned()) });
        }
        if self.unacknowledged.is_some() {
            // RFC 3261 section 15: who was called sends no BYE before the ACK, or before that is given up.
            self.leave_after_ack = Some(why);
            return Ok(());
        }
        self.leaving = Some(rt::now().plus_ms(self.core.config.hang_up_ms));
        // Nothing that waits for its time goes behind a BYE.
        (self.informing, self.again_at) = (super::Informing::default(), None);
        let mut bye = self.dialog.request("BYE");
        bye.push("Reason", &format!("Q.850;cause=16;text={}", crate::wire::sip::quoted(why)));
        self.ask(Kind::Bye, bye);
        Ok(())
    }

    /// Hangs up and ends by this fact: at once, or behind the ACK that the BYE must wait for.
    pub(super) async fn leave(&mut self, why: &'static str, last: LegFact) -> Step {
        self.hang_up(why).await?;
        if self.leave_after_ack.is_none() {
            return Err(last);
        }
        // Nothing else is due any more, and the first reason counts.
        (self.session, self.transfer, self.again_at) = (None, None, None);
        self.last.get_or_insert(last);
        Ok(())
    }

    pub(super) async fn refer(&mut self, to: &str) -> Step {
        if self.alone {
            self.transfer_failed("the far end has hung up behind its REFER", None).await;
            return Ok(());
        }
        if self.leave_after_ack.is_some() || self.leaving.is_some() {
            return Ok(());
        }
        let domain = &self.trunk.outbound.domain;
        let host = if domain.is_empty() { self.dialog.flow.peer.to_string() } else { domain.clone() };
        let uri = match Uri::parse(to) {
            Some(uri) if matches!(uri.scheme.as_str(), "sip" | "sips" | "tel") => to.to_owned(),
            _ if !to.is_empty() && to.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'*' | b'#')) => {
                format!("sip:{}@{host}", self.trunk.written(to))
            }
            _ => {
                self.transfer_failed("the target is neither a number nor a URI", None).await;
                return Ok(());
            }
        };
        let config = &self.core.config;
        let (now, most_ms) = (rt::now(), config.transfer_ms);
        let first_ms = (config.t1_ms * FIRST_WORD_T1).min(most_ms);
        self.transfer = Some(Transfer { until: now.plus_ms(first_ms), limit: now.plus_ms(most_ms), accepted: false });
        let mut refer = self.dialog.request("REFER");
        refer.push("Refer-To", &format!("<{uri}>"));
        refer.push("Referred-By", self.dialog.contact());
        self.ask(Kind::Refer, refer);
        Ok(())
    }

    /// Tells the call that the caller is still here.
    pub(super) async fn transfer_failed(&mut self, why: &str, status: Option<u16>) {
        self.transfer = None;
        self.report.transfers_failed += 1;
        tracing::info!(trunk = %self.trunk.id, why, status, "a transfer failed; the call goes on");
        self.tell(LegFact::TransferFailed { status }).await;
    }

    /// The far end tells what became of a transfer (RFC 3515).
    pub(super) async fn notified(&mut self, mut request: ServerTransaction) -> Step {
        let is_refer = request
            .request
            .get("Event")
            .is_some_and(|event| event.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("refer")));
        if !is_refer {
            self.reply(&mut request, 489, &[]);
            return Ok(());
        }
        self.reply(&mut request, 200, &[]);
        let body = String::from_utf8_lossy(&request.request.body).into_owned();
        let status: Option<u16> = body.split_whitespace().nth(1).and_then(|word| word.parse().ok());
        let Some(transfer) = &mut self.transfer else { return Ok(()) };
        // A word about it may overtake the answer to the REFER.
        transfer.accepted = true;
        match status {
            Some(status) if (200..300).contains(&status) => {
                self.transfer = None;
                self.leave("transferred", LegFact::HungUp { by: Some("transfer".to_owned()) }).await
            }
            Some(status) if status >= 300 => {
                self.transfer_failed("the far end says so", Some(status)).await;
                Ok(())
            }
            _ => {
                // It rings: that may take its time.
                transfer.until = transfer.limit;
                Ok(())
            }
        }
    }

    /// Keeps the session alive: by UPDATE where the peer takes it, else by INVITE with the description as it stands.
    pub(super) async fn refresh(&mut self) -> Step {
        let Some(session) = self.session else { return Ok(()) };
        let by_invite = !self.updates;
        if self.leaving.is_some() || self.asking.is_some() || (by_invite && self.unacknowledged.is_some()) {
            self.again_at = Some(rt::now().plus_ms(500));
            return Ok(());
        }
        let mut request = self.dialog.request(if by_invite { "INVITE" } else { "UPDATE" });
        let interval_s = session.interval_s.max(self.least_s);
        request.push("Session-Expires", &format!("{interval_s};refresher=uac"));
        request.push("Min-SE", &self.trunk.timers.min_se_s.min(interval_s).max(self.least_s).to_string());
        if by_invite {
            let description = self.sdp.again().unwrap_or_else(|| self.sdp.offer(Direction::SendRecv));
            request.set_sdp(&description);
        }
        let kind = if by_invite { Kind::Reinvite } else { Kind::Update };
        self.ask(kind, request);
        Ok(())
    }

    pub(super) async fn outcome(&mut self, outcome: Outcome) -> Step {
        let Outcome { kind, request, response, challenges } = outcome;
        if request.get("Call-ID") != Some(self.dialog.key.call_id.as_str()) {
            // Of a dialog that the call has left.
            return Ok(());
        }
        if matches!(kind, Kind::Update | Kind::Reinvite) {
            self.asking = None;
        }
        let status = response.as_ref().and_then(Message::status).unwrap_or(408);
        self.note(false, &status.to_string());
        if matches!(status, 401 | 407)
            && challenges < CHALLENGES
            && let Some(again) = response.as_ref().and_then(|response| self.authorised(&request, response))
        {
            self.ask_on(kind, again, challenges + 1);
            return Ok(());
        }
        match kind {
            Kind::Bye => Err(LegFact::HungUp { by: Some("bot".to_owned()) }),
            Kind::Refer => {
                match &mut self.transfer {
                    Some(transfer) if (200..300).contains(&status) => transfer.accepted = true,
                    Some(_) => self.transfer_failed("the far end refused it", Some(status)).await,
                    None => {}
                }
                Ok(())
            }
            Kind::Notify => Ok(()),
            Kind::Info => {
                self.informed(status);
                Ok(())
            }
            Kind::Update | Kind::Reinvite => self.refreshed(kind, &request, status, response.as_ref()).await,
        }
    }

    async fn refreshed(&mut self, kind: Kind, request: &Message, status: u16, response: Option<&Message>) -> Step {
        let now = rt::now();
        match (status, response) {
            (200..=299, Some(response)) => {
                self.dialog.retarget(response, None);
                if kind == Kind::Reinvite {
                    let number =
                        crate::wire::sip::CSeq::parse(request.get("CSeq").unwrap_or_default()).map_or(0, |c| c.number);
                    let ack = self.dialog.ack(request);
                    let way = self.dialog.way();
                    self.core.acknowledge(&self.dialog.key, &self.dialog.remote_tag, number, &ack, way);
                    match session_description(response).map(|answer| self.sdp.accept(answer)) {
                        Some(Ok(plan)) => self.audio(plan).await?,
                        _ => self.sdp.withdraw(),
                    }
                }
                self.raised = false;
                self.session = timer::granted(response, now)
                    .or_else(|| self.session.map(|session| timer::Session::begun(session.interval_s, true, now)));
                Ok(())
            }
            (422, Some(response)) => {
                self.sdp.withdraw();
                // Once per refresh, and only where the peer names more than was asked for; otherwise it would go on at the speed of
                // the network. The session ends when it would have ended.
                let asked = request.get("Session-Expires").and_then(timer::seconds).unwrap_or(0);
                let more = timer::least(response).filter(|least| *least > asked && !self.raised);
                self.least_s = more.unwrap_or(self.least_s);
                self.raised |= more.is_some();
                self.again_at = Some(if more.is_some() { now } else { now.plus_ms(AGAIN_MS) });
                Ok(())
            }
            (491, Some(_)) => {
                self.sdp.withdraw();
                self.again_at = Some(now.plus_ms(collision_ms(self.dialog.called, random())));
                Ok(())
            }
            (500, Some(response)) => {
                self.sdp.withdraw();
                let told = response.get("Retry-After").and_then(retry_after_s);
                let wait = told.map_or(AGAIN_MS, |s| (s.min(MOST_RETRY_S) * 1_000).max(AGAIN_MS));
                self.again_at = Some(now.plus_ms(wait));
                Ok(())
            }
            // The peer knows of no such call any more, or does not answer: it is over.
            (408 | 481, _) => self.leave("refresh failed", LegFact::Lost(LegLoss::Silent)).await,
            _ => {
                self.sdp.withdraw();
                // A peer that refuses UPDATE may still take INVITE; until the session dies there is time to try.
                self.updates = self.updates && kind != Kind::Update;
                self.again_at = Some(now.plus_ms(AGAIN_MS));
                Ok(())
            }
        }
    }

    /// The same request once more, with the account's answer to a challenge.
    fn authorised(&mut self, request: &Message, response: &Message) -> Option<Message> {
        let credentials = self.trunk.credentials()?;
        let again = authorise(request, response, &credentials, self.dialog.local_number + 1)?;
        self.dialog.local_number += 1;
        Some(again)
    }
}

/// A request with the answer to a challenge, a new number and a new branch. `None` where there is nothing new to answer: the realm had
/// its answer and does not say that only the nonce was old, or names the same one.
pub(in crate::transport::sip) fn authorise(
    request: &Message,
    response: &Message,
    credentials: &crate::wire::sip::Credentials,
    number: u32,
) -> Option<Message> {
    let proxy = response.status() == Some(407);
    let asked = if proxy { "Proxy-Authenticate" } else { "WWW-Authenticate" };
    let challenges = Challenge::of_realms(response.all(asked));
    let (method, uri) = (request.method()?.to_owned(), request.uri()?);
    let name = if proxy { "Proxy-Authorization" } else { "Authorization" };
    let said: Vec<Answer> = request.all(name).filter_map(|field| Answer::parse(field).ok()).collect();
    let known = |challenge: &Challenge| said.iter().find(|said| said.realm == challenge.realm);
    let hopeless = |asked: &Challenge| known(asked).is_some_and(|said| !asked.stale || said.nonce == asked.nonce);
    if challenges.is_empty() || challenges.iter().any(hopeless) {
        return None;
    }
    let mut again = request.clone();
    for name in ["Authorization", "Proxy-Authorization"] {
        again.remove(name);
        // Whoever has its answer wants it again (RFC 3261 section 22.3), though no nonce twice with one count.
        for (before, count) in request.all(name).filter_map(Challenge::answered) {
            let replaced =
                (name == "Proxy-Authorization") == proxy && challenges.iter().any(|new| new.realm == before.realm);
            if !replaced {
                again.push(name, &before.answer(credentials, &method, uri, &random_token(8), count + 1));
            }
        }
    }
    for challenge in &challenges {
        again.push(name, &challenge.answer(credentials, &method, uri, &random_token(8), 1));
    }
    again.set("CSeq", &format!("{number} {method}"));
    let via = again.get("Via")?;
    let (before, _) = via.split_once("branch=")?;
    let via = format!("{before}branch=z9hG4bK{};rport", random_token(12));
    again.set("Via", &via);
    Some(again)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn two_ends_never_wait_a_collision_out_alike(ours in any::<u64>(), theirs in any::<u64>()) {
            let (owner, other) = (collision_ms(true, ours), collision_ms(false, theirs));
            prop_assert!((2_100..=4_000).contains(&owner) && other <= 2_000, "{} {}", owner, other);
            prop_assert_eq!((owner % 10, other % 10), (0, 0));
        }
    }

    #[test]
    fn a_retry_after_is_read_with_what_stands_behind_it() {
        for (field, seconds) in [("7", Some(7)), (" 5 (busy)", Some(5)), ("9;duration=3", Some(9)), ("soon", None)] {
            assert_eq!(retry_after_s(field), seconds, "{field}");
        }
    }
}
