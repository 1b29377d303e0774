//! Links that open one call's recording and nothing else: the call's id with a keyed digest of it. Nothing is stored per
//! link; changing the secret revokes them all. Pure: the secret is an argument.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::units::CallId;

/// Bytes of the digest that stand in a link: 144 bits, which base64 writes without a remainder.
const DIGEST_BYTES: usize = 18;

/// The longest id that a token may carry.
const MAX_ID_BYTES: usize = 128;

/// Keeps this use of the secret apart from any other.
const PURPOSE: &[u8] = b"voicefleet recording link 1\0";

/// Makes and checks tokens.
#[derive(Clone)]
pub struct Tokens(Hmac<Sha256>);

impl Tokens {
    /// Tokens under `secret`.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        // HMAC takes keys of any length, so this cannot fail; an all-zero block would be the answer if it did.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_| Hmac::new(&Default::default()));
        mac.update(PURPOSE);
        Self(mac)
    }

    /// The token of a call: `<call_id>.<digest>`, safe in a URL where the id is.
    #[must_use]
    pub fn issue(&self, call: &CallId) -> String {
        let digest = self.digest(call.as_str()).finalize().into_bytes();
        let text = base64_simd::URL_SAFE_NO_PAD.encode_to_string(&digest[..DIGEST_BYTES]);
        format!("{call}.{text}")
    }

    /// The call that a token opens; `None` for anything that [`Tokens::issue`] did not make. Takes the same time for every
    /// wrong digest.
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<CallId> {
        let (id, text) = token.rsplit_once('.')?;
        if id.is_empty() || id.len() > MAX_ID_BYTES || text.len() != DIGEST_BYTES / 3 * 4 {
            return None;
        }
        let digest = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).ok()?;
        (digest.len() == DIGEST_BYTES).then_some(())?;
        self.digest(id).verify_truncated_left(&digest).ok()?;
        Some(CallId::new(id))
    }

    fn digest(&self, id: &str) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(id.as_bytes());
        mac
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens([secret])")
    }
}

/// The links that results carry.
#[derive(Clone, Debug)]
pub struct Links {
    tokens: Tokens,
    public_url: String,
}

impl Links {
    /// Links under `public_url` (`server.public_url`, with or without a slash at its end).
    #[must_use]
    pub fn new(tokens: Tokens, public_url: &str) -> Self {
        Self { tokens, public_url: public_url.trim_end_matches('/').to_owned() }
    }

    /// The absolute link to a call's recording.
    #[must_use]
    pub fn recording_url(&self, call: &CallId) -> String {
        format!("{}/r/{}", self.public_url, self.tokens.issue(call))
    }

    /// The call that a link's token opens.
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<CallId> {
        self.tokens.verify(token)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_link_opens_its_own_call_only() {
        let links = Links::new(Tokens::new(&[7; 32]), "https://voice.example/");
        let call = CallId::new("0197-a.b");
        let url = links.recording_url(&call);
        let token = url.strip_prefix("https://voice.example/r/").unwrap();
        assert_eq!(links.verify(token), Some(call));
        assert_eq!(Tokens::new(&[8; 32]).verify(token), None, "another secret");
        let (_, digest) = token.rsplit_once('.').unwrap();
        assert_eq!(links.verify(&format!("0197-a.c.{digest}")), None, "another call");
        assert!(!format!("{links:?}").contains('7'), "no secret in a log");
    }

    #[test]
    fn the_digest_is_pinned() {
        // hmac-sha256(key = 32 × 0x07, "voicefleet recording link 1\0call-1"), first 18 bytes.
        assert_eq!(Tokens::new(&[7; 32]).issue(&CallId::new("call-1")), "call-1.xP-KJlRSP8FmgERZ7EChNByl");
    }

    proptest! {
        #[test]
        fn a_changed_token_opens_nothing(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.=+/-]") {
            let tokens = Tokens::new(&[7; 32]);
            let token = tokens.issue(&CallId::new("0197c0de"));
            let at = at.index(token.len());
            let mut forged = token.clone();
            forged.replace_range(at..=at, &to);
            prop_assert_eq!(tokens.verify(&forged).is_some(), forged == token);
            prop_assert_eq!(tokens.verify(&token[..at]), None);
        }

        #[test]
        fn no_text_is_a_token_by_chance(text in ".{0,80}") {
            prop_assert_eq!(Tokens::new(&[7; 32]).verify(&text), None);
        }
    }
}
