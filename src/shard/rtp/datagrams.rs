//! One UDP socket as a media thread reads it: a few datagrams per call of the system, each with the time at which the kernel took
//! it off the wire. Allocates once per thread; never waits.

use std::cell::RefCell;
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

/// What a thread reads with, whatever the socket: made once per thread, by [`prepare_thread`].
struct Scratch {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Box<[[u8; BYTES]; AT_ONCE]>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        headers: MultiHeaders::preallocate(AT_ONCE, Some(cmsg_space!(TimeSpec))),
        buffers: Box::new([[0; BYTES]; AT_ONCE]),
    });
}

/// Makes what this thread reads datagrams with, so that it allocates nothing later.
pub(in crate::shard) fn prepare_thread() {
    SCRATCH.with(|_| ());
}

/// A socket.
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UdpSocket,
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
        Ok(Self { socket })
    }

    /// Hands over what has come, at most [`AT_ONCE`] times [`ROUNDS`] datagrams; `now` stands in where the kernel gave no time.
    pub(super) fn drain(&mut self, now: Moment, mut each: impl FnMut(Moment, SocketAddr, &mut [u8])) {
        SCRATCH.with_borrow_mut(|scratch| {
            for _ in 0..ROUNDS {
                if self.take(scratch, now, &mut each) < AT_ONCE {
                    return;
                }
            }
        });
    }

    /// One call of the system; how many datagrams it gave.
    fn take(&self, scratch: &mut Scratch, now: Moment, each: &mut impl FnMut(Moment, SocketAddr, &mut [u8])) -> usize {
        let Scratch { headers, buffers } = scratch;
        let mut came = [(0usize, None, now); AT_ONCE];
        let mut got = 0;
        {
            let mut slices = buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
            let flags = MsgFlags::MSG_DONTWAIT;
            // An error is "nothing there", or what an earlier packet of ours caused (ICMP): both are over by the next tick.
            let Ok(messages) = recvmmsg(self.socket.as_raw_fd(), headers, slices.iter_mut(), flags, None) else {
                return 0;
            };
            for (slot, message) in came.iter_mut().zip(messages) {
                let whole = !message.flags.contains(MsgFlags::MSG_TRUNC);
                let stamp = message.cmsgs().ok().and_then(|mut all| all.find_map(kernel_time));
                let from = message.address.filter(|_| whole).as_ref().and_then(address);
                *slot = (message.bytes, from, stamp.map_or(now, rt::moment_of_wall));
                got += 1;
            }
        }
        for (buffer, (length, from, at)) in buffers.iter_mut().zip(came).take(got) {
            if let (Some(from), Some(bytes)) = (from, buffer.get_mut(..length)) {
                each(at.min(now), from, bytes);
            }
        }
        got
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
