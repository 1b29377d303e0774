//! What is wrong with a trunk's file beyond what does not read: all of it at once, each fault with its key. Never changes a trunk.

use super::file::Trunk;
use super::tables::{NumberFormat, TrunkTransport};
use crate::bot::{Fault, is_bot_id};
use crate::wire::sdp::Codec;
use crate::wire::sip::Uri;

impl Trunk {
    /// What the tables must hold and agree on.
    pub(super) fn lint(&self, file: &str, faults: &mut Vec<Fault>) {
        let mut complain = |key: &str, value: &str, expected: &str| faults.push(fault(file, key, value, expected));
        if self.inbound.addresses.is_empty() && self.outbound.targets.is_empty() {
            complain(
                "inbound.addresses",
                "nothing",
                "addresses that may call, or `outbound.targets`: this trunk does nothing",
            );
        }
        if !self.inbound.bot.is_empty() && !is_bot_id(&self.inbound.bot) {
            complain("inbound.bot", &self.inbound.bot, "the stem of a bot's file");
        }
        for (at, route) in self.inbound.route.iter().enumerate() {
            let key = |name: &str| format!("inbound.route.{at}.{name}");
            if !is_bot_id(&route.bot) {
                complain(&key("bot"), &route.bot, "the stem of a bot's file");
            }
            if route.number.is_empty() && route.header.is_empty() {
                complain(&key("number"), "nothing", "a number pattern, or `header` with `value`");
            }
            if route.header.is_empty() != route.value.is_empty() {
                complain(&key("value"), &route.value, "`header` and `value` together");
            }
        }
        if self.inbound.early_media && self.inbound.ring_ms == 0 {
            complain("inbound.ring_ms", "0", "how long the bot is heard before the answer, because early_media is on");
        }
        self.lint_outbound(&mut complain);
        self.lint_ranges(&mut complain);
        let codecs = &self.media.codecs;
        if codecs.is_empty() {
            complain("media.codecs", "nothing", "at least one of PCMA, PCMU, G722, opus");
        }
        for (at, name) in codecs.iter().enumerate() {
            let twice = codecs.iter().take(at).any(|other| other.eq_ignore_ascii_case(name));
            if codec(name).is_none() || twice {
                complain(&format!("media.codecs.{at}"), name, "one of PCMA, PCMU, G722, opus, each once");
            }
        }
        for (key, number) in self
            .identity
            .numbers
            .iter()
            .map(|n| ("identity.numbers", n))
            .chain(Some(&self.identity.caller_id).filter(|n| !n.is_empty()).map(|n| ("identity.caller_id", n)))
        {
            if !is_e164(number, 3) {
                complain(key, number, "a number with plus and country code");
            }
        }
        if self.identity.number_format == NumberFormat::National && !is_e164(&self.identity.country_code, 1) {
            complain(
                "identity.country_code",
                &self.identity.country_code,
                "a plus and digits, because number_format is national",
            );
        }
        for (key, template) in
            [("identity.from", &self.identity.from), ("identity.asserted_identity", &self.identity.asserted_identity)]
        {
            if !template.is_empty() && !is_template(template, &["sip", "sips", "tel"]) {
                complain(key, template, "a sip:, sips: or tel: URI with the places {number} and {domain}");
            }
        }
        self.lint_told(&mut complain);
        let has_account = !self.account.user.is_empty();
        let has_file = !self.account.password_file.as_os_str().is_empty();
        if has_account != has_file {
            complain("account.password_file", "half an account", "`user` and `password_file` together");
        }
        if !self.account.auth_user.is_empty() && !has_account {
            complain("account.auth_user", &self.account.auth_user, "`user` and `password_file` beside it");
        }
        if (self.inbound.digest || self.account.register) && !has_account {
            complain("account.user", "nothing", "a user, because a digest or registration is wanted");
        }
        if self.account.register && self.outbound.targets.is_empty() {
            complain("outbound.targets", "nothing", "where to register");
        }
        if self.needs_tls() && !self.outbound.targets.is_empty() && self.outbound.transport != TrunkTransport::Tls {
            complain(
                "outbound.transport",
                "udp or tcp",
                "\"tls\", because media.srtp is required and its keys travel in SIP, where all on the way could read them; or \
                 media.keys_in_clear",
            );
        }
    }

