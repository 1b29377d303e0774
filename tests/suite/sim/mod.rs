//! The simulator: one real call with its real media line, a scripted caller and scripted providers, driven by a heap of events
//! in virtual time. The driver contract is the product's: facts, then orders, then the deadline.

mod script;
mod voice;
mod world;

pub use script::Script;
pub use world::{Run, run};
