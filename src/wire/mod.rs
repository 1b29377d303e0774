//! Bytes to typed messages and back, one file or folder per format. Pure: no clock, no socket, no lock.

pub mod dns;
pub mod rtp;
pub mod sdp;
pub mod sip;
pub mod srtp;
pub mod ws;
