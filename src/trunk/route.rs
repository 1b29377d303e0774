//! Which bot a call reaches, and what its headers tell the bot. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::wire::sip::{Address, Message, Uri};

/// Most fields that a call's headers give, and most bytes of them all.
const MAX_FIELDS: usize = 64;
const MAX_FIELD_BYTES: usize = 8 * 1024;

/// Headers that tell something of the caller, beside `X-` ones.
const IDENTITY: [&str; 7] = [
    "P-Asserted-Identity",
    "Remote-Party-ID",
    "P-Called-Party-ID",
    "Diversion",
    "History-Info",
    "P-Charging-Vector",
    "Privacy",
];

/// One route of a trunk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// Pattern of the dialled number: `*` for any rest or start, `?` for one digit; empty: any.
    pub number: String,
    /// A header that must be there; empty: none.
    pub header: String,
    /// Pattern of its value.
    pub value: String,
    /// The bot.
    pub bot: String,
}

/// Does `text` fit `pattern` (`*` any run, `?` one character; letters in any case)?
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().flat_map(char::to_lowercase).collect();
    let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    // The classic walk with one place to fall back to: linear in practice, never exponential.
    let (mut p, mut t, mut star, mut mark) = (0, 0, None, 0);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some(p);
                mark = t;
                p += 1;
            }
            Some(letter) if *letter == '?' || text.get(t) == Some(letter) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some(back) = star else { return false };
                p = back + 1;
                mark += 1;
                t = mark;
            }
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|letter| *letter == '*')
}

impl Route {
    /// Does a call take this route?
    #[must_use]
    pub fn takes(&self, number: &str, invite: &Message) -> bool {
        let number_fits = self.number.is_empty() || matches(&self.number, number);
        number_fits && (self.header.is_empty() || invite.all(&self.header).any(|value| matches(&self.value, value)))
    }
}

/// What an INVITE says of its call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallFacts {
    /// The customer's number.
    pub from: String,
    /// The number that was dialled.
    pub to: String,
    /// The host of the Request-URI.
    pub domain: String,
    /// Everything for `{{call.*}}`.
    pub custom: BTreeMap<String, String>,
}

impl CallFacts {
    /// Reads them. The asserted identity counts more than From (RFC 3325): the carrier stands for it.
    #[must_use]
    pub fn of(invite: &Message) -> Self {
        let number = |value: &str| Some(Uri::parse(Address::parse(value)?.uri)?.number());
        let named = |name: &str| invite.all(name).filter_map(number).find(|number| !number.is_empty());
        let uri = invite.uri().and_then(Uri::parse);
        Self {
            from: named("P-Asserted-Identity").or_else(|| named("From")).unwrap_or_default(),
            to: uri.as_ref().map(Uri::number).filter(|n| !n.is_empty()).or_else(|| named("To")).unwrap_or_default(),
            domain: uri.map(|uri| uri.host.to_ascii_lowercase()).unwrap_or_default(),
            custom: custom_fields(invite),
        }
    }
}

/// `X-` and identity headers as fields: `X-Campaign-Id` becomes `x_campaign_id`. The first of a name counts.
#[must_use]
pub fn custom_fields(invite: &Message) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut bytes = 0;
    for (name, value) in invite.fields() {
        let is_x = name.len() > 2 && name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("X-"));
        if !is_x && !IDENTITY.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            continue;
        }
        let field = name.to_ascii_lowercase().replace('-', "_");
        bytes += field.len() + value.len();
        if found.len() >= MAX_FIELDS || bytes > MAX_FIELD_BYTES {
            break;
        }
        found.entry(field).or_insert_with(|| value.to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_fit_as_people_expect() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("*", "", true),
            ("+9122*", "+91225550100", true),
            ("+9122*", "+9122", true),
            ("+9122*", "+9123", false),
            ("*2000", "+91222000", true),
            ("*2000", "2000", true),
            ("*2000", "20001", false),
            ("+91??5", "+91225", true),
            ("+91??5", "+912225", false),
            ("a*b*c", "aXbXbXc", true),
            ("SALES", "sales", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn headers_become_fields() {
        let mut invite = Message::request("INVITE", "sip:+91222000@Voice.Example");
        invite.push("From", "\"x\" <sip:anonymous@anonymous.invalid>;tag=1");
        invite.push("P-Asserted-Identity", "<tel:+91-98000-00001>");
        invite.push("X-Campaign-ID", "spring");
        invite.push("x-campaign-id", "second");
        invite.push("Subject", "no");
        invite.push("History-Info", "<sip:+91221000@h.example?Reason=SIP%3Bcause%3D302>;index=1");
        let facts = CallFacts::of(&invite);
        assert_eq!((facts.from.as_str(), facts.to.as_str()), ("+919800000001", "+91222000"));
        assert_eq!(facts.domain, "voice.example");
        let keys: Vec<&str> = facts.custom.keys().map(String::as_str).collect();
        assert_eq!(keys, ["history_info", "p_asserted_identity", "x_campaign_id"]);
        assert_eq!(facts.custom["x_campaign_id"], "spring");
        let route =
            Route { number: "*2000".into(), header: "X-Campaign-Id".into(), value: "spr*".into(), bot: "b".into() };
        assert!(route.takes(&facts.to, &invite) && !route.takes("1", &invite));
    }

    proptest! {
        #[test]
        fn a_pattern_never_panics_and_fits_itself(pattern in "[a-c*?]{0,12}", text in "[a-c]{0,12}") {
            let _ = matches(&pattern, &text);
            prop_assert!(matches(&text, &text) && matches("*", &text));
        }
    }
}
