//! A line over RTP, plain and sealed, on a network as bad as there is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use voicefleet::call::line::{Line, LineFact, Rings};
use voicefleet::media::{Codec as Coding, Encoder, VoiceTables};
use voicefleet::record::{BlockPool, BlockWriter};
use voicefleet::shard::rtp::{PortRange, RtpPorts};
use voicefleet::units::{Moment, Stamp, UtteranceId};
use voicefleet::wire::rtp::{Compound, Ntp, RtpHeader, RtpPacket, SenderInfo, looks_like_rtcp};
use voicefleet::wire::sdp::{
    Codec, CryptoKeys, CryptoPlan, CryptoSuite, Direction, KEY_BYTES, MediaPlan, Rtcp, TelephoneEvent,
};
use voicefleet::wire::srtp::{CONTROL_TRAILER_BYTES, RTP_TRAILER_BYTES, Receiver, Sender};

use crate::{clip, touches};

/// What the two ends agree on.
pub fn plan(codec: Codec, remote: SocketAddr, crypto: Option<CryptoPlan>) -> MediaPlan {
    let payload_type = match codec {
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::G722 => 9,
        Codec::Opus => 96,
    };
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
        crypto,
    }
}

/// A phone on this machine: real datagrams, as bad a network as there is.
struct Phone {
    socket: UdpSocket,
    to: SocketAddr,
    sequence: u16,
    timestamp: u32,
    /// A packet that is to come late.
    held: Option<Vec<u8>>,
    /// Packets that came, the last one's number, and numbers that did not follow the one before.
    got: u64,
    last: Option<u16>,
    gaps: u64,
    /// Control packets that came.
    reports: u64,
    /// Its keys, where the audio is encrypted.
    keys: Option<(Sender, Receiver)>,
}

impl Phone {
    fn send(&mut self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.to).expect("room in a socket of this machine");
    }

    fn packet(&mut self, payload_type: u8, marker: bool, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let header = RtpHeader { payload_type, marker, sequence: self.sequence, timestamp, ssrc: 0x0102_0304 };
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = vec![0; RtpHeader::BYTES];
        header.write(&mut bytes).expect("room for a header");
        bytes.extend(payload);
        if let Some((sender, _)) = &mut self.keys {
            let length = bytes.len();
            bytes.resize(length + RTP_TRAILER_BYTES, 0);
            let length = sender.seal(&mut bytes, length).expect("a packet");
            bytes.truncate(length);
        }
        bytes
    }

    /// One tick's packets: lost, held back, doubled, a key, comfort noise or plain audio.
    fn speak(&mut self, tick: usize, payload_type: u8, audio: &[u8], clock_ticks: u32) {
        self.timestamp = self.timestamp.wrapping_add(clock_ticks);
        let timestamp = self.timestamp;
        let late = self.held.take();
        match tick % 200 {
            // A key of eight packets, the last three with its end.
            at @ 100..108 => {
                let event = [5, if at > 104 { 0x8a } else { 10 }, 0, (at - 99) as u8 * 20];
                let started = timestamp.wrapping_sub((at as u32 - 100) * clock_ticks);
                let packet = self.packet(101, at == 100, started, &event);
                self.send(&packet);
            }
            at @ 150..170 => {
                if at % 10 == 0 {
                    let packet = self.packet(13, false, timestamp, &[40]);
                    self.send(&packet);
                }
            }
            at => {
                let packet = self.packet(payload_type, false, timestamp, audio);
                match at % 50 {
                    7..=9 => {}
                    20 => self.held = Some(packet),
                    30 => {
                        self.send(&packet);
                        self.send(&packet);
                    }
                    // Somebody else's, as far as anybody can tell: a type that nobody agreed to.
                    40 => {
                        let odd = self.packet(77, false, timestamp, audio);
                        self.send(&odd);
                    }
                    _ => self.send(&packet),
                }
            }
        }
        if let Some(late) = late {
            self.send(&late);
        }
        if tick % 250 == 60 {
            let ntp = Ntp::of(Stamp::from_unix_ms(1_700_000_000_000 + tick as i64 * 20));
            let sender = Some(SenderInfo { ntp, rtp_timestamp: timestamp, packets: tick as u32, octets: 0 });
            let report = Compound { ssrc: 0x0102_0304, sender, block: None, cname: "phone", goodbye: false };
            let mut bytes = [0; 128 + CONTROL_TRAILER_BYTES];
            let mut length = report.write(&mut bytes).expect("room for a report");
            if let Some((sender, _)) = &mut self.keys {
                length = sender.seal_control(&mut bytes, length).expect("a report");
            }
            self.send(&bytes[..length]);
        }
    }

    fn listen(&mut self) {
        let mut bytes = [0; 1_500];
        while let Ok(length) = self.socket.recv(&mut bytes) {
            if looks_like_rtcp(&bytes[..length]) {
                let opened = self.keys.as_mut().map(|(_, receiver)| receiver.open_control(&mut bytes[..length]));
                assert!(opened.is_none_or(|opened| opened.is_ok()), "{opened:?}");
                self.reports += 1;
                continue;
            }
            let opened = self.keys.as_mut().map(|(_, receiver)| receiver.open(&mut bytes[..length]));
            assert!(opened.is_none_or(|opened| opened.is_ok()), "{opened:?}");
            let sequence = RtpPacket::parse(&bytes[..length]).expect("a packet").header.sequence;
            self.gaps += u64::from(self.last.is_some_and(|last| last.wrapping_add(1) != sequence));
            (self.last, self.got) = (Some(sequence), self.got + 1);
        }
    }
}

