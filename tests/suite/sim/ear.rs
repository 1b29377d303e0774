//! The far end: what it was sent and what it plays. One frame a tick, silence where none waits. Counts what must never
//! happen: frames of an answer after the line obeyed the order to cut it, and more than three frames ahead.

use std::collections::VecDeque;

use voicefleet::call::Mark;
use voicefleet::call::line::{Ended, LegEdge, RecordTap};
use voicefleet::units::Moment;

use super::voice;

/// Samples of one frame.
pub const FRAME: usize = 160;

/// One frame as it left the line.
pub struct Sent {
    /// In which tick.
    pub due: Moment,
    /// Its samples.
    pub samples: Vec<i16>,
}

/// The far end's ear.
#[derive(Default)]
pub struct Ear {
    pub buffer: VecDeque<i16>,
    /// Every sample it played, silence included.
    pub heard: Vec<i16>,
    /// Every frame it was sent.
    pub sent: Vec<Sent>,
    /// With tagged speech: answers up to this one were cut and the line knows.
    pub cut_through: u32,
    /// Frames of such an answer that came all the same.
    pub late_frames: u32,
    /// How often it was told to throw away what it holds.
    pub clears: u32,
    /// Most frames it held after a tick.
    pub deepest: usize,
    pub tagged: bool,
    /// The far end takes nothing more.
    pub full: bool,
    /// It plays so many frames late: its own buffer.
    pub late: usize,
    /// Frames to wait before it plays again.
    pub wait: usize,
    /// Every mark it was sent.
    pub marks: Vec<Mark>,
    /// Marks whose audio it has not played: each behind so many samples of the buffer.
    pub open: VecDeque<(Mark, usize)>,
    /// What became of the others, since the last look.
    pub answers: Vec<(Mark, bool)>,
}

impl LegEdge for Ear {
    fn has_room(&self) -> bool {
        !self.full
    }

    fn send(&mut self, due: Moment, samples: &[i16], ended: &Ended) {
        if self.tagged && samples.iter().any(|&s| voice::tag_of(s).is_some_and(|u| u <= self.cut_through)) {
            self.late_frames += 1;
        }
        self.sent.push(Sent { due, samples: samples.to_vec() });
        if self.buffer.is_empty() {
            self.wait = self.late;
        }
        self.buffer.extend(samples);
        for mark in ended.iter().flatten() {
            self.marks.push(*mark);
            self.open.push_back((*mark, self.buffer.len()));
        }
    }

    fn clear(&mut self) {
        self.clears += 1;
        self.throw_away();
    }
}

impl Ear {
    /// Forgets what it has not played.
    pub fn throw_away(&mut self) {
        self.buffer.clear();
        self.answers.extend(self.open.drain(..).map(|(mark, _)| (mark, false)));
    }

    /// Plays one frame; is any of it audible?
    pub fn play(&mut self) -> bool {
        let mut audible = false;
        if self.wait > 0 {
            self.wait -= 1;
            self.heard.extend([0; FRAME]);
            return false;
        }
        for _ in 0..FRAME {
            let sample = self.buffer.pop_front();
            audible |= sample.is_some_and(|s| s != 0);
            self.heard.push(sample.unwrap_or(0));
        }
        self.open.iter_mut().for_each(|(_, behind)| *behind = behind.saturating_sub(FRAME));
        while let Some((mark, _)) = self.open.pop_front_if(|(_, behind)| *behind == 0) {
            self.answers.push((mark, true));
        }
        // Its own buffer is not the line's lead.
        self.deepest = self.deepest.max((self.buffer.len() / FRAME).saturating_sub(self.late));
        audible
    }
}

/// The two channels of the recording.
#[derive(Default)]
pub struct Tape(pub Vec<i16>, pub Vec<i16>);

impl RecordTap for Tape {
    fn pair(&mut self, caller: &[i16], bot: &[i16]) {
        self.0.extend_from_slice(caller);
        self.1.extend_from_slice(bot);
    }
}
