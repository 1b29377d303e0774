//! Bots.

mod fault;
pub mod script;

pub use fault::Fault;
