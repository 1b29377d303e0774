//! A task and a timer for each line, in place of the media threads: what those are measured against by the load bench, and nothing that
//! serves calls. The same line, leg and recording; only who drives them differs.

use std::sync::Arc;

use super::LineReport;
use super::thread::{Seat, Shared};
use super::wake::Entry;
use crate::rt;
use crate::units::FRAME_MS;

/// Drives one line from its first tick to its last.
pub(super) async fn drive(mut seat: Box<Seat>, mut entry: Entry, shared: Arc<Shared>) {
    let mut due = rt::now();
    loop {
        due = due.plus_ms(FRAME_MS.into());
        rt::sleep_until(due).await;
        shared.gauge.note_late(rt::now().since(due).as_micros() as u64);
        let owed = seat.step(due);
        if owed.leg {
            entry.leg.notify_one();
        }
        if owed.driver {
            entry.driver.notify_one();
        }
        if seat.is_done() {
            shared.gauge.leave();
            let report: LineReport = seat.counted();
            if let Some(done) = entry.done.take() {
                // The call may have gone already; then nobody wants the counters.
                let _ = done.send(report);
            }
            entry.leg.notify_one();
            entry.driver.notify_one();
            return;
        }
    }
}
