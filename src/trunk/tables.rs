//! The tables of a trunk's file, each with its defaults: what may be set, in which unit. Never judges what is set; that is `lint`'s.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::route::Route;

/// Calls that come.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inbound {
    /// Addresses and networks that may call; none: nobody may.
    pub addresses: Vec<Cidr>,
    /// The host of the Request-URI that means this trunk, where several share an address; empty: any.
    pub domain: String,
    /// Demand the account's user and password of every INVITE.
    pub digest: bool,
    /// The bot of calls that no route takes; empty: they get 404.
    pub bot: String,
    /// How long it rings before the bot answers.
    pub ring_ms: u64,
    /// The bot begins while it rings: 183 with our description and its audio, the 200 behind them after `ring_ms`.
    pub early_media: bool,
    /// The far end of a call, also of one that we placed, may give its place to somebody else: by REFER, or by Replaces.
    pub transfers: bool,
    /// Routes, the first that fits is taken.
    pub route: Vec<Route>,
}

/// An address or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl TryFrom<String> for Cidr {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let expected = || format!("{text:?} is no address or network such as 203.0.113.0/24");
        let (address, bits) = text.split_once('/').map_or((text.as_str(), None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.trim().parse().map_err(|_| expected())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.trim().parse()).map_err(|_| expected())?;
        if bits > most { Err(expected()) } else { Ok(Self { address, bits }) }
    }
}

impl Cidr {
    /// Is `ip` in it? An IPv4 address that came mapped into IPv6 counts as what it is.
    #[must_use]
    pub fn holds(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => (net.to_bits() ^ ip.to_bits()).leading_zeros() >= u32::from(self.bits),
            (IpAddr::V6(net), IpAddr::V6(ip)) => (net.to_bits() ^ ip.to_bits()).leading_zeros() >= u32::from(self.bits),
            _ => false,
        }
    }
}

/// How messages travel to the carrier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrunkTransport {
    /// Datagrams.
    #[default]
    Udp,
    /// A stream.
    Tcp,
    /// An encrypted stream.
    Tls,
}

/// Calls that go.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outbound {
    /// `host` or `host:port` of the carrier, tried in this order; none: the trunk places no calls.
    pub targets: Vec<String>,
    /// How messages travel there.
    pub transport: TrunkTransport,
    /// The host in Request-URI, From and To; empty: the target's.
    pub domain: String,
    /// Number prefixes that may be called, in E.164 with plus; none: any.
    pub prefixes: Vec<String>,
    /// Most calls a minute to numbers that begin so; the longest prefix that fits counts. Numbers that none fits have no cap.
    pub per_minute: BTreeMap<String, u32>,
    /// How long it may ring.
    pub ring_ms: u64,
    /// How long to wait for the first provisional answer before the next target is tried.
    pub first_answer_ms: u64,
    /// Statuses after which the next target is tried, beside 500 to 504 and silence: 403, 408, 480.
    pub retry_on: Vec<u16>,
    /// The INVITE brings no offer: the carrier's answer does, and ours goes with the ACK (or the PRACK of a reliable response).
    pub delayed_offer: bool,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            transport: TrunkTransport::Udp,
            domain: String::new(),
            prefixes: Vec::new(),
            per_minute: BTreeMap::new(),
            ring_ms: 45_000,
            first_answer_ms: 5_000,
            retry_on: Vec::new(),
            delayed_offer: false,
        }
    }
}

/// Who we are to the carrier.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Account {
    /// The name of the address that we register, and the name in the digest unless `auth_user` is another; empty: no account.
    pub user: String,
    /// The name in the digest, where the carrier keeps one apart; empty: `user`.
    pub auth_user: String,
    /// File with the password on its first line.
    pub password_file: PathBuf,
    /// Our realm, in challenges that we pose.
    pub realm: String,
    /// Pose SHA-256 before MD5 to callers (RFC 8760); old peers look at the first challenge alone.
    pub sha256: bool,
    /// Register at the first address that takes it, and keep it up.
    pub register: bool,
    /// How long a registration is asked for.
    pub expires_s: u32,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            user: String::new(),
            auth_user: String::new(),
            password_file: PathBuf::new(),
            realm: "voicefleet".to_owned(),
            sha256: false,
            register: false,
            expires_s: 600,
        }
    }
}

