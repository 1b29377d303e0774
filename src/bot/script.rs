//! The script of a bot.

/// A script.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
pub struct Script {}
