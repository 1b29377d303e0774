//! Calls of a load over SIP and RTP, placed or answered: a dialog and a stream each, a few sockets for all. Sends what its deadline asks
//! for and judges what comes; never waits for the worker.

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use super::air::PACKET;
use super::askers::{Answer, Askers, order};
use super::counts::Counts;
use super::ear::Ear;
use super::echo::{Echo, sounds};
use super::load::{Census, Load, Remembered, SLOTS, Spoke, number};
use super::net::{Came, Net};
use super::report::Planted;
use super::sound::{FRAME, Pool, SILENCE};
use super::spoil::Impairment;
use crate::rt;
use crate::tools::ua::{Dialog, Parties, Stage, Step};
use crate::units::Moment;
use crate::wire::rtp::{RtpHeader, RtpPacket};
use crate::wire::sip::Message;

/// Repeats are looked after so often, in milliseconds.
const REPEAT_EVERY: u64 = 50;
/// A call that was ordered and does not come by then has failed.
const ORDERED_MS: u64 = 30_000;

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    /// The load calls the worker.
    In,
    /// The worker calls the load: each call is ordered from its bot, at its HTTP listener.
    Out { http: SocketAddr, bot: String },
}

/// Calls that the worker was asked to place.
struct Ordered {
    askers: Askers,
    /// By their ids: where they are to send, and when they were asked for.
    open: HashMap<u64, (usize, Moment)>,
    /// Those that came, by the worker's Call-ID.
    ids: HashMap<String, u64>,
}

struct Call {
    id: u64,
    dialog: Dialog,
    slot: usize,
    /// Where its audio goes, and since when it is up.
    media: Option<(SocketAddr, Moment)>,
    packets: u64,
    /// What the worker sent.
    ear: Ear,
    /// What a bad network left of it.
    spoiled: Ear,
    echo: Echo,
}

impl Call {
    fn new(id: u64, dialog: Dialog, slot: usize) -> Self {
        let (ear, spoiled, echo) = (Ear::default(), Ear::default(), Echo::default());
        Self { id, dialog, slot, media: None, packets: 0, ear, spoiled, echo }
    }
}

/// The load.
pub(super) struct RtpLoad {
    pool: Arc<Pool>,
    sip: UdpSocket,
    here: SocketAddr,
    there: SocketAddr,
    net: Net,
    calls: HashMap<u64, Call>,
    /// By the worker's port.
    by_port: Vec<u64>,
    ordered: Option<Ordered>,
    slots: [Vec<u64>; SLOTS],
    oldest: VecDeque<u64>,
    next_id: u64,
    census: Census,
    repeat_at: Moment,
    over: Remembered,
    /// Packets of all calls, and what a bad network left of what they were sent.
    sent: u64,
    got: Counts,
}

impl RtpLoad {
    /// A load on the SIP endpoint at `there`, with `sip` as its own; its calls are numbered from `first`.
    ///
    /// # Errors
    /// Where the system gives no sockets or threads.
    pub fn new(
        (sip, there): (UdpSocket, SocketAddr),
        calls: Calls,
        pool: Arc<Pool>,
        impairment: Impairment,
        first: u64,
    ) -> std::io::Result<Self> {
        sip.set_nonblocking(true)?;
        let ordered = match calls {
            Calls::In => None,
            Calls::Out { http, bot } => {
                let askers = Askers::start(http, move |id| order(http, &bot, &number(id)))?;
                Some(Ordered { askers, open: HashMap::new(), ids: HashMap::new() })
            }
        };
        Ok(Self {
            pool,
            here: sip.local_addr()?,
            sip,
            there,
            net: Net::new(impairment)?,
            calls: HashMap::new(),
            by_port: vec![0; 1 << 16],
            ordered,
            slots: std::array::from_fn(|_| Vec::new()),
            oldest: VecDeque::new(),
            next_id: first.max(1),
            census: Census::default(),
            repeat_at: Moment::ZERO,
            over: Remembered::default(),
            sent: 0,
            got: Counts::default(),
        })
    }

    fn say(&self, text: &[u8]) {
        // What the system does not take is lost, and repeated like anything that is.
        let _ = self.sip.send_to(text, self.there);
    }

    fn packet(call: &mut Call, pool: &Pool, now: Moment) -> [u8; PACKET] {
        let n = call.packets;
        let said = pool.frame(call.id, n);
        let starts = said.is_some() && (n == 0 || pool.frame(call.id, n - 1).is_none());
        let header = RtpHeader {
            payload_type: 0,
            marker: starts,
            sequence: n as u16,
            timestamp: (n as u32).wrapping_mul(FRAME as u32),
            ssrc: call.id as u32,
        };
        let mut packet = [0; PACKET];
        let at = header.write(&mut packet).unwrap_or(0);
        let said = said.unwrap_or(&SILENCE);
        call.echo.said(said, now);
        packet[at..].copy_from_slice(said);
        call.packets += 1;
        packet
    }

