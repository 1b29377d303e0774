//! Symmetric RTP (RFC 4961) with latching: audio goes where the peer's audio really comes from, once that is certain, and nowhere else
//! from then on. Pure.

use std::net::{IpAddr, SocketAddr};

/// Packets in a row from one source, with one SSRC, that make it the peer's where SDP named another.
const CONVINCING: u8 = 3;

/// Whom a stream belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latch {
    /// By the peer's SDP.
    told: SocketAddr,
    /// As it was found.
    found: Option<SocketAddr>,
    candidate: Option<(SocketAddr, u32)>,
    seen: u8,
}

impl Latch {
    pub(super) const fn new(told: SocketAddr) -> Self {
        Self { told, found: None, candidate: None, seen: 0 }
    }

    /// The peer described itself anew: the next source that convinces is its own. Until then the old one holds, unless SDP named
    /// another address.
    pub(super) fn rearm(&mut self, told: SocketAddr) {
        if told != self.told {
            self.found = None;
        }
        (self.told, self.candidate, self.seen) = (told, None, 0);
    }

    /// Where our audio goes; `None` where the peer named no address and sent nothing yet.
    pub(super) fn target(&self) -> Option<SocketAddr> {
        self.found.or(Some(self.told).filter(|at| !at.ip().is_unspecified() && at.port() != 0))
    }

    /// A peer behind a NAT describes a private address, or another port than the one it comes from; a stranger elsewhere is no peer.
    fn may_be(&self, from: SocketAddr) -> bool {
        let private = match self.told.ip() {
            IpAddr::V4(v4) => v4.is_private() || v4.is_unspecified() || v4.is_link_local() || v4.is_loopback(),
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
        self.found.map_or_else(|| from == self.told || self.may_be(from), |found| from == found)
    }

    /// A sound packet of the agreed payload types came, verified where there are keys: is it the peer's?
    pub(super) fn accepts(&mut self, from: SocketAddr, ssrc: u32) -> bool {
        if let Some(found) = self.found {
            return from == found;
        }
        if from == self.told {
            self.found = Some(from);
            return true;
        }
        if !self.may_be(from) {
            return false;
        }
        if self.candidate != Some((from, ssrc)) {
            (self.candidate, self.seen) = (Some((from, ssrc)), 0);
        }
        self.seen += 1;
        if self.seen < CONVINCING {
            return false;
        }
        self.found = Some(from);
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
    fn a_new_description_frees_the_latch_where_the_address_changed() {
        let mut latch = Latch::new(at(4000));
        assert!(latch.accepts(at(4000), 1));
        latch.rearm(at(4000));
        assert!(!latch.accepts(at(5000), 1), "the same address: nothing changes");
        latch.rearm(at(6000));
        assert_eq!(latch.target(), Some(at(6000)));
        assert!(latch.accepts(at(6000), 1));
        assert_eq!(Latch::new(SocketAddr::from(([0, 0, 0, 0], 4000))).target(), None);
    }
}
