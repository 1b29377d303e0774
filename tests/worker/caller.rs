//! A caller who keeps time: a frame every 20 ms by absolute deadlines, speaks when the bot has spoken, remembers when what came
//! and how late it was itself. Speech is a recorded clip with the caller's own tone in it, silence is silence.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::sync::OnceLock;
use std::time::Duration;

use tokio_tungstenite::tungstenite::Message;
use voicefleet::rt;
use voicefleet::transport::ws::{Client, ClientError, ClientTls, connect};
use voicefleet::units::Moment;
use voicefleet::wire::ws::native::{Dialler, FromBot};

use crate::tape::{RATE_HZ, TONE_PEAK, tone_hz};
use crate::world::PATIENCE;

const FRAME: usize = 160;
/// The bot has finished when nothing came for this long: less than its pause between two of the caller's turns.
const BOT_DONE_MS: u64 = 300;
/// A turn of the caller.
const SPEECH_MS: usize = 700;

/// What a caller does.
#[derive(Clone)]
pub struct Plan {
    pub caller_id: String,
    /// Which tone is in its voice.
    pub tone: usize,
    /// Turns that it takes; afterwards it only listens.
    pub turns: usize,
    pub fields: Vec<(String, String)>,
    pub outgoing: bool,
    /// How long it lets the phone ring, with audio already flowing.
    pub ring_ms: u64,
    /// It speaks over the bot this long after the bot's first audio, once.
    pub barge_in_ms: Option<u64>,
    /// How long it speaks in one turn.
    pub speech_ms: usize,
    /// It hangs up after so much time.
    pub hang_up_ms: Option<u64>,
    /// It speaks while the phone rings.
    pub talks_early: bool,
    /// What it says first, where that is not `connected` and `start`.
    pub opening: Option<Vec<String>>,
    /// The media socket's token.
    pub token: Option<String>,
    /// It asks for marks.
    pub marks: bool,
    /// It answers a mark so long after it came: its buffer; `None` for a dialler that asks and never answers.
    pub played_ms: Option<u64>,
}

impl Plan {
    pub fn new(caller_id: &str) -> Self {
        Self {
            caller_id: caller_id.to_owned(),
            tone: 0,
            turns: 99,
            fields: Vec::new(),
            outgoing: false,
            ring_ms: 0,
            barge_in_ms: None,
            speech_ms: SPEECH_MS,
            hang_up_ms: None,
            talks_early: false,
            opening: None,
            token: None,
            marks: true,
            played_ms: Some(60),
        }
    }
}

/// One message of the bot side, and when it came (milliseconds after the first frame).
#[derive(Debug)]
pub enum Came {
    Audio { chunk: u64, bytes: usize },
    Stop,
    HangUp,
    Transfer(String),
    Mark(String),
    Other,
}

/// What the caller remembers of its call.
#[derive(Debug, Default)]
pub struct Memory {
    pub came: Vec<(u64, Came)>,
    pub call_id: Option<String>,
    /// What it answered to marks, and when.
    pub played: Vec<(u64, String, bool)>,
    pub turns: usize,
    pub answered_ms: u64,
    /// When each of its turns began and ended.
    pub spoke: Vec<(u64, u64)>,
    /// How late each frame left, in microseconds.
    pub late_us: Vec<u64>,
    /// The socket's end.
    pub closed: Option<u16>,
}

impl Memory {
    pub fn chunks(&self) -> Vec<u64> {
        let of = |c: &Came| if let Came::Audio { chunk, .. } = c { Some(*chunk) } else { None };
        self.came.iter().filter_map(|(_, c)| of(c)).collect()
    }

    pub fn first_audio_ms(&self) -> Option<u64> {
        self.came.iter().find(|(_, c)| matches!(c, Came::Audio { .. })).map(|(at, _)| *at)
    }

    /// The names of the marks that came.
    pub fn marks(&self) -> Vec<&str> {
        self.came
            .iter()
            .filter_map(|(_, c)| if let Came::Mark(name) = c { Some(name.as_str()) } else { None })
            .collect()
    }

    /// Where the bot handed the caller over to.
    pub fn transferred_to(&self) -> Option<&str> {
        self.came.iter().find_map(|(_, c)| if let Came::Transfer(to) = c { Some(to.as_str()) } else { None })
    }

    /// The bot hung up.
    pub fn bot_hung_up(&self) -> bool {
        self.came.iter().any(|(_, c)| matches!(c, Came::HangUp))
    }
}