    fn signalled(&mut self, now: Moment, counts: &mut Counts) {
        let mut buffer = [0; 4096];
        while let Ok((n, from)) = self.sip.recv_from(&mut buffer) {
            let Ok(message) = Message::parse(&buffer[..n]) else { continue };
            let call_id = message.get("Call-ID").unwrap_or_default();
            let known = self.ordered.as_ref().map_or_else(|| call_of(call_id), |all| all.ids.get(call_id).copied());
            let id = known.unwrap_or(0);
            let Some(call) = self.calls.get_mut(&id) else {
                if message.method() == Some("INVITE") && self.came(&message) {
                    continue;
                }
                counts.foreign += u64::from(message.status().is_some() && from != self.there);
                // A call that is over: whoever asks is told so.
                if message.method().is_some_and(|method| method != "ACK") {
                    self.say(&Message::response(&message, 481, "", "").to_bytes());
                }
                continue;
            };
            let (step, say) = call.dialog.came(&message);
            let (since, stage) = (call.dialog.since, call.dialog.stage);
            if let Some(text) = say {
                self.say(&text);
            }
            match step {
                Step::Nothing | Step::Transfer(_) => {}
                Step::Answered(media) => {
                    counts.set_up.note(now.since(since).as_micros() as u64);
                    self.answered(id, media, now);
                }
                Step::Refused(status, retry) => {
                    counts.refused += u64::from(status == 503);
                    counts.retry_after += u64::from(status == 503 && retry);
                    counts.failed += u64::from(status != 503);
                    self.forget(id);
                }
                Step::HungUp => {
                    counts.ended_by_worker += u64::from(stage == Stage::Up);
                    self.forget(id);
                }
                Step::Over => {
                    counts.hung_up.note(now.since(since).as_micros() as u64);
                    self.forget(id);
                }
            }
        }
    }

    /// A call comes: was it ordered?
    fn came(&mut self, invite: &Message) -> bool {
        let Some(ordered) = &mut self.ordered else { return false };
        let id = invite.get("To").and_then(called).unwrap_or(0);
        let Some((slot, since)) = ordered.open.remove(&id) else { return false };
        let audio = self.net.local(id);
        let Some((dialog, answer)) = Dialog::called(invite, since, self.here, audio) else { return false };
        ordered.ids.insert(invite.get("Call-ID").unwrap_or_default().to_owned(), id);
        self.calls.insert(id, Call::new(id, dialog, slot));
        self.say(&answer);
        true
    }

    /// What the worker says to orders, and which of them it has forgotten.
    fn orders(&mut self, now: Moment, counts: &mut Counts) {
        let Some(ordered) = &mut self.ordered else { return };
        let mut lost = Vec::new();
        while let Some((id, _, answer)) = ordered.askers.done() {
            match answer {
                Answer::Status(200..=299, _) => {}
                Answer::Status(503, retry) if ordered.open.remove(&id).is_some() => {
                    counts.refused += 1;
                    counts.retry_after += u64::from(retry);
                    self.census.dialling -= 1;
                }
                _ => lost.push(id),
            }
        }
        lost.extend(ordered.open.iter().filter(|(_, (_, since))| now.ms_since(*since) > ORDERED_MS).map(|(id, _)| *id));
        for id in lost {
            if ordered.open.remove(&id).is_some() {
                counts.failed += 1;
                self.census.dialling -= 1;
            }
        }
    }

    fn answered(&mut self, id: u64, media: SocketAddr, now: Moment) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.media = Some((media, now));
            self.by_port[usize::from(media.port())] = id;
            self.slots[call.slot].push(id);
            self.oldest.push_back(id);
            self.census.dialling -= 1;
            self.census.up += 1;
        }
    }

    fn leave_air(&mut self, id: u64) {
        let Some(call) = self.calls.get(&id) else { return };
        self.slots[call.slot].retain(|other| *other != id);
        self.over.note(Spoke { id, packets: call.packets });
    }

    fn forget(&mut self, id: u64) {
        let stage = self.calls.get(&id).map(|call| call.dialog.stage);
        if stage == Some(Stage::Up) {
            self.leave_air(id);
        }
        let Some(call) = self.calls.remove(&id) else { return };
        if let Some(ordered) = &mut self.ordered {
            ordered.ids.remove(call.dialog.call_id());
        }
        match call.dialog.stage {
            Stage::Dialling => self.census.dialling -= 1,
            Stage::Up => self.census.up -= 1,
            Stage::Leaving => self.census.leaving -= 1,
        }
        if let Some((media, _)) = call.media
            && self.by_port[usize::from(media.port())] == id
        {
            self.by_port[usize::from(media.port())] = 0;
        }
        // One whose answer was lost is in neither list; the oldest is looked up when it is wanted.
    }

    fn repeat(&mut self, now: Moment, counts: &mut Counts) {
        if now < self.repeat_at {
            return;
        }
        self.repeat_at = now.plus_ms(REPEAT_EVERY);
        let mut hopeless = Vec::new();
        for (id, call) in &mut self.calls {
            match call.dialog.repeat(now) {
                Ok(None) => {}
                Ok(Some(text)) => drop(self.sip.send_to(text.as_bytes(), self.there)),
                Err(()) => hopeless.push(*id),
            }
        }
        for id in hopeless {
            counts.failed += 1;
            self.forget(id);
        }
    }
}

