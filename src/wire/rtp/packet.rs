//! One RTP packet (RFC 3550 5.1), read in place and written into a buffer. Header extensions of both kinds (RFC 8285) are
//! stepped over, never interpreted. Holds no statistics and copies no payload on the way in.

use thiserror::Error;

/// The version every packet carries in its two highest bits.
const VERSION: u8 = 2;
/// Bytes of the header without contributing sources and extension.
const FIXED_BYTES: usize = 12;

/// Why a datagram is no RTP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PacketError {
    /// Shorter than its own header says it is.
    #[error("expected at least {expected} bytes of RTP, got {actual}: the packet was cut on its way")]
    Short {
        /// Bytes that the header demands.
        expected: usize,
        /// Bytes that came.
        actual: usize,
    },
    /// The version field is not 2: STUN, DTLS, an old RTP, or noise.
    #[error("expected RTP version 2, got {0}: something else is sent to this port")]
    Version(u8),
    /// The padding count is zero or larger than what follows the header.
    #[error("expected a padding count of 1 to {room}, got {actual}")]
    Padding {
        /// Bytes behind the header.
        room: usize,
        /// The count in the last byte.
        actual: u8,
    },
}

/// The fields of a packet that matter to one audio stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RtpHeader {
    /// Payload type, 0 to 127; what it means was agreed by SDP.
    pub payload_type: u8,
    /// The marker bit: for audio, the first packet after a pause (RFC 3551 4.1).
    pub marker: bool,
    /// Counts packets, modulo 2^16.
    pub sequence: u16,
    /// The sampling instant of the first sample, in ticks of the payload's RTP clock, modulo 2^32.
    pub timestamp: u32,
    /// The synchronisation source: who sends.
    pub ssrc: u32,
}

impl RtpHeader {
    /// Bytes of a header as [`Self::write`] writes it.
    pub const BYTES: usize = FIXED_BYTES;

