//! The INVITE of a call that we place: identity, number format and offer as the trunk wants them. Sends nothing.

use super::Placing;
use crate::transport::sip::dialog::introduce;
use crate::transport::sip::flow::Flow;
use crate::transport::sip::host::MediaPort;
use crate::trunk::TimerMode;
use crate::wire::sdp::Direction;
use crate::wire::sip::{Message, quoted};

impl<P: MediaPort> Placing<P> {
    pub(super) fn invite(&mut self, flow: Flow, domain: &str) -> Message {
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
}
