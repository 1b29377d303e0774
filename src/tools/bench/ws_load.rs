//! Calls of a load over WebSocket in the native dialect: JSON text frames with audio in base64, a socket each. Sends what its deadline
//! asks for and judges what comes; never waits for the worker.

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use rustix::event::{Timespec, epoll};

use super::askers::{Answer, Askers, upgrade};
use super::counts::Counts;
use super::ear::Ear;
use super::echo::Echo;
use super::load::{Census, Load, Remembered, SLOTS, Spoke, number};
use super::report::Planted;
use super::sound::{FRAME, Pool, SILENCE};
use super::ws_frame::{CLOSE, Frame, PONG, first, frame, text};
use crate::media::ulaw_decode;
use crate::rt;
use crate::units::Moment;
use crate::wire::ws::native::{Dialler, FromBot};

/// Sockets looked at in a millisecond.
const EVENTS: usize = 1_024;
/// Bytes that wait to be taken by the system for one call; more: the worker does not read, and the frame is lost.
const MOST_WAITING: usize = 64 * 1024;
/// A hang-up that is not answered by then has failed.
const LEAVE_MS: u64 = 5_000;
/// How long a number rings that the load's dialler calls: `answer` comes so long after `start`, with the line's silence before it.
const RINGS_MS: u64 = 1_000;
/// A bot that is spoken to holds its breath for so long after the caller's last sound, and says nothing of it: no gap of the worker's. One
/// that echoes has no reason to.
const HELD_MS: u64 = 1_000;

/// Whose calls the load's dialler brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Somebody called: answered at once.
    Incoming,
    /// The dialler called somebody, whose phone rings first.
    Outgoing,
}

struct Call {
    stream: TcpStream,
    slot: usize,
    packets: u64,
    ear: Ear,
    echo: Echo,
    /// What was said has ended: the next frame begins something new.
    pause: bool,
    /// When the caller last said something.
    spoke_at: Option<Moment>,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// When whoever is called answers, while the phone rings.
    answers_at: Option<Moment>,
    /// When our hang-up was sent.
    leaving: Option<Moment>,
}

/// The load.
pub(super) struct WsLoad {
    pool: Arc<Pool>,
    askers: Askers,
    /// The wire's form of each packet of the pool, and of silence.
    spoken: HashMap<[u8; FRAME], Vec<u8>>,
    poll: rustix::fd::OwnedFd,
    calls: HashMap<u64, Call>,
    slots: [Vec<u64>; SLOTS],
    dialled: HashMap<u64, usize>,
    oldest: VecDeque<u64>,
    next_id: u64,
    leaving: usize,
    over: Remembered,
    sent: u64,
    held_ms: u64,
    direction: Direction,
}

impl WsLoad {
    /// A load of calls of this direction on the media socket `path` of the listener at `there`, whose bot echoes or converses; they are
    /// numbered from `first`.
    ///
    /// # Errors
    /// Where the system gives no threads or descriptors.
    pub fn new(
        (there, path): (SocketAddr, &str),
        direction: Direction,
        echoes: bool,
        pool: Arc<Pool>,
        first: u64,
    ) -> std::io::Result<Self> {
        let dialler = Dialler::new("");
        let coded = |codes: &[u8; FRAME]| {
            let mut samples = [0i16; FRAME];
            ulaw_decode(codes, &mut samples);
            let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            (*codes, text(&dialler.media(&bytes)))
        };
        let spoken = pool.frames().chain([&SILENCE]).map(coded).collect();
        let request = upgrade(there, path);
        Ok(Self {
            pool,
            askers: Askers::start(there, move |_| request.clone())?,
            spoken,
            poll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            calls: HashMap::new(),
            slots: std::array::from_fn(|_| Vec::new()),
            dialled: HashMap::new(),
            oldest: VecDeque::new(),
            next_id: first.max(1),
            leaving: 0,
            over: Remembered::default(),
            sent: 0,
            held_ms: if echoes { 0 } else { HELD_MS },
            direction,
        })
    }

