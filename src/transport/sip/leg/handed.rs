//! The far end gives its place to somebody else: by an INVITE with Replaces (RFC 3891), or by a REFER that we follow (RFC 3515). The call
//! goes on with its bot, its port and its recording, in another dialog. Only where the trunk allows it.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{Leg, Step, allows};
use crate::call::LegFact;
use crate::rt;
use crate::transport::sip::admission::fresh_key;
use crate::transport::sip::core::Registered;
use crate::transport::sip::dialog::{Dialog, DialogKey, introduce, random_token};
use crate::transport::sip::host::MediaPort;
use crate::transport::sip::leg::ours::Kind;
use crate::transport::sip::outbound::{Following, OutboundCall, Taken, follow};
use crate::transport::sip::stack::ServerTransaction;
use crate::transport::sip::timer;
use crate::wire::sdp::{Direction, MediaPlan, Negotiator, SdpError};
use crate::wire::sip::{Address, Message, Uri, list, parameter, session_description};

/// Most characters of a number or of a field that a REFER hands on.
const MOST_CHARS: usize = 256;

/// The dialog that an INVITE wants to replace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::transport::sip) struct Replaced {
    pub key: DialogKey,
    remote_tag: String,
    early_only: bool,
}

impl Replaced {
    /// What an INVITE names; `None` where it replaces nothing.
    ///
    /// # Errors
    /// A field that cannot be read, or more than one: 400.
    pub fn of(invite: &Message) -> Option<Result<Self, ()>> {
        let mut values = invite.all("Replaces").flat_map(list);
        let value = values.next()?;
        let read = || {
            let call_id = value.split(';').next()?.trim();
            let tag = |name| parameter(value, name).filter(|tag: &&str| !tag.is_empty()).map(str::to_owned);
            let (local_tag, remote_tag) = (tag("to-tag")?, tag("from-tag")?);
            let early_only = value.split(';').skip(1).any(|word| word.trim().eq_ignore_ascii_case("early-only"));
            let key = DialogKey { call_id: call_id.to_owned(), local_tag };
            (!call_id.is_empty()).then_some(Self { key, remote_tag, early_only })
        };
        let alone = values.next().is_none() && invite.get("Join").is_none();
        Some(if alone { read().ok_or(()) } else { Err(()) })
    }
}

impl<P: MediaPort> Leg<P> {
    /// Somebody else's INVITE that wants the far end's place.
    pub(super) async fn replaced(&mut self, mut request: ServerTransaction) -> Step {
        self.note(false, "INVITE");
        let tag = random_token(8);
        let refused = match Replaced::of(&request.request) {
            Some(Ok(named)) => self.why_not_replaced(&named),
            _ => Some(481),
        };
        if let Some(status) = refused {
            self.decline(&mut request, status, &tag, &[]);
            return Ok(());
        }
        let session = match timer::asked(&request.request, &self.trunk.timers, rt::now()) {
            Ok(session) => session,
            Err(least) => {
                self.decline(&mut request, 422, &tag, &[("Min-SE", least.to_string())]);
                return Ok(());
            }
        };
        let Some(mut ours) = self.for_another() else {
            self.decline(&mut request, 500, &tag, &[]);
            return Ok(());
        };
        let (plan, sdp) = match session_description(&request.request).map(|offer| ours.answer(offer)).transpose() {
            Ok(Some(agreed)) => (Some(agreed.plan), agreed.sdp),
            Ok(None) => (None, ours.offer(Direction::SendRecv)),
            Err(error) => {
                let status = if matches!(error, SdpError::Parse(_)) { 400 } else { 488 };
                self.decline(&mut request, status, &tag, &[]);
                return Ok(());
            }
        };
        let dialog =
            Dialog::answering(&request.request, &tag, request.flow, &self.core.place, &self.trunk.identity.contact);
        let (row, requests) = self.core.register(&dialog.key, &self.trunk.id);
        let mut response = Message::response(&request.request, 200, "", &tag);
        response.push("Contact", dialog.contact());
        introduce(&mut response);
        if let Some(session) = &session {
            response.push("Session-Expires", &session.answer_field());
        }
        response.set_sdp(&sdp);
        request.respond(&response);
        self.note(true, "200");
        self.updates = allows(&request.request, "UPDATE");
        (self.sdp, self.session, self.unsettled) = (ours, session, plan.is_none());
        self.unacknowledged = Some(request);
        self.go_on_in((dialog, row, requests), None).await;
        tracing::info!(trunk = %self.trunk.id, "the far end of a call was replaced");
        match plan {
            Some(plan) => self.audio(plan).await,
            None => Ok(()),
        }
    }

