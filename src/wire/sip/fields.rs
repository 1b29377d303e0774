//! The insides of header fields: addresses, URIs, Via, CSeq, lists and parameters. Borrowed where it can be; never panics on
//! broken text.

use core::net::{IpAddr, SocketAddr};

/// Splits a field at its commas, not at those in quotes or angle brackets.
#[must_use]
pub fn list(value: &str) -> Vec<&str> {
    split(value, ',')
}

fn split(value: &str, at: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped, mut angle) = (0, false, false, false);
    for (index, letter) in value.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            _ if letter == at && !quoted && !angle => {
                parts.push(value.get(start..index).unwrap_or_default().trim());
                start = index + letter.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(value.get(start..).unwrap_or_default().trim());
    parts.retain(|part| !part.is_empty());
    parts
}

/// The value of a `;name=value` parameter behind an address or token; `Some("")` where it stands without a value.
#[must_use]
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    split(value, ';').into_iter().skip(1).find_map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        key.trim().eq_ignore_ascii_case(name).then(|| unquote(value.trim()))
    })
}

/// An address with its parameters, without the blanks that may stand around semicolons and equals signs.
#[must_use]
pub fn tight(value: &str) -> String {
    let mut parts = split(value, ';').into_iter();
    let mut out = parts.next().unwrap_or_default().to_owned();
    parts.for_each(|part| push_tight(&mut out, part));
    out
}

/// Does a quote begin that nothing closes? What is written behind it would be part of it.
pub(super) fn is_open(text: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for letter in text.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    quoted
}

/// Is this a token (RFC 3261 section 25.1)?
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b))
}

fn push_tight(out: &mut String, part: &str) {
    let (key, value) = part.split_once('=').map_or((part, None), |(key, value)| (key.trim(), Some(value.trim())));
    out.push(';');
    out.push_str(key);
    if let Some(value) = value {
        out.push('=');
        out.push_str(value);
    }
}

fn unquote(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// Text in quotes, with what is special inside them escaped.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// From, To, Contact, P-Asserted-Identity and their kin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address<'a> {
    /// The display name without its quotes; blank where none stands.
    pub display: &'a str,
    /// The URI as it stands.
    pub uri: &'a str,
}

impl<'a> Address<'a> {
    /// The first address of a field; `None` where there is none.
    #[must_use]
    pub fn parse(value: &'a str) -> Option<Self> {
        let first = *list(value).first()?;
        let first = split(first, ';').into_iter().next()?;
        // An angle bracket inside a quoted name is part of the name.
        let (mut quoted, mut escaped) = (false, false);
        let open = first.char_indices().find(|(_, letter)| {
            match letter {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                '<' => return !quoted,
                _ => {}
            }
            false
        });
        let (display, uri) = match open.map(|(at, _)| at) {
            Some(open) => {
                let rest = first.get(open + 1..)?;
                (first.get(..open)?, rest.get(..rest.find('>')?)?)
            }
            None => ("", first),
        };
        let uri = uri.trim();
        (!uri.is_empty()).then(|| Self { display: unquote(display.trim()), uri })
    }
}

/// A sip:, sips: or tel: URI.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uri<'a> {
    /// In lower case.
    pub scheme: String,
    /// User part or telephone number, without password; blank where none stands.
    pub user: &'a str,
    /// Host without brackets; blank for tel:.
    pub host: &'a str,
    /// Port, where one stands.
    pub port: Option<u16>,
    /// Parameters after the host (or number), without headers.
    pub parameters: &'a str,
}

