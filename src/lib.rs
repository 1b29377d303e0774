//! Voicefleet: a real-time media worker for a fleet of voice bots. See the README for the architecture.

pub mod units;

pub mod media;
pub mod template;
pub mod wire;

pub mod call;
pub mod turn;

pub mod bot;
pub mod fleet;
pub mod journal;
pub mod record;
pub mod results;
pub mod trunk;

pub mod provider;
pub mod rt;
pub mod shard;
pub mod telemetry;
pub mod transport;

pub mod api;

pub mod app;
pub mod config;
pub mod tools;
