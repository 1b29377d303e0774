//! The configuration: defaults, then the file, then the environment, then the command line; each layer checked on its own, so
//! that a fault names where it stands, and all faults reported at once. Loading opens no port and starts nothing. Never
//! prints a secret.

mod keys;
mod load;
mod resolve;
mod sections;

pub use load::{DEFAULT_FILE, environment, load, read};
pub use resolve::{ENV_PREFIX, Overrides, Resolved, resolve};
pub use sections::{
    AuthConfig, BotsConfig, Config, DataConfig, LogConfig, LogLevel, MediaConfig, ModelsConfig, ServerConfig,
};
