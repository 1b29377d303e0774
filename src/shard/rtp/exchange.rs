//! One port of a media thread that all its legs share: reads whatever has come once per slot and hands each datagram to the leg whose
//! peer sent it, by the [`Roster`]. A leg has a few places for what came since its last tick; full: the datagram is lost, as on the
//! network. Allocates when made; runs on its media thread.

use std::net::SocketAddr;

use super::datagrams::{BYTES, Datagrams};
use super::leg::RtpLeg;
use super::roster::Roster;
use crate::units::Moment;
use crate::wire::rtp::looks_like_rtcp;

/// Places of one leg: what a sender of 10 ms packets sends in 80 ms.
const PLACES: usize = 8;
/// Calls of the system per slot, beside one for each so many legs: five times what they send.
const ROUNDS: usize = 2;
const LEGS_A_ROUND: usize = 128;
/// The port beside it, for control packets, is looked at so often, in slots.
const CONTROL_EVERY: usize = 25;

/// One datagram on its way to its leg.
#[derive(Debug)]
pub(super) struct Came {
    at: Moment,
    from: Option<SocketAddr>,
    length: usize,
    bytes: [u8; BYTES],
}

impl Default for Came {
    fn default() -> Self {
        Self { at: Moment::ZERO, from: None, length: 0, bytes: [0; BYTES] }
    }
}

/// The leg's end of its places.
#[derive(Debug)]
pub(super) struct Inlet(rtrb::Consumer<Came>);

/// The port's end of a leg's places.
#[derive(Debug)]
pub(super) struct Outlet(rtrb::Producer<Came>);

/// The places of a new leg.
pub(super) fn places() -> (Outlet, Inlet) {
    let (into, out) = rtrb::RingBuffer::new(PLACES);
    (Outlet(into), Inlet(out))
}

impl Outlet {
    fn put(&mut self, at: Moment, from: SocketAddr, bytes: &[u8]) -> bool {
        let Ok(mut chunk) = self.0.write_chunk(1) else { return false };
        let Some(place) = chunk.as_mut_slices().0.first_mut() else { return false };
        let Some(room) = place.bytes.get_mut(..bytes.len()) else { return false };
        room.copy_from_slice(bytes);
        (place.at, place.from, place.length) = (at, Some(from), bytes.len());
        chunk.commit_all();
        true
    }
}

impl Inlet {
    /// Hands over what has come.
    pub(super) fn drain(&mut self, mut each: impl FnMut(Moment, SocketAddr, &mut [u8])) {
        let Ok(mut chunk) = self.0.read_chunk(self.0.slots()) else { return };
        let (first, second) = chunk.as_mut_slices();
        for came in first.iter_mut().chain(second) {
            if let (Some(from), Some(bytes)) = (came.from, came.bytes.get_mut(..came.length)) {
                each(came.at, from, bytes);
            }
        }
        chunk.commit_all();
    }
}

/// A port of many legs, with the one beside it.
#[derive(Debug)]
pub(in crate::shard) struct Exchange {
    port: Datagrams,
    beside: Option<Datagrams>,
    roster: Roster,
    outlets: Vec<Option<Outlet>>,
    legs: usize,
    slots: usize,
}

impl Exchange {
    /// Over bound sockets, for `most` legs.
    pub(super) fn new(port: Datagrams, beside: Option<Datagrams>, most: usize) -> Self {
        port.widen();
        let outlets = std::iter::repeat_with(|| None).take(most).collect();
        Self { port, beside, roster: Roster::new(most), outlets, legs: 0, slots: 0 }
    }

    /// A leg comes to this thread. One that has a port of its own, and one for which there is no room, hears nothing here.
    pub(in crate::shard) fn join(&mut self, leg: &mut RtpLeg) {
        let Some(outlet) = leg.outlet() else { return };
        let Some(number) = self.roster.join(leg.peer()) else { return };
        if let Some(place) = self.outlets.get_mut(number) {
            *place = Some(outlet);
        }
        self.legs += 1;
        leg.number = Some(number);
    }

    /// A leg had its tick: its peer may be elsewhere by now.
    pub(in crate::shard) fn follow(&mut self, leg: &RtpLeg) {
        if let Some(number) = leg.number {
            self.roster.follow(number, leg.peer());
        }
    }

    /// A leg is over; what it had here goes with it, to be freed elsewhere.
    pub(in crate::shard) fn leave(&mut self, leg: &mut RtpLeg, now: Moment) {
        let Some(number) = leg.number.take() else { return };
        self.roster.leave(number, now);
        self.legs -= 1;
        leg.keep(self.outlets.get_mut(number).and_then(Option::take));
    }

    /// Takes in what has come, a bounded part of it at once; how much of it was nobody's, or found no place.
    pub(in crate::shard) fn take_in(&mut self, now: Moment) -> u64 {
        let Self { port, beside, roster, outlets, legs, slots } = self;
        let mut nobodys = 0;
        let mut hand_over = |at: Moment, from: SocketAddr, bytes: &mut [u8]| {
            let stream = |at: usize| {
                let four = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
                four.map(|four| u32::from_be_bytes(*four))
            };
            let number = if looks_like_rtcp(bytes) {
                stream(4).and_then(|ssrc| roster.whose_control(from, ssrc))
            } else {
                stream(8).and_then(|ssrc| roster.whose(from, ssrc, now))
            };
            let outlet = number.and_then(|number| outlets.get_mut(number)).and_then(Option::as_mut);
            nobodys += u64::from(!outlet.is_some_and(|outlet| outlet.put(at, from, bytes)));
        };
        port.drain_many(ROUNDS + *legs / LEGS_A_ROUND, now, &mut hand_over);
        *slots += 1;
        if let Some(beside) = beside.as_ref().filter(|_| slots.is_multiple_of(CONTROL_EVERY)) {
            beside.drain_many(ROUNDS, now, &mut hand_over);
        }
        nobodys
    }
}
