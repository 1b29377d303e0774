//! The wire side of RTP: packets (RFC 3550), RTCP, telephone-event (RFC 4733), the receive statistics and what they mean for
//! the ear. Pure: bytes and times in, values out; no socket, no clock, no allocation. No byte sequence makes it panic.

mod mos;
mod packet;
mod rtcp;
mod stats;
mod telephone_event;

pub use mos::{CodecImpairment, Quality, mos_of, r_factor};
pub use packet::{PacketError, RtpHeader, RtpPacket, looks_like_rtcp};
pub use rtcp::{Blocks, Compound, Ntp, ReportBlock, Rtcp, RtcpError, RtcpParts, SenderInfo, middle_units};
pub use stats::{Counted, ReceiveStats, StreamSums};
pub use telephone_event::{
    EVENT_BYTES, EventPacket, EventReceiver, EventSender, MAX_PRESSES, PressError, TelephoneEvent, digit_of, event_of,
};
