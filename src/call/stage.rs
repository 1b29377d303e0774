//! Where a call stands, how it ended and what it knows of itself: the types, nothing of how it gets there.

use super::EndReason;
use crate::units::Moment;

/// Where a call stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Opened; no audio format yet.
    Setup { until: Moment, answered: bool },
    /// Audio may flow; the customer is not on the line yet.
    Ringing { until: Moment },
    /// The conversation.
    Live,
    /// We said goodbye to the far end and wait for its answer.
    Leaving { until: Moment },
    /// The far end is gone; the line says what was heard last.
    Settling { until: Moment },
    /// Over.
    Over,
}

/// Where a call stands, as the outside may see it: the closed list of its phases.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CallState {
    /// Opened; no audio format yet.
    Setup,
    /// Audio may flow; the customer is not on the line yet.
    Ringing,
    /// The conversation.
    Live,
    /// The far end was told and has not answered.
    Leaving,
    /// The far end is gone; the line has not said what was heard last.
    Settling,
    /// Over.
    Over,
}

impl CallState {
    /// Every state, in the order of a call.
    pub const ALL: [Self; 6] = [Self::Setup, Self::Ringing, Self::Live, Self::Leaving, Self::Settling, Self::Over];
}

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ending {
    /// Why.
    pub reason: EndReason,
    /// When the reason occurred.
    pub at: Moment,
}

/// What a call knows of itself, for the result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Milestones {
    /// The opening.
    pub opened_at: Moment,
    /// Time zero of the recording.
    pub line_at: Option<Moment>,
    /// The customer was on the line.
    pub answered_at: Option<Moment>,
    /// The raw word of the far end for who ended the call.
    pub hung_up_by: Option<String>,
    /// Whereto the caller was handed.
    pub transferred_to: Option<String>,
    /// Nobody took the caller when he was handed over last.
    pub transfer_failed: bool,
    /// The caller asked not to be called again.
    pub opted_out: bool,
    /// What went wrong on the way, oldest first.
    pub errors: Vec<String>,
}
