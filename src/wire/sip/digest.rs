//! Digest access authentication (RFC 3261 section 22, RFC 8760): reading challenges, choosing the best, answering it, and checking an
//! answer. Pure: nonces and random text are arguments. Never prints a password.

use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::fields::{list, quoted};
use crate::units::Pii;

/// The hash of a challenge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Algorithm {
    /// MD5, which most carriers still use.
    Md5,
    /// MD5 over a session key.
    Md5Sess,
    /// SHA-256.
    Sha256,
    /// SHA-256 over a session key.
    Sha256Sess,
}

impl Algorithm {
    const ALL: [Self; 4] = [Self::Md5, Self::Md5Sess, Self::Sha256, Self::Sha256Sess];

    /// The token on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name().eq_ignore_ascii_case(name))
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 | Self::Md5Sess => hex(&Md5::digest(text.as_bytes())),
            Self::Sha256 | Self::Sha256Sess => hex(&Sha256::digest(text.as_bytes())),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use core::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A name and its password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Pii<String>,
}

/// One challenge that can be answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Challenge {
    /// Whose passwords.
    pub realm: String,
    /// The challenger's number.
    pub nonce: String,
    /// To be given back.
    pub opaque: Option<String>,
    /// The hash; MD5 where none is named.
    pub algorithm: Algorithm,
    /// `auth` is among the qualities, or none is named (the old form).
    pub qop: bool,
    /// The password was right and only the nonce was old.
    pub stale: bool,
}

/// A challenge or answer that leads nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DigestError {
    /// No challenge that can be answered: another scheme, hash or quality.
    #[error("expected a Digest challenge with MD5 or SHA-256 and qop=auth, found none")]
    NoChallenge,
    /// An answer that does not parse.
    #[error("expected a Digest answer, found something else")]
    Malformed,
}

/// Realms of one response that are answered.
const MOST_REALMS: usize = 4;

/// `name=value` pairs behind the scheme.
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    list(text).into_iter().filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = value.trim();
        Some((name.trim(), value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value)))
    })
}

/// The text behind `Digest `, where that is the scheme.
fn digest(value: &str) -> Option<&str> {
    let (scheme, rest) = value.trim().split_once(|c: char| c.is_whitespace())?;
    scheme.eq_ignore_ascii_case("Digest").then_some(rest)
}

