//! Calls that we place: a slot, a trunk, a port and a channel are taken in this order, all or nothing. Never waits.

use std::sync::Arc;

use super::App;
use super::host::FarEnd;
use super::sip::SipSide;
use crate::api::{DialAsk, DialRefusal};
use crate::call::LegMeta;
use crate::transport::sip::{MediaPort as _, MediaPorts as _, OutboundCall, PlaceError, SipLink};
use crate::transport::ws::Refusal;
use crate::trunk::Trunk;
use crate::units::{BotId, CallId};

impl App {
    /// Places a call.
    pub(super) fn place(&self, ask: DialAsk) -> Result<CallId, DialRefusal> {
        if self.bots.get(&ask.bot).is_none() {
            return Err(DialRefusal::UnknownBot);
        }
        let sip = self.sip.get().and_then(std::sync::Weak::upgrade).ok_or(DialRefusal::NoTrunk)?;
        let trunk = trunk_for(&sip, &ask)?;
        let slot = self.hold(&BotId::new(&ask.bot)).map_err(|refusal| match refusal {
            Refusal::UnknownBot => DialRefusal::UnknownBot,
            Refusal::Full { .. } | Refusal::OutsideHours { .. } => DialRefusal::Full,
            Refusal::Draining => DialRefusal::Draining,
            Refusal::Starting => DialRefusal::Starting,
        })?;
        let mut media = 0;
        let reserve = || sip.ports.reserve().inspect(|port| media = port.id());
        let (link, end) = SipLink::pair();
        let from = ask.from.unwrap_or_default();
        let did = if from.is_empty() { trunk.identity.caller_id.clone() } else { from.clone() };
        let call = OutboundCall { trunk: trunk.id.clone(), to: ask.to.reveal().clone(), from, fields: ask.headers };
        sip.endpoint.place_call(call, reserve, link)?;
        let meta = LegMeta {
            caller_id: ask.to,
            did,
            outgoing: true,
            ring_limit_ms: Some(trunk.outbound.ring_ms),
            custom: ask.variables,
            marks: false,
            tells_transfers: true,
        };
        let far = FarEnd::Sip { end, media: (self.shelf.clone(), media), trunk: trunk.id.clone() };
        Ok(self.accept(slot, meta, far))
    }
}

/// The trunk that was named, or the first that may call the number with this caller ID.
fn trunk_for(sip: &SipSide, ask: &DialAsk) -> Result<Arc<Trunk>, DialRefusal> {
    let book = sip.endpoint.trunks();
    if let Some(id) = &ask.trunk {
        let unknown = || DialRefusal::Unfit(PlaceError::UnknownTrunk(id.clone()).to_string());
        return book.get(id).cloned().ok_or_else(unknown);
    }
    let places = |trunk: &&Arc<Trunk>| !trunk.outbound.targets.is_empty() && trunk.may_call(ask.to.reveal());
    let mut able = book.all().filter(places).peekable();
    let first = able.peek().map(|trunk| Arc::clone(trunk)).ok_or(DialRefusal::NoTrunk)?;
    // Where no trunk has the caller ID the first one refuses it by name.
    let from = ask.from.as_deref().unwrap_or_default();
    Ok(able.find(|trunk| from.is_empty() || trunk.shows(from)).cloned().unwrap_or(first))
}

impl From<PlaceError> for DialRefusal {
    fn from(error: PlaceError) -> Self {
        let text = error.to_string();
        match error {
            PlaceError::UnknownTrunk(_)
            | PlaceError::NoTargets(_)
            | PlaceError::Forbidden(_)
            | PlaceError::ForeignCaller(_) => Self::Unfit(text),
            PlaceError::Full(_) => Self::NoChannel(text),
            PlaceError::TooMany { .. } => Self::TooMany(text),
            PlaceError::NoPort => Self::NoPort,
            PlaceError::Draining => Self::Draining,
            PlaceError::NoRandomness => Self::Internal(text),
        }
    }
}
