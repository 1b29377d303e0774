//! Mirrors of what a call can decide. Orders are written to be compared with a replay's, so they keep what identifies a
//! decision and leave out what follows from earlier lines (an `Ask`'s history).

use serde::{Deserialize, Serialize};

use super::line::{LineOrder, Other};
use crate::{call, turn};

/// What the call decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// To the leg.
    Leg(LegOrder),
    /// To the dialogue engine.
    Ask(Ask),
    /// To the call's line on its media shard.
    Line(LineOrder),
    /// Anything else.
    Other(Other),
}

impl Order {
    /// The mirror of `order`.
    #[must_use]
    pub fn of(order: &call::Order) -> Self {
        match order {
            call::Order::Leg(leg) => Self::Leg(leg.into()),
            call::Order::Ask(ask) => Self::Ask(ask.into()),
            call::Order::Line(line) => Self::Line(line.into()),
            other => Self::Other(Other::of(other).unwrap_or(Other::Finish)),
        }
    }
}

/// Mirror of [`call::LegOrder`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegOrder {
    /// The call is known by this id.
    Ready {
        /// The id.
        call_id: String,
    },
    /// Hang up.
    HangUp {
        /// For the far end's log.
        message: String,
    },
    /// Hand the customer over.
    Transfer {
        /// To whom.
        to: String,
    },
    /// Press keys at the far end.
    Keys {
        /// Which.
        keys: String,
    },
    /// Close the connection.
    Close {
        /// WebSocket close code.
        code: u16,
        /// Short text.
        reason: String,
    },
}

impl From<&call::LegOrder> for LegOrder {
    fn from(order: &call::LegOrder) -> Self {
        match order {
            call::LegOrder::Ready { call_id } => Self::Ready { call_id: call_id.clone() },
            call::LegOrder::HangUp { message } => Self::HangUp { message: message.clone() },
            call::LegOrder::Transfer { to } => Self::Transfer { to: to.clone() },
            call::LegOrder::Keys { keys } => Self::Keys { keys: keys.clone() },
            call::LegOrder::Close { code, reason } => Self::Close { code: *code, reason: (*reason).to_owned() },
        }
    }
}

/// Mirror of [`turn::Ask`] without the history, of which only the length is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The answer that is wanted.
    pub utterance: u32,
    /// The last answer of which the caller heard a word.
    pub after: Option<u32>,
    /// Why.
    pub cause: AskCause,
    /// How many lines of conversation went with it.
    pub history: usize,
    /// The last answer was cut short.
    pub interrupted: bool,
}

/// Mirror of [`turn::AskCause`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskCause {
    /// Say the opening line.
    Opening,
    /// The caller finished a turn with these words.
    Caller(String),
    /// The caller typed digits.
    Digits(String),
    /// Nobody spoke; the number of the reminder.
    Idle(u8),
    /// Say goodbye after the reminders.
    IdleGoodbye,
    /// The maximum duration is near.
    TimeWarning,
    /// Nothing was understood.
    Unclear,
}

impl From<&turn::Ask> for Ask {
    fn from(ask: &turn::Ask) -> Self {
        Self {
            utterance: ask.utterance.0,
            after: ask.after.map(|utterance| utterance.0),
            cause: match &ask.cause {
                turn::AskCause::Opening => AskCause::Opening,
                turn::AskCause::Caller(text) => AskCause::Caller(text.clone()),
                turn::AskCause::Digits(digits) => AskCause::Digits(digits.clone()),
                turn::AskCause::Idle(n) => AskCause::Idle(*n),
                turn::AskCause::IdleGoodbye => AskCause::IdleGoodbye,
                turn::AskCause::TimeWarning => AskCause::TimeWarning,
                turn::AskCause::Unclear => AskCause::Unclear,
            },
            history: ask.history.len(),
            interrupted: ask.interrupted,
        }
    }
}
