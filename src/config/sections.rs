//! The sections of the configuration file, their defaults and what each key means. Never checks them: the schema does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use crate::transport::sip::SipConfig;
use crate::transport::ws::WsConfig;
use crate::units::Pii;

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// HTTP and WebSocket.
    pub server: ServerConfig,
    /// Deadlines and limits of WebSocket legs.
    pub websocket: WsConfig,
    /// The SIP endpoint.
    pub sip: SipConfig,
    /// The audio half of calls.
    pub media: MediaConfig,
    /// What is kept on disk.
    pub data: DataConfig,
    /// The local speech models.
    pub models: ModelsConfig,
    /// Who may connect.
    pub auth: AuthConfig,
    /// The bots.
    pub bots: BotsConfig,
    /// The log.
    pub log: LogConfig,
}

/// HTTP and WebSocket.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address and port to listen on. Port 0 takes any free port.
    pub listen: SocketAddr,
    /// What others call this server, e.g. `https://voice.example.com`; the start of every recording's address. Empty: made from
    /// `listen`, good on this machine only.
    pub public_url: String,
    /// PEM file with the certificate chain; empty: no TLS. Needs `tls_key`.
    pub tls_cert: PathBuf,
    /// PEM file with the private key. Needs `tls_cert`.
    pub tls_key: PathBuf,
    /// Most connections at once, calls and pages together; more are closed at once.
    pub max_connections: u32,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            public_url: String::new(),
            tls_cert: PathBuf::new(),
            tls_key: PathBuf::new(),
            max_connections: 4_096,
        }
    }
}

impl ServerConfig {
    /// Certificate and key, where TLS is configured.
    #[must_use]
    pub fn tls(&self) -> Option<(&Path, &Path)> {
        let set = !self.tls_cert.as_os_str().is_empty() && !self.tls_key.as_os_str().is_empty();
        set.then_some((self.tls_cert.as_path(), self.tls_key.as_path()))
    }

    /// The start of every address that is told to others, without a slash at the end. `bound` is the address that the listener
    /// really has; an unspecified address reads as this machine's own.
    #[must_use]
    pub fn public_url(&self, bound: SocketAddr) -> String {
        if !self.public_url.is_empty() {
            return self.public_url.trim_end_matches('/').to_owned();
        }
        let host = match bound.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), bound.port()),
            IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), bound.port()),
            ip => SocketAddr::new(ip, bound.port()),
        };
        let scheme = if self.tls().is_some() { "https" } else { "http" };
        format!("{scheme}://{host}")
    }
}

/// The audio half of calls.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MediaConfig {
    /// Media threads; 0: one less than the cores, at least one.
    pub shards: u16,
    /// Ask the system for real-time scheduling of the media threads; where it refuses, the log says so and calls go on.
    pub fifo: bool,
    /// Most calls at once; more are refused with 503. Local speech carries far fewer than stand-ins or remote providers.
    pub max_calls: u32,
    /// A task and a timer per call in place of the media threads: the baseline of the load bench, in no file.
    #[serde(skip)]
    pub task_per_call: bool,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self { shards: 0, fifo: true, max_calls: 40, task_per_call: false }
    }
}

/// What is kept on disk.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// The folder of everything that is kept: recordings, results, journals. Relative to the working folder.
    pub dir: PathBuf,
    /// Most bytes under `dir`; recording stops before that, and the results say so.
    pub max_bytes: u64,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { dir: PathBuf::from("data"), max_bytes: 20 * 1024 * 1024 * 1024 }
    }
}

/// The local speech models.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsConfig {
    /// Where `voicefleet models fetch` puts the models; empty: a folder of the user's cache.
    pub dir: PathBuf,
    /// Threads that run models; 0: by the number of cores.
    pub threads: u16,
}

/// Who may connect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// The token that a media socket must show; only by environment (`VOICEFLEET__AUTH__WS_TOKEN`) or by `ws_token_file`. `None`:
    /// anyone who reaches the port may call, and the start says so loudly.
    #[serde(deserialize_with = "secret")]
    pub ws_token: Option<Pii<String>>,
    /// File that holds the token on its first line; empty: none.
    pub ws_token_file: PathBuf,
    /// The password of the pages and of `/api/v1` (HTTP Basic with any user, or Bearer); only by environment
    /// (`VOICEFLEET__AUTH__PAGE_TOKEN`) or by `page_token_file`. `None`: open to this machine alone, closed to all others.
    #[serde(deserialize_with = "secret")]
    pub page_token: Option<Pii<String>>,
    /// File that holds the password on its first line; empty: none.
    pub page_token_file: PathBuf,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Pii<String>>, D::Error> {
    Ok(Some(Pii::new(String::deserialize(deserializer)?.trim().to_owned())))
}

/// The bots.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BotsConfig {
    /// The folder of bot files, one `<bot_id>.toml` each; looked at every second.
    pub dir: PathBuf,
}

impl Default for BotsConfig {
    fn default() -> Self {
        Self { dir: PathBuf::from("config/bots") }
    }
}

/// The log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// The least level that is written.
    pub level: LogLevel,
    /// One JSON object per line instead of text.
    pub json: bool,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// What needs a person.
    Error,
    /// What may need one.
    Warn,
    /// One line per call and change.
    #[default]
    Info,
    /// What a developer wants.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level's name, as a filter directive writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// The log's filter at this level. Libraries stay at `info`: below that they write what passes through them, and that is tokens,
    /// numbers and words.
    #[must_use]
    pub fn filter(self) -> String {
        match self {
            Self::Error | Self::Warn | Self::Info => self.as_str().to_owned(),
            Self::Debug | Self::Trace => format!("info,voicefleet={}", self.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_address_is_one_that_others_can_follow() {
        let mut server = ServerConfig::default();
        let url = |server: &ServerConfig, bound: &str| server.public_url(bound.parse().unwrap());
        assert_eq!(url(&server, "127.0.0.1:9000"), "http://127.0.0.1:9000");
        assert_eq!(url(&server, "0.0.0.0:80"), "http://127.0.0.1:80");
        assert_eq!(url(&server, "[::1]:80"), "http://[::1]:80");
        server.public_url = "https://voice.example.com/".to_owned();
        assert_eq!(url(&server, "127.0.0.1:9000"), "https://voice.example.com");
    }
}