impl<'a> Uri<'a> {
    /// Reads a URI; `None` where it is none of any scheme or has a broken host or port.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        if scheme.is_empty() || !scheme.bytes().all(fine) || rest.contains([' ', '<', '>', '"']) {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "sip" && scheme != "sips" {
            let (user, parameters) = rest.split_once(';').unwrap_or((rest, ""));
            return Some(Self { scheme, user, host: "", port: None, parameters });
        }
        // A question mark may stand in the user part, too; headers begin at the first one behind the host.
        let rest = match rest.split_once('?') {
            Some((before, after)) if before.contains('@') || !after.contains('@') => before,
            Some(_) => rest
                .rsplit_once('@')
                .and_then(|(user, host)| rest.get(..user.len() + 1 + host.find('?').unwrap_or(host.len())))?,
            None => rest,
        };
        let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let user = user.split(':').next()?;
        let (place, parameters) = rest.split_once(';').unwrap_or((rest, ""));
        let (host, port) = host_and_port(place)?;
        Some(Self { scheme, user, host, port, parameters })
    }

    /// The number in the user part: without `tel:` parameters and visual separators.
    #[must_use]
    pub fn number(&self) -> String {
        let user = self.user.split(';').next().unwrap_or_default();
        let is_number =
            user.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'(' | b')' | b'*' | b'#'));
        if is_number { user.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).collect() } else { user.to_owned() }
    }

    /// The value of a URI parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.split(';').find_map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`; `None` where the host is blank or the port no port.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<core::net::Ipv6Addr>().ok()?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port.parse().ok()?),
            None => None,
        };
        return Some((host, port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port.trim().parse().ok()?)),
        None => (text, None),
    };
    let host = host.trim();
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (!host.is_empty() && host.bytes().all(fine)).then_some((host, port))
}

/// The topmost Via.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, `TLS`, as it stands.
    pub transport: &'a str,
    /// Where the sender says it is.
    pub host: &'a str,
    /// Its port, where one stands.
    pub port: Option<u16>,
    /// The whole entry.
    pub text: &'a str,
}

impl<'a> Via<'a> {
    /// The first entry of a field.
    #[must_use]
    pub fn parse(value: &'a str) -> Option<Self> {
        let text = *list(value).first()?;
        // Blanks may stand around a slash (RFC 3261 section 25.1).
        let mut parts = text.splitn(3, '/').map(str::trim);
        let (name, version, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let (transport, rest) = rest.split_once(|c: char| c.is_whitespace())?;
        if !name.eq_ignore_ascii_case("SIP") || version != "2.0" || !is_token(transport) {
            return None;
        }
        // What a server adds behind it must not end up in a quote, nor in angle brackets, which no Via has.
        if is_open(text) || text.contains('<') {
            return None;
        }
        let place = rest.split(';').next()?.trim();
        let (host, port) = host_and_port(place)?;
        Some(Self { transport, host, port, text })
    }

    /// The branch.
    #[must_use]
    pub fn branch(&self) -> Option<&'a str> {
        parameter(self.text, "branch").filter(|branch| !branch.is_empty())
    }

    /// The entry as a server completes it: `received` and, where the sender asks for it, `rport` say where it really came from (RFC 3261
    /// section 18.2.1, RFC 3581 section 4). A sender that names a private address behind a public one is behind a NAT and is taken to
    /// ask: nothing else would reach it. Without the blanks that may stand around slashes, semicolons and equals signs.
    #[must_use]
    pub fn completed(&self, ip: IpAddr, port: u16) -> String {
        let host: Option<IpAddr> = self.host.parse().ok();
        let behind_nat = host.is_some_and(|host| host != ip && is_private(host) && !is_private(ip));
        let asks = parameter(self.text, "rport").is_some() || behind_nat;
        let mut out = format!("SIP/2.0/{} ", self.transport);
        out.push_str(&if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_owned() });
        if let Some(port) = self.port {
            out.push_str(&format!(":{port}"));
        }
        for part in split(self.text, ';').into_iter().skip(1) {
            let key = part.split('=').next().unwrap_or_default().trim();
            if !key.eq_ignore_ascii_case("rport") && !key.eq_ignore_ascii_case("received") {
                push_tight(&mut out, part);
            }
        }
        if asks || host != Some(ip) {
            out.push_str(&format!(";received={ip}"));
        }
        if asks {
            out.push_str(&format!(";rport={port}"));
        }
        out
    }

    /// Where the response to a request with this entry goes over datagrams, once it is completed (RFC 3261 section 18.2.2, RFC 3581
    /// section 4): `None` where the sender gave a name and no server said what it stands for.
    #[must_use]
    pub fn answered_at(&self) -> Option<SocketAddr> {
        let received = parameter(self.text, "received").unwrap_or(self.host).trim_matches(['[', ']']);
        let rport = parameter(self.text, "rport").and_then(|port| port.parse().ok());
        Some(SocketAddr::new(received.parse().ok()?, rport.or(self.port).unwrap_or(5060)))
    }

    /// Does a field leave out an entry or a parameter between two separators? One separator too many at the end harms nobody.
    #[must_use]
    pub fn has_gaps(value: &str) -> bool {
        let value = value.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
        let mut quoted = false;
        let mut last = ',';
        for letter in value.chars().filter(|c| !c.is_whitespace()) {
            quoted ^= letter == '"';
            if !quoted && matches!(letter, ',' | ';') && matches!(last, ',' | ';') {
                return true;
            }
            last = letter;
        }
        last == ','
    }
}

