//! Floods at the SIP endpoint: thousands of mutated messages and of INVITEs that nobody acknowledges. What must hold is that it hears
//! on, that nothing is left of them, and that a sound call goes through. The suite runs thousands, `make soak` tens of thousands.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use voicefleet::telemetry::ProcessSample;

use super::hostile::{INVITE, OPTIONS, ask, message, probe};
use super::world::{World, config, trunk};

/// A sound offer.
const OFFER: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";
/// What mutations put in: what parsers have stumbled over.
const TOKENS: [&[u8]; 14] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b"\xff\xfe",
    b"%00",
    b"18446744073709551615",
    b"-1",
    b"\"",
    b"<sip:",
    b";tag=",
    b"Content-Length: 4294967296\r\n",
    b"Via: ",
    b"SIP/2.0 200 OK\r\n",
    b"a=rtpmap:",
];
/// A sound OPTIONS is sent from a fresh socket after so many.
const PROBED: usize = 25;
/// Most memory that a flood may leave behind: what the transaction layer keeps for 32 s to absorb repeats.
const MOST_BYTES: u64 = 256 << 20;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % below as u64) as usize
    }
}

/// One sound message with one to four things wrong with it.
fn mutated(random: &mut Random, number: usize) -> Vec<u8> {
    let methods =
        ["INVITE", "OPTIONS", "BYE", "CANCEL", "ACK", "INFO", "UPDATE", "REFER", "NOTIFY", "REGISTER", "PRACK"];
    let method = methods[random.next(methods.len())];
    let (id, via) = (
        format!("Call-ID: mutant{number}"),
        format!("Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKmutant{number};rport"),
    );
    let with_body = random.next(2) == 0;
    let content = if with_body { "Content-Type: application/sdp" } else { "Subject: none" };
    let first = format!("{method} sip:2000@h.example SIP/2.0");
    let mut bytes = message(&first, &[&id, &via, content], if with_body { OFFER } else { "" });
    for _ in 0..=random.next(4) {
        let at = random.next(bytes.len());
        match random.next(6) {
            0 => bytes[at] ^= 1 << random.next(8),
            1 => bytes[at] = random.next(256) as u8,
            2 => drop(bytes.drain(at..(at + 1 + random.next(40)).min(bytes.len()))),
            3 => {
                let token = TOKENS[random.next(TOKENS.len())];
                bytes.splice(at..at, token.iter().copied());
            }
            4 => {
                let line: Vec<u8> = bytes[at..(at + random.next(200)).min(bytes.len())].to_vec();
                bytes.splice(at..at, line);
            }
            _ => bytes.truncate(at.max(1)),
        }
        if bytes.is_empty() {
            bytes.push(b'x');
        }
    }
    bytes
}

/// Sends so many mutants; the endpoint must answer a sound message all the while, and nothing of them may be left.
pub async fn mutants(count: usize, seed: u64) {
    let world = World::new(trunk(""), config(20)).await;
    let to = world.endpoint.address();
    let before = ProcessSample::read().resident_bytes;
    let deaf = tokio::task::spawn_blocking(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut random = Random(seed);
        for number in 0..count {
            let bytes = mutated(&mut random, number);
            socket.send_to(&bytes, to).unwrap();
            if number % PROBED == 0 && probe(to, number) != Some(200) {
                return Some((number, String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
        None
    });
    let deaf = deaf.await.unwrap();
    assert!(deaf.is_none(), "deaf after one of the last {PROBED} up to {deaf:?}");
    // Mutants that were still sound INVITEs had an answer that nobody acknowledged.
    world.settle().await;
    a_sound_call_goes_through(world, before).await;
}

/// Sends so many INVITEs and acknowledges none of the answers.
pub async fn invites(count: usize) {
    let world = World::new(trunk(""), config(20)).await;
    let to = world.endpoint.address();
    let before = ProcessSample::read().resident_bytes;
    let most = config(20).max_pending;
    let deaf = tokio::task::spawn_blocking(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        (0..count).find(|number| {
            let (id, via) = (
                format!("Call-ID: unacknowledged{number}"),
                format!("Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKunack{number};rport"),
            );
            let bytes = message(INVITE, &[&id, &via, "Content-Type: application/sdp"], OFFER);
            socket.send_to(&bytes, to).unwrap();
            number % PROBED == 0 && probe(to, *number) != Some(200)
        })
    });
    assert_eq!(deaf.await.unwrap(), None, "deaf during the flood");
    let census = world.endpoint.census();
    assert!(census.pending <= most, "{census:?}");
    world.settle().await;
    a_sound_call_goes_through(world, before).await;
}

async fn a_sound_call_goes_through(mut world: World, before: u64) {
    let after = ProcessSample::read().resident_bytes;
    assert!(after.saturating_sub(before) < MOST_BYTES, "{} KiB more than before", after.saturating_sub(before) / 1024);
    world.forget_calls();
    let to: SocketAddr = world.endpoint.address();
    let bytes = message(INVITE, &["Call-ID: sound", "Content-Type: application/sdp"], OFFER);
    let status = tokio::task::spawn_blocking(move || ask(to, &bytes, Duration::from_secs(5))).await.unwrap();
    assert_eq!(status, Some(200), "a sound call after the flood");
    let (opened, _end) = world.call().await;
    assert_eq!(opened.sip_call_id, "sound");
    let still = tokio::task::spawn_blocking(move || ask(to, &message(OPTIONS, &[], ""), Duration::from_secs(5)));
    assert_eq!(still.await.unwrap(), Some(200));
}
