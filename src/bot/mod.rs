//! The bot module.
