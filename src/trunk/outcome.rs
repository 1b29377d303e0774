//! What a carrier's refusal means: status and Q.850 cause to who ended the call and why. A table, nothing else; a cause counts more
//! than the status, because gateways squeeze many causes into few statuses.

use crate::call::DisconnectedBy;

/// How far the call had come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SipStage {
    /// Nothing but 100 had come.
    Trying,
    /// A 18x had come: it rang, or the network spoke.
    Ringing,
    /// It was answered.
    Answered,
}

/// What it meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// In the words of results.
    pub disconnected_by: DisconnectedBy,
    /// The code of `end_reason`.
    pub reason: &'static str,
}

const fn rnr(reason: &'static str) -> Outcome {
    Outcome { disconnected_by: DisconnectedBy::Rnr, reason }
}

const fn customer(reason: &'static str) -> Outcome {
    Outcome { disconnected_by: DisconnectedBy::Customer, reason }
}

const fn error(reason: &'static str) -> Outcome {
    Outcome { disconnected_by: DisconnectedBy::Error, reason }
}

/// The meaning of the end of a call that we placed. `status` is the final one (0 where none came), `cause` the Q.850 one of the
/// Reason header.
#[must_use]
pub fn outcome(status: u16, cause: Option<u8>, stage: SipStage) -> Outcome {
    if stage == SipStage::Answered {
        return customer("customer_hung_up");
    }
    cause.and_then(by_cause).unwrap_or_else(|| by_status(status, stage == SipStage::Ringing))
}

const fn by_cause(cause: u8) -> Option<Outcome> {
    Some(match cause {
        17 => rnr("busy"),
        18 | 19 => rnr("no_answer"),
        21 => customer("rejected"),
        1 | 22 | 28 => error("invalid_number"),
        20 | 27 => rnr("unreachable"),
        34 | 38 | 41 | 42 | 44 => error("trunk_failed"),
        65 | 79 | 88 => error("media_refused"),
        _ => return None,
    })
}

const fn by_status(status: u16, rang: bool) -> Outcome {
    match status {
        486 | 600 => rnr("busy"),
        480 | 408 if rang => rnr("no_answer"),
        487 => rnr("no_answer"),
        480 | 408 => rnr("unreachable"),
        603 | 607 | 608 => customer("rejected"),
        403 if rang => customer("rejected"),
        404 | 410 | 484 | 604 => error("invalid_number"),
        415 | 488 | 606 => error("media_refused"),
        401 | 407 | 403 => error("trunk_refused"),
        _ => error("trunk_failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds() {
        use SipStage::{Answered, Ringing, Trying};
        for (status, cause, stage, by, reason) in [
            (486, None, Trying, "RNR", "busy"),
            (600, None, Ringing, "RNR", "busy"),
            (480, Some(17), Trying, "RNR", "busy"),
            (480, None, Ringing, "RNR", "no_answer"),
            (408, None, Ringing, "RNR", "no_answer"),
            (487, None, Ringing, "RNR", "no_answer"),
            (480, Some(19), Trying, "RNR", "no_answer"),
            (603, None, Ringing, "customer", "rejected"),
            (608, None, Trying, "customer", "rejected"),
            (403, None, Ringing, "customer", "rejected"),
            (480, Some(21), Trying, "customer", "rejected"),
            (404, None, Trying, "error", "invalid_number"),
            (484, None, Trying, "error", "invalid_number"),
            (500, Some(1), Trying, "error", "invalid_number"),
            (480, None, Trying, "RNR", "unreachable"),
            (408, None, Trying, "RNR", "unreachable"),
            (480, Some(20), Ringing, "RNR", "unreachable"),
            (503, None, Trying, "error", "trunk_failed"),
            (0, None, Trying, "error", "trunk_failed"),
            (486, Some(42), Trying, "error", "trunk_failed"),
            (488, None, Trying, "error", "media_refused"),
            (500, Some(65), Trying, "error", "media_refused"),
            (407, None, Trying, "error", "trunk_refused"),
            (403, None, Trying, "error", "trunk_refused"),
            // A cause that says nothing leaves the status.
            (486, Some(16), Trying, "RNR", "busy"),
            (0, Some(16), Answered, "customer", "customer_hung_up"),
        ] {
            let found = outcome(status, cause, stage);
            assert_eq!((found.disconnected_by.code(), found.reason), (by, reason), "{status} {cause:?} {stage:?}");
        }
    }
}
