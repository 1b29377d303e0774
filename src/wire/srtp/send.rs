//! The sending half: encrypts, signs, counts. No index is ever used twice: what would is refused.

use thiserror::Error;

use super::keys::{Purpose, SessionKeys};
use super::{CONTROL_CLEAR_BYTES, CONTROL_TAG_BYTES, CONTROL_TRAILER_BYTES, ENCRYPTED, INDEX_BYTES, MAX_BYTES};
use super::{control_ssrc, tag_bytes};
use crate::wire::rtp::{PacketError, RtpHeader};
use crate::wire::sdp::{CryptoKeys, CryptoSuite};

/// Why a packet of ours cannot be sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SealError {
    /// It is no RTP.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// It is no RTCP.
    #[error("expected an RTCP packet of at least {CONTROL_CLEAR_BYTES} bytes to seal")]
    Control,
    /// Nothing fits behind it.
    #[error("expected {0} bytes of room in a buffer of at most {MAX_BYTES}")]
    Room(usize),
    /// Every index was used: the call needs another key.
    #[error("expected an index that the key has not seen, all are used up")]
    Exhausted,
}

/// Seals one stream of ours. Its packets must come in the order of their numbers.
#[derive(Clone, Debug)]
pub struct Sender {
    audio: SessionKeys,
    control: SessionKeys,
    tag_bytes: usize,
    /// The index of the last packet.
    last: Option<u64>,
    next_control: u32,
}

impl Sender {
    /// With our key. The stream's first sequence number should be below 2^15, so that a peer that misses the first packets cannot
    /// miss a wrap (RFC 3711 3.3.1).
    #[must_use]
    pub fn new(suite: CryptoSuite, key: &CryptoKeys) -> Self {
        Self {
            audio: SessionKeys::derive(key, Purpose::Audio),
            control: SessionKeys::derive(key, Purpose::Control),
            tag_bytes: tag_bytes(suite),
            last: None,
            next_control: 0,
        }
    }

    /// Another suite with the same key: both encrypt alike, so the count goes on.
    pub fn set_suite(&mut self, suite: CryptoSuite) {
        self.tag_bytes = tag_bytes(suite);
    }

    /// Encrypts and signs the packet in the first `length` bytes of `buffer`; its new length.
    ///
    /// # Errors
    /// [`SealError`]; then nothing may be sent of it. The buffer is as it was.
    pub fn seal(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SealError> {
        let whole = length + self.tag_bytes;
        let packet = buffer.get_mut(..whole).filter(|_| whole <= MAX_BYTES).ok_or(SealError::Room(whole))?;
        let (body, tag) = packet.split_at_mut(length);
        let (header, payload) = RtpHeader::read(body)?;
        let index = match self.last {
            None => u64::from(header.sequence),
            Some(last) => {
                let same = last & !0xffff | u64::from(header.sequence);
                if same > last { same } else { same + (1 << 16) }
            }
        };
        if index >= 1 << 48 {
            return Err(SealError::Exhausted);
        }
        self.last = Some(index);
        self.audio.apply(header.ssrc, index, body.get_mut(payload..).unwrap_or_default());
        self.audio.sign(body, &((index >> 16) as u32).to_be_bytes(), tag);
        Ok(whole)
    }

    /// Encrypts and signs the control packet in the first `length` bytes of `buffer`; its new length.
    ///
    /// # Errors
    /// [`SealError`]; then nothing may be sent of it. The buffer is as it was.
    pub fn seal_control(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SealError> {
        let whole = length + CONTROL_TRAILER_BYTES;
        let packet = buffer.get_mut(..whole).filter(|_| whole <= MAX_BYTES).ok_or(SealError::Room(whole))?;
        let (signed, tag) = packet.split_at_mut(whole - CONTROL_TAG_BYTES);
        let (body, at) = signed.split_at_mut(length);
        let ssrc = control_ssrc(body).ok_or(SealError::Control)?;
        let index = self.next_control;
        if index >= ENCRYPTED {
            return Err(SealError::Exhausted);
        }
        self.next_control += 1;
        self.control.apply(ssrc, index.into(), body.get_mut(CONTROL_CLEAR_BYTES..).unwrap_or_default());
        debug_assert_eq!(at.len(), INDEX_BYTES);
        at.copy_from_slice(&(index | ENCRYPTED).to_be_bytes());
        self.control.sign(signed, &[], tag);
        Ok(whole)
    }
}
