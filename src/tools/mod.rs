//! The commands that are not the server itself. Only files in here and `main` may print.

pub mod caller;
pub mod check;
