//! Fuzz body of the RTP leg: any datagrams into the packet, RTCP and telephone-event readers, the statistics, and the receiving
//! half of each codec. Run on stable over generated input by `tests/rtp_hostile.rs`; a fuzzing engine may call [`run`] with
//! its own bytes. Holds no assertion about sound, only invariants.

use voicefleet::media::{Codec, Heard, RtpReceiver};
use voicefleet::units::Moment;
use voicefleet::wire::rtp::{
    EVENT_BYTES, EventReceiver, ReceiveStats, Rtcp, RtcpParts, RtpHeader, RtpPacket, TelephoneEvent, looks_like_rtcp,
};

/// A stream that is fed for as long as the bytes last.
pub struct Stream {
    codec: Codec,
    receiver: RtpReceiver,
    stats: ReceiveStats,
    events: EventReceiver,
    now: u64,
}

impl Stream {
    /// A stream of one codec.
    ///
    /// # Panics
    /// Where the codec cannot be made.
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            receiver: RtpReceiver::new(codec).unwrap_or_else(|error| panic!("{error}")),
            stats: ReceiveStats::new(codec.clock_hz()),
            events: EventReceiver::new(codec.clock_hz()),
            now: 1_000_000,
        }
    }

    /// One datagram, then up to three ticks.
    ///
    /// # Panics
    /// Where an invariant is broken.
    pub fn datagram(&mut self, datagram: &[u8]) {
        let now = Moment::from_micros(self.now);
        if looks_like_rtcp(datagram) {
            rtcp(datagram);
        }
        if let Ok(packet) = RtpPacket::parse(datagram) {
            assert!(packet.payload.len() + RtpHeader::BYTES <= datagram.len());
            let (header, payload) = (packet.header, packet.payload);
            let event = header.payload_type == 101;
            self.stats.arrived(now, &header, payload.len(), !event);
            match header.payload_type {
                101 => {
                    let pressed = self.events.arrived(header.timestamp, header.marker, payload);
                    assert!(pressed.is_none() || payload.len() >= EVENT_BYTES);
                    self.receiver.other(header.sequence);
                }
                13 => self.receiver.comfort_noise(now, header.sequence, header.timestamp),
                _ => self.receiver.audio(now, header.sequence, header.timestamp, payload),
            }
        }
        if let Some(event) = TelephoneEvent::parse(datagram) {
            assert_eq!(TelephoneEvent::parse(&event.bytes()), Some(event));
        }
        let last = datagram.last().copied().unwrap_or(0);
        for _ in 0..last % 4 {
            self.tick();
        }
        self.now += u64::from(last) * 100;
        let sums = self.stats.sums();
        assert!(sums.expected >= sums.received && (0.0..=1.0).contains(&sums.loss()));
    }

    fn tick(&mut self) {
        let mut frame = [i16::MIN; 480];
        let samples = self.codec.rate().frame_samples();
        let heard = self.receiver.frame(Moment::from_micros(self.now), &mut frame[..samples]);
        assert!(heard != Heard::Silence || frame[..samples].iter().all(|&sample| sample == 0));
        self.now += 20_000;
    }
}

fn rtcp(datagram: &[u8]) {
    for part in RtcpParts::new(datagram) {
        match part {
            Ok(Rtcp::Report { blocks, .. }) => assert!(blocks.count() <= 31),
            Ok(Rtcp::Description { cname, .. }) => assert!(cname.len() <= 255),
            Ok(_) | Err(_) => {}
        }
    }
}

/// Cuts `data` into datagrams, each led by its length, and mends half of the heads so that they get past the version.
///
/// # Panics
/// Where an invariant is broken.
pub fn run(data: &[u8]) {
    let Some((&first, mut rest)) = data.split_first() else { return };
    let mut stream = Stream::new(Codec::ALL[usize::from(first) % 4]);
    let mut sequence = 0_u16;
    while let [length, fate, behind @ ..] = rest {
        let (datagram, after) = behind.split_at(usize::from(*length).min(behind.len()));
        rest = after;
        let mut datagram = datagram.to_vec();
        if *fate < 160 && datagram.len() >= RtpHeader::BYTES {
            // A plausible packet: near the last in sequence and time, of a known payload type.
            sequence = sequence.wrapping_add(u16::from(fate % 4));
            let payload_type = match fate % 8 {
                0 => 101,
                1 => 13,
                _ => 0,
            };
            let timestamp = u32::from(sequence) * stream.codec.frame_ticks() + u32::from(fate / 40);
            let header = RtpHeader { payload_type, marker: false, sequence, timestamp, ssrc: 1 };
            assert_eq!(header.write(&mut datagram), Some(RtpHeader::BYTES));
        } else if *fate < 200 && datagram.len() >= 4 {
            datagram[0] = 0x80 | datagram[0] & 0x3f;
            datagram[1] = 199 + datagram[1] % 6;
            datagram[2] = 0;
        }
        stream.datagram(&datagram);
    }
}
