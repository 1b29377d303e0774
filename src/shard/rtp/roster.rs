//! Whose is a datagram that came to a port of many legs? By the address it comes from; where the peers of several legs send from one
//! address, by their stream (SSRC); where it comes from no address that is known, the one leg that still waits for its peer and may have
//! it there. Never guesses: what could be two legs' is nobody's. Pure; allocates when made.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::latch::Latch;
use crate::units::Moment;

/// Addresses of legs that are over are nobody's for so long, as a port of one leg rests.
const REST_MS: u64 = 10_000;
/// So many of them are remembered; more: the oldest is forgotten.
const MOST_AT_REST: usize = 4_096;

/// What is known of one leg's peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Where it is.
    pub latch: Latch,
    /// Its stream, once one was taken; before that the one that it announced.
    pub ssrc: Option<u32>,
}

/// The legs of one port.
#[derive(Debug)]
pub(super) struct Roster {
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    /// Where peers are, or say they are; sorted.
    places: Vec<(SocketAddr, usize)>,
    /// Whose audio was not found yet.
    waiting: Vec<usize>,
    at_rest: VecDeque<(SocketAddr, Moment)>,
}

impl Roster {
    /// Room for `most` legs.
    pub(super) fn new(most: usize) -> Self {
        Self {
            peers: vec![None; most],
            free: (0..most).rev().collect(),
            places: Vec::with_capacity(most),
            waiting: Vec::with_capacity(most),
            at_rest: VecDeque::with_capacity(MOST_AT_REST),
        }
    }

    /// A leg comes; its number, or `None` where there is no room.
    pub(super) fn join(&mut self, peer: Peer) -> Option<usize> {
        let number = self.free.pop()?;
        self.enter(number, peer);
        Some(number)
    }

    fn enter(&mut self, number: usize, peer: Peer) {
        if let Some(place) = peer.latch.target() {
            let at = self.places.partition_point(|known| *known < (place, number));
            self.places.insert(at, (place, number));
        }
        if peer.latch.found().is_none() {
            self.waiting.push(number);
        }
        if let Some(slot) = self.peers.get_mut(number) {
            *slot = Some(peer);
        }
    }

    fn strike(&mut self, number: usize) -> Option<Peer> {
        let peer = self.peers.get_mut(number)?.take()?;
        let place = peer.latch.target().and_then(|place| self.places.binary_search(&(place, number)).ok());
        if let Some(at) = place {
            self.places.remove(at);
        }
        self.waiting.retain(|other| *other != number);
        Some(peer)
    }

    /// What the leg knows of its peer now.
    pub(super) fn follow(&mut self, number: usize, peer: Peer) {
        let Some(known) = self.peers.get_mut(number).and_then(Option::as_mut) else { return };
        let moved = known.latch.target() != peer.latch.target() || known.latch.found() != peer.latch.found();
        if moved {
            self.strike(number);
            self.enter(number, peer);
        } else {
            *known = peer;
        }
    }

    /// A leg is over. Its peer may go on for a while, and what comes from there is nobody's until then.
    pub(super) fn leave(&mut self, number: usize, now: Moment) {
        let Some(peer) = self.strike(number) else { return };
        self.free.push(number);
        let Some(place) = peer.latch.found() else { return };
        while self.at_rest.len() >= MOST_AT_REST || self.at_rest.front().is_some_and(|(_, until)| *until <= now) {
            self.at_rest.pop_front();
        }
        self.at_rest.push_back((place, now.plus_ms(REST_MS)));
    }

    fn at(&self, place: SocketAddr) -> &[(SocketAddr, usize)] {
        let from = self.places.partition_point(|(known, _)| *known < place);
        let rest = self.places.get(from..).unwrap_or_default();
        rest.get(..rest.partition_point(|(known, _)| *known == place)).unwrap_or_default()
    }

    fn ssrc(&self, number: usize) -> Option<u32> {
        self.peers.get(number).copied().flatten().and_then(|peer| peer.ssrc)
    }

    /// The leg of an audio packet of stream `ssrc` from there.
    pub(super) fn whose(&self, from: SocketAddr, ssrc: u32, now: Moment) -> Option<usize> {
        match self.at(from) {
            [] => self.newcomers(from, now),
            [(_, number)] => Some(*number),
            several => {
                let legs = || several.iter().map(|(_, number)| *number);
                legs().find(|number| self.ssrc(*number) == Some(ssrc)).or_else(|| {
                    // Streams that are known are ruled out; of two that are not, this one could be either's.
                    only(legs().filter(|number| self.ssrc(*number).is_none()))
                })
            }
        }
    }

    fn newcomers(&self, from: SocketAddr, now: Moment) -> Option<usize> {
        if self.at_rest.iter().any(|(place, until)| *place == from && now < *until) {
            return None;
        }
        let may_be = |number: &usize| {
            let peer = self.peers.get(*number).copied().flatten();
            peer.is_some_and(|peer| peer.latch.may_come(from))
        };
        only(self.waiting.iter().copied().filter(may_be))
    }

    /// The leg of a control packet of stream `ssrc`, from any port of its peer's host.
    pub(super) fn whose_control(&self, from: SocketAddr, ssrc: u32) -> Option<usize> {
        let mut legs = self.peers.iter().enumerate();
        let its = |peer: &Peer| peer.ssrc == Some(ssrc) && peer.latch.is_host(from);
        legs.find(|(_, peer)| peer.as_ref().is_some_and(its)).map(|(number, _)| number)
    }
}

