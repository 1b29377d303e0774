//! One leg's RTP on its media thread: reads the port once a tick, gives the caller's frame through the jitter buffer, sends exactly
//! one packet a tick while the peer takes audio, silence included. Allocates when made, never in use: whatever a re-negotiation
//! needs is made elsewhere and handed over whole.

use std::net::SocketAddr;

use super::control::{Control, REPORT_BYTES, Sent};
use super::exchange::Outlet;
use super::keys::Keys;
use super::latch::Latch;
use super::outgoing::{Outgoing, PACKET_BYTES};
use super::ports::coding;
use super::roster::Peer;
use super::secure::Secure;
use super::way::Way;
use crate::call::line::{CallerFrame, EdgeEvent, Ended, LegEdge, prefetch_ring};
use crate::media::opus::OpusError;
use crate::media::{Codec, Encoder, Heard, JitterCounters, ResampleError, Resampler, RtpReceiver};
use crate::rt;
use crate::units::{FRAME_MS, MAX_FRAME_SAMPLES, Moment, SampleRate, prefetch};
use crate::wire::rtp::{EVENT_BYTES, EventReceiver, ReceiveStats, RtpHeader, RtpPacket, StreamSums, looks_like_rtcp};
use crate::wire::sdp::{Direction, MediaPlan, Rtcp};
use crate::wire::srtp::{CONTROL_TRAILER_BYTES, OpenError, RTP_TRAILER_BYTES};

/// Comfort noise (RFC 3389).
const COMFORT_NOISE: u8 = 13;
/// How far back the wait of a frame can be asked for, in ticks.
const WAITS: usize = 64;
/// Events that may wait for the line. Full: the oldest keys stand, later ones are dropped and counted.
const EVENTS: usize = 16;

/// The control port is looked at so often, in ticks.
const CONTROL_EVERY: usize = 25;

/// What a leg counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RtpStats {
    /// The codec at the end.
    pub codec: Option<Codec>,
    /// Packets of the peer that were taken.
    pub received: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came too late to be played.
    pub late: u64,
    /// Packets that came twice.
    pub duplicated: u64,
    /// Packets that came behind a later one.
    pub reordered: u64,
    /// Packets thrown away to catch up, or for want of room.
    pub dropped: u64,
    /// Audio made up for what was lost, in milliseconds.
    pub concealed_ms: u64,
    /// The jitter buffer's delay at the end, in milliseconds.
    pub target_ms: u32,
    /// Packets sent, and those that the system did not take.
    pub sent: u64,
    /// Packets that the system did not take.
    pub unsent: u64,
    /// Datagrams that were no RTP, of another payload type, or from somebody else.
    pub foreign: u64,
    /// Packets, control ones too, whose tag was not that of the agreed key.
    pub refused: u64,
    /// Packets of ours that could not be sealed and were not sent.
    pub unsealed: u64,
    /// Keys that found no room.
    pub keys_dropped: u64,
    /// The stream as the statistics of RFC 3550 see it.
    pub stream: StreamSums,
    /// Interarrival jitter at the end, in microseconds.
    pub jitter_us: u32,
    /// There and back, by the peer's reports, in milliseconds.
    pub round_trip_ms: Option<u32>,
    /// Share of our packets that the peer missed, by its last report, in percent.
    pub peer_loss_percent: Option<u8>,
    /// Is SRTP agreed at the end?
    pub encrypted: bool,
}

impl RtpStats {
    /// The bytes of a packet that was opened; counts one that was not.
    fn opened<'a>(&mut self, opened: Result<usize, OpenError>, bytes: &'a [u8]) -> Option<&'a [u8]> {
        match opened {
            Ok(length) => return bytes.get(..length),
            Err(OpenError::Replayed) => self.duplicated += 1,
            Err(_) => self.refused += 1,
        }
        None
    }
}

/// What an agreement on codecs needs, made before it is used.
#[derive(Debug)]
pub(super) struct Coding {
    /// The codec that we send.
    codec: Codec,
    /// The codecs that may come, the one that we send first.
    ears: Box<[Ear]>,
    /// The one that comes.
    at: usize,
    encoder: Encoder,
    stats: ReceiveStats,
    keys_in: EventReceiver,
    /// From the line's rate to the codec's, where they differ.
    to_wire: Option<Resampler>,
}

