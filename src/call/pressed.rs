//! Keys that the far end presses, and the two ways by which one press may be told: through the audio and by signalling. A far end that
//! uses both at once tells each press twice, at any distance and in either order; then one way counts. Pure.

use crate::units::Moment;

/// By which way a key was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum KeyWay {
    /// In a message: SIP INFO, or the dialler's protocol.
    Message,
    /// In the audio: an RTP event (RFC 4733) or a tone.
    Audio,
}

/// A way that has told nothing for so long may be given up for the other: another telephone may be at the far end by then. Longer than a
/// repeated message is under way, so that a late double never opens it.
const KEPT_MS: u64 = 10_000;

/// The way that counts.
#[derive(Debug, Default)]
pub(super) struct Pressed(Option<(KeyWay, Moment)>);

impl Pressed {
    /// Does a key count that was told by this way? The first way is kept.
    pub fn counts(&mut self, now: Moment, way: KeyWay) -> bool {
        let counts = self.0.is_none_or(|(kept, last)| kept == way || now.ms_since(last) >= KEPT_MS);
        if counts {
            self.0 = Some((way, now));
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_press_that_is_told_by_both_ways_counts_once() {
        use KeyWay::{Audio, Message};
        let mut pressed = Pressed::default();
        let counted = [
            (1_000, Audio, true),
            (1_120, Message, false),
            // The other way first, and two of it before the first comes.
            (1_400, Message, false),
            (1_450, Audio, true),
            (1_500, Message, false),
            (1_510, Message, false),
            (1_700, Audio, true),
            (1_720, Audio, true),
            // A late double.
            (11_719, Message, false),
            // Nobody has told anything by the audio for long: another telephone.
            (11_720, Message, true),
            (11_760, Audio, false),
            (12_000, Message, true),
        ];
        for (ms, way, counts) in counted {
            assert_eq!(pressed.counts(Moment::from_millis(ms), way), counts, "{ms} {way:?}");
        }
    }
}
