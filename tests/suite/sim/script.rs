//! The language of `fixtures/calls/*.call`: settings, the bot's replies, and what the caller does when.
//!
//! ```text
//! policy idle_ms=5000            a field of the turn policy
//! outgoing                       the dialler rang the customer; `answer` opens the conversation
//! silent-start                   no start, no media: the handshake never completes
//! stt 80ms | judge 30ms | llm 40ms | tts 40ms      delays of the providers
//! partials 400ms                 recognition tells partial words this often
//! echo -20dB 150ms               the caller's line carries the bot's own voice
//! reply "text" [protected] [end=reason] [transfer=to] [optout] [fail] [mute] [hang]
//! 900ms caller speaks 1400ms "words" [judged=0.2] [unheard]
//! bot+300ms caller speaks ...    that long after the bot falls silent for the first time from here on
//! over+800ms caller speaks ...   that long after the bot becomes audible for the first time from here on
//! 9s caller hangs up | answers | presses 12# | closes | goes silent | sticks | breaks
//! 9s operator hangs up | drain is over
//! ```

use voicefleet::turn::Policy;

/// When something happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// Milliseconds from the start.
    At(u64),
    /// Milliseconds after the bot next falls silent.
    AfterBot(u64),
    /// Milliseconds after the bot next becomes audible.
    OverBot(u64),
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// The caller speaks.
    Speaks { ms: u64, words: String, judged: f32, noise: bool },
    /// The caller hangs up.
    HangsUp,
    /// The customer answers (outgoing calls).
    Answers,
    /// The caller presses keys.
    Presses(String),
    /// The socket closes.
    Closes,
    /// Neither frame nor pong any more.
    GoesSilent,
    /// The peer stops reading.
    Sticks,
    /// The peer breaks the protocol.
    Breaks,
    /// An operator ends the call.
    Operator,
    /// The drain's time is over.
    DrainOver,
}

/// One answer of the scripted engine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    pub text: String,
    pub protected: bool,
    pub end: Option<String>,
    pub transfer: Option<String>,
    pub opt_out: bool,
    /// The engine fails.
    pub fail: bool,
    /// Synthesis fails.
    pub mute: bool,
    /// The engine never answers.
    pub hang: bool,
}

/// A whole script.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    pub policy: Policy,
    pub outgoing: bool,
    pub silent_start: bool,
    pub stt_ms: u64,
    pub judge_ms: u64,
    pub llm_ms: u64,
    pub tts_ms: u64,
    pub partials_ms: u64,
    pub echo: Option<(f32, u64)>,
    pub limit_ms: u64,
    pub replies: Vec<Reply>,
    pub acts: Vec<(When, Act)>,
}

impl Script {
    /// Reads a script; panics with the line that is wrong.
    pub fn parse(text: &str) -> Self {
        let mut script = Self {
            policy: Policy::default(),
            outgoing: false,
            silent_start: false,
            stt_ms: 80,
            judge_ms: 30,
            llm_ms: 20,
            tts_ms: 40,
            partials_ms: 0,
            echo: None,
            limit_ms: 700_000,
            replies: Vec::new(),
            acts: Vec::new(),
        };
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            script.line(line);
        }
        script
    }

    fn line(&mut self, line: &str) {
        let (head, rest) = line.split_once(' ').unwrap_or((line, ""));
        match head {
            "outgoing" => self.outgoing = true,
            "silent-start" => self.silent_start = true,
            "stt" => self.stt_ms = millis(rest),
            "judge" => self.judge_ms = millis(rest),
            "llm" => self.llm_ms = millis(rest),
            "tts" => self.tts_ms = millis(rest),
            "partials" => self.partials_ms = millis(rest),
            "limit" => self.limit_ms = millis(rest),
            "echo" => {
                let (db, delay) = rest.split_once(' ').expect("echo -20dB 150ms");
                self.echo = Some((db.trim_end_matches("dB").parse().expect(line), millis(delay)));
            }
            "policy" => rest.split_whitespace().for_each(|pair| self.policy(pair)),
            "reply" => self.replies.push(reply(rest)),
            _ => {
                let when = when(head).unwrap_or_else(|| panic!("unknown line: {line}"));
                self.acts.push((when, act(rest)));
            }
        }
    }

    fn policy(&mut self, pair: &str) {
        let (key, value) = pair.split_once('=').expect(pair);
        let number = || value.parse::<u32>().expect(pair);
        match key {
            "idle_ms" => self.policy.idle_ms = number(),
            "monologue_ms" => self.policy.monologue_ms = number(),
            "max_duration_ms" => self.policy.max_duration_ms = number(),
            "warning_before_ms" => self.policy.warning_before_ms = number(),
            "barge_in_ms" => self.policy.barge_in_ms = number(),
            "barge_in_words" => self.policy.barge_in_words = number(),
            "decide_ms" => self.policy.decide_ms = number(),
            "patience_min_ms" => self.policy.patience_min_ms = number(),
            "patience_max_ms" => self.policy.patience_max_ms = number(),
            "interruptible" => self.policy.interruptible = value == "true",
            other => panic!("unknown policy field {other}"),
        }
    }
}

