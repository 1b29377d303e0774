//! One UDP socket as a media thread reads it: several datagrams per call of the system, each with the time at which the kernel took
//! it off the wire. Allocates once per thread or shared port; never waits.

use std::cell::RefCell;
use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use nix::cmsg_space;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrLike as _, SockaddrStorage, recvmmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;

use crate::rt;
use crate::units::{Moment, prefetch};

/// Datagrams of one leg taken at once. A tick takes two times this at most: what a sender of 10 ms packets sends in 80 ms.
const AT_ONCE: usize = 4;
/// Datagrams of a port of many legs taken at once.
pub(super) const MANY_AT_ONCE: usize = 32;
/// How often a tick asks for more.
const ROUNDS: usize = 2;
/// The longest datagram that is read: 80 ms of G.711 with its header. Longer ones are cut, and no such packet is taken.
pub(super) const BYTES: usize = 704;
/// Room that is asked for in the kernel for what comes to a port of many legs; the system may give less.
const SHARED_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// What `N` datagrams at once are read with.
struct Scratch<const N: usize> {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Box<[[u8; BYTES]]>,
}

impl<const N: usize> Scratch<N> {
    fn new() -> Self {
        let headers = MultiHeaders::preallocate(N, Some(cmsg_space!(TimeSpec)));
        Self { headers, buffers: vec![[0; BYTES]; N].into_boxed_slice() }
    }
}

thread_local! {
    /// What a thread reads the ports of its legs with: made once, by [`prepare_thread`].
    static SCRATCH: RefCell<Scratch<AT_ONCE>> = RefCell::new(Scratch::new());
    /// The same for the port that its legs share.
    static MANY: RefCell<Scratch<MANY_AT_ONCE>> = RefCell::new(Scratch::new());
}

/// Makes what this thread reads datagrams with, so that it allocates nothing later.
pub(in crate::shard) fn prepare_thread() {
    SCRATCH.with(|_| ());
    MANY.with(|_| ());
}

/// A socket.
#[derive(Clone, Debug)]
pub(super) struct Datagrams {
    socket: Arc<UdpSocket>,
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
        Ok(Self { socket: Arc::new(socket) })
    }

    /// Begins to bring near what the next call of the system needs of this process.
    pub(super) fn prefetch(&self) {
        prefetch(&*self.socket);
    }

    /// It is a port of many legs: what comes between two looks at it needs room.
    pub(super) fn widen(&self) {
        let fd = &*self.socket;
        // Beyond the system's own limit where this process may, else up to it.
        let widened = setsockopt(fd, sockopt::RcvBufForce, &SHARED_BUFFER_BYTES)
            .or_else(|_| setsockopt(fd, sockopt::RcvBuf, &SHARED_BUFFER_BYTES));
        if let Err(error) = widened {
            tracing::warn!(%error, "a shared port of audio keeps the system's small buffer: packets may be lost under load");
        }
    }

    /// Hands over what has come, at most [`AT_ONCE`] times [`ROUNDS`] datagrams; `now` stands in where the kernel gave no time.
    pub(super) fn drain(&self, now: Moment, mut each: impl FnMut(Moment, SocketAddr, &mut [u8])) {
        SCRATCH.with_borrow_mut(|scratch| self.drain_with(scratch, ROUNDS, now, &mut each));
    }

    /// The same for a port of many legs, at most [`MANY_AT_ONCE`] times `rounds` datagrams.
    pub(super) fn drain_many(&self, rounds: usize, now: Moment, mut each: impl FnMut(Moment, SocketAddr, &mut [u8])) {
        MANY.with_borrow_mut(|scratch| self.drain_with(scratch, rounds, now, &mut each));
    }

    fn drain_with<const N: usize>(
        &self,
        scratch: &mut Scratch<N>,
        rounds: usize,
        now: Moment,
        each: &mut impl FnMut(Moment, SocketAddr, &mut [u8]),
    ) {
        for _ in 0..rounds {
            if self.take(scratch, now, each) < N {
                return;
            }
        }
    }

    /// One call of the system; how many datagrams it gave.
    fn take<const N: usize>(
        &self,
        scratch: &mut Scratch<N>,
        now: Moment,
        each: &mut impl FnMut(Moment, SocketAddr, &mut [u8]),
    ) -> usize {
        let Scratch { headers, buffers } = scratch;
        let mut came = [(0usize, None, now); N];
        let mut got = 0;
        {
            let Some(buffers) = buffers.first_chunk_mut::<N>() else { return 0 };
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
