//! Scripted synthesis: a hum with the rhythm of syllables, as long as the text would take to say.

use std::collections::HashSet;
use std::f32::consts::TAU;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{ASKED_FOR, Config, Faults, Shared};
use crate::provider::{FactSender, ProviderError, Tts, TtsSession, Voice};
use crate::rt;
use crate::turn::Heard;
use crate::units::{SampleRate, UtteranceId};

/// Synthesis by script.
#[derive(Debug)]
pub struct StandinTts(Shared);

impl StandinTts {
    /// Synthesis with `config`'s delay and pace.
    #[must_use]
    pub const fn new(config: Arc<Config>) -> Self {
        Self(config)
    }
}

impl Tts for StandinTts {
    fn open(&self, _voice: &Voice, rate: SampleRate, facts: FactSender) -> Result<Box<dyn TtsSession>, ProviderError> {
        Ok(Box::new(Session {
            faults: Faults::new(self.0.fail_every),
            config: Arc::clone(&self.0),
            rate,
            facts,
            cancelled: Arc::default(),
        }))
    }
}

struct Session {
    config: Shared,
    rate: SampleRate,
    facts: FactSender,
    faults: Faults,
    cancelled: Arc<Mutex<HashSet<UtteranceId>>>,
}

impl TtsSession for Session {
    fn say(&mut self, utterance: UtteranceId, segment: u16, text: &str) {
        let fact = if self.faults.next_fails() {
            Heard::SpeechFailed { utterance, segment, error: ASKED_FOR.to_owned() }
        } else {
            let ms = u64::from(self.config.speech_ms_per_char) * text.chars().count() as u64;
            Heard::Spoken { utterance, segment, samples: hum(self.rate, ms), last: true }
        };
        let (facts, cancelled) = (self.facts.clone(), Arc::clone(&self.cancelled));
        let delay = Duration::from_millis(u64::from(self.config.tts_ms));
        drop(rt::spawn("standin", async move {
            rt::sleep(delay).await;
            let unwanted = cancelled.lock().unwrap_or_else(PoisonError::into_inner).contains(&utterance);
            if !unwanted {
                // A call that is over takes no more.
                let _ = facts.send(fact).await;
            }
        }));
    }

    fn cancel(&mut self, utterance: UtteranceId) {
        self.cancelled.lock().unwrap_or_else(PoisonError::into_inner).insert(utterance);
    }
}

/// A hum of `ms` milliseconds: five harmonics of 140 Hz, four syllables a second.
fn hum(rate: SampleRate, ms: u64) -> Arc<[i16]> {
    let hz = rate.hz() as f32;
    let count = usize::try_from(rate.samples_in(ms)).unwrap_or(0);
    (0..count)
        .map(|i| {
            let t = i as f32 / hz;
            let voice: f32 = (1..=5).map(|h| (TAU * 140.0 * h as f32 * t).sin() / h as f32).sum();
            let syllable = 0.5 - 0.5 * (TAU * 4.0 * t).cos();
            (voice * syllable * 4_000.0) as i16
        })
        .collect()
}