fn millis(text: &str) -> u64 {
    let text = text.trim();
    if let Some(ms) = text.strip_suffix("ms") {
        ms.parse().expect(text)
    } else {
        let s: f64 = text.trim_end_matches('s').parse().expect(text);
        (s * 1000.0) as u64
    }
}

fn when(head: &str) -> Option<When> {
    if let Some(rest) = head.strip_prefix("bot+") {
        return Some(When::AfterBot(millis(rest)));
    }
    if let Some(rest) = head.strip_prefix("over+") {
        return Some(When::OverBot(millis(rest)));
    }
    head.starts_with(|c: char| c.is_ascii_digit()).then(|| When::At(millis(head)))
}

/// Splits `"quoted text" rest` into both.
fn quoted(text: &str) -> (String, &str) {
    let text = text.trim();
    match text.strip_prefix('"').and_then(|t| t.split_once('"')) {
        Some((inside, rest)) => (inside.to_owned(), rest),
        None => (String::new(), text),
    }
}

fn reply(rest: &str) -> Reply {
    let (text, flags) = quoted(rest);
    let mut reply = Reply { text, ..Reply::default() };
    for flag in flags.split_whitespace() {
        match flag.split_once('=') {
            Some(("end", reason)) => reply.end = Some(reason.to_owned()),
            Some(("transfer", to)) => reply.transfer = Some(to.to_owned()),
            None if flag == "protected" => reply.protected = true,
            None if flag == "optout" => reply.opt_out = true,
            None if flag == "fail" => reply.fail = true,
            None if flag == "mute" => reply.mute = true,
            None if flag == "hang" => reply.hang = true,
            _ => panic!("unknown flag {flag}"),
        }
    }
    reply
}

fn act(rest: &str) -> Act {
    match rest {
        "caller hangs up" => Act::HangsUp,
        "caller answers" => Act::Answers,
        "caller closes" => Act::Closes,
        "caller goes silent" => Act::GoesSilent,
        "caller sticks" => Act::Sticks,
        "caller breaks" => Act::Breaks,
        "operator hangs up" => Act::Operator,
        "drain is over" => Act::DrainOver,
        _ => {
            if let Some(keys) = rest.strip_prefix("caller presses ") {
                return Act::Presses(keys.to_owned());
            }
            let noise = rest.starts_with("noise ");
            let rest = rest
                .strip_prefix("caller speaks ")
                .or_else(|| rest.strip_prefix("noise "))
                .unwrap_or_else(|| panic!("{rest}"));
            let (ms, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let (words, flags) = quoted(rest);
            let judged = flags.trim().strip_prefix("judged=").map_or(0.9, |p| p.parse().expect(flags));
            Act::Speaks { ms: millis(ms), words, judged, noise }
        }
    }
}
