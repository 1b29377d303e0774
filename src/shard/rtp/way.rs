//! How a leg reads and writes: a port of its own with the one beside it, or its places at the port that the legs of its media thread
//! share.

use std::net::SocketAddr;

use super::datagrams::Datagrams;
use super::exchange::{Inlet, Outlet};
use crate::units::Moment;

/// The way of one leg.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) port: Datagrams,
    /// The port beside it, for RTCP that is not muxed; `None` where it was not to be had.
    pub(super) beside: Option<Datagrams>,
    pub(super) shared: Option<Shared>,
}

/// What a leg has at a port that it shares.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) inlet: Inlet,
    /// The other end, while it is not at the port.
    pub(super) outlet: Option<Outlet>,
    /// The media thread whose port it is.
    pub(super) shard: usize,
}

impl Way {
    /// Hands over what has come; `now` stands in where the kernel gave no time.
    pub(super) fn drain(&mut self, now: Moment, each: impl FnMut(Moment, SocketAddr, &mut [u8])) {
        match &mut self.shared {
            Some(shared) => shared.inlet.drain(each),
            None => self.port.drain(now, each),
        }
    }

    /// The same for the port beside it. Of a shared one, everything has come by [`Self::drain`].
    pub(super) fn drain_beside(&self, now: Moment, each: impl FnMut(Moment, SocketAddr, &mut [u8])) {
        if let Some(beside) = self.beside.as_ref().filter(|_| self.shared.is_none()) {
            beside.drain(now, each);
        }
    }

    /// Sends one datagram; whether the system took it.
    pub(super) fn send(&self, to: SocketAddr, bytes: &[u8]) -> bool {
        self.port.send(to, bytes)
    }

    /// Sends one from the port beside it, where there is one.
    pub(super) fn send_beside(&self, to: SocketAddr, bytes: &[u8]) -> bool {
        self.beside.as_ref().unwrap_or(&self.port).send(to, bytes)
    }
}
