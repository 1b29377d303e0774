//! What the commands do: checking the configuration, fetching models, calling a bot. The only modules besides `main` that
//! print.

pub mod check;
pub mod models;
