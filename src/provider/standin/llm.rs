//! Scripted dialogue: one line per turn of the caller, then goodbye.

use std::sync::Arc;
use std::time::Duration;

use super::{ASKED_FOR, Config, Faults, Shared};
use crate::provider::{DialogueContext, FactSender, Llm, LlmSession, ProviderError};
use crate::rt;
use crate::turn::{Ask, AskCause, Heard, ToolCall};
use crate::units::UtteranceId;

/// Dialogue by script.
#[derive(Debug)]
pub struct StandinLlm(Shared);

impl StandinLlm {
    /// Dialogue that says what `config` says.
    #[must_use]
    pub const fn new(config: Arc<Config>) -> Self {
        Self(config)
    }
}

impl Llm for StandinLlm {
    fn open(&self, call: &DialogueContext, facts: FactSender) -> Result<Box<dyn LlmSession>, ProviderError> {
        let faults = Faults::new(self.0.fail_every);
        let panics = !self.0.panic_on.is_empty() && call.system.contains(&self.0.panic_on);
        Ok(Box::new(Session { config: Arc::clone(&self.0), facts, faults, said: 0, panics }))
    }
}

struct Session {
    config: Shared,
    facts: FactSender,
    faults: Faults,
    said: usize,
    panics: bool,
}

impl Session {
    fn answer(&mut self, utterance: UtteranceId, cause: &AskCause) -> Vec<Heard> {
        if self.faults.next_fails() {
            return vec![Heard::DraftFailed { utterance, error: ASKED_FOR.to_owned() }];
        }
        let draft = |text: &str| Heard::Drafted { utterance, text: text.to_owned(), protected: false };
        let end = |reason: &str| Heard::ToolCalled { utterance, tool: ToolCall::EndCall { reason: reason.to_owned() } };
        let mut facts = match cause {
            AskCause::Opening | AskCause::Caller(_) | AskCause::Digits(_) => {
                let lines = &self.config.bot_lines;
                let index = if self.config.endless && !lines.is_empty() { self.said % lines.len() } else { self.said };
                self.said += 1;
                match lines.get(index) {
                    Some(line) => vec![draft(line)],
                    None => vec![draft("Thank you. Goodbye."), end("completed")],
                }
            }
            AskCause::Idle(_) | AskCause::Unclear => vec![draft("Are you still there?")],
            AskCause::TimeWarning => vec![draft("We have half a minute left.")],
            AskCause::IdleGoodbye => vec![draft("Goodbye."), end("idle")],
        };
        facts.push(Heard::DraftEnded { utterance });
        facts
    }
}

impl LlmSession for Session {
    fn ask(&mut self, ask: Ask) {
        let opening = matches!(ask.cause, AskCause::Opening);
        assert!(opening || !self.panics, "the stand-in was configured to panic (panic_on)");
        let answer = self.answer(ask.utterance, &ask.cause);
        let facts = self.facts.clone();
        let delay = Duration::from_millis(u64::from(self.config.llm_ms));
        drop(rt::spawn("standin", async move {
            rt::sleep(delay).await;
            for fact in answer {
                // A call that is over takes no more.
                if facts.send(fact).await.is_err() {
                    return;
                }
            }
        }));
    }

    fn cancel(&mut self, _utterance: UtteranceId) {}

    fn outcome(&self) -> Option<serde_json::Value> {
        Some(serde_json::json!({"disposition": "standin", "summary": "", "slots": {}}))
    }
}
