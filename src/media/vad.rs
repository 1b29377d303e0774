//! x
/// x
pub struct VoiceDetector;
/// x
pub struct VoiceFrame;
