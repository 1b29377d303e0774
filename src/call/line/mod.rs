//! The audio half of a call: one tick of 20 ms takes one frame from the caller and sends at most what keeps the far end three
//! frames ahead. Jitter queue, resampling for the listeners, voice detection behind the echo guard, playout that knows which
//! sample was heard, the two channels of the recording. Never allocates, locks, waits or reads a clock once it is built;
//! facts and orders are plain data.

mod caller;
mod fact;
mod playout;
mod rings;
mod widen;

pub use fact::{LineFact, LineOrder};
pub use playout::{ENDS_PER_FRAME, Ended};
pub use rings::{Chunk, DriverEnd, LegEnd, Rings, SpeechFeed};

use caller::CallerQueue;
use playout::{Playing, Playout};
use widen::Widen;

use crate::media::{EchoGuard, Edge, EdgeConfig, ResampleError, VoiceDetector, VoiceEdges, VoiceFrame};
use crate::units::{FRAME_MS, MAX_FRAME_SAMPLES, Moment, SampleRate};

/// Samples of one frame at 16 kHz.
const WIDE_FRAME: usize = 320;

/// Takes the two channels of the recording, one frame of each per tick.
pub trait RecordTap {
    /// The caller's frame and the bot's frame of the same 20 ms.
    fn pair(&mut self, caller: &[i16], bot: &[i16]);
}

/// Where outgoing media goes: the leg's protocol-independent edge.
pub trait Outlet {
    /// Does the far end take another frame?
    fn has_room(&self) -> bool;
    /// Sends one frame that is due at `due`, and names the pieces of speech that end with it.
    fn send(&mut self, due: Moment, samples: &[i16], ended: &Ended);
    /// Tells the far end to throw away what it has not played.
    fn clear(&mut self);
}

/// Counters of one line, read when it is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineStats {
    /// Ticks.
    pub ticks: u64,
    /// Frames of the caller that were there in time.
    pub frames_in: u64,
    /// Ticks in which the caller's audio was missing after it had begun.
    pub gaps: u64,
    /// Caller audio dropped because it came faster than real time, in samples.
    pub dropped_samples: u64,
    /// Frames sent.
    pub frames_out: u64,
    /// Ticks in which speech was due but not there.
    pub starved: u64,
    /// Ticks in which the far end took no more.
    pub stalled: u64,
    /// Caller audio that the listeners had no room for, in samples at 16 kHz.
    pub unheard_samples: u64,
    /// Ticks in which the caller's voice was put down to the bot's own echo.
    pub echo_ticks: u64,
    /// Ticks that were skipped because the thread came too late.
    pub skipped: u64,
}

/// What a tick asks of the thread that drives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wakes {
    /// The call's task has facts or enough audio to read.
    pub driver: bool,
    /// The line is closed; drop it.
    pub closed: bool,
}

/// The audio half of one call.
#[derive(Debug)]
pub struct Line {
    rate: SampleRate,
    rings: Rings,
    caller: CallerQueue,
    playout: Playout,
    widen: Widen,
    vad: VoiceDetector,
    edges: VoiceEdges,
    echo: EchoGuard,
    /// The last comparison: in which tick, and what it said.
    echo_asked: u64,
    echoes: bool,
    bot_quiet_ticks: u32,
    listened: u64,
    listened_since_wake: usize,
    opened: bool,
    closed: bool,
    overrun: bool,
    wake_owed: bool,
    stats: LineStats,
}

/// The driver is woken for audio after this much of it, in samples at 16 kHz: 100 ms.
const LISTEN_WAKE_SAMPLES: usize = 1_600;
/// The echo guard is asked in every so manyth tick.
const ECHO_EVERY_TICKS: u64 = 3;
/// The bot's echo may come back this long after its last frame, in ticks: 500 ms.
const ECHO_TAIL_TICKS: u32 = 25;

