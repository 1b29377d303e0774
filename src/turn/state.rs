//! Where a conversation stands, in one word of a closed list: for the operators' page, and for the tests that want to have seen
//! every one. Decides nothing.

use super::TurnLoop;

/// What a turn loop does at this moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TurnState {
    /// Nobody speaks and nothing is under way: the idle clock runs.
    Waiting,
    /// Keys come in.
    Collecting,
    /// The caller speaks.
    Listening,
    /// The caller has fallen silent: has he finished?
    Deciding,
    /// The engine was asked and has said nothing yet.
    Thinking,
    /// There is text and no sound yet.
    Preparing,
    /// The bot is heard.
    Speaking,
    /// The bot holds its place while it is undecided whether the caller interrupts.
    Paused,
    /// The bot was cut; the line has not said where.
    Cutting,
    /// Nothing more is said or heard.
    Closed,
}

impl TurnState {
    /// Every state, in the order of the list.
    pub const ALL: [Self; 10] = [
        Self::Waiting,
        Self::Collecting,
        Self::Listening,
        Self::Deciding,
        Self::Thinking,
        Self::Preparing,
        Self::Speaking,
        Self::Paused,
        Self::Cutting,
        Self::Closed,
    ];

    /// The word on the operators' page and in `/api/v1/calls`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Collecting => "collecting",
            Self::Listening => "listening",
            Self::Deciding => "deciding",
            Self::Thinking => "thinking",
            Self::Preparing => "preparing",
            Self::Speaking => "speaking",
            Self::Paused => "paused",
            Self::Cutting => "cutting",
            Self::Closed => "closed",
        }
    }
}

impl TurnLoop {
    /// Where the conversation stands. What the bot does goes before what the caller does.
    #[must_use]
    pub fn state(&self) -> TurnState {
        if self.closed {
            return TurnState::Closed;
        }
        if self.cutting.is_some() {
            return TurnState::Cutting;
        }
        match (&self.answer, &self.caller) {
            (Some(answer), _) if answer.audible_at.is_some() => {
                if self.barge.is_paused() {
                    TurnState::Paused
                } else {
                    TurnState::Speaking
                }
            }
            (Some(answer), _) if answer.segments.is_empty() => TurnState::Thinking,
            (Some(_), _) => TurnState::Preparing,
            (None, Some(turn)) if turn.silent_at.is_some() => TurnState::Deciding,
            (None, Some(_)) => TurnState::Listening,
            (None, None) if self.digits.is_some() => TurnState::Collecting,
            (None, None) => TurnState::Waiting,
        }
    }
}
