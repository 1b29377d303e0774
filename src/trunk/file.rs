//! A trunk as its file describes it. Parsing reports all faults at once and makes a trunk only where there is none. Never reads
//! the disk: the bytes are an argument; never holds a secret that stands in the file, because none may.

use serde::de::DeserializeOwned;

use super::lint::{codec, fault};
use super::tables::{
    Account, DtmfMode, Health, Identity, Inbound, Limits, Media, NumberFormat, Outbound, SrtpMode, Timers,
};
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
#[path = "file_tests.rs"]
mod tests;
