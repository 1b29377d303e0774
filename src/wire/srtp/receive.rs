//! The receiving half: verifies, decrypts, refuses what came before. Only what was verified changes anything.

use thiserror::Error;

use super::keys::{Purpose, SessionKeys};
use super::window::Window;
use super::{CONTROL_CLEAR_BYTES, CONTROL_TAG_BYTES, CONTROL_TRAILER_BYTES, ENCRYPTED, INDEX_BYTES, MAX_BYTES};
use super::{control_ssrc, tag_bytes};
use crate::wire::rtp::RtpHeader;
use crate::wire::sdp::{CryptoKeys, CryptoSuite};

/// Streams of a peer that are remembered: it changes its SSRC when it is transferred. One more: the longest unheard is forgotten.
const STREAMS: usize = 4;

/// Why a packet is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum OpenError {
    /// No header, or no room for a tag behind it.
    #[error("expected an SRTP packet with a tag, got something shorter or of another kind")]
    Malformed,
    /// A control packet that does not claim to be encrypted.
    #[error("expected encrypted SRTCP, got a packet that says it is not")]
    Clear,
    /// It came before, or is too old to tell.
    #[error("expected a packet that did not come before")]
    Replayed,
    /// The tag is another's: a wrong key, a changed packet, or plain RTP.
    #[error("expected the tag of the agreed key, got another")]
    Forged,
}

/// What is known of one SSRC.
#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    audio: Option<Window>,
    control: Option<Window>,
    /// The count of verified packets when it was last heard.
    heard: u64,
}

/// Opens the streams of one peer.
#[derive(Clone, Debug)]
pub struct Receiver {
    audio: SessionKeys,
    control: SessionKeys,
    tag_bytes: usize,
    streams: [Option<Stream>; STREAMS],
    verified: u64,
    /// How often a stream that is heard for the first time may have wrapped already, beside never and once.
    rounds: u32,
}

impl Receiver {
    /// With the peer's key.
    #[must_use]
    pub fn new(suite: CryptoSuite, key: &CryptoKeys) -> Self {
        Self {
            audio: SessionKeys::derive(key, Purpose::Audio),
            control: SessionKeys::derive(key, Purpose::Control),
            tag_bytes: tag_bytes(suite),
            streams: [None; STREAMS],
            verified: 0,
            rounds: 0,
        }
    }

    /// The same suite and key go on, or another suite with the same key: what is known of the streams stays.
    pub fn set_suite(&mut self, suite: CryptoSuite) {
        self.tag_bytes = tag_bytes(suite);
    }

    /// The peer has another key. Some begin to count anew with it, some go on (RFC 3711 does): both are understood.
    #[must_use]
    pub fn rekeyed(&self, suite: CryptoSuite, key: &CryptoKeys) -> Self {
        let heard = self.streams.iter().flatten().filter_map(|stream| stream.audio);
        Self { rounds: heard.map(|window| window.rounds()).max().unwrap_or(0), ..Self::new(suite, key) }
    }

    /// Verifies and decrypts a packet in place; its length without the tag.
    ///
    /// # Errors
    /// [`OpenError`]; the packet is as it came, and nothing was learnt of it.
    pub fn open(&mut self, packet: &mut [u8]) -> Result<usize, OpenError> {
        let (header, payload) = RtpHeader::read(packet).map_err(|_| OpenError::Malformed)?;
        let end = packet.len().checked_sub(self.tag_bytes).filter(|end| *end >= payload).ok_or(OpenError::Malformed)?;
        if packet.len() > MAX_BYTES {
            return Err(OpenError::Malformed);
        }
        let (signed, tag) = packet.split_at_mut(end);
        let fits = |index: u64| self.audio.verify(signed, &((index >> 16) as u32).to_be_bytes(), tag);
        let index = match self.stream(header.ssrc).and_then(|stream| stream.audio) {
            Some(window) => {
                let index = window.nearest(header.sequence).filter(|index| window.is_new(*index));
                Some(index.ok_or(OpenError::Replayed)?).filter(|index| fits(*index))
            }
            // A stream begins unwrapped; but its beginning may be missed, and a key may change in the middle of it.
            None => {
                let rounds = [0, 1, self.rounds, self.rounds.saturating_add(1)].into_iter();
                let rounds = rounds.take(if self.rounds == 0 { 2 } else { 4 });
                rounds.map(|round| u64::from(round) << 16 | u64::from(header.sequence)).find(|index| fits(*index))
            }
        };
        let index = index.ok_or(OpenError::Forged)?;
        self.audio.apply(header.ssrc, index, signed.get_mut(payload..).unwrap_or_default());
        note(&mut self.heard(header.ssrc).audio, index);
        Ok(end)
    }

    /// Verifies and decrypts a control packet in place; its length without index and tag.
    ///
    /// # Errors
    /// [`OpenError`]; the packet is as it came, and nothing was learnt of it.
    pub fn open_control(&mut self, packet: &mut [u8]) -> Result<usize, OpenError> {
        let ssrc = control_ssrc(packet).ok_or(OpenError::Malformed)?;
        let end = packet.len().checked_sub(CONTROL_TRAILER_BYTES).filter(|end| *end >= CONTROL_CLEAR_BYTES);
        let end = end.filter(|_| packet.len() <= MAX_BYTES).ok_or(OpenError::Malformed)?;
        let (signed, tag) = packet.split_at_mut(packet.len() - CONTROL_TAG_BYTES);
        let word = signed.last_chunk::<INDEX_BYTES>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        // Unencrypted packets have tags too; but what was agreed is encryption, and a reader that looks at this bit before the tag is
        // easily talked into skipping the tag.
        if word & ENCRYPTED == 0 {
            return Err(OpenError::Clear);
        }
        let index = u64::from(word & !ENCRYPTED);
        let window = self.stream(ssrc).and_then(|stream| stream.control);
        if window.is_some_and(|window| !window.is_new(index)) {
            return Err(OpenError::Replayed);
        }
        if !self.control.verify(signed, &[], tag) {
            return Err(OpenError::Forged);
        }
        self.control.apply(ssrc, index, signed.get_mut(CONTROL_CLEAR_BYTES..end).unwrap_or_default());
        note(&mut self.heard(ssrc).control, index);
        Ok(end)
    }

    #[cfg(test)]
    pub(super) fn streams_known(&self) -> usize {
        self.streams.iter().flatten().count()
    }

    fn stream(&self, ssrc: u32) -> Option<&Stream> {
        self.streams.iter().flatten().find(|stream| stream.ssrc == ssrc)
    }

    /// The place of a stream that was just verified.
    fn heard(&mut self, ssrc: u32) -> &mut Stream {
        self.verified += 1;
        let own = self.streams.iter().position(|place| place.is_some_and(|stream| stream.ssrc == ssrc));
        let at = own.unwrap_or_else(|| {
            let oldest =
                self.streams.iter().enumerate().min_by_key(|(_, place)| place.map_or(0, |stream| stream.heard));
            oldest.map_or(0, |(at, _)| at)
        });
        let new = Stream { ssrc, audio: None, control: None, heard: 0 };
        let place = &mut self.streams[at];
        let stream = match own {
            Some(_) => place.get_or_insert(new),
            None => place.insert(new),
        };
        stream.heard = self.verified;
        stream
    }
}

fn note(window: &mut Option<Window>, index: u64) {
    match window {
        Some(window) => window.note(index),
        None => *window = Some(Window::starting(index)),
    }
}