/// What one codec needs to be heard.
#[derive(Debug)]
struct Ear {
    receiver: RtpReceiver,
    /// From the codec's rate to the line's, where they differ.
    to_line: Option<Resampler>,
}

impl Ear {
    fn new(codec: Codec, rate: SampleRate) -> Result<Self, CodingError> {
        Ok(Self { receiver: RtpReceiver::new(codec)?, to_line: between(codec.rate(), rate)? })
    }
}

/// What turns one rate into another, where they differ.
fn between(from: SampleRate, to: SampleRate) -> Result<Option<Resampler>, ResampleError> {
    if from == to { Ok(None) } else { Resampler::new(from, to).map(Some) }
}

impl Coding {
    /// For the codecs of `plan`, on a line of `rate`.
    pub(super) fn new(plan: &MediaPlan, rate: SampleRate) -> Result<Self, CodingError> {
        let codec = coding(plan.codec);
        let all = std::iter::once(codec).chain(plan.others.iter().map(|(_, other)| coding(*other)));
        Ok(Self {
            codec,
            ears: all.map(|codec| Ear::new(codec, rate)).collect::<Result<_, _>>()?,
            at: 0,
            encoder: Encoder::new(codec)?,
            stats: ReceiveStats::new(codec.clock_hz()),
            keys_in: EventReceiver::new(codec.clock_hz()),
            to_wire: between(rate, codec.rate())?,
        })
    }

    /// What the codec that comes is heard by.
    fn ear(&mut self) -> &mut Ear {
        // There is always one, and `at` is below their number.
        &mut self.ears[self.at]
    }

    fn receiver(&self) -> &RtpReceiver {
        &self.ears[self.at].receiver
    }

    /// The ear of a payload type of audio.
    fn ear_of(&self, plan: &MediaPlan, payload_type: u8) -> Option<usize> {
        let other = || plan.others.iter().position(|(pt, _)| *pt == payload_type).map(|at| at + 1);
        let at = if payload_type == plan.receive_payload_type { Some(0) } else { other() };
        at.filter(|at| *at < self.ears.len())
    }

    /// The counters of the jitter buffers together.
    fn counters(&self) -> JitterCounters {
        let all = self.ears.iter().map(|ear| ear.receiver.jitter().counters());
        all.fold(JitterCounters::default(), |sum, one| JitterCounters {
            late: sum.late + one.late,
            lost: sum.lost + one.lost,
            duplicated: sum.duplicated + one.duplicated,
            reordered: sum.reordered + one.reordered,
            dropped: sum.dropped + one.dropped,
            concealed_ms: sum.concealed_ms + one.concealed_ms,
            ..sum
        })
    }
}

/// A codec could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum CodingError {
    /// Opus failed.
    #[error(transparent)]
    Opus(#[from] OpusError),
    /// The rates do not go together.
    #[error(transparent)]
    Rate(#[from] ResampleError),
}

/// What changes in mid-call; travels to the leg and, with what it replaced, back.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) plan: MediaPlan,
    /// Another codec than before.
    pub(super) coding: Option<Coding>,
}

/// The RTP side of one leg.
#[derive(Debug)]
pub struct RtpLeg {
    way: Way,
    /// Its number at a shared port.
    pub(super) number: Option<usize>,
    control: Control,
    plan: MediaPlan,
    coding: Coding,
    changes: rtrb::Consumer<Box<Change>>,
    retired: rtrb::Producer<Box<Change>>,
    latch: Latch,
    secure: Secure,
    ssrc: Option<u32>,
    /// The stream that the peer announced, until the next one is heard.
    announced: Option<u32>,
    out: Outgoing,
    keys: Keys,
    rate: SampleRate,
    events: [Option<EdgeEvent>; EVENTS],
    silent_ticks: u32,
    silent_limit: u32,
    waits: [u16; WAITS],
    ticks: usize,
    stats: RtpStats,
}

