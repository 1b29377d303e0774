//! `a=crypto` (RFC 4568): SRTP keys in SDP. Parses and writes them; never encrypts, never prints a key.

use core::fmt;

/// Bytes of a master key with its salt, in every suite known here.
pub const KEY_BYTES: usize = 30;

/// A master key with its salt. Prints as `[redacted]`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CryptoKeys(pub [u8; KEY_BYTES]);

impl fmt::Debug for CryptoKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// How SRTP encrypts and signs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CryptoSuite {
    /// AES-CM 128 with an 80-bit tag.
    AesCm128HmacSha1_80,
    /// AES-CM 128 with a 32-bit tag on RTP (80-bit on RTCP).
    AesCm128HmacSha1_32,
}

impl CryptoSuite {
    /// Both suites, the stronger first.
    pub const ALL: [Self; 2] = [Self::AesCm128HmacSha1_80, Self::AesCm128HmacSha1_32];

    /// The suite's name in SDP.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }
}

/// One `a=crypto` line that we can use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CryptoLine {
    /// The line's number; an answer repeats it.
    pub tag: u32,
    /// How.
    pub suite: CryptoSuite,
    /// The sender's key.
    pub key: CryptoKeys,
}

/// The keys of both directions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CryptoPlan {
    /// How, both ways.
    pub suite: CryptoSuite,
    /// The key that we encrypt with.
    pub local: CryptoKeys,
    /// The key that the peer encrypts with.
    pub remote: CryptoKeys,
}

impl CryptoLine {
    /// The value after `a=crypto:`; `None` where the suite is unknown, the key is malformed, several keys or a master key
    /// identifier are used, or a session parameter asks for less than full protection.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_whitespace();
        let tag = words.next()?.parse().ok()?;
        let name = words.next()?;
        let suite = CryptoSuite::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name))?;
        let inline = words.next()?;
        // Only parameters that change nothing for us may follow.
        if words.any(|word| !word.to_ascii_uppercase().starts_with("WSH=")) {
            return None;
        }
        let inline = inline.strip_prefix("inline:").filter(|keys| !keys.contains(';'))?;
        let mut parts = inline.split('|');
        let key = parts.next()?;
        // A lifetime is fine, a master key identifier (`1:4`) is not.
        if parts.any(|part| part.contains(':')) {
            return None;
        }
        let bytes = decode(key)?;
        Some(Self { tag, suite, key: CryptoKeys(bytes) })
    }

    /// The value after `a=crypto:`.
    #[must_use]
    pub fn text(&self) -> String {
        let key = base64_simd::STANDARD.encode_to_string(self.key.0);
        format!("{} {} inline:{key}", self.tag, self.suite.name())
    }
}

fn decode(text: &str) -> Option<[u8; KEY_BYTES]> {
    let engine = if text.ends_with('=') { base64_simd::STANDARD } else { base64_simd::STANDARD_NO_PAD };
    let bytes = engine.decode_to_vec(text.as_bytes()).ok()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    #[test]
    fn a_line_is_read_and_written() {
        let line = CryptoLine::parse(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20")).unwrap();
        assert_eq!(line.text(), format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"));
        assert_eq!(CryptoLine::parse(&line.text()), Some(line));
        assert!(!format!("{line:?}").contains("WVN"), "a key must not print");
    }

    #[test]
    fn what_we_cannot_do_is_no_line() {
        for value in [
            format!("1 AES_256_CM_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY};inline:{KEY}"),
            "1 AES_CM_128_HMAC_SHA1_80 inline:c2hvcnQ=".to_owned(),
            "x AES_CM_128_HMAC_SHA1_80".to_owned(),
            String::new(),
        ] {
            assert_eq!(CryptoLine::parse(&value), None, "{value}");
        }
    }
}