impl Line {
    /// A line for a leg of `rate`.
    ///
    /// # Errors
    /// Where the rate is none of 8, 16 and 24 kHz.
    pub fn new(rate: SampleRate, rings: Rings) -> Result<Self, ResampleError> {
        Ok(Self {
            rate,
            rings,
            caller: CallerQueue::new(rate),
            playout: Playout::new(rate),
            widen: Widen::new(rate)?,
            vad: VoiceDetector::new(),
            edges: VoiceEdges::new(EdgeConfig::default()),
            echo: EchoGuard::new(rate),
            echo_asked: 0,
            echoes: false,
            bot_quiet_ticks: ECHO_TAIL_TICKS,
            listened: 0,
            listened_since_wake: 0,
            opened: false,
            closed: false,
            overrun: false,
            wake_owed: false,
            stats: LineStats::default(),
        })
    }

    /// The leg's rate.
    #[must_use]
    pub const fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Counters so far.
    #[must_use]
    pub const fn stats(&self) -> LineStats {
        self.stats
    }

    /// One tick of 20 ms that is due at `due`.
    pub fn tick(&mut self, due: Moment, outlet: &mut impl Outlet, tap: &mut impl RecordTap) -> Wakes {
        let mut wakes = Wakes { driver: std::mem::take(&mut self.wake_owed), closed: false };
        if !self.opened {
            self.opened = true;
            self.tell(LineFact::Opened { at: due }, &mut wakes);
        }
        self.stats.ticks += 1;
        while let Ok(order) = self.rings.orders.pop() {
            self.obey(order, outlet, &mut wakes);
        }
        // A driver that is gone without a word (it panicked) ends its line all the same.
        if self.rings.orders.is_abandoned() && self.rings.orders.is_empty() {
            self.obey(LineOrder::Close, outlet, &mut wakes);
        }
        let n = self.rate.frame_samples();
        let mut heard = [0i16; MAX_FRAME_SAMPLES];
        let mut spoken = [0i16; MAX_FRAME_SAMPLES];
        self.caller.pop(&mut self.rings.caller, &mut heard[..n], &mut self.stats);
        self.speak(due, &mut spoken[..n], outlet, &mut wakes);
        self.listen(due, &heard[..n], &spoken[..n], &mut wakes);
        tap.pair(&heard[..n], &spoken[..n]);
        if self.overrun && !self.closed {
            self.overrun = self.rings.facts.push(LineFact::Overrun).is_err();
        }
        wakes.closed = self.closed;
        wakes
    }

    /// The thread came so late that this tick cannot be made up for: nothing is sent, nothing is listened to. Time passes
    /// all the same: the far end plays on from what it holds, and both are recorded.
    pub fn skip(&mut self, tap: &mut impl RecordTap) {
        let n = self.rate.frame_samples();
        let mut heard = [0i16; MAX_FRAME_SAMPLES];
        let mut spoken = [0i16; MAX_FRAME_SAMPLES];
        self.stats.skipped += 1;
        self.caller.pop(&mut self.rings.caller, &mut heard[..n], &mut self.stats);
        // The facts wait in their ring for the next tick, which wakes the driver.
        let mut wakes = Wakes::default();
        self.play(&mut spoken[..n], &mut wakes);
        // Without this the two would stand 20 ms nearer to each other until the echo of it has passed.
        self.echo.played(&spoken[..n]);
        self.echo.heard(&heard[..n]);
        self.wake_owed |= wakes.driver;
        tap.pair(&heard[..n], &spoken[..n]);
    }

    fn tell(&mut self, fact: LineFact, wakes: &mut Wakes) {
        wakes.driver = true;
        if self.rings.facts.push(fact).is_err() {
            self.overrun = true;
        }
    }

    fn obey(&mut self, order: LineOrder, outlet: &mut impl Outlet, wakes: &mut Wakes) {
        match order {
            LineOrder::Pause => self.playout.pause(),
            LineOrder::Resume => self.playout.resume(),
            LineOrder::Cut { utterance } => {
                let cut = self.playout.cut(utterance);
                outlet.clear();
                if let Some((segment, heard_ms)) = cut {
                    self.tell(LineFact::SpeechCut { utterance, segment, heard_ms }, wakes);
                }
            }
            LineOrder::Close => {
                self.closed = true;
                wakes.driver = true;
            }
        }
    }

