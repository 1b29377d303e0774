//! How a call can end: a closed list with stable codes, and who ended it in the words of the result. The first reason wins.

/// Who ended a call, as results say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DisconnectedBy {
    /// The bot said goodbye and hung up.
    Bot,
    /// The customer hung up.
    Customer,
    /// A machine answered.
    Voicemail,
    /// It rang and nobody answered, or whoever was called was busy, declined or out of reach.
    Rnr,
    /// A limit of time was reached.
    Timeout,
    /// Something failed.
    Error,
}

impl DisconnectedBy {
    /// The word in the result.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Bot => "bot",
            Self::Customer => "customer",
            Self::Voicemail => "voicemail",
            Self::Rnr => "RNR",
            Self::Timeout => "timeout",
            Self::Error => "error",
        }
    }
}

/// Why a call ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EndReason {
    /// The bot said goodbye.
    Completed,
    /// The caller asked not to be called again.
    OptedOut,
    /// The caller was handed over.
    Transferred,
    /// The caller was to be handed over and nobody took him.
    TransferFailed,
    /// A voicemail answered, by two independent signals.
    Voicemail,
    /// Nobody spoke, through two reminders.
    Idle,
    /// The longest call is over.
    MaxDuration,
    /// The customer (or the dialler) hung up.
    CustomerHungUp,
    /// The connection was closed without a word.
    LegClosed,
    /// Neither a frame nor a sign of life.
    LegSilent,
    /// The peer stopped reading.
    LegStuck,
    /// The peer broke the protocol.
    ProtocolError,
    /// No audio format and no audio came after the opening.
    HandshakeTimeout,
    /// An outgoing call was not answered in time.
    NoAnswer,
    /// The called number was engaged.
    Busy,
    /// Whoever was called declined.
    Rejected,
    /// The called phone is switched off or out of reach.
    Unreachable,
    /// Nobody has the number that was called.
    InvalidNumber,
    /// The carrier took neither our address nor our password for the call.
    TrunkRefused,
    /// The carrier has no way to the number now, or none of its addresses answered.
    TrunkFailed,
    /// The two ends share no codec, or the far end refuses our audio.
    MediaRefused,
    /// An operator ended it.
    OperatorHungUp,
    /// The worker was drained and the call's time was over.
    Drained,
    /// A provider failed and no fallback was left.
    ProviderFailed,
    /// A fault of the worker itself.
    Internal,
    /// The worker died in mid-call; said by the next start.
    WorkerCrashed,
}

impl EndReason {
    /// Every reason, in the order of the list.
    pub const ALL: [Self; 26] = [
        Self::Completed,
        Self::OptedOut,
        Self::Transferred,
        Self::TransferFailed,
        Self::Voicemail,
        Self::Idle,
        Self::MaxDuration,
        Self::CustomerHungUp,
        Self::LegClosed,
        Self::LegSilent,
        Self::LegStuck,
        Self::ProtocolError,
        Self::HandshakeTimeout,
        Self::NoAnswer,
        Self::Busy,
        Self::Rejected,
        Self::Unreachable,
        Self::InvalidNumber,
        Self::TrunkRefused,
        Self::TrunkFailed,
        Self::MediaRefused,
        Self::OperatorHungUp,
        Self::Drained,
        Self::ProviderFailed,
        Self::Internal,
        Self::WorkerCrashed,
    ];

    /// The reason of this code; `None` for any other text.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// The stable code in results, journals and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::OptedOut => "opted_out",
            Self::Transferred => "transferred",
            Self::TransferFailed => "transfer_failed",
            Self::Voicemail => "voicemail",
            Self::Idle => "idle",
            Self::MaxDuration => "max_duration",
            Self::CustomerHungUp => "customer_hung_up",
            Self::LegClosed => "leg_closed",
            Self::LegSilent => "leg_silent",
            Self::LegStuck => "leg_stuck",
            Self::ProtocolError => "protocol_error",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::NoAnswer => "no_answer",
            Self::Busy => "busy",
            Self::Rejected => "rejected",
            Self::Unreachable => "unreachable",
            Self::InvalidNumber => "invalid_number",
            Self::TrunkRefused => "trunk_refused",
            Self::TrunkFailed => "trunk_failed",
            Self::MediaRefused => "media_refused",
            Self::OperatorHungUp => "operator_hung_up",
            Self::Drained => "drained",
            Self::ProviderFailed => "provider_failed",
            Self::Internal => "internal",
            Self::WorkerCrashed => "worker_crashed",
        }
    }

    /// Who ended the call.
    #[must_use]
    pub const fn disconnected_by(self) -> DisconnectedBy {
        match self {
            Self::Completed | Self::OptedOut | Self::Transferred | Self::OperatorHungUp => DisconnectedBy::Bot,
            Self::Voicemail => DisconnectedBy::Voicemail,
            Self::Idle | Self::MaxDuration | Self::Drained => DisconnectedBy::Timeout,
            Self::CustomerHungUp | Self::LegClosed => DisconnectedBy::Customer,
            Self::NoAnswer | Self::Busy | Self::Rejected | Self::Unreachable => DisconnectedBy::Rnr,
            Self::LegSilent
            | Self::LegStuck
            | Self::ProtocolError
            | Self::HandshakeTimeout
            | Self::InvalidNumber
            | Self::TrunkRefused
            | Self::TrunkFailed
            | Self::MediaRefused
            | Self::TransferFailed
            | Self::ProviderFailed
            | Self::Internal
            | Self::WorkerCrashed => DisconnectedBy::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_pinned() {
        let list: Vec<String> =
            EndReason::ALL.iter().map(|r| format!("{} {}", r.code(), r.disconnected_by().code())).collect();
        assert_eq!(
            list,
            [
                "completed bot",
                "opted_out bot",
                "transferred bot",
                "transfer_failed error",
                "voicemail voicemail",
                "idle timeout",
                "max_duration timeout",
                "customer_hung_up customer",
                "leg_closed customer",
                "leg_silent error",
                "leg_stuck error",
                "protocol_error error",
                "handshake_timeout error",
                "no_answer RNR",
                "busy RNR",
                "rejected RNR",
                "unreachable RNR",
                "invalid_number error",
                "trunk_refused error",
                "trunk_failed error",
                "media_refused error",
                "operator_hung_up bot",
                "drained timeout",
                "provider_failed error",
                "internal error",
                "worker_crashed error",
            ]
        );
    }
}
