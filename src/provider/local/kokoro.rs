//! Five voices of test callers out of one network: natural speakers that are not the bot's. Fetched with the test group
//! only; a bot may not count on them, and they cost about a core while they speak. Opened, and checked, when one first
//! speaks. Knows nothing of text, calls or rates.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use ort::environment::Environment;
use ort::session::Session;
use ort::value::Tensor;

use super::hibari::MOST_PHONEMES;
use super::runtime::{failed, odd, session_of};
use crate::provider::ProviderError;
use crate::provider::models::{KOKORO_PARTS, KOKORO_VOCABULARY, KOKORO_VOICES, REPAIR_TEST, faults_among};

/// Samples per second of the wave.
pub(super) const RATE_HZ: u32 = 24_000;
const WHAT: &str = "synthesis (test caller)";
/// Numbers that make a voice say a run of one length.
const STYLE: usize = 256;
/// The longest array that is read, in bytes: a voice has half of it.
const MOST_BYTES: u64 = 1 << 20;

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Character {
    /// A woman.
    Alpha,
    /// A woman.
    Gongitsune,
    /// A woman.
    Nezumi,
    /// A woman.
    Tebukuro,
    /// A man.
    Kumo,
}

impl Character {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Alpha, "alpha", "jf_alpha.npy"),
        (Self::Gongitsune, "gongitsune", "jf_gongitsune.npy"),
        (Self::Nezumi, "nezumi", "jf_nezumi.npy"),
        (Self::Tebukuro, "tebukuro", "jf_tebukuro.npy"),
        (Self::Kumo, "kumo", "jm_kumo.npy"),
    ];

    /// The voice of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == name).map(|(character, ..)| *character)
    }
}

/// The network of one thread, the ids of its phonemes, and its voices.
pub(super) struct Kokoro {
    network: Session,
    ids: HashMap<char, i64>,
    styles: Vec<(Character, Vec<f32>)>,
}

#[derive(serde::Deserialize)]
struct Vocabulary {
    vocab: HashMap<char, i64>,
}

impl Kokoro {
    pub(super) fn open(environment: &Environment, cache: &Path) -> Result<Self, ProviderError> {
        let files: Vec<&str> = KOKORO_PARTS.into_iter().chain([KOKORO_VOCABULARY, KOKORO_VOICES]).collect();
        let faults = faults_among(cache, &files);
        if !faults.is_empty() {
            return Err(ProviderError::Unavailable(faults.join("\n")));
        }
        let unavailable = |file: &str, why: String| {
            let path = cache.join(file);
            ProviderError::Unavailable(format!(
                "the test callers' voices {} cannot be read ({why}); run `{REPAIR_TEST}`",
                path.display()
            ))
        };
        let text = std::fs::read_to_string(cache.join(KOKORO_VOCABULARY))
            .map_err(|error| unavailable(KOKORO_VOCABULARY, error.to_string()))?;
        let vocabulary: Vocabulary =
            serde_json::from_str(&text).map_err(|error| unavailable(KOKORO_VOCABULARY, error.to_string()))?;
        let styles = styles(&cache.join(KOKORO_VOICES)).map_err(|error| unavailable(KOKORO_VOICES, error))?;
        let mut model = Vec::new();
        for part in KOKORO_PARTS {
            let read = File::open(cache.join(part)).and_then(|mut file| file.read_to_end(&mut model));
            read.map_err(|error| unavailable(part, error.to_string()))?;
        }
        let network = session_of(environment, &model, "the network of the test callers' voices")?;
        Ok(Self { network, ids: vocabulary.vocab, styles })
    }

    /// The wave of `phonemes` (in the bot's alphabet) at [`RATE_HZ`]. The network has noise of its own, so that the same line
    /// is never quite the same wave.
    pub(super) fn wave(&mut self, character: Character, phonemes: &str, speed: f32) -> Result<Vec<f32>, ProviderError> {
        let known = phonemes.chars().filter_map(|phoneme| self.ids.get(&phoneme).copied()).take(MOST_PHONEMES);
        let ids: Vec<i64> = std::iter::once(0).chain(known).chain(std::iter::once(0)).collect();
        let length = ids.len() - 2;
        if length == 0 {
            return Ok(Vec::new());
        }
        let voice = self.styles.iter().find(|(known, _)| *known == character);
        let style = voice
            .and_then(|(_, rows)| rows.chunks_exact(STYLE).nth(length))
            .ok_or_else(|| odd(WHAT, format!("{character:?} cannot say {length} phonemes")))?;
        let tokens = Tensor::from_array(([1, ids.len()], ids)).map_err(failed(WHAT))?;
        let style = Tensor::from_array(([1, STYLE], style.to_vec())).map_err(failed(WHAT))?;
        let speed = Tensor::from_array(([1usize], vec![speed])).map_err(failed(WHAT))?;
        let inputs = ort::inputs!["tokens" => tokens, "style" => style, "speed" => speed];
        let outputs = self.network.run(inputs).map_err(failed(WHAT))?;
        let output = outputs.values().next().ok_or_else(|| odd(WHAT, "no output"))?;
        let (_, wave) = output.try_extract_tensor::<f32>().map_err(failed(WHAT))?;
        Ok(wave.to_vec())
    }
}

