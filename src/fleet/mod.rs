//! The fleet module.
