//! The language of `fixtures/calls/*.call`: settings, the bot's replies, and what the caller does when.
//!
//! ```text
//! policy idle_ms=5000            a field of the turn policy
//! ring-limit 45s                 we placed the call, and its leg lets it ring so long
//! transfers 603, done, never     the far end says after 2 s what became of each
//! voicemail [wait=20s] ["message"]        the call is watched for a voicemail, and this is said after the beep
//! outgoing                       the dialler rang the customer; `answers` opens the conversation
//! ringing                        audio may flow, but nobody said that the caller is on the line
//! silent-start                   no start, no media: only the acts say what comes
//! stt 80ms | judge 30ms | llm 40ms | tts 40ms      delays of the providers; `never` for one that does not answer
//! marks 40ms | never            the far end answers marks and the answers take so long to come
//! buffer 300ms                   the far end plays that much late
//! expects phrase; phrase         what the dialogue waits for: a take made of it is said to be expected
//! partials 400ms | never         recognition tells partial words this often
//! echo -20dB 150ms               the caller's line carries the bot's own voice
//! reply "text" [protected] [then "text"] [llm=2s] [end=reason] [transfer=to] [optout] [fail] [breaks] [stalls] [mute[=times]] [half]
//!              [dumb] [hang]
//! 900ms caller speaks 1400ms "words" [judged=0.2] [sure=0.5]
//! 900ms caller says "nine eight [700] seven six" [judged=0.9] [mid=0.3]     330 ms a word, pauses in brackets
//! 900ms caller makes 400ms of noise | cough
//! 900ms caller beeps 400ms 1000Hz
//! bot+300ms caller speaks ...    that long after the bot falls silent for the first time from here on
//! over+800ms caller speaks ...   that long after the bot becomes audible for the first time from here on
//! 9s caller hangs up | answers | starts | presses 12# | closes | goes silent | sticks | breaks | fails
//! 9s operator hangs up | drain is over | worker breaks | provider is missing | facts overrun | line breaks | stale facts | leg stalls | peer is mute
//! 9s recognition fails | far end throws away
//! ```

use voicefleet::call::VoicemailSettings;
use voicefleet::provider::Hints;
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

/// Words said in one go.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The silence before it.
    pub pause_ms: u64,
    /// How long it lasts.
    pub ms: u64,
    /// Its words.
    pub words: String,
    /// What the end-of-turn model thinks after it.
    pub judged: f32,
    /// How sure recognition is of the words.
    pub sure: f32,
}

/// A sound without words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sound {
    /// A voice, with words.
    Voice,
    /// A voice that says no word: humming, another speaker, a television.
    Murmur,
    /// A burst that decays.
    Cough,
    /// A tone of this pitch, in hertz.
    Tone(u32),
}

/// What the bot's speech is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BotVoice {
    /// Recorded speech.
    Speech,
    /// Samples that say which answer they belong to.
    Tagged,
    /// Samples that count themselves.
    Counting,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// The caller speaks, in groups with pauses between.
    Says(Vec<Group>),
    /// The caller makes a sound without words.
    Makes { ms: u64, sound: Sound },
    /// The caller's machine beeps.
    Beeps { ms: u64, hz: u32 },
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
    /// No audio came for as long as the line bears.
    LineSilent,
    /// Nobody is reached, for the reason of this code.
    Unreached(String),
    /// The peer stops reading.
    Sticks,
    /// The peer breaks the protocol.
    Breaks,
    /// An operator ends the call.
    Operator,
    /// The drain's time is over.
    DrainOver,
    /// The format is agreed (with `silent-start`).
    Starts,
    /// The leg's own task fails.
    LegFails,
    /// The call's driver fails.
    WorkerBreaks,
    /// A provider session cannot be opened.
    ProviderMissing,
    /// The line's facts find no room.
    Overrun,
    /// A tick of the line panicked.
    LineBreaks,
    /// Facts about turns and answers that are over, or never were.
    Stale,
    /// Recognition says that it is broken.
    ListenFails,
    /// The far end takes no more media.
    Stalls,
    /// The far end throws away what it has not played, of its own accord.
    ThrowsAway,
    /// The far end sends nothing more and answers nothing.
    Deaf,
}

