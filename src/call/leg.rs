//! The words between a call and its leg, whatever the leg's protocol: facts from the far end, orders to it. A leg's edge
//! (a WebSocket session, a SIP dialog) turns wire messages into facts and orders into wire messages.

use std::collections::BTreeMap;
use std::fmt;

use super::EndReason;
use crate::units::{Pii, SampleRate, UtteranceId};

/// What the far end said of the call when it opened it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LegMeta {
    /// The customer's number.
    pub caller_id: Pii<String>,
    /// The number that was dialled.
    pub did: String,
    /// The dialler rang the customer (`true`) or the customer rang us.
    pub outgoing: bool,
    /// Every custom field of the opening message, stringified (nested JSON as compact JSON); at most 64, 8 KiB in all.
    pub custom: BTreeMap<String, String>,
    /// A call that we place: the longest that its leg lets it ring. The leg says itself when nobody was reached, so that the call waits
    /// longer than this only for a leg that fails. `None`: whoever opened the call has the usual limits.
    pub ring_limit_ms: Option<u64>,
    /// The far end says when it has played a piece of speech (see [`Mark`]).
    pub marks: bool,
    /// The far end says what became of a transfer, and the call goes on where that fails.
    pub tells_transfers: bool,
}

/// The end of one piece of speech, as it is named to a far end that says when it has played it: `g3.u1` is the first piece of
/// answer 3. An answer is played once and cut as a whole, so its id is the generation that keeps a late word about an old one
/// apart from the new.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Mark {
    /// The answer.
    pub utterance: UtteranceId,
    /// Which piece of it, from 0; names count from 1.
    pub segment: u16,
}

impl Mark {
    /// Reads a name as [`Mark`] writes it; `None` for any other text.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (utterance, segment) = name.strip_prefix('g')?.split_once(".u")?;
        let mark = Self {
            utterance: UtteranceId(utterance.parse().ok()?),
            segment: segment.parse::<u32>().ok()?.checked_sub(1)?.try_into().ok()?,
        };
        // Numbers have more than one spelling, names have one.
        (mark.to_string() == name).then_some(mark)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}.u{}", self.utterance.0, u32::from(self.segment) + 1)
    }
}

/// A fact from the far end, after the opening.
#[derive(Clone, Debug, PartialEq)]
pub enum LegFact {
    /// Audio may flow, in both directions at this rate.
    Started {
        /// The leg's rate; 8000, 16000 or 24000.
        rate: SampleRate,
    },
    /// The customer is on the line: the turn loop may speak.
    Answered,
    /// One key was pressed.
    Digit {
        /// 0-9, *, #, A-D.
        digit: char,
    },
    /// The far end has played (or thrown away) this piece of speech.
    Mark {
        /// The end of the piece.
        mark: Mark,
        /// It was played; otherwise it was cleared.
        played: bool,
    },
    /// The far end said that the call is over, with its own word for who ended it.
    HungUp {
        /// The raw word, where one came.
        by: Option<String>,
    },
    /// The caller was not handed over: the far end refused it, whoever was named did, or nothing came of it in time.
    TransferFailed {
        /// SIP's status, where one came.
        status: Option<u16>,
    },
    /// A call that we placed reached nobody, and why: one of the reasons of calls that were never answered.
    Unreached(EndReason),
    /// The leg is gone without a word.
    Lost(LegLoss),
}

/// How a leg was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LegLoss {
    /// The peer closed the connection (cleanly or by reset).
    Closed,
    /// Neither a frame nor a pong for 30 s.
    Silent,
    /// The peer did not read for 5 s.
    Stuck,
    /// No `start` or audio within 10 s, or no `answer` within 60 s of the opening.
    Unanswered,
    /// The peer broke the protocol so badly that the leg was closed.
    Protocol,
    /// The leg's own task failed.
    Internal,
}

/// An order to the far end.
#[derive(Clone, Debug, PartialEq)]
pub enum LegOrder {
    /// The configuration is loaded and the call is known by this id.
    Ready {
        /// The call's id.
        call_id: String,
    },
    /// Throw away what you have not played, then hang up; the far end answers with `HungUp`.
    HangUp {
        /// Free text for the far end's log.
        message: String,
    },
    /// Throw away what you have not played, then hand the customer to `to`.
    Transfer {
        /// Number, extension or URI.
        to: String,
    },
    /// Press these keys at the far end, by whatever way the leg has; a leg that has none leaves it.
    Keys {
        /// Out of 0-9, *, #, A-D.
        keys: String,
    },
    /// Close the connection with a code of the leg's own.
    Close {
        /// WebSocket close code.
        code: u16,
        /// Short text.
        reason: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_has_one_name() {
        let mark = Mark { utterance: UtteranceId(3), segment: 0 };
        assert_eq!(mark.to_string(), "g3.u1");
        assert_eq!(Mark::parse("g3.u1"), Some(mark));
        let last = Mark { utterance: UtteranceId(u32::MAX), segment: u16::MAX };
        assert_eq!(Mark::parse(&last.to_string()), Some(last));
        for name in ["", "g3", "g3.u0", "g03.u1", "g+3.u1", "g3.u1 ", "u3.g1", "g3.u65537", "g4294967296.u1", "G3.U1"] {
            assert_eq!(Mark::parse(name), None, "{name}");
        }
    }
}
