//! Picks named fields out of one JSON object without building a tree: every text dialect reads its frames with this. Values
//! are borrowed from the text; only a string with escapes (`\/` from PHP diallers) is copied. Numbers, booleans and strings are
//! all read as text, since diallers disagree on which is which. Never recurses into what was not asked for.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The text is not one JSON object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected one JSON object")]
pub struct BadJson;

/// Reads the `wanted` fields of the object `text`, each as text; `None` where a field is absent, null, an object or an array.
/// `"media.payload"` is the field `payload` of the object `media`. Of a field that comes twice the last one counts.
///
/// # Errors
/// [`BadJson`] where `text` is not exactly one JSON object.
pub fn fields<'a, const N: usize>(text: &'a str, wanted: &[&str; N]) -> Result<[Option<Cow<'a, str>>; N], BadJson> {
    let mut found = [const { None }; N];
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(Object { wanted, inside: None, found: &mut found }).map_err(|_| BadJson)?;
    json.end().map_err(|_| BadJson)?;
    Ok(found)
}

/// Visits one object, at the top or one level down.
struct Object<'w, 'f, 'a> {
    wanted: &'w [&'w str],
    inside: Option<&'w str>,
    found: &'f mut [Option<Cow<'a, str>>],
}

impl<'a> Visitor<'a> for Object<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(place) = map.next_key_seed(Key { wanted: self.wanted, inside: self.inside })? {
            match place {
                Place { slot: None, group: None } => {
                    map.next_value::<IgnoredAny>()?;
                }
                Place { slot, group } => {
                    let value = map.next_value_seed(Field { wanted: self.wanted, group, found: &mut *self.found })?;
                    if let (Some(slot), Some(text)) = (slot.and_then(|at| self.found.get_mut(at)), value) {
                        *slot = Some(text);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Where a key's value belongs.
struct Place<'w> {
    slot: Option<usize>,
    group: Option<&'w str>,
}

struct Key<'w> {
    wanted: &'w [&'w str],
    inside: Option<&'w str>,
}

impl<'a, 'w> DeserializeSeed<'a> for Key<'w> {
    type Value = Place<'w>;

    fn deserialize<D: Deserializer<'a>>(self, key: D) -> Result<Place<'w>, D::Error> {
        key.deserialize_str(self)
    }
}

impl<'w> Visitor<'_> for Key<'w> {
    type Value = Place<'w>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Place<'w>, E> {
        let mut place = Place { slot: None, group: None };
        for (at, wanted) in self.wanted.iter().enumerate() {
            match (wanted.split_once('.'), self.inside) {
                (None, None) if *wanted == key => place.slot = Some(at),
                (Some((group, _)), None) if group == key => place.group = Some(group),
                (Some((group, field)), Some(inside)) if field == key && group == inside => place.slot = Some(at),
                _ => {}
            }
        }
        Ok(place)
    }
}

/// One value: text where it is a scalar, a look inside where it is an object that was asked for.
struct Field<'w, 'f, 'a> {
    wanted: &'w [&'w str],
    group: Option<&'w str>,
    found: &'f mut [Option<Cow<'a, str>>],
}

impl<'a> DeserializeSeed<'a> for Field<'_, '_, 'a> {
    type Value = Option<Cow<'a, str>>;

    fn deserialize<D: Deserializer<'a>>(self, value: D) -> Result<Self::Value, D::Error> {
        value.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Field<'_, '_, 'a> {
    type Value = Option<Cow<'a, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(number.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(number.to_string())))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(if truth { "true" } else { "false" })))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        match self.group {
            Some(inside) => Object { wanted: self.wanted, inside: Some(inside), found: self.found }.visit_map(map)?,
            None => while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {},
        }
        Ok(None)
    }
}

/// Appends `text` as the inside of a JSON string.
pub fn escape_into(text: &str, out: &mut String) {
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(text.get(from..at).unwrap_or_default());
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            _ => {
                out.push_str("\\u00");
                out.push(char::from(b'0' + (byte >> 4)));
                out.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
            }
        }
        from = at + 1;
    }
    out.push_str(text.get(from..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WANTED: [&str; 4] = ["event", "media.payload", "n", "media"];

    #[test]
    fn scalars_are_text_whatever_their_kind() {
        let got = fields(r#" {"event":"a","n":-7,"media":{"payload":"x","deep":{"payload":"no"}}} "#, &WANTED).unwrap();
        assert_eq!(got.map(|v| v.map(Cow::into_owned)), [Some("a".into()), Some("x".into()), Some("-7".into()), None]);
        let got = fields(r#"{"event":true,"n":1.5,"media":"flat"}"#, &WANTED).unwrap();
        assert_eq!(got[0].as_deref(), Some("true"));
        assert_eq!(got[2].as_deref(), Some("1.5"));
        assert_eq!(got[3].as_deref(), Some("flat"));
    }

    #[test]
    fn plain_strings_are_borrowed_and_escaped_ones_are_still_right() {
        let got = fields(r#"{"event":"a","media":{"payload":"AA\/B"}}"#, &WANTED).unwrap();
        assert!(matches!(got[0], Some(Cow::Borrowed("a"))));
        assert_eq!(got[1].as_deref(), Some("AA/B"));
    }

    #[test]
    fn null_objects_and_arrays_count_as_absent_and_the_last_value_wins() {
        let got =
            fields(r#"{"event":null,"n":[1,[2]],"media":{"payload":{}},"x":{"event":"inner"}}"#, &WANTED).unwrap();
        assert!(got.iter().all(Option::is_none));
        let got = fields(r#"{"event":"a","event":null,"event":"b"}"#, &WANTED).unwrap();
        assert_eq!(got[0].as_deref(), Some("b"));
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for text in
            ["", "[]", "7", "\"event\"", "{", "{}{}", "{\"event\"}", "{\"event\":\"\u{1}\"}", "nul", "{\"event\":01}"]
        {
            assert_eq!(fields(text, &WANTED), Err(BadJson), "{text}");
        }
    }

    #[test]
    fn two_hundred_thousand_brackets_neither_overflow_nor_matter() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
            for key in ["other", "n", "media"] {
                let text = format!(r#"{{"event":"a","{key}":{deep}}}"#);
                let got = fields(&text, &WANTED);
                assert_eq!(got.map(|v| v[0].clone()).unwrap().as_deref(), Some("a"), "{key} {open}");
            }
            assert!(fields(&open.repeat(200_000), &WANTED).is_err());
        }
    }

    proptest! {
        #[test]
        fn escaped_text_reads_back_as_itself(text in any::<String>()) {
            let mut json = String::from("{\"event\":\"");
            escape_into(&text, &mut json);
            json.push_str("\"}");
            let got = fields(&json, &WANTED).unwrap();
            prop_assert_eq!(got[0].as_deref(), Some(text.as_str()));
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = fields(&text, &WANTED);
        }
    }
}
