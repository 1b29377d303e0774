//! Scripted synthesis: a hum with the rhythm of syllables, as long as the text would take to say.

use std::collections::HashSet;
use std::f32::consts::TAU;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::{ASKED_FOR, Config, Faults, Shared};
use crate::provider::{FactSender, ProviderError, Tts, TtsSession, Voice};
use crate::rt;
use crate::turn::Heard;
use crate::units::{Moment, SampleRate, UtteranceId};

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
        let (queue, waiting) = mpsc::channel(MOST_WAITING);
        let cancelled = Arc::default();
        drop(rt::spawn("standin", speak(waiting, facts, Arc::clone(&cancelled))));
        Ok(Box::new(Session {
            faults: Faults::new(self.0.fail_every),
            config: Arc::clone(&self.0),
            rate,
            queue,
            cancelled,
        }))
    }
}

/// Sentences that may wait. Full: the newest is dropped; no script asks for so many.
const MOST_WAITING: usize = 64;

type Cancelled = Arc<Mutex<HashSet<UtteranceId>>>;

/// A sentence's outcome, and when it is ready.
struct Made {
    at: Moment,
    utterance: UtteranceId,
    fact: Heard,
}

/// Hands over what was made, one after the other: sentences keep their order.
async fn speak(mut waiting: mpsc::Receiver<Made>, facts: FactSender, cancelled: Cancelled) {
    while let Some(made) = waiting.recv().await {
        rt::sleep_until(made.at).await;
        let unwanted = cancelled.lock().unwrap_or_else(PoisonError::into_inner).contains(&made.utterance);
        if !unwanted && facts.send(made.fact).await.is_err() {
            // A call that is over takes no more.
            return;
        }
    }
}

struct Session {
    config: Shared,
    rate: SampleRate,
    queue: mpsc::Sender<Made>,
    faults: Faults,
    cancelled: Cancelled,
}

impl TtsSession for Session {
    fn say(&mut self, utterance: UtteranceId, segment: u16, text: &str) {
        let fact = if self.faults.next_fails() {
            Heard::SpeechFailed { utterance, segment, error: ASKED_FOR.to_owned() }
        } else {
            let ms = u64::from(self.config.speech_ms_per_char) * text.chars().count() as u64;
            Heard::Spoken { utterance, segment, samples: hum(self.rate, ms), last: true }
        };
        let at = rt::now().plus_ms(u64::from(self.config.tts_ms));
        let _ = self.queue.try_send(Made { at, utterance, fact });
    }

    fn cancel(&mut self, utterance: UtteranceId) {
        self.cancelled.lock().unwrap_or_else(PoisonError::into_inner).insert(utterance);
    }
}

/// A hum of `ms` milliseconds: five harmonics of 140 Hz, four syllables a second. All of it repeats after a syllable, so one is computed
/// and the rest copied: a load is to measure the worker, not its stand-ins.
fn hum(rate: SampleRate, ms: u64) -> Arc<[i16]> {
    let count = usize::try_from(rate.samples_in(ms)).unwrap_or(0);
    let syllable = syllable(rate);
    let mut samples = Vec::with_capacity(count);
    while samples.len() < count {
        samples.extend_from_slice(&syllable[..syllable.len().min(count - samples.len())]);
    }
    samples.into()
}

/// A quarter of a second; made once for each rate that calls have.
fn syllable(rate: SampleRate) -> Arc<[i16]> {
    static MADE: Mutex<Vec<(SampleRate, Arc<[i16]>)>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, syllable)) = made.iter().find(|(of, _)| *of == rate) {
        return Arc::clone(syllable);
    }
    let syllable = hummed(rate);
    made.push((rate, Arc::clone(&syllable)));
    syllable
}

fn hummed(rate: SampleRate) -> Arc<[i16]> {
    let hz = rate.hz() as f32;
    let count = usize::try_from(rate.samples_in(250)).unwrap_or(0);
    (0..count)
        .map(|i| {
            let t = i as f32 / hz;
            let voice: f32 = (1..=5).map(|h| (TAU * 140.0 * h as f32 * t).sin() / h as f32).sum();
            let syllable = 0.5 - 0.5 * (TAU * 4.0 * t).cos();
            (voice * syllable * 4_000.0) as i16
        })
        .collect()
}
