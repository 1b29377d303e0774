//! The SIP endpoint: carriers call in and are called out. Signalling alone; audio is [`MediaPorts`]'s, what is said is the
//! application's.
//!
//! **For the application.** Make an [`Endpoint`] with [`Endpoint::start`] from the `[sip]` section, the trunks ([`crate::trunk::io::open`]),
//! a [`Host`] (admission and the start of a call's driver) and [`MediaPorts`] (a UDP port per call on the shards). An INVITE goes
//! gate → judge → transaction → trunk → bot → `Host::admit` → `MediaPorts::reserve` → `Host::open` → answer; the order of facts and the
//! meaning of orders are told in [`host`]. [`Endpoint::place_call`] is the way out: the application holds slot and port, gives a
//! [`SipLink`], and reads the same facts. [`Endpoint::drain`] refuses new INVITEs with 503 while live dialogs go on.
//!
//! **Layers inside.** `flow` owns the sockets, `gate` the caps, `stack` the transactions (the only place that knows the crate beneath),
//! `dialog` builds messages, `timer` is RFC 4028, `leg` is the task of one call, `outbound` places calls,
//! `resolve` finds the trunks' addresses, `health` watches them, `register` keeps us registered, `keeper` has the tasks of both,
//! `auth` poses challenges.
//! Every message is read by `wire::sip` before the crate sees it, so that broken requests get their status and not silence.

mod admission;
mod auth;
mod config;
mod core;
mod dialog;
mod endpoint;
mod flow;
mod gate;
mod health;
pub mod host;
mod keeper;
mod leg;
mod outbound;
mod register;
mod resolve;
mod stack;
mod timer;
mod tls;

pub use config::SipConfig;
pub use core::SipCounters;
pub use endpoint::{Census, Endpoint, StartError};
pub use flow::{Flow, Transport};
pub use health::Watched;
pub use host::{
    CallRequest, Host, LadderRow, LiveLadder, MediaPort, MediaPorts, Refusal, SipEnd, SipLink, SipOpened, SipReport,
};
pub use outbound::{OutboundCall, PlaceError};
pub use stack::{Engine, ServerTransaction};
pub use tls::TlsSide;