/// The 99th of 100 values.
pub fn p99(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    values.get((values.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0)
}

pub struct Caller {
    client: Client,
    pub wire: Dialler,
    plan: Plan,
    pub memory: Memory,
    start: Moment,
    /// Samples of the running turn that were said.
    saying: Option<usize>,
    silent_since: Option<u64>,
    barged: bool,
    /// Marks whose audio it has not played, and when it will have.
    unplayed: VecDeque<(u64, String)>,
}

impl Caller {
    /// Connects and opens the call, up to `start`; an incoming one is answered too.
    pub async fn open(url: &str, plan: Plan) -> Result<Self, ClientError> {
        let client = connect(url, plan.token.as_deref(), &ClientTls::Public, PATIENCE).await?;
        let wire = Dialler::new(&format!("st-{}", plan.caller_id));
        let direction = if plan.outgoing { "outgoing" } else { "incoming" };
        let mut named = vec![("callerId", plan.caller_id.as_str()), ("did", "+9180"), ("callDirection", direction)];
        named.extend(plan.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        let caps = if plan.marks { &["ready", "dtmf", "mark"][..] } else { &["ready", "dtmf"] };
        let usual = || vec![wire.connected(&named, caps), wire.start("LINEAR", RATE_HZ, false)];
        let opening = plan.opening.clone().unwrap_or_else(usual);
        let mut caller = Self {
            client,
            wire,
            plan,
            memory: Memory::default(),
            start: rt::now(),
            saying: None,
            silent_since: None,
            barged: false,
            unplayed: VecDeque::new(),
        };
        for text in opening {
            caller.client.send_text(text).await?;
        }
        Ok(caller)
    }

    /// The whole conversation, to its end.
    pub async fn converse(url: impl AsRef<str>, plan: Plan) -> Memory {
        let caller = Self::open(url.as_ref(), plan).await.unwrap_or_else(|error| panic!("{error}"));
        caller.finish().await
    }

    /// Goes on until the call is over.
    pub async fn finish(mut self) -> Memory {
        let over = rt::timeout(PATIENCE, self.run(|_| false)).await;
        assert!(over.is_some(), "{}: the call does not end: {:?}", self.plan.caller_id, self.memory);
        self.memory
    }

    /// Goes on until `enough`; `false` where the call ended before.
    pub async fn until(&mut self, enough: impl Fn(&Memory) -> bool) -> bool {
        rt::timeout(PATIENCE, self.run(enough)).await.expect("enough within the patience")
    }

    async fn run(&mut self, enough: impl Fn(&Memory) -> bool) -> bool {
        if self.memory.late_us.is_empty() {
            self.start = rt::now();
        }
        loop {
            if enough(&self.memory) {
                return true;
            }
            let frame = self.memory.late_us.len() as u64;
            let due = self.start.plus_ms(frame * 20);
            tokio::select! {
                biased;
                came = self.client.next() => match came {
                    Ok(message) => self.take(&message).await,
                    Err(ClientError::Closed { code, .. }) => {
                        self.memory.closed = Some(code);
                        return false;
                    }
                    Err(_) => return false,
                },
                () = rt::sleep_until(due) => {
                    self.memory.late_us.push(rt::now().since(due).as_micros() as u64);
                    if !self.frame(frame * 20).await {
                        return false;
                    }
                }
            }
        }
    }

    /// Sends the frame of this moment.
    async fn frame(&mut self, now_ms: u64) -> bool {
        if self.memory.answered_ms == 0 && now_ms >= self.plan.ring_ms {
            self.memory.answered_ms = now_ms.max(1);
            let answer = self.wire.answer();
            if self.client.send_text(answer).await.is_err() {
                return false;
            }
        }
        if self.plan.hang_up_ms.is_some_and(|at| now_ms >= at) {
            self.plan.hang_up_ms = None;
            let text = self.wire.hang_up("customer");
            return self.client.send_text(text).await.is_ok();
        }
        while let Some((_, name)) = self.unplayed.pop_front_if(|(at, _)| *at <= now_ms) {
            if !self.answer_mark(now_ms, name, true).await {
                return false;
            }
        }
        self.decide(now_ms);
        let mut samples = [0i16; FRAME];
        if let Some(at) = &mut self.saying {
            speech(self.plan.tone, *at, &mut samples);
            *at += FRAME;
            if *at >= self.plan.speech_ms * 8 {
                self.saying = None;
                self.silent_since = None;
                if let Some((_, end)) = self.memory.spoke.last_mut() {
                    *end = now_ms + 20;
                }
            }
        }
        let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let text = self.wire.media(&bytes);
        self.client.send_text(text).await.is_ok()
    }

    async fn answer_mark(&mut self, now_ms: u64, name: String, played: bool) -> bool {
        let text = self.wire.mark_played(&name, played);
        self.memory.played.push((now_ms, name, played));
        self.client.send_text(text).await.is_ok()
    }

    /// Begins to speak where it is the caller's turn.
    fn decide(&mut self, now_ms: u64) {
        if self.saying.is_some() || self.memory.turns >= self.plan.turns || self.memory.bot_hung_up() {
            return;
        }
        let early = self.plan.talks_early && self.memory.answered_ms == 0 && self.memory.turns == 0;
        let done = early || self.silent_since.is_some_and(|at| now_ms >= at + BOT_DONE_MS);
        let over = !self.barged
            && self
                .plan
                .barge_in_ms
                .is_some_and(|after| self.memory.first_audio_ms().is_some_and(|at| now_ms >= at + after));
        if done || over {
            self.barged |= over;
            self.saying = Some(0);
            self.memory.turns += 1;
            self.memory.spoke.push((now_ms, u64::MAX));
        }
    }

    async fn take(&mut self, message: &Message) {
        let now_ms = rt::now().ms_since(self.start);
        let Message::Text(text) = message else { panic!("expected text, got {message:?}") };
        let came = match Dialler::read(text.as_str()).unwrap_or_else(|error| panic!("{error}: {text}")) {
            FromBot::Media(media) => {
                self.silent_since = Some(now_ms);
                assert_eq!(media.chunk_durn_ms, 20);
                Came::Audio { chunk: media.chunk, bytes: media.payload.len() }
            }
            FromBot::Stop => {
                for (_, name) in std::mem::take(&mut self.unplayed) {
                    // A worker that has closed already needs no answer.
                    let _ = self.answer_mark(now_ms, name, false).await;
                }
                Came::Stop
            }
            FromBot::Mark { name } => {
                assert!(self.plan.marks, "nobody asked for {name}");
                if let Some(after) = self.plan.played_ms {
                    self.unplayed.push_back((now_ms + after, name.clone()));
                }
                Came::Mark(name)
            }
            FromBot::HangUp { .. } => {
                let answer = self.wire.hang_up("customer");
                // A worker that has closed already needs no answer.
                drop(self.client.send_text(answer).await);
                Came::HangUp
            }
            FromBot::Transfer { to } => Came::Transfer(to),
            FromBot::Ready { call_id } => {
                self.memory.call_id = Some(call_id);
                return;
            }
            _ => Came::Other,
        };
        self.memory.came.push((now_ms, came));
    }

    pub async fn say(&mut self, text: String) -> bool {
        self.client.send_text(text).await.is_ok()
    }

    /// Messages that come while the caller does nothing for `span`.
    pub async fn listen_for(&mut self, span: Duration) -> usize {
        let before = self.memory.came.len();
        let heard = async {
            while let Ok(message) = self.client.next().await {
                self.take(&message).await;
            }
        };
        let _ = rt::timeout(span, heard).await;
        self.memory.came.len() - before
    }

    /// Goes without a word, as a dialler that fell over.
    pub fn drop_line(self) -> Memory {
        self.memory
    }
}

/// The caller's voice from sample `at` on: a clip all callers share, and this caller's own tone over it.
fn speech(tone: usize, at: usize, out: &mut [i16]) {
    static CLIP: OnceLock<Vec<i16>> = OnceLock::new();
    let clip = CLIP.get_or_init(|| {
        let path = format!("{}/fixtures/audio/caller_rms.wav", env!("CARGO_MANIFEST_DIR"));
        let mut reader = hound::WavReader::open(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let all: Vec<i16> = reader.samples().map(Result::unwrap).collect();
        let loud = |frame: &&[i16]| frame.iter().any(|s| s.unsigned_abs() > 1_200);
        all.chunks(FRAME).filter(loud).flatten().copied().collect()
    });
    for (i, sample) in out.iter_mut().enumerate() {
        let phase = (at + i) as f64 * TAU * tone_hz(tone) / f64::from(RATE_HZ);
        let own = (phase.sin() * TONE_PEAK) as i16;
        *sample = (clip[(at + i) % clip.len()] / 2).saturating_add(own);
    }
}

/// How long a test lets things settle that leave no trace when they are right.
pub const SETTLE: Duration = Duration::from_millis(300);
