//! The audio codecs of RTP legs as SDP names them (RFC 3551, 7587). Never encodes anything.

use crate::units::SampleRate;

/// An audio codec that an RTP leg can speak.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Codec {
    /// G.711 µ-law, 8 kHz.
    Pcmu,
    /// G.711 A-law, 8 kHz.
    Pcma,
    /// G.722, 16 kHz audio on an 8 kHz RTP clock.
    G722,
    /// Opus, 48 kHz RTP clock.
    Opus,
}

impl Codec {
    /// Every codec, in the default order of preference.
    pub const ALL: [Self; 4] = [Self::Pcma, Self::Pcmu, Self::G722, Self::Opus];

    /// The encoding name of `rtpmap`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }

    /// The codec of an `rtpmap`, its name in any case. A wrong number of channels or clock is another codec.
    #[must_use]
    pub fn of(name: &str, clock_hz: u32, channels: u8) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))?;
        // G.722's clock is 8000 by an old mistake that became the standard; some peers say 16000 and mean the same.
        let clock = found.clock_hz() == clock_hz || (found == Self::G722 && clock_hz == 16_000);
        let fits = if found == Self::Opus { channels <= 2 } else { channels == 1 };
        (clock && fits).then_some(found)
    }

    /// The payload type that means this codec without an `rtpmap` (RFC 3551 table 4), for every codec but Opus.
    #[must_use]
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
            Self::G722 => Some(9),
            Self::Opus => None,
        }
    }

    /// The payload type that our own offers give it.
    #[must_use]
    pub const fn offered_payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
            Self::Opus => 96,
        }
    }

    /// RTP timestamp units per second.
    #[must_use]
    pub const fn clock_hz(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
            Self::Opus => 48_000,
        }
    }

    /// The rate of the audio inside a call that speaks it.
    #[must_use]
    pub const fn audio_rate(self) -> SampleRate {
        match self {
            Self::Pcmu | Self::Pcma => SampleRate::NARROW,
            Self::G722 | Self::Opus => SampleRate::WIDE,
        }
    }

    /// The value of `rtpmap` after the payload type.
    #[must_use]
    pub const fn rtpmap(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU/8000",
            Self::Pcma => "PCMA/8000",
            Self::G722 => "G722/8000",
            Self::Opus => "opus/48000/2",
        }
    }

    /// The value of `fmtp` after the payload type, where the codec has parameters of ours.
    #[must_use]
    pub const fn fmtp(self) -> Option<&'static str> {
        match self {
            Self::Opus => Some("useinbandfec=1;stereo=0;sprop-stereo=0;maxplaybackrate=16000"),
            Self::Pcmu | Self::Pcma | Self::G722 => None,
        }
    }
}
