//! What is said before the answer, by each phone that may answer: reliable responses are acknowledged (RFC 3262), early media is heard.
//! Never decides how a call ends.

use std::sync::Arc;

use super::Placing;
use crate::call::LegFact;
use crate::rt;
use crate::transport::sip::dialog::Dialog;
use crate::transport::sip::flow::Flow;
use crate::transport::sip::host::MediaPort;
use crate::trunk::SipStage;
use crate::wire::sdp::{MediaPlan, Negotiator};
use crate::wire::sip::{CSeq, Message, list, parameter, session_description};

/// Phones of one call that are kept apart; what more of them say before the answer is not heard.
const FORKS: usize = 16;

/// One phone that may answer: the tag of its early dialog.
pub(super) struct Fork {
    pub(super) tag: String,
    /// What its description agreed to, where it gave one.
    pub(super) sdp: Option<Negotiator>,
    /// The number of its last reliable response (RFC 3262), where there was one.
    pub(super) acknowledged: Option<u32>,
    /// It changed since then what it had answered, by an offer of its own.
    pub(super) updated: bool,
}

impl<P: MediaPort> Placing<P> {
    pub(super) async fn provisional(&mut self, invite: &Message, flow: Flow, status: u16, response: &Message) {
        if status <= 100 {
            return;
        }
        self.stage = SipStage::Ringing;
        self.report.ring(rt::now());
        let tag = parameter(response.get("To").unwrap_or_default(), "tag").unwrap_or_default();
        let known = self.forks.iter().position(|fork| fork.tag == tag);
        let at = match known {
            Some(at) => at,
            None if self.forks.len() < FORKS => {
                self.forks.push(Fork { tag: tag.to_owned(), sdp: None, acknowledged: None, updated: false });
                self.forks.len() - 1
            }
            None => return,
        };
        let reliable = reliable_number(response);
        if reliable.is_some_and(|number| !self.is_next_of(at, number)) {
            return;
        }
        let described =
            session_description(response).and_then(|text| self.described_early(text, reliable.is_some(), at));
        if let Some(number) = reliable {
            let answer = described.as_ref().and_then(|(_, _, answer)| answer.as_deref());
            self.acknowledge_early(invite, flow, response, number, answer);
        }
        let Some((trial, plan, _)) = described else { return };
        if let Some(fork) = self.forks.get_mut(at) {
            fork.sdp = Some(trial.clone());
        }
        let rate = plan.codec.audio_rate();
        self.report.early_at.get_or_insert_with(rt::now);
        match self.early.replace(trial) {
            Some(before) if before.plan() == Some(&plan) => {}
            Some(_) => self.port.change(plan),
            None => {
                self.port.start(plan);
                self.tell(LegFact::Started { rate }).await;
            }
        }
    }

    /// What a description before the answer leads to, and our answer where it is the carrier's offer. What plays before the answer may
    /// be replaced by the answer, so an offer of ours stays open; one of theirs counts where it must be acknowledged (RFC 3262
    /// section 5), once for each phone.
    fn described_early(
        &self,
        text: &[u8],
        reliable: bool,
        at: usize,
    ) -> Option<(Negotiator, MediaPlan, Option<String>)> {
        let mut trial = self.sdp.clone();
        let agreed = if !self.trunk.outbound.delayed_offer {
            trial.accept(text).map(|plan| (plan, None))
        } else if reliable && self.forks.get(at).is_some_and(|fork| fork.sdp.is_none()) {
            trial.answer(text).map(|agreed| (agreed.plan, Some(agreed.sdp)))
        } else {
            return None;
        };
        match agreed {
            Ok((plan, answer)) => Some((trial, plan, answer)),
            Err(error) => {
                tracing::info!(trunk = %self.trunk.id, %error, "early media does not fit and is not heard");
                None
            }
        }
    }

    /// Is a response that must be acknowledged the next of its phone? Neither a repetition nor one that overtook another; remembers it.
    fn is_next_of(&mut self, at: usize, number: u32) -> bool {
        let Some(fork) = self.forks.get_mut(at) else { return false };
        let next = fork.acknowledged.is_none_or(|last| number == last.wrapping_add(1));
        fork.acknowledged = if next { Some(number) } else { fork.acknowledged };
        next
    }

    /// PRACK for a response that its sender wants acknowledged, with the answer to its offer where it brought one.
    fn acknowledge_early(
        &mut self,
        invite: &Message,
        flow: Flow,
        response: &Message,
        number: u32,
        answer: Option<&str>,
    ) {
        let invited = CSeq::parse(invite.get("CSeq").unwrap_or_default()).map_or(1, |cseq| cseq.number);
        let mut dialog = Dialog::calling(invite, response, flow, &self.core.place);
        dialog.local_number = self.number;
        self.number += 1;
        let mut prack = dialog.request("PRACK");
        prack.push("RAck", &format!("{number} {invited} INVITE"));
        if let Some(answer) = answer {
            prack.set_sdp(answer);
        }
        self.note(true, "PRACK");
        let core = Arc::clone(&self.core);
        rt::spawn("sip prack", async move {
            if let Some(mut transaction) = core.send(&prack, &dialog.towards()).await {
                let _ = transaction.last().await;
            }
        });
    }
}

/// The number of a response that its sender wants acknowledged (RFC 3262).
fn reliable_number(response: &Message) -> Option<u32> {
    let required = response.all("Require").flat_map(list).any(|option| option.eq_ignore_ascii_case("100rel"));
    response.get("RSeq").and_then(|text| text.trim().parse().ok()).filter(|_| required)
}
