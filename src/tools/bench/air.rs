//! The sockets of a load: a few for all calls, read and written many datagrams at a time, so that one core drives more calls than the
//! worker carries. What came is stamped by the kernel, not by when it was read. Never waits.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::cmsg_space;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, setsockopt,
    sockopt,
};
use nix::sys::time::TimeSpec;

use super::sound::FRAME;
use crate::rt;
use crate::units::Moment;
use crate::wire::rtp::RtpHeader;

/// An RTP packet of a load.
pub(super) const PACKET: usize = RtpHeader::BYTES + FRAME;
/// Datagrams per call of the system.
const AT_ONCE: usize = 64;
/// Room for one that comes.
const ROOM: usize = 512;
/// Rounds of reading before something else is looked after.
const ROUNDS: usize = 32;
/// Room of the kernel for what was not read yet; a load that loses packets itself says so and does not count.
const BUFFER_BYTES: usize = 8 << 20;

/// One socket with its batches.
pub(super) struct Air {
    socket: UdpSocket,
    local: SocketAddr,
    out: Vec<([u8; PACKET], SocketAddr)>,
    send: MultiHeaders<SockaddrStorage>,
    receive: MultiHeaders<SockaddrStorage>,
    buffers: Box<[[u8; ROOM]; AT_ONCE]>,
    /// Packets that the system did not take.
    pub unsent: u64,
}

impl Air {
    /// A socket of this machine's own.
    ///
    /// # Errors
    /// Where the system gives none.
    pub fn new() -> std::io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &BUFFER_BYTES)?;
        }
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        Ok(Self {
            local: socket.local_addr()?,
            socket,
            out: Vec::with_capacity(AT_ONCE),
            send: MultiHeaders::preallocate(AT_ONCE, None),
            receive: MultiHeaders::preallocate(AT_ONCE, Some(cmsg_space!(TimeSpec))),
            buffers: Box::new([[0; ROOM]; AT_ONCE]),
            unsent: 0,
        })
    }

    /// Where it is bound.
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Puts a packet into the batch.
    pub fn push(&mut self, packet: [u8; PACKET], to: SocketAddr) {
        self.out.push((packet, to));
        if self.out.len() >= AT_ONCE {
            self.flush();
        }
    }

    /// Hands the batch to the system.
    pub fn flush(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let slices: Vec<[IoSlice<'_>; 1]> = self.out.iter().map(|(packet, _)| [IoSlice::new(packet)]).collect();
        let to: Vec<Option<SockaddrStorage>> = self.out.iter().map(|(_, to)| Some((*to).into())).collect();
        let none: [ControlMessage<'_>; 0] = [];
        let fd = self.socket.as_raw_fd();
        let taken =
            sendmmsg(fd, &mut self.send, slices.iter(), &to, none, MsgFlags::MSG_DONTWAIT).map_or(0, Iterator::count);
        self.unsent += (self.out.len() - taken.min(self.out.len())) as u64;
        drop(slices);
        self.out.clear();
    }

    /// Hands over what has come: when, from where, and what.
    pub fn drain(&mut self, mut each: impl FnMut(Moment, SocketAddr, &[u8])) {
        for _ in 0..ROUNDS {
            let now = rt::now();
            let mut came = [(0usize, None, now); AT_ONCE];
            let mut got = 0;
            {
                let mut slices = self.buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
                let flags = MsgFlags::MSG_DONTWAIT;
                let fd = self.socket.as_raw_fd();
                let Ok(messages) = recvmmsg(fd, &mut self.receive, slices.iter_mut(), flags, None) else { return };
                for (place, message) in came.iter_mut().zip(messages) {
                    let stamp = message.cmsgs().ok().and_then(|mut all| all.find_map(kernel_time));
                    let from = message.address.as_ref().and_then(SockaddrStorage::as_sockaddr_in);
                    let from = from.map(|from| SocketAddr::from(*from));
                    *place = (message.bytes, from, stamp.map_or(now, rt::moment_of_wall));
                    got += 1;
                }
            }
            for (buffer, (length, from, at)) in self.buffers.iter().zip(came).take(got) {
                if let (Some(from), Some(bytes)) = (from, buffer.get(..length)) {
                    each(at.min(now), from, bytes);
                }
            }
            if got < AT_ONCE {
                return;
            }
        }
    }
}

fn kernel_time(message: ControlMessageOwned) -> Option<std::time::Duration> {
    match message {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp.into()),
        _ => None,
    }
}
