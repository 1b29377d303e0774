//! Scripted recognition and judgement. Never listens: the words are the configuration's.

use std::sync::Arc;
use std::time::Duration;

use super::{ASKED_FOR, Config, Faults, Shared};
use crate::provider::{FactSender, JudgeSession, ProviderError, Stt, SttSession, TurnJudge};
use crate::rt;
use crate::turn::Heard;
use crate::units::TurnNo;

/// Recognition by script.
#[derive(Debug)]
pub struct StandinStt(Shared);

impl StandinStt {
    /// Recognition that hears what `config` says.
    #[must_use]
    pub const fn new(config: Arc<Config>) -> Self {
        Self(config)
    }
}

impl Stt for StandinStt {
    fn open(&self, facts: FactSender) -> Result<Box<dyn SttSession>, ProviderError> {
        let faults = Faults::new(self.0.fail_every);
        Ok(Box::new(Session { config: Arc::clone(&self.0), facts, faults, first: None }))
    }
}

struct Session {
    config: Shared,
    facts: FactSender,
    faults: Faults,
    /// The first turn that was recognised, so that turn numbers count from there.
    first: Option<TurnNo>,
}

impl SttSession for Session {
    fn audio(&mut self, _samples: &[i16]) {}

    fn begin(&mut self, turn: TurnNo, _ago_ms: u32) {
        self.first.get_or_insert(turn);
    }

    fn take(&mut self, turn: TurnNo, take: u32) {
        let fact = if self.faults.next_fails() {
            Heard::ListenFailed { error: ASKED_FOR.to_owned() }
        } else {
            let lines = &self.config.caller_lines;
            let index = turn.0.saturating_sub(self.first.unwrap_or(turn).0) as usize;
            let text = if lines.is_empty() { String::new() } else { lines[index % lines.len()].clone() };
            Heard::Transcribed { turn, take, text, sure: 1.0 }
        };
        send_later(self.facts.clone(), self.config.stt_ms, fact);
    }

    fn end(&mut self, _turn: TurnNo) {}
}

/// A judge that finds every turn complete.
#[derive(Debug)]
pub struct StandinJudge(Shared);

impl StandinJudge {
    /// A judge with `config`'s delay.
    #[must_use]
    pub const fn new(config: Arc<Config>) -> Self {
        Self(config)
    }
}

impl TurnJudge for StandinJudge {
    fn open(&self, facts: FactSender) -> Result<Box<dyn JudgeSession>, ProviderError> {
        Ok(Box::new(Judge { delay_ms: self.0.judge_ms, facts }))
    }
}

struct Judge {
    delay_ms: u32,
    facts: FactSender,
}

impl JudgeSession for Judge {
    fn audio(&mut self, _samples: &[i16]) {}

    fn begin(&mut self, _turn: TurnNo, _ago_ms: u32) {}

    fn judge(&mut self, turn: TurnNo, take: u32) {
        send_later(self.facts.clone(), self.delay_ms, Heard::Judged { turn, take, complete: 0.95 });
    }
}

/// Sends a fact after a delay; a call that is over takes none.
pub(super) fn send_later(facts: FactSender, delay_ms: u32, fact: Heard) {
    drop(rt::spawn("standin", async move {
        rt::sleep(Duration::from_millis(u64::from(delay_ms))).await;
        let _ = facts.send(fact).await;
    }));
}
