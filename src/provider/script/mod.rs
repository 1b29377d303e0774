//! The scripted dialogue engine in a language model's place: the same trait, the same facts, no model. Understands by rules,
//! answers within microseconds, and its outcome is exact. Never calls out and never waits.

mod engine;
mod expected;
mod hearing;
mod outcome;
mod plan;
mod state;
pub mod understand;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;

pub use engine::{Engine, Piece};
pub use plan::Plan;
pub use understand::Calendar;

use super::{DialogueContext, FactSender, Hints, Llm, LlmSession, ProviderError};
use crate::bot::script::Script;
use crate::rt;
use crate::template::{Namespace, Values};
use crate::turn::{Ask, Heard};
use crate::units::{Stamp, UtteranceId};

/// How long an answer waits for room on a full fact channel.
const ROOM_WITHIN: Duration = Duration::from_secs(5);

/// The engine of one bot version.
#[derive(Clone, Debug)]
pub struct ScriptLlm {
    plan: Arc<Plan>,
}

impl ScriptLlm {
    /// An engine for `script`, with the bot's opening message and disclosure line, both templates. An opening that ends
    /// with a question mark stands for the first step's question; any other is said before it.
    #[must_use]
    pub fn new(script: Arc<Script>, opening: Option<String>, disclosure: Option<String>) -> Self {
        Self { plan: Arc::new(Plan::new(&script, opening.as_deref(), disclosure.as_deref())) }
    }
}

impl Llm for ScriptLlm {
    fn open(&self, call: &DialogueContext, facts: FactSender) -> Result<Box<dyn LlmSession>, ProviderError> {
        if self.plan.steps.is_empty() {
            let text = "expected a script with at least one step, found none; add `[[script.step]]` to the bot's file";
            return Err(ProviderError::Unavailable(text.to_owned()));
        }
        let calendar = calendar(&self.plan, &call.values, rt::stamp());
        let engine = Engine::new(Arc::clone(&self.plan), Arc::clone(&call.values), calendar);
        let names = expected::names(&call.values);
        Ok(Box::new(Session { engine, facts, names, expected: BTreeMap::new() }))
    }
}

/// Today as the caller counts it: the start of the call, or `now` where the call does not say it.
fn calendar(plan: &Plan, values: &Values, now: Stamp) -> Calendar {
    let started = values.get(Namespace::Call, "started_at").and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let at = started.or_else(|| jiff::Timestamp::from_millisecond(now.unix_ms()).ok()).unwrap_or_default();
    let offset = jiff::tz::Offset::from_seconds(plan.utc_offset_minutes * 60).unwrap_or(jiff::tz::Offset::UTC);
    Calendar { today: offset.to_datetime(at).date(), day_first: plan.day_first }
}

struct Session {
    engine: Engine,
    facts: FactSender,
    /// What people say with their name, for the names that this call knows.
    names: Vec<String>,
    /// The hints of the steps so far, with the names; apart where the step asks again.
    expected: BTreeMap<(usize, bool), Arc<Hints>>,
}

impl LlmSession for Session {
    fn ask(&mut self, ask: Ask) {
        let utterance = ask.utterance;
        let pieces = self.engine.answer(&ask);
        let facts = pieces.into_iter().map(|piece| match piece {
            // A space, so that the next piece starts a new word.
            Piece::Say { text, protected } => Heard::Drafted { utterance, text: text + " ", protected },
            Piece::Tool(tool) => Heard::ToolCalled { utterance, tool },
        });
        send(&self.facts, facts.chain([Heard::DraftEnded { utterance }]).collect());
    }

    /// Nothing is under way: an answer is complete when `ask` returns. Whether it stands is said by the next request.
    fn cancel(&mut self, _utterance: UtteranceId) {}

    fn expects(&mut self) -> Option<Arc<Hints>> {
        let (step, hints) = self.engine.expects()?;
        let again = self.engine.asks_again();
        let named = || {
            let hints = hints.with(&self.names);
            Arc::new(if again { hints.pressed() } else { hints })
        };
        Some(self.expected.entry((step, again)).or_insert_with(named).clone())
    }

    fn outcome(&self) -> Option<serde_json::Value> {
        Some(self.engine.outcome())
    }

    fn outcome_untaken(&self) -> Option<serde_json::Value> {
        Some(self.engine.outcome_untaken())
    }
}

/// Sends at once what fits. A full channel means that the call is busy, not that the answer is wrong: the rest follows in
/// order from a task of its own, which gives up after [`ROOM_WITHIN`]; the turn loop's own deadline then ends the wait.
fn send(facts: &FactSender, answer: Vec<Heard>) {
    let mut answer = answer.into_iter();
    while let Some(fact) = answer.next() {
        match facts.try_send(fact) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => return,
            Err(TrySendError::Full(fact)) => {
                let rest: Vec<Heard> = std::iter::once(fact).chain(answer).collect();
                send_later(facts.clone(), rest);
                return;
            }
        }
    }
}

fn send_later(facts: FactSender, rest: Vec<Heard>) {
    if tokio::runtime::Handle::try_current().is_err() {
        tracing::error!(
            lost = rest.len(),
            "the fact channel is full and no runtime is there to wait; the answer is cut"
        );
        return;
    }
    let waiting = async move {
        for fact in rest {
            if facts.send(fact).await.is_err() {
                return;
            }
        }
    };
    drop(rt::spawn("script-answer", async move {
        if rt::timeout(ROOM_WITHIN, waiting).await.is_none() {
            tracing::error!("the call took no facts for 5 s; the answer is cut");
        }
    }));
}

#[cfg(test)]
mod dialogue_tests;
#[cfg(test)]
mod utterance_tests;
