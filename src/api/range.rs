//! One byte range of a file (RFC 9110 section 14) and the entity tags that guard it. Pure; never opens the file.

use axum::http::HeaderValue;

/// What of the file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// From this byte to that one, both included.
    Part {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
    },
    /// A range that the file does not have.
    Nothing,
}

/// Reads a `Range` header for a file of `len` bytes. What is not a single range of bytes is ignored, as the RFC allows:
/// another unit, several ranges, a malformed one.
pub(super) fn wanted(header: Option<&HeaderValue>, len: u64) -> Wanted {
    header.and_then(|v| v.to_str().ok()).and_then(|text| single(text, len)).unwrap_or(Wanted::Whole)
}

fn single(text: &str, len: u64) -> Option<Wanted> {
    let (unit, range) = text.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = (number(first)?, number(last)?);
    Some(match (first, last) {
        (Some(first), Some(last)) if first > last => return None,
        (Some(first), _) if first >= len => Wanted::Nothing,
        (Some(first), last) => Wanted::Part { first, last: last.unwrap_or(u64::MAX).min(len - 1) },
        (None, Some(0)) => Wanted::Nothing,
        (None, Some(_)) if len == 0 => Wanted::Nothing,
        (None, Some(tail)) => Wanted::Part { first: len.saturating_sub(tail), last: len - 1 },
        (None, None) => return None,
    })
}

/// Digits, or nothing at all; `None` for anything else. More than a file can have counts as its end.
fn number(text: &str) -> Option<Option<u64>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(None);
    }
    text.bytes().all(|b| b.is_ascii_digit()).then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

/// Whether a list of entity tags (`If-None-Match`) names `etag`; weak tags compare equal, `*` names all.
pub(super) fn names_etag(header: Option<&HeaderValue>, etag: &str) -> bool {
    let Some(list) = header.and_then(|v| v.to_str().ok()) else { return false };
    list.split(',').map(str::trim).any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == etag)
}

/// Whether a range may be served: no `If-Range`, or one that names this very version (a strong comparison; dates are not
/// given out, so a date is another version).
pub(super) fn same_version(if_range: Option<&HeaderValue>, etag: &str) -> bool {
    if_range.is_none_or(|given| given.as_bytes() == etag.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str, len: u64) -> Wanted {
        wanted(Some(&HeaderValue::from_str(text).unwrap()), len)
    }

    #[test]
    fn the_forms_of_the_rfc() {
        let part = |first, last| Wanted::Part { first, last };
        for (text, expected) in [
            ("bytes=0-499", part(0, 499)),
            ("bytes=500-", part(500, 999)),
            ("bytes=-1", part(999, 999)),
            ("bytes=-5000", part(0, 999)),
            ("bytes=999-5000", part(999, 999)),
            ("Bytes = 1 - 2 ", part(1, 2)),
            ("bytes=0-99999999999999999999999", part(0, 999)),
            ("bytes=1000-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("bytes", Wanted::Whole),
        ] {
            assert_eq!(of(text, 1000), expected, "{text}");
        }
        assert_eq!(of("bytes=0-", 0), Wanted::Nothing);
        assert_eq!(of("bytes=-1", 0), Wanted::Nothing);
        assert_eq!(wanted(None, 5), Wanted::Whole);
    }

    #[test]
    fn tags_compare_as_the_rfc_says() {
        let header = |text| HeaderValue::from_static(text);
        assert!(names_etag(Some(&header("\"a\", W/\"b\"")), "\"b\""));
        assert!(names_etag(Some(&header("*")), "\"b\""));
        assert!(!names_etag(Some(&header("b")), "\"b\""));
        assert!(!names_etag(None, "\"b\""));
        assert!(same_version(None, "\"b\"") && same_version(Some(&header("\"b\"")), "\"b\""));
        assert!(!same_version(Some(&header("W/\"b\"")), "\"b\""));
        assert!(!same_version(Some(&header("Fri, 01 May 2026 09:30:00 GMT")), "\"b\""));
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(text in "bytes=[0-9]{0,4}-[0-9]{0,4}", len in 0u64..3000) {
            if let Wanted::Part { first, last } = of(&text, len) {
                prop_assert!(first <= last && last < len);
            }
        }
    }
}
