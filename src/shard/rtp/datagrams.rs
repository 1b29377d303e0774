//! One UDP socket as a media thread reads it: a few datagrams per call of the system, each with the time at which the kernel took
//! it off the wire. Allocates when made; never waits.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use nix::cmsg_space;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrLike as _, SockaddrStorage, recvmmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;

use crate::rt;
use crate::units::Moment;

/// Datagrams taken at once. A tick takes two times this at most: what a sender of 10 ms packets sends in 80 ms.
const AT_ONCE: usize = 4;
/// How often a tick asks for more.
const ROUNDS: usize = 2;
/// The longest datagram that is read: 80 ms of G.711 with its header. Longer ones are cut, and no such packet is taken.
const BYTES: usize = 704;

/// The socket and its buffers.
pub(super) struct Datagrams {
    socket: UdpSocket,
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Box<[[u8; BYTES]; AT_ONCE]>,
}

impl std::fmt::Debug for Datagrams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Datagrams").field(&self.socket).finish()
    }
}

impl Datagrams {
    /// Over a bound socket.
    ///
    /// # Errors
    /// Where the system refuses to make it non-blocking.
    pub(super) fn new(socket: UdpSocket) -> std::io::Result<Self> {
        socket.set_nonblocking(true)?;
        // Without the kernel's time stamps the time of the tick stands for each packet's: coarser, not wrong.
        if let Err(error) = setsockopt(&socket, sockopt::ReceiveTimestampns, &true) {
            tracing::debug!(%error, "packets have no time stamps of the kernel");
        }
        let headers = MultiHeaders::preallocate(AT_ONCE, Some(cmsg_space!(TimeSpec)));
        Ok(Self { socket, headers, buffers: Box::new([[0; BYTES]; AT_ONCE]) })
    }

    /// Hands over what has come, at most [`AT_ONCE`] times [`ROUNDS`] datagrams; `now` stands in where the kernel gave no time.
    pub(super) fn drain(&mut self, now: Moment, mut each: impl FnMut(Moment, SocketAddr, &mut [u8])) {
        for _ in 0..ROUNDS {
            let mut lengths = [(0usize, None, now); AT_ONCE];
            let got = {
                let mut slices = self.buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
                let flags = MsgFlags::MSG_DONTWAIT;
                let Ok(came) = recvmmsg(self.socket.as_raw_fd(), &mut self.headers, slices.iter_mut(), flags, None)
                else {
                    // Nothing there, or an error that an earlier packet of ours caused (ICMP): both are over by the next tick.
                    return;
                };
                let mut got = 0;
                for (slot, message) in lengths.iter_mut().zip(came) {
                    let whole = !message.flags.contains(MsgFlags::MSG_TRUNC);
                    let stamp = message.cmsgs().ok().and_then(|mut all| all.find_map(kernel_time));
                    let from = message.address.filter(|_| whole).as_ref().and_then(address);
                    *slot = (message.bytes, from, stamp.map_or(now, rt::moment_of_wall));
                    got += 1;
                }
                got
            };
            for (buffer, (length, from, at)) in self.buffers.iter_mut().zip(lengths).take(got) {
                if let (Some(from), Some(bytes)) = (from, buffer.get_mut(..length)) {
                    each(at.min(now), from, bytes);
                }
            }
            if got < AT_ONCE {
                return;
            }
        }
    }

    /// Sends one datagram; whether the system took it.
    pub(super) fn send(&self, to: SocketAddr, bytes: &[u8]) -> bool {
        self.socket.send_to(bytes, to).is_ok()
    }
}

fn kernel_time(message: ControlMessageOwned) -> Option<Duration> {
    match message {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
        _ => None,
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    match storage.family()? {
        nix::sys::socket::AddressFamily::Inet => storage.as_sockaddr_in().map(|v4| SocketAddr::from(*v4)),
        nix::sys::socket::AddressFamily::Inet6 => storage.as_sockaddr_in6().map(|v6| SocketAddr::from(*v6)),
        _ => None,
    }
}
