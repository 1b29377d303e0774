//! What the carrier asks in a call of ours that it has not answered yet: UPDATE moves the early media (RFC 3311), the rest has to wait for
//! the answer. Never answers for the leg that the call becomes.

use super::Placing;
use crate::transport::sip::dialog::{introduce, random};
use crate::transport::sip::host::MediaPort;
use crate::transport::sip::stack::ServerTransaction;
use crate::wire::sdp::SdpError;
use crate::wire::sip::{Message, parameter, session_description};

impl<P: MediaPort> Placing<P> {
    /// A request in a dialog that is early, or not even that.
    pub(super) fn asked_early(&mut self, invite: &Message, request: ServerTransaction) {
        let method = request.request.method().unwrap_or_default();
        self.note(false, method);
        let told = match method {
            "UPDATE" => self.updated_early(&request.request),
            "OPTIONS" => Told::status(200),
            // Ours is not answered yet (RFC 3261 section 14.2).
            "INVITE" => Told::status(491),
            _ => Told::status(481),
        };
        self.tell_early(invite, request, &told);
    }

    /// An offer of theirs may only follow the answer to ours, which the same phone gave in a response that we acknowledged.
    fn updated_early(&mut self, update: &Message) -> Told {
        let tag = parameter(update.get("From").unwrap_or_default(), "tag").unwrap_or_default();
        let Some(fork) = self.forks.iter_mut().find(|fork| fork.tag == tag) else { return Told::status(481) };
        let Some(offer) = session_description(update) else { return Told::status(200) };
        let Some(mut sdp) = fork.sdp.clone().filter(|_| fork.acknowledged.is_some()) else {
            // Our offer is out, or the one of the carrier's that its INVITE's response owes us (RFC 3311 section 5.2).
            let wait = (random() % 11).to_string();
            let delayed = self.trunk.outbound.delayed_offer;
            return if delayed { Told::with(500, ("Retry-After", wait)) } else { Told::status(491) };
        };
        match sdp.answer(offer) {
            Ok(agreed) => {
                (fork.sdp, fork.updated) = (Some(sdp.clone()), true);
                self.early = Some(sdp);
                self.port.change(agreed.plan);
                Told { sdp: Some(agreed.sdp), ..Told::status(200) }
            }
            Err(error) => {
                let status = if matches!(error, SdpError::Parse(_)) { 400 } else { 488 };
                let why = error.to_string().replace('"', "'");
                Told::with(status, ("Warning", format!("304 voicefleet \"{why}\"")))
            }
        }
    }

    fn tell_early(&mut self, invite: &Message, mut request: ServerTransaction, told: &Told) {
        let mut response = Message::response(&request.request, told.status, "", &self.tag);
        response.push("Contact", invite.get("Contact").unwrap_or_default());
        introduce(&mut response);
        if let Some((name, value)) = &told.field {
            response.push(name, value);
        }
        if let Some(sdp) = &told.sdp {
            response.set_sdp(sdp);
        }
        request.respond(&response);
        self.note(true, &told.status.to_string());
    }
}

/// What a request is answered.
struct Told {
    status: u16,
    field: Option<(&'static str, String)>,
    sdp: Option<String>,
}

impl Told {
    const fn status(status: u16) -> Self {
        Self { status, field: None, sdp: None }
    }

    const fn with(status: u16, field: (&'static str, String)) -> Self {
        Self { status, field: Some(field), sdp: None }
    }
}
