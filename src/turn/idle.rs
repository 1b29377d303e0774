//! Nobody speaks: two reminders, then goodbye. Never runs while the bot speaks, thinks, or the caller has the turn.

use super::policy::Policy;
use crate::units::Moment;

/// The idle clock of one call.
#[derive(Clone, Debug, Default)]
pub struct Idle {
    since: Option<Moment>,
    /// Where it stood when a sound came that may turn out to be no word.
    held: Option<Moment>,
    reminders: u8,
}

/// What the idle clock wants said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nudge {
    /// The reminder with this number, from 1.
    Remind(u8),
    /// Goodbye.
    GiveUp,
}

/// Reminders before the goodbye.
const REMINDERS: u8 = 2;

impl Idle {
    /// Silence begins, or goes on after a sound without words.
    pub fn start(&mut self, now: Moment) {
        let from = self.held.take().unwrap_or(now);
        self.since.get_or_insert(from);
    }

    /// A sound: the clock stands still until it is known what it was.
    pub fn hold(&mut self) {
        self.held = self.since.take().or(self.held);
    }

    /// Somebody has the floor.
    pub fn stop(&mut self) {
        self.since = None;
        self.held = None;
    }

    /// The caller said something: the count starts anew.
    pub fn reset(&mut self) {
        self.stop();
        self.reminders = 0;
    }

    /// When it wants something said.
    #[must_use]
    pub fn deadline(&self, policy: &Policy) -> Option<Moment> {
        self.since.map(|s| s.plus_ms(u64::from(policy.idle_ms)))
    }

    /// Time passes.
    pub fn on_time(&mut self, now: Moment, policy: &Policy) -> Option<Nudge> {
        if self.deadline(policy).is_none_or(|at| now < at) {
            return None;
        }
        self.since = None;
        if self.reminders < REMINDERS {
            self.reminders += 1;
            Some(Nudge::Remind(self.reminders))
        } else {
            Some(Nudge::GiveUp)
        }
    }
}
