//! The capacity account shared between threads. Never waits for a place: it gives one now or says why not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::capacity::{Account, FleetView, Refused, WorkerState};

/// The capacity of this worker. Cheap to ask; not for the audio path (it locks for a few instructions).
#[derive(Debug)]
pub struct Capacity {
    account: Mutex<Account>,
    released: Notify,
}

/// One held place; dropping it gives the place back, also while a panic unwinds.
#[derive(Debug)]
#[must_use = "dropping the guard gives the place back"]
pub struct SlotGuard {
    capacity: Arc<Capacity>,
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.capacity.account().release();
        self.capacity.released.notify_waiters();
    }
}

impl Capacity {
    /// `max` places of the worker `id`, a number that follows from `limit` (`cpu`, `memory`, `setting`, …). Not ready yet.
    #[must_use]
    pub fn new(id: &str, max: u32, limit: &'static str) -> Arc<Self> {
        Arc::new(Self { account: Mutex::new(Account::new(id, max, limit)), released: Notify::new() })
    }

    /// Takes one place, at once or not at all.
    ///
    /// # Errors
    /// Where the worker drains, is not ready, or every place is held; each is counted.
    pub fn try_hold(self: &Arc<Self>) -> Result<SlotGuard, Refused> {
        self.account().hold()?;
        Ok(SlotGuard { capacity: Arc::clone(self) })
    }

    /// The worker is able to take calls, or is not.
    pub fn set_ready(&self, ready: bool) {
        self.account().set_ready(ready);
    }

    /// Closes the door for good.
    pub fn drain(&self) {
        self.account().drain();
        self.released.notify_waiters();
    }

    /// Changes the number of places.
    pub fn set_max(&self, max: u32, limit: &'static str) {
        self.account().set_max(max, limit);
    }

    /// Calls that hold a place.
    #[must_use]
    pub fn held(&self) -> u32 {
        self.account().held()
    }

    /// Tries that were refused since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.account().refused()
    }

    /// What the worker says of itself.
    #[must_use]
    pub fn state(&self) -> WorkerState {
        self.account().state()
    }

    /// The fleet at this moment.
    #[must_use]
    pub fn view(&self) -> FleetView {
        self.account().view()
    }

    /// Waits until no place is held. The caller sets the deadline (`rt::timeout`); pair it with [`Capacity::drain`], since
    /// new calls prolong the wait.
    pub async fn emptied(&self) {
        loop {
            let released = self.released.notified();
            if self.held() == 0 {
                return;
            }
            released.await;
        }
    }

    /// The account stays usable after a panic elsewhere: each change is one assignment.
    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use proptest::prelude::*;

    use super::*;

    fn ready(max: u32) -> Arc<Capacity> {
        let capacity = Capacity::new("w1", max, "cpu");
        capacity.set_ready(true);
        capacity
    }

    proptest! {
        #[test]
        fn after_any_order_of_holds_and_drops_the_count_is_that_of_live_guards(
            max in 0u32..6,
            steps in proptest::collection::vec((any::<bool>(), any::<usize>()), 0..64),
        ) {
            let capacity = ready(max);
            let mut guards = Vec::new();
            let mut refused = 0;
            for (hold, pick) in steps {
                if hold {
                    match capacity.try_hold() {
                        Ok(guard) => guards.push(guard),
                        Err(_) => refused += 1,
                    }
                } else if !guards.is_empty() {
                    drop(guards.swap_remove(pick % guards.len()));
                }
                prop_assert_eq!(capacity.held() as usize, guards.len());
                prop_assert!(capacity.held() <= max);
                prop_assert_eq!(capacity.view().available, max - capacity.held());
            }
            prop_assert_eq!(capacity.refused(), refused);
            drop(guards);
            prop_assert_eq!(capacity.held(), 0);
        }

        #[test]
        fn parallel_tries_on_k_places_grant_exactly_the_smaller_number(tries in 1usize..24, places in 0u32..16) {
            let capacity = ready(places);
            let gate = Barrier::new(tries);
            let granted: Vec<SlotGuard> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..tries)
                    .map(|_| scope.spawn(|| {
                        gate.wait();
                        capacity.try_hold().ok()
                    }))
                    .collect();
                threads.into_iter().filter_map(|t| t.join().unwrap()).collect()
            });
            prop_assert_eq!(granted.len(), tries.min(places as usize));
            prop_assert_eq!(capacity.refused() as usize, tries - granted.len());
            drop(granted);
            prop_assert_eq!(capacity.held(), 0);
        }
    }

    #[test]
    fn a_call_that_panics_gives_its_place_back() {
        let capacity = ready(1);
        let inside = Arc::clone(&capacity);
        let outcome = std::panic::catch_unwind(move || {
            let _slot = inside.try_hold().unwrap();
            std::panic::resume_unwind(Box::new("the call failed"));
        });
        assert!(outcome.is_err());
        assert!(capacity.try_hold().is_ok());
    }

    #[tokio::test]
    async fn drain_is_over_when_the_last_place_is_given_back() {
        let capacity = ready(2);
        let slot = capacity.try_hold().unwrap();
        capacity.drain();
        let waiting = Arc::clone(&capacity);
        let wait = crate::rt::spawn("test drain", async move { waiting.emptied().await });
        tokio::task::yield_now().await;
        assert!(!wait.is_finished());
        drop(slot);
        assert_eq!(wait.await.unwrap(), Ok(()));
    }
}
