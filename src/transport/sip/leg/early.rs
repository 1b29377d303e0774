//! What a caller gets before the answer: 180, or the bot itself as early media (183 with our description, RFC 3261 section 13.3.1.1 and
//! RFC 3960). The answer repeats that description. Never answers a call.

use super::{Leg, Step};
use crate::rt;
use crate::transport::sip::dialog::introduce;
use crate::transport::sip::host::MediaPort;
use crate::wire::sdp::{Direction, MediaPlan};
use crate::wire::sip::Message;

impl<P: MediaPort> Leg<P> {
    /// It rings, or the bot begins.
    pub(super) async fn progress(&mut self) -> Step {
        let Some(answering) = &self.answering else { return Ok(()) };
        // What the audio is to be is only known where the INVITE brought an offer.
        let early = self.trunk.inbound.early_media.then(|| answering.agreed.clone()).flatten();
        let status = if early.is_some() { 183 } else { 180 };
        let mut response = Message::response(&answering.transaction.request, status, "", &self.dialog.key.local_tag);
        response.push("Contact", self.dialog.contact());
        introduce(&mut response);
        let reliable = self.is_reliable_wanted();
        if let Some((_, Some(sdp))) = &early {
            response.set_sdp(sdp);
        }
        if reliable {
            self.make_reliable(&mut response);
        }
        let Some(answering) = &mut self.answering else { return Ok(()) };
        if let Some((_, told)) = answering.agreed.as_mut().filter(|_| reliable && early.is_some()) {
            // Said for sure, it is not said again (RFC 6337 section 2.1).
            *told = None;
        }
        answering.transaction.respond(&response);
        self.report.ring(rt::now());
        self.note(true, &status.to_string());
        match early {
            Some((plan, _)) => self.begin_early(plan).await,
            None => Ok(()),
        }
    }

    /// The bot is heard before the answer.
    pub(super) async fn begin_early(&mut self, plan: MediaPlan) -> Step {
        self.report.early_at.get_or_insert_with(rt::now);
        self.audio(before_answer(plan)).await?;
        self.open().await;
        Ok(())
    }
}

/// Many networks let nothing through to us before the answer, so that hearing nothing means nothing yet; what comes all the same is heard.
pub(super) fn before_answer(plan: MediaPlan) -> MediaPlan {
    let direction = if plan.direction.sends() { Direction::SendOnly } else { Direction::Inactive };
    MediaPlan { direction, ..plan }
}
