//! Frames of audio and what is done to them: codecs, resampling, voice detection, echo, concealment, tones. Layer 1:
//! pure, no clock, no socket, no lock. Everything a tick calls works on slices and allocates nothing after construction;
//! what does allocate says so ([`convert`], [`AnyResampler`]) and stays off the audio path.

pub mod beep;
pub mod codec;
pub mod conceal;
pub mod dtmf;
pub mod echo;
pub mod g711;
pub mod g722;
pub mod jitter;
pub mod level;
pub mod opus;
pub mod pcm;
pub mod receive;
pub mod resample;
pub mod resample_any;
pub mod tone;
pub mod vad;
pub mod vad_edges;

#[cfg(test)]
mod clips;
mod fir;

pub use beep::{BeepDetector, LineTone, ToneKind};
pub use codec::{Codec, Decoder, Encoder, MAX_ENCODED_BYTES};
pub use conceal::Concealer;
pub use dtmf::{KeyEar, KeyVoice};
pub use echo::EchoGuard;
pub use g711::{alaw_decode, alaw_encode, ulaw_decode, ulaw_encode};
pub use jitter::{Arrival, JitterBuffer, JitterConfig, JitterCounters, MAX_PAYLOAD_BYTES, Pop};
pub use pcm::PcmReader;
pub use receive::{Heard, RtpReceiver};
pub use resample::{MAX_RESAMPLE_INPUT, ResampleError, Resampler};
pub use resample_any::{AnyResampler, convert};
pub use tone::{Noise, Tone};
pub use vad::{VoiceDetector, VoiceFrame, VoiceTables};
pub use vad_edges::{Edge, EdgeConfig, VoiceEdges};
