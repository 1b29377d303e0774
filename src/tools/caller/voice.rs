//! The caller's voice: a speech program of the system that is run, never linked, or a voice of the local set that is not the
//! bot's, so that the caller does not sound like the bot. Each text is rendered once and kept as a WAV. Speaks in the bot's own
//! voice only where that was asked for by name.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::process::Command;
use tokio::sync::mpsc;

use super::machine::RATE;
use super::signal::Clip;
use crate::media::convert;
use crate::provider::local::CALLER_VOICES;
use crate::provider::models::REPAIR_TEST;
use crate::provider::{ProviderError, Tts, Voice};
use crate::rt;
use crate::turn::Heard;
use crate::units::{SampleRate, UtteranceId};

/// Longest time that one line may take to be rendered.
const RENDER_LIMIT: Duration = Duration::from_secs(60);
/// Longest clip that is played.
const LONGEST_MS: u64 = 120_000;
/// The voices of flite that have names of their own.
const FLITE_VOICES: [&str; 6] = ["slt", "rms", "awb", "kal", "kal16", "awb_time"];

/// Who speaks for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    /// `flite -voice NAME`.
    Flite(String),
    /// `espeak-ng -v NAME`.
    Espeak(String),
    /// A voice of the local set for test callers.
    Natural(&'static str),
    /// The bot's own voice.
    Builtin,
}

/// Why a line could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum VoiceError {
    /// The program is not installed.
    #[error(
        "the caller's voice needs `{program}`, which was not found on PATH: run `apt-get install {program}`, or name another voice (flite: slt, rms, awb, kal16; espeak-ng: en-us, en-gb, en-us+f3)"
    )]
    Missing {
        /// Program and package.
        program: &'static str,
    },
    /// The voice's name is none.
    #[error("expected a voice such as auto, slt, en-us+f3, flite:rms, espeak:en-gb, joe, kumo or builtin; found {0:?}")]
    Unknown(String),
    /// The program failed.
    #[error("{program} could not say {text:?} with voice {voice}: {detail}")]
    Failed {
        /// Program.
        program: &'static str,
        /// Voice.
        voice: String,
        /// The line.
        text: String,
        /// What it said.
        detail: String,
    },
    /// Nothing was audible.
    #[error("{0} has nothing audible in it")]
    Silent(String),
    /// A WAV cannot be read.
    #[error("{path}: expected a WAV of at most two minutes (PCM of 8 to 32 bits or float, any rate), found: {detail}")]
    BadWav {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        detail: String,
    },
    /// The cache cannot be written.
    #[error("{path}: the rendered line could not be kept: {source}")]
    Cache {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A voice of the local set could not say a line.
    #[error("the local set could not say {text:?} with voice {voice}: {detail}")]
    Local {
        /// Voice.
        voice: String,
        /// The line.
        text: String,
        /// What it said.
        detail: String,
    },
    /// The local set is not loaded.
    #[error("the caller's voice {voice} needs the local speech set, which is not loaded: run `{command}`")]
    NotLoaded {
        /// Voice.
        voice: String,
        /// What brings the files.
        command: &'static str,
    },
}

impl Speaker {
    /// The voice of this name; `auto` takes the first program that is there.
    pub(super) fn named(name: &str) -> Result<Self, VoiceError> {
        let plain = |voice: &str| {
            !voice.is_empty()
                && voice.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+-".contains(&b))
                && !voice.starts_with('-')
        };
        let found = match name.split_once(':') {
            Some(("flite", voice)) if plain(voice) => Some(Self::Flite(voice.to_owned())),
            Some(("espeak" | "espeak-ng", voice)) if plain(voice) => Some(Self::Espeak(voice.to_owned())),
            Some(_) => None,
            None if name == "builtin" => Some(Self::Builtin),
            None if name == "auto" => Some(Self::auto()),
            None if FLITE_VOICES.contains(&name) => Some(Self::Flite(name.to_owned())),
            None if let Some(known) = CALLER_VOICES.iter().find(|known| **known == name) => Some(Self::Natural(known)),
            None if plain(name) => Some(Self::Espeak(name.to_owned())),
            None => None,
        };
        found.ok_or_else(|| VoiceError::Unknown(name.to_owned()))
    }

