//! What tshark reads out of a call's packets, beside what the worker says of them. The peer is the test's own: it leaves packets out,
//! is late with others, does not take all that come, and writes down what passed as a capture, for which nobody needs a right.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket as StdSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::net::UdpSocket;
use voicefleet::results::CallResult;
use voicefleet::rt;
use voicefleet::units::Moment;

use crate::calls::{PORTS, only_result, world_with};
use crate::phone::{OFFER, Phone};
use crate::programs::program;
use crate::world::Folder;

/// Packets that the peer means to send, at the pace of audio: eight seconds.
const PACKETS: u16 = 400;
/// Its first sequence number: they wrap in the middle.
const FIRST: u16 = u16::MAX - 200;
const SSRC: u32 = 0x0bad_cafe;
/// A packet of A-law silence.
const PAYLOAD: [u8; 160] = [0xd5; 160];
const FRAME: Duration = Duration::from_millis(20);

/// Packets that are left out on the way to the worker: single ones, a run, and one right behind the wrap; never the first or the last.
fn left_out(nth: u16) -> bool {
    nth % 10 == 7 || (100..105).contains(&nth) || nth == 201
}

/// Packets of the worker's that do not come through: each eighth, and none of the last, whose loss nobody could see.
fn untaken(nth: u32) -> bool {
    nth % 8 == 3 && nth < 350
}

/// UDP packets as a file that tshark reads: raw IPv4, each with its time.
struct Capture(Vec<u8>);

impl Capture {
    fn new() -> Self {
        let mut file = Vec::new();
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
            file.extend(word.to_le_bytes());
        }
        Self(file)
    }

    fn add(&mut self, since: Duration, (from, to): (u16, u16), payload: &[u8]) {
        let length = u16::try_from(28 + payload.len()).unwrap();
        let words = [since.as_secs() as u32, since.subsec_micros(), u32::from(length), u32::from(length)];
        words.iter().for_each(|word| self.0.extend(word.to_le_bytes()));
        let loopback = Ipv4Addr::LOCALHOST.octets();
        self.0.extend([0x45, 0]);
        self.0.extend(length.to_be_bytes());
        self.0.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        self.0.extend(loopback);
        self.0.extend(loopback);
        [from, to, length - 20, 0].iter().for_each(|word| self.0.extend(word.to_be_bytes()));
        self.0.extend(payload);
    }
}

/// What passed between a peer and the worker.
struct Passed {
    capture: Capture,
    began: Moment,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    worker: SocketAddr,
    /// The worker's packets that came and those of them that were not taken.
    came: u32,
    missed: u32,
    highest: u16,
    ssrc: u32,
}

/// Two sockets side by side, the even one for audio.
fn pair() -> (UdpSocket, UdpSocket) {
    loop {
        let Ok(rtp) = StdSocket::bind("127.0.0.1:0") else { continue };
        let port = rtp.local_addr().unwrap().port();
        if port % 2 == 0
            && let Ok(rtcp) = StdSocket::bind(("127.0.0.1", port + 1))
        {
            let socket = |socket: StdSocket| {
                socket.set_nonblocking(true).unwrap();
                UdpSocket::from_std(socket).unwrap()
            };
            return (socket(rtp), socket(rtcp));
        }
    }
}

impl Passed {
    fn new((rtp, rtcp): (UdpSocket, UdpSocket), worker: SocketAddr) -> Self {
        let began = rt::now();
        Self { capture: Capture::new(), began, rtp, rtcp, worker, came: 0, missed: 0, highest: 0, ssrc: 0 }
    }

    fn ports(&self) -> (u16, u16) {
        (self.rtp.local_addr().unwrap().port(), self.worker.port())
    }

    /// Sends audio: late with every fifth packet, never sending some. Takes what comes meanwhile.
    async fn talk(&mut self) {
        for nth in 0..PACKETS {
            let late = if nth % 5 == 4 { FRAME * 2 / 5 } else { Duration::ZERO };
            self.take_until(self.began + FRAME * u32::from(nth) + late).await;
            if left_out(nth) {
                continue;
            }
            let mut packet = vec![0x80, 8];
            packet.extend(FIRST.wrapping_add(nth).to_be_bytes());
            packet.extend((u32::from(nth) * 160).to_be_bytes());
            packet.extend(SSRC.to_be_bytes());
            packet.extend(PAYLOAD);
            self.capture.add(rt::now().since(self.began), self.ports(), &packet);
            self.rtp.send_to(&packet, self.worker).await.unwrap();
        }
    }

