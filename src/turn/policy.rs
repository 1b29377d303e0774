//! The turn loop's settings: one struct, the defaults of the product, every field with its unit.

/// How the bot takes and gives the turn. All times in milliseconds.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Silence after which the end-of-turn model is asked and the speculative final is taken.
    pub ask_after_ms: u32,
    /// Least patience: no turn ends sooner than this after the caller's last sound.
    pub patience_min_ms: u32,
    /// Most patience; the moving estimate of the caller's own pauses stays below it.
    pub patience_max_ms: u32,
    /// Speech needed for a barge-in.
    pub barge_in_ms: u32,
    /// Words needed for a barge-in (one suffices where it is a stop word).
    pub barge_in_words: u32,
    /// A paused bot decides within this time whether to go on or to stop.
    pub decide_ms: u32,
    /// Silence before the first and before the second reminder, and before the hang-up after it.
    pub idle_ms: u32,
    /// Longest turn of the caller; then the bot takes the turn.
    pub monologue_ms: u32,
    /// Longest call.
    pub max_duration_ms: u32,
    /// The spoken warning comes this long before the longest call is over.
    pub warning_before_ms: u32,
    /// May the caller interrupt at all.
    pub interruptible: bool,
    /// Nobody answers: the caller hears himself, to try a line and to measure it.
    pub echo: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            ask_after_ms: 200,
            patience_min_ms: 200,
            patience_max_ms: 1_200,
            barge_in_ms: 250,
            barge_in_words: 2,
            decide_ms: 600,
            idle_ms: 10_000,
            monologue_ms: 60_000,
            max_duration_ms: 600_000,
            warning_before_ms: 30_000,
            interruptible: true,
            echo: false,
        }
    }
}
