//! One accepted socket: frames to facts, orders and bot audio to frames, every wait with a deadline. Owns nothing of the call but
//! its leg; a panic here ends this leg only (`Lost(Internal)`).

mod leg;
mod marks;
mod out;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::Message;

use crate::call::{LegFact, LegLoss, LegMeta, LegOrder};
use crate::rt;
use crate::shard::LegPort;
use crate::units::{BotId, Moment};
use crate::wire::ws::{AudioFormat, Dialect, Dismissal, Egress, Inbox, Ingress, Opening};

use super::config::{WsConfig, ms};
use super::counters::{LegReport, WsMetrics};
use super::flood::{Flood, Verdict};
use super::host::{Host, Opened};
use super::socket::{Gone, Io, Socket};

use leg::Leg;
use marks::Marks;

/// Everything a session is made of.
pub struct Plan<H: Host> {
    /// The application.
    pub host: Arc<H>,
    /// The slot that was taken before the upgrade.
    pub slot: H::Slot,
    /// The bot of the path.
    pub bot: BotId,
    /// What the peer speaks.
    pub dialect: Box<dyn Dialect>,
    /// Where the peer is.
    pub peer: Option<SocketAddr>,
    /// Deadlines and limits.
    pub config: Arc<WsConfig>,
    /// Counts of all sessions.
    pub metrics: Arc<WsMetrics>,
}

/// How far the call has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Upgraded; `connected` is awaited.
    Waiting,
    /// A call exists; audio is awaited.
    Opened,
    /// Audio flows; `answer` is awaited.
    Started,
    /// The turn loop may speak.
    Answered,
    /// We hung up; the peer's answer is awaited.
    Leaving,
}

/// Why a session is over: its last fact, and the close frame that says so.
struct Ending {
    fact: LegFact,
    close: Option<(u16, String)>,
}

impl Ending {
    fn lost(loss: LegLoss, code: u16, reason: &str) -> Self {
        Self { fact: LegFact::Lost(loss), close: Some((code, reason.to_owned())) }
    }
}

impl From<Gone> for Ending {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Closed => Self { fact: LegFact::Lost(LegLoss::Closed), close: None },
            Gone::Full => Self { fact: LegFact::Lost(LegLoss::Stuck), close: None },
            Gone::Broken(1009) => Self::lost(LegLoss::Protocol, 1009, "message too long"),
            Gone::Broken(code) => Self::lost(LegLoss::Protocol, code, "broken frame"),
        }
    }
}

type Step = Result<(), Ending>;

/// A timer that runs on while other things happen.
type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

enum Event {
    Order(Option<LegOrder>),
    Port(Option<LegPort>),
    Audio,
    Timer,
    Io(Io),
}

struct Session<S, H: Host> {
    host: Arc<H>,
    slot: Option<H::Slot>,
    bot: BotId,
    peer: Option<SocketAddr>,
    config: Arc<WsConfig>,
    metrics: Arc<WsMetrics>,
    dialect: Box<dyn Dialect>,
    socket: Socket<S>,
    inbox: Inbox,
    stage: Stage,
    stage_until: Moment,
    leg: Option<Leg>,
    format: AudioFormat,
    muted: bool,
    marks: Marks,
    flood: Flood,
    early_frames: u32,
    early_bytes: usize,
    last_heard: Moment,
    next_ping: Moment,
    report: LegReport,
    out: out::Scratch,
}