    /// What is written into headers as it stands.
    fn lint_told(&self, complain: &mut impl FnMut(&str, &str, &str)) {
        let identity = &self.identity;
        let contact = identity.contact.replace("{host}", "h:1");
        let reachable = identity.contact.contains("@{host}") && is_template(&contact, &["sip"]);
        if !identity.contact.is_empty() && !reachable {
            complain(
                "identity.contact",
                &identity.contact,
                "a sip: URI at {host}, where we are reached, with the places {number} and {domain}",
            );
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;".contains(&b);
        if !identity.contact_user.bytes().all(plain) {
            complain("identity.contact_user", &identity.contact_user, "the part of a URI before the @, without blanks");
        }
        if identity.display_name.chars().any(char::is_control) || identity.display_name.chars().count() > 128 {
            complain("identity.display_name", &identity.display_name, "a name of at most 128 characters on one line");
        }
        if !identity.national_prefix.bytes().all(|b| b.is_ascii_digit()) || identity.national_prefix.len() > 8 {
            complain("identity.national_prefix", &identity.national_prefix, "at most 8 digits");
        }
        for (key, domain) in [("inbound.domain", &self.inbound.domain), ("outbound.domain", &self.outbound.domain)] {
            if !domain.is_empty()
                && (Uri::parse(&format!("sip:{domain}")).is_none() || domain.contains(['@', ';', '?']))
            {
                complain(key, domain, "a host");
            }
        }
    }

    /// The bots that it names and that `is_there` does not know, each with its key.
    pub(super) fn missing_bots(&self, is_there: &impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let routes = self.inbound.route.iter().enumerate();
        let routes = routes.map(|(at, route)| (format!("inbound.route.{at}.bot"), route.bot.clone()));
        let whole = Some(("inbound.bot".to_owned(), self.inbound.bot.clone())).filter(|(_, bot)| !bot.is_empty());
        whole.into_iter().chain(routes).filter(|(_, bot)| !is_there(bot)).collect()
    }

    fn lint_outbound(&self, complain: &mut impl FnMut(&str, &str, &str)) {
        for (at, target) in self.outbound.targets.iter().enumerate() {
            if Uri::parse(&format!("sip:{target}")).is_none() || target.contains(['@', ';', '?']) {
                complain(&format!("outbound.targets.{at}"), target, "host or host:port");
            }
        }
        for (at, prefix) in self.outbound.prefixes.iter().enumerate() {
            if !is_e164(prefix, 1) {
                complain(&format!("outbound.prefixes.{at}"), prefix, "a plus and digits");
            }
        }
        for (prefix, most) in &self.outbound.per_minute {
            let key = format!("outbound.per_minute.{prefix}");
            if !is_e164(prefix, 1) || !self.may_call(prefix) {
                complain(&key, prefix, "a plus and digits, within outbound.prefixes where there are any");
            }
            if !(1..=100_000).contains(most) {
                complain(&key, &most.to_string(), "a whole number from 1 to 100000");
            }
        }
        for status in &self.outbound.retry_on {
            if ![403, 408, 480].contains(status) {
                complain(
                    "outbound.retry_on",
                    &status.to_string(),
                    "only 403, 408 and 480: the rest is always or never tried again",
                );
            }
        }
    }

    fn lint_ranges(&self, complain: &mut impl FnMut(&str, &str, &str)) {
        for (key, value, min, max) in [
            ("inbound.ring_ms", self.inbound.ring_ms, 0, 30_000),
            ("outbound.ring_ms", self.outbound.ring_ms, 1_000, 180_000),
            ("outbound.first_answer_ms", self.outbound.first_answer_ms, 500, 32_000),
            ("account.expires_s", u64::from(self.account.expires_s), 60, 86_400),
            ("timers.expires_s", u64::from(self.timers.expires_s), u64::from(self.timers.min_se_s), 86_400),
            ("timers.min_se_s", u64::from(self.timers.min_se_s), 1, 3_600),
            ("limits.channels", u64::from(self.limits.channels), 1, 100_000),
            ("limits.calls_per_second", u64::from(self.limits.calls_per_second), 0, 10_000),
            ("health.options_s", u64::from(self.health.options_s), 0, 3_600),
            ("health.down_after", u64::from(self.health.down_after), 1, 100),
            ("health.up_after", u64::from(self.health.up_after), 1, 100),
        ] {
            if !(min..=max).contains(&value) {
                complain(key, &value.to_string(), &format!("a whole number from {min} to {max}"));
            }
        }
    }
}

pub(super) fn codec(name: &str) -> Option<Codec> {
    Codec::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
}

/// A URI of one of these schemes, once its places are filled.
fn is_template(template: &str, schemes: &[&str]) -> bool {
    let filled = template.replace("{number}", "1").replace("{domain}", "h");
    let parsed = Uri::parse(&filled).filter(|_| !filled.contains(['{', '}']) && !filled.chars().any(char::is_control));
    parsed.is_some_and(|uri| schemes.contains(&uri.scheme.as_str()))
}

/// A plus and at least `least`, at most 15 digits.
fn is_e164(text: &str, least: usize) -> bool {
    let Some(digits) = text.strip_prefix('+') else { return false };
    (least..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

pub(super) fn fault(file: &str, key: &str, value: &str, expected: &str) -> Fault {
    let shown: String = value.chars().take(60).collect();
    Fault { file: file.to_owned(), key: key.to_owned(), value: format!("{shown:?}"), expected: expected.to_owned() }
}
