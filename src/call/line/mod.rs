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
pub use rings::{Chunk, DriverEnd, LegEnd, Rings, SpeechFeed, prefetch_ring};

use std::sync::Arc;

use caller::CallerQueue;
pub use playout::LEAD_FRAMES;
use playout::{Playing, Playout};
use widen::Widen;

use crate::media::{
    BeepDetector, EchoGuard, Edge, EdgeConfig, ResampleError, ToneKind, VoiceDetector, VoiceEdges, VoiceFrame,
    VoiceTables,
};
use crate::units::{FRAME_MS, MAX_FRAME_SAMPLES, Moment, SampleRate, prefetch};

/// Samples of one frame at 16 kHz.
const WIDE_FRAME: usize = 320;

/// Takes the two channels of the recording, one frame of each per tick.
pub trait RecordTap {
    /// The caller's frame and the bot's frame of the same 20 ms.
    fn pair(&mut self, caller: &[i16], bot: &[i16]);
}

/// What a leg is to its line: where media goes, and where it comes from if the leg takes it off the wire itself. Called by the
/// shard's thread: nothing here may allocate, lock or wait.
pub trait LegEdge {
    /// Frames that the far end may hold ahead of what the caller hears, 1 to [`LEAD_FRAMES`].
    fn lead(&self) -> usize {
        LEAD_FRAMES
    }
    /// Fills the caller's frame of the tick that is due at `due` and says how; `None` where the caller's audio comes by the line's
    /// own ring.
    fn hear(&mut self, _due: Moment, _frame: &mut [i16]) -> Option<CallerFrame> {
        None
    }
    /// How long the frame of the tick `ago_ms` back had waited, where [`LegEdge::hear`] gave it; in milliseconds.
    fn wait_ms(&self, _ago_ms: u32) -> u32 {
        0
    }
    /// What the far end did besides sending audio; asked until there is no more of it.
    fn event(&mut self) -> Option<EdgeEvent> {
        None
    }
    /// Nothing was sent in the tick that was due at `due`: a stream that never pauses sends silence.
    fn rest(&mut self, _due: Moment) {}
    /// A tick came too late and passes without anything being sent.
    fn skipped(&mut self) {}
    /// Does the far end take another frame?
    fn has_room(&self) -> bool;
    /// Sends one frame that is due at `due`, and names the pieces of speech that end with it.
    fn send(&mut self, due: Moment, samples: &[i16], ended: &Ended);
    /// Tells the far end to throw away what it has not played.
    fn clear(&mut self);
}

/// What a leg's own frame of the caller is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallerFrame {
    /// The caller's audio.
    Audio,
    /// Made up for audio that was lost.
    Concealed,
    /// Nothing came.
    Silence,
}

/// What a far end does besides sending audio.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EdgeEvent {
    /// A key was pressed: `0`–`9`, `*`, `#`, `A`–`D`.
    Digit(u8),
    /// No packet came for as long as may be.
    Silent,
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
    /// Ticks in which lost audio of the caller was made up for.
    pub concealed: u64,
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
    /// The call's task has facts to read.
    pub driver: bool,
    /// It has enough audio to read, which can wait for a few milliseconds.
    pub audio: bool,
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
    /// Only while a beep is looked for.
    beep: Option<BeepDetector>,
    /// The last comparison: in which tick, and what it said.
    echo_asked: u64,
    echoes: bool,
    /// The far end gets its own audio back.
    echoing: bool,
    bot_quiet_ticks: u32,
    listened: u64,
    listened_since_wake: usize,
    opened: bool,
    closed: bool,
    overrun: bool,
    wake_owed: bool,
    stats: LineStats,
}

/// The driver is woken for audio after this much of it, in samples at 16 kHz: 100 ms while the caller's voice is on, so that
/// recognition keeps up with it, and 300 ms, half of what the rings hold, where there is nothing to recognise.
const LISTEN_WAKE_SAMPLES: [usize; 2] = [4_800, 1_600];
/// The echo guard is asked in every so manyth tick.
const ECHO_EVERY_TICKS: u64 = 3;
/// The bot's echo may come back this long after its last frame, in ticks: 500 ms.
const ECHO_TAIL_TICKS: u32 = 25;

