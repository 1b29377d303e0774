//! A trunk as its file describes it. Parsing reports all faults at once and makes a trunk only where there is none. Never reads
//! the disk: the bytes are an argument; never holds a secret that stands in the file, because none may.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::lint::{codec, fault};
use super::route::Route;
use crate::bot::{Fault, is_bot_id, source};
use crate::units::Pii;
use crate::wire::sdp::{Policy, Srtp};
use crate::wire::sip::Credentials;

/// The tables of a trunk's file.
const TABLES: [&str; 8] = ["inbound", "outbound", "account", "identity", "media", "timers", "limits", "health"];

/// One trunk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trunk {
    /// The stem of its file.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Calls that come.
    pub inbound: Inbound,
    /// Calls that go.
    pub outbound: Outbound,
    /// Who we are to the carrier, where it wants a password.
    pub account: Account,
    /// The numbers that are told.
    pub identity: Identity,
    /// Audio.
    pub media: Media,
    /// Session timers (RFC 4028).
    pub timers: Timers,
    /// Caps.
    pub limits: Limits,
    /// Keeping watch over the carrier's addresses.
    pub health: Health,
    /// The account's password, once it was read from its file.
    pub password: Option<Pii<String>>,
}

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

impl Trunk {
    /// Reads a trunk from the bytes of its file.
    ///
    /// # Errors
    /// All faults at once, sorted by key; in a file that is not TOML its syntax faults only, in order.
    pub fn parse(stem: &str, file: &str, bytes: &[u8]) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        if !is_bot_id(stem) {
            let expected = "1 to 64 of a-z, 0-9, _ and - before .toml: rename the file";
            faults.push(fault(file, "file name", stem, expected));
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            faults.push(fault(file, "file", "bytes that are not UTF-8", "UTF-8 text"));
            return Err(faults);
        };
        let table = source::parse(file, text)?;
        for (key, value) in &table {
            let fits = match value {
                toml::Value::Table(_) => TABLES.contains(&key.as_str()),
                toml::Value::String(_) => key == "name",
                _ => false,
            };
            if !fits {
                let expected = format!("`name` as text, or one of the tables {}", TABLES.join(", "));
                faults.push(fault(file, key, "something else", &expected));
            }
        }
        let mut read = Reader { file, text, faults: &mut faults };
        let trunk = Self {
            id: stem.to_owned(),
            name: table.get("name").and_then(toml::Value::as_str).unwrap_or(stem).to_owned(),
            inbound: read.table("inbound"),
            outbound: read.table("outbound"),
            account: read.table("account"),
            identity: read.table("identity"),
            media: read.table("media"),
            timers: read.table("timers"),
            limits: read.table("limits"),
            health: read.table("health"),
            password: None,
        };
        trunk.lint(file, &mut faults);
        faults.sort();
        faults.dedup();
        if faults.is_empty() { Ok(trunk) } else { Err(faults) }
    }

    /// Encryption is a promise here, and a promise is broken where the keys are read on their way.
    #[must_use]
    pub fn needs_tls(&self) -> bool {
        self.media.srtp == SrtpMode::Required && !self.media.keys_in_clear
    }

    /// What its legs agree to.
    #[must_use]
    pub fn media_policy(&self) -> Policy {
        Policy {
            codecs: self.media.codecs.iter().filter_map(|name| codec(name)).collect(),
            telephone_event: matches!(self.media.dtmf, DtmfMode::Auto | DtmfMode::Rfc4733),
            inband_keys: self.media.dtmf == DtmfMode::Inband,
            srtp: match self.media.srtp {
                SrtpMode::Off => Srtp::Off,
                SrtpMode::Optional => Srtp::Optional,
                SrtpMode::Required => Srtp::Required,
            },
            rtcp_mux: self.media.rtcp_mux,
        }
    }

    /// The account, where there is one.
    #[must_use]
    pub fn credentials(&self) -> Option<Credentials> {
        let password = self.password.clone()?;
        let Account { user, auth_user, .. } = &self.account;
        let name = if auth_user.is_empty() { user } else { auth_user };
        (!user.is_empty()).then(|| Credentials { user: name.clone(), password })
    }

    /// A number as this carrier writes it.
    #[must_use]
    pub fn written(&self, number: &str) -> String {
        match self.identity.number_format {
            NumberFormat::E164 => number.to_owned(),
            NumberFormat::E164NoPlus => number.trim_start_matches('+').to_owned(),
            NumberFormat::National => number.strip_prefix(&self.identity.country_code).map_or_else(
                || number.trim_start_matches('+').to_owned(),
                |rest| format!("{}{rest}", self.identity.national_prefix),
            ),
        }
    }

    /// May this caller ID be shown?
    #[must_use]
    pub fn shows(&self, number: &str) -> bool {
        number == self.identity.caller_id || self.identity.numbers.iter().any(|ours| ours == number)
    }

    /// The prefix whose cap counts for a number, and the cap in calls a minute.
    #[must_use]
    pub fn cap_of(&self, number: &str) -> Option<(&str, u32)> {
        let fitting = self.outbound.per_minute.iter().filter(|(prefix, _)| number.starts_with(prefix.as_str()));
        fitting.max_by_key(|(prefix, _)| prefix.len()).map(|(prefix, most)| (prefix.as_str(), *most))
    }

    /// May this number be called?
    #[must_use]
    pub fn may_call(&self, number: &str) -> bool {
        let prefixes = &self.outbound.prefixes;
        prefixes.is_empty() || prefixes.iter().any(|prefix| number.starts_with(prefix.as_str()))
    }

    /// May a number be called that a far end wrote? Where anything hangs on how a number begins (prefixes, caps, the national format) it
    /// has to be E.164 with plus, and may not turn into another country's once the country code is off: whoever could choose how it is
    /// written would choose which rule it meets.
    #[must_use]
    pub fn may_follow(&self, number: &str) -> bool {
        let identity = &self.identity;
        let national = identity.number_format == NumberFormat::National;
        let judged = national || !self.outbound.prefixes.is_empty() || !self.outbound.per_minute.is_empty();
        let whole = || {
            let digits = number.strip_prefix('+').unwrap_or_default();
            (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        let disguised = || {
            let rest = number.strip_prefix(&identity.country_code).filter(|_| national);
            let prefix = identity.national_prefix.as_str();
            rest.is_some_and(|rest| rest.starts_with("00") || (!prefix.is_empty() && rest.starts_with(prefix)))
        };
        self.may_call(number) && (!judged || (whole() && !disguised()))
    }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    faults: &'a mut Vec<Fault>,
}

impl Reader<'_> {
    fn table<T: DeserializeOwned + Default>(&mut self, name: &str) -> T {
        match source::section(self.file, self.text, name) {
            Ok(found) => found.unwrap_or_default(),
            Err(found) => {
                self.faults.extend(found);
                T::default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sdp::Codec;

    #[test]
    fn every_fault_is_named_at_once() {
        let text = include_str!("../../fixtures/broken/trunks/every_table.toml");
        let faults = Trunk::parse("every_table", "f", text.as_bytes()).unwrap_err();
        let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
        // A table that does not even read is told of by what does not read; its lint follows once that is mended.
        for expected in [
            "colour",
            "inbound.addresses",
            "outbound.targets.0",
            "outbound.prefixes.0",
            "outbound.retry_on",
            "outbound.ring_ms",
            "identity.caller_id",
            "identity.from",
            "identity.country_code",
            "account.password_file",
            "timers.expires_s",
            "media.srtp",
            "limits.chanels",
        ] {
            assert!(keys.iter().any(|key| key.starts_with(expected)), "{expected} is not among {keys:?}");
        }
    }

    #[test]
    fn what_reads_is_linted() {
        let text = "[inbound]\nbot = \"No\"\n[[inbound.route]]\nnumber = \"1\"\nbot = \"No Bot\"\n[[inbound.route]]\nbot = \"desk\"\n\
                    header = \"X\"\n[media]\ncodecs = [\"PCMA\", \"G729\", \"pcma\"]\n[limits]\nchannels = 0\n";
        let faults = Trunk::parse("t", "f", text.as_bytes()).unwrap_err();
        let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
        let expected = [
            "inbound.addresses",
            "inbound.bot",
            "inbound.route.0.bot",
            "inbound.route.1.value",
            "limits.channels",
            "media.codecs.1",
            "media.codecs.2",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn what_is_told_of_us_is_linted() {
        let faults = |table: &str, line: &str| {
            let head = if table == "outbound" { String::new() } else { format!("[{table}]\n") };
            let text = format!("[outbound]\ntargets = [\"h\"]\n{head}{line}\n");
            Trunk::parse("t", "f", text.as_bytes()).err().map(|faults| faults[0].key.clone())
        };
        for (table, line, sound) in [
            ("identity", "from = \"tel:{number}\"", true),
            ("identity", "from = \"mailto:{number}@{domain}\"", false),
            ("identity", "from = \"sip:{host}\"", false),
            ("identity", "asserted_identity = \"<sip:{number}@{domain}>\"", false),
            ("identity", "contact = \"sip:{number};tgrp=us;trunk-context={domain}@{host}\"", true),
            ("identity", "contact = \"sip:{number}@{host};transport=tcp\"", true),
            ("identity", "contact = \"sip:{number}@{domain}\"", false),
            ("identity", "contact = \"tel:{number}\"", false),
            ("identity", "contact_user = \"a b\"", false),
            ("identity", "contact_user = \"a@b\"", false),
            ("identity", "display_name = \"one\\ntwo\"", false),
            ("identity", "national_prefix = \"o\"", false),
            ("account", "auth_user = \"me\"", false),
            ("outbound", "domain = \"user@host\"", false),
            ("outbound", "domain = \"ims.example\"", true),
            ("inbound", "domain = \"a b\"", false),
        ] {
            let key = format!("{table}.{}", line.split(' ').next().unwrap());
            assert_eq!(faults(table, line), if sound { None } else { Some(key) }, "{line}");
        }
    }

    #[test]
    fn the_digests_name_may_be_another_than_the_users() {
        let mut trunk = Trunk { password: Some(Pii::new("p".to_owned())), ..Trunk::default() };
        assert_eq!(trunk.credentials().map(|c| c.user), None);
        trunk.account.user = "+912255501000".to_owned();
        assert_eq!(trunk.credentials().map(|c| c.user).as_deref(), Some("+912255501000"));
        trunk.account.auth_user = "acme".to_owned();
        assert_eq!(trunk.credentials().map(|c| c.user).as_deref(), Some("acme"));
    }

    #[test]
    fn every_way_of_keys_is_obeyed() {
        let base = "[inbound]\naddresses = [\"127.0.0.1\"]\n[outbound]\ntargets = [\"h\"]\n";
        let parse = |more: &str| Trunk::parse("t", "f", format!("{base}{more}").as_bytes());
        assert!(parse("").is_ok(), "the defaults are no fault");
        assert!(parse("[health]\noptions_s = 60\n").is_ok());
        assert!(parse("[account]\nregister = true\nuser = \"u\"\npassword_file = \"p\"\n").is_ok());
        for (way, events, tones) in
            [("auto", true, false), ("rfc4733", true, false), ("info", false, false), ("inband", false, true)]
        {
            let policy = parse(&format!("[media]\ndtmf = \"{way}\"\n")).unwrap().media_policy();
            assert_eq!((policy.telephone_event, policy.inband_keys), (events, tones), "{way}");
        }
        assert!(parse("[media]\ndtmf = \"smoke\"\n").is_err());
    }

    #[test]
    fn encryption_that_is_required_wants_its_keys_hidden() {
        let parse = |transport: &str, media: &str| {
            let text = format!(
                "[inbound]\naddresses = [\"127.0.0.1\"]\n[outbound]\ntargets = [\"h\"]\ntransport = \"{transport}\"\n[media]\n{media}"
            );
            Trunk::parse("t", "f", text.as_bytes())
        };
        for (transport, media, sound) in [
            ("udp", "srtp = \"optional\"\n", true),
            ("tls", "srtp = \"required\"\n", true),
            ("udp", "srtp = \"required\"\n", false),
            ("tcp", "srtp = \"required\"\n", false),
            ("udp", "srtp = \"required\"\nkeys_in_clear = true\n", true),
        ] {
            let parsed = parse(transport, media);
            let told = parsed.err().map(|faults| faults.into_iter().map(|fault| fault.key).collect::<Vec<_>>());
            assert_eq!(
                told,
                if sound { None } else { Some(vec!["outbound.transport".to_owned()]) },
                "{transport} {media}"
            );
        }
        let inbound = "[inbound]\naddresses = [\"127.0.0.1\"]\n[media]\nsrtp = \"required\"\n";
        assert!(
            Trunk::parse("t", "f", inbound.as_bytes()).is_ok_and(|trunk| trunk.needs_tls()),
            "no targets: nothing is sent"
        );
    }

    #[test]
    fn the_sample_trunk_is_sound() {
        let text = include_bytes!("../../config/trunks/loopback.toml");
        let trunk = Trunk::parse("loopback", "f", text).unwrap_or_else(|faults| panic!("{faults:#?}"));
        assert!(trunk.inbound.addresses[0].holds("127.0.0.9".parse().unwrap()));
        assert!(!trunk.inbound.addresses[0].holds("10.0.0.1".parse().unwrap()));
        assert!(trunk.inbound.addresses[0].holds("::ffff:127.0.0.1".parse().unwrap()));
        assert_eq!(trunk.media_policy().codecs, [Codec::Pcma, Codec::Pcmu, Codec::G722]);
    }

    #[test]
    fn numbers_are_written_as_the_carrier_wants() {
        let mut trunk = Trunk::default();
        assert_eq!(trunk.written("+919800000001"), "+919800000001");
        trunk.identity.number_format = NumberFormat::E164NoPlus;
        assert_eq!(trunk.written("+919800000001"), "919800000001");
        trunk.identity.number_format = NumberFormat::National;
        trunk.identity.country_code = "+91".to_owned();
        trunk.identity.national_prefix = "0".to_owned();
        assert_eq!(trunk.written("+919800000001"), "09800000001");
        assert_eq!(trunk.written("+12015550123"), "12015550123");
        trunk.outbound.prefixes = vec!["+91".to_owned()];
        assert!(trunk.may_call("+919800000001") && !trunk.may_call("+12015550123"));
        for (number, may) in [
            ("+919800000001", true),
            ("919800000001", false),
            ("+910012015550123", false),
            ("+9109800000001", false),
            ("+91980", false),
            ("+9198000000011234", false),
            ("+91980000000a", false),
            ("+12015550123", false),
        ] {
            assert_eq!(trunk.may_follow(number), may, "{number}");
        }
        let free = Trunk::default();
        assert!(free.may_follow("2000") && free.may_follow("0012015550123"), "where no rule looks at it");
        trunk.outbound.per_minute = [("+91".to_owned(), 60), ("+9198".to_owned(), 5)].into();
        let capped = ["+919800000001", "+912255501000", "+12015550123"].map(|number| trunk.cap_of(number));
        assert_eq!(capped, [Some(("+9198", 5)), Some(("+91", 60)), None]);
    }

    #[test]
    fn a_cap_is_for_a_prefix_that_may_be_called() {
        let parse = |rates: &str| {
            let text = format!("[outbound]\ntargets = [\"h\"]\nprefixes = [\"+91\"]\nper_minute = {{ {rates} }}\n");
            Trunk::parse("t", "f", text.as_bytes()).map_err(|faults| faults.len())
        };
        assert!(parse("\"+91\" = 60, \"+9198\" = 5").is_ok());
        assert_eq!([parse("\"+1\" = 5"), parse("\"91\" = 5"), parse("\"+91\" = 0")].map(|r| r.unwrap_err()), [1, 1, 1]);
    }
}
