//! What bot files promise: a good one reads with its defaults, a broken one names every fault, and the declared keys are the
//! ones that serde reads.

use serde::de::{self, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};

use super::super::keys;
use super::*;

fn fixture(path: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn a_small_bot_reads_with_the_defaults() {
    let bytes = fixture("bots/greeter.toml");
    let bot = Bot::parse("greeter", "greeter.toml", &bytes).unwrap();
    assert_eq!(bot.id.as_str(), "greeter");
    assert_eq!(bot.version, version_of(&bytes));
    assert!(bot.recording && bot.disclosure.is_none() && bot.script.is_none());
    assert_eq!((bot.turn, bot.voice.speed, bot.language.as_str()), (Policy::default(), 1.0, "en"));
    let hello = bot.opening_message.render(&crate::template::Values::default());
    assert_eq!(hello.text, "Hello, am I speaking with the account holder?");
    assert_eq!(hello.unset, Vec::<String>::new());
    assert_eq!(bot.voicemail, VoicemailConfig { detect: true, message: None, beep_wait_ms: 30_000 });
}

#[test]
fn the_version_is_the_files_hash() {
    assert_eq!(version_of(b"abc"), "ba7816bf8f01");
}

#[test]
fn every_broken_bot_names_all_its_faults() {
    let folder = format!("{}/fixtures/broken/bots", env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let wanted: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# fault | ")).collect();
        let faults = Bot::parse(stem, "f", &bytes).unwrap_err();
        let found: Vec<String> = faults.iter().map(|f| format!("{} | {} | {}", f.key, f.value, f.expected)).collect();
        assert_eq!(found, wanted, "{stem}: found\n{}", found.join("\n"));
        assert!(!found.concat().contains("Bearer abc"), "a secret is shown");
        seen += 1;
    }
    assert!(seen >= 6, "only {seen} broken bots");
}

#[test]
fn what_is_not_text_is_said() {
    let faults = Bot::parse("Bad Name", "f", b"name = \"\xff\"").unwrap_err();
    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["file name", "file"]);
}

/// A deserialiser that only learns which fields a struct has.
struct Fields<'a>(&'a mut Vec<&'static str>);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("only structs"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.extend(fields);
        Err(de::Error::custom("seen"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn fields_of<'de, T: Deserialize<'de>>() -> Vec<&'static str> {
    let mut fields = Vec::new();
    let _ = T::deserialize(Fields(&mut fields));
    fields
}

#[test]
fn the_declared_keys_are_the_fields_that_serde_reads() {
    let names = |keys: &[super::super::schema::Key]| keys.iter().map(|key| key.name).collect::<Vec<_>>();
    assert_eq!(fields_of::<BotFile>(), names(BOT));
    assert_eq!(fields_of::<VoiceConfig>(), names(keys::VOICE));
    assert_eq!(fields_of::<Providers>(), names(keys::PROVIDERS));
    assert_eq!(fields_of::<Policy>(), names(keys::TURN));
    assert_eq!(fields_of::<VoicemailConfig>(), names(keys::VOICEMAIL));
    assert_eq!(fields_of::<ResultConfig>(), names(keys::RESULT));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        proptest::prop_assert!(Bot::parse("a", "f", &bytes).is_err());
    }

    #[test]
    fn no_text_makes_it_panic(text in "([a-z_]{1,9}( = |\\.)|\\[|\\]|\"|\n|true|-?[0-9]{1,20}|name|turn|script|\\PC){0,40}") {
        let _ = Bot::parse("a", "f", text.as_bytes());
    }
}
