//! Symmetric RTP (RFC 4961) with latching: audio goes where the peer's audio really comes from, once that is certain, and nowhere else
//! from then on. Pure.

use std::net::{IpAddr, SocketAddr};

/// Packets in a row from one source, with one SSRC, that make it the peer's where SDP named another.
const CONVINCING: u8 = 3;
/// The same where the peer was found already and has described itself anew, with nothing from where it was in between: half a second
/// of audio, so that nobody can push in while it speaks.
const CONVINCING_AGAIN: u8 = 25;
/// After so many packets from where it was, five seconds of audio, the peer has not moved.
const STAYED: u16 = 250;

/// Whom a stream belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Latch {
    /// By the peer's SDP.
    told: SocketAddr,
    /// As it was found.
    found: Option<SocketAddr>,
    candidate: Option<(SocketAddr, u32)>,
    seen: u8,
    /// So many packets from where it was found until it counts as having stayed there; 0: it does.
    may_move: u16,
}

impl Latch {
    pub(super) const fn new(told: SocketAddr) -> Self {
        Self { told, found: None, candidate: None, seen: 0, may_move: 0 }
    }

    /// The peer described itself anew: the next source that convinces is its own, a NAT may have moved it. Until then the old one
    /// holds, unless SDP named another address.
    pub(super) fn rearm(&mut self, told: SocketAddr) {
        if told != self.told {
            self.found = None;
        }
        (self.told, self.candidate, self.seen) = (told, None, 0);
        self.may_move = if self.found.is_some() { STAYED } else { 0 };
    }

    /// Where its audio was found.
    pub(super) const fn found(&self) -> Option<SocketAddr> {
        self.found
    }

    /// Where our audio goes; `None` where the peer named no address and sent nothing yet.
    pub(super) fn target(&self) -> Option<SocketAddr> {
        self.found.or(Some(self.told).filter(|at| !at.ip().is_unspecified() && at.port() != 0))
    }

    /// A peer behind a NAT describes a private address, or another port than the one it comes from; a stranger elsewhere is no peer.
    fn may_be(&self, from: SocketAddr) -> bool {
        let private = match self.told.ip() {
            IpAddr::V4(v4) => {
                // Between carrier and customer (RFC 6598).
                let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
                shared || v4.is_private() || v4.is_unspecified() || v4.is_link_local() || v4.is_loopback()
            }
            IpAddr::V6(v6) => {
                v6.is_unique_local() || v6.is_unspecified() || v6.is_unicast_link_local() || v6.is_loopback()
            }
        };
        private || from.ip() == self.told.ip()
    }

    /// Is this where the peer's audio comes from, as far as that is known?
    pub(super) fn is(&self, from: SocketAddr) -> bool {
        self.target() == Some(from)
    }

    /// The same, on any port.
    pub(super) fn is_host(&self, from: SocketAddr) -> bool {
        self.target().is_some_and(|target| target.ip() == from.ip())
    }

    /// Is it worth looking at what comes from there? Learns nothing.
    pub(super) fn may_come(&self, from: SocketAddr) -> bool {
        match self.found {
            Some(found) if self.may_move == 0 => from == found,
            _ => self.is(from) || from == self.told || self.may_be(from),
        }
    }

    /// A sound packet of the agreed payload types came, verified where there are keys: is it the peer's?
    pub(super) fn accepts(&mut self, from: SocketAddr, ssrc: u32) -> bool {
        if self.found == Some(from) {
            (self.candidate, self.seen) = (None, 0);
            self.may_move = self.may_move.saturating_sub(1);
            return true;
        }
        let enough = match self.found {
            Some(_) if self.may_move == 0 => return false,
            Some(_) => CONVINCING_AGAIN,
            None if from == self.told => 1,
            None => CONVINCING,
        };
        if from != self.told && !self.may_be(from) {
            return false;
        }
        if self.candidate != Some((from, ssrc)) {
            (self.candidate, self.seen) = (Some((from, ssrc)), 0);
        }
        self.seen += 1;
        if self.seen < enough {
            return false;
        }
        (self.found, self.candidate, self.seen, self.may_move) = (Some(from), None, 0, 0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn the_address_of_the_description_is_the_peers_at_once() {
        let mut latch = Latch::new(at(4000));
        assert_eq!(latch.target(), Some(at(4000)));
        assert!(latch.accepts(at(4000), 1));
        assert!(!(0..9).any(|_| latch.accepts(at(5000), 1)), "a third source never takes over");
        assert!(latch.accepts(at(4000), 2), "the peer may change its source id");
    }

    #[test]
    fn behind_a_nat_the_peer_is_where_its_packets_come_from() {
        let mut latch = Latch::new(at(4000));
        assert_eq!([1, 1, 1].map(|ssrc| latch.accepts(at(5000), ssrc)), [false, false, true]);
        assert_eq!(latch.target(), Some(at(5000)));
        assert!(!latch.accepts(at(4000), 1), "not even the described one, once latched");
    }

    #[test]
    fn a_stranger_takes_over_only_where_the_description_cannot_be_right() {
        let stranger = SocketAddr::from(([198, 51, 100, 7], 4000));
        let convinced = |told: SocketAddr| {
            (0..9).any({
                let mut latch = Latch::new(told);
                move |_| latch.accepts(stranger, 1)
            })
        };
        assert!(!convinced(at(4000)));
        assert!(convinced(SocketAddr::from(([10, 0, 0, 5], 4000))));
    }

    #[test]
    fn sources_that_take_turns_convince_nobody() {
        let mut latch = Latch::new(at(4000));
        assert!(!(0..20).any(|i| latch.accepts(at(5000 + i % 2), 1) || latch.accepts(at(5002), u32::from(i))));
    }

    #[test]
    fn a_peer_whose_nat_forgot_it_is_found_again_once_it_described_itself_anew_and_only_then() {
        let mut latch = Latch::new(at(4000));
        assert!(latch.accepts(at(4000), 1));
        assert!(!(0..200).any(|_| latch.accepts(at(5000), 1)), "it never said so");
        latch.rearm(at(4000));
        assert!(latch.may_come(at(5000)));
        assert!(!(0..400).any(|n| latch.accepts(at(if n % 20 == 0 { 4000 } else { 5000 }), 1) && n % 20 != 0));
        assert!(latch.accepts(at(4000), 1));
        assert_eq!(latch.target(), Some(at(4000)), "it is still where it was");
        let taken = (1..=30).find(|_| latch.accepts(at(5000), 1));
        assert_eq!((taken, latch.target()), (Some(25), Some(at(5000))));
        latch.rearm(at(4000));
        assert!((0..STAYED).all(|_| latch.accepts(at(5000), 1)) && !latch.may_come(at(4000)), "it stayed");
    }

    #[test]
    fn a_new_description_frees_the_latch_where_the_address_changed() {
        let mut latch = Latch::new(at(4000));
        assert!(latch.accepts(at(4000), 1));
        latch.rearm(at(4000));
        assert!(!latch.accepts(at(5000), 1), "the same address: it holds");
        latch.rearm(at(6000));
        assert_eq!(latch.target(), Some(at(6000)));
        assert!(latch.accepts(at(6000), 1));
        assert_eq!(Latch::new(SocketAddr::from(([0, 0, 0, 0], 4000))).target(), None);
    }
}
