//! The end-of-turn model and its session: has the caller finished? Judges audio only, never words.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ort::environment::Environment;
use ort::session::Session;
use ort::value::TensorRef;

use super::bench::Bench;
use super::deliver::{deliver, offer};
use super::mel::{BANDS, FRAMES, LogMel, SAMPLES};
use super::pool::{Job, Lane, Lanes};
use super::runtime::{failed, odd, session};
use crate::provider::models::JUDGE;
use crate::provider::{FactSender, JudgeSession, ProviderError};
use crate::turn::Heard;
use crate::units::TurnNo;

/// Audio before the reported start of speech that belongs to the turn: detectors are late.
const PRE_ROLL_MS: usize = 200;
const SAMPLES_PER_MS: usize = 16;
const WHAT: &str = "end-of-turn judgement";
/// What is said where the model could not be asked: no evidence that the caller has finished, so patience decides.
const NO_EVIDENCE: f32 = 0.0;

/// The network of one thread.
pub(super) struct SmartTurn {
    network: Session,
    mel: LogMel,
}

impl SmartTurn {
    pub(super) fn open(environment: &Environment, cache: &Path) -> Result<Self, ProviderError> {
        Ok(Self { network: session(environment, &cache.join(JUDGE))?, mel: LogMel::new() })
    }

    /// Probability that the speaker of `audio` (16 kHz, the last 8 s count) has finished.
    pub(super) fn complete(&mut self, audio: &[i16]) -> Result<f32, ProviderError> {
        let picture = self.mel.picture(audio);
        let input = TensorRef::from_array_view(([1, BANDS, FRAMES], picture.as_slice())).map_err(failed(WHAT))?;
        let outputs = self.network.run(ort::inputs!["input_features" => input]).map_err(failed(WHAT))?;
        let output = outputs.get("logits").ok_or_else(|| odd(WHAT, "no output"))?;
        let (_, values) = output.try_extract_tensor::<f32>().map_err(failed(WHAT))?;
        // The output is named logits, but the network ends in a sigmoid.
        let probability = values.first().copied().ok_or_else(|| odd(WHAT, "an empty output"))?;
        Ok(probability.clamp(0.0, 1.0))
    }
}

/// See [`JudgeSession`].
pub(super) struct Judging {
    lanes: Arc<Lanes<Bench>>,
    facts: FactSender,
    heard: VecDeque<i16>,
    /// Samples since shortly before the open turn's first sound: the model was taught on single turns, and takes earlier ones
    /// for a speaker who goes on.
    since: usize,
    latest: Arc<AtomicU64>,
}

impl Judging {
    pub(super) fn new(lanes: Arc<Lanes<Bench>>, facts: FactSender) -> Self {
        Self { lanes, facts, heard: VecDeque::new(), since: 0, latest: Arc::default() }
    }
}

impl JudgeSession for Judging {
    fn audio(&mut self, samples: &[i16]) {
        let samples = samples.get(samples.len().saturating_sub(SAMPLES)..).unwrap_or_default();
        let surplus = (self.heard.len() + samples.len()).saturating_sub(SAMPLES);
        self.heard.drain(..surplus);
        self.heard.extend(samples);
        self.since = self.since.saturating_add(samples.len()).min(SAMPLES);
    }

    fn begin(&mut self, _turn: TurnNo, ago_ms: u32) {
        self.since = (ago_ms as usize + PRE_ROLL_MS) * SAMPLES_PER_MS;
    }

    fn judge(&mut self, turn: TurnNo, take: u32) {
        let number = self.latest.fetch_add(1, Ordering::AcqRel) + 1;
        let before = self.heard.len().saturating_sub(self.since);
        let audio = self.heard.iter().skip(before).copied().collect();
        let work = Judge { facts: self.facts.clone(), latest: self.latest.clone(), number, turn, take, audio };
        if let Err(error) = self.lanes.offer(Lane::Now, work) {
            tracing::debug!(%error, "an end-of-turn judgement was not made");
            offer(&self.facts, Heard::Judged { turn, take, complete: NO_EVIDENCE });
        }
    }
}

struct Judge {
    facts: FactSender,
    latest: Arc<AtomicU64>,
    number: u64,
    turn: TurnNo,
    take: u32,
    audio: Vec<i16>,
}

impl Job<Bench> for Judge {
    fn run(self: Box<Self>, bench: &mut Bench) {
        // A newer question makes this one moot.
        if self.facts.is_closed() || self.latest.load(Ordering::Acquire) != self.number {
            return;
        }
        let complete = bench.smart_turn().complete(&self.audio).unwrap_or_else(|error| {
            tracing::warn!(%error, "an end-of-turn judgement failed");
            NO_EVIDENCE
        });
        deliver(&self.facts, Heard::Judged { turn: self.turn, take: self.take, complete });
    }

    fn mourner(&self) -> Box<dyn FnOnce(ProviderError) + Send> {
        let (facts, turn, take) = (self.facts.clone(), self.turn, self.take);
        Box::new(move |_logged_by_the_pool| {
            deliver(&facts, Heard::Judged { turn, take, complete: NO_EVIDENCE });
        })
    }
}
