//! The capacity of this worker: how many calls it may hold, who holds a place, and what the fleet is told. One worker for
//! now; the registry of many comes beside it. Never queues a call and never knows what a call is.
//!
//! [`Account`] counts (pure), [`Capacity`] shares it between threads, [`SlotGuard`] is one held place. The count has no
//! other source than live guards, so a call that panics gives its place back like any other.

mod capacity;
mod io;
mod limits;

pub use capacity::{Account, FleetView, Refused, WorkerRow, WorkerState};
pub use io::{Capacity, SlotGuard};
pub use limits::{Machine, Means, tightest};
