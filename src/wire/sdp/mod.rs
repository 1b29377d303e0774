//! SDP as a telephone leg needs it (RFC 8866, 3264, 4568): what a peer described, and what is agreed with it. One audio stream
//! with one codec and telephone-event; every other line of an offer is mirrored and refused. Never opens a port, draws no
//! random number: addresses and keys are arguments.

mod agree;
#[cfg(test)]
mod agree_tests;
mod codec;
mod crypto;
mod describe;
mod plan;
mod write;

pub use agree::{Agreed, Negotiator, Policy, SdpError, Srtp};
pub use codec::Codec;
pub use crypto::{CryptoKeys, CryptoLine, CryptoPlan, CryptoSuite, KEY_BYTES};
pub use describe::{Description, MediaLine, ParseError};
pub use plan::{Direction, MediaPlan, Rtcp, TelephoneEvent};
