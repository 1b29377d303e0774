//! The token of a media socket: where it may stand, and a comparison that takes the same time wherever it fails. Never logs it.

use sha2::{Digest as _, Sha256};

/// Whether `given` is one of `tokens`. Every token is looked at, and digests are compared, so neither the place of the first
/// difference nor the length shows in the time taken.
pub(super) fn is_known(tokens: &[String], given: &str) -> bool {
    let given = Sha256::digest(given.as_bytes());
    tokens.iter().fold(false, |known, token| {
        let differs = Sha256::digest(token.as_bytes()).iter().zip(&given).fold(0u8, |acc, (a, b)| acc | (a ^ b));
        known | (differs == 0)
    })
}

/// The token of a request: of the `Authorization` header, else of the path, else of `?token=`.
pub(super) fn given(authorization: Option<&str>, path: Option<&str>, query: Option<&str>) -> Option<String> {
    let bearer = authorization.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    let of_query = || {
        let pair = query?.split('&').find_map(|pair| pair.strip_prefix("token="))?;
        Some(percent_decoded(pair))
    };
    bearer.or_else(|| path.map(str::to_owned)).or_else(of_query).filter(|token| !token.is_empty())
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_the_tokens_opens_and_nothing_else() {
        let tokens = ["s3cret".to_owned(), "next".to_owned()];
        assert!(is_known(&tokens, "s3cret") && is_known(&tokens, "next"));
        assert!(!is_known(&tokens, "s3cre") && !is_known(&tokens, "") && !is_known(&[], "next"));
    }

    #[test]
    fn a_token_is_found_in_each_place() {
        assert_eq!(given(Some("bearer  abc"), Some("p"), Some("token=q")).as_deref(), Some("abc"));
        assert_eq!(given(Some("Basic abc"), Some("p"), Some("token=q")).as_deref(), Some("p"));
        assert_eq!(given(None, None, Some("a=b&token=q%2F1%2")).as_deref(), Some("q/1%2"));
        assert_eq!(given(None, None, Some("a=b&token=")), None);
        assert_eq!(given(None, None, None), None);
    }
}