    fn opened(&mut self, id: u64, slot: usize, stream: TcpStream, rest: Vec<u8>) -> std::io::Result<()> {
        epoll::add(&self.poll, stream.as_fd(), epoll::EventData::new_u64(id), epoll::EventFlags::IN)?;
        let dialler = Dialler::new(&format!("load-{id}"));
        let caller = number(id);
        let (word, answers_at) = match self.direction {
            Direction::Incoming => ("incoming", None),
            Direction::Outgoing => ("outgoing", Some(rt::now().plus_ms(RINGS_MS))),
        };
        let named = [("callerId", caller.as_str()), ("did", "+918000000002"), ("callDirection", word)];
        let mut call = Call {
            stream,
            slot,
            packets: 0,
            ear: Ear::default(),
            echo: Echo::default(),
            pause: true,
            spoke_at: None,
            incoming: rest,
            outgoing: Vec::new(),
            answers_at,
            leaving: None,
        };
        for event in [dialler.connected(&named, &["mark"]), dialler.start("LINEAR", 8_000, false)] {
            call.say(&text(&event));
        }
        if answers_at.is_none() {
            call.say(&text(&dialler.answer()));
        }
        self.calls.insert(id, call);
        self.slots[slot].push(id);
        self.oldest.push_back(id);
        Ok(())
    }

    fn take_in_dialled(&mut self, counts: &mut Counts) {
        while let Some((id, since, answer)) = self.askers.done() {
            let slot = self.dialled.remove(&id).unwrap_or(0);
            match answer {
                Answer::Open(stream, rest) => {
                    counts.set_up.note(rt::now().since(since).as_micros() as u64);
                    counts.failed += u64::from(self.opened(id, slot, stream, rest).is_err());
                }
                Answer::Status(status, retry) => {
                    counts.refused += u64::from(status == 503);
                    counts.retry_after += u64::from(status == 503 && retry);
                    counts.failed += u64::from(status != 503);
                }
                Answer::Failed => counts.failed += 1,
            }
        }
    }

    fn leave_air(&mut self, id: u64) {
        let Some(call) = self.calls.get(&id) else { return };
        self.slots[call.slot].retain(|other| *other != id);
        self.over.note(Spoke { id, packets: call.packets });
    }

    /// The socket is closed, by whomever.
    fn forget(&mut self, id: u64, counts: &mut Counts) {
        match self.calls.get(&id).map(|call| call.leaving) {
            Some(Some(since)) => {
                counts.hung_up.note(rt::now().since(since).as_micros() as u64);
                self.leaving -= 1;
            }
            Some(None) => {
                counts.ended_by_worker += 1;
                self.leave_air(id);
            }
            None => return,
        }
        // The descriptor leaves the poll with its socket.
        self.calls.remove(&id);
    }
}

impl Call {
    /// Sends, or keeps what the system does not take; `false` where too much waits already.
    fn say(&mut self, bytes: &[u8]) -> bool {
        if self.outgoing.len() + bytes.len() > MOST_WAITING {
            return false;
        }
        if !self.outgoing.is_empty() {
            self.outgoing.extend_from_slice(bytes);
            self.push_on();
            return true;
        }
        let taken = self.stream.write(bytes).unwrap_or(0);
        self.outgoing.extend_from_slice(&bytes[taken..]);
        true
    }

    fn push_on(&mut self) {
        let taken = self.stream.write(&self.outgoing).unwrap_or(0);
        self.outgoing.drain(..taken);
    }

    /// Reads what is there; `false` where the connection is over.
    fn read(&mut self, held_ms: u64, counts: &mut Counts, measured: bool) -> bool {
        let mut buffer = [0; 8192];
        let now = rt::now();
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(n) => {
                    self.incoming.extend_from_slice(&buffer[..n]);
                    if n < buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        let incoming = std::mem::take(&mut self.incoming);
        let mut at = 0;
        let mut open = true;
        while open {
            match first(&incoming[at..]) {
                Ok(Some((frame, length))) => {
                    at += length;
                    open = self.took(frame, (now, held_ms), counts, measured);
                }
                Ok(None) => break,
                Err(()) => open = false,
            }
        }
        self.incoming.extend_from_slice(&incoming[at..]);
        open
    }

    fn took(&mut self, came: Frame<'_>, at: (Moment, u64), counts: &mut Counts, measured: bool) -> bool {
        let (now, held_ms) = at;
        match came {
            Frame::Text(json) => match Dialler::read(json) {
                Ok(FromBot::Media(media)) => {
                    counts.voiced += 1;
                    counts.early += u64::from(self.answers_at.is_some());
                    if let Some(us) = self.echo.heard(media.payload.iter().any(|byte| *byte != 0), now) {
                        counts.echo.note(us);
                    }
                    let held = self.spoke_at.is_some_and(|at| now.ms_since(at) < held_ms);
                    let pause = std::mem::take(&mut self.pause) || (held && self.ear.is_paused(now));
                    self.ear.frame(now, pause, measured.then_some(counts));
                }
                Ok(FromBot::Mark { name }) => {
                    self.pause = true;
                    self.say(&text(&Dialler::new("").mark_played(&name, true)));
                }
                Ok(FromBot::Stop) => self.pause = true,
                Ok(FromBot::HangUp { .. }) if self.leaving.is_none() => return false,
                _ => {}
            },
            Frame::Ping(payload) => drop(self.say(&frame(PONG, payload))),
            Frame::Close => {
                self.say(&frame(CLOSE, &[]));
                return false;
            }
            Frame::Other => {}
        }
        true
    }
}

impl Load for WsLoad {
    fn dial(&mut self, _now: Moment, slot: usize) {
        let id = self.next_id;
        if self.askers.ask(id) {
            self.next_id += 1;
            self.dialled.insert(id, slot);
        }
    }

