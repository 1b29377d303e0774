//! From probabilities to beginnings and ends of speech: a debouncer that says, late but exactly, when the voice began or
//! ceased. Hears no audio, reads no clock: a frame is 20 ms.

use crate::media::vad::VoiceFrame;
use crate::units::FRAME_MS;

/// How sure the edges have to be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct EdgeConfig {
    /// Voice for this long without a break is a beginning.
    pub on_ms: u32,
    /// No voice for this long is an end.
    pub off_ms: u32,
    /// A frame of this probability or more is voice. Once speech has begun, 0.15 less keeps it up.
    pub threshold: f32,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self { on_ms: 60, off_ms: 100, threshold: 0.5 }
    }
}

/// How much less probability it takes to go on speaking than to begin.
const HYSTERESIS: f32 = 0.15;

/// The caller began or ceased to speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edge {
    /// Speech began `ago_ms` before the end of this frame.
    Began {
        /// Milliseconds from the start of the first voiced frame to the end of this one.
        ago_ms: u32,
    },
    /// Speech ceased `ago_ms` before the end of this frame.
    Ceased {
        /// Milliseconds from the end of the last voiced frame to the end of this one.
        ago_ms: u32,
    },
}

/// The debouncer of one voice detector.
#[derive(Clone, Debug)]
pub struct VoiceEdges {
    config: EdgeConfig,
    speaking: bool,
    /// Milliseconds for which the frames have contradicted `speaking`.
    against_ms: u32,
}

impl VoiceEdges {
    /// A debouncer that starts in silence.
    #[must_use]
    pub const fn new(config: EdgeConfig) -> Self {
        Self { config, speaking: false, against_ms: 0 }
    }

    /// Whether speech has begun and not ceased.
    #[must_use]
    pub const fn speaking(&self) -> bool {
        self.speaking
    }

    /// Takes the verdict on the next frame.
    pub fn push(&mut self, frame: VoiceFrame) -> Option<Edge> {
        let bar = self.config.threshold - if self.speaking { HYSTERESIS } else { 0.0 };
        if (frame.probability >= bar) == self.speaking {
            self.against_ms = 0;
            return None;
        }
        self.against_ms += FRAME_MS;
        let wait_ms = if self.speaking { self.config.off_ms } else { self.config.on_ms };
        if self.against_ms < wait_ms {
            return None;
        }
        let ago_ms = std::mem::take(&mut self.against_ms);
        self.speaking = !self.speaking;
        Some(if self.speaking { Edge::Began { ago_ms } } else { Edge::Ceased { ago_ms } })
    }

    /// Back to silence, as at the start.
    pub const fn reset(&mut self) {
        self.speaking = false;
        self.against_ms = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(probability: f32) -> VoiceFrame {
        VoiceFrame { probability, voiced: probability >= 0.5 }
    }

    fn edges(probabilities: &[f32]) -> Vec<(usize, Edge)> {
        let mut edges = VoiceEdges::new(EdgeConfig::default());
        probabilities.iter().enumerate().filter_map(|(i, &p)| Some((i, edges.push(frame(p))?))).collect()
    }

    #[test]
    fn three_frames_of_voice_begin_and_five_without_end() {
        let spoken = [0.1, 0.9, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1];
        assert_eq!(edges(&spoken), [(3, Edge::Began { ago_ms: 60 }), (9, Edge::Ceased { ago_ms: 100 })]);
    }

    #[test]
    fn a_cough_of_two_frames_is_no_beginning_and_a_breath_of_four_no_end() {
        assert_eq!(edges(&[0.9, 0.9, 0.1, 0.9, 0.9, 0.1]), []);
        let breath = [0.9, 0.9, 0.9, 0.0, 0.0, 0.0, 0.0, 0.9, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(edges(&breath), [(2, Edge::Began { ago_ms: 60 })]);
    }

    #[test]
    fn less_voice_keeps_speech_up_than_begins_it() {
        let fading = [0.9, 0.9, 0.9, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4];
        assert_eq!(edges(&fading), [(2, Edge::Began { ago_ms: 60 })]);
        assert_eq!(edges(&[0.4; 9]), []);
    }

    proptest! {
        #[test]
        fn edges_alternate_and_lie_within_their_run(probabilities in prop::collection::vec(0.0..1.0_f32, 0..200)) {
            let mut last_at = 0;
            for (n, (i, edge)) in edges(&probabilities).into_iter().enumerate() {
                let (began, ago_ms) = match edge {
                    Edge::Began { ago_ms } => (true, ago_ms),
                    Edge::Ceased { ago_ms } => (false, ago_ms),
                };
                prop_assert_eq!(began, n % 2 == 0);
                let frames = (ago_ms / FRAME_MS) as usize;
                prop_assert!(i + 1 - frames >= last_at, "an edge before the one before it");
                for &p in &probabilities[i + 1 - frames..=i] {
                    prop_assert_eq!(p >= if began { 0.5 } else { 0.35 }, began);
                }
                last_at = i + 1 - frames;
            }
        }
    }
}