/// What a leg is made of.
pub(super) struct Parts {
    pub(super) way: Way,
    pub(super) plan: MediaPlan,
    pub(super) coding: Coding,
    pub(super) changes: rtrb::Consumer<Box<Change>>,
    pub(super) retired: rtrb::Producer<Box<Change>>,
    /// Keys to be pressed.
    pub(super) presses: rtrb::Consumer<u8>,
    /// The line's rate.
    pub(super) rate: SampleRate,
    /// SSRC, first sequence number and timestamp: random.
    pub(super) numbers: (u32, u16, u32),
    /// No packet for so long, while the peer may send: the far end is silent.
    pub(super) silence_ms: u32,
}

impl RtpLeg {
    pub(super) fn new(parts: Parts) -> Self {
        let (ssrc, sequence, timestamp) = parts.numbers;
        Self {
            latch: Latch::new(parts.plan.remote),
            secure: Secure::new(parts.plan.crypto),
            keys: Keys::new(parts.presses, &parts.plan, parts.rate),
            rate: parts.rate,
            way: parts.way,
            number: None,
            control: Control::default(),
            announced: parts.plan.peer_ssrc,
            plan: parts.plan,
            coding: parts.coding,
            changes: parts.changes,
            retired: parts.retired,
            ssrc: None,
            out: Outgoing::new(ssrc, sequence, timestamp),
            events: [None; EVENTS],
            silent_ticks: 0,
            silent_limit: (parts.silence_ms / FRAME_MS).max(1),
            waits: [0; WAITS],
            ticks: 0,
            stats: RtpStats::default(),
        }
    }

    /// Counters so far.
    #[must_use]
    pub fn stats(&self) -> RtpStats {
        let counted = self.coding.counters();
        RtpStats {
            codec: Some(self.coding.codec),
            late: self.stats.late + counted.late,
            lost: self.stats.lost + counted.lost,
            // Under SRTP doubles are found out before the jitter buffer sees them.
            duplicated: self.stats.duplicated + counted.duplicated,
            reordered: self.stats.reordered + counted.reordered,
            dropped: self.stats.dropped + counted.dropped,
            concealed_ms: self.stats.concealed_ms + counted.concealed_ms,
            target_ms: self.coding.receiver().jitter().target_ms(),
            sent: self.out.packets,
            stream: sum(self.stats.stream, self.coding.stats.sums()),
            jitter_us: self.coding.stats.jitter_us(),
            round_trip_ms: self.control.round_trip_ms,
            peer_loss_percent: self.control.peer_loss_percent,
            encrypted: self.plan.crypto.is_some(),
            ..self.stats
        }
    }

    /// Takes over what was agreed anew; what it replaces goes back to be freed elsewhere.
    fn renew(&mut self) {
        // Without room to give back what is replaced it would have to be freed here: then it waits.
        while !self.retired.is_full() {
            let Ok(mut change) = self.changes.pop() else { return };
            self.latch.rearm(change.plan.remote);
            self.secure.agree(change.plan.crypto);
            self.keys.renew(&change.plan);
            // A stream that was announced before is the one that is heard, or never came.
            if change.plan.peer_ssrc != self.plan.peer_ssrc {
                self.announced = change.plan.peer_ssrc;
            }
            if let Some(coding) = &mut change.coding {
                self.stats = RtpStats { received: self.stats.received, unsent: self.stats.unsent, ..self.stats() };
                std::mem::swap(&mut self.coding, coding);
                self.ssrc = None;
            }
            std::mem::swap(&mut self.plan, &mut change.plan);
            self.silent_ticks = 0;
            // There was room, and only this thread fills the ring.
            drop(self.retired.push(change));
        }
    }