/// How the carrier writes numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberFormat {
    /// `+919800000001`.
    #[default]
    E164,
    /// `919800000001`.
    E164NoPlus,
    /// As it is given, with `national_prefix` for the country code.
    National,
}

/// The numbers that are told.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// The caller ID of calls that name none.
    pub caller_id: String,
    /// Every number of this trunk's that may be shown; none: only `caller_id`.
    pub numbers: Vec<String>,
    /// How numbers are written.
    pub number_format: NumberFormat,
    /// The country code that `national` leaves out, e.g. `+91`.
    pub country_code: String,
    /// What `national` writes in its place, e.g. `0`.
    pub national_prefix: String,
    /// The name beside the caller ID.
    pub display_name: String,
    /// `From` as `sip:{number}@{domain}` with these two places; empty: that.
    pub from: String,
    /// `P-Asserted-Identity`, written likewise; empty: none.
    pub asserted_identity: String,
    /// `Contact`'s user part; empty: the number.
    pub contact_user: String,
    /// `Contact`, written like `from`, with a third place {host} for our address and port; empty: `sip:{number}@{host}`.
    pub contact: String,
}

/// How keys travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DtmfMode {
    /// RTP events where the peer has them, else INFO.
    #[default]
    Auto,
    /// RTP events.
    Rfc4733,
    /// SIP INFO.
    Info,
    /// Tones in the audio.
    Inband,
}

/// Audio.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Media {
    /// Codecs in order: `PCMA`, `PCMU`, `G722`, `opus`.
    pub codecs: Vec<String>,
    /// How keys travel.
    pub dtmf: DtmfMode,
    /// `off`, `optional`, `required`.
    pub srtp: SrtpMode,
    /// `required` holds although the keys travel where others may read them: over a network of one's own, or behind a proxy that takes
    /// the TLS off.
    pub keys_in_clear: bool,
    /// Offer control packets on the audio's port.
    pub rtcp_mux: bool,
}

impl Default for Media {
    fn default() -> Self {
        let codecs = ["PCMA", "PCMU", "G722"].map(str::to_owned).to_vec();
        Self { codecs, dtmf: DtmfMode::Auto, srtp: SrtpMode::Off, keys_in_clear: false, rtcp_mux: false }
    }
}

/// Whether audio is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SrtpMode {
    /// Never.
    #[default]
    Off,
    /// Where the peer can.
    Optional,
    /// Always.
    Required,
}

/// Session timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimerMode {
    /// Not offered; a peer's own are honoured.
    Off,
    /// Offered.
    #[default]
    On,
}

/// Session timers (RFC 4028).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timers {
    /// Are they offered.
    pub mode: TimerMode,
    /// The interval that is offered.
    pub expires_s: u32,
    /// The least interval that is taken; the standard's least is 90.
    pub min_se_s: u32,
}

impl Default for Timers {
    fn default() -> Self {
        Self { mode: TimerMode::On, expires_s: 1_800, min_se_s: 90 }
    }
}

/// Caps.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most calls at once, both directions.
    pub channels: u32,
    /// Most new calls per second, both directions; 0: no cap.
    pub calls_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { channels: 1_000, calls_per_second: 0 }
    }
}

/// Keeping watch over the carrier's addresses.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// Between OPTIONS to each address; 0: none are sent.
    pub options_s: u32,
    /// Misses in a row after which an address is down.
    pub down_after: u32,
    /// Answers in a row after which it is up again.
    pub up_after: u32,
}

impl Default for Health {
    fn default() -> Self {
        Self { options_s: 0, down_after: 3, up_after: 2 }
    }
}