/// One answer of the scripted engine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    pub text: String,
    pub protected: bool,
    /// More text, never protected.
    pub then: String,
    /// The engine takes this long instead of its usual time.
    pub llm_ms: Option<u64>,
    /// The engine fails after the text.
    pub breaks: bool,
    /// The engine stands still after the text: the draft never ends.
    pub stalls: bool,
    /// Synthesis gives half of each piece, then fails.
    pub half: bool,
    /// Synthesis never answers.
    pub dumb: bool,
    pub end: Option<String>,
    pub transfer: Option<String>,
    pub opt_out: bool,
    /// The engine fails.
    pub fail: bool,
    /// Synthesis fails: for this answer, and where it is more than one, for so many less one that are said in its place.
    pub mute: u32,
    /// The engine never answers.
    pub hang: bool,
}

/// A whole script.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    pub policy: Policy,
    pub outgoing: bool,
    pub voicemail: Option<VoicemailSettings>,
    pub silent_start: bool,
    pub ringing: bool,
    pub bot_voice: BotVoice,
    pub stt_ms: u64,
    pub judge_ms: u64,
    pub llm_ms: u64,
    pub tts_ms: u64,
    pub partials_ms: u64,
    pub echo: Option<(f32, u64)>,
    pub ring_limit_ms: Option<u64>,
    /// What becomes of each transfer, where the far end says that.
    pub transfers: Vec<String>,
    /// It answers marks, so late.
    pub marks_ms: Option<u64>,
    pub buffer_ms: u64,
    pub expects: Hints,
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
            voicemail: None,
            silent_start: false,
            ringing: false,
            bot_voice: BotVoice::Speech,
            stt_ms: 80,
            judge_ms: 30,
            llm_ms: 20,
            tts_ms: 40,
            partials_ms: 400,
            echo: None,
            marks_ms: None,
            ring_limit_ms: None,
            transfers: Vec::new(),
            buffer_ms: 0,
            expects: Hints::default(),
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
            "voicemail" => self.voicemail = Some(voicemail(rest)),
            "ringing" => self.ringing = true,
            "ring-limit" => self.ring_limit_ms = Some(millis(rest)),
            "transfers" => self.transfers = rest.split(", ").map(str::to_owned).collect(),
            "silent-start" => self.silent_start = true,
            "stt" => self.stt_ms = millis(rest),
            "judge" => self.judge_ms = millis(rest),
            "llm" => self.llm_ms = millis(rest),
            "tts" => self.tts_ms = millis(rest),
            "partials" => self.partials_ms = millis(rest),
            "marks" => self.marks_ms = Some(millis(rest)),
            "buffer" => self.buffer_ms = millis(rest),
            "expects" => self.expects = Hints::new(rest.split(';')),
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
            "echo" => self.policy.echo = value == "true",
            other => panic!("unknown policy field {other}"),
        }
    }
}

fn voicemail(rest: &str) -> VoicemailSettings {
    let (before, message) = rest.split_once('"').unwrap_or((rest, ""));
    let wait = before.split_whitespace().find_map(|flag| flag.strip_prefix("wait="));
    let message = message.trim_end_matches('"');
    VoicemailSettings {
        message: (!message.is_empty()).then(|| message.to_owned()),
        beep_wait_ms: wait.map_or(20_000, |wait| millis(wait) as u32),
    }
}

fn millis(text: &str) -> u64 {
    let text = text.trim();
    if text == "never" {
        return 100_000_000;
    }
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
    let (text, mut flags) = quoted(rest);
    let mut reply = Reply { text, ..Reply::default() };
    if let Some((before, after)) = flags.split_once("then ") {
        let (then, after) = quoted(after);
        reply.then = then;
        reply.protected = before.contains("protected");
        flags = after;
    }
    for flag in flags.split_whitespace() {
        match flag.split_once('=') {
            Some(("end", reason)) => reply.end = Some(reason.to_owned()),
            Some(("transfer", to)) => reply.transfer = Some(to.to_owned()),
            Some(("llm", time)) => reply.llm_ms = Some(millis(time)),
            None if flag == "protected" => reply.protected = true,
            None if flag == "optout" => reply.opt_out = true,
            None if flag == "fail" => reply.fail = true,
            None if flag == "breaks" => reply.breaks = true,
            None if flag == "stalls" => reply.stalls = true,
            Some(("mute", times)) => reply.mute = times.parse().expect(flag),
            None if flag == "mute" => reply.mute = 1,
            None if flag == "half" => reply.half = true,
            None if flag == "dumb" => reply.dumb = true,
            None if flag == "hang" => reply.hang = true,
            _ => panic!("unknown flag {flag}"),
        }
    }
    reply
}

