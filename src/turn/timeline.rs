//! Where the time of one turn went, from the caller's last sound to the bot's first frame: named stages that follow each other
//! without gap, so that they add up to the whole.

use super::patience::Ending;
use crate::units::{Moment, TurnNo};

/// The moments of one turn that was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnTiming {
    /// The caller's turn.
    pub turn: TurnNo,
    /// The caller's last sound, by the voice detector.
    pub silent_at: Moment,
    /// Recognition and the end-of-turn model were asked.
    pub asked_at: Moment,
    /// The words were there.
    pub transcribed_at: Option<Moment>,
    /// The model's opinion was there.
    pub judged_at: Option<Moment>,
    /// Its probability that the turn was complete.
    pub judged: Option<f32>,
    /// What the ending looked like.
    pub ending: Ending,
    /// The turn was declared over and the engine asked.
    pub ended_at: Moment,
    /// The engine's first text.
    pub drafted_at: Option<Moment>,
    /// The first complete sentence went to synthesis.
    pub said_at: Option<Moment>,
    /// Its first audio came.
    pub spoken_at: Option<Moment>,
    /// The first frame left.
    pub audible_at: Option<Moment>,
    /// Answers that were withdrawn unheard because the caller went on.
    pub withdrawn: u32,
}

/// One named stage of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Stable name.
    pub name: &'static str,
    /// How long it took, in microseconds.
    pub us: u64,
}

impl TurnTiming {
    /// The stages in order; empty while the answer is not audible. Their sum is `audible_at - silent_at`.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        let Some(audible) = self.audible_at else { return Vec::new() };
        let mut stages = Vec::with_capacity(7);
        let mut last = self.silent_at;
        let ready = self.transcribed_at.max(self.judged_at).unwrap_or(self.asked_at).min(self.ended_at);
        for (name, at) in [
            ("silence", Some(self.asked_at)),
            ("recognise", Some(ready)),
            ("patience", Some(self.ended_at)),
            ("think", self.drafted_at),
            ("sentence", self.said_at),
            ("synthesise", self.spoken_at),
            ("playout", Some(audible)),
        ] {
            let at = at.unwrap_or(last).max(last).min(audible);
            let us = at.as_micros() - last.as_micros();
            stages.push(Stage { name, us });
            last = at;
        }
        stages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_add_up_to_the_whole() {
        let at = Moment::from_millis;
        let timing = TurnTiming {
            turn: TurnNo(1),
            silent_at: at(1000),
            asked_at: at(1200),
            transcribed_at: Some(at(1290)),
            judged_at: Some(at(1250)),
            judged: Some(0.9),
            ending: Ending::Complete,
            ended_at: at(1300),
            drafted_at: Some(at(1301)),
            said_at: Some(at(1301)),
            spoken_at: Some(at(1340)),
            audible_at: Some(at(1360)),
            withdrawn: 0,
        };
        let stages = timing.stages();
        assert_eq!(stages.iter().map(|s| s.us).sum::<u64>(), 360_000);
        assert_eq!(stages[1], Stage { name: "recognise", us: 90_000 });
        let unheard = TurnTiming { audible_at: None, ..timing };
        assert!(unheard.stages().is_empty());
    }
}