    fn receive(&mut self, now: Moment) {
        let Self { way, control, plan, coding, latch, secure, ssrc, announced, events, stats, out, .. } = self;
        let (mut heard, shared) = (false, way.shared.is_some());
        way.drain(now, |at, from, bytes| {
            if looks_like_rtcp(bytes) {
                // At a shared port the stream told whose it is, and it may have come by the port beside it.
                if (latch.is(from) || shared && latch.is_host(from))
                    && let Some(bytes) = stats.opened(secure.open_control(bytes), bytes)
                {
                    control.arrived(at, out.ssrc(), &mut coding.stats, bytes);
                }
                return;
            }
            // What is in clear is looked at first: neither a stranger nor another payload type may cost a tag, or use up a number.
            let fits = |header: &RtpHeader| is_agreed(plan, header.payload_type) && latch.may_come(from);
            if !RtpHeader::read(bytes).is_ok_and(|(header, _)| fits(&header)) {
                stats.foreign += 1;
                return;
            }
            let Some(bytes) = stats.opened(secure.open(bytes), bytes) else { return };
            let Some(packet) = RtpPacket::parse(bytes).ok().filter(|packet| latch.accepts(from, packet.header.ssrc))
            else {
                stats.foreign += 1;
                return;
            };
            heard = true;
            *announced = None;
            stats.received += 1;
            if ssrc.replace(packet.header.ssrc).is_some_and(|before| before != packet.header.ssrc) {
                coding.ear().receiver.restart();
                coding.keys_in.restart();
            }
            if let Some(digit) = coding.take(plan, at, &packet) {
                stats.keys_dropped += u64::from(!note(events, EdgeEvent::Digit(digit)));
            }
        });
        self.silent_ticks = if heard || self.plan.direction != Direction::SendRecv { 0 } else { self.silent_ticks + 1 };
        if self.silent_ticks >= self.silent_limit {
            self.silent_ticks = 0;
            note(&mut self.events, EdgeEvent::Silent);
        }
    }

    /// RTCP: what came on the port beside the audio's, and a report of ours where one is due.
    fn report(&mut self, now: Moment) {
        let Self { way, control, coding, latch, secure, out, stats, ticks, .. } = self;
        if ticks.is_multiple_of(CONTROL_EVERY) {
            way.drain_beside(now, |at, from, bytes| {
                if looks_like_rtcp(bytes)
                    && latch.is_host(from)
                    && let Some(bytes) = stats.opened(secure.open_control(bytes), bytes)
                {
                    control.arrived(at, out.ssrc(), &mut coding.stats, bytes);
                }
            });
        }
        if self.control.is_due() {
            self.send_report(now, false);
        }
    }

    fn send_report(&mut self, now: Moment, bye: bool) {
        let Some(target) = self.latch.target() else { return };
        let mut packet = [0u8; REPORT_BYTES + CONTROL_TRAILER_BYTES];
        let sent = Sent {
            ssrc: self.out.ssrc(),
            timestamp: self.out.timestamp(),
            packets: self.out.packets,
            bytes: self.out.bytes,
        };
        let room = &mut packet[..REPORT_BYTES];
        let length = self.control.report(now, sent, &mut self.coding.stats, bye, room);
        let Ok(length) = self.secure.seal_control(&mut packet, length) else {
            self.stats.unsealed += 1;
            return;
        };
        match self.plan.rtcp {
            Rtcp::At(at) => self.way.send_beside(at, &packet[..length]),
            Rtcp::Muxed => self.way.send(target, &packet[..length]),
        };
        if let Some(percent) = self.control.peer_loss_percent {
            self.coding.encoder.expect_loss(percent);
        }
    }

    /// One packet of audio at the line's rate, where the peer takes it; time passes all the same.
    fn send_frame(&mut self, samples: &[i16]) {
        let ticks = self.coding.codec.frame_ticks();
        let Some(target) = self.latch.target().filter(|_| self.plan.direction.sends()) else {
            self.out.pass(ticks, false);
            return;
        };
        if let Some((payload_type, key)) = self.keys.event(&self.plan, self.out.timestamp()) {
            let mut packet = [0u8; RtpHeader::BYTES + EVENT_BYTES + RTP_TRAILER_BYTES];
            let length = self.out.head_of_key(payload_type, &key, &mut packet);
            self.dispatch(target, &mut packet, length);
            self.out.pass(ticks, true);
            return;
        }
        let mut sounded = [0i16; MAX_FRAME_SAMPLES];
        let sounded = &mut sounded[..samples.len()];
        let samples = if self.keys.tone(&self.plan, self.rate, sounded) { &*sounded } else { samples };
        let mut wide = [0i16; MAX_FRAME_SAMPLES + 8];
        let samples = match &mut self.coding.to_wire {
            Some(resampler) => {
                let n = resampler.process(samples, &mut wide);
                &wide[..n]
            }
            None => samples,
        };
        // Packets of 20 ms, which whoever asks for longer ones takes too; shorter ones only where no longer ones may come.
        let parts = if u32::from(self.plan.ptime_ms) < FRAME_MS { 2 } else { 1 };
        let length = samples.len() / parts;
        for n in 0..parts {
            let part = samples.get(n * length..(n + 1) * length).unwrap_or_default();
            let mut packet = [0u8; PACKET_BYTES + RTP_TRAILER_BYTES];
            let bytes = self.coding.encoder.encode(part, &mut packet[RtpHeader::BYTES..PACKET_BYTES]);
            if bytes > 0 {
                let length = self.out.head(self.plan.payload_type, &mut packet, bytes);
                self.dispatch(target, &mut packet, length);
            }
            self.out.pass(ticks / parts as u32, bytes > 0);
        }
    }

