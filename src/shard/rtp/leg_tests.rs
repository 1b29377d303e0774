//! One leg over real sockets of this machine: what it sends, what it takes, what it tells.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::super::{PortRange, RtpPort, RtpPorts};
use super::*;
use crate::wire::sdp::{Codec, CryptoKeys, CryptoPlan, CryptoSuite, Direction, KEY_BYTES, TelephoneEvent};
use crate::wire::srtp::{Receiver, Sender};

const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SILENCE_MS: u32 = 1_000;

struct Pair {
    leg: RtpLeg,
    port: RtpPort,
    peer: UdpSocket,
    tick: u64,
    sequence: u16,
}

fn plan(codec: Codec, remote: SocketAddr) -> MediaPlan {
    let payload_type = if codec == Codec::G722 { 9 } else { 8 };
    MediaPlan {
        remote,
        rtcp: Rtcp::Muxed,
        codec,
        payload_type,
        receive_payload_type: payload_type,
        others: Vec::new(),
        telephone_event: Some(TelephoneEvent { payload_type: 101, receive_payload_type: 101, clock_hz: 8_000 }),
        inband_keys: false,
        direction: Direction::SendRecv,
        ptime_ms: 20,
        peer_ptime_ms: None,
        peer_ssrc: None,
        crypto: None,
    }
}

const SUITE: CryptoSuite = CryptoSuite::AesCm128HmacSha1_80;
const OURS: CryptoKeys = CryptoKeys([1; KEY_BYTES]);
const THEIRS: CryptoKeys = CryptoKeys([2; KEY_BYTES]);

impl Pair {
    fn new(first: u16) -> Self {
        Self::with(first, None)
    }

    fn with(first: u16, crypto: Option<CryptoPlan>) -> Self {
        let peer = UdpSocket::bind((IP, 0)).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let ports = RtpPorts::new(PortRange { ip: IP, first, last: first + 99 }, SILENCE_MS);
        let mut port = ports.reserve().unwrap();
        let plan = MediaPlan { crypto, ..plan(Codec::Pcma, peer.local_addr().unwrap()) };
        let (leg, _) = port.start(plan).unwrap().unwrap();
        Self { leg, port, peer, tick: 0, sequence: 65_530 }
    }

    fn agree(&mut self, codec: Codec, direction: Direction) {
        let plan = MediaPlan { direction, ..plan(codec, self.peer.local_addr().unwrap()) };
        assert!(self.port.change(plan).unwrap());
    }

    fn tick(&mut self) -> Option<EdgeEvent> {
        let due = Moment::from_millis(20 * self.tick);
        self.tick += 1;
        self.leg.hear(due, &mut [0; 160]);
        self.leg.rest(due);
        self.leg.event()
    }

    fn say(&mut self, from: &UdpSocket, payload_type: u8, timestamp: u32, payload: &[u8]) {
        let packet = self.packet(payload_type, timestamp, payload);
        from.send_to(&packet, self.port.local()).unwrap();
    }

    fn packet(&mut self, payload_type: u8, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let header = RtpHeader { payload_type, marker: false, sequence: self.sequence, timestamp, ssrc: 7 };
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = vec![0; RtpHeader::BYTES];
        header.write(&mut bytes).unwrap();
        bytes.extend(payload);
        bytes
    }

    /// Something sealed came.
    fn got_sealed(&self) {
        let mut bytes = [0; 1_500];
        let length = self.peer.recv(&mut bytes).unwrap();
        assert_eq!(length, RtpHeader::BYTES + 160 + 10);
    }

    /// The same, sealed by the peer.
    fn say_sealed(&mut self, from: &UdpSocket, sender: &mut Sender, timestamp: u32) {
        let mut packet = self.packet(8, timestamp, &[0xd5; 160]);
        let length = packet.len();
        packet.extend([0; RTP_TRAILER_BYTES]);
        let length = sender.seal(&mut packet, length).unwrap();
        from.send_to(&packet[..length], self.port.local()).unwrap();
    }

    /// The next packet of audio.
    fn got(&self) -> RtpHeader {
        let mut bytes = [0; 1_500];
        loop {
            let length = self.peer.recv(&mut bytes).unwrap();
            if !looks_like_rtcp(&bytes[..length]) {
                return RtpPacket::parse(&bytes[..length]).unwrap().header;
            }
        }
    }
}

