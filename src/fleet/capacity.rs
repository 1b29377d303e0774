//! The capacity account of one worker as plain arithmetic. Never blocks, never shares: [`Capacity`](super::Capacity) does.

/// The account: places, who holds them, and what was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    id: String,
    limit: &'static str,
    max: u32,
    held: u32,
    ready: bool,
    draining: bool,
    refused: u64,
}

/// Why no place was given. Nothing is queued: the caller tries again or goes elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Every place is held.
    #[error("all {max} places are held (limit: {limit}); try again when a call has ended")]
    Full {
        /// Places of this worker.
        max: u32,
        /// What the number of places follows from.
        limit: &'static str,
    },
    /// The worker finishes its calls and takes no new one.
    #[error("the worker is draining and takes no new call; use another worker")]
    Draining,
    /// The worker has not finished its start, or a model is missing.
    #[error("the worker is not ready to take calls yet; see /readyz for what is missing")]
    NotReady,
}

impl Refused {
    /// Stable code for metrics and for problem documents.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Full { .. } => "no_capacity",
            Self::Draining => "draining",
            Self::NotReady => "not_ready",
        }
    }
}

/// What a worker says of itself to the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// Not yet able to take a call.
    Starting,
    /// Takes calls while places are free.
    Ready,
    /// Finishes its calls, takes no new one.
    Draining,
}

impl WorkerState {
    /// The word in `/health/fleet`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

/// One worker in the fleet's view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRow {
    /// The worker's id.
    pub id: String,
    /// What it takes.
    pub state: WorkerState,
    /// Calls that hold a place, set-up included.
    pub calls: u32,
    /// Places.
    pub max: u32,
    /// What the number of places follows from, e.g. `cpu`.
    pub limit: &'static str,
}

/// The fleet at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetView {
    /// Calls that hold a place.
    pub calls: u32,
    /// Places, also those of workers that drain.
    pub max: u32,
    /// Places that a new call would get now: none of a worker that is starting or draining.
    pub available: u32,
    /// The workers.
    pub workers: Vec<WorkerRow>,
}

impl Account {
    /// An empty account of `max` places that follow from `limit`; not ready until [`Account::set_ready`].
    #[must_use]
    pub fn new(id: &str, max: u32, limit: &'static str) -> Self {
        Self { id: id.to_owned(), limit, max, held: 0, ready: false, draining: false, refused: 0 }
    }

    /// Takes one place.
    ///
    /// # Errors
    /// Where the worker drains, is not ready, or every place is held; each is counted.
    pub fn hold(&mut self) -> Result<(), Refused> {
        let refused = if self.draining {
            Refused::Draining
        } else if !self.ready {
            Refused::NotReady
        } else if self.held >= self.max {
            Refused::Full { max: self.max, limit: self.limit }
        } else {
            self.held += 1;
            return Ok(());
        };
        self.refused += 1;
        Err(refused)
    }

    /// Gives one place back.
    pub const fn release(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    /// The worker is able to take calls, or is not.
    pub const fn set_ready(&mut self, ready: bool) {
        self.ready = ready;
    }

    /// Closes the door for good: held places stay held until they are given back.
    pub const fn drain(&mut self) {
        self.draining = true;
    }

    /// Changes the number of places; below the number held, only new calls notice.
    pub const fn set_max(&mut self, max: u32, limit: &'static str) {
        self.max = max;
        self.limit = limit;
    }

    /// Places held.
    #[must_use]
    pub const fn held(&self) -> u32 {
        self.held
    }

    /// Tries that were refused since the start.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// What the worker says of itself.
    #[must_use]
    pub const fn state(&self) -> WorkerState {
        if self.draining {
            WorkerState::Draining
        } else if self.ready {
            WorkerState::Ready
        } else {
            WorkerState::Starting
        }
    }

    /// The fleet of this one worker.
    #[must_use]
    pub fn view(&self) -> FleetView {
        let state = self.state();
        let free = self.max.saturating_sub(self.held);
        FleetView {
            calls: self.held,
            max: self.max,
            available: if state == WorkerState::Ready { free } else { 0 },
            workers: vec![WorkerRow { id: self.id.clone(), state, calls: self.held, max: self.max, limit: self.limit }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(max: u32) -> Account {
        let mut account = Account::new("w1", max, "cpu");
        account.set_ready(true);
        account
    }

    #[test]
    fn the_door_says_why_it_is_closed_and_counts_each_refusal() {
        let mut account = Account::new("w1", 1, "cpu");
        assert_eq!(account.hold(), Err(Refused::NotReady));
        account.set_ready(true);
        assert_eq!(account.hold(), Ok(()));
        assert_eq!(account.hold(), Err(Refused::Full { max: 1, limit: "cpu" }));
        account.drain();
        account.release();
        assert_eq!(account.hold(), Err(Refused::Draining));
        assert_eq!((account.held(), account.refused()), (0, 3));
    }

    #[test]
    fn a_draining_worker_offers_nothing_but_still_shows_its_calls() {
        let mut account = ready(4);
        account.hold().unwrap();
        account.drain();
        let view = account.view();
        assert_eq!((view.calls, view.max, view.available), (1, 4, 0));
        assert_eq!(view.workers[0].state, WorkerState::Draining);
    }

    #[test]
    fn fewer_places_than_calls_is_not_a_negative_number() {
        let mut account = ready(3);
        for _ in 0..3 {
            account.hold().unwrap();
        }
        account.set_max(1, "memory");
        assert_eq!(account.view().available, 0);
        assert_eq!(account.hold(), Err(Refused::Full { max: 1, limit: "memory" }));
    }
}