    fn hang_up(&mut self, now: Moment) {
        while let Some(id) = self.oldest.pop_front() {
            if self.calls.get(&id).is_some_and(|call| call.leaving.is_none()) {
                self.leave_air(id);
                if let Some(call) = self.calls.get_mut(&id) {
                    call.leaving = Some(now);
                    call.say(&text(&Dialler::new("").hang_up("customer")));
                    self.leaving += 1;
                }
                return;
            }
        }
    }

    fn send(&mut self, slot: usize, due: Moment, counts: Option<&mut Counts>) {
        let mut idle = Counts::default();
        let measured = counts.is_some();
        let counts = counts.unwrap_or(&mut idle);
        for id in &self.slots[slot] {
            let Some(call) = self.calls.get_mut(id) else { continue };
            if call.answers_at.take_if(|at| *at <= due).is_some() {
                counts.unsent += u64::from(!call.say(&text(&Dialler::new(&format!("load-{id}")).answer())));
            }
            let said = self.pool.frame(*id, call.packets);
            call.spoke_at = said.map_or(call.spoke_at, |_| Some(due));
            let said = said.unwrap_or(&SILENCE);
            call.echo.said(said, due);
            call.packets += 1;
            counts.sent += 1;
            self.sent += 1;
            if let Some(bytes) = self.spoken.get(said) {
                counts.unsent += u64::from(!call.say(bytes));
            }
        }
        if measured && !self.slots[slot].is_empty() {
            let late = rt::now().since(due).as_micros() as u64;
            for _ in &self.slots[slot] {
                counts.own_late.note(late);
            }
        }
    }

    fn receive(&mut self, now: Moment, counts: &mut Option<Box<Counts>>) {
        let mut idle = Counts::default();
        let measured = counts.is_some();
        let counts = counts.as_deref_mut().unwrap_or(&mut idle);
        self.take_in_dialled(counts);
        let mut events = [const { std::mem::MaybeUninit::<epoll::Event>::uninit() }; EVENTS];
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let ready: Vec<u64> = match epoll::wait(&self.poll, &mut events[..], Some(&none)) {
            Ok((ready, _)) => ready.iter().map(|event| event.data.u64()).collect(),
            Err(_) => Vec::new(),
        };
        for id in ready {
            let held_ms = self.held_ms;
            let open = self.calls.get_mut(&id).is_none_or(|call| call.read(held_ms, counts, measured));
            if !open {
                self.forget(id, counts);
            }
        }
        let late = self.calls.iter().filter(|(_, call)| call.leaving.is_some_and(|at| now.ms_since(at) > LEAVE_MS));
        let hopeless: Vec<u64> = if self.leaving > 0 { late.map(|(id, _)| *id).collect() } else { Vec::new() };
        for id in hopeless {
            counts.failed += 1;
            self.leaving -= 1;
            self.calls.remove(&id);
        }
    }

    fn census(&self) -> Census {
        Census { dialling: self.dialled.len(), up: self.calls.len() - self.leaving, leaving: self.leaving }
    }

    fn ports(&self) -> Vec<u16> {
        Vec::new()
    }

    fn leavings(&mut self) -> (Vec<Spoke>, Planted) {
        (self.over.take(), Planted { sent: self.sent, ..Planted::default() })
    }

    fn close(&self, now: Moment, counts: &mut Counts) {
        for call in self.calls.values().filter(|call| call.leaving.is_none()) {
            let held = call.spoke_at.is_some_and(|at| now.ms_since(at) < self.held_ms);
            call.ear.close_speech(call.pause || held, now, counts);
        }
    }
}
