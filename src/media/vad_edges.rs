//! x
/// x
pub struct VoiceEdges;
/// x
pub struct Edge;
/// x
pub struct EdgeConfig;