/// Said at this pace where a script gives no time.
const MS_PER_WORD: u64 = 330;

/// Cuts `nine eight [700] seven` into its groups.
pub fn groups(text: &str, judged: f32, mid: f32) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut pause_ms = 0;
    for part in text.split(['[', ']']).map(str::trim).filter(|p| !p.is_empty()) {
        if let Ok(ms) = part.parse() {
            pause_ms = ms;
        } else {
            let ms = part.split_whitespace().count() as u64 * MS_PER_WORD;
            groups.push(Group { pause_ms, ms, words: part.to_owned(), judged: mid, sure: 1.0 });
        }
    }
    groups.last_mut().expect("words").judged = judged;
    groups
}

fn act(rest: &str) -> Act {
    match rest {
        "caller hangs up" => Act::HangsUp,
        "caller answers" => Act::Answers,
        "caller starts" => Act::Starts,
        "caller closes" => Act::Closes,
        "caller goes silent" => Act::GoesSilent,
        "no audio comes" => Act::LineSilent,
        "caller sticks" => Act::Sticks,
        "caller breaks" => Act::Breaks,
        "caller fails" => Act::LegFails,
        "operator hangs up" => Act::Operator,
        "drain is over" => Act::DrainOver,
        "worker breaks" => Act::WorkerBreaks,
        "provider is missing" => Act::ProviderMissing,
        "facts overrun" => Act::Overrun,
        "line breaks" => Act::LineBreaks,
        "stale facts" => Act::Stale,
        "recognition fails" => Act::ListenFails,
        "leg stalls" => Act::Stalls,
        "far end throws away" => Act::ThrowsAway,
        "peer is mute" => Act::Deaf,
        _ => spoken(rest),
    }
}

fn spoken(rest: &str) -> Act {
    if let Some(reason) = rest.strip_prefix("nobody is reached: ") {
        return Act::Unreached(reason.to_owned());
    }
    if let Some(keys) = rest.strip_prefix("caller presses ") {
        return Act::Presses(keys.to_owned());
    }
    if let Some(what) = rest.strip_prefix("caller makes ") {
        let (ms, what) = what.split_once(' ').expect(rest);
        let sound = if what == "cough" { Sound::Cough } else { Sound::Murmur };
        return Act::Makes { ms: millis(ms), sound };
    }
    if let Some(what) = rest.strip_prefix("caller beeps ") {
        let (ms, hz) = what.split_once(' ').expect(rest);
        return Act::Beeps { ms: millis(ms), hz: hz.trim_end_matches("Hz").parse().expect(rest) };
    }
    let number = |flags: &str, key: &str, or: f32| {
        flags.split_whitespace().find_map(|f| f.strip_prefix(key)).map_or(or, |p| p.parse().expect(rest))
    };
    if let Some(said) = rest.strip_prefix("caller says ") {
        let (words, flags) = quoted(said);
        return Act::Says(groups(&words, number(flags, "judged=", 0.9), number(flags, "mid=", 0.3)));
    }
    let said = rest.strip_prefix("caller speaks ").unwrap_or_else(|| panic!("unknown act: {rest}"));
    let (ms, said) = said.split_once(' ').unwrap_or((said, ""));
    let (words, flags) = quoted(said);
    let judged = number(flags, "judged=", 0.9);
    let sure = number(flags, "sure=", 1.0);
    Act::Says(vec![Group { pause_ms: 0, ms: millis(ms), words, judged, sure }])
}
