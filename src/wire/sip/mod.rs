//! SIP messages as text (RFC 3261): reading what peers really send, judging whether a request can be taken and with which status
//! it is refused, writing our own. Knows no transaction, no dialog, no clock; digest sums are pure functions.

mod digest;
mod fields;
mod frame;
mod judge;
#[cfg(test)]
mod judge_tests;
mod message;

pub use digest::{Algorithm, Answer, Challenge, Credentials, DigestError};
pub use fields::{Address, CSeq, Uri, Via, is_private, list, parameter, quoted, tight};
pub use frame::{Frame, Framer, FramingError};
pub use judge::{ALLOW, Fault, SUPPORTED, fault_of, session_description};
pub use message::{Message, NotSip, Start, reason_phrase};