#[test]
fn one_packet_a_tick_in_one_stream_whatever_is_agreed_anew() {
    let mut pair = Pair::new(23_000);
    let mut before: Option<RtpHeader> = None;
    let codecs = [Codec::Pcma, Codec::G722, Codec::Pcma];
    for (codec, payload_type) in codecs.into_iter().zip([8, 9, 8]) {
        pair.agree(codec, Direction::SendRecv);
        for _ in 0..20 {
            pair.tick();
            let head = pair.got();
            assert_eq!(head.payload_type, payload_type);
            if let Some(last) = before.replace(head) {
                let expected = (last.ssrc, last.sequence.wrapping_add(1), last.timestamp.wrapping_add(160));
                assert_eq!((head.ssrc, head.sequence, head.timestamp), expected);
            }
        }
    }
    // Held: nothing goes out, and the clock runs on.
    pair.agree(Codec::Pcma, Direction::RecvOnly);
    assert!((0..10).all(|_| pair.tick().is_none()));
    assert_eq!(pair.leg.stats().sent, 60);
    pair.agree(Codec::Pcma, Direction::SendRecv);
    pair.tick();
    let (last, head) = (before.unwrap(), pair.got());
    assert_eq!((head.sequence, head.marker), (last.sequence.wrapping_add(1), true));
    assert_eq!(head.timestamp, last.timestamp.wrapping_add(11 * 160));
}

#[test]
fn a_silent_peer_is_told_of_and_one_on_hold_is_not() {
    let mut pair = Pair::new(23_100);
    let limit = u64::from(SILENCE_MS / FRAME_MS);
    let silent = |pair: &mut Pair| (1..=2 * limit).filter(|_| pair.tick() == Some(EdgeEvent::Silent)).count();
    assert_eq!(silent(&mut pair), 2);
    assert_eq!(pair.tick, 2 * limit);
    pair.agree(Codec::Pcma, Direction::SendOnly);
    assert_eq!(silent(&mut pair), 0);
    pair.agree(Codec::Pcma, Direction::Inactive);
    assert_eq!(silent(&mut pair), 0);
}

#[test]
fn a_peer_is_known_by_the_stream_that_it_announced_until_one_is_heard() {
    let mut pair = Pair::new(24_400);
    let peer = pair.peer.try_clone().unwrap();
    let announce = |pair: &mut Pair, peer_ssrc| {
        let plan = MediaPlan { peer_ssrc, ..plan(Codec::Pcma, pair.peer.local_addr().unwrap()) };
        assert!(pair.port.change(plan).unwrap());
        pair.tick();
        pair.leg.peer().ssrc
    };
    assert_eq!(announce(&mut pair, Some(12)), Some(12));
    pair.say(&peer, 8, 160, &[0xd5; 160]);
    pair.tick();
    assert_eq!(pair.leg.peer().ssrc, Some(7), "what is heard counts");
    assert_eq!(announce(&mut pair, Some(12)), Some(7), "nothing new was announced");
    assert_eq!(announce(&mut pair, Some(13)), Some(13));
    assert_eq!(announce(&mut pair, None), Some(7));
}

#[test]
fn what_is_foreign_is_counted_and_not_heard_and_a_key_counts_once() {
    let mut pair = Pair::new(23_200);
    let peer = pair.peer.try_clone().unwrap();
    let stranger = UdpSocket::bind((IP, 0)).unwrap();
    pair.say(&peer, 8, 160, &[0xd5; 160]);
    pair.tick();
    assert_eq!((pair.leg.stats().received, pair.leg.stats().foreign), (1, 0));
    // Another payload type, no RTP at all, another source.
    pair.say(&peer, 77, 320, &[0; 160]);
    peer.send_to(b"hello", pair.port.local()).unwrap();
    (0..5).for_each(|_| pair.say(&stranger, 8, 320, &[0; 160]));
    pair.tick();
    assert_eq!((pair.leg.stats().received, pair.leg.stats().foreign), (1, 7));
    let mut keys = Vec::new();
    for at in 0..6 {
        pair.say(&peer, 101, 960, &[11, if at > 2 { 0x8a } else { 10 }, 0, 160]);
        keys.extend(pair.tick());
    }
    assert_eq!(keys, [EdgeEvent::Digit(b'#')]);
}

