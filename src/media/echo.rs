//! x
/// x
pub struct EchoGuard;