    /// Writes a header without contributing sources or extension to the start of `out`; the payload goes behind it.
    /// `None`, with `out` untouched, where `out` is shorter than [`Self::BYTES`].
    #[must_use]
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let header: &mut [u8; FIXED_BYTES] = out.first_chunk_mut()?;
        header[0] = VERSION << 6;
        header[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        header[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        header[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        header[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        Some(FIXED_BYTES)
    }

    /// Reads the part of a datagram that SRTP leaves in clear: the header, and where the payload begins behind contributing sources
    /// and extension.
    ///
    /// # Errors
    /// [`PacketError`] where the datagram is cut or of another version.
    pub fn read(datagram: &[u8]) -> Result<(Self, usize), PacketError> {
        let short = |expected| PacketError::Short { expected, actual: datagram.len() };
        let (fixed, mut rest) = datagram.split_first_chunk::<FIXED_BYTES>().ok_or(short(FIXED_BYTES))?;
        let version = fixed[0] >> 6;
        if version != VERSION {
            return Err(PacketError::Version(version));
        }
        let mut before = FIXED_BYTES + usize::from(fixed[0] & 0x0f) * 4;
        rest = rest.get(before - FIXED_BYTES..).ok_or(short(before))?;
        if fixed[0] & 0x10 != 0 {
            let (head, _) = rest.split_first_chunk::<4>().ok_or(short(before + 4))?;
            let bytes = 4 + usize::from(u16::from_be_bytes([head[2], head[3]])) * 4;
            before += bytes;
            rest.get(bytes..).ok_or(short(before))?;
        }
        let header = Self {
            payload_type: fixed[1] & 0x7f,
            marker: fixed[1] & 0x80 != 0,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        };
        Ok((header, before))
    }
}

/// A packet that lies in the receive buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RtpPacket<'a> {
    /// The fixed header.
    pub header: RtpHeader,
    /// The payload without padding; may be empty.
    pub payload: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    /// Reads a datagram. Contributing sources, the header extension and the padding are stepped over.
    ///
    /// # Errors
    /// [`PacketError`] where the datagram is cut, of another version, or wrongly padded.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, PacketError> {
        let (header, before) = RtpHeader::read(datagram)?;
        let mut payload = datagram.get(before..).unwrap_or_default();
        if datagram.first().is_some_and(|first| first & 0x20 != 0) {
            let room = payload.len();
            let short = PacketError::Short { expected: before + 1, actual: datagram.len() };
            let actual = *payload.last().ok_or(short)?;
            let kept = room.checked_sub(usize::from(actual)).filter(|_| actual > 0);
            payload = payload.get(..kept.ok_or(PacketError::Padding { room, actual })?).unwrap_or_default();
        }
        Ok(Self { header, payload })
    }
}

/// Whether a datagram on a port that carries both (RFC 5761 4) is RTCP: its second byte is a packet type of 192 to 223.
#[must_use]
pub const fn looks_like_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [first, 192..=223, ..] if *first >> 6 == VERSION)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The oracle of the properties: a packet with everything a sender may put in.
    fn full(header: RtpHeader, sources: u8, extension: Option<(u16, u8)>, payload: &[u8], padding: u8) -> Vec<u8> {
        let mut out = vec![0; RtpHeader::BYTES];
        header.write(&mut out).unwrap();
        out[0] |= sources;
        out.extend((0..sources).flat_map(|n| [n, 1, 2, 3]));
        if let Some((profile, words)) = extension {
            out[0] |= 0x10;
            out.extend(profile.to_be_bytes());
            out.extend(u16::from(words).to_be_bytes());
            out.extend((0..usize::from(words) * 4).map(|n| n as u8));
        }
        out.extend_from_slice(payload);
        if padding > 0 {
            out[0] |= 0x20;
            out.extend(std::iter::repeat_n(0, usize::from(padding) - 1));
            out.push(padding);
        }
        out
    }

    prop_compose! {
        fn any_header()(
            payload_type in 0_u8..128, marker: bool, sequence: u16, timestamp: u32, ssrc: u32
        ) -> RtpHeader {
            RtpHeader { payload_type, marker, sequence, timestamp, ssrc }
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            header in any_header(),
            sources in 0_u8..16,
            // One-byte (0xbede), two-byte (0x100X) and unknown extensions are all the same to us.
            extension in proptest::option::of((prop_oneof![Just(0xbede), 0x1000_u16..0x1010, any::<u16>()], 0_u8..20)),
            payload in proptest::collection::vec(any::<u8>(), 0..300),
            padding: u8,
        ) {
            let bytes = full(header, sources, extension, &payload, padding);
            prop_assert_eq!(RtpPacket::parse(&bytes), Ok(RtpPacket { header, payload: &payload }));
        }

        #[test]
        fn a_cut_packet_is_an_error_or_a_shorter_payload(header in any_header(), sources in 0_u8..16, cut: u16) {
            let whole = full(header, sources, Some((0xbede, 3)), &[7; 40], 0);
            let cut = usize::from(cut) % whole.len();
            match RtpPacket::parse(&whole[..cut]) {
                Ok(packet) => prop_assert_eq!(packet.payload.len(), 40 - (whole.len() - cut)),
                Err(PacketError::Short { expected, actual }) => prop_assert!(expected > actual && actual == cut),
                Err(other) => prop_assert!(false, "{}", other),
            }
        }

        #[test]
        fn any_bytes_are_a_packet_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(packet) = RtpPacket::parse(&bytes) {
                prop_assert!(packet.payload.len() + RtpHeader::BYTES <= bytes.len());
            }
        }
    }

    #[test]
    fn faults_are_told_apart() {
        assert_eq!(RtpPacket::parse(&[]), Err(PacketError::Short { expected: 12, actual: 0 }));
        assert_eq!(RtpPacket::parse(&[0; 20]), Err(PacketError::Version(0)));
        let bare = full(RtpHeader::default(), 0, None, &[], 0);
        let padded = |count| {
            let mut packet = [&bare[..], &[1, 2, count]].concat();
            packet[0] |= 0x20;
            RtpPacket::parse(&packet).map(|p| p.payload.len())
        };
        assert_eq!(padded(0), Err(PacketError::Padding { room: 3, actual: 0 }));
        assert_eq!(padded(4), Err(PacketError::Padding { room: 3, actual: 4 }));
        assert_eq!((padded(1), padded(3)), (Ok(2), Ok(0)));
        assert_eq!(RtpHeader::default().write(&mut [0; 11]), None);
    }

    #[test]
    fn rtcp_is_told_from_rtp_by_its_second_byte() {
        assert!(looks_like_rtcp(&[0x80, 200, 0, 6]) && looks_like_rtcp(&[0x81, 201]));
        // PCMU with the marker is 128, telephone-event 101 with the marker is 229.
        assert!(!looks_like_rtcp(&[0x80, 128]) && !looks_like_rtcp(&[0x80, 229]) && !looks_like_rtcp(&[0x80]));
    }
}
