//! The tools module.

pub mod models;
