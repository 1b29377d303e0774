//! The UDP ports of RTP legs: an even one for audio and, where it is free, the odd one above it for RTCP. Each leg has its own, or the legs
//! of a media thread share one. A port that was used rests for a while, so that packets of the call before it never reach the next
//! one. Never runs on a media thread.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::datagrams::Datagrams;
use super::exchange::{Exchange, places};
use super::leg::{Change, Coding, CodingError, Parts, RtpLeg};
use super::way::{Shared, Way};
use crate::rt;
use crate::units::{Moment, SampleRate};
use crate::wire::rtp::{MAX_PRESSES, event_of};
use crate::wire::sdp::{Codec, MediaPlan};

/// Re-negotiations that may wait for the media thread. Full: the change is refused; a peer that sends so many in one tick is broken.
const CHANGES: usize = 8;
/// A port that was used is not used again for so long: longer than any packet is under way.
const REST_MS: u64 = 10_000;

/// Which ports there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortRange {
    /// The address that they are bound to.
    pub ip: IpAddr,
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// A port that the legs of one media thread share.
#[derive(Debug)]
struct Common {
    local: SocketAddr,
    port: Datagrams,
    beside: Option<Datagrams>,
    legs: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Pool {
    /// Even ports that are free, the longest unused first, with the moment from which on they may be used.
    free: VecDeque<(u16, Moment)>,
}

/// All ports of the process.
#[derive(Clone, Debug)]
pub struct RtpPorts {
    ip: IpAddr,
    silence_ms: u32,
    pool: Arc<Mutex<Pool>>,
    /// By media thread, where its legs share one.
    common: Arc<[Common]>,
}

impl RtpPorts {
    /// The ports of `range`; a leg whose peer sends nothing for `silence_ms` says so.
    #[must_use]
    pub fn new(range: PortRange, silence_ms: u32) -> Self {
        let even = (range.first..=range.last).filter(|port| port.is_multiple_of(2));
        let free = even.map(|port| (port, Moment::ZERO)).collect();
        Self { ip: range.ip, silence_ms, pool: Arc::new(Mutex::new(Pool { free })), common: Arc::new([]) }
    }