    async fn take_until(&mut self, due: Moment) {
        let mut buffer = [0; 2_048];
        loop {
            let left = due.since(rt::now());
            match rt::timeout(left, self.rtp.recv_from(&mut buffer)).await {
                Some(Ok((length, _))) => self.took(&buffer[..length]),
                Some(Err(error)) => panic!("{error}"),
                None => return,
            }
        }
    }

    fn took(&mut self, packet: &[u8]) {
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        self.ssrc = u32::from_be_bytes(packet[8..12].try_into().unwrap());
        self.highest = sequence;
        self.came += 1;
        if untaken(self.came) {
            self.missed += 1;
        } else {
            let (here, there) = self.ports();
            self.capture.add(rt::now().since(self.began), (there, here), packet);
        }
    }

    /// Tells the worker what it did not take (RFC 3550 6.4.2).
    async fn report(&self) {
        let mut report = vec![0x81, 201, 0, 7];
        report.extend(SSRC.to_be_bytes());
        report.extend(self.ssrc.to_be_bytes());
        report.extend((((self.missed * 256 / self.came) << 24) | self.missed).to_be_bytes());
        for word in [u32::from(self.highest), 0, 0, 0] {
            report.extend(word.to_be_bytes());
        }
        self.rtcp.send_to(&report, (Ipv4Addr::LOCALHOST, self.worker.port() + 1)).await.unwrap();
    }

    /// Takes what is still there once the call is over, its reports too.
    fn end(&mut self) {
        let mut buffer = [0; 2_048];
        while let Ok((length, _)) = self.rtp.try_recv_from(&mut buffer) {
            self.took(&buffer[..length]);
        }
        let (here, there) = self.ports();
        while let Ok((length, _)) = self.rtcp.try_recv_from(&mut buffer) {
            self.capture.add(rt::now().since(self.began), (there + 1, here + 1), &buffer[..length]);
        }
    }
}

/// One stream as tshark counts it.
#[derive(Debug)]
struct Stream {
    from: u16,
    ssrc: String,
    packets: u64,
    lost: u64,
    mean_jitter_ms: f64,
    max_jitter_ms: f64,
}

/// Runs tshark over a capture.
fn tshark(file: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program("tshark")).arg("-r").arg(file).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Its table of streams. A codec's name has blanks in it, so the other columns are counted from both ends.
fn streams(file: &Path, ports: (u16, u16)) -> Vec<Stream> {
    let (here, there) = (format!("udp.port=={},rtp", ports.0), format!("udp.port=={},rtp", ports.1));
    let table = tshark(file, &["-d", &here, "-d", &there, "-q", "-z", "rtp,streams"]);
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let share = words.iter().position(|word| word.starts_with('(') && word.ends_with("%)"))?;
        let figure = |at: usize| words[at].parse::<f64>().unwrap();
        Some(Stream {
            from: words[3].parse().unwrap(),
            ssrc: words[6].to_owned(),
            packets: words[share - 2].parse().unwrap(),
            lost: words[share - 1].parse().unwrap(),
            mean_jitter_ms: figure(share + 5),
            max_jitter_ms: figure(share + 6),
        })
    };
    let rows: Vec<Stream> = table.lines().filter_map(row).collect();
    assert_eq!(rows.len(), 2, "{table}");
    rows
}

