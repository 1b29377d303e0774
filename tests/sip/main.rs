//! The SIP endpoint on loopback: sipp as the carrier in both directions, hostile messages from plain sockets, a host and media ports that
//! only take notes.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod hostile;
mod inbound;
mod outbound;
mod world;
