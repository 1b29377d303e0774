//! The commands of `voicefleet` beside serving: the simulated caller, the speech models. Prints its progress and its findings, as
//! commands do; never part of a serving worker.

pub mod caller;
pub mod models;