/// The voices in the archive of arrays at `path`.
fn styles(path: &Path) -> Result<Vec<(Character, Vec<f32>)>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut archive = zip::ZipArchive::new(file).map_err(|error| error.to_string())?;
    let mut styles = Vec::with_capacity(Character::ALL.len());
    for (character, _, member) in Character::ALL {
        let entry = archive.by_name(member).map_err(|error| format!("{member}: {error}"))?;
        let mut bytes = Vec::new();
        entry.take(MOST_BYTES).read_to_end(&mut bytes).map_err(|error| format!("{member}: {error}"))?;
        styles.push((character, style(&bytes).map_err(|error| format!("{member}: {error}"))?));
    }
    Ok(styles)
}

/// The rows of one voice: an array of NumPy's format (version 1.0), little-endian `f32`, [`STYLE`] numbers for each length
/// of a run from none to [`MOST_PHONEMES`] and more.
fn style(bytes: &[u8]) -> Result<Vec<f32>, String> {
    let rest = bytes.strip_prefix(b"\x93NUMPY\x01\x00").ok_or("expected a NumPy array of format 1.0")?;
    let (length, rest) = rest.split_first_chunk().ok_or("the array ends before its header")?;
    let (header, data) =
        rest.split_at_checked(usize::from(u16::from_le_bytes(*length))).ok_or("the array ends within its header")?;
    let header: String = String::from_utf8_lossy(header).split_whitespace().collect();
    let rows = header
        .strip_prefix("{'descr':'<f4','fortran_order':False,'shape':(")
        .and_then(|shape| shape.strip_suffix(",1,256),}"))
        .and_then(|rows| rows.parse::<usize>().ok())
        .ok_or_else(|| format!("expected an array of '<f4' of the shape (n, 1, {STYLE}) in C order, found {header}"))?;
    if rows <= MOST_PHONEMES || rows.checked_mul(STYLE * 4) != Some(data.len()) {
        return Err(format!("expected more than {MOST_PHONEMES} rows, found {rows} in {} bytes", data.len()));
    }
    let (numbers, _) = data.as_chunks();
    Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "{'descr': '<f4', 'fortran_order': False, 'shape': (510, 1, 256), }      \n";

    fn array(header: &str, numbers: usize) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend((0..numbers).flat_map(|n| (n as f32).to_le_bytes()));
        bytes
    }

    #[test]
    fn an_array_is_read_row_by_row() {
        let read = style(&array(HEADER, 510 * STYLE)).unwrap();
        assert_eq!((read.len(), read[0], read[3 * STYLE + 7]), (510 * STYLE, 0.0, 775.0));
    }

    #[test]
    fn another_array_is_refused_with_what_was_found() {
        let with = |from: &str, to: &str| style(&array(&HEADER.replace(from, to), 510 * STYLE)).unwrap_err();
        for (from, to) in [("<f4", "<f8"), ("False", "True"), ("256", "128"), ("510, ", ""), ("510", "x")] {
            let error = with(from, to);
            assert!(error.contains("expected an array of '<f4'") && error.contains("found {'descr'"), "{error}");
        }
        assert!(with("510", "511").contains("found 511 in 522240 bytes"));
        assert!(with("510", "18446744073709551615").contains("found 18446744073709551615"));
        assert!(style(&array(&HEADER.replace("510", "400"), 400 * STYLE)).unwrap_err().contains("more than 400"));
        let whole = array(HEADER, 510 * STYLE);
        for cut in [0, 5, 8, 9, 40, whole.len() - 1] {
            assert!(style(&whole[..cut]).is_err(), "{cut}");
        }
        assert!(style(&[b"\x93NUMPY\x02\x00", &whole[8..]].concat()).unwrap_err().contains("format 1.0"));
    }

    #[test]
    fn an_archive_without_a_voice_is_refused_by_the_voices_name() {
        let path = std::env::temp_dir().join(format!("voicefleet-voices-{}.npz", std::process::id()));
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        writer.start_file("jf_alpha.npy", zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut writer, &array(HEADER, 510 * STYLE)).unwrap();
        writer.finish().unwrap();
        let error = styles(&path).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert!(error.starts_with("jf_gongitsune.npy"), "{error}");
    }

    #[test]
    fn every_voice_of_test_callers_is_one() {
        let known: Vec<&str> = Character::ALL.iter().map(|(_, name, _)| *name).collect();
        for name in super::super::speak::CALLER_VOICES {
            assert!(name == "joe" || known.contains(&name), "{name}");
        }
        assert_eq!(known.len() + 1, super::super::speak::CALLER_VOICES.len());
        assert_eq!(Character::named("kumo"), Some(Character::Kumo));
        assert_eq!(Character::named("heart"), None);
    }
}
