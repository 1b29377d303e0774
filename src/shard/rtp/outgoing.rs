//! The stream towards the peer: one packet for each tick, its own numbers and clock from the first packet of the call to the last,
//! whatever is re-negotiated meanwhile (RFC 3550 5.1). Never touches a socket.

use crate::wire::rtp::{EventPacket, RtpHeader};

/// Room for a packet: the header and the longest frame.
pub(super) const PACKET_BYTES: usize = RtpHeader::BYTES + crate::media::MAX_ENCODED_BYTES;

/// Numbers and clock of one stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// The next packet is the first after a pause.
    marker: bool,
    /// Packets and bytes of payload sent.
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

impl Outgoing {
    /// A stream that begins at these numbers, which must be random (RFC 3550 5.1).
    pub(super) const fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Self { ssrc, sequence, timestamp, marker: true, packets: 0, bytes: 0 }
    }

    /// Whose stream it is.
    pub(super) const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The clock of this tick's audio.
    pub(super) const fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// Writes the header of this tick's packet of `payload_bytes`, which stand behind it already; the packet's length.
    pub(super) fn head(&mut self, payload_type: u8, packet: &mut [u8], payload_bytes: usize) -> usize {
        let (ssrc, sequence, timestamp) = (self.ssrc, self.sequence, self.timestamp);
        let marker = std::mem::take(&mut self.marker);
        let header = RtpHeader { payload_type, marker, sequence, timestamp, ssrc };
        let bytes = header.write(packet).unwrap_or(0);
        self.sequence = self.sequence.wrapping_add(1);
        self.packets += 1;
        self.bytes += payload_bytes as u64;
        bytes + payload_bytes
    }

    /// Writes the header of a packet of a pressed key, whose time is the press's own and not the tick's; the packet's length.
    pub(super) fn head_of_key(&mut self, payload_type: u8, key: &EventPacket, packet: &mut [u8]) -> usize {
        let (ssrc, sequence, bytes) = (self.ssrc, self.sequence, key.payload.len());
        let header = RtpHeader { payload_type, marker: key.marker, sequence, timestamp: key.timestamp, ssrc };
        let head = header.write(packet).unwrap_or(0);
        packet[head..head + bytes].copy_from_slice(&key.payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.packets += 1;
        self.bytes += bytes as u64;
        head + bytes
    }

    /// A tick passes, whether a packet was sent or not.
    pub(super) fn pass(&mut self, ticks: u32, sent: bool) {
        self.timestamp = self.timestamp.wrapping_add(ticks);
        self.marker |= !sent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtp::RtpPacket;

    #[test]
    fn time_goes_on_in_a_pause_and_numbers_do_not() {
        let mut out = Outgoing::new(7, u16::MAX, u32::MAX - 100);
        let mut heads = Vec::new();
        for tick in 0..4 {
            let sent = tick != 1;
            if sent {
                let mut packet = [0; 40];
                let bytes = out.head(8, &mut packet, 20);
                heads.push(RtpPacket::parse(&packet[..bytes]).unwrap().header);
            }
            out.pass(160, sent);
        }
        let seen: Vec<_> = heads.iter().map(|h| (h.sequence, h.timestamp, h.marker)).collect();
        assert_eq!(seen, [(65_535, u32::MAX - 100, true), (0, 219, true), (1, 379, false)]);
        assert_eq!((out.packets, out.bytes), (3, 60));
    }
}