    /// What is agreed, to be agreed with another peer: with a key that the last one does not know, and whose packets are counted from
    /// the beginning, as the new one counts them. `None` without randomness.
    fn for_another(&self) -> Option<Negotiator> {
        let mut sdp = self.sdp.clone();
        sdp.rekey(fresh_key()?);
        Some(sdp)
    }

    /// The status by which a replacement is refused, in the order of RFC 3891 section 3.
    fn why_not_replaced(&self, named: &Replaced) -> Option<u16> {
        let pending = self.unacknowledged.is_some() || self.sdp.is_offering() || self.followed.is_some();
        if named.key != self.dialog.key
            || named.remote_tag != self.dialog.remote_tag
            || self.answering.is_some()
            || self.alone
        {
            Some(481)
        } else if self.leaving.is_some() || self.leave_after_ack.is_some() || !self.trunk.inbound.transfers {
            Some(603)
        } else if named.early_only {
            Some(486)
        } else if pending {
            Some(500)
        } else {
            None
        }
    }

    fn decline(&mut self, request: &mut ServerTransaction, status: u16, tag: &str, fields: &[(&str, String)]) {
        let mut response = Message::response(&request.request, status, "", tag);
        introduce(&mut response);
        for (name, value) in fields {
            response.push(name, value);
        }
        if status == 500 {
            response.push("Retry-After", "1");
        }
        request.respond(&response);
        self.note(true, &status.to_string());
    }

    /// Leaves the dialog for another one; `word` is told in the old one before it is ended.
    async fn go_on_in(
        &mut self,
        (dialog, row, requests): (Dialog, Registered, mpsc::Receiver<ServerTransaction>),
        word: Option<Message>,
    ) {
        let mut old = std::mem::replace(&mut self.dialog, dialog);
        let old_row = std::mem::replace(&mut self.row, row);
        let mut old_requests = std::mem::replace(&mut self.requests, requests);
        (self.asking, self.again_at) = (None, None);
        (self.least_s, self.raised) = (0, false);
        self.informing = super::Informing::default();
        if self.transfer.is_some() {
            self.transfer_failed("the far end gave its place away", None).await;
        }
        // Whoever hung up already is told and not hung up on.
        let left = std::mem::take(&mut self.alone);
        if !left {
            self.note(true, "BYE");
        }
        let core = std::sync::Arc::clone(&self.core);
        rt::spawn("sip old dialog", async move {
            let limit = Duration::from_millis(core.config.hang_up_ms);
            let way = old.towards();
            let farewell = async {
                if let Some(word) = word
                    && let Some(mut transaction) = core.send(&word, &way).await
                {
                    // Whether it is heard or not, the BYE has its time.
                    let _ = rt::timeout(limit, transaction.last()).await;
                }
                if left {
                    return;
                }
                let mut bye = old.request("BYE");
                bye.push("Reason", "Q.850;cause=16;text=\"replaced\"");
                if let Some(mut transaction) = core.send(&bye, &way).await {
                    let _ = transaction.last().await;
                }
            };
            // Whoever leaves may say so at the same time.
            let asked = async {
                while let Some(mut request) = old_requests.recv().await {
                    let status = if request.request.method() == Some("BYE") { 200 } else { 481 };
                    let response = Message::response(&request.request, status, "", &old_row.key().local_tag);
                    request.respond(&response);
                }
            };
            let both = async {
                tokio::select! {
                    () = farewell => {}
                    () = asked => {}
                }
            };
            let _ = rt::timeout(limit * 2, both).await;
        });
    }

