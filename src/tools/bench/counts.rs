//! What is counted while a step is measured. Never decides what is good enough: the gate does.

use super::spread::Spread;

/// Counts of one window.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// Packets that were due, those included that were lost on purpose.
    pub sent: u64,
    /// Packets that the system did not take.
    pub unsent: u64,
    /// Packets or frames that came.
    pub received: u64,
    /// Of them with sound in it.
    pub voiced: u64,
    pub lost: u64,
    pub repeated: u64,
    /// Behind a play-out buffer of 60 ms.
    pub late: u64,
    /// What a call that fell silent should have sent.
    pub missing: u64,
    /// Between two packets of a call.
    pub gaps: Spread,
    /// Above 40 ms.
    pub long_gaps: u64,
    /// Datagrams of nobody's call: what was under way when a call ended.
    pub foreign: u64,
    /// The generator's lateness: when a packet was handed to the system against its deadline.
    pub own_late: Spread,
    pub set_up: Spread,
    pub hung_up: Spread,
    /// From a caller's onset to its echo, where the bot echoes.
    pub echo: Spread,
    /// Of the bot, in calls that nobody had answered yet.
    pub early: u64,
    /// Set-ups that were refused for want of room, and that failed otherwise.
    pub refused: u64,
    /// Of them with a time to come back.
    pub retry_after: u64,
    pub failed: u64,
    /// Calls that the worker ended.
    pub ended_by_worker: u64,
    /// Most calls that were up.
    pub most_up: usize,
    pub fewest_up: usize,
}
