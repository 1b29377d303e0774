//! The call log in memory: the newest calls that have ended, newest first, at most as many as asked for. The results on disk
//! are the truth; this is what a page lists without reading them. Pure: whoever shares it puts it behind a lock.

use super::analysis::disposition;
use super::result::{CallResult, DisconnectedBy};
use crate::units::{BotId, CallId, Pii, Stamp};

/// One ended call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRow {
    /// The call.
    pub call_id: CallId,
    /// The bot that served it.
    pub bot: BotId,
    /// When it was accepted.
    pub started_at: Stamp,
    /// From answer to end, in seconds.
    pub duration_s: f64,
    /// The customer's number.
    pub caller: Pii<String>,
    /// What came of it.
    pub disposition: String,
    /// Code of the end reason.
    pub end_reason: String,
    /// Who ended it.
    pub disconnected_by: DisconnectedBy,
    /// Link to the recording.
    pub recording_url: Option<String>,
}

impl From<&CallResult> for CallRow {
    fn from(result: &CallResult) -> Self {
        Self {
            call_id: CallId::new(&result.session_id),
            bot: BotId::new(&result.bot_id),
            started_at: result.started_at,
            duration_s: result.call_duration_seconds,
            caller: result.caller_id.clone(),
            disposition: disposition(result.post_call_analysis.reveal()).to_owned(),
            end_reason: result.end_reason.clone(),
            disconnected_by: result.disconnected_by,
            recording_url: result.recording_url.clone(),
        }
    }
}

/// The newest ended calls.
#[derive(Clone, Debug)]
pub struct CallIndex {
    rows: Vec<CallRow>,
    limit: usize,
}

impl CallIndex {
    /// An empty index of at most `limit` calls; when full, the oldest goes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { rows: Vec::new(), limit }
    }

    /// Adds a call at its place; a row of the same call is replaced.
    pub fn insert(&mut self, row: CallRow) {
        self.rows.retain(|old| old.call_id != row.call_id);
        let at = self.rows.partition_point(|old| (old.started_at, &old.call_id) > (row.started_at, &row.call_id));
        self.rows.insert(at, row);
        self.rows.truncate(self.limit);
    }

    /// All rows, newest first.
    pub fn newest(&self) -> impl Iterator<Item = &CallRow> {
        self.rows.iter()
    }

    /// The row of a call, where it is among the newest.
    #[must_use]
    pub fn find(&self, call: &CallId) -> Option<&CallRow> {
        self.rows.iter().find(|row| row.call_id == *call)
    }

    /// How many calls are listed.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Is nothing listed?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(id: u8, started: i64) -> CallRow {
        CallRow {
            call_id: CallId::new(&format!("c{id}")),
            bot: BotId::new("b"),
            started_at: Stamp::from_unix_ms(started),
            duration_s: 1.0,
            caller: Pii::new("+911".to_owned()),
            disposition: String::new(),
            end_reason: "completed".to_owned(),
            disconnected_by: DisconnectedBy::Bot,
            recording_url: None,
        }
    }

    proptest! {
        /// In whatever order calls end, the index lists the newest of them, newest first, each once.
        #[test]
        fn the_newest_are_listed_newest_first(
            calls in proptest::collection::btree_map(any::<u8>(), 0_i64..50, 0..40),
            again in any::<prop::sample::Index>(),
            limit in 1_usize..12,
        ) {
            let mut index = CallIndex::new(limit);
            let mut order: Vec<_> = calls.iter().map(|(&id, &at)| row(id, at)).collect();
            for row in order.iter().rev() {
                index.insert(row.clone());
            }
            if let Some(last) = index.len().checked_sub(1) {
                let twice = index.rows[again.index(last + 1)].clone();
                index.insert(twice);
            }
            order.sort_by(|a, b| (b.started_at, &b.call_id).cmp(&(a.started_at, &a.call_id)));
            order.truncate(limit);
            prop_assert_eq!(index.newest().cloned().collect::<Vec<_>>(), order);
        }
    }

    #[test]
    fn a_call_is_found_by_its_id() {
        let mut index = CallIndex::new(2);
        assert!(index.is_empty());
        for (id, at) in [(1, 10), (2, 20), (3, 30)] {
            index.insert(row(id, at));
        }
        assert_eq!(index.find(&CallId::new("c3")).map(|row| row.started_at.unix_ms()), Some(30));
        assert_eq!(index.find(&CallId::new("c1")), None, "pushed out by newer ones");
        assert_eq!(index.len(), 2);
    }
}
