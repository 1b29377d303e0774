//! Tools that are run by hand or by tests. Never part of a serving worker.

pub mod caller;
