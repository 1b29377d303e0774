//! What the commands do: checking the configuration, fetching models, calling a bot, load, the demonstration. The only modules
//! besides `main` that print.

pub mod bench;
pub mod caller;
pub mod check;
pub mod demo;
pub mod models;
mod ua;
