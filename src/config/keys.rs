//! The keys of the configuration file as data, with kinds and ranges. A test holds them to the sections' fields.

use std::net::SocketAddr;

use crate::bot::schema::{Key, Kind};

/// Longest path of a file or folder (`PATH_MAX`).
const PATH: Kind = Kind::Text { blank: true, max_bytes: 4_096 };
const NEEDED_PATH: Kind = Kind::Text { blank: false, max_bytes: 4_096 };

/// The keys of the configuration file.
pub(super) const CONFIG: &[Key] = &[
    Key::new("server", Kind::Table(SERVER)),
    Key::new("websocket", Kind::Table(WEBSOCKET)),
    Key::new("sip", Kind::Table(SIP)),
    Key::new("media", Kind::Table(MEDIA)),
    Key::new("data", Kind::Table(DATA)),
    Key::new("models", Kind::Table(MODELS)),
    Key::new("auth", Kind::Table(AUTH)),
    Key::new("bots", Kind::Table(&[Key::new("dir", NEEDED_PATH)])),
    Key::new("log", Kind::Table(LOG)),
];

const SERVER: &[Key] = &[
    Key::new("listen", Kind::Checked { expected: "an address and a port, such as 127.0.0.1:8080", holds: is_address }),
    Key::new("public_url", Kind::Checked { expected: URL, holds: is_public_url }),
    Key::new("tls_cert", PATH),
    Key::new("tls_key", PATH),
    Key::new("max_connections", Kind::Whole { min: 1, max: 1_000_000, unit: "connections" }),
];

const URL: &str = "nothing, or http:// or https:// with a host and perhaps a path, without query, user or spaces";

const fn span(name: &'static str, max: u64) -> Key {
    Key::new(name, Kind::Whole { min: 50, max, unit: "ms" })
}

/// The call itself sets up in 10 s and rings for 60 s at most, so that longer deadlines of its leg would mean nothing.
const WEBSOCKET: &[Key] = &[
    Key::new("lenient", Kind::Switch),
    span("handshake_ms", 10_000),
    span("answer_ms", 60_000),
    Key::new("early_frames", Kind::Whole { min: 2, max: 1_000, unit: "frames" }),
    Key::new("early_bytes", Kind::Whole { min: 512, max: 1024 * 1024, unit: "bytes" }),
    Key::new("message_bytes", Kind::Whole { min: 512, max: 4 * 1024 * 1024, unit: "bytes" }),
    Key::new("frames_per_second", Kind::Whole { min: 60, max: 10_000, unit: "frames" }),
    Key::new("flood_frames", Kind::Whole { min: 60, max: 100_000, unit: "frames" }),
    span("write_ms", 60_000),
    span("ping_ms", 300_000),
    span("silence_ms", 600_000),
    // A call waits no longer than this for its leg to end.
    span("hang_up_ms", 2_000),
    span("close_ms", 10_000),
    span("late_ms", 10_000),
];

const SIP: &[Key] = &[
    Key::new("listen", Kind::Checked { expected: "an address and a port, such as 127.0.0.1:5060", holds: is_address }),
    Key::new(
        "tls_listen",
        Kind::Checked { expected: "an address and a port, such as 127.0.0.1:5061", holds: is_address },
    ),
    Key::new("tls_cert", PATH),
    Key::new("tls_key", PATH),
    Key::new("tls_ca", PATH),
    Key::new(
        "advertised_address",
        Kind::Checked { expected: "nothing, or an IP address: session descriptions take no name", holds: is_ip },
    ),
    Key::new(
        "resolver",
        Kind::Checked {
            expected: "nothing, or the IP address of a name server, with or without a port",
            holds: is_server,
        },
    ),
    Key::new("trunks", NEEDED_PATH),
    Key::new("t1_ms", Kind::Whole { min: 10, max: 2_000, unit: "ms" }),
    span("ping_ms", 300_000),
    Key::new("max_pending", Kind::Whole { min: 1, max: 100_000, unit: "INVITEs" }),
    Key::new("stranger_per_second", Kind::Whole { min: 1, max: 100_000, unit: "messages" }),
    span("hang_up_ms", 10_000),
    span("transfer_ms", 60_000),
    Key::new("rtp_first", Kind::Whole { min: 2, max: 65_535, unit: "as a port" }),
    Key::new("rtp_last", Kind::Whole { min: 3, max: 65_535, unit: "as a port" }),
    Key::new("rtp_per_shard", Kind::Switch),
    span("rtp_silence_ms", 600_000),
];

const MEDIA: &[Key] = &[
    Key::new("shards", Kind::Whole { min: 0, max: 1_024, unit: "threads" }),
    Key::new("fifo", Kind::Switch),
    Key::new("max_calls", Kind::Whole { min: 1, max: 100_000, unit: "calls" }),
];

const DATA: &[Key] = &[
    Key::new("dir", NEEDED_PATH),
    // 16 MiB holds one call of the longest duration.
    Key::new("max_bytes", Kind::Whole { min: 16 * 1024 * 1024, max: i64::MAX as u64, unit: "bytes" }),
];

const MODELS: &[Key] =
    &[Key::new("dir", PATH), Key::new("threads", Kind::Whole { min: 0, max: 1_024, unit: "threads" })];

const AUTH: &[Key] = &[
    Key::new("ws_token", Kind::Secret { instead: "auth.ws_token_file" }),
    Key::new("ws_token_file", PATH),
    Key::new("page_token", Kind::Secret { instead: "auth.page_token_file" }),
    Key::new("page_token_file", PATH),
];

const LOG: &[Key] =
    &[Key::new("level", Kind::OneOf(&["error", "warn", "info", "debug", "trace"])), Key::new("json", Kind::Switch)];

fn is_address(text: &str) -> bool {
    text.parse::<SocketAddr>().is_ok()
}

/// Empty, or an address that somebody can be at.
fn is_ip(text: &str) -> bool {
    text.is_empty() || text.parse::<std::net::IpAddr>().is_ok_and(|ip| !ip.is_unspecified())
}

/// Empty, or an IP address with or without a port.
fn is_server(text: &str) -> bool {
    is_ip(text) || text.parse::<SocketAddr>().is_ok_and(|at| at.port() != 0)
}

/// Empty, or an absolute address that a path can be put after.
fn is_public_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return text.is_empty();
    };
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    let clean =
        rest.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'@' | b'\\' | b'"' | b'<' | b'>'));
    text.len() <= 2_000 && clean && (!host.is_empty() || rest.starts_with('['))
}
