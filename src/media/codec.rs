//! The codecs of an RTP leg behind one pair of types: what each is called, what its clocks are, and frames of 20 ms in and
//! out at the line's rate. Allocates when made, never in use; refuses no bytes, it only gives fewer samples.

use crate::media::g711::{alaw_decode, alaw_encode, ulaw_decode, ulaw_encode};
use crate::media::g722::{G722Decoder, G722Encoder};
use crate::media::opus::{OpusDecoder, OpusEncoder, OpusError, opus_ticks};
use crate::units::{FRAME_MS, SampleRate};

/// Room that one encoded frame of 20 ms needs at the most.
pub const MAX_ENCODED_BYTES: usize = 400;

/// How the audio of an RTP stream is coded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s.
    G722,
    /// Opus, one voice.
    Opus,
}

impl Codec {
    /// All of them, the cheapest first.
    pub const ALL: [Self; 4] = [Self::Pcmu, Self::Pcma, Self::G722, Self::Opus];

    /// Its name in `a=rtpmap` (RFC 3551, RFC 7587).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }

    /// The payload type that needs no agreement; `None` for Opus.
    #[must_use]
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
            Self::G722 => Some(9),
            Self::Opus => None,
        }
    }

    /// Samples per second on the line's side.
    #[must_use]
    pub const fn rate(self) -> SampleRate {
        match self {
            Self::Pcmu | Self::Pcma => SampleRate::NARROW,
            Self::G722 | Self::Opus => SampleRate::WIDE,
        }
    }

    /// Ticks per second of the RTP timestamp. G.722 says 8,000 although it samples at 16,000 (RFC 3551 4.5.2).
    #[must_use]
    pub const fn clock_hz(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
            Self::Opus => 48_000,
        }
    }

    /// Ticks of one 20 ms frame.
    #[must_use]
    pub const fn frame_ticks(self) -> u32 {
        self.clock_hz() / (1000 / FRAME_MS)
    }

    /// Ticks that a payload lasts; 0 for one that has no length (empty, or no Opus).
    #[must_use]
    pub fn ticks_of(self, payload: &[u8]) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => u32::try_from(payload.len()).unwrap_or(u32::MAX),
            Self::Opus => opus_ticks(payload).unwrap_or(0),
        }
    }

    /// Samples on the line's side that last as long as `ticks`.
    #[must_use]
    pub const fn samples_in(self, ticks: u32) -> usize {
        (ticks as u64 * self.rate().hz() as u64 / self.clock_hz() as u64) as usize
    }
}

/// Line to wire.
#[derive(Debug)]
pub struct Encoder(Coding<G722Encoder, OpusEncoder>);

/// Wire to line.
#[derive(Debug)]
pub struct Decoder(Coding<G722Decoder, OpusDecoder>);

#[derive(Debug)]
enum Coding<G, O> {
    Pcmu,
    Pcma,
    G722(Box<G>),
    Opus(O),
}

impl Encoder {
    /// An encoder at rest.
    ///
    /// # Errors
    /// [`OpusError`] where Opus cannot be set up, which no input can cause.
    pub fn new(codec: Codec) -> Result<Self, OpusError> {
        Ok(Self(match codec {
            Codec::Pcmu => Coding::Pcmu,
            Codec::Pcma => Coding::Pcma,
            Codec::G722 => Coding::G722(Box::default()),
            Codec::Opus => Coding::Opus(OpusEncoder::new()?),
        }))
    }

    /// Encodes one frame of 20 or 10 ms at the codec's line rate into `out` ([`MAX_ENCODED_BYTES`] is enough); the bytes written.
    pub fn encode(&mut self, frame: &[i16], out: &mut [u8]) -> usize {
        match &mut self.0 {
            Coding::Pcmu => ulaw_encode(frame, out),
            Coding::Pcma => alaw_encode(frame, out),
            Coding::G722(encoder) => encoder.encode(frame, out),
            Coding::Opus(encoder) => {
                let room = out.len().min(MAX_ENCODED_BYTES);
                encoder.encode(frame, out.get_mut(..room).unwrap_or_default())
            }
        }
    }

    /// The peer reports so much loss; only Opus does anything about it.
    pub fn expect_loss(&mut self, percent: u8) {
        if let Coding::Opus(encoder) = &mut self.0 {
            encoder.expect_loss(percent);
        }
    }
}

impl Decoder {
    /// A decoder at rest.
    ///
    /// # Errors
    /// [`OpusError`] where Opus cannot be set up, which no input can cause.
    pub fn new(codec: Codec) -> Result<Self, OpusError> {
        Ok(Self(match codec {
            Codec::Pcmu => Coding::Pcmu,
            Codec::Pcma => Coding::Pcma,
            Codec::G722 => Coding::G722(Box::default()),
            Codec::Opus => Coding::Opus(OpusDecoder::new()?),
        }))
    }

    /// Decodes a payload at the codec's line rate; the samples written, 0 for bytes that are none of the codec's.
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        match &mut self.0 {
            Coding::Pcmu => ulaw_decode(payload, out),
            Coding::Pcma => alaw_decode(payload, out),
            Coding::G722(decoder) => decoder.decode(payload, out),
            Coding::Opus(decoder) => decoder.decode(payload, out),
        }
    }

    /// The codec's own way over a lost packet, with the packet behind it where it is here already; the samples written.
    /// 0 from the codecs that have none: [`Concealer`](crate::media::Concealer) is theirs.
    pub fn conceal(&mut self, next: Option<&[u8]>, out: &mut [i16]) -> usize {
        match &mut self.0 {
            Coding::Opus(decoder) => decoder.conceal(next, out),
            Coding::Pcmu | Coding::Pcma | Coding::G722(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::tone::Tone;
    use crate::units::dbfs;

    #[test]
    fn every_codec_brings_a_tone_through_at_its_own_rate() {
        for codec in Codec::ALL {
            let (mut encoder, mut decoder) = (Encoder::new(codec).unwrap(), Decoder::new(codec).unwrap());
            let mut tone = Tone::new(codec.rate(), &[440.0], 9_000);
            let mut frame = vec![0; codec.rate().frame_samples()];
            let (mut bytes, mut heard) = ([0; MAX_ENCODED_BYTES], vec![0; frame.len()]);
            for _ in 0..25 {
                tone.fill(&mut frame);
                let length = encoder.encode(&frame, &mut bytes);
                assert_eq!(codec.ticks_of(&bytes[..length]), codec.frame_ticks(), "{codec:?}");
                assert_eq!(codec.samples_in(codec.frame_ticks()), frame.len());
                assert_eq!(decoder.decode(&bytes[..length], &mut heard), frame.len());
            }
            assert!((dbfs(&frame) - dbfs(&heard)).abs() < 1.0, "{codec:?}: {} came as {}", dbfs(&frame), dbfs(&heard));
        }
    }

    #[test]
    fn only_opus_conceals_by_itself() {
        for codec in Codec::ALL {
            let mut out = vec![0; codec.rate().frame_samples()];
            let filled = Decoder::new(codec).unwrap().conceal(None, &mut out);
            assert_eq!(filled, if codec == Codec::Opus { 320 } else { 0 });
        }
    }
}