/// Runs one session to its end.
pub async fn run<S, H>(stream: S, plan: Plan<H>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    H: Host,
{
    let metrics = Arc::clone(&plan.metrics);
    metrics.live.fetch_add(1, Ordering::Relaxed);
    let _live = Live(&metrics);
    let mut session = Session::new(stream, plan).await;
    let ending = session.live().await;
    session.finish(ending).await;
}

/// Counts a session as live until it is dropped, also by a panic.
struct Live<'a>(&'a WsMetrics);

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send, H: Host> Session<S, H> {
    async fn new(stream: S, plan: Plan<H>) -> Self {
        let now = rt::now();
        let config = plan.config;
        Self {
            host: plan.host,
            slot: Some(plan.slot),
            bot: plan.bot,
            peer: plan.peer,
            metrics: plan.metrics,
            dialect: plan.dialect,
            socket: Socket::accept(stream, config.message_bytes).await,
            inbox: Inbox::default(),
            stage: Stage::Waiting,
            stage_until: now + ms(config.handshake_ms),
            leg: None,
            format: AudioFormat::PLAIN,
            muted: false,
            marks: Marks::default(),
            flood: Flood::new(config.frames_per_second, config.flood_frames, now),
            early_frames: 0,
            early_bytes: 0,
            last_heard: now,
            next_ping: now + ms(config.ping_ms),
            report: LegReport::default(),
            out: out::Scratch::default(),
            config,
        }
    }

    /// Everything until the leg is over.
    async fn live(&mut self) -> Ending {
        let mut timer: Option<(Moment, Wait)> = None;
        loop {
            let due = self.deadline();
            // Deadlines move later with every frame; the timer is only made anew where one comes earlier.
            let (_, wait) = match timer.take() {
                Some((at, wait)) if at <= due => timer.insert((at, wait)),
                _ => timer.insert((due, Box::pin(rt::sleep_until(due)))),
            };
            let event = Self::event(&mut self.socket, self.leg.as_mut(), wait).await;
            let now = rt::now();
            if matches!(event, Event::Timer) {
                timer = None;
            }
            if let Err(ending) = self.take(event, now).await {
                return ending;
            }
        }
    }

    async fn event(
        socket: &mut Socket<S>,
        leg: Option<&mut Leg>,
        wait: &mut (dyn Future<Output = ()> + Send + Unpin),
    ) -> Event {
        let Some(leg) = leg else {
            return tokio::select! {
                biased;
                () = wait => Event::Timer,
                io = socket.next() => Event::Io(io),
            };
        };
        let clear_to_send = socket.waiting_since.is_none();
        tokio::select! {
            biased;
            order = leg.orders.recv(), if leg.orders_open => Event::Order(order),
            port = &mut leg.port_to_come, if leg.port.is_none() && leg.port_awaited => Event::Port(port.ok()),
            () = leg.wake.notified(), if clear_to_send => Event::Audio,
            () = wait => Event::Timer,
            io = socket.next() => Event::Io(io),
        }
    }

    fn deadline(&self) -> Moment {
        let mut due = (self.last_heard + ms(self.config.silence_ms)).min(self.next_ping);
        if self.stage != Stage::Answered {
            due = due.min(self.stage_until);
        }
        if let Some(since) = self.socket.waiting_since {
            due = due.min(since + ms(self.config.write_ms));
        }
        due
    }

    async fn take(&mut self, event: Event, now: Moment) -> Step {
        match event {
            Event::Io(Io::Frame(frame)) => self.frame(frame, now).await,
            Event::Io(Io::Flushed) | Event::Audio => self.send_audio(now),
            Event::Io(Io::Gone(gone)) => Err(gone.into()),
            Event::Timer => self.time_out(now),
            Event::Order(Some(order)) => self.order(order, now),
            Event::Order(None) => {
                if let Some(leg) = &mut self.leg {
                    leg.orders_open = false;
                }
                // After our hang-up the driver need not stay.
                if self.stage == Stage::Leaving {
                    Ok(())
                } else {
                    Err(Ending::lost(LegLoss::Internal, 1011, "the call ended"))
                }
            }
            Event::Port(port) => {
                if let Some(leg) = &mut self.leg {
                    leg.take_port(port, &mut self.report.counters);
                }
                self.send_audio(now)
            }
        }
    }

    fn time_out(&mut self, now: Moment) -> Step {
        if self.socket.waiting_since.is_some_and(|since| now >= since + ms(self.config.write_ms)) {
            return Err(Ending { fact: LegFact::Lost(LegLoss::Stuck), close: None });
        }
        if now >= self.last_heard + ms(self.config.silence_ms) {
            return Err(Ending::lost(LegLoss::Silent, 1001, "nothing heard"));
        }
        if self.stage != Stage::Answered && now >= self.stage_until {
            return Err(match self.stage {
                Stage::Leaving => Ending::lost(LegLoss::Closed, 1000, "bye"),
                Stage::Waiting => Ending::lost(LegLoss::Unanswered, 4408, "expected connected"),
                Stage::Opened => Ending::lost(LegLoss::Unanswered, 4408, "expected start or media"),
                Stage::Started | Stage::Answered => Ending::lost(LegLoss::Unanswered, 4408, "expected answer"),
            });
        }
        if now >= self.next_ping {
            self.next_ping = now + ms(self.config.ping_ms);
            self.socket.send(Message::Ping(Default::default()), now)?;
            self.write(&Egress::Ping, now)?;
        }
        Ok(())
    }

    async fn frame(&mut self, frame: Message, now: Moment) -> Step {
        self.last_heard = now;
        self.report.counters.frames_in += 1;
        match self.flood.frame(now) {
            Verdict::Take => {}
            Verdict::Drop => {
                self.report.counters.flooded += 1;
                return Ok(());
            }
            Verdict::Close => return Err(Ending::lost(LegLoss::Protocol, 1008, "too many frames")),
        }
        self.inbox.clear();
        match &frame {
            Message::Text(text) => {
                self.early(text.len())?;
                self.dialect.text(text.as_str(), &mut self.inbox);
            }
            Message::Binary(bytes) => {
                self.early(bytes.len())?;
                self.dialect.binary(bytes, &mut self.inbox);
            }
            // The peer's close frame; the answer to it is already queued.
            Message::Close(_) => return Err(Gone::Closed.into()),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(()),
        }
        let mut events = std::mem::take(&mut self.inbox.events);
        let mut step = Ok(());
        for event in events.drain(..) {
            step = self.heard(event, now).await;
            if step.is_err() {
                break;
            }
        }
        self.inbox.events = events;
        step
    }

    /// Bounds what a peer may send before audio starts.
    fn early(&mut self, bytes: usize) -> Step {
        if !matches!(self.stage, Stage::Waiting | Stage::Opened) {
            return Ok(());
        }
        self.early_frames += 1;
        self.early_bytes += bytes;
        if self.early_frames > self.config.early_frames || self.early_bytes > self.config.early_bytes {
            return Err(Ending::lost(LegLoss::Protocol, 4400, "too much before start"));
        }
        Ok(())
    }

    async fn heard(&mut self, event: Ingress, now: Moment) -> Step {
        match event {
            Ingress::Connected(opening) => {
                self.open(*opening);
                self.stage = Stage::Opened;
                self.stage_until = now + ms(self.config.handshake_ms);
            }
            Ingress::Started { format } => {
                self.format = format;
                if self.stage != Stage::Leaving {
                    self.stage = Stage::Started;
                    self.stage_until = now + ms(self.config.answer_ms);
                }
                self.tell(LegFact::Started { rate: format.rate }).await;
            }
            Ingress::Answered => {
                if self.stage == Stage::Started {
                    self.stage = Stage::Answered;
                }
                self.tell(LegFact::Answered).await;
            }
            Ingress::Audio(range) => {
                if let Some(leg) = &mut self.leg {
                    let bytes = self.inbox.audio.get(range).unwrap_or_default();
                    leg.caller_audio(self.format, bytes, &mut self.report.counters);
                }
            }
            Ingress::Digit(digit) => self.tell_if_room(LegFact::Digit { digit }),
            Ingress::Mark { name, played } => match self.marks.answered(&name) {
                Some(mark) => self.tell_if_room(LegFact::Mark { mark, played }),
                None => self.report.counters.unknown_marks += 1,
            },
            Ingress::HungUp { by } => {
                return Err(Ending { fact: LegFact::HungUp { by }, close: Some((1000, String::new())) });
            }
            Ingress::Ping => self.write(&Egress::Pong, now)?,
            Ingress::Refused(Dismissal { code, reason }) => {
                return Err(Ending::lost(LegLoss::Protocol, code, &reason));
            }
        }
        Ok(())
    }

    fn open(&mut self, opening: Opening) {
        let Some(slot) = self.slot.take() else { return };
        let meta = LegMeta {
            caller_id: opening.caller_id,
            did: opening.did,
            outgoing: opening.outgoing,
            custom: opening.custom,
            marks: self.dialect.caps().mark,
            ring_limit_ms: None,
            tells_transfers: false,
        };
        let opened = Opened { bot: self.bot.clone(), meta, dialect: self.dialect.name(), peer: self.peer };
        self.leg = Some(Leg::new(self.host.open(slot, opened)));
    }

    /// Tells a fact that must arrive; a driver that does not listen for a second has lost it.
    async fn tell(&mut self, fact: LegFact) {
        if let Some(leg) = &mut self.leg {
            leg.tell(fact).await;
        }
    }

    fn tell_if_room(&mut self, fact: LegFact) {
        if let Some(leg) = &mut self.leg
            && !leg.tell_if_room(fact)
        {
            self.report.counters.facts_dropped += 1;
        }
    }

    /// The last fact, the close frame, the report; each bounded.
    async fn finish(&mut self, ending: Ending) {
        let now = rt::now();
        match (&ending.fact, &self.leg) {
            (_, None) => {
                self.metrics.unopened();
            }
            (LegFact::Lost(loss), Some(_)) if self.stage != Stage::Leaving => self.metrics.lost(*loss),
            _ => {}
        }
        if let Some(leg) = &mut self.leg {
            leg.end(ending.fact).await;
        }
        if let Some((code, reason)) = ending.close {
            if code >= 1002 {
                let told = Egress::Error { code: error_word(code), message: &reason, retry_after_ms: None };
                let _ = self.write(&told, now);
            }
            let _ = rt::timeout(ms(self.config.close_ms), self.socket.close(code, &reason, now)).await;
        } else if self.socket.waiting_since.is_none() {
            // The peer closed first: let our answer to its close frame leave.
            let _ = rt::timeout(ms(self.config.close_ms), self.socket.drain()).await;
        }
        self.report.tally = *self.dialect.tally();
        self.metrics.ended(&self.report);
        if let Some(leg) = self.leg.take() {
            leg.report(self.report);
        }
    }
}

/// The word of a close code, for diallers that asked for `error`.
fn error_word(code: u16) -> &'static str {
    match code {
        1003 => "unsupported_format",
        1008 => "policy",
        1009 => "too_big",
        1011 => "internal",
        4400 => "bad_handshake",
        4404 => "unknown_bot",
        4408 => "handshake_timeout",
        4410 => "outside_hours",
        _ => "protocol",
    }
}
