//! Hostile datagrams against everything that reads RTP, by the fuzz body and from a seed: more than a hundred thousand of them.

#[path = "fuzz/rtp.rs"]
mod rtp;

use proptest::prelude::*;
use voicefleet::media::Codec;

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
        let mut stream = rtp::Stream::new(codec);
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
        rtp::run(&data);
    }
}