/// An address that means nothing beyond a network of one's own.
#[must_use]
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.octets()[0] == 100,
        IpAddr::V6(ip) => ip.is_loopback() || (ip.segments()[0] & 0xfe00) == 0xfc00,
    }
}

/// Sequence number and method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CSeq<'a> {
    /// Below 2^31.
    pub number: u32,
    /// As it stands.
    pub method: &'a str,
}

impl<'a> CSeq<'a> {
    /// Reads the field.
    #[must_use]
    pub fn parse(value: &'a str) -> Option<Self> {
        let (number, method) = value.trim().split_once(|c: char| c.is_whitespace())?;
        let number = number.parse().ok().filter(|n| *n < 1 << 31)?;
        let method = method.trim();
        (!method.is_empty()).then_some(Self { number, method })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let value =
            "\"Rao, \\\"A\\\" <x>\" <sip:+91-98(000)01;phone-context=x@h.example:5080;user=phone?a=b>;tag=a;b=\"c;d\"";
        let address = Address::parse(value).unwrap();
        assert_eq!(address.uri, "sip:+91-98(000)01;phone-context=x@h.example:5080;user=phone?a=b");
        assert_eq!(
            (parameter(value, "tag"), parameter(value, "B"), parameter(value, "d")),
            (Some("a"), Some("c;d"), None)
        );
        let uri = Uri::parse(address.uri).unwrap();
        assert_eq!((uri.number().as_str(), uri.host, uri.port), ("+919800001", "h.example", Some(5080)));
        assert_eq!(uri.parameter("USER"), Some("phone"));
        let bare = "sip:a@h;tag=77";
        assert_eq!((Address::parse(bare).unwrap().uri, parameter(bare, "tag")), ("sip:a@h", Some("77")));
        assert_eq!(
            tight("\"a ; b = c\" <sip:a@h ;x = y>  ;  tag = 98 ; lr"),
            "\"a ; b = c\" <sip:a@h ;x = y>;tag=98;lr"
        );
        let odd = Uri::parse("sip:it$/crazy?,/;;*:&it+has=1,(pass)@h.example;lr?Subject=b").unwrap();
        assert_eq!((odd.user, odd.host, odd.parameters), ("it$/crazy?,/;;*", "h.example", "lr"));
        let named = Uri::parse("sip:h.example?Replaces=1@x").unwrap();
        assert_eq!((named.user, named.host), ("h.example?Replaces=1", "x"));
        assert_eq!(Uri::parse("tel:+1-201;x=y").unwrap().number(), "+1201");
        assert_eq!(Uri::parse("sip:[2001:db8::1]:5060").unwrap().host, "2001:db8::1");
        for broken in
            ["", "sip:", "sip:a@", "sip:a@h:x", "sip:a@h:99999", "no scheme", "sip:a b@h", "sip:a@[::zz]", "<sip:a@h>"]
        {
            assert_eq!(Uri::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_via_is_completed() {
        let via = Via::parse("SIP/2.0/UDP 10.0.0.1:5070;rport;branch=z9hG4bKa, SIP/2.0/UDP b").unwrap();
        assert_eq!(
            (via.transport, via.host, via.port, via.branch()),
            ("UDP", "10.0.0.1", Some(5070), Some("z9hG4bKa"))
        );
        let done = via.completed("192.0.2.1".parse().unwrap(), 1024);
        assert_eq!(done, "SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKa;received=192.0.2.1;rport=1024");
        let blanks = Via::parse("SIP  /   2.0  /UDP    192.0.2.2 : 5070 ; branch  =  390skdjuw ;rport").unwrap();
        assert_eq!((blanks.transport, blanks.host, blanks.branch()), ("UDP", "192.0.2.2", Some("390skdjuw")));
        let done = blanks.completed("192.0.2.1".parse().unwrap(), 1024);
        assert_eq!(done, "SIP/2.0/UDP 192.0.2.2:5070;branch=390skdjuw;received=192.0.2.1;rport=1024");
        // Who does not ask is answered at the port that it names, at the address that it came from.
        for (sent_by, from, added, answered) in [
            ("192.0.2.1:5070", "192.0.2.1", "", "192.0.2.1:5070"),
            ("192.0.2.1", "192.0.2.1", "", "192.0.2.1:5060"),
            ("192.0.2.9:5070", "192.0.2.1", ";received=192.0.2.1", "192.0.2.1:5070"),
            ("h.example", "192.0.2.1", ";received=192.0.2.1", "192.0.2.1:5060"),
            ("[2001:db8::1]:5070", "2001:db8::1", "", "[2001:db8::1]:5070"),
            ("10.0.0.9:5070", "192.0.2.1", ";received=192.0.2.1;rport=1024", "192.0.2.1:1024"),
            ("10.0.0.9:5070", "10.0.0.1", ";received=10.0.0.1", "10.0.0.1:5070"),
            ("127.0.0.1:9;rport", "127.0.0.1", ";received=127.0.0.1;rport=1024", "127.0.0.1:1024"),
            ("127.0.0.1:9;received=8.8.8.8", "127.0.0.1", "", "127.0.0.1:9"),
        ] {
            let text = format!("SIP/2.0/UDP {sent_by}");
            let done = Via::parse(&text).unwrap().completed(from.parse().unwrap(), 1024);
            let place = sent_by.split(';').next().unwrap();
            assert_eq!(done, format!("SIP/2.0/UDP {place}{added}"), "{sent_by}");
            assert_eq!(Via::parse(&done).unwrap().answered_at(), answered.parse().ok(), "{sent_by}");
        }
        assert_eq!(Via::parse("SIP/2.0/UDP h.example").unwrap().answered_at(), None);
        for (value, gaps) in [
            ("SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/UDP b", false),
            ("SIP/2.0/UDP a;x=\";;,,\";rport;", false),
            ("SIP/2.0/UDP a;;branch=z9hG4bK1", true),
            ("SIP/2.0/UDP a;;,;,,", true),
            ("SIP/2.0/UDP a,", true),
        ] {
            assert_eq!(Via::has_gaps(value), gaps, "{value}");
        }
        assert_eq!((Via::parse("SIP/3.0/UDP a"), Via::parse("SIP/2.0/UDP/x a")), (None, None));
        assert_eq!((Via::parse("SIP/2.0/UDP a;x=\"y"), Via::parse("SIP/2.0/\"DP a")), (None, None), "an open quote");
        assert_eq!(CSeq::parse("2147483648 INVITE"), None);
        assert_eq!(CSeq::parse("7  BYE").unwrap(), CSeq { number: 7, method: "BYE" });
    }
}