/// The call whose number stands in a To.
fn called(to: &str) -> Option<u64> {
    let user = to.split("sip:").nth(1)?.split('@').next()?;
    user.trim_start_matches('+').strip_prefix("9190")?.parse().ok()
}

/// The call that a Call-ID of ours belongs to.
fn call_of(call_id: &str) -> Option<u64> {
    call_id.strip_prefix("load-")?.split('-').next()?.parse().ok()
}

impl Load for RtpLoad {
    fn dial(&mut self, now: Moment, slot: usize) {
        let id = self.next_id;
        if let Some(ordered) = &mut self.ordered {
            if ordered.askers.ask(id) {
                self.next_id += 1;
                ordered.open.insert(id, (slot, now));
                self.census.dialling += 1;
            }
            return;
        }
        self.next_id += 1;
        let audio = self.net.local(id);
        let parties = Parties {
            dialled: "1000".to_owned(),
            caller: number(id),
            call_id: format!("load-{id}-{}", self.here.port()),
            fields: Vec::new(),
        };
        let mut dialog = Dialog::new(parties, self.here, self.there, audio);
        self.say(dialog.invite(now).as_bytes());
        let call = Call::new(id, dialog, slot);
        self.calls.insert(id, call);
        self.census.dialling += 1;
    }

    fn hang_up(&mut self, now: Moment) {
        while let Some(id) = self.oldest.pop_front() {
            if self.calls.get(&id).is_some_and(|call| call.dialog.stage == Stage::Up) {
                self.leave_air(id);
                let text = self.calls.get_mut(&id).map(|call| call.dialog.bye(now)).unwrap_or_default();
                self.say(text.as_bytes());
                self.census.up -= 1;
                self.census.leaving += 1;
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
            let Some((to, _)) = call.media else { continue };
            let packet = Self::packet(call, &self.pool, due);
            counts.sent += 1;
            self.sent += 1;
            self.net.push(*id, packet, to);
        }
        self.net.flush();
        let hop_us = self.net.late_us();
        if measured && !self.slots[slot].is_empty() {
            // The last packet of the slot is the latest; all of them are counted as late as that, or as the hop that they pass.
            let late = (rt::now().since(due).as_micros() as u64).max(hop_us);
            for _ in &self.slots[slot] {
                counts.own_late.note(late);
            }
        }
    }

    fn receive(&mut self, now: Moment, counts: &mut Option<Box<Counts>>) {
        let mut idle = Counts::default();
        let measured = counts.is_some();
        let counts = counts.as_deref_mut().unwrap_or(&mut idle);
        let Self { net, by_port, calls, got, .. } = self;
        net.drain(|came, at, from, bytes| {
            let id = by_port[usize::from(from.port())];
            let (Ok(packet), Some(call)) = (RtpPacket::parse(bytes), calls.get_mut(&id)) else {
                // Packets that were under way when their call ended are nobody's fault; those of no call would be.
                counts.foreign += u64::from(came != Came::Got);
                return;
            };
            if came != Came::Sent {
                let sounds = sounds(packet.payload);
                if let Some(us) = call.echo.heard(sounds, at) {
                    counts.echo.note(us);
                }
            }
            if came == Came::Got {
                call.spoiled.packet(at, packet.header.sequence, Some(&mut *got));
                return;
            }
            counts.voiced += u64::from(sounds(packet.payload));
            call.ear.packet(at, packet.header.sequence, measured.then_some(&mut *counts));
        });
        counts.unsent += net.unsent();
        self.signalled(now, counts);
        self.orders(now, counts);
        self.repeat(now, counts);
    }

    fn census(&self) -> Census {
        self.census
    }

    fn ports(&self) -> Vec<u16> {
        self.net.ports()
    }

    fn leavings(&mut self) -> (Vec<Spoke>, Planted) {
        let [there, back] = self.net.tallies();
        let planted = Planted {
            sent: self.sent,
            lost: there.lost,
            doubled: there.doubled,
            back_sent: back.taken,
            back_lost: back.lost,
            back_doubled: back.doubled,
            back_seen_received: self.got.received,
            back_seen_lost: self.got.lost,
            back_seen_doubled: self.got.repeated,
            ..Planted::default()
        };
        (self.over.take(), planted)
    }

    fn close(&self, now: Moment, counts: &mut Counts) {
        for call in self.calls.values().filter(|call| call.dialog.stage == Stage::Up) {
            if let Some((_, since)) = call.media {
                call.ear.close(since, now, counts);
            }
        }
    }
}
