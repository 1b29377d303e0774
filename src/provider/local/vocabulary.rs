//! The recogniser's pieces: token id → text. Only that direction; nothing here splits text.

use std::path::Path;

use super::runtime::odd;
use crate::provider::ProviderError;
use crate::provider::models::{REPAIR, STT_VOCABULARY};

/// One piece of text.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(Box<str>),
    /// `<0xNN>`: one byte of a character that is no piece of its own.
    Byte(u8),
    /// Start, end, unknown and the like: never text.
    Silent,
}

/// All pieces by id.
#[derive(Debug)]
pub(super) struct Vocabulary(Vec<Piece>);

#[derive(serde::Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<Added>,
    model: Model,
}

#[derive(serde::Deserialize)]
struct Added {
    id: usize,
    #[serde(default)]
    special: bool,
}

#[derive(serde::Deserialize)]
struct Model {
    vocab: std::collections::HashMap<String, usize>,
}

impl Vocabulary {
    pub(super) fn open(cache: &Path) -> Result<Self, ProviderError> {
        let path = cache.join(STT_VOCABULARY);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            ProviderError::Unavailable(format!("{} cannot be read ({error}); run `{REPAIR}`", path.display()))
        })?;
        Self::parse(&text)
    }

    pub(super) fn parse(text: &str) -> Result<Self, ProviderError> {
        const MOST: usize = 1_000_000;
        let file: File =
            serde_json::from_str(text).map_err(|error| odd("recognition vocabulary", error.to_string()))?;
        let mut pieces = Vec::new();
        for (content, id) in file.model.vocab {
            if id >= MOST {
                return Err(odd("recognition vocabulary", format!("piece number {id} is beyond {MOST}")));
            }
            if pieces.len() <= id {
                pieces.resize(id + 1, Piece::Silent);
            }
            if let Some(place) = pieces.get_mut(id) {
                *place = match byte_of(&content) {
                    Some(byte) => Piece::Byte(byte),
                    None => Piece::Text(content.replace('▁', " ").into()),
                };
            }
        }
        for added in file.added_tokens.iter().filter(|added| added.special) {
            if let Some(place) = pieces.get_mut(added.id) {
                *place = Piece::Silent;
            }
        }
        Ok(Self(pieces))
    }

    /// The text of one piece; empty for a single byte of a character and for what is never text.
    pub(super) fn piece(&self, token: u32) -> &str {
        match self.0.get(token as usize) {
            Some(Piece::Text(text)) => text,
            Some(Piece::Byte(_) | Piece::Silent) | None => "",
        }
    }

    /// The text of `tokens`; bytes that make no character become nothing.
    pub(super) fn text(&self, tokens: &[u32]) -> String {
        let mut bytes: Vec<u8> = Vec::with_capacity(tokens.len() * 4);
        for &token in tokens {
            match self.0.get(token as usize) {
                Some(Piece::Text(text)) => bytes.extend_from_slice(text.as_bytes()),
                Some(Piece::Byte(byte)) => bytes.push(*byte),
                Some(Piece::Silent) | None => {}
            }
        }
        String::from_utf8_lossy(&bytes).replace(char::REPLACEMENT_CHARACTER, "")
    }
}

fn byte_of(content: &str) -> Option<u8> {
    let digits = content.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"{"added_tokens":[{"id":1,"special":true}],
        "model":{"vocab":{"<unk>":0,"</s>":1,"▁pay":2,"ment":3,"<0xE2>":4,"<0x82>":5,"<0xB9>":6}}}"#;

    #[test]
    fn pieces_and_bytes_become_text() {
        let vocabulary = Vocabulary::parse(SMALL).unwrap();
        assert_eq!(vocabulary.text(&[1, 2, 3, 4, 5, 6, 99]), " payment₹");
        assert_eq!(vocabulary.text(&[2, 4]), " pay", "half a character is nothing");
    }

    #[test]
    fn a_vocabulary_that_is_none_is_an_error() {
        assert!(Vocabulary::parse("{}").is_err());
        assert!(Vocabulary::parse(r#"{"model":{"vocab":{"x":99999999}}}"#).is_err());
    }
}
