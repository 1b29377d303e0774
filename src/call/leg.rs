//! The words between a call and its leg, whatever the leg's protocol: facts from the far end, orders to it. A leg's edge
//! (a WebSocket session, later a SIP dialog) turns wire messages into facts and orders into wire messages.

use std::collections::BTreeMap;

use crate::units::{Pii, SampleRate};

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
    /// The far end has played (or thrown away) everything before this mark.
    Mark {
        /// The mark's name as we sent it.
        name: String,
        /// It was played; otherwise it was cleared.
        played: bool,
    },
    /// The far end said that the call is over, with its own word for who ended it.
    HungUp {
        /// The raw word, where one came.
        by: Option<String>,
    },
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
    /// Tell when everything sent so far was played (only where the leg can).
    Mark {
        /// Echoed back by the far end.
        name: String,
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
    /// Close the connection with a code of the leg's own.
    Close {
        /// WebSocket close code.
        code: u16,
        /// Short text.
        reason: &'static str,
    },
}