    fn auto() -> Self {
        if on_path("flite") || !on_path("espeak-ng") {
            Self::Flite("slt".to_owned())
        } else {
            Self::Espeak("en-us".to_owned())
        }
    }

    const fn program(&self) -> &'static str {
        match self {
            Self::Flite(_) => "flite",
            Self::Espeak(_) => "espeak-ng",
            Self::Natural(_) => "local",
            Self::Builtin => "builtin",
        }
    }

    fn voice(&self) -> &str {
        match self {
            Self::Flite(voice) | Self::Espeak(voice) => voice,
            Self::Natural(voice) => voice,
            Self::Builtin => "heart",
        }
    }
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Renders lines, and keeps what it has rendered.
#[derive(Clone)]
pub(super) struct Booth {
    cache: PathBuf,
    tts: Option<Arc<dyn Tts>>,
}

impl Booth {
    /// A booth that keeps its lines in `cache/callers`.
    pub(super) fn new(cache: &Path, tts: Option<Arc<dyn Tts>>) -> Self {
        Self { cache: cache.join("callers"), tts }
    }

    /// `text` in this voice, levelled, at the leg's rate.
    pub(super) async fn line(&self, speaker: &Speaker, text: &str) -> Result<Clip, VoiceError> {
        let samples = match speaker {
            Speaker::Builtin => self.spoken(speaker.voice(), text).await?,
            _ => {
                let path = self.kept(speaker, text);
                if !path.is_file() {
                    self.render(speaker, text, &path).await?;
                }
                read_wav(&path)?
            }
        };
        Clip::speech(samples, RATE).ok_or_else(|| VoiceError::Silent(format!("{text:?} in voice {}", speaker.voice())))
    }

    fn kept(&self, speaker: &Speaker, text: &str) -> PathBuf {
        let mut hash = Sha256::new();
        for part in ["1", speaker.program(), speaker.voice(), text] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let name: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        self.cache.join(format!("{name}.wav"))
    }

    async fn render(&self, speaker: &Speaker, text: &str, path: &Path) -> Result<(), VoiceError> {
        let kept = |path: &Path| {
            let path = path.to_owned();
            move |source| VoiceError::Cache { path, source }
        };
        std::fs::create_dir_all(&self.cache).map_err(kept(&self.cache))?;
        // Two callers may render the same line at once: each writes its own file, the last rename wins.
        let unique = format!("{}-{}", std::process::id(), uuid::Uuid::now_v7().simple());
        let (words, wav) = (self.cache.join(format!("{unique}.txt")), self.cache.join(format!("{unique}.part")));
        let rendered = match speaker {
            Speaker::Natural(voice) => match self.spoken(voice, text).await {
                Ok(samples) => write_wav(&wav, &samples).map_err(kept(&wav)),
                Err(error) => Err(error),
            },
            _ => match std::fs::write(&words, format!("{text}\n")) {
                Ok(()) => run(speaker, text, &words, &wav).await,
                Err(error) => Err(kept(&words)(error)),
            },
        };
        // What is left of a failed run is of no use; a file that is not there is none to remove.
        let _ = std::fs::remove_file(&words);
        if rendered.is_err() {
            let _ = std::fs::remove_file(&wav);
        }
        rendered?;
        std::fs::rename(&wav, path).map_err(kept(path))
    }

    /// `text` in a voice of the local set, at the leg's rate.
    async fn spoken(&self, voice: &str, text: &str) -> Result<Vec<i16>, VoiceError> {
        let failed = |detail: String| VoiceError::Local { voice: voice.to_owned(), text: text.to_owned(), detail };
        let not_loaded = || VoiceError::NotLoaded { voice: voice.to_owned(), command: REPAIR_TEST };
        let tts = self.tts.as_ref().ok_or_else(not_loaded)?;
        let asked = Voice {
            name: voice.to_owned(),
            speed: 1.0,
            language: "en".to_owned(),
            pronounce: Arc::default(),
            currency: String::new(),
        };
        let (facts, mut heard) = mpsc::channel(64);
        let mut session = tts.open(&asked, RATE, facts).map_err(|error: ProviderError| failed(error.to_string()))?;
        session.say(UtteranceId(1), 0, text);
        let mut all = Vec::new();
        loop {
            match rt::timeout(RENDER_LIMIT, heard.recv()).await.flatten() {
                Some(Heard::Spoken { samples, last, .. }) => {
                    all.extend_from_slice(&samples);
                    if last {
                        return Ok(all);
                    }
                }
                Some(Heard::SpeechFailed { error, .. }) => return Err(failed(error)),
                Some(_) => {}
                None => return Err(failed("no audio within a minute".to_owned())),
            }
        }
    }
}

