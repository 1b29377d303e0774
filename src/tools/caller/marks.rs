//! The marks that came, and where on the earpiece's tape each stands: what a dialler tells when it has played, or thrown away, the
//! audio before them. Reads no clock.

use std::collections::VecDeque;

/// Marks that wait for their audio.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// The name, and the sample at which everything before it is played; in order.
    waiting: VecDeque<(String, usize)>,
    thrown_away: Vec<String>,
}

impl Marks {
    /// A mark came when the audio before it ends at sample `end`.
    pub(super) fn came(&mut self, name: String, end: usize) {
        self.waiting.push_back((name, end));
    }

    /// What was not played at sample `at` never is.
    pub(super) fn stopped(&mut self, at: usize) {
        let played = self.waiting.partition_point(|(_, end)| *end <= at);
        self.thrown_away.extend(self.waiting.drain(played..).map(|(name, _)| name));
    }

    /// The marks to answer at sample `now`: those that were played, then those that were thrown away.
    pub(super) fn due(&mut self, now: usize) -> impl Iterator<Item = (String, bool)> {
        let played = self.waiting.partition_point(|(_, end)| *end <= now);
        let played = self.waiting.drain(..played).map(|(name, _)| (name, true));
        played.chain(self.thrown_away.drain(..).map(|name| (name, false)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_answered_once_when_its_audio_was_played_or_thrown_away() {
        let mut marks = Marks::default();
        for (name, end) in [("a", 160), ("b", 320), ("c", 480), ("d", 480)] {
            marks.came(name.to_owned(), end);
        }
        let mut due = |now| marks.due(now).map(|(name, played)| format!("{name} {played}")).collect::<Vec<_>>();
        assert_eq!(due(159), [""; 0]);
        assert_eq!(due(160), ["a true"]);
        marks.stopped(330);
        let mut due = |now| marks.due(now).map(|(name, played)| format!("{name} {played}")).collect::<Vec<_>>();
        assert_eq!(due(340), ["b true", "c false", "d false"]);
        assert_eq!(due(9_999), [""; 0]);
    }
}
