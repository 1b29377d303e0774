//! The RTP side of a line: a UDP port per leg that the media thread reads and writes itself, once a tick. Receives before it sends,
//! a few datagrams at most, so that a flood costs its own leg its audio and nobody else's time. Knows no SIP: what was agreed comes
//! as a [`MediaPlan`](crate::wire::sdp::MediaPlan).

mod control;
mod datagrams;
mod keys;
mod latch;
mod leg;
mod outgoing;
mod ports;
mod secure;

pub(super) use datagrams::prepare_thread;
pub use leg::{CodingError, RtpLeg, RtpStats};
pub use ports::{PortRange, RtpPort, RtpPorts};
