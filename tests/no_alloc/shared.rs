//! The real media thread and the port that its legs share, counted from outside, while calls come and go on it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use voicefleet::call::line::LineOrder;
use voicefleet::rt;
use voicefleet::shard::rtp::{PortRange, RtpPort, RtpPorts};
use voicefleet::shard::{Config, LineHandle, Shards};
use voicefleet::wire::rtp::{RtpHeader, RtpPacket, looks_like_rtcp};
use voicefleet::wire::sdp::Codec;

use crate::rtp::plan;
use crate::thread::until;
use crate::{alone, watch, watched};

const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A phone with its call.
struct Phone {
    socket: UdpSocket,
    ssrc: u32,
    sent: u16,
    got: u64,
    port: RtpPort,
    line: LineHandle,
}

impl Phone {
    fn call(ssrc: u32, ports: &RtpPorts, shards: &Shards) -> Self {
        let socket = UdpSocket::bind((IP, 0)).expect("a socket");
        socket.set_nonblocking(true).expect("a socket that does not wait");
        let mut port = ports.reserve().expect("a place");
        let agreed = plan(Codec::Pcmu, socket.local_addr().expect("an address"), None);
        let (leg, rate) = port.start(agreed).expect("a codec").expect("the first start");
        let line = shards.open_rtp(rate, None, leg).expect("a line");
        Self { socket, ssrc, sent: 0, got: 0, port, line }
    }

    fn frame(&mut self, to: SocketAddr) {
        let mut packet = [0x10; RtpHeader::BYTES + 160];
        let timestamp = u32::from(self.sent) * 160;
        let header = RtpHeader { payload_type: 0, marker: false, sequence: self.sent, timestamp, ssrc: self.ssrc };
        header.write(&mut packet).expect("room for a header");
        self.sent += 1;
        self.socket.send_to(&packet, to).expect("room in a socket of this machine");
        let mut bytes = [0; 1_500];
        while let Ok(length) = self.socket.recv(&mut bytes) {
            if !looks_like_rtcp(&bytes[..length]) {
                self.got += u64::from(RtpPacket::parse(&bytes[..length]).is_ok());
            }
        }
    }

    /// Hangs up; how many packets its leg took.
    fn hang_up(mut self) -> u64 {
        let mut done = self.line.done().expect("asked once");
        let _ = self.line.ends.orders.push(LineOrder::Close);
        let mut report = None;
        until("a line that is closed is over", || {
            report = done.try_recv().ok();
            report.is_some()
        });
        self.port.stop();
        report.and_then(|report| report.rtp).map_or(0, |rtp| rtp.received)
    }
}

#[test]
fn a_port_that_calls_share_costs_the_media_thread_no_allocation() {
    const LINES: u32 = 12;
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    let _within = runtime.enter();
    let shards = Shards::start(&Config { shards: 1, ..Config::default() }, 32, None).expect("a media thread");
    until("the thread says who it is", || shards.views()[0].thread_id != 0);
    let ports = shards.share_rtp(PortRange { ip: IP, first: 21_900, last: 21_901 }, 60_000).expect("a free port");
    let to = SocketAddr::from((IP, 21_900));
    watch(shards.views()[0].thread_id);
    let mut phones: Vec<Phone> = (0..LINES).map(|ssrc| Phone::call(ssrc, &ports, &shards)).collect();
    let (mut taken, mut sent, mut got, mut due) = (0, 0, 0, rt::now());
    for tick in 0..400_u32 {
        due = due.max(rt::now()).plus_ms(20);
        phones.iter_mut().for_each(|phone| phone.frame(to));
        if tick % 20 == 19 {
            let over = phones.remove(0);
            (sent, got) = (sent + u64::from(over.sent), got + over.got);
            taken += over.hang_up();
            phones.push(Phone::call(LINES + tick, &ports, &shards));
        }
        rt::park_until(due);
    }
    for phone in phones {
        (sent, got) = (sent + u64::from(phone.sent), got + phone.got);
        taken += phone.hang_up();
    }
    until("every line is over", || shards.views()[0].lines == 0);
    let (touches, view) = (watched(), &shards.views()[0]);
    assert_eq!(touches, 0, "{touches} times the media thread called the allocator: {view:?}");
    // What a phone sent before its line was up, or behind its last tick, is nobody's.
    assert!(
        taken * 100 > sent * 95 && got * 100 > sent * 90,
        "{taken} taken of {sent} sent, {got} came back: {view:?}"
    );
}
