//! The sockets of a load's audio: its own, or, where the network is to be a bad one, those of the hop in between. Knows no calls.

use std::net::SocketAddr;

use super::air::{Air, PACKET};
use super::relay::{In, Relay, Tally};
use super::spoil::Impairment;
use crate::units::Moment;
use crate::wire::rtp::looks_like_rtcp;

/// Sockets that the audio of all calls shares.
const SOCKETS: usize = 8;

/// What of a datagram has come: where there is a hop, it comes twice over, as the worker sent it and as the caller gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// As the worker sent it, which is what the caller gets.
    Whole,
    /// As the worker sent it.
    Sent,
    /// What the hop left of it for the caller.
    Got,
}

/// The sockets.
pub(super) enum Net {
    Direct(Vec<Air>),
    Relayed(Relay),
}

impl Net {
    /// Sockets of this machine's own, with a hop in between where something is to be spoiled.
    ///
    /// # Errors
    /// Where the system gives none.
    pub fn new(impairment: Impairment) -> std::io::Result<Self> {
        Ok(if impairment.is_none() {
            Self::Direct((0..SOCKETS).map(|_| Air::new()).collect::<std::io::Result<_>>()?)
        } else {
            Self::Relayed(Relay::start(SOCKETS, impairment)?)
        })
    }

    const fn of(id: u64) -> usize {
        id as usize % SOCKETS
    }

    /// Where the worker is to send the audio of call `id`.
    pub fn local(&self, id: u64) -> SocketAddr {
        match self {
            Self::Direct(air) => air[Self::of(id)].local(),
            Self::Relayed(relay) => relay.locals()[Self::of(id)],
        }
    }

    /// The UDP ports that it listens on.
    pub fn ports(&self) -> Vec<u16> {
        match self {
            Self::Direct(air) => air.iter().map(|air| air.local().port()).collect(),
            Self::Relayed(relay) => relay.locals().iter().map(SocketAddr::port).collect(),
        }
    }

    /// Sends a packet of call `id`, at the latest with the next flush.
    pub fn push(&mut self, id: u64, packet: [u8; PACKET], to: SocketAddr) {
        match self {
            Self::Direct(air) => air[Self::of(id)].push(packet, to),
            Self::Relayed(relay) => relay.push(Self::of(id), packet, to),
        }
    }

    /// Hands over what waits.
    pub fn flush(&mut self) {
        if let Self::Direct(air) = self {
            air.iter_mut().for_each(Air::flush);
        }
    }

    /// Hands over what has come, RTCP left out.
    pub fn drain(&mut self, mut each: impl FnMut(Came, Moment, SocketAddr, &[u8])) {
        match self {
            Self::Direct(air) => {
                for air in air {
                    air.drain(|at, from, bytes| {
                        if !looks_like_rtcp(bytes) {
                            each(Came::Whole, at, from, bytes);
                        }
                    });
                }
            }
            Self::Relayed(relay) => {
                while let Some(In { at, from, bytes, fresh }) = relay.next() {
                    each(if fresh { Came::Sent } else { Came::Got }, at, from, &bytes);
                }
            }
        }
    }

    /// What the system or the hop had no room for, since it was last asked.
    pub fn unsent(&mut self) -> u64 {
        match self {
            Self::Direct(air) => air.iter_mut().map(|air| std::mem::take(&mut air.unsent)).sum(),
            Self::Relayed(relay) => relay.dropped(),
        }
    }

    /// How late the hop was at worst since it was last asked, in microseconds.
    pub fn late_us(&self) -> u64 {
        if let Self::Relayed(relay) = self { relay.late_us() } else { 0 }
    }

    /// What the hop did to the packets on the way to the worker, and back.
    pub fn tallies(&self) -> [Tally; 2] {
        if let Self::Relayed(relay) = self { relay.tallies() } else { [Tally::default(); 2] }
    }
}
