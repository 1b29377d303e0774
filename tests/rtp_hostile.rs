//! Hostile datagrams against everything that reads RTP, by the fuzz body and from a seed: more than a hundred thousand of them;
//! and another implementation's word on what a packet is.

#[path = "fuzz/rtp.rs"]
mod body;

use proptest::prelude::*;
use voicefleet::media::Codec;
use voicefleet::wire::rtp::{RtpHeader, RtpPacket};
use webrtc_util::marshal::{Marshal, MarshalSize, Unmarshal};

/// A small generator of repeatable bytes.
struct Chance(u64);

impl Chance {
    fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn a_hundred_thousand_datagrams_of_noise_hurt_nothing() {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722] {
        let mut stream = body::Stream::new(codec);
        for _ in 0..34_000 {
            let length = chance.draw() as usize % 90;
            let mut datagram: Vec<u8> = (0..length).map(|_| chance.draw() as u8).collect();
            if let Some(first) = datagram.first_mut().filter(|_| chance.draw().is_multiple_of(2)) {
                *first = 0x80 | *first & 0x3f;
            }
            stream.datagram(&datagram);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn woven_streams_hurt_no_codec(data in proptest::collection::vec(any::<u8>(), 0..4_000)) {
        body::run(&data);
    }

    #[test]
    fn another_implementation_reads_what_we_write_and_writes_what_we_read(
        payload_type in 0_u8..128, marker: bool, sequence: u16, timestamp: u32, ssrc: u32,
        csrc in proptest::collection::vec(any::<u32>(), 0..16),
        // An extension of whole words; the crate reads those of RFC 8285 element by element, so one of another profile.
        extension in proptest::option::of(proptest::collection::vec(any::<[u8; 4]>(), 0..9)),
        payload in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let ours = RtpHeader { payload_type, marker, sequence, timestamp, ssrc };
        let mut bytes = vec![0; RtpHeader::BYTES];
        ours.write(&mut bytes).unwrap();
        bytes.extend(&payload);
        let read = rtp::packet::Packet::unmarshal(&mut bytes.as_slice()).unwrap();
        prop_assert_eq!((read.header.sequence_number, read.header.timestamp, read.header.ssrc), (sequence, timestamp, ssrc));
        prop_assert_eq!((read.header.payload_type, read.header.marker, &read.payload[..]), (payload_type, marker, &payload[..]));

        let header = rtp::header::Header {
            version: 2,
            marker,
            payload_type,
            sequence_number: sequence,
            timestamp,
            ssrc,
            csrc,
            extension: extension.is_some(),
            extension_profile: 0x4321,
            extensions: extension.into_iter().map(|words| rtp::header::Extension { id: 0, payload: words.concat().into() }).collect(),
            ..Default::default()
        };
        let theirs = rtp::packet::Packet { header, payload: payload.clone().into() };
        let mut bytes = vec![0; theirs.marshal_size()];
        theirs.marshal_to(&mut bytes).unwrap();
        prop_assert_eq!(RtpPacket::parse(&bytes), Ok(RtpPacket { header: ours, payload: &payload }));
    }
}