/// Samples at the leg's rate as a WAV.
fn write_wav(path: &Path, samples: &[i16]) -> io::Result<()> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE.hz(),
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let write = || -> Result<(), hound::Error> {
        let mut wav = hound::WavWriter::create(path, spec)?;
        for sample in samples {
            wav.write_sample(*sample)?;
        }
        wav.finalize()
    };
    write().map_err(|error| match error {
        hound::Error::IoError(error) => error,
        other => io::Error::other(other),
    })
}

/// Has the speech program read the file `words` into the file `wav`.
async fn run(speaker: &Speaker, text: &str, words: &Path, wav: &Path) -> Result<(), VoiceError> {
    let program = speaker.program();
    let failed = |detail: String| VoiceError::Failed {
        program,
        voice: speaker.voice().to_owned(),
        text: text.to_owned(),
        detail,
    };
    let mut command = Command::new(program);
    match speaker {
        Speaker::Flite(voice) => command.args(["-voice", voice, "-f"]).arg(words).arg("-o").arg(wav),
        _ => command.args(["-v", speaker.voice(), "-s", "160", "-f"]).arg(words).arg("-w").arg(wav),
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = match rt::timeout(RENDER_LIMIT, command.output()).await {
        None => return Err(failed("it took more than a minute".to_owned())),
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => return Err(VoiceError::Missing { program }),
        Some(Err(error)) => return Err(failed(error.to_string())),
        Some(Ok(output)) => output,
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !wav.is_file() {
        return Err(failed(format!("{} {}", output.status, said.trim())));
    }
    Ok(())
}

/// A WAV of any usual kind as mono at the leg's rate.
pub(super) fn read_wav(path: &Path) -> Result<Vec<i16>, VoiceError> {
    let bad = |detail: String| VoiceError::BadWav { path: path.to_owned(), detail };
    let mut reader = hound::WavReader::open(path).map_err(|error| bad(error.to_string()))?;
    let spec = reader.spec();
    let rate =
        SampleRate::new(spec.sample_rate).ok_or_else(|| bad(format!("{} samples per second", spec.sample_rate)))?;
    let channels = usize::from(spec.channels.max(1));
    if rate.ms_of(u64::from(reader.duration())) > LONGEST_MS {
        return Err(bad(format!("{} s of audio", rate.ms_of(u64::from(reader.duration())) / 1000)));
    }
    let all: Result<Vec<f32>, hound::Error> = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().collect(),
        hound::SampleFormat::Int => {
            let full = (1_i64 << (spec.bits_per_sample.clamp(1, 32) - 1)) as f32;
            reader.samples::<i32>().map(|sample| sample.map(|s| s as f32 / full)).collect()
        }
    };
    let all = all.map_err(|error| bad(error.to_string()))?;
    let mono: Vec<i16> = all
        .chunks_exact(channels)
        .map(|frame| (frame.iter().sum::<f32>() / channels as f32 * 32_767.0).clamp(-32_768.0, 32_767.0) as i16)
        .collect();
    convert(&mono, rate, RATE).map_err(|error| bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{FactSender, TtsSession};

    #[test]
    fn a_voice_is_known_by_its_name() {
        let named = |name: &str| Speaker::named(name).unwrap();
        assert_eq!(named("slt"), Speaker::Flite("slt".to_owned()));
        assert_eq!(named("en-us+f3"), Speaker::Espeak("en-us+f3".to_owned()));
        assert_eq!(named("flite:rms"), Speaker::Flite("rms".to_owned()));
        assert_eq!(named("builtin"), Speaker::Builtin);
        for natural in ["joe", "kumo", "alpha", "gongitsune", "nezumi", "tebukuro"] {
            assert_eq!(named(natural), Speaker::Natural(natural));
        }
        assert_eq!(named("espeak:alpha"), Speaker::Espeak("alpha".to_owned()));
        for bad in ["", "-w", "a b", "mp3:x", "flite:", "../x", "espeak:-f"] {
            assert!(Speaker::named(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn lines_of_different_voices_are_kept_apart() {
        let booth = Booth::new(Path::new("/cache"), None);
        let (slt, rms) = (Speaker::Flite("slt".to_owned()), Speaker::Flite("rms".to_owned()));
        assert_ne!(booth.kept(&slt, "yes"), booth.kept(&rms, "yes"));
        assert_ne!(booth.kept(&slt, "yes"), booth.kept(&slt, "no"));
        assert_eq!(booth.kept(&slt, "yes"), booth.kept(&slt, "yes"));
        let natural = ["joe", "kumo", "alpha"].map(|voice| booth.kept(&Speaker::Natural(voice), "yes"));
        assert!(natural[0] != natural[1] && natural[1] != natural[2] && natural[2] != natural[0]);
        assert_ne!(natural[2], booth.kept(&Speaker::Espeak("alpha".to_owned()), "yes"));
    }

    /// A synthesis that says a constant, longer for `kumo`, and nothing but what it lacks for `joe`; it counts its lines.
    struct Stub(std::sync::atomic::AtomicUsize);

    struct Saying(String, FactSender);

    impl Tts for Stub {
        fn open(
            &self,
            voice: &Voice,
            rate: SampleRate,
            facts: FactSender,
        ) -> Result<Box<dyn TtsSession>, ProviderError> {
            assert_eq!(rate, RATE);
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(Box::new(Saying(voice.name.clone(), facts)))
        }
    }

    impl TtsSession for Saying {
        fn say(&mut self, utterance: UtteranceId, segment: u16, _: &str) {
            let fact = match self.0.as_str() {
                "joe" => Heard::SpeechFailed { utterance, segment, error: format!("run `{REPAIR_TEST}`") },
                "kumo" => Heard::Spoken { utterance, segment, samples: vec![9_000; 1_600].into(), last: true },
                _ => Heard::Spoken { utterance, segment, samples: vec![9_000; 800].into(), last: true },
            };
            self.1.try_send(fact).unwrap();
        }

        fn cancel(&mut self, _: UtteranceId) {}
    }

    #[tokio::test]
    async fn a_natural_line_is_rendered_once_and_kept_and_a_failure_leaves_nothing() {
        let folder = std::env::temp_dir().join(format!("voicefleet-natural-{}", uuid::Uuid::now_v7().simple()));
        let stub = Arc::new(Stub(std::sync::atomic::AtomicUsize::new(0)));
        let booth = Booth::new(&folder, Some(stub.clone()));
        let kumo = Speaker::Natural("kumo");
        booth.line(&kumo, "yes").await.unwrap();
        booth.line(&kumo, "yes").await.unwrap();
        assert_eq!(stub.0.load(std::sync::atomic::Ordering::Relaxed), 1, "the second time it comes from the file");
        let kept = read_wav(&booth.kept(&kumo, "yes")).unwrap();
        assert!(kept.len() == 1_600 && kept.iter().all(|sample| (8_999..=9_000).contains(sample)), "{}", kept.len());
        booth.line(&Speaker::Natural("alpha"), "yes").await.unwrap();
        let error = booth.line(&Speaker::Natural("joe"), "yes").await.err().unwrap().to_string();
        assert!(error.contains("voice joe") && error.contains("voicefleet models fetch --test-voices"), "{error}");
        assert_eq!(std::fs::read_dir(folder.join("callers")).unwrap().count(), 2, "two lines and no rest of the third");
        // What is kept needs no synthesis any more.
        let bare = Booth::new(&folder, None);
        bare.line(&kumo, "yes").await.unwrap();
        let error = bare.line(&kumo, "no").await.err().unwrap().to_string();
        assert!(error.contains("voicefleet models fetch --test-voices"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
