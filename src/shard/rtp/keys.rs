//! Keys of one leg on its media thread: those that we press go out as RTP events where that is agreed, else as tones; tones of the
//! peer are looked for where the trunk says so. Allocates nothing in use.

use crate::call::line::prefetch_ring;
use crate::media::{KeyEar, KeyVoice};
use crate::units::SampleRate;
use crate::wire::rtp::{EventPacket, EventSender};
use crate::wire::sdp::MediaPlan;

/// Power of a key that we press, in dBm0 without its sign: what exchanges expect.
const VOLUME: u8 = 10;
/// How long a key is pressed.
const PRESS_MS: u32 = 100;

/// What a leg does about keys.
#[derive(Debug)]
pub(super) struct Keys {
    /// Presses that wait, in their order; filled by the signalling.
    presses: rtrb::Consumer<u8>,
    events: EventSender,
    event_hz: u32,
    voice: KeyVoice,
    ear: KeyEar,
}

impl Keys {
    pub(super) fn new(presses: rtrb::Consumer<u8>, plan: &MediaPlan, rate: SampleRate) -> Self {
        let event_hz = plan.telephone_event.map_or(8_000, |event| event.clock_hz);
        let events = EventSender::new(event_hz, VOLUME);
        Self { presses, events, event_hz, voice: KeyVoice::new(), ear: KeyEar::new(rate) }
    }

    /// Begins to bring near where presses come.
    pub(super) fn prefetch_far(&self) {
        prefetch_ring(self.presses.buffer());
    }

    /// Something else was agreed. A press that is under way goes on, unless its clock is another now.
    pub(super) fn renew(&mut self, plan: &MediaPlan) {
        let event_hz = plan.telephone_event.map_or(self.event_hz, |event| event.clock_hz);
        if event_hz != self.event_hz {
            (self.events, self.event_hz) = (EventSender::new(event_hz, VOLUME), event_hz);
        }
    }

    /// The packet that goes in place of this tick's audio.
    pub(super) fn event(&mut self, plan: &MediaPlan, timestamp: u32) -> Option<(u8, EventPacket)> {
        let agreed = plan.telephone_event?;
        if !self.events.is_busy()
            && let Ok(key) = self.presses.pop()
        {
            // What is no key was never let in.
            let _ = self.events.press(char::from(key), PRESS_MS);
        }
        Some((agreed.payload_type, self.events.tick(timestamp)?))
    }

    /// The tick's audio, where a key sounds in it in place of what it held.
    pub(super) fn tone(&mut self, plan: &MediaPlan, rate: SampleRate, frame: &mut [i16]) -> bool {
        if plan.telephone_event.is_some() {
            return false;
        }
        if !self.voice.is_busy()
            && let Ok(key) = self.presses.pop()
        {
            self.voice.press(key, rate);
        }
        self.voice.fill(frame)
    }

    /// A key that the peer sounds in this frame.
    pub(super) fn heard(&mut self, plan: &MediaPlan, frame: &[i16]) -> Option<u8> {
        if plan.inband_keys { self.ear.hear(frame) } else { None }
    }
}