impl Challenge {
    /// The strongest challenge among these fields (`WWW-Authenticate` or `Proxy-Authenticate`).
    ///
    /// # Errors
    /// [`DigestError::NoChallenge`].
    pub fn best<'a>(fields: impl Iterator<Item = &'a str>) -> Result<Self, DigestError> {
        fields.filter_map(Self::parse).max_by_key(Self::rank).ok_or(DigestError::NoChallenge)
    }

    /// The strongest challenge of each realm: each proxy on the way may pose its own, and all want an answer (RFC 3261 section 22.3).
    /// Realms beyond [`MOST_REALMS`] are left out.
    #[must_use]
    pub fn of_realms<'a>(fields: impl Iterator<Item = &'a str>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for found in fields.filter_map(Self::parse) {
            if let Some(known) = all.iter_mut().find(|known| known.realm == found.realm) {
                if known.rank() < found.rank() {
                    *known = found;
                }
            } else if all.len() < MOST_REALMS {
                all.push(found);
            }
        }
        all
    }

    /// Plain forms before session forms: they mean the same to us, and more peers have the former right.
    const fn rank(&self) -> u8 {
        match self.algorithm {
            Algorithm::Sha256 => 3,
            Algorithm::Sha256Sess => 2,
            Algorithm::Md5 => 1,
            Algorithm::Md5Sess => 0,
        }
    }

    /// The challenge that an answer of ours was to (`Authorization` or `Proxy-Authorization`), and how often its nonce was used.
    #[must_use]
    pub fn answered(field: &str) -> Option<(Self, u32)> {
        Some((Self::parse(field)?, Answer::parse(field).ok()?.count))
    }

    fn parse(field: &str) -> Option<Self> {
        let mut found = Self {
            realm: String::new(),
            nonce: String::new(),
            opaque: None,
            algorithm: Algorithm::Md5,
            qop: false,
            stale: false,
        };
        for (name, value) in pairs(digest(field)?) {
            match name.to_ascii_lowercase().as_str() {
                "realm" => value.clone_into(&mut found.realm),
                "nonce" => value.clone_into(&mut found.nonce),
                "opaque" => found.opaque = Some(value.to_owned()),
                "algorithm" => found.algorithm = Algorithm::of(value)?,
                "stale" => found.stale = value.eq_ignore_ascii_case("true"),
                "qop" => {
                    found.qop = value.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth"));
                    if !found.qop {
                        return None;
                    }
                }
                _ => {}
            }
        }
        (!found.nonce.is_empty()).then_some(found)
    }

    /// The field that poses this challenge.
    #[must_use]
    pub fn text(&self) -> String {
        let stale = if self.stale { ", stale=true" } else { "" };
        let (realm, nonce, algorithm) = (quoted(&self.realm), quoted(&self.nonce), self.algorithm.name());
        format!("Digest realm={realm}, nonce={nonce}, algorithm={algorithm}, qop=\"auth\"{stale}")
    }

    /// The answer: the value of `Authorization` or `Proxy-Authorization`. `count` is how often this nonce was used, from 1.
    #[must_use]
    pub fn answer(&self, credentials: &Credentials, method: &str, uri: &str, cnonce: &str, count: u32) -> String {
        let count = format!("{count:08x}");
        let qop = self.qop.then_some((count.as_str(), cnonce));
        let response = response(self.algorithm, credentials, &self.realm, &self.nonce, (method, uri), qop, cnonce);
        let mut out = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\", algorithm={}",
            quoted(&credentials.user),
            quoted(&self.realm),
            quoted(&self.nonce),
            quoted(uri),
            self.algorithm.name(),
        );
        if self.qop {
            out.push_str(&format!(", qop=auth, nc={count}, cnonce={}", quoted(cnonce)));
        } else if matches!(self.algorithm, Algorithm::Md5Sess | Algorithm::Sha256Sess) {
            out.push_str(&format!(", cnonce={}", quoted(cnonce)));
        }
        if let Some(opaque) = &self.opaque {
            out.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        out
    }
}

fn response(
    algorithm: Algorithm,
    credentials: &Credentials,
    realm: &str,
    nonce: &str,
    (method, uri): (&str, &str),
    qop: Option<(&str, &str)>,
    cnonce: &str,
) -> String {
    let mut ha1 = algorithm.hash(&format!("{}:{realm}:{}", credentials.user, credentials.password.reveal()));
    if matches!(algorithm, Algorithm::Md5Sess | Algorithm::Sha256Sess) {
        ha1 = algorithm.hash(&format!("{ha1}:{nonce}:{cnonce}"));
    }
    let ha2 = algorithm.hash(&format!("{method}:{uri}"));
    match qop {
        Some((count, cnonce)) => algorithm.hash(&format!("{ha1}:{nonce}:{count}:{cnonce}:auth:{ha2}")),
        None => algorithm.hash(&format!("{ha1}:{nonce}:{ha2}")),
    }
}

/// An answer to a challenge of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Who.
    pub user: String,
    /// Which challenge.
    pub nonce: String,
    /// How often the nonce was used, from 1; 0 in the old form.
    pub count: u32,
    /// Whose challenge.
    pub realm: String,
    uri: String,
    cnonce: String,
    count_text: String,
    response: String,
    algorithm: Algorithm,
    qop: bool,
}

