//! What was agreed for the audio of a leg: all that the media side needs to send and to receive. Plain data.

use core::net::SocketAddr;

use super::codec::Codec;
use super::crypto::CryptoPlan;

/// Which way audio flows, as we see it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// We send, the peer does not.
    SendOnly,
    /// The peer sends, we must not: the peer holds us.
    RecvOnly,
    /// Neither sends.
    Inactive,
}

impl Direction {
    /// The attribute's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive].into_iter().find(|one| one.name() == name)
    }

    /// The same agreement seen from the other end.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self::from_parts(self.receives(), self.sends())
    }

    /// What both allow.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self::from_parts(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// May we send?
    #[must_use]
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// May the peer send?
    #[must_use]
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    const fn from_parts(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }
}

/// Where control packets go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rtcp {
    /// With the audio, told apart by their type (RFC 5761).
    Muxed,
    /// To an address of their own: `a=rtcp` (RFC 3605), else the next port.
    At(SocketAddr),
}

/// Keys pressed, as RTP events (RFC 4733).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TelephoneEvent {
    /// The payload type that the peer wants.
    pub payload_type: u8,
    /// The payload type that the peer uses towards us.
    pub receive_payload_type: u8,
    /// Timestamp units per second; the codec's own clock where the peer offered that.
    pub clock_hz: u32,
}

/// The audio of a leg as both ends agreed on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MediaPlan {
    /// Where audio goes, by the peer's word; latching may find better. An unspecified address or port 0 means: nowhere yet.
    pub remote: SocketAddr,
    /// Where control packets go.
    pub rtcp: Rtcp,
    /// The codec that we send, and the peer until it takes one of the others.
    pub codec: Codec,
    /// The payload type that we send.
    pub payload_type: u8,
    /// The payload type that the peer sends; the same unless the peer's answer renumbered our offer.
    pub receive_payload_type: u8,
    /// Further codecs of an answer that names several: the peer may change to them without a word (RFC 3264 section 7).
    pub others: Vec<(u8, Codec)>,
    /// Keys as RTP events; `None`: only by SIP INFO or in the audio.
    pub telephone_event: Option<TelephoneEvent>,
    /// Keys are looked for in the audio: the trunk says that they come as tones, and nothing else was agreed.
    pub inband_keys: bool,
    /// Who may send.
    pub direction: Direction,
    /// Length of a packet that we send, in milliseconds: 20, or 10 where the peer takes no more.
    pub ptime_ms: u8,
    /// Length of a packet that the peer announced, where it did (10 to 200).
    pub peer_ptime_ms: Option<u8>,
    /// The one stream that the peer announced (RFC 5576), by which it is known at a shared port before it was heard.
    pub peer_ssrc: Option<u32>,
    /// Keys of SRTP; `None`: plain RTP.
    pub crypto: Option<CryptoPlan>,
}

impl MediaPlan {
    /// May audio go out now: allowed, and to a real address?
    #[must_use]
    pub fn sends(&self) -> bool {
        self.direction.sends() && !self.remote.ip().is_unspecified() && self.remote.port() != 0
    }
}
