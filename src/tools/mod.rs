//! What the commands do: checking the configuration, fetching models, calling a bot, having a worker call, load, the demonstration.
//! The only modules besides `main` that print.

mod api;
pub mod bench;
pub mod caller;
pub mod check;
pub mod demo;
pub mod dial;
pub mod models;
mod ua;