#[test]
fn a_report_goes_out_after_two_and_a_half_seconds_and_carries_the_round_trip() {
    let mut pair = Pair::new(23_300);
    let mut reports = Vec::new();
    for tick in 1..=125 {
        pair.tick();
        let mut bytes = [0; 1_500];
        let length = pair.peer.recv(&mut bytes).unwrap();
        if looks_like_rtcp(&bytes[..length]) {
            reports.push((tick, bytes[..length].to_vec()));
            pair.got();
        }
    }
    let [(125, report)] = reports.as_slice() else { panic!("{reports:?}") };
    let sent = crate::wire::rtp::RtcpParts::new(report).map_while(Result::ok).find_map(|part| match part {
        crate::wire::rtp::Rtcp::Report { ssrc, sender, .. } => sender.map(|sender| (ssrc, sender)),
        _ => None,
    });
    let (ssrc, sender) = sent.unwrap();
    assert_eq!(sender.packets, 124);
    let block = crate::wire::rtp::ReportBlock {
        ssrc,
        last_report: sender.ntp.middle(),
        fraction_lost: 64,
        ..Default::default()
    };
    let answer = crate::wire::rtp::Compound { ssrc: 7, sender: None, block: Some(block), cname: "p", goodbye: false };
    let mut bytes = [0; 128];
    let length = answer.write(&mut bytes).unwrap();
    pair.peer.send_to(&bytes[..length], pair.port.local()).unwrap();
    assert_eq!(pair.leg.stats().round_trip_ms, None);
    pair.tick();
    let stats = pair.leg.stats();
    // A tick after ours.
    assert!(stats.round_trip_ms.is_some_and(|ms| ms.abs_diff(20) <= 1), "{stats:?}");
    assert_eq!(stats.peer_loss_percent, Some(25));
}

#[test]
fn with_keys_both_directions_and_the_reports_are_sealed() {
    let mut pair = Pair::with(23_400, Some(CryptoPlan { suite: SUITE, local: OURS, remote: THEIRS }));
    let peer = pair.peer.try_clone().unwrap();
    let (mut sender, mut receiver) = (Sender::new(SUITE, &THEIRS), Receiver::new(SUITE, &OURS));
    let (mut audio, mut reports) = (0, 0);
    // A report of the peer's, as it should be and in clear.
    let report = crate::wire::rtp::Compound {
        ssrc: 7,
        sender: None,
        block: Some(crate::wire::rtp::ReportBlock {
            ssrc: pair.leg.out.ssrc(),
            fraction_lost: 64,
            ..Default::default()
        }),
        cname: "p",
        goodbye: false,
    };
    let mut bytes = [0; 128];
    let length = report.write(&mut bytes).unwrap();
    peer.send_to(&bytes[..length], pair.port.local()).unwrap();
    for tick in 0..130 {
        pair.say_sealed(&peer, &mut sender, tick * 160);
        pair.tick();
        let mut bytes = [0; 1_500];
        let length = peer.recv(&mut bytes).unwrap();
        if looks_like_rtcp(&bytes[..length]) {
            reports += 1;
            let length = receiver.open_control(&mut bytes[..length]).unwrap();
            assert!(crate::wire::rtp::RtcpParts::new(&bytes[..length]).all(|part| part.is_ok()));
            let length = peer.recv(&mut bytes).unwrap();
            assert!(receiver.open(&mut bytes[..length]).is_ok());
        } else {
            let length = receiver.open(&mut bytes[..length]).unwrap();
            assert_eq!(RtpPacket::parse(&bytes[..length]).unwrap().payload, [0xd5; 160], "silence in A-law");
        }
        audio += 1;
    }
    let stats = pair.leg.stats();
    assert_eq!((audio, reports, stats.received, stats.refused, stats.peer_loss_percent), (130, 1, 130, 1, None));
    assert!(stats.encrypted, "{stats:?}");
    let length = sender.seal_control(&mut bytes, length).unwrap();
    peer.send_to(&bytes[..length], pair.port.local()).unwrap();
    pair.tick();
    assert_eq!(pair.leg.stats().peer_loss_percent, Some(25));
}

