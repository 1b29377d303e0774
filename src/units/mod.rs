//! The small words everything else is said in: identities, sample rates, moments, levels, and values that must not be
//! logged. Layer 0: names no other module, reads no clock, touches no socket.

mod audio;
mod cache;
mod id;
pub mod number_words;
mod pii;
mod time;

pub use audio::{FRAME_MS, MAX_FRAME_SAMPLES, SampleRate, dbfs};
pub use cache::{prefetch, prefetch_every};
pub use id::{BotId, CallId, TurnNo, UtteranceId};
pub use pii::Pii;
pub use time::{Moment, Stamp};
