//! Who may see the operators' page and the call log. Never decides about media sockets, API keys or recording links.
//!
//! - On a loopback address without a token: every request that was really made on this machine. A request with a foreign
//!   `Host` (a page that rebinds its name to 127.0.0.1) or one that a proxy passed on is refused: behind a proxy, set a token.
//! - With `auth.page_token`: HTTP Basic with any user name and the token as password, or `Authorization: Bearer`.
//! - On any other address without a token: nobody.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};

/// The rule that the server's address and settings lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Loopback, no token.
    LocalOnly,
    /// Whoever has the token.
    Token(PageToken),
    /// Exposed, no token: nobody.
    Closed,
}

/// The operators' token, kept as its SHA-256.
#[derive(Clone, PartialEq, Eq)]
pub struct PageToken([u8; 32]);

impl fmt::Debug for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PageToken([redacted])")
    }
}

impl PageToken {
    /// The token with this text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Whether `given` is the token. Compares hashes over their whole length, so the time tells nothing about the token.
    #[must_use]
    pub fn matches(&self, given: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        let difference = self.0.iter().zip(given).fold(0, |seen, (a, b)| seen | (a ^ b));
        std::hint::black_box(difference) == 0
    }
}

/// Why a request may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// A token is needed and none, or a wrong one, came.
    NoCredentials,
    /// No request may pass from where this one came.
    Closed,
}

impl Access {
    /// The rule for a server that listens on `address` with this `auth.page_token`.
    #[must_use]
    pub fn for_listener(address: SocketAddr, page_token: Option<&str>) -> Self {
        match page_token {
            Some(token) => Self::Token(PageToken::new(token)),
            None if address.ip().to_canonical().is_loopback() => Self::LocalOnly,
            None => Self::Closed,
        }
    }

    /// Lets a request with these headers pass.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Denied> {
        match self {
            Self::LocalOnly if is_local(headers) => Ok(()),
            Self::LocalOnly | Self::Closed => Err(Denied::Closed),
            Self::Token(token) => match given_token(headers) {
                Some(given) if token.matches(&given) => Ok(()),
                _ => Err(Denied::NoCredentials),
            },
        }
    }
}

/// Made on this machine, by its own name, and passed on by nobody. (No `Host` at all is a bare client, not a browser.)
fn is_local(headers: &HeaderMap) -> bool {
    let passed_on = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];
    if passed_on.iter().any(|name| headers.contains_key(*name)) {
        return false;
    }
    headers.get_all(header::HOST).iter().all(|host| host.to_str().is_ok_and(is_local_host))
}

fn is_local_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn given_token(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(base64_simd::STANDARD.decode_to_vec(rest).ok()?).ok()?;
    pair.split_once(':').map(|(_user, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn the_address_and_the_token_make_the_rule() {
        let rule = |address: &str, token| Access::for_listener(address.parse().unwrap(), token);
        assert_eq!(rule("127.0.0.1:8080", None), Access::LocalOnly);
        assert_eq!(rule("[::1]:8080", None), Access::LocalOnly);
        assert_eq!(rule("[::ffff:127.0.0.1]:8080", None), Access::LocalOnly);
        assert_eq!(rule("0.0.0.0:8080", None), Access::Closed);
        assert_eq!(rule("127.0.0.1:8080", Some("t")), Access::Token(PageToken::new("t")));
    }

    #[test]
    fn on_loopback_only_this_machine_s_own_names_pass() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.8.8.8:1", "[::1]:8080"] {
            assert_eq!(Access::LocalOnly.check(&headers(&[("host", host)])), Ok(()), "{host}");
        }
        for host in
            ["evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "[::2]:80", "", "10.0.0.1"]
        {
            assert_eq!(Access::LocalOnly.check(&headers(&[("host", host)])), Err(Denied::Closed), "{host}");
        }
        let proxied = headers(&[("host", "127.0.0.1"), ("x-forwarded-for", "203.0.113.9")]);
        assert_eq!(Access::LocalOnly.check(&proxied), Err(Denied::Closed));
    }

    #[test]
    fn the_token_passes_as_password_of_any_user_or_as_bearer() {
        let access = Access::Token(PageToken::new("s3cret:x"));
        let basic = |pair: &str| format!("Basic {}", base64_simd::STANDARD.encode_to_string(pair));
        for good in [basic("ops:s3cret:x"), basic(":s3cret:x"), "bearer s3cret:x".to_owned()] {
            assert_eq!(access.check(&headers(&[("authorization", &good)])), Ok(()), "{good}");
        }
        for bad in
            [basic("ops:s3cret"), basic("s3cret:x"), "Bearer ".into(), "Basic !!".into(), "Digest s3cret:x".into()]
        {
            assert_eq!(access.check(&headers(&[("authorization", &bad)])), Err(Denied::NoCredentials), "{bad}");
        }
        assert_eq!(access.check(&HeaderMap::new()), Err(Denied::NoCredentials));
        assert!(!format!("{access:?}").contains("s3cret"));
    }
}
