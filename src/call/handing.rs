//! A caller is handed over. Where the far end says what becomes of it (a trunk), the call waits for that and goes on where nobody took the
//! caller; where it does not (the dialler's protocol), the call is over with the order. Never places a call.

use super::{Call, EndReason, Ending, LegOrder, Order, Phase};
use crate::units::Moment;

/// A far end that says nothing has this long to take a transferred caller.
const TRANSFER_LIMIT_MS: u64 = 10_000;
/// A leg that says what becomes of a transfer has a limit of its own, within this: the call waits so long only for a leg that fails.
const OUTCOME_LIMIT_MS: u64 = 90_000;
/// With the last of so many transfers that failed the call ends.
const MOST_FAILED: u8 = 2;

/// Where the handing over of the caller stands.
#[derive(Debug)]
pub(super) struct Handing {
    /// The far end says what becomes of it.
    told: bool,
    /// Whereto, and until when an outcome must have come.
    under_way: Option<(String, Moment)>,
    failed: u8,
}

impl Handing {
    pub const fn new(told: bool) -> Self {
        Self { told, under_way: None, failed: 0 }
    }

    pub const fn is_on(&self) -> bool {
        self.under_way.is_some()
    }

    pub fn deadline(&self) -> Option<Moment> {
        self.under_way.as_ref().map(|(_, until)| *until)
    }
}

impl Call {
    /// Hands the caller over. Until it is known what comes of it the bot is silent; what is said is heard and answered afterwards.
    pub(super) fn hand_over(&mut self, now: Moment, to: String) {
        if self.ending.is_some() || self.handing.is_on() {
            return;
        }
        self.orders.push_back(Order::Leg(LegOrder::Transfer { to: to.clone() }));
        if self.handing.told {
            self.turn.hold(now);
            self.handing.under_way = Some((to, now.plus_ms(OUTCOME_LIMIT_MS)));
            return;
        }
        self.ending = Some(Ending { reason: EndReason::Transferred, at: now });
        self.milestones.transferred_to = Some(to);
        self.turn.close(now);
        self.phase = Phase::Leaving { until: now.plus_ms(TRANSFER_LIMIT_MS) };
    }

    /// The leg ended by a transfer: was one under way?
    pub(super) fn handed_over(&mut self) -> bool {
        let Some((to, _)) = self.handing.under_way.take() else { return false };
        (self.milestones.transferred_to, self.milestones.transfer_failed) = (Some(to), false);
        true
    }

    /// Nobody took the caller: the conversation goes on, or is over where nobody took him before either. A bot whose dialogue is over
    /// asks for the same transfer again when the caller speaks, or does not.
    pub(super) fn transfer_failed(&mut self, now: Moment, status: Option<u16>) {
        if self.handing.under_way.take().is_none() || self.phase != Phase::Live {
            return;
        }
        let why = status.map_or_else(|| "no outcome in time".to_owned(), |status| format!("status {status}"));
        self.note_error(format!("a transfer failed: {why}"));
        self.milestones.transfer_failed = true;
        self.handing.failed += 1;
        if self.handing.failed < MOST_FAILED {
            self.turn.release(now);
        } else {
            self.end(now, EndReason::TransferFailed, true);
        }
    }

    /// Time passes while an outcome is waited for: only what the far end has played and what the caller says is of interest.
    pub(super) fn on_handing_time(&mut self, now: Moment) {
        if self.handing.deadline().is_some_and(|at| now >= at) {
            self.note_error("a transfer failed: the leg did not say what became of it".to_owned());
            self.milestones.transfer_failed = true;
            self.end(now, EndReason::TransferFailed, true);
            return;
        }
        self.far_end.on_time(now);
        self.hear_far_end(now);
        self.turn.handle_timeout(now);
    }
}
