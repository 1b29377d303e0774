//! The tools module.
