//! Provisional responses that the caller wants to be sure of (RFC 3262): numbered, repeated until its PRACK comes, and the call is
//! refused where none does. Only where the caller requires it: whoever merely could have them is served as ever.

use super::{Leg, Step};
use crate::call::{LegFact, LegLoss};
use crate::rt;
use crate::transport::sip::dialog::random_token;
use crate::transport::sip::host::MediaPort;
use crate::transport::sip::stack::ServerTransaction;
use crate::units::Moment;
use crate::wire::sdp::Direction;
use crate::wire::sip::{CSeq, Message, list, session_description};

/// A provisional response that waits for its PRACK.
#[derive(Debug)]
pub(super) struct Reliable {
    number: u32,
    response: Message,
    wait_ms: u64,
    again: Moment,
    until: Moment,
    /// The call is to be answered as soon as this one is acknowledged.
    answer: bool,
}

impl Reliable {
    /// When it is to be looked at.
    pub fn due(&self) -> Moment {
        self.again.min(self.until)
    }
}

impl<P: MediaPort> Leg<P> {
    /// Must what comes before the answer be acknowledged?
    pub(super) fn is_reliable_wanted(&self) -> bool {
        self.answering.as_ref().is_some_and(|answering| {
            let mut required = answering.transaction.request.all("Require").flat_map(list);
            required.any(|option| option.eq_ignore_ascii_case("100rel"))
        })
    }

    /// Numbers a provisional response and keeps it for as long as it takes. Where the INVITE brought no offer, ours goes with it:
    /// the first reliable message has to have it (RFC 3262 section 5).
    pub(super) fn make_reliable(&mut self, response: &mut Message) {
        let number = u32::from_str_radix(&random_token(3), 16).unwrap_or(1).max(1);
        response.push("Require", "100rel");
        response.push("RSeq", &number.to_string());
        if self.answering.as_ref().is_some_and(|answering| answering.agreed.is_none()) {
            response.set_sdp(&self.sdp.offer(Direction::SendRecv));
        }
        let (now, wait_ms) = (rt::now(), self.core.config.t1_ms);
        let (again, until) = (now.plus_ms(wait_ms), now.plus_ms(wait_ms * 64));
        let response = response.clone();
        self.reliable = Some(Reliable { number, response, wait_ms, again, until, answer: false });
    }

    /// Answering must wait for the PRACK; `true` where it does.
    pub(super) fn answer_later(&mut self) -> bool {
        self.reliable.as_mut().map(|reliable| reliable.answer = true).is_some()
    }

    /// The bot cannot wait for the rest of the ringing.
    pub(super) async fn answer_now(&mut self) -> Step {
        self.ring_until = None;
        if self.answer_later() { Ok(()) } else { self.answer().await }
    }

    /// Repeats what nobody acknowledged yet, twice as late each time; gives up after 64 × T1.
    pub(super) fn repeat(&mut self, now: Moment) -> Step {
        let Some(reliable) = self.reliable.as_mut().filter(|reliable| now >= reliable.due()) else { return Ok(()) };
        if now >= reliable.until {
            tracing::info!(trunk = %self.trunk.id, "nobody acknowledged a provisional response; refusing the call");
            self.refuse(504, "No PRACK");
            return Err(LegFact::Lost(LegLoss::Unanswered));
        }
        reliable.wait_ms *= 2;
        reliable.again = now.plus_ms(reliable.wait_ms);
        let response = reliable.response.clone();
        if let Some(answering) = &mut self.answering {
            answering.transaction.respond(&response);
            self.note(true, &response.status().unwrap_or(0).to_string());
        }
        Ok(())
    }

    /// The caller's PRACK.
    pub(super) async fn acknowledged_early(&mut self, mut request: ServerTransaction) -> Step {
        let invited = self.answering.as_ref().and_then(|a| CSeq::parse(a.transaction.request.get("CSeq")?));
        let named = request.request.get("RAck").and_then(rack);
        let fits = self.reliable.as_ref().zip(invited).is_some_and(|(reliable, invited)| {
            named == Some((reliable.number, invited.number)) && invited.method == "INVITE"
        });
        if !fits {
            self.reply(&mut request, 481, &[]);
            return Ok(());
        }
        let description = session_description(&request.request);
        let agreed = match (description, self.sdp.is_offering()) {
            (None, false) => None,
            (Some(answer), true) => match self.sdp.accept(answer) {
                Ok(plan) => Some(plan),
                Err(error) => {
                    self.refuse_offer(&mut request, &error);
                    self.refuse(488, "");
                    return Err(LegFact::Lost(LegLoss::Protocol));
                }
            },
            (None, true) => {
                self.reply(&mut request, 400, &[("Warning", "304 voicefleet \"expected the answer to our offer\"")]);
                return Ok(());
            }
            // The INVITE's own offer has its answer only with the 200 (RFC 3311 section 5.2 by analogy).
            (Some(_), false) => {
                self.reply(&mut request, 500, &[("Retry-After", "1")]);
                return Ok(());
            }
        };
        self.reply(&mut request, 200, &[]);
        let answer = self.reliable.take().is_some_and(|reliable| reliable.answer);
        if let (Some(plan), Some(answering)) = (agreed, &mut self.answering) {
            answering.agreed = Some((plan.clone(), None));
            if self.trunk.inbound.early_media && !answer {
                self.begin_early(plan).await?;
            }
        }
        if answer { self.answer().await } else { Ok(()) }
    }
}

/// The numbers of a RAck: the response's and the INVITE's.
fn rack(value: &str) -> Option<(u32, u32)> {
    let mut words = value.split_whitespace();
    let numbers = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (words.next()? == "INVITE" && words.next().is_none()).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rack_names_a_response_and_an_invite() {
        for (text, expected) in [
            ("7 1 INVITE", Some((7, 1))),
            (" 7   1  INVITE ", Some((7, 1))),
            ("7 1 UPDATE", None),
            ("7 INVITE", None),
            ("-7 1 INVITE", None),
            ("7 1 INVITE x", None),
            ("4294967296 1 INVITE", None),
            ("", None),
        ] {
            assert_eq!(rack(text), expected, "{text:?}");
        }
    }
}
