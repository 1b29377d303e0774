//! Facts and orders of a media line: plain data of fixed size, so that they cross threads without allocation.

use super::EdgeEvent;
use crate::units::{Moment, UtteranceId};

/// A fact from a media line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LineFact {
    /// The first tick: time zero of the recording.
    Opened {
        /// When.
        at: Moment,
    },
    /// The caller's voice is on.
    VoiceBegan {
        /// When it began.
        since: Moment,
        /// The same as a sample of the listening clock (16 kHz).
        pos: u64,
    },
    /// The caller's voice is off.
    VoiceCeased {
        /// When it ceased.
        since: Moment,
        /// How long the caller's audio had waited in the jitter queue, in milliseconds.
        queue_ms: u32,
    },
    /// The first frame of an answer left.
    SpeechBegan {
        /// The answer.
        utterance: UtteranceId,
        /// When.
        at: Moment,
    },
    /// A piece was heard to its end.
    SegmentHeard {
        /// The answer.
        utterance: UtteranceId,
        /// Which piece.
        segment: u16,
    },
    /// An answer was cut, by an order.
    SpeechCut {
        /// The answer.
        utterance: UtteranceId,
        /// The piece that was being heard.
        segment: u16,
        /// How much of it was heard, in milliseconds.
        heard_ms: u32,
    },
    /// A tone of the kind that voicemails beep with has ended.
    Beeped {
        /// When it ended.
        ended: Moment,
        /// Its pitch.
        hz: u16,
        /// How long it sounded.
        lasted_ms: u32,
    },
    /// A key was pressed, told with the audio.
    Digit {
        /// 0-9, *, #, A-D.
        digit: char,
    },
    /// The far end sends nothing any more, for longer than it may.
    FarEndSilent,
    /// The line's facts did not find room: it is out of step with its call.
    Overrun,
    /// The line broke off: a fault of its own code, which must not end any other.
    Broken,
}

/// An order to a media line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineOrder {
    /// Stop sending, keep the place.
    Pause,
    /// Go on from the next sample.
    Resume,
    /// Drop this answer and everything older, here and at the far end.
    Cut {
        /// The answer.
        utterance: UtteranceId,
    },
    /// Look for a voicemail's beep from here on, or no longer.
    SeekBeep {
        /// From here on.
        on: bool,
    },
    /// From here on the caller's own audio goes back, in place of speech.
    Echo,
    /// No more media: finish the recording.
    Close,
}

impl From<EdgeEvent> for LineFact {
    fn from(event: EdgeEvent) -> Self {
        match event {
            EdgeEvent::Digit(digit) => Self::Digit { digit: char::from(digit) },
            EdgeEvent::Silent => Self::FarEndSilent,
        }
    }
}
