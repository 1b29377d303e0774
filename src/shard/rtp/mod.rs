//! The RTP side of a line: a UDP port per leg, or one for all legs of a media thread, that the thread reads and writes itself. Receives before it sends,
//! a few datagrams at most, so that a flood costs its own leg its audio and nobody else's time. Knows no SIP: what was agreed comes
//! as a [`MediaPlan`](crate::wire::sdp::MediaPlan).

mod control;
mod datagrams;
mod exchange;
mod keys;
mod latch;
mod leg;
mod outgoing;
mod ports;
mod roster;
mod secure;
mod way;

pub(super) use datagrams::prepare_thread;
pub(super) use exchange::Exchange;
pub use leg::{CodingError, RtpLeg, RtpStats};
pub use ports::{PortRange, RtpPort, RtpPorts};
