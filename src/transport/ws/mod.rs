//! WebSocket legs: the HTTP listener and upgrade, one session task per accepted socket, and a thin client. [`Host`] is what the
//! application implements; everything else here only moves frames.

mod audio;
mod client;
mod config;
mod counters;
mod flood;
mod host;
mod impatient;
mod listener;
mod mute;
mod session;
mod socket;
mod tls;
mod token;
mod upgrade;

pub use client::{Client, ClientError, ClientTls, connect};
pub use config::WsConfig;
pub use counters::{LegReport, PACING_BUCKETS_US, Pacing, SessionCounters, WsMetrics};
pub use host::{Host, LegEnd, LegLink, Opened, Refusal, UpgradeRequest};
pub use listener::{HttpLimits, serve};
pub use session::{Plan, run};
pub use tls::{TlsError, server_tls};
pub(in crate::transport) use tls::{acceptor, certificates};
pub use upgrade::{Problem, routes};