#[test]
fn what_the_agreed_key_did_not_sign_is_neither_heard_nor_a_sign_of_life() {
    let mut pair = Pair::with(23_500, Some(CryptoPlan { suite: SUITE, local: OURS, remote: THEIRS }));
    let (peer, stranger) = (pair.peer.try_clone().unwrap(), UdpSocket::bind((IP, 0)).unwrap());
    let mut wrong = Sender::new(SUITE, &OURS);
    let mut events = Vec::new();
    let ticks = SILENCE_MS / 20 + 2;
    for tick in 0..ticks {
        // From where the peer should be: plain, or by another key. From elsewhere often enough to be latched onto.
        pair.say(&peer, 8, tick * 160, &[0xd5; 160]);
        pair.say_sealed(&peer, &mut wrong, tick * 160);
        pair.say_sealed(&stranger, &mut wrong, tick * 160);
        events.extend(pair.tick());
    }
    assert_eq!(events, [EdgeEvent::Silent]);
    let stats = pair.leg.stats();
    assert_eq!((stats.received, stats.refused, stats.foreign), (0, u64::from(ticks) * 3, 0));
    // Our audio still goes to the peer, and a peer elsewhere is found once its packets are sound.
    pair.got_sealed();
    let mut right = Sender::new(SUITE, &THEIRS);
    for tick in 0..5 {
        pair.say_sealed(&stranger, &mut right, tick * 160);
        pair.tick();
    }
    assert_eq!(pair.leg.stats().received, 3, "the third packet in a row convinces");
    // A packet that is said again counts as what it is.
    let mut again = pair.packet(8, 900, &[0xd5; 160]);
    let length = again.len();
    again.extend([0; RTP_TRAILER_BYTES]);
    let length = right.seal(&mut again, length).unwrap();
    for _ in 0..2 {
        stranger.send_to(&again[..length], pair.port.local()).unwrap();
    }
    pair.tick();
    assert_eq!((pair.leg.stats().received, pair.leg.stats().duplicated), (4, 1));
}

/// The next packet of ours that is no report, as another library reads it.
fn judged(pair: &Pair) -> ::rtp::packet::Packet {
    use webrtc_util::marshal::Unmarshal as _;
    let mut bytes = [0; 1_500];
    loop {
        let length = pair.peer.recv(&mut bytes).unwrap();
        if !looks_like_rtcp(&bytes[..length]) {
            return ::rtp::packet::Packet::unmarshal(&mut &bytes[..length]).unwrap();
        }
    }
}

#[test]
fn keys_that_are_pressed_go_out_as_events_of_the_same_stream() {
    let mut pair = Pair::new(23_600);
    assert!("1#".chars().all(|key| pair.port.press(key)) && !pair.port.press('x'));
    let packets: Vec<_> = (0..30)
        .map(|_| {
            pair.tick();
            judged(&pair)
        })
        .collect();
    let first = packets[0].header.clone();
    for (n, packet) in packets.iter().enumerate() {
        let head = &packet.header;
        assert_eq!((head.ssrc, head.sequence_number), (first.ssrc, first.sequence_number.wrapping_add(n as u16)));
        if head.payload_type == 8 {
            assert_eq!(head.timestamp, first.timestamp.wrapping_add(n as u32 * 160), "audio runs on");
        }
    }
    let kinds: Vec<u8> = packets.iter().map(|packet| packet.header.payload_type).collect();
    let expected: Vec<u8> = [(101, 7), (8, 3), (101, 7), (8, 13)].into_iter().flat_map(|(t, n)| vec![t; n]).collect();
    assert_eq!(kinds, expected, "a press and 60 ms without one");
    for (key, at) in [(1, 0), (11, 10)] {
        for (n, packet) in packets[at..at + 7].iter().enumerate() {
            assert_eq!(packet.header.timestamp, first.timestamp.wrapping_add(at as u32 * 160), "one time for a press");
            assert_eq!(packet.header.marker, n == 0);
            let (step, end) = ((n as u16 + 1).min(5), if n >= 4 { 0x80 } else { 0 });
            let [high, low] = (step * 160).to_be_bytes();
            assert_eq!(packet.payload[..], [key, end | 10, high, low], "packet {n}");
        }
    }
    // No more than fit wait.
    assert_eq!((0..40).filter(|_| pair.port.press('5')).count(), 32);
}