    /// The far end wants the call to go on with somebody else, whom we are to call.
    pub(super) async fn referred(&mut self, mut request: ServerTransaction) -> Step {
        let busy = self.answering.is_some() || self.leaving.is_some() || self.leave_after_ack.is_some();
        if !self.trunk.inbound.transfers || busy {
            self.reply(&mut request, 603, &[]);
            return Ok(());
        }
        if self.followed.is_some() || self.sdp.is_offering() {
            self.reply(&mut request, 491, &[]);
            return Ok(());
        }
        let Some(call) = self.called_for(&request.request) else {
            self.reply(&mut request, 400, &[]);
            return Ok(());
        };
        if self.trunk.outbound.targets.is_empty() || !self.trunk.may_follow(&call.to) {
            self.reply(&mut request, 603, &[]);
            return Ok(());
        }
        let Ok(channel) = self.core.admit_outward(&self.trunk, &call.to) else {
            self.reply(&mut request, 503, &[("Retry-After", "5")]);
            return Ok(());
        };
        let Some(sdp) = self.for_another() else {
            self.reply(&mut request, 500, &[]);
            return Ok(());
        };
        let contact = self.dialog.contact().to_owned();
        self.reply(&mut request, 202, &[("Contact", &contact)]);
        let trying = self.word("active;expires=60", "100 Trying");
        self.ask(Kind::Notify, trying);
        let (core, trunk) = (std::sync::Arc::clone(&self.core), std::sync::Arc::clone(&self.trunk));
        self.followed = Some(follow(core, trunk, sdp, call, self.port.local(), channel));
        Ok(())
    }

    /// The far end hangs up behind its REFER. The dialog ends with that, but the call does not: it waits for what becomes of whom we call,
    /// with nobody to hear or to be heard. The NOTIFY still goes to whoever asked: that lasts beyond the BYE (RFC 5057).
    pub(super) async fn stay_alone(&mut self) {
        self.alone = true;
        (self.session, self.asking, self.again_at) = (None, None, None);
        (self.unacknowledged, self.pending) = (None, None);
        self.informing = super::Informing::default();
        if self.transfer.is_some() {
            self.transfer_failed("the far end has hung up behind its REFER", None).await;
        }
        if let Some(plan) = self.sdp.plan() {
            self.port.change(MediaPlan { direction: Direction::Inactive, ..plan.clone() });
        }
    }

