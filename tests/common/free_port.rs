//! Ports for programs beside the test, which bind them some time after it has looked. Never binds one for good.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// A port that nobody has, for UDP and TCP, and the next one neither, at which baresip takes TLS; each is given once, and from above
/// those that the system gives out by itself.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let nth = std::process::id().wrapping_mul(61) + u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 61_000 + (nth % 2_250) as u16 * 2;
        let free = |port| {
            let at = SocketAddr::from(([127, 0, 0, 1], port));
            UdpSocket::bind(at).is_ok() && TcpListener::bind(at).is_ok()
        };
        if free(port) && free(port + 1) {
            return port;
        }
    }
}
