//! The script of a bot.

/// A script.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
pub struct Script {}

impl Script {
    /// Lint.
    #[must_use]
    pub fn lint(&self, _file: &str) -> Vec<super::Fault> {
        Vec::new()
    }
}
