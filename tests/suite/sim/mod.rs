//! The simulator: one real call with its real media line, a scripted caller and scripted providers, driven by a heap of events
//! in virtual time. The driver contract is the product's: facts, then orders, then the deadline.

mod company;
mod ear;
mod script;
mod voice;
mod world;

pub use ear::{Ear, Tape};
pub use script::{Act, BotVoice, Group, Reply, Script, Sound, When};
pub use voice::tag_of;
pub use world::{Run, run};

/// Synthesised speech per character, in milliseconds.
pub const MS_PER_CHAR: u64 = 60;