#[test]
fn where_no_events_are_agreed_keys_are_tones_both_ways() {
    let mut pair = Pair::new(23_700);
    let plan =
        MediaPlan { telephone_event: None, inband_keys: true, ..plan(Codec::Pcma, pair.peer.local_addr().unwrap()) };
    assert!(pair.port.change(plan).unwrap());
    assert!("42D*".chars().all(|key| pair.port.press(key)));
    let (mut heard, mut told) = (Vec::new(), Vec::new());
    let mut ear = crate::media::KeyEar::new(SampleRate::NARROW);
    let peer = pair.peer.try_clone().unwrap();
    for tick in 0..60 {
        // What is sent comes back: the leg hears its own keys.
        told.extend(pair.tick());
        let packet = judged(&pair);
        let mut samples = [0; 160];
        crate::media::alaw_decode(&packet.payload, &mut samples);
        heard.extend(ear.hear(&samples));
        pair.say(&peer, 8, tick * 160, &packet.payload);
    }
    assert_eq!(heard, b"42D*");
    assert_eq!(told, b"42D*".map(EdgeEvent::Digit));
}

#[test]
fn packets_of_ten_to_forty_milliseconds_are_heard_whole() {
    for (nth, ptime_ms) in [10_u16, 30, 40].into_iter().enumerate() {
        let mut pair = Pair::new(23_800 + 10 * nth as u16);
        let peer = pair.peer.try_clone().unwrap();
        let (ticks, length) = (120, u32::from(ptime_ms) * 8);
        let (mut heard, mut sent) = (Vec::new(), 0);
        for tick in 0..ticks {
            while sent * u64::from(ptime_ms) <= tick * 20 {
                // Each packet has a code of its own.
                pair.say(&peer, 8, sent as u32 * length, &vec![0x80 | (sent % 100) as u8; length as usize]);
                sent += 1;
            }
            let (mut frame, due) = ([0; 160], Moment::from_millis(20 * tick));
            if pair.leg.hear(due, &mut frame) == Some(CallerFrame::Audio) {
                heard.extend(frame);
            }
            pair.leg.rest(due);
        }
        let stats = pair.leg.stats();
        assert_eq!((stats.received, stats.foreign, stats.lost, stats.late, stats.dropped), (sent, 0, 0, 0, 0));
        assert_eq!((stats.concealed_ms, stats.stream.expected), (0, sent), "{ptime_ms} ms");
        let runs: Vec<usize> = heard.chunk_by(|a, b| a == b).map(<[i16]>::len).collect();
        let whole = runs.iter().filter(|run| **run == length as usize).count();
        // The first is blended in out of silence; of the last a part is not heard yet.
        assert!(whole + 8 >= runs.len() && whole > 40, "{ptime_ms} ms: {whole} of {} packets", runs.len());
    }
}

#[test]
fn whoever_takes_no_more_than_ten_milliseconds_is_sent_no_more() {
    for (nth, codec, bytes) in [(0, Codec::Pcma, Some(80)), (1, Codec::G722, Some(80)), (2, Codec::Opus, None)] {
        let mut pair = Pair::new(23_850 + 10 * nth);
        let plan = MediaPlan { ptime_ms: 10, ..plan(codec, pair.peer.local_addr().unwrap()) };
        let step = if codec == Codec::Opus { 480 } else { 80 };
        assert!(pair.port.change(plan).unwrap());
        let coding = coding(codec);
        let mut last: Option<RtpHeader> = None;
        for _ in 0..20 {
            pair.tick();
            for _ in 0..2 {
                let packet = judged(&pair);
                let head = RtpHeader {
                    payload_type: packet.header.payload_type,
                    marker: packet.header.marker,
                    sequence: packet.header.sequence_number,
                    timestamp: packet.header.timestamp,
                    ssrc: packet.header.ssrc,
                };
                assert!(bytes.is_none_or(|bytes| packet.payload.len() == bytes), "{codec:?}");
                assert_eq!(coding.ticks_of(&packet.payload), step, "{codec:?}");
                if let Some(last) = last.replace(head) {
                    let expected = (last.sequence.wrapping_add(1), last.timestamp.wrapping_add(step));
                    assert_eq!((head.sequence, head.timestamp), expected, "{codec:?}");
                }
            }
        }
        assert_eq!(pair.leg.stats().sent, 40);
    }
}