impl Line {
    /// A line for a leg of `rate`; what voice detectors share is handed to its own.
    ///
    /// # Errors
    /// Where the rate is none of 8, 16 and 24 kHz.
    pub fn new(rate: SampleRate, rings: Rings, tables: &Arc<VoiceTables>) -> Result<Self, ResampleError> {
        Ok(Self {
            rate,
            rings,
            caller: CallerQueue::new(rate),
            playout: Playout::new(rate),
            widen: Widen::new(rate)?,
            vad: VoiceDetector::new(tables),
            edges: VoiceEdges::new(EdgeConfig::default()),
            echo: EchoGuard::new(rate),
            beep: None,
            echo_asked: 0,
            echoes: false,
            echoing: false,
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

    /// Begins to bring near what the next tick touches in the line itself; what that points to is [`Self::prefetch_far`].
    pub fn prefetch(&self) {
        prefetch(&self.rings);
        self.playout.prefetch();
        prefetch(&self.widen);
        prefetch(&self.edges);
        prefetch(&self.echo);
        prefetch(&self.caller);
        prefetch(&self.stats);
        self.vad.prefetch();
    }

    /// The same for what the line points to; wants [`Self::prefetch`] to have been called a while before.
    pub fn prefetch_far(&mut self) {
        let frame = self.rate.frame_samples();
        self.rings.prefetch(WIDE_FRAME, frame);
        self.vad.prefetch_far();
        self.echo.prefetch(frame);
    }

    /// One tick of 20 ms that is due at `due`.
    pub fn tick(&mut self, due: Moment, edge: &mut impl LegEdge, tap: &mut impl RecordTap) -> Wakes {
        let mut wakes = Wakes { driver: std::mem::take(&mut self.wake_owed), ..Wakes::default() };
        if !self.opened {
            self.opened = true;
            self.tell(LineFact::Opened { at: due }, &mut wakes);
        }
        self.stats.ticks += 1;
        while let Ok(order) = self.rings.orders.pop() {
            self.obey(order, edge, &mut wakes);
        }
        // A driver that is gone without a word (it panicked) ends its line all the same.
        if self.rings.orders.is_abandoned() && self.rings.orders.is_empty() {
            self.obey(LineOrder::Close, edge, &mut wakes);
        }
        let n = self.rate.frame_samples();
        let mut heard = [0i16; MAX_FRAME_SAMPLES];
        let mut spoken = [0i16; MAX_FRAME_SAMPLES];
        self.hear(due, &mut heard[..n], edge);
        while let Some(event) = edge.event() {
            self.tell(event.into(), &mut wakes);
        }
        if self.echoing {
            self.send_back(due, &heard[..n], &mut spoken[..n], edge);
        } else {
            self.speak(due, &mut spoken[..n], edge, &mut wakes);
        }
        self.listen(due, &heard[..n], &spoken[..n], edge, &mut wakes);
        tap.pair(&heard[..n], &spoken[..n]);
        if self.overrun && !self.closed {
            self.overrun = self.rings.facts.push(LineFact::Overrun).is_err();
        }
        wakes.closed = self.closed;
        wakes
    }

    /// A tick of this line panicked: tells its call and ticks no more. False where the call has not read what it was told before;
    /// ask again.
    pub fn break_off(&mut self) -> bool {
        self.closed = self.rings.facts.push(LineFact::Broken).is_ok() || self.rings.facts.is_abandoned();
        self.closed
    }

    /// The thread came so late that this tick cannot be made up for: nothing is sent, nothing is listened to. Time passes
    /// all the same: the far end plays on from what it holds, and both are recorded.
    pub fn skip(&mut self, due: Moment, edge: &mut impl LegEdge, tap: &mut impl RecordTap) {
        let n = self.rate.frame_samples();
        let mut heard = [0i16; MAX_FRAME_SAMPLES];
        let mut spoken = [0i16; MAX_FRAME_SAMPLES];
        self.stats.skipped += 1;
        edge.skipped();
        self.hear(due, &mut heard[..n], edge);
        // The facts wait in their ring for the next tick, which wakes the driver.
        let mut wakes = Wakes::default();
        self.play(&mut spoken[..n], &mut wakes);
        // Without this the two would stand 20 ms nearer to each other until the echo of it has passed.
        self.echo.played(&spoken[..n]);
        self.echo.heard(&heard[..n]);
        self.wake_owed |= wakes.driver;
        tap.pair(&heard[..n], &spoken[..n]);
    }

    /// The caller's frame: from the wire where the leg takes it off itself, else from the ring.
    fn hear(&mut self, due: Moment, frame: &mut [i16], edge: &mut impl LegEdge) {
        match edge.hear(due, frame) {
            None => self.caller.pop(&mut self.rings.caller, frame, &mut self.stats),
            Some(CallerFrame::Audio) => self.stats.frames_in += 1,
            Some(CallerFrame::Concealed) => self.stats.concealed += 1,
            Some(CallerFrame::Silence) => self.stats.gaps += u64::from(self.stats.frames_in > 0),
        }
    }

    fn tell(&mut self, fact: LineFact, wakes: &mut Wakes) {
        wakes.driver = true;
        if self.rings.facts.push(fact).is_err() {
            self.overrun = true;
        }
    }

    fn obey(&mut self, order: LineOrder, edge: &mut impl LegEdge, wakes: &mut Wakes) {
        match order {
            LineOrder::Pause => self.playout.pause(),
            LineOrder::Resume => self.playout.resume(),
            LineOrder::Cut { utterance } => {
                let cut = self.playout.cut(utterance);
                edge.clear();
                if let Some((segment, heard_ms)) = cut {
                    self.tell(LineFact::SpeechCut { utterance, segment, heard_ms }, wakes);
                }
            }
            LineOrder::SeekBeep { on } => self.beep = on.then(|| BeepDetector::new(self.rate)),
            LineOrder::Echo => self.echoing = true,
            LineOrder::Close => {
                self.closed = true;
                wakes.driver = true;
            }
        }
    }

    /// Sends what is due and fills `spoken` with what the caller hears in this tick.
    fn speak(&mut self, due: Moment, spoken: &mut [i16], edge: &mut impl LegEdge, wakes: &mut Wakes) {
        let mut sent = false;
        while self.playout.wants_more(edge.lead()) {
            if !edge.has_room() {
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
            edge.send(due, &frame[..n], &ended);
            sent = true;
            self.stats.frames_out += 1;
            if let Some(utterance) = began {
                self.tell(LineFact::SpeechBegan { utterance, at: due }, wakes);
            }
        }
        if !sent {
            edge.rest(due);
        }
        self.play(spoken, wakes);
    }

    /// Sends the caller's own frame in the tick in which it was heard.
    fn send_back(&mut self, due: Moment, heard: &[i16], spoken: &mut [i16], edge: &mut impl LegEdge) {
        if !edge.has_room() {
            self.stats.stalled += 1;
            return;
        }
        edge.send(due, heard, &[None; ENDS_PER_FRAME]);
        self.stats.frames_out += 1;
        spoken.copy_from_slice(heard);
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
    fn listen(&mut self, due: Moment, heard: &[i16], spoken: &[i16], edge: &impl LegEdge, wakes: &mut Wakes) {
        let mut wide = [0i16; WIDE_FRAME + 8];
        let n = self.widen.frame(heard, &mut wide);
        let wide = &wide[..n];
        let pushed = rings::push_samples(&mut self.rings.listen, wide);
        self.stats.unheard_samples += (n - pushed) as u64;
        self.listened += pushed as u64;
        self.listened_since_wake += n;
        if self.listened_since_wake >= LISTEN_WAKE_SAMPLES[usize::from(self.edges.speaking())] {
            self.listened_since_wake = 0;
            wakes.audio = true;
        }
        let mut voice = self.vad.push(wide);
        if let Some(tone) = self.beep.as_mut().and_then(|beep| beep.push(heard, voice.voiced))
            && tone.kind == ToneKind::Beep
        {
            let ended = due.back_ms(u64::from(tone.ago_ms));
            self.tell(LineFact::Beeped { ended, hz: tone.hz, lasted_ms: tone.lasted_ms }, wakes);
        }
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
                let queue_ms = self.caller.wait_ms(ago_ms).max(edge.wait_ms(ago_ms));
                self.tell(LineFact::VoiceCeased { since, queue_ms }, wakes);
            }
            None => {}
        }
    }
}

/// Frames per second of a line.
pub const TICKS_PER_SECOND: u32 = 1000 / FRAME_MS;
