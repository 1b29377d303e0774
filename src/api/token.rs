//! The tokens of recording links: the call's id and a MAC over it, so a link needs no table, cannot be guessed and outlives
//! a restart. Never holds a call's data; changing the secret revokes every link.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::units::CallId;

/// Bytes of the MAC that a token carries: 128 bits cannot be guessed over a network.
const MAC_BYTES: usize = 16;
/// Longest token that is looked at.
const MAX_TOKEN_BYTES: usize = 256;

/// Why no token is made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The secret is too short to keep links from being forged.
    #[error("the secret of recording links has {given} bytes; expected at least 32 random bytes")]
    ShortSecret {
        /// Its length.
        given: usize,
    },
}

/// Makes and checks the tokens of recording links.
#[derive(Clone)]
pub struct RecordingTokens {
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for RecordingTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordingTokens([redacted])")
    }
}

impl RecordingTokens {
    /// With this secret, random, of at least 32 bytes, the same over restarts.
    ///
    /// # Errors
    /// Where the secret is shorter.
    pub fn new(secret: &[u8]) -> Result<Self, TokenError> {
        let short = TokenError::ShortSecret { given: secret.len() };
        if secret.len() < 32 {
            return Err(short);
        }
        let mac = Hmac::new_from_slice(secret).map_err(|_| short)?;
        Ok(Self { mac })
    }

    /// The token of `call`: letters, digits, `-`, `_` and one `.`; the same each time.
    #[must_use]
    pub fn issue(&self, call: &CallId) -> String {
        let id = base64_simd::URL_SAFE_NO_PAD.encode_to_string(call.as_str());
        let tag = self.mac.clone().chain_update(Self::signed(call.as_str())).finalize().into_bytes();
        format!("{id}.{}", base64_simd::URL_SAFE_NO_PAD.encode_to_string(&tag[..MAC_BYTES]))
    }

    /// The call of `token`; `None` where we never issued it. One MAC is computed and compared over its whole length
    /// whatever is wrong, so the time does not tell a forged token from a malformed one.
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<CallId> {
        let (id, tag, whole) = Self::parts(token);
        let genuine = self.mac.clone().chain_update(Self::signed(&id)).verify_truncated_left(&tag).is_ok();
        (genuine && whole).then(|| CallId::new(&id))
    }

    /// What the MAC covers: the purpose first, so that no other use of the secret makes a link.
    fn signed(id: &str) -> Vec<u8> {
        [b"recording-link:v1:", id.as_bytes()].concat()
    }

    /// Id, MAC, and whether both were there in form.
    fn parts(token: &str) -> (String, [u8; MAC_BYTES], bool) {
        let decode = |text: &str| base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).ok();
        let read = || {
            if token.len() > MAX_TOKEN_BYTES {
                return None;
            }
            let (id, tag) = token.split_once('.')?;
            let id = String::from_utf8(decode(id)?).ok()?;
            let tag: [u8; MAC_BYTES] = decode(tag)?.try_into().ok()?;
            Some((id, tag, true))
        };
        read().unwrap_or((String::new(), [0; MAC_BYTES], false))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens() -> RecordingTokens {
        RecordingTokens::new(&[7; 32]).unwrap()
    }

    proptest! {
        #[test]
        fn a_token_names_its_call_and_fits_a_path(id in "[a-zA-Z0-9-]{1,64}") {
            let call = CallId::new(&id);
            let token = tokens().issue(&call);
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
            prop_assert_eq!(tokens().verify(&token), Some(call));
        }

        #[test]
        fn no_other_text_passes(at in 0usize..70, to in "[A-Za-z0-9._-]") {
            let token = tokens().issue(&CallId::new("0196f3c2-7a10-7c44-8000-1f2e3d4c5b6a"));
            let mut forged = token.clone();
            let at = at % forged.len();
            forged.replace_range(at..=at, &to);
            prop_assume!(forged != token);
            prop_assert_eq!(tokens().verify(&forged), None);
        }

        #[test]
        fn any_text_is_answered(text in ".{0,300}") {
            prop_assert_eq!(tokens().verify(&text), None);
        }
    }

    #[test]
    fn another_secret_is_another_worker() {
        let token = tokens().issue(&CallId::new("c1"));
        assert_eq!(RecordingTokens::new(&[8; 32]).unwrap().verify(&token), None);
        assert_eq!(RecordingTokens::new(&[7; 31]).unwrap_err(), TokenError::ShortSecret { given: 31 });
    }
}