impl Answer {
    /// Reads an `Authorization` field.
    ///
    /// # Errors
    /// [`DigestError::Malformed`].
    pub fn parse(field: &str) -> Result<Self, DigestError> {
        let text = digest(field).ok_or(DigestError::Malformed)?;
        let get = |wanted: &str| {
            pairs(text).find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_owned())
        };
        let need = |wanted: &str| get(wanted).ok_or(DigestError::Malformed);
        let algorithm = match get("algorithm") {
            Some(name) => Algorithm::of(&name).ok_or(DigestError::Malformed)?,
            None => Algorithm::Md5,
        };
        let qop = match get("qop") {
            Some(name) if name.eq_ignore_ascii_case("auth") => true,
            Some(_) => return Err(DigestError::Malformed),
            None => false,
        };
        let count_text = get("nc").unwrap_or_default();
        let count = u32::from_str_radix(&count_text, 16).unwrap_or(0);
        if qop && count == 0 {
            return Err(DigestError::Malformed);
        }
        Ok(Self {
            user: need("username")?.replace("\\\"", "\"").replace("\\\\", "\\"),
            nonce: need("nonce")?,
            count,
            realm: need("realm")?,
            uri: need("uri")?,
            cnonce: get("cnonce").unwrap_or_default(),
            count_text,
            response: need("response")?,
            algorithm,
            qop,
        })
    }

    /// Does it prove the password, for this request? Compares in constant time.
    #[must_use]
    pub fn proves(&self, credentials: &Credentials, realm: &str, method: &str) -> bool {
        let qop = self.qop.then_some((self.count_text.as_str(), self.cnonce.as_str()));
        let right = response(self.algorithm, credentials, realm, &self.nonce, (method, &self.uri), qop, &self.cnonce);
        let same = right.len() == self.response.len()
            && right.bytes().zip(self.response.bytes()).fold(0, |odd, (a, b)| odd | (a ^ b.to_ascii_lowercase())) == 0;
        same && self.user == credentials.user && self.realm == realm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mufasa() -> Credentials {
        Credentials { user: "Mufasa".to_owned(), password: Pii::new("Circle of Life".to_owned()) }
    }

    #[test]
    fn the_published_examples_hold() {
        // RFC 7616 section 3.9.1.
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let field = format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            );
            let challenge = Challenge::best([field.as_str()].into_iter()).unwrap();
            let answer = challenge.answer(
                &mufasa(),
                "GET",
                "/dir/index.html",
                "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
                1,
            );
            assert!(answer.contains(&format!("response=\"{response}\"")), "{algorithm}: {answer}");
            assert!(Answer::parse(&answer).unwrap().proves(&mufasa(), "http-auth@example.org", "GET"));
        }
    }

    #[test]
    fn the_best_challenge_is_chosen() {
        let md5 = "Digest realm=\"r\", nonce=\"a\"";
        let sha = "Digest realm=\"r\", nonce=\"b\", algorithm=SHA-256, qop=\"auth-int,auth\"";
        let basic = "Basic realm=\"r\"";
        let unknown = "Digest realm=\"r\", nonce=\"c\", algorithm=SHA-512-256";
        let only_int = "Digest realm=\"r\", nonce=\"d\", qop=\"auth-int\"";
        let best = |fields: &[&str]| Challenge::best(fields.iter().copied()).map(|challenge| challenge.nonce);
        assert_eq!(best(&[md5, sha, basic, unknown]), Ok("b".to_owned()));
        assert_eq!(best(&[basic, unknown, only_int, md5]), Ok("a".to_owned()));
        assert_eq!(best(&[basic, unknown, only_int]), Err(DigestError::NoChallenge));
    }

    #[test]
    fn every_form_of_answer_is_checked() {
        for algorithm in Algorithm::ALL {
            for qop in [true, false] {
                let challenge = Challenge {
                    realm: "a \"quoted\" realm".replace('"', ""),
                    nonce: "n".to_owned(),
                    opaque: Some("o".to_owned()),
                    algorithm,
                    qop,
                    stale: false,
                };
                let text = challenge.answer(&mufasa(), "INVITE", "sip:a@h", "cn", 2);
                let answer = Answer::parse(&text).unwrap();
                assert!(answer.proves(&mufasa(), &challenge.realm, "INVITE"), "{text}");
                assert!(!answer.proves(&mufasa(), &challenge.realm, "BYE"));
                assert!(!answer.proves(&mufasa(), "another", "INVITE"));
                let wrong = Credentials { password: Pii::new("x".to_owned()), ..mufasa() };
                assert!(!answer.proves(&wrong, &challenge.realm, "INVITE"));
                assert_eq!(answer.count, if qop { 2 } else { 0 });
            }
        }
        assert_eq!(Answer::parse("Basic eA=="), Err(DigestError::Malformed));
        assert_eq!(Answer::parse("Digest username=\"a\""), Err(DigestError::Malformed));
    }
}
