//! The leg's end of a media line: where a WebSocket session puts the caller's audio and takes what the caller is to hear.
//! Lock-free single-producer rings on both sides; never waits.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::call::line::Ended;
use crate::units::{MAX_FRAME_SAMPLES, Moment};

/// One 20 ms frame for the caller.
#[derive(Clone, Copy, Debug)]
pub struct OutFrame {
    /// When the shard meant it to leave; send time minus this is the pacing error.
    pub due: Moment,
    /// Samples in use.
    pub len: u16,
    /// PCM16 mono at the leg's rate.
    pub samples: [i16; MAX_FRAME_SAMPLES],
    /// The pieces of speech that end with it: whoever is told of them is told after this frame, and never without it.
    pub ended: Ended,
}

/// What the shard hands to the leg, in order.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "items live in a ring of fixed slots; boxing would allocate on the audio path"
)]
pub enum OutItem {
    /// Send this frame.
    Frame(OutFrame),
    /// Throw away what the far end has not played (barge-in); frames before it that were not sent need not be.
    Clear,
}

/// The leg's end of a media line.
#[derive(Debug)]
pub struct LegPort {
    pub(crate) caller: rtrb::Producer<i16>,
    pub(crate) out: rtrb::Consumer<OutItem>,
    pub(crate) wake: Arc<Notify>,
}

impl LegPort {
    /// A port over these rings; whoever puts something into `out` wakes it with [`Notify::notify_one`].
    #[must_use]
    pub fn new(caller: rtrb::Producer<i16>, out: rtrb::Consumer<OutItem>, wake: Arc<Notify>) -> Self {
        Self { caller, out, wake }
    }

    /// Gives the caller's audio at the leg's rate; returns how many samples found room (the rest is lost, count it).
    pub fn caller_audio(&mut self, samples: &[i16]) -> usize {
        self.caller.push_partial_slice(samples).0.len()
    }

    /// The next item to send; `None` when there is none for now.
    pub fn pop(&mut self) -> Option<OutItem> {
        self.out.pop().ok()
    }

    /// Notified after the shard has put something into this port.
    #[must_use]
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }
}