    /// Sends a packet, sealed where that is agreed; there is room for the tag behind it.
    fn dispatch(&mut self, target: SocketAddr, packet: &mut [u8], length: usize) {
        match self.secure.seal(packet, length) {
            Ok(length) => self.stats.unsent += u64::from(!self.way.send(target, &packet[..length])),
            // Never in clear instead.
            Err(_) => self.stats.unsealed += 1,
        }
    }
}

fn note(events: &mut [Option<EdgeEvent>; EVENTS], event: EdgeEvent) -> bool {
    let place = events.iter_mut().find(|place| place.is_none());
    place.is_some_and(|place| place.replace(event).is_none())
}

/// What was counted before the codec changed, and since.
fn sum(before: StreamSums, since: StreamSums) -> StreamSums {
    StreamSums {
        received: before.received + since.received,
        bytes: before.bytes + since.bytes,
        expected: before.expected + since.expected,
        gaps: before.gaps + since.gaps,
        missing: before.missing + since.missing,
        changes: before.changes + since.changes,
        max_jitter_us: before.max_jitter_us.max(since.max_jitter_us),
    }
}

fn is_agreed(plan: &MediaPlan, payload_type: u8) -> bool {
    payload_type == plan.receive_payload_type
        || plan.others.iter().any(|(other, _)| *other == payload_type)
        || payload_type == COMFORT_NOISE
        || plan.telephone_event.is_some_and(|event| event.receive_payload_type == payload_type)
}

impl Coding {
    /// One packet of the peer; a key where one begins with it.
    fn take(&mut self, plan: &MediaPlan, at: Moment, packet: &RtpPacket<'_>) -> Option<u8> {
        let RtpHeader { payload_type, marker, sequence, timestamp, .. } = packet.header;
        let audio = self.ear_of(plan, payload_type);
        // Another clock's timestamps say nothing about jitter by this one.
        let timed = audio.and_then(|at| self.ears.get(at)).map(|ear| ear.receiver.codec().clock_hz());
        let timed = timed == Some(self.codec.clock_hz());
        self.stats.arrived(at, &packet.header, packet.payload.len(), timed);
        if let Some(ear) = audio {
            if ear != self.at {
                // The peer took another of the codecs that it answered with.
                self.at = ear;
                self.ear().receiver.restart();
            }
            self.ear().receiver.audio(at, sequence, timestamp, packet.payload);
            return None;
        }
        if payload_type == COMFORT_NOISE {
            self.ear().receiver.comfort_noise(at, sequence, timestamp);
            return None;
        }
        self.ear().receiver.other(sequence);
        let event = self.keys_in.arrived(timestamp, marker, packet.payload)?;
        event.digit().and_then(|digit| u8::try_from(digit).ok())
    }
}

impl LegEdge for RtpLeg {
    fn lead(&self) -> usize {
        1
    }

