//! The transport module.
