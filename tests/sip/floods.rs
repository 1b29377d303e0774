//! Floods at the SIP endpoint: thousands of mutated messages and of INVITEs that nobody acknowledges. What must hold is that it hears
//! on, that nothing is left of them, and that a sound call goes through. The suite runs thousands, `make soak` tens of thousands.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use voicefleet::call::LegFact;
use voicefleet::rt;
use voicefleet::telemetry::ProcessSample;
use voicefleet::units::SampleRate;

use super::hostile::{INVITE, OPTIONS, ask, message, probe};
use super::phone::Phone;
use super::world::{Note, World, config, facts, trunk};

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
/// Memory is looked at after so many messages.
const SAMPLED: usize = 10;
/// Most memory while a flood runs, whatever its length, and what may come with each message of it: about twice of what was measured
/// at a thousand and at ten thousand (the transaction layer keeps what is over for 64 × T1, to absorb repeats).
struct Memory {
    bytes: u64,
    bytes_each: u64,
}

/// Measured: 7 MiB after 2,000, 25 MiB after 20,000.
const OF_MUTANTS: Memory = Memory { bytes: 16 << 20, bytes_each: 2 << 10 };
/// Measured: 36 MiB after 1,000, 85 MiB after 10,000; each is a call that was answered.
const OF_CALLS: Memory = Memory { bytes: 56 << 20, bytes_each: 12 << 10 };
/// One flood at a time: memory is the process's.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

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

/// What a flood did to the endpoint while it ran.
struct Toll {
    /// The first message after which a sound one was not answered.
    deaf_after: Option<String>,
    /// Most memory while it ran, beyond what was in use before.
    peak_bytes: u64,
}

/// Sends so many messages, and a sound OPTIONS from a fresh socket after each.
async fn flood(to: SocketAddr, count: usize, mut made: impl FnMut(usize) -> Vec<u8> + Send + 'static) -> Toll {
    let sent = tokio::task::spawn_blocking(move || {
        let before = ProcessSample::read().resident_bytes;
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut toll = Toll { deaf_after: None, peak_bytes: 0 };
        for number in 0..count {
            let bytes = made(number);
            socket.send_to(&bytes, to).unwrap();
            if probe(to, number) != Some(200) {
                toll.deaf_after = Some(format!("{number}: {}", String::from_utf8_lossy(&bytes)));
                break;
            }
            if number % SAMPLED == 0 {
                toll.peak_bytes = toll.peak_bytes.max(ProcessSample::read().resident_bytes.saturating_sub(before));
            }
        }
        toll
    });
    sent.await.unwrap()
}

/// Sends so many mutants; the endpoint must answer a sound message after each, and nothing of them may be left.
pub async fn mutants(count: usize, seed: u64) {
    let _turn = ALONE.lock().await;
    let world = World::new(trunk(""), config(20)).await;
    let mut random = Random(seed);
    let panics = rt::panics();
    let toll = flood(world.endpoint.address(), count, move |number| mutated(&mut random, number)).await;
    judged(&toll, count, &OF_MUTANTS, panics);
    // Mutants that were still sound INVITEs had an answer that nobody acknowledged.
    world.settle().await;
    a_sound_call_goes_through(world, panics).await;
}

/// Sends so many INVITEs and acknowledges none of the answers.
pub async fn invites(count: usize) {
    let _turn = ALONE.lock().await;
    let world = World::new(trunk(""), config(20)).await;
    let panics = rt::panics();
    let toll = flood(world.endpoint.address(), count, |number| {
        let (id, via) = (
            format!("Call-ID: unacknowledged{number}"),
            format!("Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKunack{number};rport"),
        );
        message(INVITE, &[&id, &via, "Content-Type: application/sdp"], OFFER)
    })
    .await;
    judged(&toll, count, &OF_CALLS, panics);
    let census = world.endpoint.census();
    assert!(census.pending <= config(20).max_pending, "{census:?}");
    world.settle().await;
    a_sound_call_goes_through(world, panics).await;
}

fn judged(toll: &Toll, count: usize, memory: &Memory, panics: u64) {
    assert!(toll.deaf_after.is_none(), "deaf after {:?}", toll.deaf_after);
    assert_eq!(rt::panics() - panics, 0, "tasks that panicked");
    let most = memory.bytes + count as u64 * memory.bytes_each;
    assert!(toll.peak_bytes < most, "{} KiB more than before the flood", toll.peak_bytes / 1024);
}

/// INVITE, 200, ACK, BYE, and the audio that belongs to them.
async fn a_sound_call_goes_through(mut world: World, panics: u64) {
    world.forget_calls();
    let old = world.notes().len();
    let mut phone = Phone::call(world.endpoint.address()).await;
    let (opened, end) = world.call().await;
    assert_eq!(opened.sip_call_id, phone.call_id);
    phone.hang_up().await;
    let started = LegFact::Started { rate: SampleRate::NARROW };
    assert_eq!(facts(end).await.0, [started, LegFact::Answered, LegFact::HungUp { by: None }]);
    assert!(matches!(&world.notes()[old..], [Note::Started(_), Note::Stopped]), "{:?}", &world.notes()[old..]);
    world.settle().await;
    let to = world.endpoint.address();
    let still = tokio::task::spawn_blocking(move || ask(to, &message(OPTIONS, &[], ""), Duration::from_secs(5)));
    assert_eq!(still.await.unwrap(), Some(200));
    assert_eq!(rt::panics() - panics, 0, "tasks that panicked");
}
