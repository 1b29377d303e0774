//! Trunks: one TOML file each, read with every fault named. Who may call, which bot answers, where calls go out and with which
//! identity; and what a carrier's status means. Pure but for `io.rs`. Never opens a socket.

mod book;
mod file;
pub mod io;
mod lint;
mod outcome;
mod route;
mod tables;

pub use book::Book;
pub use file::Trunk;
pub use outcome::{SipStage, outcome};
pub use route::{CallFacts, Route, custom_fields, matches};
pub use tables::{
    Account, Cidr, DtmfMode, Health, Identity, Inbound, Limits, Media, NumberFormat, Outbound, TimerMode, Timers,
    TrunkTransport,
};
