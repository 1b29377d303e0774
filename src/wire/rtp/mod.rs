//! The wire side of RTP: packets (RFC 3550), RTCP, telephone-event (RFC 4733), the receive statistics and what they mean for
//! the ear. Pure: bytes and times in, values out; no socket, no clock, no allocation. No byte sequence makes it panic.

mod packet;

pub use packet::{PacketError, RtpHeader, RtpPacket, looks_like_rtcp};