/// The last report of the worker's, as tshark reads it: share lost in 1/256, all that were lost, jitter in ticks.
fn last_report(file: &Path, port: u16) -> (u32, u64, u32) {
    let decode = format!("udp.port=={port},rtcp");
    let fields = ["rtcp.ssrc.identifier", "rtcp.ssrc.fraction", "rtcp.ssrc.cum_nr", "rtcp.ssrc.jitter"];
    let mut arguments = vec!["-d", &decode, "-Y", "rtcp.ssrc.cum_nr", "-T", "fields", "-E", "occurrence=f"];
    fields.iter().for_each(|field| arguments.extend(["-e", field]));
    let told = tshark(file, &arguments);
    let last: Vec<&str> =
        told.lines().last().unwrap_or_else(|| panic!("no report block: {told}")).split('\t').collect();
    let ssrc = last[0].trim_start_matches("0x");
    assert_eq!(u32::from_str_radix(ssrc, 16).ok(), Some(SSRC), "{told}");
    (last[1].parse().unwrap(), last[2].parse().unwrap(), last[3].parse().unwrap())
}

/// A call with losses both ways: the capture, the ports of peer and worker, and the result.
async fn call_with_losses(name: &str) -> (Folder, PathBuf, (u16, u16), Passed, CallResult) {
    let (world, sip) = world_with(Folder::new(name), "", PORTS, "", |_| {}).await;
    let sockets = pair();
    let offer = OFFER.replace("4000", &sockets.0.local_addr().unwrap().port().to_string());
    let mut phone = Phone::new(sip).await;
    let answer = phone.ask("INVITE", &[], &offer).await;
    assert_eq!(answer.status(), Some(200));
    phone.ack("").await;
    let sdp = String::from_utf8_lossy(&answer.body).into_owned();
    let port = sdp.split("m=audio ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    let mut passed = Passed::new(sockets, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    passed.talk().await;
    passed.report().await;
    // The report has its tick.
    passed.take_until(rt::now() + FRAME * 5).await;
    phone.hang_up().await;
    let result = only_result(&world).await;
    passed.end();
    let folder = world.stop().await;
    let file = folder.path().join("call.pcap");
    std::fs::File::create(&file).unwrap().write_all(&passed.capture.0).unwrap();
    (folder, file, passed.ports(), passed, result)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tshark_counts_the_losses_that_we_count() {
    let (_folder, file, ports, passed, result) = call_with_losses("tshark").await;
    let planted = (0..PACKETS).filter(|nth| left_out(*nth)).count() as u64;
    let streams = streams(&file, ports);
    let of = |port: u16| streams.iter().find(|stream| stream.from == port).unwrap();
    let (heard, spoken) = (of(ports.0), of(ports.1));
    let ours = result.media.rtp.as_ref().unwrap();

    // What came to the worker.
    assert_eq!((heard.packets, heard.lost), (u64::from(PACKETS) - planted, planted), "{heard:?}");
    assert_eq!((ours.received, ours.lost), (heard.packets, heard.lost), "{ours:?} {heard:?}");
    assert_eq!((ours.duplicated, ours.reordered, ours.foreign), (0, 0, 0), "{ours:?}");
    let jitter_ms = f64::from(ours.jitter_us) / 1_000.0;
    assert!(heard.mean_jitter_ms > 2.0 && jitter_ms > 1.5, "late packets show: {ours:?} {heard:?}");
    assert!(jitter_ms < heard.max_jitter_ms + 1.0, "{ours:?} {heard:?}");
    let (_, lost, jitter) = last_report(&file, ports.1 + 1);
    assert_eq!(lost, heard.lost, "our last report");
    assert!((f64::from(jitter) / 8.0 - jitter_ms).abs() < 1.0, "{jitter} ticks, {jitter_ms} ms");
    assert!(ours.mos < 4.0, "such a line is heard: {ours:?}");

    // What the worker sent: one stream without a gap of its own.
    assert_eq!(u32::from_str_radix(spoken.ssrc.trim_start_matches("0x"), 16).ok(), Some(passed.ssrc));
    assert_eq!(ours.sent, u64::from(passed.came), "{ours:?}");
    assert_eq!((spoken.packets + u64::from(passed.missed), spoken.lost), (ours.sent, u64::from(passed.missed)));
    let share = spoken.lost as f64 * 100.0 / ours.sent as f64;
    let told = f64::from(ours.peer_loss_percent.expect("the peer's report came"));
    assert!((share - told).abs() <= 1.5, "{share:.1} % by tshark, {told} % in the result");
}