/// The only one, where there is one only.
fn only(mut all: impl Iterator<Item = usize>) -> Option<usize> {
    let first = all.next();
    if all.next().is_some() { None } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], port))
    }

    fn told(place: SocketAddr) -> Peer {
        Peer { latch: Latch::new(place), ssrc: None }
    }

    /// The peer's audio of this stream was taken from there.
    fn heard(mut peer: Peer, from: SocketAddr, ssrc: u32) -> Peer {
        while !peer.latch.accepts(from, ssrc) {}
        Peer { ssrc: Some(ssrc), ..peer }
    }

    const NOW: Moment = Moment::from_millis(60_000);

    #[test]
    fn a_packet_is_that_leg_s_whose_peer_is_there() {
        let mut roster = Roster::new(4);
        let [a, b] = [at(1, 4_000), at(2, 4_000)].map(|place| roster.join(told(place)).unwrap());
        assert_eq!((roster.whose(at(1, 4_000), 7, NOW), roster.whose(at(2, 4_000), 7, NOW)), (Some(a), Some(b)));
        roster.leave(a, NOW);
        assert_eq!(roster.whose(at(1, 4_000), 7, NOW), None);
        assert_eq!(roster.whose(at(2, 4_000), 8, NOW), Some(b), "whatever its stream");
    }

    #[test]
    fn a_peer_behind_a_nat_is_found_where_only_one_leg_waits_for_such_a_one() {
        let mut roster = Roster::new(4);
        let inside = told(SocketAddr::from(([10, 0, 0, 5], 4_000)));
        let a = roster.join(inside).unwrap();
        assert_eq!(roster.whose(at(1, 9_000), 7, NOW), Some(a));
        let b = roster.join(told(SocketAddr::from(([10, 0, 0, 6], 4_000)))).unwrap();
        assert_eq!(roster.whose(at(1, 9_000), 7, NOW), None, "it could be the peer of either");
        roster.follow(a, heard(inside, at(1, 9_000), 7));
        assert_eq!(roster.whose(at(1, 9_000), 7, NOW), Some(a));
        assert_eq!(roster.whose(at(1, 9_002), 8, NOW), Some(b), "the only one that still waits");
        assert_eq!(roster.whose(SocketAddr::from(([10, 0, 0, 5], 4_000)), 7, NOW), Some(b), "a is elsewhere by now");
    }

    #[test]
    fn two_peers_at_one_address_are_told_apart_by_their_streams() {
        let mut roster = Roster::new(4);
        let place = at(1, 4_000);
        let a = roster.join(told(place)).unwrap();
        roster.follow(a, heard(told(place), place, 7));
        let b = roster.join(told(place)).unwrap();
        assert_eq!((roster.whose(place, 7, NOW), roster.whose(place, 8, NOW)), (Some(a), Some(b)));
        let c = roster.join(told(place)).unwrap();
        assert_eq!(roster.whose(place, 8, NOW), None, "b's or c's");
        roster.follow(b, heard(told(place), place, 8));
        assert_eq!((roster.whose(place, 8, NOW), roster.whose(place, 9, NOW)), (Some(b), Some(c)));
        assert_eq!(roster.whose_control(at(1, 4_001), 8), Some(b));
        assert_eq!((roster.whose_control(at(2, 4_001), 8), roster.whose_control(at(1, 4_001), 9)), (None, None));
    }

    #[test]
    fn streams_that_were_announced_are_told_apart_before_any_was_heard() {
        let mut roster = Roster::new(4);
        let place = at(1, 4_000);
        let announced = |ssrc| Peer { ssrc: Some(ssrc), ..told(place) };
        let [a, b] = [7, 8].map(|ssrc| roster.join(announced(ssrc)).unwrap());
        assert_eq!((roster.whose(place, 7, NOW), roster.whose(place, 8, NOW)), (Some(a), Some(b)));
        assert_eq!(roster.whose(place, 9, NOW), None, "nobody said so");
        let c = roster.join(told(place)).unwrap();
        assert_eq!(roster.whose(place, 9, NOW), Some(c), "the only one that announced none");
        assert_eq!(roster.whose_control(at(1, 4_001), 8), Some(b));
    }

    #[test]
    fn who_is_gone_is_nobodys_peer_for_a_while() {
        let mut roster = Roster::new(2);
        let inside = SocketAddr::from(([10, 0, 0, 5], 4_000));
        let a = roster.join(told(inside)).unwrap();
        roster.follow(a, heard(told(inside), at(1, 9_000), 7));
        roster.leave(a, NOW);
        let b = roster.join(told(inside)).unwrap();
        assert_eq!(roster.whose(at(1, 9_000), 7, NOW.plus_ms(REST_MS - 1)), None);
        assert_eq!(roster.whose(at(1, 9_000), 7, NOW.plus_ms(REST_MS)), Some(b));
        assert!(roster.join(told(inside)).is_some() && roster.join(told(inside)).is_none(), "room for two");
    }

    #[test]
    fn after_any_order_of_comings_and_goings_the_lists_agree() {
        let mut roster = Roster::new(8);
        let (mut seed, mut here) = (9_u32, Vec::new());
        for step in 0..5_000_u32 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let place = at((seed >> 24) as u8 % 3, 4_000 + (seed >> 16) as u16 % 2);
            match seed >> 8 & 3 {
                0 => here.extend(roster.join(told(place))),
                1 if !here.is_empty() => roster.leave(here.swap_remove(step as usize % here.len()), NOW),
                2 if !here.is_empty() => {
                    let peer = heard(told(place), place, seed);
                    roster.follow(here[step as usize % here.len()], peer);
                }
                _ => {}
            }
            assert!(roster.places.is_sorted() && roster.places.len() == here.len());
            assert_eq!(roster.free.len() + here.len(), 8);
            let waiting = here.iter().filter(|number| roster.peers[**number].unwrap().latch.found().is_none()).count();
            assert_eq!(roster.waiting.len(), waiting);
        }
    }
}
