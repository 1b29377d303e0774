//! Bots: one TOML file each, read with every fault named, kept in a shelf that takes a changed file for new calls while running
//! calls keep theirs. Pure but for `io.rs`. Never speaks, never listens, and knows no provider: it says which are wanted.

mod fault;
mod file;
pub mod io;
mod keys;
mod lint;
pub mod schema;
pub mod script;
mod shelf;
pub mod source;

pub use fault::Fault;
pub use file::{
    Bot, JudgeChoice, LlmChoice, Providers, ResultConfig, SttChoice, TtsChoice, VoiceConfig, VoicemailConfig, is_bot_id,
};
pub use lint::template_faults;
pub use shelf::{BotShelf, BotStatus, Change};
