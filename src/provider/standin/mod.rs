//! The stand-in set: recognition, judgement, dialogue and synthesis that follow a script with scripted delays and no model, so
//! that benches and load tests run the whole worker. Also misbehaves on request. Never heard by a real caller unless a bot's
//! file asks for it.

mod llm;
mod stt;
mod tts;

use std::sync::Arc;

pub use llm::StandinLlm;
pub use stt::{StandinJudge, StandinStt};
pub use tts::StandinTts;

/// What the stand-ins say and how long they take.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What recognition "hears", turn by turn; from the start again after the last.
    pub caller_lines: Vec<String>,
    /// What the dialogue answers, turn by turn; after the last the bot says goodbye and hangs up, unless `endless`.
    pub bot_lines: Vec<String>,
    /// Start again after the last bot line instead of hanging up.
    pub endless: bool,
    /// Time from the request to the recognised words, in milliseconds.
    pub stt_ms: u32,
    /// Time from the request to the judgement, in milliseconds.
    pub judge_ms: u32,
    /// Time from the question to the first word, in milliseconds.
    pub llm_ms: u32,
    /// Time from the sentence to its first audio, in milliseconds.
    pub tts_ms: u32,
    /// Length of speech per character of text, in milliseconds.
    pub speech_ms_per_char: u32,
    /// Every n-th request of each role fails; 0 for never.
    pub fail_every: u32,
    /// The dialogue panics when it is first asked after the opening, in each call whose rendered system prompt holds this text;
    /// empty for never.
    pub panic_on: String,
}

impl Default for Config {
    fn default() -> Self {
        let lines = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        Self {
            caller_lines: lines(&["yes this is me", "i will pay on friday", "yes", "no thank you"]),
            bot_lines: lines(&[
                "Hello, this is a test call. Can you hear me well?",
                "Thank you. When will you pay the amount that is due?",
                "Friday it is. Shall I note that down for you?",
                "It is noted. Is there anything else that I can do?",
            ]),
            endless: false,
            stt_ms: 60,
            judge_ms: 30,
            llm_ms: 40,
            tts_ms: 40,
            speech_ms_per_char: 60,
            fail_every: 0,
            panic_on: String::new(),
        }
    }
}

/// Counts requests and says which of them fail.
#[derive(Debug)]
struct Faults {
    every: u32,
    count: u32,
}

impl Faults {
    const fn new(every: u32) -> Self {
        Self { every, count: 0 }
    }

    fn next_fails(&mut self) -> bool {
        self.count = self.count.wrapping_add(1);
        self.every > 0 && self.count.is_multiple_of(self.every)
    }
}

type Shared = Arc<Config>;

/// The error text of a failure that was asked for.
const ASKED_FOR: &str = "the stand-in was configured to fail (fail_every)";
