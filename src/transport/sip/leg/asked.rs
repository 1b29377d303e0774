//! What the peer asks for inside the dialog: BYE, re-INVITE, UPDATE, INFO, OPTIONS, NOTIFY. A request that cannot be met is refused and
//! the call goes on.

use std::time::Duration;

use super::digits::{cause_of, digit_of};
use super::early::before_answer;
use super::{Leg, Step, allows};
use crate::call::LegFact;
use crate::rt;
use crate::transport::sip::dialog::{DialogKey, Order, introduce, random};
use crate::transport::sip::host::MediaPort;
use crate::transport::sip::stack::ServerTransaction;
use crate::transport::sip::timer::{self, Session};
use crate::trunk::DtmfMode;
use crate::wire::sdp::{Direction, SdpError};
use crate::wire::sip::{Message, list, session_description};

/// How long a re-INVITE waits for the ACK of the one before, which comes by another channel and may be read after it.
const ACK_GRACE: Duration = Duration::from_millis(100);

impl<P: MediaPort> Leg<P> {
    pub(super) async fn asked(&mut self, mut request: ServerTransaction) -> Step {
        if request.request.get("Replaces").is_some() && DialogKey::of_request(&request.request).is_none() {
            return self.replaced(request).await;
        }
        let method = request.request.method().unwrap_or_default().to_owned();
        self.note(false, &method);
        if self.alone {
            self.reply(&mut request, 481, &[]);
            return Ok(());
        }
        match self.dialog.order_of(&request.request) {
            Order::Next => {}
            Order::Old => {
                self.reply(&mut request, 500, &[("Retry-After", "1")]);
                return Ok(());
            }
            Order::Foreign => {
                self.reply(&mut request, 481, &[]);
                return Ok(());
            }
        }
        match method.as_str() {
            "BYE" => {
                self.reply(&mut request, 200, &[]);
                self.report.cause = cause_of(&request.request);
                if self.followed.is_some() {
                    self.stay_alone().await;
                    return Ok(());
                }
                if self.answering.is_some() {
                    self.refuse(487, "");
                }
                // Whoever took a REFER and hangs up then has done what it asked for.
                let handed = self.transfer.as_ref().is_some_and(|transfer| transfer.accepted).then_some("transfer");
                let by = self.leaving.map(|_| "bot").or(handed).map(str::to_owned);
                return Err(LegFact::HungUp { by });
            }
            "INVITE" => return self.reinvited(request).await,
            "UPDATE" => return self.updated(request).await,
            "PRACK" => return self.acknowledged_early(request).await,
            "INFO" => match digit_of(&request.request) {
                Some(digit) => {
                    self.reply(&mut request, 200, &[]);
                    // Where the trunk says that keys come by the audio, this one came or comes there too.
                    if matches!(self.trunk.media.dtmf, DtmfMode::Auto | DtmfMode::Info) {
                        self.tell_if_room(LegFact::Digit { digit });
                    }
                }
                None if request.request.body.is_empty() => self.reply(&mut request, 200, &[]),
                None => self.reply(&mut request, 415, &[("Accept", "application/dtmf-relay, application/dtmf")]),
            },
            "OPTIONS" => self.reply(&mut request, 200, &[("Accept", "application/sdp")]),
            "NOTIFY" => return self.notified(request).await,
            "REFER" => return self.referred(request).await,
            _ => self.reply(&mut request, 501, &[]),
        }
        Ok(())
    }

    pub(super) fn reply(&mut self, request: &mut ServerTransaction, status: u16, fields: &[(&str, &str)]) {
        let mut response = Message::response(&request.request, status, "", &self.dialog.key.local_tag);
        introduce(&mut response);
        for (name, value) in fields {
            response.push(name, value);
        }
        request.respond(&response);
        self.note(true, &status.to_string());
    }

    /// The session that a refresh asks for. One that is too short is refused, before anything of the request is taken: `None`.
    fn asked_session(&mut self, request: &mut ServerTransaction) -> Option<Option<Session>> {
        match timer::asked(&request.request, &self.trunk.timers, rt::now()) {
            Ok(session) => Some(session),
            Err(least) => {
                self.reply(request, 422, &[("Min-SE", &least.to_string())]);
                None
            }
        }
    }

    /// Takes the session over; the fields that say so.
    fn renew(&mut self, request: &Message, session: Option<Session>) -> Vec<(&'static str, String)> {
        self.session = session.filter(|_| self.session.is_some() || request.get("Session-Expires").is_some());
        let mut fields = Vec::new();
        if let Some(session) = &self.session {
            fields.push(("Session-Expires", session.answer_field()));
            let knows = request.all("Supported").flat_map(list).any(|o| o.eq_ignore_ascii_case("timer"));
            if knows && !session.ours {
                fields.push(("Require", "timer".to_owned()));
            }
        }
        fields
    }