    fn hear(&mut self, due: Moment, frame: &mut [i16]) -> Option<CallerFrame> {
        self.control.set_clock(due, rt::stamp);
        self.renew();
        self.receive(due);
        let Ear { receiver, to_line } = self.coding.ear();
        let heard = match to_line {
            None => receiver.frame(due, frame),
            Some(resampler) => {
                let mut raw = [0i16; MAX_FRAME_SAMPLES];
                let n = receiver.codec().rate().frame_samples();
                let heard = receiver.frame(due, &mut raw[..n]);
                let mut out = [0i16; MAX_FRAME_SAMPLES + 8];
                let made = resampler.process(&raw[..n], &mut out).min(frame.len());
                frame[..made].copy_from_slice(&out[..made]);
                heard
            }
        };
        if let Some(key) = self.keys.heard(&self.plan, frame) {
            self.stats.keys_dropped += u64::from(!note(&mut self.events, EdgeEvent::Digit(key)));
        }
        self.waits[self.ticks % WAITS] = u16::try_from(self.coding.receiver().jitter().depth_ms()).unwrap_or(u16::MAX);
        self.ticks += 1;
        self.report(due);
        Some(match heard {
            Heard::Audio => CallerFrame::Audio,
            Heard::Concealed => CallerFrame::Concealed,
            Heard::Silence => CallerFrame::Silence,
        })
    }

    fn wait_ms(&self, ago_ms: u32) -> u32 {
        let ago = (ago_ms / FRAME_MS) as usize + 1;
        self.waits[self.ticks.saturating_sub(ago.min(WAITS)) % WAITS].into()
    }

    fn event(&mut self) -> Option<EdgeEvent> {
        self.events.iter_mut().find_map(Option::take)
    }

    fn skipped(&mut self) {
        self.out.pass(self.coding.codec.frame_ticks(), false);
    }

    fn rest(&mut self, _due: Moment) {
        self.send_frame(&[0; MAX_FRAME_SAMPLES][..self.rate.frame_samples()]);
    }

    fn has_room(&self) -> bool {
        true
    }

    fn send(&mut self, _due: Moment, samples: &[i16], _ended: &Ended) {
        self.send_frame(samples);
    }

    fn clear(&mut self) {}
}

impl RtpLeg {
    /// The media thread whose port it shares.
    pub(in crate::shard) fn shard(&self) -> Option<usize> {
        self.way.shared.as_ref().map(|shared| shared.shard)
    }

    /// The end of its places that belongs to the port, once.
    pub(super) fn outlet(&mut self) -> Option<Outlet> {
        self.way.shared.as_mut().and_then(|shared| shared.outlet.take())
    }

    /// Takes it back, to be freed with the leg.
    pub(super) fn keep(&mut self, outlet: Option<Outlet>) {
        if let Some(shared) = &mut self.way.shared {
            shared.outlet = outlet;
        }
    }

    /// Begins to bring near what the next tick touches in the leg itself.
    pub(in crate::shard) fn prefetch(&self) {
        let Self { way, control, plan, coding, latch, ssrc, out, keys, events, ticks, stats, changes, retired, .. } =
            self;
        prefetch(way);
        prefetch(control);
        prefetch(plan);
        prefetch(coding);
        prefetch(latch);
        prefetch(ssrc);
        prefetch(out);
        prefetch(keys);
        prefetch(events);
        prefetch(ticks);
        prefetch(stats);
        prefetch(changes);
        prefetch(retired);
        prefetch(&self.waits[ticks % WAITS]);
    }

    /// The same for what the leg points to; wants [`Self::prefetch`] to have been called a while before.
    pub(in crate::shard) fn prefetch_far(&mut self) {
        prefetch_ring(self.changes.buffer());
        self.keys.prefetch_far();
        self.way.port.prefetch();
        self.coding.ear().receiver.prefetch();
    }

    /// The same for what that points to.
    pub(in crate::shard) fn prefetch_farther(&mut self) {
        self.coding.ear().receiver.prefetch_far();
    }

    /// What it knows of its peer: the stream that it hears, or the one that was announced since.
    pub(super) fn peer(&self) -> Peer {
        Peer { latch: self.latch, ssrc: self.announced.or(self.ssrc) }
    }

    /// The call is over: says goodbye to the peer's statistics.
    pub(in crate::shard) fn leave(&mut self, now: Moment) {
        self.send_report(now, true);
    }
}

#[cfg(test)]
#[path = "leg_tests.rs"]
mod tests;
