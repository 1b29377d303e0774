//! The local speech set: recognition, end-of-turn judgement and synthesis in this process, without a network and without
//! a key. Loads checked model files only, never fetches one, and never runs a model on a caller's thread.
//!
//! All models share one small pool of threads (`pool`); a call's sessions only keep audio and text and hand work over.

mod beam;
mod bench;
mod deliver;
mod denoise;
mod edges;
mod g2p;
mod hibari;
mod joe;
mod kokoro;
mod lines;
mod load;
mod mel;
mod moonshine;
mod oov;
mod pool;
mod runtime;
mod smart_turn;
mod speak;
mod speech_level;
mod stt;
mod synth;
#[cfg(test)]
mod tests;
mod tts;
mod vocabulary;

use std::path::Path;
use std::sync::Arc;

pub use load::PoolStats;
pub use speak::CALLER_VOICES;

use self::bench::{Bench, Common};
use self::lines::Lines;
use self::pool::{Lane, Lanes, Pool};
use self::speak::LocalVoice;
use self::tts::{Ahead, Booth, Speaking};
use super::models::{Group, faults};
use super::{FactSender, JudgeSession, ProviderError, Stt, SttSession, Tts, TtsSession, TurnJudge, Voice};
use crate::units::SampleRate;

/// Settings of the local speech set.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalConfig {
    /// Threads for all models together; each has its own networks (100 MB at the start, 200 MB in use). 0 = one less than the
    /// machine's cores, at least one.
    pub threads: usize,
    /// Jobs that may wait in each lane (urgent, soon, partial transcripts) before more are refused.
    pub queue: usize,
    /// New audio between two partial transcripts of an open turn, in milliseconds. 0 = no partials.
    pub partial_every_ms: u32,
    /// Room for spoken lines that are kept to be said again, in bytes.
    pub kept_lines_bytes: usize,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self { threads: 0, queue: 64, partial_every_ms: 450, kept_lines_bytes: 32 << 20 }
    }
}

/// The loaded set. Dropping the last handle ends its threads; sessions that are still open then find it shut down.
pub struct LocalSpeech {
    booth: Booth,
    common: Arc<Common>,
    partial_every_ms: u32,
    _pool: Pool,
}

impl std::fmt::Debug for LocalSpeech {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalSpeech").finish_non_exhaustive()
    }
}

impl LocalSpeech {
    /// Checks the model files in `cache`, loads them and starts the threads: about a second of work, so not for an async
    /// thread.
    ///
    /// # Errors
    /// [`ProviderError::Unavailable`] naming every missing or damaged file and the command that repairs it.
    pub fn load(cache: &Path, config: &LocalConfig) -> Result<Arc<Self>, ProviderError> {
        let faults = faults(cache, &[Group::Speech]);
        if !faults.is_empty() {
            return Err(ProviderError::Unavailable(faults.join("\n")));
        }
        let common = Common::open(cache)?;
        let shared = common.clone();
        let make = Arc::new(move || Bench::open(shared.clone()));
        let (pool, lanes) = pool::start(threads(config.threads), config.queue.max(1), make)?;
        let lines = Arc::new(Lines::new(config.kept_lines_bytes));
        Ok(Arc::new(Self {
            booth: Booth { lanes, lines },
            common,
            partial_every_ms: config.partial_every_ms,
            _pool: pool,
        }))
    }

    /// The recogniser.
    #[must_use]
    pub fn stt(self: &Arc<Self>) -> Arc<dyn Stt> {
        self.clone()
    }

    /// The end-of-turn model.
    #[must_use]
    pub fn judge(self: &Arc<Self>) -> Arc<dyn TurnJudge> {
        self.clone()
    }

    /// The voice.
    #[must_use]
    pub fn tts(self: &Arc<Self>) -> Arc<dyn Tts> {
        self.clone()
    }

    /// Renders `lines` in the background, so that saying one costs nothing. Lines that find no room are rendered when they
    /// are first said.
    ///
    /// # Errors
    /// Where the voice is unknown or the pool refuses.
    pub fn warm(&self, lines: Vec<String>, voice: &Voice, rate: SampleRate) -> Result<(), ProviderError> {
        let local = LocalVoice::of(voice)?;
        let booth = self.booth.clone();
        let ahead = Ahead { booth, voice: voice.clone(), local, rate, left: lines.into() };
        self.lanes().offer(Lane::Soon, ahead)
    }

    /// Can the local set speak as `voice` asks? Needs no model, so a lint can ask it.
    ///
    /// # Errors
    /// Where it has no such voice or does not speak the language.
    pub fn can_speak(voice: &Voice) -> Result<(), ProviderError> {
        LocalVoice::of(voice).map(|_| ())
    }

    /// The phonemes that would be said for `text`; `None` where it has a word that neither the lexicon nor the network for
    /// unknown words can say, and which would be left out.
    ///
    /// # Errors
    /// Where the lexicon or the network fails.
    pub fn phonemes(&self, text: &str) -> Result<Option<String>, ProviderError> {
        self.common.pronunciation.whole(text)
    }

    /// How busy the pool is.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.lanes().stats()
    }

    fn lanes(&self) -> &Arc<Lanes<Bench>> {
        &self.booth.lanes
    }
}

impl Stt for LocalSpeech {
    fn open(&self, facts: FactSender) -> Result<Box<dyn SttSession>, ProviderError> {
        Ok(Box::new(stt::Listening::new(self.lanes().clone(), facts, self.partial_every_ms)))
    }
}

impl TurnJudge for LocalSpeech {
    fn open(&self, facts: FactSender) -> Result<Box<dyn JudgeSession>, ProviderError> {
        Ok(Box::new(smart_turn::Judging::new(self.lanes().clone(), facts)))
    }
}

impl Tts for LocalSpeech {
    fn open(&self, voice: &Voice, rate: SampleRate, facts: FactSender) -> Result<Box<dyn TtsSession>, ProviderError> {
        Ok(Box::new(Speaking::new(self.booth.clone(), voice, rate, facts)?))
    }
}

fn threads(asked: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if asked > 0 { asked } else { cores.saturating_sub(1).max(1) }
}
