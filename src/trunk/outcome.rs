//! What a carrier's refusal means: status and Q.850 cause to the reason of the call's end. A table, nothing else; a cause counts more
//! than the status, because gateways squeeze many causes into few statuses.

use crate::call::EndReason;

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

/// Why a call that we placed reached nobody. `status` is the final one (0 where none came), `cause` the Q.850 one of the Reason
/// header.
#[must_use]
pub fn outcome(status: u16, cause: Option<u8>, stage: SipStage) -> EndReason {
    cause.and_then(by_cause).unwrap_or_else(|| by_status(status, stage == SipStage::Ringing))
}

const fn by_cause(cause: u8) -> Option<EndReason> {
    Some(match cause {
        17 => EndReason::Busy,
        18 | 19 => EndReason::NoAnswer,
        21 => EndReason::Rejected,
        1 | 22 | 28 => EndReason::InvalidNumber,
        20 | 27 => EndReason::Unreachable,
        34 | 38 | 41 | 42 | 44 => EndReason::TrunkFailed,
        65 | 79 | 88 => EndReason::MediaRefused,
        _ => return None,
    })
}

const fn by_status(status: u16, rang: bool) -> EndReason {
    match status {
        486 | 600 => EndReason::Busy,
        480 | 408 if rang => EndReason::NoAnswer,
        487 => EndReason::NoAnswer,
        480 | 408 => EndReason::Unreachable,
        603 | 607 | 608 => EndReason::Rejected,
        403 if rang => EndReason::Rejected,
        404 | 410 | 484 | 604 => EndReason::InvalidNumber,
        415 | 488 | 606 => EndReason::MediaRefused,
        401 | 407 | 403 => EndReason::TrunkRefused,
        _ => EndReason::TrunkFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds() {
        use SipStage::{Ringing, Trying};
        for (status, cause, stage, by, reason) in [
            (486, None, Trying, "RNR", "busy"),
            (600, None, Ringing, "RNR", "busy"),
            (480, Some(17), Trying, "RNR", "busy"),
            (480, None, Ringing, "RNR", "no_answer"),
            (408, None, Ringing, "RNR", "no_answer"),
            (487, None, Ringing, "RNR", "no_answer"),
            (480, Some(19), Trying, "RNR", "no_answer"),
            (603, None, Ringing, "RNR", "rejected"),
            (608, None, Trying, "RNR", "rejected"),
            (403, None, Ringing, "RNR", "rejected"),
            (480, Some(21), Trying, "RNR", "rejected"),
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
        ] {
            let found = outcome(status, cause, stage);
            assert_eq!((found.disconnected_by().code(), found.code()), (by, reason), "{status} {cause:?} {stage:?}");
        }
    }
}
