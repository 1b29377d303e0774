//! Handing facts to a call from a pool thread. Never lets a call that does not listen hold the pool up.

use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;

use crate::provider::FactSender;
use crate::turn::Heard;

/// How long a full channel is given before the fact is dropped. A call that does not take a fact for this long is stuck,
/// and its own deadlines end it; the other calls' models must not wait for it.
const PATIENCE: Duration = Duration::from_millis(200);
/// How often a full channel is tried.
const STEP: Duration = Duration::from_millis(4);

/// Sends `fact`; waits a little where the channel is full. `false` where the call is over or stuck.
pub(super) fn deliver(facts: &FactSender, fact: Heard) -> bool {
    let mut fact = fact;
    let start = crate::rt::now();
    loop {
        match facts.try_send(fact) {
            Ok(()) => return true,
            Err(TrySendError::Closed(_)) => return false,
            Err(TrySendError::Full(back)) => {
                if crate::rt::now().since(start) > PATIENCE {
                    tracing::warn!("a call does not take what its speech models found; the fact is dropped");
                    return false;
                }
                fact = back;
                std::thread::park_timeout(STEP);
            }
        }
    }
}

/// Sends `fact` if there is room at once: from a task that must not wait.
pub(super) fn offer(facts: &FactSender, fact: Heard) -> bool {
    facts.try_send(fact).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::TurnNo;

    #[test]
    fn a_stuck_call_costs_a_bounded_time_and_an_ended_one_none() {
        let fact = || Heard::Partial { turn: TurnNo(1), text: "x".to_owned(), sure: 1.0 };
        let (facts, heard) = tokio::sync::mpsc::channel(1);
        assert!(deliver(&facts, fact()));
        assert!(!deliver(&facts, fact()), "full and nobody listens");
        drop(heard);
        assert!(!deliver(&facts, fact()));
    }
}