    async fn reinvited(&mut self, mut request: ServerTransaction) -> Step {
        if self.answering.is_none()
            && let Some(before) = &mut self.unacknowledged
            && let Some(event) = rt::timeout(ACK_GRACE, before.next()).await
            && let Err(last) = self.server(event).await
        {
            self.reply(&mut request, 481, &[]);
            return Err(last);
        }
        if self.answering.is_some() || self.unacknowledged.is_some() {
            self.reply(&mut request, 500, &[("Retry-After", "2")]);
            return Ok(());
        }
        if self.asking.as_ref().is_some_and(|asking| asking.changes_session()) {
            self.reply(&mut request, 491, &[]);
            return Ok(());
        }
        let Some(session) = self.asked_session(&mut request) else { return Ok(()) };
        let agreed = match session_description(&request.request) {
            Some(offer) => match self.sdp.answer(offer) {
                Ok(agreed) => Some(agreed),
                Err(error) => {
                    self.refuse_offer(&mut request, &error);
                    return Ok(());
                }
            },
            None => None,
        };
        let fields = self.renew(&request.request, session);
        self.updates |= allows(&request.request, "UPDATE");
        self.dialog.retarget(&request.request, Some(request.flow));
        let mut response = Message::response(&request.request, 200, "", &self.dialog.key.local_tag);
        response.push("Contact", self.dialog.contact());
        introduce(&mut response);
        for (name, value) in fields {
            response.push(name, &value);
        }
        let plan = match agreed {
            Some(agreed) => {
                response.set_sdp(&agreed.sdp);
                Some(agreed.plan)
            }
            None => {
                let wish = self.sdp.plan().map_or(Direction::SendRecv, |_| Direction::SendRecv);
                response.set_sdp(&self.sdp.offer(wish));
                None
            }
        };
        request.respond(&response);
        self.note(true, "200");
        self.unacknowledged = Some(request);
        match plan {
            Some(plan) => self.audio(plan).await,
            None => Ok(()),
        }
    }

    async fn updated(&mut self, mut request: ServerTransaction) -> Step {
        let offer = session_description(&request.request).map(<[u8]>::to_vec);
        if offer.is_some()
            && (self.sdp.is_offering() || self.asking.as_ref().is_some_and(|asking| asking.changes_session()))
        {
            self.reply(&mut request, 491, &[]);
            return Ok(());
        }
        // The INVITE's own offer is not answered yet (RFC 3311 section 5.2).
        let owed = self.answering.as_ref().and_then(|answering| answering.agreed.as_ref());
        if offer.is_some() && owed.is_some_and(|(_, answer)| answer.is_some()) {
            let wait = (random() % 11).to_string();
            self.reply(&mut request, 500, &[("Retry-After", &wait)]);
            return Ok(());
        }
        let Some(session) = self.asked_session(&mut request) else { return Ok(()) };
        let agreed = match offer.map(|offer| self.sdp.answer(&offer)).transpose() {
            Ok(agreed) => agreed,
            Err(error) => {
                self.refuse_offer(&mut request, &error);
                return Ok(());
            }
        };
        let fields = self.renew(&request.request, session);
        self.updates = true;
        self.dialog.retarget(&request.request, Some(request.flow));
        let mut response = Message::response(&request.request, 200, "", &self.dialog.key.local_tag);
        response.push("Contact", self.dialog.contact());
        introduce(&mut response);
        for (name, value) in fields {
            response.push(name, &value);
        }
        if let Some(agreed) = &agreed {
            response.set_sdp(&agreed.sdp);
        }
        request.respond(&response);
        self.note(true, "200");
        match agreed {
            Some(agreed) if self.answering.is_none() => self.audio(agreed.plan).await,
            Some(agreed) => {
                // What a PRACK settled is what the 200 begins with, unless it was changed since.
                if let Some((plan, None)) = self.answering.as_mut().and_then(|answering| answering.agreed.as_mut()) {
                    plan.clone_from(&agreed.plan);
                }
                if self.started { self.audio(before_answer(agreed.plan)).await } else { Ok(()) }
            }
            None => Ok(()),
        }
    }

    pub(super) fn refuse_offer(&mut self, request: &mut ServerTransaction, error: &SdpError) {
        let status = if matches!(error, SdpError::Parse(_)) { 400 } else { 488 };
        let warning = format!("304 voicefleet \"{}\"", error.to_string().replace('"', "'"));
        self.reply(request, status, &[("Warning", &warning)]);
    }
}
