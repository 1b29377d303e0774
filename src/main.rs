//! Voicefleet
fn main() {}
