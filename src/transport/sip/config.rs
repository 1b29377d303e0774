//! The settings of the SIP endpoint (`[sip]`). Never checks them: the configuration's schema does.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// The SIP endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SipConfig {
    /// Address and port for datagrams and TCP. Port 0 takes any free port.
    pub listen: SocketAddr,
    /// Address and port for TLS; used where `tls_cert` and `tls_key` are given. Port 0 takes any free port.
    pub tls_listen: SocketAddr,
    /// PEM file with the certificate chain; empty: no TLS.
    pub tls_cert: PathBuf,
    /// PEM file with the private key.
    pub tls_key: PathBuf,
    /// PEM file with authorities that carriers' certificates may be signed by, beside the public ones; empty: only those.
    pub tls_ca: PathBuf,
    /// The address that is told to others in Via, Contact and SDP, without a port; empty: the one that is listened on.
    pub advertised_address: String,
    /// The name server that is asked for SRV records, with or without a port; empty: the system's first.
    pub resolver: String,
    /// The folder of trunk files.
    pub trunks: PathBuf,
    /// SIP's T1, the round-trip estimate that all its timers hang on, in milliseconds.
    pub t1_ms: u64,
    /// Between pings of ours on a TCP or TLS connection.
    pub ping_ms: u64,
    /// Most INVITEs that are not answered, or whose answer nobody acknowledged yet; more get 503.
    pub max_pending: u32,
    /// Messages per second from one address that belongs to no trunk; more are dropped.
    pub stranger_per_second: u32,
    /// Transactions that are kept, those included that are over and absorb repeats for 64 × T1: 300 a second, about 13 KiB each. A
    /// request that would be one more is answered without one: OPTIONS with 200, any other with 503.
    #[serde(skip)]
    pub max_transactions: usize,
    /// For the peer's answer to our BYE.
    pub hang_up_ms: u64,
    /// For the outcome of a transfer, once its ringing is told; it has 20 T1 of that to say the first word.
    pub transfer_ms: u64,
    /// The first UDP port of audio; each leg has an even one and, for RTCP, the next.
    pub rtp_first: u16,
    /// The last one.
    pub rtp_last: u16,
    /// The legs of a media thread share one port, told apart by where their peers are.
    pub rtp_per_shard: bool,
    /// A leg whose peer may send and sends nothing for so long is lost.
    pub rtp_silence_ms: u32,
}

impl Default for SipConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 5060)),
            tls_listen: SocketAddr::from(([127, 0, 0, 1], 5061)),
            tls_cert: PathBuf::new(),
            tls_key: PathBuf::new(),
            tls_ca: PathBuf::new(),
            advertised_address: String::new(),
            resolver: String::new(),
            trunks: PathBuf::from("config/trunks"),
            t1_ms: 500,
            ping_ms: 30_000,
            max_pending: 200,
            stranger_per_second: 5,
            max_transactions: 10_000,
            hang_up_ms: 2_000,
            transfer_ms: 30_000,
            rtp_first: 20_000,
            rtp_last: 29_999,
            rtp_per_shard: false,
            rtp_silence_ms: 30_000,
        }
    }
}
