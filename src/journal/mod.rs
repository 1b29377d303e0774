//! The journal module.