    /// Sends what is due and fills `spoken` with what the caller hears in this tick.
    fn speak(&mut self, due: Moment, spoken: &mut [i16], outlet: &mut impl Outlet, wakes: &mut Wakes) {
        while self.playout.wants_more() {
            if !outlet.has_room() {
                self.stats.stalled += 1;
                break;
            }
            let mut frame = [0i16; MAX_FRAME_SAMPLES];
            let n = spoken.len();
            let Some((began, ended)) =
                self.playout.next_frame(&mut self.rings.speech, &mut frame[..n], &mut self.stats)
            else {
                break;
            };
            outlet.send(due, &frame[..n], &ended);
            self.stats.frames_out += 1;
            if let Some(utterance) = began {
                self.tell(LineFact::SpeechBegan { utterance, at: due }, wakes);
            }
        }
        self.play(spoken, wakes);
    }

    /// The far end plays one frame of what it holds.
    fn play(&mut self, spoken: &mut [i16], wakes: &mut Wakes) {
        match self.playout.play(spoken) {
            Playing::Speech { ended } => {
                self.bot_quiet_ticks = 0;
                for mark in ended.into_iter().flatten() {
                    self.tell(LineFact::SegmentHeard { utterance: mark.utterance, segment: mark.segment }, wakes);
                }
            }
            Playing::Silence => self.bot_quiet_ticks = self.bot_quiet_ticks.saturating_add(1),
        }
    }

    /// Is the voice the bot's own? The comparison is the dearest thing in a tick, so it is made in every third one only; a
    /// beginning takes three voiced ticks and so never passes without it.
    fn sounds_like_echo(&mut self) -> bool {
        if self.stats.ticks >= self.echo_asked + ECHO_EVERY_TICKS {
            self.echo_asked = self.stats.ticks;
            self.echoes = self.echo.is_echo();
        }
        self.echoes
    }

    /// Feeds the listeners and tells when the caller's voice begins and ceases.
    fn listen(&mut self, due: Moment, heard: &[i16], spoken: &[i16], wakes: &mut Wakes) {
        let mut wide = [0i16; WIDE_FRAME + 8];
        let n = self.widen.frame(heard, &mut wide);
        let wide = &wide[..n];
        let pushed = rings::push_samples(&mut self.rings.listen, wide);
        self.stats.unheard_samples += (n - pushed) as u64;
        self.listened += pushed as u64;
        self.listened_since_wake += n;
        if self.listened_since_wake >= LISTEN_WAKE_SAMPLES {
            self.listened_since_wake = 0;
            wakes.driver = true;
        }
        let mut voice = self.vad.push(wide);
        self.echo.played(spoken);
        self.echo.heard(heard);
        if voice.voiced && self.bot_quiet_ticks < ECHO_TAIL_TICKS && self.sounds_like_echo() {
            voice = VoiceFrame::default();
            self.stats.echo_ticks += 1;
        }
        let now = due;
        match self.edges.push(voice) {
            Some(Edge::Began { ago_ms }) => {
                let ago = u64::from(ago_ms);
                let pos = self.listened.saturating_sub(ago * 16);
                self.tell(LineFact::VoiceBegan { since: now.back_ms(ago), pos }, wakes);
            }
            Some(Edge::Ceased { ago_ms }) => {
                let since = now.back_ms(u64::from(ago_ms));
                let queue_ms = self.caller.wait_ms(ago_ms);
                self.tell(LineFact::VoiceCeased { since, queue_ms }, wakes);
            }
            None => {}
        }
    }
}

/// Frames per second of a line.
pub const TICKS_PER_SECOND: u32 = 1000 / FRAME_MS;
