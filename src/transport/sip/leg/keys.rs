//! Keys that we press at the far end: through the audio (RFC 4733 or tones), or by SIP INFO one after the other. Never says which keys in
//! a log.

use std::collections::VecDeque;

use super::Leg;
use super::ours::Kind;
use crate::rt;
use crate::transport::sip::host::MediaPort;
use crate::trunk::DtmfMode;
use crate::units::Moment;

/// Keys that wait for their INFO; more are left out.
const MOST: usize = 64;
/// How long a key of an INFO is said to be pressed, and the time from one to the next.
const PRESS_MS: u64 = 160;
const STEP_MS: u64 = 250;

/// Keys that go by INFO.
#[derive(Debug, Default)]
pub(super) struct Informing {
    left: VecDeque<char>,
    /// The last one is not answered yet.
    asked: bool,
    /// The next may go then.
    from: Option<Moment>,
}

impl Informing {
    /// When the next key is due.
    pub fn due(&self) -> Option<Moment> {
        self.from.filter(|_| !self.asked && !self.left.is_empty())
    }
}

impl<P: MediaPort> Leg<P> {
    /// Presses keys by the way that the trunk names: where it leaves the choice, RTP events if they are agreed, else INFO.
    pub(super) fn press(&mut self, keys: &str) {
        if self.leaving.is_some() || self.alone {
            return;
        }
        let events = self.sdp.plan().is_some_and(|plan| plan.telephone_event.is_some());
        let missing = match self.trunk.media.dtmf {
            DtmfMode::Auto | DtmfMode::Rfc4733 if events => keys.chars().filter(|key| !self.port.press(*key)).count(),
            DtmfMode::Inband => keys.chars().filter(|key| !self.port.press(*key)).count(),
            DtmfMode::Auto | DtmfMode::Info => {
                let room = MOST.saturating_sub(self.informing.left.len());
                self.informing.left.extend(keys.chars().take(room));
                self.informing.from.get_or_insert_with(rt::now);
                self.inform();
                keys.chars().count().saturating_sub(room)
            }
            DtmfMode::Rfc4733 => keys.chars().count(),
        };
        if missing > 0 {
            tracing::warn!(trunk = %self.trunk.id, missing, "keys are not pressed: too many wait, or RTP events are not agreed");
        }
    }

    /// The next key by INFO, where it is time.
    pub(super) fn inform(&mut self) {
        if self.informing.due().is_none_or(|at| rt::now() < at) || self.leaving.is_some() {
            return;
        }
        let Some(key) = self.informing.left.pop_front() else { return };
        self.informing.asked = true;
        self.informing.from = Some(rt::now().plus_ms(STEP_MS));
        let mut info = self.dialog.request("INFO");
        info.push("Content-Type", "application/dtmf-relay");
        info.body = format!("Signal={key}\r\nDuration={PRESS_MS}\r\n").into_bytes();
        self.ask(Kind::Info, info);
    }

    /// The far end's word on a key: one that it does not take has no sense without the rest.
    pub(super) fn informed(&mut self, status: u16) {
        self.informing.asked = false;
        if (200..300).contains(&status) {
            return self.inform();
        }
        let missing = self.informing.left.len() + 1;
        self.informing.left.clear();
        tracing::warn!(trunk = %self.trunk.id, status, missing, "the far end takes no keys by INFO");
    }
}