    /// The first ports of `range`, one for each of so many media threads, each for at most `legs` legs; and what the threads read them
    /// with.
    ///
    /// # Errors
    /// Where there are too few, or one cannot be bound.
    pub(in crate::shard) fn per_shard(
        range: PortRange,
        silence_ms: u32,
        shards: usize,
        legs: usize,
    ) -> std::io::Result<(Self, Vec<Exchange>)> {
        let mut even = (range.first..=range.last).filter(|port| port.is_multiple_of(2));
        let (mut common, mut exchanges) = (Vec::new(), Vec::new());
        for _ in 0..shards {
            let port = even.next().ok_or_else(|| std::io::Error::other("fewer even ports than media threads"))?;
            let socket = UdpSocket::bind((range.ip, port))?;
            let (local, port) = (socket.local_addr()?, Datagrams::new(socket)?);
            let beside = beside(local);
            exchanges.push(Exchange::new(port.clone(), beside.clone(), legs));
            common.push(Common { local, port, beside, legs: Arc::default() });
        }
        let ports = Self::new(PortRange { first: 1, last: 0, ..range }, silence_ms);
        Ok((Self { common: common.into(), ..ports }, exchanges))
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are neither used nor at rest; of shared ones, how many legs they have room for.
    #[must_use]
    pub fn free(&self) -> usize {
        if self.common.is_empty() { self.free_at(rt::now()) } else { usize::MAX }
    }

    fn free_at(&self, now: Moment) -> usize {
        self.pool().free.iter().filter(|(_, from)| *from <= now).count()
    }

    /// Takes a port; `None` where all are in use or at rest, or the system refuses each that was tried.
    #[must_use]
    pub fn reserve(&self) -> Option<RtpPort> {
        self.reserve_at(rt::now())
    }

    fn reserve_at(&self, now: Moment) -> Option<RtpPort> {
        let fewest = self.common.iter().enumerate().min_by_key(|(_, port)| port.legs.load(Ordering::Relaxed));
        if let Some((shard, common)) = fewest {
            common.legs.fetch_add(1, Ordering::Relaxed);
            let held = HeldPort::Shared(Arc::clone(&common.legs));
            let (outlet, inlet) = places();
            let shared = Some(Shared { inlet, outlet: Some(outlet), shard });
            let way = Way { port: common.port.clone(), beside: common.beside.clone(), shared };
            return Some(self.hand_out(held, common.local, way));
        }
        /// Ports that others hold are stepped over, so many at most.
        const TRIES: usize = 16;
        for _ in 0..TRIES {
            let (port, from) = self.pool().free.pop_front()?;
            if from > now {
                self.pool().free.push_front((port, from));
                return None;
            }
            let held = HeldPort::Own { port, pool: Arc::clone(&self.pool) };
            let bound =
                UdpSocket::bind((self.ip, port)).and_then(|socket| Ok((socket.local_addr()?, Datagrams::new(socket)?)));
            let Ok((local, datagrams)) = bound else { continue };
            let way = Way { port: datagrams, beside: beside(local), shared: None };
            return Some(self.hand_out(held, local, way));
        }
        None
    }

    fn hand_out(&self, held: HeldPort, local: SocketAddr, way: Way) -> RtpPort {
        let (changes, changes_in) = rtrb::RingBuffer::new(CHANGES);
        let (retired_in, retired) = rtrb::RingBuffer::new(CHANGES);
        let (presses, presses_in) = rtrb::RingBuffer::new(MAX_PRESSES);
        let silence_ms = self.silence_ms;
        let waiting = Waiting { way, changes: changes_in, retired: retired_in, presses: presses_in, silence_ms };
        RtpPort { local, held: Some(held), waiting: Some(waiting), agreed: None, changes, retired, presses }
    }
}

/// The port above, where it is to be had.
fn beside(local: SocketAddr) -> Option<Datagrams> {
    let above = UdpSocket::bind((local.ip(), local.port().checked_add(1)?)).ok()?;
    Datagrams::new(above).ok()
}

/// A port that is in use.
#[derive(Debug)]
enum HeldPort {
    /// By one leg; rests when it is let go.
    Own { port: u16, pool: Arc<Mutex<Pool>> },
    /// By so many.
    Shared(Arc<AtomicUsize>),
}

impl Drop for HeldPort {
    fn drop(&mut self) {
        match self {
            Self::Own { port, pool } => {
                let from = rt::now().plus_ms(REST_MS);
                pool.lock().unwrap_or_else(PoisonError::into_inner).free.push_back((*port, from));
            }
            Self::Shared(legs) => {
                legs.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

/// The media thread's half, before it is there.
#[derive(Debug)]
struct Waiting {
    way: Way,
    changes: rtrb::Consumer<Box<Change>>,
    retired: rtrb::Producer<Box<Change>>,
    presses: rtrb::Consumer<u8>,
    silence_ms: u32,
}

/// The signalling's half of a leg's audio: reserved before anything is agreed, changed while the call lasts.
#[derive(Debug)]
pub struct RtpPort {
    local: SocketAddr,
    held: Option<HeldPort>,
    waiting: Option<Waiting>,
    /// What the media thread has been given: the codecs, the one that is sent first, and the line's rate.
    agreed: Option<(Vec<(u8, Codec)>, SampleRate)>,
    changes: rtrb::Producer<Box<Change>>,
    retired: rtrb::Consumer<Box<Change>>,
    presses: rtrb::Producer<u8>,
}

impl RtpPort {
    /// Where it is bound.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Audio is agreed: the leg for the media thread and the rate of its line. `None` the second time.
    ///
    /// # Errors
    /// Where the codec cannot be set up.
    pub fn start(&mut self, plan: MediaPlan) -> Result<Option<(RtpLeg, SampleRate)>, CodingError> {
        let Some(waiting) = self.waiting.take() else { return Ok(None) };
        let rate = coding(plan.codec).rate();
        self.agreed = Some((codecs_of(&plan), rate));
        let coding = Coding::new(&plan, rate)?;
        let Waiting { way, changes, retired, presses, silence_ms } = waiting;
        let numbers = random_numbers();
        let parts = Parts { way, plan, coding, changes, retired, presses, rate, numbers, silence_ms };
        Ok(Some((RtpLeg::new(parts), rate)))
    }

    /// Something else is agreed in mid-call: whether the media thread has room for it.
    ///
    /// # Errors
    /// Where a new codec cannot be set up.
    pub fn change(&mut self, plan: MediaPlan) -> Result<bool, CodingError> {
        while self.retired.pop().is_ok() {}
        let Some((codecs, rate)) = &mut self.agreed else { return Ok(false) };
        let wanted = codecs_of(&plan);
        let new = if *codecs == wanted { None } else { Some(Coding::new(&plan, *rate)?) };
        let taken = self.changes.push(Box::new(Change { plan, coding: new })).is_ok();
        if taken {
            // A change that found no room is not what the next one differs from.
            *codecs = wanted;
        }
        Ok(taken)
    }

    /// Has this key pressed behind those that wait, as an RTP event where that is agreed, else as a tone; whether it is one and there
    /// was room ([`MAX_PRESSES`]).
    pub fn press(&mut self, key: char) -> bool {
        event_of(key).is_some() && self.presses.push(key.to_ascii_uppercase() as u8).is_ok()
    }

    /// The leg is over: the port rests.
    pub fn stop(&mut self) {
        (self.held, self.waiting) = (None, None);
    }
}

/// The codec that is sent, and what may come beside it; the payload type of the first is the plan's own.
fn codecs_of(plan: &MediaPlan) -> Vec<(u8, Codec)> {
    std::iter::once((0, plan.codec)).chain(plan.others.iter().copied()).collect()
}

pub(super) const fn coding(codec: Codec) -> crate::media::Codec {
    match codec {
        Codec::Pcmu => crate::media::Codec::Pcmu,
        Codec::Pcma => crate::media::Codec::Pcma,
        Codec::G722 => crate::media::Codec::G722,
        Codec::Opus => crate::media::Codec::Opus,
    }
}

/// SSRC, first sequence number and timestamp. The sequence number is in the lower half, so that a peer that misses the first packets
/// cannot miss a wrap, which SRTP counts (RFC 3711 3.3.1).
fn random_numbers() -> (u32, u16, u32) {
    let mut bytes = [0u8; 10];
    if getrandom::fill(&mut bytes).is_err() {
        // The numbers only have to differ from those of other streams.
        bytes[..8].copy_from_slice(&rt::now().as_micros().to_le_bytes());
    }
    let [a, b, c, d, e, f, g, h, i, j] = bytes;
    (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f]) >> 1, u32::from_le_bytes([g, h, i, j]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// The ports of a range of one even port that nobody holds now.
    fn one() -> RtpPorts {
        let free = |port: &u16| [*port, *port + 1].iter().all(|port| UdpSocket::bind((IP, *port)).is_ok());
        let first = (22_000..23_000).step_by(2).find(free).unwrap();
        RtpPorts::new(PortRange { ip: IP, first, last: first + 1 }, 1_000)
    }

    #[test]
    fn a_port_is_used_once_and_rests_when_it_is_let_go() {
        let ports = one();
        let now = rt::now();
        let mut port = ports.reserve_at(now).unwrap();
        assert!(port.local().port().is_multiple_of(2));
        assert!(ports.reserve_at(now.plus_ms(60_000)).is_none(), "in use, however long");
        port.stop();
        // The port was let go between these two readings.
        let after = rt::now();
        assert!(ports.reserve_at(now.plus_ms(REST_MS - 1)).is_none(), "at rest");
        assert_eq!((ports.free_at(now.plus_ms(REST_MS - 1)), ports.free_at(after.plus_ms(REST_MS))), (0, 1));
        assert!(ports.reserve_at(after.plus_ms(REST_MS)).is_some());
    }

    #[test]
    fn the_last_port_of_all_wraps_nowhere() {
        let ports = RtpPorts::new(PortRange { ip: IP, first: u16::MAX - 3, last: u16::MAX }, 1_000);
        assert_eq!(ports.free(), 2);
        let ports = RtpPorts::new(PortRange { ip: IP, first: u16::MAX, last: u16::MAX }, 1_000);
        assert!(ports.reserve().is_none(), "no even port: no leg");
        let ports = RtpPorts::new(PortRange { ip: IP, first: 9, last: 8 }, 1_000);
        assert!(ports.reserve().is_none(), "an empty range");
    }
}