    /// The call that a REFER describes: by the number alone, because it goes out by our own trunk; `None` where that cannot be read.
    fn called_for(&self, refer: &Message) -> Option<OutboundCall> {
        let mut targets = refer.all("Refer-To").flat_map(list);
        let target = targets.next().filter(|_| targets.next().is_none())?;
        let whole = Address::parse(target)?.uri;
        let uri = Uri::parse(whole).filter(|uri| matches!(uri.scheme.as_str(), "sip" | "sips" | "tel"))?;
        let to = uri.number();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'*' | b'.' | b'-' | b'_');
        if to.is_empty() || to.len() > 64 || !to.bytes().all(plain) {
            return None;
        }
        let sound = |value: &String| value.len() <= MOST_CHARS && !value.chars().any(char::is_control);
        let replaces = header_of(whole, "Replaces").map(|value| ("Replaces".to_owned(), value));
        let by = refer.get("Referred-By").map(|value| ("Referred-By".to_owned(), value.to_owned()));
        let fields = replaces.into_iter().chain(by).filter(|(_, value)| sound(value)).collect();
        Some(OutboundCall { trunk: self.trunk.id.clone(), to, from: String::new(), fields })
    }

    /// A NOTIFY of how the REFER goes.
    fn word(&mut self, state: &str, line: &str) -> Message {
        let mut notify = self.dialog.request("NOTIFY");
        notify.push("Contact", self.dialog.contact());
        notify.push("Event", "refer");
        notify.push("Subscription-State", state);
        notify.push("Content-Type", "message/sipfrag;version=2.0");
        notify.body = format!("SIP/2.0 {line}\r\n").into_bytes();
        notify
    }

    /// What became of the call that a REFER asked for.
    pub(super) async fn followed(&mut self, outcome: Result<Box<Taken>, u16>) -> Step {
        self.followed = None;
        match outcome {
            Ok(taken) => {
                let Taken { dialog, row, requests, sdp, plan, session, updates, channel, known } = *taken;
                let word = self.word("terminated;reason=noresource", "200 OK");
                self.note(true, "NOTIFY");
                // Whether the left dialog was ever acknowledged is of no interest any more.
                (self.unacknowledged, self.pending) = (None, None);
                // Why the one before hung up is not why this one will.
                self.report.cause = None;
                self.go_on_in((dialog, row, requests), Some(word)).await;
                (self.sdp, self.session, self.updates, self.channel) = (sdp, session, updates, channel);
                (self.known, self.unsettled) = (Some(known), false);
                tracing::info!(trunk = %self.trunk.id, "a call goes on with whom the far end named");
                self.audio(plan).await
            }
            Err(status) => {
                let status = if status == 0 { 503 } else { status };
                let phrase = Message::response(&Message::request("INVITE", "sip:x"), status, "", "");
                let line = format!("{status} {}", phrase.reason().unwrap_or_default());
                let word = self.word("terminated;reason=noresource", &line);
                self.ask(Kind::Notify, word);
                // Nobody is left to go on with.
                if self.alone { Err(LegFact::HungUp { by: None }) } else { Ok(()) }
            }
        }
    }

    /// Waits for what becomes of such a call, where one is under way.
    pub(super) async fn following(followed: &mut Option<Following>) -> Result<Box<Taken>, u16> {
        match followed {
            Some(followed) => followed.outcome().await,
            None => std::future::pending().await,
        }
    }
}

/// A header that a URI brings along (RFC 3261 section 19.1.1), its escapes resolved.
fn header_of(uri: &str, name: &str) -> Option<String> {
    let (_, headers) = uri.split_once('?')?;
    let mut pairs = headers.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaces_field_names_a_dialog_from_our_side() {
        let read = |values: &[&str]| {
            let mut invite = Message::request("INVITE", "sip:a@h");
            values.iter().for_each(|value| invite.push("Replaces", value));
            Replaced::of(&invite)
        };
        let named = |call_id: &str, early_only| Replaced {
            key: DialogKey { call_id: call_id.to_owned(), local_tag: "ours".to_owned() },
            remote_tag: "theirs".to_owned(),
            early_only,
        };
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["a@b;to-tag=ours;from-tag=theirs"]), Some(Ok(named("a@b", false))));
        assert_eq!(read(&["a@b ; from-tag=theirs;early-only;to-tag=ours"]), Some(Ok(named("a@b", true))));
        for bad in
            [&["a@b;to-tag=ours"][..], &[";to-tag=ours;from-tag=theirs"], &["a;to-tag=;from-tag=theirs"], &["x", "y"]]
        {
            assert_eq!(read(bad), Some(Err(())), "{bad:?}");
        }
    }

    #[test]
    fn a_header_in_a_uri_is_unescaped_and_nothing_else() {
        let uri = "sip:+911@h;transport=tcp?Subject=x&replaces=a%40b%3Bto-tag%3D1%3bfrom-tag%3d2";
        assert_eq!(header_of(uri, "Replaces").as_deref(), Some("a@b;to-tag=1;from-tag=2"));
        for none in [
            "sip:a@h",
            "sip:a@h?",
            "sip:a@h?Replaces",
            "sip:a@h?Replaces=%4",
            "sip:a@h?Replaces=%zz",
            "sip:a@h?Replaces=%ff",
        ] {
            assert_eq!(header_of(none, "Replaces"), None, "{none}");
        }
    }
}
