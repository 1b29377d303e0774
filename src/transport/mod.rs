//! The protocols a call arrives by: sockets and their tasks. Turns wire messages into a leg's facts, and orders into wire
//! messages; never decides what a call does.

pub mod sip;
pub mod ws;