#[test]
fn sixteen_minutes_wrap_every_number_and_lose_nothing() {
    const TICKS: u64 = 16 * 60 * 50;
    // The peer's numbers wrap soon after the start, ours within the call: both clocks stand just before their end.
    let mut pair = Pair::new(23_900);
    pair.leg.out = Outgoing::new(9, u16::MAX - 20_000, u32::MAX - 100_000);
    let peer = pair.peer.try_clone().unwrap();
    let (mut last, mut heard): (Option<RtpHeader>, u64) = (None, 0);
    for tick in 0..TICKS {
        let at = (u32::MAX - 4_000_000).wrapping_add(tick as u32 * 160);
        pair.say(&peer, 8, at, &[0x80 | (tick % 100) as u8; 160]);
        let (mut frame, due) = ([0; 160], Moment::from_millis(20 * tick));
        heard += u64::from(pair.leg.hear(due, &mut frame) == Some(CallerFrame::Audio));
        pair.leg.rest(due);
        let head = pair.got();
        if let Some(last) = last.replace(head) {
            let expected = (9, last.sequence.wrapping_add(1), last.timestamp.wrapping_add(160));
            assert_eq!((head.ssrc, head.sequence, head.timestamp), expected, "tick {tick}");
        }
    }
    let stats = pair.leg.stats();
    assert_eq!((stats.received, stats.sent, stats.unsent), (TICKS, TICKS, 0));
    assert_eq!((stats.lost, stats.late, stats.dropped, stats.reordered, stats.concealed_ms), (0, 0, 0, 0, 0));
    assert_eq!((stats.stream.expected, stats.stream.missing), (TICKS, 0));
    assert!(heard > TICKS - 10, "{heard} frames of {TICKS}");
    let [ours, theirs] = [last.map(|head| head.sequence), Some(pair.sequence.wrapping_sub(1))].map(Option::unwrap);
    assert!(ours < u16::MAX - 20_000 && theirs < 65_530, "both wrapped");
}

/// The loudest sample of what is heard in so many ticks.
fn loudest(pair: &mut Pair, ticks: usize, mut say: impl FnMut(&mut Pair, u32)) -> u16 {
    let mut loudest = 0;
    for n in 0..ticks {
        say(pair, u32::try_from(n).unwrap());
        let due = Moment::from_millis(20 * pair.tick);
        pair.tick += 1;
        let mut frame = [0; 160];
        pair.leg.hear(due, &mut frame);
        loudest = frame.iter().map(|sample| sample.unsigned_abs()).max().unwrap().max(loudest);
    }
    loudest
}

#[test]
fn a_peer_that_answered_with_several_codecs_is_heard_in_each_of_them() {
    let mut pair = Pair::new(25_300);
    let peer = pair.peer.try_clone().unwrap();
    let several =
        MediaPlan { others: vec![(0, Codec::Pcmu), (9, Codec::G722)], ..plan(Codec::Pcma, peer.local_addr().unwrap()) };
    assert!(pair.port.change(several).unwrap());
    // A tone in each, one after the other, in one stream of numbers and times.
    let tone = |n: usize, hz: f64, rate: f64| ((n as f64 * hz * std::f64::consts::TAU / rate).sin() * 9_000.0) as i16;
    let mut heard = Vec::new();
    for (round, (payload_type, codec)) in
        [(8, Codec::Pcma), (0, Codec::Pcmu), (9, Codec::G722), (8, Codec::Pcma)].into_iter().enumerate()
    {
        let codec = coding(codec);
        let mut encoder = Encoder::new(codec).unwrap();
        heard.push(loudest(&mut pair, 25, |pair, n| {
            let samples = codec.rate().frame_samples();
            let frame: Vec<i16> =
                (0..samples).map(|at| tone(n as usize * samples + at, 440.0, f64::from(codec.rate().hz()))).collect();
            let mut payload = [0; 400];
            let length = encoder.encode(&frame, &mut payload);
            pair.say(&peer, payload_type, (round as u32 * 25 + n) * 160, &payload[..length]);
        }));
    }
    assert!(heard.iter().all(|peak| (5_000..13_000).contains(peak)), "{heard:?}");
    let stats = pair.leg.stats();
    assert_eq!((stats.received, stats.foreign, stats.lost, stats.stream.missing), (100, 0, 0, 0), "{stats:?}");
    assert_eq!(stats.codec, Some(coding(Codec::Pcma)), "what we send");
    // One that was not answered with is not heard.
    pair.say(&peer, 96, 17_000, &[0; 40]);
    pair.tick();
    assert_eq!(pair.leg.stats().foreign, 1);
}
