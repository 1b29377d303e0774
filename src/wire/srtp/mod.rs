//! SRTP and SRTCP (RFC 3711) by the two AES-CM suites of SDES (RFC 4568), in place on the caller's buffer. Pure: no socket, no clock,
//! no allocation. No byte sequence makes it panic; nothing is decrypted, remembered or believed before its tag was verified; no
//! key and no payload is ever printed.

mod keys;
mod receive;
mod send;
mod window;

pub use receive::{OpenError, Receiver};
pub use send::{SealError, Sender};

use crate::wire::sdp::CryptoSuite;

/// Bytes that [`Sender::seal`] adds, at most.
pub const RTP_TRAILER_BYTES: usize = CONTROL_TAG_BYTES;
/// Bytes that [`Sender::seal_control`] adds: index and tag.
pub const CONTROL_TRAILER_BYTES: usize = INDEX_BYTES + CONTROL_TAG_BYTES;

/// Bytes of SRTCP that stay in clear: the first header with the sender's SSRC.
const CONTROL_CLEAR_BYTES: usize = 8;
/// Bytes of the E bit with the index.
const INDEX_BYTES: usize = 4;
/// Bytes of a tag on SRTCP, whatever the suite (RFC 4568 6.2.2).
const CONTROL_TAG_BYTES: usize = 10;
/// The bit that says that an SRTCP packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;
/// The longest packet: what a datagram holds. Well below what one index can encrypt (2^16 blocks).
const MAX_BYTES: usize = 65_535;

/// Bytes of a tag on RTP.
const fn tag_bytes(suite: CryptoSuite) -> usize {
    match suite {
        CryptoSuite::AesCm128HmacSha1_80 => 10,
        CryptoSuite::AesCm128HmacSha1_32 => 4,
    }
}

/// The SSRC of a control packet.
fn control_ssrc(packet: &[u8]) -> Option<u32> {
    let clear = packet.first_chunk::<CONTROL_CLEAR_BYTES>()?;
    (clear[0] >> 6 == 2).then(|| u32::from_be_bytes([clear[4], clear[5], clear[6], clear[7]]))
}

#[cfg(test)]
mod tests;
