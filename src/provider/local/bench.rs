//! What one pool thread owns: its own networks, and the words and lexicons that all threads share. Never shared itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::environment::Environment;

use super::g2p::Pronunciation;
use super::hibari::{Hibari, Phonemes};
use super::joe::Joe;
use super::kokoro::Kokoro;
use super::moonshine::Moonshine;
use super::oov::Oov;
use super::runtime::environment;
use super::smart_turn::SmartTurn;
use super::vocabulary::Vocabulary;
use crate::provider::ProviderError;
use crate::provider::models::RUNTIME;

/// What all threads share; made once.
pub(super) struct Common {
    pub environment: Environment,
    pub cache: PathBuf,
    pub vocabulary: Arc<Vocabulary>,
    pub phonemes: Arc<Phonemes>,
    pub pronunciation: Pronunciation,
}

impl Common {
    pub(super) fn open(cache: &Path) -> Result<Arc<Self>, ProviderError> {
        let environment = environment(&cache.join(RUNTIME))?;
        let phonemes = Arc::new(Phonemes::open(cache)?);
        let oov = Arc::new(Oov::open(&environment, cache)?);
        Ok(Arc::new(Self {
            vocabulary: Arc::new(Vocabulary::open(cache)?),
            pronunciation: Pronunciation::new(oov, phonemes.clone()),
            phonemes,
            cache: cache.to_path_buf(),
            environment,
        }))
    }
}

/// The networks of one thread.
pub(super) struct Bench {
    pub common: Arc<Common>,
    moonshine: Moonshine,
    smart_turn: SmartTurn,
    hibari: Hibari,
    joe: Option<Joe>,
    kokoro: Option<Kokoro>,
}

impl Bench {
    /// Opens what every call needs; the voices of test callers are opened when they first speak.
    pub(super) fn open(common: Arc<Common>) -> Result<Self, ProviderError> {
        let (environment, cache) = (&common.environment, common.cache.as_path());
        Ok(Self {
            moonshine: Moonshine::open(environment, cache, common.vocabulary.clone())?,
            smart_turn: SmartTurn::open(environment, cache)?,
            hibari: Hibari::open(environment, cache)?,
            joe: None,
            kokoro: None,
            common,
        })
    }

    pub(super) fn moonshine(&mut self) -> &mut Moonshine {
        &mut self.moonshine
    }

    pub(super) fn smart_turn(&mut self) -> &mut SmartTurn {
        &mut self.smart_turn
    }

    pub(super) fn hibari(&mut self) -> &mut Hibari {
        &mut self.hibari
    }

    pub(super) fn joe(&mut self) -> Result<&mut Joe, ProviderError> {
        match &mut self.joe {
            Some(joe) => Ok(joe),
            empty => Ok(empty.insert(Joe::open(&self.common.environment, &self.common.cache)?)),
        }
    }

    pub(super) fn kokoro(&mut self) -> Result<&mut Kokoro, ProviderError> {
        match &mut self.kokoro {
            Some(kokoro) => Ok(kokoro),
            empty => Ok(empty.insert(Kokoro::open(&self.common.environment, &self.common.cache)?)),
        }
    }
}
