//! The results module.