#[test]
fn ten_thousand_ticks_of_a_line_over_rtp_allocate_and_free_nothing() {
    ten_thousand_ticks(21_000, None);
}

#[test]
fn ten_thousand_ticks_of_a_line_over_srtp_allocate_and_free_nothing() {
    for (first, suite) in (21_200..).step_by(200).zip(CryptoSuite::ALL) {
        let (local, remote) = (CryptoKeys([1; KEY_BYTES]), CryptoKeys([2; KEY_BYTES]));
        ten_thousand_ticks(first, Some(CryptoPlan { suite, local, remote }));
    }
}

fn ten_thousand_ticks(first: u16, crypto: Option<CryptoPlan>) {
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let socket = UdpSocket::bind((ip, 0)).expect("a socket");
    socket.set_nonblocking(true).expect("a socket that does not wait");
    let remote = socket.local_addr().expect("an address");
    let ports = RtpPorts::new(PortRange { ip, first, last: first + 199 }, 60_000);
    let mut port = ports.reserve().expect("a free port");
    let (mut leg, rate) = port.start(plan(Codec::Pcma, remote, crypto)).expect("a codec").expect("the first start");
    let mut phone = Phone {
        socket,
        to: port.local(),
        sequence: 65_000,
        timestamp: u32::MAX - 9_000,
        held: None,
        got: 0,
        last: None,
        gaps: 0,
        reports: 0,
        keys: crypto.map(|keys| (Sender::new(keys.suite, &keys.remote), Receiver::new(keys.suite, &keys.local))),
    };
    let (caller, bot) = (clip("caller_rms"), clip("bot_slt"));
    let (rings, _unused, mut ends) = Rings::new(rate);
    let mut line = Line::new(rate, rings, &VoiceTables::new()).expect("a leg's rate");
    let pool = BlockPool::new(8);
    let mut tape = BlockWriter::new(pool.clone(), 1);
    let codecs = [(Codec::Pcma, Coding::Pcma), (Codec::G722, Coding::G722), (Codec::Opus, Coding::Opus)];
    let (mut codec, mut encoder) = (codecs[0].0, Encoder::new(codecs[0].1).expect("a codec"));
    let (mut calls, mut voices, mut keys) = (0, 0, 0);
    let mut listened = [0_i16; 4_096];
    for tick in 0..10_000_usize {
        if tick % 1_000 == 999 {
            // The signalling's thread makes what changes and frees what was replaced.
            let (next, coding) = codecs[(tick / 1_000 + 1) % codecs.len()];
            assert!(port.change(plan(next, remote, crypto)).expect("a codec"), "no room for a change");
            (codec, encoder) = (next, Encoder::new(coding).expect("a codec"));
        }
        let coding = codecs.iter().find(|(one, _)| *one == codec).expect("one of them").1;
        let frame = coding.rate().frame_samples();
        let from = tick * frame % (caller.len() - frame);
        let mut audio = [0; 1_000];
        let bytes = encoder.encode(&caller[from..from + frame], &mut audio);
        phone.speak(tick, plan(codec, remote, crypto).payload_type, &audio[..bytes], coding.frame_ticks());
        if tick % 400 < 380 {
            let at = tick * rate.frame_samples() % (bot.len() - rate.frame_samples());
            let samples = &bot[at..at + rate.frame_samples()];
            ends.speech.push(UtteranceId(1), (tick % 400 / 100) as u16, samples, tick % 100 == 99);
        }
        let due = Moment::from_millis(20 * tick as u64);
        if tick % 100 == 50 {
            assert!(port.press('7'), "no room for a key");
        }
        // What a thread reads with is made at the first tick of its life.
        let measured = touches(|| {
            if tick % 333 == 332 {
                line.skip(due, &mut leg, &mut tape);
            } else {
                line.tick(due, &mut leg, &mut tape);
            }
        });
        calls += if tick == 0 { 0 } else { measured };
        assert_eq!(calls, 0, "tick {tick}: the allocator was called");
        phone.listen();
        let _ = ends.listen.pop_partial_slice(&mut listened);
        while let Ok(fact) = ends.facts.pop() {
            voices += u32::from(matches!(fact, LineFact::VoiceBegan { .. }));
            keys += u32::from(matches!(fact, LineFact::Digit { .. }));
        }
        while let Some(block) = pool.pop_full() {
            pool.give_back(block);
        }
    }
    let stats = leg.stats();
    assert!(voices > 10 && keys > 40, "{voices} voices, {keys} keys: {stats:?}");
    assert!(stats.lost > 100 && stats.reordered > 10 && stats.duplicated > 10 && stats.foreign > 100, "{stats:?}");
    // A tick that is skipped, 30 of them, has no packet.
    assert_eq!((phone.got, phone.gaps, stats.sent), (9_970, 0, 9_970), "one packet a tick: {stats:?}");
    assert!(phone.reports >= 39, "{} reports", phone.reports);
}
