//! The receiving half of an RTP leg in one piece: jitter buffer, decoder, concealment, and the few samples that packets
//! longer than a frame leave over. One frame of 20 ms per tick, whatever came. Allocates when made, never in use.

use crate::media::codec::{Codec, Decoder};
use crate::media::conceal::Concealer;
use crate::media::jitter::{Arrival, JitterBuffer, JitterConfig, Pop};
use crate::media::opus::OpusError;
use crate::units::{Moment, prefetch};

/// Decoded audio that is kept at the most: the longest packet (160 ms of G.711 or G.722) behind an unfinished frame.
const MAX_HELD_MS: u64 = 180;
/// A frame whose loudest sample stays below this (−44 dBFS) may be left out or doubled unheard.
const QUIET_PEAK: u16 = 200;

/// What a frame consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// What the far end sent.
    Audio,
    /// At least a part was invented for a missing packet.
    Concealed,
    /// The far end sends nothing.
    Silence,
}

/// The receiving half of one stream.
#[derive(Debug)]
pub struct RtpReceiver {
    codec: Codec,
    jitter: JitterBuffer,
    decoder: Decoder,
    concealer: Concealer,
    pcm: Box<[i16]>,
    held: usize,
    /// What the held samples at the front are.
    heard: Heard,
    quiet: bool,
}

impl RtpReceiver {
    /// A receiver of one codec, with the usual bounds of the jitter buffer.
    ///
    /// # Errors
    /// [`OpusError`] where Opus cannot be set up, which no input can cause.
    pub fn new(codec: Codec) -> Result<Self, OpusError> {
        Self::with_jitter(codec, JitterConfig::new(codec.clock_hz()))
    }

    /// The same with bounds of its own; the clock is the codec's, whatever `jitter` says.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_jitter(codec: Codec, jitter: JitterConfig) -> Result<Self, OpusError> {
        Ok(Self {
            codec,
            jitter: JitterBuffer::new(JitterConfig { clock_hz: codec.clock_hz(), ..jitter }),
            decoder: Decoder::new(codec)?,
            concealer: Concealer::new(codec.rate()),
            pcm: vec![0; codec.rate().samples_in(MAX_HELD_MS) as usize].into_boxed_slice(),
            held: 0,
            heard: Heard::Silence,
            quiet: true,
        })
    }

    /// A packet of the agreed payload type came at `now`.
    pub fn audio(&mut self, now: Moment, sequence: u16, timestamp: u32, payload: &[u8]) {
        let ticks = self.codec.ticks_of(payload);
        if ticks == 0 {
            self.jitter.note(sequence);
        } else {
            self.jitter.push(now, &Arrival { sequence, timestamp, ticks, payload });
        }
    }

    /// A comfort noise packet (RFC 3389, payload type 13) came: silence until the next audio.
    pub fn comfort_noise(&mut self, now: Moment, sequence: u16, timestamp: u32) {
        self.jitter.push(now, &Arrival { sequence, timestamp, ticks: 0, payload: &[] });
    }

    /// A packet of the stream without audio came (telephone-event, an unknown payload type).
    pub fn other(&mut self, sequence: u16) {
        self.jitter.note(sequence);
    }

    /// Another source took over: forgets the stream, keeps the counters.
    pub fn restart(&mut self) {
        self.jitter.restart();
        self.concealer.reset();
        self.held = 0;
    }

    /// Fills the frame of this tick; call it once every 20 ms with a frame of the codec's line rate.
    pub fn frame(&mut self, now: Moment, out: &mut [i16]) -> Heard {
        let wanted = out.len().min(self.codec.rate().frame_samples());
        let mut what = if self.held > 0 { self.heard } else { Heard::Silence };
        while self.held < wanted {
            let came = self.more(now);
            what = match (what, came) {
                (Heard::Concealed, _) | (_, Heard::Concealed) => Heard::Concealed,
                (Heard::Audio, _) | (_, Heard::Audio) => Heard::Audio,
                _ => Heard::Silence,
            };
            self.heard = came;
        }
        if let (Some(head), Some(ready)) = (out.get_mut(..wanted), self.pcm.get(..wanted)) {
            head.copy_from_slice(ready);
        }
        self.pcm.copy_within(wanted..self.held, 0);
        self.held -= wanted;
        self.quiet = out.iter().all(|sample| sample.unsigned_abs() < QUIET_PEAK);
        what
    }

    /// Begins to bring near what the next packet and frame touch in the receiver itself; what that points to is
    /// [`Self::prefetch_far`].
    pub fn prefetch(&self) {
        prefetch(&self.jitter);
        prefetch(&self.pcm);
        prefetch(&self.held);
        self.concealer.prefetch();
    }

    /// The same for what the receiver points to; wants [`Self::prefetch`] to have been called a while before.
    pub fn prefetch_far(&self) {
        self.jitter.prefetch();
        let used = (self.held + self.codec.rate().frame_samples()).min(self.pcm.len());
        prefetch(&self.pcm[..used]);
    }

    /// The buffer, for its counters and depth.
    #[must_use]
    pub const fn jitter(&self) -> &JitterBuffer {
        &self.jitter
    }

    /// The codec that was agreed.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// Takes what is due next behind the held samples.
    fn more(&mut self, now: Moment) -> Heard {
        let ahead = (self.held as u64 * u64::from(self.codec.clock_hz()) / u64::from(self.codec.rate().hz())) as u32;
        let room = self.pcm.get_mut(self.held..).unwrap_or_default();
        match self.jitter.pop(now, ahead, self.quiet) {
            Pop::Packet { payload, skip, joined } => {
                let whole = self.codec.samples_in(self.codec.ticks_of(payload)).min(room.len());
                let skip = self.codec.samples_in(skip).min(whole);
                let decoded = self.decoder.decode(payload, room).min(whole);
                if let Some(rest) = room.get_mut(decoded..whole).filter(|rest| !rest.is_empty()) {
                    // No Opus after all: its time passes all the same.
                    self.concealer.conceal(rest);
                }
                room.copy_within(skip..whole, 0);
                let kept = room.get_mut(..whole - skip).unwrap_or_default();
                if joined {
                    self.concealer.joined(kept);
                } else if decoded == whole {
                    self.concealer.arrived(kept);
                }
                self.held += whole - skip;
                if decoded == whole { Heard::Audio } else { Heard::Concealed }
            }
            Pop::Conceal { ticks, next } => {
                let samples = self.codec.samples_in(ticks).max(1).min(room.len());
                let hole = room.get_mut(..samples).unwrap_or_default();
                let filled = self.decoder.conceal(next, hole);
                match hole.get_mut(filled..) {
                    Some(rest) if !rest.is_empty() => self.concealer.conceal(rest),
                    _ => self.concealer.arrived(hole),
                }
                self.held += samples;
                Heard::Concealed
            }
            Pop::Silence { ticks } => {
                let samples = self.codec.samples_in(ticks).min(room.len());
                room.get_mut(..samples).unwrap_or_default().fill(0);
                if samples > 0 {
                    self.concealer.reset();
                }
                self.held += samples;
                Heard::Silence
            }
        }
    }
}

#[cfg(test)]
#[path = "receive_tests.rs"]
mod tests;
