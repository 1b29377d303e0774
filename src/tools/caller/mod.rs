//! A simulated telephone caller: calls a bot over the diallers' WebSocket protocol, speaks by a script in a voice that is not the
//! bot's, hears what a person at a telephone would hear, and measures it.
//!
//! - `script`, `conversation`: what to say when; pure.
//! - `phone`, `ear`, `ledger`, `machine`: the caller on a clock of samples; pure, one call per 20 ms.
//! - `voice`, `signal`: the lines, rendered before the call starts, and how the line spoils them.
//! - `socket`, `sip_phone`, `line`, `run`: the connection, a dialler's or a trunk's, the clock, the whole call.
//! - `server`: the server's own account of the call, beside the wire's.
//! - `dialogues`: many scripts, and how many ended as they should.
//!
//! Turn ends come from the level of what was heard, never from gaps between messages; a call in which one side stayed
//! silent has failed.

mod args;
mod conversation;
pub mod dialogues;
mod ear;
mod ledger;
mod line;
mod machine;
mod marks;
mod phone;
mod report;
mod run;
mod script;
mod server;
mod signal;
mod sip_phone;
mod socket;
mod voice;

pub use args::{CallArgs, Dialect};
pub(super) use args::{field, secret};
pub use report::{Ended, Line, LineKind, Report, ServerAccount, ServerTurn, Speaker, Spread, TurnRow};
pub use run::{CallError, CallOptions, Opening, run};
pub use script::{Script, ScriptError, Step};
pub use server::ResultFrom;
pub use signal::{Echo, Spoil};
pub use socket::{ConnectError, Trust};
pub use voice::VoiceError;
